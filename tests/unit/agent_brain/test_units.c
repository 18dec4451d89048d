/* Fetching: one question at a time per digest, back-off, sessions that end, back-pressure; restarts
 * in the middle. */
#include "rig.h"

typedef struct {
    Rig *r;
    char *bundle, *promotion, *line;
} Held;

static void held_clear(Held *h)
{
    rig_free(h->r);
    g_free(h->bundle);
    g_free(h->promotion);
    g_free(h->line);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Held, held_clear)

/* A promotion whose objects are not served yet. */
static Held held_new(GHashTable **ret_missing)
{
    Held h = {.r = rig_new("prod", false)};
    h.bundle = rig_servers(h.r, "a b c", 1);
    h.promotion = rig_publish(h.r, rig_promotion(h.r, &(RigPromotion){.seq = 1, .bundle = h.bundle},
                                                 RIG_KEYS(&h.r->alice)));
    h.line = g_strdup_printf("unit/digits/prod %s", h.promotion);
    *ret_missing = h.r->origin;
    return h;
}

static void take_away(Rig *r, const char *digest, GBytes **ret_kept)
{
    *ret_kept = g_bytes_ref(g_hash_table_lookup(r->origin, digest));
    g_hash_table_remove(r->origin, digest);
}

static void missing_is_asked_again(void)
{
    GHashTable *origin = NULL;
    g_auto(Held) h = held_new(&origin);
    Rig *r = h.r;
    GBytes *kept = NULL;
    take_away(r, h.bundle, &kept);
    rig_list(r, RIG_LINES(h.line));
    rig_wait(r, 10 * SL_SECOND_US);
    g_assert_cmpuint(rig_count(r, "APPLY"), ==, 0);
    g_autofree char *waits = rig_reported(r, "flag/waits/digits/prod", "message");
    g_assert_nonnull(strstr(waits, "fetches the bundle's list"));
    g_hash_table_insert(r->origin, g_strdup(h.bundle), kept);
    rig_wait(r, 2 * SL_MINUTE_US);
    g_assert_cmpuint(rig_count(r, "APPLY"), ==, 3);
    rig_assert_reported(r, "flag/waits/digits/prod", "message", "");
}

static void a_session_ends_in_the_middle(void)
{
    GHashTable *origin = NULL;
    g_auto(Held) h = held_new(&origin);
    Rig *r = h.r;
    GBytes *kept = NULL;
    take_away(r, h.bundle, &kept);
    rig_list(r, RIG_LINES(h.line));
    g_hash_table_insert(r->origin, g_strdup(h.bundle), kept);
    rig_send(r, &(SlAgentInput){.type = SL_AGENT_DISCONNECTED});
    rig_wait(r, SL_MINUTE_US);
    g_assert_cmpuint(rig_count(r, "APPLY"), ==, 0);
    rig_connect(r); /* no head is needed: what was accepted is durable */
    rig_wait(r, 2 * SL_SECOND_US);
    g_assert_cmpuint(rig_count(r, "APPLY"), ==, 3);
}

static void a_crash_in_the_middle(void)
{
    GHashTable *origin = NULL;
    g_auto(Held) h = held_new(&origin);
    Rig *r = h.r;
    GBytes *kept = NULL;
    take_away(r, h.bundle, &kept);
    rig_list(r, RIG_LINES(h.line));
    g_hash_table_insert(r->origin, g_strdup(h.bundle), kept);
    rig_crash(r);
    rig_wait(r, 2 * SL_SECOND_US);
    g_assert_cmpuint(rig_count(r, "APPLY"), ==, 3);
    rig_assert_reported(r, "unit/digits/prod", "health", "Healthy");
}

static void the_disk_lost_its_blobs(void)
{
    GHashTable *origin = NULL;
    g_auto(Held) h = held_new(&origin);
    Rig *r = h.r;
    rig_list(r, RIG_LINES(h.line));
    rig_wait(r, 5 * SL_SECOND_US);
    g_hash_table_remove_all(r->store);
    rig_clear(r);
    rig_crash(r);
    rig_wait(r, 2 * SL_SECOND_US);
    rig_assert_reported(r, "unit/digits/prod", "health", "Healthy");
    g_assert_cmpuint(rig_count(r, "APPLY"), ==, 0);
    g_assert_cmpuint(rig_count(r, "REMOVE"), ==, 0);
}

static void more_signatures_later(void)
{
    g_autoptr(Rig) r = rig_new("prod", true);
    g_autofree char *b = rig_servers(r, "a", 1);
    RigPromotion how = {.seq = 1, .bundle = b};
    g_autofree char *d = rig_run_promotion(r, &how, RIG_KEYS(&r->alice));
    rig_assert_refused(r, "unit/digits/prod", "unapproved");
    g_free(rig_publish(r, rig_promotion(r, &how, RIG_KEYS(&r->alice, &r->bob))));
    rig_wait(r, 2 * SL_MINUTE_US);
    rig_assert_reported(r, "unit/digits/prod", "promotion", d);
    rig_assert_refused(r, "unit/digits/prod", "");
}

/* What sufficed by one root is judged again by the next. */
static void a_root_in_the_middle(void)
{
    g_autoptr(Rig) r = rig_new("prod", true);
    g_autofree char *b = rig_servers(r, "a", 1);
    GBytes *kept = NULL;
    take_away(r, b, &kept);
    g_autofree char *d =
        rig_run_promotion(r, &(RigPromotion){.seq = 1, .bundle = b}, RIG_KEYS(&r->alice2, &r->bob));
    g_autofree char *waits = rig_reported(r, "flag/waits/digits/prod", "message");
    g_assert_nonnull(strstr(waits, "fetches the bundle's list"));
    r->root->version++;
    g_ptr_array_add(r->root->revoked, sl_public_key_copy(r->alice2.key));
    rig_steps(r, rig_root_sign(r->root, RIG_KEYS(&r->alice)), NULL);
    g_hash_table_insert(r->origin, g_strdup(b), kept);
    rig_wait(r, 2 * SL_MINUTE_US);
    rig_assert_refused(r, "unit/digits/prod", "unapproved");
    g_assert_cmpuint(rig_count(r, "APPLY"), ==, 0);
}

static void not_before(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autofree char *b = rig_servers(r, "a", 1);
    g_autofree char *d = rig_run_promotion(
        r, &(RigPromotion){.seq = 1, .bundle = b, .not_before = RIG_T0 + 10 * SL_MINUTE_US},
        RIG_KEYS(&r->alice));
    rig_assert_refused(r, "unit/digits/prod", "");
    g_autofree char *waits = rig_reported(r, "flag/waits/digits/prod", "message");
    g_assert_nonnull(strstr(waits, "not before"));
    rig_wait(r, 12 * SL_MINUTE_US);
    rig_assert_reported(r, "unit/digits/prod", "promotion", d);
}

static void only_own_line_counts(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autofree char *mine = rig_servers(r, "a", 1), *other = rig_servers(r, "a", 2);
    g_autoptr(SlMap) map = sl_map_new();
    for (int i = 0; i < 200; i++) {
        g_autofree char *name = g_strdup_printf("cluster%d", i);
        g_assert_true(sl_map_add(map, name, other, NULL));
    }
    g_assert_true(sl_map_add(map, r->cluster, mine, NULL));
    g_autofree char *root = rig_put_map(r, map);
    g_autofree char *d =
        rig_run_promotion(r, &(RigPromotion){.seq = 1, .targets = root}, RIG_KEYS(&r->alice));
    rig_assert_reported(r, "unit/digits/prod", "bundle", mine);
    g_assert_cmpuint(rig_count(r, "APPLY"), ==, 1);
}

static void many_units(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    for (int i = 0; i < 150; i++) {
        g_autofree char *name = g_strdup_printf("app%d", i),
                        *object = g_strdup_printf("server%d", i);
        g_autofree char *b = rig_servers(r, object, i);
        g_autofree char *d =
            rig_publish(r, rig_promotion(r, &(RigPromotion){.app = name, .seq = 1, .bundle = b},
                                         RIG_KEYS(&r->alice)));
        g_ptr_array_add(lines, g_strdup_printf("unit/%s/prod %s", name, d));
    }
    g_ptr_array_add(lines, NULL);
    rig_list(r, (const char *const *)lines->pdata);
    rig_wait(r, SL_MINUTE_US);
    g_assert_cmpuint(g_hash_table_size(r->engine), ==, 150);
    unsigned healthy = 0;
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, r->applied);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        healthy += g_str_has_prefix(key, "unit/") && strstr(value, "\"Healthy\"") != NULL ? 1 : 0;
    }
    g_assert_cmpuint(healthy, ==, 150);
}

/* 150 units wait for bytes: a step that is about none of them looks for none of them. */
static void a_step_costs_what_it_is_about(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    for (int i = 0; i < 150; i++) {
        g_autofree char *name = g_strdup_printf("app%d", i),
                        *object = g_strdup_printf("server%d", i);
        g_autofree char *b = rig_servers(r, object, i);
        g_autofree char *d =
            rig_publish(r, rig_promotion(r, &(RigPromotion){.app = name, .seq = 1, .bundle = b},
                                         RIG_KEYS(&r->alice)));
        g_ptr_array_add(lines, g_strdup_printf("unit/%s/prod %s", name, d));
        g_hash_table_remove(r->origin, b);
    }
    g_ptr_array_add(lines, NULL);
    rig_list(r, (const char *const *)lines->pdata);
    rig_wait(r, SL_MINUTE_US);
    unsigned before = r->looks;
    g_assert_cmpuint(before, >=, 150);
    rig_tick(r, 1000);
    rig_tick(r, 1000);
    g_assert_cmpuint(r->looks - before, <=, 150); /* at most the look at all of every 10 s */
    before = r->looks;
    for (int i = 0; i < 100; i++) {
        rig_tick(r, 1000);
    }
    g_assert_cmpuint(r->looks - before, <, 20);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/units/missing-is-asked-again", missing_is_asked_again);
    g_test_add_func("/units/a-session-ends-in-the-middle", a_session_ends_in_the_middle);
    g_test_add_func("/units/a-crash-in-the-middle", a_crash_in_the_middle);
    g_test_add_func("/units/the-disk-lost-its-blobs", the_disk_lost_its_blobs);
    g_test_add_func("/units/more-signatures-later", more_signatures_later);
    g_test_add_func("/units/a-root-in-the-middle", a_root_in_the_middle);
    g_test_add_func("/units/not-before", not_before);
    g_test_add_func("/units/only-own-line-counts", only_own_line_counts);
    g_test_add_func("/units/many-units", many_units);
    g_test_add_func("/units/a-step-costs-what-it-is-about", a_step_costs_what_it_is_about);
    return g_test_run();
}
