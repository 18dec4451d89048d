/* tree.c - walking and hashing a read-only tree, and the in-memory tree of tests and `sluice new`.
 *
 * Owns the rules what a tree may hold below a declared path: regular files only, checked names, no Git LFS
 * pointers. Never follows a link, never opens a file itself: bytes come through the SlTree interface. */
#include "render/tree.h"
#include "render/tree_walk.h"
#include "base/digest.h"
#include "base/text.h"
#include <string.h>

static const char LFS_HEAD[] = "version https://git-lfs.github.com/spec/";
#define LFS_POINTER_MAX 1024 /* the specification: a pointer file is smaller than 1,024 bytes */

void sl_tree_entry_free(SlTreeEntry *entry)
{
    if (!entry)
        return;
    g_free(entry->name);
    g_free(entry);
}

void sl_tree_file_free(SlTreeFile *file)
{
    if (!file)
        return;
    g_free(file->path);
    g_free(file);
}

char *sl_path_join(const char *root, const char *path)
{
    bool here = !path || !*path || g_str_equal(path, ".");
    if (!root || !*root || g_str_equal(root, "."))
        return g_strdup(here ? "" : path);
    return here ? g_strdup(root) : g_strconcat(root, "/", path, NULL);
}

bool sl_path_below(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    if (len == 0)
        return true;
    return strncmp(path, folder, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

static bool check_entry_name(const char *folder, const char *name, GError **error)
{
    bool git = sl_is_dotgit(name);
    bool bad = !*name || git || g_str_equal(name, ".") || g_str_equal(name, "..") || strchr(name, '/');
    bad = bad || !sl_is_clean_utf8(name, strlen(name), false) || strpbrk(name, "\t\n");
    if (!bad)
        return true;
    g_autofree char *shown = sl_escape_for_people(name, 128);
    return sl_throw(error, SLU_TREE_ENTRY, "%s%s%s: this name is not allowed in a tree; rename it", folder,
                    *folder ? "/" : "", shown);
}

static bool check_mode(const char *path, SlTreeMode mode, GError **error)
{
    if (mode == SL_TREE_SYMLINK)
        return sl_throw(error, SLU_TREE_ENTRY,
                        "%s is a symbolic link; put the file itself there: links are never followed", path);
    if (mode == SL_TREE_OTHER)
        return sl_throw(error, SLU_TREE_ENTRY, "%s has a mode that Git does not write; add the file again", path);
    if (mode == SL_TREE_GITLINK)
        return sl_throw(error, SLU_TREE_ENTRY,
                        "%s is a submodule; add the files themselves, or declare a second repository", path);
    return true;
}

bool sl_tree_lookup(const SlTree *tree, const char *path, SlTreeEntry *ret_entry, GError **error)
{
    ret_entry->name = NULL;
    ret_entry->size = 0;
    ret_entry->mode = SL_TREE_FOLDER;
    if (!*path)
        return true;
    const char *slash = strrchr(path, '/');
    g_autofree char *parent = slash ? g_strndup(path, (gsize)(slash - path)) : g_strdup("");
    const char *base = slash ? slash + 1 : path;
    g_autoptr(GError) own = NULL;
    g_autoptr(GPtrArray) entries = tree->list(tree->user, parent, &own);
    for (guint i = 0; entries && i < entries->len; i++) {
        const SlTreeEntry *entry = g_ptr_array_index(entries, i);
        if (!g_str_equal(entry->name, base))
            continue;
        ret_entry->mode = entry->mode;
        ret_entry->size = entry->size;
        return check_mode(path, entry->mode, error);
    }
    if (own && own->code != SLU_NOT_FOUND) {
        g_propagate_error(error, g_steal_pointer(&own));
        return false;
    }
    return sl_throw(error, SLU_NOT_FOUND, "%s: there is no such file or folder in the tree", path);
}

static bool walk(const SlTree *tree, const char *folder, int depth, GPtrArray *files, GError **error)
{
    if (depth > SL_TREE_DEPTH_MAX)
        return sl_throw(error, SLU_LIMIT, "%s: folders are nested deeper than %d", folder, SL_TREE_DEPTH_MAX);
    g_autoptr(GPtrArray) entries = tree->list(tree->user, folder, error);
    if (!entries)
        return false;
    for (guint i = 0; i < entries->len; i++) {
        const SlTreeEntry *entry = g_ptr_array_index(entries, i);
        if (!check_entry_name(folder, entry->name, error))
            return false;
        g_autofree char *path = sl_path_join(folder, entry->name);
        if (!check_mode(path, entry->mode, error))
            return false;
        if (entry->mode == SL_TREE_FOLDER) {
            if (!walk(tree, path, depth + 1, files, error))
                return false;
            continue;
        }
        if (files->len >= SL_TREE_FILES_MAX)
            return sl_throw(error, SLU_LIMIT, "%s: more than %d files", folder, SL_TREE_FILES_MAX);
        SlTreeFile *file = g_new0(SlTreeFile, 1);
        file->path = g_steal_pointer(&path);
        file->executable = entry->mode == SL_TREE_EXECUTABLE;
        file->size = entry->size;
        g_ptr_array_add(files, file);
    }
    return true;
}

static int by_path(gconstpointer a, gconstpointer b)
{
    const SlTreeFile *const *left = a, *const *right = b;
    return strcmp((*left)->path, (*right)->path);
}

GPtrArray *sl_tree_files(const SlTree *tree, const char *path, GError **error)
{
    const char *top = g_str_equal(path, ".") ? "" : path;
    if (*top && !sl_check_relative_path(top, error))
        return NULL;
    SlTreeEntry entry;
    if (!sl_tree_lookup(tree, top, &entry, error))
        return NULL;
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func((GDestroyNotify)sl_tree_file_free);
    if (entry.mode == SL_TREE_FOLDER) {
        if (!walk(tree, top, 0, files, error))
            return NULL;
        g_ptr_array_sort(files, by_path);
        return g_steal_pointer(&files);
    }
    SlTreeFile *file = g_new0(SlTreeFile, 1);
    file->path = g_strdup(top);
    file->executable = entry.mode == SL_TREE_EXECUTABLE;
    file->size = entry.size;
    g_ptr_array_add(files, file);
    return g_steal_pointer(&files);
}

GBytes *sl_tree_read_file(const SlTree *tree, const char *path, size_t max, GError **error)
{
    g_autoptr(GBytes) bytes = tree->read(tree->user, path, max, error);
    if (!bytes)
        return NULL;
    size_t len = 0;
    const char *data = g_bytes_get_data(bytes, &len);
    if (len > max)
        return sl_throw_null(error, SLU_LIMIT, "%s: %zu bytes are more than the %zu allowed", path, len, max);
    if (len < LFS_POINTER_MAX && len >= sizeof LFS_HEAD - 1 && memcmp(data, LFS_HEAD, sizeof LFS_HEAD - 1) == 0)
        return sl_throw_null(error, SLU_LFS_POINTER,
                             "%s is a Git LFS pointer, not the file itself; put large files into the model store "
                             "and name them as an item", path);
    return g_steal_pointer(&bytes);
}

char *sl_tree_digest(const SlTree *tree, const char *path, GError **error)
{
    g_autoptr(GPtrArray) files = sl_tree_files(tree, path, error);
    if (!files)
        return NULL;
    const char *top = g_str_equal(path, ".") ? "" : path;
    g_autoptr(SlSha256) hash = sl_sha256_new();
    for (guint i = 0; i < files->len; i++) {
        const SlTreeFile *file = g_ptr_array_index(files, i);
        g_autoptr(GBytes) bytes = sl_tree_read_file(tree, file->path, SL_TREE_FILE_MAX, error);
        if (!bytes)
            return NULL;
        size_t len = 0;
        const void *data = g_bytes_get_data(bytes, &len);
        /* A declared path that is a file itself counts under its own name. */
        const char *slash = strrchr(file->path, '/');
        const char *name = g_str_equal(file->path, top) ? (slash ? slash + 1 : file->path)
                                                        : file->path + (*top ? strlen(top) + 1 : 0);
        g_autofree char *head = g_strdup_printf("%s %s", file->executable ? "755" : "644", name);
        g_autofree char *size = g_strdup_printf("%zu", len);
        sl_sha256_update(hash, head, strlen(head) + 1);
        sl_sha256_update(hash, size, strlen(size) + 1);
        sl_sha256_update(hash, data, len);
    }
    return sl_sha256_final_hex(hash);
}
