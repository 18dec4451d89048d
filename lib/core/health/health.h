/* health.h - is an object of a cluster well? One verdict from what the object says of itself. Pure: the time is an input, and what
 * must be remembered between two looks is a small struct that the caller keeps.
 *
 * The rules are a table (kinds.def, docs/health.md), first hit wins: absent or unreadable; being deleted; a generation that its
 * controller has not seen; Stalled or Reconciling; a rule of the user; the rule of its kind; the condition Ready; nothing to say.
 * Progressing has a deadline, after which it is Degraded; Healthy must hold for two looks. */
#pragma once
#include "base/json.h"
#include "sluice/clock.h"
#include "sluice/types.h"

#define SL_HEALTH_REASON_MAX 64    /* bytes of a CamelCase word, with its NUL */
#define SL_HEALTH_MESSAGE_MAX 1024 /* bytes of a message */
#define SL_HEALTH_EVIDENCE_MAX 160 /* bytes of a field path, with its NUL */
#define SL_HEALTH_RESTARTS_MAX                                                                     \
    16 /* restarts that are remembered: more in 10 minutes are no other answer */
#define SL_HEALTH_PODS_MAX                                                                         \
    1000 /* Pods looked at for one object: the first that fails is what is shown */
#define SL_HEALTH_RULES_MAX 256 /* rules of a user: they are searched for each object */
#define SL_HEALTH_NO_DEADLINE INT64_MAX

/* How the object was looked at. */
typedef enum {
    SL_SIGHT_SEEN,
    SL_SIGHT_ABSENT,    /* the server says that it isn't there */
    SL_SIGHT_NO_KIND,   /* the server doesn't know the kind */
    SL_SIGHT_UNREADABLE /* no answer, or none that we may read: says nothing of the object */
} SlHealthSight;

/* What a Progressing object may wait for, and how long (timers.def). */
typedef enum {
#define SL_HEALTH_TIMER(NAME, name, seconds, text) SL_TIMER_##NAME,
#include "core/health/timers.def"
#undef SL_HEALTH_TIMER
    SL_N_TIMERS,
    SL_TIMER_NEVER = SL_N_TIMERS
} SlHealthTimer;

/* Why a Pod failed. Only User and Oom are the program's own doing. */
typedef enum {
    SL_POD_FAILURE_NONE,
    SL_POD_FAILURE_USER,
    SL_POD_FAILURE_OOM,
    SL_POD_FAILURE_INFRA,
    SL_POD_FAILURE_PREEMPTED,
    SL_N_POD_FAILURES
} SlPodFailure;
const char *sl_pod_failure_name(SlPodFailure failure); /* "User", "" for none */

typedef struct SlHealthRules SlHealthRules;

typedef struct {
    int64_t now_us; /* UTC */
    SlHealthSight sight;
    bool
        snapshot; /* no state from before: timers are judged by the times that the object itself names, and one look
                               * is enough */
    const int64_t *timers_us;   /* nullable; SL_N_TIMERS of them, 0 = as in timers.def */
    const SlHealthRules *rules; /* nullable */
    const json_t *pods;         /* nullable; array of the Pods that belong to the object */
    const json_t *workload;     /* nullable; Kueue's Workload of the object */
    bool queue_managed;         /* known from outside; labels of the object say it too */
    bool ingress_filled;        /* a controller of this ingress class writes addresses */
    bool waits_for_pod;         /* claim: its class binds at the first Pod, and there is none */
} SlHealthContext;

/* What is kept between two looks; all zero = never seen. */
typedef struct {
    char change[SL_HEX_DIGEST_LEN + 1]; /* of what counts as progress */
    int64_t changed_us;                 /* since when that is so */
    bool judged;                        /* the next three are set */
    SlHealth health;
    char reason[SL_HEALTH_REASON_MAX];
    int64_t since_us;
    int64_t healthy_us; /* first look of a row that said Healthy; 0 = the last one didn't */
    int64_t ahead_us;   /* since when observedGeneration is above generation; 0 = it isn't */
    int64_t stale_us;   /* since when it can't be read; 0 = it can */
    unsigned restart_count;
    struct {
        int64_t at_us, total;
    } restarts
        [SL_HEALTH_RESTARTS_MAX]; /* restarts of all containers, when they changed; oldest first */
} SlHealthState;

typedef struct {
    SlHealth health;
    char reason[SL_HEALTH_REASON_MAX];
    char message[SL_HEALTH_MESSAGE_MAX + 1];
    char evidence[SL_HEALTH_EVIDENCE_MAX]; /* "status.conditions[Available]" */
    int64_t since_us;
    int64_t observed_generation; /* -1 = the object says none */
    int64_t next_us;             /* look again then, even if nothing changed; INT64_MAX = no need */
    int64_t stale_us;            /* 0 = fresh; else since when it can't be read */
    SlPodFailure failure;
    bool queued;  /* held back by a queue: Progressing, however suspended the object is */
    bool neutral; /* Suspended by wish and harmless to what it belongs to */
    bool final;   /* finished: it will not change by itself */
} SlHealthVerdict;

/* @object: NULL unless it was seen. Never fails: what is odd in an object makes no rule true. */
void sl_health_judge(const json_t *object, const SlHealthContext *context, SlHealthState *state,
                     SlHealthVerdict *ret_verdict);

/* ---- state.c ---- */
json_t *sl_health_state_to_json(const SlHealthState *state); /* (transfer full) */
/* What is malformed is left out: then it is as if the object had not been seen. */
void sl_health_state_from_json(const json_t *json, SlHealthState *ret_state);
/* Overrides "image" = "30m" or "never" of one application. Errors: INVALID with the names. */
SL_MUST_USE bool sl_health_timer_set(int64_t timers_us[SL_N_TIMERS], const char *name,
                                     const char *duration, GError **error);

/* ---- rules.c: healthCheckExprs, as in Flux ---- */
SlHealthRules *sl_health_rules_new(void);
void sl_health_rules_free(SlHealthRules *rules);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlHealthRules, sl_health_rules_free)
/* {apiVersion, kind, inProgress?, failed?, current}. Errors: HEALTH_RULE, HEALTH_EXPRESSION with key and column. */
SL_MUST_USE bool sl_health_rules_add(SlHealthRules *rules, const json_t *rule, GError **error);

/* ---- aggregate.c ---- */
typedef struct {
    SlHealth health; /* worst of all; Healthy if there is none */
    unsigned counts[SL_N_HEALTH];
} SlHealthTotal;
void sl_health_total_add(SlHealthTotal *total, const SlHealthVerdict *verdict);
json_t *
sl_health_total_to_json(const SlHealthTotal *total); /* {"health", "counts": {"Healthy": 3}} */

/* ---- kin.c: which objects of a set belong together ---- */
typedef struct SlHealthKin SlHealthKin;
SlHealthKin *sl_health_kin_new(const json_t *objects);
void sl_health_kin_free(SlHealthKin *kin);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlHealthKin, sl_health_kin_free)
/* Sets what the set knows of @object: pods, workload, ingress_filled, waits_for_pod. Borrowed from @kin. */
void sl_health_kin_context(const SlHealthKin *kin, const json_t *object, SlHealthContext *context);
