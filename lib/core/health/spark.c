/* spark.c - SparkApplication: a driver and as many executors as it wants. */
#include "core/health/case.h"
#include <inttypes.h>
#include <string.h>

static int64_t running_executors(const SlHealthCase *c)
{
    const char *name = NULL;
    json_t *state = NULL;
    int64_t running = 0;
    json_object_foreach (sl_json_at(c->object, "status.executorState"), name, state) {
        running += g_strcmp0(json_string_value(state), "RUNNING") == 0 ? 1 : 0;
    }
    return running;
}

static bool judge_executors(SlHealthCase *c)
{
    bool dynamic = sl_json_bool(c->object, "spec.dynamicAllocation.enabled", false);
    int64_t wanted = sl_case_int(c, "spec.executor.instances", 1);
    int64_t least = dynamic ? sl_case_int(c, "spec.dynamicAllocation.minExecutors", 0) : wanted;
    int64_t most =
        dynamic ? sl_case_int(c, "spec.dynamicAllocation.maxExecutors", INT32_MAX) : wanted;
    int64_t running = running_executors(c);
    if (running < least || running > most) {
        return sl_case_say(c, SL_HEALTH_PROGRESSING, "ExecutorsPending", "status.executorState",
                           "%" PRId64 " executors run; wanted %" PRId64 " to %" PRId64, running,
                           least, most);
    }
    return sl_case_say(c, SL_HEALTH_HEALTHY, "Running", "status.executorState",
                       "the driver and %" PRId64 " executors run", running);
}

bool sl_health_of_spark_application(SlHealthCase *c)
{
    static const char path[] = "status.applicationState.state";
    const char *state = sl_case_str(c, path);
    const char *message = sl_case_str(c, "status.applicationState.errorMessage");
    if (strcmp(state, "COMPLETED") == 0) {
        return sl_case_finished(c, "Completed", path);
    }
    if (strcmp(state, "RUNNING") == 0) {
        return judge_executors(c);
    }
    if (sl_is_one_of(state, " FAILED SUBMISSION_FAILED FAILING ")) {
        c->verdict->final = strcmp(state, "FAILED") == 0;
        return sl_case_say(c, SL_HEALTH_DEGRADED,
                           strcmp(state, "SUBMISSION_FAILED") == 0 ? "SubmissionFailed" : "Failed",
                           path, "%s: %s", state, message);
    }
    return sl_case_say(c, SL_HEALTH_PROGRESSING, "Pending", path, "%s",
                       *state != '\0' ? state : "is not submitted yet");
}
