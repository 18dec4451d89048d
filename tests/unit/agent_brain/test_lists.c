/* Lists that a thief of the online key fills with junk: tables, refusals and reports have room for
 * the honest again. */
#include "rig.h"

static void unit_runs(Rig *r, const char *app, uint64_t seq)
{
    g_autofree char *bundle = rig_servers(r, app, (int)seq);
    g_autofree char *key = g_strdup_printf("unit/%s/prod", app);
    g_autofree char *d = rig_run_promotion(
        r, &(RigPromotion){.app = app, .seq = seq, .bundle = bundle}, RIG_KEYS(&r->alice));
    rig_assert_reported(r, key, "promotion", d);
    rig_assert_reported(r, key, "health", "Healthy");
}

static void list_junk(Rig *r, const char *before, const char *after, unsigned count)
{
    sl_map_free(r->list);
    r->list = sl_map_new();
    for (unsigned i = 0; i < count; i++) {
        g_autofree char *digest = g_strdup_printf("%064x", i + 1);
        g_autofree char *key = g_strdup_printf("%s%u%s", before, i, after);
        g_assert_true(sl_map_add(r->list, key, digest, NULL));
    }
    g_autoptr(SlSigned) head = rig_make_head(r, &(RigHead){0});
    rig_step(r, &(SlAgentInput){.type = SL_AGENT_HEAD, .statement = head});
    while (!g_queue_is_empty(r->inputs)) { /* bytes of the list; nothing of what its lines name */
        RigInput *i = g_queue_pop_head(r->inputs);
        if (i->in.type != SL_AGENT_MISSING) {
            rig_step(r, &i->in);
        }
        rig_input_free(i);
    }
}

/* Tables filled by lists are empty again with the next one; an honest unit finds room. */
static void tables_full_of_junk(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    unit_runs(r, "digits", 5);
    list_junk(r, "unit/junk", "/prod", 4200);
    rig_assert_reported(r, "unit/digits/prod", "seq", "5");
    unit_runs(r, "fresh", 1);
    g_autoptr(json_t) view = rig_view(r);
    g_assert_cmpuint(json_object_size(json_object_get(view, "units")), ==, 2);
    list_junk(r, "run/junk", "/prod/train/0", 5000);
    rig_wait(r, 2 * SL_SECOND_US);
    /* So many refusals leave room for that of a head. */
    rig_send_head(r, &(RigHead){.cluster = "other"});
    rig_wait(r, 2 * SL_SECOND_US);
    rig_assert_refused(r, "head", "other-cluster");
    unit_runs(r, "digits", 6);
}

static void orders_full_of_junk(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    unit_runs(r, "digits", 5);
    sl_map_free(r->list);
    r->list = sl_map_new();
    for (unsigned i = 0; i < 1100; i++) {
        g_autofree char *key = g_strdup_printf("order/%064x", i + 1);
        g_assert_true(sl_map_add(r->list, key, "pause", NULL));
    }
    rig_send_head(r, &(RigHead){0});
    g_autofree char *pause = rig_publish(
        r, rig_order(r, &(RigOrder){.act = SL_ACT_PAUSE, .scope = "env prod", .number = 1},
                     RIG_KEYS(&r->alice)));
    g_autofree char *line = g_strdup_printf("order/%s pause", pause);
    rig_list(r, RIG_LINES(line));
    rig_wait(r, 2 * SL_SECOND_US);
    g_autofree char *since = rig_reported(r, "flag/paused", "since");
    g_assert_cmpstr(since, !=, "");
    /* Nobody asks for what no line names any more. */
    g_autoptr(json_t) view = rig_view(r);
    g_assert_cmpint(sl_json_int(view, "fetches", -1), ==, 0);
}

/* Listed for later, and its head expires first. The next head takes it back: it must not start in the moment between that head and its
 * list. */
static void taken_back_by_the_next_head(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    unit_runs(r, "digits", 5);
    g_autofree char *now = rig_view_str(r, "units.digits.promotion");
    g_autofree char *bundle = rig_servers(r, "digits", 6);
    g_autofree char *later =
        rig_publish(r, rig_promotion(r,
                                     &(RigPromotion){.seq = 6,
                                                     .bundle = bundle,
                                                     .not_before = r->now + 25 * SL_MINUTE_US,
                                                     .until = r->now + SL_DAY_US},
                                     RIG_KEYS(&r->alice)));
    g_autofree char *line = g_strdup_printf("unit/digits/prod %s", later);
    rig_list(r, RIG_LINES(line));
    rig_wait(r, 30 * SL_MINUTE_US);
    g_autofree char *waits = rig_view_str(r, "units.digits.waits");
    g_assert_nonnull(strstr(waits, "the head has expired"));
    sl_map_free(r->list);
    r->list = sl_map_new();
    g_assert_true(sl_map_add(r->list, "unit/digits/prod", now, NULL));
    g_autoptr(SlSigned) head = rig_make_head(r, &(RigHead){0});
    rig_step(r, &(SlAgentInput){.type = SL_AGENT_HEAD, .statement = head});
    g_autofree char *between = rig_view_str(r, "units.digits.promotion");
    g_assert_cmpstr(between, ==, now);
    rig_wait(r, 2 * SL_SECOND_US);
    rig_assert_reported(r, "unit/digits/prod", "promotion", now);
    rig_assert_reported(r, "unit/digits/prod", "seq", "5");
}

/* A key as long as a map's line may be does not silence the reports. */
static void keys_without_end(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    unit_runs(r, "digits", 5);
    g_autofree char *tail = g_strnfill(4000, 'x');
    g_autofree char *unit = g_strdup_printf("unit/%s/prod y", tail);
    g_autofree char *other = g_strdup_printf("%s y", tail);
    rig_list(r, RIG_LINES(unit, other));
    uint64_t reports = r->reports;
    rig_wait(r, 2 * SL_MINUTE_US);
    g_assert_cmpuint(r->reports - reports, >, 2);
    g_assert_cmpuint(r->reports - reports, <, 20);
    g_autoptr(SlReport) last = sl_report_parse(r->last_report->text, NULL);
    g_assert_false(last->full);
    rig_list(r, RIG_LINES("thing/x y"));
    rig_wait(r, 2 * SL_SECOND_US);
    g_autoptr(GString) refused = g_string_new(NULL);
    GHashTableIter iter;
    gpointer key;
    g_hash_table_iter_init(&iter, r->applied);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        g_string_append(refused, g_str_has_prefix(key, "refused/desired/") ? "x" : "");
    }
    g_assert_cmpstr(refused->str, ==, "x"); /* those of the list before are gone */
    unit_runs(r, "digits", 6);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/lists/tables-full-of-junk", tables_full_of_junk);
    g_test_add_func("/lists/orders-full-of-junk", orders_full_of_junk);
    g_test_add_func("/lists/keys-without-end", keys_without_end);
    g_test_add_func("/lists/taken-back-by-the-next-head", taken_back_by_the_next_head);
    return g_test_run();
}
