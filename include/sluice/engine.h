/* engine.h - how an agent makes objects real. Implementations: agent/engines/<name>.c (or a folder) + a line in engines.def.
 *
 * Everything runs on the loop thread and returns at once; what takes time goes on in the background and comes back through
 * SlEngineEvents, at any later time, also unasked (a process died, a file was edited). Operations are level-triggered
 * and idempotent: applying the same object again is a no-op that still answers. An engine MUST NOT: decide what should run,
 * delete anything it was not told to remove, start a run twice for one run id (also not across its own restarts), stop
 * anything when it is closed, read the network, or keep borrowed arguments. */
#pragma once
#include "base/json.h"
#include "sluice/clock.h"
#include "sluice/types.h"

typedef struct SlEngine SlEngine;
typedef struct SlLoop SlLoop;
typedef struct SlLog SlLog;
typedef struct SlModelCache SlModelCache;

typedef struct {
    const char *app, *kind, *namespace_, *name;
} SlEngineRef;

/* Facts that the brain gets as inputs; called on the loop thread, never from inside an operation. */
typedef struct {
    void *user;
    void (*applied)(void *user, const SlEngineRef *ref, const char *digest, const GError *error);
    void (*removed)(void *user, const SlEngineRef *ref, const GError *error);
    void (*observed)(void *user, const SlEngineRef *ref, SlHealth health, const char *reason, const char *message);
    void (*run)(void *user, const char *run_id, const json_t *record);
    /* Final, once per run id (again after a restart if not acknowledged by run_forget). Outputs are in the store and synced.
     * @end: {"phase","reason","exit","message","attempts","started","finished","outputs":[".."],"metrics":[".."]} */
    void (*run_ended)(void *user, const char *run_id, const json_t *end);
} SlEngineEvents;

typedef struct {
    const char *state_dir;   /* own folder, mode 0700, exists */
    const char *cluster;     /* of the agent */
    const json_t *options;   /* the agent's configuration under engines.<name> */
    const char *exec_path;   /* the sluice-exec program */
    SlLoop *loop;
    SlLog *log;
    const SlClock *clock;
    SlModelCache *models;    /* verified models and inputs by digest; output store */
    /* Content of a file blob of a bundle; borrowed until the next call; NULL if not there. */
    GBytes *(*blob)(const char *digest, void *user);
    void *blob_user;
    const SlEngineEvents *events;
} SlEngineConfig;

typedef struct {
    SlEngineRef ref;
    const json_t *object;   /* canonical object */
    const char *digest;
    const char *env, *cluster;
    bool force;
} SlEngineApply;

typedef struct {
    const char *run_id, *run_key, *app, *env, *cluster, *job;
    uint64_t generation;
    const json_t *object;
    const char *digest;
} SlEngineRun;

typedef struct {
    const SlEngineRef *ref; /* of a server */
    const char *run_id;     /* of a run; NULL = the object */
    unsigned rank;          /* of a run's process */
    bool err, tail;         /* standard error; the last @max bytes instead of those from @offset */
    bool previous;          /* of a server: what the last crashed process wrote */
    uint64_t offset;
    size_t max;
} SlEngineLogAsk;
typedef struct {
    uint64_t offset, size; /* where the data begins; where the stream ends now */
    bool finished;
} SlEngineLog;

typedef struct {
    const char *name; /* "process" */
    bool (*can_apply)(const char *kind); /* "gitops.sluice/ModelServer", "core/ConfigMap" ... */

    /* (transfer full) Errors: a program or right that is missing, said at start. */
    SlEngine *(*open)(const SlEngineConfig *config, GError **error);
    void (*close)(SlEngine *engine); /* everything it started goes on */

    /* applied() follows when the object is in place (a server: accepted; health follows by observed()): once for each apply,
     * in their order, also when a later one has replaced it meanwhile. */
    void (*apply)(SlEngine *engine, const SlEngineApply *what);
    /* removed() follows when it is gone; a thing that is not there is gone. */
    void (*remove)(SlEngine *engine, const SlEngineRef *ref);
    /* After a restart: observe this object if it exists (or say Missing); never start or change anything. */
    void (*adopt)(SlEngine *engine, const SlEngineApply *what);
    /* Start the run unless it is known: then only its record (and end) is said again. */
    void (*run_start)(SlEngine *engine, const SlEngineRun *run);
    void (*run_stop)(SlEngine *engine, const char *run_id, const char *reason);
    /* After a restart: say the record (and end) of a run that was started before; run_ended Failed, reason Lost, if it is not
     * known here. Never starts anything. */
    void (*run_adopt)(SlEngine *engine, const char *run_id);
    /* The seal was acknowledged: the record may be collected later; the id stays known for ever. */
    void (*run_forget)(SlEngine *engine, const char *run_id);
    /* Bytes of a log; NULL and error (LOG_MISSING, RUN_UNKNOWN) if there is none. */
    GBytes *(*log)(SlEngine *engine, const SlEngineLogAsk *ask, SlEngineLog *ret_log, GError **error);
    /* Checks for `sluice-agent doctor`, with nothing opened (an agent may be running); of @config only state_dir, options and
     * exec_path are there. Adds {"check","ok","message"} to @checks. Optional. */
    void (*doctor)(const SlEngineConfig *config, json_t *checks);
} SlEngineOps;

const SlEngineOps *const *sl_engines(void);
const SlEngineOps *sl_engine_find(const char *name);
