/* renderer.h - from input trees to objects. Implementations: lib/render/renderers/<name>.c + a
 * line in renderers.def. Pure: foreign renderers (helm, kustomize) will be run by the caller in a
 * jail and only parsed here. */
#pragma once
#include "base/json.h"

typedef struct SlTree SlTree;

typedef struct {
    const SlTree *tree;
    const char *root;         /* the application's path in the tree; nothing outside may be read */
    const char *const *paths; /* of a part, relative to root */
    const json_t *patches;    /* array or NULL; `path` is relative to root */
    const char *namespace_;   /* default for namespaced objects, or NULL */
} SlRenderPart;

/* One object and where it was written. */
typedef struct {
    json_t *json;
    char *file;       /* path in the tree */
    int line, column; /* of the document's first key */
    void *lines;      /* renderer's own: for sl_render_object_line; or NULL */
    void (*lines_free)(void *lines);
} SlRenderObject;
void sl_render_object_free(SlRenderObject *object);
/* Line of the value at @path ("spec.image"), or of the object. */
int sl_render_object_line(const SlRenderObject *object, const char *path);

typedef struct {
    const char *name; /* "plain" */
    /* Can it render this part? Looks at file names only. */
    bool (*detect)(const SlRenderPart *part);
    /* Objects (of SlRenderObject*), sorted by file and place: checked (apiVersion, kind, name, no
     * two with one identity, no plain Secret), patched, with their namespace. Problems (of
     * SlProblem*) carry file:line; any error there and the result is not used. (transfer full;
     * NULL only with problems) */
    GPtrArray *(*render)(const SlRenderPart *part, GPtrArray *problems);
} SlRendererOps;

const SlRendererOps *const *sl_renderers(void);
/* The first renderer that takes the part; NULL if none does. */
const SlRendererOps *sl_renderer_find(const SlRenderPart *part);
