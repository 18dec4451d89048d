/* apply.c - operations on the cluster, from what is accepted and durable: waves upwards, each after
 * the one before is Healthy; then removal in reverse waves. Called only when all hard state is
 * saved. Everything is compared, nothing is remembered as "done": an object that is missing is
 * applied again, an answer about an older version is ignored. Paused or lost units are left alone.
 */
#include "agent/brain/state.h"

static unsigned open_ops(const SlUnit *u)
{
    unsigned open = 0;
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, u->objects);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        open += ((const SlAgentObject *)value)->op != SL_OP_NONE ? 1 : 0;
    }
    return open;
}

static SlAgentEffect *emit_object(SlAgent *a, const SlUnit *u, const SlAgentObject *o,
                                  SlAgentEffectType type)
{
    SlAgentEffect *e = sl_agent_emit(a, type);
    e->app = g_strdup(u->app);
    e->kind = g_strdup(o->kind);
    e->namespace_ = g_strdup(o->namespace_);
    e->name = g_strdup(o->name);
    e->digest = g_strdup(o->digest);
    e->promotion = g_strdup(u->promotion);
    e->bundle = g_strdup(sl_agent_unit_bundle(u));
    e->release = g_strdup(u->release);
    e->force = u->force;
    return e;
}

/* May @o have an operation now? Wakes when its retry is due. */
static bool is_free(SlAgent *a, const SlAgentObject *o, unsigned open)
{
    if (o->op != SL_OP_NONE || open >= SL_AGENT_OPS_MAX) {
        return false;
    }
    if (a->elapsed_us < o->retry_us) {
        sl_agent_wake(a, o->retry_us);
        return false;
    }
    return true;
}

/* One goal of a wave: true if it is in place and Healthy. */
static bool apply_goal(SlAgent *a, SlUnit *u, const SlGoal *g, unsigned *open)
{
    SlAgentObject *o = g_hash_table_lookup(u->objects, g->key);
    if (g->is_run || o == NULL) {
        return true;
    }
    if (o->applied) {
        return o->verdict.health == SL_HEALTH_HEALTHY;
    }
    if (is_free(a, o, *open)) {
        (void)emit_object(a, u, o, SL_AGENT_DO_APPLY);
        o->op = SL_OP_APPLY;
        o->unanswered++;
        (*open)++;
    }
    return false;
}

static bool apply_waves(SlAgent *a, SlUnit *u)
{
    unsigned open = open_ops(u);
    const GPtrArray *goals = u->goal->goals;
    for (guint i = 0; i < goals->len;) {
        int wave = ((const SlGoal *)goals->pdata[i])->wave;
        bool done = true;
        for (; i < goals->len && ((const SlGoal *)goals->pdata[i])->wave == wave; i++) {
            done = apply_goal(a, u, goals->pdata[i], &open) && done;
        }
        if (!done) {
            return false;
        }
    }
    return true;
}

static void prune(SlAgent *a, SlUnit *u)
{
    bool any = false;
    int last_wave = 0;
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, u->objects);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        const SlAgentObject *o = value;
        if (sl_plan_prunable(u, key, o)) {
            last_wave = any ? MAX(last_wave, o->wave) : o->wave;
            any = true;
        }
    }
    unsigned open = any ? open_ops(u) : 0;
    g_hash_table_iter_init(&iter, u->objects);
    while (any && g_hash_table_iter_next(&iter, &key, &value)) {
        SlAgentObject *o = value;
        if (o->wave == last_wave && sl_plan_prunable(u, key, o) && is_free(a, o, open)) {
            (void)emit_object(a, u, o, SL_AGENT_DO_REMOVE);
            o->op = SL_OP_REMOVE;
            open++;
        }
    }
}

void sl_agent_apply_settle(SlAgent *a, SlUnit *u)
{
    int64_t until = 0;
    if (u->promotion == NULL || !sl_gather_ready(u->goal) ||
        strcmp(u->goal->digest, sl_agent_unit_bundle(u)) != 0) {
        return;
    }
    if (sl_agent_paused(a, u->app, &until) || sl_agent_is_lost(a, u->app)) {
        return;
    }
    if (apply_waves(a, u)) {
        prune(a, u);
    }
}

/* After a restart: what was applied is observed again, never applied again without a reason. */
void sl_agent_adopt(SlAgent *a)
{
    GHashTableIter units;
    gpointer unit;
    g_hash_table_iter_init(&units, a->units);
    while (g_hash_table_iter_next(&units, NULL, &unit)) {
        SlUnit *u = unit;
        GHashTableIter iter;
        gpointer value;
        g_hash_table_iter_init(&iter, u->objects);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
            SlAgentObject *o = value;
            if (o->applied) {
                (void)emit_object(a, u, o, SL_AGENT_DO_ADOPT);
            } else {
                (void)sl_verdict_set(&o->verdict, SL_HEALTH_PROGRESSING, "Waiting",
                                     "waits for its turn", a->now_us);
            }
            sl_agent_report_object(a, u, o, false);
        }
        u->touched = true;
    }
}

/* ---- answers ---- */

static SlAgentObject *find(SlAgent *a, const SlObjectRef *ref, SlUnit **ret_unit)
{
    SlUnit *u = ref->app != NULL ? g_hash_table_lookup(a->units, ref->app) : NULL;
    if (u == NULL || ref->kind == NULL || ref->name == NULL) {
        return NULL;
    }
    g_autofree char *key =
        sl_object_key(ref->kind, ref->namespace_ != NULL ? ref->namespace_ : "-", ref->name);
    *ret_unit = u;
    u->stirred = true;
    return g_hash_table_lookup(u->objects, key);
}

static void judge(SlAgent *a, SlUnit *u, SlAgentObject *o, SlHealth health, const char *reason,
                  const char *message)
{
    bool changed = sl_verdict_set(&o->verdict, health, reason, message, a->now_us);
    sl_agent_report_object(a, u, o, changed);
    u->touched = true;
}

/* What could not be had (a model, a server that is away) is Unknown: it never makes a unit go back
 * by itself. */
static SlHealth health_of_error(const GError *error)
{
    switch (sl_error_class(error)) {
    case SL_CLASS_INVALID:
    case SL_CLASS_DENIED:
    case SL_CLASS_UNSUPPORTED:
    case SL_CLASS_CONFLICT:
        return SL_HEALTH_DEGRADED;
    default:
        return SL_HEALTH_UNKNOWN;
    }
}

static void fail(SlAgent *a, SlUnit *u, SlAgentObject *o, SlHealth health, const char *reason,
                 const GError *error)
{
    o->retry_us = a->elapsed_us + sl_agent_backoff(o->tries);
    o->tries++;
    g_autofree char *message = g_strdup_printf("SLU%04d %s", error->code, error->message);
    judge(a, u, o, health, reason, message);
    sl_agent_log(a, false, "operation-failed", "%s %s of %s: %s", o->kind, o->name, u->key,
                 message);
}

/* An engine answers each APPLY once, in their order. An answer names bytes: after v1, v2 and v1 again the
 * first one is about the wanted bytes, and v2 is still to come before they stand there. */
void sl_agent_applied(SlAgent *a, const SlAgentInput *in)
{
    SlUnit *u = NULL;
    SlAgentObject *o = find(a, &in->object, &u);
    if (o == NULL) {
        return;
    }
    o->unanswered -= MIN(o->unanswered, 1);
    if (o->unanswered > 0 || o->op != SL_OP_APPLY || g_strcmp0(in->digest, o->digest) != 0) {
        return;
    }
    o->op = SL_OP_NONE;
    if (in->error != NULL) {
        fail(a, u, o, health_of_error(in->error), "ApplyFailed", in->error);
        return;
    }
    o->applied = true;
    o->retry_us = 0;
    judge(a, u, o, SL_HEALTH_PROGRESSING, "Applied", "applied, not observed yet");
    sl_agent_lazy(a);
}

void sl_agent_removed(SlAgent *a, const SlAgentInput *in)
{
    SlUnit *u = NULL;
    SlAgentObject *o = find(a, &in->object, &u);
    if (o == NULL) {
        return;
    }
    u->touched = true;
    if (o->op != SL_OP_REMOVE) {
        o->applied = false; /* wanted again meanwhile: apply it (again) */
        return;
    }
    o->op = SL_OP_NONE;
    if (in->error != NULL) {
        fail(a, u, o, SL_HEALTH_UNKNOWN, "RemoveFailed", in->error);
        return;
    }
    g_autofree char *key = sl_object_key(o->kind, o->namespace_, o->name);
    g_hash_table_remove(u->objects, key);
    g_autofree char *entry =
        sl_agent_object_entry(u, in->object.kind, in->object.namespace_, in->object.name);
    sl_agent_entry(a, entry, NULL, true);
    sl_agent_lazy(a);
    a->keep_dirty = true;
}

void sl_agent_observed(SlAgent *a, const SlAgentInput *in)
{
    SlUnit *u = NULL;
    SlAgentObject *o = find(a, &in->object, &u);
    if (o == NULL || !o->applied) {
        return; /* about a version that is being replaced */
    }
    if (in->health == SL_HEALTH_HEALTHY) {
        o->tries = 0;
    }
    judge(a, u, o, in->health, in->reason != NULL ? in->reason : "",
          in->message != NULL ? in->message : "");
    if (in->health == SL_HEALTH_MISSING) {
        o->applied = false; /* drift: apply again, soon at first, slower if it keeps going away */
        o->retry_us = o->tries == 0 ? 0 : a->elapsed_us + sl_agent_backoff(o->tries);
        o->tries++;
    }
}
