/* sim.h - the whole fleet in one process: the real coordinator brain, the real agent brains and
 * renderer, a virtual clock, one seed.
 *
 * What stands around the brains is small and hostile: a network that loses, delays, repeats and
 * reorders; processes that end at any moment; disks that lose, tear and refuse; clocks that step;
 * people whose requests get lost; actors who mean harm. A seed runs in two phases: *safety* (faults
 * and actors on; checkers look at every effect), then *liveness* (faults off; the story must end in
 * bounded time). Everything random comes from the seed: the same seed, the same run.
 *
 * Four tables are the places to add to, one line and one function (or one struct) each:
 *   stories.def  what people do and when it is over       actors.def  who means harm
 *   checks.def   what must hold, whatever happens         faults.def  what goes wrong by itself */
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

#define SIM_T0 (INT64_C(1790000000) * SL_SECOND_US)
#define SIM_LIVENESS_US (3 * SL_HOUR_US) /* after the faults a story must be over by then */
#define SIM_SETTLE_US (2 * SL_MINUTE_US) /* after the last fault everybody is back by then */
#define SIM_PEOPLE_US (3 * SL_SECOND_US) /* people look and act this often */
#define SIM_PEOPLE_IDLE 2     /* so many times nothing happened: they look all the same */
#define SIM_AGENTS_MAX 200    /* each thousandth seed; most have 3 to 6 */
#define SIM_EVENTS_MAX 200000 /* queued at once: more is a flood of ours */
#define SIM_IDLE_TICKS_MAX 100 /* one after the other in a second, for nothing: a brain that spins */
#define SIM_FOREIGN "core/ConfigMap - foreign" /* in every cluster before us, and for ever */

typedef struct World World;
typedef struct Agent Agent;
typedef struct Event Event;
typedef struct Message Message;

/* ---- chance: one stream for each user, so that switching one fault off leaves the others ---- */

typedef struct {
    uint64_t state;
} Rng;
uint64_t rng_next(Rng *rng);
uint64_t rng_below(Rng *rng, uint64_t n);
bool rng_chance(Rng *rng, unsigned per_mille);
int64_t rng_between(Rng *rng, int64_t from, int64_t to);
char *rng_hex(Rng *rng, size_t bytes);

/* ---- the tables ---- */

typedef enum {
#define FAULT(id, name, most, what) FAULT_##id,
#include "faults.def"
#undef FAULT
    N_FAULTS
} FaultKind;

/* One way of using a fleet. Only @begin, @step and @over are needed. */
typedef struct {
    const char *name;
    unsigned weight;              /* of all stories' weights: how often a seed gets it */
    void (*shape)(World *w);      /* changes w->envs, w->apps, w->profile before there is a fleet */
    void (*begin)(World *w);      /* everybody has joined, faults have not begun */
    void (*step)(World *w);       /* every SIM_PEOPLE_US; asks, looks, pushes */
    bool (*over)(const World *w); /* cheap: asked after every event */
    const char *(*stands)(const World *w); /* where it is, for messages */
    void (*end)(World *w);                 /* after it was over: what must be true then */
    int64_t quiet_us;                      /* not 0: no safety phase, this long at most */
    int64_t liveness_us;                   /* 0 = SIM_LIVENESS_US */
} Story;

/* Somebody who means harm, in the safety phase of @per_mille of the seeds. */
typedef struct {
    const char *name;
    unsigned per_mille;
    int64_t mean_us;                 /* acts about this often */
    void (*begin)(World *w);         /* nullable */
    void (*act)(World *w, Rng *rng); /* nullable */
    /* Nullable. Sees every message before it is on the wire, and may change it (it is nobody
     * else's yet); false = takes it away. */
    bool (*wire)(World *w, Rng *rng, Agent *a, int direction, Message *m);
} Actor;

/* Moments that checkers look at; bits. */
typedef enum {
    AT_AGENT_INPUT = 1 << 0,  /* before the brain's step: agent, agent_in */
    AT_AGENT_EFFECT = 1 << 1, /* before it is performed: agent, effect */
    AT_AGENT_START = 1 << 2,  /* the brain was made from its slots */
    AT_RUN_START = 1 << 3,    /* an engine really starts a run: agent, run_id, run_key */
    AT_COORD_INPUT = 1 << 4,  /* before the brain's step: coord_in */
    AT_COORD_OUTPUT = 1 << 5, /* events of one or more steps are durable, their effects not
                                 performed: coord_out */
    AT_COORD_START = 1 << 6,  /* folded, before START */
    AT_COORD_CRASH = 1 << 7,  /* after a durable append the process ends: w->coord is still there */
    AT_HEAD = 1 << 8,         /* a head leaves the coordinator: statement */
    AT_HEALED = 1 << 9,       /* the safety phase is over */
    AT_END = 1 << 10,         /* the story is over, everything settled */
    AT_EVENT = 1 << 11,       /* a new event of the ledger, not in the book yet: event */
} MomentType;

typedef struct {
    MomentType type;
    Agent *agent;
    const SlAgentInput *agent_in;
    const SlAgentEffect *effect;
    const SlCoordInput *coord_in;
    const SlCoordOutput *coord_out;
    const SlSigned *statement;
    const char *run_id, *run_key;
    const json_t *event;
} Moment;

typedef struct {
    const char *name; /* "I2 seq-never-back" */
    const char *promise;
    unsigned moments; /* of MomentType */
    void (*look)(World *w, const Moment *m);
} Check;

#define STORY(id) extern const Story story_##id;
#include "stories.def"
#undef STORY
#define ACTOR(id) extern const Actor actor_##id;
#include "actors.def"
#undef ACTOR
#define CHECK(function, name, promise, moments) void function(World *w, const Moment *m);
#include "checks.def"
#undef CHECK
extern const Check CHECKS[];
extern const size_t CHECKS_COUNT;
extern const Actor *const ACTORS[];
extern const size_t ACTORS_COUNT;
extern const Story *const STORIES[];
extern const size_t STORIES_COUNT;
#define SIM_ACTORS_MAX 64 /* bits of a mask */

/* ---- messages ---- */

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
    MSG_MISSING,
    N_MESSAGES
} MessageType;

/* Ref-counted: a duplicate on the wire is the same message twice. */
struct Message {
    MessageType type;
    unsigned refs;
    SlSigned *statement;
    GPtrArray *roots, *registries;
    char *text, *digest; /* nonce, boot, reason */
    GBytes *bytes;
    uint64_t n[4];
    bool flag, is_statement;
};
Message *message_new(MessageType type);
void message_unref(Message *m);

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

/* ---- clusters ---- */

/* An object in a cluster. It lives on when the agent's process ends. */
typedef struct {
    char *app, *digest;
    int64_t healthy_at;
    bool ours, broken; /* broken: never Healthy */
} EngineObject;

typedef struct {
    char *id, *run_key, *job;
    int64_t started, ends;
    bool ended, forgotten, fails, stopped;
    GPtrArray *outputs, *metrics;
} EngineRun;

/* Ticks of a brain that did nothing, since @since_us. */
typedef struct {
    int64_t since_us;
    unsigned ticks;
} Idle;

/* A node's own clock: the world's, off by @offset_us, or standing still. */
typedef struct {
    int64_t offset_us;
    bool frozen;
    int64_t frozen_at_us; /* what it shows while it stands */
} Clock;

typedef struct {
    char *name;
    unsigned clusters;
} Env;

typedef struct {
    char *name, *email;
    uint8_t secret[64];
    SlPublicKey *key;
} Person;

struct Agent {
    int index;
    const char *env;
    char cluster[24];
    uint8_t secret[64];
    SlPublicKey *key;
    char curve[65];
    SlAgent *brain; /* NULL = the process is down */
    unsigned life, link;
    bool connected;
    bool wiped;           /* a story took both its slots */
    int64_t cut_until[2]; /* partition, by Direction */
    int64_t away_until;   /* a story's own partition: it does not end with the faults */
    Clock clock;
    GBytes *slots[2];
    GHashTable *blobs;   /* on its disk */
    GHashTable *objects; /* engine: "kind ns name" -> EngineObject* */
    GHashTable *runs;    /* engine: id -> EngineRun* */
    GHashTable *busy;    /* engine: key -> int64_t*, until when it works on that object */
    GHashTable *max_seq; /* checker: app -> highest seq that was applied */
    GHashTable *sealed;  /* checker: set of run ids whose seal went out */
    int64_t tick_at;
    Idle idle;
    char *nonce;
};

typedef struct {
    char *id;
    SlTree *tree;
    uint64_t position;
    char *subject, *author; /* "Name <email>" */
    int64_t time_us;
    bool rewound; /* not a descendant of the one before */
    /* as read once: a shell reads a commit again after each start, it finds the same */
    SlFleetDocs *docs; /* NULL if broken */
    GPtrArray *problems, *offers;
} Commit;

typedef struct {
    char *parent;
    GHashTable *target_of; /* app -> canonical JSON of targets */
    bool synced;           /* in the pack of its COMMITTED */
} EnvCommit;

/* What is told to run, and what came of it; goes through a pipe as it is. */
typedef struct {
    uint64_t seed;
    bool verbose, wire;
    char story[32];  /* "" = the seed chooses */
    char attack[48]; /* of story attack: "promotion/online-only", "head/" and a star */
    uint64_t faults_off, actors_off; /* bits */
    unsigned agents;                 /* of story day; 0 = 6 */
    int64_t safety_us;               /* 0 = the seed chooses */
    uint64_t events_shown;           /* 0 = all, for --verbose */
} SimOptions;

typedef struct {
    uint64_t seed, hash, steps, messages, crashes, cpu_us, agents;
    int64_t virtual_us, safety_us;
    uint64_t struck[N_FAULTS], acted[SIM_ACTORS_MAX];
    unsigned story;
    bool ok;
    char failure[1024];
} SimResult;

/* ---- the world ---- */

struct World {
    SimOptions options;
    const Story *story;
    void *story_data; /* the story's own; freed by story_free */
    void (*story_free)(void *);
    GHashTable *kept; /* name -> what a checker or an actor keeps (world_keep) */
    bool faults;
    uint64_t actors_on; /* bits */
    Rng rng;            /* latencies, engines: what is no fault */
    Rng fault_rng[N_FAULTS], actor_rng[SIM_ACTORS_MAX], people_rng;
    int64_t now, healed_at, safety_us;
    uint64_t order;
    GSequence *events;
    unsigned per_mille[N_FAULTS]; /* of this seed */
    int64_t latency_us;
    /* shape, keys and trust */
    GPtrArray *envs;   /* of Env*, in topological order */
    GPtrArray *apps;   /* of char* */
    GPtrArray *people; /* of Person*: the first one owns the root */
    SlProfile profile;
    uint8_t online[64];
    SlPublicKey *online_key;
    SlRoot *root; /* the newest that was made; in force when the coordinator took it */
    SlSigned *root_text;
    char *root_digest; /* of version 1 */
    /* coordinator */
    SlCoord *coord; /* NULL = the process is down */
    unsigned coord_life;
    Clock coord_clock;
    Idle coord_idle;
    int64_t coord_tick_at, disk_full_until, remote_away_until, sync_us;
    int64_t coord_away_until; /* a story keeps its process down */
    SlCoordOutput *batch, *appending; /* gathered; on its way to the disk; NULL = nothing */
    bool append_held, append_written; /* no room, or the remote is away; only the push is missing */
    bool far_coord;                   /* far clock steps are the coordinator's, else the agents' */
    bool remote_required, reading, begun; /* reading: the brain does; begun: the set-up is over */
    GPtrArray *ledger;                    /* of json_t*: durable */
    GHashTable *ledger_blobs, *cache, *branch_blobs;
    GHashTable *tips;        /* env -> commit id */
    GHashTable *env_commits; /* id -> EnvCommit* */
    GHashTable *replies;     /* request id -> json_t* {"status","body"} */
    uint8_t random[64];
    /* source */
    GPtrArray *commits; /* of Commit* */
    /* agents */
    GPtrArray *agents;      /* of Agent* */
    GHashTable *models;     /* set of digests in the model store */
    GHashTable *run_starts; /* run id -> cluster index + 1 */
    GHashTable *statements; /* digest -> SlSigned*: as agents got them */
    /* what thieves put where agents fetch from: digest -> GBytes*, SlSigned* */
    GHashTable *forged_blobs, *forged_statements;
    uint64_t requests, people_saw;
    GPtrArray *acknowledged; /* of json_t*: {"verb","attempt"} that were answered 2xx */
    /* result */
    const Check *checking;
    char *failure;
    uint64_t hash, steps, messages, crashes;
    uint64_t struck[N_FAULTS], acted[SIM_ACTORS_MAX];
};

Agent *agent_at(const World *w, int index);
Agent *agent_named(const World *w, const char *cluster);      /* NULL */
Agent *agent_in(const World *w, const char *env, unsigned n); /* n-th cluster of @env; NULL */
Person *person_named(const World *w, const char *name);
int64_t clock_now(const World *w, const Clock *clock);

/* After each step of a brain: it wakes up in vain now and then, but never all the time. */
void idle_step(World *w, Idle *idle, const Clock *clock, bool in_vain, const char *whose);
/* A checker found something (in a look()), or the set-up or a story did: the seed fails; the first
 * failure is kept. In look() the checker's name is put before it. */
void fail(World *w, const char *format, ...) G_GNUC_PRINTF(2, 3);
void say(const World *w, const char *format, ...) G_GNUC_PRINTF(2, 3);
void check(World *w, const Moment *m);
/* What a checker or an actor keeps over a seed, made at the first call and freed with the world. */
void *world_keep(World *w, const char *name, void *(*make)(void), void (*free_)(void *));
GHashTable *world_keep_table(World *w, const char *name); /* char* -> char*, both owned */
/* Goes into the hash of the seed: what happened, to whom, when, with which bytes. */
void note(World *w, const char *what, int actor, const void *bytes, size_t len);
void note_text(World *w, const char *what, int actor, const char *text /* nullable */);
/* true = this fault happens now (safety phase only, never if switched off); counted. */
bool strikes(World *w, FaultKind kind);

void sim_run(const SimOptions *options, SimResult *ret_result);

/* setup.c: shape, keys, root, everybody joins */
void fleet_shape(World *w); /* what the seed says: solo, dev test prod, 1..n clusters each */
void fleet_env(World *w, const char *name, unsigned clusters);
void fleet_make(World *w);
/* One more cluster while the fleet lives; its agent starts. (story that adds clusters) */
Agent *fleet_agent_new(World *w, const char *env);
void fleet_join(World *w, Agent *a);
void agent_free(Agent *a);

/* people.c: asking, again and again until there is an answer */
typedef struct {
    char *id; /* of the request under way, or NULL */
    int64_t at;
} Ask;
/* NULL: no answer yet. The body of the answer (borrowed until the next call), with *ret_status. */
json_t *people_ask(World *w, Ask *ask, const char *person, const char *verb,
                   json_t *args /* consumed */, int64_t *ret_status);
void ask_clear(Ask *ask);
json_t *people_view(World *w, const char *what, json_t *args /* consumed */); /* full; NULL */
void people_acknowledged(World *w, const char *verb, uint64_t attempt);
/* Armoured signature of @text by @person. (transfer full) */
char *people_sign(const World *w, const char *person, SlStatementKind kind, const char *text);

/* net.c */
void net_send(World *w, Agent *a, Direction direction, Message *m /* consumed */);
void net_connect(World *w, Agent *a);
void net_disconnect(World *w, Agent *a);

/* source.c */
GPtrArray *source_problems_new(void);
void source_problems(World *w, const GPtrArray *problems); /* says them */
Commit *source_push(World *w, const char *subject, SlTree *tree /* consumed */);
const Commit *source_newest(const World *w); /* NULL before the first */
const Commit *source_commit(const World *w, const char *id);
void source_read(const Commit *c); /* fills docs, problems, offers */
void commit_free(Commit *c);
void coord_poll(World *w);
/* story_worked.c: the worked example's repository, pushed. */
void worked_push(World *w, const char *subject, const char *readme, const char *server,
                 const char *accuracy);

/* coord_shell.c, coord_effects.c */
void coord_start(World *w);
void coord_crash(World *w);
void coord_step(World *w, const SlCoordInput *in);
void coord_take(World *w, Agent *a, const Message *m);
void coord_perform(World *w, const SlCoordEffect *e);
void coord_send_tip(World *w, const char *env, const char *committed);
SlCoord *coord_folded(World *w);
SlCoord *coord_try_fold(World *w, GError **error); /* NULL: the ledger can't be folded */
/* @scope: "view", "request", "operate". The request's id: its answer comes into w->replies, if it
 * does. (transfer full) */
char *coord_request(World *w, const char *person, const char *scope, const char *verb,
                    json_t *args /* consumed */);
int64_t coord_now(const World *w);
GBytes *coord_blob(World *w, const char *digest);
void blobs_merge(GHashTable *into, GHashTable *from);

/* coord_store.c */
void store_take(World *w, SlCoordOutput *out); /* empties it */
void store_crash(World *w);
bool store_takes(const World *w, SlCoordInputType type);
bool store_is_held(const World *w);
GBytes *store_unsynced_blob(const World *w, const char *digest);

/* agent_shell.c, engine.c */
void agent_start(World *w, Agent *a);
void agent_crash(World *w, Agent *a);
void agent_step(World *w, Agent *a, const SlAgentInput *in);
void agent_take(World *w, Agent *a, const Message *m);
int64_t agent_now(const World *w, const Agent *a);
void engine_do(World *w, Agent *a, const SlAgentEffect *e);
void engine_start(World *w, Agent *a);
void engine_drift(World *w, Agent *a);
void engine_stray(World *w, Agent *a);
void engine_object_free(EngineObject *o);
void engine_run_free(EngineRun *r);

/* faults.c */
extern const char *const FAULT_NAMES[N_FAULTS];
extern const char *const FAULT_TEXTS[N_FAULTS];
void faults_begin(World *w);
void faults_end(World *w);

/* sweep.c: many seeds, shrinking, the summary */
typedef struct {
    uint64_t from, count, jobs;
    bool hash, shrink, progress;
    bool first; /* enough when one seed failed */
    bool twice; /* each seed two times: the same must happen */
    SimOptions options;
} Sweep;
int sweep_run(const Sweep *sweep, const char *program);
int sweep_shrink(const SimOptions *options, const char *program);
