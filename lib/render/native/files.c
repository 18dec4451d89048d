/* files.c - `files` as a ConfigMap. Its name carries the digest of what it holds, so that Pods of two versions never share one;
 * it is immutable and never pruned: Pods that go on may still need it (docs/adr/0022). */
#include "base/digest.h"
#include "base/text.h"
#include "core/bundle.h"
#include "core/native.h"
#include "render/native/native.h"
#include <string.h>

#define KEY_MAX 253 /* Kubernetes' own */
#define DIGITS 10

/* Key of a path: what Kubernetes lets stand in one, unlike all of @taken. */
static char *key_of(const char *path, const json_t *items)
{
    GString *key = g_string_new(NULL);
    for (const char *c = path; *c && key->len < KEY_MAX - 6; c++)
        g_string_append_c(key, g_ascii_isalnum(*c) || strchr("-._", *c) ? *c : '_');
    size_t len = key->len;
    for (size_t i = 0, number = 1; i < json_array_size(items); i++) {
        if (g_strcmp0(sl_json_str(json_array_get(items, i), "key"), key->str) != 0)
            continue;
        g_string_truncate(key, len);
        g_string_append_printf(key, "_%zu", ++number);
        i = (size_t)-1; /* the new one may be taken too */
    }
    return g_string_free(key, FALSE);
}

/* Text where it is text that neither YAML nor the engine's words can change; else base64. */
static void put(json_t *map, const char *key, GBytes *bytes)
{
    size_t len = 0;
    const char *data = g_bytes_get_data(bytes, &len);
    bool text = sl_is_clean_utf8(data, len, true) &&
                !g_strstr_len(data, (gssize)len, SL_NATIVE_PLACEHOLDER);
    g_autofree char *value =
        text ? g_strndup(data, len) : g_base64_encode((const guchar *)data, len);
    const char *member = text ? "data" : "binaryData";
    if (!json_object_get(map, member))
        json_object_set_new(map, member, json_object());
    json_object_set_new(json_object_get(map, member), key, json_string(value));
}

static json_t *items_of(SlNative *n, const json_t *files, json_t *map)
{
    json_t *items = json_array();
    for (size_t i = 0; i < json_array_size(files); i++) {
        const json_t *file = json_array_get(files, i);
        const char *path = sl_json_str(file, "path");
        g_autofree char *key = key_of(path, items);
        GBytes *bytes = g_hash_table_lookup(n->prepare->blobs, sl_json_str(file, "sha256"));
        put(map, key, bytes);
        bool runs = g_strcmp0(sl_json_str(file, "mode"), "755") == 0;
        json_array_append_new(items, json_pack("{s:s, s:s, s:i}", "key", key, "path", path, "mode",
                                               runs ? 0755 : 0644));
    }
    return items;
}

static bool fits(SlNative *n, const json_t *map)
{
    g_autofree char *text = sl_json_canonical(map, NULL);
    size_t len = text ? strlen(text) : 0;
    if (text && len <= SL_NATIVE_FILES_MAX)
        return true;
    sl_native_refuse(n, "spec.files",
                     "put large files into the image, or into the model store as an input",
                     "are %zu bytes as a ConfigMap, more than the %d that Kubernetes takes", len,
                     SL_NATIVE_FILES_MAX);
    return false;
}

json_t *sl_native_files(SlNative *n, json_t **ret_volume)
{
    const json_t *files = json_object_get(n->spec, "files");
    if (json_array_size(files) == 0)
        return NULL;
    g_autoptr(json_t) content = json_object();
    g_autoptr(json_t) items = items_of(n, files, content);
    if (!fits(n, content))
        return NULL;
    g_autofree char *digest = sl_json_digest(content);
    g_autofree char *suffix = g_strdup_printf("-files-%.*s", DIGITS, digest);
    /* A run's own goes with the run; one for all attempts would need an owner. */
    g_autofree char *name = sl_native_name(n, suffix);
    json_t *map = sl_native_object(n, "v1", "ConfigMap", name, NULL);
    json_object_update(map, content);
    sl_json_set_bool(map, "immutable", true);
    if (!*n->instance) {
        json_t *metadata = json_object_get(map, "metadata");
        if (!json_object_get(metadata, "annotations"))
            json_object_set_new(metadata, "annotations", json_object());
        sl_json_set_str(json_object_get(metadata, "annotations"), SL_ANNOTATION_PRUNE, "false");
    }
    *ret_volume = json_pack("{s:s, s:{s:s, s:O}}", "name", "files", "configMap", "name", name,
                            "items", items);
    return map;
}
