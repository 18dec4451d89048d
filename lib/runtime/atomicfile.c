/* atomicfile.c - files that are whole or not there.
 *
 *     temp (O_EXCL, same folder) -> write -> fsync -> rename -> fsync of the folder
 *
 * A failed fsync is an error and is never tried again: the kernel may have dropped the pages and
 * the next call would say "fine". Names are opened relative to a folder's descriptor and links at
 * the end are never followed. Any thread; blocks on the disk. */
#include "runtime/atomicfile.h"

#include "base/auto.h"
#include "runtime/loop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define READ_STEP 65536
#define TREE_DEPTH_MAX 128 /* one descriptor is open per level of a tree that is removed */

static bool fail(GError **error, const char *path, const char *what)
{
    int code = errno == ENOENT ? SLU_FILE_MISSING : errno == EIO ? SLU_DISK_FAULT : SLU_IO;
    return sl_throw(error, (SlErrorCode)code, "%s: %s: %s", path, what, g_strerror(errno));
}

static int open_folder_of(const char *path, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        fail(error, folder, "the folder can't be opened");
    }
    return fd;
}

static bool write_all(int fd, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    while (len > 0) {
        ssize_t put = write(fd, at, len);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return false;
        }
        at += put;
        len -= (size_t)put;
    }
    return true;
}

typedef struct {
    const void *bytes;
    size_t len;
    unsigned mode;
    bool fresh;   /* only where nothing is */
    bool durable; /* synced; else it may be cut or gone after a loss of power */
} Content;

static bool fill_temp(int folder, const char *temp, const Content *what)
{
    sl_autofd fd = openat(folder, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || !write_all(fd, what->bytes, what->len) || fchmod(fd, (mode_t)what->mode) != 0 ||
        (what->durable && fsync(fd) != 0)) {
        return false;
    }
    return close(sl_steal_fd(&fd)) == 0;
}

/* Gives the finished temp file its name: over what is there, or (@fresh) only where nothing is. */
static bool take_name(int folder, const char *temp, const char *name, bool fresh)
{
    if (!fresh) {
        return renameat(folder, temp, folder, name) == 0;
    }
    return linkat(folder, temp, folder, name, 0) == 0 && unlinkat(folder, temp, 0) == 0;
}

static bool write_whole(const char *path, const Content *what, GError **error)
{
    sl_autofd folder = open_folder_of(path, error);
    if (folder < 0) {
        return false;
    }
    uint64_t random;
    sl_random_bytes(&random, sizeof random);
    g_autofree char *name = g_path_get_basename(path);
    g_autofree char *temp = g_strdup_printf(".%.200s.%016" G_GINT64_MODIFIER "x.tmp", name, random);
    if (!fill_temp(folder, temp, what)) {
        fail(error, path, "writing failed");
        unlinkat(folder, temp, 0);
        return false;
    }
    if (!take_name(folder, temp, name, what->fresh)) {
        bool there = what->fresh && errno == EEXIST;
        there ? sl_throw(error, SLU_CONFLICT, "%s: is there already and is not overwritten", path)
              : fail(error, path, "the new file can't take its name");
        unlinkat(folder, temp, 0);
        return false;
    }
    return !what->durable || fsync(folder) == 0 || fail(error, path, "the folder can't be synced");
}

bool sl_file_write_atomic(const char *path, const void *bytes, size_t len, unsigned mode,
                          GError **error)
{
    Content what = {.bytes = bytes, .len = len, .mode = mode, .durable = true};
    return write_whole(path, &what, error);
}

bool sl_file_write_cache(const char *path, const void *bytes, size_t len, unsigned mode,
                         GError **error)
{
    Content what = {.bytes = bytes, .len = len, .mode = mode};
    return write_whole(path, &what, error);
}

bool sl_file_create(const char *path, const void *bytes, size_t len, unsigned mode, GError **error)
{
    Content what = {.bytes = bytes, .len = len, .mode = mode, .fresh = true, .durable = true};
    return write_whole(path, &what, error);
}

static GBytes *read_fd(int fd, const char *path, size_t max, size_t expected, GError **error)
{
    g_autoptr(GByteArray) all = g_byte_array_sized_new((guint)MIN(expected + 1, max + 1));
    g_autofree uint8_t *buffer = g_malloc(READ_STEP);
    for (;;) {
        ssize_t got = read(fd, buffer, READ_STEP);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            fail(error, path, "reading failed");
            return NULL;
        }
        if (got == 0) {
            return g_byte_array_free_to_bytes(g_steal_pointer(&all));
        }
        if ((size_t)got > max - all->len) {
            return sl_throw_null(error, SLU_LIMIT, "%s: larger than %zu bytes", path, max);
        }
        g_byte_array_append(all, buffer, (guint)got);
    }
}

/* @ret_stat describes the descriptor itself, so nobody can swap the file between check and use. */
static int open_regular(const char *path, int follow, struct stat *ret_stat, GError **error)
{
    sl_autofd fd = open(path, O_RDONLY | follow | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ELOOP) {
        sl_throw(error, SLU_IO, "%s: is a symbolic link, which is not followed", path);
        return -1;
    }
    if (fd < 0 || fstat(fd, ret_stat) != 0) {
        fail(error, path, "can't be opened");
        return -1;
    }
    if (!S_ISREG(ret_stat->st_mode)) {
        sl_throw(error, SLU_IO, "%s: is not a regular file", path);
        return -1;
    }
    return sl_steal_fd(&fd);
}

static GBytes *read_whole(const char *path, int follow, size_t max, GError **error)
{
    struct stat st;
    sl_autofd fd = open_regular(path, follow, &st, error);
    if (fd < 0) {
        return NULL;
    }
    if (st.st_size < 0 || (uint64_t)st.st_size > max || max > G_MAXUINT - 1) {
        return sl_throw_null(error, SLU_LIMIT, "%s: larger than %zu bytes", path, max);
    }
    return read_fd(fd, path, max, (size_t)st.st_size, error);
}

GBytes *sl_file_read(const char *path, size_t max, GError **error)
{
    return read_whole(path, O_NOFOLLOW, max, error);
}

GBytes *sl_file_read_mounted(const char *path, size_t max, GError **error)
{
    return read_whole(path, 0, max, error);
}

GBytes *sl_file_read_secret(const char *path, size_t max, GError **error)
{
    struct stat st;
    sl_autofd fd = open_regular(path, O_NOFOLLOW, &st, error);
    if (fd < 0) {
        return NULL;
    }
    if (st.st_uid != geteuid()) {
        return sl_throw_null(error, SLU_KEY_RIGHTS,
                             "%s: belongs to user %u, not to user %u who reads it", path,
                             (unsigned)st.st_uid, (unsigned)geteuid());
    }
    if ((st.st_mode & 077) != 0) {
        return sl_throw_null(error, SLU_KEY_RIGHTS,
                             "%s: mode %04o lets others read or change a secret", path,
                             (unsigned)(st.st_mode & 07777));
    }
    return read_fd(fd, path, max, 0, error);
}

/* ---- folders ---- */

static bool sync_folder_of(const char *path, GError **error)
{
    sl_autofd folder = open_folder_of(path, error);
    if (folder < 0) {
        return false;
    }
    return fsync(folder) == 0 || fail(error, path, "the folder above can't be synced");
}

static bool make_one(const char *path, unsigned mode, GError **error)
{
    if (mkdir(path, (mode_t)mode) == 0) {
        return sync_folder_of(path, error);
    }
    struct stat st;
    if (errno == EEXIST && stat(path, &st) == 0) {
        return S_ISDIR(st.st_mode) ||
               sl_throw(error, SLU_IO, "%s: is there and is not a folder", path);
    }
    return fail(error, path, "the folder can't be made");
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool sl_dir_make(const char *path, unsigned mode, GError **error)
{
    if (is_folder(path)) { /* the usual case, in one call instead of one for each level */
        return true;
    }
    g_autofree char *part = g_strdup(path);
    for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        bool made = slash[-1] == '/' || make_one(part, mode, error);
        *slash = '/';
        if (!made) {
            return false;
        }
    }
    return part[strlen(part) - 1] == '/' || make_one(part, mode, error);
}

static bool empty_folder(int fd, const char *path, unsigned depth, GError **error);

/* A folder that its owner closed to itself (mode 000) is opened by way of a descriptor that can't
 * be swapped for a link. */
static int open_subfolder(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 || errno != EACCES) {
        return fd;
    }
    sl_autofd handle = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (handle < 0) {
        return -1;
    }
    g_autofree char *proc = g_strdup_printf("/proc/self/fd/%d", handle);
    if (chmod(proc, 0700) != 0) {
        return -1;
    }
    return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool remove_entry(int parent, const char *name, const char *path, unsigned depth,
                         GError **error)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) {
        return true;
    }
    if (errno != EISDIR && errno != EPERM) {
        return fail(error, path, name);
    }
    sl_autofd fd = open_subfolder(parent, name);
    if (fd < 0) {
        return fail(error, path, name);
    }
    if (!empty_folder(fd, path, depth + 1, error)) {
        return false;
    }
    return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT || fail(error, path, name);
}

static void close_dir(DIR **dir)
{
    if (*dir != NULL) {
        closedir(*dir);
    }
}

/* Removes what is inside; links are removed, never followed. Not below TREE_DEPTH_MAX levels. */
static bool empty_folder(int fd, const char *path, unsigned depth, GError **error)
{
    if (depth > TREE_DEPTH_MAX) {
        return sl_throw(error, SLU_LIMIT, "%s: folders are nested more than %d deep", path,
                        TREE_DEPTH_MAX);
    }
    if (fchmod(fd, 0700) != 0) {
        return fail(error, path, "a folder can't be made writable");
    }
    sl_autofd own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    __attribute__((cleanup(close_dir))) DIR *dir = own >= 0 ? fdopendir(own) : NULL;
    if (dir == NULL) {
        return fail(error, path, "a folder can't be read");
    }
    sl_steal_fd(&own);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        bool dots = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        if (!dots && !remove_entry(fd, entry->d_name, path, depth, error)) {
            return false;
        }
    }
    return true;
}

bool sl_dir_remove_tree(const char *path, GError **error)
{
    sl_autofd fd = open_subfolder(AT_FDCWD, path);
    if (fd < 0 && errno == ENOENT) {
        return true;
    }
    if (fd < 0) {
        return fail(error, path, "is not a folder that can be removed");
    }
    if (!empty_folder(fd, path, 0, error)) {
        return false;
    }
    return rmdir(path) == 0 || errno == ENOENT || fail(error, path, "the folder can't be removed");
}

bool sl_dir_lock(const char *path, int *ret_fd, GError **error)
{
    g_autofree char *name = g_build_filename(path, "lock", NULL);
    sl_autofd fd = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fail(error, name, "can't be opened");
    }
    char holder[32] = {0};
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        ssize_t got = pread(fd, holder, sizeof holder - 1, 0);
        g_strchomp(holder);
        return sl_throw(error, SLU_CONFLICT, "%s: another process%s%s uses this folder", path,
                        got > 0 ? ", pid " : "", got > 0 ? holder : "");
    }
    g_snprintf(holder, sizeof holder, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, holder, strlen(holder), 0) < 0) {
        return fail(error, name, "can't be written");
    }
    *ret_fd = sl_steal_fd(&fd);
    return true;
}
