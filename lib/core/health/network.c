/* network.c - Ingress, Gateway and HTTPRoute. */
#include "core/health/case.h"
#include <string.h>

bool sl_health_of_ingress(SlHealthCase *c)
{
    static const char path[] = "status.loadBalancer.ingress";
    if (json_array_size(sl_json_at(c->object, path)) > 0) {
        return sl_case_say(c, SL_HEALTH_HEALTHY, "AddressAssigned", path, "has an address");
    }
    if (c->context->ingress_filled) {
        return sl_case_say(c, SL_HEALTH_PROGRESSING, "AddressPending", path,
                           "waits for its address");
    }
    c->settled = true; /* many controllers never write one: waiting for it would never end */
    return sl_case_say(c, SL_HEALTH_HEALTHY, "Exists", path,
                       "has no address; its controller isn't known to write one");
}

/* The first of two conditions that says False about this generation. */
static const json_t *refused(const json_t *list, int64_t generation)
{
    const json_t *accepted = sl_condition_in(list, "Accepted", "False", generation);
    return accepted != NULL ? accepted : sl_condition_in(list, "ResolvedRefs", "False", generation);
}

bool sl_health_of_gateway(SlHealthCase *c)
{
    int64_t generation = sl_case_int(c, "metadata.generation", 0);
    const json_t *bad = refused(json_object_get(c->status, "conditions"), generation);
    size_t i = 0;
    json_t *listener = NULL;
    json_array_foreach (sl_json_at(c->object, "status.listeners"), i, listener) {
        bad = bad != NULL ? bad : refused(json_object_get(listener, "conditions"), generation);
    }
    if (bad != NULL) {
        return sl_case_say_condition(c, SL_HEALTH_DEGRADED, "NotAccepted", bad);
    }
    const json_t *programmed = sl_case_is(c, "Programmed", "True");
    if (programmed == NULL) {
        const json_t *not_yet = sl_case_condition(c, "Programmed");
        return sl_case_say(c, SL_HEALTH_PROGRESSING, "NotProgrammed",
                           "status.conditions[Programmed]",
                           "its controller has not set it up yet%s%s", not_yet != NULL ? ": " : "",
                           sl_condition_message(not_yet));
    }
    return sl_case_say_condition(c, SL_HEALTH_HEALTHY, "Programmed", programmed);
}

bool sl_health_of_route(SlHealthCase *c)
{
    int64_t generation = sl_case_int(c, "metadata.generation", 0);
    size_t i = 0;
    size_t accepted = 0;
    json_t *parent = NULL;
    const json_t *parents = sl_json_at(c->object, "status.parents");
    json_array_foreach (parents, i, parent) {
        const json_t *list = json_object_get(parent, "conditions");
        const json_t *bad = refused(list, generation);
        if (bad != NULL) {
            return sl_case_say_condition(c, SL_HEALTH_DEGRADED, "NotAccepted", bad);
        }
        accepted += sl_condition_in(list, "Accepted", "True", generation) != NULL ? 1 : 0;
    }
    if (accepted == 0 || accepted < json_array_size(parents)) {
        return sl_case_say(c, SL_HEALTH_PROGRESSING, "NotAccepted", "status.parents",
                           "%zu of %zu gateways have accepted it", accepted,
                           json_array_size(parents));
    }
    return sl_case_say(c, SL_HEALTH_HEALTHY, "Accepted", "status.parents",
                       "accepted by %zu gateway%s", accepted, accepted == 1 ? "" : "s");
}
