/* revoked.c - a key is revoked in the very moment of its last signature: the promotion is allowed,
 * written, and may no more be committed. Somebody else signs, and it comes true. */
#include "kit.h"

/* Both arrive together: what was written for the first is judged again after the second. */
static bool carol_signs_and_loses(World *w, Plot *p)
{
    if (p->n == 0) {
        (void)kit_sign_as(w, p, "carol");
        kit_new_key(w, "carol");
        p->n = (int64_t)kit_root_next(w);
    }
    return kit_root(w, p, (uint64_t)p->n);
}

static const PlotStep STEPS[] = {
    {"push v1", kit_web_first},
    {"v1 runs in prod, signed by two", kit_web_runs},
    {"push v2", kit_web_second},
    {"v2 runs in test", kit_web_upstream},
    {"alice asks for it in prod", kit_web_ask},
    {"bob signs", kit_team_bob},
    {"carol signs, and her key is revoked", carol_signs_and_loses},
    /* Committed while carol's signature still counted, it may reach agents when it counts no more. */
    {"v2 runs in prod", kit_web_second_runs},
    {"everything is calm", kit_calm},
};

PLOT_STORY(revoked, "revoked", 3, kit_team_shape, STEPS, NULL);
