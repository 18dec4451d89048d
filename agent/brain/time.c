/* time.c - which time the agent believes. Trusted time is the wall clock, but never less than the
 * `issued` of the newest head that was accepted (durable): a clock set back can't make an old
 * statement young again. The wall clock itself is never made durable: a clock that once jumped
 * ahead must not lock the agent up after it was corrected. Expiry only blocks what is new. */
#include "agent/brain/state.h"

/* What elapsed is not taken from the wall clock: set ahead, it would age every timer, and an
 * unconfirmed promotion would be gone back from. */
void sl_agent_clock(SlAgent *a, int64_t now_us, int64_t monotonic_us)
{
    bool counts = a->monotonic_us != 0 && monotonic_us != 0;
    int64_t lived_us = counts ? monotonic_us - a->monotonic_us : now_us - a->now_us;
    if (a->now_us != 0 && lived_us > 0) {
        a->elapsed_us += lived_us;
    }
    a->now_us = now_us;
    a->monotonic_us = monotonic_us;
}

int64_t sl_agent_trusted(const SlAgent *a)
{
    return MAX(a->now_us, a->trusted_us);
}

/* Wakes when the trusted time reaches @utc_us. While the wall clock is behind, this is early:
 * harmless. */
void sl_agent_wake_at(SlAgent *a, int64_t utc_us)
{
    int64_t left = utc_us - sl_agent_trusted(a);
    if (left > 0 && left < 400 * SL_DAY_US) {
        sl_agent_wake(a, a->elapsed_us + left + 1);
    }
}

bool sl_agent_head_fresh(const SlAgent *a)
{
    return a->head.digest != NULL && sl_agent_trusted(a) < a->head.expires_us;
}

/* A new head may have taken back what the list before it names: until its own list is read, nothing of that starts. */
bool sl_agent_may_start(const SlAgent *a)
{
    return sl_agent_head_fresh(a) && g_strcmp0(a->list_root, a->head.desired) == 0;
}

void sl_agent_clock_flags(SlAgent *a)
{
    g_autofree char *behind = NULL;
    if (a->trusted_us > a->now_us + SL_AGENT_SKEW_US) {
        g_autofree char *by = sl_format_duration(a->trusted_us - a->now_us);
        behind =
            g_strdup_printf("this clock is %s behind the newest accepted head; set it right", by);
    }
    sl_agent_flag(a, "clock", behind, a->now_us);
    g_autofree char *stale = NULL;
    if (a->head.digest != NULL && !sl_agent_head_fresh(a)) {
        g_autofree char *when = sl_format_time(a->head.expires_us);
        stale = g_strdup_printf(
            "the last head expired at %s: what runs goes on, nothing new starts", when);
    }
    sl_agent_flag(a, "stale-head", stale, a->now_us);
    if (a->head.digest != NULL) {
        sl_agent_wake_at(a, a->head.expires_us);
    }
}
