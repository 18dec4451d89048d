/* test_candidates.c - one predicate everywhere: what a list shows, what a person may ask for, what
 * happens by itself and what is committed agree in generated states; pending items hold back only
 * where they are needed. */
#include "coordinator/brain/brain.h"
#include "rig.h"

static const char *const ENVS[] = {"dev", "test", "prod"};

/* test needs no model: it goes there while the model is still being made. prod needs it. */
static void test_needed_there(void)
{
    Rig *rig = rig_new();
    SlTree *tree = rig_tree(
        RIG_API "kind: Fleet\nmetadata: {name: demo}\n---\n" RIG_API
                "kind: Environment\nmetadata: {name: dev}\nspec: {promotion: newest}\n---\n" RIG_API
                "kind: Environment\nmetadata: {name: test}\nspec: {after: [dev], promotion: "
                "newest}\n---\n" RIG_API
                "kind: Environment\nmetadata: {name: prod}\nspec: {after: [dev], promotion: "
                "newest}\n---\n" RIG_API
                "kind: Application\nmetadata: {name: digits}\nspec:\n  source: {path: digits}\n"
                "  items:\n    - {name: model, kind: model, from: {job: train, output: model}}\n"
                "  environments:\n    dev: {parts: [{paths: [train]}]}\n    test: {parts: "
                "[{paths: [conf]}]}\n    prod: {parts: [{paths: [serve]}]}\n",
        "1", "1");
    sl_tree_memory_put(tree, "digits/conf/c.yaml",
                       "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: b}\n",
                       SL_TREE_FILE);
    rig_push_tree(rig, "c1", tree, false);
    g_autoptr(json_t) test = rig_unit(rig, "test");
    g_assert_cmpstr(sl_json_str(test, "last.state"), ==, "SUCCEEDED");
    g_assert_cmpint(sl_json_int(test, "last.withheld", -1), ==, 0);
    rig_ask(rig, "promote", rig_unit_args("digits", "prod"));
    rig_assert_refused(rig, SLU_NOT_ELIGIBLE);
    g_assert_nonnull(strstr(sl_json_str(rig->reply, "error.message"), "item model"));
    rig_restart(rig);
    agent_hello(rig, "dev1");
    agent_hello(rig, "test1");
    agent_hello(rig, "prod1");
    rig_seal(rig, "dev", "train", "m1", "0.97"); /* the child is the same bundle in test */
    g_autoptr(json_t) again = rig_unit(rig, "test");
    g_assert_true(sl_json_bool(again, "last.unchanged", false));
    g_autoptr(json_t) prod = rig_unit(rig, "prod");
    g_assert_cmpstr(sl_json_str(prod, "active.state"), ==, "GATING");
    rig_free(rig);
}

/* What happened: nothing was asked for by itself, and nothing committed, that was not eligible in
 * the very state that it was decided in. */
static void check_history(Rig *rig)
{
    g_autoptr(SlCoord) c = rig_new_coord(rig);
    for (guint i = 0; i < rig->ledger->len; i++) {
        const json_t *event = g_ptr_array_index(rig->ledger, i);
        const char *type = sl_json_str(event, "type");
        g_autofree char *why = NULL;
        if (strcmp(type, "Requested") == 0 && strcmp(sl_json_str(event, "act"), "promote") == 0) {
            const SlRelease *r = sl_brain_release(c, sl_json_str(event, "release"));
            g_assert_cmpint(
                sl_brain_eligible(c, r, sl_json_str(event, "app"), sl_json_str(event, "env"), &why),
                ==, SL_ELIGIBLE_OPEN);
        }
        const json_t *units =
            strcmp(type, "Committed") == 0 ? json_object_get(event, "units") : NULL;
        for (size_t k = 0; k < json_array_size(units); k++) {
            const SlAttempt *a =
                sl_brain_attempt(c, (uint64_t)sl_json_int(json_array_get(units, k), "attempt", 0));
            g_autofree char *reason = NULL;
            if (a->act == SL_ACT_PROMOTE) {
                g_assert_cmpint(
                    sl_brain_eligible(c, sl_brain_release(c, a->release), a->app, a->env, &reason),
                    ==, SL_ELIGIBLE_OPEN);
            }
        }
        g_assert_true(sl_coord_fold(c, event, NULL));
    }
}

/* The list (predicate) and the verb agree for every release and environment; nothing that `newest`
 * would ask for is left over. Asked on a copy, so that the answer changes nothing here. */
static void check_now(Rig *rig)
{
    GHashTableIter iter;
    gpointer value;
    for (size_t e = 0; e < G_N_ELEMENTS(ENVS); e++) {
        int64_t next_us = INT64_MAX;
        const SlEnvironmentDoc *doc = sl_coord_docs(rig->coord) != NULL
                                          ? sl_fleet_env(sl_coord_docs(rig->coord), ENVS[e])
                                          : NULL;
        if (doc != NULL && doc->mode == SL_MODE_NEWEST) {
            g_assert_null(sl_brain_candidate(rig->coord, "digits", ENVS[e], rig->now_us, &next_us));
        }
        g_hash_table_iter_init(&iter, rig->coord->releases);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
            const SlRelease *r = value;
            g_autofree char *why = NULL;
            bool listed =
                sl_brain_eligible(rig->coord, r, "digits", ENVS[e], &why) == SL_ELIGIBLE_OPEN;
            g_autoptr(SlCoord) copy = rig_fold(rig, rig->ledger->len);
            g_autoptr(SlCoordOutput) out = sl_coord_output_new();
            SlCoordInput in = {.type = SL_COORD_START};
            sl_coord_step(copy, &in, rig->now_us, out);
            g_autoptr(json_t) args =
                json_pack("{s:s,s:s,s:s}", "app", "digits", "env", ENVS[e], "release", r->id);
            in = (SlCoordInput){.type = SL_COORD_REQUEST,
                                .request = {.id = "q",
                                            .verb = "promote",
                                            .person = "alice",
                                            .scope = "operate",
                                            .args = args,
                                            .random = rig->random}};
            g_autoptr(SlCoordOutput) answer = sl_coord_output_new();
            sl_coord_step(copy, &in, rig->now_us, answer);
            const SlCoordEffect *reply = NULL;
            for (guint i = 0; i < answer->effects->len; i++) {
                const SlCoordEffect *effect = g_ptr_array_index(answer->effects, i);
                reply = effect->type == SL_COORD_DO_REPLY ? effect : reply;
            }
            g_assert_nonnull(reply);
            g_assert_cmpint(reply->status == 202, ==, listed);
        }
    }
}

static uint32_t roll(uint32_t *state, uint32_t below)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % below;
}

static void act(Rig *rig, uint32_t *dice, guint step)
{
    static const char *const verbs[] = {"promote", "rollback", "redeploy", "pin", "unpin"};
    g_autofree char *name = g_strdup_printf("c%u", step),
                    *train = g_strdup_printf("%u", roll(dice, 3)),
                    *serve = g_strdup_printf("%u", roll(dice, 3)),
                    *model = g_strdup_printf("m%u", step);
    const char *env = ENVS[roll(dice, 3)];
    g_autoptr(json_t) run = rig_run(rig, "dev", "train");
    uint64_t n = roll(dice, 12) + 1;
    switch (roll(dice, 8)) {
    case 0:
    case 1:
        rig_push(rig, name, train, serve);
        break;
    case 2:
    case 3:
        if (run != NULL) {
            rig_seal(rig, "dev", "train", roll(dice, 4) == 0 ? NULL : model,
                     roll(dice, 3) == 0 ? "0.5" : "0.97");
        }
        break;
    case 4:
        rig_ask(rig, verbs[roll(dice, 5)], rig_unit_args("digits", env));
        break;
    case 5: {
        json_t *args = rig_unit_args("digits", env);
        g_autofree char *release = g_strdup_printf("R%u", roll(dice, 6) + 1);
        sl_json_set_str(args, "release", release);
        rig_ask(rig, roll(dice, 2) == 0 ? "veto" : "unveto", args);
        break;
    }
    case 6: {
        g_autofree char *state = n <= rig->coord->attempts->len ? rig_state(rig, n) : g_strdup("");
        if (strcmp(state, "GATING") == 0) {
            g_autofree char *no = rig_approve(rig, n, rig->alice);
        }
        break;
    }
    default:
        rig_agent(rig, "dev1")->sick = roll(dice, 6) == 0;
        rig_tick(rig, (int64_t)(roll(dice, 30) + 1) * SL_MINUTE_US);
        break;
    }
}

static void test_agree(void)
{
    for (uint32_t seed = 1; seed <= 12; seed++) {
        uint32_t dice = seed * 2654435761u;
        Rig *rig = rig_new();
        rig->check = false;
        for (guint step = 0; step < 18; step++) {
            act(rig, &dice, step);
        }
        check_now(rig);
        check_history(rig);
        rig_assert_same(rig);
        rig_free(rig);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/candidates/needed-there", test_needed_there);
    g_test_add_func("/candidates/agree", test_agree);
    return g_test_run();
}
