/* json.c - reads one JSON document within limits, and finds members of a tree.
 *
 * A scan over the raw bytes bounds depth and nodes before jansson builds anything, so that hostile
 * bytes cost no more than their own length. Canonical writing is in json_canon.c. */
#include "base/json.h"

#include "base/text.h"
#include "sluice/types.h"

#include <string.h>

#define BYTES_MAX_DEFAULT (1024 * 1024)
#define DEPTH_MAX_DEFAULT 32
#define NODES_MAX_DEFAULT 200000
#define MESSAGE_MAX 200 /* jansson quotes the input in its messages */

typedef struct {
    size_t nodes;
    int depth;
    bool in_string, escaped, in_scalar;
} Scan;

static bool is_punctuation(char c)
{
    switch (c) {
    case '{':
    case '}':
    case '[':
    case ']':
    case ':':
    case ',':
    case ' ':
    case '\t':
    case '\r':
    case '\n':
    case '"':
    case '\0':
        return true;
    default:
        return false;
    }
}

/* Counts containers, strings and scalars (keys too: they cost memory as well). */
static void scan_byte(Scan *scan, char c)
{
    if (scan->in_string) {
        if (scan->escaped) {
            scan->escaped = false;
        } else if (c == '\\') {
            scan->escaped = true;
        } else if (c == '"') {
            scan->in_string = false;
        }
        return;
    }
    if (!is_punctuation(c)) {
        scan->nodes += scan->in_scalar ? 0 : 1;
        scan->in_scalar = true;
        return;
    }
    scan->in_scalar = false;
    if (c == '"') {
        scan->in_string = true;
        scan->nodes++;
    } else if (c == '{' || c == '[') {
        scan->depth++;
        scan->nodes++;
    } else if (c == '}' || c == ']') {
        scan->depth--;
    }
}

static bool check_limits(const char *bytes, size_t len, const SlJsonLimits *limits,
                         const char *where, GError **error)
{
    size_t bytes_max =
        limits != NULL && limits->bytes_max > 0 ? limits->bytes_max : BYTES_MAX_DEFAULT;
    int depth_max = limits != NULL && limits->depth_max > 0 ? limits->depth_max : DEPTH_MAX_DEFAULT;
    size_t nodes_max =
        limits != NULL && limits->nodes_max > 0 ? limits->nodes_max : NODES_MAX_DEFAULT;
    if (len > bytes_max) {
        return sl_throw(error, SLU_LIMIT, "%s: %zu bytes of JSON; at most %zu are read", where, len,
                        bytes_max);
    }
    const char *end = NULL;
    if (!g_utf8_validate_len(bytes, len, &end)) {
        return sl_throw(error, SLU_UTF8, "%s: byte %zu is not UTF-8 (or is NUL)", where,
                        (size_t)(end - bytes));
    }
    Scan scan = {0};
    for (size_t i = 0; i < len; i++) {
        scan_byte(&scan, bytes[i]);
        if (scan.depth > depth_max) {
            return sl_throw(error, SLU_LIMIT, "%s: byte %zu: nested deeper than %d", where, i,
                            depth_max);
        }
        if (scan.nodes > nodes_max) {
            return sl_throw(error, SLU_LIMIT, "%s: byte %zu: more than %zu keys and values", where,
                            i, nodes_max);
        }
    }
    return true;
}

static SlErrorCode code_of(const json_error_t *problem)
{
    switch (json_error_code(problem)) {
    case json_error_duplicate_key:
        return SLU_JSON_DUPLICATE_KEY;
    case json_error_numeric_overflow:
        return SLU_JSON_NUMBER;
    case json_error_invalid_utf8:
        return SLU_UTF8;
    default:
        return SLU_JSON_SYNTAX;
    }
}

/* Without memory jansson says NULL, which reads as "these bytes are no JSON": a good promotion would
 * be refused for good. So it ends the process, as GLib does, and the next one reads again. */
__attribute__((constructor)) static void no_memory_is_no_bad_json(void)
{
    json_set_alloc_funcs(g_malloc, g_free);
}

json_t *sl_json_parse(const char *bytes, size_t len, const SlJsonLimits *limits, const char *where,
                      GError **error)
{
    if (!check_limits(bytes, len, limits, where, error)) {
        return NULL;
    }
    json_error_t problem;
    json_t *tree = json_loadb(bytes, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &problem);
    if (tree == NULL) {
        g_autofree char *what = sl_escape_for_people(problem.text, MESSAGE_MAX);
        return sl_throw_null(error, code_of(&problem), "%s:%d:%d: %s", where, problem.line,
                             problem.column, what);
    }
    return tree;
}

json_t *sl_json_at(const json_t *tree, const char *path)
{
    const json_t *at = tree;
    while (at != NULL && *path != '\0') {
        size_t len = strcspn(path, ".");
        at = json_object_getn(at, path, len);
        path += len;
        path += *path == '.' ? 1 : 0;
    }
    return (json_t *)at;
}

const char *sl_json_str(const json_t *tree, const char *path)
{
    return json_string_value(sl_json_at(tree, path));
}

const char *sl_json_str_or(const json_t *tree, const char *path, const char *otherwise)
{
    const char *text = sl_json_str(tree, path);
    return text != NULL ? text : otherwise;
}

int64_t sl_json_int(const json_t *tree, const char *path, int64_t otherwise)
{
    const json_t *at = sl_json_at(tree, path);
    return json_is_integer(at) ? (int64_t)json_integer_value(at) : otherwise;
}

bool sl_json_bool(const json_t *tree, const char *path, bool otherwise)
{
    const json_t *at = sl_json_at(tree, path);
    return json_is_boolean(at) ? json_is_true(at) : otherwise;
}

static const char *type_name(const json_t *value)
{
    static const char *const names[] = {"an object",     "a list", "a text", "an integer",
                                        "a real number", "true",   "false",  "null"};
    return value == NULL ? "missing" : names[json_typeof(value)];
}

static bool throw_type(GError **error, const char *path, const char *wanted, const json_t *found)
{
    return sl_throw(error, SLU_JSON_TYPE, "%s: must be %s, but is %s", path, wanted,
                    type_name(found));
}

const char *sl_json_need_str(const json_t *tree, const char *path, GError **error)
{
    const json_t *at = sl_json_at(tree, path);
    if (!json_is_string(at)) {
        throw_type(error, path, "a text", at);
        return NULL;
    }
    return json_string_value(at);
}

bool sl_json_need_int(const json_t *tree, const char *path, int64_t *ret_value, GError **error)
{
    const json_t *at = sl_json_at(tree, path);
    if (!json_is_integer(at)) {
        return throw_type(error, path, "an integer", at);
    }
    *ret_value = (int64_t)json_integer_value(at);
    return true;
}

json_t *sl_json_need_array(const json_t *tree, const char *path, GError **error)
{
    json_t *at = sl_json_at(tree, path);
    if (!json_is_array(at)) {
        throw_type(error, path, "a list", at);
        return NULL;
    }
    return at;
}

json_t *sl_json_need_object(const json_t *tree, const char *path, GError **error)
{
    json_t *at = sl_json_at(tree, path);
    if (!json_is_object(at)) {
        throw_type(error, path, "an object", at);
        return NULL;
    }
    return at;
}

/* Trees that we build hold only UTF-8: anything else is shown escaped rather than lost. */
static json_t *string_value(const char *text)
{
    if (text == NULL) {
        return json_null();
    }
    json_t *value = json_string(text);
    if (value == NULL) {
        g_autofree char *clean =
            sl_escape_for_people(text, 4 * strlen(text)); /* each byte may become four */
        value = json_string(clean);
    }
    return value;
}

void sl_json_set_str(json_t *object, const char *key, const char *text)
{
    json_object_set_new(object, key, string_value(text));
}

void sl_json_set_int(json_t *object, const char *key, int64_t value)
{
    json_object_set_new(object, key, json_integer(value));
}

void sl_json_set_bool(json_t *object, const char *key, bool value)
{
    json_object_set_new(object, key, json_boolean(value));
}

json_t *sl_json_strv(const char *const *strings)
{
    json_t *array = json_array();
    for (size_t i = 0; strings != NULL && strings[i] != NULL; i++) {
        json_array_append_new(array, string_value(strings[i]));
    }
    return array;
}

json_t *sl_json_from_ptr_array(const GPtrArray *strings)
{
    json_t *array = json_array();
    for (guint i = 0; strings != NULL && i < strings->len; i++) {
        json_array_append_new(array, string_value(g_ptr_array_index(strings, i)));
    }
    return array;
}
