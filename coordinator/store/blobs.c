/* blobs.c - see blobs.h. Files at <dir>/<2 hex>/<digest>, made by rename without fsync: a torn one
 * fails its digest. */
#include "coordinator/store/blobs.h"
#include "base/digest.h"
#include "runtime/atomicfile.h"
#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOB_BYTES_MAX (64 * 1024 * 1024)

#define TRIM_PART 16 /* so much of the limit is written between two trims */

struct SlBlobs {
    char *dir;
    pthread_mutex_t mutex; /* of what follows */
    int64_t bytes_max;     /* 0 = was not said yet */
    int64_t written;       /* since it was trimmed last */
};

SlBlobs *sl_blobs_new(const char *dir, GError **error)
{
    if (!sl_dir_make(dir, 0700, error))
        return NULL;
    if (access(dir, W_OK) != 0)
        return sl_throw_null(error, SLU_STATE_READ_ONLY, "%s: %s", dir, g_strerror(errno));
    SlBlobs *blobs = g_new0(SlBlobs, 1);
    blobs->dir = g_strdup(dir);
    pthread_mutex_init(&blobs->mutex, NULL);
    return blobs;
}

void sl_blobs_free(SlBlobs *blobs)
{
    if (blobs == NULL)
        return;
    pthread_mutex_destroy(&blobs->mutex);
    g_free(blobs->dir);
    g_free(blobs);
}

static char *path_of(const SlBlobs *blobs, const char *digest)
{
    return g_strdup_printf("%s/%.2s/%s", blobs->dir, digest, digest);
}

/* A file that power loss cut short (nothing here is synced) is written again, not trusted. */
static bool has_whole(const SlBlobs *blobs, const char *digest, gsize len)
{
    struct stat st;
    if (!sl_is_hex_digest(digest))
        return false;
    g_autofree char *path = path_of(blobs, digest);
    return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && (gsize)st.st_size == len;
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
        kept.time = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
        sum += kept.size;
        g_array_append_val(list, kept);
    }
    return sum;
}

static void remove_oldest(const SlBlobs *blobs, int64_t bytes_max)
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

static void note_written(SlBlobs *blobs, gsize len)
{
    pthread_mutex_lock(&blobs->mutex);
    int64_t max = blobs->bytes_max;
    blobs->written += (int64_t)len;
    bool due = max > 0 && blobs->written > max / TRIM_PART;
    if (due)
        blobs->written = 0;
    pthread_mutex_unlock(&blobs->mutex);
    if (due)
        remove_oldest(blobs, max);
}

bool sl_blobs_put(SlBlobs *blobs, const char *digest, GBytes *bytes, GError **error)
{
    if (has_whole(blobs, digest, g_bytes_get_size(bytes)))
        return true;
    g_autofree char *found = sl_sha256_hex_bytes(bytes);
    if (g_strcmp0(found, digest) != 0)
        return sl_throw(error, SLU_CORRUPT, "bytes of digest %s were given as %s", found, digest);
    g_autofree char *path = path_of(blobs, digest);
    g_autofree char *folder = g_path_get_dirname(path);
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return sl_throw(error, SLU_IO, "%s: %s", folder, g_strerror(errno));
    gsize len = 0;
    const void *data = g_bytes_get_data(bytes, &len);
    if (!sl_file_write_cache(path, data, len, 0600, error))
        return false;
    note_written(blobs, len);
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

void sl_blobs_trim(SlBlobs *blobs, int64_t bytes_max)
{
    pthread_mutex_lock(&blobs->mutex);
    blobs->bytes_max = bytes_max;
    blobs->written = 0;
    pthread_mutex_unlock(&blobs->mutex);
    remove_oldest(blobs, bytes_max);
}
