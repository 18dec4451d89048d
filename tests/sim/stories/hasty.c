/* hasty.c - people change their minds while clusters still work: v2 is on its way in prod, slowly,
 * when alice rolls it back. What a cluster then says about v2 counts for nothing. */
#include "kit.h"

static bool push_first(World *w, Plot *p)
{
    (void)p;
    kit_web_push(w, "v1, tarries");
    return true;
}

static bool push_second(World *w, Plot *p)
{
    (void)p;
    kit_web_push(w, "v2, tarries");
    return true;
}

/* What ended before its commit is asked for again. */
static bool is_on_its_way(World *w, Plot *p)
{
    int how = kit_follow(w, p);
    const BookAttempt *a = kit_attempt(w, p->attempt);
    if (how < 0 && a->committed == 0) {
        p->step--;
        return false;
    }
    return a != NULL && a->committed != 0;
}

static bool roll_back(World *w, Plot *p)
{
    return kit_ask(w, p, "rollback", "web", "prod", NULL);
}

static bool first_again(World *w, Plot *p)
{
    int how = kit_comes(w, p, "v1");
    p->step -= how < 0 ? 1 : 0;
    return how > 0;
}

static const PlotStep STEPS[] = {
    {"push v1", push_first},
    {"v1 runs in prod", kit_web_runs},
    {"push v2", push_second},
    {"v2 runs in test", kit_web_upstream},
    {"alice asks for it in prod", kit_web_ask},
    {"it is on its way", is_on_its_way},
    {"she rolls it back", roll_back},
    {"v1 runs in prod again", first_again},
    {"everything is calm", kit_calm},
};

PLOT_STORY(hasty, "hasty", 3, kit_web_shape, STEPS, NULL);
