/* rollback.c - going back without anybody: to the bundle of `auto-rollback-to`, when health fails
 * before the new one was confirmed. The unit then stays there (latched, reported) until a promotion
 * with a higher seq. Unknown - a fetch that failed, a cluster that does not answer - never triggers
 * it. The target was healthy here: checks_unit.c saw to that when the promotion was accepted. */
#include "agent/brain/state.h"

static char *why_back(SlAgent *a, const SlUnit *u)
{
    if (u->degraded_since_us >= 0) {
        if (a->elapsed_us - u->degraded_since_us >= SL_AGENT_DEGRADED_US) {
            return g_strdup_printf("Degraded: %s", u->verdict.message);
        }
        sl_agent_wake(a, u->degraded_since_us + SL_AGENT_DEGRADED_US);
    }
    if (u->unwell_since_us >= 0) {
        if (a->elapsed_us - u->unwell_since_us >= SL_AGENT_HEALTH_US) {
            return g_strdup_printf("not Healthy in time: %s", u->verdict.message);
        }
        sl_agent_wake(a, u->unwell_since_us + SL_AGENT_HEALTH_US);
    }
    return NULL;
}

/* Held up is not ill: time under a pause does not count. */
static void start_again(const SlAgent *a, SlUnit *u)
{
    u->degraded_since_us = u->degraded_since_us >= 0 ? a->elapsed_us : -1;
    u->unwell_since_us = u->unwell_since_us >= 0 ? a->elapsed_us : -1;
}

static char *refusal_of(const SlUnit *u)
{
    return g_strdup_printf("back/%s", u->key);
}

void sl_agent_rollback_unrefuse(SlAgent *a, const SlUnit *u)
{
    g_autofree char *what = refusal_of(u);
    sl_agent_unrefuse(a, what);
}

/* The root may have taken a kind or a namespace back since this ran: it is not applied again. */
static bool may_go_back(SlAgent *a, const SlUnit *u)
{
    g_autoptr(GError) error = NULL;
    if (sl_check_objects(a, u, u->spare, (const char *const *)u->auto_privileged, &error)) {
        sl_agent_rollback_unrefuse(a, u);
        return true;
    }
    g_autofree char *what = refusal_of(u);
    (void)sl_prefix(&error, "going back to bundle %.12s", u->auto_bundle);
    sl_agent_refuse_promotion(a, what, "object-policy", u->auto_promotion, error);
    return false;
}

void sl_agent_rollback_settle(SlAgent *a, SlUnit *u)
{
    int64_t until = 0;
    if (u->promotion == NULL || u->auto_bundle == NULL || u->latch_reason != NULL || u->confirmed ||
        !sl_gather_ready(u->spare)) {
        return;
    }
    if (!sl_agent_epoch_in_force(a, u)) {
        return; /* the promotion that allows it is void */
    }
    if (sl_agent_paused(a, u->app, &until) || sl_agent_is_lost(a, u->app)) {
        start_again(a, u);
        return;
    }
    g_autofree char *why = why_back(a, u);
    if (why == NULL) {
        sl_agent_rollback_unrefuse(a, u);
        return;
    }
    if (!may_go_back(a, u)) {
        return;
    }
    sl_plan_enter(a, u, u->spare);
    sl_gather_free(u->goal);
    u->goal = g_steal_pointer(&u->spare);
    u->latch_reason = g_steal_pointer(&why);
    u->latch_us = a->now_us;
    u->healthy_since_us = u->degraded_since_us = u->unwell_since_us = -1;
    u->touched = true;
    sl_agent_log(a, true, "rolled-back", "%s: back to bundle %.12s: %s", u->key, u->auto_bundle,
                 u->latch_reason);
    sl_agent_dirty(a);
    sl_agent_health_settle(a, u);
}
