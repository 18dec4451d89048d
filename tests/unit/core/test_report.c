/* test_report.c - reports: golden text, and that both limits (lines, bytes) bind. */
#include "core/report.h"
#include "golden_file.h"
#include "sluice/types.h"

static SlReport sample(GPtrArray *changes)
{
    return (SlReport){.fleet = (char *)H1,
                      .env = (char *)"dev",
                      .cluster = (char *)"dev1",
                      .boot = (char *)N1,
                      .counter = 5,
                      .clock_us = INT64_C(1795435200123456),
                      .head = (char *)H2,
                      .term = 2,
                      .version = 4,
                      .root = 1,
                      .registry = 1,
                      .ledger_seq = 11,
                      .ledger_hash = (char *)H3,
                      .applied = (char *)H1,
                      .applied_count = 2,
                      .full = true,
                      .more = true,
                      .changes = changes};
}

static void test_golden(void)
{
    g_autoptr(GPtrArray) changes = g_ptr_array_new();
    g_ptr_array_add(changes,
                    (char *)"unit/digits/dev {\"bundle\":\"" H1 "\",\"health\":\"Healthy\"}");
    g_ptr_array_add(changes, (char *)"- flag/stale-head");
    SlReport report = sample(changes);
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) text = sl_report_format(&report, &error);
    g_assert_no_error(error);
    golden_check("report.txt", text);
    g_autoptr(SlReport) back = sl_report_parse(text, &error);
    g_assert_no_error(error);
    g_assert_true(back->full && back->more);
    g_assert_cmpuint(back->changes->len, ==, 2);
    g_assert_cmpstr(back->changes->pdata[1], ==, "- flag/stale-head");
    g_assert_cmpint(back->clock_us, ==, INT64_C(1795435200123456));
}

static void test_refused(void)
{
    g_autoptr(GPtrArray) changes = g_ptr_array_new();
    SlReport report = sample(changes);
    static const char *const bad[] = {"nospace", " x", "- a b", "key "};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_ptr_array_set_size(changes, 0);
        g_ptr_array_add(changes, (char *)bad[i]);
        g_assert_null(sl_report_format(&report, &error));
        expect_error(&error, SLU_STATEMENT_FORMAT, "change 1");
    }
    g_ptr_array_set_size(changes, 0);
    for (int i = 0; i <= SL_REPORT_CHANGES_MAX; i++) {
        g_ptr_array_add(changes, (char *)"a b");
    }
    g_autoptr(GError) error = NULL;
    g_assert_null(sl_report_format(&report, &error));
    expect_error(&error, SLU_LIMIT, "at most 64");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/report/golden", test_golden);
    g_test_add_func("/report/refused", test_refused);
    return g_test_run();
}
