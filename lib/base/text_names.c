/* text_names.c - the words that enums of types.h have in statements, JSON and on screens. */
#include "base/text.h"

#include <string.h>

static const char *const health_names[SL_N_HEALTH] = {
    [SL_HEALTH_HEALTHY] = "Healthy",         [SL_HEALTH_SUSPENDED] = "Suspended",
    [SL_HEALTH_PROGRESSING] = "Progressing", [SL_HEALTH_MISSING] = "Missing",
    [SL_HEALTH_DEGRADED] = "Degraded",       [SL_HEALTH_UNKNOWN] = "Unknown",
};

static const char *const act_names[SL_N_ACTS] = {
    [SL_ACT_PROMOTE] = "promote",
    [SL_ACT_ROLLBACK] = "rollback",
    [SL_ACT_REDEPLOY] = "redeploy",
    [SL_ACT_REMOVE] = "remove",
    [SL_ACT_BREAK_GLASS] = "break-glass",
    [SL_ACT_RENEW] = "renew",
    [SL_ACT_PAUSE] = "pause",
    [SL_ACT_RESUME] = "resume",
    [SL_ACT_START_RUN] = "start-run",
    [SL_ACT_STOP_RUN] = "stop-run",
    [SL_ACT_REGISTRY] = "registry",
};

static const char *const run_phase_names[SL_N_RUN_PHASES] = {
    [SL_RUN_QUEUED] = "Queued",       [SL_RUN_ADMITTED] = "Admitted",
    [SL_RUN_PENDING] = "Pending",     [SL_RUN_RUNNING] = "Running",
    [SL_RUN_SUCCEEDED] = "Succeeded", [SL_RUN_FAILED] = "Failed",
    [SL_RUN_PREEMPTED] = "Preempted", [SL_RUN_SUSPENDED] = "Suspended",
    [SL_RUN_UNKNOWN] = "Unknown",
};

/* Index of @text in @names, or -1. */
static int find(const char *const *names, int count, const char *text)
{
    for (int i = 0; text != NULL && i < count; i++) {
        if (strcmp(names[i], text) == 0) {
            return i;
        }
    }
    return -1;
}

const char *sl_health_name(SlHealth health)
{
    return (unsigned)health < SL_N_HEALTH ? health_names[health] : "Unknown";
}

bool sl_health_parse(const char *text, SlHealth *ret_health)
{
    int i = find(health_names, SL_N_HEALTH, text);
    if (i >= 0) {
        *ret_health = (SlHealth)i;
    }
    return i >= 0;
}

const char *sl_act_name(SlAct act)
{
    return (unsigned)act < SL_N_ACTS ? act_names[act] : "unknown";
}

bool sl_act_parse(const char *text, SlAct *ret_act)
{
    int i = find(act_names, SL_N_ACTS, text);
    if (i >= 0) {
        *ret_act = (SlAct)i;
    }
    return i >= 0;
}

const char *sl_run_phase_name(SlRunPhase phase)
{
    return (unsigned)phase < SL_N_RUN_PHASES ? run_phase_names[phase] : "Unknown";
}

bool sl_run_phase_parse(const char *text, SlRunPhase *ret_phase)
{
    int i = find(run_phase_names, SL_N_RUN_PHASES, text);
    if (i >= 0) {
        *ret_phase = (SlRunPhase)i;
    }
    return i >= 0;
}
