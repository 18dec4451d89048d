/* pod.c - Pods: phase, containers that can't start, the node they wait for. A Pod that ends or fails to start under OnFailure or
 * Never is not Degraded by that: whoever owns it may try again. */
#include "core/health/case.h"
#include <inttypes.h>
#include <string.h>

#define CRASHES_MIN 2 /* one crash happens; the second within the window is a loop */
#define CRASH_HOLD_US (60 * SL_SECOND_US) /* a container between two crashes looks well */

static const char *const lists[] = {"status.initContainerStatuses", "status.containerStatuses"};
static const char crash_loop[] = "CrashLoopBackOff";

typedef struct {
    const json_t *status; /* of the container */
    const char *path;
} Container;

static bool is_error(const char *reason)
{
    return g_str_has_prefix(reason, "Err") || g_str_has_suffix(reason, "Error") ||
           g_str_has_suffix(reason, "BackOff");
}

/* First container that waits, for an error or (@errors false) for anything. */
static bool find_waiting(const SlHealthCase *c, bool errors, Container *ret)
{
    for (size_t l = 0; l < G_N_ELEMENTS(lists); l++) {
        size_t i = 0;
        json_t *each = NULL;
        json_array_foreach (sl_json_at(c->object, lists[l]), i, each) {
            const char *reason = sl_json_str(each, "state.waiting.reason");
            if (reason != NULL && (!errors || is_error(reason))) {
                *ret = (Container){each, lists[l]};
                return true;
            }
        }
    }
    return false;
}

static int64_t restarts(const json_t *container)
{
    return sl_json_int(container, "restartCount", 0);
}

/* Twice within the window: as far as we looked, or by the times that the object itself names. */
static bool is_crash_loop(const SlHealthCase *c, const json_t *container)
{
    int64_t now_us = c->context->now_us;
    int64_t seen = sl_state_restarts(c->state, now_us);
    bool known = c->state->restart_count > 0 && !c->context->snapshot &&
                 c->state->restarts[0].at_us <= now_us - SL_RESTART_WINDOW_US;
    bool looped = c->state->judged && strcmp(c->state->reason, crash_loop) == 0;
    if (known) { /* at its longest, the back-off fits only once or twice into the window */
        return seen >= (looped ? 1 : CRASHES_MIN);
    }
    int64_t ended_us = sl_time_at(container, "lastState.terminated.finishedAt");
    return seen >= CRASHES_MIN ||
           (restarts(container) >= CRASHES_MIN && ended_us > now_us - SL_RESTART_WINDOW_US);
}

static bool judge_error(SlHealthCase *c, const Container *at)
{
    const char *reason = sl_json_str_or(at->status, "state.waiting.reason", "");
    const char *message = sl_json_str_or(at->status, "state.waiting.message", "");
    const char *name = sl_json_str_or(at->status, "name", "?");
    const char *policy = sl_case_str(c, "spec.restartPolicy");
    bool crash = strcmp(reason, crash_loop) == 0;
    g_auto(SlPodEnd) end = {0};
    g_autofree char *path = g_strdup_printf("%s[%s].state.waiting.reason", at->path, name);
    if (crash) {
        sl_pod_end(c->object, &end);
        c->verdict->failure = end.failure;
        message = end.message;
    }
    if (*policy != '\0' && strcmp(policy, "Always") != 0) {
        return sl_case_wait(c, SL_TIMER_IMAGE, reason, path,
                            "container %s: %s; its owner may try again", name, message);
    }
    if (crash && !is_crash_loop(c, at->status)) {
        return sl_case_say(c, SL_HEALTH_PROGRESSING, "Restarting", path,
                           "restarted %" PRId64 " time%s: %s", restarts(at->status),
                           restarts(at->status) == 1 ? "" : "s", message);
    }
    return sl_case_say(c, SL_HEALTH_DEGRADED, reason, path, "%s%s%s%s", crash ? "" : "container ",
                       crash ? "" : name, crash ? "" : ": ", message);
}

/* It crashed in a loop, and was started a moment ago: that it runs says nothing yet. */
static bool judge_between_crashes(SlHealthCase *c)
{
    int64_t now_us = c->context->now_us;
    if (!c->state->judged || strcmp(c->state->reason, crash_loop) != 0) {
        return false;
    }
    size_t i = 0;
    json_t *each = NULL;
    json_array_foreach (sl_json_at(c->object, lists[1]), i, each) {
        int64_t started_us = sl_time_at(each, "state.running.startedAt");
        if (restarts(each) > 0 && started_us > now_us - CRASH_HOLD_US && started_us <= now_us) {
            c->verdict->next_us = started_us + CRASH_HOLD_US;
            return sl_case_say(c, SL_HEALTH_DEGRADED, crash_loop, "status.containerStatuses",
                               "container %s runs again, after %" PRId64 " restarts",
                               sl_json_str_or(each, "name", "?"), restarts(each));
        }
    }
    return false;
}

static bool judge_devices(SlHealthCase *c)
{
    size_t i = 0;
    json_t *container = NULL;
    json_array_foreach (sl_json_at(c->object, lists[1]), i, container) {
        size_t r = 0;
        json_t *resource = NULL;
        json_array_foreach (json_object_get(container, "allocatedResourcesStatus"), r, resource) {
            size_t d = 0;
            json_t *device = NULL;
            json_array_foreach (json_object_get(resource, "resources"), d, device) {
                if (strcmp(sl_json_str_or(device, "health", ""), "Unhealthy") == 0) {
                    return sl_case_say(c, SL_HEALTH_DEGRADED, "DeviceUnhealthy",
                                       "status.containerStatuses.allocatedResourcesStatus",
                                       "container %s: device %s of %s is unhealthy",
                                       sl_json_str_or(container, "name", "?"),
                                       sl_json_str_or(device, "resourceID", "?"),
                                       sl_json_str_or(resource, "name", "?"));
                }
            }
        }
    }
    return false;
}

static bool judge_failed(SlHealthCase *c)
{
    g_auto(SlPodEnd) end = {0};
    sl_pod_end(c->object, &end);
    c->verdict->failure = end.failure;
    c->verdict->final = true;
    return sl_case_say(c, SL_HEALTH_DEGRADED, end.reason, "status.phase", "%s", end.message);
}

static bool judge_unscheduled(SlHealthCase *c, const json_t *scheduled)
{
    bool queued = sl_case_queue_managed(c);
    sl_case_say_condition(c, SL_HEALTH_PROGRESSING, "Unschedulable", scheduled);
    c->verdict->queued = queued;
    c->timer = queued ? SL_TIMER_QUEUE : SL_TIMER_SCHEDULE;
    return true;
}

static bool judge_disrupted(SlHealthCase *c)
{
    const json_t *target = sl_case_is(c, "DisruptionTarget", "True");
    if (target == NULL) {
        return false;
    }
    c->verdict->failure = sl_pod_disruption(target);
    bool preempted = c->verdict->failure == SL_POD_FAILURE_PREEMPTED;
    return sl_case_say(c, SL_HEALTH_PROGRESSING, preempted ? "Preempted" : "Evicted",
                       "status.conditions[DisruptionTarget]", "%s: %s", sl_condition_reason(target),
                       sl_condition_message(target));
}

/* Placed, and not ready: what is it that keeps it? */
static bool judge_starting(SlHealthCase *c)
{
    Container at = {0};
    if (find_waiting(c, false, &at)) {
        return sl_case_wait(
            c, SL_TIMER_IMAGE, sl_json_str_or(at.status, "state.waiting.reason", "Waiting"),
            at.path, "container %s is not started yet", sl_json_str_or(at.status, "name", "?"));
    }
    const json_t *ready = sl_case_condition(c, "Ready");
    if (strcmp(sl_case_str(c, "status.phase"), "Running") != 0 || ready == NULL) {
        return sl_case_wait(c, SL_TIMER_IMAGE, "Pending", "status.phase", "is not started yet");
    }
    return sl_case_say_condition(c, SL_HEALTH_PROGRESSING, "NotReady", ready);
}

bool sl_health_of_pod(SlHealthCase *c)
{
    const char *phase = sl_case_str(c, "status.phase");
    Container at = {0};
    const json_t *scheduled = sl_case_is(c, "PodScheduled", "False");
    if (strcmp(phase, "Succeeded") == 0) {
        return sl_case_finished(c, "Succeeded", "status.phase");
    }
    if (strcmp(phase, "Failed") == 0) {
        return judge_failed(c);
    }
    if (strcmp(phase, "Unknown") == 0) {
        return sl_case_say(c, SL_HEALTH_UNKNOWN, "NodeUnreachable", "status.phase",
                           "its node doesn't answer");
    }
    if (judge_devices(c) || judge_between_crashes(c)) {
        return true;
    }
    if (strcmp(phase, "Running") == 0 && sl_case_is(c, "Ready", "True") != NULL) {
        return sl_case_say(c, SL_HEALTH_HEALTHY, "Ready", "status.conditions[Ready]",
                           "runs and is ready");
    }
    if (find_waiting(c, true, &at)) {
        return judge_error(c, &at);
    }
    if (scheduled != NULL) {
        return judge_unscheduled(c, scheduled);
    }
    return judge_disrupted(c) || judge_starting(c);
}
