/* fuzz_exit.c - the records that sluice-exec leaves in a folder, read by the agent: exit and pid. */
#include "fuzz.h"
#include "agent/engines/process/process.h"
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/sluice-fuzz-XXXXXX";

static void remove_folder(void)
{
    static const char *const names[] = {"exit", "pid"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(folder, names[i], NULL);
        unlink(path);
    }
    rmdir(folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool made;
    if (!made) {
        g_assert_nonnull(mkdtemp(folder));
        made = atexit(remove_folder) == 0;
    }
    g_autofree char *exit_path = g_build_filename(folder, "exit", NULL), *pid_path = g_build_filename(folder, "pid", NULL);
    SlExit end;
    int pidfd = -1;
    unlink(exit_path);
    g_assert_true(g_file_set_contents_full(pid_path, (const char *)data, (gssize)size, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
    SlShimState state = sl_shim_look(folder, &pidfd);
    g_assert_true((state == SL_SHIM_RUNNING) == (pidfd >= 0));
    (void)(pidfd >= 0 && close(pidfd));
    g_assert_cmpint(rename(pid_path, exit_path), ==, 0);
    sl_exit_read(folder, &end);
    sl_exit_clear(&end);
    return 0;
}
