/* back.c - what is broken in prod alone: its agents go back by themselves, without anybody, and
 * stay there until a higher number comes. */
#include "kit.h"

static void push(World *w, const char *server)
{
    KitApp app = {.name = "web", .server = server, .maps = 1};
    kit_push(w, server, KIT_ENVS, &app, 1);
}

static void shape(World *w)
{
    static const char *const apps[] = {"web", NULL};
    kit_shape_apps(w, apps);
}

static bool push_first(World *w, Plot *p)
{
    (void)p;
    push(w, "v1");
    return true;
}

static bool runs(World *w, Plot *p)
{
    return kit_bring(w, p, "web", "dev") && kit_bring(w, p, "web", "test") &&
           kit_bring(w, p, "web", "prod");
}

static bool push_broken(World *w, Plot *p)
{
    (void)p;
    push(w, "broken-prod");
    return true;
}

static bool broken_upstream(World *w, Plot *p)
{
    return kit_bring(w, p, "web", "dev") && kit_bring(w, p, "web", "test");
}

static bool ask_broken(World *w, Plot *p)
{
    return kit_ask(w, p, "promote", "web", "prod", NULL);
}

static bool is_latched(World *w, Agent *a)
{
    g_autoptr(json_t) view =
        a->brain != NULL ? sl_agent_view(a->brain, clock_now(w, &a->clock)) : NULL;
    return sl_json_bool(view, "units.web.latched", false);
}

/* Until each of them went back; an attempt that failed before it was committed is asked for again. */
static bool went_back(World *w, Plot *p)
{
    Agent *a = NULL;
    bool all = true;
    int how = kit_follow(w, p);
    const BookAttempt *attempt = kit_attempt(w, p->attempt);
    if (how > 0) {
        fail(w, "what is broken in prod succeeded there");
    }
    if (how < 0 && attempt->committed == 0) {
        p->step--;
        return false;
    }
    for (unsigned i = 0; (a = agent_in(w, "prod", i)) != NULL; i++) {
        all = all && is_latched(w, a);
    }
    return all && how < 0 && kit_serves(w, "web", "prod", "v1");
}

/* It stays back: level, not edge. */
static bool stays(World *w, Plot *p)
{
    if (!kit_serves(w, "web", "prod", "v1") && !w->faults) {
        fail(w, "prod went back, and came again by itself");
    }
    return w->now > p->since + 15 * SL_MINUTE_US;
}

static bool push_good(World *w, Plot *p)
{
    (void)p;
    push(w, "v3");
    return true;
}

static bool good_runs(World *w, Plot *p)
{
    return runs(w, p) && kit_serves(w, "web", "prod", "v3");
}

static bool calm(World *w, Plot *p)
{
    (void)p;
    return kit_calm(w);
}

static const PlotStep STEPS[] = {
    {"push v1", push_first},
    {"v1 runs in prod", runs},
    {"push what is broken in prod", push_broken},
    {"it runs in test", broken_upstream},
    {"alice asks for it in prod", ask_broken},
    {"agents of prod go back by themselves", went_back},
    {"and stay there", stays},
    {"push v3", push_good},
    {"v3 runs in prod", good_runs},
    {"everything is calm", calm},
};

PLOT_STORY(back, "goes-back", 6, shape, STEPS, NULL);
