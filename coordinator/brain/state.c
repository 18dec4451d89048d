/* state.c - making, freeing and looking up what state.h declares. Decides nothing. */
#include "coordinator/brain/state.h"
#include <string.h>

void sl_item_free(SlItem *item)
{
    if (item == NULL) {
        return;
    }
    g_free(item->name);
    g_free(item->digest);
    g_free(item->run_key);
    g_free(item->job);
    g_free(item->output);
    g_free(item->origin);
    g_free(item);
}

void sl_release_free(SlRelease *r)
{
    if (r == NULL) {
        return;
    }
    g_free(r->id);
    g_free(r->name);
    g_free(r->app);
    g_free(r->document);
    g_free(r->parent);
    g_free(r->repository);
    g_free(r->commit);
    g_free(r->author);
    g_free(r->subject);
    json_decref(r->trees);
    json_decref(r->needs);
    g_strfreev(r->authors);
    g_clear_pointer(&r->items, g_ptr_array_unref);
    g_free(r);
}

void sl_job_free(SlJob *job)
{
    if (job == NULL) {
        return;
    }
    g_free(job->name);
    g_free(job->run_key);
    g_free(job->digest);
    g_free(job->on_change);
    g_free(job->wait_for);
    g_strfreev(job->clusters);
    g_free(job);
}

void sl_attempt_free(SlAttempt *a)
{
    if (a == NULL) {
        return;
    }
    g_free(a->app);
    g_free(a->env);
    g_free(a->release);
    g_free(a->requester);
    g_free(a->reason);
    g_strfreev(a->privileged);
    sl_signed_free(a->statement);
    g_free(a->promotion);
    g_free(a->targets);
    g_free(a->previous);
    g_free(a->from_commit);
    g_clear_pointer(&a->target_of, g_hash_table_unref);
    g_clear_pointer(&a->withheld_of, g_hash_table_unref);
    g_clear_pointer(&a->jobs, g_ptr_array_unref);
    json_decref(a->evidence);
    g_clear_pointer(&a->approvers, g_ptr_array_unref);
    g_free(a->commit);
    g_free(a->error);
    g_clear_pointer(&a->gates, g_ptr_array_unref);
    g_free(a->waiting);
    json_decref(a->who);
    g_free(a);
}

static void mark_free(SlMark *mark)
{
    if (mark != NULL) {
        g_free(mark->by);
        g_free(mark->reason);
        g_free(mark);
    }
}

void sl_proof_free(SlProof *proof)
{
    sl_signed_free(proof->report);
    g_free(proof);
}

void sl_recorded_free(SlRecorded *recorded)
{
    g_free(recorded->entry);
    g_free(recorded);
}

void sl_unit_free(SlUnit *u)
{
    if (u == NULL) {
        return;
    }
    g_free(u->key);
    g_free(u->app);
    g_free(u->env);
    g_ptr_array_unref(u->attempts);
    g_hash_table_unref(u->been);
    mark_free(u->pinned);
    g_ptr_array_unref(u->vetoes);
    g_ptr_array_unref(u->runs);
    g_ptr_array_unref(u->claim_keys);
    g_clear_pointer(&u->recorded, g_hash_table_unref);
    g_free(u);
}

void sl_env_free(SlEnv *env)
{
    if (env == NULL) {
        return;
    }
    g_free(env->name);
    sl_signed_free(env->registry);
    g_hash_table_unref(env->clusters);
    g_free(env->tip);
    g_free(env->before);
    g_free(env->external);
    g_array_unref(env->group);
    if (env->claims != NULL) {
        g_hash_table_unref(env->claims);
    }
    g_free(env);
}

void sl_run_free(SlRun *run)
{
    if (run == NULL) {
        return;
    }
    g_free(run->id);
    g_free(run->app);
    g_free(run->env);
    g_free(run->job);
    g_free(run->key);
    g_free(run->cluster);
    sl_signed_free(run->sealed);
    sl_seal_free(run->seal);
    g_free(run->seal_digest);
    g_free(run);
}

void sl_session_free(SlSession *s)
{
    if (s == NULL) {
        return;
    }
    g_free(s->curve);
    g_free(s->cluster);
    g_free(s->env);
    g_free(s->nonce);
    g_free(s->version);
    g_free(s->desired);
    g_free(s);
}

void sl_seen_free(SlSeen *s)
{
    if (s == NULL) {
        return;
    }
    sl_map_free(s->entries);
    g_hash_table_unref(s->servers);
    g_hash_table_unref(s->sources);
    g_free(s->boot);
    g_free(s->head);
    g_free(s->alarm);
    g_free(s);
}

static void veto_free(SlVeto *veto)
{
    g_free(veto->release);
    g_free(veto->by);
    g_free(veto->reason);
    g_strfreev(veto->bundles);
    g_free(veto);
}

SlRelease *sl_brain_release(const SlCoord *c, const char *id)
{
    return id != NULL ? g_hash_table_lookup(c->releases, id) : NULL;
}

SlAttempt *sl_brain_attempt(const SlCoord *c, uint64_t n)
{
    return n >= 1 && n <= c->attempts->len ? g_ptr_array_index(c->attempts, (guint)(n - 1)) : NULL;
}

SlUnit *sl_brain_unit(const SlCoord *c, const char *app, const char *env)
{
    g_autofree char *key = g_strdup_printf("%s/%s", app, env);
    return g_hash_table_lookup(c->units, key);
}

SlUnit *sl_brain_unit_make(SlCoord *c, const char *app, const char *env)
{
    SlUnit *u = sl_brain_unit(c, app, env);
    if (u != NULL) {
        return u;
    }
    u = g_new0(SlUnit, 1);
    u->key = g_strdup_printf("%s/%s", app, env);
    u->app = g_strdup(app);
    u->env = g_strdup(env);
    u->attempts = g_ptr_array_new();
    u->been = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    u->vetoes = g_ptr_array_new_with_free_func((GDestroyNotify)veto_free);
    u->runs = g_ptr_array_new();
    u->claim_keys = g_ptr_array_new_with_free_func(g_free);
    g_hash_table_insert(c->units, u->key, u);
    return u;
}

SlEnv *sl_brain_env(const SlCoord *c, const char *name)
{
    return g_hash_table_lookup(c->envs, name);
}

SlEnv *sl_brain_env_make(SlCoord *c, const char *name)
{
    SlEnv *env = sl_brain_env(c, name);
    if (env != NULL) {
        return env;
    }
    env = g_new0(SlEnv, 1);
    env->name = g_strdup(name);
    env->clusters =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)sl_cluster_free);
    env->group = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    g_hash_table_insert(c->envs, env->name, env);
    return env;
}

SlRun *sl_brain_win(const SlCoord *c, const char *app, const char *env, const char *key)
{
    g_autofree char *full = g_strdup_printf("%s/%s/%s", app, env, key);
    return g_hash_table_lookup(c->wins, full);
}

SlCluster *sl_brain_cluster(const SlCoord *c, const char *id, const char **ret_env)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, c->envs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        SlEnv *env = value;
        SlCluster *cluster = g_hash_table_lookup(env->clusters, id);
        if (cluster != NULL) {
            if (ret_env != NULL) {
                *ret_env = env->name;
            }
            return cluster;
        }
    }
    return NULL;
}

SlSourceState *sl_brain_source_make(SlCoord *c, const char *repository)
{
    SlSourceState *s = g_hash_table_lookup(c->sources, repository);
    if (s == NULL) {
        s = g_new0(SlSourceState, 1);
        s->repository = g_strdup(repository);
        s->authors = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        s->floors = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        s->unsettled = g_new0(char *, 1);
        g_hash_table_insert(c->sources, s->repository, s);
    }
    return s;
}

SlRelease *sl_brain_latest_release(const SlCoord *c, const char *app)
{
    GPtrArray *releases = g_hash_table_lookup(c->app_releases, app);
    SlRelease *latest = NULL;
    for (guint i = 0; releases != NULL && i < releases->len; i++) {
        SlRelease *r = g_ptr_array_index(releases, i);
        latest = latest == NULL || sl_release_compare(r, latest) > 0 ? r : latest;
    }
    return latest;
}

bool sl_release_pending(const SlRelease *r)
{
    for (guint i = 0; i < r->items->len; i++) {
        const SlItem *item = g_ptr_array_index(r->items, i);
        if (item->digest == NULL) {
            return true;
        }
    }
    return false;
}

int sl_release_compare(const SlRelease *a, const SlRelease *b)
{
    if (a->position != b->position) {
        return a->position < b->position ? -1 : 1;
    }
    return a->order < b->order ? -1 : a->order > b->order;
}
