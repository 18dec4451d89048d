/* test_latch.c - an agent that went back by itself: where it may go, what is said, what ends it. */
#include "rig.h"

static Rig *rig_in_prod(void)
{
    Rig *rig = rig_new();
    rig_push(rig, "c1", "1", "1");
    rig_seal(rig, "dev", "train", "m1", "0.97");
    rig_ask(rig, "promote", rig_unit_args("digits", "prod"));
    g_autofree char *no = rig_approve(rig, 4, rig->alice);
    g_assert_null(no);
    rig_assert_state(rig, 4, "SUCCEEDED");
    return rig;
}

static uint64_t ask(Rig *rig, const char *verb)
{
    rig_ask(rig, verb, rig_unit_args("digits", "prod"));
    uint64_t n = (uint64_t)sl_json_int(rig->reply, "attempt", 0);
    g_assert_cmpuint(n, >, 0);
    return n;
}

static void sign(Rig *rig, uint64_t n)
{
    g_autofree char *no = rig_approve(rig, n, rig->alice);
    g_assert_null(no);
}

/* auto-rollback-to of an attempt's statement; NULL. (transfer full) */
static char *back_of(Rig *rig, uint64_t n)
{
    g_autoptr(json_t) view = rig_view(rig, "attempt", json_pack("{s:I}", "n", (json_int_t)n));
    const char *text = sl_json_str(view, "statement.text");
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
    g_autoptr(SlPromotion) p = sl_promotion_parse(bytes, NULL);
    return g_strdup(p->auto_rollback_to);
}

static void test_latched(void)
{
    Rig *rig = rig_in_prod();
    Agent *prod = rig_agent(rig, "prod1");
    g_autoptr(json_t) first = rig_view(rig, "attempt", json_pack("{s:i}", "n", 4));
    g_autofree char *none = back_of(rig, 4);
    g_assert_null(none); /* nothing succeeded before it */
    rig_push(rig, "c2", "1", "2");
    uint64_t n = ask(rig, "promote");
    g_autofree char *back = back_of(rig, n);
    g_assert_cmpstr(back, ==, sl_json_str(first, "promotion"));
    prod->latch = true;
    sign(rig, n);
    g_autoptr(json_t) failed = rig_view(rig, "attempt", json_pack("{s:I}", "n", (json_int_t)n));
    g_assert_cmpstr(sl_json_str(failed, "state"), ==, "FAILED");
    g_assert_cmpstr(sl_json_str(failed, "error.code"), ==, "SLU3128");
    g_assert_nonnull(strstr(sl_json_str(failed, "error.message"), "prod1: went back by itself"));
    g_autoptr(json_t) unit = rig_unit(rig, "prod");
    g_assert_true(sl_json_bool(unit, "latched", false));
    g_assert_cmpstr(sl_json_str(unit, "reason"), ==, "Latched");
    g_assert_cmpstr(sl_json_str(unit, "health"), ==, "Degraded");
    /* the same release again is no "unchanged": it takes a new number, and a signature */
    uint64_t same = ask(rig, "promote");
    g_autoptr(json_t) waits = rig_view(rig, "attempt", json_pack("{s:I}", "n", (json_int_t)same));
    g_assert_cmpstr(sl_json_str(waits, "state"), ==, "GATING");
    g_assert_cmpint(sl_json_int(waits, "seq", 0), ==, sl_json_int(failed, "seq", 0) + 1);
    rig_ask(rig, "abort", json_pack("{s:I}", "attempt", (json_int_t)same));
    /* a higher number ends it: the old report of the latch condemns nobody else */
    prod->latch = false;
    rig_push(rig, "c3", "1", "3");
    uint64_t next = ask(rig, "promote");
    g_autofree char *still = back_of(rig, next);
    g_assert_cmpstr(still, ==, sl_json_str(first, "promotion")); /* the FAILED one is skipped */
    prod->mute = true;
    sign(rig, next);
    g_autofree char *state = rig_state(rig, next);
    g_assert_cmpstr(state, !=, "FAILED");
    prod->mute = false;
    agent_send_report(rig, prod);
    rig_assert_state(rig, next, "SUCCEEDED");
    g_autoptr(json_t) after = rig_unit(rig, "prod");
    g_assert_false(sl_json_bool(after, "latched", true));
    rig_free(rig);
}

/* Never for a rollback or a redeploy, nor to what was vetoed, nor where a cluster forgot. */
static void test_never(void)
{
    Rig *rig = rig_in_prod();
    rig_push(rig, "c2", "1", "2");
    uint64_t n = ask(rig, "promote");
    sign(rig, n);
    uint64_t again = ask(rig, "redeploy");
    g_autofree char *a = back_of(rig, again);
    g_assert_null(a);
    rig_ask(rig, "abort", json_pack("{s:I}", "attempt", (json_int_t)again));
    uint64_t rollback = ask(rig, "rollback");
    g_autofree char *b = back_of(rig, rollback);
    g_assert_null(b);
    rig_ask(rig, "abort", json_pack("{s:I}", "attempt", (json_int_t)rollback));
    Agent *prod = rig_agent(rig, "prod1");
    SlCoordInput in = {.type = SL_COORD_HELLO,
                       .hello = {.curve = prod->curve,
                                 .nonce = "00112233445566778899aabbccddeeff",
                                 .root_version = 1,
                                 .registry_version = 1,
                                 .format_max = 1,
                                 .version = "x",
                                 .state_lost = true}};
    prod->term = prod->version = 0;
    rig_step(rig, &in);
    rig_push(rig, "c3", "1", "3");
    uint64_t lost = ask(rig, "promote");
    g_autofree char *d = back_of(rig, lost);
    g_assert_null(d);
    rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/latch/latched", test_latched);
    g_test_add_func("/latch/never", test_never);
    return g_test_run();
}
