/* clock.h - the only way to know the time. Real in lib/runtime/clock_real.c; tests turn their own.
 * Times are int64_t microseconds: monotonic for timeouts, UTC since 1970 for what is stored or
 * shown. */
#pragma once
#include <stdint.h>

typedef struct SlClock {
    int64_t (*utc_us)(void *user);
    int64_t (*monotonic_us)(void *user);
    void *user;
} SlClock;

#define SL_SECOND_US INT64_C(1000000)
#define SL_MINUTE_US (60 * SL_SECOND_US)
#define SL_HOUR_US (60 * SL_MINUTE_US)
#define SL_DAY_US (24 * SL_HOUR_US)
