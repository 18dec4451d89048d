/* test_retry.c - which requests are made again, and when: the table, row by row. */
#include "kube/retry.h"

#include "sluice/clock.h"

static int64_t ask(int code, bool repeatable, unsigned tries, const char *retry_after,
                   uint32_t dice)
{
    SlKubeRetry what = {.code = code,
                        .repeatable = repeatable,
                        .tries = tries,
                        .retry_after = retry_after,
                        .dice = dice};
    return sl_kube_retry_us(&what);
}

static void test_never(void)
{
    static const int stay[] = {
        SLU_KUBE_UNAUTHORIZED, SLU_KUBE_FORBIDDEN, SLU_KUBE_NOT_FOUND, SLU_KUBE_NO_KIND,
        SLU_KUBE_CONFLICT,     SLU_KUBE_EXISTS,    SLU_KUBE_INVALID,   SLU_KUBE_IMMUTABLE,
        SLU_KUBE_GONE,         SLU_KUBE_TOO_LARGE, SLU_KUBE_REFUSED,   SLU_KUBE_TERMINATING,
        SLU_KUBE_PATH,         SLU_TLS_PEER,       SLU_LIMIT,
    };
    for (size_t i = 0; i < G_N_ELEMENTS(stay); i++) {
        g_assert_cmpint(ask(stay[i], true, 1, NULL, 0), ==, -1);
        g_assert_cmpint(ask(stay[i], true, 1, "1", 0), ==, -1);
    }
}

static void test_again(void)
{
    static const struct {
        int code;
        bool untouched;
        unsigned tries_max;
    } rows[] = {{SLU_KUBE_THROTTLED, true, 6},
                {SLU_KUBE_SERVER, false, 5},
                {SLU_KUBE_UNREACHABLE, false, 5},
                {SLU_KUBE_ANSWER, false, 3}};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_assert_cmpint(ask(rows[i].code, true, rows[i].tries_max - 1, NULL, 0), >, 0);
        g_assert_cmpint(ask(rows[i].code, true, rows[i].tries_max, NULL, 0), ==, -1);
        g_assert_true((ask(rows[i].code, false, 1, NULL, 0) > 0) == rows[i].untouched);
    }
}

static void test_when(void)
{
    g_assert_cmpint(sl_kube_backoff_us(1, 0), ==, SL_SECOND_US / 4);
    g_assert_cmpint(sl_kube_backoff_us(1, UINT32_MAX), <=, SL_SECOND_US / 2);
    g_assert_cmpint(sl_kube_backoff_us(3, 0), ==, SL_SECOND_US);
    g_assert_cmpint(sl_kube_backoff_us(UINT_MAX, 0), ==, 30 * SL_SECOND_US);
    g_assert_cmpint(sl_kube_backoff_us(UINT_MAX, UINT32_MAX), <=, 60 * SL_SECOND_US);
    g_assert_cmpint(sl_kube_backoff_us(0, 0), ==, SL_SECOND_US / 4);
    g_assert_cmpint(ask(SLU_KUBE_THROTTLED, false, 1, "7", 0), ==, 7 * SL_SECOND_US);
    g_assert_cmpint(ask(SLU_KUBE_THROTTLED, false, 1, "8", UINT32_MAX), >, 9 * SL_SECOND_US);
    /* absurd, or none that we read */
    g_assert_cmpint(ask(SLU_KUBE_THROTTLED, false, 1, "18446744073709551615", 9), ==,
                    SL_KUBE_RETRY_AFTER_MAX_US);
    g_assert_cmpint(ask(SLU_KUBE_THROTTLED, false, 1, "-3", 0), ==, SL_SECOND_US / 4);
    g_assert_cmpint(ask(SLU_KUBE_SERVER, true, 1, "Wed, 21 Oct 2026 07:28:00 GMT", 0), ==,
                    SL_SECOND_US / 4);
}

static void test_repeatable(void)
{
    g_autoptr(json_t) uid = json_pack("{s:{s:s}}", "preconditions", "uid", "1");
    g_autoptr(json_t) plain = json_pack("{s:s}", "propagationPolicy", "Background");
    g_assert_true(sl_kube_is_repeatable("GET", NULL, NULL));
    g_assert_true(sl_kube_is_repeatable("PUT", "application/json", plain));
    g_assert_false(sl_kube_is_repeatable("POST", "application/json", plain));
    g_assert_true(sl_kube_is_repeatable("PATCH", "application/apply-patch+yaml", plain));
    g_assert_true(sl_kube_is_repeatable("PATCH", "application/merge-patch+json", plain));
    g_assert_false(sl_kube_is_repeatable("PATCH", "application/json-patch+json", plain));
    g_assert_true(sl_kube_is_repeatable("DELETE", NULL, uid));
    g_assert_false(sl_kube_is_repeatable("DELETE", NULL, plain));
    g_assert_false(sl_kube_is_repeatable("DELETE", NULL, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/retry/never", test_never);
    g_test_add_func("/retry/again", test_again);
    g_test_add_func("/retry/when", test_when);
    g_test_add_func("/retry/repeatable", test_repeatable);
    return g_test_run();
}
