/* spawn.c - child processes on the loop: posix_spawn, pidfd, capped pipes, kill timer.
 *
 * Each child leads its own process group (detached: its own session), so that a kill reaches what
 * it started too. The child stays a zombie until its pipes are drained: until then its pid and
 * group can't be given to anybody else, so no kill can hit a stranger. Grandchildren that keep a
 * pipe open after the child ended get DRAIN_US, then SIGKILL.
 *
 *     pidfd readable -> exited --(pipes at EOF, or DRAIN_US over)--> waitid -> ended()
 *
 * Every descriptor of ours is close-on-exec and the child closes everything from 3 on as well. Must
 * never run a shell. */
#include "runtime/spawn.h"

#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define KILL_AFTER_US (2 * SL_SECOND_US) /* between SIGTERM and SIGKILL */
#define DRAIN_US SL_SECOND_US /* for output that is still on its way when the child has ended */
#define READ_BYTES 16384

typedef struct {
    int fd; /* -1 = closed */
    SlWatch *watch;
    GByteArray *bytes;
    size_t max;
} Pipe;

struct SlChild {
    SlLoop *loop;
    pid_t pid;
    int pidfd;
    SlWatch *exit_watch;
    SlTimer *timer; /* time limit, then SIGKILL, then drain limit */
    Pipe output, error;
    int input_fd;
    SlWatch *input_watch;
    GBytes *input;
    size_t written;
    bool detach, exited, timed_out, truncated;
    void (*ended)(const SlChildEnd *end, void *user);
    void *user;
};

/* ---- reaper: waits for a child whose handle was freed, so that no zombie stays ---- */

typedef struct {
    GSource source;
    int pidfd;
    pid_t pid;
} Reaper;

static gboolean reaper_dispatch(GSource *source, GSourceFunc unused, gpointer unused_user)
{
    (void)unused;
    (void)unused_user;
    siginfo_t info;
    waitid(P_PID, (id_t)((Reaper *)source)->pid, &info, WEXITED | WNOHANG);
    return G_SOURCE_REMOVE;
}

static void reaper_finalize(GSource *source)
{
    sl_close_fd(&((Reaper *)source)->pidfd);
}

static GSourceFuncs reaper_funcs = {.dispatch = reaper_dispatch, .finalize = reaper_finalize};

static void leave_to_reaper(SlChild *child)
{
    Reaper *reaper = (Reaper *)g_source_new(&reaper_funcs, sizeof *reaper);
    reaper->pidfd = sl_steal_fd(&child->pidfd);
    reaper->pid = child->pid;
    g_source_add_unix_fd(&reaper->source, reaper->pidfd, G_IO_IN);
    g_source_attach(&reaper->source, sl_loop_context(child->loop));
    g_source_unref(&reaper->source);
}

/* ---- pipes ---- */

static void close_pipe(Pipe *pipe)
{
    sl_watch_free(pipe->watch);
    pipe->watch = NULL;
    sl_close_fd(&pipe->fd);
}

static void close_input(SlChild *child)
{
    sl_watch_free(child->input_watch);
    child->input_watch = NULL;
    sl_close_fd(&child->input_fd);
}

static GBytes *take_bytes(Pipe *pipe)
{
    return pipe->bytes != NULL ? g_byte_array_free_to_bytes(g_steal_pointer(&pipe->bytes)) : NULL;
}

/* Frees everything but the process. */
static void free_parts(SlChild *child)
{
    close_pipe(&child->output);
    close_pipe(&child->error);
    close_input(child);
    sl_watch_free(child->exit_watch);
    sl_timer_free(child->timer);
    sl_close_fd(&child->pidfd);
    g_clear_pointer(&child->output.bytes, g_byte_array_unref);
    g_clear_pointer(&child->error.bytes, g_byte_array_unref);
    g_clear_pointer(&child->input, g_bytes_unref);
    g_free(child);
}

static void kill_group(const SlChild *child, int signal)
{
    if (kill(-child->pid, signal) != 0) {
        kill(child->pid, signal);
    }
}

/* Kills what the child left running, reaps it, frees the handle, then calls back: the callback may
 * start the next child but has no handle to misuse. */
static void finish(SlChild *child)
{
    if (!child->detach) {
        kill(-child->pid, SIGKILL); /* the zombie still holds the group's number */
    }
    siginfo_t info = {0};
    waitid(P_PID, (id_t)child->pid, &info, WEXITED);
    SlChildEnd end = {.code = -1, .timed_out = child->timed_out, .truncated = child->truncated};
    if (info.si_code == CLD_EXITED) {
        end.code = info.si_status;
    } else {
        end.signal = info.si_status;
    }
    end.output = take_bytes(&child->output);
    end.error = take_bytes(&child->error);
    void (*ended)(const SlChildEnd *, void *) = child->ended;
    void *user = child->user;
    free_parts(child);
    if (ended != NULL) {
        ended(&end, user);
    }
    sl_child_end_clear(&end);
}

static void finish_if_over(SlChild *child)
{
    if (child->exited && child->output.fd < 0 && child->error.fd < 0) {
        finish(child);
    }
}

/* Keeps at most pipe->max bytes and reads on, so that the child never blocks on us. */
static void read_pipe(SlChild *child, Pipe *pipe)
{
    uint8_t buffer[READ_BYTES];
    ssize_t got = read(pipe->fd, buffer, sizeof buffer);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        close_pipe(pipe);
        finish_if_over(child);
        return;
    }
    size_t room = pipe->max - pipe->bytes->len;
    size_t take = MIN(room, (size_t)got);
    g_byte_array_append(pipe->bytes, buffer, (guint)take);
    child->truncated = child->truncated || take < (size_t)got;
}

static void on_output(int fd, unsigned events, void *user)
{
    (void)fd;
    (void)events;
    SlChild *child = user;
    read_pipe(child, &child->output);
}

static void on_error(int fd, unsigned events, void *user)
{
    (void)fd;
    (void)events;
    SlChild *child = user;
    read_pipe(child, &child->error);
}

static void on_input(int fd, unsigned events, void *user)
{
    (void)events;
    SlChild *child = user;
    size_t len;
    const uint8_t *bytes = g_bytes_get_data(child->input, &len);
    ssize_t put = write(fd, bytes + child->written, len - child->written);
    if (put < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    child->written += put > 0 ? (size_t)put : 0;
    if (put < 0 || child->written == len) {
        close_input(child); /* EPIPE: the child does not want more, which is its right */
    }
}

/* ---- end and limits ---- */

static void on_exit_ready(int fd, unsigned events, void *user)
{
    (void)fd;
    (void)events;
    SlChild *child = user;
    child->exited = true;
    sl_watch_set(child->exit_watch, 0);
    close_input(child);
    sl_timer_arm(child->timer, DRAIN_US);
    finish_if_over(child);
}

static void on_timer(void *user)
{
    SlChild *child = user;
    if (child->exited) {
        kill_group(child, SIGKILL);
        child->truncated = true;
        close_pipe(&child->output);
        close_pipe(&child->error);
        finish_if_over(child);
    } else if (!child->timed_out) {
        child->timed_out = true;
        kill_group(child, SIGTERM);
        sl_timer_arm(child->timer, KILL_AFTER_US);
    } else {
        kill_group(child, SIGKILL);
    }
}

/* ---- start ---- */

typedef struct {
    int input[2], output[2], error[2]; /* read end, write end */
} Pipes;

static void close_pipes(Pipes *pipes)
{
    for (int i = 0; i < 2; i++) {
        sl_close_fd(&pipes->input[i]);
        sl_close_fd(&pipes->output[i]);
        sl_close_fd(&pipes->error[i]);
    }
}

static bool open_pipe(int ends[2], GError **error)
{
    if (pipe2(ends, O_CLOEXEC) != 0) {
        ends[0] = ends[1] = -1;
        return sl_throw(error, SLU_SPAWN, "no pipe for a child process: %s", g_strerror(errno));
    }
    return true;
}

/* Only our own end must not block; the child's end is an ordinary blocking pipe. */
static bool open_pipes(const SlSpawn *how, Pipes *pipes, GError **error)
{
    if (how->detach) {
        return true;
    }
    if ((how->input != NULL && !open_pipe(pipes->input, error)) ||
        (how->output_max > 0 && !open_pipe(pipes->output, error)) ||
        (how->error_max > 0 && !open_pipe(pipes->error, error))) {
        return false;
    }
    int ours[] = {pipes->input[1], pipes->output[0], pipes->error[0]};
    for (size_t i = 0; i < G_N_ELEMENTS(ours); i++) {
        if (ours[i] >= 0 && fcntl(ours[i], F_SETFL, O_NONBLOCK) != 0) {
            return sl_throw(error, SLU_SPAWN, "pipe of a child process: %s", g_strerror(errno));
        }
    }
    return true;
}

/* A pipe end as descriptor @target of the child, or /dev/null. */
static int add_stream(posix_spawn_file_actions_t *actions, int end, int target)
{
    if (end >= 0) {
        return posix_spawn_file_actions_adddup2(actions, end, target);
    }
    return posix_spawn_file_actions_addopen(actions, target, "/dev/null",
                                            target == 0 ? O_RDONLY : O_WRONLY, 0);
}

static int set_up(const SlSpawn *how, const Pipes *pipes, posix_spawn_file_actions_t *actions,
                  posix_spawnattr_t *attr)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    flags = (short)(flags | (how->detach ? POSIX_SPAWN_SETSID : POSIX_SPAWN_SETPGROUP));
    int rc = posix_spawnattr_setflags(attr, flags);
    rc = rc != 0 ? rc : posix_spawnattr_setsigmask(attr, &none);
    rc = rc != 0 ? rc : posix_spawnattr_setsigdefault(attr, &all);
    rc = rc != 0 ? rc : posix_spawnattr_setpgroup(attr, 0);
    rc = rc != 0 ? rc : add_stream(actions, pipes->input[0], 0);
    rc = rc != 0 ? rc : add_stream(actions, pipes->output[1], 1);
    rc = rc != 0 ? rc : add_stream(actions, pipes->error[1], 2);
    if (rc == 0 && how->cwd != NULL) {
        rc = posix_spawn_file_actions_addchdir_np(actions, how->cwd);
    }
    return rc != 0 ? rc : posix_spawn_file_actions_addclosefrom_np(actions, 3);
}

static const char *const default_env[] = {"PATH=/usr/local/bin:/usr/bin:/bin", NULL};

static bool start(const SlSpawn *how, const Pipes *pipes, pid_t *ret_pid, GError **error)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    int rc = set_up(how, pipes, &actions, &attr);
    if (rc == 0) {
        const char *const *env = how->envp != NULL ? how->envp : default_env;
        rc = posix_spawn(ret_pid, how->argv[0], &actions, &attr, (char *const *)how->argv,
                         (char *const *)env);
    }
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    if (rc != 0) {
        return sl_throw(error, SLU_SPAWN, "%s can't be started%s%s: %s", how->argv[0],
                        how->cwd != NULL ? " in " : "", how->cwd != NULL ? how->cwd : "",
                        g_strerror(rc));
    }
    return true;
}

static void watch_pipe(SlChild *child, Pipe *pipe, int *fd, size_t max,
                       void (*ready)(int, unsigned, void *))
{
    pipe->fd = sl_steal_fd(fd);
    pipe->max = max;
    if (pipe->fd >= 0) {
        pipe->bytes = g_byte_array_new();
        pipe->watch = sl_watch_new(child->loop, pipe->fd, SL_READABLE, ready, child);
    }
}

static SlChild *new_child(SlLoop *loop, const SlSpawn *how, Pipes *pipes, pid_t pid, int pidfd)
{
    SlChild *child = g_new0(SlChild, 1);
    child->loop = loop;
    child->pid = pid;
    child->pidfd = pidfd;
    child->detach = how->detach;
    child->timer = sl_timer_new(loop, on_timer, child);
    if (how->timeout_us > 0) {
        sl_timer_arm(child->timer, how->timeout_us);
    }
    watch_pipe(child, &child->output, &pipes->output[0], how->output_max, on_output);
    watch_pipe(child, &child->error, &pipes->error[0], how->error_max, on_error);
    child->input_fd = sl_steal_fd(&pipes->input[1]);
    if (child->input_fd >= 0) {
        child->input = g_bytes_ref(how->input);
        child->input_watch = sl_watch_new(loop, child->input_fd, SL_WRITABLE, on_input, child);
    }
    child->exit_watch = sl_watch_new(loop, pidfd, SL_READABLE, on_exit_ready, child);
    return child;
}

SlChild *sl_spawn(SlLoop *loop, const SlSpawn *how,
                  void (*ended)(const SlChildEnd *end, void *user), void *user, GError **error)
{
    if (how->argv == NULL || how->argv[0] == NULL || how->argv[0][0] != '/') {
        return sl_throw_null(error, SLU_SPAWN,
                             "a program is started by its absolute path, not as \"%s\"",
                             how->argv != NULL && how->argv[0] != NULL ? how->argv[0] : "");
    }
    Pipes pipes = {{-1, -1}, {-1, -1}, {-1, -1}};
    pid_t pid = 0;
    if (!open_pipes(how, &pipes, error) || !start(how, &pipes, &pid, error)) {
        close_pipes(&pipes);
        return NULL;
    }
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0) {
        int saved = errno;
        close_pipes(&pipes);
        kill(-pid, SIGKILL);
        siginfo_t info;
        waitid(P_PID, (id_t)pid, &info, WEXITED);
        return sl_throw_null(error, SLU_SPAWN, "%s: pidfd_open: %s", how->argv[0],
                             g_strerror(saved));
    }
    SlChild *child = new_child(loop, how, &pipes, pid, pidfd);
    close_pipes(&pipes);
    child->ended = ended;
    child->user = user;
    return child;
}

int sl_child_pid(const SlChild *child)
{
    return child->pid;
}

void sl_child_kill(SlChild *child, int signal)
{
    kill_group(child, signal);
}

void sl_child_free(SlChild *child)
{
    if (child == NULL) {
        return;
    }
    if (!child->detach) {
        kill_group(child, SIGKILL);
    }
    leave_to_reaper(child);
    free_parts(child);
}

/* ---- blocking form ---- */

typedef struct {
    SlChild *child;
    SlChildEnd *end;
    bool over;
} Wait;

static void keep_end(const SlChildEnd *end, void *user)
{
    Wait *wait = user;
    *wait->end = *end;
    wait->end->output = end->output != NULL ? g_bytes_ref(end->output) : NULL;
    wait->end->error = end->error != NULL ? g_bytes_ref(end->error) : NULL;
    wait->over = true;
}

static void kill_child(int fd, unsigned events, void *user)
{
    (void)fd;
    (void)events;
    const Wait *wait = user;
    if (!wait->over) {
        sl_child_kill(wait->child, SIGKILL);
    }
}

bool sl_spawn_wait(const SlSpawn *how, SlChildEnd *ret_end, GError **error)
{
    g_autoptr(SlLoop) loop = sl_loop_new();
    SlChildEnd end = {0};
    Wait wait = {.end = &end};
    wait.child = sl_spawn(loop, how, keep_end, &wait, error);
    if (wait.child == NULL) {
        return false;
    }
    SlWatch *stop =
        how->stop_fd > 0 ? sl_watch_new(loop, how->stop_fd, SL_READABLE, kill_child, &wait) : NULL;
    while (!wait.over) {
        sl_loop_turn(loop, -1);
    }
    sl_watch_free(stop);
    *ret_end = end;
    return true;
}

void sl_child_end_clear(SlChildEnd *end)
{
    g_clear_pointer(&end->output, g_bytes_unref);
    g_clear_pointer(&end->error, g_bytes_unref);
}
