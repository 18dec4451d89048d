/* lost.c - the agent of prod loses both its slots: it waits until people say from where to go on,
 * and then follows again. The one of dev needs nobody. */
#include "kit.h"

static void push(World *w, const char *server)
{
    KitApp app = {.name = "web", .server = server, .maps = 3, .train = "\"accuracy=0.99\""};
    kit_push(w, server, KIT_ENVS, &app, 1);
}

static bool push_first(World *w, Plot *p)
{
    (void)p;
    push(w, "v1");
    return true;
}

static void lose(World *w, const char *env)
{
    Agent *a = kit_agent(w, env);
    agent_crash(w, a);
    g_clear_pointer(&a->slots[0], g_bytes_unref);
    g_clear_pointer(&a->slots[1], g_bytes_unref);
    a->wiped = true;
    yard_forget(w, a);
    say(w, "%s lost both slots", a->cluster);
}

static bool lose_state(World *w, Plot *p)
{
    (void)p;
    lose(w, "prod");
    lose(w, "dev");
    return true;
}

static bool is_lost(World *w, const char *env)
{
    Agent *a = kit_agent(w, env);
    g_autoptr(json_t) view =
        a->brain != NULL ? sl_agent_view(a->brain, clock_now(w, &a->clock)) : NULL;
    return view == NULL || sl_json_bool(view, "stateLost", true);
}

/* Something new is wanted of it meanwhile. */
static bool push_second(World *w, Plot *p)
{
    (void)p;
    push(w, "v2");
    return true;
}

static bool resume(World *w, Plot *p)
{
    if (!is_lost(w, "prod")) {
        return true;
    }
    bool taken = kit_order(w, p, "alice",
                           json_pack("{s:s,s:s,s:s,s:s}", "act", "resume", "env", "prod", "cluster",
                                     kit_agent(w, "prod")->cluster, "reason", "disk was changed"));
    p->n = taken ? w->now : p->n;
    return false;
}

static const PlotStep STEPS[] = {
    {"push v1", push_first},
    {"v1 runs in prod", kit_web_runs},
    {"agents of prod and dev lose their slots", lose_state},
    {"push v2", push_second},
    {"v2 runs in test", kit_web_upstream},
    {"alice resumes the agent of prod", resume},
    {"v2 runs in prod", kit_web_second_runs},
    {"everything is calm", kit_calm},
};

/* Nothing was trained again because of it. */
PLOT_STORY(lost, "state-lost", 5, kit_web_shape, STEPS, kit_one_run);
