/* core.c - claims, services, namespaces, nodes. */
#include "core/health/case.h"
#include <inttypes.h>
#include <string.h>

bool sl_health_of_claim(SlHealthCase *c)
{
    static const char *const resizes[] = {"Resizing", "FileSystemResizePending"};
    const char *phase = sl_case_str(c, "status.phase");
    if (strcmp(phase, "Lost") == 0) {
        return sl_case_say(c, SL_HEALTH_DEGRADED, "Lost", "status.phase", "its volume is gone");
    }
    if (strcmp(phase, "Bound") != 0) {
        if (c->context->waits_for_pod) {
            return sl_case_wait(c, SL_TIMER_NEVER, "WaitForFirstConsumer", "status.phase",
                                "is bound when the first Pod uses it");
        }
        return sl_case_say(c, SL_HEALTH_PROGRESSING, "Pending", "status.phase",
                           "waits for a volume");
    }
    for (size_t i = 0; i < G_N_ELEMENTS(resizes); i++) {
        const json_t *resize = sl_case_is(c, resizes[i], "True");
        if (resize != NULL) {
            return sl_case_say_condition(c, SL_HEALTH_PROGRESSING, resizes[i], resize);
        }
    }
    return sl_case_say(c, SL_HEALTH_HEALTHY, "Bound", "status.phase", "bound to volume %s",
                       sl_case_str(c, "spec.volumeName"));
}

bool sl_health_of_service(SlHealthCase *c)
{
    static const char path[] = "status.loadBalancer.ingress";
    if (strcmp(sl_case_str(c, "spec.type"), "LoadBalancer") == 0) {
        if (json_array_size(sl_json_at(c->object, path)) == 0) {
            return sl_case_say(c, SL_HEALTH_PROGRESSING, "AddressPending", path,
                               "waits for the address of its load balancer");
        }
        return sl_case_say(c, SL_HEALTH_HEALTHY, "AddressAssigned", path, "has an address");
    }
    c->settled = true;
    return sl_case_say(c, SL_HEALTH_HEALTHY, "Exists", "spec.type",
                       "needs no address from outside");
}

bool sl_health_of_namespace(SlHealthCase *c)
{
    if (strcmp(sl_case_str(c, "status.phase"), "Active") == 0) {
        c->settled = true;
        return sl_case_say(c, SL_HEALTH_HEALTHY, "Active", "status.phase", "is active");
    }
    bool ends = strcmp(sl_case_str(c, "status.phase"), "Terminating") == 0;
    return sl_case_say(c, SL_HEALTH_PROGRESSING, ends ? "Terminating" : "Pending", "status.phase",
                       ends ? "is being emptied" : "is not active yet");
}

static bool is_gpu(const char *resource)
{
    static const char *const prefixes[] = {
        "nvidia.com/gpu",  "nvidia.com/mig-", "amd.com/gpu",           "gpu.intel.com/",
        "habana.ai/gaudi", "google.com/tpu",  "aws.amazon.com/neuron", "huawei.com/Ascend"};
    for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++) {
        if (g_str_has_prefix(resource, prefixes[i])) {
            return true;
        }
    }
    return false;
}

static bool judge_gpus(SlHealthCase *c)
{
    const char *name = NULL;
    json_t *capacity = NULL;
    const json_t *allocatable = json_object_get(c->status, "allocatable");
    json_object_foreach (sl_json_at(c->object, "status.capacity"), name, capacity) {
        int64_t has = 0;
        int64_t gives = 0;
        if (!is_gpu(name) || !sl_number_at(capacity, "", &has)) {
            continue;
        }
        const json_t *given = json_object_get(allocatable, name);
        if ((given == NULL || sl_number_at(given, "", &gives)) && gives < has) {
            return sl_case_say(c, SL_HEALTH_DEGRADED, "GpuLost", "status.allocatable",
                               "%" PRId64 " of %" PRId64 " %s can be used", gives, has, name);
        }
    }
    return false;
}

bool sl_health_of_node(SlHealthCase *c)
{
    const json_t *ready = sl_case_condition(c, "Ready");
    if (ready == NULL || strcmp(sl_json_str_or(ready, "status", ""), "True") != 0) {
        return sl_case_say_condition(c, SL_HEALTH_DEGRADED, "NotReady", ready);
    }
    if (sl_json_bool(c->object, "spec.unschedulable", false)) {
        return sl_case_say(c, SL_HEALTH_SUSPENDED, "Unschedulable", "spec.unschedulable",
                           "takes no new Pods");
    }
    return judge_gpus(c) || sl_case_say_condition(c, SL_HEALTH_HEALTHY, "Ready", ready);
}
