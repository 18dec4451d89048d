/* json.c - finds members of a JSON tree and sets those of trees that we build. Reading bytes is in
 * json_parse.c, canonical writing in json_canon.c. */
#include "base/json.h"

#include "base/text.h"
#include "sluice/types.h"

#include <string.h>

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
