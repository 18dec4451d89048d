/* blobs.c - content-addressed folder of the agent: <dir>/<2 hex>/<digest>, <dir>/partial/<digest>.
 */
#include "agent/store/blobs.h"
#include "base/auto.h"
#include "base/digest.h"
#include "runtime/atomicfile.h"
#include "sluice/clock.h"
#include "sluice/types.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COLLECT_AGE_US SL_HOUR_US
#define CACHE_BYTES_MAX                                                                            \
    (8 * 1024 *                                                                                    \
     1024) /* of small blobs kept in memory: the brain reads the same lists again and again */
#define CACHE_BLOB_MAX (256 * 1024)

struct SlBlobs {
    char *dir;
    GHashTable *verified; /* char* set: read and found right since the start */
    GHashTable *cache;    /* char* -> GBytes* */
    size_t cache_bytes;
    GBytes *last;
};

SlBlobs *sl_blobs_open(const char *dir, GError **error)
{
    g_autofree char *partial = g_build_filename(dir, "partial", NULL);
    if (!sl_dir_make(dir, 0700, error) || !sl_dir_make(partial, 0700, error))
        return NULL;
    SlBlobs *blobs = g_new0(SlBlobs, 1);
    blobs->dir = g_strdup(dir);
    blobs->verified = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    blobs->cache =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    return blobs;
}

void sl_blobs_close(SlBlobs *blobs)
{
    if (!blobs)
        return;
    g_clear_pointer(&blobs->last, g_bytes_unref);
    g_hash_table_unref(blobs->verified);
    g_hash_table_unref(blobs->cache);
    g_free(blobs->dir);
    g_free(blobs);
}

static char *path_of(const SlBlobs *blobs, const char *digest)
{
    char two[3] = {digest[0], digest[1], '\0'};
    return g_build_filename(blobs->dir, two, digest, NULL);
}

static char *partial_of(const SlBlobs *blobs, const char *digest)
{
    return g_build_filename(blobs->dir, "partial", digest, NULL);
}

static void keep_in_memory(SlBlobs *blobs, const char *digest, GBytes *bytes)
{
    size_t size = g_bytes_get_size(bytes);
    g_hash_table_add(blobs->verified, g_strdup(digest));
    if (size > CACHE_BLOB_MAX || g_hash_table_contains(blobs->cache, digest))
        return;
    if (blobs->cache_bytes + size > CACHE_BYTES_MAX) {
        g_hash_table_remove_all(blobs->cache);
        blobs->cache_bytes = 0;
    }
    g_hash_table_insert(blobs->cache, g_strdup(digest), g_bytes_ref(bytes));
    blobs->cache_bytes += size;
}

GBytes *sl_blobs_get(SlBlobs *blobs, const char *digest)
{
    if (!sl_is_hex_digest(digest))
        return NULL;
    g_clear_pointer(&blobs->last, g_bytes_unref);
    GBytes *cached = g_hash_table_lookup(blobs->cache, digest);
    if (cached) {
        blobs->last = g_bytes_ref(cached);
        return blobs->last;
    }
    g_autofree char *path = path_of(blobs, digest);
    blobs->last = sl_file_read(path, SL_BLOB_BYTES_MAX, NULL);
    if (!blobs->last)
        return NULL;
    if (!g_hash_table_contains(blobs->verified, digest)) {
        g_autofree char *actual = sl_sha256_hex_bytes(blobs->last);
        if (strcmp(actual, digest) != 0) {
            unlink(path); /* it is fetched again */
            g_clear_pointer(&blobs->last, g_bytes_unref);
            return NULL;
        }
    }
    keep_in_memory(blobs, digest, blobs->last);
    return blobs->last;
}

bool sl_blobs_has(SlBlobs *blobs, const char *digest)
{
    if (!sl_is_hex_digest(digest))
        return false;
    if (!g_hash_table_contains(blobs->verified, digest))
        return sl_blobs_get(blobs, digest) != NULL;
    g_autofree char *path = path_of(blobs, digest);
    return access(path, R_OK) == 0;
}

static bool make_parent(const SlBlobs *blobs, const char *digest, GError **error)
{
    char two[3] = {digest[0], digest[1], '\0'};
    g_autofree char *folder = g_build_filename(blobs->dir, two, NULL);
    return sl_dir_make(folder, 0700, error);
}

bool sl_blobs_put(SlBlobs *blobs, const char *digest, GBytes *bytes, GError **error)
{
    g_autofree char *actual = sl_sha256_hex_bytes(bytes);
    if (!sl_is_hex_digest(digest) || strcmp(actual, digest) != 0)
        return sl_throw(error, SLU_CORRUPT, "blob: got bytes with digest %s instead of %s", actual,
                        digest);
    g_autofree char *path = path_of(blobs, digest);
    if (!make_parent(blobs, digest, error) ||
        !sl_file_write_cache(path, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), 0600,
                             error))
        return false;
    keep_in_memory(blobs, digest, bytes);
    return true;
}

uint64_t sl_blobs_partial_size(SlBlobs *blobs, const char *digest)
{
    struct stat st;
    g_autofree char *path = partial_of(blobs, digest);
    return sl_is_hex_digest(digest) && lstat(path, &st) == 0 && S_ISREG(st.st_mode)
               ? (uint64_t)st.st_size
               : 0;
}

bool sl_blobs_partial_add(SlBlobs *blobs, const char *digest, uint64_t offset, const void *bytes,
                          size_t len, GError **error)
{
    if (!sl_is_hex_digest(digest))
        return sl_throw(error, SLU_INVALID, "blob: not a digest");
    if (offset != sl_blobs_partial_size(blobs, digest))
        return sl_throw(error, SLU_CONFLICT,
                        "blob %.12s: bytes from %" G_GUINT64_FORMAT " do not follow what is there",
                        digest, offset);
    if (offset + len > SL_BLOB_BYTES_MAX)
        return sl_throw(error, SLU_LIMIT, "blob %.12s: larger than %d bytes", digest,
                        SL_BLOB_BYTES_MAX);
    g_autofree char *path = partial_of(blobs, digest);
    g_autofree char *folder = g_path_get_dirname(path);
    if (!sl_dir_make(folder, 0700, error)) /* somebody may have deleted the cache while we run */
        return false;
    sl_autofd fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    for (size_t done = 0; fd >= 0 && done < len;) {
        ssize_t n = write(fd, (const char *)bytes + done, len - done);
        if (n < 0 && errno != EINTR)
            return sl_throw(error, SLU_IO, "%s: %s", path, g_strerror(errno));
        done += n > 0 ? (size_t)n : 0;
    }
    return fd >= 0 || sl_throw(error, SLU_IO, "%s: %s", path, g_strerror(errno));
}

bool sl_blobs_partial_finish(SlBlobs *blobs, const char *digest, GError **error)
{
    g_autofree char *path = partial_of(blobs, digest);
    g_autoptr(GBytes) bytes = sl_file_read(path, SL_BLOB_BYTES_MAX, error);
    if (!bytes)
        return false;
    bool ok = sl_blobs_put(blobs, digest, bytes, error);
    unlink(path);
    return ok;
}

static unsigned collect_folder(SlBlobs *blobs, const char *folder, GHashTable *keep, int64_t now_us)
{
    unsigned removed = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        struct stat st;
        if (entry->d_name[0] == '.' ||
            (sl_is_hex_digest(entry->d_name) && g_hash_table_contains(keep, entry->d_name)))
            continue;
        g_autofree char *path = g_build_filename(folder, entry->d_name, NULL);
        if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode) ||
            now_us - (int64_t)st.st_mtime * SL_SECOND_US < COLLECT_AGE_US)
            continue;
        if (unlink(path) == 0) {
            GBytes *cached = g_hash_table_lookup(blobs->cache, entry->d_name);
            blobs->cache_bytes -= cached ? g_bytes_get_size(cached) : 0;
            g_hash_table_remove(blobs->cache, entry->d_name);
            g_hash_table_remove(blobs->verified, entry->d_name);
            removed++;
        }
    }
    if (dir)
        closedir(dir);
    return removed;
}

unsigned sl_blobs_collect(SlBlobs *blobs, GHashTable *keep, int64_t now_us)
{
    unsigned removed = 0;
    for (unsigned i = 0; i < 256; i++) {
        g_autofree char *folder = g_strdup_printf("%s/%02x", blobs->dir, i);
        removed += collect_folder(blobs, folder, keep, now_us);
    }
    g_autofree char *partial = g_build_filename(blobs->dir, "partial", NULL);
    return removed + collect_folder(blobs, partial, keep, now_us);
}
