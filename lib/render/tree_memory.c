/* tree_memory.c - a tree of files held in memory: for tests and for `sluice new`. */
#include "render/tree.h"
#include <string.h>

typedef struct {
    GBytes *bytes;
    SlTreeMode mode;
} MemoryFile;

static void memory_file_free(void *data)
{
    MemoryFile *file = data;
    g_bytes_unref(file->bytes);
    g_free(file);
}

static int by_name(gconstpointer a, gconstpointer b)
{
    const SlTreeEntry *const *left = a, *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

static void add_entry(GHashTable *seen, GPtrArray *entries, char *name, const MemoryFile *file)
{
    if (!g_hash_table_add(seen, g_strdup(name))) {
        g_free(name);
        return;
    }
    SlTreeEntry *entry = g_new0(SlTreeEntry, 1);
    entry->name = name;
    entry->mode = file ? file->mode : SL_TREE_FOLDER;
    entry->size = file ? g_bytes_get_size(file->bytes) : 0;
    g_ptr_array_add(entries, entry);
}

static GPtrArray *memory_list(void *user, const char *path, GError **error)
{
    GHashTable *files = user;
    g_autoptr(GPtrArray) entries = g_ptr_array_new_with_free_func((GDestroyNotify)sl_tree_entry_free);
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    size_t skip = *path ? strlen(path) + 1 : 0;
    GHashTableIter iter;
    void *key = NULL, *value = NULL;
    g_hash_table_iter_init(&iter, files);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        const char *name = key;
        if (skip && (strncmp(name, path, skip - 1) != 0 || name[skip - 1] != '/'))
            continue;
        const char *rest = name + skip;
        const char *slash = strchr(rest, '/');
        if (slash)
            add_entry(seen, entries, g_strndup(rest, (gsize)(slash - rest)), NULL);
        else
            add_entry(seen, entries, g_strdup(rest), value);
    }
    if (entries->len == 0 && *path)
        return sl_throw_null(error, SLU_NOT_FOUND, "%s: there is no such folder", path);
    g_ptr_array_sort(entries, by_name);
    return g_steal_pointer(&entries);
}

static GBytes *memory_read(void *user, const char *path, size_t max, GError **error)
{
    const MemoryFile *file = g_hash_table_lookup(user, path);
    if (!file || file->mode == SL_TREE_SYMLINK || file->mode == SL_TREE_GITLINK)
        return sl_throw_null(error, SLU_NOT_FOUND, "%s: there is no such file", path);
    if (g_bytes_get_size(file->bytes) > max)
        return sl_throw_null(error, SLU_LIMIT, "%s: %zu bytes are more than the %zu allowed", path,
                             g_bytes_get_size(file->bytes), max);
    return g_bytes_ref(file->bytes);
}

SlTree *sl_tree_memory_new(void)
{
    SlTree *tree = g_new0(SlTree, 1);
    tree->user = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, memory_file_free);
    tree->list = memory_list;
    tree->read = memory_read;
    return tree;
}

void sl_tree_memory_put(SlTree *tree, const char *path, const char *content, SlTreeMode mode)
{
    MemoryFile *file = g_new0(MemoryFile, 1);
    file->bytes = g_bytes_new(content, strlen(content));
    file->mode = mode;
    g_hash_table_replace(tree->user, g_strdup(path), file);
}

void sl_tree_memory_free(SlTree *tree)
{
    if (!tree)
        return;
    g_hash_table_unref(tree->user);
    g_free(tree);
}
