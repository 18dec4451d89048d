/* team.c - two people of four, never who asked; a queue that is full; a key that is revoked while its
 * signature waits; an epoch that is raised, which voids a pause. */
#include "kit.h"

/* Who asked may not sign it. */
static bool own_signature(World *w, Plot *p)
{
    if (kit_team_past(w, p)) {
        return true;
    }
    int how = kit_sign_as(w, p, "alice");
    if (how > 0) {
        fail(w, "alice asked for attempt %" G_GUINT64_FORMAT " and her signature counts",
             p->attempt);
    }
    return how < 0;
}

/* He gets another one; what waits under the old one counts no more. */
static bool revoke_bob(World *w, Plot *p)
{
    if (p->n == 0) {
        p->n = (int64_t)kit_root_next(w);
        kit_new_key(w, "bob");
    }
    return kit_root(w, p, (uint64_t)p->n);
}

/* Carol signs too: one of two, for bob counts no more. Half a minute later it still waits. */
static bool carol_signs(World *w, Plot *p)
{
    if (kit_team_past(w, p)) {
        const BookAttempt *a = kit_attempt(w, p->attempt);
        if (a->committed != 0) {
            fail(w, "attempt %" G_GUINT64_FORMAT " was committed with a revoked key", a->n);
        }
        return true;
    }
    return kit_sign_as(w, p, "carol") > 0 && w->now > p->since + 30 * SL_SECOND_US;
}

/* Everybody asks, one signs: sixteen wait, the next one is refused. */
static bool overload(World *w, Plot *p)
{
    int64_t status = 0;
    if (p->n < 100) {
        p->n = 100; /* own number: asked so often */
        kit_web_push(w, "v3");
    }
    if (!kit_web_upstream(w, p)) {
        return false;
    }
    const BookAttempt *last = kit_attempt(w, p->attempt);
    bool waits = last != NULL && last->stage == BOOK_WAITS && last->approvals == 0;
    if (waits) {
        (void)kit_sign_as(w, p, "carol");
        return false;
    }
    const json_t *body =
        people_ask(w, &p->ask, "alice", "promote", kit_args("web", "prod"), &status);
    if (body != NULL && status < 300) {
        p->attempt = (uint64_t)sl_json_int(body, "attempt", 0);
        p->n++;
    } else if (body != NULL) {
        g_autofree char *full = g_strdup_printf("SLU%d", SLU_QUEUE_FULL);
        return strcmp(sl_json_str_or(body, "error.code", ""), full) == 0;
    }
    if (p->n > 150) {
        fail(w, "50 signed attempts wait in one unit");
    }
    return false;
}

static bool third_runs(World *w, Plot *p)
{
    return kit_bring(w, p, "web", "prod") && kit_serves(w, "web", "prod", "v3");
}

static bool pause_prod(World *w, Plot *p)
{
    return kit_order(w, p, "dave",
                     json_pack("{s:s,s:s,s:s,s:s}", "act", "pause", "env", "prod", "expires", "9h",
                               "reason", "somebody broke in"));
}

/* Everything that was signed for prod is void, the pause too. What runs there stays. */
static bool raise_epoch(World *w, Plot *p)
{
    if (p->n < 1000) {
        p->n = 1000 + (int64_t)kit_root_next(w);
        for (guint i = 0; i < w->root->environments->len; i++) {
            SlRootEnv *env = w->root->environments->pdata[i];
            env->epoch += strcmp(env->name, "prod") == 0 ? 1 : 0;
        }
    }
    return kit_root(w, p, (uint64_t)(p->n - 1000));
}

static bool stays(World *w, Plot *p)
{
    if (!w->faults && !kit_serves(w, "web", "prod", "v3")) {
        fail(w, "a raised epoch took away what runs");
    }
    return w->now > p->since + 2 * SL_MINUTE_US;
}

static const PlotStep STEPS[] = {
    {"push v1", kit_web_first},
    {"v1 runs in prod, signed by two", kit_web_runs},
    {"push v2", kit_web_second},
    {"v2 runs in test", kit_web_upstream},
    {"alice asks for it in prod", kit_web_ask},
    {"her own signature does not count", own_signature},
    {"bob signs", kit_team_bob},
    {"bob's key is revoked", revoke_bob},
    {"carol signs: one of two", carol_signs},
    {"v2 runs in prod", kit_web_second_runs},
    {"many ask, one signs: the queue is full", overload},
    {"v3 runs in prod", third_runs},
    {"dave pauses prod", pause_prod},
    {"the epoch of prod is raised", raise_epoch},
    {"what runs stays", stays},
    {"redeploy signs it anew", kit_web_redeploy},
    {"everything is calm", kit_calm},
};

PLOT_STORY(team, "team", 6, kit_team_shape, STEPS, NULL);
