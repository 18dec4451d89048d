/* upkeep.c - see upkeep.h. libgit2 has no gc; the child packs every object (nothing is ever pruned)
 * and then removes what the new pack holds. Handles that are open would lose their packs, so it
 * happens at start. */
#include "coordinator/store/upkeep.h"
#include "runtime/spawn.h"
#include <string.h>

#define OUTPUT_MAX 4096
#define TIMEOUT_US (10 * SL_MINUTE_US)

static unsigned count_names(const char *folder, const char *suffix)
{
    unsigned count = 0;
    const char *name = NULL;
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL)
        count += suffix == NULL || g_str_has_suffix(name, suffix) ? 1 : 0;
    return count;
}

bool sl_upkeep_wanted(const char *repo)
{
    g_autofree char *packs = g_build_filename(repo, "objects", "pack", NULL);
    g_autofree char *loose = g_build_filename(repo, "objects", "17", NULL);
    return count_names(packs, ".pack") > SL_UPKEEP_PACKS_MAX ||
           count_names(loose, NULL) * 256 > SL_UPKEEP_LOOSE_MAX;
}

bool sl_upkeep_repack(const char *git_path, const char *repo, GError **error)
{
    const char *argv[] = {git_path, "repack", "--repo", repo, NULL};
    SlSpawn how = {
        .argv = argv, .output_max = OUTPUT_MAX, .error_max = OUTPUT_MAX, .timeout_us = TIMEOUT_US};
    SlChildEnd end = {0};
    if (!sl_spawn_wait(&how, &end, error))
        return false;
    bool good = end.code == 0;
    if (!good)
        sl_throw(error, SLU_IO, "%s: repacking ended with code %d, signal %d", repo, end.code,
                 end.signal);
    sl_child_end_clear(&end);
    return good;
}
