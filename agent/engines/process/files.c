/* files.c - blobs of a bundle as files in a folder. Every path is opened beneath the folder without
 * following a link (openat2), so that neither a name nor what a program left there can lead
 * outside. */
#include "agent/engines/process/process.h"
#include "base/auto.h"
#include "base/digest.h"
#include "base/text.h"
#include "runtime/atomicfile.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define WATCHED_FOLDERS_MAX 256

static int open_beneath(int root, const char *path, uint64_t flags, uint64_t mode)
{
    struct open_how how = {.flags = flags | O_CLOEXEC,
                           .mode = mode,
                           .resolve =
                               RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

/* The folder that holds @path, made if absent; -1 on failure. */
static int open_parent(int root, const char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);
    g_auto(GStrv) parts =
        strcmp(folder, ".") == 0 ? g_new0(char *, 1) : g_strsplit(folder, "/", -1);
    sl_autofd at = open_beneath(root, ".", O_RDONLY | O_DIRECTORY, 0);
    for (char **part = parts; *part && at >= 0; part++) {
        if (mkdirat(at, *part, 0755) != 0 && errno != EEXIST)
            return -1;
        int next = open_beneath(at, *part, O_RDONLY | O_DIRECTORY, 0);
        close(at);
        at = next;
    }
    return sl_steal_fd(&at);
}

static bool fail(GError **error, const char *dir, const char *path)
{
    return sl_throw(error, errno == EIO ? SLU_DISK_FAULT : SLU_IO, "%s/%s: %s", dir, path,
                    g_strerror(errno));
}

static bool is_right(int parent, const char *name, GBytes *bytes, unsigned mode)
{
    struct stat st;
    sl_autofd fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    size_t len = g_bytes_get_size(bytes), done = 0;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (size_t)st.st_size != len ||
        (st.st_mode & 07777) != mode)
        return false;
    g_autofree uint8_t *buffer = g_malloc(len + 1);
    for (ssize_t n; done < len; done += (size_t)n)
        if ((n = read(fd, buffer + done, len - done)) <= 0)
            return false;
    return memcmp(buffer, g_bytes_get_data(bytes, NULL), len) == 0;
}

static bool replace(int parent, const char *name, GBytes *bytes, unsigned mode)
{
    g_autofree char *temp = g_strdup_printf(".%.200s.sluice-tmp", name);
    size_t len;
    const char *at = g_bytes_get_data(bytes, &len);
    unlinkat(parent, temp, 0);
    sl_autofd fd = openat(parent, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    while (fd >= 0 && len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno != EINTR)
            return false;
        at += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return fd >= 0 && fchmod(fd, (mode_t)mode) == 0 && renameat(parent, temp, parent, name) == 0;
}

bool sl_files_write_one(const char *dir, const char *path, GBytes *bytes, unsigned mode,
                        bool *ret_written, GError **error)
{
    if (!sl_check_relative_path(path, error))
        return sl_prefix(error, "files");
    sl_autofd root = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (root < 0)
        return fail(error, dir, ".");
    sl_autofd parent = open_parent(root, path);
    if (parent < 0 && errno != ELOOP && errno != EXDEV && errno != ENOTDIR)
        return fail(error, dir, path);
    if (parent < 0)
        return sl_throw(error, SLU_FILES_INVALID,
                        "files: %s leads outside of its folder or through a link: %s", path,
                        g_strerror(errno));
    g_autofree char *name = g_path_get_basename(path);
    bool right = is_right(parent, name, bytes, mode);
    if (ret_written)
        *ret_written = !right;
    return right || replace(parent, name, bytes, mode) || fail(error, dir, path);
}

static unsigned mode_of(const json_t *file)
{
    const json_t *mode = json_object_get(file, "mode");
    const char *text = json_string_value(mode);
    bool executable = text ? g_str_has_suffix(text, "755")
                           : json_integer_value(mode) == 755 || json_integer_value(mode) == 0755;
    return executable ? 0755 : 0644;
}

bool sl_files_write(SlEngine *engine, const char *dir, const json_t *files, unsigned *ret_written,
                    GError **error)
{
    size_t i;
    json_t *file;
    unsigned written = 0;
    if (!sl_dir_make(dir, 0755, error))
        return false;
    if (json_array_size(files) > SL_FILES_COUNT_MAX)
        return sl_throw(error, SLU_LIMIT, "files: more than %d", SL_FILES_COUNT_MAX);
    json_array_foreach ((json_t *)files, i, file) {
        bool wrote = false;
        const char *path = sl_json_str(file, "path"), *digest = sl_json_str(file, "sha256");
        if (digest && g_str_has_prefix(digest, "sha256:"))
            digest += strlen("sha256:");
        if (!path || !sl_is_hex_digest(digest))
            return sl_throw(error, SLU_FILES_INVALID, "files.%zu: needs path and sha256", i);
        GBytes *bytes = engine->blob(digest, engine->blob_user);
        if (!bytes)
            return sl_throw(error, SLU_FILES_INVALID,
                            "files: the content of %s (%.12s) is not here", path, digest);
        if (!sl_files_write_one(dir, path, bytes, mode_of(file), &wrote, error))
            return false;
        written += wrote;
    }
    if (ret_written)
        *ret_written = written;
    return true;
}

GArray *sl_files_watch(SlEngine *engine, const char *dir, const json_t *files,
                       void (*changed)(void *user), void *user)
{
    GArray *ids = g_array_new(FALSE, FALSE, sizeof(unsigned));
    g_autoptr(GHashTable) folders = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GHashTableIter iter;
    void *folder;
    size_t i;
    json_t *file;
    g_hash_table_add(folders, g_strdup(dir));
    json_array_foreach ((json_t *)files, i, file) {
        g_autofree char *path = g_build_filename(dir, sl_json_str_or(file, "path", "."), NULL);
        if (g_hash_table_size(folders) < WATCHED_FOLDERS_MAX)
            g_hash_table_add(folders, g_path_get_dirname(path));
    }
    g_hash_table_iter_init(&iter, folders);
    while (g_hash_table_iter_next(&iter, &folder, NULL)) {
        unsigned id = sl_dirwatch_add(engine->watch, folder, changed, user);
        if (id)
            g_array_append_val(ids, id);
    }
    return ids;
}

void sl_files_unwatch(SlEngine *engine, GArray *ids)
{
    for (guint i = 0; ids && i < ids->len; i++)
        sl_dirwatch_remove(engine->watch, g_array_index(ids, unsigned, i));
    if (ids)
        g_array_unref(ids);
}
