/* commit.c - group commits of environment branches. The ledger is the only commit point:
 *
 *   ENV_WRITE (objects only) -> ENV_WRITTEN -> event COMMITTED -> ENV_MOVE (the ref) -> ENV_TIP
 *
 * Until COMMITTED an attempt may still drop out (the write is made again without it); after it,
 * recovery only rolls forward. */
#include "coordinator/brain/brain.h"
#include <string.h>

static SlAttempt *ready_of_unit(const SlUnit *u)
{
    SlAttempt *best = NULL;
    for (guint i = 0; i < u->attempts->len; i++) {
        SlAttempt *a = g_ptr_array_index(u->attempts, i);
        if (a->state == SL_STATE_GATING && a->ready &&
            (best == NULL || (a->act == SL_ACT_ROLLBACK && best->act != SL_ACT_ROLLBACK))) {
            best = a;
        }
    }
    return best;
}

static char *provenance(const SlCoord *c, const SlAttempt *a)
{
    const SlRelease *r = sl_brain_release(c, a->release);
    g_autoptr(json_t) json = json_object();
    sl_json_set_int(json, "format", 1);
    sl_json_set_str(json, "fleet", c->root->fleet);
    sl_json_set_str(json, "unit", sl_brain_unit(c, a->app, a->env)->key);
    sl_json_set_int(json, "attempt", (int64_t)a->n);
    sl_json_set_str(json, "act", sl_act_name(a->act));
    sl_json_set_str(json, "release", r->id);
    sl_json_set_str(json, "releaseName", r->name);
    sl_json_set_str(json, "commit", r->commit);
    sl_json_set_str(json, "promotion", a->promotion);
    sl_json_set_int(json, "seq", (int64_t)a->seq);
    sl_json_set_str(json, "targets", a->targets);
    return sl_json_canonical(json, NULL);
}

static GHashTable *copy_targets(GHashTable *target_of)
{
    GHashTable *copy = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    GHashTableIter iter;
    gpointer cluster, bundle;
    g_hash_table_iter_init(&iter, target_of);
    while (g_hash_table_iter_next(&iter, &cluster, &bundle)) {
        g_hash_table_insert(copy, g_strdup(cluster), g_strdup(bundle));
    }
    return copy;
}

static void env_unit_free(SlEnvUnit *unit)
{
    g_free(unit->app);
    g_clear_pointer(&unit->target_of, g_hash_table_unref);
    g_free(unit->from_commit);
    g_free(unit->provenance);
    g_free(unit);
}

static SlEnvUnit *env_unit(const SlCoord *c, const SlAttempt *a)
{
    SlEnvUnit *unit = g_new0(SlEnvUnit, 1);
    unit->app = g_strdup(a->app);
    unit->from_commit = g_strdup(a->from_commit);
    unit->provenance = provenance(c, a);
    unit->target_of = a->act == SL_ACT_REMOVE ? NULL : copy_targets(a->target_of);
    return unit;
}

static char *message_of(const SlCoord *c, const GPtrArray *group)
{
    const SlAttempt *first = g_ptr_array_index(group, 0);
    const SlRelease *r = sl_brain_release(c, first->release);
    GString *text = g_string_new(NULL);
    if (group->len == 1) {
        g_string_append_printf(text, "%s: %s %s\n", first->app, sl_act_name(first->act), r->name);
    } else {
        g_string_append_printf(text, "%s: %u units\n", first->env, group->len);
    }
    for (guint i = 0; i < group->len; i++) {
        const SlAttempt *a = g_ptr_array_index(group, i);
        g_autofree char *reason = sl_escape_for_people(a->reason, SL_REASON_MAX);
        g_string_append_printf(
            text, "\n%s/%s attempt %" G_GUINT64_FORMAT " release %s\npromotion %s\nreason %s\n",
            a->app, a->env, a->n, a->release, a->promotion, reason);
    }
    return g_string_free(text, FALSE);
}

static SlCoordEffect *write_effect(SlCoord *c, SlEnv *env)
{
    SlCoordEffect *effect = sl_effect(c, SL_COORD_DO_ENV_WRITE);
    effect->env = g_strdup(env->name);
    effect->units = g_ptr_array_new_with_free_func((GDestroyNotify)env_unit_free);
    effect->time_us = c->now_us;
    env->writing = true;
    env->asked_us = c->now_us;
    return effect;
}

static void write_group(SlCoord *c, SlEnv *env, GPtrArray *group)
{
    SlCoordEffect *effect = write_effect(c, env);
    effect->old = g_strdup(env->tip);
    effect->message = message_of(c, group);
    g_array_set_size(env->group, 0);
    for (guint i = 0; i < group->len; i++) {
        SlAttempt *a = g_ptr_array_index(group, i);
        g_ptr_array_add(effect->units, env_unit(c, a));
        g_array_append_val(env->group, a->n);
        sl_attempt_move(c, a, SL_ON_WRITE);
    }
}

/* Policy revert: a commit on top of what somebody made, with every folder as it was at our last
 * commit. */
static void write_revert(SlCoord *c, SlEnv *env)
{
    SlCoordEffect *effect = write_effect(c, env);
    GHashTableIter iter;
    gpointer value;
    effect->old = env->external[0] != '\0' ? g_strdup(env->external) : NULL;
    effect->message = g_strdup_printf("%s: put back what was changed by hand in %.12s\n", env->name,
                                      env->external);
    env->reverting = true;
    g_array_set_size(env->group, 0);
    g_hash_table_iter_init(&iter, c->units);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const SlUnit *u = value;
        if (strcmp(u->env, env->name) == 0 && u->live != NULL) {
            SlEnvUnit *unit = env_unit(c, u->live);
            g_free(unit->from_commit);
            unit->from_commit = g_strdup(env->tip);
            g_ptr_array_add(effect->units, unit);
        }
    }
}

static const char *external_policy(const SlCoord *c, const char *env)
{
    const SlEnvironmentDoc *doc = c->docs != NULL ? sl_fleet_env(c->docs, env) : NULL;
    return doc != NULL && doc->on_external_change != NULL ? doc->on_external_change : "halt";
}

static void hold_group(GPtrArray *group, const char *why)
{
    for (guint i = 0; i < group->len; i++) {
        SlAttempt *a = g_ptr_array_index(group, i);
        g_free(a->waiting);
        a->waiting = g_strdup(why);
    }
}

static GPtrArray *ready_group(SlCoord *c, const char *env)
{
    GPtrArray *group = g_ptr_array_new();
    for (guint i = 0; i < c->active->len; i++) {
        SlAttempt *a = g_ptr_array_index(c->active, i);
        if (a->state == SL_STATE_GATING && a->ready && strcmp(a->env, env) == 0 &&
            ready_of_unit(sl_brain_unit(c, a->app, a->env)) == a) {
            g_ptr_array_add(group, a);
        }
    }
    return group;
}

/* Two applications never write one object: who clashes with what is live ends; who clashes with an
 * earlier one of this group waits for its commit, and is judged against that. */
static GPtrArray *without_clashes(SlCoord *c, GPtrArray *group)
{
    g_autoptr(GHashTable) taken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GPtrArray *fit = g_ptr_array_new();
    for (guint i = 0; i < group->len; i++) {
        SlAttempt *a = g_ptr_array_index(group, i);
        if (sl_brain_ended_by_conflict(c, a)) {
            continue;
        }
        if (group->len == 1 || sl_brain_claim_together(c, a, taken)) {
            g_ptr_array_add(fit, a);
            continue;
        }
        g_free(a->waiting);
        a->waiting = g_strdup("the commit of another application that writes the same object");
    }
    return fit;
}

static void retry_env(SlCoord *c, SlEnv *env)
{
    env->tries++;
    env->retry_us = c->now_us + MIN(SL_RETRY_FIRST_US << MIN(env->tries - 1, 20), SL_RETRY_MAX_US);
    sl_wake(c, env->retry_us);
}

static void commit_env(SlCoord *c, SlEnv *env)
{
    g_autoptr(GPtrArray) group = ready_group(c, env->name);
    if (env->writing && env->asked_us + SL_WORK_LIMIT_US <= c->now_us) {
        SlCoordEnvWritten lost = {.env = env->name, .old = env->tip};
        sl_brain_env_written(c, &lost); /* the answer was lost: as a failed write */
        return;
    }
    if (env->writing || env->retry_us > c->now_us) {
        hold_group(group, env->writing ? "the commit before it on the environment's branch"
                                       : "another try of the commit");
        sl_wake(c, env->writing ? env->asked_us + SL_WORK_LIMIT_US : env->retry_us);
        return;
    }
    if (env->external != NULL && strcmp(external_policy(c, env->name), "revert") == 0) {
        write_revert(c, env);
        return;
    }
    if (env->external != NULL) {
        g_autofree char *why = g_strdup_printf(
            "a person: the branch sluice/env/%s was changed by hand (%.12s) and "
            "the environment is halted; "
            "`sluice adopt %s` takes it over",
            env->name, env->external[0] != '\0' ? env->external : "deleted", env->name);
        hold_group(group, why);
        return;
    }
    if (!env->tip_known) {
        hold_group(group, "the tip of the environment's branch");
        return;
    }
    g_autoptr(GPtrArray) fit = without_clashes(c, group);
    if (fit->len > 0) {
        write_group(c, env, fit);
    }
}

void sl_brain_commits(SlCoord *c)
{
    GHashTableIter iter;
    gpointer value;
    g_autoptr(GPtrArray) envs = g_ptr_array_new();
    if (!c->envs_dirty && c->envs_next_us > c->now_us) {
        sl_wake(c, c->envs_next_us);
        return;
    }
    int64_t outer_us = c->next_us;
    c->next_us = INT64_MAX;
    c->envs_dirty = false;
    g_hash_table_iter_init(&iter, c->envs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        g_ptr_array_add(envs, value);
    }
    for (guint i = 0; i < envs->len; i++) {
        commit_env(c, g_ptr_array_index(envs, i));
    }
    c->envs_next_us = c->next_us;
    c->next_us = MIN(outer_us, c->envs_next_us);
}

/* What a commit ends in its unit: waiting attempts with a lower seq, and (rollback) the one under
 * way. */
static void end_others(SlCoord *c, const SlAttempt *a)
{
    g_autoptr(GPtrArray) attempts =
        g_ptr_array_copy(sl_brain_unit(c, a->app, a->env)->attempts, NULL, NULL);
    for (guint i = 0; i < attempts->len; i++) {
        SlAttempt *other = g_ptr_array_index(attempts, i);
        if (other == a) {
            continue;
        }
        if (sl_attempt_live(other)) {
            sl_emit_end(c, other, "Failed", SLU_PREEMPTED,
                        "attempt %" G_GUINT64_FORMAT " (%s) took its place", a->n,
                        sl_act_name(a->act));
        } else if (other->state == SL_STATE_GATING && other->seq != 0 && other->seq < a->seq) {
            sl_emit_end(c, other, "Superseded", SLU_CONFLICT,
                        "attempt %" G_GUINT64_FORMAT " was committed with a higher number", a->n);
        }
    }
}

/* A rollback keeps what it replaced away: pin and veto, until a person takes them back. */
static void mark_rollback(SlCoord *c, const SlAttempt *a, const SlAttempt *replaced)
{
    json_t *pin = sl_event("Pinned");
    g_autofree char *reason = g_strdup_printf("rolled back by attempt %" G_GUINT64_FORMAT, a->n);
    const char *by = a->requester != NULL ? a->requester : "coordinator";
    sl_json_set_str(pin, "app", a->app);
    sl_json_set_str(pin, "env", a->env);
    sl_json_set_str(pin, "by", by);
    sl_json_set_str(pin, "reason", reason);
    sl_emit(c, pin);
    if (replaced == NULL || strcmp(replaced->release, a->release) == 0) {
        return;
    }
    json_t *veto = sl_event("Vetoed"), *bundles = json_array();
    GHashTableIter iter;
    gpointer cluster, bundle;
    g_hash_table_iter_init(&iter, replaced->target_of);
    while (g_hash_table_iter_next(&iter, &cluster, &bundle)) {
        if (g_strcmp0(g_hash_table_lookup(a->target_of, cluster), bundle) != 0) {
            json_array_append_new(bundles, json_string(bundle));
        }
    }
    sl_json_set_str(veto, "app", a->app);
    sl_json_set_str(veto, "env", a->env);
    sl_json_set_str(veto, "release", replaced->release);
    json_object_set_new(veto, "bundles", bundles);
    sl_json_set_str(veto, "by", by);
    sl_json_set_str(veto, "reason", reason);
    sl_emit(c, veto);
}

static void emit_committed(SlCoord *c, SlEnv *env, const SlCoordEnvWritten *in, GPtrArray *group)
{
    json_t *event = sl_event("Committed"), *units = json_array();
    g_autoptr(GPtrArray) replaced = g_ptr_array_new();
    for (guint i = 0; i < group->len; i++) {
        const SlAttempt *a = g_ptr_array_index(group, i);
        json_t *unit = json_object();
        sl_json_set_int(unit, "attempt", (int64_t)a->n);
        sl_json_set_str(unit, "app", a->app);
        sl_json_set_str(unit, "promotion", a->promotion);
        json_array_append_new(units, unit);
        g_ptr_array_add(replaced, sl_brain_unit(c, a->app, a->env)->current);
        end_others(c, a);
    }
    sl_json_set_str(event, "env", env->name);
    sl_json_set_str(event, "old", in->old);
    sl_json_set_str(event, "new", in->commit);
    json_object_set_new(event, "units", units);
    if (env->reverting) {
        sl_json_set_str(event, "reverted", env->external);
    }
    sl_emit(c, event);
    for (guint i = 0; i < group->len; i++) {
        const SlAttempt *a = g_ptr_array_index(group, i);
        if (a->act == SL_ACT_ROLLBACK) {
            mark_rollback(c, a, g_ptr_array_index(replaced, i));
        }
    }
}

static void move_ref(SlCoord *c, const SlEnv *env, const char *old)
{
    SlCoordEffect *effect = sl_effect(c, SL_COORD_DO_ENV_MOVE);
    effect->env = g_strdup(env->name);
    effect->old = g_strdup(old);
    effect->new_ = g_strdup(env->tip);
}

/* The group's attempts that may still be committed; the others have ended or lost a gate meanwhile.
 */
static GPtrArray *still_ready(SlCoord *c, const SlEnv *env)
{
    GPtrArray *group = g_ptr_array_new();
    for (guint i = 0; i < env->group->len; i++) {
        SlAttempt *a = sl_brain_attempt(c, g_array_index(env->group, uint64_t, i));
        g_autofree char *reason = NULL;
        if (a == NULL || a->state != SL_STATE_COMMITTING || !sl_brain_gates(c, a)) {
            continue;
        }
        if (sl_brain_veto_of(c, a) != NULL) {
            continue;
        }
        if (a->act == SL_ACT_PROMOTE &&
            sl_brain_eligible(c, sl_brain_release(c, a->release), a->app, a->env, &reason) !=
                SL_ELIGIBLE_OPEN) {
            continue;
        }
        g_ptr_array_add(group, a);
    }
    return group;
}

/* What waits for its commit is only in the cache, which a loss of power (or whoever deletes it) takes: the next try finds
 * the bytes there again. Everything else of a group is in the branches. */
static void bring_bytes_back(SlCoord *c, const SlAttempt *a, const GError *error)
{
    if (error != NULL && error->code == SLU_BLOB_MISSING && a->from_commit == NULL &&
        a->act != SL_ACT_REMOVE) {
        sl_brain_render_again(c, a);
    }
}

static void give_back_group(SlCoord *c, SlEnv *env, const GError *error)
{
    for (guint i = 0; i < env->group->len; i++) {
        SlAttempt *a = sl_brain_attempt(c, g_array_index(env->group, uint64_t, i));
        if (a == NULL || a->state != SL_STATE_COMMITTING) {
            continue;
        }
        if (error != NULL && env->tries >= SL_TRIES_MAX) {
            sl_emit_end(c, a, "Errored", SLU_COMMIT_ERROR, "%s (tried %u times)", error->message,
                        env->tries);
        } else {
            sl_attempt_move(c, a, SL_ON_RETRY);
            bring_bytes_back(c, a, error);
        }
    }
    g_array_set_size(env->group, 0);
}

void sl_brain_env_written(SlCoord *c, const SlCoordEnvWritten *in)
{
    SlEnv *env = sl_brain_env(c, in->env);
    if (env == NULL || !env->writing) {
        return;
    }
    const char *base =
        env->reverting ? (env->external[0] != '\0' ? env->external : NULL) : env->tip;
    bool revert = env->reverting;
    env->writing = false;
    if (in->error != NULL || in->commit == NULL || g_strcmp0(in->old, base) != 0) {
        if (in->error != NULL &&
            (in->error->code == SLU_STORAGE_FULL || in->error->code == SLU_STATE_REMOTE_AWAY))
            env->tries = 0; /* no fault of an attempt: tried until it can be written */
        retry_env(c, env);
        give_back_group(c, env, in->error);
        env->reverting = false;
        return;
    }
    guint asked = env->group->len;
    g_autoptr(GPtrArray) group = still_ready(c, env);
    if (!revert && (group->len != asked || env->external != NULL)) {
        give_back_group(c, env, NULL); /* written again without those that dropped out; nothing
                                          over a branch that was changed by hand meanwhile */
        return;
    }
    env->tries = 0;
    emit_committed(c, env, in, group);
    env->reverting = false;
    g_array_set_size(env->group, 0);
    move_ref(c, env, in->old);
    if (revert) {
        json_t *event = sl_event("ExternalResolved");
        sl_json_set_str(event, "env", env->name);
        sl_json_set_str(event, "how", "revert");
        sl_emit(c, event);
    }
}

static void external_change(SlCoord *c, SlEnv *env, const SlCoordEnvTip *in)
{
    const char *found = in->tip != NULL ? in->tip : "";
    if (g_strcmp0(env->external, found) == 0) {
        return; /* known */
    }
    const char *policy = external_policy(c, env->name);
    json_t *event = sl_event("ExternalChange");
    sl_json_set_str(event, "env", env->name);
    sl_json_set_str(event, "expected", env->tip);
    sl_json_set_str(event, "found", in->tip);
    sl_json_set_bool(event, "descends", in->descends_from_new);
    sl_json_set_str(event, "policy",
                    in->tip == NULL && strcmp(policy, "adopt") == 0 ? "halt" : policy);
    sl_emit(c, event);
}

void sl_brain_env_tip(SlCoord *c, const SlCoordEnvTip *in)
{
    SlEnv *env = sl_brain_env(c, in->env);
    if (env == NULL) {
        return;
    }
    if (g_strcmp0(in->tip, env->tip) == 0) {
        env->tip_known = true;
        env->tries = 0;
        if (env->external != NULL && !env->writing) {
            json_t *event = sl_event("ExternalResolved");
            sl_json_set_str(event, "env", env->name);
            sl_json_set_str(event, "how", "put back");
            sl_emit(c, event);
        }
        return;
    }
    if (env->tip != NULL && g_strcmp0(in->tip, env->before) == 0) {
        if (env->tip_known || env->retry_us > c->now_us) {
            retry_env(c, env);
        }
        env->tip_known = false;
        move_ref(c, env, env->before); /* roll forward */
        return;
    }
    env->tip_known = false;
    external_change(c, env, in);
}
