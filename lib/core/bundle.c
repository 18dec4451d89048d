/* bundle.c - the list text of a bundle: writing, strict reading. What objects mean is object.c's
 * and others' business. */
#include "core/bundle.h"
#include "base/digest.h"
#include "base/text.h"
#include <string.h>

#define FIELD_MAX 253 /* Kubernetes: longest object name */

static void free_object(void *data)
{
    SlBundleObject *object = data;
    g_free(object->kind);
    g_free(object->namespace_);
    g_free(object->name);
    g_free(object->digest);
    g_free(object);
}

static void free_blob(void *data)
{
    SlBundleBlob *blob = data;
    g_free(blob->digest);
    g_free(blob);
}

static void free_withheld(void *data)
{
    SlBundleWithheld *withheld = data;
    g_free(withheld->kind);
    g_free(withheld->namespace_);
    g_free(withheld->name);
    g_free(withheld->item);
    g_free(withheld->run_key);
    g_free(withheld);
}

SlBundle *sl_bundle_new(void)
{
    SlBundle *bundle = g_new0(SlBundle, 1);
    bundle->objects = g_ptr_array_new_with_free_func(free_object);
    bundle->blobs = g_ptr_array_new_with_free_func(free_blob);
    bundle->withheld = g_ptr_array_new_with_free_func(free_withheld);
    return bundle;
}

void sl_bundle_free(SlBundle *bundle)
{
    if (bundle == NULL) {
        return;
    }
    g_ptr_array_unref(bundle->objects);
    g_ptr_array_unref(bundle->blobs);
    g_ptr_array_unref(bundle->withheld);
    g_free(bundle);
}

void sl_bundle_add_object(SlBundle *b, const char *kind, const char *ns, const char *name,
                          uint64_t size, const char *digest)
{
    SlBundleObject *object = g_new0(SlBundleObject, 1);
    object->kind = g_strdup(kind);
    object->namespace_ = g_strdup(ns != NULL ? ns : "-");
    object->name = g_strdup(name);
    object->size = size;
    object->digest = g_strdup(digest);
    g_ptr_array_add(b->objects, object);
}

void sl_bundle_add_blob(SlBundle *b, const char *digest, uint64_t size)
{
    for (guint i = 0; i < b->blobs->len; i++) {
        if (strcmp(((SlBundleBlob *)b->blobs->pdata[i])->digest, digest) == 0) {
            return;
        }
    }
    SlBundleBlob *blob = g_new0(SlBundleBlob, 1);
    blob->digest = g_strdup(digest);
    blob->size = size;
    g_ptr_array_add(b->blobs, blob);
}

void sl_bundle_add_withheld(SlBundle *b, const char *kind, const char *ns, const char *name,
                            const char *item, const char *run_key)
{
    SlBundleWithheld *withheld = g_new0(SlBundleWithheld, 1);
    withheld->kind = g_strdup(kind);
    withheld->namespace_ = g_strdup(ns != NULL ? ns : "-");
    withheld->name = g_strdup(name);
    withheld->item = g_strdup(item);
    withheld->run_key = g_strdup(run_key);
    g_ptr_array_add(b->withheld, withheld);
}

GBytes *sl_bundle_format(const SlBundle *b)
{
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < b->objects->len; i++) {
        const SlBundleObject *o = b->objects->pdata[i];
        g_ptr_array_add(lines,
                        g_strdup_printf("object %s %s %s %" G_GUINT64_FORMAT " %s\n", o->kind,
                                        o->namespace_, o->name, o->size, o->digest));
    }
    for (guint i = 0; i < b->blobs->len; i++) {
        const SlBundleBlob *blob = b->blobs->pdata[i];
        g_ptr_array_add(
            lines, g_strdup_printf("blob %s %" G_GUINT64_FORMAT "\n", blob->digest, blob->size));
    }
    for (guint i = 0; i < b->withheld->len; i++) {
        const SlBundleWithheld *w = b->withheld->pdata[i];
        g_ptr_array_add(lines,
                        g_strdup_printf("withheld %s %s %s %s %s\n", w->kind, w->namespace_,
                                        w->name, w->item, w->run_key != NULL ? w->run_key : "-"));
    }
    g_ptr_array_sort(lines, sl_text_compare);
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < lines->len; i++) {
        g_string_append(text, lines->pdata[i]);
    }
    return g_string_free_to_bytes(text);
}

char *sl_bundle_digest(const SlBundle *b)
{
    g_autoptr(GBytes) text = sl_bundle_format(b);
    return sl_sha256_hex_bytes(text);
}

/* Printable ASCII without space or any of @refused. */
static bool is_plain(const char *text, const char *refused)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] >= 0x7f || strchr(refused, text[i]) != NULL) {
            return false;
        }
    }
    return len > 0 && len <= FIELD_MAX;
}

static bool is_kind(const char *text)
{
    const char *slash = strchr(text, '/');
    return slash != NULL && slash > text && slash[1] != '\0' && strchr(slash + 1, '/') == NULL &&
           is_plain(text, "~\"\\");
}

static bool is_identity(char *const *words)
{
    bool no_namespace = strcmp(words[2], "-") == 0;
    return is_kind(words[1]) && (no_namespace || sl_is_name(words[2])) &&
           is_plain(words[3], "/\"\\");
}

static bool is_new(GHashTable *identities, char *const *words)
{
    return g_hash_table_add(identities, g_strjoin(" ", words[1], words[2], words[3], NULL));
}

/* NULL, or what is wrong with the line. */
static const char *take_line(SlBundle *b, GHashTable *identities, const char *line)
{
    g_auto(GStrv) words = g_strsplit(line, " ", 7);
    guint count = g_strv_length(words);
    uint64_t size = 0;
    if (count == 3 && strcmp(words[0], "blob") == 0) {
        if (!sl_is_hex_digest(words[1]) || !sl_parse_uint64(words[2], &size) ||
            size > SL_FILES_BYTES_MAX) {
            return "must be `blob <sha256> <size>`, at most 16 MiB";
        }
        SlBundleBlob *blob = g_new0(SlBundleBlob, 1);
        blob->digest = g_strdup(words[1]);
        blob->size = size;
        g_ptr_array_add(b->blobs, blob);
        return NULL;
    }
    bool object = count == 6 && strcmp(words[0], "object") == 0;
    if (!object && (count != 6 || strcmp(words[0], "withheld") != 0)) {
        return "must start with blob, object or withheld and have their fields";
    }
    if (!is_identity(words)) {
        return "kind, namespace or name is malformed";
    }
    if (!is_new(identities, words)) {
        return "this object is there twice";
    }
    if (object) {
        if (!sl_parse_uint64(words[4], &size) || size > SL_OBJECT_MAX ||
            !sl_is_hex_digest(words[5])) {
            return "must end in `<size> <sha256>`, at most 1 MiB";
        }
        sl_bundle_add_object(b, words[1], words[2], words[3], size, words[5]);
        return NULL;
    }
    bool no_key = strcmp(words[5], "-") == 0;
    if (!sl_is_name(words[4]) || (!no_key && !sl_is_hex_digest(words[5]))) {
        return "must end in `<item> <run key|->`";
    }
    sl_bundle_add_withheld(b, words[1], words[2], words[3], words[4], no_key ? NULL : words[5]);
    return NULL;
}

static bool read_lines(SlBundle *b, const char *bytes, size_t len, GError **error)
{
    g_autoptr(GHashTable) identities = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autofree char *before = g_strdup("");
    char last_blob[SL_HEX_DIGEST_LEN + 1] = "";
    size_t line_number = 1;
    for (size_t at = 0; at < len; line_number++) {
        const char *end = memchr(bytes + at, '\n', len - at);
        g_autofree char *line = g_strndup(bytes + at, (size_t)(end - (bytes + at)));
        at = (size_t)(end - bytes) + 1;
        if (b->objects->len + b->withheld->len >= SL_BUNDLE_OBJECTS_MAX ||
            b->blobs->len >= SL_BUNDLE_OBJECTS_MAX) {
            return sl_throw(error, SLU_LIMIT, "bundle list: more than %d entries",
                            SL_BUNDLE_OBJECTS_MAX);
        }
        const char *fault = strcmp(line, before) <= 0 ? "lines must be in byte order, each once"
                                                      : take_line(b, identities, line);
        if (fault == NULL && line[0] == 'b') {
            if (strncmp(line + strlen("blob "), last_blob, SL_HEX_DIGEST_LEN) == 0) {
                fault = "this blob is there twice";
            }
            g_strlcpy(last_blob, line + strlen("blob "), sizeof last_blob);
        }
        if (fault != NULL) {
            return sl_throw(error, SLU_BUNDLE_FORMAT, "bundle list: line %zu: %s", line_number,
                            fault);
        }
        g_free(before);
        before = g_steal_pointer(&line);
    }
    return true;
}

SlBundle *sl_bundle_parse(GBytes *text, GError **error)
{
    size_t len = 0;
    const char *bytes = g_bytes_get_data(text, &len);
    if (len > SL_BUNDLE_LIST_MAX) {
        return sl_throw_null(error, SLU_LIMIT, "bundle list: %zu bytes, at most %d", len,
                             SL_BUNDLE_LIST_MAX);
    }
    if (len > 0 && (bytes[len - 1] != '\n' || memchr(bytes, '\0', len) != NULL)) {
        return sl_throw_null(error, SLU_BUNDLE_FORMAT, "bundle list: is not lines of text");
    }
    g_autoptr(SlBundle) bundle = sl_bundle_new();
    if (len > 0 && !read_lines(bundle, bytes, len, error)) {
        return NULL;
    }
    return g_steal_pointer(&bundle);
}
