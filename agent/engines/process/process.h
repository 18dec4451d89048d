/* process.h - parts of the engine `process`, private to its folder. Everything runs on the loop
 * thread.
 *
 *   <state>/runs/<run id>/        run.json (journal), checkpoint/, attempts/<n>/   jobs.c
 *   <state>/servers/<key>/        server.json, v-<digest>/files/, i<serial>/, front/   servers.c
 *   <state>/config/<app>/<ns>/<name>/<key>                                        configmaps.c
 *
 * A folder that sluice-exec starts (attempt or instance) is started at most once in its life; a new
 * start is a new folder. */
#pragma once
#include "agent/engines/process/gpus.h"
#include "agent/store/models.h"
#include "base/log.h"
#include "runtime/http.h"
#include "runtime/loop.h"
#include "runtime/spawn.h"
#include "sluice/engine.h"

typedef struct Run Run;
typedef struct Server Server;
typedef struct ConfigDir ConfigDir;
typedef struct SlDirWatch SlDirWatch;

struct SlEngine {
    char *state_dir, *exec_path, *listen;
    json_t *options, *secrets;
    SlLoop *loop;
    SlLog *log;
    const SlClock *clock;
    SlModelCache *models;
    GBytes *(*blob)(const char *digest, void *user);
    void *blob_user;
    SlEngineEvents events; /* into the queue */
    struct SlEventQueue *queue;
    SlHttp *http;
    SlDirWatch *watch;
    GHashTable *servers, *runs, *configs; /* key -> Server*, run id -> Run*, key -> ConfigDir* */
    uint16_t port_low, port_high, port_next;
    bool use_cgroup;
    bool end_with_agent; /* `try`: what it started ends with it */
    SlGpus *gpus;
};

/* ---- adopt.c: who is that process? ---- */
typedef enum {
    SL_SHIM_NEVER,   /* nothing was started in that folder */
    SL_SHIM_RUNNING, /* the very process of the pid record: pid, start time and boot id */
    SL_SHIM_ENDED,   /* there is an exit record */
    SL_SHIM_LOST /* it was started, is gone, and left no record (machine restarted, shim killed) */
} SlShimState;
/* @ret_pidfd: open for RUNNING, else -1. */
SlShimState sl_shim_look(const char *dir, int *ret_pidfd);
int64_t sl_shim_pid(const char *dir); /* of the pid record, 0 if none */

typedef struct {
    int code, signal;
    unsigned rank; /* of the process that failed first */
    bool oom, timed_out, stopped, lost;
    int64_t started_us, finished_us;
    char *error; /* the program could not be run */
} SlExit;
void sl_exit_read(const char *dir, SlExit *ret_exit); /* lost if there is no record */
void sl_exit_clear(SlExit *exit);

/* ---- shim.c: one sluice-exec in one folder ---- */
typedef struct SlShim SlShim;
typedef struct {
    void (*started)(void *user, const GError *error); /* never from inside start or attach */
    void (*ended)(void *user, const SlExit *end);
} SlShimEvents;
SlShim *sl_shim_new(SlEngine *engine, const char *dir, const char *mode /* "run" or "--front" */,
                    const SlShimEvents *events, void *user);
void sl_shim_free(SlShim *shim); /* what it started goes on */
/* Starts the folder unless it was started: then that one is watched. @spec may be NULL for a front.
 */
void sl_shim_start(SlShim *shim, GBytes *spec);
/* After a restart: watches, or says ended(); false if it was never started. */
bool sl_shim_attach(SlShim *shim);
bool sl_shim_running(const SlShim *shim);
void sl_shim_signal(SlShim *shim, int signal);

/* ---- spec.c: the spec file ---- */
typedef struct SlSpec SlSpec;
SlSpec *sl_spec_new(const char *cwd);
void sl_spec_add(SlSpec *spec, const char *key, const char *value);
void sl_spec_add_uint(SlSpec *spec, const char *key, uint64_t value);
void sl_spec_add_env(SlSpec *spec, const char *name, const char *value);
/* command, args, stop, log limits and resources of a TrainingJob or ModelServer. Errors:
 * OBJECT_SPEC. */
SL_MUST_USE bool sl_spec_add_program(SlSpec *spec, const json_t *job_spec, GError **error);
GBytes *sl_spec_finish(SlSpec *spec); /* consumed */
void sl_spec_free(SlSpec *spec);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlSpec, sl_spec_free)

/* ---- env.c: environment, secrets, ports ---- */
typedef void (*SlEnvDone)(GPtrArray *pairs /* of char* NAME=VALUE */, const GError *error,
                          void *user);
/* PATH and the object's `env` with secrets resolved (file or command of the agent's configuration).
 * Always calls back later. Errors: SECRET_MISSING, OBJECT_SPEC. */
typedef struct SlEnvJob SlEnvJob;
SlEnvJob *sl_env_resolve(SlEngine *engine, const json_t *job_spec, SlEnvDone done, void *user);
void sl_env_cancel(SlEnvJob *job);
/* Free just now and declared by no server, from the configured range; 0 if none. */
uint16_t sl_port_take(SlEngine *engine);
bool sl_port_declared(const SlEngine *engine, uint16_t port); /* switch.c: some server's own */
bool sl_port_free(uint16_t port);
const char *
sl_model_digest(const char *reference); /* "model://sha256:<64>" or "sha256:<64>" -> hex; NULL */

/* ---- files.c: blobs as files in a folder ---- */
/* Writes every [{path, mode, sha256}] that is not there as it should be. Never leaves @dir, follows
 * no link. Errors: FILES_INVALID, IO, DISK_FAULT.
 * @ret_written: number that had to be written (nullable). */
SL_MUST_USE bool sl_files_write(SlEngine *engine, const char *dir, const json_t *files,
                                unsigned *ret_written, GError **error);
/* One file of a folder, atomically, if its bytes or mode differ. */
SL_MUST_USE bool sl_files_write_one(const char *dir, const char *path, GBytes *bytes, unsigned mode,
                                    bool *ret_written, GError **error);
/* Watches the folders that hold @files; call back on any change. Free with sl_dirwatch_remove of
 * each id in the array. */
GArray *sl_files_watch(SlEngine *engine, const char *dir, const json_t *files,
                       void (*changed)(void *user), void *user);
void sl_files_unwatch(SlEngine *engine, GArray *ids);

/* ---- limits.c: for doctor ---- */
#define SL_DISK_LOW_BYTES (UINT64_C(256) * 1024 * 1024)
/* Why "cpu" or "memory" can't be limited here; NULL if it can. (transfer full) */
char *sl_limits_problem(const SlEngine *engine, const char *controller);
/* Too little room? @ret_state: how much there is, for people. (transfer full) */
char *sl_disk_problem(const char *folder, char **ret_state);

/* ---- dirwatch.c: one inotify for the engine ---- */
SL_MUST_USE SlDirWatch *sl_dirwatch_new(SlLoop *loop, GError **error);
void sl_dirwatch_free(SlDirWatch *watch);
/* Id, or 0 if it can't be watched (then nothing is called). Several may watch one folder. */
unsigned sl_dirwatch_add(SlDirWatch *watch, const char *dir, void (*changed)(void *user),
                         void *user);
void sl_dirwatch_remove(SlDirWatch *watch, unsigned id);

/* ---- logs.c: segments that sluice-exec wrote ---- */
/* Bytes of stream from @offset, at most @max. @ret_offset: where they begin (later than asked if
 * the oldest are gone); @ret_size: where the stream ends now. NULL if there is no such stream. */
GBytes *sl_segments_read(const char *dir, const char *stream, unsigned rank, uint64_t offset,
                         size_t max, uint64_t *ret_offset, uint64_t *ret_size);
GBytes *sl_segments_tail(const char *dir, const char *stream, unsigned rank, size_t max,
                         uint64_t *ret_offset, uint64_t *ret_size);

/* ---- jobs.c ---- */
void sl_jobs_load(
    SlEngine *engine); /* at open: adopts what runs, goes on with what was under way */
void sl_jobs_start(SlEngine *engine, const SlEngineRun *run);
void sl_jobs_stop(SlEngine *engine, const char *run_id, const char *reason);
void sl_jobs_adopt(SlEngine *engine, const char *run_id);
void sl_jobs_forget(SlEngine *engine, const char *run_id);
const char *sl_jobs_log_dir(SlEngine *engine, const char *run_id,
                            bool *ret_finished); /* NULL; borrowed until the next call */
void sl_jobs_free(SlEngine *engine);

/* ---- servers.c, configmaps.c ---- */
void sl_servers_load(SlEngine *engine);
void sl_servers_apply(SlEngine *engine, const SlEngineApply *what);
void sl_servers_adopt(SlEngine *engine, const SlEngineApply *what);
void sl_servers_remove(SlEngine *engine, const SlEngineRef *ref);
const char *sl_servers_log_dir(SlEngine *engine, const SlEngineRef *ref);
const char *sl_servers_crashed_dir(SlEngine *engine, const SlEngineRef *ref); /* borrowed; NULL */
void sl_servers_free(SlEngine *engine);
/* SLUICE_CONFIG_DIR of a program: one folder per ConfigMap of its application and namespace.
 * (transfer full) */
char *sl_config_folder(const SlEngine *engine, const char *app, const json_t *object);
void sl_configs_load(SlEngine *engine);
void sl_configs_apply(SlEngine *engine, const SlEngineApply *what);
void sl_configs_adopt(SlEngine *engine, const SlEngineApply *what);
void sl_configs_remove(SlEngine *engine, const SlEngineRef *ref);
void sl_configs_free(SlEngine *engine);

char *sl_process_key(
    const SlEngineRef *ref); /* "app.ns.kind.name", safe as a folder name. (transfer full) */
int64_t sl_process_now(const SlEngine *engine);
