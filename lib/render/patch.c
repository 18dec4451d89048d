/* patch.c - strategic merge of one patch into one object.
 *
 * Lists are merged by the key that identifies their entries (containers by name, ports by containerPort ...) for
 * kinds whose schema is known: those of Kubernetes itself and the portable ones. In custom resources a list is
 * replaced, as kustomize does. New entries go to the end. */
#include "render/patch.h"
#include <string.h>

#define PATCH_DEPTH_MAX 64

typedef struct {
    const char *list, *keys[3]; /* first key that the patch's entries have */
} MergeKey;

static const MergeKey merge_keys[] = {
    {"containers", {"name"}},       {"initContainers", {"name"}}, {"ephemeralContainers", {"name"}},
    {"env", {"name"}},              {"volumes", {"name"}},        {"volumeMounts", {"mountPath"}},
    {"ports", {"containerPort", "port", "name"}}, {"volumeDevices", {"devicePath"}}, {"imagePullSecrets", {"name"}},
    {"hostAliases", {"ip"}},        {"topologySpreadConstraints", {"topologyKey"}}, {"secrets", {"name"}},
    {"ownerReferences", {"uid"}},   {"conditions", {"type"}},     {"resourceClaims", {"name"}},
    {"schedulingGates", {"name"}},  {"inputs", {"name"}},         {"outputs", {"name"}},
    {"webhooks", {"name"}},         {NULL, {NULL}},
};

static bool schema_known(const json_t *object)
{
    const char *api = sl_json_str_or(object, "apiVersion", "");
    const char *slash = strchr(api, '/');
    if (!slash)
        return true; /* core */
    static const char *const groups[] = {"apps", "batch", "autoscaling", "policy", "extensions", "gitops.sluice", NULL};
    g_autofree char *group = g_strndup(api, (gsize)(slash - api));
    return g_strv_contains(groups, group) || g_str_has_suffix(group, ".k8s.io");
}

static const char *merge_key(const char *list, const json_t *patch)
{
    for (const MergeKey *row = merge_keys; row->list; row++) {
        if (strcmp(row->list, list) != 0)
            continue;
        for (size_t k = 0; k < G_N_ELEMENTS(row->keys) && row->keys[k]; k++) {
            size_t having = 0, count = json_array_size(patch), directives = 0;
            for (size_t i = 0; i < count; i++) {
                const json_t *entry = json_array_get(patch, i);
                bool has = json_object_get(entry, row->keys[k]) != NULL;
                having += has;
                directives += !has && json_object_get(entry, "$patch") != NULL;
            }
            if (having > 0 && having + directives == count)
                return row->keys[k];
            if (having == 0 && directives == count && count > 0)
                return row->keys[k];
        }
    }
    return NULL;
}

static bool merge_map(json_t *into, const json_t *patch, bool known, int depth, GError **error);

/* A copy of patch content as it stands in a new place: directives and nulls gone. */
static json_t *clean_copy(const json_t *patch, int depth)
{
    if (json_is_array(patch)) {
        json_t *array = json_array();
        for (size_t i = 0; i < json_array_size(patch); i++) {
            const json_t *entry = json_array_get(patch, i);
            if (!json_is_object(entry) || !json_object_get(entry, "$patch"))
                json_array_append_new(array, clean_copy(entry, depth + 1));
        }
        return array;
    }
    if (!json_is_object(patch))
        return json_deep_copy(patch);
    json_t *object = json_object();
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)patch, key, value)
        if (!json_is_null(value) && *key != '$')
            json_object_set_new(object, key, clean_copy(value, depth + 1));
    return object;
}

static size_t find_entry(const json_t *list, const char *key, const json_t *wanted)
{
    size_t i = 0;
    for (; i < json_array_size(list); i++)
        if (json_equal(json_object_get(json_array_get(list, i), key), wanted))
            break;
    return i;
}

static const char *directive(const json_t *value)
{
    return json_string_value(json_object_get(value, "$patch"));
}

static bool merge_entry(json_t *into, const json_t *entry, const char *key, int depth, GError **error)
{
    const char *word = directive(entry);
    const json_t *id = json_object_get(entry, key);
    if (!id)
        return sl_throw(error, SLU_RENDER_PATCH, "an entry of a list merged by `%s` has no `%s`", key, key);
    size_t at = find_entry(into, key, id);
    bool there = at < json_array_size(into);
    if (word && g_str_equal(word, "delete")) {
        if (there)
            json_array_remove(into, at);
        return true;
    }
    if (!there || (word && g_str_equal(word, "replace"))) {
        json_t *copy = clean_copy(entry, depth);
        if (there)
            json_array_set_new(into, at, copy);
        else
            json_array_append_new(into, copy);
        return true;
    }
    return merge_map(json_array_get(into, at), entry, true, depth + 1, error);
}

static bool replaces_list(const json_t *patch)
{
    for (size_t i = 0; i < json_array_size(patch); i++) {
        const json_t *entry = json_array_get(patch, i);
        const char *word = directive(entry);
        if (word && g_str_equal(word, "replace") && json_object_size(entry) == 1)
            return true;
    }
    return false;
}

static bool merge_list(json_t *into, const json_t *patch, const char *key, int depth, GError **error)
{
    for (size_t i = 0; i < json_array_size(patch); i++)
        if (!merge_entry(into, json_array_get(patch, i), key, depth, error))
            return false;
    return true;
}

static bool merge_member(json_t *into, const char *key, const json_t *value, bool known, int depth, GError **error)
{
    json_t *old = json_object_get(into, key);
    if (json_is_null(value)) {
        json_object_del(into, key);
        return true;
    }
    if (json_is_object(value)) {
        const char *word = directive(value);
        if (word && g_str_equal(word, "delete")) {
            json_object_del(into, key);
            return true;
        }
        if (json_is_object(old))
            return merge_map(old, value, known, depth + 1, error);
    }
    if (json_is_array(value) && json_is_array(old) && known && !replaces_list(value)) {
        const char *id = merge_key(key, value);
        if (id)
            return merge_list(old, value, id, depth + 1, error);
    }
    json_object_set_new(into, key, clean_copy(value, depth));
    return true;
}

static bool merge_map(json_t *into, const json_t *patch, bool known, int depth, GError **error)
{
    if (depth > PATCH_DEPTH_MAX)
        return sl_throw(error, SLU_RENDER_PATCH, "the patch is nested deeper than %d", PATCH_DEPTH_MAX);
    const char *word = directive(patch);
    if (word && g_str_equal(word, "replace")) {
        json_object_clear(into);
    } else if (word && !g_str_equal(word, "merge")) {
        return sl_throw(error, SLU_RENDER_PATCH, "$patch: %.40s is unknown here; use delete, replace or merge", word);
    }
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)patch, key, value) {
        if (strcmp(key, "$patch") == 0)
            continue;
        if (*key == '$')
            return sl_throw(error, SLU_RENDER_PATCH, "%.60s is not supported; write a list of RFC 6902 operations", key);
        if (!merge_member(into, key, value, known, depth, error))
            return false;
    }
    return true;
}

bool sl_patch_strategic(json_t *object, const json_t *patch, bool *ret_delete, GError **error)
{
    const char *word = directive(patch);
    *ret_delete = word && g_str_equal(word, "delete");
    if (*ret_delete)
        return true;
    return merge_map(object, patch, schema_known(object), 0, error);
}
