/* crawl.c - a first apply in prod that takes longer than agents wait for health: they fetch a model,
 * say. Nobody goes back because of it, nothing succeeds before its time, and in the end it runs. */
#include "kit.h"

static bool push_second(World *w, Plot *p)
{
    (void)p;
    kit_web_push(w, "v2, crawls-prod");
    return true;
}

static bool second_comes(World *w, Plot *p)
{
    const Agent *a = NULL;
    int how = kit_comes(w, p, "v2");
    for (unsigned i = 0; (a = agent_in(w, "prod", i)) != NULL; i++) {
        if (kit_web_latched(w, a)) {
            fail(w, "%s went back from what is only slow to be written", a->cluster);
        }
    }
    p->step -= how < 0 ? 1 : 0;
    return how > 0;
}

/* Somebody may have deleted it since: it is written again. It may have been asked for once more in the
 * moment when it came: that is signed too. */
static bool is_calm(World *w, Plot *p)
{
    kit_sign(w, p, "web", "prod");
    return kit_calm(w, p) && kit_healthy(w, "web", "prod");
}

static const PlotStep STEPS[] = {
    {"push v1", kit_web_first},
    {"v1 runs in prod", kit_web_runs},
    {"push v2", push_second},
    {"v2 runs in test", kit_web_upstream},
    {"alice asks for it in prod", kit_web_ask},
    {"it comes, slowly", second_comes},
    {"everything is calm", is_calm},
};

PLOT_STORY(crawl, "crawl", 2, kit_web_shape, STEPS, NULL);
