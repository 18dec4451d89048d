/* test_order.c - orders: golden text, scopes of each act, floors of a resume after lost state. */
#include "base/text.h"
#include "core/order.h"
#include "golden_file.h"

static SlOrder sample(SlAct act, const char *scope)
{
    return (SlOrder){.fleet = (char *)H1,
                     .env = (char *)"prod",
                     .epoch = 1,
                     .act = act,
                     .scope = (char *)scope,
                     .number = 7,
                     .expires_us = INT64_C(1795435200000000),
                     .requester = (char *)"alice",
                     .reason = (char *)"maintenance"};
}

static void test_golden(void)
{
    SlOrder order = sample(SL_ACT_RESUME, "unit digits/prod");
    order.cluster = (char *)"prod1";
    order.nonce = (char *)N1;
    order.unit_floors = (char *[]){(char *)"digits/prod 3 " H2, NULL};
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) text = sl_order_format(&order, &error);
    g_assert_no_error(error);
    golden_check("order.txt", text);
    g_autoptr(SlOrder) back = sl_order_parse(text, &error);
    g_assert_no_error(error);
    g_autofree char *app = sl_order_app(back);
    g_assert_cmpstr(app, ==, "digits");
    g_assert_cmpstr(back->unit_floors[0], ==, order.unit_floors[0]);
}

static void test_scopes(void)
{
    static const struct {
        SlAct act;
        const char *scope, *app, *word; /* word NULL: good */
    } rows[] = {
        {SL_ACT_PAUSE, "env prod", NULL, NULL},
        {SL_ACT_PAUSE, "unit digits/prod", "digits", NULL},
        {SL_ACT_RENEW, "promotion " H1, NULL, NULL},
        {SL_ACT_START_RUN, "run-key digits/prod train " H1 " 1", "digits", NULL},
        {SL_ACT_STOP_RUN, "run digits/prod " H1, "digits", NULL},
        {SL_ACT_PAUSE, "env dev", NULL, "not of the environment prod"},
        {SL_ACT_PAUSE, "unit digits/dev", NULL, "not of the environment prod"},
        {SL_ACT_PAUSE, "run digits/prod " H1, NULL, "not for the act pause"},
        {SL_ACT_STOP_RUN, "env prod", NULL, "not for the act stop-run"},
        {SL_ACT_START_RUN, "run-key digits/prod train " H1, NULL, "malformed"},
        {SL_ACT_START_RUN, "run-key digits/prod train " H1 " 01", NULL, "malformed"},
        {SL_ACT_PAUSE, "world", NULL, "must start with"},
        {SL_ACT_PROMOTE, "env prod", NULL, "not for the act promote"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        SlOrder order = sample(rows[i].act, rows[i].scope);
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) text = sl_order_format(&order, &error);
        if (rows[i].word != NULL) {
            g_assert_null(text);
            expect_error(&error, SLU_STATEMENT_FORMAT, rows[i].word);
            continue;
        }
        g_assert_no_error(error);
        g_autoptr(SlOrder) back = sl_order_parse(text, &error);
        g_assert_no_error(error);
        g_autofree char *app = sl_order_app(back);
        g_assert_cmpstr(app, ==, rows[i].app);
    }
}

static void test_floors(void)
{
    SlOrder order = sample(SL_ACT_RESUME, "env prod");
    g_autoptr(GError) error = NULL;
    order.unit_floors = (char *[]){(char *)"digits/prod 3 " H2, NULL};
    g_assert_null(sl_order_format(&order, &error));
    expect_error(&error, SLU_STATEMENT_FORMAT, "needs cluster and nonce");
    order.cluster = (char *)"prod1";
    g_assert_null(sl_order_format(&order, &error));
    expect_error(&error, SLU_STATEMENT_FORMAT, "belong together");
    order.nonce = (char *)N1;
    order.unit_floors = (char *[]){(char *)"digits/dev 3 " H2, NULL};
    g_assert_null(sl_order_format(&order, &error));
    expect_error(&error, SLU_STATEMENT_FORMAT, "malformed");
    order.unit_floors = NULL;
    order.act = SL_ACT_PAUSE;
    g_assert_null(sl_order_format(&order, &error));
    expect_error(&error, SLU_STATEMENT_FORMAT, "resume only");
    order = sample(SL_ACT_PAUSE, "env prod");
    order.number = 0;
    g_assert_null(sl_order_format(&order, &error));
    expect_error(&error, SLU_STATEMENT_FORMAT, "number: numbers start at 1");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/order/golden", test_golden);
    g_test_add_func("/order/scopes", test_scopes);
    g_test_add_func("/order/floors", test_floors);
    return g_test_run();
}
