/* packs.c - see packs.h. */
#include "coordinator/store/packs.h"

static unsigned count_names(const char *folder, const char *suffix)
{
    unsigned count = 0;
    const char *name = NULL;
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL)
        count += suffix == NULL || g_str_has_suffix(name, suffix) ? 1 : 0;
    return count;
}

bool sl_packs_want_repack(const char *repo)
{
    g_autofree char *packs = g_build_filename(repo, "objects", "pack", NULL);
    g_autofree char *loose = g_build_filename(repo, "objects", "17", NULL);
    return count_names(packs, ".pack") > SL_PACKS_MAX ||
           count_names(loose, NULL) * 256 > SL_PACKS_LOOSE_MAX;
}
