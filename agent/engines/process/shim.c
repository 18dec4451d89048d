/* shim.c - starts sluice-exec in a folder and watches it by pidfd. The launcher ends as soon as the
 * shim is on its own; the shim's records in the folder are the truth, so that the same code serves
 * a fresh start and an adoption. */
#include "agent/engines/process/process.h"
#include "base/auto.h"
#include "runtime/atomicfile.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#define LAUNCH_TIMEOUT_US (30 * SL_SECOND_US)
#define LAUNCH_ALREADY 17
#define LAUNCH_PORT_IN_USE 98
#define MESSAGE_MAX 2048

struct SlShim {
    SlEngine *engine;
    char *dir, *mode;
    SlShimEvents events;
    void *user;
    SlChild *launcher;
    int pidfd;
    SlWatch *watch;
    SlTimer *later; /* events are never said from inside a call */
    GError *start_error;
    bool starting, say_started, say_ended;
};

static void said_later(void *data)
{
    SlShim *shim = data;
    if (shim->say_started) {
        shim->say_started = false;
        shim->starting = false;
        g_autoptr(GError) error = g_steal_pointer(&shim->start_error);
        bool then_ended = shim->say_ended;
        if (then_ended)
            sl_timer_arm(shim->later, 0);
        shim->events.started(shim->user, error);
        return;
    }
    if (!shim->say_ended)
        return;
    shim->say_ended = false;
    SlExit end;
    sl_exit_read(shim->dir, &end);
    shim->events.ended(shim->user, &end);
    sl_exit_clear(&end);
}

static void gone(int fd, unsigned events, void *data)
{
    (void)fd;
    (void)events;
    SlShim *shim = data;
    sl_watch_free(g_steal_pointer(&shim->watch));
    sl_close_fd(&shim->pidfd);
    shim->say_ended = true;
    sl_timer_arm(shim->later, 0);
}

SlShim *sl_shim_new(SlEngine *engine, const char *dir, const char *mode, const SlShimEvents *events,
                    void *user)
{
    SlShim *shim = g_new0(SlShim, 1);
    shim->engine = engine;
    shim->dir = g_strdup(dir);
    shim->mode = g_strdup(mode);
    shim->events = *events;
    shim->user = user;
    shim->pidfd = -1;
    shim->later = sl_timer_new(engine->loop, said_later, shim);
    return shim;
}

void sl_shim_free(SlShim *shim)
{
    if (!shim)
        return;
    sl_child_free(shim->launcher);
    sl_watch_free(shim->watch);
    sl_timer_free(shim->later);
    sl_close_fd(&shim->pidfd);
    g_clear_error(&shim->start_error);
    g_free(shim->dir);
    g_free(shim->mode);
    g_free(shim);
}

bool sl_shim_attach(SlShim *shim)
{
    int pidfd;
    SlShimState state = sl_shim_look(shim->dir, &pidfd);
    if (state == SL_SHIM_RUNNING) {
        shim->pidfd = pidfd;
        shim->watch = sl_watch_new(shim->engine->loop, pidfd, SL_READABLE, gone, shim);
    } else if (state != SL_SHIM_NEVER) {
        shim->say_ended = true;
        sl_timer_arm(shim->later, 0);
    }
    return state != SL_SHIM_NEVER;
}

static void say_started(SlShim *shim)
{
    shim->say_started = true;
    sl_timer_arm(shim->later, 0);
}

static void launch_failed(SlShim *shim, const SlChildEnd *end)
{
    size_t len = 0;
    const char *text = end->error ? g_bytes_get_data(end->error, &len) : NULL;
    g_autofree char *said = g_strndup(text ? text : "", len);
    g_strstrip(said);
    const char *message =
        g_str_has_prefix(said, "sluice-exec: ") ? said + strlen("sluice-exec: ") : said;
    if (end->code == LAUNCH_PORT_IN_USE)
        sl_throw(&shim->start_error, SLU_FRONT_PORT, "%s", message);
    else
        sl_throw(&shim->start_error, SLU_EXEC_FAILED, "sluice-exec %s",
                 *message         ? message
                 : end->timed_out ? "hung"
                                  : "failed");
}

static void launched(const SlChildEnd *end, void *data)
{
    SlShim *shim = data;
    shim->launcher = NULL; /* freed by its own end */
    if ((end->code != 0 && end->code != LAUNCH_ALREADY) || !sl_shim_attach(shim))
        launch_failed(shim, end);
    say_started(shim);
}

void sl_shim_start(SlShim *shim, GBytes *spec)
{
    g_autofree char *path = g_build_filename(shim->dir, "spec", NULL);
    const char *argv[] = {shim->engine->exec_path, shim->mode, shim->dir, NULL};
    SlSpawn how = {
        .argv = argv, .cwd = shim->dir, .error_max = MESSAGE_MAX, .timeout_us = LAUNCH_TIMEOUT_US};
    shim->starting = true;
    if (sl_shim_attach(shim)) {
        say_started(shim); /* started by an earlier life of the agent */
        return;
    }
    if (spec && !sl_file_write_atomic(path, g_bytes_get_data(spec, NULL), g_bytes_get_size(spec),
                                      0600, &shim->start_error)) {
        say_started(shim);
        return;
    }
    shim->launcher = sl_spawn(shim->engine->loop, &how, launched, shim, &shim->start_error);
    if (!shim->launcher)
        say_started(shim);
}

bool sl_shim_running(const SlShim *shim)
{
    return shim->pidfd >= 0;
}

void sl_shim_signal(SlShim *shim, int signal)
{
    if (shim->pidfd >= 0)
        syscall(SYS_pidfd_send_signal, shim->pidfd, signal, NULL, 0);
}
