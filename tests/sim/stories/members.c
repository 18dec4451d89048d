/* members.c - the fleet changes while something is on its way: one cluster is away for hours and is
 * taken out, another joins and gets its software when people say so again. */
#include "kit.h"

#define AWAY_US (6 * SL_HOUR_US)

static void shape(World *w)
{
    kit_web_shape(w);
    for (guint i = 0; i < w->envs->len; i++) {
        Env *env = w->envs->pdata[i];
        env->clusters = strcmp(env->name, "prod") == 0 ? MAX(env->clusters, 3) : env->clusters;
    }
}

/* Nobody hears of the third one for hours; the second one for a while only. */
static bool go_away(World *w, Plot *p)
{
    (void)p;
    for (unsigned i = 1; i < 3; i++) {
        kit_away(w, agent_in(w, "prod", i), i == 1 ? SL_HOUR_US : AWAY_US);
    }
    kit_web_push(w, "v2");
    return true;
}

/* Mid-promotion one more joins: it is no target of what was admitted before. */
static bool join(World *w, Plot *p)
{
    const BookAttempt *a = kit_attempt(w, p->attempt);
    (void)kit_follow(w, p);
    if (a == NULL || a->target_of == NULL || w->coord == NULL || store_is_held(w) ||
        w->batch != NULL || w->appending != NULL) {
        return false;
    }
    bool faults = w->faults;
    w->faults = w->begun = false; /* who joins asks until it has its answer: as in the set-up */
    (void)fleet_agent_new(w, "prod");
    w->faults = faults;
    w->begun = true;
    return true;
}

/* Without those who are away it ends by its own time, and not as a success. */
static bool ends_without(World *w, Plot *p)
{
    int how = kit_follow(w, p);
    const BookAttempt *a = kit_attempt(w, p->attempt);
    if (how > 0) {
        fail(w, "attempt %" G_GUINT64_FORMAT " succeeded without a target that is away", a->n);
    }
    if (how < 0 && a->committed == 0) {
        p->step -= 2; /* before its commit: asked for again */
        return false;
    }
    return how < 0;
}

static bool sign_registry(World *w, Plot *p)
{
    int64_t status = 0;
    if (p->text == NULL) {
        const json_t *body = people_ask(w, &p->ask, "alice", "registry-draft",
                                        json_pack("{s:s}", "env", "prod"), &status);
        p->text = body != NULL && status < 300 ? g_strdup(sl_json_str(body, "text")) : NULL;
        return false;
    }
    g_autofree char *sig = people_sign(w, "alice", SL_STATEMENT_REGISTRY, p->text);
    const json_t *body =
        people_ask(w, &p->second, "alice", "registry",
                   json_pack("{s:s,s:s}", "text", p->text, "signature", sig), &status);
    if (body != NULL) {
        g_clear_pointer(&p->text, g_free);
    }
    return false;
}

/* The third one will not come back: people take it out. */
static bool take_out(World *w, Plot *p)
{
    const char *gone = agent_in(w, "prod", 2)->cluster;
    if (!book_member(book_of(w), "prod", gone)) {
        return true;
    }
    p->n = p->n != 0 || kit_verb(w, p, "cluster-remove", json_pack("{s:s}", "name", gone), NULL);
    return p->n != 0 && sign_registry(w, p);
}

/* A promotion names only who is a member: the rest of prod runs v2, the newcomer too. */
static void end(World *w)
{
    const BookAttempt *last = NULL;
    const Book *b = book_of(w);
    for (guint i = 0; i < b->attempts->len; i++) {
        const BookAttempt *a = b->attempts->pdata[i];
        last = strcmp(a->env, "prod") == 0 && a->committed != 0 ? a : last;
    }
    Agent *gone = agent_in(w, "prod", 2);
    for (unsigned i = 0; agent_in(w, "prod", i) != NULL; i++) {
        const Agent *a = agent_in(w, "prod", i);
        if ((a != gone) != g_hash_table_contains(last->target_of, a->cluster)) {
            fail(w, "%s is%s a target of the redeploy", a->cluster, a == gone ? "" : " not");
        }
    }
}

static const PlotStep STEPS[] = {
    {"push v1", kit_web_first},
    {"v1 runs in prod", kit_web_runs},
    {"two clusters of prod are away", go_away},
    {"v2 runs in test", kit_web_upstream},
    {"alice asks for v2 in prod", kit_web_ask},
    {"a cluster joins meanwhile", join},
    {"the attempt ends by its time", ends_without},
    {"the one that stays away is taken out", take_out},
    {"redeploy reaches the others and the newcomer", kit_web_redeploy},
    {"everything is calm", kit_calm},
};

PLOT_STORY(members, "members", 4, shape, STEPS, end);
