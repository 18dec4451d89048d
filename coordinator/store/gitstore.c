/* gitstore.c - see gitstore.h. git_mempack_dump would pack the whole tree of every commit again, so
 * new objects are found by walking the new tree beside the old one. */
#include "coordinator/store/gitstore.h"
#include "base/auto.h"
#include <errno.h>
#include <fcntl.h>
#include <git2/sys/mempack.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define ROOM_OBJECT 4096        /* a block for each object, at most */
#define ROOM_SPARE (128 * 1024) /* folders, the ref, an index */
#define MEMPACK_PRIORITY 999    /* above the packs (2) and loose objects (1): writes go to memory */

struct SlGitStore {
    char *dir;
    git_repository *repo;  /* with the mempack */
    git_repository *plain; /* writes to disk */
    git_odb_backend *memory;
    void (*step)(const char *name, void *user);
    void *step_user;
};

/* What libgit2 could not write: for want of room it may be tried again, for it had not begun; a sync
 * that failed may not, for the kernel has dropped what it could not write. libgit2 says it by the
 * system's text only. */
static bool throw_write(GError **error, const char *doing)
{
    static const int room[] = {ENOSPC, EDQUOT, EROFS};
    const git_error *last = git_error_last();
    const char *said = last != NULL && last->message != NULL ? last->message : "";
    for (size_t i = 0; i < G_N_ELEMENTS(room); i++)
        if (strstr(said, strerror(room[i])) != NULL && strstr(said, "sync") == NULL)
            return sl_git_throw(error, SLU_STORAGE_FULL, doing);
    return sl_git_throw(error, SLU_IO, doing);
}

static void at_step(SlGitStore *store, const char *name)
{
    if (store->step != NULL)
        store->step(name, store->step_user);
}

static bool add_memory(SlGitStore *store, GError **error)
{
    g_autoptr(git_odb) odb = NULL;
    if (git_repository_odb(&odb, store->repo) < 0 || git_mempack_new(&store->memory) < 0)
        return sl_git_throw(error, SLU_IO, "opening the object database");
    if (git_odb_add_backend(odb, store->memory, MEMPACK_PRIORITY) < 0)
        return sl_git_throw(error, SLU_IO, "opening the object database");
    return true;
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
    remove_locks(refs, 4); /* refs/heads/sluice/env/<env>.lock */
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
    store->plain = sl_git_open(dir, create, error);
    if (store->plain == NULL)
        return NULL;
    store->repo = sl_git_open(dir, false, error);
    if (store->repo == NULL || !add_memory(store, error))
        return NULL;
    return g_steal_pointer(&store);
}

void sl_git_store_free(SlGitStore *store)
{
    if (store == NULL)
        return;
    git_repository_free(store->repo); /* and the mempack with it */
    git_repository_free(store->plain);
    g_free(store->dir);
    g_free(store);
}

git_repository *sl_git_store_repo(SlGitStore *store)
{
    return store->repo;
}

void sl_git_store_on_step(SlGitStore *store, void (*step)(const char *name, void *user), void *user)
{
    store->step = step;
    store->step_user = user;
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

static bool sync_folder(const char *dir, const char *name)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    sl_autofd fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && fsync(fd) == 0;
}

static bool write_loose(SlGitStore *store, const GArray *oids)
{
    g_autoptr(git_odb) from = NULL;
    g_autoptr(git_odb) to = NULL;
    if (git_repository_odb(&from, store->repo) < 0 || git_repository_odb(&to, store->plain) < 0)
        return false;
    for (guint i = 0; i < oids->len; i++) {
        const git_oid *oid = &g_array_index(oids, git_oid, i);
        g_autoptr(git_odb_object) object = NULL;
        git_oid written;
        at_step(store, "object");
        if (git_odb_read(&object, from, oid) < 0 ||
            git_odb_write(&written, to, git_odb_object_data(object), git_odb_object_size(object),
                          git_odb_object_type(object)) < 0)
            return false;
    }
    /* libgit2 syncs each object and the folder it lies in; a folder that is new here is ours. */
    return sync_folder(store->dir, "objects");
}

static bool write_pack(SlGitStore *store, const GArray *oids)
{
    g_autoptr(git_packbuilder) builder = NULL;
    if (git_packbuilder_new(&builder, store->repo) < 0)
        return false;
    for (guint i = 0; i < oids->len; i++)
        if (git_packbuilder_insert(builder, &g_array_index(oids, git_oid, i), NULL) < 0)
            return false;
    at_step(store, "pack");
    return git_packbuilder_write(builder, NULL, 0, NULL, NULL) == 0;
}

/* libgit2 writes packs through mappings: on a full disk that is no error but SIGBUS. So room is
 * looked for before. */
static bool has_room(SlGitStore *store, const GArray *oids, GError **error)
{
    struct statvfs fs;
    uint64_t wanted = ROOM_SPARE;
    g_autoptr(git_odb) odb = NULL;
    if (git_repository_odb(&odb, store->repo) < 0 || statvfs(store->dir, &fs) != 0)
        return true;
    for (guint i = 0; i < oids->len; i++) {
        size_t len = 0;
        git_object_t type;
        if (git_odb_read_header(&len, &type, odb, &g_array_index(oids, git_oid, i)) == 0)
            wanted += len + ROOM_OBJECT;
    }
    return (uint64_t)fs.f_bavail * fs.f_frsize >= wanted ||
           sl_throw(error, SLU_STORAGE_FULL, "%s: %s", store->dir, g_strerror(ENOSPC));
}

bool sl_git_store_flush(SlGitStore *store, const git_oid *commit, GError **error)
{
    g_autoptr(GArray) oids = g_array_new(FALSE, FALSE, sizeof(git_oid));
    bool gathered = gather_commit(store, commit, oids);
    if (gathered && !has_room(store, oids, error)) {
        sl_git_store_discard(store);
        return false;
    }
    bool good = gathered && (oids->len <= SL_STORE_LOOSE_MAX ? write_loose(store, oids)
                                                             : write_pack(store, oids));
    if (!good)
        throw_write(error, "writing objects into the state repository");
    sl_git_store_discard(store);
    return good;
}

void sl_git_store_discard(SlGitStore *store)
{
    git_mempack_reset(store->memory);
    g_autoptr(git_odb) odb = NULL;
    if (git_repository_odb(&odb, store->repo) == 0)
        git_odb_refresh(odb);
}

bool sl_git_store_tip(SlGitStore *store, const char *ref, git_oid *ret)
{
    return git_reference_name_to_id(ret, store->plain, ref) == 0;
}

bool sl_git_store_move(SlGitStore *store, const char *name, const git_oid *old, const git_oid *to,
                       GError **error)
{
    at_step(store, "ref");
    g_autoptr(git_reference) ref = NULL;
    int rc = old != NULL ? git_reference_create_matching(&ref, store->plain, name, to, 1, old, NULL)
                         : git_reference_create(&ref, store->plain, name, to, 0, NULL);
    at_step(store, "done");
    if (rc == GIT_EMODIFIED || rc == GIT_EEXISTS || rc == GIT_ENOTFOUND)
        return sl_git_throw(error, SLU_ENV_TIP, name);
    return rc == 0 || throw_write(error, name);
}
