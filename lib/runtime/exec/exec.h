/* exec.h - parts of sluice-exec, the shim of local processes. libc only and one-shot: it dies early
 * with a message, holds no keys, reads no network (the front only forwards bytes) and must go on
 * whatever happens to the agent that started it. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define EXEC_PROCESSES_MAX 64 /* ranks of one node */
#define EXEC_SPEC_BYTES_MAX                                                                        \
    (1 << 20) /* kernel's own limit of arguments and environment is about 2 MiB */
#define EXEC_PATH_MAX 1024
#define EXEC_ALREADY 17 /* exit code: this folder was started before */

/* What a launcher says before it ends: stderr is the agent's pipe until the shim has its own
 * session. */
_Noreturn void exec_die(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

int64_t exec_utc_us(void);
int64_t exec_monotonic_us(void);
bool exec_parse_uint(const char *text, uint64_t max, uint64_t *ret_value);
/* temp + fsync + rename + fsync of the folder; in the folder @dirfd. */
bool exec_write_atomic(int dirfd, const char *name, const char *text, size_t len);
/* Whole file of the folder, NUL at its end; NULL if absent or too large. */
char *exec_read_file(int dirfd, const char *name, size_t max, size_t *ret_len);
/* "pid:", "start:" (clock ticks since boot), "boot:" lines of this process: nobody else is ever
 * mistaken for it. */
bool exec_write_identity(int dirfd, const char *name, const char *more);
void exec_cloexec_all(void);
/* Goes to the background: the caller's process returns only in the child; the parent waits until
 * exec_ready and exits 0, or exits with the code and message of exec_die. */
void exec_detach(void);
void exec_ready(void);

/* spec.c: what to run. NUL-terminated `key=value` records, written by the agent; unlinked once
 * read, for it holds secrets. */
typedef struct {
    char **env; /* of this process alone, on top of the common one; NULL-terminated */
    size_t env_count;
} ExecProcess;
typedef struct {
    char *buffer;
    char *cwd;
    char **argv, **env;
    size_t arg_count, env_count;
    ExecProcess process[EXEC_PROCESSES_MAX];
    size_t process_count; /* at least 1 */
    uint64_t limit_us, grace_us, log_bytes, memory_bytes, cpu_milli, open_files, core_bytes;
    uint64_t owner_pid; /* the run ends with this process; 0 = outlives everybody */
    uint64_t log_count;
    int stop_signal;
    char *cgroup; /* leaf name, or NULL */
} ExecSpec;
void exec_spec_read(int dirfd, ExecSpec *ret_spec);
char **exec_spec_environment(const ExecSpec *spec, size_t process);

/* segment.c: output as capped segments named `<stream>.<rank>.<offset of the first byte>`: the
 * offset of a byte never changes. */
typedef struct {
    int dirfd, fd;
    char stream[16];
    unsigned rank;
    uint64_t start, written; /* of the open segment */
    uint64_t cap, keep;
    uint64_t starts[64]; /* offsets of the segments that exist, oldest first */
    size_t count;
} ExecSegments;
void exec_segments_open(ExecSegments *s, int dirfd, const char *stream, unsigned rank);
void exec_segments_write(ExecSegments *s, const char *bytes, size_t len);
void exec_segments_close(ExecSegments *s);

/* group.c: cgroup (v1 or v2, skipped where not writable) and every descendant. */
typedef struct {
    char memory[EXEC_PATH_MAX]; /* folder, "" = none; v2: the one folder */
    char cpu[EXEC_PATH_MAX];    /* v1 only, "" = none */
    bool v2;
} ExecGroup;
void exec_group_make(ExecGroup *group, const char *leaf, uint64_t memory_bytes, uint64_t cpu_milli);
void exec_group_enter(const ExecGroup *group, pid_t pid);
bool exec_group_oom(const ExecGroup *group);
void exec_group_remove(const ExecGroup *group);
/* Sends @signal to every descendant of this process (it is their subreaper); number that it found.
 */
unsigned exec_signal_descendants(int signal);

/* run.c and front.c: never return. */
_Noreturn void exec_run(const char *dir);
_Noreturn void exec_front(const char *dir);
