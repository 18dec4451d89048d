/* json.h - the one JSON tree (jansson's json_t), read with limits and written canonically. Pure.
 *
 * Canonical JSON (docs/formats.md): UTF-8, keys in byte order, no spaces, escapes only \" \\ \b \f
 * \n \r \t \u00xx, integers of 64 bits as decimal, other numbers as Python's repr(float), no NaN
 * or infinity. Build trees with jansson's own json_object_set_new & co; free with json_decref or
 * g_autoptr(json_t). */
#pragma once
#include "sluice/error.h"
#include <jansson.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_t, json_decref)

typedef struct {
    size_t bytes_max; /* 0 = 1 MiB */
    int depth_max;    /* 0 = 32 */
    size_t nodes_max; /* 0 = 200000 */
} SlJsonLimits;

/* One document, no trailing bytes, duplicate keys and NUL refused. @where goes before messages
 * ("body", "progress line"). Errors: JSON_SYNTAX, JSON_DUPLICATE_KEY, JSON_NUMBER, UTF8, LIMIT.
 * (transfer full) */
SL_MUST_USE json_t *sl_json_parse(const char *bytes, size_t len,
                                  const SlJsonLimits *limits /* nullable */, const char *where,
                                  GError **error);

/* Canonical text of @value. A non-finite real gives JSON_NUMBER. (transfer full) */
SL_MUST_USE char *sl_json_canonical(const json_t *value, GError **error);
/* SHA-256 of the canonical text as hex. Aborts on a value that has none: for trees that we built.
 */
char *sl_json_digest(const json_t *value);
/* Python's repr() of a finite double: shortest digits that read back equal. */
char *sl_json_repr_double(double value);

/* Members by path of keys, "spec.model.name" (a key with dots is out of reach). NULL or default if
 * absent or of another type; strings are borrowed while the tree lives. */
json_t *sl_json_at(const json_t *tree, const char *path);
const char *sl_json_str(const json_t *tree, const char *path); /* NULL */
const char *sl_json_str_or(const json_t *tree, const char *path, const char *otherwise);
int64_t sl_json_int(const json_t *tree, const char *path, int64_t otherwise);
bool sl_json_bool(const json_t *tree, const char *path, bool otherwise);
/* As above, but absent or of another type is an error that names @path. Errors: JSON_TYPE. */
SL_MUST_USE const char *sl_json_need_str(const json_t *tree, const char *path, GError **error);
SL_MUST_USE bool sl_json_need_int(const json_t *tree, const char *path, int64_t *ret_value,
                                  GError **error);
SL_MUST_USE json_t *sl_json_need_array(const json_t *tree, const char *path, GError **error);
SL_MUST_USE json_t *sl_json_need_object(const json_t *tree, const char *path, GError **error);

/* Setters for trees that we build; NULL text sets null. */
void sl_json_set_str(json_t *object, const char *key, const char *text);
void sl_json_set_int(json_t *object, const char *key, int64_t value);
void sl_json_set_bool(json_t *object, const char *key, bool value);
/* Array of strings from a NULL-terminated or GPtrArray list. (transfer full) */
json_t *sl_json_strv(const char *const *strings);
json_t *sl_json_from_ptr_array(const GPtrArray *strings);
