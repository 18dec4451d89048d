/* coordinator.h - the shell around the coordinator's brain: the one struct that owns every part,
 * and the functions by which its files call each other. Loop thread only, unless a comment says
 * work queue. The shell turns I/O into inputs and performs effects; it decides nothing.
 *
 *   input -> sl_coord_step -> batch {events, blobs, effects}
 *         -> store queue: append, fsync -> effects in order
 *
 * While one append is under way, later steps gather in the next batch: group commit. */
#pragma once
#include "base/log.h"
#include "coordinator/api/api.h"
#include "coordinator/brain/coord.h"
#include "coordinator/config.h"
#include "coordinator/store/blobs.h"
#include "coordinator/store/cache.h"
#include "coordinator/store/envs.h"
#include "coordinator/store/ledger.h"
#include "link/peer.h"
#include "link/server.h"
#include "runtime/spawn.h"
#include "runtime/workq.h"
#include "sluice/source.h"
#include <pthread.h>

#define SL_RECENT_BYTES_MAX (64 * 1024 * 1024) /* bytes by digest kept in memory */
#define SL_WORKERS 3                           /* renders and fetches at the same time */
#define SL_WORK_QUEUE_MAX 1024
#define SL_LOG_REQUESTS_MAX 256
#define SL_ENROLLING_MAX                                                                           \
    1024 /* requests to join that the brain has not answered: 10 s of the port's most */
#define SL_REPLAYS_MAX 2 /* folds of the whole ledger at a time: one worker stays for renders */
#define SL_LOG_REQUEST_US (10 * SL_SECOND_US)

typedef struct SlSourcePoll SlSourcePoll;

/* Bytes by digest in memory: first in, first out. */
typedef struct {
    GHashTable *table; /* digest -> GBytes* */
    GQueue order;      /* of char*, owned by the table's keys */
    size_t bytes;
} SlRecent;

/* What one commit brings: steps between two appends. */
typedef struct {
    GPtrArray *events;  /* of json_t* */
    GHashTable *blobs;  /* digest -> GBytes* for maps/ */
    GHashTable *cache;  /* digest -> GBytes* for the cache: written before the effects are performed */
    GPtrArray *effects; /* of SlCoordEffect* */
} SlBatch;

typedef struct SlAppend SlAppend;

/* The whole status as it was rendered last (people.c). */
typedef struct {
    GBytes *bytes;
    uint64_t tag;
    int64_t made_us, cost_us;
    bool changed; /* a step was made since */
    bool asked;   /* of a person, who wants to see what it did */
} SlSnapshot;

/* Documents that were read and that no render uses now, oldest first; any thread. */
typedef struct {
    pthread_mutex_t mutex;
    GQueue free_ones;
} SlLentDocs;

typedef struct SlCoordinator {
    SlConfig *config;
    SlLoop *loop;
    SlLog *log;
    int lock_fd;
    SlCoord *brain;
    uint8_t online[64];
    uint8_t random[64];
    SlCurveKeys curve;
    /* store */
    SlWorkq *store_queue; /* one thread: ledger, environment branches, cache file */
    SlLedger *ledger;     /* store queue only */
    SlLedger *reader;     /* loop thread */
    SlBlobs *blobs;       /* any thread */
    SlCache *cache;       /* any thread; NULL = could not be opened */
    SlRecent recent;
    GBytes *lent; /* what the brain's blob reader got last */
    /* turn */
    SlBatch batch;
    bool appending, flush_posted, failed;
    SlTimer *tick, *tips_timer, *history_timer, *push_timer;
    pthread_mutex_t push_one; /* two pushes at a time would take each other for somebody else */
    unsigned push_failures;
    GError *push_error; /* why the last push failed, or NULL */
    int64_t push_failed_us;
    uint64_t count_pushed; /* appends that the remote has */
    bool pushing, push_again, history_armed;
    /* repacks */
    SlTimer *repack_timer;
    SlChild *repacking;
    GQueue repack_next;      /* of char*: repositories whose turn comes */
    unsigned repack_batches; /* since the state repository was repacked */
    /* append and space */
    int stop_fd;    /* eventfd, readable once the daemon stops: children of the work are given up */
    SlAppend *held; /* waits for room, or for the remote that is required */
    SlTimer *held_timer, *space_timer;
    int64_t held_since_us, short_since_us; /* short: room is short since then, 0 = enough */
    unsigned held_tries;
    char *short_why;
    /* sources and renders */
    SlWorkq *work_queue;
    GPtrArray *polls; /* of SlSourcePoll* */
    int inotify;
    SlWatch *inotify_watch;
    char *docs_digest; /* of what is in force, to notice a change */
    uint64_t docs_followed, docs_written; /* version of the documents that docs_digest, docs_text are of */
    GBytes *docs_text;                    /* what is in force, as JSON */
    SlLentDocs lent_docs;
    /* agents */
    SlServer *server;
    SlServerEvents server_events;
    uint64_t keys_version; /* of the allow-list that the server has */
    GHashTable *heard;     /* curve -> int64_t* monotonic time of the last message */
    GHashTable *enrolling; /* request id -> peer */
    GHashTable *logs;      /* request id -> SlLogWait* */
    GHashTable *finding;   /* asker -> GQueue* of searches that wait for its one that runs */
    uint64_t next_id;
    GHashTable *points;    /* run id -> digest of the point stored last */
    GHashTable *committed; /* environment -> commit that the ledger named last */
    unsigned tips_looking; /* looks at branches that have not ended */
    uint64_t root_followed; /* version of the root whose environments have what is staged */
    /* people */
    SlApi *api;
    unsigned replays; /* under way */
    SlSnapshot snapshot;
    int64_t started_us;
    SlBucket drop_lines; /* lines of the log that any peer can cause */
    uint64_t drops_unsaid;
    uint64_t count_appends, count_events, count_messages, count_dropped, count_renders,
        count_refused;
    uint64_t count_repacks;
} SlCoordinator;

/* coordinator.c */
SL_MUST_USE SlCoordinator *sl_coordinator_new(const SlConfig *config, SlLoop *loop, SlLog *log,
                                              GError **error);
void sl_coordinator_free(SlCoordinator *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlCoordinator, sl_coordinator_free)
/* Binds ports, starts sources; the brain's START. Errors: PORT_IN_USE, ... */
SL_MUST_USE bool sl_coordinator_start(SlCoordinator *c, GError **error);

/* turn.c: one input through the brain, into the batch; and the batch to disk. */
void sl_turn_input(SlCoordinator *c, const SlCoordInput *input);
void sl_turn_init(SlCoordinator *c);
void sl_turn_clear(SlCoordinator *c);
/* Bytes by digest for the loop thread: memory, cache, ledger maps. (transfer full, NULL) */
GBytes *sl_turn_blob(SlCoordinator *c, const char *digest);
void sl_turn_remember(SlCoordinator *c, const char *digest, GBytes *bytes);
int64_t sl_now_us(const SlCoordinator *c); /* the time that the brain believes */

/* Performs what was appended, and appends what gathered meanwhile. */
void sl_turn_appended(SlCoordinator *c, SlBatch *batch);
void sl_batch_clear(SlBatch *batch);

/* append.c: a batch to the ledger; takes what is in @batch. */
void sl_append_start(SlCoordinator *c, SlBatch *batch);
void sl_append_init(SlCoordinator *c);
void sl_append_free(SlCoordinator *c);
/* May people ask for what changes something? Errors: STORAGE_FULL, STATE_REMOTE_AWAY. */
SL_MUST_USE bool sl_append_open(const SlCoordinator *c, GError **error);
/* Is this input stepped now? False: a batch is held and much waits behind it; whoever said it says
 * it again. */
SL_MUST_USE bool sl_append_takes(const SlCoordinator *c, SlCoordInputType type);
/* space.c: room on the state folder's disk. init before anything is written there. */
void sl_space_init(SlCoordinator *c);
void sl_space_start(SlCoordinator *c);
void sl_space_free(SlCoordinator *c);
/* A write found no room. True: there was a ballast, and it was given back. */
bool sl_space_lost(SlCoordinator *c, const char *why);

/* effects.c */
void sl_effect_perform(SlCoordinator *c,
                       SlCoordEffect *effect); /* takes over what it needs by stealing */
/* render.c: RENDER on the work queue; consumes @effect. */
void sl_render_start(SlCoordinator *c, SlCoordEffect *effect);
/* lentdocs.c: @key says what the documents were read from. take: (transfer full, NULL); give: consumes @docs. */
void sl_lent_docs_init(SlLentDocs *kept);
void sl_lent_docs_clear(SlLentDocs *kept);
SlFleetDocs *sl_lent_docs_take(SlLentDocs *kept, const char *key);
void sl_lent_docs_give(SlLentDocs *kept, const char *key, SlFleetDocs *docs);
/* branches.c: ENV_WRITE, ENV_MOVE on the store queue, both consume @effect; tips at start and every half minute. */
void sl_branch_write(SlCoordinator *c, SlCoordEffect *effect);
void sl_branch_move(SlCoordinator *c, SlCoordEffect *effect);
void sl_branches_start(SlCoordinator *c);
void sl_branches_free(SlCoordinator *c);
void sl_branch_follow_root(SlCoordinator *c); /* what is staged for removed environments goes */
/* polls.c: sources. */
void sl_polls_start(SlCoordinator *c);
void sl_polls_follow_docs(SlCoordinator *c); /* repositories of the documents in force */
void sl_polls_poke(SlCoordinator *c, const char *repository /* NULL = all */);
void sl_polls_free(SlCoordinator *c);
SL_MUST_USE bool sl_polls_config(SlCoordinator *c, const char *repository, SlSourceConfig *ret);
void sl_poll_config_clear(SlSourceConfig *config);
/* agents.c: messages of agents in, answers out. */
SL_MUST_USE bool sl_agents_start(SlCoordinator *c, GError **error);
void sl_agents_allow(SlCoordinator *c);
void sl_agents_send(SlCoordinator *c, const SlCoordEffect *effect);
/* May one more line be logged that a peer can cause at will? If not, it is counted as unsaid. */
bool sl_agents_line(SlCoordinator *c);
void sl_agents_enrol_reply(SlCoordinator *c, const SlCoordEffect *effect);
void sl_agents_free(SlCoordinator *c);
/* Asks an agent for a log; @done once. Errors by @done: API_AGENT_AWAY, API_TIMEOUT, what the agent
 * said. */
typedef void (*SlLogDone)(json_t *answer /* consumed */, const GError *error, void *user);
void sl_agents_log(SlCoordinator *c, const json_t *args, SlLogDone done, void *user);
/* finds.c: bytes that the cache lost, from the branches, on the work queue. @found once, on the
 * loop, maybe at once; @bytes borrowed, NULL if not there; @searched: false if it could not be
 * looked. False: this asker has too many searches waiting, and @found is not called. */
typedef struct {
    const char *who; /* an agent's key, or "api:<person>": one search at a time for each */
    const char *digest;
} SlFind;
typedef void (*SlFound)(SlCoordinator *c, GBytes *bytes, bool searched, void *user);
SL_MUST_USE bool sl_find_bytes(SlCoordinator *c, const SlFind *find, SlFound found, void *user);
void sl_finds_init(SlCoordinator *c);
void sl_finds_free(SlCoordinator *c);
/* people.c: what the API asks of the shell. */
extern const SlApiOps sl_people_ops;
/* The join token string from what the brain made: {id, secret, root, fleet, environment, cluster}.
 * (transfer full) */
char *sl_people_join_token(SlCoordinator *c, const json_t *join);
/* replay.c: a brain from the ledger; with a time, as it was then. Any thread with its own @ledger.
 */
typedef struct {
    const SlConfig *config;
    const uint8_t *online;
    SlLedger *ledger;
    SlBlobs *blobs;
    int64_t until_us;      /* INT64_MAX = everything */
    GHashTable *committed; /* or NULL */
} SlReplay;
SL_MUST_USE json_t *sl_replay_status(const SlReplay *replay, const json_t *args, GError **error);
SL_MUST_USE bool sl_replay_into(SlCoord *brain, const SlReplay *replay, GError **error);
/* repacks.c: repacks of our repositories while everything goes on. */
void sl_repacks_start(SlCoordinator *c);
void sl_repacks_batch(SlCoordinator *c); /* a batch was appended */
void sl_repacks_free(SlCoordinator *c);
/* history.c: run progress into the cache file; pushes of the state repository. */
void sl_history_note(SlCoordinator *c);
void sl_push_soon(SlCoordinator *c);
void sl_history_init(SlCoordinator *c);
void sl_history_free(SlCoordinator *c);
/* Store queue: the push that an acknowledgement waits for. Errors: STATE_REMOTE_AWAY (tried again by
 * append.c), PUSH_REWOUND. */
SL_MUST_USE bool sl_push_required(SlCoordinator *c, GError **error);
/* The same for what is staged for @env. */
SL_MUST_USE bool sl_push_staged(SlCoordinator *c, const char *env, GError **error);
