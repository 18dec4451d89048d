/* Runs: started once and only where the bundle or an order says so; seals kept until acknowledged;
 * never again. */
#include "rig.h"

#define KEY1 "1111111111111111111111111111111111111111111111111111111111111111"
#define KEY2 "2222222222222222222222222222222222222222222222222222222222222222"

static char *job_bundle(Rig *r, const char *run_key, const char *start)
{
    g_autoptr(SlBundle) b = sl_bundle_new();
    g_autofree char *more = g_strdup_printf(
        ",\"annotations\":{\"" SL_ANNOTATION_RUN_KEY "\":\"%s\",\"" SL_ANNOTATION_RUN_INPUTS
        "\":\"{\\\"data\\\":\\\"sha256:" KEY2 "\\\"}\"}},\"spec\":{\"start\":\"%s\"",
        run_key, start);
    g_free(rig_object(r, b, "gitops.sluice/TrainingJob", "train", more));
    return rig_bundle_put(r, b);
}

static char *run_line(Rig *r, const char *run_key, uint64_t generation)
{
    g_autofree char *id = sl_run_id(RIG_FLEET, "digits", r->env, "train", run_key, generation);
    return g_strdup_printf("run/digits/%s/train/%" G_GUINT64_FORMAT " %s", r->env, generation, id);
}

typedef struct {
    Rig *r;
    char *unit, *run, *id;
} Dev;

static void dev_clear(Dev *d)
{
    rig_free(d->r);
    g_free(d->unit);
    g_free(d->run);
    g_free(d->id);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Dev, dev_clear)

static Dev dev_new(const char *start)
{
    Dev d = {.r = rig_new("dev", false)};
    g_autofree char *b = job_bundle(d.r, KEY1, start);
    g_autofree char *p = rig_publish(
        d.r, rig_promotion(d.r, &(RigPromotion){.seq = 1, .bundle = b}, RIG_KEYS(&d.r->online)));
    d.unit = g_strdup_printf("unit/digits/dev %s", p);
    d.run = run_line(d.r, KEY1, 0);
    d.id = g_strdup(strchr(d.run, ' ') + 1);
    return d;
}

static void end_run(Dev *d, SlRunPhase phase, const char *output)
{
    g_autoptr(GPtrArray) outputs = g_ptr_array_new(), metrics = g_ptr_array_new();
    if (output != NULL) {
        g_ptr_array_add(outputs, (char *)output);
    }
    g_ptr_array_add(metrics, (char *)"final.accuracy 0.97");
    SlRunEnd end = {.run_id = d->id,
                    .phase = phase,
                    .reason = "Completed",
                    .exit = "0",
                    .attempts = 1,
                    .started_us = RIG_T0,
                    .finished_us = RIG_T0 + SL_SECOND_US,
                    .outputs = outputs,
                    .metrics = metrics};
    rig_send(d->r, &(SlAgentInput){.type = SL_AGENT_RUN_ENDED, .end = &end});
}

static void ack_seal(Dev *d)
{
    g_autofree char *digest = sl_signed_digest(d->r->last_seal);
    rig_send(d->r, &(SlAgentInput){.type = SL_AGENT_SEAL_ACK, .digest = digest});
}

static void whole_life(void)
{
    g_auto(Dev) d = dev_new("auto");
    Rig *r = d.r;
    rig_list(r, RIG_LINES(d.run, d.unit));
    rig_wait(r, 2 * SL_SECOND_US);
    g_assert_cmpuint(rig_count(r, "RUN_START train"), ==, 1);
    g_assert_cmpuint(rig_count(r, "APPLY"), ==, 0);
    g_autofree char *key = g_strdup_printf("run/digits/dev/%s", d.id);
    rig_assert_reported(r, key, "phase", "Running");
    rig_assert_reported(r, "unit/digits/dev", "health", "Healthy");
    end_run(&d, SL_RUN_SUCCEEDED, "model sha256:" KEY2 " 1000");
    g_assert_cmpuint(rig_count(r, "SEAL"), ==, 1);
    g_autoptr(GError) error = NULL;
    g_autoptr(SlSeal) seal = sl_seal_parse(r->last_seal->text, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(seal->run_id, ==, d.id);
    g_assert_cmpstr(seal->run_key, ==, KEY1);
    g_assert_cmpuint(seal->phase, ==, SL_RUN_SUCCEEDED);
    g_assert_cmpuint(seal->inputs->len, ==, 1);
    g_assert_cmpstr(seal->inputs->pdata[0], ==, "data sha256:" KEY2);
    g_assert_cmpstr(seal->outputs->pdata[0], ==, "model sha256:" KEY2 " 1000");
    g_autoptr(GPtrArray) signers = sl_signed_signers(r->last_seal, SL_STATEMENT_SEAL, NULL);
    g_assert_cmpuint(signers->len, ==, 1);
    /* Not acknowledged: sent again, also after a restart, and byte for byte the same. */
    rig_wait(r, SL_MINUTE_US);
    g_assert_cmpuint(rig_count(r, "SEAL"), >=, 2);
    g_autoptr(GBytes) text = g_bytes_ref(r->last_seal->text);
    rig_clear(r);
    rig_crash(r);
    rig_wait(r, 2 * SL_SECOND_US);
    g_assert_cmpuint(rig_count(r, "SEAL"), ==, 1);
    g_assert_true(g_bytes_equal(text, r->last_seal->text));
    ack_seal(&d);
    g_assert_cmpuint(rig_count(r, "RUN_FORGET"), ==, 1);
    rig_wait(r, 2 * SL_SECOND_US);
    /* Never again, whatever is listed, also after a restart. */
    rig_clear(r);
    rig_list(r, RIG_LINES(d.run, d.unit));
    rig_crash(r);
    rig_list(r, RIG_LINES(d.run, d.unit));
    rig_wait(r, SL_MINUTE_US);
    g_assert_cmpuint(rig_count(r, "RUN_START"), ==, 0);
    rig_list(r, RIG_LINES(d.unit));
    rig_clear(r);
    end_run(&d, SL_RUN_FAILED, NULL);
    g_assert_cmpuint(rig_count(r, "SEAL"), ==, 0);
    g_assert_cmpuint(rig_count(r, "RUN_FORGET"), ==, 1);
}

/* An acknowledgement proves nothing: the seal is sent again while the list names the run. */
static void acknowledged_by_a_thief(void)
{
    g_auto(Dev) d = dev_new("auto");
    Rig *r = d.r;
    rig_list(r, RIG_LINES(d.run, d.unit));
    rig_wait(r, 2 * SL_SECOND_US);
    end_run(&d, SL_RUN_SUCCEEDED, "model sha256:" KEY2 " 1000");
    g_autoptr(GBytes) text = g_bytes_ref(r->last_seal->text);
    ack_seal(&d);
    rig_clear(r);
    rig_wait(r, 20 * SL_SECOND_US); /* an honest head without the run is on its way */
    g_assert_cmpuint(rig_count(r, "SEAL"), ==, 0);
    rig_wait(r, 20 * SL_SECOND_US);
    g_assert_cmpuint(rig_count(r, "SEAL"), ==, 1);
    ack_seal(&d);
    rig_wait(r, 70 * SL_SECOND_US);
    g_assert_cmpuint(rig_count(r, "SEAL"), ==, 2);
    for (int hour = 0; hour < 12; hour++) {
        rig_wait(r, SL_HOUR_US);
        rig_send_head(r, &(RigHead){0});
    }
    g_assert_cmpuint(rig_count(r, "SEAL"), <, 24); /* and slower each time */

    rig_list(r, RIG_LINES(d.unit));
    rig_clear(r);
    rig_crash(r);
    rig_list(r, RIG_LINES(d.unit));
    rig_wait(r, SL_HOUR_US);
    g_assert_cmpuint(rig_count(r, "SEAL"), ==, 0); /* the ledger has it */
    rig_crash(r);
    rig_list(r, RIG_LINES(d.run, d.unit)); /* ... and lost it */
    g_assert_cmpuint(rig_count(r, "SEAL"), ==, 1);
    g_assert_true(g_bytes_equal(text, r->last_seal->text));
    g_assert_cmpuint(rig_count(r, "RUN_START"), ==, 0);
    rig_assert_refused(r, "run/digits/dev/train/0", "");
}

static void restart_while_running(void)
{
    g_auto(Dev) d = dev_new("auto");
    Rig *r = d.r;
    rig_list(r, RIG_LINES(d.run, d.unit));
    rig_wait(r, 5 * SL_SECOND_US);
    rig_clear(r);
    rig_crash(r);
    rig_wait(r, 2 * SL_SECOND_US);
    g_assert_cmpuint(rig_count(r, "RUN_START"), ==, 0);
    g_autofree char *adopt = g_strdup_printf("ADOPT %s", d.id);
    g_assert_cmpuint(rig_count(r, adopt), ==, 1);
}

static void journal_before_start(void)
{
    g_auto(Dev) d = dev_new("auto");
    Rig *r = d.r;
    rig_list(r, RIG_LINES(d.unit));
    rig_wait(r, 2 * SL_SECOND_US);
    r->hold_saves = true;
    rig_list(r, RIG_LINES(d.run, d.unit));
    rig_wait(r, 2 * SL_SECOND_US);
    g_assert_cmpuint(rig_count(r, "RUN_START"), ==, 0);
    r->hold_saves = false;
    rig_crash(r);
    rig_list(r, RIG_LINES(d.run, d.unit));
    rig_wait(r, 2 * SL_SECOND_US);
    g_assert_cmpuint(rig_count(r, "RUN_START"), ==, 1);
}

static void assert_not_started(Dev *d, const char *line, const char *kind)
{
    Rig *r = d->r;
    g_autofree char *what = g_strndup(line, (size_t)(strchr(line, ' ') - line));
    rig_list(r, RIG_LINES(line, d->unit));
    rig_wait(r, 2 * SL_SECOND_US);
    g_assert_cmpuint(rig_count(r, "RUN_START"), ==, 0);
    rig_assert_refused(r, what, kind);
}

static void extra_runs(void)
{
    g_auto(Dev) d = dev_new("auto");
    g_autofree char *gen1 = run_line(d.r, KEY1, 1), *other = run_line(d.r, KEY2, 0);
    assert_not_started(&d, gen1, "run-not-ordered");
    assert_not_started(&d, other, "run-id");
    g_autofree char *job = g_strdup_printf("run/digits/dev/evaluate/0 %s", d.id);
    assert_not_started(&d, job, "run-not-in-bundle");
    g_autofree char *env = g_strdup_printf("run/digits/prod/train/0 %s", d.id);
    assert_not_started(&d, env, "other-environment");
    assert_not_started(&d, "run/digits/dev/train/x " KEY1, "malformed");
}

static void manual_and_ordered(void)
{
    g_auto(Dev) d = dev_new("manual");
    Rig *r = d.r;
    assert_not_started(&d, d.run, "run-not-ordered");
    g_autofree char *order =
        rig_publish(r, rig_order(r,
                                 &(RigOrder){.act = SL_ACT_START_RUN,
                                             .scope = "run-key digits/dev train " KEY1 " 0",
                                             .number = 1},
                                 RIG_KEYS(&r->online)));
    g_autofree char *line = g_strdup_printf("order/%s start-run", order);
    rig_list(r, RIG_LINES(line, d.run, d.unit));
    rig_wait(r, 2 * SL_SECOND_US);
    g_assert_cmpuint(rig_count(r, "RUN_START"), ==, 1);
    /* And stopped by an order. */
    g_autofree char *scope = g_strdup_printf("run digits/dev %s", d.id);
    g_autofree char *stop = rig_publish(
        r, rig_order(r, &(RigOrder){.act = SL_ACT_STOP_RUN, .scope = scope, .number = 1},
                     RIG_KEYS(&r->online)));
    g_autofree char *stop_line = g_strdup_printf("order/%s stop-run", stop);
    rig_list(r, RIG_LINES(stop_line, d.run, d.unit));
    rig_wait(r, 2 * SL_SECOND_US);
    g_assert_cmpuint(rig_count(r, "RUN_STOP"), ==, 1);
}

/* An order that was in force before the root asked for a person starts nothing after. */
static void an_order_of_an_older_root(void)
{
    g_auto(Dev) d = dev_new("manual");
    Rig *r = d.r;
    g_autofree char *order =
        rig_publish(r, rig_order(r,
                                 &(RigOrder){.act = SL_ACT_START_RUN,
                                             .scope = "run-key digits/dev train " KEY1 " 0",
                                             .number = 1},
                                 RIG_KEYS(&r->online)));
    g_autofree char *line = g_strdup_printf("order/%s start-run", order);
    rig_list(r, RIG_LINES(line, d.unit));
    rig_wait(r, 2 * SL_SECOND_US);
    char *alice[] = {(char *)(uintptr_t) "alice", NULL};
    SlRole *role = g_new0(SlRole, 1);
    *role = (SlRole){.env = g_strdup("dev"),
                     .app = g_strdup("*"),
                     .act = SL_ACT_START_RUN,
                     .threshold = 1,
                     .people = g_strdupv(alice)};
    g_ptr_array_add(r->root->roles, role);
    r->root->version++;
    rig_steps(r, rig_root_sign(r->root, RIG_KEYS(&r->alice)), NULL);
    rig_list(r, RIG_LINES(line, d.run, d.unit));
    rig_wait(r, 2 * SL_SECOND_US);
    g_assert_cmpuint(rig_count(r, "RUN_START"), ==, 0);
    g_autofree char *what = g_strndup(d.run, (size_t)(strchr(d.run, ' ') - d.run));
    rig_assert_refused(r, what, "run-not-ordered");
    g_autofree char *by_alice =
        rig_publish(r, rig_order(r,
                                 &(RigOrder){.act = SL_ACT_START_RUN,
                                             .scope = "run-key digits/dev train " KEY1 " 0",
                                             .number = 2},
                                 RIG_KEYS(&r->alice)));
    g_autofree char *next = g_strdup_printf("order/%s start-run", by_alice);
    rig_list(r, RIG_LINES(next, d.run, d.unit));
    rig_wait(r, 2 * SL_SECOND_US);
    g_assert_cmpuint(rig_count(r, "RUN_START"), ==, 1);
}

/* The run's line may be here before the order's bytes: it waits, and that is no refusal. */
static void run_line_before_its_order(void)
{
    g_auto(Dev) d = dev_new("manual");
    Rig *r = d.r;
    rig_list(r, RIG_LINES("order/" KEY2 " start-run", d.run, d.unit)); /* bytes that never come */
    rig_wait(r, 2 * SL_SECOND_US);
    g_assert_cmpuint(rig_count(r, "RUN_START"), ==, 0);
    g_autofree char *what = g_strndup(d.run, (size_t)(strchr(d.run, ' ') - d.run));
    g_autofree char *refused = rig_refused(r, what);
    g_assert_cmpstr(refused, ==, "");
    assert_not_started(&d, d.run, "run-not-ordered"); /* no order is listed any more */
}

static void run_line_before_its_promotion(void)
{
    g_auto(Dev) d = dev_new("auto");
    Rig *r = d.r;
    rig_list(r, RIG_LINES(d.run));
    rig_wait(r, 2 * SL_SECOND_US);
    g_assert_cmpuint(rig_count(r, "RUN_START"), ==, 0);
    rig_list(r, RIG_LINES(d.run, d.unit));
    rig_wait(r, 2 * SL_SECOND_US);
    g_assert_cmpuint(rig_count(r, "RUN_START"), ==, 1);
    /* The next promotion neither stops nor repeats it. */
    g_autofree char *b = job_bundle(r, KEY2, "auto");
    g_autofree char *p = rig_publish(
        r, rig_promotion(r, &(RigPromotion){.seq = 2, .bundle = b}, RIG_KEYS(&r->online)));
    g_autofree char *unit = g_strdup_printf("unit/digits/dev %s", p), *next = run_line(r, KEY2, 0);
    rig_list(r, RIG_LINES(next, unit));
    rig_wait(r, 2 * SL_SECOND_US);
    g_assert_cmpuint(rig_count(r, "RUN_START"), ==, 2);
    g_assert_cmpuint(rig_count(r, "RUN_STOP"), ==, 0);
}

static void bad_record_is_a_failure(void)
{
    g_auto(Dev) d = dev_new("auto");
    Rig *r = d.r;
    rig_list(r, RIG_LINES(d.run, d.unit));
    rig_wait(r, 2 * SL_SECOND_US);
    end_run(&d, SL_RUN_SUCCEEDED, "model not-a-digest");
    g_assert_cmpuint(rig_count(r, "SEAL"), ==, 1);
    g_autoptr(SlSeal) seal = sl_seal_parse(r->last_seal->text, NULL);
    g_assert_nonnull(seal);
    g_assert_cmpuint(seal->phase, ==, SL_RUN_FAILED);
    g_assert_cmpstr(seal->reason, ==, "BadRecord");
}

static void stale_head_starts_nothing(void)
{
    g_auto(Dev) d = dev_new("auto");
    Rig *r = d.r;
    rig_list(r, RIG_LINES(d.unit));
    rig_wait(r, 2 * SL_SECOND_US);
    r->hold_saves = true;
    rig_list(r, RIG_LINES(d.run, d.unit));
    rig_crash(r);
    r->hold_saves = false;
    r->now += 2 * SL_HOUR_US;
    rig_crash(r);
    rig_wait(r, SL_MINUTE_US);
    g_assert_cmpuint(rig_count(r, "RUN_START"), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/runs/whole-life", whole_life);
    g_test_add_func("/runs/acknowledged-by-a-thief", acknowledged_by_a_thief);
    g_test_add_func("/runs/restart-while-running", restart_while_running);
    g_test_add_func("/runs/journal-before-start", journal_before_start);
    g_test_add_func("/runs/extra-runs", extra_runs);
    g_test_add_func("/runs/manual-and-ordered", manual_and_ordered);
    g_test_add_func("/runs/an-order-of-an-older-root", an_order_of_an_older_root);
    g_test_add_func("/runs/line-before-its-order", run_line_before_its_order);
    g_test_add_func("/runs/run-line-before-its-promotion", run_line_before_its_promotion);
    g_test_add_func("/runs/bad-record-is-a-failure", bad_record_is_a_failure);
    g_test_add_func("/runs/stale-head-starts-nothing", stale_head_starts_nothing);
    return g_test_run();
}
