/* back.c - what is broken in prod alone: its agents go back by themselves, without anybody, and
 * stay there until a higher number comes. */
#include "kit.h"

static bool push_broken(World *w, Plot *p)
{
    (void)p;
    kit_web_push(w, "broken-prod");
    return true;
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
        all = all && kit_web_latched(w, a);
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
    kit_web_push(w, "v3");
    return true;
}

static bool good_runs(World *w, Plot *p)
{
    return kit_web_runs(w, p) && kit_serves(w, "web", "prod", "v3");
}

static const PlotStep STEPS[] = {
    {"push v1", kit_web_first},
    {"v1 runs in prod", kit_web_runs},
    {"push what is broken in prod", push_broken},
    {"it runs in test", kit_web_upstream},
    {"alice asks for it in prod", kit_web_ask},
    {"agents of prod go back by themselves", went_back},
    {"and stay there", stays},
    {"push v3", push_good},
    {"v3 runs in prod", good_runs},
    {"everything is calm", kit_calm},
};

PLOT_STORY(back, "goes-back", 6, kit_web_shape, STEPS, NULL);
