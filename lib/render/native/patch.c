/* patch.c - native.kubernetes.patch: a JSON merge patch (RFC 7386) on the main object, after everything else. It says what Sluice has
 * no word for; what Sluice chooses, counts or finds objects by stays. */
#include "core/native.h"
#include "render/native/native.h"
#include <string.h>

/* Equal before and after. A merge patch replaces whole lists, so it could only lose what is in ours. */
static const struct {
    const char *path, *why;
} kept[] = {
    {"apiVersion", "the object is found by it"},
    {"kind", "the object is found by it"},
    {"metadata.name", "the object is found by it"},
    {"metadata.namespace", "the object is found by it"},
    {"spec.selector", "Pods are found by it"},
    {"spec.completionMode", "it follows numNodes"},
    {"spec.completions", "it follows numNodes"},
    {"spec.parallelism", "it follows numNodes"},
    {"spec.backoffLimit", "it follows retries"},
    {"spec.podFailurePolicy", "it follows retries"},
    {"spec.template.spec.restartPolicy", "it follows retries"},
    {"spec.template.spec.containers", "a merge patch replaces the whole list"},
    {"spec.template.spec.initContainers", "a merge patch replaces the whole list"},
    {"spec.template.spec.volumes", "a merge patch replaces the whole list"},
};
static const char *const identity_maps[] = {"metadata.labels", "metadata.annotations",
                                            "spec.template.metadata.labels",
                                            "spec.template.metadata.annotations"};

static void merge(json_t *target, const json_t *patch)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach ((json_t *)(uintptr_t)patch, key, value) {
        if (json_is_null(value)) {
            json_object_del(target, key);
            continue;
        }
        if (!json_is_object(value)) {
            json_object_set_new(target, key, json_deep_copy(value));
            continue;
        }
        if (!json_is_object(json_object_get(target, key)))
            json_object_set_new(target, key, json_object());
        merge(json_object_get(target, key), value);
    }
}

static bool same(const json_t *one, const json_t *two)
{
    return one == two || (one && two && json_equal(one, two));
}

/* Is each entry of ours in @one in @two, unchanged? */
static bool has_ours(const json_t *one, const json_t *two)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach ((json_t *)(uintptr_t)one, key, value) {
        if (g_str_has_prefix(key, SL_API_GROUP "/") && !same(value, json_object_get(two, key)))
            return false;
    }
    return true;
}

void sl_native_patch(SlNative *n, json_t *object)
{
    static const char at[] = "spec.native.kubernetes.patch";
    const json_t *patch = sl_json_at(n->spec, "native.kubernetes.patch");
    if (!patch)
        return;
    g_autoptr(json_t) before = json_deep_copy(object);
    merge(object, patch);
    for (size_t i = 0; i < G_N_ELEMENTS(kept); i++) {
        g_autofree char *path = g_strconcat(at, ".", kept[i].path, NULL);
        if (!same(sl_json_at(before, kept[i].path), sl_json_at(object, kept[i].path)))
            sl_native_refuse(n, path, NULL, "may not be patched: %s", kept[i].why);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(identity_maps); i++) {
        g_autofree char *path = g_strconcat(at, ".", identity_maps[i], NULL);
        const json_t *one = sl_json_at(before, identity_maps[i]),
                     *two = sl_json_at(object, identity_maps[i]);
        if (!has_ours(one, two) || !has_ours(two, one))
            sl_native_refuse(n, path, NULL,
                             "what begins with " SL_API_GROUP "/ may not be patched");
    }
}
