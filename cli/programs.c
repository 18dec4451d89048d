/* programs.c - see programs.h. */
#include "cli/programs.h"
#include <unistd.h>

char *sl_program_path(const char *name, GError **error)
{
    char self[4096];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    if (len <= 0) {
        return sl_throw_null(error, SLU_PROGRAM_MISSING,
                             "/proc is not mounted: cannot find the folder of %s", name);
    }
    self[len] = '\0';
    g_autofree char *folder = g_path_get_dirname(self);
    g_autofree char *path = g_build_filename(folder, name, NULL);
    if (access(path, X_OK) != 0) {
        return sl_throw_null(error, SLU_PROGRAM_MISSING, "%s is not there", path);
    }
    return g_steal_pointer(&path);
}
