/* test_check.c - a signature means what its person meant, whatever the coordinator drafted. */
#include "cli/check.h"
#include "core/sshsig.h"
#include "rig.h"
#include <sodium.h>

#define FLEET "1111111111111111111111111111111111111111111111111111111111111111"
#define RUN_ID "2222222222222222222222222222222222222222222222222222222222222222"

static GBytes *order(SlAct act, const char *env, const char *scope)
{
    SlOrder o = {.fleet = (char *)(uintptr_t)FLEET, .env = (char *)(uintptr_t)env, .epoch = 1, .act = act, .scope = (char *)(uintptr_t)scope, .number = 1,
                 .expires_us = INT64_C(1800000000) * SL_SECOND_US, .reason = (char[]){"maintenance"}};
    g_autoptr(GError) error = NULL;
    GBytes *text = sl_order_format(&o, &error);
    g_assert_no_error(error);
    return text;
}

static void check(SlAct act, const char *env, const char *scope, const char *asked, const char *says)
{
    g_autoptr(GBytes) text = order(act, env, scope);
    g_autoptr(json_t) args = sl_json_parse(asked, strlen(asked), NULL, "asked", NULL);
    g_autoptr(GError) error = NULL;
    bool good = sl_check_order(text, args, &error);
    if (says == NULL) {
        g_assert_no_error(error);
        g_assert_true(good);
    } else {
        g_assert_error(error, SL_ERROR, SLU_REVIEW_DIFFERS);
        assert_has(error->message, says);
    }
}

static void test_order(void)
{
    check(SL_ACT_PAUSE, "prod", "unit digits/prod", "{\"act\":\"pause\",\"env\":\"prod\",\"app\":\"digits\"}", NULL);
    check(SL_ACT_PAUSE, "prod", "env prod", "{\"act\":\"pause\",\"env\":\"prod\"}", NULL);
    check(SL_ACT_RESUME, "prod", "unit digits/prod", "{\"act\":\"pause\",\"env\":\"prod\",\"app\":\"digits\"}", "act `resume`, asked for was `pause`");
    check(SL_ACT_PAUSE, "prod", "unit digits/prod", "{\"act\":\"pause\",\"env\":\"dev\",\"app\":\"digits\"}", "environment `prod`");
    check(SL_ACT_PAUSE, "prod", "unit other/prod", "{\"act\":\"pause\",\"env\":\"prod\",\"app\":\"digits\"}", "application `other`");
    check(SL_ACT_PAUSE, "prod", "env prod", "{\"act\":\"pause\",\"env\":\"prod\",\"app\":\"digits\"}", "application `none`");
    check(SL_ACT_STOP_RUN, "dev", "run digits/dev " RUN_ID, "{\"act\":\"stop-run\",\"env\":\"dev\",\"app\":\"digits\",\"job\":\"train\",\"run\":\"" RUN_ID "\"}", NULL);
    check(SL_ACT_STOP_RUN, "dev", "run digits/dev " RUN_ID, "{\"act\":\"stop-run\",\"env\":\"dev\",\"app\":\"digits\",\"run\":\"3333\"}", "scope");
    check(SL_ACT_START_RUN, "dev", "run-key digits/dev train " RUN_ID " 1", "{\"act\":\"start-run\",\"env\":\"dev\",\"app\":\"digits\",\"job\":\"train\"}", NULL);
    check(SL_ACT_START_RUN, "dev", "run-key digits/dev other " RUN_ID " 1", "{\"act\":\"start-run\",\"env\":\"dev\",\"app\":\"digits\",\"job\":\"train\"}", "scope");
}

/* A registry of one cluster and the entries that a draft carries. */
static GBytes *registry(json_t *entries, uint64_t count)
{
    uint8_t seed[32] = {7}, public_[32], secret[64];
    crypto_sign_seed_keypair(public_, secret, seed);
    g_autoptr(SlPublicKey) key = sl_public_key_from_ed25519(public_);
    SlCluster cluster = {.id = (char[]){"prod1"}, .name = (char[]){"prod1"}, .engine = (char[]){"process"}, .sign = key, .curve = (char *)(uintptr_t)FLEET,
                         .labels = g_hash_table_new(g_str_hash, g_str_equal)};
    g_autofree char *values = sl_cluster_format(&cluster);
    g_hash_table_unref(cluster.labels);
    g_autoptr(SlMap) map = sl_map_new();
    g_assert_true(sl_map_add(map, "prod1", values, NULL));
    g_autofree char *root = sl_map_root(map);
    sl_json_set_str(entries, "prod1", values);
    SlRegistry r = {.fleet = (char *)(uintptr_t)FLEET, .env = (char[]){"prod"}, .version = 2, .count = count, .clusters = root};
    return sl_registry_format(&r, NULL);
}

static void test_registry(void)
{
    g_autoptr(json_t) entries = json_object();
    g_autoptr(GBytes) text = registry(entries, 1);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) clusters = sl_check_registry(text, "prod", entries, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(clusters->len, ==, 1);
    g_assert_null(sl_check_registry(text, "dev", entries, &error));
    g_assert_error(error, SL_ERROR, SLU_REVIEW_DIFFERS);
    g_clear_error(&error);
    /* The list that is shown says prod1, the root that is signed says more: refused. */
    g_autoptr(json_t) none = json_object();
    g_assert_null(sl_check_registry(text, "prod", none, &error));
    g_assert_error(error, SL_ERROR, SLU_REVIEW_DIFFERS);
    g_clear_error(&error);
    g_autoptr(GBytes) miscounted = registry(entries, 2);
    g_assert_null(sl_check_registry(miscounted, "prod", entries, &error));
    g_assert_error(error, SL_ERROR, SLU_REVIEW_DIFFERS);
    g_clear_error(&error);
    json_object_set_new(entries, "prod2", json_integer(3));
    g_assert_null(sl_check_registry(text, "prod", entries, &error));
    g_assert_error(error, SL_ERROR, SLU_COORDINATOR_ANSWER);
    g_clear_error(&error);
    g_assert_null(sl_check_registry(text, "prod", NULL, &error)); /* an old coordinator: nothing to check by, nothing to sign */
}

static void test_attempt(void)
{
    g_autoptr(json_t) attempt = json_pack("{s:s,s:s}", "app", "digits", "env", "prod");
    g_autoptr(GError) error = NULL;
    g_assert_true(sl_check_attempt(attempt, "digits", "prod", &error));
    g_assert_false(sl_check_attempt(attempt, "digits", "dev", &error));
    assert_has(error->message, "environment `prod`, asked for was `dev`");
    g_clear_error(&error);
    g_assert_false(sl_check_attempt(attempt, "other", "prod", &error));
}

/* `sluice pause` against a coordinator that drafts another order: nothing is signed, nothing is sent. */
static void test_draft_swapped(void)
{
    g_autoptr(Rig) r = rig_new();
    assert_code(r, RUN(r, "key", "create", "id"), 0);
    g_autofree char *key = rig_path(r, "id"), *socket = rig_path(r, "api.sock");
    SlContext context = {.name = (char[]){"f"}, .socket = socket, .person = (char[]){"alice"}, .key = key};
    g_assert_true(sl_context_save(&context, NULL));
    g_autoptr(GBytes) text = order(SL_ACT_RESUME, "prod", "unit digits/prod");
    g_autofree char *plain = g_strndup(g_bytes_get_data(text, NULL), g_bytes_get_size(text));
    g_autoptr(json_t) draft = json_pack("{s:s,s:i}", "text", plain, "threshold", 1);
    g_autofree char *answer = sl_json_canonical(draft, NULL);
    rig_says(r, "POST /v1/actions/order-draft", answer);
    rig_says(r, "POST /v1/actions/order", "{\"ok\":true}");
    assert_code(r, RUN(r, "pause", "digits/prod", "--yes"), 6);
    assert_has(r->err, "act `resume`");
    g_assert_cmpuint(r->posted->len, ==, 1);
    assert_code(r, RUN(r, "resume", "digits/prod", "--yes"), 0);
    g_assert_cmpuint(r->posted->len, ==, 3);
    assert_has((char *)g_ptr_array_index(r->posted, 2), "BEGIN SSH SIGNATURE");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/check/order", test_order);
    g_test_add_func("/check/registry", test_registry);
    g_test_add_func("/check/attempt", test_attempt);
    g_test_add_func("/check/draft-swapped", test_draft_swapped);
    return g_test_run();
}
