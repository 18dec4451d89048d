/* yaml.c - YAML documents as JSON with positions: typing, tags, merge keys, aliases with a budget, duplicate keys.
 *
 * The only place where YAML text becomes values. What kubectl would read differently from what is here is a bug;
 * what it reads but others do not is a problem with its line. */
#include "base/digest.h"
#include "render/yaml_scalar.h"
#include "render/yaml_tree.h"
#include <string.h>

#define KEY_SHOWN_MAX 64 /* bytes of a key in a message */

struct SlYamlDoc {
    json_t *json;
    SlYNode *root; /* kept for positions */
    bool broken;
};

void sl_yaml_doc_free(SlYamlDoc *doc)
{
    if (!doc)
        return;
    json_decref(doc->json);
    sl_ynode_free(doc->root);
    g_free(doc);
}

const json_t *sl_yaml_json(const SlYamlDoc *doc)
{
    return doc->json;
}

bool sl_yaml_broken(const SlYamlDoc *doc)
{
    return doc->broken;
}

typedef struct {
    const SlYamlAsk *ask;
    size_t used, budget; /* values made, and allowed */
    bool over, broken;
    int depth;
} Typer;

static void complain(Typer *t, const SlYNode *node, int code, bool warning, const char *hint, const char *what)
{
    if (!warning)
        t->broken = true;
    sl_problem_add(t->ask->problems, t->ask->file, node->line, node->column, code, warning, hint, "%s", what);
}

static void complain_text(Typer *t, const SlYNode *node, int code, bool warning, const char *hint,
                          const char *format)
{
    g_autofree char *shown = g_strndup(node->text, MIN(node->len, KEY_SHOWN_MAX));
    g_autofree char *what = g_strdup_printf("`%s` %s", shown, format);
    complain(t, node, code, warning, hint, what);
}

static json_t *text_json(Typer *t, const SlYNode *node, const char *text, size_t len)
{
    if (memchr(text, '\0', len)) {
        complain(t, node, SLU_YAML_BYTES, false, NULL, "text with a NUL character; no tool can use it");
        return json_string("");
    }
    json_t *json = json_stringn(text, len);
    if (json)
        return json;
    complain(t, node, SLU_YAML_BYTES, false, NULL, "text that is not valid UTF-8");
    return json_string("");
}

static const char *core_tag(const char *tag)
{
    static const char prefix[] = "tag:yaml.org,2002:";
    if (g_str_equal(tag, "!"))
        return "str";
    return strncmp(tag, prefix, sizeof prefix - 1) == 0 ? tag + sizeof prefix - 1 : NULL;
}

static json_t *binary_json(Typer *t, const SlYNode *node)
{
    g_autofree char *packed = g_malloc(node->len + 1);
    size_t out = 0;
    for (size_t i = 0; i < node->len; i++)
        if (!g_ascii_isspace(node->text[i]))
            packed[out++] = node->text[i];
    packed[out] = '\0';
    g_autoptr(GBytes) bytes = sl_unbase64(packed, out);
    if (!bytes) {
        complain(t, node, SLU_YAML_TAG, false, NULL, "!!binary is not base64");
        return json_string("");
    }
    size_t len = 0;
    const char *data = g_bytes_get_data(bytes, &len);
    return text_json(t, node, data ? data : "", len);
}

static json_t *resolved_json(Typer *t, const SlYNode *node, const SlScalar *scalar)
{
    switch (scalar->type) {
    case SL_SCALAR_NULL: return json_null();
    case SL_SCALAR_BOOL: return json_boolean(scalar->boolean);
    case SL_SCALAR_INT: return json_integer(scalar->integer);
    case SL_SCALAR_REAL: return json_real(scalar->real);
    case SL_SCALAR_NONFINITE:
        complain_text(t, node, SLU_YAML_NUMBER, false, "put it in quotes if it is text", "is not a number that JSON can carry");
        return json_null();
    default: return text_json(t, node, node->text, node->len);
    }
}

static void warn_trap(Typer *t, const SlYNode *node, const SlScalar *scalar)
{
    if (scalar->trap)
        complain_text(t, node, SLU_YAML_AMBIGUOUS, scalar->mild || !t->ask->strict, scalar->advice, scalar->trap);
}

static json_t *tagged_json(Typer *t, const SlYNode *node, const char *core)
{
    if (core && g_str_equal(core, "str"))
        return text_json(t, node, node->text, node->len);
    if (core && g_str_equal(core, "binary"))
        return binary_json(t, node);
    SlScalar scalar;
    sl_scalar_resolve(node->text, node->len, &scalar);
    SlScalarType type = scalar.type;
    bool number = type == SL_SCALAR_INT || type == SL_SCALAR_REAL;
    bool fits = core && ((g_str_equal(core, "int") && type == SL_SCALAR_INT) || (g_str_equal(core, "float") && number) ||
                         (g_str_equal(core, "bool") && type == SL_SCALAR_BOOL) ||
                         (g_str_equal(core, "null") && type == SL_SCALAR_NULL));
    if (fits)
        return resolved_json(t, node, &scalar);
    g_autofree char *what = g_strdup_printf("tag %s cannot be used here", node->tag);
    complain(t, node, SLU_YAML_TAG, false, "write the value without a tag", what);
    return json_null();
}

static json_t *scalar_json(Typer *t, const SlYNode *node)
{
    if (node->tag)
        return tagged_json(t, node, core_tag(node->tag));
    if (!node->plain)
        return text_json(t, node, node->text, node->len);
    SlScalar scalar;
    sl_scalar_resolve(node->text, node->len, &scalar);
    warn_trap(t, node, &scalar);
    return resolved_json(t, node, &scalar);
}

static json_t *node_json(Typer *t, SlYNode *node);

/* Text of a key as kubectl has it: numbers and booleans become text. NULL after a complaint. */
static char *key_text(Typer *t, const SlYNode *written)
{
    const SlYNode *node = written->type == SL_YNODE_ALIAS ? written->target : written;
    if (node->type != SL_YNODE_SCALAR) {
        complain(t, written, SLU_YAML_KEY, false,
                 "put text in braces like {{ .x }} in quotes", "a key must be text, not a list or a map");
        return NULL;
    }
    g_autoptr(json_t) json = scalar_json(t, node);
    if (json_is_string(json))
        return g_strdup(json_string_value(json));
    if (json_is_boolean(json))
        return g_strdup(json_is_true(json) ? "true" : "false");
    if (json_is_integer(json) && !strpbrk(node->text, ".eE"))
        return g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(json));
    complain_text(t, written, SLU_YAML_KEY, false, "put the key in quotes", "cannot be a key");
    return NULL;
}

static bool is_merge(const SlYNode *key)
{
    return key->type == SL_YNODE_SCALAR && key->plain && key->len == 2 && memcmp(key->text, "<<", 2) == 0;
}

static void merge_one(json_t *into, const json_t *from)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)from, key, value)
        if (!json_object_get(into, key))
            json_object_set(into, key, value);
}

/* @merged collects what `<<` brings; earlier maps win, the map's own keys win over all. */
static void merge_value(Typer *t, SlYNode *value, json_t *merged)
{
    g_autoptr(json_t) json = node_json(t, value);
    bool list = json_is_array(json);
    size_t count = list ? json_array_size(json) : 1;
    for (size_t i = 0; i < count; i++) {
        const json_t *map = list ? json_array_get(json, i) : json;
        if (json_is_object(map))
            merge_one(merged, map);
        else if (!t->over)
            complain(t, value, SLU_YAML_KEY, false, NULL, "<< needs a map, or a list of maps");
    }
}

static void report_duplicate(Typer *t, const SlYNode *node, const SlYNode *first, const char *key)
{
    g_autofree char *shown = g_strndup(key, KEY_SHOWN_MAX);
    g_autofree char *what = g_strdup_printf("key `%s` is there twice, first in line %d", shown, first->line);
    complain(t, node, SLU_YAML_DUPLICATE_KEY, false, "keep one of them", what);
}

static json_t *map_json(Typer *t, SlYNode *node)
{
    json_t *object = json_object();
    g_autoptr(json_t) merged = json_object();
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i + 1 < node->items->len && !t->over; i += 2) {
        SlYNode *key = g_ptr_array_index(node->items, i), *value = g_ptr_array_index(node->items, i + 1);
        if (is_merge(key)) {
            merge_value(t, value, merged);
            continue;
        }
        g_autofree char *text = key_text(t, key);
        g_autoptr(json_t) json = node_json(t, value);
        if (!text || !json)
            continue;
        const SlYNode *first = g_hash_table_lookup(seen, text);
        if (first) {
            report_duplicate(t, key, first, text);
            continue;
        }
        if (!key->json)
            key->json = json_string(text);
        g_hash_table_insert(seen, g_strdup(text), key);
        json_object_set(object, text, json);
    }
    merge_one(object, merged);
    return object;
}

static json_t *list_json(Typer *t, SlYNode *node)
{
    json_t *array = json_array();
    for (guint i = 0; i < node->items->len && !t->over; i++)
        json_array_append_new(array, node_json(t, g_ptr_array_index(node->items, i)));
    return array;
}

static bool spend(Typer *t, const SlYNode *node)
{
    t->used++;
    if (t->over)
        return false;
    if (t->used <= t->budget && t->depth < SL_YAML_DEPTH_MAX * 2)
        return true;
    t->over = true;
    complain(t, node, SLU_YAML_ALIAS, false, "write the values out",
             "aliases (*name) expand to far more than the file holds");
    return false;
}

static json_t *node_json(Typer *t, SlYNode *node)
{
    if (!spend(t, node))
        return json_null();
    if (node->type == SL_YNODE_ALIAS)
        return node_json(t, node->target);
    if (node->type == SL_YNODE_SCALAR)
        return scalar_json(t, node);
    const char *core = node->tag ? core_tag(node->tag) : NULL;
    if (node->tag && (!core || !g_str_equal(core, node->type == SL_YNODE_MAP ? "map" : "seq"))) {
        g_autofree char *what = g_strdup_printf("tag %s cannot be used here", node->tag);
        complain(t, node, SLU_YAML_TAG, false, "write the value without a tag", what);
    }
    t->depth++;
    json_t *json = node->type == SL_YNODE_MAP ? map_json(t, node) : list_json(t, node);
    t->depth--;
    return json;
}

static bool is_empty(const SlYNode *root)
{
    return root->type == SL_YNODE_SCALAR && root->plain && root->len == 0 && !root->tag;
}

GPtrArray *sl_yaml_read_cut(const char *file, GBytes *text, bool strict, GPtrArray *problems, bool *ret_cut)
{
    GPtrArray *docs = g_ptr_array_new_with_free_func((GDestroyNotify)sl_yaml_doc_free);
    SlYamlAsk ask = {.file = file, .strict = strict, .problems = problems};
    *ret_cut = !sl_yaml_scan(&ask, text);
    if (*ret_cut)
        return docs;
    g_autoptr(GArray) counts = g_array_new(FALSE, FALSE, sizeof(guint));
    g_autoptr(GPtrArray) roots = sl_yaml_tree(&ask, text, counts, ret_cut);
    for (guint i = 0; i < roots->len; i++) {
        SlYNode *root = g_ptr_array_index(roots, i);
        if (is_empty(root))
            continue;
        size_t nodes = g_array_index(counts, guint, i);
        /* Keys are counted as nodes but not spent, so a document without aliases never runs out. */
        size_t grown = CLAMP(nodes * SL_YAML_ALIAS_FACTOR, SL_YAML_ALIAS_FLOOR, SL_YAML_ALIAS_MAX);
        Typer t = {.ask = &ask, .budget = MAX(grown, nodes + 1)};
        SlYamlDoc *doc = g_new0(SlYamlDoc, 1);
        doc->json = node_json(&t, root);
        doc->broken = t.broken;
        doc->root = g_steal_pointer(&roots->pdata[i]);
        g_ptr_array_add(docs, doc);
    }
    return docs;
}

GPtrArray *sl_yaml_read(const char *file, GBytes *text, bool strict, GPtrArray *problems)
{
    bool cut = false;
    return sl_yaml_read_cut(file, text, strict, problems, &cut);
}

/* The child of @node that @path begins with; *@path moves behind it. NULL if there is none. */
static const SlYNode *step(const SlYNode *node, const char **path)
{
    for (guint i = 0; node->type == SL_YNODE_MAP && i + 1 < node->items->len; i += 2) {
        const SlYNode *key = g_ptr_array_index(node->items, i), *value = g_ptr_array_index(node->items, i + 1);
        const char *text = key->json ? json_string_value(key->json) : NULL;
        size_t len = text ? strlen(text) : 0;
        if (!text || strncmp(*path, text, len) != 0 || ((*path)[len] != '.' && (*path)[len] != '\0'))
            continue;
        *path += len + ((*path)[len] == '.');
        return **path && value->type != SL_YNODE_SCALAR && value->type != SL_YNODE_ALIAS ? value : key;
    }
    if (node->type != SL_YNODE_LIST || !g_ascii_isdigit(**path))
        return NULL;
    char *end = NULL;
    guint64 index = g_ascii_strtoull(*path, &end, 10);
    if ((*end && *end != '.') || index >= node->items->len)
        return NULL;
    *path = end + (*end == '.');
    return g_ptr_array_index(node->items, (guint)index);
}

void sl_yaml_position(const SlYamlDoc *doc, const char *path, int *ret_line, int *ret_column)
{
    const SlYNode *node = doc->root, *best = doc->root;
    while (node && *path) {
        node = step(node, &path);
        best = node ? node : best;
        if (node && node->type != SL_YNODE_MAP && node->type != SL_YNODE_LIST)
            break;
    }
    *ret_line = best->line;
    *ret_column = best->column;
}
