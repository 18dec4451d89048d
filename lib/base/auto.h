/* auto.h - cleanup types beyond GLib's: file descriptors and secrets. */
#pragma once
#include <glib.h>
#include <unistd.h>

static inline void sl_close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}
#define sl_autofd __attribute__((cleanup(sl_close_fd))) int

static inline int sl_steal_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}
