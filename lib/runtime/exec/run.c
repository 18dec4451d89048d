/* run.c - runs the processes of one folder once: own session, output to segments, time limit, stop
 * with grace, exit record.
 *
 *   launcher ──fork──> shim: lock, spec, `pid` written ──> processes ──all ended──> leftovers
 * killed ──> `exit` written
 *
 * `pid` is written before anything starts: a folder that has it never starts again. Children die
 * with us (PDEATHSIG), so a shim that is gone without an exit record means that nothing of it runs
 * any more. */
#include "exec.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LEFTOVER_WAIT_US                                                                           \
    5000000 /* a process in uninterruptible sleep must not hold the record back for ever */

typedef struct {
    pid_t pid; /* 0 once reaped */
    int out, err;
    ExecSegments out_log, err_log;
} Process;

typedef struct {
    int dirfd, signals, owner; /* owner: its pidfd, or -1 */
    sigset_t old_mask;
    ExecSpec spec;
    ExecGroup group;
    Process process[EXEC_PROCESSES_MAX];
    size_t alive;
    int64_t started_utc, deadline, kill_at; /* boot clock; INT64_MAX = none */
    bool stopping, timed_out, stopped, failed, killed;
    int code, signal;
    size_t rank;
    char error[256];
} Run;

static void set_limit(int what, uint64_t value)
{
    struct rlimit limit = {value, value};
    (void)setrlimit((__rlimit_resource_t)what, &limit);
}

static void try_exec(char **argv, char **env)
{
    if (strchr(argv[0], '/')) {
        execve(argv[0], argv, env);
        return;
    }
    const char *path = "/usr/local/bin:/usr/bin:/bin";
    for (char **e = env; *e; e++)
        if (strncmp(*e, "PATH=", 5) == 0)
            path = *e + 5;
    int worst = ENOENT;
    while (*path) {
        size_t len = strcspn(path, ":");
        char full[PATH_MAX];
        int n = snprintf(full, sizeof full, "%.*s/%s", (int)len, path, argv[0]);
        if (len > 0 && n > 0 && (size_t)n < sizeof full) {
            execve(full, argv, env);
            if (errno != ENOENT && errno != ENOTDIR)
                worst = errno;
        }
        path += len + (path[len] == ':');
    }
    errno = worst;
}

static _Noreturn void become_process(Run *run, size_t rank, int out, int err, int failure)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == 1)
        _exit(127); /* the shim died between fork and prctl */
    exec_group_enter(&run->group, getpid());
    if (run->spec.open_files)
        set_limit(RLIMIT_NOFILE, run->spec.open_files);
    set_limit(RLIMIT_CORE, run->spec.core_bytes);
    umask(0022);
    int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
        _exit(127);
    char **env = exec_spec_environment(&run->spec, rank);
    int problem = 0;
    for (int s = 1; s < 32; s++)
        sigaction(s, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    sigprocmask(SIG_SETMASK, &run->old_mask, NULL);
    if (chdir(run->spec.cwd) == 0)
        try_exec(run->spec.argv, env);
    problem = errno;
    (void)!write(failure, &problem, sizeof problem);
    _exit(127);
}

static void start_process(Run *run, size_t rank)
{
    int out[2], err[2], failure[2], problem = 0;
    Process *p = &run->process[rank];
    if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0 || pipe2(failure, O_CLOEXEC) != 0)
        exec_die(1, "pipe: %s", strerror(errno));
    p->pid = fork();
    if (p->pid < 0)
        exec_die(1, "fork: %s", strerror(errno));
    if (p->pid == 0)
        become_process(run, rank, out[1], err[1], failure[1]);
    setpgid(p->pid, p->pid);
    close(out[1]);
    close(err[1]);
    close(failure[1]);
    ssize_t n;
    do
        n = read(failure[0], &problem, sizeof problem);
    while (n < 0 && errno == EINTR);
    close(failure[0]);
    if (n == (ssize_t)sizeof problem && run->error[0] == '\0')
        snprintf(run->error, sizeof run->error, "cannot run %.160s: %s", run->spec.argv[0],
                 strerror(problem));
    p->out = out[0];
    p->err = err[0];
    fcntl(p->out, F_SETFL, O_NONBLOCK);
    fcntl(p->err, F_SETFL, O_NONBLOCK);
    p->out_log = p->err_log =
        (ExecSegments){.cap = run->spec.log_bytes, .keep = run->spec.log_count};
    exec_segments_open(&p->out_log, run->dirfd, "stdout", (unsigned)rank);
    exec_segments_open(&p->err_log, run->dirfd, "stderr", (unsigned)rank);
    run->alive++;
}

static void signal_groups(Run *run, int signal)
{
    for (size_t i = 0; i < run->spec.process_count; i++)
        if (run->process[i].pid > 0)
            kill(-run->process[i].pid, signal);
}

static void begin_stop(Run *run)
{
    if (run->stopping)
        return;
    run->stopping = true;
    signal_groups(run, run->spec.stop_signal);
    run->kill_at = exec_monotonic_us() + (int64_t)run->spec.grace_us;
}

static void note_end(Run *run, size_t rank, int status)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
        sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    run->process[rank].pid = 0;
    run->alive--;
    if ((code == 0 && !sig) || run->failed)
        return;
    /* The first failure is the cause; the others die of it. An end that we asked for is no failure
     * of its own. */
    run->failed = true;
    run->code = code;
    run->signal = sig;
    run->rank = rank;
    begin_stop(run);
}

static void reap(Run *run)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (size_t i = 0; i < run->spec.process_count; i++)
            if (run->process[i].pid == pid)
                note_end(run, i, status);
}

/* One read per turn and stream, so that a flood of output never delays a signal. False at its end.
 */
static bool pump(int *fd, ExecSegments *log)
{
    char bytes[65536];
    ssize_t n = read(*fd, bytes, sizeof bytes);
    if (n > 0)
        exec_segments_write(log, bytes, (size_t)n);
    if (n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN)))
        return n > 0;
    close(*fd);
    *fd = -1;
    return false;
}

static void handle_signals(Run *run)
{
    struct signalfd_siginfo info;
    while (read(run->signals, &info, sizeof info) == (ssize_t)sizeof info)
        if (info.ssi_signo != SIGCHLD) {
            run->stopped = run->stopped || !run->stopping;
            begin_stop(run);
        }
    reap(run);
}

static int wait_ms(const Run *run, int64_t now)
{
    int64_t next = run->deadline < run->kill_at ? run->deadline : run->kill_at;
    if (next == INT64_MAX)
        return -1;
    int64_t left = (next - now) / 1000 + 1;
    return left < 0 ? 0 : left > 3600000 ? 3600000 : (int)left;
}

/* A run that ends with its owner ends at once: nobody is left who could wait for its grace. */
static void owner_gone(Run *run)
{
    if (run->owner >= 0)
        close(run->owner);
    run->owner = -1;
    run->stopped = run->stopped || !run->stopping;
    begin_stop(run);
    run->kill_at = 0;
}

static void watch_owner(Run *run)
{
    run->owner = -1;
    if (!run->spec.owner_pid)
        return;
    run->owner = (int)syscall(SYS_pidfd_open, (pid_t)run->spec.owner_pid, 0);
    if (run->owner < 0)
        owner_gone(run);
}

static void turn(Run *run)
{
    struct pollfd fds[2 + 2 * EXEC_PROCESSES_MAX] = {{.fd = run->signals, .events = POLLIN}};
    nfds_t count = 1 + 2 * run->spec.process_count;
    for (size_t i = 0; i < run->spec.process_count; i++) {
        fds[1 + 2 * i] = (struct pollfd){.fd = run->process[i].out, .events = POLLIN};
        fds[2 + 2 * i] = (struct pollfd){.fd = run->process[i].err, .events = POLLIN};
    }
    fds[count] = (struct pollfd){.fd = run->owner, .events = POLLIN};
    (void)poll(fds, count + 1, wait_ms(run, exec_monotonic_us()));
    for (size_t i = 0; i < run->spec.process_count; i++) {
        if (fds[1 + 2 * i].revents)
            pump(&run->process[i].out, &run->process[i].out_log);
        if (fds[2 + 2 * i].revents)
            pump(&run->process[i].err, &run->process[i].err_log);
    }
    handle_signals(run);
    if (fds[count].revents)
        owner_gone(run);
    int64_t now = exec_monotonic_us();
    if (now >= run->deadline) {
        run->deadline = INT64_MAX;
        run->timed_out = !run->stopping;
        begin_stop(run);
    }
    if (now >= run->kill_at) {
        run->kill_at = INT64_MAX;
        run->killed = true;
        exec_signal_descendants(SIGKILL);
    }
}

/* Grandchildren came to us (subreaper): nothing of a run outlives its record. */
static void kill_leftovers(void)
{
    int64_t until = exec_monotonic_us() + LEFTOVER_WAIT_US;
    while (exec_monotonic_us() < until) {
        pid_t pid;
        exec_signal_descendants(SIGKILL);
        while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
            continue;
        if (pid < 0)
            return;
        poll(NULL, 0, 5);
    }
}

static void finish(Run *run)
{
    char text[1024];
    kill_leftovers();
    for (size_t i = 0; i < run->spec.process_count; i++) {
        Process *p = &run->process[i];
        while (p->out >= 0 && pump(&p->out, &p->out_log))
            continue;
        while (p->err >= 0 && pump(&p->err, &p->err_log))
            continue;
        exec_segments_close(&p->out_log);
        exec_segments_close(&p->err_log);
    }
    bool oom = exec_group_oom(&run->group);
    exec_group_remove(&run->group);
    int len =
        snprintf(text, sizeof text,
                 "format: 1\ncode: %d\nsignal: %d\nrank: %zu\noom: %s\ntimed-out: %s\nstopped: "
                 "%s\nkilled: %s\n"
                 "started: %lld\nfinished: %lld\n%s%s%s",
                 run->code, run->signal, run->rank, oom ? "yes" : "no",
                 run->timed_out ? "yes" : "no", run->stopped ? "yes" : "no",
                 run->killed ? "yes" : "no", (long long)run->started_utc, (long long)exec_utc_us(),
                 run->error[0] ? "error: " : "", run->error, run->error[0] ? "\n" : "");
    /* A full disk may clear: the record is worth waiting for, since without it the attempt counts
     * as lost. Not so where the folder itself was removed. */
    struct stat folder = {.st_nlink = 1};
    for (int i = 0; i < 600 && folder.st_nlink > 0 &&
                    !exec_write_atomic(run->dirfd, "exit", text, (size_t)len);
         i++) {
        poll(NULL, 0, 1000);
        (void)fstat(run->dirfd, &folder);
    }
    _exit(0);
}

static int enter_folder(const char *dir)
{
    int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dirfd < 0)
        exec_die(1, "%s: %s", dir, strerror(errno));
    int lock = openat(dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0)
        exec_die(1, "%s/lock: %s", dir, strerror(errno));
    if (flock(lock, LOCK_EX | LOCK_NB) != 0 || faccessat(dirfd, "pid", F_OK, 0) == 0)
        exec_die(EXEC_ALREADY, "%s was started already", dir);
    return dirfd;
}

_Noreturn void exec_run(const char *dir)
{
    static Run run = {.deadline = INT64_MAX, .kill_at = INT64_MAX};
    exec_cloexec_all();
    run.dirfd = enter_folder(dir);
    exec_detach();
    exec_spec_read(run.dirfd, &run.spec);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    sigemptyset(&run.old_mask);
    run.signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    run.started_utc = exec_utc_us();
    if (run.signals < 0)
        exec_die(1, "signalfd: %s", strerror(errno));
    if (!exec_write_identity(run.dirfd, "pid", ""))
        exec_die(1, "%s/pid: %s", dir, strerror(errno));
    unlinkat(run.dirfd, "spec", 0);
    exec_group_make(&run.group, run.spec.cgroup, run.spec.memory_bytes, run.spec.cpu_milli);
    for (size_t i = 0; i < run.spec.process_count; i++)
        start_process(&run, i);
    if (run.spec.limit_us)
        run.deadline = exec_monotonic_us() + (int64_t)run.spec.limit_us;
    watch_owner(&run);
    exec_ready();
    while (run.alive > 0)
        turn(&run);
    finish(&run);
    _exit(0);
}
