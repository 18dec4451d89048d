/* loop.c - the one loop of a daemon, on an own GMainContext. Everything here belongs to the thread
 * that runs the loop.
 *
 * Timers and watches are GSources whose struct is the handle itself: GLib holds a reference while
 * it dispatches one, so a callback may free its own handle. All priorities are equal, because a
 * busy higher one would starve the others. One turn is written out (prepare, query, poll, check,
 * dispatch) so that tests and the CLI can bound it. Must never block except in poll, and never
 * touch the default main context. */
#include "runtime/loop.h"

#include "base/auto.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>

typedef struct {
    void (*call)(void *user);
    void *user;
} Posted;

typedef struct {
    GSource source;
    SlLoop *loop;
} PostSource;

struct SlLoop {
    GMainContext *context;
    GArray *polls;  /* of GPollFD, reused between turns */
    GArray *posted; /* of Posted */
    GSource *post_source;
    SlWatch *signal_watch;
    int signal_fd;
    void (*caught)(int signal, void *user);
    void *caught_user;
    bool quit;
    int code;
};

/* ---- posted calls ---- */

static gboolean post_prepare(GSource *source, gint *timeout)
{
    *timeout = -1;
    return ((PostSource *)source)->loop->posted->len > 0;
}

static gboolean post_check(GSource *source)
{
    return ((PostSource *)source)->loop->posted->len > 0;
}

/* Only what was there at the start: a call that posts itself again runs in the next turn. */
static gboolean post_dispatch(GSource *source, GSourceFunc unused, gpointer unused_user)
{
    (void)unused;
    (void)unused_user;
    SlLoop *loop = ((PostSource *)source)->loop;
    g_autoptr(GArray) now = loop->posted;
    loop->posted = g_array_new(FALSE, FALSE, sizeof(Posted));
    for (guint i = 0; i < now->len; i++) {
        const Posted *p = &g_array_index(now, Posted, i);
        p->call(p->user);
    }
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs post_funcs = {
    .prepare = post_prepare, .check = post_check, .dispatch = post_dispatch};

/* ---- timers ---- */

struct SlTimer {
    GSource source;
    void (*fired)(void *user);
    void *user;
};

static gboolean timer_dispatch(GSource *source, GSourceFunc unused, gpointer unused_user)
{
    (void)unused;
    (void)unused_user;
    SlTimer *timer = (SlTimer *)source;
    g_source_set_ready_time(source, -1);
    timer->fired(timer->user);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs timer_funcs = {.dispatch = timer_dispatch};

/* ---- descriptors ---- */

struct SlWatch {
    GSource source;
    int fd;
    gpointer tag; /* NULL while off: poll reports a hang-up even to someone who asked for nothing */
    void (*ready)(int fd, unsigned events, void *user);
    void *user;
};

static gboolean watch_dispatch(GSource *source, GSourceFunc unused, gpointer unused_user)
{
    (void)unused;
    (void)unused_user;
    SlWatch *watch = (SlWatch *)source;
    if (watch->tag == NULL) {
        return G_SOURCE_CONTINUE;
    }
    GIOCondition got = g_source_query_unix_fd(source, watch->tag);
    unsigned events = (got & G_IO_IN ? (unsigned)SL_READABLE : 0u) |
                      (got & G_IO_OUT ? (unsigned)SL_WRITABLE : 0u) |
                      (got & (G_IO_HUP | G_IO_ERR | G_IO_NVAL) ? (unsigned)SL_HANGUP : 0u);
    if (events != 0) {
        watch->ready(watch->fd, events, watch->user);
    }
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs watch_funcs = {.dispatch = watch_dispatch};

/* ---- the loop ---- */

SlLoop *sl_loop_new(void)
{
    /* A peer that goes away must be an error code of write, not the end of the daemon. */
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);

    SlLoop *loop = g_new0(SlLoop, 1);
    loop->context = g_main_context_new();
    loop->polls = g_array_new(FALSE, FALSE, sizeof(GPollFD));
    loop->posted = g_array_new(FALSE, FALSE, sizeof(Posted));
    loop->signal_fd = -1;
    loop->post_source = g_source_new(&post_funcs, sizeof(PostSource));
    ((PostSource *)loop->post_source)->loop = loop;
    g_source_attach(loop->post_source, loop->context);
    return loop;
}

void sl_loop_free(SlLoop *loop)
{
    if (loop == NULL) {
        return;
    }
    sl_watch_free(loop->signal_watch);
    sl_close_fd(&loop->signal_fd);
    g_source_destroy(loop->post_source);
    g_source_unref(loop->post_source);
    g_main_context_unref(loop->context);
    g_array_unref(loop->posted);
    g_array_unref(loop->polls);
    g_free(loop);
}

GMainContext *sl_loop_context(SlLoop *loop)
{
    return loop->context;
}

/* Descriptors to poll, in loop->polls; grows the array until they fit. */
static gint query_polls(SlLoop *loop, gint priority, gint *timeout_ms)
{
    for (;;) {
        gint have = (gint)loop->polls->len;
        gint need = g_main_context_query(loop->context, priority, timeout_ms,
                                         (GPollFD *)(void *)loop->polls->data, have);
        if (need <= have) {
            return need;
        }
        g_array_set_size(loop->polls, (guint)need + 8);
    }
}

bool sl_loop_turn(SlLoop *loop, int64_t timeout_us)
{
    if (!g_main_context_acquire(loop->context)) {
        g_error("a loop is turned by two threads");
    }
    gint priority = G_PRIORITY_DEFAULT;
    gint timeout_ms = -1;
    g_main_context_prepare(loop->context, &priority);
    gint count = query_polls(loop, priority, &timeout_ms);
    if (timeout_us >= 0) {
        int64_t ms = (timeout_us + 999) / 1000;
        if (timeout_ms < 0 || ms < timeout_ms) {
            timeout_ms = (gint)MIN(ms, G_MAXINT);
        }
    }
    GPollFD *polls = (GPollFD *)(void *)loop->polls->data;
    /* EINTR: nothing is ready; check() looks at timers again and the caller turns again. */
    if (g_poll(polls, (guint)count, timeout_ms) < 0) {
        for (gint i = 0; i < count; i++) {
            polls[i].revents = 0;
        }
    }
    bool ran = g_main_context_check(loop->context, priority, polls, count);
    if (ran) {
        g_main_context_dispatch(loop->context);
    }
    g_main_context_release(loop->context);
    return ran;
}

int sl_loop_run(SlLoop *loop)
{
    loop->quit = false;
    while (!loop->quit) {
        sl_loop_turn(loop, -1);
    }
    return loop->code;
}

static void wake(void *unused)
{
    (void)unused;
}

void sl_loop_quit(SlLoop *loop, int code)
{
    loop->quit = true;
    loop->code = code;
    sl_loop_post(loop, wake, NULL);
}

void sl_loop_post(SlLoop *loop, void (*call)(void *user), void *user)
{
    Posted posted = {call, user};
    g_array_append_val(loop->posted, posted);
}

SlTimer *sl_timer_new(SlLoop *loop, void (*fired)(void *user), void *user)
{
    SlTimer *timer = (SlTimer *)g_source_new(&timer_funcs, sizeof *timer);
    timer->fired = fired;
    timer->user = user;
    g_source_attach(&timer->source, loop->context);
    return timer;
}

void sl_timer_arm(SlTimer *timer, int64_t after_us)
{
    if (after_us < 0) {
        g_source_set_ready_time(&timer->source, -1);
        return;
    }
    int64_t now = sl_clock_real.monotonic_us(NULL);
    g_source_set_ready_time(&timer->source,
                            after_us > INT64_MAX - now ? INT64_MAX : now + after_us);
}

static void free_source(GSource *source)
{
    g_source_destroy(source);
    g_source_unref(source);
}

void sl_timer_free(SlTimer *timer)
{
    if (timer != NULL) {
        free_source(&timer->source);
    }
}

static GIOCondition condition_of(unsigned events)
{
    return (GIOCondition)((events & SL_READABLE ? G_IO_IN : 0) |
                          (events & SL_WRITABLE ? G_IO_OUT : 0) | G_IO_HUP | G_IO_ERR);
}

SlWatch *sl_watch_new(SlLoop *loop, int fd, unsigned events,
                      void (*ready)(int fd, unsigned events, void *user), void *user)
{
    SlWatch *watch = (SlWatch *)g_source_new(&watch_funcs, sizeof *watch);
    watch->fd = fd;
    watch->ready = ready;
    watch->user = user;
    sl_watch_set(watch, events);
    g_source_attach(&watch->source, loop->context);
    return watch;
}

void sl_watch_set(SlWatch *watch, unsigned events)
{
    if (events == 0) {
        if (watch->tag != NULL) {
            g_source_remove_unix_fd(&watch->source, watch->tag);
            watch->tag = NULL;
        }
        return;
    }
    if (watch->tag == NULL) {
        watch->tag = g_source_add_unix_fd(&watch->source, watch->fd, condition_of(events));
    } else {
        g_source_modify_unix_fd(&watch->source, watch->tag, condition_of(events));
    }
}

void sl_watch_free(SlWatch *watch)
{
    if (watch != NULL) {
        free_source(&watch->source);
    }
}

/* ---- signals ---- */

static void read_signals(int fd, unsigned events, void *user)
{
    (void)events;
    SlLoop *loop = user;
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof info) == (ssize_t)sizeof info) {
        loop->caught((int)info.ssi_signo, loop->caught_user);
    }
}

bool sl_loop_signals(SlLoop *loop, const int *signals, void (*caught)(int signal, void *user),
                     void *user, GError **error)
{
    sigset_t set;
    sigemptyset(&set);
    for (const int *s = signals; *s != 0; s++) {
        sigaddset(&set, *s);
    }
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0) {
        return sl_throw(error, SLU_INTERNAL, "signals can't be blocked");
    }
    sl_autofd fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) {
        return sl_throw(error, SLU_INTERNAL, "signalfd: %s", g_strerror(errno));
    }
    sl_watch_free(loop->signal_watch);
    sl_close_fd(&loop->signal_fd);
    loop->signal_fd = sl_steal_fd(&fd);
    loop->caught = caught;
    loop->caught_user = user;
    loop->signal_watch = sl_watch_new(loop, loop->signal_fd, SL_READABLE, read_signals, loop);
    return true;
}
