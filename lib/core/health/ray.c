/* ray.c - RayCluster, RayService, RayJob. */
#include "core/health/case.h"
#include <inttypes.h>
#include <string.h>

bool sl_health_of_ray_cluster(SlHealthCase *c)
{
    const json_t *failure = sl_case_is(c, "ReplicaFailure", "True");
    if (sl_case_is(c, "RayClusterSuspended", "True") != NULL ||
        sl_case_is(c, "Suspended", "True") != NULL) {
        return sl_case_suspended(c, "status.conditions[RayClusterSuspended]");
    }
    if (failure != NULL) {
        return sl_case_say_condition(c, SL_HEALTH_DEGRADED, "ReplicaFailure", failure);
    }
    /* Provisioned never goes back to False: the counts say whether the workers are still there. */
    int64_t workers = sl_case_int(c, "status.availableWorkerReplicas", 0);
    int64_t wanted = sl_case_int(c, "status.minWorkerReplicas", 0);
    if (sl_case_is(c, "HeadPodReady", "True") == NULL) {
        return sl_case_say(c, SL_HEALTH_PROGRESSING, "HeadPodNotReady",
                           "status.conditions[HeadPodReady]", "the head is not ready: %s",
                           sl_condition_message(sl_case_condition(c, "HeadPodReady")));
    }
    if (sl_case_is(c, "RayClusterProvisioned", "True") == NULL || workers < wanted) {
        return sl_case_say(
            c, SL_HEALTH_PROGRESSING, "WorkersPending", "status.availableWorkerReplicas",
            "%" PRId64 " of at least %" PRId64 " workers are available", workers, wanted);
    }
    return sl_case_say(c, SL_HEALTH_HEALTHY, "Provisioned",
                       "status.conditions[RayClusterProvisioned]",
                       "the head and %" PRId64 " workers are ready", workers);
}

/* An application that the Ray cluster itself calls broken. */
static const char *broken_application(const SlHealthCase *c, const json_t **ret_application)
{
    const char *name = NULL;
    json_t *application = NULL;
    json_object_foreach (sl_json_at(c->object, "status.activeServiceStatus.applicationStatuses"),
                         name, application) {
        if (sl_is_one_of(sl_json_str_or(application, "status", ""), " DEPLOY_FAILED UNHEALTHY ")) {
            *ret_application = application;
            return name;
        }
    }
    return NULL;
}

bool sl_health_of_ray_service(SlHealthCase *c)
{
    const json_t *application = NULL;
    const json_t *ready = sl_case_is(c, "Ready", "False");
    if (sl_case_is(c, "Suspended", "True") != NULL) {
        return sl_case_suspended(c, "status.conditions[Suspended]");
    }
    if (sl_is_one_of(sl_condition_reason(ready), " InitializingTimeout ValidationFailed ")) {
        return sl_case_say_condition(c, SL_HEALTH_DEGRADED, "NotReady", ready);
    }
    const char *name = broken_application(c, &application);
    if (name != NULL) {
        return sl_case_say(
            c, SL_HEALTH_DEGRADED, "ApplicationFailed",
            "status.activeServiceStatus.applicationStatuses", "application %s is %s: %s", name,
            sl_json_str_or(application, "status", "?"), sl_json_str_or(application, "message", ""));
    }
    const json_t *upgrade = sl_case_is(c, "UpgradeInProgress", "True");
    const json_t *rollback = sl_case_is(c, "RollbackInProgress", "True");
    if (upgrade != NULL || rollback != NULL) {
        return sl_case_say_condition(c, SL_HEALTH_PROGRESSING, "UpgradeInProgress",
                                     rollback != NULL ? rollback : upgrade);
    }
    int64_t endpoints = sl_case_int(c, "status.numServeEndpoints", 0);
    if (sl_case_is(c, "Ready", "True") != NULL && endpoints > 0) {
        return sl_case_say(c, SL_HEALTH_HEALTHY, "Ready", "status.numServeEndpoints",
                           "%" PRId64 " endpoints serve", endpoints);
    }
    return sl_case_say(c, SL_HEALTH_PROGRESSING, "NotReady", "status.conditions[Ready]",
                       "%" PRId64 " endpoints serve: %s", endpoints,
                       sl_condition_message(sl_case_condition(c, "Ready")));
}

static bool ray_job_failed(SlHealthCase *c, const char *otherwise)
{
    const char *reason = sl_case_str(c, "status.reason");
    c->verdict->final = true;
    return sl_case_say(c, SL_HEALTH_DEGRADED, *reason != '\0' ? reason : otherwise,
                       "status.jobDeploymentStatus", "%s", sl_case_str(c, "status.message"));
}

static bool ray_job_complete(SlHealthCase *c)
{
    const char *job = sl_case_str(c, "status.jobStatus");
    if (strcmp(job, "SUCCEEDED") == 0) {
        return sl_case_finished(c, "Succeeded", "status.jobStatus");
    }
    return ray_job_failed(c, strcmp(job, "STOPPED") == 0 ? "Stopped" : "Failed");
}

bool sl_health_of_ray_job(SlHealthCase *c)
{
    const char *deployment = sl_case_str(c, "status.jobDeploymentStatus");
    const char *job = sl_case_str(c, "status.jobStatus");
    if (strcmp(deployment, "Complete") == 0) {
        return ray_job_complete(c);
    }
    if (sl_is_one_of(deployment, " Failed ValidationFailed ")) {
        return ray_job_failed(c, deployment);
    }
    if (sl_is_one_of(deployment, " Suspending Suspended ")) {
        return sl_case_suspended(c, "status.jobDeploymentStatus");
    }
    if (strcmp(deployment, "Retrying") == 0) {
        return sl_case_say(c, SL_HEALTH_PROGRESSING, "Retrying", "status.jobDeploymentStatus",
                           "starts again after %" PRId64 " failures",
                           sl_case_int(c, "status.failed", 0));
    }
    if (sl_is_one_of(deployment, " Running Waiting ") && strcmp(job, "RUNNING") == 0) {
        return sl_case_wait(c, SL_TIMER_NEVER, "Running", "status.jobStatus", "the job runs");
    }
    return sl_case_wait(c, sl_case_start_timer(c),
                        *deployment != '\0' ? deployment : "Initializing",
                        "status.jobDeploymentStatus", "the job is not started yet");
}
