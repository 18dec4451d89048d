/* gittree.c - the strict reader of raw trees (gittree.h): `<octal mode> <name> NUL <20 bytes>` each.
 * What a mode means and whether it is wanted there is the caller's business. */
#include "core/gittree.h"
#include "base/text.h"
#include <string.h>

#define ID_LEN 20
#define FOLDER_MODE 0040000

static void free_entry(void *data)
{
    SlGitEntry *entry = data;
    g_free(entry->name);
    g_free(entry);
}

static bool refuse(GError **error, const char *path, const char *name, const char *what)
{
    g_autofree char *shown = sl_escape_for_people(name, SL_GITTREE_NAME_MAX + 1);
    return sl_throw(error, SLU_SOURCE_ENTRY, "%s%s%s: %s", path, *path != '\0' ? "/" : "", shown,
                    what);
}

static bool check_name(const char *name, size_t len, const char *path, GError **error)
{
    if (len == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        strpbrk(name, "/\\") != NULL)
        return refuse(error, path, name, "this name is not allowed in a tree");
    if (len > SL_GITTREE_NAME_MAX)
        return refuse(error, path, name, "this name is longer than 255 bytes");
    if (sl_is_dotgit(name))
        return refuse(error, path, name,
                      "some file systems take this name for .git; it is not allowed in a tree");
    return sl_is_plain_line(name, len) ||
           refuse(error, path, name,
                  "this name is not plain UTF-8 text; it is not allowed in a tree");
}

/* Octal as Git writes it: no leading zero, at most six digits. Returns what follows the space. */
static const char *read_mode(const char *at, const char *end, unsigned *ret_mode)
{
    unsigned mode = 0;
    const char *start = at;
    for (; at < end && *at >= '0' && *at <= '7' && at - start < 6; at++)
        mode = mode * 8 + (unsigned)(*at - '0');
    if (at == start || at == end || *at != ' ' || *start == '0')
        return NULL;
    *ret_mode = mode;
    return at + 1;
}

/* Git compares a folder's name as if it ended in '/'. */
static int by_git_order(const SlGitEntry *a, const SlGitEntry *b)
{
    size_t a_len = strlen(a->name), b_len = strlen(b->name), len = MIN(a_len, b_len);
    int order = memcmp(a->name, b->name, len);
    if (order != 0)
        return order;
    unsigned char left = (unsigned char)a->name[len], right = (unsigned char)b->name[len];
    left = left == 0 && a->mode == FOLDER_MODE ? '/' : left;
    right = right == 0 && b->mode == FOLDER_MODE ? '/' : right;
    return left < right ? -1 : left > right;
}

static const char *take_entry(const char *at, const char *end, const char *path,
                              SlGitEntry **ret_entry, GError **error)
{
    unsigned mode = 0;
    const char *name = read_mode(at, end, &mode);
    const char *nul = name != NULL ? memchr(name, '\0', (size_t)(end - name)) : NULL;
    if (nul == NULL || end - nul <= ID_LEN)
        return sl_throw_null(error, SLU_CORRUPT, "%s: the tree object is cut short or malformed",
                             *path != '\0' ? path : "(top)");
    if (!check_name(name, (size_t)(nul - name), path, error))
        return NULL;
    SlGitEntry *entry = g_new0(SlGitEntry, 1);
    entry->name = g_strndup(name, (size_t)(nul - name));
    entry->mode = mode;
    memcpy(entry->id, nul + 1, ID_LEN);
    *ret_entry = entry;
    return nul + 1 + ID_LEN;
}

GPtrArray *sl_gittree_parse(const void *bytes, size_t len, const char *path, GError **error)
{
    if (len > SL_GITTREE_BYTES_MAX)
        return sl_throw_null(error, SLU_LIMIT, "%s: the tree object has more than %d bytes", path,
                             SL_GITTREE_BYTES_MAX);
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(free_entry);
    /* A file `a` and a folder `a` need not stand side by side: `a.b` sorts between them. */
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    const char *at = bytes, *end = at + len;
    while (at < end) {
        SlGitEntry *entry = NULL;
        at = take_entry(at, end, path, &entry, error);
        if (at == NULL)
            return NULL;
        g_ptr_array_add(list, entry);
        const SlGitEntry *before = list->len > 1 ? list->pdata[list->len - 2] : NULL;
        bool twice = !g_hash_table_add(names, entry->name);
        if (twice || (before != NULL && by_git_order(before, entry) >= 0)) {
            refuse(error, path, entry->name,
                   twice ? "this name is in the tree twice" : "the tree is not in Git's order");
            return NULL;
        }
        if (list->len > SL_GITTREE_ENTRIES_MAX)
            return sl_throw_null(error, SLU_SOURCE_LIMIT, "%s: more than %d entries", path,
                                 SL_GITTREE_ENTRIES_MAX);
    }
    return g_steal_pointer(&list);
}
