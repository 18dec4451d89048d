/* renderer.h - from input trees to objects. Implementations: lib/render/renderers/<name>.c + a line in renderers.def. Pure:
 * foreign renderers (helm, kustomize) will be run by the caller in a jail and only parsed here. */
#pragma once
#include "base/json.h"

typedef struct SlTree SlTree;

typedef struct {
    const SlTree *tree;
    const char *root;          /* the application's path in the tree; nothing outside may be read */
    const char *const *paths;  /* of a part, relative to root */
    const json_t *patches;     /* array or NULL; `path` is relative to root */
    const char *namespace_;    /* default for namespaced objects, or NULL */
} SlRenderPart;

typedef struct {
    const char *name; /* "plain" */
    /* Can it render this part? Looks at file names only. */
    bool (*detect)(const SlRenderPart *part);
    /* Objects (of json_t*, in order read) with file positions kept for errors. Problems (of SlProblem*) carry
     * file:line; any error there and the result is not used. (transfer full; NULL only with problems) */
    GPtrArray *(*render)(const SlRenderPart *part, GPtrArray *problems);
} SlRendererOps;

const SlRendererOps *const *sl_renderers(void);
