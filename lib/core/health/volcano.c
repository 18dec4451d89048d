/* volcano.c - Job of Volcano: its phase says it all, and its queue holds it. */
#include "core/health/case.h"
#include <inttypes.h>
#include <string.h>

bool sl_health_of_volcano_job(SlHealthCase *c)
{
    static const char path[] = "status.state.phase";
    const char *phase = sl_case_str(c, path);
    const char *message = sl_case_str(c, "status.state.message");
    int64_t running = sl_case_int(c, "status.running", 0);
    int64_t wanted = sl_case_int(c, "status.minAvailable", sl_case_int(c, "spec.minAvailable", 1));
    if (strcmp(phase, "Completed") == 0) {
        return sl_case_finished(c, "Completed", path);
    }
    if (sl_is_one_of(phase, " Failed Terminated ")) {
        const char *why = sl_case_str(c, "status.state.reason");
        c->verdict->final = true;
        return sl_case_say(c, SL_HEALTH_DEGRADED, phase, path, "%s%s%s; %" PRId64 " Pods failed",
                           why, *why != '\0' && *message != '\0' ? ": " : "", message,
                           sl_case_int(c, "status.failed", 0));
    }
    if (sl_is_one_of(phase, " Aborting Aborted ")) {
        return sl_case_say(c, SL_HEALTH_SUSPENDED, phase, path,
                           "stopped by a command; it can be resumed");
    }
    if (sl_is_one_of(phase, " Running Completing ")) {
        return sl_case_wait(c, SL_TIMER_NEVER, phase, path,
                            "%" PRId64 " of at least %" PRId64 " Pods run", running, wanted);
    }
    if (sl_is_one_of(phase, " Restarting Terminating ")) {
        return sl_case_say(c, SL_HEALTH_PROGRESSING, phase, path, "%s",
                           *message != '\0' ? message : "its Pods are ending");
    }
    /* Its queue lets it in by making its Pods: from then on they say what it waits for. */
    bool queued = sl_case_int(c, "status.pending", 0) + running == 0;
    c->verdict->queued = queued;
    return sl_case_wait(c, SL_TIMER_QUEUE, queued ? "Queued" : "Pending", path,
                        "waits in queue %s%s%s", sl_json_str_or(c->object, "spec.queue", "default"),
                        *message != '\0' ? ": " : "", message);
}
