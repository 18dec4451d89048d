/* clock.c - which time the coordinator believes (ADR 0020). It lives by what passed since the step
 * before (monotonic); the wall clock corrects that by up to five minutes at once, and by more only if
 * the clocks that agents sign in their reports do not say otherwise. So a step of the wall clock ages
 * nothing: no attempt, no token, no window. Most agents against this machine: nothing new is rendered
 * to be signed until its clock is right. Whoever is wrong is named in an alarm. */
#include "coordinator/brain/brain.h"

#define SKEW_US (5 * SL_MINUTE_US)
#define HEARD_US (2 * SL_MINUTE_US) /* who reports, does it every 30 s at least */
#define LOOK_US SL_SECOND_US        /* not at each of thousands of reports */

typedef struct {
    guint all, ahead, behind, near, far; /* of what is believed; far: they agree with the wall */
    int64_t ahead_us, behind_us;         /* the least that one of them is off by */
} Votes;

static bool is_off(int64_t off_us)
{
    return off_us > SKEW_US || off_us < -SKEW_US;
}

static bool is_heard(const SlCoord *c, const SlSeen *seen)
{
    return seen->clock_known && c->lived_us - seen->clock_lived_us <= HEARD_US;
}

/* @wall_off_us: the wall clock less what is believed. */
static Votes count(const SlCoord *c, int64_t wall_off_us)
{
    Votes votes = {.ahead_us = INT64_MAX, .behind_us = INT64_MAX};
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, c->seen);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const SlSeen *seen = value;
        if (!is_heard(c, seen)) {
            continue;
        }
        votes.all++;
        votes.far += is_off(seen->clock_off_us - wall_off_us) ? 0 : 1;
        if (!is_off(seen->clock_off_us)) {
            votes.near++;
        } else if (seen->clock_off_us > 0) {
            votes.ahead++;
            votes.ahead_us = MIN(votes.ahead_us, seen->clock_off_us);
        } else {
            votes.behind++;
            votes.behind_us = MIN(votes.behind_us, -seen->clock_off_us);
        }
    }
    return votes;
}

int64_t sl_coord_time(const SlCoord *c, int64_t wall_us, int64_t monotonic_us)
{
    if (c->monotonic_us == 0 || monotonic_us == 0) {
        return wall_us;
    }
    int64_t at_us = c->now_us + (monotonic_us - c->monotonic_us);
    if (!is_off(wall_us - at_us)) {
        return wall_us;
    }
    Votes votes = count(c, wall_us - at_us);
    return votes.near == 0 || votes.far > votes.near ? wall_us : at_us;
}

/* Clocks of agents are kept as what they differ from ours: it moved. */
static void move_offsets(SlCoord *c, int64_t by_us)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, c->seen);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        ((SlSeen *)value)->clock_off_us -= by_us;
    }
}

void sl_brain_clock_step(SlCoord *c, int64_t wall_us, int64_t monotonic_us)
{
    int64_t now_us = sl_coord_time(c, wall_us, monotonic_us);
    bool counts = c->monotonic_us != 0 && monotonic_us != 0;
    int64_t lived_us = counts ? monotonic_us - c->monotonic_us : now_us - c->now_us;
    if (counts && now_us - c->now_us != lived_us) {
        move_offsets(c, now_us - c->now_us - lived_us);
    }
    if (is_off(wall_us - now_us) != is_off(c->wall_off_us)) {
        c->clock_look_us = 0;
    }
    c->lived_us += MAX(lived_us, 0);
    c->wall_off_us = wall_us - now_us;
    c->now_us = now_us;
    c->monotonic_us = monotonic_us;
}

void sl_brain_clock_heard(SlCoord *c, SlSeen *seen, int64_t clock_us)
{
    bool was_off = seen->clock_known && is_off(seen->clock_off_us);
    seen->clock_known = true;
    seen->clock_off_us = clock_us - c->now_us;
    seen->clock_lived_us = c->lived_us;
    if (is_off(seen->clock_off_us) != was_off) {
        c->clock_look_us = 0;
    }
}

static void say_own(SlCoord *c, const Votes *votes)
{
    bool stepped = is_off(c->wall_off_us);
    g_autofree char *text = NULL;
    if (stepped) {
        g_autofree char *by = sl_format_duration(ABS(c->wall_off_us));
        text =
            g_strdup_printf("the clock of this machine was set %s by %s, and %u of %u clusters say "
                            "that this is wrong; until it is right, time is counted from before",
                            c->wall_off_us > 0 ? "ahead" : "back", by, votes->near, votes->all);
    } else if (c->clock_wrong) {
        bool ahead = votes->ahead > votes->behind;
        g_autofree char *by = sl_format_duration(ahead ? votes->ahead_us : votes->behind_us);
        text = g_strdup_printf(
            "the clocks of %u of %u clusters are %s or more %s of this machine's: "
            "set it right; until then nothing new is rendered to be signed",
            ahead ? votes->ahead : votes->behind, votes->all, by, ahead ? "ahead" : "behind");
    }
    if (text != NULL) {
        sl_brain_alarm(c, "", "clock", SLU_CLOCK_WRONG, text);
    } else {
        sl_brain_clear_alarm(c, "", "clock");
    }
}

static void say_cluster(SlCoord *c, const char *cluster, SlSeen *seen)
{
    bool wrong = !c->clock_wrong && is_heard(c, seen) && is_off(seen->clock_off_us);
    if (wrong) {
        g_autofree char *by = sl_format_duration(ABS(seen->clock_off_us));
        g_autofree char *text =
            g_strdup_printf("its clock is %s %s of the coordinator's and of most clusters': set it "
                            "right",
                            by, seen->clock_off_us > 0 ? "ahead" : "behind");
        sl_brain_alarm(c, cluster, "clock", SLU_CLOCK_WRONG, text);
    } else if (seen->clock_alarm) {
        sl_brain_clear_alarm(c, cluster, "clock");
    }
    seen->clock_alarm = wrong;
}

/* Attempts that wait for the clock are looked at again when it is right. */
void sl_brain_clock_look(SlCoord *c)
{
    if (c->clock_look_us > c->lived_us) {
        return;
    }
    c->clock_look_us = c->lived_us + LOOK_US;
    Votes votes = count(c, c->wall_off_us);
    bool wrong = votes.ahead * 2 > votes.all || votes.behind * 2 > votes.all;
    if (wrong != c->clock_wrong) {
        c->clock_wrong = wrong;
        sl_brain_touch(c, NULL);
    }
    say_own(c, &votes);
    GHashTableIter iter;
    gpointer cluster, value;
    g_hash_table_iter_init(&iter, c->seen);
    while (g_hash_table_iter_next(&iter, &cluster, &value)) {
        say_cluster(c, cluster, value);
    }
}
