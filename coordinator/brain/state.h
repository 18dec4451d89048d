/* state.h - the coordinator's state: what fold() makes of the ledger, and beside it what is rebuilt
 * after a start.
 *
 * Only fold_*.c write the durable members (everything not marked volatile); step emits events and
 * never sets them itself. Private to this room. */
#pragma once
#include "base/digest.h"
#include "base/text.h"
#include "coordinator/brain/coord.h"
#include "coordinator/brain/machine.h"
#include "core/bundle.h"
#include "core/order.h"
#include "core/policy.h"
#include "core/promotion.h"
#include "core/run.h"
#include "sluice/clock.h"
#include "sluice/gate.h"

#define SL_WAITING_MAX 16    /* waiting attempts of one unit: more are a mistake of a script */
#define SL_RENDERS_MAX 16    /* renders asked for at once: the shell's work queue is bounded too */
#define SL_TRIES_MAX 10      /* technical failures of one attempt before it ends ERRORED */
#define SL_VERIFY_TARGETS 64 /* up to here every report is judged at once */
#define SL_VERIFY_PER_TARGET_US 20 /* above, at most this share of the time goes into judging */
#define SL_RETRY_FIRST_US (5 * SL_SECOND_US)
#define SL_RETRY_MAX_US (10 * SL_MINUTE_US)
#define SL_WORK_LIMIT_US                                                                           \
    (15 * SL_MINUTE_US) /* RENDERING and COMMITTING: longer means that the answer was lost */
#define SL_RUN_WAIT_US (7 * SL_DAY_US)  /* VERIFYING on a run that goes on (waitFor: finished) */
#define SL_JUMP_MAX (UINT64_C(1) << 20) /* one step of a term that an agent may ask for */
#define SL_REPORT_ENTRIES_MAX 65536     /* entries that one agent may report */
#define SL_TOKENS_MAX 1000              /* join and API tokens */
#define SL_ORDERS_MAX 256    /* orders in force per environment: a head's list stays small */
#define SL_ANSWERS_MAX 10000 /* remembered idempotency keys */
#define SL_REASON_MAX 500    /* bytes of a reason that a person gives */
#define SL_JOIN_LIFETIME_US SL_DAY_US
#define SL_APPROVALS_MAX                                                                           \
    15 /* people on one statement, with the online key 16 = SL_STATEMENT_SIGS_MAX */

typedef struct {
    char *name, *digest, *run_key, *job, *output,
        *origin; /* digest NULL = pending; the others NULL for a fixed one */
} SlItem;

typedef struct {
    char *id, *name, *app, *document, *parent;
    char *repository, *commit, *author, *subject;
    json_t *trees;
    json_t *needs; /* {env: [items that its objects name]}; an environment that is not there: all */
    char **authors;   /* people or e-mails of the commits since the release before */
    GPtrArray *items; /* of SlItem* */
    int64_t time_us, minted_us;
    uint64_t position, order; /* release order: position of the source, then order of minting (or of
                                 being seen again) */
} SlRelease;

typedef struct {
    char *name, *run_key, *digest, *on_change, *wait_for;
    bool start_auto;
    int64_t gpus;
    char **clusters;
} SlJob;

typedef struct {
    char *type, *where, *reason;
    SlGateVerdict verdict;
    json_t *who, *evidence;
} SlGateLine;

typedef struct {
    uint64_t n;
    char *app, *env, *release, *requester, *reason;
    SlAct act;
    bool allow_prune, disrupt, force_fields;
    char **privileged;
    uint64_t to;    /* rollback: the attempt whose folder comes back */
    uint64_t order; /* of the release when it was asked for */
    SlState state;
    int64_t requested_us, since_us, finished_us;
    /* from Rendered on */
    uint64_t seq;
    SlSigned *statement; /* NULL if unchanged */
    char *promotion, *targets, *previous, *from_commit;
    GHashTable *target_of;   /* cluster -> bundle */
    GHashTable *withheld_of; /* bundle -> count as string */
    GPtrArray *jobs;         /* of SlJob* */
    bool unchanged;
    uint64_t withheld, held;
    json_t *evidence; /* of Gate events */
    bool signed_online;
    GPtrArray *approvers; /* of char*: people */
    char *commit;         /* of the environment's branch */
    int64_t committed_us;
    uint64_t committed_seq; /* of its Committed event: what came first is asked of the ledger, not
                               of clocks; 0 = not committed */
    int error_code;
    char *error; /* message of a final state that is not SUCCEEDED */
    /* volatile */
    GPtrArray *gates; /* of SlGateLine*: as judged last */
    char *waiting;    /* what it waits for now, NULL = the state's own text */
    json_t *who;      /* array or NULL */
    int64_t retry_us, next_us;
    int64_t waits_from_us; /* not 0: a gate's time-out counts from here */
    bool held_by_clock;    /* QUEUED: waits for the coordinator's clock to be right */
    unsigned tries;
    guint claims_version; /* of the environment when its objects were compared last */
    bool wants_slot;      /* QUEUED: waits for a render of another to end */
    int64_t verify_us;    /* many targets: not judged again before */
    bool ready;           /* GATING: everything is open, commit it */
    int64_t ahead_us;     /* committed_us lies so far in the future: the clock was wrong then */
} SlAttempt;

typedef struct {
    char *by, *reason;
    int64_t since_us;
} SlMark;

/* Health of a unit on one cluster as a Health event proves it: for views of the past. */
typedef struct {
    char *entry; /* JSON of the report's line */
    int64_t at_us;
} SlRecorded;

/* A report that a Health event holds: what else it proves refers to that event. */
typedef struct {
    uint64_t seq;
    SlSigned *report;
} SlProof;

typedef struct {
    char *release, *by, *reason;
    int64_t since_us;
    char **bundles;
} SlVeto;

typedef struct {
    char *id, *app, *env, *job, *key, *cluster;
    uint64_t generation, attempt;
    int64_t placed_us;
    uint64_t placed_seq, sealed_seq; /* of the events that say so; sealed_seq 0 while it goes on */
    SlSigned *sealed;                /* NULL while it goes on */
    SlSeal *seal;
    char *seal_digest;
    int64_t sealed_us;
} SlRun;

typedef struct {
    char *key, *app, *env;
    uint64_t seq;         /* highest reserved */
    GPtrArray *attempts;  /* of SlAttempt*, borrowed, oldest first */
    SlAttempt *live;      /* whose promotion is in force; NULL before the first, or after remove */
    SlAttempt *current;   /* whose release is current: live, or an unchanged one after it */
    SlAttempt *last_live; /* live, also after a remove: `previous` */
    GHashTable *been;     /* release id -> order (as string) when it was current here */
    SlMark *pinned;
    GPtrArray *vetoes; /* of SlVeto* */
    GPtrArray *runs;   /* of SlRun*, borrowed, oldest first */
    /* volatile */
    SlAttempt *claimed;    /* whose objects are in the environment's claims */
    GPtrArray *claim_keys; /* of char* */
    GHashTable *recorded; /* while only folded: cluster -> SlRecorded*: last health in the ledger */
} SlUnit;

typedef struct {
    char *name;
    SlSigned *registry;
    uint64_t registry_version;
    GHashTable *clusters; /* id -> SlCluster* */
    char *tip, *before;   /* of the branch after the last COMMITTED, and what it was made from */
    char *external;       /* halted: tip that somebody else made ("" = deleted) */
    /* volatile */
    bool tip_known; /* the branch is where the ledger says */
    bool writing, reverting;
    GArray *group; /* of uint64_t: attempts of the write under way */
    int64_t asked_us, retry_us;
    unsigned tries;
    GHashTable
        *claims; /* "cluster kind namespace name" -> SlUnit* that writes it; NULL = not made */
    bool claims_stale;
    guint claims_version;
} SlEnv;

typedef struct {
    char *id, *name, *env, *by, *cluster; /* cluster: id that used it, or NULL */
    char *request;                        /* digest of the enrol text that used it */
    json_t *labels;
    int64_t expires_us;
} SlJoin;

typedef struct {
    char *id, *hash, *person, *scope;
    int64_t expires_us, made_us;
} SlToken;

typedef struct {
    char *digest;
    SlSigned *statement;
    SlOrder *order;
    int64_t at_us;
} SlOrderKept;

typedef struct {
    char *repository, *branch, *commit, *subject, *error, *accept;
    uint64_t position;
    int64_t read_us;
    json_t *problems;
    /* authors.c */
    uint64_t reads;      /* number of the last one */
    GHashTable *authors; /* who -> uint64_t*: read that named them last */
    uint64_t forgotten;  /* up to this read, for want of room */
    GHashTable *floors;  /* application -> uint64_t*: read up to which its releases are complete */
    char **unsettled;    /* applications: what comes after the last read may be about them too */
    char *rewound;  /* volatile: tip that is not a descendant */
    char *unsigned_; /* volatile: tip that is not signed as the documents demand */
} SlSourceState;

typedef struct {
    int status;
    char *digest; /* of verb and args */
    json_t *body;
    int64_t at_us;
} SlAnswer;

typedef struct {
    char *curve, *cluster, *env, *nonce, *version;
    bool state_lost;
    int64_t seen_us;
    char *desired; /* of the head sent last */
    uint64_t root, registry;
    int64_t renew_us, sent_us; /* of the head */
} SlSession;

typedef struct {
    SlMap *entries;      /* key -> json text; its root is compared with that of each report */
    GHashTable *servers; /* "app/env" -> GPtrArray of char*: keys of its ModelServers among them */
    GHashTable *sources; /* "unit/.." key -> SlSigned*: report that said so last */
    char *boot;
    uint64_t counter;
    int64_t seen_us;
    uint64_t term, head_version, root;
    char *head;
    int64_t clock_off_us, clock_lived_us; /* its clock less ours, and when it said so (lived) */
    bool clock_known, clock_alarm;
    bool known; /* root compared equal, and the agent said all it has: what is not here is gone */
    char *alarm;
} SlSeen;

struct SlCoord {
    SlCoordConfig config;
    char *owner;
    uint64_t seq;
    char hash[SL_HEX_DIGEST_LEN + 1];
    /* durable */
    char *fleet_name;
    int64_t created_us;
    GPtrArray *roots; /* of SlSigned*, version 1 first */
    SlRoot *root;
    uint64_t term;
    json_t *docs_json; /* sl_fleet_to_json of what is in force, or NULL */
    SlFleetDocs *docs;
    uint64_t docs_version;
    char *docs_commit;
    GHashTable *releases;     /* id -> SlRelease* */
    GHashTable *app_releases; /* app -> GPtrArray* of SlRelease*, in order of minting, borrowed */
    uint64_t release_count;   /* order */
    GPtrArray *attempts;      /* of SlAttempt*, n = index + 1 */
    GPtrArray *active;        /* of SlAttempt*: not final, borrowed */
    GHashTable *units;        /* "app/env" -> SlUnit* */
    GHashTable *envs;         /* name -> SlEnv* */
    GHashTable *runs;         /* id -> SlRun* */
    GHashTable *wins;         /* "app/env/run key" -> SlRun*, borrowed: first successful seal */
    GHashTable *pending;      /* cluster id -> SlPendingCluster*-like: SlCluster* + env */
    GHashTable *pending_env;  /* cluster id -> env */
    GHashTable *removed;      /* cluster id -> reason: next draft leaves it out */
    GHashTable *joins;        /* token id -> SlJoin* */
    GHashTable *tokens;       /* API token id -> SlToken* */
    GPtrArray *orders;        /* of SlOrderKept* */
    GHashTable *floors;       /* "env scope" -> number as string */
    GHashTable *sources;      /* repository -> SlSourceState* */
    GHashTable
        *statements; /* digest -> SlSigned*, borrowed from attempts, orders, registries, seals */
    GHashTable *answers; /* "person key" -> SlAnswer* */
    GHashTable *proofs;  /* cluster id -> SlProof*: of its last Health event that holds a report;
                            forgotten at the start, so that no ledger makes memory */
    GPtrArray *history;  /* of json_t*: the last SL_EVENTS_KEPT events for the view */
    /* volatile */
    GHashTable *dirty;          /* applications to be looked at again (char*) */
    GHashTable *dirty_sessions; /* curve keys whose head may have changed (char*) */
    GHashTable *auto_wait;      /* application -> int64_t*: when `newest` may try again */
    bool dirty_all, envs_dirty;
    int64_t auto_next_us, envs_next_us, heads_next_us, heads_seen_us, step_us;
    GHashTable *curves; /* curve key -> SlCluster*, of all registries; made when one is folded */
    GHashTable *curve_envs; /* curve key -> SlEnv* */
    bool started;
    bool folding;
    GHashTable *sessions;      /* curve -> SlSession* */
    GHashTable *seen;          /* cluster id -> SlSeen* */
    GHashTable *head_versions; /* cluster id -> version in this term, as string */
    GHashTable
        *desired_lists; /* root -> GHashTable of blobs: made in this process, shared when equal */
    GPtrArray *alarms;  /* of json_t*, as they came */
    GHashTable *alarm_of; /* "cluster what" -> json_t*, borrowed from alarms */
    GHashTable *troubles; /* "cluster what" of an alarm of the link -> int64_t*: when it ends */
    int64_t troubles_next_us;
    uint64_t keys_version; /* of curves: another one whenever they are made anew */
    GPtrArray *doc_problems; /* of json_t*: problems of the last source read */
    unsigned renders;
    SlCoordOutput *out; /* of the step under way */
    int64_t now_us; /* believed: clock.c */
    int64_t monotonic_us, lived_us, wall_off_us, clock_look_us;
    bool clock_wrong; /* most agents say so */
    int64_t next_us;
};

#define SL_EVENTS_KEPT 10000 /* for GET /v1/events; older ones are in Git */

void sl_attempt_free(SlAttempt *attempt);
void sl_release_free(SlRelease *release);
void sl_unit_free(SlUnit *unit);
void sl_recorded_free(SlRecorded *recorded);
void sl_proof_free(SlProof *proof);
void sl_env_free(SlEnv *env);
void sl_run_free(SlRun *run);
void sl_job_free(SlJob *job);
void sl_item_free(SlItem *item);
void sl_session_free(SlSession *session);
void sl_seen_free(SlSeen *seen);

/* Lookups; NULL if absent. */
SlRelease *sl_brain_release(const SlCoord *c, const char *id);
SlAttempt *sl_brain_attempt(const SlCoord *c, uint64_t n);
SlRelease *sl_brain_latest_release(const SlCoord *c, const char *app); /* in release order */
SlUnit *sl_brain_unit(const SlCoord *c, const char *app, const char *env);
SlUnit *sl_brain_unit_make(SlCoord *c, const char *app, const char *env);
SlEnv *sl_brain_env(const SlCoord *c, const char *name);
SlEnv *sl_brain_env_make(SlCoord *c, const char *name);
SlRun *sl_brain_win(const SlCoord *c, const char *app, const char *env, const char *key);
SlCluster *sl_brain_cluster(const SlCoord *c, const char *id, const char **ret_env);
SlSourceState *sl_brain_source_make(SlCoord *c, const char *repository);
bool sl_release_pending(const SlRelease *r);
/* Release order: < 0 if a is before b. */
int sl_release_compare(const SlRelease *a, const SlRelease *b);

/* Bytes of a digest: of this step first, then the shell's store. Borrowed; NULL. */
GBytes *sl_brain_blob(SlCoord *c, const char *digest);
void sl_brain_keep_ledger(SlCoord *c, const char *digest, GBytes *bytes);
void sl_brain_keep_cache(SlCoord *c, const char *digest, GBytes *bytes);
char *sl_brain_keep_json(SlCoord *c,
                         const json_t *value); /* ledger blob of canonical JSON; its digest */
void sl_brain_keep_map(SlCoord *c, const SlMap *map);

/* Events: sl_event() makes one, sl_emit() numbers, chains, folds and hands it to the shell. */
json_t *sl_event(const char *type);
void sl_emit(SlCoord *c, json_t *event /* consumed */);
/* Marks what an event concerns (dirty.c). */
void sl_brain_touch_event(SlCoord *c, const char *type, const json_t *event);
SL_MUST_USE bool sl_fold_one(SlCoord *c, const char *type, const json_t *event, int64_t at_us,
                             GError **error);
/* Emits a final state: type "Failed", ... with error code and message. */
void sl_emit_end(SlCoord *c, SlAttempt *a, const char *type, int code, const char *format, ...)
    G_GNUC_PRINTF(5, 6);
/* A move that is not in the ledger. */
void sl_attempt_move(SlCoord *c, SlAttempt *a, SlOn on);

SlCoordEffect *sl_effect(SlCoord *c,
                         SlCoordEffectType type); /* added to the step's output; borrowed */
void sl_wake(SlCoord *c, int64_t at_us);          /* TICK at the latest then */

/* JSON helpers. */
json_t *sl_json_time(int64_t us); /* string, or null for 0 */
int64_t sl_json_time_at(const json_t *tree, const char *path, int64_t otherwise);
char **sl_json_strv_at(const json_t *tree, const char *path); /* never NULL */
