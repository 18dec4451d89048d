/* agent.h - everything an agent decides: step(state, input, now) -> effects. Pure.
 *
 * Order of checks: design section 6, in checks.c as a table. State is durable before the first write: the brain emits SAVE
 * (slot bytes) and holds every effect that depends on it until SAVED comes back. Steps of a plan are issued as engine operations;
 * the shell performs them and reports results as inputs. Repeating any input is harmless.
 *
 *   inputs:  START CONNECTED DISCONNECTED RESET STEPS HEAD BLOB STATEMENT MISSING SAVED APPLIED REMOVED OBSERVED RUN RUN_ENDED
 *            REPORT_ACK SEAL_ACK TICK
 *   effects: HELLO REPORT SEAL FETCH SAVE APPLY REMOVE ADOPT RUN_START RUN_STOP RUN_FORGET KEEP LOG
 *
 * What the shell does with them:
 *   - FETCH is asked once; the shell drops all open fetches at DISCONNECTED and RESET (the brain asks again), stores bytes only
 *     after checking their SHA-256, then says BLOB or STATEMENT; `missing`, wrong bytes or a time-out is MISSING.
 *   - SAVE goes to slot file number (generation % 2): slot 0 is @slot_a, slot 1 is @slot_b of sl_agent_new. At most one is open.
 *     Answer SAVED with the generation, or SAVED with error (disk full: tried again later; a failed fsync must end the process).
 *   - APPLY is answered by APPLIED with the same digest, always; then, and after ADOPT, OBSERVED follows, also when nothing changed,
 *     and speaks of that version only (ADOPT of what is not there: OBSERVED Missing).
 *     A fetch of a model that failed is APPLIED with an error of a retryable class (or OBSERVED Unknown), never Degraded.
 *   - ADOPT with run_id: the run was started before: say its record (and end); never start it. If the engine lost it: RUN_ENDED
 *     Failed, reason Lost. RUN_START may repeat for a run whose start was never confirmed by RUN.
 *   - SEAL and REPORT are sent when connected, dropped otherwise: the brain repeats them.
 */
#pragma once
#include "core/bundle.h"
#include "core/head.h"
#include "core/order.h"
#include "core/promotion.h"
#include "core/registry.h"
#include "core/report.h"
#include "core/root.h"
#include "core/run.h"
#include "core/seal.h"

#define SL_AGENT_HEALTHY_KEPT 10 /* last bundles that were healthy, per unit */
#define SL_AGENT_SLOT_MAX (64 * 1024 * 1024) /* bytes of a slot */

typedef struct SlAgent SlAgent;

typedef struct {
    const uint8_t *secret; /* 64 bytes, borrowed: the agent's signing key */
    const char *cluster;   /* own id, from enrolment */
    const char *env;       /* own environment, fixed by enrolment */
    const char *version;
    const char *boot; /* 32 hex, random, new at each start */
    const char *
        root_digest; /* 64 hex of root version 1, pinned by enrolment: start again from it when both slots are lost */
    /* Bytes by digest that the shell holds verified (SHA-256 checked when stored); borrowed until the next call; NULL if not there. */
    GBytes *(*blob)(const char *digest, void *user);
    void *user;
} SlAgentConfig;

/* @slot_a, @slot_b: the two slots' bytes as read (either may be NULL or damaged); the larger generation that verifies wins.
 * Both unusable = state-lost: enrolment always wrote one. Strings of @config are copied, the secret and @user are borrowed.
 * Errors: AGENT_STATE (the configuration contradicts the state: other cluster or environment), INVALID. */
SL_MUST_USE SlAgent *sl_agent_new(const SlAgentConfig *config, GBytes *slot_a, GBytes *slot_b,
                                  GError **error);
void sl_agent_free(SlAgent *agent);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlAgent, sl_agent_free)
/* The first slot (generation 0: slot_a) of a newly enrolled agent: verifies root 1 against @root_digest, the chain after it,
 * and the registry's signatures. Errors: ROOT_INVALID, AGENT_ROOT_STEP, AGENT_REGISTRY, ... (transfer full) */
SL_MUST_USE GBytes *sl_agent_first_slot(const char *cluster, const char *env,
                                        const GPtrArray *roots /* of SlSigned* */,
                                        const SlSigned *registry /* nullable */,
                                        const char *root_digest, GError **error);

typedef enum {
    SL_AGENT_START,
    SL_AGENT_CONNECTED, /* nonce: 32 hex, fresh */
    SL_AGENT_DISCONNECTED,
    SL_AGENT_RESET, /* nonce: fresh */
    SL_AGENT_STEPS,
    SL_AGENT_HEAD,
    SL_AGENT_BLOB,      /* digest is now in the blob store (verified) */
    SL_AGENT_STATEMENT, /* a fetched statement, text checked against digest */
    SL_AGENT_MISSING,   /* fetch failed or "missing": retried later */
    SL_AGENT_SAVED,     /* generation; error if it could not be written */
    SL_AGENT_APPLIED,   /* an object was applied, or not (error) */
    SL_AGENT_REMOVED,
    SL_AGENT_OBSERVED,  /* health of an object */
    SL_AGENT_RUN,       /* record of a run changed */
    SL_AGENT_RUN_ENDED, /* final facts: the brain makes the seal */
    SL_AGENT_REPORT_ACK,
    SL_AGENT_SEAL_ACK,
    SL_AGENT_TICK,
    SL_AGENT_N_INPUTS
} SlAgentInputType;

/* An object of a unit, as engine operations and observations name it. Borrowed strings. */
typedef struct {
    const char *app, *kind, *namespace_, *name; /* kind "group/Kind" */
} SlObjectRef;

typedef struct {
    const char *run_id;
    SlRunPhase phase; /* Succeeded or Failed */
    const char *reason, *exit, *message;
    uint64_t attempts;
    int64_t started_us, finished_us;
    const GPtrArray
        *outputs; /* of char* "model sha256:<digest> <bytes>": stored and synced already */
    const GPtrArray *metrics; /* of char* */
} SlRunEnd;

typedef struct {
    SlAgentInputType type;
    int64_t monotonic_us; /* now, by a clock that nobody sets; 0 = now_us never steps (tests) */
    const char *nonce;                   /* CONNECTED, RESET */
    const GPtrArray *roots, *registries; /* STEPS: of SlSigned* */
    const SlSigned *statement;           /* HEAD, STATEMENT */
    const char *digest;           /* BLOB, STATEMENT, MISSING, APPLIED (of the object), SEAL_ACK */
    uint64_t generation;          /* SAVED */
    SlObjectRef object;           /* APPLIED, REMOVED, OBSERVED */
    const GError *error;          /* SAVED, APPLIED, REMOVED, MISSING */
    SlHealth health;              /* OBSERVED */
    const char *reason, *message; /* OBSERVED; SEAL_ACK: message = why refused or NULL */
    const char *run_id;           /* RUN */
    const json_t *record;         /* RUN: the common record (core/run.h), at most 4 KiB canonical */
    const SlRunEnd *end;          /* RUN_ENDED */
    const char *boot;             /* REPORT_ACK */
    uint64_t counter;
    bool want_full;
} SlAgentInput;

typedef enum {
    SL_AGENT_DO_HELLO,
    SL_AGENT_DO_REPORT, /* statement; at most one un-acknowledged */
    SL_AGENT_DO_SEAL, /* statement, digest of its text, run_id; until SEAL_ACK, and after it while the list names the run */
    SL_AGENT_DO_FETCH, /* digest, is_statement */
    SL_AGENT_DO_SAVE,  /* bytes, generation: write the other slot, fsync, then SAVED */
    SL_AGENT_DO_APPLY, /* object, digest (canonical JSON in the blob store), promotion, bundle; force */
    SL_AGENT_DO_REMOVE, /* object */
    SL_AGENT_DO_ADOPT, /* object (and digest), or run_id, that should exist already (after START): observe it, never start it */
    SL_AGENT_DO_RUN_START, /* run_id, run_key, job, generation, object, digest, promotion, bundle, release */
    SL_AGENT_DO_RUN_STOP,   /* run_id, message = reason */
    SL_AGENT_DO_RUN_FORGET, /* run_id: its seal was acknowledged */
    SL_AGENT_DO_KEEP, /* digests: every blob and model still needed; others may be collected */
    SL_AGENT_DO_LOG,  /* level, event, message: an alarm or a refusal, for the log */
    SL_AGENT_N_EFFECTS
} SlAgentEffectType;

typedef struct {
    SlAgentEffectType type;
    char *app, *kind, *namespace_, *name; /* object */
    char *digest;
    bool is_statement, force;
    GBytes *bytes;
    uint64_t generation;
    SlSigned *statement;
    char *run_id, *job, *run_key, *promotion, *bundle, *release;
    char *event, *message; /* LOG; RUN_STOP: message = reason */
    bool is_error;
    GPtrArray *digests; /* KEEP: of char* */
    /* HELLO */
    char *nonce;
    uint64_t root_version, registry_version, term, head_version;
    uint32_t format_max;
    bool state_lost;
} SlAgentEffect;
void sl_agent_effect_free(SlAgentEffect *effect);

typedef struct {
    GPtrArray *effects; /* of SlAgentEffect* */
    int64_t next_us;    /* UTC; when to TICK at the latest */
} SlAgentOutput;
SlAgentOutput *sl_agent_output_new(void);
void sl_agent_output_free(SlAgentOutput *output);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlAgentOutput, sl_agent_output_free)

void sl_agent_step(SlAgent *agent, const SlAgentInput *input, int64_t now_us, SlAgentOutput *out);

/* State for `sluice-agent status`, tests and the simulation's checkers. (transfer full) */
json_t *sl_agent_view(const SlAgent *agent, int64_t now_us);
