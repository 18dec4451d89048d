/* clock_real.c - the real clock and real randomness: the two inputs that pure rooms must be given.
 * Any thread. */
#include "runtime/loop.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;
    if (clock_gettime(id, &ts) != 0) {
        g_error("clock_gettime failed");
    }
    return (int64_t)ts.tv_sec * SL_SECOND_US + ts.tv_nsec / 1000;
}

static int64_t utc_us(void *user)
{
    (void)user;
    return read_clock(CLOCK_REALTIME);
}

static int64_t monotonic_us(void *user)
{
    (void)user;
    return read_clock(CLOCK_MONOTONIC);
}

const SlClock sl_clock_real = {.utc_us = utc_us, .monotonic_us = monotonic_us};

void sl_random_bytes(void *bytes, size_t len)
{
    uint8_t *at = bytes;
    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0 && errno != EINTR) {
            g_error("getrandom: %s", g_strerror(errno));
        }
        if (got > 0) {
            at += got;
            len -= (size_t)got;
        }
    }
}
