/* finds.c - bytes that the cache lost, looked for in the environment branches. A search walks
 * through history and takes its time, and whoever may ask can ask for a digest that is nowhere: so
 * it runs on the work queue (never the ledger's), with one search at a time for each asker. */
#include "coordinator/coordinator.h"

#define WAITING_MAX 64 /* searches of one asker; an agent fetches fewer at a time */

typedef struct {
    SlCoordinator *c;
    char *who, *digest;
    GBytes *bytes;
    SlFound found;
    void *user;
} FindJob;

static void next(SlCoordinator *c, const char *who);

static void end(FindJob *job, bool searched)
{
    job->found(job->c, job->bytes, searched, job->user);
    g_clear_pointer(&job->bytes, g_bytes_unref);
    g_free(job->who);
    g_free(job->digest);
    g_free(job);
}

/* Work queue, with handles of its own: those of the store queue and the loop belong to them. */
static void work(void *user)
{
    FindJob *job = user;
    g_autoptr(GError) error = NULL;
    g_autoptr(SlGitStore) store = sl_git_store_open(job->c->config->state_git, false, &error);
    job->bytes = store != NULL ? sl_envs_find(store, job->digest) : NULL;
    if (job->bytes != NULL && !sl_blobs_put(job->c->blobs, job->digest, job->bytes, &error))
        g_clear_error(&error); /* only a cache */
}

static void done(void *user, bool cancelled)
{
    FindJob *job = user;
    SlCoordinator *c = job->c;
    g_autofree char *who = g_strdup(job->who);
    if (!cancelled && job->bytes == NULL && sl_agents_line(c)) /* anybody may ask for anything */
        sl_log(c->log, SL_LOG_WARNING, "bytes-missing", "digest", job->digest, "for", who, NULL);
    end(job, !cancelled);
    next(c, who);
}

static void next(SlCoordinator *c, const char *who)
{
    GQueue *waiting = g_hash_table_lookup(c->finding, who);
    FindJob *job = waiting != NULL ? g_queue_pop_head(waiting) : NULL;
    if (job == NULL) {
        g_hash_table_remove(c->finding, who);
        return;
    }
    g_autoptr(GError) error = NULL;
    if (!c->failed && sl_workq_push(c->work_queue, work, done, job, &error))
        return;
    if (error != NULL)
        sl_log_error(c->log, "find-queue-full", error);
    done(job, true);
}

bool sl_find_bytes(SlCoordinator *c, const SlFind *find, SlFound found, void *user)
{
    GQueue *waiting = g_hash_table_lookup(c->finding, find->who);
    bool idle = waiting == NULL;
    if (idle) {
        waiting = g_queue_new();
        g_hash_table_insert(c->finding, g_strdup(find->who), waiting);
    }
    if (waiting->length >= WAITING_MAX)
        return false;
    FindJob *job = g_new0(FindJob, 1);
    job->c = c;
    job->who = g_strdup(find->who);
    job->digest = g_strdup(find->digest);
    job->found = found;
    job->user = user;
    g_queue_push_tail(waiting, job);
    if (idle)
        next(c, find->who);
    return true;
}

static void free_waiting(void *queue)
{
    g_queue_free(queue); /* empty: next() ends what waits before it removes the asker */
}

void sl_finds_init(SlCoordinator *c)
{
    c->finding = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_waiting);
}

void sl_finds_free(SlCoordinator *c)
{
    g_clear_pointer(&c->finding, g_hash_table_unref);
}
