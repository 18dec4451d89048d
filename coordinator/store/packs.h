/* packs.h - is it time to repack one of our bare repositories? Each batch of the ledger and each
 * fetch adds a pack; the child sluice-git merges them (git_repack.h). */
#pragma once
#include "sluice/error.h"

#define SL_PACKS_MAX 50 /* each costs a look at every read */
#define SL_PACKS_LOOSE_MAX 20000

/* Looks at two folders only (loose objects are spread evenly over 256). */
bool sl_packs_want_repack(const char *repo);
