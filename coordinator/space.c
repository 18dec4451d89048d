/* space.c - room on the disk of the state folder. The ballast, a file of no use, is given back when
 * room gets short, so that what must be written (heads need their ledger, runs their ends) still can
 * be; from then on requests are refused and sources rest, until the ballast can be made again. */
#include "base/auto.h"
#include "coordinator/coordinator.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LOOK_US (2 * SL_SECOND_US)
/* Room that is short, as a part of the ballast: 8 MiB of 64, the batches of some seconds. */
#define LOW_PART 8

static uint64_t low_bytes(const SlCoordinator *c)
{
    return c->config->ballast_bytes / LOW_PART;
}

/* None where nothing can be written; UINT64_MAX if the file system does not say. */
static uint64_t free_bytes(const SlCoordinator *c)
{
    struct statvfs fs;
    if (statvfs(c->config->dir, &fs) != 0)
        return UINT64_MAX;
    if (fs.f_flag & ST_RDONLY)
        return 0;
    return (uint64_t)fs.f_bavail * fs.f_frsize;
}

static char *ballast_path(const SlCoordinator *c)
{
    return g_build_filename(c->config->dir, "ballast", NULL);
}

static bool has_ballast(const char *path, uint64_t bytes)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == bytes &&
           (uint64_t)st.st_blocks * 512 >= bytes;
}

/* True if it is whole on the disk, with room to spare beside it. */
static bool make_ballast(const SlCoordinator *c)
{
    g_autofree char *path = ballast_path(c);
    uint64_t bytes = c->config->ballast_bytes, room = free_bytes(c);
    bool there = has_ballast(path, bytes);
    uint64_t wanted = 2 * low_bytes(c) + (there ? 0 : bytes);
    if (room < wanted)
        return false;
    sl_autofd fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    /* Cut first: one of another configuration may be larger, and would not be known as ours. */
    if (fd >= 0 &&
        (there || (ftruncate(fd, (off_t)bytes) == 0 && posix_fallocate(fd, 0, (off_t)bytes) == 0)))
        return true;
    if (fd >= 0)
        unlink(path);
    return false;
}

static bool give_back(const SlCoordinator *c)
{
    g_autofree char *path = ballast_path(c);
    return has_ballast(path, c->config->ballast_bytes) && unlink(path) == 0;
}

static void enough(SlCoordinator *c)
{
    c->short_since_us = 0;
    g_clear_pointer(&c->short_why, g_free);
    sl_log(c->log, SL_LOG_INFO, "storage-enough", "dir", c->config->dir, NULL);
    sl_polls_poke(c, NULL); /* sources rested */
}

bool sl_space_lost(SlCoordinator *c, const char *why)
{
    bool more = give_back(c);
    if (c->short_since_us != 0)
        return more;
    c->short_since_us = sl_now_us(c);
    c->short_why = g_strdup(why);
    sl_log(c->log, SL_LOG_WARNING, "storage-short", "dir", c->config->dir, "why", why, "ballast",
           more ? "given back" : "none", NULL);
    return more;
}

static void look(void *user)
{
    SlCoordinator *c = user;
    if (c->short_since_us != 0 && make_ballast(c)) {
        enough(c);
    } else if (c->short_since_us == 0 && free_bytes(c) < low_bytes(c)) {
        g_autofree char *why = g_strdup_printf(
            "%s is on a disk without room for what must be written", c->config->dir);
        sl_space_lost(c, why);
    }
    sl_timer_arm(c->space_timer, LOOK_US);
}

/* Before anything is written: a start on a full disk lives from the ballast too. */
void sl_space_init(SlCoordinator *c)
{
    if (make_ballast(c))
        return;
    g_autofree char *why =
        g_strdup_printf("%s is on a disk without room for what must be written", c->config->dir);
    sl_space_lost(c, why);
}

void sl_space_start(SlCoordinator *c)
{
    c->space_timer = sl_timer_new(c->loop, look, c);
    sl_timer_arm(c->space_timer, LOOK_US);
}

void sl_space_free(SlCoordinator *c)
{
    sl_timer_free(c->space_timer);
    g_clear_pointer(&c->short_why, g_free);
}
