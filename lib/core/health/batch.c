/* batch.c - Job and CronJob. A condition counts only with its status: a Job that was resumed keeps Suspended=False, and is running,
 * not done. */
#include "core/health/case.h"
#include <inttypes.h>
#include <string.h>

static bool judge_end(SlHealthCase *c)
{
    const json_t *failed = sl_case_is(c, "Failed", "True");
    const json_t *fails = sl_case_is(c, "FailureTarget", "True");
    if (failed != NULL || fails != NULL) {
        return sl_case_failed(c, "Failed", failed != NULL ? failed : fails);
    }
    if (sl_case_is(c, "Complete", "True") != NULL) {
        return sl_case_finished(c, "Complete", "status.conditions[Complete]");
    }
    const json_t *met = sl_case_is(c, "SuccessCriteriaMet", "True");
    return met != NULL && sl_case_say(c, SL_HEALTH_PROGRESSING, "Finishing",
                                      "status.conditions[SuccessCriteriaMet]",
                                      "succeeded; its last Pods are ending");
}

bool sl_health_of_job(SlHealthCase *c)
{
    if (judge_end(c)) {
        return true;
    }
    bool suspend = sl_json_bool(c->object, "spec.suspend", false);
    /* A Job that runs elsewhere (MultiKueue) is looked at by its queue alone: it has no conditions. */
    if (suspend && (sl_case_queue_managed(c) || sl_case_is(c, "Suspended", "True") != NULL)) {
        return sl_case_suspended(c, "spec.suspend");
    }
    if (suspend) {
        return sl_case_say(c, SL_HEALTH_PROGRESSING, "Suspending", "spec.suspend",
                           "is being suspended");
    }
    if (*sl_case_str(c, "status.startTime") == '\0') {
        return sl_case_say(c, SL_HEALTH_PROGRESSING, "NotStarted", "status.startTime",
                           "is not started yet");
    }
    int64_t parallel = sl_case_int(c, "spec.parallelism", 1);
    int64_t succeeded = sl_case_int(c, "status.succeeded", 0);
    int64_t wanted = sl_case_int(c, "spec.completions", parallel + succeeded);
    int64_t needed = MIN(parallel, wanted - succeeded);
    int64_t ready = sl_case_int(c, "status.ready", -1);
    int64_t failed = sl_case_int(c, "status.failed", 0);
    bool drains = sl_json_at(c->spec, "completions") == NULL && succeeded > 0;
    if (drains || *sl_case_str(c, "status.failedIndexes") != '\0') { /* not all are replaced */
        needed = MIN(needed, MAX(sl_case_int(c, "status.active", 0), 1));
    }
    if (ready >= 0 && ready < needed) { /* active Pods may be pending: only ready ones run */
        return sl_case_wait(c, sl_case_start_timer(c), "Pending", "status.ready",
                            "%" PRId64 " of %" PRId64 " Pods run; %" PRId64 " failed so far", ready,
                            needed, failed);
    }
    return sl_case_wait(c, SL_TIMER_NEVER, "Running", "status.ready",
                        "runs; %" PRId64 " of %" PRId64 " succeeded, %" PRId64 " failed so far",
                        succeeded, wanted, failed);
}

bool sl_health_of_cron_job(SlHealthCase *c)
{
    int64_t scheduled_us = sl_time_at(c->object, "status.lastScheduleTime");
    int64_t succeeded_us = sl_time_at(c->object, "status.lastSuccessfulTime");
    if (sl_json_bool(c->object, "spec.suspend", false)) {
        c->verdict->neutral = true;
        return sl_case_say(c, SL_HEALTH_SUSPENDED, "Suspended", "spec.suspend",
                           "suspended by its spec");
    }
    if (json_array_size(sl_json_at(c->object, "status.active")) > 0) {
        return sl_case_say(c, SL_HEALTH_HEALTHY, "Active", "status.active", "a run is going");
    }
    if (scheduled_us > succeeded_us) {
        return sl_case_say(c, SL_HEALTH_DEGRADED, "LastRunFailed", "status.lastSuccessfulTime",
                           "the run of %s did not succeed",
                           sl_case_str(c, "status.lastScheduleTime"));
    }
    c->settled = true;
    return sl_case_say(c, SL_HEALTH_HEALTHY, "Scheduled", "status.lastScheduleTime",
                       scheduled_us > 0 ? "its last run succeeded" : "waits for its first time");
}
