/* sets.c - LeaderWorkerSet and JobSet: groups of Pods or Jobs that live together. */
#include "core/health/case.h"
#include <inttypes.h>
#include <string.h>

bool sl_health_of_leader_worker_set(SlHealthCase *c)
{
    int64_t wanted = sl_case_int(c, "spec.replicas", 1);
    int64_t ready = sl_case_int(c, "status.readyReplicas", 0);
    int64_t updated = sl_case_int(c, "status.updatedReplicas", 0);
    const json_t *available = sl_case_is(c, "Available", "True");
    if (available != NULL && sl_case_is(c, "UpdateInProgress", "True") == NULL) {
        return sl_case_say_condition(c, SL_HEALTH_HEALTHY, "Available", available);
    }
    return sl_case_say(
        c, SL_HEALTH_PROGRESSING, updated < wanted ? "RollingUpdate" : "GroupsPending",
        updated < wanted ? "status.updatedReplicas" : "status.readyReplicas",
        "%" PRId64 " of %" PRId64 " groups are of the new version, %" PRId64 " are ready", updated,
        wanted, ready);
}

/* Status of each replicatedJobs entry by its name; all borrowed from the object. */
static GHashTable *statuses_by_name(const SlHealthCase *c)
{
    size_t i = 0;
    json_t *each = NULL;
    GHashTable *statuses = g_hash_table_new(g_str_hash, g_str_equal);
    json_array_foreach (sl_json_at(c->object, "status.replicatedJobsStatus"), i, each) {
        g_hash_table_insert(statuses, (gpointer)(uintptr_t)sl_json_str_or(each, "name", ""), each);
    }
    return statuses;
}

static bool judge_jobs(SlHealthCase *c)
{
    size_t i = 0;
    json_t *each = NULL;
    int64_t restarts = sl_case_int(c, "status.restarts", 0);
    g_autoptr(GHashTable) statuses = statuses_by_name(c);
    json_array_foreach (sl_json_at(c->object, "spec.replicatedJobs"), i, each) {
        const char *name = sl_json_str_or(each, "name", "?");
        int64_t wanted = sl_json_int(each, "replicas", 1);
        const json_t *status = g_hash_table_lookup(statuses, name);
        int64_t have = sl_json_int(status, "ready", 0) + sl_json_int(status, "succeeded", 0);
        if (have < wanted) {
            return sl_case_wait(c, sl_case_start_timer(c), "Pending", "status.replicatedJobsStatus",
                                "%" PRId64 " of %" PRId64 " Jobs of %s run; %" PRId64 " restarts",
                                have, wanted, name, restarts);
        }
    }
    return sl_case_wait(c, SL_TIMER_NEVER, "Running", "status.replicatedJobsStatus",
                        "all Jobs run; %" PRId64 " restarts", restarts);
}

bool sl_health_of_job_set(SlHealthCase *c)
{
    static const char *const pauses[] = {"StartupPolicyInProgress", "RestartingJobSet"};
    const char *state = sl_case_str(c, "status.terminalState");
    const json_t *failed = sl_case_is(c, "Failed", "True");
    if (failed != NULL) {
        return sl_case_failed(c, "Failed", failed);
    }
    if (strcmp(state, "Failed") == 0) {
        c->verdict->final = true;
        return sl_case_say(c, SL_HEALTH_DEGRADED, "Failed", "status.terminalState", "failed");
    }
    if (sl_case_is(c, "Completed", "True") != NULL || strcmp(state, "Completed") == 0) {
        return sl_case_finished(c, "Completed", "status.terminalState");
    }
    if (sl_case_is(c, "Suspended", "True") != NULL) {
        return sl_case_suspended(c, "status.conditions[Suspended]");
    }
    for (size_t i = 0; i < G_N_ELEMENTS(pauses); i++) {
        const json_t *pause = sl_case_is(c, pauses[i], "True");
        if (pause != NULL) {
            return sl_case_say_condition(c, SL_HEALTH_PROGRESSING, pauses[i], pause);
        }
    }
    return judge_jobs(c);
}
