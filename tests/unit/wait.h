/* wait.h - how a test waits for what a loop does: until it is so, and a test that waits in vain fails
 * and says for what. Never a sleep. */
#pragma once
#include "runtime/loop.h"
#include "sluice/clock.h"

#define DEADLINE_US (30 * SL_SECOND_US)

/* Turns the loop until the condition holds. */
#define wait_within(loop, limit_us, condition)                                                     \
    do {                                                                                           \
        int64_t wait_end_us = sl_clock_real.monotonic_us(NULL) + (limit_us);                       \
        while (!(condition)) {                                                                     \
            if (sl_clock_real.monotonic_us(NULL) >= wait_end_us) {                                 \
                g_error("%s:%d: waited in vain: %s", __FILE__, __LINE__, #condition);              \
            }                                                                                      \
            sl_loop_turn(loop, SL_SECOND_US / 100);                                                \
        }                                                                                          \
    } while (0)

#define wait_for(loop, condition) wait_within(loop, DEADLINE_US, condition)
