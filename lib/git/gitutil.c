/* gitutil.c - see gitutil.h. Owns no state but libgit2's own. */
#include "git/gitutil.h"
#include <string.h>

#define CACHE_BYTES_MAX (32 << 20)             /* libgit2's default is 256 MiB */
#define MAPPED_BYTES_MAX (UINT64_C(256) << 20) /* default 8 GiB of mapped packs */

void sl_git_init(void)
{
    static gsize done = 0;
    if (!g_once_init_enter(&done))
        return;
    sl_git_use_memory();
    git_libgit2_init();
    for (int level = GIT_CONFIG_LEVEL_PROGRAMDATA; level <= GIT_CONFIG_LEVEL_GLOBAL; level++)
        git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, level, "");
    git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1);
    git_libgit2_opts(GIT_OPT_SET_CACHE_MAX_SIZE, (ssize_t)CACHE_BYTES_MAX);
    git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, (size_t)MAPPED_BYTES_MAX);
    g_once_init_leave(&done, 1);
}

bool sl_git_throw(GError **error, SlErrorCode code, const char *doing)
{
    const git_error *last = git_error_last();
    const char *said = last != NULL && last->message != NULL ? last->message : "no reason given";
    g_autofree char *clean = g_utf8_make_valid(said, -1);
    return sl_throw(error, code, "%s: %s", doing, clean);
}

char *sl_git_hex(const git_oid *oid)
{
    char *hex = g_malloc(GIT_OID_HEXSZ + 1);
    return git_oid_tostr(hex, GIT_OID_HEXSZ + 1, oid);
}

git_repository *sl_git_open(const char *dir, bool create, GError **error)
{
    sl_git_init();
    git_repository *repo = NULL;
    int rc = git_repository_open_bare(&repo, dir);
    if (rc == GIT_ENOTFOUND && create)
        rc = git_repository_init(&repo, dir, 1);
    if (rc == 0)
        return repo;
    if (rc == GIT_EOWNER) {
        sl_throw(error, SLU_SOURCE_OWNER,
                 "%s belongs to another user than the one that runs the coordinator", dir);
        return NULL;
    }
    sl_git_throw(error, SLU_IO, dir);
    return NULL;
}

SlGitCommit *sl_git_commit(git_odb *odb, const git_oid *oid, GError **error)
{
    g_autoptr(git_odb_object) object = NULL;
    g_autofree char *hex = sl_git_hex(oid);
    if (git_odb_read(&object, odb, oid) < 0) {
        sl_git_throw(error, SLU_SOURCE_COMMIT, hex);
        return NULL;
    }
    if (git_odb_object_type(object) != GIT_OBJECT_COMMIT)
        return sl_throw_null(error, SLU_SOURCE_COMMIT, "%s: this is no commit", hex);
    SlGitCommit *commit =
        sl_gitcommit_parse(git_odb_object_data(object), git_odb_object_size(object), error);
    if (commit == NULL)
        sl_prefix(error, "%.12s", hex);
    return commit;
}

GBytes *sl_git_blob_bytes(git_repository *repo, const git_oid *oid)
{
    g_autoptr(git_blob) blob = NULL;
    if (git_blob_lookup(&blob, repo, oid) < 0)
        return NULL;
    return g_bytes_new(git_blob_rawcontent(blob), (gsize)git_blob_rawsize(blob));
}
