/* upkeep.h - repacking our bare repositories when small files pile up, by sluice-git, before
 * anything has them open. */
#pragma once
#include "sluice/error.h"

#define SL_UPKEEP_PACKS_MAX 50    /* each costs a look at every read */
#define SL_UPKEEP_LOOSE_MAX 20000 /* about 2,500 ledger commits */

/* Is it time? Looks at two folders only (loose objects are spread evenly over 256). */
bool sl_upkeep_wanted(const char *repo);
/* Blocking, at start. Errors: what sluice-git said; nothing is lost, the repository stays as it
 * was. */
SL_MUST_USE bool sl_upkeep_repack(const char *git_path, const char *repo, GError **error);
