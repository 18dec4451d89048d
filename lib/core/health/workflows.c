/* workflows.c - Argo's Workflow and CronWorkflow, Tekton's runs. */
#include "core/health/case.h"
#include <string.h>

bool sl_health_of_workflow(SlHealthCase *c)
{
    const char *phase = sl_case_str(c, "status.phase");
    const char *message = sl_case_str(c, "status.message");
    if (strcmp(phase, "Succeeded") == 0) {
        return sl_case_finished(c, "Succeeded", "status.phase");
    }
    if (sl_is_one_of(phase, " Failed Error ")) {
        c->verdict->final = true;
        return sl_case_say(c, SL_HEALTH_DEGRADED, phase, "status.phase", "%s", message);
    }
    if (sl_json_bool(c->object, "spec.suspend", false)) {
        return sl_case_say(c, SL_HEALTH_SUSPENDED, "Suspended", "spec.suspend",
                           "suspended by its spec");
    }
    bool runs = strcmp(phase, "Running") == 0;
    return sl_case_wait(c, runs ? SL_TIMER_NEVER : SL_TIMER_GENERIC, runs ? "Running" : "Pending",
                        "status.phase", "%s",
                        *message != '\0' ? message
                        : runs           ? "runs"
                                         : "is not started yet");
}

bool sl_health_of_cron_workflow(SlHealthCase *c)
{
    const json_t *spec = sl_case_is(c, "SpecError", "True");
    const json_t *submission = sl_case_is(c, "SubmissionError", "True");
    if (spec != NULL || submission != NULL) {
        return sl_case_say_condition(c, SL_HEALTH_DEGRADED, "SpecError",
                                     spec != NULL ? spec : submission);
    }
    if (sl_json_bool(c->object, "spec.suspend", false)) {
        c->verdict->neutral = true;
        return sl_case_say(c, SL_HEALTH_SUSPENDED, "Suspended", "spec.suspend",
                           "suspended by its spec");
    }
    return sl_case_say(c, SL_HEALTH_HEALTHY, "Scheduled", "status", "waits for its time");
}

bool sl_health_of_tekton_run(SlHealthCase *c)
{
    const json_t *condition = sl_case_condition(c, "Succeeded");
    const char *status = sl_json_str_or(condition, "status", "");
    const char *reason = sl_condition_reason(condition);
    if (strcmp(status, "True") == 0) {
        return sl_case_finished(c, "Succeeded", "status.conditions[Succeeded]");
    }
    if (strcmp(status, "False") == 0) {
        return sl_case_failed(c, "Failed", condition);
    }
    if (g_str_has_suffix(reason, "Pending")) {
        return sl_case_say_condition(c, SL_HEALTH_SUSPENDED, "Pending", condition);
    }
    if (condition == NULL) {
        return sl_case_say(c, SL_HEALTH_PROGRESSING, "NotStarted", "status.conditions[Succeeded]",
                           "is not started yet");
    }
    sl_case_say_condition(c, SL_HEALTH_PROGRESSING, "Running", condition);
    c->timer = strcmp(reason, "Running") == 0 ? SL_TIMER_NEVER : SL_TIMER_GENERIC;
    return true;
}
