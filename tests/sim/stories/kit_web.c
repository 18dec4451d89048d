/* kit_web.c - steps of stories about one application, web: it is pushed, asked for, runs. With a job
 * that trains, or signed by two people. */
#include "kit.h"

void kit_web_shape(World *w)
{
    static const char *const apps[] = {"web", NULL};
    kit_shape_apps(w, apps);
}

void kit_web_push(World *w, const char *server)
{
    KitApp app = {.name = "web", .server = server, .maps = 1};
    kit_push(w, server, KIT_ENVS, &app, 1);
}

bool kit_web_first(World *w, Plot *p)
{
    (void)p;
    kit_web_push(w, "v1");
    return true;
}

bool kit_web_second(World *w, Plot *p)
{
    (void)p;
    kit_web_push(w, "v2");
    return true;
}

bool kit_web_upstream(World *w, Plot *p)
{
    return kit_bring(w, p, "web", "dev") && kit_bring(w, p, "web", "test");
}

bool kit_web_runs(World *w, Plot *p)
{
    return kit_web_upstream(w, p) && kit_bring(w, p, "web", "prod");
}

bool kit_web_second_runs(World *w, Plot *p)
{
    return kit_bring(w, p, "web", "prod") && kit_serves(w, "web", "prod", "v2");
}

bool kit_web_ask(World *w, Plot *p)
{
    return kit_ask(w, p, "promote", "web", "prod", NULL);
}

bool kit_web_redeploy(World *w, Plot *p)
{
    const BookAttempt *a = kit_attempt(w, p->attempt);
    bool is_it = a != NULL && a->act == SL_ACT_REDEPLOY;
    int how = is_it ? kit_follow(w, p) : -1;
    if (how < 0) {
        (void)kit_ask(w, p, "redeploy", "web", "prod", NULL);
    }
    return how > 0;
}

bool kit_web_latched(World *w, const Agent *a)
{
    g_autoptr(json_t) view = a->brain != NULL ? sl_agent_view(a->brain, agent_now(w, a)) : NULL;
    return sl_json_bool(view, "units.web.latched", false);
}

/* ---- with a job ---- */

void kit_job_shape(World *w)
{
    kit_web_shape(w);
    for (guint i = 0; i < w->envs->len; i++) {
        ((Env *)w->envs->pdata[i])->clusters = 1; /* a run that was forgotten is placed again */
    }
}

void kit_job_push(World *w, const char *server)
{
    KitApp app = {.name = "web", .server = server, .maps = 2, .train = "\"accuracy=0.99\""};
    kit_push(w, server, KIT_ENVS, &app, 1);
}

bool kit_job_first(World *w, Plot *p)
{
    (void)p;
    kit_job_push(w, "v1");
    return true;
}

/* ---- signed by two ---- */

void kit_team_shape(World *w)
{
    kit_web_shape(w);
    w->profile = SL_PROFILE_TEAM;
}

bool kit_team_past(World *w, const Plot *p)
{
    const BookAttempt *a = kit_attempt(w, p->attempt);
    return a != NULL && a->stage != BOOK_WAITS;
}

bool kit_team_bob(World *w, Plot *p)
{
    return kit_team_past(w, p) || kit_sign_as(w, p, "bob") > 0;
}
