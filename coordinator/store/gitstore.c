/* gitstore.c - see gitstore.h. git_mempack_dump would pack the whole tree of every commit again, so
 * new objects are found by walking the new tree beside the old one. */
#include "coordinator/store/gitstore.h"
#include "base/auto.h"
#include "coordinator/store/gitodb.h"
#include <errno.h>
#include <git2/sys/mempack.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define REF_DEPTH_MAX 32        /* folders in a branch's name: a source's may have many */
#define ROOM_OBJECT 64          /* header and index entry of an object, at most */
#define ROOM_SPARE (128 * 1024) /* folders, the ref, an index */

struct SlGitStore {
    char *dir;
    git_repository *repo;  /* reads everything, writes into memory */
    git_repository *plain; /* branches */
    SlGitOdb odb;          /* of repo */
    GArray *held;          /* of git_oid: in memory, written with the next flush */
    size_t held_bytes;
};

/* libgit2 says it by the system's text only. */
bool sl_git_store_throw_write(GError **error, const char *doing)
{
    static const int room[] = {ENOSPC, EDQUOT, EROFS};
    const git_error *last = git_error_last();
    const char *said = last != NULL && last->message != NULL ? last->message : "";
    for (size_t i = 0; i < G_N_ELEMENTS(room); i++)
        if (strstr(said, strerror(room[i])) != NULL && strstr(said, "sync") == NULL)
            return sl_git_throw(error, SLU_STORAGE_FULL, doing);
    return sl_git_throw(error, SLU_IO, doing);
}

static void remove_locks(const char *folder, int depth)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name = NULL;
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        if (g_str_has_suffix(name, ".lock"))
            unlink(path);
        else if (depth > 0 && g_file_test(path, G_FILE_TEST_IS_DIR))
            remove_locks(path, depth - 1);
    }
}

void sl_git_store_unlock(const char *dir)
{
    g_autofree char *refs = g_build_filename(dir, "refs", NULL);
    remove_locks(dir, 0);
    remove_locks(refs, REF_DEPTH_MAX);
}

/* Both handles and what lies behind them. */
static bool open_handles(SlGitStore *store, bool create, GError **error)
{
    g_autofree char *objects = g_build_filename(store->dir, "objects", NULL);
    g_autoptr(git_repository) plain = sl_git_open(store->dir, create, error);
    g_autoptr(git_repository) repo = plain != NULL ? sl_git_open(store->dir, false, error) : NULL;
    if (repo == NULL || !sl_git_odb_use(&store->odb, repo, objects, error))
        return false;
    git_repository_free(store->plain);
    git_repository_free(store->repo); /* and what odb pointed to with it */
    store->plain = g_steal_pointer(&plain);
    store->repo = g_steal_pointer(&repo);
    return true;
}

SlGitStore *sl_git_store_open(const char *dir, bool create, GError **error)
{
    if (!create && !g_file_test(dir, G_FILE_TEST_IS_DIR))
        return sl_throw_null(error, SLU_LEDGER_MISSING, "%s: there is no state repository", dir);
    g_autofree char *objects = g_build_filename(dir, "objects", NULL);
    if (!create && access(objects, W_OK) != 0)
        return sl_throw_null(error, SLU_STATE_READ_ONLY, "%s: %s", objects, g_strerror(errno));
    g_autoptr(SlGitStore) store = g_new0(SlGitStore, 1);
    store->dir = g_strdup(dir);
    store->held = g_array_new(FALSE, FALSE, sizeof(git_oid));
    return open_handles(store, create, error) ? g_steal_pointer(&store) : NULL;
}

bool sl_git_store_reopen(SlGitStore *store, GError **error)
{
    return sl_git_store_flush(store, NULL, error) && open_handles(store, false, error);
}

void sl_git_store_free(SlGitStore *store)
{
    if (store == NULL)
        return;
    git_repository_free(store->repo); /* and what odb points to with it */
    git_repository_free(store->plain);
    g_clear_pointer(&store->held, g_array_unref);
    g_free(store->dir);
    g_free(store);
}

git_repository *sl_git_store_repo(SlGitStore *store)
{
    return store->repo;
}

bool sl_git_store_blob(SlGitStore *store, const void *bytes, size_t len, git_oid *ret,
                       GError **error)
{
    if (git_blob_create_from_buffer(ret, store->repo, bytes, len) < 0)
        return sl_git_throw(error, SLU_IO, "making a blob");
    return true;
}

bool sl_git_store_commit(SlGitStore *store, const git_oid *tree_oid, const git_oid *parent_oid,
                         int64_t time_us, const char *message, git_oid *ret, GError **error)
{
    g_autoptr(git_signature) who = NULL;
    g_autoptr(git_tree) tree = NULL;
    g_autoptr(git_commit) parent = NULL;
    if (git_signature_new(&who, "Sluice", "sluice@localhost", time_us / 1000000, 0) < 0 ||
        git_tree_lookup(&tree, store->repo, tree_oid) < 0 ||
        (parent_oid != NULL && git_commit_lookup(&parent, store->repo, parent_oid) < 0))
        return sl_git_throw(error, SLU_IO, "making a commit");
    const git_commit *parents[] = {parent};
    if (git_commit_create(ret, store->repo, NULL, who, who, NULL, message, tree,
                          parent != NULL ? 1 : 0, parents) < 0)
        return sl_git_throw(error, SLU_IO, "making a commit");
    return true;
}

/* Adds every object of @now that @before does not have at the same place. */
static bool gather(git_repository *repo, const git_oid *now_oid, const git_oid *before_oid,
                   GArray *oids)
{
    g_autoptr(git_tree) now = NULL;
    g_autoptr(git_tree) before = NULL;
    if (git_tree_lookup(&now, repo, now_oid) < 0 ||
        (before_oid != NULL && git_tree_lookup(&before, repo, before_oid) < 0))
        return false;
    g_array_append_val(oids, *now_oid);
    for (size_t i = 0; i < git_tree_entrycount(now); i++) {
        const git_tree_entry *entry = git_tree_entry_byindex(now, i);
        const git_tree_entry *old =
            before != NULL ? git_tree_entry_byname(before, git_tree_entry_name(entry)) : NULL;
        const git_oid *oid = git_tree_entry_id(entry);
        if (old != NULL && git_oid_equal(git_tree_entry_id(old), oid))
            continue;
        bool was_tree = old != NULL && git_tree_entry_type(old) == GIT_OBJECT_TREE;
        if (git_tree_entry_type(entry) != GIT_OBJECT_TREE)
            g_array_append_val(oids, *oid);
        else if (!gather(repo, oid, was_tree ? git_tree_entry_id(old) : NULL, oids))
            return false;
    }
    return true;
}

static bool gather_commit(SlGitStore *store, const git_oid *commit_oid, GArray *oids)
{
    g_autoptr(git_commit) commit = NULL;
    g_autoptr(git_commit) parent = NULL;
    if (git_commit_lookup(&commit, store->repo, commit_oid) < 0)
        return false;
    if (git_commit_parentcount(commit) > 0 && git_commit_parent(&parent, commit, 0) < 0)
        return false;
    if (!gather(store->repo, git_commit_tree_id(commit),
                parent != NULL ? git_commit_tree_id(parent) : NULL, oids))
        return false;
    g_array_append_val(oids, *commit_oid); /* last: what it names is there before it */
    return true;
}

/* One pack and its index: libgit2 syncs both before they get their names, and
 * then the folder. */
static bool write_pack(SlGitStore *store, const GArray *oids)
{
    g_autoptr(git_packbuilder) builder = NULL;
    if (git_packbuilder_new(&builder, store->repo) < 0)
        return false;
    git_packbuilder_set_threads(builder, 1); /* a batch is too small to share */
    for (guint i = 0; i < oids->len; i++)
        if (git_packbuilder_insert(builder, &g_array_index(oids, git_oid, i), NULL) < 0)
            return false;
    return git_packbuilder_write(builder, NULL, 0, NULL, NULL) == 0;
}

static size_t bytes_of(SlGitStore *store, const GArray *oids)
{
    g_autoptr(git_odb) odb = NULL;
    size_t total = 0;
    if (git_repository_odb(&odb, store->repo) < 0)
        return SIZE_MAX;
    for (guint i = 0; i < oids->len; i++) {
        size_t len = 0;
        git_object_t type = GIT_OBJECT_INVALID;
        if (git_odb_read_header(&len, &type, odb, &g_array_index(oids, git_oid, i)) == 0)
            total += len;
    }
    return total;
}

/* libgit2 writes packs through mappings: on a full disk that is no error but
 * SIGBUS. So room is looked for before. */
static bool has_room(SlGitStore *store, const GArray *oids, GError **error)
{
    struct statvfs fs;
    if (statvfs(store->dir, &fs) != 0)
        return true;
    uint64_t wanted = bytes_of(store, oids) + (uint64_t)oids->len * ROOM_OBJECT + ROOM_SPARE;
    return (uint64_t)fs.f_bavail * fs.f_frsize >= wanted ||
           sl_throw(error, SLU_STORAGE_FULL, "%s: %s", store->dir, g_strerror(ENOSPC));
}

static bool flush_with(SlGitStore *store, GArray *oids, GError **error)
{
    g_array_append_vals(oids, store->held->data, store->held->len);
    if (oids->len == 0)
        return true;
    if (!has_room(store, oids, error))
        return false;
    if (!write_pack(store, oids))
        return sl_git_store_throw_write(error, "writing objects into the state repository");
    g_array_set_size(store->held, 0);
    store->held_bytes = 0;
    git_mempack_reset(store->odb.memory);
    return sl_git_odb_refresh(&store->odb) ||
           sl_git_throw(error, SLU_IO, "reading the folder of packs");
}

static bool gather_new(SlGitStore *store, const git_oid *commit, GArray *oids, GError **error)
{
    return gather_commit(store, commit, oids) ||
           sl_git_throw(error, SLU_IO, "finding what is new in a commit");
}

bool sl_git_store_flush(SlGitStore *store, const git_oid *commit, GError **error)
{
    g_autoptr(GArray) oids = g_array_new(FALSE, FALSE, sizeof(git_oid));
    return (commit == NULL || gather_new(store, commit, oids, error)) &&
           flush_with(store, oids, error);
}

bool sl_git_store_hold(SlGitStore *store, const git_oid *commit, GError **error)
{
    g_autoptr(GArray) oids = g_array_new(FALSE, FALSE, sizeof(git_oid));
    if (!gather_new(store, commit, oids, error))
        return false;
    size_t bytes = bytes_of(store, oids);
    if (bytes > SL_STORE_HELD_MAX - store->held_bytes)
        return flush_with(store, oids, error);
    g_array_append_vals(store->held, oids->data, oids->len);
    store->held_bytes += bytes;
    return true;
}

void sl_git_store_discard(SlGitStore *store)
{
    if (store->held->len == 0) /* else what was gathered goes with the next flush */
        git_mempack_reset(store->odb.memory);
}

bool sl_git_store_tip(SlGitStore *store, const char *ref, bool *ret_there, git_oid *ret,
                      GError **error)
{
    int rc = git_reference_name_to_id(ret, store->plain, ref);
    *ret_there = rc == 0;
    return rc == 0 || rc == GIT_ENOTFOUND || sl_git_throw(error, SLU_IO, ref);
}

bool sl_git_store_move(SlGitStore *store, const char *name, const git_oid *old, const git_oid *to,
                       GError **error)
{
    g_autoptr(git_reference) ref = NULL;
    int rc = old != NULL ? git_reference_create_matching(&ref, store->plain, name, to, 1, old, NULL)
                         : git_reference_create(&ref, store->plain, name, to, 0, NULL);
    if (rc == GIT_EMODIFIED || rc == GIT_EEXISTS || rc == GIT_ENOTFOUND)
        return sl_git_throw(error, SLU_ENV_TIP, name);
    return rc == 0 || sl_git_store_throw_write(error, name);
}
