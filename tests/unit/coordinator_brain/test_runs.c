/* test_runs.c - run keys are never run again by themselves; forged and repeated seals; keep, run
 * again, starved models; enrolment. */
#include "rig.h"

static guint runs_of(Rig *rig, const char *env)
{
    g_autoptr(json_t) view = rig_view(rig, "runs", json_pack("{s:s}", "env", env));
    return (guint)json_array_size(json_object_get(view, "runs"));
}

static void order(Rig *rig, json_t *args)
{
    g_autoptr(json_t) draft = json_incref(rig_ask(rig, "order-draft", args));
    const char *text = sl_json_str(draft, "text");
    g_assert_nonnull(text);
    rig_ask(rig, "order", json_pack("{s:s}", "text", text));
    g_assert_cmpint(rig->status, ==, 200);
}

static void test_never_again(void)
{
    Rig *rig = rig_new();
    rig_push(rig, "c1", "1", "1");
    rig_seal(rig, "dev", "train", NULL, NULL); /* fails */
    g_assert_cmpuint(runs_of(rig, "dev"), ==, 1);
    rig_restart(rig);
    agent_hello(rig, "dev1");
    agent_hello(rig, "test1");
    rig_push(rig, "c2", "1", "2");
    g_assert_cmpuint(runs_of(rig, "dev"), ==, 1);
    g_autoptr(json_t) none = rig_run(rig, "dev", "train");
    g_assert_null(none);
    order(rig, json_pack("{s:s,s:s,s:s,s:s,s:s}", "act", "start-run", "app", "digits", "env", "dev",
                         "job", "train", "reason", "again"));
    g_assert_cmpuint(runs_of(rig, "dev"), ==, 2);
    guint from = rig->ledger->len;
    rig_seal(rig, "dev", "train", "m1", "0.97"); /* generation 1 wins */
    g_autofree char *types = rig_types(rig, from);
    g_test_message("%s", types);
    g_autoptr(json_t) test = rig_unit(rig, "test");
    g_assert_cmpstr(sl_json_str(test, "last.state"), ==, "SUCCEEDED");
    rig_push(rig, "c3", "1", "3");
    g_assert_cmpuint(runs_of(rig, "dev"), ==, 2);
    rig_free(rig);
}

/* Objects are Healthy and a run takes its time, beyond the time for health: until it ends nobody has
 * to wake up. */
static void test_wait_for_run(void)
{
    Rig *rig = rig_new();
    rig_push(rig, "c1", "1\"]\n  waitFor: finished # [\"", "1");
    int64_t end_us = rig->now_us + SL_HOUR_US;
    guint ticks = 0;
    for (; rig->now_us < end_us; ticks++) {
        g_assert_cmpint(rig->next_us, <, INT64_MAX);
        rig_tick(rig, MAX(rig->next_us - rig->now_us, 1000));
        g_assert_cmpuint(ticks, <, 1000);
    }
    g_test_message("%u ticks in an hour", ticks);
    g_autofree char *waits = rig_state(rig, 1);
    g_assert_cmpstr(waits, ==, "VERIFYING");
    rig_seal(rig, "dev", "train", "m1", "0.97");
    g_autofree char *over = rig_state(rig, 1);
    g_assert_cmpstr(over, ==, "SUCCEEDED");
    rig_free(rig);
}

/* keep: the old run goes on, the new one is held and starts by hand; its own child is still made.
 */
static void test_keep(void)
{
    Rig *rig = rig_new();
    rig_push(rig, "c1", "1", "1");
    rig_push(rig, "c2", "2", "1");
    g_autoptr(json_t) second = rig_view(rig, "attempt", json_pack("{s:i}", "n", 2));
    g_assert_cmpstr(sl_json_str(second, "state"), ==, "SUCCEEDED");
    g_assert_cmpint(sl_json_int(second, "held", 0), ==, 1);
    g_assert_cmpuint(runs_of(rig, "dev"), ==, 1);
    rig_seal(rig, "dev", "train", "m1",
             "0.97"); /* of c1: its model reaches test although c2 is newer */
    g_autoptr(json_t) test = rig_unit(rig, "test");
    g_assert_cmpstr(sl_json_str(test, "last.state"), ==, "SUCCEEDED");
    rig_free(rig);
}

static void test_seals(void)
{
    Rig *rig = rig_new();
    rig_push(rig, "c1", "1", "1");
    Agent *dev = rig_agent(rig, "dev1"), *prod = rig_agent(rig, "prod1");
    g_autoptr(json_t) run = rig_run(rig, "dev", "train");
    g_autoptr(SlSigned) good = rig_seal_text(rig, run, "m1", "0.97");
    guint len = rig->ledger->len;
    SlCoordInput in = {.type = SL_COORD_SEAL,
                       .statement = {.curve = prod->curve, .statement = good}};
    rig_step(rig, &in); /* from another cluster */
    g_assert_nonnull(prod->refused);
    g_autoptr(json_t) fake = json_deep_copy(run);
    sl_json_set_str(fake, "id", "1111111111111111111111111111111111111111111111111111111111111111");
    g_autoptr(SlSigned) never = rig_seal_text(rig, fake, "m1", "0.97");
    in.statement = (SlCoordStatement){.curve = dev->curve, .statement = never};
    rig_step(rig, &in);
    g_assert_nonnull(strstr(dev->refused, "never placed"));
    g_assert_cmpuint(rig->ledger->len, ==, len);
    in.statement.statement = good;
    rig_step(rig, &in);
    g_assert_null(dev->refused);
    len = rig->ledger->len;
    rig_step(rig, &in); /* repeated: acknowledged again, recorded once */
    g_assert_null(dev->refused);
    g_assert_cmpuint(rig->ledger->len, ==, len);
    rig_free(rig);
}

static void test_enrol(void)
{
    Rig *rig = rig_new();
    Agent *two = rig_agent_new(rig, "dev2", "dev", 40),
          *thief = rig_agent_new(rig, "thief", "dev", 41);
    g_autoptr(json_t) join = rig_join(rig, "dev2", "dev");
    g_autoptr(json_t) wrong = json_deep_copy(join);
    sl_json_set_str(wrong, "secret",
                    "1111111111111111111111111111111111111111111111111111111111111111");
    rig_enrol_with(rig, two, wrong);
    g_assert_nonnull(strstr(sl_json_str(rig->enrol, "message"), "SLU3119"));
    rig_enrol_with(rig, two, join);
    g_assert_cmpstr(sl_json_str(rig->enrol, "state"), ==, "accepted");
    rig_enrol_with(rig, two, join); /* its answer was lost */
    g_assert_cmpstr(sl_json_str(rig->enrol, "state"), ==, "accepted");
    rig_enrol_with(rig, thief, join);
    g_assert_nonnull(strstr(sl_json_str(rig->enrol, "message"), "SLU3117"));
    g_autoptr(json_t) late = rig_join(rig, "dev3", "dev");
    rig->now_us += 2 * SL_DAY_US;
    rig_enrol_with(rig, thief, late);
    g_assert_nonnull(strstr(sl_json_str(rig->enrol, "message"), "SLU3118"));
    rig_ask(rig, "cluster-add", json_pack("{s:s,s:s}", "name", "dev2", "env", "dev"));
    rig_assert_refused(rig, SLU_CLUSTER_EXISTS);
    rig_ask(rig, "cluster-remove", json_pack("{s:s}", "name", "dev2"));
    g_assert_null(sl_coord_cluster_of_key(rig->coord, two->curve, NULL));
    rig_ask(rig, "cluster-add", json_pack("{s:s,s:s}", "name", "dev2", "env", "dev"));
    rig_assert_refused(rig, SLU_CLUSTER_EXISTS);           /* ids are never given again */
    g_autoptr(json_t) lost = rig_join(rig, "dev4", "dev"); /* a token that was lost is taken back */
    rig_ask(rig, "cluster-remove", json_pack("{s:s}", "name", "dev4"));
    rig_enrol_with(rig, thief, lost);
    g_assert_cmpstr(sl_json_str(rig->enrol, "state"), ==, "refused");
    g_autoptr(json_t) again = rig_join(rig, "dev4", "dev");
    g_assert_nonnull(again);
    for (guint i = 0; i < rig->ledger->len; i++) {
        g_autofree char *text = sl_json_canonical(g_ptr_array_index(rig->ledger, i), NULL);
        g_assert_null(strstr(text, sl_json_str(join, "secret")));
    }
    rig_free(rig);
}

/* Agents ahead of the ledger (it was restored): the term goes above; one far ahead is an alarm, not
 * a jump. */
static void test_terms(void)
{
    Rig *rig = rig_new();
    Agent *dev = rig_agent(rig, "dev1");
    dev->term = 500;
    dev->version = 3;
    agent_hello(rig, "dev1");
    g_assert_cmpuint(dev->term, >, 500);
    guint len = rig->ledger->len;
    SlCoordInput in = {.type = SL_COORD_HELLO,
                       .hello = {.curve = dev->curve,
                                 .nonce = "00112233445566778899aabbccddeeff",
                                 .root_version = 1,
                                 .registry_version = 1,
                                 .term = UINT64_MAX - 1,
                                 .format_max = 1,
                                 .version = "x"}};
    rig_step(rig, &in);
    g_assert_cmpuint(rig->ledger->len, ==, len);
    g_autoptr(json_t) status = rig_view(rig, "status", NULL);
    g_assert_cmpuint(json_array_size(json_object_get(status, "alarms")), ==, 1);
    rig_free(rig);
}

/* Renewed at a third of the lifetime with a higher version; equal lists are not sent again. */
static void test_heads(void)
{
    Rig *rig = rig_new();
    Agent *dev = rig_agent(rig, "dev1");
    guint heads = dev->heads;
    rig_tick(rig, SL_SECOND_US);
    g_assert_cmpuint(dev->heads, ==, heads);
    for (int i = 0; i < 500 && dev->heads == heads; i++) {
        g_assert_cmpint(rig->next_us, <, INT64_MAX);
        rig_tick(rig, rig->next_us - rig->now_us);
    }
    g_assert_cmpuint(dev->heads, >, heads);
    rig_free(rig);
}

/* A head that was lost, or that the agent refused, is sent again after a report that still names
 * the older one; also when our clock went back by days. */
static void test_head_again(void)
{
    Rig *rig = rig_new();
    Agent *dev = rig_agent(rig, "dev1");
    guint heads = dev->heads;
    dev->version--; /* as if the last one never came */
    rig_tick(rig, SL_SECOND_US);
    agent_send_report(rig, dev);
    g_assert_cmpuint(dev->heads, ==, heads); /* it may be on its way */
    rig_tick(rig, SL_MINUTE_US);
    agent_send_report(rig, dev);
    g_assert_cmpuint(dev->heads, ==, heads + 1);
    rig_tick(rig, SL_MINUTE_US);
    agent_send_report(rig, dev);
    g_assert_cmpuint(dev->heads, ==, heads + 1);
    rig_tick(rig, -4 * SL_DAY_US);
    g_assert_cmpuint(dev->heads, ==, heads + 2);
    rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/runs/never-again", test_never_again);
    g_test_add_func("/runs/wait-for-run", test_wait_for_run);
    g_test_add_func("/runs/keep", test_keep);
    g_test_add_func("/runs/seals", test_seals);
    g_test_add_func("/runs/enrol", test_enrol);
    g_test_add_func("/runs/terms", test_terms);
    g_test_add_func("/runs/heads", test_heads);
    g_test_add_func("/runs/head-again", test_head_again);
    return g_test_run();
}
