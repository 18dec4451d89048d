/* cache.h - our bare cache of one source repository: its tip, position in the branch, authors. Both
 * sources share it. Commits stay in the cache after a force-push or a repack of the origin, so that
 * older releases still render. */
#pragma once
#include "sluice/source.h"

#define SL_SOURCE_CHANGE_MAX 100000 /* commits of one change, each looked at: 2 s */
#define SL_SOURCE_FIRST_MAX 1000    /* commits looked at when a repository is read first */
#define SL_SOURCE_PEOPLE_MAX 4096   /* authors, or keys, of one change: 4 MiB of its event */

/* Fills a tip for @commit (40 hex) that is in the cache. @since as in SlSourceOps.fetch. Errors:
 * SOURCE_COMMIT, COMMIT_FORMAT, SOURCE_LIMIT, IO. */
SL_MUST_USE SlSourceTip *sl_source_cache_tip(const SlSourceConfig *config, const char *commit,
                                             const char *since, GError **error);
/* Removes the lock files that a fetch left which was killed: else the source could never be read
 * again. Only for a fetch: one of a source runs at a time, and whoever reads takes no locks. */
void sl_source_cache_unlock(const SlSourceConfig *config);
/* Branch name fit for a ref? Errors: SOURCE_REFUSED. */
SL_MUST_USE bool sl_source_check_branch(const char *branch, GError **error);
/* Tree of a commit in the cache. Errors: SOURCE_COMMIT, IO. (free with sl_source_tree_free) */
SL_MUST_USE SlTree *sl_source_cache_tree(const SlSourceConfig *config, const char *commit,
                                         GError **error);
