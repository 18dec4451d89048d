/* test_progress.c - progress lines: every form, merging, ranks, the latch of final, hostile input,
 * state over a restart. */
#include "core/run.h"
#include "golden_file.h"
#include "sluice/clock.h"

#define NOW INT64_C(1795435200000000)

static bool feed_at(SlProgress *p, const char *line, int rank, int64_t now_us)
{
    return sl_progress_line(p, line, strlen(line), rank, now_us);
}

static bool feed(SlProgress *p, const char *line)
{
    return feed_at(p, line, -1, NOW);
}

static char *record_of(const SlProgress *p)
{
    g_autoptr(json_t) record = json_object();
    sl_progress_to_record(p, record);
    json_object_del(record, "heartbeatAt");
    return sl_json_canonical(record, NULL);
}

static void expect_record(const SlProgress *p, const char *text)
{
    g_autofree char *record = record_of(p);
    g_assert_cmpstr(record, ==, text);
}

static void test_forms(void)
{
    static const char *const lines[] = {
        "{\"sluice\":1,\"ev\":\"progress\",\"step\":1200,\"total\":50000,\"metrics\":{\"loss\":2.5}"
        "}",
        "{\"sluice\": 1, \"ev\": \"progress\", \"step\": 1200.0, \"total\": 50000, \"metrics\": "
        "{\"loss\": 2.5}}\n",
        "{\"ev\":\"progress\",\"sluice\":1,\"total\":50000,\"step\":1200,\"metrics\":{\"loss\":2.5}"
        ",\"unknown\":[1]}\r\n",
        "2026-11-23 INFO rank0 "
        "{\"sluice\":1,\"ev\":\"progress\",\"step\":1200,\"total\":50000,\"metrics\":{\"loss\":2.5}"
        "}",
        "::sluice step=1200/50000 loss=2.5",
        "INFO: ::sluice  step=1200 total=50000 loss=2.5\n",
        "::sluice progress step=1200/50000 loss=2.5",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autoptr(SlProgress) p = sl_progress_new();
        g_assert_true(feed(p, lines[i]));
        expect_record(p, "{\"metrics\":{\"loss\":2.5},\"progress\":{\"pct\":2.4,\"step\":1200,"
                         "\"total\":50000}}");
    }
}

static void test_ordinary_and_hostile(void)
{
    static const char *const lines[] = {
        "",
        "\n",
        "hello",
        "{",
        "{}",
        "{\"sluice\":1}",
        "{\"sluice\":2,\"ev\":\"progress\"}",
        "{\"sluice\":1,\"ev\":\"dance\"}",
        "{\"sluice\":1,\"ev\":\"progress\"",
        "{\"sluice\":1,\"ev\":\"progress\"} x",
        "{\"sluice\":1,\"ev\":\"progress\",\"ev\":\"final\"}",
        "{\"sluice\":1,\"ev\":\"progress\",\"step\":1e999}",
        "::sluice",
        "::sluice ",
        "::sluice what is this",
        "::sluicestep=1",
        "[1]",
        "null",
        "{\"sluice\":1,\"ev\":\"progress\",\"metrics\":{\"a\":[[[[[[[[1]]]]]]]]}}",
        "::sluice \x1b[31mstep=1",
        "{\"sluice\":1,\"ev\":\"progress\",\"x\":\"\xff\"}",
    };
    g_autoptr(SlProgress) p = sl_progress_new();
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_assert_false(feed(p, lines[i]));
    }
    g_assert_false(sl_progress_line(p, "::sluice step=1\0x", 17, -1, NOW));
    g_autofree char *pad = g_strnfill(SL_PROGRESS_LINE_MAX, ' ');
    g_autofree char *longer = g_strconcat("::sluice step=1", pad, NULL);
    g_assert_false(feed(p, longer));
    expect_record(p, "{}");
    g_assert_false(sl_progress_changed(p));
    /* good lines with bad members: the members are left out */
    g_assert_true(feed(p, "{\"sluice\":1,\"ev\":\"progress\",\"step\":-1,\"total\":1.5,\"epoch\":-"
                          "2,\"rate\":\"fast\","
                          "\"metrics\":{\"bad name\":1,\"list\":[1],\"word\":\"soon\",\"\":1}}"));
    g_assert_true(
        feed(p, "::sluice step=1/2/3 total=x epoch=a loss=0x1 b$d=1 step=99999999999999999999"));
    expect_record(p, "{}");
}

static void test_non_finite(void)
{
    g_autoptr(SlProgress) p = sl_progress_new();
    g_assert_true(feed(p, "{\"sluice\":1,\"ev\":\"final\",\"metrics\":{\"loss\":NaN,\"a\":Infinity,"
                          "\"b\":-Infinity,\"c\":\"NaN\",\"d\":-1.5}}"));
    expect_record(p, "{\"final\":{\"metrics\":{\"a\":\"Infinity\",\"b\":\"-Infinity\",\"c\":"
                     "\"NaN\",\"d\":-1.5,\"loss\":\"NaN\"}}}");
    g_autoptr(GPtrArray) lines = sl_progress_final_metrics(p);
    g_assert_cmpuint(lines->len, ==, 5);
    g_assert_cmpstr(lines->pdata[0], ==, "final.loss NaN");
    g_assert_cmpstr(lines->pdata[4], ==, "final.d -1.5");
    g_autoptr(SlProgress) bare = sl_progress_new();
    g_assert_true(feed(bare, "::sluice loss=NaN"));
    expect_record(bare, "{\"metrics\":{\"loss\":\"NaN\"}}");
}

static void test_final_latches(void)
{
    g_autoptr(SlProgress) p = sl_progress_new();
    g_autoptr(GPtrArray) none = sl_progress_final_metrics(p);
    g_assert_cmpuint(none->len, ==, 0);
    g_assert_true(feed(p, "::sluice final accuracy=0.97"));
    g_assert_true(feed(p, "::sluice final accuracy=1"));
    g_autoptr(GPtrArray) lines = sl_progress_final_metrics(p);
    g_assert_cmpuint(lines->len, ==, 1);
    g_assert_cmpstr(lines->pdata[0], ==, "final.accuracy 0.97");
    g_autoptr(SlProgress) bad = sl_progress_new();
    g_assert_true(feed(bad, "{\"sluice\":1,\"ev\":\"final\",\"ok\":false,\"metrics\":{\"accuracy\":"
                            "0.99},\"artifact\":{\"uri\":\"m\",\"sha256\":\"" H1 "\"}}"));
    g_autoptr(GPtrArray) nothing = sl_progress_final_metrics(bad);
    g_assert_cmpuint(nothing->len, ==, 0);
    expect_record(bad, "{\"final\":{\"artifact\":{\"sha256\":\"" H1
                       "\",\"uri\":\"m\"},\"metrics\":{\"accuracy\":0.99},\"ok\":false}}");
}

static void test_ranks(void)
{
    g_autoptr(SlProgress) p = sl_progress_new();
    g_assert_true(feed_at(p, "::sluice step=5 loss=1", 1, NOW));
    g_assert_true(feed_at(p, "::sluice step=5 rank=3", 0, NOW));
    g_assert_true(
        feed_at(p, "{\"sluice\":1,\"ev\":\"final\",\"rank\":1,\"metrics\":{\"a\":1}}", -1, NOW));
    expect_record(p, "{}");
    g_autoptr(json_t) record = json_object();
    sl_progress_to_record(p, record);
    g_assert_cmpstr(sl_json_str(record, "heartbeatAt"), ==, "2026-11-23T12:00:00Z");
    g_assert_true(feed_at(p, "::sluice step=5", 0, NOW));
    expect_record(p, "{\"progress\":{\"step\":5}}");
}

static void test_newest_wins(void)
{
    g_autoptr(SlProgress) p = sl_progress_new();
    g_assert_true(feed(p, "{\"sluice\":1,\"ev\":\"progress\",\"t\":1795435200.0,\"step\":20}"));
    g_assert_true(feed(p, "{\"sluice\":1,\"ev\":\"progress\",\"t\":1795435190.0,\"step\":10}"));
    expect_record(p, "{\"progress\":{\"step\":20}}");
    /* a clock far ahead does not shut out what comes after it */
    g_assert_true(feed(p, "{\"sluice\":1,\"ev\":\"progress\",\"t\":9e12,\"step\":30}"));
    g_assert_true(feed_at(p, "{\"sluice\":1,\"ev\":\"progress\",\"step\":40,\"total\":100}", -1,
                          NOW + 20 * SL_SECOND_US));
    expect_record(
        p, "{\"progress\":{\"eta\":60,\"pct\":40.0,\"rate\":1.0,\"step\":40,\"total\":100}}");
    g_assert_true(feed_at(p, "::sluice step=25", -1, NOW + 30 * SL_SECOND_US));
    expect_record(p, "{\"progress\":{\"lostSteps\":15,\"pct\":25.0,\"step\":25,\"total\":100}}");
}

static void test_other_events(void)
{
    g_autoptr(SlProgress) p = sl_progress_new();
    g_assert_true(feed(p, "{\"sluice\":1,\"ev\":\"phase\",\"name\":\"warm\\u001bup\"}"));
    g_assert_true(feed(p, "{\"sluice\":1,\"ev\":\"checkpoint\",\"uri\":\"ckpt/7\",\"step\":7}"));
    g_assert_true(feed(
        p, "{\"sluice\":1,\"ev\":\"error\",\"class\":\"DataError\",\"msg\":\"no such file\"}"));
    g_assert_true(feed(p, "{\"sluice\":1,\"ev\":\"eval\",\"metrics\":{\"acc\":0.5}}"));
    g_assert_true(feed(p, "{\"sluice\":1,\"ev\":\"heartbeat\"}"));
    g_autofree char *record = record_of(p);
    g_assert_nonnull(strstr(record, "\"checkpoint\":{\"step\":7,\"uri\":\"ckpt/7\"}"));
    g_assert_nonnull(
        strstr(record, "\"error\":{\"class\":\"DataError\",\"message\":\"no such file\"}"));
    g_assert_nonnull(strstr(record, "\"acc\":0.5"));
    g_assert_nonnull(strstr(record, "\"stage\":\"warm\\\\x1bup\""));
}

static void test_limits(void)
{
    g_autoptr(SlProgress) p = sl_progress_new();
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 100; i++) {
            g_autofree char *line = g_strdup_printf(
                "::sluice %s metric_with_a_rather_long_name_%d_%d=0.123456789012345",
                round < 3 ? "eval" : "final", round, i);
            g_assert_true(feed(p, line));
        }
    }
    g_autoptr(json_t) state = sl_progress_to_json(p);
    g_assert_cmpuint(json_object_size(json_object_get(state, "metrics")), ==,
                     SL_PROGRESS_METRICS_MAX);
    g_autoptr(json_t) record = json_object();
    g_autofree char *message = g_strnfill(1000, 'm');
    sl_json_set_str(record, "message", message);
    sl_progress_to_record(p, record);
    g_autofree char *text = sl_json_canonical(record, NULL);
    g_assert_cmpuint(strlen(text), <=, SL_RUN_RECORD_MAX);
    g_assert_cmpint(sl_json_int(record, "metricsOmitted", 0), >, 0);
}

static void test_restart(void)
{
    g_autoptr(SlProgress) p = sl_progress_new();
    g_assert_true(feed(p, "::sluice step=10/100 epoch=1/3 loss=2.5 bad=NaN"));
    g_assert_true(feed_at(p, "::sluice step=20/100", -1, NOW + 10 * SL_SECOND_US));
    g_assert_true(
        feed(p, "{\"sluice\":1,\"ev\":\"checkpoint\",\"uri\":\"c\",\"sha256\":\"sha256:" H1 "\"}"));
    g_assert_true(feed(p, "::sluice final accuracy=0.97"));
    g_assert_true(sl_progress_changed(p));
    g_assert_false(sl_progress_changed(p));
    g_autoptr(json_t) state = sl_progress_to_json(p);
    g_autofree char *text = sl_json_canonical(state, NULL);
    g_autoptr(json_t) read = sl_json_parse(text, strlen(text), NULL, "state", NULL);
    g_autoptr(SlProgress) back = sl_progress_from_json(read);
    g_autofree char *one = record_of(p);
    expect_record(back, one);
    g_assert_true(feed(back, "::sluice final accuracy=0.1"));
    expect_record(back, one);
    static const char *const bad[] = {
        "null", "[]", "{}", "{\"metrics\":7,\"final\":[],\"step\":\"x\",\"newest\":{}}",
        "{\"metrics\":{\"a "
        "b\":1,\"c\":[]},\"final\":{\"metrics\":{\"x\":{}}},\"checkpoint\":\"x\"}"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(json_t) json = json_loads(bad[i], JSON_DECODE_ANY, NULL);
        g_autoptr(SlProgress) q = sl_progress_from_json(json);
        g_assert_nonnull(q);
        g_assert_true(feed(q, "::sluice step=1"));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/progress/forms", test_forms);
    g_test_add_func("/progress/hostile", test_ordinary_and_hostile);
    g_test_add_func("/progress/non-finite", test_non_finite);
    g_test_add_func("/progress/final", test_final_latches);
    g_test_add_func("/progress/ranks", test_ranks);
    g_test_add_func("/progress/newest", test_newest_wins);
    g_test_add_func("/progress/events", test_other_events);
    g_test_add_func("/progress/limits", test_limits);
    g_test_add_func("/progress/restart", test_restart);
    return g_test_run();
}
