/* manifest.c - the canonical manifest of a folder of files. Reads no file: whoever hashes them adds
 * them here. */
#include "core/manifest.h"
#include "base/digest.h"
#include "base/text.h"
#include <string.h>

static void free_file(void *data)
{
    SlManifestFile *file = data;
    g_free(file->path);
    g_strfreev(file->chunks);
    g_free(file);
}

SlManifest *sl_manifest_new(void)
{
    SlManifest *manifest = g_new0(SlManifest, 1);
    manifest->files = g_ptr_array_new_with_free_func(free_file);
    return manifest;
}

void sl_manifest_free(SlManifest *manifest)
{
    if (manifest != NULL) {
        g_ptr_array_unref(manifest->files);
        g_free(manifest);
    }
}

void sl_manifest_add(SlManifest *manifest, const char *path, bool executable, uint64_t size,
                     const char *const *chunks)
{
    static const char *const none[] = {NULL};
    SlManifestFile *file = g_new0(SlManifestFile, 1);
    file->path = g_strdup(path);
    file->executable = executable;
    file->size = size;
    file->chunks = g_strdupv((char **)(uintptr_t)(chunks != NULL ? chunks : none));
    g_ptr_array_add(manifest->files, file);
}

static int by_path(gconstpointer a, gconstpointer b)
{
    const SlManifestFile *one = *(const SlManifestFile *const *)a;
    const SlManifestFile *two = *(const SlManifestFile *const *)b;
    return strcmp(one->path, two->path);
}

GBytes *sl_manifest_format(SlManifest *manifest)
{
    g_ptr_array_sort(manifest->files, by_path);
    GString *text = g_string_new("format: 1\n");
    for (guint i = 0; i < manifest->files->len; i++) {
        const SlManifestFile *file = manifest->files->pdata[i];
        g_string_append_printf(text, "file %s %" G_GUINT64_FORMAT " %s\n",
                               file->executable ? "755" : "644", file->size, file->path);
        for (size_t n = 0; file->chunks[n] != NULL; n++) {
            g_string_append_printf(text, "chunk %s\n", file->chunks[n]);
        }
    }
    return g_string_free_to_bytes(text);
}

uint64_t sl_manifest_bytes(const SlManifest *manifest)
{
    uint64_t sum = 0;
    for (guint i = 0; i < manifest->files->len; i++) {
        sum += ((const SlManifestFile *)manifest->files->pdata[i])->size;
    }
    return sum;
}

/* One reading of a text: where it is, and the file whose chunks are being read. */
typedef struct {
    SlManifest *manifest;
    GHashTable *paths; /* borrowed */
    char *path;        /* of the file under way, NULL before the first */
    bool executable;
    uint64_t size, chunks_due, total;
    GPtrArray *chunks; /* of char* */
    size_t line_number;
} Reader;

static bool refuse(const Reader *r, GError **error, const char *what)
{
    return sl_throw(error, SLU_MANIFEST_FORMAT, "model manifest: line %zu: %s", r->line_number,
                    what);
}

static bool end_file(Reader *r, GError **error)
{
    if (r->path == NULL) {
        return true;
    }
    if (r->chunks->len != r->chunks_due) {
        return refuse(r, error, "the file before has more or fewer chunks than its size needs");
    }
    g_ptr_array_add(r->chunks, NULL);
    sl_manifest_add(r->manifest, r->path, r->executable, r->size,
                    (const char *const *)r->chunks->pdata);
    const SlManifestFile *file = r->manifest->files->pdata[r->manifest->files->len - 1];
    g_hash_table_add(r->paths, file->path);
    g_ptr_array_set_size(r->chunks, 0);
    g_clear_pointer(&r->path, g_free);
    return true;
}

/* A path whose parent is a file can't be laid out on disk. */
static bool has_file_as_parent(const Reader *r, const char *path)
{
    g_autofree char *parent = g_strdup(path);
    for (char *slash = strrchr(parent, '/'); slash != NULL; slash = strrchr(parent, '/')) {
        *slash = '\0';
        if (g_hash_table_contains(r->paths, parent)) {
            return true;
        }
    }
    return false;
}

static bool read_file_line(Reader *r, const char *line, GError **error)
{
    g_auto(GStrv) words = g_strsplit(line, " ", 4);
    uint64_t size = 0;
    bool executable = words[1] != NULL && strcmp(words[1], "755") == 0;
    if (g_strv_length(words) != 4 || (!executable && strcmp(words[1], "644") != 0) ||
        !sl_parse_uint64(words[2], &size)) {
        return refuse(r, error, "must be `file <644|755> <size> <path>`");
    }
    if (!sl_check_relative_path(words[3], error)) {
        return sl_prefix(error, "model manifest: line %zu", r->line_number);
    }
    const GPtrArray *files = r->manifest->files;
    if (files->len >= SL_MANIFEST_FILES_MAX || size > INT64_MAX - r->total) {
        return sl_throw(error, SLU_LIMIT,
                        "model manifest: line %zu: more than %d files, or too large",
                        r->line_number, SL_MANIFEST_FILES_MAX);
    }
    if (files->len > 0 &&
        strcmp(words[3], ((SlManifestFile *)files->pdata[files->len - 1])->path) <= 0) {
        return refuse(r, error, "paths must be in byte order, each once");
    }
    if (has_file_as_parent(r, words[3])) {
        return refuse(r, error, "a parent of this path is a file");
    }
    r->path = g_strdup(words[3]);
    r->executable = executable;
    r->size = size;
    r->total += size;
    r->chunks_due = size / SL_CHUNK_BYTES + (size % SL_CHUNK_BYTES != 0 ? 1 : 0);
    return true;
}

static bool read_line(Reader *r, const char *line, GError **error)
{
    if (r->line_number == 1) {
        return strcmp(line, "format: 1") == 0 ||
               sl_throw(error, SLU_MANIFEST_FORMAT, "model manifest: line 1: must be `format: 1`");
    }
    if (g_str_has_prefix(line, "file ")) {
        return end_file(r, error) && read_file_line(r, line, error);
    }
    if (!g_str_has_prefix(line, "chunk ") || !sl_is_hex_digest(line + 6) || r->path == NULL) {
        return refuse(r, error, "must be `file ...`, or `chunk <sha256>` after a file");
    }
    if (r->chunks->len >= r->chunks_due) {
        return refuse(r, error, "the file has more chunks than its size needs");
    }
    g_ptr_array_add(r->chunks, g_strdup(line + 6));
    return true;
}

static bool read_lines(Reader *r, const char *bytes, size_t len, GError **error)
{
    for (size_t at = 0; at < len;) {
        const char *end = memchr(bytes + at, '\n', len - at);
        g_autofree char *line = g_strndup(bytes + at, (size_t)(end - (bytes + at)));
        at = (size_t)(end - bytes) + 1;
        r->line_number++;
        if (!read_line(r, line, error)) {
            return false;
        }
    }
    return end_file(r, error);
}

SlManifest *sl_manifest_parse(GBytes *text, GError **error)
{
    size_t len = 0;
    const char *bytes = g_bytes_get_data(text, &len);
    if (len > SL_MANIFEST_BYTES_MAX) {
        return sl_throw_null(error, SLU_LIMIT, "model manifest: %zu bytes, at most %d", len,
                             SL_MANIFEST_BYTES_MAX);
    }
    if (len == 0 || bytes[len - 1] != '\n' || memchr(bytes, '\r', len) != NULL ||
        !sl_is_clean_utf8(bytes, len, false)) {
        return sl_throw_null(
            error, SLU_MANIFEST_FORMAT,
            "model manifest: must be lines of UTF-8 text, each with LF at its end");
    }
    Reader r = {.manifest = sl_manifest_new(),
                .paths = g_hash_table_new(g_str_hash, g_str_equal),
                .chunks = g_ptr_array_new_with_free_func(g_free)};
    bool good = read_lines(&r, bytes, len, error);
    g_hash_table_unref(r.paths);
    g_ptr_array_unref(r.chunks);
    g_free(r.path);
    if (!good) {
        sl_manifest_free(r.manifest);
        return NULL;
    }
    return r.manifest;
}
