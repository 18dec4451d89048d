/* health.c - verdicts: of an object as observed, of a unit as the worst of its objects on the
 * bundle in force. A unit with something left to remove is Progressing. The first time that a
 * bundle is Healthy here is durable: only such bundles may be gone back to. */
#include "agent/brain/state.h"

void sl_verdict_clear(SlVerdict *v)
{
    g_clear_pointer(&v->reason, g_free);
    g_clear_pointer(&v->message, g_free);
}

bool sl_verdict_set(SlVerdict *v, SlHealth health, const char *reason, const char *message,
                    int64_t now_us)
{
    bool changed = v->reason == NULL || v->health != health || strcmp(v->reason, reason) != 0;
    g_autofree char *text = sl_escape_for_people(message, 300);
    g_autofree char *word = sl_escape_for_people(reason, 64);
    if (changed) {
        v->since_us = now_us;
    }
    v->health = health;
    g_free(v->reason);
    g_free(v->message);
    v->reason = g_steal_pointer(&word);
    v->message = g_steal_pointer(&text);
    return changed;
}

static const SlAgentObject *worst_object(const SlUnit *u)
{
    const SlAgentObject *worst = NULL;
    for (guint i = 0; i < u->goal->goals->len; i++) {
        const SlGoal *g = u->goal->goals->pdata[i];
        const SlAgentObject *o = g->is_run ? NULL : g_hash_table_lookup(u->objects, g->key);
        if (o != NULL && (worst == NULL || o->verdict.health > worst->verdict.health)) {
            worst = o;
        }
    }
    return worst;
}

static unsigned to_remove(const SlUnit *u)
{
    unsigned n = 0;
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, u->objects);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        n += sl_plan_prunable(u, key, value) ? 1 : 0;
    }
    return n;
}

static bool judge_unit(SlAgent *a, SlUnit *u)
{
    if (!sl_gather_ready(u->goal)) {
        return sl_verdict_set(&u->verdict, SL_HEALTH_UNKNOWN, "Loading",
                              "the bundle in force is being read", a->now_us);
    }
    const SlAgentObject *worst = worst_object(u);
    if (worst != NULL && worst->verdict.health != SL_HEALTH_HEALTHY) {
        g_autofree char *message =
            g_strdup_printf("%s %s: %s", worst->kind, worst->name, worst->verdict.message);
        return sl_verdict_set(&u->verdict, worst->verdict.health, worst->verdict.reason, message,
                              a->now_us);
    }
    unsigned left = to_remove(u);
    if (left > 0) {
        g_autofree char *message = g_strdup_printf("%u objects are being removed", left);
        return sl_verdict_set(&u->verdict, SL_HEALTH_PROGRESSING, "Pruning", message, a->now_us);
    }
    return sl_verdict_set(&u->verdict, SL_HEALTH_HEALTHY,
                          worst != NULL ? "Healthy" : "NothingToApply", "", a->now_us);
}

static void remember_healthy(SlAgent *a, SlUnit *u)
{
    const char *bundle = sl_agent_unit_bundle(u);
    GPtrArray *kept = u->healthy;
    bool is_last = kept->len > 0 && strcmp(kept->pdata[kept->len - 1], bundle) == 0;
    if (is_last || u->goal->bundle->objects->len == 0) {
        return; /* nothing is no place to go back to: that is what remove is for */
    }
    for (guint i = 0; i < kept->len; i++) {
        if (strcmp(kept->pdata[i], bundle) == 0) {
            g_ptr_array_remove_index(kept, i);
            break;
        }
    }
    if (kept->len >= SL_AGENT_HEALTHY_KEPT) {
        g_ptr_array_remove_index(kept, 0);
    }
    g_ptr_array_add(kept, g_strdup(bundle));
    sl_agent_dirty(a);
    a->keep_dirty = true;
}

/* An object of the bundle was written and does not come up, or was refused. One that waits for its
 * turn or for the cluster's answer is not ill: a first apply takes as long as it takes (a model is
 * fetched first), and so does the removal of what the bundle no longer has. */
static bool is_ill(const SlUnit *u)
{
    const GPtrArray *goals = sl_gather_ready(u->goal) ? u->goal->goals : NULL;
    for (guint i = 0; goals != NULL && i < goals->len; i++) {
        const SlGoal *g = goals->pdata[i];
        const SlAgentObject *o = g->is_run ? NULL : g_hash_table_lookup(u->objects, g->key);
        SlHealth health = o != NULL ? o->verdict.health : SL_HEALTH_HEALTHY;
        bool waits = o != NULL && !o->applied && health == SL_HEALTH_PROGRESSING;
        if (!waits && health != SL_HEALTH_HEALTHY && health != SL_HEALTH_UNKNOWN) {
            return true;
        }
    }
    return false;
}

static void start_timer(int64_t *since, bool on, int64_t now)
{
    if (!on) {
        *since = -1;
    } else if (*since < 0) {
        *since = now;
    }
}

void sl_agent_health_settle(SlAgent *a, SlUnit *u)
{
    if (u->promotion == NULL) {
        return;
    }
    if (u->touched || u->verdict.reason == NULL) {
        u->touched = false;
        bool changed = judge_unit(a, u);
        SlHealth health = u->verdict.health;
        start_timer(&u->healthy_since_us, health == SL_HEALTH_HEALTHY, a->elapsed_us);
        start_timer(&u->degraded_since_us, health == SL_HEALTH_DEGRADED, a->elapsed_us);
        start_timer(&u->unwell_since_us, is_ill(u), a->elapsed_us);
        if (health == SL_HEALTH_HEALTHY) {
            remember_healthy(a, u);
        }
        sl_agent_report_unit(a, u, changed);
    }
    if (!u->confirmed && u->healthy_since_us >= 0) {
        if (a->elapsed_us - u->healthy_since_us >= SL_AGENT_CONFIRM_US) {
            u->confirmed = true;
            sl_agent_lazy(a);
        } else if (u->auto_bundle != NULL) {
            sl_agent_wake(a, u->healthy_since_us + SL_AGENT_CONFIRM_US);
        }
    }
}
