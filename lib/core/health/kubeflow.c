/* kubeflow.c - TrainJob, and the older training kinds: PyTorchJob, TFJob, XGBoostJob, PaddleJob, JAXJob, MPIJob. */
#include "core/health/case.h"
#include <inttypes.h>
#include <string.h>

/* ---- TrainJob: it has no condition for running ---- */

static bool judge_train_jobs(SlHealthCase *c)
{
    size_t i = 0;
    size_t running = 0;
    json_t *each = NULL;
    const json_t *jobs = sl_json_at(c->object, "status.jobsStatus");
    json_array_foreach (jobs, i, each) {
        bool runs = sl_json_int(each, "ready", 0) + sl_json_int(each, "succeeded", 0) > 0;
        running += runs ? 1 : 0;
    }
    int64_t percent = sl_case_int(c, "status.trainerStatus.progressPercentage", -1);
    if (json_array_size(jobs) == 0) {
        return sl_case_wait(
            c, sl_case_start_timer(c), "Pending", "status.jobsStatus",
            "its Jobs are not made yet; events of the TrainJob say why if that stays");
    }
    if (running < json_array_size(jobs)) {
        return sl_case_wait(c, sl_case_start_timer(c), "Pending", "status.jobsStatus",
                            "%zu of %zu parts run", running, json_array_size(jobs));
    }
    return percent < 0 ? sl_case_wait(c, SL_TIMER_NEVER, "Running", "status.jobsStatus", "runs")
                       : sl_case_wait(c, SL_TIMER_NEVER, "Running", "status.trainerStatus",
                                      "runs; %" PRId64 " %% done", percent);
}

bool sl_health_of_train_job(SlHealthCase *c)
{
    const json_t *failed = sl_case_is(c, "Failed", "True");
    if (failed != NULL) {
        return sl_case_failed(c, "Failed", failed);
    }
    if (sl_case_is(c, "Complete", "True") != NULL) {
        return sl_case_finished(c, "Complete", "status.conditions[Complete]");
    }
    if (sl_case_is(c, "Suspended", "True") != NULL) {
        return sl_case_suspended(c, "status.conditions[Suspended]");
    }
    return judge_train_jobs(c);
}

/* ---- the older kinds ---- */

/* The condition may say Running while a parameter server is dead or all workers are pending: every part must have a Pod that runs
 * or succeeded. An MPIJob is what its launcher does. */
static const char *idle_part(const SlHealthCase *c)
{
    const char *name = NULL;
    json_t *part = NULL;
    bool mpi = strcmp(sl_case_str(c, "kind"), "MPIJob") == 0;
    json_object_foreach (sl_json_at(c->object, "status.replicaStatuses"), name, part) {
        bool idle = sl_json_int(part, "active", 0) + sl_json_int(part, "succeeded", 0) == 0;
        if (idle && (!mpi || strcmp(name, "Launcher") == 0)) {
            return name;
        }
    }
    return NULL;
}

static bool judge_running(SlHealthCase *c, const json_t *running)
{
    const char *idle = idle_part(c);
    if (idle != NULL) {
        g_autofree char *path = g_strdup_printf("status.replicaStatuses.%.64s", idle);
        return sl_case_wait(c, sl_case_start_timer(c), "ReplicasPending", path,
                            "no Pod of %s runs, though the job is called running", idle);
    }
    sl_case_say_condition(c, SL_HEALTH_PROGRESSING, "Running", running);
    g_strlcpy(c->verdict->reason, "Running", sizeof c->verdict->reason);
    c->timer = SL_TIMER_NEVER;
    return true;
}

bool sl_health_of_kubeflow_job(SlHealthCase *c)
{
    const json_t *failed = sl_case_is(c, "Failed", "True");
    const json_t *restarting = sl_case_is(c, "Restarting", "True");
    const json_t *running = sl_case_is(c, "Running", "True");
    const json_t *created = sl_case_is(c, "Created", "True");
    if (failed != NULL) {
        return sl_case_failed(c, "Failed", failed);
    }
    if (sl_case_is(c, "Succeeded", "True") != NULL) {
        return sl_case_finished(c, "Succeeded", "status.conditions[Succeeded]");
    }
    if (sl_case_is(c, "Suspended", "True") != NULL) {
        return sl_case_suspended(c, "status.conditions[Suspended]");
    }
    if (restarting != NULL) {
        return sl_case_say_condition(c, SL_HEALTH_PROGRESSING, "Restarting", restarting);
    }
    if (running != NULL) {
        return judge_running(c, running);
    }
    return sl_case_wait(c, sl_case_start_timer(c), created != NULL ? "Created" : "NotObserved",
                        "status.conditions",
                        created != NULL ? "its Pods are not running yet"
                                        : "its controller has not looked at it yet");
}
