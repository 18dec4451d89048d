/* cache.h - SQLite: a history of what agents reported about their runs, for people to look at. Only
 * a cache: deleting the file loses no decision and no proof, and after a write that failed it is
 * deleted, never trusted. Exactly one connection; a lock serialises its users. */
#pragma once
#include "base/json.h"

#define SL_CACHE_RUN_ROWS_MAX 2000 /* points kept of one run */
#define SL_CACHE_ROWS_MAX 1000000  /* of all; oldest go first */

typedef struct SlCache SlCache;
/* A file that is no database, or of another version, is made anew. Errors: CACHE_DB. */
SL_MUST_USE SlCache *sl_cache_open(const char *path, GError **error);
void sl_cache_free(SlCache *cache);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlCache, sl_cache_free)
/* One row of @rows: {"run","at","cluster","phase","step","metrics":{..}}; one transaction. Errors:
 * CACHE_DB. */
SL_MUST_USE bool sl_cache_add(SlCache *cache, const json_t *rows, GError **error);
/* Points of a run, oldest first. (transfer full) */
json_t *sl_cache_run(SlCache *cache, const char *run_id);
