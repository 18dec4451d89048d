/* gitstore.h - durable writing into the state repository: new objects are gathered in memory,
 * flushed as one pack, fsynced, and only then a branch moves by compare-and-swap. Kill -9 at any
 * point leaves the branch old or new, never between. Packs pile up; packs.h merges them. Belongs
 * to one thread at a time. */
#pragma once
#include "git/gitutil.h"

/* Bytes held back for the next flush: above, they get a pack of their own. */
#define SL_STORE_HELD_MAX ((size_t)64 << 20)

typedef struct SlGitStore SlGitStore;
/* Removes lock files of refs and configuration that a killed process left in DIR. Only for whoever
 * holds the folder's lock, before any store of DIR is open: a lock of a living writer is not told
 * from a dead one's, and without its lock that writer's move fails. */
void sl_git_store_unlock(const char *dir);
/* Opens DIR (a bare repository of ours), made if @create. Errors: LEDGER_MISSING, STATE_READ_ONLY,
 * IO. */
SL_MUST_USE SlGitStore *sl_git_store_open(const char *dir, bool create, GError **error);
void sl_git_store_free(SlGitStore *store);
/* Writes what is held and opens the repository anew: after a repack, old packs are let go of. On
 * failure it stays as it was. Errors: STORAGE_FULL, IO. */
SL_MUST_USE bool sl_git_store_reopen(SlGitStore *store, GError **error);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlGitStore, sl_git_store_free)
/* Reads everything, writes into memory. Borrowed. */
git_repository *sl_git_store_repo(SlGitStore *store);
/* What libgit2 could not write: STORAGE_FULL for want of room, for it may be tried again; IO else, also
 * for a sync that failed: the kernel has dropped what it could not write. */
bool sl_git_store_throw_write(GError **error, const char *doing);
/* Blob of @bytes in memory. */
SL_MUST_USE bool sl_git_store_blob(SlGitStore *store, const void *bytes, size_t len, git_oid *ret,
                                   GError **error);
/* Commit of @tree on @parent (nullable) by Sluice <sluice@localhost> at @time_us: the same input
 * gives the same commit. In memory. */
SL_MUST_USE bool sl_git_store_commit(SlGitStore *store, const git_oid *tree, const git_oid *parent,
                                     int64_t time_us, const char *message, git_oid *ret,
                                     GError **error);
/* Makes everything new that @commit (NULL: none) reaches durable, and what was held. What its parent
 * reaches is there already. Forgets the memory. Errors: STORAGE_FULL (nothing was written), IO. */
SL_MUST_USE bool sl_git_store_flush(SlGitStore *store, const git_oid *commit, GError **error);
/* What is new in @commit becomes durable with the next flush: one pack instead of two. Until then
 * only this store can read it, and no branch may name it. Errors: as of a flush. */
SL_MUST_USE bool sl_git_store_hold(SlGitStore *store, const git_oid *commit, GError **error);
/* Forgets what was gathered and is not held. */
void sl_git_store_discard(SlGitStore *store);
/* Where a branch points, if it is there. Errors: IO, of a branch that can't be read: that is not one
 * that isn't there. */
SL_MUST_USE bool sl_git_store_tip(SlGitStore *store, const char *ref, bool *ret_there,
                                  git_oid *ret, GError **error);
/* Moves @ref from @old (NULL: it must not exist) to @to, durable. Errors: ENV_TIP if it is
 * elsewhere, STORAGE_FULL, IO. */
SL_MUST_USE bool sl_git_store_move(SlGitStore *store, const char *ref, const git_oid *old,
                                   const git_oid *to, GError **error);
