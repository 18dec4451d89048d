/* tree.c - SlTree over the object database of a repository: bytes as stored, never a checkout, no
 * attributes, filters or hooks. A tree owns its handle and belongs to one thread. Folders are read
 * by core's strict reader (gittree.h), each once; what may lie inside an application's folder
 * (symlinks, LFS pointers) is lib/render's business. */
#include "git/tree.h"
#include "core/gittree.h"
#include "git/gitutil.h"
#include <string.h>

#define DEPTH_MAX 64        /* folders above one another */
#define PATH_BYTES_MAX 1024 /* from the top */
#define KEPT_MAX 200000     /* entries kept of folders that were read: they are read again beyond */

typedef struct {
    GPtrArray *entries; /* of SlGitEntry* */
    GHashTable *by_name;
} Folder;

typedef struct {
    git_repository *repo;
    git_odb *odb;
    git_oid root;
    GHashTable *folders; /* hex of the tree object -> Folder */
    size_t kept;
} GitTree;

static void folder_free(void *data)
{
    Folder *folder = data;
    g_hash_table_unref(folder->by_name);
    g_ptr_array_unref(folder->entries);
    g_free(folder);
}

static SlTreeMode mode_of(const SlGitEntry *entry)
{
    switch (entry->mode) {
    case 0100644:
    case 0100664: /* written by very old Git */
        return SL_TREE_FILE;
    case 0100755:
        return SL_TREE_EXECUTABLE;
    case 0040000:
        return SL_TREE_FOLDER;
    case 0120000:
        return SL_TREE_SYMLINK;
    case 0160000:
        return SL_TREE_GITLINK;
    default:
        return SL_TREE_OTHER;
    }
}

static git_oid oid_of(const SlGitEntry *entry)
{
    git_oid oid;
    git_oid_fromraw(&oid, entry->id);
    return oid;
}

/* Folder of a tree object; borrowed until the next call. */
static const Folder *folder_of(GitTree *tree, const git_oid *oid, const char *path, GError **error)
{
    g_autofree char *hex = sl_git_hex(oid);
    Folder *folder = g_hash_table_lookup(tree->folders, hex);
    if (folder != NULL)
        return folder;
    g_autoptr(git_odb_object) object = NULL;
    if (git_odb_read(&object, tree->odb, oid) < 0 ||
        git_odb_object_type(object) != GIT_OBJECT_TREE) {
        sl_git_throw(error, SLU_CORRUPT, path);
        return NULL;
    }
    g_autoptr(GPtrArray) entries =
        sl_gittree_parse(git_odb_object_data(object), git_odb_object_size(object), path, error);
    if (entries == NULL)
        return NULL;
    if (tree->kept + entries->len > KEPT_MAX) {
        g_hash_table_remove_all(tree->folders);
        tree->kept = 0;
    }
    folder = g_new0(Folder, 1);
    folder->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < entries->len; i++) {
        SlGitEntry *entry = entries->pdata[i];
        g_hash_table_insert(folder->by_name, entry->name, entry);
    }
    folder->entries = g_steal_pointer(&entries);
    tree->kept += folder->entries->len;
    g_hash_table_insert(tree->folders, g_steal_pointer(&hex), folder);
    return folder;
}

/* What stands at @path: its mode and object. False without an error if nothing does. */
static bool find(GitTree *tree, const char *path, SlTreeMode *ret_mode, git_oid *ret_oid,
                 GError **error)
{
    if (strlen(path) > PATH_BYTES_MAX)
        return sl_throw(error, SLU_SOURCE_LIMIT, "%.80s...: the path is longer than %d bytes", path,
                        PATH_BYTES_MAX);
    SlTreeMode mode = SL_TREE_FOLDER;
    git_oid oid = tree->root;
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    for (size_t depth = 0; parts[depth] != NULL; depth++) {
        if (depth == DEPTH_MAX)
            return sl_throw(error, SLU_SOURCE_LIMIT, "%s: folders are nested deeper than %d", path,
                            DEPTH_MAX);
        if (mode != SL_TREE_FOLDER)
            return false;
        const Folder *folder = folder_of(tree, &oid, path, error);
        const SlGitEntry *entry =
            folder != NULL ? g_hash_table_lookup(folder->by_name, parts[depth]) : NULL;
        if (entry == NULL)
            return false;
        mode = mode_of(entry);
        oid = oid_of(entry);
    }
    *ret_mode = mode;
    *ret_oid = oid;
    return true;
}

/* Throws NOT_FOUND where find() said nothing of its own. */
static void *missing(const GError *own, const char *path, const char *what, GError **error)
{
    if (own != NULL)
        return g_propagate_error(error, g_error_copy(own)), NULL;
    return sl_throw_null(error, SLU_NOT_FOUND, "%s: there is no such %s in this commit", path,
                         what);
}

static bool size_of(GitTree *tree, const git_oid *oid, const char *path, size_t *ret,
                    GError **error)
{
    git_object_t type = GIT_OBJECT_ANY;
    if (git_odb_read_header(ret, &type, tree->odb, oid) == 0 && type == GIT_OBJECT_BLOB)
        return true;
    return sl_git_throw(error, SLU_CORRUPT, path);
}

static SlTreeEntry *describe(GitTree *tree, const SlGitEntry *entry, GError **error)
{
    SlTreeMode mode = mode_of(entry);
    git_oid oid = oid_of(entry);
    size_t size = 0;
    bool is_file = mode == SL_TREE_FILE || mode == SL_TREE_EXECUTABLE;
    if (is_file && !size_of(tree, &oid, entry->name, &size, error))
        return NULL;
    SlTreeEntry *made = g_new0(SlTreeEntry, 1);
    made->name = g_strdup(entry->name);
    made->mode = mode;
    made->size = size;
    return made;
}

static int by_name(gconstpointer a, gconstpointer b)
{
    const SlTreeEntry *const *left = a, *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

static GPtrArray *list_folder(void *user, const char *path, GError **error)
{
    GitTree *tree = user;
    git_oid oid = tree->root;
    SlTreeMode mode = SL_TREE_FOLDER;
    g_autoptr(GError) own = NULL;
    if (*path != '\0' && (!find(tree, path, &mode, &oid, &own) || mode != SL_TREE_FOLDER))
        return missing(own, path, "folder", error);
    const Folder *folder = folder_of(tree, &oid, path, error);
    if (folder == NULL)
        return NULL;
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify)sl_tree_entry_free);
    for (guint i = 0; i < folder->entries->len; i++) {
        SlTreeEntry *entry = describe(tree, folder->entries->pdata[i], error);
        if (entry == NULL)
            return NULL;
        g_ptr_array_add(list, entry);
    }
    g_ptr_array_sort(list, by_name); /* Git sorts folders as if they ended in '/' */
    return g_steal_pointer(&list);
}

static GBytes *read_file(void *user, const char *path, size_t max, GError **error)
{
    GitTree *tree = user;
    git_oid oid;
    SlTreeMode mode = SL_TREE_GITLINK;
    g_autoptr(GError) own = NULL;
    if (!find(tree, path, &mode, &oid, &own))
        return missing(own, path, "file", error);
    if (mode != SL_TREE_FILE && mode != SL_TREE_EXECUTABLE)
        return sl_throw_null(error, SLU_SOURCE_ENTRY, "%s: this is no regular file", path);
    size_t size = 0;
    if (!size_of(tree, &oid, path, &size, error))
        return NULL;
    if (size > max)
        return sl_throw_null(error, SLU_LIMIT, "%s: %zu bytes, more than %zu", path, size, max);
    GBytes *bytes = sl_git_blob_bytes(tree->repo, &oid);
    if (bytes == NULL)
        sl_git_throw(error, SLU_CORRUPT, path);
    return bytes;
}

static char *id_of(void *user, const char *path)
{
    GitTree *tree = user;
    git_oid oid = tree->root;
    SlTreeMode mode = SL_TREE_FOLDER;
    return *path == '\0' || find(tree, path, &mode, &oid, NULL) ? sl_git_hex(&oid) : NULL;
}

static git_repository *open_repository(const char *dir, GError **error)
{
    sl_git_init();
    git_repository *repo = NULL;
    int rc = git_repository_open_ext(&repo, dir, GIT_REPOSITORY_OPEN_NO_SEARCH, NULL);
    if (rc == GIT_EOWNER)
        return sl_throw_null(error, SLU_SOURCE_OWNER, "%s: the repository belongs to another user",
                             dir);
    if (rc < 0)
        sl_git_throw(error, SLU_IO, dir);
    return repo;
}

/* Commit @hex, split strictly: the tree that we read is the one whose commit was checked. */
static bool tree_of(git_odb *odb, const char *hex, git_oid *ret, GError **error)
{
    git_oid oid;
    if (git_oid_fromstr(&oid, hex) < 0)
        return sl_git_throw(error, SLU_SOURCE_COMMIT, hex);
    g_autoptr(SlGitCommit) commit = sl_git_commit(odb, &oid, error);
    return commit != NULL && git_oid_fromstr(ret, commit->tree) == 0;
}

SlTree *sl_git_tree_open(const char *repository, const char *commit_hex, GError **error)
{
    g_autoptr(git_repository) repo = open_repository(repository, error);
    git_oid root;
    g_autoptr(git_odb) odb = NULL;
    if (repo == NULL)
        return NULL;
    if (git_repository_odb(&odb, repo) < 0) {
        sl_git_throw(error, SLU_SOURCE_COMMIT, commit_hex);
        return NULL;
    }
    if (!tree_of(odb, commit_hex, &root, error))
        return NULL;
    GitTree *tree = g_new0(GitTree, 1);
    tree->repo = g_steal_pointer(&repo);
    tree->odb = g_steal_pointer(&odb);
    tree->root = root;
    tree->folders = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, folder_free);
    SlTree *made = g_new0(SlTree, 1);
    *made = (SlTree){.user = tree, .list = list_folder, .read = read_file, .id = id_of};
    return made;
}

void sl_git_tree_free(SlTree *made)
{
    if (made == NULL)
        return;
    GitTree *tree = made->user;
    g_hash_table_unref(tree->folders);
    git_odb_free(tree->odb);
    git_repository_free(tree->repo);
    g_free(tree);
    g_free(made);
}
