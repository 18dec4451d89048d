/* append.c - a batch on its way to the ledger: cache, append, fsync, required push, on the store
 * queue.
 *
 *     batch -> append_work -> done -> sl_turn_appended
 *                    \-> no room on the disk, or the required remote is away: held, and tried again
 *
 * What is held was acknowledged to nobody and is forgotten by nobody; meanwhile requests are refused
 * (sl_append_open) and what agents say again anyway is not listened to (sl_append_takes). Any other
 * failure ends the process: memory is ahead of the disk, a failed fsync is never tried again on the
 * same data, and the next start folds what the disk has. */
#include "base/text.h"
#include "coordinator/coordinator.h"

#define HELD_AGAIN_FIRST_US SL_SECOND_US
#define HELD_AGAIN_MAX_US (8 * SL_SECOND_US) /* so that it goes on within 10 s */
#define HELD_BEHIND_MAX 4096                 /* events and effects behind a held batch: some MiB */

struct SlAppend {
    SlCoordinator *c;
    SlBatch batch;
    bool written; /* the ledger has it; only the push is missing */
    GError *error;
    int waits_for; /* code of why it is held */
};

/* Store queue. */
static void append_work(void *job)
{
    SlAppend *append = job;
    SlCoordinator *c = append->c;
    g_autoptr(GError) cache_error = NULL;
    /* Only caches: what is in maps/ or a branch can be read from there. */
    if (!sl_blobs_put_all(c->blobs, append->batch.cache, &cache_error) ||
        !sl_blobs_put_all(c->blobs, append->batch.blobs, &cache_error))
        sl_log_error(c->log, "cache-write-failed", cache_error);
    if (append->batch.events->len == 0)
        return;
    if (!append->written &&
        !sl_ledger_append(c->ledger, append->batch.events, append->batch.blobs, &append->error))
        return;
    append->written = true;
    if (c->config->state_remote_required)
        (void)!sl_push_required(c, &append->error);
}

static void append_free(SlAppend *append)
{
    g_clear_error(&append->error);
    sl_batch_clear(&append->batch);
    g_free(append);
}

static bool may_wait(const GError *error)
{
    return error->code == SLU_STORAGE_FULL || error->code == SLU_STATE_REMOTE_AWAY;
}

static void hold(SlCoordinator *c, SlAppend *append)
{
    bool again = c->held != NULL && c->held->error != NULL;
    if (!again) {
        c->held_since_us = sl_now_us(c);
        c->held_tries = 0;
        sl_log_error(c->log, "ledger-waits", append->error);
    }
    c->held = append;
    append->waits_for = append->error->code;
    int64_t wait = HELD_AGAIN_FIRST_US << MIN(c->held_tries, 10u);
    c->held_tries++; /* not in MIN(), which takes its argument twice */
    if (append->error->code == SLU_STORAGE_FULL && sl_space_lost(c, append->error->message))
        wait = 0; /* the ballast made room */
    sl_timer_arm(c->held_timer, MIN(wait, HELD_AGAIN_MAX_US));
}

static void fatal(SlCoordinator *c, const GError *error, bool cancelled)
{
    c->failed = true;
    if (error != NULL)
        sl_log_error(c->log, "ledger-append-failed", error);
    sl_loop_quit(c->loop, cancelled ? 0 : 74);
}

static void append_done(void *job, bool cancelled)
{
    SlAppend *append = job;
    SlCoordinator *c = append->c;
    bool waits = !c->failed && !cancelled && append->error != NULL && may_wait(append->error);
    if (waits) {
        hold(c, append);
        return;
    }
    if (c->held == append) {
        c->held = NULL;
        if (append->error == NULL && !cancelled) {
            sl_log(c->log, SL_LOG_INFO, "ledger-goes-on", NULL);
            sl_polls_poke(c, NULL); /* sources rest where much waits */
        }
    }
    c->appending = false;
    if (c->failed) {
        /* Stopping: what was decided is in the ledger; the next start takes it from there. */
    } else if (append->error != NULL || cancelled) {
        fatal(c, append->error, cancelled);
    } else {
        sl_turn_appended(c, &append->batch);
    }
    append_free(append);
}

static void push_job(SlAppend *append)
{
    if (!sl_workq_push(append->c->store_queue, append_work, append_done, append, &append->error))
        append_done(append, false);
}

static void again(void *user)
{
    SlCoordinator *c = user;
    if (c->held == NULL || c->failed)
        return;
    g_clear_error(&c->held->error);
    push_job(c->held);
}

void sl_append_start(SlCoordinator *c, SlBatch *batch)
{
    SlAppend *append = g_new0(SlAppend, 1);
    append->c = c;
    append->batch = *batch;
    *batch = (SlBatch){0};
    c->appending = true;
    push_job(append);
}

bool sl_append_open(const SlCoordinator *c, GError **error)
{
    if (c->short_since_us != 0) {
        g_autofree char *since = sl_format_time(c->short_since_us);
        return sl_throw(error, SLU_STORAGE_FULL,
                        "nothing was recorded: %s, since %s; what runs goes on", c->short_why,
                        since);
    }
    if (c->held == NULL)
        return true;
    g_autofree char *since = sl_format_time(c->held_since_us);
    if (c->held->waits_for == SLU_STORAGE_FULL) /* room again, and not tried again yet */
        return sl_throw(error, SLU_STORAGE_FULL,
                        "nothing was recorded: the disk of the state folder was full, since %s; "
                        "the next try is within seconds",
                        since);
    return sl_throw(error, SLU_STATE_REMOTE_AWAY,
                    "nothing was recorded: the remote of the state repository, which the "
                    "configuration requires, has been away since %s",
                    since);
}

bool sl_append_takes(const SlCoordinator *c, SlCoordInputType type)
{
    bool comes_again = type == SL_COORD_TICK || type == SL_COORD_HELLO || type == SL_COORD_REPORT ||
                       type == SL_COORD_SEAL || type == SL_COORD_ENROL || type == SL_COORD_SOURCE;
    return c->held == NULL || !comes_again ||
           c->batch.events->len + c->batch.effects->len < HELD_BEHIND_MAX;
}

void sl_append_init(SlCoordinator *c)
{
    c->held_timer = sl_timer_new(c->loop, again, c);
}

void sl_append_free(SlCoordinator *c)
{
    sl_timer_free(c->held_timer);
    c->held_timer = NULL;
    g_clear_pointer(&c->held, append_free);
}
