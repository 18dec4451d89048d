/* fuzz_fleet_rig.h - the coordinator's unit-test fleet, brought to a state with some of everything (clusters, a sealed run, a promotion
 * that waits for people), and folded anew for every input. */
#pragma once
#include "fuzz.h"
#include "tests/unit/coordinator_brain/rig.h"
/* rig_fleet.h needs the rig */
#include "tests/unit/coordinator_brain/rig_fleet.h"

static Rig *fuzz_rig;
static guint fuzz_base; /* events of the state that every input begins with */

static inline void fuzz_rig_make(void)
{
    if (fuzz_rig != NULL) {
        return;
    }
    fuzz_rig = rig_new_with(SL_PROFILE_SOLO, true);
    fuzz_rig->check = false; /* folding anew after each step is the targets' own business */
    rig_enrol_all(fuzz_rig);
    rig_push(fuzz_rig, "c1", "1", "1");
    rig_seal(fuzz_rig, "dev", "train", "m1", "0.97");
    rig_ask(fuzz_rig, "promote", rig_unit_args("digits", "prod"));
    rig_ask(fuzz_rig, "pin", rig_unit_args("digits", "test"));
    rig_ask(fuzz_rig, "veto", json_pack("{s:s,s:s,s:s,s:s}", "app", "digits", "env", "test", "release", "R1", "reason", "a test"));
    rig_ask(fuzz_rig, "token-create", json_pack("{s:s,s:s}", "person", "alice", "scope", "view"));
    GHashTableIter iter;
    gpointer agent;
    g_hash_table_iter_init(&iter, fuzz_rig->agents);
    while (g_hash_table_iter_next(&iter, NULL, &agent)) {
        ((Agent *)agent)->mute = true;
    }
    fuzz_base = fuzz_rig->ledger->len;
}

/* Every view of the API answers, or says why not. */
static inline void fuzz_views(SlCoord *coord, int64_t now_us, const json_t *args)
{
    static const char *const views[] = {"status", "history", "releases", "release", "clusters", "runs", "run", "events", "attempt",
                                        "why", "environments", "roots", "diff", "registry", "problems", "tokens"};
    for (size_t i = 0; i < G_N_ELEMENTS(views); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(json_t) view = sl_coord_view(coord, views[i], args, now_us, &error);
        g_assert_true((view == NULL) == (error != NULL));
        g_autofree char *text = view != NULL ? sl_json_canonical(view, NULL) : NULL;
        if (view != NULL && text == NULL) {
            fuzz_fail("view %s has no canonical text", views[i]);
        }
    }
}
