/* devices.c - dynamic resource allocation and gangs: ResourceClaim, PodGroup. */
#include "core/health/case.h"
#include <string.h>

bool sl_health_of_resource_claim(SlHealthCase *c)
{
    size_t i = 0;
    json_t *device = NULL;
    if (!json_is_object(json_object_get(c->status, "allocation"))) {
        return sl_case_say(c, SL_HEALTH_PROGRESSING, "NotAllocated", "status.allocation",
                           "no device is allocated yet");
    }
    json_array_foreach (sl_json_at(c->object, "status.devices"), i, device) {
        const json_t *broken =
            sl_condition_in(json_object_get(device, "conditions"), "Ready", "False", 0);
        if (broken != NULL) {
            const char *message = sl_condition_message(broken);
            return sl_case_say(c, SL_HEALTH_DEGRADED, "DeviceNotReady", "status.devices",
                               "device %s of %s is not ready: %s",
                               sl_json_str_or(device, "device", "?"),
                               sl_json_str_or(device, "driver", "?"),
                               *message != '\0' ? message : sl_condition_reason(broken));
        }
    }
    return sl_case_say(c, SL_HEALTH_HEALTHY, "Allocated", "status.allocation",
                       "its devices are allocated");
}

bool sl_health_of_pod_group(SlHealthCase *c)
{
    static const char type[] = "PodGroupInitiallyScheduled";
    const json_t *scheduled = sl_case_is(c, type, "True");
    const json_t *waits = sl_case_is(c, type, "False");
    const json_t *target = sl_case_is(c, "DisruptionTarget", "True");
    if (target != NULL) { /* before the first: that one never goes back */
        c->verdict->failure = sl_pod_disruption(target);
        return sl_case_say(c, SL_HEALTH_PROGRESSING, "Preempted",
                           "status.conditions[DisruptionTarget]", "%s: %s",
                           sl_condition_reason(target), sl_condition_message(target));
    }
    if (scheduled != NULL) {
        return sl_case_say_condition(c, SL_HEALTH_HEALTHY, "Scheduled", scheduled);
    }
    if (waits != NULL) {
        return sl_case_say_condition(c, SL_HEALTH_PROGRESSING, "Unschedulable", waits);
    }
    return sl_case_say(c, SL_HEALTH_PROGRESSING, "NotScheduled", "status.conditions",
                       "the scheduler has not looked at it yet");
}
