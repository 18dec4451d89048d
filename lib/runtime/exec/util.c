/* util.c - small things that both modes of sluice-exec share: dying, clocks, atomic files,
 * identity, going to the background. */
#include "exec.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int ready_pipe =
    -1; /* the launcher waits on its other end: a byte = the exit code, nothing = we died */

_Noreturn void exec_die(int code, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    dprintf(STDERR_FILENO, "sluice-exec: %s\n", text);
    if (ready_pipe >= 0) {
        unsigned char byte = (unsigned char)code;
        (void)!write(ready_pipe, &byte, 1);
    }
    _exit(code);
}

static int64_t now_us(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t exec_utc_us(void)
{
    return now_us(CLOCK_REALTIME);
}

int64_t exec_monotonic_us(void)
{
    return now_us(CLOCK_BOOTTIME);
}

bool exec_parse_uint(const char *text, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (*text == '\0' || strlen(text) > 19)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (uint64_t)(*text - '0');
    }
    if (value > max)
        return false;
    *ret_value = value;
    return true;
}

static bool write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

bool exec_write_atomic(int dirfd, const char *name, const char *text, size_t len)
{
    char temp[128];
    snprintf(temp, sizeof temp, ".%s.tmp", name);
    int fd = openat(dirfd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    bool ok = write_all(fd, text, len) && fsync(fd) == 0;
    close(fd);
    return ok && renameat(dirfd, temp, dirfd, name) == 0 && fsync(dirfd) == 0;
}

char *exec_read_file(int dirfd, const char *name, size_t max, size_t *ret_len)
{
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return NULL;
    struct stat st;
    char *bytes = NULL;
    size_t len = 0;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= 0 && (size_t)st.st_size <= max)
        bytes = malloc((size_t)st.st_size + 1);
    while (bytes && len < (size_t)st.st_size) {
        ssize_t n = read(fd, bytes + len, (size_t)st.st_size - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    close(fd);
    if (!bytes)
        return NULL;
    bytes[len] = '\0';
    *ret_len = len;
    return bytes;
}

/* Field 22 of /proc/self/stat; the name in field 2 may hold spaces and brackets, so count from the
 * last ')'. */
static uint64_t own_start_time(void)
{
    char text[2048];
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    char *field = strrchr(text, ')');
    for (int i = 2; field && i < 22; i++)
        field = strchr(field + 1, ' ');
    return field ? strtoull(field + 1, NULL, 10) : 0;
}

bool exec_write_identity(int dirfd, const char *name, const char *more)
{
    char boot[64] = "", text[512];
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, boot, sizeof boot - 1);
    if (fd >= 0)
        close(fd);
    boot[n > 0 ? n : 0] = '\0';
    boot[strcspn(boot, "\n")] = '\0';
    int len = snprintf(text, sizeof text, "format: 1\npid: %ld\nstart: %llu\nboot: %s\n%s",
                       (long)getpid(), (unsigned long long)own_start_time(), boot, more);
    return len > 0 && (size_t)len < sizeof text &&
           exec_write_atomic(dirfd, name, text, (size_t)len);
}

void exec_cloexec_all(void)
{
    /* Descriptors that the agent leaked would keep its sockets and locks alive in our children. */
    if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0)
        for (int fd = 3; fd < 1024; fd++)
            fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void exec_detach(void)
{
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC) != 0)
        exec_die(1, "pipe: %s", strerror(errno));
    pid_t pid = fork();
    if (pid < 0)
        exec_die(1, "fork: %s", strerror(errno));
    if (pid > 0) {
        unsigned char code = 1;
        close(pipes[1]);
        ssize_t n;
        do
            n = read(pipes[0], &code, 1);
        while (n < 0 && errno == EINTR);
        _exit(n == 1 ? code : 1);
    }
    close(pipes[0]);
    ready_pipe = pipes[1];
    if (setsid() < 0)
        exec_die(1, "setsid: %s", strerror(errno));
    umask(0077);
}

void exec_ready(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; null >= 0 && fd < 3; fd++)
        dup2(null, fd);
    unsigned char code = 0;
    (void)!write(ready_pipe, &code, 1);
    close(ready_pipe);
    ready_pipe = -1;
}
