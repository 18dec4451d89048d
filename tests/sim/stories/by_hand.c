/* by_hand.c - a job that a person starts: not before the order, and then it goes on while its cluster
 * hears nothing for longer than a head lives. */
#include "kit.h"

#define AWAY_US (25 * SL_MINUTE_US)

static bool is_dev(const char *env)
{
    return strcmp(env, "dev") == 0;
}

/* So that a head ends while the job goes on: as in prod. */
static bool short_heads(World *w, Plot *p)
{
    if (p->n == 0) {
        p->n = (int64_t)kit_root_next(w);
        for (guint i = 0; i < w->root->environments->len; i++) {
            SlRootEnv *env = w->root->environments->pdata[i];
            env->head_lifetime_us = is_dev(env->name) ? 15 * SL_MINUTE_US : env->head_lifetime_us;
        }
    }
    return kit_root(w, p, (uint64_t)p->n);
}

static bool push(World *w, Plot *p)
{
    (void)p;
    KitApp app = {.name = "web",
                  .server = "v1",
                  .maps = 1,
                  .train = "\"accuracy=0.97\", \"take=3000\"",
                  .job = "  start: manual\n",
                  .model = true,
                  .gate = true};
    kit_push(w, "by hand", KIT_ENVS, &app, 1);
    return true;
}

/* What needs no model stands in dev; people look for a while. */
static bool nothing_starts(World *w, Plot *p)
{
    g_autoptr(json_t) u = kit_unit(w, "web", "dev");
    const char *last = sl_json_str_or(u, "last.state", "");
    if (g_hash_table_size(w->run_starts) != 0) {
        fail(w, "a job that starts by hand was started by nobody");
    }
    if (strcmp(last, "SUCCEEDED") != 0) {
        (void)kit_bring(w, p, "web", "dev");
        p->since = w->now;
        return false;
    }
    return w->now > p->since + 3 * SL_MINUTE_US;
}

/* An order that was over before the cluster took it (a clock was wrong) is given again, for the same run;
 * while one is in force another is refused. */
static bool start(World *w, Plot *p)
{
    if (g_hash_table_size(w->run_starts) > 0) {
        return true;
    }
    (void)kit_order(w, p, NULL,
                    json_pack("{s:s,s:s,s:s,s:s,s:s}", "act", "start-run", "app", "web", "env",
                              "dev", "job", "train", "reason", "now"));
    return false;
}

static bool go_away(World *w, Plot *p)
{
    (void)p;
    Agent *a = NULL;
    for (unsigned i = 0; (a = agent_in(w, "dev", i)) != NULL; i++) {
        kit_away(w, a, AWAY_US);
    }
    return true;
}

static const PlotStep STEPS[] = {
    {"heads of dev live a quarter of an hour", short_heads},
    {"push a job that starts by hand", push},
    {"nobody starts it", nothing_starts},
    {"alice orders it", start},
    {"it goes on, and dev hears nothing for longer than that", go_away},
    {"its model serves in prod", kit_web_runs},
    {"everything is calm", kit_calm},
};

PLOT_STORY(by_hand, "by-hand", 4, kit_web_shape, STEPS, kit_one_run);
