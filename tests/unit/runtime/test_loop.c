/* test_loop.c - timers, watches, posted calls, signals and the work queue on a real loop; no
 * sleeps. */
#include "base/auto.h"
#include "runtime/logsink.h"
#include "runtime/loop.h"
#include "runtime/workq.h"
#include "tests/unit/wait.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    SlLoop *loop;
    SlTimer *timer;
    SlWatch *watch;
    unsigned count, events;
    int signal;
} Seen;

static void count(void *user)
{
    ((Seen *)user)->count++;
}

static void free_own_timer(void *user)
{
    Seen *seen = user;
    seen->count++;
    sl_timer_free(seen->timer);
    seen->timer = NULL;
}

static void test_timer(void)
{
    g_autoptr(SlLoop) loop = sl_loop_new();
    Seen seen = {.loop = loop};
    SlTimer *timer = sl_timer_new(loop, count, &seen);
    g_assert_false(sl_loop_turn(loop, 0)); /* off until armed */
    sl_timer_arm(timer, 5000);
    int64_t before = sl_clock_real.monotonic_us(NULL);
    wait_for(loop, seen.count == 1);
    g_assert_cmpint(sl_clock_real.monotonic_us(NULL) - before, >=, 5000);
    g_assert_false(sl_loop_turn(loop, 0)); /* once */
    sl_timer_arm(timer, 0);
    sl_timer_arm(timer, -1);
    g_assert_false(sl_loop_turn(loop, 1000));
    sl_timer_arm(timer, INT64_MAX);
    g_assert_false(sl_loop_turn(loop, 0));
    sl_timer_free(timer);
    seen.timer = sl_timer_new(loop, free_own_timer, &seen);
    sl_timer_arm(seen.timer, 0);
    wait_for(loop, seen.timer == NULL);
    sl_timer_free(NULL);
}

static void note_events(int fd, unsigned events, void *user)
{
    Seen *seen = user;
    char buffer[16];
    seen->events |= events;
    seen->count++;
    if ((events & SL_READABLE) && read(fd, buffer, sizeof buffer) == 0) {
        sl_watch_free(seen->watch);
        seen->watch = NULL;
    }
}

static void test_watch(void)
{
    g_autoptr(SlLoop) loop = sl_loop_new();
    int ends[2];
    g_assert_cmpint(pipe2(ends, O_CLOEXEC | O_NONBLOCK), ==, 0);
    Seen seen = {.loop = loop};
    seen.watch = sl_watch_new(loop, ends[0], SL_READABLE, note_events, &seen);
    g_assert_false(sl_loop_turn(loop, 0));
    g_assert_cmpint(write(ends[1], "x", 1), ==, 1);
    wait_for(loop, seen.count == 1);
    g_assert_cmpuint(seen.events, ==, SL_READABLE);
    sl_watch_set(seen.watch, 0);
    close(ends[1]);
    g_assert_false(sl_loop_turn(loop, 0)); /* off: not even the hang-up */
    sl_watch_set(seen.watch, SL_READABLE);
    wait_for(loop, (seen.events & SL_HANGUP) != 0);
    sl_watch_free(seen.watch);
    close(ends[0]);
}

static void post_again(void *user)
{
    Seen *seen = user;
    if (++seen->count < 3) {
        sl_loop_post(seen->loop, post_again, seen);
    } else {
        sl_loop_quit(seen->loop, 7);
    }
}

static void test_post_and_run(void)
{
    g_autoptr(SlLoop) loop = sl_loop_new();
    Seen seen = {.loop = loop};
    sl_loop_post(loop, post_again, &seen);
    g_assert_cmpuint(seen.count, ==, 0);
    g_assert_true(sl_loop_turn(loop, 0));
    g_assert_cmpuint(seen.count, ==, 1); /* what it posts itself waits for the next turn */
    g_assert_cmpint(sl_loop_run(loop), ==, 7);
    g_assert_cmpuint(seen.count, ==, 3);
}

static void caught(int signal, void *user)
{
    ((Seen *)user)->signal = signal;
}

static void test_signals(void)
{
    g_autoptr(SlLoop) loop = sl_loop_new();
    g_autoptr(GError) error = NULL;
    Seen seen = {0};
    int signals[] = {SIGHUP, SIGTERM, 0};
    g_assert_true(sl_loop_signals(loop, signals, caught, &seen, &error));
    g_assert_no_error(error);
    kill(getpid(), SIGHUP);
    wait_for(loop, seen.signal == SIGHUP);
}

/* ---- work queue ---- */

typedef struct {
    pthread_mutex_t *gate; /* or NULL */
    pthread_t worker;
    bool worked, done, cancelled;
} Job;

static void work(void *user)
{
    Job *job = user;
    if (job->gate != NULL) {
        pthread_mutex_lock(job->gate);
        pthread_mutex_unlock(job->gate);
    }
    job->worker = pthread_self();
    job->worked = true;
}

static void done(void *user, bool cancelled)
{
    Job *job = user;
    job->done = true;
    job->cancelled = cancelled;
}

static void test_workq(void)
{
    g_autoptr(SlLoop) loop = sl_loop_new();
    g_autoptr(GError) error = NULL;
    SlWorkq *queue = sl_workq_new(loop, 2, 100);
    Job jobs[100] = {0};
    for (int i = 0; i < 100; i++) {
        g_assert_true(sl_workq_push(queue, work, done, &jobs[i], &error));
    }
    wait_for(loop, sl_workq_pending(queue) == 0);
    for (int i = 0; i < 100; i++) {
        g_assert_true(jobs[i].worked && jobs[i].done && !jobs[i].cancelled);
        g_assert_false(pthread_equal(jobs[i].worker, pthread_self()));
    }
    sl_workq_free(queue);
    sl_workq_free(NULL);
}

/* One worker is held at a gate: the next job waits, the one after is refused, and free cancels what
 * has not begun. */
static void test_workq_limit_and_cancel(void)
{
    g_autoptr(SlLoop) loop = sl_loop_new();
    g_autoptr(GError) error = NULL;
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    SlWorkq *queue = sl_workq_new(loop, 1, 2);
    Job held = {.gate = &gate}, second = {.gate = &gate}, third = {0};
    pthread_mutex_lock(&gate);
    g_assert_true(sl_workq_push(queue, work, done, &held, &error));
    g_assert_true(sl_workq_push(queue, work, done, &second, &error));
    g_assert_false(sl_workq_push(queue, work, done, &third, &error));
    g_assert_error(error, SL_ERROR, SLU_LIMIT);
    g_assert_nonnull(strstr(error->message, "2 jobs"));
    pthread_mutex_unlock(&gate);
    sl_workq_free(queue);
    g_assert_true(held.done && second.done && !third.done);
    g_assert_true(held.worked == !held.cancelled);
    g_assert_true(second.worked == !second.cancelled);
}

static void test_clock_and_random(void)
{
    g_assert_cmpint(sl_clock_real.utc_us(NULL), >, INT64_C(1700000000) * SL_SECOND_US);
    int64_t before = sl_clock_real.monotonic_us(NULL);
    g_assert_cmpint(sl_clock_real.monotonic_us(NULL), >=, before);
    uint8_t a[32] = {0}, b[32] = {0};
    sl_random_bytes(a, sizeof a);
    sl_random_bytes(b, sizeof b);
    g_assert_true(memcmp(a, b, sizeof a) != 0);
}

/* A reader that does not read costs lines, not time; the next line that fits says how many. */
static void test_log_sink(void)
{
    int ends[2];
    char buffer[65536];
    g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
    g_assert_cmpint(fcntl(ends[1], F_SETPIPE_SZ, 4096), >, 0);
    SlLog *log = NULL;
    SlLogSink *sink = sl_log_sink_new(ends[1], SL_LOG_INFO, &log);
    for (int i = 0; i < 19; i++) {
        g_autofree char *long_ = g_strnfill(500, 'x');
        sl_log(log, SL_LOG_INFO, "test.event", "text", long_, NULL);
    }
    ssize_t first = read(ends[0], buffer, sizeof buffer - 1);
    g_assert_cmpint(first, >, 0);
    sl_log(log, SL_LOG_DEBUG, "test.quiet", NULL);
    sl_log(log, SL_LOG_ERROR, "test.last", NULL);
    ssize_t got = read(ends[0], buffer, sizeof buffer - 1);
    g_assert_cmpint(got, >, 0);
    buffer[got] = '\0';
    g_assert_nonnull(strstr(buffer, "test.last"));
    g_assert_nonnull(strstr(buffer, " dropped="));
    g_assert_null(strstr(buffer, "test.quiet"));
    sl_log_sink_free(sink);
    close(ends[0]);
    close(ends[1]);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/loop/timer", test_timer);
    g_test_add_func("/loop/watch", test_watch);
    g_test_add_func("/loop/post-and-run", test_post_and_run);
    g_test_add_func("/loop/workq", test_workq);
    g_test_add_func("/loop/workq-limit-and-cancel", test_workq_limit_and_cancel);
    g_test_add_func("/loop/clock-and-random", test_clock_and_random);
    g_test_add_func("/loop/log-sink", test_log_sink);
    g_test_add_func("/loop/signals", test_signals);
    return g_test_run();
}
