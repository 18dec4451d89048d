/* overdue.c - a promotion waits for a signature when the coordinator goes down, and it stays down past
 * the end of that wait. Who signs when it is back comes too late: what was asked for ended meanwhile. */
#include "kit.h"

#define WAIT "20m"
#define DOWN_US (45 * SL_MINUTE_US)

static bool push(World *w, const char *server)
{
    g_autofree char *envs = g_strdup_printf("%s", KIT_ENVS);
    char *prod = strstr(envs, "after: [test], promotion: manual");
    g_autofree char *front = g_strndup(envs, (gsize)(prod - envs));
    g_autofree char *all = g_strdup_printf("%sgateTimeout: " WAIT ", %s", front, prod);
    KitApp app = {.name = "web", .server = server, .maps = 1};
    kit_push(w, server, all, &app, 1);
    return true;
}

static bool push_first(World *w, Plot *p)
{
    (void)p;
    return push(w, "v1");
}

static bool push_second(World *w, Plot *p)
{
    (void)p;
    return push(w, "v2");
}

/* Rendered, in the ledger, and nobody signed. */
static bool it_waits(World *w, Plot *p)
{
    const BookAttempt *a = kit_attempt(w, p->attempt);
    if (a != NULL && a->stage == BOOK_ENDED) {
        p->step--;
        return false;
    }
    return a != NULL && a->digest != NULL;
}

static bool goes_down(World *w, Plot *p)
{
    (void)p;
    w->coord_away_until = w->now + DOWN_US;
    coord_crash(w);
    return true;
}

/* People are quick: they sign as soon as anybody answers. That it is not committed is for a checker
 * ("25 whole"), which knows when a wrong clock excuses it. */
static bool too_late(World *w, Plot *p)
{
    const BookAttempt *a = kit_attempt(w, p->attempt);
    kit_sign(w, p, "web", "prod");
    return a->stage != BOOK_WAITS;
}

static const PlotStep STEPS[] = {
    {"push v1", push_first},
    {"v1 runs in prod", kit_web_runs},
    {"push v2", push_second},
    {"v2 runs in test", kit_web_upstream},
    {"alice asks for it in prod", kit_web_ask},
    {"it waits for her signature", it_waits},
    {"the coordinator is down for long", goes_down},
    {"the signature comes too late", too_late},
    {"asked for again, it runs", kit_web_second_runs},
    {"everything is calm", kit_calm},
};

PLOT_STORY(overdue, "overdue", 2, kit_web_shape, STEPS, NULL);
