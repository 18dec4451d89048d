/* models.c - asks for models on the loop thread; the blocking work is in models_io.c. One job per
 * digest at a time. */
#include "agent/store/models.h"
#include "base/digest.h"
#include "runtime/atomicfile.h"
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct SlModelCache {
    char *store, *cache;
    SlWorkq *queue;
    GHashTable *getting; /* digest -> GetJob* */
    GPtrArray *putting;  /* of PutJob* */
    bool closed;
};

typedef struct {
    SlModelReady done;
    void *user;
} Waiter;

typedef struct {
    SlModelCache *owner;
    char *store, *cache, *digest;
    GArray *waiters; /* of Waiter; loop thread only */
    GError *error;
} GetJob;

typedef struct {
    SlModelCache *owner;
    char *store, *folder, *digest;
    uint64_t bytes;
    SlModelStored done;
    void *user;
    GError *error;
} PutJob;

SlModelCache *sl_models_open(const SlModelCacheConfig *config, GError **error)
{
    if (!sl_dir_make(config->cache_dir, 0700, error))
        return NULL;
    SlModelCache *cache = g_new0(SlModelCache, 1);
    cache->store = g_strdup(config->store_dir);
    cache->cache = g_strdup(config->cache_dir);
    cache->queue = config->queue;
    cache->getting = g_hash_table_new(g_str_hash, g_str_equal);
    cache->putting = g_ptr_array_new();
    return cache;
}

void sl_models_close(SlModelCache *cache)
{
    if (!cache)
        return;
    g_hash_table_unref(cache->getting);
    g_ptr_array_unref(cache->putting);
    g_free(cache->store);
    g_free(cache->cache);
    g_free(cache);
}

static void get_work(void *data)
{
    GetJob *job = data;
    (void)!sl_models_materialise(job->store, job->cache, job->digest, &job->error);
}

static void get_free(GetJob *job)
{
    g_array_unref(job->waiters);
    g_clear_error(&job->error);
    g_free(job->store);
    g_free(job->cache);
    g_free(job->digest);
    g_free(job);
}

static void get_done(void *data, bool cancelled)
{
    GetJob *job = data;
    g_autofree char *path = g_build_filename(job->cache, job->digest, NULL);
    g_hash_table_remove(job->owner->getting, job->digest);
    for (guint i = 0; !cancelled && i < job->waiters->len; i++) {
        Waiter w = g_array_index(job->waiters, Waiter, i);
        if (w.done)
            w.done(job->error ? NULL : path, job->error, w.user);
    }
    get_free(job);
}

void sl_models_get(SlModelCache *cache, const char *digest, SlModelReady done, void *user)
{
    g_autoptr(GError) error = NULL;
    Waiter waiter = {done, user};
    GetJob *job = g_hash_table_lookup(cache->getting, digest);
    if (job) {
        g_array_append_val(job->waiters, waiter);
        return;
    }
    if (!sl_is_hex_digest(digest)) {
        sl_throw(&error, SLU_MODEL_MISSING, "`%s` is not a model digest", digest);
        done(NULL, error, user);
        return;
    }
    job = g_new0(GetJob, 1);
    job->owner = cache;
    job->store = g_strdup(cache->store);
    job->cache = g_strdup(cache->cache);
    job->digest = g_strdup(digest);
    job->waiters = g_array_new(FALSE, FALSE, sizeof(Waiter));
    g_array_append_val(job->waiters, waiter);
    if (!sl_workq_push(cache->queue, get_work, get_done, job, &error)) {
        get_free(job);
        done(NULL, error, user);
        return;
    }
    g_hash_table_insert(cache->getting, job->digest, job);
}

static void put_work(void *data)
{
    PutJob *job = data;
    if (!job->store)
        sl_throw(&job->error, SLU_MODEL_STORE, "the agent has no modelStore");
    else
        job->digest = sl_models_store_folder(job->store, job->folder, &job->bytes, &job->error);
}

static void put_free(PutJob *job)
{
    g_clear_error(&job->error);
    g_free(job->store);
    g_free(job->folder);
    g_free(job->digest);
    g_free(job);
}

static void put_done(void *data, bool cancelled)
{
    PutJob *job = data;
    g_ptr_array_remove_fast(job->owner->putting, job);
    if (!cancelled && job->done)
        job->done(job->error ? NULL : job->digest, job->bytes, job->error, job->user);
    put_free(job);
}

void sl_models_put(SlModelCache *cache, const char *folder, SlModelStored done, void *user)
{
    g_autoptr(GError) error = NULL;
    PutJob *job = g_new0(PutJob, 1);
    job->owner = cache;
    job->store = g_strdup(cache->store);
    job->folder = g_strdup(folder);
    job->done = done;
    job->user = user;
    g_ptr_array_add(cache->putting, job);
    if (sl_workq_push(cache->queue, put_work, put_done, job, &error))
        return;
    g_ptr_array_remove_fast(cache->putting, job);
    put_free(job);
    done(NULL, 0, error, user);
}

void sl_models_cancel(SlModelCache *cache, void *user)
{
    GHashTableIter iter;
    void *value;
    g_hash_table_iter_init(&iter, cache->getting);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        GetJob *job = value;
        for (guint i = 0; i < job->waiters->len; i++) {
            Waiter *w = &g_array_index(job->waiters, Waiter, i);
            if (w->user == user)
                w->done = NULL;
        }
    }
    for (guint i = 0; i < cache->putting->len; i++) {
        PutJob *job = g_ptr_array_index(cache->putting, i);
        if (job->user == user)
            job->done = NULL;
    }
}

typedef struct {
    char *name;
    int64_t used;
} Copy;

static gint newest_first(gconstpointer a, gconstpointer b)
{
    const Copy *x = a, *y = b;
    return x->used > y->used ? -1 : x->used < y->used;
}

void sl_models_collect(SlModelCache *cache, GHashTable *keep, unsigned spare)
{
    g_autoptr(GArray) copies = g_array_new(FALSE, FALSE, sizeof(Copy));
    DIR *dir = opendir(cache->cache);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        struct stat st;
        g_autofree char *path = g_build_filename(cache->cache, entry->d_name, NULL);
        if (!sl_is_hex_digest(entry->d_name) || g_hash_table_contains(keep, entry->d_name) ||
            g_hash_table_contains(cache->getting, entry->d_name) || lstat(path, &st) != 0)
            continue;
        Copy copy = {g_strdup(entry->d_name), (int64_t)st.st_mtime};
        g_array_append_val(copies, copy);
    }
    if (dir)
        closedir(dir);
    g_array_sort(copies, newest_first);
    for (guint i = 0; i < copies->len; i++) {
        Copy *copy = &g_array_index(copies, Copy, i);
        g_autofree char *path = g_build_filename(cache->cache, copy->name, NULL);
        g_autofree char *listed = g_strconcat(path, ".manifest", NULL);
        if (i >= spare && sl_dir_remove_tree(path, NULL))
            unlink(listed);
        g_free(copy->name);
    }
}
