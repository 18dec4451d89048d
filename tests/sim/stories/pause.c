/* pause.c - people stop prod by a signed order, approve something new meanwhile, and let it go
 * again. */
#include "kit.h"

static void push(World *w, const char *server)
{
    KitApp app = {.name = "web", .server = server, .maps = 2};
    kit_push(w, server, KIT_ENVS, &app, 1);
}

static bool push_first(World *w, Plot *p)
{
    (void)p;
    push(w, "v1");
    return true;
}

static json_t *draft(Plot *p, const char *act)
{
    json_t *args = json_pack("{s:s,s:s,s:s,s:s}", "act", act, "env", "prod", "expires", "9h",
                             "reason", "maintenance");
    if (p->n == 1) {
        sl_json_set_str(args, "app", "web");
    }
    return args;
}

/* The whole environment, or the unit alone. */
static bool pause_prod(World *w, Plot *p)
{
    if (p->n == 0) {
        p->n = 1 + (int64_t)rng_below(&w->people_rng, 2);
    }
    return kit_order(w, p, "alice", draft(p, "pause"));
}

/* A pause that was over before the agents took it (a clock was wrong) is given again. */
static bool paused_again(World *w, Plot *p)
{
    if (w->now > p->since + 5 * SL_MINUTE_US) {
        (void)kit_order(w, p, "alice", draft(p, "pause"));
    }
    return false;
}

static bool all_paused(World *w, Plot *p)
{
    Agent *a = NULL;
    for (unsigned i = 0; (a = agent_in(w, "prod", i)) != NULL; i++) {
        const Yard *y = yard_of(w, a);
        bool firm = false;
        for (guint k = 0; k < y->pauses->len; k++) {
            firm = firm || ((const YardPause *)y->pauses->pdata[k])->firm;
        }
        if (!firm) {
            return paused_again(w, p);
        }
    }
    return true;
}

static bool push_second(World *w, Plot *p)
{
    (void)p;
    push(w, "v2");
    return true;
}

/* Asked for and signed; for four minutes nothing changes there. */
static bool second_waits(World *w, Plot *p)
{
    const BookAttempt *a = kit_attempt(w, p->attempt);
    if (a == NULL || strcmp(a->env, "prod") != 0) {
        (void)kit_ask(w, p, "promote", "web", "prod", NULL);
        return false;
    }
    kit_sign(w, p, "web", "prod");
    if (kit_serves(w, "web", "prod", "v2")) {
        fail(w, "prod serves v2 while it is paused");
    }
    return w->now > p->since + 4 * SL_MINUTE_US;
}

static bool resume(World *w, Plot *p)
{
    return kit_order(w, p, "alice", draft(p, "resume"));
}

static const PlotStep STEPS[] = {
    {"push v1", push_first},
    {"v1 runs in prod", kit_web_runs},
    {"alice pauses prod", pause_prod},
    {"every agent holds the pause", all_paused},
    {"push v2", push_second},
    {"v2 runs in test", kit_web_upstream},
    {"v2 is approved for prod and waits", second_waits},
    {"alice resumes prod", resume},
    {"v2 runs in prod", kit_web_second_runs},
    {"everything is calm", kit_calm},
};

PLOT_STORY(pause, "pause", 6, kit_web_shape, STEPS, NULL);
