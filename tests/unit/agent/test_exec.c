/* test_exec.c - sluice-exec by itself: exactly once per folder, exact environment, segments, stop,
 * time limit, leftovers. */
#include "agent/engines/process/process.h"
#include "runtime/spawn.h"
#include "tests/unit/agent/fixture.h"

typedef struct {
    char *dir;
    GByteArray *spec;
} Folder;

static Folder folder_new(void)
{
    Folder folder = {g_dir_make_tmp("sluice-test-XXXXXX", NULL), g_byte_array_new()};
    return folder;
}

static void add(Folder *folder, const char *record)
{
    g_byte_array_append(folder->spec, (const guint8 *)record, (guint)strlen(record) + 1);
}

static void run_command(Folder *folder, const char *mode, SlChildEnd *ret_end)
{
    g_autoptr(GError) error = NULL;
    const char *argv[] = {SLUICE_BIN_DIR "/sluice-exec", mode, folder->dir, NULL};
    SlSpawn how = {.argv = argv, .output_max = 4096, .error_max = 4096, .timeout_us = WAIT_US};
    bool ok = sl_spawn_wait(&how, ret_end, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
}

static char *error_text(const SlChildEnd *end)
{
    size_t len = 0;
    const char *text = end->error ? g_bytes_get_data(end->error, &len) : NULL;
    return g_strndup(text ? text : "", len);
}

static void start(Folder *folder)
{
    SlChildEnd end = {0};
    g_autofree char *path = g_build_filename(folder->dir, "spec", NULL),
                    *cwd = g_strconcat("cwd=", folder->dir, NULL);
    g_autoptr(GError) error = NULL;
    add(folder, cwd);
    g_assert_true(sl_file_write_atomic(path, folder->spec->data, folder->spec->len, 0600, &error));
    run_command(folder, "run", &end);
    g_autofree char *text = error_text(&end);
    g_assert_cmpstr(text, ==, "");
    g_assert_cmpint(end.code, ==, 0);
    g_assert_cmpint(access(path, F_OK), !=, 0); /* it may hold secrets */
    sl_child_end_clear(&end);
}

static char *read_of(const Folder *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder->dir, name, NULL);
    return fix_read(path);
}

/* Waits on the shim's pidfd: no sleep. */
static SlExit wait_exit(const Folder *folder)
{
    int pidfd;
    SlExit end;
    if (sl_shim_look(folder->dir, &pidfd) == SL_SHIM_RUNNING) {
        GPollFD poll = {.fd = pidfd, .events = G_IO_IN};
        g_assert_cmpint(g_poll(&poll, 1, (int)(WAIT_US / 1000)), ==, 1);
        close(pidfd);
    }
    sl_exit_read(folder->dir, &end);
    g_assert_false(end.lost);
    return end;
}

static void folder_free(Folder *folder)
{
    (void)!sl_dir_remove_tree(folder->dir, NULL);
    g_byte_array_unref(folder->spec);
    g_free(folder->dir);
}

static void test_exact_environment(void)
{
    Folder folder = folder_new();
    add(&folder, "arg=/usr/bin/env");
    add(&folder, "env=A=one two\nthree");
    add(&folder, "env=B=");
    start(&folder);
    SlExit end = wait_exit(&folder);
    g_assert_cmpint(end.code, ==, 0);
    g_autofree char *out = read_of(&folder, "stdout.0.0");
    g_assert_cmpstr(out, ==, "A=one two\nthree\nB=\n");
    sl_exit_clear(&end);
    folder_free(&folder);
}

static void test_once(void)
{
    Folder folder = folder_new();
    add(&folder, "arg=/bin/true");
    start(&folder);
    SlExit end = wait_exit(&folder);
    SlChildEnd again = {0};
    run_command(&folder, "run", &again);
    g_autofree char *text = error_text(&again);
    g_assert_cmpint(again.code, ==, 17);
    g_assert_nonnull(strstr(text, "was started already"));
    sl_child_end_clear(&again);
    sl_exit_clear(&end);
    folder_free(&folder);
}

static void test_bad_spec(void)
{
    static const char *const rows[][2] = {
        {"surprise=1", "unknown record `surprise`"},
        {"limit-us=-1", "limit-us=-1 is not a number"},
        {"log-bytes=1", "log-bytes is at least 4096"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        Folder folder = folder_new();
        SlChildEnd end = {0};
        g_autofree char *path = g_build_filename(folder.dir, "spec", NULL);
        add(&folder, "arg=/bin/true");
        add(&folder, "cwd=/");
        add(&folder, rows[i][0]);
        g_assert_true(sl_file_write_atomic(path, folder.spec->data, folder.spec->len, 0600, NULL));
        run_command(&folder, "run", &end);
        g_autofree char *text = error_text(&end);
        g_assert_cmpint(end.code, ==, 2);
        g_assert_nonnull(strstr(text, rows[i][1]));
        sl_child_end_clear(&end);
        folder_free(&folder);
    }
}

static void test_no_spec(void)
{
    Folder folder = folder_new();
    SlChildEnd end = {0};
    run_command(&folder, "run", &end);
    g_autofree char *text = error_text(&end);
    g_assert_nonnull(strstr(text, "spec: missing"));
    sl_child_end_clear(&end);
    folder_free(&folder);
}

static void test_missing_program(void)
{
    Folder folder = folder_new();
    add(&folder, "arg=not-there");
    add(&folder, "env=PATH=/usr/bin:/bin");
    start(&folder);
    SlExit end = wait_exit(&folder);
    g_assert_cmpint(end.code, ==, 127);
    g_assert_cmpstr(end.error, ==, "cannot run not-there: No such file or directory");
    sl_exit_clear(&end);
    folder_free(&folder);
}

/* 40 KB of output, 8 KB segments, 3 of them: the newest 16..24 KB are there under their true
 * offsets. */
static void test_segments(void)
{
    Folder folder = folder_new();
    add(&folder, "arg=/usr/bin/python3");
    add(&folder, "arg=-c");
    add(&folder, "arg=import sys\nfor i in range(4096): sys.stdout.write('%09d\\n' % i)");
    add(&folder, "log-bytes=8192");
    add(&folder, "log-count=3");
    start(&folder);
    SlExit end = wait_exit(&folder);
    uint64_t at = 0, size = 0;
    g_autoptr(GBytes) all = sl_segments_read(folder.dir, "stdout", 0, 0, 1 << 20, &at, &size);
    g_assert_cmpuint(size, ==, 40960);
    g_assert_cmpuint(g_bytes_get_size(all), ==, 3 * 8192);
    g_assert_cmpuint(at, ==, 40960 - 3 * 8192);
    g_autoptr(GBytes) tail = sl_segments_tail(folder.dir, "stdout", 0, 10, &at, &size);
    g_assert_cmpuint(g_bytes_get_size(tail), ==, 10);
    g_assert_true(memcmp(g_bytes_get_data(tail, NULL), "000004095\n", 10) == 0);
    g_autoptr(GBytes) middle =
        sl_segments_read(folder.dir, "stdout", 0, 40960 - 8192 - 10, 20, &at, &size);
    g_assert_cmpuint(g_bytes_get_size(middle), ==, 20); /* over the seam of two segments */
    sl_exit_clear(&end);
    folder_free(&folder);
}

static void test_time_limit_kills_group(void)
{
    Folder folder = folder_new();
    add(&folder, "arg=/usr/bin/python3");
    add(&folder, "arg=-c");
    /* Ignores TERM, and leaves a grandchild in a session of its own behind. */
    add(&folder, "arg=import os,signal,time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                 "pid=os.fork()\nif pid==0:\n  os.setsid(); time.sleep(60)\n"
                 "open('grandchild','w').write(str(pid)); time.sleep(60)");
    add(&folder, "limit-us=700000");
    add(&folder, "grace-us=100000");
    start(&folder);
    SlExit end = wait_exit(&folder);
    g_assert_true(end.timed_out);
    g_assert_cmpint(end.signal, ==, SIGKILL);
    g_autofree char *pid = read_of(&folder, "grandchild");
    g_assert_cmpstr(pid, !=, "");
    g_assert_cmpint(kill((pid_t)g_ascii_strtoll(pid, NULL, 10), 0), !=,
                    0); /* nothing outlives the record */
    sl_exit_clear(&end);
    folder_free(&folder);
}

static void test_killed_shim_takes_children_along(void)
{
    Folder folder = folder_new();
    add(&folder, "arg=/bin/sleep");
    add(&folder, "arg=60");
    start(&folder);
    int pidfd;
    g_assert_cmpint(sl_shim_look(folder.dir, &pidfd), ==, SL_SHIM_RUNNING);
    kill((pid_t)sl_shim_pid(folder.dir), SIGKILL);
    GPollFD poll = {.fd = pidfd, .events = G_IO_IN};
    g_assert_cmpint(g_poll(&poll, 1, 10000), ==, 1);
    close(pidfd);
    g_assert_cmpint(sl_shim_look(folder.dir, &pidfd), ==, SL_SHIM_LOST);
    folder_free(&folder);
}

/* A pid record of another boot or another start time is nobody. */
static void test_identity(void)
{
    Folder folder = folder_new();
    int pidfd;
    g_autofree char *path = g_build_filename(folder.dir, "pid", NULL);
    g_assert_cmpint(sl_shim_look(folder.dir, &pidfd), ==, SL_SHIM_NEVER);
    g_autofree char *text = g_strdup_printf(
        "format: 1\npid: %d\nstart: 1\nboot: 00000000-0000-0000-0000-000000000000\n", getpid());
    fix_write(path, text);
    g_assert_cmpint(sl_shim_look(folder.dir, &pidfd), ==, SL_SHIM_LOST);
    g_autofree char *boot = g_strstrip(fix_read("/proc/sys/kernel/random/boot_id"));
    g_autofree char *same =
        g_strdup_printf("format: 1\npid: %d\nstart: 1\nboot: %s\n", getpid(), boot);
    fix_write(path, same);
    g_assert_cmpint(sl_shim_look(folder.dir, &pidfd), ==, SL_SHIM_LOST);
    folder_free(&folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/exec/exact-environment", test_exact_environment);
    g_test_add_func("/exec/once", test_once);
    g_test_add_func("/exec/bad-spec", test_bad_spec);
    g_test_add_func("/exec/no-spec", test_no_spec);
    g_test_add_func("/exec/missing-program", test_missing_program);
    g_test_add_func("/exec/segments", test_segments);
    g_test_add_func("/exec/time-limit-kills-group", test_time_limit_kills_group);
    g_test_add_func("/exec/killed-shim-takes-children-along",
                    test_killed_shim_takes_children_along);
    g_test_add_func("/exec/identity", test_identity);
    return g_test_run();
}
