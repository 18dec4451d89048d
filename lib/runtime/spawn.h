/* spawn.h - child processes: posix_spawn with an argument vector, pidfd, capped pipes, kill timer.
 * No shell, ever. */
#pragma once
#include "runtime/loop.h"

typedef struct SlChild SlChild;
typedef struct {
    const char *const *argv;      /* argv[0] is an absolute path */
    const char *const *envp;      /* whole environment; NULL = empty plus PATH */
    const char *cwd;              /* or NULL */
    GBytes *input;                /* stdin; NULL = /dev/null */
    size_t output_max, error_max; /* more is dropped and marked; 0 = /dev/null */
    int64_t timeout_us;           /* 0 = none; then SIGTERM, 2 s later SIGKILL */
    int stop_fd; /* of the blocking form: once it is readable the child is killed; 0 = none */
    bool detach;                  /* own session; goes on when we end; no pipes */
} SlSpawn;
typedef struct {
    int code;   /* exit code, or -1 */
    int signal; /* or 0 */
    bool timed_out, truncated;
    GBytes *output, *error;
} SlChildEnd;
/* @ended once, when it is reaped and its pipes are drained; the handle is freed already, @end is
 * borrowed. Errors: SPAWN (program missing, ...). */
SL_MUST_USE SlChild *sl_spawn(SlLoop *loop, const SlSpawn *how,
                              void (*ended)(const SlChildEnd *end, void *user), void *user,
                              GError **error);
int sl_child_pid(const SlChild *child);
void sl_child_kill(SlChild *child, int signal);
void sl_child_free(
    SlChild *child); /* no callback any more; the process is killed unless detached */
/* Blocking form for the work queue and the CLI. Clear with sl_child_end_clear. */
SL_MUST_USE bool sl_spawn_wait(const SlSpawn *how, SlChildEnd *ret_end, GError **error);
void sl_child_end_clear(SlChildEnd *end);
