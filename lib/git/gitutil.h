/* gitutil.h - what every user of libgit2 in this daemon shares: start-up options, one error
 * translation, cleanup types, the walk over history. A handle belongs to one thread at a time;
 * last-error text is per thread and read where the call was made. */
#pragma once
#include "core/gitcommit.h"
#include <git2.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_repository, git_repository_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_commit, git_commit_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_tree, git_tree_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_tree_entry, git_tree_entry_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_blob, git_blob_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_odb, git_odb_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_odb_object, git_odb_object_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_object, git_object_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_reference, git_reference_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_revwalk, git_revwalk_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_packbuilder, git_packbuilder_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_signature, git_signature_free)

/* Once per process, before threads: no configuration of user or host, fsync on, small caches. */
void sl_git_init(void);
/* gitalloc.c: out of memory ends the process; called by init. */
void sl_git_use_memory(void);
/* Throws @code: "<doing>: <what libgit2 said>". Returns false. */
bool sl_git_throw(GError **error, SlErrorCode code, const char *doing);
/* Hex of @oid. (transfer full) */
char *sl_git_hex(const git_oid *oid);
/* Our bare repository at @dir, made if @create. Errors: IO, SOURCE_OWNER. (transfer full) */
SL_MUST_USE git_repository *sl_git_open(const char *dir, bool create, GError **error);
/* A commit by our own strict splitter, never by libgit2's. Errors: SOURCE_COMMIT (not there),
 * COMMIT_FORMAT (prefixed with its id), LIMIT. (transfer full) */
SL_MUST_USE SlGitCommit *sl_git_commit(git_odb *odb, const git_oid *oid, GError **error);
/* Bytes of a blob. (transfer full) */
GBytes *sl_git_blob_bytes(git_repository *repo, const git_oid *oid);
