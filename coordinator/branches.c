/* branches.c - environment branches on the store queue: the objects of the next commit before
 * COMMITTED, the move after it, and where the tips are: at start, and from then on every half minute,
 * for a branch that somebody moved is to be seen before the next promotion needs it. */
#include "coordinator/coordinator.h"
#include <string.h>

#define TIPS_EVERY_US (30 * SL_SECOND_US)

typedef struct {
    SlCoordinator *c;
    SlCoordEffect *effect;
    char *commit, *tip;
    bool looked, descends; /* looked: @tip is where the branch is */
    GError *error;
} BranchJob;

static void job_free(BranchJob *job)
{
    sl_coord_effect_free(job->effect);
    g_free(job->commit);
    g_free(job->tip);
    g_clear_error(&job->error);
    g_free(job);
}

/* Work queue: cache, then ledger maps, then the branches themselves. */
static GBytes *find_bytes(const char *digest, void *user)
{
    SlCoordinator *c = user;
    GBytes *bytes = sl_blobs_get(c->blobs, digest);
    if (bytes == NULL)
        bytes = sl_ledger_map(c->ledger, digest);
    return bytes != NULL ? bytes : sl_envs_find(sl_ledger_store(c->ledger), digest);
}

/* A remote gets the commit's objects before the ledger names it: with the next push, or now where
 * the ledger's append waits for its push. */
static bool stage(BranchJob *job)
{
    const SlConfig *config = job->c->config;
    SlGitStore *store = sl_ledger_store(job->c->ledger);
    return config->state_remote == NULL ||
           (sl_envs_stage(store, job->effect->env, job->commit, &job->error) &&
            (!config->state_remote_required ||
             sl_push_staged(job->c, job->effect->env, &job->error)));
}

static void write_work(void *user)
{
    BranchJob *job = user;
    const SlCoordEffect *e = job->effect;
    SlEnvWrite ask = {.env = e->env,
                      .old = e->old,
                      .units = e->units,
                      .message = e->message != NULL ? e->message : "",
                      .time_us = e->time_us,
                      .get = find_bytes,
                      .user = job->c};
    job->commit = sl_envs_write(sl_ledger_store(job->c->ledger), &ask, &job->error);
    if (job->commit != NULL && !stage(job))
        g_clear_pointer(&job->commit, g_free);
}

static void write_done(void *user, bool cancelled)
{
    BranchJob *job = user;
    if (job->error != NULL)
        sl_log_error(job->c->log, "env-write-failed", job->error);
    if (!cancelled) {
        SlCoordInput input = {.type = SL_COORD_ENV_WRITTEN};
        input.env_written = (SlCoordEnvWritten){.env = job->effect->env,
                                                .old = job->effect->old,
                                                .commit = job->commit,
                                                .error = job->error};
        sl_turn_input(job->c, &input);
    }
    job_free(job);
}

static void look(BranchJob *job)
{
    SlGitStore *store = sl_ledger_store(job->c->ledger);
    job->looked =
        sl_envs_tip(store, job->effect->env, &job->tip, job->error == NULL ? &job->error : NULL);
    job->descends = job->tip != NULL && job->effect->new_ != NULL &&
                    sl_envs_descends(store, job->tip, job->effect->new_);
}

static void move_work(void *user)
{
    BranchJob *job = user;
    SlGitStore *store = sl_ledger_store(job->c->ledger);
    if (job->effect->type == SL_COORD_DO_ENV_MOVE &&
        !sl_envs_move(store, job->effect->env, job->effect->old, job->effect->new_, &job->error))
        g_prefix_error(&job->error, "%s: ", job->effect->env);
    look(job);
}

/* Where the queue had no room nobody looked, or nothing could be read: that is no branch that somebody
 * deleted, the next look comes by itself. */
static void move_done(void *user, bool cancelled)
{
    BranchJob *job = user;
    bool moves = job->effect->type == SL_COORD_DO_ENV_MOVE;
    job->c->tips_looking -= !moves;
    if (job->error != NULL)
        sl_log_error(job->c->log, "env-move-failed", job->error);
    if (!cancelled && job->looked) {
        SlCoordInput input = {.type = SL_COORD_ENV_TIP};
        input.env_tip = (SlCoordEnvTip){
            .env = job->effect->env, .tip = job->tip, .descends_from_new = job->descends};
        sl_turn_input(job->c, &input);
        if (moves)
            sl_push_soon(job->c);
    }
    job_free(job);
}

static void start(SlCoordinator *c, SlCoordEffect *effect, void (*work)(void *),
                  void (*done)(void *, bool))
{
    BranchJob *job = g_new0(BranchJob, 1);
    job->c = c;
    job->effect = effect;
    if (!sl_workq_push(c->store_queue, work, done, job, &job->error))
        done(job, false);
}

void sl_branch_write(SlCoordinator *c, SlCoordEffect *effect)
{
    start(c, effect, write_work, write_done);
}

void sl_branch_move(SlCoordinator *c, SlCoordEffect *effect)
{
    g_hash_table_replace(c->committed, g_strdup(effect->env), g_strdup(effect->new_));
    start(c, effect, move_work, move_done);
}

/* Every environment of the root: the brain asks nothing of a branch before it knows where it
 * points. */
static void look_at_tips(void *user)
{
    SlCoordinator *c = user;
    sl_timer_arm(c->tips_timer, TIPS_EVERY_US);
    if (c->tips_looking > 0)
        return; /* the queue stands (a remote is silent): looks must not pile up in it */
    g_auto(GStrv) envs = sl_coord_environments(c->brain);
    for (char **env = envs; *env != NULL; env++) {
        c->tips_looking++;
        SlCoordEffect *effect = g_new0(SlCoordEffect, 1);
        effect->type = SL_COORD_N_EFFECTS; /* look only */
        effect->env = g_strdup(*env);
        effect->new_ = g_strdup(g_hash_table_lookup(c->committed, *env));
        start(c, effect, move_work, move_done);
    }
}

void sl_branches_start(SlCoordinator *c)
{
    c->tips_timer = sl_timer_new(c->loop, look_at_tips, c);
    look_at_tips(c);
    sl_branch_follow_root(c);
}

void sl_branches_free(SlCoordinator *c)
{
    sl_timer_free(c->tips_timer);
    c->tips_timer = NULL;
}

/* ---- environments that the root has no more ---- */

typedef struct {
    SlCoordinator *c;
    char **envs;
    GError *error;
} UnstageJob;

static void unstage_work(void *user)
{
    UnstageJob *job = user;
    (void)!sl_envs_unstage(sl_ledger_store(job->c->ledger), (const char *const *)job->envs,
                           &job->error);
}

static void unstage_done(void *user, bool cancelled)
{
    UnstageJob *job = user;
    if (!cancelled && job->error != NULL)
        sl_log_error(job->c->log, "unstage-failed", job->error); /* again with the next root */
    g_strfreev(job->envs);
    g_clear_error(&job->error);
    g_free(job);
}

void sl_branch_follow_root(SlCoordinator *c)
{
    if (c->config->state_remote == NULL || c->root_followed == sl_coord_root_version(c->brain))
        return;
    c->root_followed = sl_coord_root_version(c->brain);
    UnstageJob *job = g_new0(UnstageJob, 1);
    job->c = c;
    job->envs = sl_coord_environments(c->brain);
    if (!sl_workq_push(c->store_queue, unstage_work, unstage_done, job, &job->error))
        unstage_done(job, false);
}
