/* blobs.c - see blobs.h. Files at <dir>/<2 hex>/<digest>, made by rename without fsync: a torn one
 * fails its digest. */
#include "coordinator/store/blobs.h"
#include "base/auto.h"
#include "base/digest.h"
#include "runtime/atomicfile.h"
#include "runtime/loop.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define BLOB_BYTES_MAX (64 * 1024 * 1024)

struct SlBlobs {
    char *dir;
};

SlBlobs *sl_blobs_new(const char *dir, GError **error)
{
    if (!sl_dir_make(dir, 0700, error))
        return NULL;
    if (access(dir, W_OK) != 0)
        return sl_throw_null(error, SLU_STATE_READ_ONLY, "%s: %s", dir, g_strerror(errno));
    SlBlobs *blobs = g_new0(SlBlobs, 1);
    blobs->dir = g_strdup(dir);
    return blobs;
}

void sl_blobs_free(SlBlobs *blobs)
{
    if (blobs == NULL)
        return;
    g_free(blobs->dir);
    g_free(blobs);
}

static char *path_of(const SlBlobs *blobs, const char *digest)
{
    return g_strdup_printf("%s/%.2s/%s", blobs->dir, digest, digest);
}

bool sl_blobs_has(SlBlobs *blobs, const char *digest)
{
    if (!sl_is_hex_digest(digest))
        return false;
    g_autofree char *path = path_of(blobs, digest);
    return access(path, R_OK) == 0;
}

GBytes *sl_blobs_get(SlBlobs *blobs, const char *digest)
{
    if (!sl_is_hex_digest(digest))
        return NULL;
    g_autofree char *path = path_of(blobs, digest);
    g_autoptr(GBytes) bytes = sl_file_read(path, BLOB_BYTES_MAX, NULL);
    if (bytes == NULL)
        return NULL;
    g_autofree char *found = sl_sha256_hex_bytes(bytes);
    if (g_strcmp0(found, digest) == 0)
        return g_steal_pointer(&bytes);
    unlink(path);
    return NULL;
}

static bool write_whole(int fd, GBytes *bytes)
{
    gsize len = 0;
    const char *at = g_bytes_get_data(bytes, &len);
    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

bool sl_blobs_put(SlBlobs *blobs, const char *digest, GBytes *bytes, GError **error)
{
    if (sl_blobs_has(blobs, digest))
        return true;
    g_autofree char *found = sl_sha256_hex_bytes(bytes);
    if (g_strcmp0(found, digest) != 0)
        return sl_throw(error, SLU_CORRUPT, "bytes of digest %s were given as %s", found, digest);
    g_autofree char *path = path_of(blobs, digest);
    g_autofree char *folder = g_path_get_dirname(path);
    uint64_t unique = 0;
    sl_random_bytes(&unique, sizeof unique);
    g_autofree char *temp = g_strdup_printf("%s/.new-%016" G_GINT64_MODIFIER "x", folder, unique);
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return sl_throw(error, SLU_IO, "%s: %s", folder, g_strerror(errno));
    sl_autofd fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || !write_whole(fd, bytes) || rename(temp, path) != 0) {
        int why = errno;
        unlink(temp);
        return sl_throw(error, SLU_IO, "%s: %s", path, g_strerror(why));
    }
    return true;
}

bool sl_blobs_put_all(SlBlobs *blobs, GHashTable *table, GError **error)
{
    GHashTableIter iter;
    gpointer digest = NULL, bytes = NULL;
    g_hash_table_iter_init(&iter, table);
    while (g_hash_table_iter_next(&iter, &digest, &bytes))
        if (!sl_blobs_put(blobs, digest, bytes, error))
            return false;
    return true;
}

typedef struct {
    char *path;
    int64_t size, time;
} Kept;

static void clear_kept(void *kept)
{
    g_free(((Kept *)kept)->path);
}

static int by_time(gconstpointer a, gconstpointer b)
{
    const Kept *left = a, *right = b;
    return left->time < right->time ? -1 : left->time > right->time;
}

static int64_t scan_folder(const char *folder, GArray *list)
{
    int64_t sum = 0;
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name = NULL;
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        struct stat st;
        Kept kept = {.path = g_build_filename(folder, name, NULL)};
        if (lstat(kept.path, &st) != 0 || !S_ISREG(st.st_mode)) {
            g_free(kept.path);
            continue;
        }
        kept.size = st.st_size;
        kept.time = st.st_mtime;
        sum += kept.size;
        g_array_append_val(list, kept);
    }
    return sum;
}

void sl_blobs_trim(SlBlobs *blobs, int64_t bytes_max)
{
    g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(Kept));
    g_array_set_clear_func(list, clear_kept);
    int64_t sum = 0;
    for (unsigned n = 0; n < 256; n++) {
        g_autofree char *folder = g_strdup_printf("%s/%02x", blobs->dir, n);
        sum += scan_folder(folder, list);
    }
    g_array_sort(list, by_time);
    for (guint i = 0; i < list->len && sum > bytes_max; i++) {
        const Kept *kept = &g_array_index(list, Kept, i);
        if (unlink(kept->path) == 0)
            sum -= kept->size;
    }
}
