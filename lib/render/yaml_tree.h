/* yaml_tree.h - the bounded tree of one YAML stream: events of libfyaml with positions, before typing. Pure. */
#pragma once
#include "render/yaml.h"

#define SL_YAML_BYTES_MAX ((size_t)8 * 1024 * 1024)
#define SL_YAML_DEPTH_MAX 64
#define SL_YAML_NODES_MAX 200000
#define SL_YAML_DOCUMENTS_MAX 10000
#define SL_YAML_ALIAS_FACTOR 10      /* a document may grow to ten times its nodes ... */
#define SL_YAML_ALIAS_FLOOR 1000     /* ... small ones to this many */
#define SL_YAML_ALIAS_MAX 100000     /* ... and never further */

typedef enum { SL_YNODE_SCALAR, SL_YNODE_MAP, SL_YNODE_LIST, SL_YNODE_ALIAS } SlYNodeType;

typedef struct SlYNode {
    SlYNodeType type;
    int line, column;
    bool plain;           /* scalar without quotes */
    char *text;           /* scalar, or name of the alias; may hold NUL bytes by escapes */
    size_t len;
    char *tag;            /* long form, or NULL */
    GPtrArray *items;     /* children (owned); a map's are key, value, key, value ... */
    struct SlYNode *target; /* of an alias */
    bool open;            /* its end has not been seen, or it is being expanded: an alias to it is a cycle */
    json_t *json;         /* of a map's key: its text, when the document was typed */
} SlYNode;
void sl_ynode_free(SlYNode *node);

typedef struct {
    const char *file;
    bool strict;
    GPtrArray *problems;
} SlYamlAsk;

/* Refuses bytes that no reader agrees on (NUL, controls, BOM, bad UTF-8), with their place. */
bool sl_yaml_scan(const SlYamlAsk *ask, GBytes *text);
/* Root nodes of the documents (of SlYNode*), NULL pointers not included. @ret_nodes: nodes of each root's document,
 * in the same order. Stops at the first syntax error, which is added to the problems, and sets @ret_cut. */
GPtrArray *sl_yaml_tree(const SlYamlAsk *ask, GBytes *text, GArray *ret_nodes, bool *ret_cut);
