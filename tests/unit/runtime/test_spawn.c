/* test_spawn.c - child processes: results, caps, limits, and nothing left behind. Programs are
 * /bin/sh and friends as argument vectors. */
#include "base/auto.h"
#include "runtime/spawn.h"
#include "tests/unit/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SH(script) ((const char *const[]){"/bin/sh", "-c", script, NULL})

static SlChildEnd run(const SlSpawn *how)
{
    g_autoptr(GError) error = NULL;
    SlChildEnd end;
    g_assert_true(sl_spawn_wait(how, &end, &error));
    g_assert_no_error(error);
    return end;
}

static void output_is(const SlChildEnd *end, const char *text)
{
    g_autofree char *got =
        g_strndup(g_bytes_get_data(end->output, NULL), g_bytes_get_size(end->output));
    g_assert_cmpstr(got, ==, text);
}

static void test_result(void)
{
    SlSpawn how = {
        .argv = SH("echo out; echo err >&2; exit 3"), .output_max = 100, .error_max = 100};
    SlChildEnd end = run(&how);
    g_assert_cmpint(end.code, ==, 3);
    g_assert_cmpint(end.signal, ==, 0);
    g_assert_false(end.truncated || end.timed_out);
    output_is(&end, "out\n");
    g_assert_cmpuint(g_bytes_get_size(end.error), ==, 4);
    sl_child_end_clear(&end);
    how = (SlSpawn){.argv = SH("kill -9 $$")};
    end = run(&how);
    g_assert_cmpint(end.code, ==, -1);
    g_assert_cmpint(end.signal, ==, 9);
    g_assert_null(end.output);
    sl_child_end_clear(&end);
}

static void test_environment(void)
{
    SlSpawn how = {.argv = (const char *const[]){"/usr/bin/env", NULL}, .output_max = 1000};
    SlChildEnd end = run(&how);
    output_is(&end, "PATH=/usr/local/bin:/usr/bin:/bin\n");
    sl_child_end_clear(&end);
    how.envp = (const char *const[]){"A=b", NULL};
    end = run(&how);
    output_is(&end, "A=b\n");
    sl_child_end_clear(&end);
    how = (SlSpawn){.argv = (const char *const[]){"/bin/pwd", NULL}, .cwd = "/", .output_max = 100};
    end = run(&how);
    output_is(&end, "/\n");
    sl_child_end_clear(&end);
}

static void test_input(void)
{
    g_autofree char *text = g_strnfill(300000, 'x');
    g_autoptr(GBytes) input = g_bytes_new(text, 300000);
    SlSpawn how = {
        .argv = (const char *const[]){"/bin/cat", NULL}, .input = input, .output_max = 400000};
    SlChildEnd end = run(&how);
    g_assert_true(g_bytes_equal(end.output, input));
    sl_child_end_clear(&end);
    how.argv = (const char *const[]){"/bin/true", NULL}; /* reads nothing: no SIGPIPE for us */
    end = run(&how);
    g_assert_cmpint(end.code, ==, 0);
    sl_child_end_clear(&end);
}

static void test_caps(void)
{
    SlSpawn how = {.argv = SH("head -c 200000 /dev/zero; exit 0"), .output_max = 1000};
    SlChildEnd end = run(&how);
    g_assert_cmpint(end.code, ==, 0); /* read to the end: the child never blocks on us */
    g_assert_cmpuint(g_bytes_get_size(end.output), ==, 1000);
    g_assert_true(end.truncated);
    sl_child_end_clear(&end);
}

/* Descriptors of ours do not reach the child, close-on-exec or not. */
static void test_descriptors(void)
{
    int fd = open("/dev/null", O_RDONLY); /* no O_CLOEXEC on purpose */
    int high = fcntl(fd, F_DUPFD, 50);
    SlSpawn how = {.argv = (const char *const[]){"/bin/ls", "/proc/self/fd", NULL},
                   .output_max = 100};
    SlChildEnd end = run(&how);
    output_is(&end, "0\n1\n2\n3\n"); /* 3 is the folder that ls reads */
    sl_child_end_clear(&end);
    close(fd);
    close(high);
}

static void test_missing(void)
{
    g_autoptr(GError) error = NULL;
    SlChildEnd end;
    SlSpawn how = {.argv = (const char *const[]){"/no/such/program", NULL}};
    g_assert_false(sl_spawn_wait(&how, &end, &error));
    g_assert_error(error, SL_ERROR, SLU_SPAWN);
    g_assert_nonnull(strstr(error->message, "/no/such/program can't be started: No such file"));
    g_clear_error(&error);
    how = (SlSpawn){.argv = (const char *const[]){"/bin/true", NULL}, .cwd = "/no/such/folder"};
    g_assert_false(sl_spawn_wait(&how, &end, &error));
    g_assert_nonnull(strstr(error->message, "in /no/such/folder"));
    g_clear_error(&error);
    how = (SlSpawn){.argv = (const char *const[]){"true", NULL}};
    g_assert_false(sl_spawn_wait(&how, &end, &error));
    g_assert_nonnull(strstr(error->message, "absolute path"));
}

static void test_time_limit(void)
{
    SlSpawn how = {.argv = SH("sleep 60"), .timeout_us = SL_SECOND_US / 10, .output_max = 10};
    SlChildEnd end = run(&how);
    g_assert_true(end.timed_out);
    g_assert_cmpint(end.signal, ==, SIGTERM);
    sl_child_end_clear(&end);
    how.argv = SH("trap '' TERM; while :; do sleep 60; done"); /* SIGKILL after 2 s */
    int64_t before = sl_clock_real.monotonic_us(NULL);
    end = run(&how);
    g_assert_cmpint(end.signal, ==, SIGKILL);
    g_assert_cmpint(sl_clock_real.monotonic_us(NULL) - before, <, 30 * SL_SECOND_US);
    sl_child_end_clear(&end);
}

/* True once the process is gone; it was killed, so that is a matter of moments. */
static bool ends(int pid)
{
    sl_autofd fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return fd < 0 || poll(&p, 1, 30000) == 1;
}

static void left_behind(const char *script)
{
    SlSpawn how = {.argv = SH(script), .output_max = 100};
    int64_t before = sl_clock_real.monotonic_us(NULL);
    SlChildEnd end = run(&how);
    g_assert_cmpint(end.code, ==, 0);
    g_assert_cmpint(sl_clock_real.monotonic_us(NULL) - before, <, 30 * SL_SECOND_US);
    g_autofree char *pid =
        g_strndup(g_bytes_get_data(end.output, NULL), g_bytes_get_size(end.output));
    g_assert_true(ends((int)g_ascii_strtoll(pid, NULL, 10)));
    sl_child_end_clear(&end);
}

/* A grandchild does not keep us waiting by our pipe, and is not left running. */
static void test_grandchild(void)
{
    left_behind("sleep 60 & echo $!");
    left_behind("sleep 60 >/dev/null & echo $!");
}

static void never(const SlChildEnd *end, void *user)
{
    (void)end;
    (void)user;
    g_assert_not_reached();
}

static bool alive(int pid)
{
    return kill(pid, 0) == 0 || errno != ESRCH;
}

/* Freed: killed, reaped, not called back. Detached: goes on. */
static void test_free_and_detach(void)
{
    g_autoptr(SlLoop) loop = sl_loop_new();
    g_autoptr(GError) error = NULL;
    SlSpawn how = {.argv = SH("sleep 60"), .output_max = 10};
    SlChild *child = sl_spawn(loop, &how, never, NULL, &error);
    g_assert_no_error(error);
    int pid = sl_child_pid(child);
    sl_child_free(child);
    wait_for(loop, !alive(pid));
    how.detach = true;
    child = sl_spawn(loop, &how, never, NULL, &error);
    g_assert_no_error(error);
    pid = sl_child_pid(child);
    sl_child_free(child);
    g_assert_true(alive(pid));
    g_assert_cmpint(getsid(pid), ==, pid);
    kill(pid, SIGKILL);
    wait_for(loop, !alive(pid));
}

typedef struct {
    int signal;
    bool over;
} Seen;

static void ended(const SlChildEnd *end, void *user)
{
    Seen *seen = user;
    seen->signal = end->signal;
    seen->over = true;
}

static void test_kill(void)
{
    g_autoptr(SlLoop) loop = sl_loop_new();
    g_autoptr(GError) error = NULL;
    Seen seen = {0};
    SlSpawn how = {.argv = SH("sleep 60")};
    SlChild *child = sl_spawn(loop, &how, ended, &seen, &error);
    g_assert_no_error(error);
    sl_child_kill(child, SIGTERM);
    wait_for(loop, seen.over);
    g_assert_cmpint(seen.signal, ==, SIGTERM);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/spawn/result", test_result);
    g_test_add_func("/spawn/environment", test_environment);
    g_test_add_func("/spawn/input", test_input);
    g_test_add_func("/spawn/caps", test_caps);
    g_test_add_func("/spawn/descriptors", test_descriptors);
    g_test_add_func("/spawn/missing", test_missing);
    g_test_add_func("/spawn/time-limit", test_time_limit);
    g_test_add_func("/spawn/grandchild", test_grandchild);
    g_test_add_func("/spawn/free-and-detach", test_free_and_detach);
    g_test_add_func("/spawn/kill", test_kill);
    return g_test_run();
}
