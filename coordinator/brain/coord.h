/* coord.h - everything the coordinator decides: step(state, input, now) -> ledger events, effects.
 * Pure.
 *
 * The shell turns I/O into inputs and performs effects; it decides nothing. Order that the shell
 * keeps:
 *   1. sl_coord_step() folds the events that it returns into the state at once (so the next step
 * sees them);
 *   2. the shell appends out->events and out->ledger_blobs to the ledger (all steps of one loop
 * turn = one commit, fsync);
 *   3. only then it performs out->effects, in order ("commit before effect"). Effects are
 * idempotent. A failed append is fatal: the process ends, the next start folds the ledger again.
 * State = fold(events); what is not in the ledger (sessions, reports, documents not adopted yet) is
 * rebuilt from agents and sources.
 *
 *   inputs:  START TICK REQUEST SOURCE RENDERED ENV_WRITTEN ENV_TIP HELLO REPORT SEAL ENROL GONE
 *            TROUBLE
 *   effects: REPLY RENDER ENV_WRITE ENV_MOVE SEND ENROL_REPLY REFRESH CACHE
 */
#pragma once
#include "core/head.h"
#include "core/registry.h"
#include "core/report.h"
#include "core/root.h"
#include "core/seal.h"
#include "render/render.h"

typedef struct SlCoord SlCoord;

/* Bytes by SHA-256 from the ledger's maps or the cache; borrowed until the next call; NULL if not
 * there. Used in fold and in step only for blobs that earlier events named. */
typedef struct {
    GBytes *(*get)(const char *digest, void *user);
    void *user;
} SlBlobReader;

typedef struct {
    const uint8_t *online_secret; /* 64 bytes, borrowed; ed25519 (deterministic signing is pure) */
    SlBlobReader blobs;
    const char *owner_person; /* person that the Unix socket's own user and root act as */
} SlCoordConfig;

SlCoord *sl_coord_new(const SlCoordConfig *config);
void sl_coord_free(SlCoord *coord);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlCoord, sl_coord_free)

/* Replays one ledger event (canonical JSON object with seq, prev, type, at). Checks seq and the
 * hash chain; an unknown type stops the reader (UNSUPPORTED). Errors: LEDGER_CHAIN, LEDGER_EVENT,
 * UNSUPPORTED. */
SL_MUST_USE bool sl_coord_fold(SlCoord *coord, const json_t *event, GError **error);
/* The same for an event that was parsed from @text: its hash is of these bytes, nothing is written
 * again. A text that is not the canonical one breaks the chain at the next event. */
SL_MUST_USE bool sl_coord_fold_text(SlCoord *coord, const json_t *event, const char *text,
                                    size_t len, GError **error);
/* SHA-256 of the last event's canonical text and its seq; 0 and 64 zeros before the first.
 * Borrowed. */
uint64_t sl_coord_ledger_seq(const SlCoord *coord);
const char *sl_coord_ledger_hash(const SlCoord *coord);

/* ---- inputs ---- */

typedef enum {
    SL_COORD_START,   /* after the fold: appends Lease (term), asks again for what was under way */
    SL_COORD_TICK,    /* time passed: out->next_us said when */
    SL_COORD_REQUEST, /* from the HTTP API */
    SL_COORD_SOURCE,  /* a commit of a source was read, or could not be */
    SL_COORD_RENDERED,
    SL_COORD_ENV_WRITTEN, /* objects of an environment branch's next commit are written */
    SL_COORD_ENV_TIP,     /* where the branch points: at start, and after ENV_MOVE */
    SL_COORD_HELLO,
    SL_COORD_REPORT,
    SL_COORD_SEAL,
    SL_COORD_ENROL,
    SL_COORD_GONE, /* the session of a cluster ended (session timeout of the link) */
    SL_COORD_TROUBLE, /* the link says what people should know of a peer */
    SL_COORD_N_INPUTS
} SlCoordInputType;

typedef struct {
    const char *id;              /* of the reply */
    const char *verb;            /* docs/api.md: "promote", "abort", "pin", ... */
    const char *person;          /* who asks (person of the token or socket), never NULL */
    const char *scope;           /* "view", "request", "operate" */
    const json_t *args;          /* object, checked for shape by the brain */
    const char *idempotency_key; /* or NULL: same key and person within a day = same reply */
    const uint8_t
        *random; /* 64 fresh random bytes from the shell (ids and secrets of tokens); borrowed */
} SlCoordRequest;

typedef struct {
    const char *repository; /* name; "" = the fleet repository */
    const char *branch, *commit;
    uint64_t position;         /* number of first-parent commits to the root: release order */
    int64_t time_us;           /* of the commit */
    const char *author;        /* "Name <email>" */
    const char *subject;       /* first line of the message */
    const json_t *authors;     /* array of e-mails of commits since the last one read */
    const json_t *signers;     /* as SlSourceTip, or NULL: signatures were not looked at */
    bool rewound;              /* not a descendant of the last one read (force-push) */
    SlFleetDocs *docs;         /* fleet repository only: what was read (borrowed), NULL if broken */
    const GPtrArray *offers;   /* of SlOffer*, of applications whose inputs or documents changed */
    const GPtrArray *problems; /* of SlProblem* */
    const GError *error; /* could not be fetched or resolved: branch deleted, time-out, ...; other
                            members NULL */
} SlCoordSource;

typedef struct {
    uint64_t attempt;
    SlRendered *rendered;      /* or NULL */
    const GPtrArray *problems; /* of SlProblem* */
    const GError *error;       /* technical (retried with back-off), or NULL */
} SlCoordRendered;

typedef struct {
    const char *env, *old, *commit; /* old NULL = first commit of the branch */
    const GError *error;
} SlCoordEnvWritten;

typedef struct {
    const char *env, *tip;  /* NULL = no branch yet */
    bool descends_from_new; /* tip is the last COMMITTED commit or descends from it */
} SlCoordEnvTip;

typedef struct {
    const char *curve; /* 64 hex: the ZAP user id; identity of the peer */
    const char *nonce; /* 32 hex */
    uint64_t root_version, registry_version, term, head_version;
    uint32_t format_max;
    const char *version;
    bool state_lost;
} SlCoordHello;

typedef struct {
    const char *curve;
    const SlSigned *statement; /* report or seal */
} SlCoordStatement;

typedef struct {
    const char *request_id;    /* for the reply */
    const SlSigned *statement; /* kind enrol */
    const char *token_id;      /* 32 hex */
    const uint8_t *proof;      /* 32 bytes */
} SlCoordEnrol;

typedef struct {
    const char *curve, *what; /* "twin", "suspended" */
    const GError *error;
} SlCoordTrouble;

typedef struct {
    SlCoordInputType type;
    int64_t monotonic_us; /* now, by a clock that nobody sets; 0 = @wall_us never steps (tests) */
    union {
        SlCoordRequest request;
        SlCoordSource source;
        SlCoordRendered rendered;
        SlCoordEnvWritten env_written;
        SlCoordEnvTip env_tip;
        SlCoordHello hello;
        SlCoordStatement statement;
        SlCoordEnrol enrol;
        SlCoordTrouble trouble;
        const char *curve; /* GONE */
    };
} SlCoordInput;

/* ---- effects ---- */

typedef enum {
    SL_COORD_DO_REPLY,
    SL_COORD_DO_RENDER,
    SL_COORD_DO_ENV_WRITE,
    SL_COORD_DO_ENV_MOVE,
    SL_COORD_DO_SEND,
    SL_COORD_DO_ENROL_REPLY,
    SL_COORD_DO_REFRESH,
    SL_COORD_N_EFFECTS
} SlCoordEffectType;

typedef enum {
    SL_COORD_SEND_RESET,
    SL_COORD_SEND_STEPS,
    SL_COORD_SEND_HEAD,
    SL_COORD_SEND_REPORT_ACK,
    SL_COORD_SEND_SEAL_ACK
} SlCoordSendType;

/* One unit's folder in an environment branch's next commit. */
typedef struct {
    char *app;
    GHashTable *target_of; /* cluster -> bundle digest; NULL = folder removed */
    char
        *from_commit; /* rollback: take manifests/<app> of this earlier commit exactly; else NULL */
    char *provenance; /* canonical JSON for .sluice/provenance/<app>.json */
} SlEnvUnit;

typedef struct {
    SlCoordEffectType type;
    /* REPLY, ENROL_REPLY */
    char *id;
    int status;   /* HTTP */
    json_t *body; /* REPLY: body; ENROL_REPLY: {"state","message","environment","cluster"} */
    /* RENDER */
    uint64_t attempt;
    char *app, *env, *repository, *commit;
    GPtrArray *items;    /* of SlItemValue* */
    GPtrArray *clusters; /* of SlCluster* */
    /* ENV_WRITE, ENV_MOVE */
    char *old, *new_;
    GPtrArray *units; /* of SlEnvUnit* */
    char *message;    /* commit message */
    int64_t time_us;  /* author and committer time: the commit is deterministic */
    /* SEND */
    char *curve;
    SlCoordSendType send;
    SlSigned *statement;           /* HEAD */
    GPtrArray *roots, *registries; /* STEPS, ENROL_REPLY: of SlSigned* */
    char *boot;                    /* REPORT_ACK */
    uint64_t counter;
    bool want_full;
    char *digest, *refused; /* SEAL_ACK: of the text; why it was refused or NULL */
    char *reason;           /* RESET */
} SlCoordEffect;
void sl_coord_effect_free(SlCoordEffect *effect);

typedef struct {
    GPtrArray *events;        /* of json_t*, complete with seq, prev, at */
    GHashTable *ledger_blobs; /* digest -> GBytes*: written with the events under maps/ */
    GHashTable *cache_blobs;  /* digest -> GBytes*: desired lists and so on; can be made again */
    GPtrArray *effects;       /* of SlCoordEffect* */
    int64_t next_us;          /* in sl_coord_time(); when to TICK at the latest */
} SlCoordOutput;
SlCoordOutput *sl_coord_output_new(void);
void sl_coord_output_free(SlCoordOutput *output);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlCoordOutput, sl_coord_output_free)

/* The one decision function. Appends to @out. Never fails: what is wrong becomes a reply, a state
 * or an event. */
void sl_coord_step(SlCoord *coord, const SlCoordInput *input, int64_t wall_us, SlCoordOutput *out);
/* The time that it believes, in which it says `next_us`: for views, and for the shell's timers. */
int64_t sl_coord_time(const SlCoord *coord, int64_t wall_us, int64_t monotonic_us);

/* ---- views: JSON answers of docs/api.md, from the state in memory (transfer full) ---- */

/* @what: "status", "history", "releases", "release", "clusters", "runs", "run", "events", "attempt"
 * (statement text, targets, evidence, who can act), "why", "environments", "roots", "diff". @args
 * as the API's query. Errors: NOT_FOUND, INVALID. */
SL_MUST_USE json_t *sl_coord_view(const SlCoord *coord, const char *what, const json_t *args,
                                  int64_t now_us, GError **error);

/* For the shell. */
/* "slc_<id>_<secret>" of a token in force: its person and scope (borrowed). Errors:
 * API_TOKEN_UNKNOWN. */
SL_MUST_USE bool sl_coord_token_check(const SlCoord *coord, const char *token, int64_t now_us,
                                      const char **ret_person, const char **ret_scope,
                                      GError **error);
/* What fold() alone gives, as JSON: equal for a live state and a replay of its ledger. For tests
 * and `audit`. (transfer full) */
json_t *sl_coord_dump(const SlCoord *coord);
const SlFleetDocs *sl_coord_docs(const SlCoord *coord); /* in force; NULL before the first */
uint64_t sl_coord_docs_version(const SlCoord *coord);   /* raised when others come into force */
const char *sl_coord_followed(const SlCoord *coord,
                              const char *repository); /* last commit read; NULL */
uint64_t sl_coord_root_version(const SlCoord *coord);  /* in force */
/* Names of the root's environments. (transfer full) */
char **sl_coord_environments(const SlCoord *coord);
/* Registered and not revoked: the ZAP table. Of char* 64 hex. (transfer full) */
GPtrArray *sl_coord_curve_keys(const SlCoord *coord);
uint64_t sl_coord_keys_version(const SlCoord *coord); /* of that list; 0 = there is none yet */
const SlCluster *sl_coord_cluster_of_key(const SlCoord *coord, const char *curve,
                                         const char **ret_env);
/* Exact statement by digest of its text, for FETCH. NULL if unknown. Borrowed. */
const SlSigned *sl_coord_statement(const SlCoord *coord, const char *digest);
