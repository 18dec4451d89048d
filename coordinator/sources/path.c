/* path.c - source `path`: a bare or normal repository on this machine. Missing objects of the
 * branch are copied into our cache by a pack, so that a repack, gc or force-push of the user's
 * repository never takes a commit from under a release. The user's repository is only read.
 * Blocking: work-queue threads. */
#include "coordinator/sources/cache.h"
#include "git/gitutil.h"
#include <git2/sys/repository.h>
#include <string.h>

typedef struct {
    git_odb_writepack *writer;
    git_indexer_progress stats;
    const SlSourceConfig *config;
    uint64_t bytes;
    bool too_large;
} Copy;

static bool matches(const char *url)
{
    return url[0] == '/';
}

static git_repository *open_origin(const char *path, GError **error)
{
    sl_git_init();
    git_repository *repo = NULL;
    int rc = git_repository_open_ext(&repo, path, GIT_REPOSITORY_OPEN_NO_SEARCH, NULL);
    if (rc == 0)
        return repo;
    if (rc == GIT_EOWNER)
        return sl_throw_null(error, SLU_SOURCE_OWNER, "%s: the repository belongs to another user",
                             path);
    if (rc == GIT_ENOTFOUND)
        return sl_throw_null(error, SLU_SOURCE_UNREACHABLE, "%s: there is no Git repository", path);
    sl_git_throw(error, SLU_SOURCE_UNREACHABLE, path);
    return NULL;
}

/* The commit of branch (else tag) @branch. */
static bool resolve(git_repository *origin, const SlSourceConfig *config, git_oid *ret,
                    GError **error)
{
    static const char *const prefixes[] = {"refs/heads/", "refs/tags/"};
    for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++) {
        g_autofree char *name = g_strconcat(prefixes[i], config->branch, NULL);
        g_autoptr(git_reference) ref = NULL;
        g_autoptr(git_object) commit = NULL;
        if (git_reference_lookup(&ref, origin, name) < 0)
            continue;
        if (git_reference_peel(&commit, ref, GIT_OBJECT_COMMIT) < 0)
            return sl_git_throw(error, SLU_SOURCE_UNREACHABLE, name);
        *ret = *git_object_id(commit);
        return true;
    }
    return sl_throw(error, SLU_SOURCE_BRANCH, "%s: there is no branch or tag %s", config->url,
                    config->branch);
}

static int append(void *bytes, size_t len, void *payload)
{
    Copy *copy = payload;
    copy->bytes += len;
    copy->too_large = copy->bytes > copy->config->pack_bytes_max;
    if (copy->too_large)
        return GIT_EUSER;
    return copy->writer->append(copy->writer, bytes, len, &copy->stats);
}

/* What the cache has already is left out: everything that an earlier tip of ours reaches. */
static int hide_known(git_revwalk *walk, git_repository *origin, git_repository *cache)
{
    git_reference_iterator *iterator = NULL;
    if (git_reference_iterator_glob_new(&iterator, cache, "refs/sluice/*") < 0)
        return -1;
    git_reference *ref = NULL;
    while (git_reference_next(&ref, iterator) == 0) {
        const git_oid *oid = git_reference_target(ref);
        git_commit *commit = NULL;
        if (oid != NULL && git_commit_lookup(&commit, origin, oid) == 0)
            git_revwalk_hide(walk, oid);
        git_commit_free(commit);
        git_reference_free(ref);
    }
    git_reference_iterator_free(iterator);
    return 0;
}

static bool write_pack(git_packbuilder *builder, git_odb *odb, Copy *copy, GError **error)
{
    int rc = git_odb_write_pack(&copy->writer, odb, NULL, NULL);
    if (rc == 0)
        rc = git_packbuilder_foreach(builder, append, copy);
    if (rc == 0)
        rc = copy->writer->commit(copy->writer, &copy->stats);
    if (copy->writer != NULL)
        copy->writer->free(copy->writer);
    if (copy->too_large)
        return sl_throw(error, SLU_SOURCE_LIMIT,
                        "%s: the pack is larger than %" G_GUINT64_FORMAT " bytes",
                        copy->config->url, copy->config->pack_bytes_max);
    return rc == 0 || sl_git_throw(error, SLU_SOURCE_UNREACHABLE, "copying the commits");
}

static bool copy_objects(git_repository *origin, git_repository *cache, const git_oid *tip,
                         const SlSourceConfig *config, GError **error)
{
    g_autoptr(git_odb) odb = NULL;
    if (git_repository_odb(&odb, cache) < 0)
        return sl_git_throw(error, SLU_IO, "opening the cache");
    g_autoptr(git_commit) known = NULL;
    if (git_commit_lookup(&known, cache, tip) == 0)
        return true;
    g_autoptr(git_revwalk) walk = NULL;
    g_autoptr(git_packbuilder) builder = NULL;
    if (git_revwalk_new(&walk, origin) < 0 || git_revwalk_push(walk, tip) < 0 ||
        hide_known(walk, origin, cache) < 0 || git_packbuilder_new(&builder, origin) < 0 ||
        git_packbuilder_insert_walk(builder, walk) < 0)
        return sl_git_throw(error, SLU_SOURCE_UNREACHABLE, "reading the commits");
    size_t count = git_packbuilder_object_count(builder);
    if (count > config->objects_max)
        return sl_throw(error, SLU_SOURCE_LIMIT, "%s: %zu objects, more than %" G_GUINT64_FORMAT,
                        config->url, count, config->objects_max);
    Copy copy = {.config = config};
    return write_pack(builder, odb, &copy, error);
}

static SlSourceTip *fetch(const SlSourceConfig *config, const char *since, GError **error)
{
    git_oid tip;
    if (!sl_source_check_branch(config->branch, error))
        return NULL;
    g_autoptr(git_repository) origin = open_origin(config->url, error);
    if (origin == NULL || !resolve(origin, config, &tip, error))
        return NULL;
    sl_source_cache_unlock(config);
    g_autoptr(git_repository) cache = sl_git_open(config->cache_dir, true, error);
    if (cache == NULL || !copy_objects(origin, cache, &tip, config, error))
        return NULL;
    g_autofree char *name = g_strconcat("refs/sluice/", config->branch, NULL);
    g_autoptr(git_reference) ref = NULL, now = NULL;
    bool same = git_reference_lookup(&now, cache, name) == 0 && git_reference_target(now) != NULL &&
                git_oid_equal(git_reference_target(now), &tip);
    if (!same && git_reference_create(&ref, cache, name, &tip, 1, NULL) < 0) {
        sl_git_throw(error, SLU_IO, "recording the branch in the cache");
        return NULL;
    }
    g_autofree char *hex = sl_git_hex(&tip);
    return sl_source_cache_tip(config, hex, since, error);
}

const SlSourceOps sl_source_path = {
    .name = "path", .matches = matches, .fetch = fetch, .tree = sl_source_cache_tree};
