/* gate.h - may this attempt go on? Gates live in lib/core/gates/ (the CLI validates with them
 * too), are pure, never block, and see only @facts. Adding one: one file with `const SlGateOps
 * sl_gate_<name>` and a line in gates.def. */
#pragma once
#include "base/json.h"

typedef enum { SL_GATE_WAIT, SL_GATE_OPEN, SL_GATE_SHUT, SL_GATE_N_VERDICTS } SlGateVerdict;

typedef struct {
    SlGateVerdict verdict;
    int64_t next_us; /* UTC; when the answer may change by itself, INT64_MAX = only by new facts */
    /* one line for people, owned, never NULL: what it waits for, or why open or shut */
    char *reason;
    json_t *who;      /* array of people who can act, or NULL; owned */
    json_t *evidence; /* what was read (seal digests, values), for the ledger; or NULL; owned */
} SlGateAnswer;

/* Facts about the attempt that gates may ask the brain for; all borrowed. */
typedef struct SlGateFacts SlGateFacts;
struct SlGateFacts {
    void *user;
    const char *app, *env, *release, *requester;
    int64_t now_us;
    /* The winning seal (core/seal.h as JSON:
     * {"phase","metrics":{..},"promotion","bundle","digest","run-key",...}) of @job of this
     * release in environment @in; NULL = not sealed yet. @baseline: the same for what is current
     * in this unit. */
    json_t *(*seal)(const SlGateFacts *facts, const char *job, const char *in, bool baseline);
    /* Signatures on this attempt's promotion statement:
     * {"threshold":n,"count":m,"people":[..],"who":[..],"rejected":"name"|null, "authors":[..]}.
     * people: who signed and counts for the root's roles; authors: people of the change (needed by
     * excludeAuthors). */
    json_t *(*approvals)(const SlGateFacts *facts);
};

typedef struct {
    const char *type; /* "run": as written in documents */
    /* Required. Adds one message per mistake ("require.0: ...") to @problems (char*). Also called
     * by `sluice validate`. */
    void (*validate)(const json_t *config, GPtrArray *problems);
    /* Required, pure. @ret_answer is filled. UNKNOWN facts are WAIT, never OPEN. */
    void (*judge)(const json_t *config, const SlGateFacts *facts, SlGateAnswer *ret_answer);
} SlGateOps;

const SlGateOps *const *sl_gates(void);          /* NULL-terminated, from gates.def */
const SlGateOps *sl_gate_find(const char *type); /* NULL */
void sl_gate_answer_clear(SlGateAnswer *answer);
