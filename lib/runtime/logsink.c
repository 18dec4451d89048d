/* logsink.c - writes log lines to a descriptor without ever waiting for its reader. Loop thread.
 *
 * A full pipe (a stopped terminal, a hung log collector) must not stop the daemon: a line that
 * can't be written at once is counted, and the next line that can be written says how many are
 * missing. */
#include "runtime/logsink.h"

#include "runtime/loop.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct SlLogSink {
    int fd;
    bool journal; /* prefix "<N>", no time stamp */
    uint64_t dropped;
    SlLog *log;
};

/* systemd says in JOURNAL_STREAM which device and inode its own stream has (sd-daemon(3)). */
static bool is_journal(int fd)
{
    const char *stream = g_getenv("JOURNAL_STREAM");
    struct stat st;
    if (stream == NULL || fstat(fd, &st) != 0) {
        return false;
    }
    g_autofree char *own = g_strdup_printf("%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT,
                                           (guint64)st.st_dev, (guint64)st.st_ino);
    return strcmp(stream, own) == 0;
}

static int journal_level(SlLogLevel level)
{
    static const int levels[] = {
        [SL_LOG_DEBUG] = 7, [SL_LOG_INFO] = 6, [SL_LOG_WARNING] = 4, [SL_LOG_ERROR] = 3};
    return levels[level];
}

/* poll() says writable when at least PIPE_BUF bytes fit, so a write of at most that does not block.
 */
static bool put(int fd, const char *text, size_t len)
{
    for (size_t at = 0; at < len;) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        if (poll(&p, 1, 0) != 1 || (p.revents & POLLOUT) == 0) {
            return false;
        }
        ssize_t done = write(fd, text + at, MIN(len - at, PIPE_BUF));
        if (done <= 0 && errno != EINTR) {
            return false;
        }
        at += done > 0 ? (size_t)done : 0;
    }
    return true;
}

static void write_line(const char *line, SlLogLevel level, void *user)
{
    SlLogSink *sink = user;
    g_autoptr(GString) text = g_string_new(NULL);
    if (sink->journal) {
        g_string_append_printf(text, "<%d>", journal_level(level));
    }
    g_string_append(text, line);
    if (sink->dropped > 0) {
        g_string_append_printf(text, " dropped=%" G_GUINT64_FORMAT, sink->dropped);
    }
    g_string_append_c(text, '\n');
    if (put(sink->fd, text->str, text->len)) {
        sink->dropped = 0;
    } else {
        sink->dropped++;
    }
}

static int64_t now_us(void *unused)
{
    (void)unused;
    return sl_clock_real.utc_us(NULL);
}

SlLogSink *sl_log_sink_new(int fd, SlLogLevel least, SlLog **ret_log)
{
    SlLogSink *sink = g_new0(SlLogSink, 1);
    sink->fd = fd;
    sink->journal = is_journal(fd);
    sink->log = sl_log_new(least, write_line, sink->journal ? NULL : now_us, sink);
    *ret_log = sink->log;
    return sink;
}

void sl_log_sink_free(SlLogSink *sink)
{
    if (sink == NULL) {
        return;
    }
    sl_log_free(sink->log);
    g_free(sink);
}
