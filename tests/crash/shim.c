/* shim.c - stands between a program with all its libraries (libgit2, SQLite, ZeroMQ, GLib ...) and
 * libc: counts every call that changes a file below the state folders or sends on a socket, and at
 * the call whose number the test armed it ends the process or lets the call fail (shim.h).
 *
 * Why LD_PRELOAD: the same binaries that are shipped are tested; ptrace stops at every system call
 * (ten times slower), and a fault-injecting file system (FUSE, dm-flakey) needs root and sees no
 * sends. Every library here calls libc through its PLT, so nothing passes by but stdio (used for
 * logs only) and stores into mapped files: those come between calls that are counted, and their
 * bytes are lost with the file that they belong to. Child programs pass untouched.
 *
 * A sync is not done in truth: after kill -9 the kernel has everything, and after a loss of power
 * shim_disk.c takes away what was not synced, which a real sync would not change. */
#include "shim.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

ShimControl *shim_control;
static char roots[2 * PATH_MAX]; /* '\0' between, an empty one ends */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void shim_attach(ShimControl *control, const char *root_list, const char *grave)
{
    snprintf(roots, sizeof roots - 1, "%s", root_list);
    for (char *at = roots; *at != '\0'; at++)
        if (*at == ':')
            *at = '\0';
    shim_disk_open(grave);
    shim_control = control;
}

__attribute__((constructor)) static void attach_by_environment(void)
{
    const char *file = getenv("SHIM_CONTROL"), *program = getenv("SHIM_PROGRAM");
    const char *root_list = getenv("SHIM_ROOTS"), *grave = getenv("SHIM_GRAVE");
    if (file == NULL || program == NULL || root_list == NULL ||
        strcmp(program, program_invocation_short_name) != 0)
        return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CLOEXEC, 0);
    void *page = mmap(NULL, sizeof(ShimControl), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (page != MAP_FAILED)
        shim_attach(page, root_list, grave != NULL ? grave : "");
}

/* ---- which calls count ---- */

static bool below_roots(const char *path)
{
    for (const char *root = roots; *root != '\0'; root += strlen(root) + 1) {
        size_t len = strlen(root);
        if (strncmp(path, root, len) == 0 && (path[len] == '/' || path[len] == '\0'))
            return true;
    }
    return false;
}

static void path_of_fd(int fd, char *ret, size_t size)
{
    char proc[64];
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, proc, ret, size - 1);
    ret[n > 0 ? n : 0] = '\0';
}

/* As a path from the root; relative ones begin at @dirfd. */
static void absolute(int dirfd, const char *path, char *ret, size_t size)
{
    char base[PATH_MAX] = "";
    if (path[0] == '/')
        base[0] = '\0';
    else if (dirfd == AT_FDCWD)
        syscall(SYS_getcwd, base, sizeof base);
    else
        path_of_fd(dirfd, base, sizeof base);
    snprintf(ret, size, "%s%s%s", base, path[0] == '/' ? "" : "/", path);
}

/* ---- what happens at the armed one ---- */

_Noreturn void shim_die(ShimMode mode)
{
    if (mode == SHIM_LOST || mode == SHIM_TORN || mode == SHIM_MIXED)
        shim_disk_lose(mode, atomic_load(&shim_control->seed));
    for (;;) {
        syscall(SYS_kill, (int)syscall(SYS_getpid), SIGKILL);
        syscall(SYS_pause);
    }
}

typedef enum { CALL_NAME, CALL_WRITE, CALL_SYNC, CALL_SEND, CALL_OPEN } CallType;

typedef struct {
    ShimMode mode; /* SHIM_COUNT: go on as always; SHORT, HALF, KILL_AFTER, EIO ...: see there */
    int fails;     /* errno, 0 = does not */
} Verdict;

static int errno_of(ShimMode mode, CallType type)
{
    if (mode == SHIM_EIO)
        return type == CALL_SEND ? ECONNRESET : EIO;
    if (mode == SHIM_ENOSPC)
        return type == CALL_SEND || type == CALL_SYNC ? 0 : ENOSPC;
    if (mode == SHIM_EINTR)
        return type == CALL_NAME || type == CALL_SYNC ? 0 : EINTR;
    return 0;
}

/* Every call that counts comes by here; for files the lock is held. */
static Verdict count_call(CallType type, const char *what, const char *path)
{
    Verdict verdict = {.mode = SHIM_COUNT};
    ShimControl *c = shim_control;
    if (atomic_load(&c->armed) == 0)
        return verdict;
    uint32_t n = atomic_fetch_add(&c->count, 1) + 1;
    ShimMode mode = (ShimMode)atomic_load(&c->mode);
    if (n != atomic_load(&c->at) || mode == SHIM_COUNT)
        return verdict;
    snprintf(c->what, sizeof c->what, "%s", what);
    snprintf(c->path, sizeof c->path, "%.383s", path);
    atomic_store(&c->acted, 1);
    bool later = mode == SHIM_KILL_AFTER || (mode == SHIM_HALF && type == CALL_WRITE);
    if (mode < SHIM_EIO && !later)
        shim_die(mode);
    return (Verdict){.mode = mode, .fails = errno_of(mode, type)};
}

static void leave(Verdict verdict)
{
    if (verdict.mode == SHIM_KILL_AFTER || verdict.mode == SHIM_HALF)
        shim_die(SHIM_KILL);
}

static long refuse(int code)
{
    errno = code;
    return -1;
}

/* ---- bytes ---- */

static size_t length_of(Verdict verdict, size_t len)
{
    return (verdict.mode == SHIM_HALF || verdict.mode == SHIM_SHORT) && len > 1 ? len / 2 : len;
}

typedef enum { NOT_COUNTED, A_FILE, A_SOCKET } FdKind;

static FdKind kind_of(int fd, char *path, size_t size)
{
    path_of_fd(fd, path, size);
    if (path[0] == '/')
        return below_roots(path) ? A_FILE : NOT_COUNTED;
    return strncmp(path, "socket:", 7) == 0 ? A_SOCKET : NOT_COUNTED;
}

/* @at < 0: at the descriptor's own place. */
static ssize_t put(const char *name, int fd, const struct iovec *parts, int n, off_t at)
{
    char path[PATH_MAX];
    FdKind kind = shim_control != NULL ? kind_of(fd, path, sizeof path) : NOT_COUNTED;
    struct iovec first = n > 0 ? parts[0] : (struct iovec){0};
    Verdict verdict = {.mode = SHIM_COUNT};
    ssize_t done = 0;
    if (kind == A_FILE)
        pthread_mutex_lock(&lock);
    if (kind != NOT_COUNTED)
        verdict = count_call(kind == A_FILE ? CALL_WRITE : CALL_SEND, name, path);
    if (kind == A_FILE && shim_tracks())
        shim_disk_writing(fd, false);
    first.iov_len = length_of(verdict, first.iov_len);
    if (verdict.fails != 0)
        done = refuse(verdict.fails);
    else if (at >= 0)
        done = syscall(SYS_pwrite64, fd, first.iov_base, first.iov_len, at);
    else if (n == 1 || verdict.mode != SHIM_COUNT)
        done = syscall(SYS_write, fd, first.iov_base, first.iov_len);
    else
        done = syscall(SYS_writev, fd, parts, n);
    leave(verdict);
    if (kind == A_FILE) {
        int code = errno;
        pthread_mutex_unlock(&lock);
        errno = code;
    }
    return done;
}

ssize_t write(int fd, const void *bytes, size_t len)
{
    struct iovec one = {.iov_base = (void *)bytes, .iov_len = len};
    return put("write", fd, &one, 1, -1);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    struct iovec one = {.iov_base = (void *)bytes, .iov_len = len};
    return put("pwrite", fd, &one, 1, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at)
{
    return pwrite(fd, bytes, len, at);
}

ssize_t writev(int fd, const struct iovec *parts, int n)
{
    return put("writev", fd, parts, n, -1);
}

static ssize_t send_part(int fd, const struct msghdr *message, int flags, const char *name)
{
    char path[PATH_MAX];
    Verdict verdict = {.mode = SHIM_COUNT};
    struct msghdr part = *message;
    struct iovec first = part.msg_iovlen > 0 ? part.msg_iov[0] : (struct iovec){0};
    if (shim_control != NULL && kind_of(fd, path, sizeof path) == A_SOCKET)
        verdict = count_call(CALL_SEND, name, path);
    if (verdict.fails == ECONNRESET)
        syscall(SYS_shutdown, fd, SHUT_RDWR); /* the reader hears of it too, as in life */
    if (verdict.fails != 0)
        return refuse(verdict.fails);
    if (verdict.mode == SHIM_SHORT) {
        first.iov_len = length_of(verdict, first.iov_len);
        part.msg_iov = &first;
        part.msg_iovlen = 1;
    }
    ssize_t done = syscall(SYS_sendmsg, fd, &part, flags);
    leave(verdict);
    return done;
}

ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
    struct iovec one = {.iov_base = (void *)bytes, .iov_len = len};
    struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1};
    return send_part(fd, &message, flags, "send");
}

/* Of a type that glibc alone can name: it takes every sockaddr_*. */
ssize_t sendto(int fd, const void *bytes, size_t len, int flags, __CONST_SOCKADDR_ARG to,
               socklen_t to_len)
{
    struct iovec one = {.iov_base = (void *)bytes, .iov_len = len};
    struct msghdr message = {.msg_name = (void *)(uintptr_t)to.__sockaddr__,
                             .msg_namelen = to_len,
                             .msg_iov = &one,
                             .msg_iovlen = 1};
    return send_part(fd, &message, flags, "send");
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    return send_part(fd, message, flags, "sendmsg");
}

static int truncate_fd(int fd, off_t len)
{
    char path[PATH_MAX];
    if (shim_control == NULL || kind_of(fd, path, sizeof path) != A_FILE)
        return (int)syscall(SYS_ftruncate, fd, len);
    pthread_mutex_lock(&lock);
    Verdict verdict = count_call(CALL_WRITE, "ftruncate", path);
    if (shim_tracks())
        shim_disk_writing(fd, false);
    int rc = verdict.fails != 0 ? (int)refuse(verdict.fails) : (int)syscall(SYS_ftruncate, fd, len);
    leave(verdict);
    pthread_mutex_unlock(&lock);
    return rc;
}

int ftruncate(int fd, off_t len)
{
    return truncate_fd(fd, len);
}

int ftruncate64(int fd, off64_t len)
{
    return truncate_fd(fd, len);
}

/* ---- syncs ---- */

static int sync_fd(int fd, const char *name)
{
    char path[PATH_MAX];
    struct stat st;
    if (shim_control == NULL || kind_of(fd, path, sizeof path) != A_FILE)
        return 0; /* nothing here outlives the test */
    pthread_mutex_lock(&lock);
    Verdict verdict = count_call(CALL_SYNC, name, path);
    if (shim_tracks() && verdict.fails == 0)
        shim_disk_synced(fd, path, fstat(fd, &st) == 0 && S_ISDIR(st.st_mode));
    else if (shim_tracks())
        shim_disk_sync_failed(fd);
    leave(verdict);
    pthread_mutex_unlock(&lock);
    return verdict.fails != 0 ? (int)refuse(verdict.fails) : 0;
}

int fsync(int fd)
{
    return sync_fd(fd, "fsync");
}

int fdatasync(int fd)
{
    return sync_fd(fd, "fdatasync");
}

int syncfs(int fd)
{
    char path[PATH_MAX];
    if (shim_control == NULL || kind_of(fd, path, sizeof path) != A_FILE)
        return 0;
    pthread_mutex_lock(&lock);
    Verdict verdict = count_call(CALL_SYNC, "syncfs", path);
    if (shim_tracks() && verdict.fails == 0)
        shim_disk_all_synced();
    leave(verdict);
    pthread_mutex_unlock(&lock);
    return verdict.fails != 0 ? (int)refuse(verdict.fails) : 0;
}

/* ---- names ---- */

static int open_at(int dirfd, const char *name, int flags, mode_t mode)
{
    char path[PATH_MAX];
    struct stat st;
    if (shim_control == NULL || (flags & (O_CREAT | O_TRUNC)) == 0 ||
        (flags & O_TMPFILE) == O_TMPFILE)
        return (int)syscall(SYS_openat, dirfd, name, flags, mode);
    absolute(dirfd, name, path, sizeof path);
    bool there = fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (!below_roots(path) || (there && (flags & O_TRUNC) == 0))
        return (int)syscall(SYS_openat, dirfd, name, flags, mode);
    pthread_mutex_lock(&lock);
    Verdict verdict = count_call(CALL_OPEN, there ? "open O_TRUNC" : "open O_CREAT", path);
    int fd = verdict.fails != 0 ? (int)refuse(verdict.fails) : -1;
    if (verdict.fails == 0) {
        if (there && shim_tracks()) { /* what is cut off is read before */
            int old = (int)syscall(SYS_openat, dirfd, name, O_RDONLY | O_CLOEXEC, 0);
            shim_disk_writing(old, false);
            syscall(SYS_close, old);
        }
        fd = (int)syscall(SYS_openat, dirfd, name, flags, mode);
        int code = errno;
        if (fd >= 0 && !there && shim_tracks()) {
            shim_disk_made(path, false);
            shim_disk_writing(fd, true);
        }
        errno = code;
    }
    leave(verdict);
    pthread_mutex_unlock(&lock);
    return fd;
}

static mode_t mode_argument(int flags, va_list rest)
{
    return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? (mode_t)va_arg(rest, int)
                                                                      : 0;
}

#define OPENER(name)                                                                               \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        mode_t mode = mode_argument(flags, rest);                                                  \
        va_end(rest);                                                                              \
        return open_at(AT_FDCWD, path, flags, mode);                                               \
    }
OPENER(open)
OPENER(open64)

#define OPENER_AT(name)                                                                            \
    int name(int dirfd, const char *path, int flags, ...)                                          \
    {                                                                                              \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        mode_t mode = mode_argument(flags, rest);                                                  \
        va_end(rest);                                                                              \
        return open_at(dirfd, path, flags, mode);                                                  \
    }
OPENER_AT(openat)
OPENER_AT(openat64)

typedef struct {
    const char *name;
    long number;
    int from_dir, to_dir, flags;
    const char *from, *to; /* to: rename and link only */
    mode_t mode;
} NameCall;

static int call(const NameCall *c)
{
    if (c->to != NULL)
        return (int)syscall(c->number, c->from_dir, c->from, c->to_dir, c->to, c->flags);
    return c->number == SYS_mkdirat ? (int)syscall(c->number, c->from_dir, c->from, c->mode)
                                    : (int)syscall(c->number, c->from_dir, c->from, c->flags);
}

/* Tells the disk about a call that is going to work; what its kernel would refuse is not told. */
static void remember(const NameCall *c, const char *from, const char *to)
{
    struct stat st;
    bool there = fstatat(AT_FDCWD, from, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (c->number == SYS_mkdirat && !there)
        shim_disk_made(from, true);
    else if (c->number == SYS_unlinkat && there)
        shim_disk_removing(from, (c->flags & AT_REMOVEDIR) != 0);
    else if (c->to != NULL && there)
        shim_disk_naming(from, to, c->number == SYS_linkat);
}

static bool would_work(const NameCall *c, const char *from, const char *to)
{
    struct stat st;
    bool there = fstatat(AT_FDCWD, from, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (c->number == SYS_mkdirat)
        return !there;
    if (c->number == SYS_unlinkat && there)
        return S_ISDIR(st.st_mode) == ((c->flags & AT_REMOVEDIR) != 0);
    return there && (c->number != SYS_linkat || fstatat(AT_FDCWD, to, &st, 0) != 0);
}

static int name_call(NameCall c)
{
    char from[PATH_MAX], to[PATH_MAX] = "";
    if (shim_control == NULL)
        return call(&c);
    absolute(c.from_dir, c.from, from, sizeof from);
    if (c.to != NULL)
        absolute(c.to_dir, c.to, to, sizeof to);
    if (!below_roots(c.to != NULL ? to : from) || !would_work(&c, from, to))
        return call(&c);
    pthread_mutex_lock(&lock);
    Verdict verdict = count_call(CALL_NAME, c.name, c.to != NULL ? to : from);
    if (verdict.fails == 0 && shim_tracks())
        remember(&c, from, to);
    int rc = verdict.fails != 0 ? (int)refuse(verdict.fails) : call(&c), code = errno;
    leave(verdict);
    pthread_mutex_unlock(&lock);
    errno = code;
    return rc;
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    return name_call(
        (NameCall){"rename", SYS_renameat2, from_dir, to_dir, (int)flags, from, to, 0});
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return renameat2(from_dir, from, to_dir, to, 0);
}

int rename(const char *from, const char *to)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    return name_call((NameCall){"link", SYS_linkat, from_dir, to_dir, flags, from, to, 0});
}

int link(const char *from, const char *to)
{
    return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlinkat(int dir, const char *path, int flags)
{
    return name_call((NameCall){"unlink", SYS_unlinkat, dir, 0, flags, path, NULL, 0});
}

int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
    return name_call((NameCall){"mkdir", SYS_mkdirat, dir, 0, 0, path, NULL, mode});
}

int mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}
