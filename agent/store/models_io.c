/* models_io.c - blocking work of the model cache: a folder into chunks, a manifest into a verified
 * folder. Any thread; shares nothing.
 *
 * Making a copy:  <digest>.part/ files one by one, every chunk hashed as it is written; what a
 * broken-off try left is hashed and kept where it is right -> all right -> rename to <digest>/. A
 * copy that is there is hashed again before it is handed out. */
#include "agent/store/models.h"
#include "base/auto.h"
#include "base/digest.h"
#include "base/text.h"
#include "core/manifest.h"
#include "runtime/atomicfile.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 32 /* folders below an output: a loop of bind mounts must end */

static char *chunk_path(const char *store, const char *digest)
{
    return g_strdup_printf("%s/chunks/%.2s/%s", store, digest, digest);
}

/* ---- into the store ---- */

typedef struct {
    const char *store, *folder;
    SlManifest *manifest;
    GBytes *none;
    uint8_t *buffer; /* SL_CHUNK_BYTES */
    size_t files;
} Storing;

static bool store_chunk(const Storing *s, const char *digest, size_t len, GError **error)
{
    g_autofree char *path = chunk_path(s->store, digest), *folder = g_path_get_dirname(path);
    g_autoptr(GBytes) there = sl_file_read(path, SL_CHUNK_BYTES, NULL);
    if (there && g_bytes_get_size(there) == len &&
        memcmp(g_bytes_get_data(there, NULL), s->buffer, len) == 0)
        return true;
    return sl_dir_make(folder, 0755, error) &&
           sl_file_write_atomic(path, s->buffer, len, 0644, error);
}

static bool read_chunk(int fd, uint8_t *buffer, size_t *ret_len)
{
    size_t len = 0;
    while (len < SL_CHUNK_BYTES) {
        ssize_t n = read(fd, buffer + len, SL_CHUNK_BYTES - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    *ret_len = len;
    return true;
}

static bool store_file(Storing *s, int fd, const char *path, const struct stat *st, GError **error)
{
    g_autoptr(GPtrArray) chunks = g_ptr_array_new_with_free_func(g_free);
    uint64_t size = 0;
    for (size_t len = SL_CHUNK_BYTES; len == SL_CHUNK_BYTES;) {
        if (!read_chunk(fd, s->buffer, &len))
            return sl_throw(error, SLU_IO, "output file %s: %s", path, g_strerror(errno));
        if (len == 0)
            break;
        g_ptr_array_add(chunks, sl_sha256_hex(s->buffer, len));
        size += len;
        if (!store_chunk(s, g_ptr_array_index(chunks, chunks->len - 1), len, error))
            return false;
    }
    g_ptr_array_add(chunks, NULL);
    if (++s->files > SL_MANIFEST_FILES_MAX)
        return sl_throw(error, SLU_LIMIT, "output: more than %d files", SL_MANIFEST_FILES_MAX);
    sl_manifest_add(s->manifest, path, (st->st_mode & 0100) != 0, size,
                    (const char *const *)chunks->pdata);
    return true;
}

static bool store_entry(Storing *s, int dirfd, const char *name, const char *path, int depth,
                        GError **error);

static bool store_below(Storing *s, int fd /* consumed */, const char *prefix, int depth,
                        GError **error)
{
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return sl_throw(error, SLU_IO, "output folder %s: %s", prefix, g_strerror(errno));
    }
    bool ok = depth < DEPTH_MAX || sl_throw(error, SLU_OUTPUT_INVALID,
                                            "output folder %s: deeper than %d", prefix, DEPTH_MAX);
    for (struct dirent *entry; ok && (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        g_autofree char *path =
            *prefix ? g_strconcat(prefix, "/", entry->d_name, NULL) : g_strdup(entry->d_name);
        ok = store_entry(s, fd, entry->d_name, path, depth, error);
    }
    closedir(dir);
    return ok;
}

static bool store_entry(Storing *s, int dirfd, const char *name, const char *path, int depth,
                        GError **error)
{
    struct stat st;
    sl_autofd fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ELOOP)
        return sl_throw(error, SLU_OUTPUT_INVALID, "output: `%s` is a link", path);
    if (fd < 0 || fstat(fd, &st) != 0)
        return sl_throw(error, SLU_IO, "output file %s: %s", path, g_strerror(errno));
    if (S_ISDIR(st.st_mode))
        return store_below(s, sl_steal_fd(&fd), path, depth + 1, error);
    if (!S_ISREG(st.st_mode))
        return sl_throw(error, SLU_OUTPUT_INVALID, "output: `%s` is not a regular file", path);
    if (!sl_check_relative_path(path, error))
        return sl_prefix(error, "output");
    return store_file(s, fd, path, &st, error);
}

char *sl_models_store_folder(const char *store_dir, const char *folder, uint64_t *ret_bytes,
                             GError **error)
{
    g_autoptr(SlManifest) manifest = sl_manifest_new();
    g_autofree uint8_t *buffer = g_malloc(SL_CHUNK_BYTES);
    Storing s = {.store = store_dir, .folder = folder, .manifest = manifest, .buffer = buffer};
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return sl_throw_null(error, SLU_OUTPUT_INVALID, "output folder %s: %s", folder,
                             g_strerror(errno));
    if (!store_below(&s, fd, "", 0, error))
        return NULL;
    if (s.files == 0)
        return sl_throw_null(error, SLU_OUTPUT_INVALID, "output folder %s has no file", folder);
    g_autoptr(GBytes) text = sl_manifest_format(manifest);
    g_autofree char *digest = sl_sha256_hex_bytes(text);
    g_autofree char *manifests = g_build_filename(store_dir, "manifests", NULL);
    g_autofree char *path = g_build_filename(manifests, digest, NULL);
    if (!sl_dir_make(manifests, 0755, error) ||
        !sl_file_write_atomic(path, g_bytes_get_data(text, NULL), g_bytes_get_size(text), 0644,
                              error))
        return NULL;
    *ret_bytes = sl_manifest_bytes(manifest);
    return g_steal_pointer(&digest);
}

/* ---- out of the store ---- */

static SlManifest *read_manifest(const char *store, const char *digest, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *path = g_build_filename(store, "manifests", digest, NULL);
    g_autoptr(GBytes) text = sl_file_read(path, SL_MANIFEST_BYTES_MAX, &why);
    if (!text)
        return sl_throw_null(error, SLU_MODEL_MISSING,
                             "model %.12s: the store has no manifest (%s)", digest, why->message);
    g_autofree char *actual = sl_sha256_hex_bytes(text);
    if (strcmp(actual, digest) != 0)
        return sl_throw_null(error, SLU_MODEL_CORRUPT,
                             "model %.12s: the manifest in the store has digest %.12s", digest,
                             actual);
    return sl_manifest_parse(text, error);
}

static size_t chunk_len(const SlManifestFile *file, size_t n)
{
    uint64_t left = file->size - (uint64_t)n * SL_CHUNK_BYTES;
    return left > SL_CHUNK_BYTES ? SL_CHUNK_BYTES : (size_t)left;
}

/* Are the bytes at @path exactly the file's? Links are not followed; other size or mode is not
 * right. */
static bool file_is_right(int root, const SlManifestFile *file, uint8_t *buffer)
{
    struct stat st;
    sl_autofd fd = openat(root, file->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
        (uint64_t)st.st_size != file->size || ((st.st_mode & 0100) != 0) != file->executable)
        return false;
    for (size_t n = 0; file->chunks[n]; n++) {
        size_t len = 0;
        if (!read_chunk(fd, buffer, &len) || len != chunk_len(file, n))
            return false;
        g_autofree char *actual = sl_sha256_hex(buffer, len);
        if (strcmp(actual, file->chunks[n]) != 0)
            return false;
    }
    return true;
}

static size_t count_files(const char *folder, int depth)
{
    size_t count = 0;
    DIR *dir = depth < DEPTH_MAX * 2 ? opendir(folder) : NULL;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        struct stat st;
        g_autofree char *path = g_build_filename(folder, entry->d_name, NULL);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            lstat(path, &st) != 0)
            continue;
        count += S_ISDIR(st.st_mode) ? count_files(path, depth + 1) : 1;
    }
    if (dir)
        closedir(dir);
    return count;
}

static bool copy_is_right(const char *folder, const SlManifest *manifest, uint8_t *buffer)
{
    sl_autofd root = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool right = root >= 0 && count_files(folder, 0) == manifest->files->len;
    for (guint i = 0; right && i < manifest->files->len; i++)
        right = file_is_right(root, g_ptr_array_index(manifest->files, i), buffer);
    return right;
}

static bool write_bytes(int fd, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno != EINTR)
            return false;
        bytes += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

static bool copy_chunk(const char *store, const SlManifestFile *file, size_t n, int out,
                       GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *path = chunk_path(store, file->chunks[n]);
    g_autoptr(GBytes) bytes = sl_file_read(path, SL_CHUNK_BYTES, &why);
    if (!bytes)
        return sl_throw(error, SLU_MODEL_MISSING, "file %s: the store has no chunk %zu, %.12s (%s)",
                        file->path, n, file->chunks[n], why->message);
    g_autofree char *actual = sl_sha256_hex_bytes(bytes);
    if (strcmp(actual, file->chunks[n]) != 0 || g_bytes_get_size(bytes) != chunk_len(file, n))
        return sl_throw(error, SLU_MODEL_CORRUPT,
                        "file %s: chunk %zu, %.12s, in the store has digest %.12s", file->path, n,
                        file->chunks[n], actual);
    return write_bytes(out, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes)) ||
           sl_throw(error, SLU_IO, "file %s: %s", file->path, g_strerror(errno));
}

static bool copy_file(const char *store, const char *part, const SlManifestFile *file,
                      GError **error)
{
    g_autofree char *path = g_build_filename(part, file->path, NULL),
                    *folder = g_path_get_dirname(path);
    if (!sl_dir_make(folder, 0755, error))
        return false;
    unlink(path);
    sl_autofd out = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (out < 0)
        return sl_throw(error, SLU_IO, "%s: %s", path, g_strerror(errno));
    for (size_t n = 0; file->chunks[n]; n++)
        if (!copy_chunk(store, file, n, out, error))
            return false;
    if (fchmod(out, file->executable ? 0555 : 0444) != 0 || fsync(out) != 0)
        return sl_throw(error, SLU_IO, "%s: %s", path, g_strerror(errno));
    return true;
}

static bool fill_part(const char *store, const char *part, const SlManifest *manifest,
                      uint8_t *buffer, GError **error)
{
    if (!sl_dir_make(part, 0755, error))
        return false;
    sl_autofd root = open(part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (root < 0)
        return sl_throw(error, SLU_IO, "%s: %s", part, g_strerror(errno));
    for (guint i = 0; i < manifest->files->len; i++) {
        const SlManifestFile *file = g_ptr_array_index(manifest->files, i);
        if (!file_is_right(root, file, buffer) && !copy_file(store, part, file, error))
            return false;
    }
    return copy_is_right(part, manifest, buffer) ||
           sl_throw(error, SLU_MODEL_CORRUPT, "%s changed while it was written", part);
}

bool sl_models_materialise(const char *store_dir, const char *cache_dir, const char *digest,
                           GError **error)
{
    if (!store_dir)
        return sl_throw(error, SLU_MODEL_STORE, "model %.12s: the agent has no modelStore", digest);
    g_autofree char *final = g_build_filename(cache_dir, digest, NULL);
    g_autofree char *part = g_strconcat(final, ".part", NULL),
                    *old = g_strconcat(final, ".old", NULL);
    g_autofree char *listed = g_strconcat(final, ".manifest", NULL);
    g_autofree uint8_t *buffer = g_malloc(SL_CHUNK_BYTES);
    /* The cached manifest is as good as the store's: it is checked against the same digest. */
    g_autoptr(GBytes) kept = sl_file_read(listed, SL_MANIFEST_BYTES_MAX, NULL);
    g_autofree char *kept_digest = kept ? sl_sha256_hex_bytes(kept) : NULL;
    g_autoptr(SlManifest) manifest = g_strcmp0(kept_digest, digest) == 0
                                         ? sl_manifest_parse(kept, error)
                                         : read_manifest(store_dir, digest, error);
    if (!manifest)
        return false;
    if (copy_is_right(final, manifest, buffer)) {
        (void)utimensat(AT_FDCWD, final, NULL, 0); /* newest used, for collection */
        return true;
    }
    if (!fill_part(store_dir, part, manifest, buffer, error))
        return sl_prefix(error, "model %.12s", digest);
    g_autoptr(GBytes) text = sl_manifest_format(manifest);
    if (!sl_file_write_atomic(listed, g_bytes_get_data(text, NULL), g_bytes_get_size(text), 0600,
                              error))
        return false;
    /* A copy with a wrong byte steps aside in one rename: who has its files open keeps them. */
    (void)!sl_dir_remove_tree(old, NULL);
    if (rename(final, old) != 0 && errno != ENOENT)
        return sl_throw(error, SLU_IO, "%s: %s", final, g_strerror(errno));
    if (rename(part, final) != 0)
        return sl_throw(error, SLU_IO, "%s: %s", final, g_strerror(errno));
    (void)!sl_dir_remove_tree(old, NULL);
    return true;
}
