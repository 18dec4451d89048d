/* state.h - what the agent's brain is made of, and the verbs its files offer each other. Private to
 * agent/brain.
 *
 * Durable members go to the slots (state.c); the rest is rebuilt from inputs after a restart. Two
 * clocks: `now_us` is the wall clock as given, used with `trusted_us` for what statements say;
 * `elapsed_us` only grows and drives retries, so that a clock step never delays or fires anything
 * but once. Lists and tables have the maxima named here. */
#pragma once
#include "agent/brain/agent.h"
#include "base/digest.h"
#include "base/text.h"
#include "core/policy.h"
#include "sluice/clock.h"

#define SL_AGENT_FETCHES_MAX 16        /* open at once: one session's share of the coordinator */
#define SL_AGENT_OPS_MAX 64            /* engine operations open at once per unit */
#define SL_AGENT_UNITS_MAX 4096        /* units of one cluster */
#define SL_AGENT_ORDERS_MAX 1024       /* orders in force */
#define SL_AGENT_RUN_LINES_MAX 4096    /* lines of a list that name runs */
#define SL_AGENT_LIST_BUCKETS_MAX 1024 /* 65536 lines: far above units, orders and runs together */
#define SL_AGENT_FLOORS_MAX 16384      /* scopes that ever had an order */
#define SL_AGENT_RUNS_MAX 1024         /* runs that are not sealed and acknowledged */
#define SL_AGENT_FINISHED_MAX 65536    /* run ids never started again */
#define SL_AGENT_SEALS_OF_UNIT 64      /* acknowledged seals kept, newest of a unit */
#define SL_AGENT_SEALS_KEPT 512        /* in all: 8 MiB of a slot's 64 at the longest */
#define SL_AGENT_REFUSED_MAX 256       /* refusals shown at once */
#define SL_AGENT_STEPS_MAX 32          /* roots taken in one STEPS */
#define SL_AGENT_JUMP_MAX (UINT64_C(1) << 20)
#define SL_AGENT_FIRST_TERM_MAX                                                                    \
    (UINT64_C(1) << 40) /* of the first head ever: far from the end, far above any ledger */
#define SL_AGENT_SKEW_US (5 * SL_MINUTE_US)
#define SL_AGENT_PRUNE_SHARE 30 /* per cent */

#define SL_AGENT_FETCH_TIMEOUT_US SL_MINUTE_US
#define SL_AGENT_BACKOFF_MAX_US SL_MINUTE_US
#define SL_AGENT_REFUSAL_SHOWN_US (10 * SL_MINUTE_US) /* a refused head stays visible */
#define SL_AGENT_OVER_SHOWN_US (15 * SL_SECOND_US) /* one that nobody is to blame for, once it is over */
#define SL_AGENT_RETRY_REFUSED_US SL_MINUTE_US
#define SL_AGENT_LAZY_SAVE_US SL_SECOND_US
#define SL_AGENT_LOOK_ALL_US (10 * SL_SECOND_US) /* a wake that was forgotten costs at most this */
#define SL_AGENT_KEEP_US SL_MINUTE_US /* what may go is an hour old: no need to look oftener */
#define SL_AGENT_DEGRADED_US (10 * SL_SECOND_US) /* Degraded this long before going back */
#define SL_AGENT_HEALTH_US (10 * SL_MINUTE_US)   /* not Healthy by then: going back */
#define SL_AGENT_CONFIRM_US                                                                        \
    (5 *                                                                                           \
     SL_MINUTE_US) /* Healthy this long: no more going back by itself                          \
                        */
#define SL_AGENT_SEAL_REPEAT_US (30 * SL_SECOND_US)
#define SL_AGENT_REPORT_GAP_US (SL_SECOND_US / 5)
#define SL_AGENT_REPORT_BURST_US                                                                   \
    (4 * SL_AGENT_REPORT_GAP_US) /* so many reports may go without a gap */
#define SL_AGENT_REPORT_SOFT_US SL_SECOND_US
#define SL_AGENT_REPORT_PERIOD_US (30 * SL_SECOND_US)
#define SL_AGENT_REPORT_REPEAT_US (10 * SL_SECOND_US)

#define SL_KIND_TRAINING_JOB SL_API_GROUP "/TrainingJob"

/* What a check says: wait is neither yes nor no (bytes missing, not before, paused). */
typedef enum { SL_CHECK_OK, SL_CHECK_WAIT, SL_CHECK_REFUSED } SlCheck;

typedef struct {
    SlHealth health;
    char *reason, *message;
    int64_t since_us;
} SlVerdict;
void sl_verdict_clear(SlVerdict *v);
/* True if health or reason changed. */
bool sl_verdict_set(SlVerdict *v, SlHealth health, const char *reason, const char *message,
                    int64_t now_us);

typedef enum { SL_OP_NONE, SL_OP_APPLY, SL_OP_REMOVE } SlOp;

/* One object of the inventory: what may exist in the cluster because of us. */
typedef struct {
    char *kind, *namespace_, *name;
    char *digest; /* version last asked for */
    int wave;
    bool keep;    /* opted out of pruning */
    bool applied; /* APPLIED came for digest (saved lazily: applying again is harmless) */
    /* memory */
    SlOp op;
    bool adopted;        /* ADOPT was sent in this boot */
    unsigned unanswered; /* APPLYs: what stands there only the last one's answer says */
    unsigned tries;
    int64_t retry_us; /* elapsed */
    SlVerdict verdict;
} SlAgentObject;

/* An object of a bundle, read. */
typedef struct {
    char *key; /* "<kind> <namespace> <name>" */
    char *kind, *namespace_, *name, *digest;
    int wave;
    bool keep, is_run, start_auto;
    char *run_key;     /* jobs only, else NULL */
    GPtrArray *inputs; /* jobs only: "<name> sha256:<digest>" */
} SlGoal;

/* Brings a bundle's list, objects and blobs here and reads them. */
typedef struct {
    char *digest;
    SlBundle *bundle;
    GHashTable *missing;  /* digests still awaited, NULL until the list is read */
    GPtrArray *goals;     /* of SlGoal*, by (wave, key); NULL until ready */
    GHashTable *by_key;   /* key -> SlGoal*, borrowed */
    GHashTable *withheld; /* set of keys */
    GPtrArray *models;    /* of char*: model digests that the objects name */
} SlGather;
SlGather *sl_gather_new(const char *bundle);
void sl_gather_free(SlGather *g);
bool sl_gather_ready(const SlGather *g);
SlCheck sl_gather_advance(SlAgent *a, SlGather *g, const char *waiter, GError **error);
void sl_gather_arrived(SlGather *g, const char *digest);
char *sl_object_key(const char *kind, const char *namespace_, const char *name);

/* A listed promotion on its way through the checks. */
typedef struct {
    char *digest;
    SlSigned *statement;  /* NULL until fetched */
    uint64_t judged_root; /* version of the root by which its signatures suffice; 0 = none yet */
    SlPromotion *promotion;
    char *bundle;      /* own line of targets */
    char *auto_bundle; /* own line of auto-rollback-to; "" = has none */
    char **auto_privileged; /* kinds that it names; or NULL */
    SlGather *gather;
    bool refused;
    int64_t retry_us; /* elapsed; INT64_MAX = only by new facts */
    char *waits;      /* for people; NULL */
} SlCandidate;
void sl_candidate_free(SlCandidate *c);

typedef struct {
    char *app, *key; /* key "app/env" */
    /* durable */
    uint64_t epoch, seq; /* floor; seq 0 = none */
    char *floor;         /* digest under seq */
    char *promotion;     /* accepted and in force, or NULL */
    SlAct act;
    char *bundle, *release;
    bool force, confirmed;
    bool resumed;                       /* people ended the loss of state for this unit */
    char *auto_promotion, *auto_bundle; /* or NULL */
    char **auto_privileged;             /* kinds that auto_promotion names; or NULL */
    char *latch_reason;                 /* set = latched on auto_bundle */
    int64_t latch_us, activated_us;
    GPtrArray *healthy;  /* of char* bundle digests, newest last, at most SL_AGENT_HEALTHY_KEPT */
    GHashTable *objects; /* key -> SlAgentObject* */
    /* memory */
    char *wanted; /* listed promotion, NULL = unlisted */
    SlCandidate *candidate;
    SlGather *goal;  /* of the bundle in force (or latched on) */
    SlGather *spare; /* of auto_bundle, fetched ahead */
    SlVerdict verdict;
    bool touched;              /* something happened to its objects: judge it again */
    bool stirred;              /* what it waits for may have come: look at it in this step */
    bool unapplied;            /* looked at, and its operations not decided since */
    int64_t look_us;           /* elapsed; when it asked to be looked at again */
    int64_t healthy_since_us;  /* elapsed; -1 = is not Healthy */
    int64_t degraded_since_us; /* elapsed; -1 = is not Degraded */
    int64_t unwell_since_us;   /* elapsed; -1 = is Healthy or Unknown */
} SlUnit;
SlUnit *sl_agent_unit_new(const char *app, const char *env);
void sl_agent_unit_free(SlUnit *u);
const char *
sl_agent_unit_bundle(const SlUnit *u); /* in force: latched one or the promotion's; NULL */

typedef enum {
    SL_JOURNAL_PLACED,
    SL_JOURNAL_STARTED,
    SL_JOURNAL_SEALED,
    SL_N_JOURNAL
} SlJournalState;

/* A run that was placed here and whose seal is not acknowledged yet. */
typedef struct {
    char *id, *app, *job, *run_key, *promotion, *bundle, *release, *object, *namespace_;
    uint64_t generation;
    SlJournalState state;
    GPtrArray *inputs; /* of char* */
    SlSigned *seal;    /* SEALED only */
    char *seal_digest;
    /* memory */
    json_t *record;
    bool issued, stopped; /* in this boot */
    int64_t sent_us;      /* elapsed; of the seal; -1 */
} SlJournal;
void sl_journal_free(SlJournal *j);

/* A seal that somebody acknowledged. An acknowledgement proves nothing - a ledger may be restored,
 * a thief may say it - so it is sent again while the list names its run. */
typedef struct {
    char *app, *run_id;
    SlSigned *seal;
    /* memory */
    int64_t sent_us; /* elapsed; -1 */
    unsigned tries;
} SlKeptSeal;
void sl_kept_seal_free(SlKeptSeal *k);
SlKeptSeal *sl_agent_kept_seal(const SlAgent *a, const char *run_id); /* NULL if there is none */

/* A `run` line of the desired list. */
typedef struct {
    char *app, *job, *id;
    uint64_t generation;
} SlRunLine;

typedef struct {
    char *digest;
    SlSigned *statement;
    SlOrder *order;
    bool in_force;               /* durable; else a line being checked */
    bool listed, refused, taken; /* taken: counted once, for ever */
    bool over;                   /* in force, but past its expiry by a time that no head vouches for */
    uint64_t came;               /* number of the list that named it first */
    int64_t retry_us;
} SlAgentOrder;
void sl_agent_order_free(SlAgentOrder *o);

typedef struct {
    uint64_t number;
    char *digest;
} SlFloor;

typedef struct {
    uint64_t epoch, term, version, root, registry, ledger_seq;
    char *digest, *desired, *ledger_hash;
    int64_t issued_us, expires_us;
} SlHeadState;

typedef struct {
    bool is_statement, open;
    bool first; /* the list or the own entry waits for it */
    unsigned tries;
    int64_t at_us;      /* elapsed: next try, or time-out of the open one */
    GPtrArray *waiters; /* of char* */
} SlFetch;

typedef struct {
    char *what, *kind, *message;
    char *promotion; /* that was refused; NULL = it was something else */
    int code;
    int64_t since_us, until_us; /* until: elapsed; INT64_MAX = while it stands */
} SlRefusal;

struct SlAgent {
    /* configuration */
    const uint8_t *secret;
    char *cluster, *env, *program, *boot, *root_pin;
    GBytes *(*blob)(const char *digest, void *user);
    void *user;
    SlPublicKey *key;

    /* durable */
    SlRoot *root; /* NULL = lost and not started again */
    SlSigned *root_text, *registry_text;
    uint64_t registry_version;
    char *registry_map; /* root of the map of clusters */
    char *self;         /* own entry's values in the registry, NULL = none */
    bool self_known;    /* self was looked up in the registry in force */
    SlHeadState head;   /* digest NULL = none */
    int64_t trusted_us;
    char *lost_nonce; /* set = state-lost; "" = no session yet */
    int64_t lost_us;
    GHashTable *units;    /* app -> SlUnit* */
    GHashTable *orders;   /* digest -> SlAgentOrder*, in force and being checked */
    GHashTable *floors;   /* scope -> SlFloor* */
    bool session_heard;   /* a head of this session was accepted */
    uint64_t lists;       /* that were read since the start */
    GHashTable *runs;     /* run id -> SlJournal* */
    GHashTable *finished; /* set of run ids */
    GPtrArray *seals;     /* of SlKeptSeal*, oldest first */

    /* saving */
    uint64_t generation, saved, hard_generation;
    bool dirty, lazy, saving;
    int64_t lazy_us, save_retry_us;

    /* memory */
    int64_t now_us, monotonic_us, elapsed_us;
    bool started, connected;
    char *nonce;
    int64_t hello_us; /* elapsed; of the last */
    SlSigned *pending_head;
    SlHead *pending;
    char *list_root;      /* of the list in use, NULL = none read */
    GPtrArray *run_lines; /* of SlRunLine* */
    GHashTable *fetches;  /* digest -> SlFetch* */
    unsigned open_fetches;
    GHashTable *statements; /* digest -> SlSigned*: fetched, not used up */
    GHashTable *refusals;   /* what -> SlRefusal* */
    GHashTable *entries;    /* key -> its line's text: the applied map */
    SlMap *reported;        /* what the reports so far said */
    GHashTable *changed;    /* set of keys that differ from it, also of what is gone */
    bool report_now, report_full;
    bool report_rest; /* a full report was begun that did not say all yet */
    SlSigned *report; /* not acknowledged */
    SlSigned *said; /* the last report of a durable state */
    uint64_t report_counter;
    int64_t report_us, report_sent_us; /* elapsed */
    int64_t
        report_paid_us; /* elapsed until which the reports sent so far use up the rate of one per gap */
    bool keep_dirty;
    int64_t keep_us; /* elapsed; not again before */
    char *keep_digest;
    bool stir_all;       /* look at every unit in this step */
    int64_t look_all_us; /* elapsed; and then anyway */
    SlAgentOutput *out; /* of the step that runs */
    int64_t due_us;     /* elapsed: earliest of what asked to be woken in this step */
};

/* agent.c */
SlAgentEffect *sl_agent_emit(SlAgent *a, SlAgentEffectType type);
void sl_agent_log(SlAgent *a, bool is_error, const char *event, const char *format, ...)
    G_GNUC_PRINTF(4, 5);
void sl_agent_wake(SlAgent *a, int64_t elapsed_us); /* be called again at the latest then */
void sl_agent_dirty(SlAgent *a);                    /* hard: effects wait until this is saved */
void sl_agent_lazy(SlAgent *a);                     /* saved soon; nothing waits for it */
bool sl_agent_durable(const SlAgent *a);
int64_t sl_agent_backoff(unsigned tries);
void sl_agent_hello(SlAgent *a);

/* time.c */
void sl_agent_clock(SlAgent *a, int64_t now_us, int64_t monotonic_us);
int64_t sl_agent_trusted(const SlAgent *a);
void sl_agent_wake_at(SlAgent *a, int64_t utc_us);
bool sl_agent_head_fresh(const SlAgent *a);
bool sl_agent_may_start(const SlAgent *a); /* something new: fresh, and by the head's own list */
void sl_agent_clock_flags(SlAgent *a);

/* state.c, slots.c */
json_t *sl_agent_state_to_json(const SlAgent *a);
SL_MUST_USE bool sl_agent_state_from_json(SlAgent *a, const json_t *json, GError **error);
GBytes *sl_slot_pack(const json_t *content, uint64_t generation);
/* Errors: AGENT_SLOT. (transfer full) */
SL_MUST_USE json_t *sl_slot_unpack(GBytes *bytes, uint64_t *ret_generation, GError **error);

/* fetch.c */
GBytes *sl_agent_blob(SlAgent *a, const char *digest, const char *waiter); /* NULL: asked for */
const SlSigned *sl_agent_statement(SlAgent *a, const char *digest, const char *waiter);
void sl_agent_fetched(SlAgent *a, const char *digest);
void sl_agent_fetch_failed(SlAgent *a, const char *digest, const GError *error);
void sl_agent_fetch_reset(SlAgent *a);
void sl_agent_fetch_settle(SlAgent *a);
void sl_agent_fetch_drop(SlAgent *a, const char *waiter);
GBytes *sl_agent_checked_blob(SlAgent *a, const char *digest, const char *waiter, GError **error);
/* Value of @key in the map @root. WAIT: parts are fetched. @ret_values NULL if it has none. */
SlCheck sl_agent_map_get(SlAgent *a, const char *root, const char *key, const char *waiter,
                         char **ret_values, GError **error);

/* checks.c, checks_head.c, checks_unit.c */
static inline SlCheck sl_check_verdict(bool ok)
{
    return ok ? SL_CHECK_OK : SL_CHECK_REFUSED;
}
SlCheck sl_check_fleet(const SlAgent *a, const char *fleet, GError **error);
SlCheck sl_check_env(const SlAgent *a, const char *env, GError **error);
SlCheck sl_check_epoch(const SlAgent *a, uint64_t epoch, GError **error);
SlCheck sl_check_head(SlAgent *a, const SlSigned *s, SlHead **ret_head);
/* No head lives longer than the root allows, whatever it says. */
int64_t sl_head_expires(const SlAgent *a, const SlHead *head);
SlCheck sl_check_unit(SlAgent *a, SlUnit *u, SlCandidate *c);
/* May the objects of @gather be here, by the root of now? Errors: AGENT_OBJECT_POLICY. */
SL_MUST_USE bool sl_check_objects(const SlAgent *a, const SlUnit *u, const SlGather *gather,
                                  const char *const *privileged, GError **error);
SlCheck sl_check_order(SlAgent *a, SlAgentOrder *o);
bool sl_check_known_signer(const SlAgent *a, const SlSigned *s, SlStatementKind kind,
                           bool online_only, GError **error);

/* refuse.c */
void sl_agent_refuse(SlAgent *a, const char *what, const char *kind, const GError *error);
void sl_agent_refuse_promotion(SlAgent *a, const char *what, const char *kind,
                               const char *promotion, const GError *error);
void sl_agent_unrefuse(SlAgent *a, const char *what);
void sl_agent_refused_head_over(SlAgent *a);
void sl_agent_refuse_settle(SlAgent *a);
void sl_refusal_free(SlRefusal *r);

/* steps.c, heads.c */
void sl_agent_take_steps(SlAgent *a, const GPtrArray *roots, const GPtrArray *registries);
SL_MUST_USE bool sl_agent_check_registry(const SlRoot *root, const char *env, uint64_t version,
                                         const SlSigned *s, SlRegistry **ret, GError **error);
void sl_agent_steps_settle(SlAgent *a);
void sl_agent_take_head(SlAgent *a, const SlSigned *s);
void sl_agent_heads_settle(SlAgent *a);
void sl_head_state_clear(SlHeadState *h);

/* list.c, orders.c, units.c */
void sl_agent_list_settle(SlAgent *a);
void sl_agent_orders_settle(SlAgent *a);
bool sl_agent_orders_room(SlAgent *a); /* for one more: one that can't hold gives way; false if none */
bool sl_agent_paused(const SlAgent *a, const char *app, int64_t *ret_until_us);
bool sl_agent_renewed(const SlAgent *a, const char *promotion, const char *app);
void sl_agent_floors_say(SlAgent *a); /* to the coordinator, in reports */
void sl_agent_floors_forget(SlAgent *a);
bool sl_agent_stop_ordered(const SlAgent *a, const char *scope);
/* A start-run order in force whose signatures suffice by the root of now. */
bool sl_agent_start_ordered(const SlAgent *a, const char *app, const char *scope);
bool sl_agent_orders_wait(const SlAgent *a); /* a listed order is still being fetched */
bool sl_agent_is_lost(const SlAgent *a, const char *app);
void sl_agent_units_recheck(
    SlAgent *a); /* root, list or time changed: refused lines are judged again */
void sl_agent_follow(SlAgent *a, SlUnit *u);
void sl_agent_forget_blank(SlAgent *a);
SlUnit *sl_agent_unit(SlAgent *a, const char *app);
bool sl_agent_epoch_in_force(const SlAgent *a, const SlUnit *u);

/* stir.c */
void sl_agent_stir_input(SlAgent *a, const SlAgentInput *in);
void sl_agent_units_settle(SlAgent *a);
void sl_agent_health_all(SlAgent *a);
void sl_agent_apply_all(SlAgent *a);
void sl_agent_units_wake(SlAgent *a);

/* plan.c, apply.c, health.c, rollback.c */
bool sl_plan_share_ok(const SlUnit *u, const SlGather *next, unsigned *ret_removed,
                      unsigned *ret_all);
void sl_plan_enter(SlAgent *a, SlUnit *u,
                   const SlGather *next); /* inventory: old and new together */
bool sl_plan_prunable(const SlUnit *u, const char *key, const SlAgentObject *o);
void sl_agent_apply_settle(SlAgent *a, SlUnit *u);
void sl_agent_adopt(SlAgent *a);
void sl_agent_applied(SlAgent *a, const SlAgentInput *in);
void sl_agent_removed(SlAgent *a, const SlAgentInput *in);
void sl_agent_observed(SlAgent *a, const SlAgentInput *in);
void sl_agent_health_settle(SlAgent *a, SlUnit *u);
void sl_agent_rollback_settle(SlAgent *a, SlUnit *u);
void sl_agent_rollback_unrefuse(SlAgent *a, const SlUnit *u); /* it is about going back no more */
void sl_agent_object_free(SlAgentObject *o);

/* runs.c, seals.c */
void sl_agent_runs_settle(SlAgent *a);
void sl_agent_run(SlAgent *a, const char *run_id, const json_t *record);
void sl_agent_run_ended(SlAgent *a, const SlRunEnd *end);
void sl_agent_seals_settle(SlAgent *a);
void sl_agent_seal_ack(SlAgent *a, const char *digest, const char *refused);
void sl_agent_seals_again(SlAgent *a); /* a new session: send what is not acknowledged */
void sl_agent_runs_adopt(SlAgent *a);
void sl_agent_runs_issue(SlAgent *a);
void sl_run_line_free(SlRunLine *line);

/* report.c, keep.c */
void sl_agent_entry(SlAgent *a, const char *key, json_t *value /* consumed; NULL = gone */,
                    bool now);
void sl_agent_flag(SlAgent *a, const char *name, const char *message /* NULL = off */,
                   int64_t since_us);
/* With the nonce that an order of people must bind: of the session in which the loss was first
 * said, which is not the session of later. */
void sl_agent_flag_nonce(SlAgent *a, const char *name, const char *message, int64_t since_us,
                         const char *nonce);
void sl_agent_report_unit(SlAgent *a, SlUnit *u, bool now);
void sl_agent_report_object(SlAgent *a, SlUnit *u, SlAgentObject *o, bool now);
char *sl_agent_object_entry(const SlUnit *u, const char *kind, const char *namespace_,
                            const char *name);
void sl_agent_report_run(SlAgent *a, const SlJournal *j, bool now);
void sl_agent_report_ack(SlAgent *a, const char *boot, uint64_t counter, bool want_full);
void sl_agent_report_settle(SlAgent *a);
void sl_agent_keep_settle(SlAgent *a);
