/* adopt.c - finds out whether a folder's sluice-exec still runs: (pid, start time, boot id), so
 * that a recycled pid is nobody. */
#include "agent/engines/process/process.h"
#include "base/auto.h"
#include "base/text.h"
#include "runtime/atomicfile.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define RECORD_MAX 4096

/* Value of `key: value` in a record; NULL if absent. (transfer full) */
static char *field(GBytes *record, const char *key)
{
    size_t len = 0;
    const char *text = record ? g_bytes_get_data(record, &len) : NULL;
    g_autofree char *copy = text ? g_strndup(text, len) : NULL;
    g_auto(GStrv) lines = copy ? g_strsplit(copy, "\n", 64) : NULL;
    g_autofree char *start = g_strconcat(key, ": ", NULL);
    for (char **line = lines; line && *line; line++)
        if (g_str_has_prefix(*line, start))
            return g_strdup(*line + strlen(start));
    return NULL;
}

static int64_t number(GBytes *record, const char *key, int64_t otherwise)
{
    int64_t value;
    g_autofree char *text = field(record, key);
    return text && sl_parse_int64(text, &value) ? value : otherwise;
}

static bool flag(GBytes *record, const char *key)
{
    g_autofree char *text = field(record, key);
    return g_strcmp0(text, "yes") == 0;
}

static GBytes *read_record(const char *dir, const char *name)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    return sl_file_read(path, RECORD_MAX, NULL);
}

/* /proc files have no size: read them plainly. */
static char *read_proc(const char *path)
{
    char text[2048];
    sl_autofd fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    return n > 0 ? g_strndup(text, (size_t)n) : NULL;
}

static bool same_boot(GBytes *record)
{
    g_autofree char *recorded = field(record, "boot"),
                    *now = read_proc("/proc/sys/kernel/random/boot_id");
    return recorded && now && strcmp(recorded, g_strstrip(now)) == 0;
}

/* State letter and start time (fields 3 and 22) of a process; false if there is none. */
static bool read_stat(int64_t pid, char *ret_state, int64_t *ret_start)
{
    g_autofree char *path = g_strdup_printf("/proc/%" G_GINT64_FORMAT "/stat", pid);
    g_autofree char *text = read_proc(path);
    char *at = text ? strrchr(text, ')') : NULL;
    if (!at || strlen(at) < 4)
        return false;
    *ret_state = at[2];
    for (int i = 2; at && i < 22; i++)
        at = strchr(at + 1, ' ');
    if (!at)
        return false;
    *ret_start = strtoll(at + 1, NULL, 10);
    return true;
}

int64_t sl_shim_pid(const char *dir)
{
    g_autoptr(GBytes) record = read_record(dir, "pid");
    return number(record, "pid", 0);
}

SlShimState sl_shim_look(const char *dir, int *ret_pidfd)
{
    *ret_pidfd = -1;
    g_autoptr(GBytes) record = read_record(dir, "pid");
    g_autoptr(GBytes) ended = read_record(dir, "exit");
    if (ended)
        return SL_SHIM_ENDED;
    if (!record)
        return SL_SHIM_NEVER;
    int64_t pid = number(record, "pid", 0), start = 0;
    char state = 'Z';
    sl_autofd pidfd =
        pid > 0 && same_boot(record) ? (int)syscall(SYS_pidfd_open, (pid_t)pid, 0) : -1;
    /* Look only after the pidfd is open: whoever has that start time now is the one that the pidfd
     * means. */
    if (pidfd >= 0 && read_stat(pid, &state, &start) && state != 'Z' &&
        start == number(record, "start", -1)) {
        *ret_pidfd = sl_steal_fd(&pidfd);
        return SL_SHIM_RUNNING;
    }
    g_autoptr(GBytes) meanwhile = read_record(dir, "exit");
    return meanwhile ? SL_SHIM_ENDED : SL_SHIM_LOST;
}

void sl_exit_read(const char *dir, SlExit *ret_exit)
{
    g_autoptr(GBytes) record = read_record(dir, "exit");
    *ret_exit = (SlExit){
        .code = (int)number(record, "code", -1),
        .signal = (int)number(record, "signal", 0),
        .rank = (unsigned)number(record, "rank", 0),
        .oom = flag(record, "oom"),
        .timed_out = flag(record, "timed-out"),
        .stopped = flag(record, "stopped"),
        .lost = record == NULL,
        .started_us = number(record, "started", 0),
        .finished_us = number(record, "finished", 0),
        .error = field(record, "error"),
    };
}

void sl_exit_clear(SlExit *exit)
{
    g_clear_pointer(&exit->error, g_free);
}
