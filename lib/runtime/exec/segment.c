/* segment.c - output of one stream in capped segments; the oldest is removed when there are more
 * than `keep`. A full disk drops output and never stops the program. */
#include "exec.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void name_of(const ExecSegments *s, uint64_t start, char *ret_name, size_t size)
{
    snprintf(ret_name, size, "%s.%u.%llu", s->stream, s->rank, (unsigned long long)start);
}

static void open_next(ExecSegments *s)
{
    char name[96];
    name_of(s, s->start, name, sizeof name);
    s->fd = openat(s->dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    s->written = 0;
    s->starts[s->count++] = s->start;
    while (s->count > s->keep) {
        name_of(s, s->starts[0], name, sizeof name);
        unlinkat(s->dirfd, name, 0);
        memmove(s->starts, s->starts + 1, --s->count * sizeof s->starts[0]);
    }
}

void exec_segments_open(ExecSegments *s, int dirfd, const char *stream, unsigned rank)
{
    uint64_t cap = s->cap, keep = s->keep;
    *s = (ExecSegments){.dirfd = dirfd, .fd = -1, .rank = rank, .cap = cap, .keep = keep};
    snprintf(s->stream, sizeof s->stream, "%s", stream);
    open_next(s);
}

void exec_segments_write(ExecSegments *s, const char *bytes, size_t len)
{
    while (len > 0) {
        uint64_t room = s->cap - s->written;
        size_t part = len < room ? len : (size_t)room;
        if (part == 0) {
            exec_segments_close(s);
            s->start += s->written;
            open_next(s);
            continue;
        }
        for (size_t done = 0; s->fd >= 0 && done < part;) {
            ssize_t n = write(s->fd, bytes + done, part - done);
            if (n < 0 && errno == EINTR)
                continue;
            if (n < 0)
                break;
            done += (size_t)n;
        }
        bytes += part;
        len -= part;
        s->written += part;
    }
}

void exec_segments_close(ExecSegments *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}
