/* foldertree.c - SlTree over a folder: every step is opened below the folder's descriptor without following links. */
#include "cli/foldertree.h"
#include "base/auto.h"
#include "base/text.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    int root;
} Folder;

/* Opens @path below the folder part by part, so that neither a link nor `..` leads out. -1 and errno; EINVAL for a path that
 * no tree has. O_NONBLOCK: a pipe in the folder must not hang us. */
static int open_below(const Folder *folder, const char *path, int flags)
{
    if (*path != '\0' && !sl_check_relative_path(path, NULL)) {
        errno = EINVAL;
        return -1;
    }
    int fd = fcntl(folder->root, F_DUPFD_CLOEXEC, 3);
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    for (size_t i = 0; fd >= 0 && parts[i] != NULL && *parts[i] != '\0'; i++) {
        bool last = parts[i + 1] == NULL;
        int next =
            openat(fd, parts[i],
                   (last ? flags : O_RDONLY | O_DIRECTORY) | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        int saved = errno;
        close(fd);
        errno = saved;
        fd = next;
    }
    return fd;
}

static bool mode_of(const struct stat *info, SlTreeMode *ret_mode)
{
    if (S_ISDIR(info->st_mode)) {
        *ret_mode = SL_TREE_FOLDER;
    } else if (S_ISLNK(info->st_mode)) {
        *ret_mode = SL_TREE_SYMLINK;
    } else if (S_ISREG(info->st_mode)) {
        *ret_mode = (info->st_mode & S_IXUSR) != 0 ? SL_TREE_EXECUTABLE : SL_TREE_FILE;
    } else {
        return false; /* sockets and devices are no content */
    }
    return true;
}

static int by_name(gconstpointer a, gconstpointer b)
{
    const SlTreeEntry *const *left = a, *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

static void take_entry(DIR *dir, const char *name, GPtrArray *entries)
{
    struct stat info;
    SlTreeMode mode = SL_TREE_FILE;
    bool skip =
        strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || g_ascii_strcasecmp(name, ".git") == 0;
    if (skip || fstatat(dirfd(dir), name, &info, AT_SYMLINK_NOFOLLOW) != 0 ||
        !mode_of(&info, &mode)) {
        return;
    }
    SlTreeEntry *entry = g_new0(SlTreeEntry, 1);
    entry->name = g_strdup(name);
    entry->mode = mode;
    entry->size = mode == SL_TREE_FOLDER ? 0 : (uint64_t)info.st_size;
    g_ptr_array_add(entries, entry);
}

static SlErrorCode code_of(int number)
{
    return number == ENOENT || number == ENOTDIR ? SLU_NOT_FOUND
           : number == EINVAL                    ? SLU_INVALID
                                                 : SLU_IO;
}

static GPtrArray *list_folder(void *user, const char *path, GError **error)
{
    int fd = open_below(user, path, O_RDONLY | O_DIRECTORY);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        int saved = errno;
        sl_close_fd(&fd);
        return sl_throw_null(error, code_of(saved), "%s: %s", *path != '\0' ? path : ".",
                             g_strerror(saved));
    }
    GPtrArray *entries = g_ptr_array_new_with_free_func((GDestroyNotify)sl_tree_entry_free);
    for (struct dirent *each = readdir(dir); each != NULL; each = readdir(dir)) {
        take_entry(dir, each->d_name, entries);
    }
    closedir(dir);
    g_ptr_array_sort(entries, by_name);
    return entries;
}

static GBytes *read_file(void *user, const char *path, size_t max, GError **error)
{
    sl_autofd fd = *path != '\0' ? open_below(user, path, O_RDONLY) : (errno = EINVAL, -1);
    struct stat info;
    if (fd < 0 || fstat(fd, &info) != 0) {
        int saved = errno;
        return sl_throw_null(error, code_of(saved), "%s: %s", path,
                             saved == ELOOP ? "is a symlink" : g_strerror(saved));
    }
    if (!S_ISREG(info.st_mode)) {
        return sl_throw_null(error, SLU_IO, "%s: is not a regular file", path);
    }
    if ((uint64_t)info.st_size > max) {
        return sl_throw_null(error, SLU_LIMIT,
                             "%s: %" G_GINT64_FORMAT " bytes, at most %zu are read", path,
                             (int64_t)info.st_size, max);
    }
    size_t len = (size_t)info.st_size, got = 0;
    uint8_t *bytes = g_malloc(len + 1);
    ssize_t n = 1;
    while (got < len && n > 0) {
        n = read(fd, bytes + got, len - got);
        got += n > 0 ? (size_t)n : 0;
    }
    if (got < len) { /* cut while we read it, or the disk failed: half a file is none */
        g_free(bytes);
        return sl_throw_null(error, SLU_IO, "%s: %s", path,
                             n < 0 ? g_strerror(errno) : "changed while it was read");
    }
    return g_bytes_new_take(bytes, len);
}

SlTree *sl_folder_tree_new(const char *folder, GError **error)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return sl_throw_null(error, errno == ENOENT ? SLU_NOT_FOUND : SLU_IO, "%s: %s", folder,
                             g_strerror(errno));
    }
    Folder *state = g_new0(Folder, 1);
    state->root = fd;
    SlTree *tree = g_new0(SlTree, 1);
    *tree = (SlTree){.user = state, .list = list_folder, .read = read_file};
    return tree;
}

void sl_folder_tree_free(SlTree *tree)
{
    if (tree != NULL) {
        Folder *state = tree->user;
        close(state->root);
        g_free(state);
        g_free(tree);
    }
}

char *sl_find_fleet_folder(const char *start, GError **error)
{
    g_autofree char *at = g_canonicalize_filename(start, NULL);
    while (true) {
        g_autofree char *file = g_build_filename(at, "sluice.yaml", NULL);
        g_autofree char *folder = g_build_filename(at, "fleet", NULL);
        if (g_file_test(file, G_FILE_TEST_IS_REGULAR) || g_file_test(folder, G_FILE_TEST_IS_DIR)) {
            return g_steal_pointer(&at);
        }
        char *parent = g_path_get_dirname(at);
        bool top = strcmp(parent, at) == 0;
        g_free(at);
        at = parent;
        if (top) {
            return sl_throw_null(error, SLU_NO_FLEET,
                                 "%s: neither it nor a folder above holds sluice.yaml or fleet/",
                                 start);
        }
    }
}
