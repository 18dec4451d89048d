/* policy.c - HorizontalPodAutoscaler and PodDisruptionBudget. */
#include "core/health/case.h"
#include <string.h>

bool sl_health_of_autoscaler(SlHealthCase *c)
{
    const json_t *unable = sl_case_is(c, "AbleToScale", "False");
    const json_t *inactive = sl_case_is(c, "ScalingActive", "False");
    if (sl_is_one_of(sl_condition_reason(unable), " FailedGetScale FailedUpdateScale ")) {
        return sl_case_say_condition(c, SL_HEALTH_DEGRADED, "FailedGetScale", unable);
    }
    const char *why = sl_condition_reason(inactive);
    if (strcmp(why, "InvalidSelector") == 0 ||
        (g_str_has_prefix(why, "FailedGet") && g_str_has_suffix(why, "Metric"))) {
        return sl_case_say_condition(c, SL_HEALTH_DEGRADED, "FailedGetMetric", inactive);
    }
    const json_t *able = sl_case_is(c, "AbleToScale", "True");
    const json_t *limited = sl_case_is(c, "ScalingLimited", "True");
    if (able != NULL || limited != NULL) {
        return sl_case_say_condition(c, SL_HEALTH_HEALTHY, "AbleToScale",
                                     able != NULL ? able : limited);
    }
    return sl_case_say(c, SL_HEALTH_PROGRESSING, "NotScaled", "status.conditions",
                       "has not scaled anything yet");
}

bool sl_health_of_disruption_budget(SlHealthCase *c)
{
    size_t i = 0;
    json_t *each = NULL;
    int64_t generation = sl_case_int(c, "metadata.generation", 0);
    json_array_foreach (sl_json_at(c->object, "status.conditions"), i, each) {
        /* Too few Pods is what the Pods' owner is judged by; the budget itself works. */
        if (strcmp(sl_json_str_or(each, "status", ""), "False") == 0 &&
            strcmp(sl_condition_reason(each), "InsufficientPods") != 0 &&
            !sl_condition_is_old(each, generation)) {
            return sl_case_say_condition(c, SL_HEALTH_DEGRADED, "Failed", each);
        }
    }
    return sl_case_say(c, SL_HEALTH_HEALTHY, "Observed", "status.observedGeneration",
                       "is in force");
}
