/* attempts.c - takes requests in and moves every active attempt as far as facts allow. Nothing here
 * waits silently: whatever holds an attempt back is put into its `waiting`, and every state has an
 * end (machine.c). */
#include "coordinator/brain/brain.h"
#include <string.h>

bool sl_attempt_waits(const SlAttempt *a)
{
    return a->state == SL_STATE_QUEUED || a->state == SL_STATE_RENDERING ||
           a->state == SL_STATE_GATING;
}

bool sl_attempt_live(const SlAttempt *a)
{
    return a->state >= SL_STATE_COMMITTED && a->state <= SL_STATE_VERIFYING;
}

int64_t sl_attempt_until(const SlCoord *c, const SlAttempt *a)
{
    const SlEnvironmentDoc *env = c->docs != NULL ? sl_fleet_env(c->docs, a->env) : NULL;
    int64_t gate_us =
        env != NULL && env->gate_timeout_us > 0 ? env->gate_timeout_us : 7 * SL_DAY_US;
    int64_t health_us =
        env != NULL && env->health_timeout_us > 0 ? env->health_timeout_us : 10 * SL_MINUTE_US;
    switch (sl_state_expiry(a->state)) {
    case SL_EXPIRY_GATE:
        return MAX(a->since_us, a->waits_from_us) + gate_us;
    case SL_EXPIRY_WORK:
        return a->since_us + SL_WORK_LIMIT_US;
    case SL_EXPIRY_HEALTH:
        return (a->committed_us != 0 ? a->committed_us - a->ahead_us : a->since_us) + health_us;
    default:
        return 0;
    }
}

void sl_attempt_wait_for(SlAttempt *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_free(a->waiting);
    a->waiting = g_strdup_vprintf(format, args);
    va_end(args);
    json_decref(a->who);
    a->who = NULL;
}

/* A newer request ends older ones that wait and that nobody has signed. An automatic one never ends
 * a person's, and a promotion never ends a rollback. */
static bool is_superseded_by(const SlAttempt *old, const SlAttempt *new)
{
    bool signed_by_anyone = old->approvers->len > 0;
    bool person_first = old->requester != NULL && new->requester == NULL;
    bool old_is_return = old->act == SL_ACT_ROLLBACK && new->act != SL_ACT_ROLLBACK;
    return old->n < new->n &&sl_attempt_waits(old) && !signed_by_anyone && !person_first &&
           !old_is_return;
}

uint64_t sl_brain_request(SlCoord *c, const SlAsk *ask)
{
    json_t *event = sl_event("Requested");
    uint64_t n = c->attempts->len + 1;
    sl_json_set_int(event, "attempt", (int64_t)n);
    sl_json_set_str(event, "app", ask->app);
    sl_json_set_str(event, "env", ask->env);
    sl_json_set_str(event, "act", sl_act_name(ask->act));
    sl_json_set_str(event, "release", ask->release);
    if (ask->requester != NULL) {
        sl_json_set_str(event, "requester", ask->requester);
    }
    sl_json_set_str(event, "reason", ask->reason);
    if (ask->allow_prune) {
        sl_json_set_bool(event, "allowPrune", true);
    }
    if (ask->disrupt) {
        sl_json_set_bool(event, "disrupt", true);
    }
    if (ask->force_fields) {
        sl_json_set_bool(event, "forceFields", true);
    }
    if (ask->privileged != NULL) {
        json_object_set_new(event, "privileged", json_deep_copy(ask->privileged));
    }
    if (ask->to != 0) {
        sl_json_set_int(event, "to", (int64_t)ask->to);
    }
    sl_emit(c, event);
    const SlAttempt *new = sl_brain_attempt(c, n);
    g_autoptr(GPtrArray) attempts =
        g_ptr_array_copy(sl_brain_unit(c, ask->app, ask->env)->attempts, NULL, NULL);
    for (guint i = 0; i < attempts->len; i++) {
        SlAttempt *old = g_ptr_array_index(attempts, i);
        if (is_superseded_by(old, new)) {
            sl_emit_end(c, old, "Superseded", SLU_CONFLICT,
                        "attempt %" G_GUINT64_FORMAT " took its place", n);
        }
    }
    return n;
}

static void advance_queued(SlCoord *c, SlAttempt *a)
{
    g_autofree char *reason = NULL;
    a->wants_slot = false;
    if (a->retry_us > c->now_us) {
        sl_wake(c, a->retry_us);
    } else if (c->clock_wrong) { /* its window would be one of another time */
        sl_attempt_wait_for(a, "this machine's clock to be set right: most clusters' differ");
        a->held_by_clock = true;
    } else if (a->act == SL_ACT_ROLLBACK) {
        sl_brain_render_rollback(c, a);
    } else if (a->act == SL_ACT_REMOVE) {
        sl_brain_render_remove(c, a);
    } else if (sl_brain_eligible(c, sl_brain_release(c, a->release), a->app, a->env, &reason) !=
               SL_ELIGIBLE_OPEN) {
        sl_attempt_wait_for(a, "%s", reason);
    } else if (c->renders >= SL_RENDERS_MAX) {
        a->wants_slot = true;
        sl_attempt_wait_for(a, "its turn: %u renders are under way", c->renders);
    } else {
        sl_brain_ask_render(c, a);
    }
}

static SlAttempt *busy_with(const SlUnit *u, const SlAttempt *a)
{
    for (guint i = 0; i < u->attempts->len; i++) {
        SlAttempt *other = g_ptr_array_index(u->attempts, i);
        if (other != a && (sl_attempt_live(other) || other->state == SL_STATE_COMMITTING)) {
            return other;
        }
    }
    return NULL;
}

static void advance_gating(SlCoord *c, SlAttempt *a)
{
    const SlUnit *u = sl_brain_unit(c, a->app, a->env);
    const SlVeto *veto = sl_brain_veto_of(c, a);
    g_autofree char *reason = NULL;
    a->ready = false;
    if (veto != NULL) {
        sl_emit_end(c, a, "Rejected", SLU_VETOED, "vetoed in %s by %s: %s", u->key, veto->by,
                    veto->reason);
        return;
    }
    if (sl_brain_ended_by_conflict(c, a) || !sl_brain_gates(c, a)) {
        return;
    }
    if (a->act == SL_ACT_PROMOTE && sl_brain_eligible(c, sl_brain_release(c, a->release), a->app,
                                                      a->env, &reason) != SL_ELIGIBLE_OPEN) {
        sl_attempt_wait_for(a, "%s", reason);
        return;
    }
    const SlAttempt *other = busy_with(u, a);
    if (other != NULL && (a->act != SL_ACT_ROLLBACK || other->state == SL_STATE_COMMITTING)) {
        sl_attempt_wait_for(a, "attempt %" G_GUINT64_FORMAT " of the same unit to end", other->n);
        return;
    }
    if (a->unchanged && (u->live == NULL || strcmp(u->live->targets, a->targets) != 0)) {
        sl_emit_end(c, a, "Superseded", SLU_CONFLICT,
                    "what the unit runs has changed since it was rendered");
    } else if (a->unchanged) {
        sl_attempt_move(c, a, SL_ON_UNCHANGED);
    } else {
        a->ready = true;
    }
}

/* States in which nobody came in time. Health has its own end in verify.c. */
static bool ended_by_time(SlCoord *c, SlAttempt *a)
{
    if (a->held_by_clock) { /* what it is since is of a wrong clock: waiting begins when it is right */
        a->waits_from_us = c->now_us;
        a->held_by_clock = c->clock_wrong;
    }
    int64_t until_us = sl_attempt_until(c, a);
    SlExpiry expiry = sl_state_expiry(a->state);
    if (expiry != SL_EXPIRY_HEALTH) {
        sl_wake(c, until_us);
    }
    if (until_us > c->now_us || expiry == SL_EXPIRY_HEALTH) {
        return false;
    }
    if (expiry == SL_EXPIRY_GATE) {
        g_autofree char *what =
            g_strdup(a->waiting != NULL ? a->waiting : sl_state_info(a->state)->waits);
        sl_emit_end(c, a, "Expired", SLU_STATE_TIMEOUT, "waited too long for: %s", what);
        return true;
    }
    if (a->state == SL_STATE_RENDERING) {
        c->renders -= c->renders > 0 ? 1 : 0;
        sl_brain_retry_later(c, a, SLU_RENDER_ERROR, "the render did not answer in time");
    }
    return true;
}

static void advance(SlCoord *c, SlAttempt *a)
{
    if (ended_by_time(c, a)) {
        return;
    }
    if (a->state == SL_STATE_QUEUED) {
        advance_queued(c, a);
    }
    if (a->state == SL_STATE_GATING) {
        advance_gating(c, a);
    }
    if (sl_attempt_live(a)) {
        sl_brain_verify(c, a);
    }
}

/* With thousands of targets each report would cost all of them: judged at most every so often. */
static bool comes_later(const SlCoord *c, SlAttempt *a)
{
    bool large = sl_attempt_live(a) && g_hash_table_size(a->target_of) > SL_VERIFY_TARGETS;
    if (large && a->verify_us > c->now_us) {
        a->next_us = MIN(a->next_us, a->verify_us);
        return true;
    }
    a->verify_us =
        large ? c->now_us + (int64_t)g_hash_table_size(a->target_of) * SL_VERIFY_PER_TARGET_US : 0;
    return false;
}

void sl_brain_attempts(SlCoord *c, const SlRound *round)
{
    g_autoptr(GPtrArray) active = g_ptr_array_copy(c->active, NULL, NULL);
    for (guint i = 0; i < active->len; i++) {
        SlAttempt *a = g_ptr_array_index(active, i);
        bool slot = a->wants_slot && c->renders < SL_RENDERS_MAX;
        bool due = a->next_us <= c->now_us || slot || sl_round_has(round, a->app);
        if (sl_state_info(a->state)->final) {
            continue;
        }
        if (due && !comes_later(c, a)) {
            int64_t outer_us = c->next_us;
            c->next_us = INT64_MAX;
            c->envs_dirty = true;
            advance(c, a);
            a->next_us = c->next_us;
            c->next_us = outer_us;
        }
        sl_wake(c, a->next_us);
    }
}
