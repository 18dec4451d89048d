/* podfail.c - why a Pod failed: by the program's doing, or by the machine's. What retries and what people are told depends on it. */
#include "base/text.h"
#include "core/health/case.h"
#include <inttypes.h>
#include <string.h>

#define CONTAINER_MESSAGE_MAX 512 /* bytes of a container's last words that are shown */

const char *sl_pod_failure_name(SlPodFailure failure)
{
    static const char *const names[SL_N_POD_FAILURES] = {"", "User", "Oom", "Infra", "Preempted"};
    return (unsigned)failure < SL_N_POD_FAILURES ? names[failure] : "";
}

void sl_pod_end_clear(SlPodEnd *end)
{
    g_free(end->message);
    end->message = NULL;
}

/* Reasons of the Pod itself: its node, the kubelet or the scheduler ended it. */
static const struct {
    const char *reason;
    SlPodFailure failure;
} pod_reasons[] = {
    {"Evicted", SL_POD_FAILURE_INFRA},
    {"NodeLost", SL_POD_FAILURE_INFRA},
    {"NodeShutdown", SL_POD_FAILURE_INFRA},
    {"Shutdown", SL_POD_FAILURE_INFRA},
    {"Terminated", SL_POD_FAILURE_INFRA},
    {"NodeAffinity", SL_POD_FAILURE_INFRA},
    {"UnexpectedAdmissionError", SL_POD_FAILURE_INFRA},
    {"Preempting", SL_POD_FAILURE_PREEMPTED},
    {"Preempted", SL_POD_FAILURE_PREEMPTED},
    {"DeadlineExceeded", SL_POD_FAILURE_USER},
};

static SlPodFailure failure_of_reason(const char *reason, const char *message)
{
    for (size_t i = 0; i < G_N_ELEMENTS(pod_reasons); i++) {
        if (strcmp(pod_reasons[i].reason, reason) != 0) {
            continue;
        }
        /* The kubelet says "Evicted" too when the Pod used more than its own limit. */
        bool own_limit = strcmp(reason, "Evicted") == 0 &&
                         (strstr(message, "exceeds the total limit") != NULL ||
                          strstr(message, "exceeds the limit") != NULL ||
                          strstr(message, "exceeded its local ephemeral storage limit") != NULL);
        return own_limit ? SL_POD_FAILURE_USER : pod_reasons[i].failure;
    }
    return g_str_has_prefix(reason, "OutOf") ? SL_POD_FAILURE_INFRA : SL_POD_FAILURE_NONE;
}

/* The state of a container that ended badly: now, or before it was started again. */
static const json_t *bad_end(const json_t *container)
{
    static const char *const paths[] = {"state.terminated", "lastState.terminated"};
    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        const json_t *end = sl_json_at(container, paths[i]);
        if (end != NULL &&
            (sl_json_int(end, "exitCode", 0) != 0 || sl_json_int(end, "signal", 0) != 0)) {
            return end;
        }
    }
    return NULL;
}

/* The container of the Pod that ended badly first: the others may only have followed it. */
static const json_t *first_bad_container(const json_t *pod, const json_t **ret_end)
{
    static const char *const lists[] = {"status.initContainerStatuses", "status.containerStatuses"};
    const json_t *found = NULL;
    int64_t found_us = INT64_MAX;
    for (size_t l = 0; l < G_N_ELEMENTS(lists); l++) {
        size_t i = 0;
        json_t *each = NULL;
        json_array_foreach (sl_json_at(pod, lists[l]), i, each) {
            const json_t *end = bad_end(each);
            int64_t at_us = end != NULL ? sl_time_at(end, "finishedAt") : 0;
            if (end != NULL && (found == NULL || at_us < found_us)) {
                found = each;
                found_us = at_us;
                *ret_end = end;
            }
        }
    }
    return found;
}

static char *container_message(const json_t *container, const json_t *end)
{
    const char *said = sl_json_str_or(end, "message", "");
    g_autofree char *words = g_strndup(said, CONTAINER_MESSAGE_MAX);
    int64_t signal = sl_json_int(end, "signal", 0);
    g_strstrip(words);
    g_autofree char *how =
        signal != 0 ? g_strdup_printf("signal %" PRId64, signal)
                    : g_strdup_printf("exit code %" PRId64, sl_json_int(end, "exitCode", 0));
    return g_strdup_printf("container %s: %s (%s)%s%s", sl_json_str_or(container, "name", "?"),
                           sl_json_str_or(end, "reason", "Error"), how, *words != '\0' ? ": " : "",
                           words);
}

static void set_end(SlPodEnd *end, SlPodFailure failure, const char *reason, char *message)
{
    end->failure = failure;
    g_strlcpy(end->reason, reason, sizeof end->reason);
    end->message = message;
}

SlPodFailure sl_pod_disruption(const json_t *target)
{
    return strcmp(sl_condition_reason(target), "PreemptionByScheduler") == 0
               ? SL_POD_FAILURE_PREEMPTED
               : SL_POD_FAILURE_INFRA;
}

void sl_pod_end(const json_t *pod, SlPodEnd *ret_end)
{
    *ret_end = (SlPodEnd){0};
    const json_t *conditions = sl_json_at(pod, "status.conditions");
    const json_t *target = sl_condition_in(conditions, "DisruptionTarget", "True", 0);
    const char *why = sl_condition_reason(target);
    const char *reason = sl_json_str_or(pod, "status.reason", "");
    const char *message = sl_json_str_or(pod, "status.message", "");
    const json_t *end = NULL;
    const json_t *container = first_bad_container(pod, &end);
    SlPodFailure of_reason = failure_of_reason(reason, message);
    g_autofree char *last = container != NULL ? container_message(container, end) : NULL;
    if (target != NULL) {
        SlPodFailure failure = sl_pod_disruption(target);
        const char *text = sl_condition_message(target);
        set_end(ret_end, failure, failure == SL_POD_FAILURE_PREEMPTED ? "Preempted" : "Evicted",
                g_strdup_printf("%s: %s", why, *text != '\0' ? text : message));
    } else if (of_reason != SL_POD_FAILURE_NONE) {
        set_end(ret_end, of_reason, reason, g_strdup_printf("%s: %s", reason, message));
    } else if (container == NULL) {
        set_end(ret_end, SL_POD_FAILURE_NONE, "Failed",
                g_strdup(*message != '\0' ? message : "the Pod failed and says no more"));
    } else if (strcmp(sl_json_str_or(end, "reason", ""), "OOMKilled") == 0) {
        set_end(ret_end, SL_POD_FAILURE_OOM, "OOMKilled", g_steal_pointer(&last));
    } else {
        bool start = sl_is_one_of(sl_json_str_or(end, "reason", ""),
                                  " ContainerCannotRun StartError ContainerStatusUnknown ");
        set_end(ret_end, start ? SL_POD_FAILURE_INFRA : SL_POD_FAILURE_USER,
                start ? "ContainerCannotRun" : "NonZeroExit", g_steal_pointer(&last));
    }
}

static int64_t ended_us(const json_t *pod)
{
    const json_t *end = NULL;
    (void)first_bad_container(pod, &end);
    int64_t us = end != NULL ? sl_time_at(end, "finishedAt") : 0;
    return us > 0 ? us : INT64_MAX;
}

const json_t *sl_pod_first_bad(const SlHealthCase *c, SlHealthVerdict *ret_verdict, bool *ret_stuck)
{
    const SlHealthContext context = {.now_us = c->context->now_us,
                                     .snapshot = true,
                                     .timers_us = c->context->timers_us,
                                     .queue_managed = sl_case_queue_managed(c)};
    const json_t *found = NULL;
    size_t i = 0;
    json_t *each = NULL;
    *ret_stuck = false;
    json_array_foreach (c->context->pods, i, each) {
        if (i >= SL_HEALTH_PODS_MAX) {
            break;
        }
        SlHealthState state = {0};
        SlHealthVerdict verdict;
        sl_health_judge(each, &context, &state, &verdict);
        *ret_stuck = *ret_stuck || (verdict.health == SL_HEALTH_DEGRADED && !verdict.final);
        bool bad = verdict.health == SL_HEALTH_DEGRADED || verdict.failure != SL_POD_FAILURE_NONE;
        if (bad && (found == NULL || ended_us(each) < ended_us(found))) {
            found = each;
            *ret_verdict = verdict;
        }
    }
    return found;
}
