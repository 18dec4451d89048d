/* fuzz_folder.h - a folder of this process for targets whose parser reads files; gone at its end. */
#pragma once
#include "fuzz.h"
#include "runtime/atomicfile.h"
#include <sys/stat.h>

static char fuzz_folder_path[] = "/tmp/sluice-fuzz-XXXXXX";

static inline void fuzz_folder_remove(void)
{
    (void)!sl_dir_remove_tree(fuzz_folder_path, NULL);
}

static inline const char *fuzz_folder(void)
{
    static bool made;
    if (!made) {
        g_assert_nonnull(mkdtemp(fuzz_folder_path));
        made = atexit(fuzz_folder_remove) == 0;
    }
    return fuzz_folder_path;
}

/* File @name (with folders) of the folder holds these bytes, mode 0600. */
static inline void fuzz_folder_put(const char *name, const uint8_t *data, size_t size)
{
    g_autofree char *path = g_build_filename(fuzz_folder(), name, NULL);
    g_autofree char *folder = g_path_get_dirname(path);
    g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
    g_assert_true(g_file_set_contents_full(path, size > 0 ? (const char *)data : "", (gssize)size, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
}
