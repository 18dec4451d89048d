/* kserve.c - InferenceService and LLMInferenceService: a model that is loaded, and a way to it. */
#include "core/health/case.h"
#include <inttypes.h>
#include <string.h>

/* The first condition besides Ready that isn't True, for the message. */
static const json_t *first_unready(const SlHealthCase *c)
{
    size_t i = 0;
    json_t *each = NULL;
    json_array_foreach (sl_json_at(c->object, "status.conditions"), i, each) {
        const char *type = sl_json_str_or(each, "type", "");
        if (strcmp(type, "Ready") != 0 && strcmp(type, "Stopped") != 0 &&
            strcmp(sl_json_str_or(each, "status", ""), "True") != 0) {
            return each;
        }
    }
    return NULL;
}

static bool judge_stopped(SlHealthCase *c)
{
    return sl_case_is(c, "Stopped", "True") != NULL &&
           sl_case_say(c, SL_HEALTH_SUSPENDED, "Stopped", "status.conditions[Stopped]",
                       "stopped by its annotation");
}

static bool judge_ready_or_wait(SlHealthCase *c)
{
    const json_t *ready = sl_case_is(c, "Ready", "True");
    if (ready != NULL) {
        return sl_case_say_condition(c, SL_HEALTH_HEALTHY, "Ready", ready);
    }
    const json_t *part = first_unready(c);
    if (part == NULL) {
        return sl_case_say(c, SL_HEALTH_PROGRESSING, "NotReady", "status.conditions[Ready]",
                           "is not ready yet");
    }
    return sl_case_say(c, SL_HEALTH_PROGRESSING, "NotReady", "status.conditions",
                       "%s is %s: %s%s%s", sl_json_str_or(part, "type", "?"),
                       sl_json_str_or(part, "status", "?"), sl_condition_reason(part),
                       *sl_condition_message(part) != '\0' ? ": " : "", sl_condition_message(part));
}

bool sl_health_of_inference_service(SlHealthCase *c)
{
    const char *transition = sl_case_str(c, "status.modelStatus.transitionStatus");
    if (judge_stopped(c)) {
        return true;
    }
    if (sl_is_one_of(transition, " BlockedByFailedLoad InvalidSpec ")) {
        return sl_case_say(c, SL_HEALTH_DEGRADED, transition, "status.modelStatus.transitionStatus",
                           "%s: %s (exit code %" PRId64 ")",
                           sl_case_str(c, "status.modelStatus.lastFailureInfo.reason"),
                           sl_case_str(c, "status.modelStatus.lastFailureInfo.message"),
                           sl_case_int(c, "status.modelStatus.lastFailureInfo.exitCode", 0));
    }
    if (strcmp(transition, "InProgress") == 0) {
        return sl_case_say(c, SL_HEALTH_PROGRESSING, "InProgress",
                           "status.modelStatus.transitionStatus", "the model is %s",
                           sl_case_str(c, "status.modelStatus.states.targetModelState"));
    }
    return judge_ready_or_wait(c);
}

bool sl_health_of_llm_service(SlHealthCase *c)
{
    const json_t *ready = sl_case_is(c, "Ready", "False");
    const json_t *part = first_unready(c);
    if (judge_stopped(c)) {
        return true;
    }
    /* It has no condition for it: its parts say why they don't run. */
    if (strcmp(sl_condition_reason(part), "Stopped") == 0) {
        return sl_case_say(c, SL_HEALTH_SUSPENDED, "Stopped", "status.conditions",
                           "stopped by its annotation");
    }
    if (ready != NULL && sl_is_terminal_reason(sl_condition_reason(ready))) {
        return sl_case_say_condition(c, SL_HEALTH_DEGRADED, "NotReady", ready);
    }
    return judge_ready_or_wait(c);
}
