/* test_steps.c - the chain of roots, registries and heads as they come from the wire: what is no
 * step from here is refused with its kind, what is known is passed over in silence, what is ahead
 * waits. */
#include "rig.h"

static void assert_refused_registry(Rig *r, SlSigned *s, const char *kind, const char *says)
{
    rig_steps(r, NULL, s);
    rig_wait(r, 2 * SL_SECOND_US);
    rig_assert_refused(r, "registry", kind);
    g_autofree char *message = rig_reported(r, "refused/registry", "message");
    g_assert_nonnull(strstr(message, says));
}

/* A registry with one byte pattern changed, signed again by alice. */
static SlSigned *edited(Rig *r, const char *old, const char *new)
{
    g_autoptr(SlSigned) good = rig_registry(r, "prod", 2, RIG_KEYS(&r->alice));
    g_autofree char *text =
        g_strndup(g_bytes_get_data(good->text, NULL), g_bytes_get_size(good->text));
    g_auto(GStrv) parts = g_strsplit(text, old, 2);
    g_assert_nonnull(parts[1]);
    g_autofree char *other = g_strconcat(parts[0], new, parts[1], NULL);
    return rig_sign(g_bytes_new(other, strlen(other)), SL_STATEMENT_REGISTRY, RIG_KEYS(&r->alice));
}

static void registries(void)
{
    Rig *r = rig_new("prod", false);
    rig_steps(r, NULL, rig_registry(r, "prod", 3, RIG_KEYS(&r->alice)));
    assert_refused_registry(r, rig_registry(r, "prod", 4, RIG_KEYS(&r->eve)), "unsigned", "");
    assert_refused_registry(r, rig_registry(r, "prod", 4, RIG_NO_KEYS), "unsigned", "");
    assert_refused_registry(r, rig_registry(r, "prod", 2, RIG_KEYS(&r->alice)), "replay",
                            "version 2 is below 3");
    assert_refused_registry(r, edited(r, "fleet: aa", "fleet: cc"), "other-fleet",
                            "it is for fleet cc");
    assert_refused_registry(r, edited(r, "count: 1", "count: one"), "malformed", "count");
    rig_free(r);
}

static void same_version_with_other_bytes(void)
{
    Rig *r = rig_new("prod", false);
    rig_steps(r, NULL, rig_registry(r, "prod", 2, RIG_KEYS(&r->alice)));
    rig_steps(r, NULL, rig_registry(r, "prod", 2, RIG_KEYS(&r->alice)));
    rig_wait(r, 2 * SL_SECOND_US);
    rig_assert_refused(r, "registry", "");
    assert_refused_registry(r, edited(r, "count: 1", "count: 7"), "seq-reused",
                            "another text of version 2");
    rig_free(r);
}

static void registry_with_wrong_bucket(void)
{
    Rig *r = rig_new("prod", false);
    g_autoptr(SlMap) map = sl_map_new();
    g_assert_true(sl_map_add(map, "prod1", "not a cluster", NULL));
    g_autofree char *root = rig_put_map(r, map);
    g_autofree char *line = g_strdup_printf("clusters: %s", root);
    g_autoptr(SlSigned) good = rig_registry(r, "prod", 2, RIG_KEYS(&r->alice));
    g_autofree char *text =
        g_strndup(g_bytes_get_data(good->text, NULL), g_bytes_get_size(good->text));
    char *at = strstr(text, "clusters: ");
    g_assert_nonnull(at);
    memcpy(at, line, strlen(line));
    rig_steps(
        r, NULL,
        rig_sign(g_bytes_new(text, strlen(text)), SL_STATEMENT_REGISTRY, RIG_KEYS(&r->alice)));
    r->registry_version = 2;
    rig_list(r, (const char *const[]){NULL});
    rig_wait(r, 2 * SL_SECOND_US);
    g_autofree char *kind = rig_refused(r, "head");
    g_assert_cmpstr(kind, !=, "");
    rig_free(r);
}

static void roots(void)
{
    Rig *r = rig_new("prod", false);
    g_autofree char *huge = g_strnfill(SL_ROOT_MAX + 1, 'x');
    rig_steps(r, rig_sign(g_bytes_new(huge, strlen(huge)), SL_STATEMENT_ROOT, RIG_KEYS(&r->alice)),
              NULL);
    rig_wait(r, 2 * SL_SECOND_US);
    rig_assert_refused(r, "root", "root-step");
    /* Known ones are passed over. */
    rig_steps(r, sl_signed_copy(r->root_text), NULL);
    /* Another one of the same version is not. */
    r->root->expires_us += SL_DAY_US;
    rig_steps(r, rig_root_sign(r->root, RIG_KEYS(&r->alice)), NULL);
    rig_wait(r, 2 * SL_SECOND_US);
    rig_assert_refused(r, "root", "root-step");
    g_autofree char *message = rig_reported(r, "refused/root", "message");
    g_assert_nonnull(strstr(message, "another root of version 1"));
    rig_free(r);
}

/* Both numbers start again, orders in force with them; what runs stays. */
static void raised_epoch(void)
{
    Rig *r = rig_new("prod", false);
    g_autofree char *bundle = rig_servers(r, "a", 1);
    g_autofree char *promotion =
        rig_run_promotion(r, &(RigPromotion){.seq = 5, .bundle = bundle}, RIG_KEYS(&r->alice));
    g_autofree char *pause = rig_publish(
        r, rig_order(r, &(RigOrder){.act = SL_ACT_PAUSE, .scope = "env prod", .number = 7},
                     RIG_KEYS(&r->alice)));
    g_autofree char *unit = g_strdup_printf("unit/digits/prod %s", promotion),
                    *order = g_strdup_printf("order/%s", pause);
    rig_list(r, RIG_LINES(unit, order));
    rig_wait(r, 2 * SL_SECOND_US);
    rig_clear(r);
    r->root->version++;
    for (guint i = 0; i < r->root->environments->len; i++) {
        SlRootEnv *env = r->root->environments->pdata[i];
        env->epoch++;
    }
    rig_steps(r, rig_root_sign(r->root, RIG_KEYS(&r->alice)), NULL);
    rig_wait(r, 2 * SL_SECOND_US);
    g_assert_cmpuint(rig_count(r, "REMOVE"), ==, 0);
    g_assert_cmpuint(g_hash_table_size(r->engine), ==, 1);
    /* Lower numbers than before, of the new epoch. */
    r->version = 0;
    g_autofree char *again =
        rig_publish(r, rig_promotion(r, &(RigPromotion){.seq = 1, .epoch = 2, .bundle = bundle},
                                     RIG_KEYS(&r->alice)));
    g_autofree char *line = g_strdup_printf("unit/digits/prod %s", again);
    sl_map_free(r->list);
    r->list = sl_map_new();
    g_assert_true(sl_map_add(r->list, "unit/digits/prod", again, NULL));
    rig_send_head(r, &(RigHead){.epoch = 2, .term = 1, .version = 1});
    rig_wait(r, 2 * SL_SECOND_US);
    rig_assert_refused(r, "head", "");
    rig_assert_reported(r, "unit/digits/prod", "promotion", again);
    rig_free(r);
}

/* A head that names a newer root waits for it and asks. */
static void head_ahead_waits(void)
{
    Rig *r = rig_new("prod", false);
    g_autofree char *bundle = rig_servers(r, "a", 1);
    g_autofree char *promotion = rig_publish(
        r, rig_promotion(r, &(RigPromotion){.seq = 5, .bundle = bundle}, RIG_KEYS(&r->alice)));
    g_assert_true(sl_map_add(r->list, "unit/digits/prod", promotion, NULL));
    rig_clear(r);
    rig_send_head(r, &(RigHead){.root = 2});
    rig_send_head(r, &(RigHead){.root = 2}); /* the newer of two is kept */
    rig_wait(r, 6 * SL_SECOND_US);
    g_assert_cmpuint(rig_count(r, "HELLO"), >, 0);
    g_assert_cmpuint(rig_count(r, "APPLY"), ==, 0);
    r->root->version++;
    rig_steps(r, rig_root_sign(r->root, RIG_KEYS(&r->alice)), NULL);
    rig_wait(r, 2 * SL_SECOND_US);
    rig_assert_reported(r, "unit/digits/prod", "promotion", promotion);
    g_assert_cmpuint(g_hash_table_size(r->engine), ==, 1);
    rig_free(r);
}

/* Nobody can be asked for the steps: it sleeps until there is a connection. */
static void head_ahead_and_alone(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    rig_wait(r, 10 * SL_SECOND_US);
    rig_send_head(r, &(RigHead){.root = 2});
    rig_send(r, &(SlAgentInput){.type = SL_AGENT_DISCONNECTED});
    rig_wait(r, SL_MINUTE_US);
    g_assert_cmpint(r->next_us, >, r->now + SL_SECOND_US / 2);
    rig_clear(r);
    rig_connect(r);
    g_assert_cmpuint(rig_count(r, "HELLO"), ==, 1);
}

/* An old session's head is answered by a hello, at most every few seconds. */
static void head_of_an_old_session(void)
{
    Rig *r = rig_new("prod", false);
    rig_wait(r, 10 * SL_SECOND_US);
    rig_clear(r);
    for (int i = 0; i < 5; i++) {
        rig_send_head(r, &(RigHead){.nonce = "000000000000000000000000000000ff"});
    }
    g_assert_cmpuint(rig_count(r, "HELLO"), ==, 1);
    rig_wait(r, 2 * SL_SECOND_US);
    rig_assert_refused(r, "head", "old-session");
    rig_free(r);
}

/* An agent that lost its state has nothing to report: a lost hello is said again. */
static void hello_is_lost(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_clear_pointer(&r->slots[0], g_bytes_unref);
    g_clear_pointer(&r->slots[1], g_bytes_unref);
    rig_crash(r);
    rig_clear(r);
    rig_wait(r, 2 * SL_MINUTE_US);
    g_assert_cmpuint(rig_count(r, "HELLO"), ==, 4);
    rig_steps(r, sl_signed_copy(r->root_text), rig_registry(r, "prod", 1, RIG_KEYS(&r->alice)));
    rig_clear(r);
    rig_wait(r, 2 * SL_MINUTE_US);
    g_assert_cmpuint(rig_count(r, "HELLO"), ==, 0);
}

static void clock_behind(void)
{
    Rig *r = rig_new("prod", false);
    rig_send_head(
        r, &(RigHead){.issued = r->now + 4 * SL_MINUTE_US, .expires = r->now + 20 * SL_MINUTE_US});
    r->now -= 2 * SL_MINUTE_US;
    rig_wait(r, 3 * SL_SECOND_US);
    g_autoptr(json_t) view = sl_agent_view(r->agent, r->now);
    g_autofree char *text = sl_json_canonical(view, NULL);
    g_assert_nonnull(strstr(text, "behind the newest accepted head"));
    rig_free(r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/steps/registries", registries);
    g_test_add_func("/steps/registry/other-bytes", same_version_with_other_bytes);
    g_test_add_func("/steps/registry/wrong-bucket", registry_with_wrong_bucket);
    g_test_add_func("/steps/roots", roots);
    g_test_add_func("/steps/epoch", raised_epoch);
    g_test_add_func("/heads/ahead", head_ahead_waits);
    g_test_add_func("/heads/ahead-and-alone", head_ahead_and_alone);
    g_test_add_func("/heads/old-session", head_of_an_old_session);
    g_test_add_func("/heads/hello-is-lost", hello_is_lost);
    g_test_add_func("/heads/clock-behind", clock_behind);
    return g_test_run();
}
