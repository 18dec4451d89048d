/* patch6902.c - JSON Patch (RFC 6902) with JSON Pointers (RFC 6901), on a copy: all operations or none. */
#include "base/text.h"
#include "render/patch.h"
#include <string.h>

#define POINTER_PARTS_MAX 64

static void unescape(char *part)
{
    char *out = part;
    for (const char *p = part; *p; p++) {
        if (p[0] == '~' && (p[1] == '0' || p[1] == '1'))
            *out++ = *++p == '0' ? '~' : '/';
        else
            *out++ = *p;
    }
    *out = '\0';
}

/* "/a/b~1c/0" -> parts; "" -> none. */
static char **split_pointer(const char *pointer, GError **error)
{
    if (*pointer && *pointer != '/') {
        sl_throw(error, SLU_RENDER_PATCH, "path `%.100s` must begin with /", pointer);
        return NULL;
    }
    char **parts = g_strsplit(*pointer ? pointer + 1 : "", "/", -1);
    if (*pointer && !parts[0]) { /* "/" is the member with the empty name */
        g_strfreev(parts);
        parts = g_new0(char *, 2);
        parts[0] = g_strdup("");
    }
    if (g_strv_length(parts) > POINTER_PARTS_MAX) {
        sl_throw(error, SLU_RENDER_PATCH, "path `%.100s` has more than %d parts", pointer, POINTER_PARTS_MAX);
        g_strfreev(parts);
        return NULL;
    }
    for (char **part = parts; *part; part++)
        unescape(*part);
    return parts;
}

static bool list_index(const json_t *list, const char *part, bool adding, size_t *ret_index)
{
    size_t size = json_array_size(list);
    uint64_t index = 0;
    if (adding && strcmp(part, "-") == 0) {
        *ret_index = size;
        return true;
    }
    if (!sl_parse_uint64(part, &index) || index > size || (index == size && !adding))
        return false;
    *ret_index = (size_t)index;
    return true;
}

static json_t *step_into(json_t *value, const char *part)
{
    size_t index = 0;
    if (json_is_object(value))
        return json_object_get(value, part);
    return json_is_array(value) && list_index(value, part, false, &index) ? json_array_get(value, index) : NULL;
}

/* The container of the last part; NULL and error if it is not there. */
static json_t *find_parent(json_t *root, char **parts, const char *pointer, const char **ret_last, GError **error)
{
    json_t *value = root;
    guint count = g_strv_length(parts);
    if (count == 0)
        return sl_throw_null(error, SLU_RENDER_PATCH, "the whole object cannot be replaced");
    for (guint i = 0; value && i + 1 < count; i++)
        value = step_into(value, parts[i]);
    if (!json_is_object(value) && !json_is_array(value))
        return sl_throw_null(error, SLU_RENDER_PATCH, "path `%.100s` is not in the object", pointer);
    *ret_last = parts[count - 1];
    return value;
}

static bool set_at(json_t *root, const char *pointer, json_t *value /* taken */, bool adding, GError **error)
{
    g_autoptr(json_t) owned = value;
    g_auto(GStrv) parts = split_pointer(pointer, error);
    const char *last = NULL;
    json_t *parent = parts ? find_parent(root, parts, pointer, &last, error) : NULL;
    size_t index = 0;
    if (!parent)
        return false;
    bool there = step_into(parent, last) != NULL;
    if (json_is_object(parent) && (adding || there))
        return json_object_set(parent, last, owned) == 0;
    if (json_is_array(parent) && list_index(parent, last, adding, &index))
        return (adding ? json_array_insert(parent, index, owned) : json_array_set(parent, index, owned)) == 0;
    return sl_throw(error, SLU_RENDER_PATCH, "path `%.100s` is not in the object", pointer);
}

/* The value at @pointer, out of the tree if @remove. (transfer full) */
static json_t *take_at(json_t *root, const char *pointer, bool remove, GError **error)
{
    g_auto(GStrv) parts = split_pointer(pointer, error);
    const char *last = NULL;
    json_t *parent = parts ? find_parent(root, parts, pointer, &last, error) : NULL;
    json_t *value = parent ? step_into(parent, last) : NULL;
    size_t index = 0;
    if (!parent)
        return NULL;
    if (!value)
        return sl_throw_null(error, SLU_RENDER_PATCH, "path `%.100s` is not in the object", pointer);
    json_t *copy = json_deep_copy(value);
    if (remove && json_is_object(parent))
        json_object_del(parent, last);
    else if (remove && list_index(parent, last, false, &index))
        json_array_remove(parent, index);
    return copy;
}

static bool apply_one(json_t *root, const json_t *operation, GError **error)
{
    const char *op = sl_json_str(operation, "op"), *path = sl_json_str(operation, "path");
    const char *from = sl_json_str(operation, "from");
    const json_t *value = json_object_get(operation, "value");
    if (!op || !path)
        return sl_throw(error, SLU_RENDER_PATCH, "needs `op` and `path` as text");
    bool add = g_str_equal(op, "add"), replace = g_str_equal(op, "replace"), test = g_str_equal(op, "test");
    bool move = g_str_equal(op, "move"), copy = g_str_equal(op, "copy"), remove = g_str_equal(op, "remove");
    if ((add || replace || test) && !value)
        return sl_throw(error, SLU_RENDER_PATCH, "op %s needs a `value`", op);
    if ((move || copy) && !from)
        return sl_throw(error, SLU_RENDER_PATCH, "op %s needs `from`", op);
    if (add || replace)
        return set_at(root, path, json_deep_copy(value), add, error);
    if (move && g_str_has_prefix(path, from) && path[strlen(from)] == '/')
        return sl_throw(error, SLU_RENDER_PATCH, "`%.100s` cannot be moved into itself", from);
    if (move || copy) {
        json_t *taken = take_at(root, from, move, error);
        return taken && set_at(root, path, taken, true, error);
    }
    if (remove || test) {
        g_autoptr(json_t) found = take_at(root, path, remove, error);
        if (found && test && !json_equal(found, value))
            return sl_throw(error, SLU_RENDER_PATCH, "test failed: `%.100s` has another value", path);
        return found != NULL;
    }
    return sl_throw(error, SLU_RENDER_PATCH, "op `%.40s` is unknown; use add, remove, replace, move, copy or test", op);
}

bool sl_patch_6902(json_t *object, const json_t *operations, GError **error)
{
    g_autoptr(json_t) work = json_deep_copy(object);
    size_t count = json_array_size(operations);
    if (count > SL_PATCH_OPERATIONS_MAX)
        return sl_throw(error, SLU_RENDER_PATCH, "%zu operations; at most %d are allowed", count, SL_PATCH_OPERATIONS_MAX);
    for (size_t i = 0; i < count; i++) {
        if (!apply_one(work, json_array_get(operations, i), error))
            return sl_prefix(error, "operation %zu", i + 1);
    }
    json_object_clear(object);
    json_object_update(object, work);
    return true;
}
