/* Reports: deltas whose root is true at every step, flow control, sizes, starting over. */
#include "rig.h"

static void deltas_add_up(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autofree char *b = rig_servers(r, "a b c d", 1);
    g_autofree char *p =
        rig_run_promotion(r, &(RigPromotion){.seq = 1, .bundle = b}, RIG_KEYS(&r->alice));
    g_autoptr(SlReport) report = sl_report_parse(r->last_report->text, NULL);
    g_assert_cmpuint(report->applied_count, ==, g_hash_table_size(r->applied));
    g_autoptr(GPtrArray) signers = sl_signed_signers(r->last_report, SL_STATEMENT_REPORT, NULL);
    g_assert_cmpuint(signers->len, ==, 1);
    g_assert_cmpstr(((SlPublicKey *)signers->pdata[0])->line, ==, r->self.key->line);
    g_assert_cmpstr(report->cluster, ==, "prod1");
    g_assert_cmpuint(report->ledger_seq, ==, 10);
    g_assert_cmpstr(report->ledger_hash, ==, RIG_HASH);
}

static void large_maps_go_in_parts(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autoptr(GString) names = g_string_new(NULL);
    for (int i = 0; i < 300; i++) {
        g_string_append_printf(names, "%sserver%d", i > 0 ? " " : "", i);
    }
    g_autofree char *b = rig_servers(r, names->str, 1);
    g_autofree char *p =
        rig_run_promotion(r, &(RigPromotion){.seq = 1, .bundle = b}, RIG_KEYS(&r->alice));
    rig_wait(r, SL_MINUTE_US);
    g_assert_cmpuint(g_hash_table_size(r->applied), ==, 301);
    rig_assert_reported(r, "unit/digits/prod", "health", "Healthy");
}

static void flow_control(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autofree char *b = rig_servers(r, "a", 1);
    g_autofree char *p =
        rig_run_promotion(r, &(RigPromotion){.seq = 1, .bundle = b}, RIG_KEYS(&r->alice));
    rig_wait(r, SL_MINUTE_US);
    uint64_t before = r->reports;
    for (int i = 0; i < 100; i++) { /* health flaps a hundred times in ten seconds */
        SlAgentInput seen = {.type = SL_AGENT_OBSERVED,
                             .object = {"digits", "gitops.sluice/ModelServer", "-", "a"},
                             .reason = i % 2 == 0 ? "CrashLoop" : "Ready",
                             .health = i % 2 == 0 ? SL_HEALTH_DEGRADED : SL_HEALTH_HEALTHY};
        rig_send(r, &seen);
        if (i == 0) {
            g_assert_cmpuint(r->reports - before, ==, 1); /* news goes at once */
        }
        rig_tick(r, SL_SECOND_US / 10);
    }
    g_assert_cmpuint(r->reports - before, <=, 55); /* five a second, and the burst */
    g_assert_cmpuint(r->reports - before, >=, 10);
    before = r->reports;
    for (int i = 0; i < 600; i++) { /* nothing happens for ten minutes */
        rig_tick(r, SL_SECOND_US);
    }
    g_assert_cmpuint(r->reports - before, <=, 21);
    g_assert_cmpuint(r->reports - before, >=, 19);
}

static void health_goes_out_at_once(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autofree char *b = rig_servers(r, "a", 1);
    g_autofree char *p =
        rig_run_promotion(r, &(RigPromotion){.seq = 1, .bundle = b}, RIG_KEYS(&r->alice));
    rig_tick(r, 10 * SL_SECOND_US);
    uint64_t before = r->reports;
    SlAgentInput ill = {.type = SL_AGENT_OBSERVED,
                        .object = {"digits", "gitops.sluice/ModelServer", "-", "a"},
                        .health = SL_HEALTH_DEGRADED,
                        .reason = "CrashLoop"};
    rig_send(r, &ill);
    g_assert_cmpuint(r->reports, ==, before + 1);
    rig_assert_reported(r, "unit/digits/prod", "health", "Degraded");
    rig_assert_reported(r, "unit/digits/prod", "reason", "CrashLoop");
}

static void one_at_a_time(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    r->no_acks = true;
    uint64_t before = r->reports;
    g_autofree char *b = rig_servers(r, "a", 1);
    g_autofree char *p =
        rig_run_promotion(r, &(RigPromotion){.seq = 1, .bundle = b}, RIG_KEYS(&r->alice));
    rig_wait(r, 5 * SL_SECOND_US);
    g_assert_cmpuint(r->reports - before, <=, 2);
    g_autoptr(GBytes) first = g_bytes_ref(r->last_report->text);
    rig_wait(r, 12 * SL_SECOND_US);
    g_assert_true(g_bytes_equal(first, r->last_report->text)); /* the same one again */
}

static void starting_over(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autofree char *b = rig_servers(r, "a", 1);
    g_autofree char *p =
        rig_run_promotion(r, &(RigPromotion){.seq = 1, .bundle = b}, RIG_KEYS(&r->alice));
    g_hash_table_remove_all(
        r->applied); /* the coordinator started anew: its root differs, it asks for all */
    rig_wait(r, 2 * SL_MINUTE_US);
    rig_assert_reported(r, "unit/digits/prod", "health", "Healthy");
    rig_assert_reported(r, "object/digits/prod/gitops.sluice~ModelServer/-/a", "health", "Healthy");
}

/* All but the last part of a full report that one report can't hold say that more follows. */
static void says_that_more_follows(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autoptr(GString) names = g_string_new("server0");
    for (int i = 1; i < 2 * SL_REPORT_CHANGES_MAX; i++) {
        g_string_append_printf(names, " server%d", i);
    }
    g_autofree char *b = rig_servers(r, names->str, 1);
    g_autofree char *p =
        rig_run_promotion(r, &(RigPromotion){.seq = 1, .bundle = b}, RIG_KEYS(&r->alice));
    rig_wait(r, SL_MINUTE_US);
    const guint all = g_hash_table_size(r->applied);
    g_assert_cmpuint(r->mores, ==, 0);   /* changes alone are no whole that lacks its end */
    g_hash_table_remove_all(r->applied); /* the root differs: all is asked for */
    rig_wait(r, 2 * SL_MINUTE_US);
    g_autoptr(SlReport) last = sl_report_parse(r->last_report->text, NULL);
    g_assert_cmpuint(g_hash_table_size(r->applied), ==, all);
    g_assert_cmpuint(r->mores, >=, all / SL_REPORT_CHANGES_MAX);
    g_assert_cmpuint(r->said_with_more, <, all);
    g_assert_false(last->more);
}

static void hostile_messages(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autofree char *b = rig_servers(r, "a", 1);
    g_autofree char *p =
        rig_run_promotion(r, &(RigPromotion){.seq = 1, .bundle = b}, RIG_KEYS(&r->alice));
    g_autofree char *long_text = g_strnfill(100000, 'x');
    g_autofree char *message = g_strdup_printf("\x1b[31m\xff\xfe\n%s", long_text);
    SlAgentInput ill = {.type = SL_AGENT_OBSERVED,
                        .object = {"digits", "gitops.sluice/ModelServer", "-", "a"},
                        .health = SL_HEALTH_DEGRADED,
                        .reason = "Bad\nreason",
                        .message = message};
    rig_send(r, &ill);
    rig_wait(r, 2 * SL_SECOND_US);
    g_autofree char *said = rig_reported(r, "unit/digits/prod", "message");
    g_assert_cmpuint(strlen(said), <, 500);
    g_assert_null(strchr(said, '\x1b'));
    rig_assert_reported(r, "unit/digits/prod", "health", "Degraded");
}

/* Nothing that a restart would forget is said while the state can't be saved; but that it can't be. */
static void only_flags_without_room(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autofree char *b = rig_servers(r, "a", 1), *b2 = rig_servers(r, "a", 2);
    g_autofree char *p =
        rig_run_promotion(r, &(RigPromotion){.seq = 1, .bundle = b}, RIG_KEYS(&r->alice));
    rig_wait(r, SL_MINUTE_US);
    r->fail_saves = true;
    g_autofree char *p2 =
        rig_run_promotion(r, &(RigPromotion){.seq = 2, .bundle = b2}, RIG_KEYS(&r->alice));
    rig_wait(r, 10 * SL_SECOND_US);
    g_autofree char *why = rig_reported(r, "flag/storage", "message");
    g_assert_nonnull(strstr(why, "no space left"));
    rig_assert_reported(r, "unit/digits/prod", "promotion", p);
    uint64_t before = r->reports;
    rig_wait(r, SL_MINUTE_US);
    g_assert_cmpuint(r->reports - before, <=, 4);
    r->fail_saves = false;
    rig_wait(r, SL_MINUTE_US);
    rig_assert_reported(r, "unit/digits/prod", "promotion", p2);
    g_assert_false(g_hash_table_contains(r->applied, "flag/storage"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/report/deltas-add-up", deltas_add_up);
    g_test_add_func("/report/large-maps-go-in-parts", large_maps_go_in_parts);
    g_test_add_func("/report/flow-control", flow_control);
    g_test_add_func("/report/health-goes-out-at-once", health_goes_out_at_once);
    g_test_add_func("/report/one-at-a-time", one_at_a_time);
    g_test_add_func("/report/starting-over", starting_over);
    g_test_add_func("/report/says-that-more-follows", says_that_more_follows);
    g_test_add_func("/report/only-flags-without-room", only_flags_without_room);
    g_test_add_func("/report/hostile-messages", hostile_messages);
    return g_test_run();
}
