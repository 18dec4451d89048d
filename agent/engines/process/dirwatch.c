/* dirwatch.c - one inotify descriptor for all folders that the engine watches. A queue overflow
 * calls everybody: level, not edge. */
#include "agent/engines/process/process.h"
#include "base/auto.h"
#include <errno.h>
#include <sys/inotify.h>

#define MASK                                                                                       \
    (IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE |            \
     IN_ATTRIB | IN_ONLYDIR)

typedef struct {
    unsigned id;
    int wd;
    void (*changed)(void *user);
    void *user;
    bool due;
} Entry;

struct SlDirWatch {
    int fd;
    SlWatch *watch;
    GPtrArray *entries; /* of Entry* */
    unsigned last_id;
};

static void mark(SlDirWatch *watch, int wd)
{
    for (guint i = 0; i < watch->entries->len; i++) {
        Entry *entry = g_ptr_array_index(watch->entries, i);
        if (wd < 0 || entry->wd == wd)
            entry->due = true;
    }
}

static void ready(int fd, unsigned events, void *data)
{
    (void)events;
    SlDirWatch *watch = data;
    char bytes[16384] __attribute__((aligned(8)));
    ssize_t n = read(fd, bytes, sizeof bytes);
    for (char *at = bytes; n > 0 && at < bytes + n;) {
        struct inotify_event *event = (struct inotify_event *)(void *)at;
        mark(watch, event->mask & IN_Q_OVERFLOW ? -1 : event->wd);
        at += sizeof *event + event->len;
    }
    /* A callback may add and remove entries: start again after each. */
    for (guint i = 0; i < watch->entries->len;) {
        Entry *entry = g_ptr_array_index(watch->entries, i++);
        if (!entry->due)
            continue;
        entry->due = false;
        entry->changed(entry->user);
        i = 0;
    }
}

SlDirWatch *sl_dirwatch_new(SlLoop *loop, GError **error)
{
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0)
        return sl_throw_null(error, SLU_INTERNAL, "inotify: %s", g_strerror(errno));
    SlDirWatch *watch = g_new0(SlDirWatch, 1);
    watch->fd = fd;
    watch->entries = g_ptr_array_new_with_free_func(g_free);
    watch->watch = sl_watch_new(loop, fd, SL_READABLE, ready, watch);
    return watch;
}

void sl_dirwatch_free(SlDirWatch *watch)
{
    if (!watch)
        return;
    sl_watch_free(watch->watch);
    sl_close_fd(&watch->fd);
    g_ptr_array_unref(watch->entries);
    g_free(watch);
}

unsigned sl_dirwatch_add(SlDirWatch *watch, const char *dir, void (*changed)(void *user),
                         void *user)
{
    int wd = inotify_add_watch(watch->fd, dir, MASK);
    if (wd < 0)
        return 0;
    Entry *entry = g_new0(Entry, 1);
    *entry = (Entry){.id = ++watch->last_id, .wd = wd, .changed = changed, .user = user};
    g_ptr_array_add(watch->entries, entry);
    return entry->id;
}

void sl_dirwatch_remove(SlDirWatch *watch, unsigned id)
{
    int wd = -1;
    for (guint i = 0; i < watch->entries->len; i++) {
        Entry *entry = g_ptr_array_index(watch->entries, i);
        if (entry->id == id) {
            wd = entry->wd;
            g_ptr_array_remove_index(watch->entries, i);
            break;
        }
    }
    for (guint i = 0; wd >= 0 && i < watch->entries->len; i++)
        if (((Entry *)g_ptr_array_index(watch->entries, i))->wd == wd)
            return; /* somebody else watches that folder */
    if (wd >= 0)
        inotify_rm_watch(watch->fd, wd);
}
