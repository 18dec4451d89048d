/* test_text.c - names, UTF-8, escapes, paths, globs, numbers, durations, times, "did you mean". */
#include "base/text.h"
#include "sluice/clock.h"

#include <string.h>

static void test_names(void)
{
    g_assert_true(sl_is_name("a"));
    g_assert_true(sl_is_name("0-a"));
    g_assert_true(sl_is_name("abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"));
    const char *bad[] = {"",    "-a",
                         "a-",  "A",
                         "a_b", "a.b",
                         "a/b", "é",
                         "a\n", "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl",
                         NULL};
    for (size_t i = 0; bad[i] != NULL; i++) {
        g_assert_false(sl_is_name(bad[i]));
    }
    g_assert_false(sl_is_name(NULL));
}

static void test_utf8(void)
{
    g_assert_true(sl_is_clean_utf8("a\tb\né", 6, false));
    g_assert_false(sl_is_clean_utf8("a\r", 2, false));
    g_assert_true(sl_is_clean_utf8("a\r", 2, true));
    g_assert_false(sl_is_clean_utf8("a\0b", 3, true));
    g_assert_false(sl_is_clean_utf8("\x1b[0m", 4, true));
    g_assert_false(sl_is_clean_utf8("\xc2\x9b", 2, true)); /* CSI as one character */
    g_assert_false(sl_is_clean_utf8("\xc0\x80", 2, true)); /* overlong */
    g_assert_true(sl_is_plain_line("a é", 4));
    g_assert_false(sl_is_plain_line("a\tb", 3));
    g_assert_false(sl_is_plain_line("a\u202eb", 5)); /* bidirectional override */
}

static void expect_escaped(const char *text, size_t max, const char *expected)
{
    g_autofree char *escaped = sl_escape_for_people(text, max);
    g_assert_cmpstr(escaped, ==, expected);
}

static void test_escape(void)
{
    expect_escaped("plain é 日本", 100, "plain é 日本");
    expect_escaped("a\x1b[31mb\n", 100, "a\\x1b[31mb\\x0a");
    expect_escaped("\xff\xfe", 100, "\\xff\\xfe");
    expect_escaped("a\u202eb", 100, "a\\xe2\\x80\\xaeb");
    expect_escaped("cut \xe6\x97", 100, "cut \\xe6\\x97");
    expect_escaped("abcdef", 3, "abc...");
    expect_escaped("ab日", 4, "ab...");
    expect_escaped(NULL, 4, "");
}

static void test_paths(void)
{
    g_autofree char *longest = g_strnfill(1024, 'a');
    g_autofree char *too_long = g_strnfill(1025, 'a');
    const char *good[] = {"a", "a/b.c", "...", "a/..b", ".gitignore", "a/.github", longest, NULL};
    for (size_t i = 0; good[i] != NULL; i++) {
        g_autoptr(GError) error = NULL;
        g_assert_true(sl_check_relative_path(good[i], &error));
        g_assert_no_error(error);
    }
    const char *bad[] = {"",    "/a",   "a/",       "a//b", ".",    "..",    "a/../b", "./a",
                         "a/.", ".git", "a/.GIT/b", "a\nb", "a\tb", "a\xff", too_long, NULL};
    for (size_t i = 0; bad[i] != NULL; i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(sl_check_relative_path(bad[i], &error));
        g_assert_error(error, SL_ERROR, SLU_INVALID);
    }
    g_autoptr(GString) parts = g_string_new("a");
    for (int i = 0; i < 63; i++) {
        g_string_append(parts, "/a");
    }
    g_assert_true(sl_check_relative_path(parts->str, NULL));
    g_string_append(parts, "/a");
    g_autoptr(GError) error = NULL;
    g_assert_false(sl_check_relative_path(parts->str, &error));
    g_assert_nonnull(strstr(error->message, "more than 64 parts"));
}

static void test_globs(void)
{
    g_assert_true(sl_glob_match("*", ""));
    g_assert_true(sl_glob_match("*", "a/b"));
    g_assert_true(sl_glob_match("a*c", "abbc"));
    g_assert_true(sl_glob_match("*a*b*", "xxaxxbxx"));
    g_assert_true(sl_glob_match("a?c", "aéc"));
    g_assert_false(sl_glob_match("a?c", "ac"));
    g_assert_false(sl_glob_match("", "a"));
    g_assert_false(sl_glob_match("prod", "prod2"));
    g_assert_false(sl_glob_match("prod*x", "prod"));
    g_autofree char *stars = g_strnfill(60, '*');
    g_autofree char *text = g_strnfill(5000, 'a');
    g_autofree char *pattern = g_strconcat(stars, "b", NULL);
    g_assert_false(sl_glob_match(pattern, text)); /* no exponential search */
}

static void test_numbers(void)
{
    uint64_t u = 0;
    int64_t i = 0;
    g_assert_true(sl_parse_uint64("18446744073709551615", &u));
    g_assert_cmpuint(u, ==, UINT64_MAX);
    g_assert_true(sl_parse_uint64("0", &u));
    g_assert_true(sl_parse_int64("-9223372036854775808", &i));
    g_assert_cmpint(i, ==, INT64_MIN);
    g_assert_true(sl_parse_int64("9223372036854775807", &i));
    const char *bad[] = {"",  "-", "01", "+1", " 1", "1 ", "1a", "0x1", "18446744073709551616",
                         NULL};
    for (size_t n = 0; bad[n] != NULL; n++) {
        g_assert_false(sl_parse_uint64(bad[n], &u));
        g_assert_false(sl_parse_int64(bad[n], &i));
    }
    g_assert_false(sl_parse_int64("-0", &i));
    g_assert_false(sl_parse_int64("9223372036854775808", &i));
    g_assert_false(sl_parse_int64("-9223372036854775809", &i));
    g_assert_false(sl_parse_uint64(NULL, &u));
}

static void test_durations(void)
{
    int64_t us = 0;
    g_autoptr(GError) error = NULL;
    g_assert_true(sl_parse_duration("90s", &us, &error));
    g_assert_cmpint(us, ==, 90 * SL_SECOND_US);
    g_assert_true(sl_parse_duration("7d", &us, &error));
    g_assert_cmpint(us, ==, 7 * SL_DAY_US);
    const char *bad[] = {"",     "s",  "0s",    "-1s",   "1",
                         "1.5h", "1w", "1h30m", "3651d", "9223372036854775807d",
                         "01h",  NULL};
    for (size_t i = 0; bad[i] != NULL; i++) {
        g_clear_error(&error);
        g_assert_false(sl_parse_duration(bad[i], &us, &error));
        g_assert_error(error, SL_ERROR, SLU_INVALID);
        g_assert_nonnull(strstr(error->message, "write 90s, 15m"));
    }
    static const struct {
        int64_t us;
        const char *text;
    } shown[] = {{0, "0s"},
                 {3 * SL_MINUTE_US, "3m"},
                 {130 * SL_MINUTE_US, "2h10m"},
                 {5 * SL_DAY_US, "5d"},
                 {26 * SL_HOUR_US, "1d2h"},
                 {61 * SL_SECOND_US, "1m1s"},
                 {-3 * SL_MINUTE_US, "-3m"}};
    for (size_t i = 0; i < G_N_ELEMENTS(shown); i++) {
        g_autofree char *text = sl_format_duration(shown[i].us);
        g_assert_cmpstr(text, ==, shown[i].text);
    }
}

static void test_times(void)
{
    static const struct {
        int64_t us;
        const char *text;
    } known[] = {{0, "1970-01-01T00:00:00Z"},
                 {INT64_C(1795435200000000), "2026-11-23T12:00:00Z"},
                 {INT64_C(951782400000000), "2000-02-29T00:00:00Z"},
                 {INT64_C(4107542399999999), "2100-02-28T23:59:59.999999Z"},
                 {-1, "1969-12-31T23:59:59.999999Z"}};
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        g_autofree char *text = sl_format_time(known[i].us);
        g_assert_cmpstr(text, ==, known[i].text);
        int64_t back = 0;
        g_assert_true(sl_parse_time(text, &back));
        g_assert_cmpint(back, ==, known[i].us);
    }
    int64_t us = 5;
    g_assert_true(sl_parse_time("1970-01-01T00:00:01.5Z", &us));
    g_assert_cmpint(us, ==, 1500000);
    const char *bad[] = {"",
                         "2026-11-23",
                         "2026-11-23T12:00:00",
                         "2026-11-23T12:00:00+00:00",
                         "2026-11-23t12:00:00Z",
                         "2026-13-01T00:00:00Z",
                         "2026-02-29T00:00:00Z",
                         "2100-02-29T00:00:00Z",
                         "2026-00-01T00:00:00Z",
                         "2026-01-00T00:00:00Z",
                         "2026-01-01T24:00:00Z",
                         "2026-01-01T00:60:00Z",
                         "2026-01-01T00:00:60Z",
                         "2026-01-01T00:00:00.Z",
                         "2026-01-01T00:00:00.1234567Z",
                         "2026-01-01T00:00:00ZZ",
                         "2026-01-01T00:00:0-Z",
                         NULL};
    for (size_t i = 0; bad[i] != NULL; i++) {
        g_assert_false(sl_parse_time(bad[i], &us));
    }
    g_autofree char *last = sl_format_time(INT64_MAX);
    g_assert_cmpstr(last, ==, "9999-12-31T23:59:59Z");
    g_autofree char *first = sl_format_time(INT64_MIN);
    g_assert_cmpstr(first, ==, "0000-01-01T00:00:00Z");
}

static void test_nearest(void)
{
    const char *words[] = {"environment", "epoch", "seq", "reason", NULL};
    g_assert_cmpstr(sl_nearest("seqq", words), ==, "seq");
    g_assert_cmpstr(sl_nearest("enviroment", words), ==, "environment");
    g_assert_cmpstr(sl_nearest("epcoh", words), ==, "epoch");
    g_assert_null(sl_nearest("kubernetes", words));
    g_assert_null(sl_nearest("xyz", words));
    g_assert_null(sl_nearest("", words));
    g_autofree char *huge = g_strnfill(100000, 'a');
    g_assert_null(sl_nearest(huge, words));
}

static void test_enum_names(void)
{
    for (int i = 0; i < SL_N_ACTS; i++) {
        SlAct act = SL_N_ACTS;
        g_assert_true(sl_act_parse(sl_act_name((SlAct)i), &act));
        g_assert_cmpint(act, ==, i);
    }
    for (int i = 0; i < SL_N_HEALTH; i++) {
        SlHealth health = SL_N_HEALTH;
        g_assert_true(sl_health_parse(sl_health_name((SlHealth)i), &health));
        g_assert_cmpint(health, ==, i);
    }
    for (int i = 0; i < SL_N_RUN_PHASES; i++) {
        SlRunPhase phase = SL_N_RUN_PHASES;
        g_assert_true(sl_run_phase_parse(sl_run_phase_name((SlRunPhase)i), &phase));
        g_assert_cmpint(phase, ==, i);
    }
    SlAct act;
    g_assert_false(sl_act_parse("Promote", &act));
    g_assert_false(sl_act_parse(NULL, &act));
    g_assert_cmpstr(sl_act_name(SL_N_ACTS), ==, "unknown");
}

static void test_env_name(void)
{
    g_autofree char *plain = sl_env_name("SLUICE_INPUT_", "train-set2");
    g_autofree char *odd = sl_env_name("P_", "a.b C\xc3\xa9");
    g_assert_cmpstr(plain, ==, "SLUICE_INPUT_TRAIN_SET2");
    g_assert_cmpstr(odd, ==, "P_A_B_C__");
}

static void test_sorted_keys(void)
{
    g_autoptr(GHashTable) table = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GPtrArray) none = sl_sorted_keys(table);
    g_assert_cmpuint(none->len, ==, 0);
    static const char *const sorted[] = {"", "B", "a", "a-b", "a/b", "ab", "\xc3\xa9"};
    for (size_t i = G_N_ELEMENTS(sorted); i > 0; i--) {
        g_hash_table_add(table, (gpointer)sorted[i - 1]);
    }
    g_autoptr(GPtrArray) keys = sl_sorted_keys(table);
    g_assert_cmpuint(keys->len, ==, G_N_ELEMENTS(sorted));
    for (size_t i = 0; i < G_N_ELEMENTS(sorted); i++) {
        g_assert_true(keys->pdata[i] == (gpointer)sorted[i]); /* the table's own */
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/text/names", test_names);
    g_test_add_func("/text/utf8", test_utf8);
    g_test_add_func("/text/escape", test_escape);
    g_test_add_func("/text/paths", test_paths);
    g_test_add_func("/text/globs", test_globs);
    g_test_add_func("/text/numbers", test_numbers);
    g_test_add_func("/text/durations", test_durations);
    g_test_add_func("/text/times", test_times);
    g_test_add_func("/text/nearest", test_nearest);
    g_test_add_func("/text/enum-names", test_enum_names);
    g_test_add_func("/text/sorted-keys", test_sorted_keys);
    g_test_add_func("/text/env-name", test_env_name);
    return g_test_run();
}
