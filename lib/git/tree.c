/* tree.c - SlTree over the object database of a repository: bytes as stored, never a checkout, no
 * attributes, filters or hooks. A tree owns its handle and belongs to one thread. Entry names and
 * modes are checked on the way out; what may lie inside an application's folder (symlinks, LFS
 * pointers) is lib/render's business. */
#include "git/tree.h"
#include "git/gitutil.h"
#include <string.h>

#define ENTRIES_MAX 100000 /* of one folder */

typedef struct {
    git_repository *repo;
    git_tree *root;
    git_odb *odb;
} GitTree;

/* Git's own file systems rules: names that could become ".git" or leave the folder on some
 * machine. */
static bool name_is_fit(const char *name)
{
    if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strlen(name) > 255)
        return false;
    if (g_ascii_strcasecmp(name, ".git") == 0 || g_ascii_strcasecmp(name, "git~1") == 0)
        return false;
    for (const char *p = name; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f || *p == '/' || *p == '\\')
            return false;
    return g_utf8_validate(name, -1, NULL);
}

static bool mode_of(const git_tree_entry *entry, SlTreeMode *ret)
{
    switch ((unsigned)git_tree_entry_filemode_raw(entry)) {
    case 0100644:
    case 0100664: /* written by very old Git */
        *ret = SL_TREE_FILE;
        return true;
    case 0100755:
        *ret = SL_TREE_EXECUTABLE;
        return true;
    case 0040000:
        *ret = SL_TREE_FOLDER;
        return true;
    case 0120000:
        *ret = SL_TREE_SYMLINK;
        return true;
    case 0160000:
        *ret = SL_TREE_GITLINK;
        return true;
    default:
        return false;
    }
}

static git_tree_entry *entry_at(GitTree *tree, const char *path)
{
    git_tree_entry *entry = NULL;
    return git_tree_entry_bypath(&entry, tree->root, path) == 0 ? entry : NULL;
}

static git_tree *folder_at(GitTree *tree, const char *path, GError **error)
{
    git_tree *folder = NULL;
    if (*path == '\0') {
        git_tree_dup(&folder, tree->root);
        return folder;
    }
    g_autoptr(git_tree_entry) entry = entry_at(tree, path);
    if (entry == NULL || git_tree_entry_type(entry) != GIT_OBJECT_TREE)
        return sl_throw_null(error, SLU_NOT_FOUND, "%s: there is no such folder in this commit",
                             path);
    if (git_tree_lookup(&folder, tree->repo, git_tree_entry_id(entry)) < 0)
        sl_git_throw(error, SLU_CORRUPT, path);
    return folder;
}

static SlTreeEntry *describe(GitTree *tree, const char *path, const git_tree_entry *entry,
                             GError **error)
{
    const char *name = git_tree_entry_name(entry);
    SlTreeMode mode = SL_TREE_FILE;
    if (!name_is_fit(name)) {
        g_autofree char *shown = g_strescape(name, NULL);
        return sl_throw_null(error, SLU_SOURCE_ENTRY, "%s/%s: this name is not allowed in a tree",
                             path, shown);
    }
    if (!mode_of(entry, &mode))
        return sl_throw_null(error, SLU_SOURCE_ENTRY, "%s/%s: mode %o is not allowed in a tree",
                             path, name, (unsigned)git_tree_entry_filemode_raw(entry));
    size_t size = 0;
    git_object_t type = GIT_OBJECT_ANY;
    bool is_file = mode == SL_TREE_FILE || mode == SL_TREE_EXECUTABLE;
    if (is_file && git_odb_read_header(&size, &type, tree->odb, git_tree_entry_id(entry)) < 0) {
        sl_git_throw(error, SLU_CORRUPT, name);
        return NULL;
    }
    SlTreeEntry *made = g_new0(SlTreeEntry, 1);
    made->name = g_strdup(name);
    made->mode = mode;
    made->size = is_file ? size : 0;
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
    g_autoptr(git_tree) folder = folder_at(tree, path, error);
    if (folder == NULL)
        return NULL;
    size_t count = git_tree_entrycount(folder);
    if (count > ENTRIES_MAX)
        return sl_throw_null(error, SLU_SOURCE_LIMIT, "%s: %zu entries, more than %d", path, count,
                             ENTRIES_MAX);
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify)sl_tree_entry_free);
    for (size_t i = 0; i < count; i++) {
        SlTreeEntry *entry = describe(tree, path, git_tree_entry_byindex(folder, i), error);
        if (entry == NULL)
            return NULL;
        g_ptr_array_add(list, entry);
    }
    g_ptr_array_sort(list, by_name); /* Git sorts folders as if they ended in '/' */
    for (guint i = 1; i < list->len; i++) {
        const SlTreeEntry *before = list->pdata[i - 1], *here = list->pdata[i];
        if (strcmp(before->name, here->name) == 0)
            return sl_throw_null(error, SLU_SOURCE_ENTRY, "%s/%s: this name is in the tree twice",
                                 path, here->name);
    }
    return g_steal_pointer(&list);
}

static GBytes *read_file(void *user, const char *path, size_t max, GError **error)
{
    GitTree *tree = user;
    g_autoptr(git_tree_entry) entry = entry_at(tree, path);
    SlTreeMode mode = SL_TREE_GITLINK;
    if (entry == NULL)
        return sl_throw_null(error, SLU_NOT_FOUND, "%s: there is no such file in this commit",
                             path);
    if (!mode_of(entry, &mode) || (mode != SL_TREE_FILE && mode != SL_TREE_EXECUTABLE))
        return sl_throw_null(error, SLU_SOURCE_ENTRY, "%s: this is no regular file", path);
    size_t size = 0;
    git_object_t type = GIT_OBJECT_ANY;
    if (git_odb_read_header(&size, &type, tree->odb, git_tree_entry_id(entry)) < 0) {
        sl_git_throw(error, SLU_CORRUPT, path);
        return NULL;
    }
    if (size > max)
        return sl_throw_null(error, SLU_LIMIT, "%s: %zu bytes, more than %zu", path, size, max);
    GBytes *bytes = sl_git_blob_bytes(tree->repo, git_tree_entry_id(entry));
    if (bytes == NULL)
        sl_git_throw(error, SLU_CORRUPT, path);
    return bytes;
}

static char *id_of(void *user, const char *path)
{
    GitTree *tree = user;
    if (*path == '\0')
        return sl_git_hex(git_tree_id(tree->root));
    g_autoptr(git_tree_entry) entry = entry_at(tree, path);
    return entry != NULL ? sl_git_hex(git_tree_entry_id(entry)) : NULL;
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

SlTree *sl_git_tree_open(const char *repository, const char *commit_hex, GError **error)
{
    g_autoptr(git_repository) repo = open_repository(repository, error);
    if (repo == NULL)
        return NULL;
    git_oid oid;
    g_autoptr(git_commit) commit = NULL;
    g_autoptr(git_tree) root = NULL;
    g_autoptr(git_odb) odb = NULL;
    if (git_oid_fromstr(&oid, commit_hex) < 0 || git_commit_lookup(&commit, repo, &oid) < 0 ||
        git_commit_tree(&root, commit) < 0 || git_repository_odb(&odb, repo) < 0) {
        sl_git_throw(error, SLU_SOURCE_COMMIT, commit_hex);
        return NULL;
    }
    GitTree *tree = g_new0(GitTree, 1);
    tree->repo = g_steal_pointer(&repo);
    tree->root = g_steal_pointer(&root);
    tree->odb = g_steal_pointer(&odb);
    SlTree *made = g_new0(SlTree, 1);
    *made = (SlTree){.user = tree, .list = list_folder, .read = read_file, .id = id_of};
    return made;
}

void sl_git_tree_free(SlTree *made)
{
    if (made == NULL)
        return;
    GitTree *tree = made->user;
    git_odb_free(tree->odb);
    git_tree_free(tree->root);
    git_repository_free(tree->repo);
    g_free(tree);
    g_free(made);
}
