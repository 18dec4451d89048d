/* apis.c - what adds kinds to a cluster: CustomResourceDefinition and APIService. */
#include "core/health/case.h"

bool sl_health_of_definition(SlHealthCase *c)
{
    const json_t *refused = sl_case_is(c, "NamesAccepted", "False");
    const json_t *loose = sl_case_is(c, "NonStructuralSchema", "True");
    const json_t *served = sl_case_is(c, "Established", "True");
    if (refused != NULL || loose != NULL) {
        return sl_case_say_condition(c, SL_HEALTH_DEGRADED, "NamesConflict",
                                     refused != NULL ? refused : loose);
    }
    if (served != NULL) {
        return sl_case_say_condition(c, SL_HEALTH_HEALTHY, "Established", served);
    }
    return sl_case_say(c, SL_HEALTH_PROGRESSING, "NotEstablished", "status.conditions[Established]",
                       "its kind is not served yet");
}

bool sl_health_of_api_service(SlHealthCase *c)
{
    const json_t *available = sl_case_condition(c, "Available");
    if (sl_case_is(c, "Available", "True") != NULL) {
        return sl_case_say_condition(c, SL_HEALTH_HEALTHY, "Available", available);
    }
    if (available == NULL) {
        return sl_case_say(c, SL_HEALTH_PROGRESSING, "NotAvailable", "status.conditions[Available]",
                           "is not available yet");
    }
    return sl_case_say_condition(c, SL_HEALTH_PROGRESSING, "NotAvailable", available);
}
