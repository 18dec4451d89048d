/* revoked.c - a key is revoked in the very moment of its last signature: the promotion is allowed,
 * written, and may no more be committed. Somebody else signs, and it comes true. */
#include "kit.h"

static void shape(World *w)
{
    kit_web_shape(w);
    w->profile = SL_PROFILE_TEAM;
}

static bool push_second(World *w, Plot *p)
{
    (void)p;
    kit_web_push(w, "v2");
    return true;
}

static bool is_past(World *w, Plot *p)
{
    const BookAttempt *a = kit_attempt(w, p->attempt);
    return a != NULL && a->stage != BOOK_WAITS;
}

static bool bob_signs(World *w, Plot *p)
{
    return is_past(w, p) || kit_sign_as(w, p, "bob") > 0;
}

/* Both arrive together: what was written for the first is judged again after the second. */
static bool carol_signs_and_loses(World *w, Plot *p)
{
    if (p->n == 0) {
        (void)kit_sign_as(w, p, "carol");
        kit_new_key(w, "carol");
        p->n = (int64_t)book_root_newest(book_of(w))->version + 1;
    }
    return kit_root(w, p, (uint64_t)p->n);
}

/* Committed while carol's signature still counted, it may reach agents when it counts no more. */
static bool second_runs(World *w, Plot *p)
{
    return kit_bring(w, p, "web", "prod") && kit_serves(w, "web", "prod", "v2");
}

static const PlotStep STEPS[] = {
    {"push v1", kit_web_first},
    {"v1 runs in prod, signed by two", kit_web_runs},
    {"push v2", push_second},
    {"v2 runs in test", kit_web_upstream},
    {"alice asks for it in prod", kit_web_ask},
    {"bob signs", bob_signs},
    {"carol signs, and her key is revoked", carol_signs_and_loses},
    {"v2 runs in prod", second_runs},
    {"everything is calm", kit_calm},
};

PLOT_STORY(revoked, "revoked", 3, shape, STEPS, NULL);
