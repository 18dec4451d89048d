/* kueue.c - queues, what they are made of, and the Workloads in them. */
#include "core/health/case.h"
#include <string.h>

bool sl_health_of_queue_part(SlHealthCase *c)
{
    const json_t *inactive = sl_case_is(c, "Active", "False");
    const json_t *active = sl_case_is(c, "Active", "True");
    if (inactive != NULL) {
        return sl_case_say_condition(c, SL_HEALTH_DEGRADED, "NotActive", inactive);
    }
    return active != NULL ? sl_case_say_condition(c, SL_HEALTH_HEALTHY, "Active", active)
                          : sl_case_say(c, SL_HEALTH_PROGRESSING, "NotActive",
                                        "status.conditions[Active]", "is not active yet");
}

bool sl_health_of_queue(SlHealthCase *c)
{
    const char *stop = sl_case_str(c, "spec.stopPolicy");
    if (*stop != '\0' && strcmp(stop, "None") != 0) {
        return sl_case_say(c, SL_HEALTH_SUSPENDED, "Stopped", "spec.stopPolicy",
                           "stopped by its spec: %s", stop);
    }
    return sl_health_of_queue_part(c);
}

static bool queued(SlHealthCase *c, const char *reason, const json_t *condition)
{
    sl_case_say_condition(c, SL_HEALTH_PROGRESSING, reason, condition);
    g_strlcpy(c->verdict->reason, reason, sizeof c->verdict->reason);
    c->verdict->queued = true;
    c->timer = SL_TIMER_QUEUE;
    return true;
}

static bool judge_waiting(SlHealthCase *c)
{
    const json_t *evicted = sl_case_is(c, "Evicted", "True");
    bool reserved = sl_case_is(c, "QuotaReserved", "True") != NULL;
    if (evicted != NULL && !reserved) {
        const char *why = sl_condition_reason(evicted);
        if (g_str_has_prefix(why, "Deactivated")) {
            return sl_case_say_condition(c, SL_HEALTH_SUSPENDED, "Deactivated", evicted);
        }
        bool preempted = strcmp(why, "Preempted") == 0;
        c->verdict->failure = preempted ? SL_POD_FAILURE_PREEMPTED : SL_POD_FAILURE_NONE;
        return queued(c, preempted ? "Preempted" : "Queued", evicted);
    }
    if (reserved) {
        return queued(c, "AdmissionChecks", sl_case_is(c, "QuotaReserved", "True"));
    }
    const json_t *waits = sl_case_is(c, "QuotaReserved", "False");
    if (waits != NULL) {
        return queued(c, "Queued", waits);
    }
    c->verdict->queued = true;
    return sl_case_wait(c, SL_TIMER_QUEUE, "Queued", "status.conditions[QuotaReserved]",
                        "waits for quota of its queue");
}

bool sl_health_of_workload(SlHealthCase *c)
{
    const json_t *finished = sl_case_is(c, "Finished", "True");
    const json_t *recovers = sl_case_is(c, "PodsReady", "False");
    if (finished != NULL) { /* JobFinished: the word of versions that didn't say how */
        return sl_is_one_of(sl_condition_reason(finished), " Succeeded JobFinished ")
                   ? sl_case_finished(c, "Succeeded", "status.conditions[Finished]")
                   : sl_case_failed(c, "Failed", finished);
    }
    if (!sl_json_bool(c->object, "spec.active", true)) {
        return sl_case_say(c, SL_HEALTH_SUSPENDED, "Deactivated", "spec.active",
                           "deactivated by its spec");
    }
    if (sl_case_is(c, "Admitted", "True") == NULL) {
        return judge_waiting(c);
    }
    if (recovers != NULL && strcmp(sl_condition_reason(recovers), "WaitForRecovery") == 0) {
        return sl_case_say_condition(c, SL_HEALTH_PROGRESSING, "WaitForRecovery", recovers);
    }
    bool runs = sl_case_is(c, "PodsReady", "True") != NULL;
    return sl_case_wait(c, SL_TIMER_NEVER, runs ? "Running" : "Admitted",
                        runs ? "status.conditions[PodsReady]" : "status.conditions[Admitted]",
                        runs ? "runs" : "has its quota");
}
