/* test_require.c - gate expressions: what holds, what does not, what is unknown, and what is no
 * expression. */
#include "core/require.h"
#include "golden_file.h"
#include <math.h>

static bool number(const char *name, double *ret, void *user)
{
    (void)user;
    static const struct {
        const char *name;
        double value;
    } rows[] = {{"final.accuracy", 0.97},
                {"final.eval/top-1", 0.5},
                {"baseline.accuracy", 0.975},
                {"restarts", 2},
                {"age", 3600},
                {"final.nan", (double)NAN},
                {"final.inf", (double)INFINITY}};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (strcmp(rows[i].name, name) == 0) {
            *ret = rows[i].value;
            return true;
        }
    }
    return false;
}

static const char *word(const char *name, void *user)
{
    (void)user;
    return strcmp(name, "phase") == 0 ? "Succeeded" : NULL;
}

static void test_verdicts(void)
{
    static const struct {
        const char *text, *explain;
        SlRequireVerdict verdict;
    } rows[] = {
        {"final.accuracy >= 0.95", "0.97 >= 0.95: final.accuracy >= 0.95 holds", SL_REQUIRE_PASS},
        {"  final.accuracy<0.95 ", "0.97 >= 0.95: final.accuracy<0.95 does not hold",
         SL_REQUIRE_FAIL},
        {"final.accuracy >= baseline.accuracy - 0.01", "0.97 >= 0.965", SL_REQUIRE_PASS},
        {"final.accuracy >= baseline.accuracy + 0.01", "does not hold", SL_REQUIRE_FAIL},
        {"final.eval/top-1 > -1e-3", "holds", SL_REQUIRE_PASS},
        {"final.loss <= 2", "final.loss is not there", SL_REQUIRE_UNKNOWN},
        {"final.nan <= 2", "final.nan is NaN", SL_REQUIRE_UNKNOWN},
        {"final.nan > 2", "final.nan is NaN", SL_REQUIRE_UNKNOWN},
        {"final.inf > 2", "final.inf is infinite", SL_REQUIRE_UNKNOWN},
        {"NOT final.nan <= 2", "unknown", SL_REQUIRE_UNKNOWN},
        {"age < 7d", "3600.0 < 604800.0", SL_REQUIRE_PASS},
        {"age >= 60m", "holds", SL_REQUIRE_PASS},
        {"restarts <= 3", "2.0 <= 3.0", SL_REQUIRE_PASS},
        {"phase == Succeeded", "phase is Succeeded", SL_REQUIRE_PASS},
        {"phase != Succeeded", "does not hold", SL_REQUIRE_FAIL},
        {"mood == Good", "mood is not there", SL_REQUIRE_UNKNOWN},
        {"restarts <= 3 AND final.loss <= 2", "final.loss is not there", SL_REQUIRE_UNKNOWN},
        {"restarts <= 1 AND final.loss <= 2", "", SL_REQUIRE_FAIL},
        {"restarts <= 3 OR final.loss <= 2", "", SL_REQUIRE_PASS},
        {"restarts <= 1 OR final.loss <= 2", "", SL_REQUIRE_UNKNOWN},
        {"NOT (restarts <= 1 OR age > 7d)", "", SL_REQUIRE_PASS},
        {"restarts <= 1 AND age < 7d OR phase == Succeeded", "", SL_REQUIRE_PASS},
        {"restarts <= 1 AND (age < 7d OR phase == Succeeded)", "", SL_REQUIRE_FAIL},
        {"NOT NOT restarts <= 3", "", SL_REQUIRE_PASS},
        {"final.inf + 1 > 2", "infinite", SL_REQUIRE_UNKNOWN},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(SlRequire) require = sl_require_parse(rows[i].text, &error);
        g_assert_no_error(error);
        g_autofree char *explain = NULL;
        SlRequireVerdict verdict = sl_require_eval(require, number, word, NULL, &explain);
        if (verdict != rows[i].verdict || strstr(explain, rows[i].explain) == NULL) {
            g_error("%s: verdict %d: %s", rows[i].text, verdict, explain);
        }
    }
}

static void test_uses(void)
{
    g_autoptr(SlRequire) one = sl_require_parse("final.a >= baseline.a", NULL);
    g_assert_true(sl_require_uses_baseline(one));
    g_assert_false(sl_require_uses_age(one));
    g_autoptr(SlRequire) two = sl_require_parse("age < 7d AND final.baseline > 1", NULL);
    g_assert_false(sl_require_uses_baseline(two));
    g_assert_true(sl_require_uses_age(two));
}

static void test_refused(void)
{
    static const struct {
        const char *text, *word;
    } rows[] = {
        {"", "expected a number"},
        {"final.a", "expected one of <"},
        {"final.a >=", "column 11"},
        {"final.a >= 0.95 0.5", "expected AND, OR"},
        {"final.a = 3", "expected one of <"},
        {"final.a == 0.95", "write >= or <="},
        {"final.a != final.b", "write >= or <="},
        {"0.9 == phase", "write >= or <="},
        {"final.a >= 0.9x", "not a number"},
        {"final.a >= 1.2.3", "not a number"},
        {"final.a >= 1e999", "not a number"},
        {"final.a >= 0d", "not a number"},
        {"age < 7", "compared with a duration"},
        {"7 > age", "compared with a duration"},
        {"(final.a > 1", "expected )"},
        {"final.a > 1)", "expected AND, OR"},
        {"AND final.a > 1", "expected a number"},
        {"final.a > 1 AND", "expected a number"},
        {"final.a > 1 and final.b > 1", "expected AND, OR"},
        {"final.a > $b", "column 11"},
        {"final.a\n> 1", "one line"},
        {"a > \xff", "one line"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(sl_require_parse(rows[i].text, &error));
        expect_error(&error, SLU_REQUIRE_SYNTAX, rows[i].word);
    }
}

static void test_limits(void)
{
    g_autoptr(GString) text = g_string_new("a>1");
    while (text->len < 500) {
        g_string_append(text, " OR a>1");
    }
    g_autoptr(GError) error = NULL;
    g_assert_null(sl_require_parse(text->str, &error));
    expect_error(&error, SLU_REQUIRE_SYNTAX, "too long");
    g_autofree char *deep = g_strnfill(400, '(');
    g_assert_null(sl_require_parse(deep, &error));
    expect_error(&error, SLU_REQUIRE_SYNTAX, "too deeply nested");
    g_autofree char *huge = g_strnfill(600, 'a');
    g_assert_null(sl_require_parse(huge, &error));
    expect_error(&error, SLU_REQUIRE_SYNTAX, "at most 512");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/require/verdicts", test_verdicts);
    g_test_add_func("/require/uses", test_uses);
    g_test_add_func("/require/refused", test_refused);
    g_test_add_func("/require/limits", test_limits);
    return g_test_run();
}
