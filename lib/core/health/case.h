/* case.h - what a rule of one kind sees, and how it answers. Private to lib/core/health.
 *
 * A rule is a pure function of kinds.def: it looks at the object and returns true after one of the sl_case_ calls that answer, or
 * false to leave the answer to the condition Ready. It must match type AND status of a condition, never only the type. */
#pragma once
#include "core/health/health.h"

#define SL_HEALTH_NO_DEADLINE_S INT64_C(-1)

typedef struct SlHealthCase SlHealthCase;

/* Flags of kinds.def. */
enum {
    SL_KIND_PLAIN = 0,
    SL_KIND_OBSERVES =
        1, /* always writes status.observedGeneration: without it nothing was looked at yet */
    SL_KIND_OWNS_PODS = 2, /* the first failing Pod is named in the message */
    SL_KIND_PODS_RULE = 4, /* ... and a Pod that can't start makes it Degraded */
};

typedef struct {
    const char *group, *kind; /* group "" = core */
    int flags;
    SlHealthTimer timer;  /* of its Progressing, unless the rule says another */
    const char *verdicts; /* that the rule can give, for the tests: "HSPDU" */
    bool (*judge)(SlHealthCase *c);
} SlHealthKind;
/* NULL for a kind that has no line. */
const SlHealthKind *sl_health_kind(const char *group, const char *kind);
const SlHealthKind *sl_health_kinds(size_t *ret_count); /* all lines */
char *sl_group_of(const char *api_version);             /* "apps" of "apps/v1" (transfer full) */

struct SlHealthCase {
    const json_t *object, *spec, *status;
    const char *group;
    const SlHealthContext *context;
    const SlHealthState *state;
    SlHealthTimer timer;
    int64_t timer_from_us; /* 0 = since the last progress */
    int64_t timer_us;      /* 0 = as the timer is set; else the length that the object asks for */
    bool settled;          /* Healthy at the first look: it can't flap */
    SlHealthVerdict *verdict;
};

/* All return true. @reason must be CamelCase; @path is where it was seen. */
bool sl_case_say(SlHealthCase *c, SlHealth health, const char *reason, const char *path,
                 const char *format, ...) G_GNUC_PRINTF(5, 6);
/* Progressing, on another timer. */
bool sl_case_wait(SlHealthCase *c, SlHealthTimer timer, const char *reason, const char *path,
                  const char *format, ...) G_GNUC_PRINTF(5, 6);
/* With reason and message of a condition; @reason where it names none. */
bool sl_case_say_condition(SlHealthCase *c, SlHealth health, const char *reason,
                           const json_t *condition);
/* Finished well. */
bool sl_case_finished(SlHealthCase *c, const char *reason, const char *path);
/* Finished badly. */
bool sl_case_failed(SlHealthCase *c, const char *reason, const json_t *condition);
/* Suspended, or Progressing where a queue holds it. */
bool sl_case_suspended(SlHealthCase *c, const char *path);

/* A condition of this type; NULL if there is none, or only one about an older generation. */
const json_t *sl_case_condition(const SlHealthCase *c, const char *type);
/* The same with this status ("True"), else NULL. */
const json_t *sl_case_is(const SlHealthCase *c, const char *type, const char *status);
/* About an older generation: it doesn't count. */
bool sl_condition_is_old(const json_t *condition, int64_t generation);
/* In a list that is not status.conditions. */
const json_t *sl_condition_in(const json_t *list, const char *type, const char *status,
                              int64_t generation);
const char *sl_condition_reason(const json_t *condition);  /* "" if none */
const char *sl_condition_message(const json_t *condition); /* "" if none */
bool sl_case_queue_managed(const SlHealthCase *c);
/* What the Pods of a job wait for before they run: quota of its queue, or their images. */
SlHealthTimer sl_case_start_timer(const SlHealthCase *c);

int64_t sl_case_int(const SlHealthCase *c, const char *path, int64_t otherwise); /* of the object */
const char *sl_case_str(const SlHealthCase *c, const char *path);                /* "" if none */
/* Is @word one of @words, " Failed Error "? */
bool sl_is_one_of(const char *word, const char *words);
/* Ready=False can't tell "working" from "doomed"; these reasons can. */
bool sl_is_terminal_reason(const char *reason);
/* Time in a field, or 0. */
int64_t sl_time_at(const json_t *object, const char *path);
/* Number in a field that may be text; false if there is none. */
bool sl_number_at(const json_t *object, const char *path, int64_t *ret_number);

/* ---- podfail.c ---- */
typedef struct {
    SlPodFailure failure;
    char reason[SL_HEALTH_REASON_MAX];
    char *message; /* owned */
} SlPodEnd;
void sl_pod_end_clear(SlPodEnd *end);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SlPodEnd, sl_pod_end_clear)
/* Why a Pod (whose phase is Failed, or whose container ended) failed. */
void sl_pod_end(const json_t *pod, SlPodEnd *ret_end);
/* Who takes a Pod away, by its condition DisruptionTarget. */
SlPodFailure sl_pod_disruption(const json_t *target);
/* The Pod of the object that failed first, or can't start: NULL if none. Borrowed. @ret_stuck: one that isn't over can't start. */
const json_t *sl_pod_first_bad(const SlHealthCase *c, SlHealthVerdict *ret_verdict,
                               bool *ret_stuck);

/* ---- state.c ---- */
void sl_state_look(SlHealthState *state, const json_t *object, const SlHealthContext *context);
int64_t sl_state_restarts(const SlHealthState *state, int64_t now_us); /* in the last 10 minutes */
#define SL_RESTART_WINDOW_US (10 * SL_MINUTE_US)
/* Newest time that the object itself names, not in the future; 0 if none. */
int64_t sl_newest_time(const json_t *object, int64_t now_us);
int64_t sl_timer_us(SlHealthTimer timer, const SlHealthContext *context);

/* ---- rules.c ---- */
/* True if a rule is for this object, and has answered. */
bool sl_rules_judge(const SlHealthRules *rules, const char *kind, SlHealthCase *c);

/* ---- kinds ---- */
#define SL_HEALTH_KIND(rule, group, kind, flags, timer, verdicts)                                  \
    bool sl_health_of_##rule(SlHealthCase *c);
#define SL_HEALTH_STATUSLESS(group, kind)
#include "core/health/kinds.def"
#undef SL_HEALTH_KIND
#undef SL_HEALTH_STATUSLESS
