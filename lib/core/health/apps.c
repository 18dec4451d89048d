/* apps.c - Deployment, StatefulSet, DaemonSet, ReplicaSet: are the wanted replicas there, of the wanted version? */
#include "core/health/case.h"
#include <inttypes.h>
#include <string.h>

/* A Deployment's own deadline speaks first: ours is for what it leaves unsaid (replicas lost after the rollout was complete). */
#define OWN_DEADLINE_MARGIN_US (60 * SL_SECOND_US)

static int64_t wanted_replicas(const SlHealthCase *c)
{
    return sl_case_int(c, "spec.replicas", 1);
}

static bool too_few(SlHealthCase *c, const char *path, const char *what, int64_t have, int64_t want)
{
    return have < want &&
           sl_case_say(c, SL_HEALTH_PROGRESSING, "ReplicasPending", path,
                       "%" PRId64 " of %" PRId64 " replicas are %s", have, want, what);
}

static bool replica_failure(SlHealthCase *c)
{
    const json_t *failure = sl_case_is(c, "ReplicaFailure", "True");
    return failure != NULL &&
           sl_case_say_condition(c, SL_HEALTH_DEGRADED, "ReplicaFailure", failure);
}

/* Replicas that can't be made now (quota, admission) may be made in a minute: the controller tries again. */
static bool young_replica_failure(SlHealthCase *c)
{
    const json_t *failure = sl_case_is(c, "ReplicaFailure", "True");
    int64_t since_us = sl_time_at(failure, "lastTransitionTime");
    if (failure == NULL) {
        return false;
    }
    int64_t patience_us = sl_timer_us(SL_TIMER_REPLICA, c->context);
    bool young = patience_us == SL_HEALTH_NO_DEADLINE ||
                 (since_us > 0 && c->context->now_us - since_us < patience_us);
    if (young && patience_us != SL_HEALTH_NO_DEADLINE) {
        c->verdict->next_us = since_us + patience_us;
    }
    return sl_case_say_condition(c, young ? SL_HEALTH_PROGRESSING : SL_HEALTH_DEGRADED,
                                 "ReplicaFailure", failure);
}

bool sl_health_of_deployment(SlHealthCase *c)
{
    int64_t wanted = wanted_replicas(c);
    int64_t updated = sl_case_int(c, "status.updatedReplicas", 0);
    int64_t total = sl_case_int(c, "status.replicas", 0);
    int64_t deadline = sl_case_int(c, "spec.progressDeadlineSeconds", INT32_MAX);
    bool has_deadline = deadline > 0 && deadline < INT32_MAX;
    const json_t *progressing = sl_case_is(c, "Progressing", "False");
    if (sl_json_bool(c->object, "spec.paused", false)) {
        return sl_case_say(c, SL_HEALTH_SUSPENDED, "Paused", "spec.paused", "paused by its spec");
    }
    if (has_deadline && progressing != NULL &&
        strcmp(sl_condition_reason(progressing), "ProgressDeadlineExceeded") == 0) {
        return sl_case_say_condition(c, SL_HEALTH_DEGRADED, "ProgressDeadlineExceeded",
                                     progressing);
    }
    if (young_replica_failure(c)) {
        return true;
    }
    c->timer_us = has_deadline ? deadline * SL_SECOND_US + OWN_DEADLINE_MARGIN_US : 0;
    if (c->context->timers_us != NULL && c->context->timers_us[SL_TIMER_GENERIC] > 0) {
        c->timer_us = 0; /* what people say for this application counts */
    }
    if (too_few(c, "status.updatedReplicas", "of the new version", updated, wanted)) {
        return true;
    }
    if (total > updated) {
        return sl_case_say(c, SL_HEALTH_PROGRESSING, "OldReplicas", "status.replicas",
                           "%" PRId64 " replicas of the old version are still there",
                           total - updated);
    }
    if (too_few(c, "status.availableReplicas", "available",
                sl_case_int(c, "status.availableReplicas", 0), updated)) {
        return true;
    }
    if (sl_case_is(c, "Available", "True") == NULL) {
        return sl_case_say(c, SL_HEALTH_PROGRESSING, "NotAvailable", "status.conditions[Available]",
                           "is not available yet");
    }
    return sl_case_say(c, SL_HEALTH_HEALTHY, "Available", "status.conditions[Available]",
                       "%" PRId64 " of %" PRId64 " replicas are available", updated, wanted);
}

bool sl_health_of_stateful_set(SlHealthCase *c)
{
    int64_t wanted = wanted_replicas(c);
    int64_t ready = sl_case_int(c, "status.readyReplicas", 0);
    int64_t updated = sl_case_int(c, "status.updatedReplicas", 0);
    int64_t partition = sl_case_int(c, "spec.updateStrategy.rollingUpdate.partition", 0);
    const char *current = sl_case_str(c, "status.currentRevision");
    const char *update = sl_case_str(c, "status.updateRevision");
    if (too_few(c, "status.readyReplicas", "ready", ready, wanted)) {
        return true;
    }
    bool by_hand = strcmp(sl_case_str(c, "spec.updateStrategy.type"), "OnDelete") == 0;
    if (!by_hand && partition > 0) {
        if (too_few(c, "status.updatedReplicas", "of the new version", updated,
                    wanted - partition)) {
            return true;
        }
    } else if (!by_hand && strcmp(current, update) != 0) {
        return sl_case_say(c, SL_HEALTH_PROGRESSING, "RollingUpdate", "status.updateRevision",
                           "%" PRId64 " of %" PRId64 " replicas are of the new version", updated,
                           wanted);
    }
    return sl_case_say(c, SL_HEALTH_HEALTHY, "Ready", "status.readyReplicas",
                       "%" PRId64 " of %" PRId64 " replicas are ready", ready, wanted);
}

bool sl_health_of_daemon_set(SlHealthCase *c)
{
    int64_t wanted = sl_case_int(c, "status.desiredNumberScheduled", -1);
    if (wanted < 0) {
        return sl_case_say(c, SL_HEALTH_PROGRESSING, "NotScheduled",
                           "status.desiredNumberScheduled", "no node was chosen yet");
    }
    bool by_hand = strcmp(sl_case_str(c, "spec.updateStrategy.type"), "OnDelete") == 0;
    if (!by_hand && too_few(c, "status.updatedNumberScheduled", "of the new version",
                            sl_case_int(c, "status.updatedNumberScheduled", 0), wanted)) {
        return true;
    }
    if (too_few(c, "status.numberAvailable", "available",
                sl_case_int(c, "status.numberAvailable", 0), wanted)) {
        return true;
    }
    if (by_hand) {
        return sl_case_say(c, SL_HEALTH_HEALTHY, "OnDelete", "spec.updateStrategy.type",
                           "its Pods are replaced by hand");
    }
    return sl_case_say(c, SL_HEALTH_HEALTHY, "Available", "status.numberAvailable",
                       "available on %" PRId64 " of %" PRId64 " nodes", wanted, wanted);
}

bool sl_health_of_replica_set(SlHealthCase *c)
{
    int64_t wanted = wanted_replicas(c);
    return replica_failure(c) ||
           too_few(c, "status.availableReplicas", "available",
                   sl_case_int(c, "status.availableReplicas", 0), wanted) ||
           sl_case_say(c, SL_HEALTH_HEALTHY, "Available", "status.availableReplicas",
                       "%" PRId64 " of %" PRId64 " replicas are available", wanted, wanted);
}
