/* test_promotion.c - promotions: golden text, round trip, what is refused. */
#include "core/promotion.h"
#include "golden_file.h"

static const SlPromotion sample = {
    .fleet = (char *)H1,
    .env = (char *)"prod",
    .app = (char *)"digits",
    .epoch = 1,
    .seq = 3,
    .act = SL_ACT_ROLLBACK,
    .release = (char *)H2,
    .targets = (char *)H3,
    .target_count = 1,
    .previous = (char *)H1,
    .auto_rollback_to = (char *)H2,
    .allow_prune = true,
    .force_fields = true,
    .privileged = (char *[]){(char *)"rbac.authorization.k8s.io/Role", NULL},
    .authors = (char *[]){(char *)"alice", (char *)"bob@x.test", NULL},
    .not_before_us = INT64_C(1795435200000000),
    .activate_until_us = INT64_C(1796040000000000),
    .policy = (char *)H3,
    .requester = (char *)"alice",
    .reason = (char *)"R3 answers with nonsense",
};

static void test_golden(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) text = sl_promotion_format(&sample, &error);
    g_assert_no_error(error);
    golden_check("promotion.txt", text);
    g_autoptr(SlPromotion) back = sl_promotion_parse(text, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(back->app, ==, "digits");
    g_assert_cmpint(back->act, ==, SL_ACT_ROLLBACK);
    g_assert_true(back->allow_prune && back->force_fields && !back->disrupt);
    g_assert_cmpuint(g_strv_length(back->authors), ==, 2);
    g_assert_cmpint(back->activate_until_us, ==, sample.activate_until_us);
    g_autoptr(GBytes) again = sl_promotion_format(back, NULL);
    g_assert_true(g_bytes_equal(text, again));
}

static void test_smallest(void)
{
    SlPromotion p = sample;
    p.previous = p.auto_rollback_to = p.requester = NULL;
    p.privileged = p.authors = NULL;
    p.allow_prune = p.force_fields = false;
    p.act = SL_ACT_PROMOTE;
    g_autoptr(GBytes) text = sl_promotion_format(&p, NULL);
    g_autoptr(SlPromotion) back = sl_promotion_parse(text, NULL);
    g_assert_nonnull(back);
    g_assert_null(back->previous);
    g_assert_null(back->requester);
    g_assert_cmpuint(g_strv_length(back->privileged), ==, 0);
}

static void test_refused(void)
{
    static const struct {
        const char *from, *to, *word;
    } rows[] = {
        {"unit: digits/prod", "unit: digits/dev", "environment `prod`"},
        {"act: rollback", "act: pause", "does not `pause`"},
        {"act: rollback", "act: sing", "act"},
        {"seq: 3", "seq: 0", "start at 1"},
        {"epoch: 1", "epoch: 0", "start at 1"},
        {"seq: 3", "seq: 03", "seq"},
        {"targets: 33", "targets: 3Z", "targets"},
        {"activate-until: 2026-11-30", "activate-until: 2026-11-03", "later than not-before"},
        {"seq: 3\n", "seq: 3\nseqq: 4\n", "seqq"},
        {"seq: 3\n", "seq: 3\nseq: 3\n", "seq"},
        {"format: 1", "format: 2", "2"},
        {"fleet: 11", "fleet: 1", "fleet"},
    };
    g_autoptr(GBytes) good = sl_promotion_format(&sample, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GBytes) bad = changed(good, rows[i].from, rows[i].to);
        g_autoptr(GError) error = NULL;
        g_assert_null(sl_promotion_parse(bad, &error));
        expect_error(&error, error->code, rows[i].word);
    }
}

static void test_not_written(void)
{
    SlPromotion p = sample;
    g_autoptr(GError) error = NULL;
    p.release = (char *)"sha256:x";
    g_assert_null(sl_promotion_format(&p, &error));
    expect_error(&error, SLU_STATEMENT_FORMAT, "release: must be 64");
    p = sample;
    p.reason = (char *)"two\nlines: x";
    g_assert_null(sl_promotion_format(&p, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
    p = sample;
    p.app = (char *)"Digits";
    g_assert_null(sl_promotion_format(&p, &error));
    expect_error(&error, SLU_STATEMENT_FORMAT, "not a name");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/promotion/golden", test_golden);
    g_test_add_func("/promotion/smallest", test_smallest);
    g_test_add_func("/promotion/refused", test_refused);
    g_test_add_func("/promotion/not-written", test_not_written);
    return g_test_run();
}
