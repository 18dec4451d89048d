/* fields.c - see fields.h. A field of a map is `f:NAME`, an element of a list by its keys
 * `k:{"name":"web"}`, by its value `v:"a"`; what has no members is owned as a whole. */
#include "kube/fields.h"

#include <string.h>

static const char *const UNOWNED[] = {"apiVersion", "kind", "status", NULL};
static const char *const UNOWNED_METADATA[] = {"name", "namespace", "creationTimestamp",
                                               "generateName", NULL};

const json_t *sl_kube_fields(const json_t *object, const char *manager)
{
    size_t i;
    json_t *entry;
    json_array_foreach (sl_json_at(object, "metadata.managedFields"), i, entry) {
        if (strcmp(sl_json_str_or(entry, "manager", ""), manager) == 0 &&
            strcmp(sl_json_str_or(entry, "operation", ""), "Apply") == 0 &&
            sl_json_str_or(entry, "subresource", "")[0] == '\0') {
            return json_object_get(entry, "fieldsV1");
        }
    }
    return NULL;
}

const char *sl_kube_fields_other(const json_t *object, const char *manager)
{
    size_t i;
    json_t *entry;
    const char *other = "", *latest = "";
    json_array_foreach (sl_json_at(object, "metadata.managedFields"), i, entry) {
        const char *who = sl_json_str_or(entry, "manager", "");
        const char *when = sl_json_str_or(entry, "time", "");
        if (strcmp(who, manager) != 0 &&
            strcmp(sl_json_str_or(entry, "subresource", ""), "status") != 0 &&
            strcmp(when, latest) >= 0) {
            other = who;
            latest = when;
        }
    }
    return other;
}

static bool is_empty(const json_t *value)
{
    return json_is_null(value) || (json_is_object(value) && json_object_size(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0);
}

/* Is @value, or the list element that a `k:` or `v:` names, this @element? A key that the element
 * leaves out has the server's default. */
static bool names(const char *field, const json_t *element)
{
    g_autoptr(json_t) said = json_loads(field + 2, JSON_DECODE_ANY, NULL);
    if (field[0] == 'v') {
        return json_equal(said, element);
    }
    const char *key;
    json_t *value;
    json_object_foreach (said, key, value) {
        const json_t *own = json_object_get(element, key);
        if (own != NULL && !json_equal(own, value)) {
            return false;
        }
    }
    return json_is_object(said) && json_is_object(element);
}

static char *lost_in(const json_t *fields, const json_t *wanted, const char *path);

static char *lost_in_list(const json_t *fields, const json_t *list, const char *path)
{
    size_t i;
    json_t *element;
    json_array_foreach (list, i, element) {
        const json_t *found = NULL;
        const char *field;
        json_t *below;
        json_object_foreach ((json_t *)(uintptr_t)fields, field, below) {
            if ((field[0] == 'k' || field[0] == 'v') && field[1] == ':' && names(field, element)) {
                found = below;
                break;
            }
        }
        g_autofree char *at = g_strdup_printf("%s[%zu]", path, i);
        if (found == NULL) {
            return g_steal_pointer(&at);
        }
        char *lost = lost_in(found, element, at);
        if (lost != NULL) {
            return lost;
        }
    }
    return NULL;
}

static bool is_unowned(const char *path, const char *key)
{
    return (path[0] == '\0' && g_strv_contains(UNOWNED, key)) ||
           (strcmp(path, ".metadata") == 0 && g_strv_contains(UNOWNED_METADATA, key));
}

static char *lost_in_map(const json_t *fields, const json_t *map, const char *path)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)map, key, value) {
        if (is_unowned(path, key) || is_empty(value)) {
            continue;
        }
        g_autofree char *field = g_strconcat("f:", key, NULL);
        g_autofree char *at = g_strconcat(path, ".", key, NULL);
        const json_t *below = json_object_get(fields, field);
        /* An object whose members are all without an owner has none either. */
        bool only_unowned = below == NULL && strcmp(at, ".metadata") == 0;
        char *lost = below == NULL && !only_unowned ? g_strdup(at) : lost_in(below, value, at);
        if (lost != NULL) {
            return lost;
        }
    }
    return NULL;
}

static char *lost_in(const json_t *fields, const json_t *wanted, const char *path)
{
    if (fields != NULL && json_object_size(fields) == 0) {
        return NULL; /* owned as a whole */
    }
    if (json_is_object(wanted)) {
        return lost_in_map(fields, wanted, path);
    }
    return json_is_array(wanted) ? lost_in_list(fields, wanted, path) : NULL;
}

char *sl_kube_fields_lost(const json_t *fields, const json_t *wanted)
{
    return lost_in_map(fields, wanted, "");
}
