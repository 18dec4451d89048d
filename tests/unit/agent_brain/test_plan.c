/* Accepting, waves, prune, guards, drift, saving before writing. */
#include "rig.h"

static void first_promotion(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autofree char *b1 = rig_servers(r, "a b", 1);
    g_autofree char *p1 =
        rig_run_promotion(r, &(RigPromotion){.seq = 1, .bundle = b1}, RIG_KEYS(&r->alice));
    g_assert_cmpuint(g_hash_table_size(r->engine), ==, 2);
    rig_assert_reported(r, "unit/digits/prod", "health", "Healthy");
    rig_assert_reported(r, "unit/digits/prod", "bundle", b1);
    rig_assert_reported(r, "unit/digits/prod", "promotion", p1);
    rig_assert_reported(r, "unit/digits/prod", "seq", "1");
    rig_assert_reported(r, "object/digits/prod/gitops.sluice~ModelServer/-/a", "health", "Healthy");
    g_assert_cmpint(rig_index(r, "SAVE"), <, rig_index(r, "APPLY"));
}

static void nothing_before_saved(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    rig_clear(r);
    r->hold_saves = true;
    g_autofree char *b1 = rig_servers(r, "a", 1);
    g_autofree char *p1 =
        rig_run_promotion(r, &(RigPromotion){.seq = 1, .bundle = b1}, RIG_KEYS(&r->alice));
    rig_wait(r, SL_MINUTE_US);
    g_assert_cmpuint(rig_count(r, "APPLY"), ==, 0);
    g_assert_cmpuint(rig_count(r, "SAVE"), ==, 1);
    /* The process ends before the slot was written: after the restart everything is done again. */
    r->hold_saves = false;
    rig_crash(r);
    rig_send_head(r, &(RigHead){0});
    rig_wait(r, 2 * SL_SECOND_US);
    g_assert_cmpuint(rig_count(r, "APPLY a"), ==, 1);
}

static void save_that_fails(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    rig_wait(r, SL_SECOND_US);
    r->fail_saves = true;
    g_autofree char *b1 = rig_servers(r, "a", 1);
    g_autofree char *p1 =
        rig_run_promotion(r, &(RigPromotion){.seq = 1, .bundle = b1}, RIG_KEYS(&r->alice));
    rig_wait(r, SL_MINUTE_US);
    g_assert_cmpuint(rig_count(r, "APPLY"), ==, 0);
    r->fail_saves = false;
    rig_wait(r, 20 * SL_SECOND_US);
    g_assert_cmpuint(rig_count(r, "APPLY a"), ==, 1);
}

static void waves_and_reverse_prune(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_hash_table_insert(r->health, g_strdup("a"), g_strdup("Progressing"));
    g_autofree char *b1 = rig_servers(r, "a:0 b:1 c:2", 1);
    g_autofree char *p1 =
        rig_run_promotion(r, &(RigPromotion){.seq = 1, .bundle = b1}, RIG_KEYS(&r->alice));
    g_assert_cmpuint(rig_count(r, "APPLY a"), ==, 1);
    g_assert_cmpuint(rig_count(r, "APPLY b"), ==, 0);
    rig_assert_reported(r, "unit/digits/prod", "health", "Progressing");
    g_hash_table_remove_all(r->health);
    SlAgentInput seen = {.type = SL_AGENT_OBSERVED,
                         .object = {"digits", "gitops.sluice/ModelServer", "-", "a"},
                         .health = SL_HEALTH_HEALTHY,
                         .reason = "Ready"};
    rig_send(r, &seen);
    g_assert_cmpint(rig_index(r, "APPLY b"), <, rig_index(r, "APPLY c"));
    g_autofree char *nothing = rig_servers(r, "", 1);
    g_autofree char *p2 = rig_run_promotion(
        r, &(RigPromotion){.seq = 2, .bundle = nothing, .act = SL_ACT_REMOVE}, RIG_KEYS(&r->alice));
    g_assert_cmpuint(g_hash_table_size(r->engine), ==, 0);
    g_assert_cmpint(rig_index(r, "REMOVE c"), <, rig_index(r, "REMOVE b"));
    g_assert_cmpint(rig_index(r, "REMOVE b"), <, rig_index(r, "REMOVE a"));
    rig_assert_reported(r, "unit/digits/prod", "health", "Healthy");
    rig_assert_reported(r, "object/digits/prod/gitops.sluice~ModelServer/-/a", "health", "");
}

static void share_guard(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autofree char *b1 = rig_servers(r, "a b c d e", 1), *b2 = rig_servers(r, "a b c", 2),
                    *b3 = rig_servers(r, "a b c d", 3);
    g_autofree char *p1 =
        rig_run_promotion(r, &(RigPromotion){.seq = 1, .bundle = b1}, RIG_KEYS(&r->alice));
    g_autofree char *p2 =
        rig_run_promotion(r, &(RigPromotion){.seq = 2, .bundle = b2}, RIG_KEYS(&r->alice));
    rig_assert_refused(r, "unit/digits/prod", "prune-share");
    g_assert_cmpuint(g_hash_table_size(r->engine), ==, 5);
    g_autofree char *message = rig_reported(r, "refused/unit/digits/prod", "message");
    g_assert_nonnull(strstr(message, "2 of 5 objects"));
    g_autofree char *p3 =
        rig_run_promotion(r, &(RigPromotion){.seq = 3, .bundle = b3}, RIG_KEYS(&r->alice));
    g_assert_cmpuint(g_hash_table_size(r->engine), ==, 4);
    rig_assert_refused(r, "unit/digits/prod", "");
    g_autofree char *p4 = rig_run_promotion(
        r, &(RigPromotion){.seq = 4, .bundle = b2, .allow_prune = true}, RIG_KEYS(&r->alice));
    g_assert_cmpuint(g_hash_table_size(r->engine), ==, 3);
}

static void withheld_and_kept(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autoptr(SlBundle) full = sl_bundle_new();
    g_free(rig_object(r, full, "gitops.sluice/ModelServer", "serve", "},\"spec\":{\"v\":1"));
    g_free(
        rig_object(r, full, "core/ConfigMap", "kept",
                   ",\"annotations\":{\"gitops.sluice/prune\":\"false\"}},\"data\":{\"a\":\"1\""));
    g_autofree char *b1 = rig_bundle_put(r, full);
    g_autofree char *p1 =
        rig_run_promotion(r, &(RigPromotion){.seq = 1, .bundle = b1}, RIG_KEYS(&r->alice));
    g_assert_cmpuint(g_hash_table_size(r->engine), ==, 2);
    g_autoptr(SlBundle) next = sl_bundle_new();
    sl_bundle_add_withheld(next, "gitops.sluice/ModelServer", "-", "serve", "model", NULL);
    g_autofree char *b2 = rig_bundle_put(r, next);
    rig_clear(r);
    g_autofree char *p2 =
        rig_run_promotion(r, &(RigPromotion){.seq = 2, .bundle = b2}, RIG_KEYS(&r->alice));
    g_assert_cmpuint(g_hash_table_size(r->engine), ==, 2);
    g_assert_cmpuint(rig_count(r, "REMOVE"), ==, 0);
    rig_assert_reported(r, "unit/digits/prod", "bundle", b2);
    rig_assert_reported(r, "unit/digits/prod", "withheld", "1");
}

static void drift_is_repaired(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autofree char *b1 = rig_servers(r, "a", 1);
    g_autofree char *p1 =
        rig_run_promotion(r, &(RigPromotion){.seq = 1, .bundle = b1}, RIG_KEYS(&r->alice));
    rig_clear(r);
    g_hash_table_remove_all(r->engine);
    SlAgentInput gone = {.type = SL_AGENT_OBSERVED,
                         .object = {"digits", "gitops.sluice/ModelServer", "-", "a"},
                         .health = SL_HEALTH_MISSING,
                         .reason = "Gone"};
    rig_send(r, &gone);
    g_assert_cmpuint(rig_count(r, "APPLY a"), ==, 1);
    rig_wait(r, 2 * SL_SECOND_US);
    rig_assert_reported(r, "unit/digits/prod", "health", "Healthy");
}

static void restart_adopts(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autofree char *b1 = rig_servers(r, "a b", 1);
    g_autofree char *p1 =
        rig_run_promotion(r, &(RigPromotion){.seq = 1, .bundle = b1}, RIG_KEYS(&r->alice));
    rig_wait(r, 5 * SL_SECOND_US);
    rig_clear(r);
    rig_crash(r);
    rig_wait(r, 2 * SL_SECOND_US);
    g_assert_cmpuint(rig_count(r, "APPLY"), ==, 0);
    g_assert_cmpuint(rig_count(r, "ADOPT"), ==, 2);
    rig_assert_reported(r, "unit/digits/prod", "health", "Healthy");
    /* Gone while the agent was away: found and repaired without any head. */
    g_hash_table_remove(r->engine, "gitops.sluice/ModelServer a");
    rig_clear(r);
    rig_crash(r);
    g_assert_cmpuint(rig_count(r, "APPLY a"), ==, 1);
    g_assert_cmpuint(rig_count(r, "APPLY b"), ==, 0);
}

static void operation_errors(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    (void)sl_throw(&r->apply_error, SLU_UNAVAILABLE, "model store is away");
    g_autofree char *b1 = rig_servers(r, "a", 1);
    g_autofree char *p1 =
        rig_run_promotion(r, &(RigPromotion){.seq = 1, .bundle = b1}, RIG_KEYS(&r->alice));
    rig_assert_reported(r, "unit/digits/prod", "health", "Unknown");
    g_autofree char *message = rig_reported(r, "unit/digits/prod", "message");
    g_assert_nonnull(strstr(message, "model store is away"));
    g_clear_error(&r->apply_error);
    rig_wait(r, 10 * SL_SECOND_US);
    rig_assert_reported(r, "unit/digits/prod", "health", "Healthy");
}

/* The engine says that the only object of @bundle was applied, and that it is Healthy. */
static void answer(Rig *r, const char *bundle)
{
    g_autoptr(SlBundle) list = sl_bundle_parse(g_hash_table_lookup(r->store, bundle), NULL);
    const SlBundleObject *object = g_ptr_array_index(list->objects, 0);
    SlAgentInput in = {.type = SL_AGENT_APPLIED,
                       .object = {"digits", "gitops.sluice/ModelServer", "-", "a"},
                       .digest = object->digest,
                       .health = SL_HEALTH_HEALTHY,
                       .reason = "Ready"};
    rig_send(r, &in);
    in.type = SL_AGENT_OBSERVED;
    rig_send(r, &in);
    rig_wait(r, 2 * SL_SECOND_US);
}

/* v1, v2 and v1 again, before the engine has answered anything: only the last answer is about what will
 * stay there. */
static void answers_about_old_versions(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autofree char *b1 = rig_servers(r, "a", 1), *b2 = rig_servers(r, "a", 2);
    const char *const asked[] = {b1, b2, b1};
    r->no_engine = true;
    for (unsigned i = 0; i < G_N_ELEMENTS(asked); i++) {
        g_free(rig_run_promotion(r, &(RigPromotion){.seq = i + 1, .bundle = asked[i]},
                                 RIG_KEYS(&r->alice)));
        g_assert_cmpuint(rig_count(r, "APPLY a"), ==, i + 1);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(asked); i++) {
        rig_assert_reported(r, "unit/digits/prod", "health", "Progressing");
        answer(r, asked[i]);
    }
    rig_assert_reported(r, "unit/digits/prod", "health", "Healthy");
    rig_assert_reported(r, "unit/digits/prod", "seq", "3");
    g_assert_cmpuint(rig_count(r, "APPLY a"), ==, G_N_ELEMENTS(asked));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/plan/first-promotion", first_promotion);
    g_test_add_func("/plan/nothing-before-saved", nothing_before_saved);
    g_test_add_func("/plan/save-that-fails", save_that_fails);
    g_test_add_func("/plan/waves-and-reverse-prune", waves_and_reverse_prune);
    g_test_add_func("/plan/share-guard", share_guard);
    g_test_add_func("/plan/withheld-and-kept", withheld_and_kept);
    g_test_add_func("/plan/drift-is-repaired", drift_is_repaired);
    g_test_add_func("/plan/restart-adopts", restart_adopts);
    g_test_add_func("/plan/operation-errors", operation_errors);
    g_test_add_func("/plan/answers-about-old-versions", answers_about_old_versions);
    return g_test_run();
}
