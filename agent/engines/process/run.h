/* run.h - one run of a training job; private to jobs.c, run_attempt.c, run_record.c.
 *
 *   PREPARE (secrets, inputs) -> ATTEMPT (sluice-exec in attempts/<n>) -> STORE (outputs into the
 * store) -> ENDED
 *                ^------- retry by cause, attempt + 1 -----'
 *
 * The state is in run.json before what it allows happens; an attempt folder is started at most once
 * by sluice-exec itself. */
#pragma once
#include "agent/engines/process/process.h"
#include "core/run.h"

#define RUN_PROCESSES_MAX 64

typedef enum { RUN_PREPARE, RUN_ATTEMPT, RUN_STORE, RUN_ENDED, RUN_N_STATES } RunState;

struct Run {
    SlEngine *engine;
    char *id, *key, *app, *env, *cluster, *job, *digest, *dir, *attempt_dir;
    char *gpus; /* leased: for CUDA_VISIBLE_DEVICES; NULL = none */
    uint64_t generation;
    json_t *object, *spec; /* spec borrowed from object */
    RunState state;
    unsigned attempt; /* from 1 */
    json_t *failures; /* {"user": n, ...} */
    char *stop;       /* reason, or NULL */
    int64_t submitted_us, started_us, finished_us;
    json_t *end; /* as run_ended says it */
    bool forgotten;

    SlRunPhase phase;
    int64_t phase_since_us;
    char *reason, *cause, *message;
    int exit_code, exit_signal;
    bool has_exit;
    SlProgress *progress;
    unsigned processes;

    SlEnvJob *env_job;
    GPtrArray *pairs; /* of char*: environment of the attempt being prepared */
    size_t next_input, next_output;
    GPtrArray *outputs; /* of char* lines of the end record */
    bool waits_model;
    SlShim *shim;
    SlTimer *timer; /* retry of what can't be had now; next attempt */
    SlTimer *poll;  /* reading progress */
    unsigned watch;
    uint64_t out_at[RUN_PROCESSES_MAX], err_at[RUN_PROCESSES_MAX], file_at;
    int64_t said_us, saved_us;
    bool sign_of_life, say_end;
    char *save_problem; /* why the journal could not be written, or NULL */
};

/* jobs.c */
bool run_save(Run *run);
void run_changed(Run *run); /* says the record */
/* run_attempt.c */
void run_prepare(Run *run);
void run_resume(Run *run); /* after a restart, by state */
void run_stop_now(Run *run);
void run_give_gpus(Run *run); /* the lease or the place in the queue */
void run_release(Run *run);   /* stops watching; what runs goes on */
/* run_end.c */
void run_attempt_over(Run *run, const SlExit *exit);
void run_store_outputs(Run *run);
void run_finish(Run *run, SlRunPhase phase, const char *reason, const char *message);
char *run_output_dir(const Run *run, const json_t *output);
/* run_record.c */
void run_set_phase(Run *run, SlRunPhase phase, const char *reason, const char *message);
json_t *run_record(const Run *run);
bool run_read_progress(Run *run); /* true if something was new */
