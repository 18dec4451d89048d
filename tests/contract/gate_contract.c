/* gate_contract.c - what every row of gates.def must keep: the table is complete, facts that are
 * not there are never OPEN, every answer has a reason of one line, judging is pure, hostile
 * configuration is answered with messages. */
#include "sluice/gate.h"
#include <string.h>

static json_t *no_seal(const SlGateFacts *facts, const char *job, const char *in, bool baseline)
{
    (void)facts;
    (void)job;
    (void)in;
    (void)baseline;
    return NULL;
}

static json_t *no_approvals(const SlGateFacts *facts)
{
    (void)facts;
    return NULL;
}

static json_t *odd_seal(const SlGateFacts *facts, const char *job, const char *in, bool baseline)
{
    (void)job;
    (void)in;
    (void)baseline;
    return facts->user;
}

static json_t *odd_approvals(const SlGateFacts *facts)
{
    return facts->user;
}

static const char *const configs[] = {
    "null",
    "7",
    "\"x\"",
    "[]",
    "{}",
    "{\"job\":1,\"in\":[],\"require\":{},\"noBaseline\":3}",
    "{\"job\":\"train\",\"in\":\"dev\",\"require\":[\"final.a > 1\"]}",
    "{\"require\":[null,1,\"\"]}",
    "{\"count\":-1,\"people\":[1,null],\"excludeRequester\":[],\"excludeAuthors\":\"x\"}",
    "{\"zzz\\u001b\":1}",
    "{\"job\":\"train\",\"in\":\"dev\",\"noBaseline\":\"pass\",\"require\":[\"final.a > "
    "baseline.a\",\"age < 7d\"]}",
};

static void check_answer(const SlGateOps *ops, const json_t *config, const SlGateFacts *facts,
                         bool known)
{
    g_autofree char *before = json_dumps(config, JSON_ENCODE_ANY | JSON_SORT_KEYS);
    SlGateAnswer one = {0};
    SlGateAnswer two = {0};
    ops->judge(config, facts, &one);
    ops->judge(config, facts, &two);
    g_assert_nonnull(one.reason);
    g_assert_cmpstr(one.reason, !=, "");
    g_assert_null(strpbrk(one.reason, "\n\x1b"));
    g_assert_cmpint(one.verdict, <, SL_GATE_N_VERDICTS);
    g_assert_true(known || one.verdict == SL_GATE_WAIT); /* unknown facts are WAIT, never OPEN */
    g_assert_cmpint(one.verdict, ==, two.verdict);
    g_assert_cmpstr(one.reason, ==, two.reason);
    g_assert_cmpint(one.next_us, >, facts->now_us);
    g_assert_true(one.who == NULL || json_is_array(one.who));
    g_autofree char *after = json_dumps(config, JSON_ENCODE_ANY | JSON_SORT_KEYS);
    g_assert_cmpstr(before, ==, after);
    sl_gate_answer_clear(&one);
    sl_gate_answer_clear(&two);
    sl_gate_answer_clear(&two); /* twice is harmless */
}

static void test_unknown_is_wait(void)
{
    SlGateFacts facts = {.app = "a",
                         .env = "prod",
                         .release = "r",
                         .now_us = 1,
                         .seal = no_seal,
                         .approvals = no_approvals};
    for (size_t i = 0; sl_gates()[i] != NULL; i++) {
        for (size_t c = 0; c < G_N_ELEMENTS(configs); c++) {
            g_autoptr(json_t) config = json_loads(configs[c], JSON_DECODE_ANY, NULL);
            check_answer(sl_gates()[i], config, &facts, false);
        }
    }
}

static void test_odd_facts(void)
{
    static const char *const odd[] = {
        "{}",
        "[]",
        "7",
        "{\"phase\":1,\"metrics\":[],\"threshold\":\"x\",\"people\":{}}",
        "{\"phase\":\"Succeeded\",\"metrics\":{\"final.a\":{},\"final.b\":\"soon\"},\"attempts\":"
        "\"x\"}",
        "{\"phase\":\"Fa\\u001biled\",\"reason\":\"a\\nb\"}",
        "{\"threshold\":1,\"count\":\"x\",\"people\":[1,null],\"who\":[{}]}"};
    for (size_t i = 0; sl_gates()[i] != NULL; i++) {
        for (size_t o = 0; o < G_N_ELEMENTS(odd); o++) {
            g_autoptr(json_t) fact = json_loads(odd[o], JSON_DECODE_ANY, NULL);
            SlGateFacts facts = {.user = fact,
                                 .app = "a",
                                 .env = "prod",
                                 .release = "r",
                                 .requester = "x",
                                 .now_us = 1,
                                 .seal = odd_seal,
                                 .approvals = odd_approvals};
            for (size_t c = 0; c < G_N_ELEMENTS(configs); c++) {
                g_autoptr(json_t) config = json_loads(configs[c], JSON_DECODE_ANY, NULL);
                check_answer(sl_gates()[i], config, &facts, true);
            }
        }
    }
}

static void test_table_and_validation(void)
{
    for (size_t i = 0; sl_gates()[i] != NULL; i++) {
        const SlGateOps *ops = sl_gates()[i];
        g_assert_nonnull(ops->type);
        g_assert_nonnull(ops->validate);
        g_assert_nonnull(ops->judge);
        g_assert_true(sl_gate_find(ops->type) == ops);
        for (size_t c = 0; c < G_N_ELEMENTS(configs); c++) {
            g_autoptr(json_t) config = json_loads(configs[c], JSON_DECODE_ANY, NULL);
            g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
            ops->validate(config, problems);
            g_assert_true(json_is_object(config) || problems->len > 0);
            for (guint p = 0; p < problems->len; p++) {
                g_assert_null(strpbrk(problems->pdata[p], "\n\x1b"));
            }
        }
        g_autoptr(json_t) unknown = json_pack("{s:i}", "zzzzzzzz", 1);
        g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
        ops->validate(unknown, problems);
        g_assert_true(g_str_has_prefix(problems->pdata[0], "zzzzzzzz: unknown key"));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/gate-contract/table", test_table_and_validation);
    g_test_add_func("/gate-contract/unknown", test_unknown_is_wait);
    g_test_add_func("/gate-contract/odd-facts", test_odd_facts);
    return g_test_run();
}
