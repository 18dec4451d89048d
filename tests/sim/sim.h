/* sim.h - the whole fleet in one process: the real coordinator brain, the real agent brains and
 * renderer, a virtual clock, one seed.
 *
 * What stands around the brains is small and hostile: a network that loses, delays, repeats and
 * reorders; processes that end at any moment; slots that are torn; blobs that go missing; clocks
 * that step; an operator whose requests get lost; a thief with the online key. A seed runs in two
 * phases: *safety* (faults on; the checkers of check.c look at every effect), then *liveness*
 * (faults off; the story must end in bounded time). Everything random comes from the seed: the same
 * seed, the same run. */
#pragma once
#include "agent/brain/agent.h"
#include "base/digest.h"
#include "base/text.h"
#include "coordinator/brain/coord.h"
#include "coordinator/brain/genesis.h"
#include "core/policy.h"
#include "sluice/clock.h"
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define SIM_AGENTS 3
#define SIM_T0 (INT64_C(1790000000) * SL_SECOND_US)
#define SIM_SAFETY_US (20 * SL_MINUTE_US) /* faults are on this long at most */
#define SIM_LIVENESS_US (3 * SL_HOUR_US)  /* after that the story must be over by then */

typedef struct World World;
typedef struct Agent Agent;

typedef struct {
    uint64_t state;
} Rng;
uint64_t rng_next(Rng *rng);
uint64_t rng_below(Rng *rng, uint64_t n);
bool rng_chance(Rng *rng, unsigned per_mille);
int64_t rng_between(Rng *rng, int64_t from, int64_t to);
char *rng_hex(Rng *rng, size_t bytes);

typedef enum { TO_COORD, TO_AGENT } Direction;
typedef enum {
    MSG_HELLO,
    MSG_REPORT,
    MSG_SEAL,
    MSG_FETCH,
    MSG_RESET,
    MSG_STEPS,
    MSG_HEAD,
    MSG_REPORT_ACK,
    MSG_SEAL_ACK,
    MSG_BLOB,
    MSG_MISSING
} MessageType;

/* Ref-counted: a duplicate on the wire is the same message twice. */
typedef struct {
    MessageType type;
    unsigned refs;
    SlSigned *statement;
    GPtrArray *roots, *registries;
    char *text, *digest; /* nonce, boot, reason */
    GBytes *bytes;
    uint64_t n[4];
    bool flag, is_statement;
} Message;
Message *message_new(MessageType type);
void message_unref(Message *m);

typedef struct Event Event;
struct Event {
    int64_t at;
    uint64_t order;
    void (*fire)(World *w, Event *e);
    int agent;     /* -1: the coordinator's or the world's */
    unsigned life; /* of the process that it belongs to; 0 = of nobody */
    unsigned link; /* generation of the connection, for messages */
    Message *message;
    char *a, *b, *c; /* owned strings for the handler */
    uint64_t n;
    void *data;
    void (*data_free)(void *);
};
Event *world_after(World *w, int64_t us, void (*fire)(World *, Event *), int agent);

/* An object in a cluster. It lives on when the agent's process ends. */
typedef struct {
    char *digest;
    int64_t healthy_at;
    bool ours;
} EngineObject;

typedef struct {
    char *id, *run_key, *job;
    int64_t started, ends;
    bool ended, forgotten, fails;
    GPtrArray *outputs, *metrics;
    unsigned starts;
} EngineRun;

struct Agent {
    int index;
    const char *env;
    char cluster[16];
    uint8_t secret[64];
    SlPublicKey *key;
    char curve[65];
    SlAgent *brain; /* NULL = the process is down */
    unsigned life, link;
    bool connected;
    int64_t cut_until; /* partition */
    int64_t offset_us; /* of its clock */
    GBytes *slots[2];
    GHashTable *blobs;   /* on its disk */
    GHashTable *objects; /* engine: key -> EngineObject* */
    GHashTable *runs;    /* engine: id -> EngineRun* */
    GHashTable *max_seq; /* checker: app -> highest seq that was applied */
    GHashTable *sealed;  /* checker: set of run ids whose seal went out */
    int64_t tick_at;
    char *nonce;
};

typedef struct {
    char *id;
    SlTree *tree;
    uint64_t position;
    char *subject;
    int64_t time_us;
} Commit;

typedef struct {
    char *parent;
    GHashTable *target_of; /* app -> canonical JSON of targets */
} EnvCommit;

struct World {
    uint64_t seed;
    bool verbose, wire, faults, thief;
    Rng rng;
    int64_t now, healed_at;
    uint64_t order;
    GSequence *events;
    /* configuration of this seed */
    unsigned lose, repeat, crash_coord, tear;
    int64_t latency_us;
    /* keys and trust */
    uint8_t alice[64], online[64];
    SlPublicKey *alice_key, *online_key;
    SlRoot *root;
    SlSigned *root_text;
    char *root_digest;
    /* coordinator */
    SlCoord *coord; /* NULL = the process is down */
    unsigned coord_life;
    int64_t coord_offset_us, coord_tick_at;
    GPtrArray *ledger; /* of json_t*: durable */
    GHashTable *ledger_blobs, *cache, *branch_blobs;
    GHashTable *tips;        /* env -> commit id: durable */
    GHashTable *env_commits; /* id -> EnvCommit* */
    GHashTable *replies;     /* request id -> json_t* {"status","body"} */
    uint8_t random[64];
    /* source */
    GPtrArray *commits; /* of Commit* */
    /* agents */
    Agent agents[SIM_AGENTS];
    GHashTable *models;     /* set of digests in the model store */
    GHashTable *run_starts; /* run id -> cluster index + 1 */
    GHashTable *statements; /* checker: digest -> SlSigned*: as agents got them */
    /* thief */
    GHashTable *forged_blobs, *forged_statements;
    unsigned forgeries;
    /* story */
    int step;
    char *request; /* id of the request under way */
    int64_t request_at;
    uint64_t attempt;
    char *remembered; /* bundle to come back to */
    uint64_t requests;
    GPtrArray *acknowledged; /* of json_t*: {"verb","attempt"} that were answered 2xx */
    /* result */
    char *failure;
    uint64_t steps, messages, crashes;
};

/* A checker found something: the seed fails; the first failure is kept. */
void fail(World *w, const char *format, ...) G_GNUC_PRINTF(2, 3);
void say(const World *w, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* net.c */
void net_send(World *w, Agent *a, Direction direction, Message *m /* consumed */);
void net_connect(World *w, Agent *a);
void net_disconnect(World *w, Agent *a);

/* coord_shell.c */
void coord_start(World *w);
void coord_crash(World *w);
void coord_step(World *w, const SlCoordInput *in);
void coord_take(World *w, Agent *a, const Message *m);
void coord_poll(World *w);
char *coord_request(World *w, const char *verb, json_t *args /* consumed */);
int64_t coord_now(const World *w);
GBytes *coord_blob(World *w, const char *digest);

/* agent_shell.c, engine.c */
void agent_start(World *w, Agent *a);
void agent_crash(World *w, Agent *a);
void agent_step(World *w, Agent *a, const SlAgentInput *in);
void agent_take(World *w, Agent *a, const Message *m);
int64_t agent_now(const World *w, const Agent *a);
void engine_do(World *w, Agent *a, const SlAgentEffect *e);
void engine_start(World *w, Agent *a);
void engine_drift(World *w, Agent *a);
void engine_object_free(EngineObject *o);
void engine_run_free(EngineRun *r);

/* story.c */
void story_setup(World *w);
bool story_over(const World *w);
void story_step(World *w);
const char *story_name(const World *w);

/* faults.c */
void faults_begin(World *w);
void faults_end(World *w);

/* check.c */
void check_effect(World *w, Agent *a, const SlAgentEffect *e);
void check_run_start(World *w, Agent *a, const char *run_id, const char *run_key);
void check_fold(World *w, const json_t *live, const json_t *replayed);
void check_acknowledged(World *w);
void check_one_live(World *w);
void check_agent_start(World *w, Agent *a);
void check_head(World *w, const SlSigned *head);
void check_end(World *w);
