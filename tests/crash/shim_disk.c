/* shim_disk.c - what a loss of power takes away: bytes of files that were not synced, and names
 * (made, renamed, removed) in folders that were not synced after it.
 *
 * Strict POSIX: syncing a file keeps its bytes and not its name; a name is kept by syncing its
 * folder. Every change is done at once and remembered with what undoes it; a sync forgets it; at the
 * loss the rest is undone, newest first. Old bytes are copied, old files are kept by a hard link in
 * the grave. Files of a folder that is renamed while it has changes of its own are not followed.
 * Called under the lock of shim.c; uses system calls only, so that it never meets itself. */
#include "shim.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHANGES_MAX 16384 /* more than any round makes; beyond it the oldest count as synced */

typedef enum { MADE, REMOVED, RENAMED } ChangeType;

typedef struct {
    ChangeType type;
    bool folder;
    unsigned buried;   /* grave number of the file that was there, 0 = none */
    char *path, *from; /* from: RENAMED only */
    char *sync;        /* the folder that must be synced for this to last */
} Change;

typedef struct {
    dev_t dev;
    ino_t ino;
    bool poisoned; /* a sync failed: the kernel forgot that this is not on disk */
    unsigned link; /* grave number of its hard link */
    char *old;     /* bytes at the last sync */
    size_t len;
} Dirty;

static Change changes[CHANGES_MAX];
static Dirty dirty[CHANGES_MAX];
static unsigned n_changes, n_dirty, n_graves;
static char grave[PATH_MAX];

bool shim_tracks(void)
{
    return grave[0] != '\0';
}

void shim_disk_open(const char *folder)
{
    snprintf(grave, sizeof grave, "%s", folder);
    if (grave[0] != '\0')
        syscall(SYS_mkdirat, AT_FDCWD, grave, 0700);
}

static void grave_name(unsigned number, char *ret, size_t size)
{
    snprintf(ret, size, "%s/%d.%u", grave, (int)getpid(), number);
}

/* A second name for the file at @path (or behind a descriptor, as /proc/self/fd/N). */
static unsigned bury(const char *path, int flags)
{
    char name[PATH_MAX + 32];
    grave_name(++n_graves, name, sizeof name);
    return syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, name, flags) == 0 ? n_graves : 0;
}

static void forget_grave(unsigned number)
{
    char name[PATH_MAX + 32];
    if (number == 0)
        return;
    grave_name(number, name, sizeof name);
    syscall(SYS_unlinkat, AT_FDCWD, name, 0);
}

/* ---- names ---- */

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strndup(path, slash != NULL && slash != path ? (size_t)(slash - path) : 1);
}

static void clear_change(unsigned i)
{
    forget_grave(changes[i].buried);
    free(changes[i].path);
    free(changes[i].from);
    free(changes[i].sync);
    memmove(changes + i, changes + i + 1, (--n_changes - i) * sizeof *changes);
}

static void note(ChangeType type, const char *path, const char *from, bool folder, unsigned buried)
{
    if (n_changes == CHANGES_MAX)
        clear_change(0);
    changes[n_changes++] = (Change){.type = type,
                                    .folder = folder,
                                    .buried = buried,
                                    .path = strdup(path),
                                    .from = from != NULL ? strdup(from) : NULL,
                                    .sync = folder_of(path)};
}

void shim_disk_made(const char *path, bool folder)
{
    note(MADE, path, NULL, folder, 0);
}

void shim_disk_removing(const char *path, bool folder)
{
    note(REMOVED, path, NULL, folder, folder ? 0 : bury(path, 0));
}

void shim_disk_naming(const char *from, const char *to, bool link)
{
    if (link)
        note(MADE, to, NULL, false, 0);
    else
        note(RENAMED, to, from, false, bury(to, 0));
}

static void put_back(unsigned buried, const char *path)
{
    char name[PATH_MAX + 32];
    if (buried == 0)
        return;
    grave_name(buried, name, sizeof name);
    syscall(SYS_renameat2, AT_FDCWD, name, AT_FDCWD, path, 0);
}

static void empty_tree(const char *path)
{
    char rm[] = "/bin/rm";
    char *argv[] = {rm, (char *)"-rf", (char *)path, NULL};
    char *none[] = {NULL};
    pid_t child = (pid_t)syscall(SYS_fork);
    if (child == 0) {
        syscall(SYS_execve, rm, argv, none);
        syscall(SYS_exit_group, 1);
    }
    if (child > 0)
        syscall(SYS_wait4, child, NULL, 0, NULL);
}

static void undo(const Change *change)
{
    if (change->type == MADE && change->folder)
        empty_tree(change->path);
    else if (change->type == MADE)
        syscall(SYS_unlinkat, AT_FDCWD, change->path, 0);
    else if (change->type == RENAMED)
        syscall(SYS_renameat2, AT_FDCWD, change->path, AT_FDCWD, change->from, 0);
    else if (change->folder)
        syscall(SYS_mkdirat, AT_FDCWD, change->path, 0700);
    put_back(change->buried, change->path);
}

/* ---- bytes ---- */

static Dirty *find_dirty(const struct stat *st)
{
    for (unsigned i = 0; i < n_dirty; i++)
        if (dirty[i].ino == st->st_ino && dirty[i].dev == st->st_dev)
            return &dirty[i];
    return NULL;
}

static char *read_whole(int fd, size_t len)
{
    char proc[64];
    char *bytes = malloc(len + 1);
    size_t done = 0;
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd); /* @fd may be write-only */
    int again = (int)syscall(SYS_openat, AT_FDCWD, proc, O_RDONLY | O_CLOEXEC, 0);
    while (bytes != NULL && again >= 0 && done < len) {
        ssize_t got = syscall(SYS_pread64, again, bytes + done, len - done, done);
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    if (again >= 0)
        syscall(SYS_close, again);
    return bytes;
}

void shim_disk_writing(int fd, bool fresh)
{
    struct stat st;
    char proc[64];
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || find_dirty(&st) != NULL ||
        n_dirty == CHANGES_MAX)
        return;
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    size_t len = fresh ? 0 : (size_t)st.st_size;
    dirty[n_dirty++] = (Dirty){.dev = st.st_dev,
                               .ino = st.st_ino,
                               .link = bury(proc, AT_SYMLINK_FOLLOW),
                               .old = read_whole(fd, len),
                               .len = len};
}

static void clear_dirty(Dirty *file)
{
    forget_grave(file->link);
    free(file->old);
    *file = dirty[--n_dirty];
}

void shim_disk_synced(int fd, const char *path, bool folder)
{
    struct stat st;
    if (folder) {
        for (unsigned i = n_changes; i-- > 0;)
            if (strcmp(changes[i].sync, path) == 0)
                clear_change(i);
        return;
    }
    Dirty *file = fstat(fd, &st) == 0 ? find_dirty(&st) : NULL;
    if (file == NULL)
        return;
    if (file->poisoned)
        atomic_fetch_add(&shim_control->resynced, 1);
    else
        clear_dirty(file);
}

void shim_disk_sync_failed(int fd)
{
    struct stat st;
    Dirty *file = fstat(fd, &st) == 0 ? find_dirty(&st) : NULL;
    if (file != NULL)
        file->poisoned = true;
}

void shim_disk_all_synced(void)
{
    while (n_changes > 0)
        clear_change(n_changes - 1);
    while (n_dirty > 0)
        clear_dirty(&dirty[n_dirty - 1]);
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

/* Bytes of a file as they were at its last sync; @cut: what was added since, up to some length. */
static void restore(const Dirty *file, bool cut, uint32_t random)
{
    char name[PATH_MAX + 32];
    struct stat st;
    grave_name(file->link, name, sizeof name);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CLOEXEC, 0);
    if (fd < 0 || fstat(fd, &st) != 0)
        return;
    size_t now = (size_t)st.st_size, keep = file->len;
    if (cut && now > keep)
        keep += random % (now - keep);
    else
        for (size_t done = 0; done < file->len;) {
            ssize_t put = syscall(SYS_pwrite64, fd, file->old + done, file->len - done, done);
            if (put <= 0)
                break;
            done += (size_t)put;
        }
    syscall(SYS_ftruncate, fd, keep);
    syscall(SYS_close, fd);
}

void shim_disk_lose(ShimMode mode, uint32_t seed)
{
    uint32_t state = seed * 2654435761u + 1;
    unsigned keep = mode == SHIM_LOST ? 0 : n_changes;
    if (mode == SHIM_MIXED && n_changes > 0)
        keep = next_random(&state) % (n_changes + 1);
    for (unsigned i = 0; i < n_dirty; i++) {
        uint32_t what = mode == SHIM_MIXED ? next_random(&state) % 3 : 0;
        if (what < 2 && dirty[i].link > 0)
            restore(&dirty[i], what == 1, next_random(&state));
    }
    while (n_changes > keep)
        undo(&changes[--n_changes]);
}
