/* repacks.c - repacks of our bare repositories by the child sluice-git, one at a time, while
 * everything goes on: the state repository when batches have piled up, all of them now and then;
 * none while room on the disk is short. After the state repository's its handles are opened anew;
 * until then they read what they had open, and the new pack. A repack that fails costs speed,
 * nothing else. */
#include "coordinator/coordinator.h"
#include "coordinator/store/packs.h"
#include <string.h>

#define FIRST_US (10 * SL_SECOND_US) /* not while the fleet comes back after a start */
#define EVERY_US (10 * SL_MINUTE_US)
#define TIMEOUT_US (10 * SL_MINUTE_US)
#define OUTPUT_MAX 4096

static void next(SlCoordinator *c);

typedef struct {
    SlCoordinator *c;
    GError *error;
} Reopen;

/* Store queue. */
static void reopen_work(void *user)
{
    Reopen *job = user;
    if (!sl_git_store_reopen(sl_ledger_store(job->c->ledger), &job->error))
        g_prefix_error(&job->error, "after a repack: ");
}

static void reopen_done(void *user, bool cancelled)
{
    Reopen *job = user;
    SlCoordinator *c = job->c;
    if (!cancelled && job->error == NULL)
        (void)!sl_git_store_reopen(sl_ledger_store(c->reader), &job->error);
    if (job->error != NULL && !c->failed)
        sl_log_error(c->log, "reopen-failed", job->error); /* the old handles still read all */
    g_clear_error(&job->error);
    g_free(job);
}

static void reopen(SlCoordinator *c)
{
    Reopen *job = g_new0(Reopen, 1);
    job->c = c;
    if (!sl_workq_push(c->store_queue, reopen_work, reopen_done, job, &job->error))
        reopen_done(job, false);
}

static void repacked(const SlChildEnd *end, void *user)
{
    SlCoordinator *c = user;
    g_autofree char *repo = g_queue_pop_head(&c->repack_next);
    c->repacking = NULL;
    if (end->code != 0) {
        g_autoptr(GError) error = NULL;
        sl_throw(&error, SLU_IO, "%s: repacking ended with code %d, signal %d", repo, end->code,
                 end->signal);
        sl_log_error(c->log, "repack-failed", error);
    } else if (strcmp(repo, c->config->state_git) == 0) {
        c->count_repacks++;
        reopen(c);
    }
    next(c);
}

static void next(SlCoordinator *c)
{
    bool may = !c->failed && c->short_since_us == 0;
    while (may && c->repacking == NULL && !g_queue_is_empty(&c->repack_next)) {
        const char *repo = g_queue_peek_head(&c->repack_next);
        const char *argv[] = {c->config->git_path, "repack", "--repo", repo, NULL};
        SlSpawn how = {.argv = argv,
                       .output_max = OUTPUT_MAX,
                       .error_max = OUTPUT_MAX,
                       .timeout_us = TIMEOUT_US};
        g_autoptr(GError) error = NULL;
        c->repacking = sl_spawn(c->loop, &how, repacked, c, &error);
        if (c->repacking == NULL) {
            sl_log_error(c->log, "repack-failed", error);
            g_free(g_queue_pop_head(&c->repack_next));
        }
    }
}

static void want(SlCoordinator *c, const char *repo)
{
    bool waits = g_queue_find_custom(&c->repack_next, repo, (GCompareFunc)strcmp) != NULL;
    if (!waits && sl_packs_want_repack(repo))
        g_queue_push_tail(&c->repack_next, g_strdup(repo));
}

static void look_at_all(void *user)
{
    SlCoordinator *c = user;
    const char *name = NULL;
    g_autoptr(GDir) dir = g_dir_open(c->config->sources_dir, 0, NULL);
    want(c, c->config->state_git);
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *repo = g_build_filename(c->config->sources_dir, name, NULL);
        want(c, repo);
    }
    next(c);
    sl_timer_arm(c->repack_timer, EVERY_US);
}

void sl_repacks_batch(SlCoordinator *c)
{
    if (++c->repack_batches < SL_PACKS_MAX)
        return;
    c->repack_batches = 0;
    want(c, c->config->state_git);
    next(c);
}

void sl_repacks_start(SlCoordinator *c)
{
    c->repack_timer = sl_timer_new(c->loop, look_at_all, c);
    sl_timer_arm(c->repack_timer, FIRST_US);
}

void sl_repacks_free(SlCoordinator *c)
{
    sl_child_free(c->repacking);
    c->repacking = NULL;
    sl_timer_free(c->repack_timer);
    c->repack_timer = NULL;
    g_queue_clear_full(&c->repack_next, g_free);
}
