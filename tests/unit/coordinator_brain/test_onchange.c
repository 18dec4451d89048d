/* test_onchange.c - what a new run key does to a run that goes on: keep, queue, replace; what
 * starts by hand; who may stop an old one; what counts as held. */
#include "rig.h"

static void push(Rig *rig, const char *name, const char *arg, const char *extra)
{
    SlTree *tree = rig_tree(RIG_FLEET, arg, "1");
    g_autofree char *job =
        g_strdup_printf(RIG_API "kind: TrainingJob\nmetadata: {name: train}\nspec:\n  command: "
                                "[python3, train.py]\n  args: [\"%s\"]\n  outputs: [{name: model, "
                                "path: model}]\n%s",
                        arg, extra);
    sl_tree_memory_put(tree, "digits/train/job.yaml", job, SL_TREE_FILE);
    rig_push_tree(rig, name, tree, false);
}

static guint runs_of(Rig *rig)
{
    g_autoptr(json_t) view = rig_view(rig, "runs", json_pack("{s:s}", "env", "dev"));
    return (guint)json_array_size(json_object_get(view, "runs"));
}

static guint events_of(Rig *rig, const char *type)
{
    guint n = 0;
    for (guint i = 0; i < rig->ledger->len; i++) {
        n += strcmp(sl_json_str(g_ptr_array_index(rig->ledger, i), "type"), type) == 0 ? 1 : 0;
    }
    return n;
}

static json_t *attempt(Rig *rig, int n)
{
    return rig_view(rig, "attempt", json_pack("{s:i}", "n", n));
}

static void assert_held(Rig *rig, int n, int held)
{
    g_autoptr(json_t) view = attempt(rig, n);
    g_assert_cmpstr(sl_json_str(view, "state"), ==, "SUCCEEDED");
    g_assert_cmpint(sl_json_int(view, "held", -1), ==, held);
}

static json_t *start_args(void)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s}", "act", "start-run", "app", "digits", "env", "dev",
                     "job", "train", "reason", "now");
}

static void order(Rig *rig, json_t *args, const uint8_t *secret)
{
    g_autoptr(json_t) draft = json_incref(rig_ask(rig, "order-draft", args));
    const char *text = sl_json_str(draft, "text");
    g_assert_nonnull(text);
    json_t *ask = json_pack("{s:s}", "text", text);
    if (secret != NULL) {
        g_autofree char *sig =
            sl_sshsig_sign(secret, text, strlen(text), sl_statement_namespace(SL_STATEMENT_ORDER));
        sl_json_set_str(ask, "signature", sig);
    }
    rig_ask(rig, "order", ask);
}

static void test_queue(void)
{
    Rig *rig = rig_new();
    push(rig, "c1", "1", "  onChange: queue\n");
    push(rig, "c2", "2", "  onChange: queue\n");
    assert_held(rig, 2, 1);
    g_assert_cmpuint(runs_of(rig), ==, 1);
    rig_seal(rig, "dev", "train", NULL, NULL); /* however the old one ends */
    g_assert_cmpuint(runs_of(rig), ==, 2);
    g_assert_cmpuint(events_of(rig, "Order"), ==, 0);
    rig_free(rig);
}

/* keep: also a later release with the same job starts nothing; a person does. */
static void test_keep(void)
{
    Rig *rig = rig_new();
    push(rig, "c1", "1", "");
    push(rig, "c2", "2", "");
    assert_held(rig, 2, 1);
    rig_tick(rig, SL_MINUTE_US);
    rig_seal(rig, "dev", "train", NULL, NULL);
    g_assert_cmpuint(runs_of(rig), ==, 1);
    rig_tick(rig, SL_MINUTE_US);
    SlTree *tree = rig_tree(RIG_FLEET, "2", "9"); /* another server, the same job */
    rig_push_tree(rig, "c3", tree, false);
    g_assert_cmpuint(runs_of(rig), ==, 1);
    assert_held(rig, 3, 1);
    order(rig, start_args(), NULL);
    g_assert_cmpuint(runs_of(rig), ==, 2);
    rig_tick(rig, SL_MINUTE_US);
    rig_seal(rig, "dev", "train", NULL, NULL);
    rig_tick(rig, SL_MINUTE_US);
    push(rig, "c4", "4", ""); /* nothing goes on: a new key starts by itself */
    g_assert_cmpuint(runs_of(rig), ==, 3);
    rig_free(rig);
}

/* What came first is the ledger's order, not that of a clock that was set between. */
static void test_keep_clock(void)
{
    Rig *rig = rig_new();
    push(rig, "c1", "1", "");
    push(rig, "c2", "2", "");
    rig->now_us -= SL_HOUR_US;
    rig_seal(rig, "dev", "train", NULL, NULL); /* "before" the commit of c2, says the clock */
    rig_tick(rig, SL_SECOND_US);
    g_assert_cmpuint(runs_of(rig), ==, 1);
    rig->now_us += 2 * SL_HOUR_US;
    order(rig, start_args(), NULL);
    g_assert_cmpuint(runs_of(rig), ==, 2);
    rig_seal(rig, "dev", "train", NULL, NULL);
    rig->now_us -= SL_HOUR_US;
    push(rig, "c3", "3", ""); /* "before" the end of the run of c2 */
    g_assert_cmpuint(runs_of(rig), ==, 3);
    rig_free(rig);
}

/* replace: a young run is stopped by the online key where that may; the new one follows its end. */
static void test_replace(void)
{
    Rig *rig = rig_new();
    push(rig, "c1", "1", "  onChange: replace\n");
    push(rig, "c2", "2", "  onChange: replace\n");
    g_assert_cmpuint(events_of(rig, "Order"), ==, 1);
    g_autoptr(json_t) view = attempt(rig, 2);
    g_assert_cmpstr(sl_json_str(view, "state"), ==, "VERIFYING");
    g_assert_nonnull(strstr(sl_json_str(view, "waitingFor"), "was told to stop"));
    g_assert_cmpuint(runs_of(rig), ==, 1);
    rig_tick(rig, SL_MINUTE_US);
    g_assert_cmpuint(events_of(rig, "Order"), ==, 1); /* once */
    rig_seal(rig, "dev", "train", NULL, NULL);
    g_assert_cmpuint(runs_of(rig), ==, 2);
    assert_held(rig, 2, 0);
    rig_free(rig);
}

/* An old run is stopped by nobody but a person who signs and says why, in dev too. */
static void test_protected(void)
{
    Rig *rig = rig_new();
    push(rig, "c1", "1", "  onChange: replace\n");
    rig_tick(rig, 2 * SL_HOUR_US);
    push(rig, "c2", "2", "  onChange: replace\n");
    g_assert_cmpuint(events_of(rig, "Order"), ==, 0);
    g_autoptr(json_t) view = attempt(rig, 2);
    g_assert_nonnull(strstr(sl_json_str(view, "waitingFor"), "protectAfter"));
    g_autoptr(json_t) run = rig_run(rig, "dev", "train");
    const char *id = sl_json_str(run, "id");
    rig_ask(rig, "order-draft",
            json_pack("{s:s,s:s,s:s}", "act", "stop-run", "env", "dev", "run", id));
    rig_assert_refused(rig, SLU_INVALID); /* no reason */
    json_t *stop = json_pack("{s:s,s:s,s:s,s:s}", "act", "stop-run", "env", "dev", "run", id,
                             "reason", "wrong data");
    order(rig, json_incref(stop), NULL);
    rig_assert_refused(rig, SLU_ORDER_REFUSED);
    g_assert_nonnull(strstr(sl_json_str(rig->reply, "error.message"), "a person signed"));
    order(rig, json_incref(stop), rig->online);
    rig_assert_refused(rig, SLU_ORDER_REFUSED);
    g_autoptr(json_t) draft = json_incref(rig_ask(rig, "order-draft", json_incref(stop)));
    g_assert_cmpint(sl_json_int(draft, "threshold", 0), ==, 1);
    g_assert_cmpuint(json_array_size(json_object_get(draft, "who")), ==, 1);
    order(rig, stop, rig->alice);
    g_assert_cmpint(rig->status, ==, 200);
    rig_seal(rig, "dev", "train", NULL, NULL);
    g_assert_cmpuint(runs_of(rig), ==, 2);
    rig_free(rig);
}

static void test_by_hand(void)
{
    static const char *const specs[] = {"  start: manual\n", "  resourcesPerNode: {gpu: 16}\n"};
    for (size_t i = 0; i < G_N_ELEMENTS(specs); i++) {
        Rig *rig = rig_new();
        push(rig, "c1", "1", specs[i]);
        assert_held(rig, 1, 1);
        g_assert_cmpuint(runs_of(rig), ==, 0);
        order(rig, start_args(), NULL);
        g_assert_cmpint(rig->status, ==, 200);
        g_assert_cmpuint(runs_of(rig), ==, 1);
        rig_restart(rig);
        agent_hello(rig, "dev1");
        agent_hello(rig, "test1");
        g_assert_cmpuint(runs_of(rig), ==, 1);
        rig_ask(rig, "order-draft", start_args());
        rig_assert_refused(rig, SLU_ORDER_REFUSED); /* it goes on */
        rig_seal(rig, "dev", "train", "m1", "0.97");
        g_autoptr(json_t) test = rig_unit(rig, "test");
        g_assert_cmpstr(sl_json_str(test, "last.state"), ==, "SUCCEEDED");
        rig_free(rig);
    }
}

/* The order was over before the cluster heard of it: the same run is ordered again, no other one. */
static void test_ordered_too_early(void)
{
    Rig *rig = rig_new();
    push(rig, "c1", "1", "  start: manual\n");
    rig_restart(rig); /* nobody is connected */
    order(rig, start_args(), NULL);
    g_assert_cmpint(rig->status, ==, 200);
    g_assert_cmpuint(runs_of(rig), ==, 1);
    rig_ask(rig, "order-draft", start_args());
    rig_assert_refused(rig, SLU_ORDER_REFUSED); /* it may still come true */
    rig_tick(rig, 2 * SL_DAY_US);
    order(rig, start_args(), NULL);
    g_assert_cmpint(rig->status, ==, 200);
    g_assert_cmpuint(runs_of(rig), ==, 1);
    agent_hello(rig, "dev1");
    rig_tick(rig, 2 * SL_DAY_US); /* it began */
    rig_ask(rig, "order-draft", start_args());
    rig_assert_refused(rig, SLU_ORDER_REFUSED);
    rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/onchange/queue", test_queue);
    g_test_add_func("/onchange/keep", test_keep);
    g_test_add_func("/onchange/keep-clock", test_keep_clock);
    g_test_add_func("/onchange/replace", test_replace);
    g_test_add_func("/onchange/protected", test_protected);
    g_test_add_func("/onchange/by-hand", test_by_hand);
    g_test_add_func("/onchange/ordered-too-early", test_ordered_too_early);
    return g_test_run();
}
