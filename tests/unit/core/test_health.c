/* test_health.c - what a verdict needs besides the object: time, what was seen before, other objects, rules of a user. What each kind
 * is judged to be lies in the folder health (tests/unit/cli/test_health.c). */
#include "base/text.h"
#include "core/health/case.h"
#include "core/health/health.h"
#include <string.h>
#include <time.h>

#define T0 (INT64_C(1795435200) * SL_SECOND_US) /* 2026-11-23T12:00:00Z */

typedef struct {
    SlHealthContext context;
    SlHealthState state;
    SlHealthVerdict verdict;
} Look;

static json_t *object_of(const char *text)
{
    GError *error = NULL;
    g_autofree char *json = g_strdup(text);
    for (char *c = json; *c != '\0'; c++) {
        *c = *c == '\'' ? '"' : *c;
    }
    json_t *object = sl_json_parse(json, strlen(json), NULL, "test", &error);
    if (object == NULL) {
        g_error("%s: %s", error->message, json);
    }
    return object;
}

/* Looks at @text (NULL: nothing was seen) @at_s seconds after T0. */
static void look(Look *l, const char *text, int64_t at_s, const char *expect)
{
    g_autoptr(json_t) object = text != NULL ? object_of(text) : NULL;
    l->context.now_us = T0 + at_s * SL_SECOND_US;
    sl_health_judge(object, &l->context, &l->state, &l->verdict);
    g_autofree char *is = g_strdup_printf("%s %s", sl_health_name(l->verdict.health), l->verdict.reason);
    if (strcmp(is, expect) != 0) {
        g_error("at %d s: expected `%s`, got `%s`: %s", (int)at_s, expect, is, l->verdict.message);
    }
}

#define THING(status) "{'apiVersion':'example.com/v1','kind':'Thing','metadata':{'name':'a','generation':1},'status':" status "}"
#define READY(value) THING("{'conditions':[{'type':'Ready','status':'" value "','reason':'R'}]}")
#define STEP(n) THING("{'step':" n ",'conditions':[{'type':'Ready','status':'False'}]}")

static void test_healthy_must_hold(void)
{
    Look l = {0};
    look(&l, READY("True"), 0, "Progressing Settling");
    g_assert_cmpint(l.verdict.next_us, ==, T0 + 5 * SL_SECOND_US);
    look(&l, READY("True"), 4, "Progressing Settling");
    look(&l, READY("False"), 5, "Progressing R");
    look(&l, READY("True"), 6, "Progressing Settling"); /* from the start */
    look(&l, READY("True"), 11, "Healthy R");
    g_assert_cmpint(l.verdict.since_us, ==, T0 + 11 * SL_SECOND_US);
    look(&l, READY("True"), 100, "Healthy R");
    g_assert_cmpint(l.verdict.since_us, ==, T0 + 11 * SL_SECOND_US);
    /* What can't flap is Healthy at once. */
    Look s = {0};
    look(&s, "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'a'}}", 0, "Healthy Exists");
    Look p = {0};
    look(&p, "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'a'},'status':{'phase':'Succeeded'}}", 0, "Healthy Succeeded");
    g_assert_true(p.verdict.final);
}

static void test_deadline_runs_since_progress(void)
{
    Look l = {0};
    look(&l, STEP("1"), 0, "Progressing NotReady");
    g_assert_cmpint(l.verdict.next_us, ==, T0 + 600 * SL_SECOND_US);
    look(&l, STEP("2"), 500, "Progressing NotReady");
    look(&l, STEP("2"), 1099, "Progressing NotReady");
    look(&l, STEP("2"), 1100, "Degraded DeadlineExceeded");
    g_assert_nonnull(strstr(l.verdict.message, "NotReady: no progress for 10m"));
    look(&l, STEP("3"), 1200, "Progressing NotReady"); /* back by itself */
    look(&l, READY("True"), 1300, "Progressing Settling");
    look(&l, READY("True"), 1306, "Healthy R");
    /* A clock that was set back gives the whole time again, never a negative one. */
    look(&l, STEP("4"), 2000, "Progressing NotReady");
    look(&l, STEP("4"), 0, "Progressing NotReady");
    look(&l, STEP("4"), 599, "Progressing NotReady");
    look(&l, STEP("4"), 600, "Degraded DeadlineExceeded");
}

#define DEEP "{'conditions':[{'type':'Ready','status':'False'}],'a':{'a':{'a':{'a':{'a':{'a':{'a':{'a':{'a':{'a':%d}}}}}}}}}}"
static void test_noise_is_no_progress(void)
{
    Look l = {0};
    const char *one = THING("{'lastHeartbeatTime':'a','bytes':5000000000,'ratio':0.5,'message':'m1','on':true,'conditions':[{'type':'Ready','status':'False','message':'1'}]}");
    const char *two = THING("{'lastHeartbeatTime':'b','bytes':6000000000,'ratio':0.7,'message':'m2','on':true,'conditions':[{'type':'Ready','status':'False','message':'2'}]}");
    look(&l, one, 0, "Progressing NotReady");
    look(&l, two, 600, "Degraded DeadlineExceeded");
    /* deeper than anybody writes counters */
    Look d = {0};
    for (int i = 1; i < 3; i++) {
        g_autofree char *status = g_strdup_printf(DEEP, i);
        g_autofree char *text = g_strconcat("{'apiVersion':'example.com/v1','kind':'Thing','metadata':{'name':'a'},'status':", status, "}", NULL);
        look(&d, text, i == 1 ? 0 : 600, i == 1 ? "Progressing NotReady" : "Degraded DeadlineExceeded");
    }
}

#define DEPLOYMENT \
    "{'apiVersion':'apps/v1','kind':'Deployment','metadata':{'name':'a','generation':1},'spec':{'progressDeadlineSeconds':60}," \
    "'status':{'observedGeneration':1,'conditions':[{'type':'%s','status':'True','lastTransitionTime':'2026-11-23T11:00:00Z'}]}}"
static void test_timers_of_an_application(void)
{
    Look l = {0};
    int64_t timers[SL_N_TIMERS] = {0};
    g_autoptr(GError) error = NULL;
    g_assert_true(sl_health_timer_set(timers, "generic", "1m", &error));
    l.context.timers_us = timers;
    look(&l, STEP("1"), 0, "Progressing NotReady");
    look(&l, STEP("1"), 60, "Degraded DeadlineExceeded");
    g_assert_true(sl_health_timer_set(timers, "generic", "never", &error));
    look(&l, STEP("1"), 1000000, "Progressing NotReady");
    g_assert_cmpint(l.verdict.next_us, ==, INT64_MAX);
    g_assert_false(sl_health_timer_set(timers, "generic", "soon", &error));
    g_assert_nonnull(strstr(error->message, "generic: "));
    g_clear_error(&error);
    g_assert_false(sl_health_timer_set(timers, "genric", "1m", &error));
    g_assert_nonnull(strstr(error->message, "there is no time-out `genric`; there are generic, delete, schedule"));
    /* It overrides a Deployment's own deadline, and how long replicas may fail to be made. */
    g_autofree char *plain = g_strdup_printf(DEPLOYMENT, "Other"), *failing = g_strdup_printf(DEPLOYMENT, "ReplicaFailure");
    Look d = {.context.timers_us = timers};
    look(&d, plain, 0, "Progressing ReplicasPending");
    look(&d, plain, 100000, "Progressing ReplicasPending");
    Look f = {0};
    look(&f, failing, 0, "Degraded ReplicaFailure");
    g_assert_true(sl_health_timer_set(timers, "replica", "never", NULL));
    f.context.timers_us = timers;
    look(&f, failing, 0, "Progressing ReplicaFailure");
}

static void test_queue_has_no_deadline(void)
{
    const char *job = "{'apiVersion':'batch/v1','kind':'Job','metadata':{'name':'a'},'spec':{'suspend':true},'status':{'conditions':[{'type':'Suspended','status':'True'}]}}";
    Look l = {.context.queue_managed = true};
    look(&l, job, 0, "Progressing Queued");
    look(&l, job, 864000, "Progressing Queued");
    g_assert_true(l.verdict.queued);
    int64_t timers[SL_N_TIMERS] = {[SL_TIMER_QUEUE] = SL_HOUR_US};
    l.context.timers_us = timers;
    look(&l, job, 864000, "Degraded DeadlineExceeded");
    Look own = {0};
    look(&own, job, 0, "Suspended Suspended");
}

static void test_restored_object(void)
{
    const char *ahead = "{'apiVersion':'example.com/v1','kind':'Thing','metadata':{'generation':1},'status':{'observedGeneration':7,'conditions':[{'type':'Ready','status':'True'}]}}";
    const char *even = "{'apiVersion':'example.com/v1','kind':'Thing','metadata':{'generation':7},'status':{'observedGeneration':7,'conditions':[{'type':'Ready','status':'True'}]}}";
    Look l = {0};
    look(&l, ahead, 0, "Progressing NotObserved");
    g_assert_cmpint(l.verdict.observed_generation, ==, 7);
    look(&l, ahead, 59, "Progressing NotObserved");
    g_assert_cmpint(l.verdict.next_us, ==, T0 + 60 * SL_SECOND_US);
    look(&l, ahead, 60, "Progressing Settling");
    look(&l, ahead, 65, "Healthy Ready");
    look(&l, even, 67, "Healthy Ready");
    g_assert_cmpint(l.state.ahead_us, ==, 0);
    look(&l, ahead, 68, "Progressing NotObserved");
}

/* What people allow an application, they allow the Pods that its objects are judged by. */
static void test_timers_of_pods(void)
{
    static const char owner[] = "{'apiVersion':'apps/v1','kind':'StatefulSet','metadata':{'name':'a','generation':1},'status':{'observedGeneration':1}}";
    g_autoptr(json_t) pods = object_of("[{'apiVersion':'v1','kind':'Pod','metadata':{'name':'a-0','creationTimestamp':'2026-11-23T11:40:00Z'},"
                                       "'status':{'phase':'Pending'}}]");
    int64_t timers[SL_N_TIMERS] = {0};
    Look l = {.context.pods = pods};
    look(&l, owner, 0, "Degraded DeadlineExceeded");
    g_assert_true(sl_health_timer_set(timers, "image", "30m", NULL));
    l.context.timers_us = timers;
    look(&l, owner, 1, "Progressing ReplicasPending");
}

/* Lists as long as somebody likes cost what they are long, and names in them are safe to show. */
static void test_long_lists(void)
{
    enum { COUNT = 10000 };
    static const struct {
        const char *head, *item, *between, *tail, *expect;
    } table[] = {
        {"{'apiVersion':'policy/v1','kind':'PodDisruptionBudget','metadata':{'generation':2},'status':{'observedGeneration':2,'conditions':[",
         "{'status':'False','observedGeneration':1},", "", "{'type':'a\\u001b[31m','status':'False'}]}}", "Degraded Failed"},
        {"{'apiVersion':'jobset.x-k8s.io/v1alpha2','kind':'JobSet','spec':{'replicatedJobs':[", "{'name':'x','replicas':0},",
         "{'name':'b'}]},'status':{'replicatedJobsStatus':[", "{'name':'b','ready':1}]}}", "Progressing Running"},
    };
    for (size_t t = 0; t < G_N_ELEMENTS(table); t++) {
        g_autoptr(GString) items = g_string_new(NULL);
        for (int i = 0; i < COUNT; i++) {
            g_autofree char *name = g_strdup_printf("'x%d'", i);
            g_auto(GStrv) parts = g_strsplit(table[t].item, "'x'", 2);
            g_autofree char *item = g_strjoinv(name, parts);
            g_string_append(items, item);
        }
        g_autofree char *text = g_strconcat(table[t].head, items->str, table[t].between, items->str, table[t].tail, NULL);
        Look l = {0};
        clock_t start = clock();
        look(&l, text, 0, table[t].expect);
        g_assert_cmpint((clock() - start) / CLOCKS_PER_SEC, <, 3); /* of the processor; 60 and 4 if each is compared with each */
        g_assert_null(strchr(l.verdict.evidence, '\033'));
    }
}

static void test_not_seen(void)
{
    Look l = {0};
    look(&l, READY("True"), 0, "Progressing Settling");
    look(&l, READY("True"), 5, "Healthy R");
    l.context.sight = SL_SIGHT_UNREADABLE;
    look(&l, NULL, 10, "Unknown Unreadable");
    g_assert_nonnull(strstr(l.verdict.message, "it was Healthy before"));
    look(&l, NULL, 10000, "Unknown Unreadable"); /* never Degraded by itself */
    g_assert_cmpint(l.verdict.stale_us, ==, T0 + 10 * SL_SECOND_US);
    g_assert_cmpint(l.state.health, ==, SL_HEALTH_HEALTHY);
    l.context.sight = SL_SIGHT_SEEN;
    look(&l, READY("True"), 10001, "Healthy R"); /* as it was */
    g_assert_cmpint(l.verdict.stale_us, ==, 0);
    l.context.sight = SL_SIGHT_ABSENT;
    look(&l, NULL, 10002, "Missing NotFound");
    l.context.sight = SL_SIGHT_NO_KIND;
    look(&l, NULL, 10003, "Missing NoKind");
    l.context.sight = SL_SIGHT_SEEN;
    look(&l, READY("True"), 10004, "Progressing Settling"); /* another object: from the start */
    Look never = {.context.sight = SL_SIGHT_UNREADABLE};
    look(&never, NULL, 0, "Unknown Unreadable");
    g_assert_nonnull(strstr(never.verdict.message, "not judged"));
}

static void test_quiet_kind(void)
{
    Look l = {0};
    const char *quiet = "{'apiVersion':'example.com/v1','kind':'Thing','metadata':{'name':'a'}}";
    look(&l, quiet, 0, "Progressing NoStatus");
    g_assert_cmpint(l.verdict.next_us, ==, T0 + 60 * SL_SECOND_US);
    look(&l, quiet, 59, "Progressing NoStatus");
    look(&l, quiet, 60, "Healthy NoStatus");
}

static char *crashing(int restarts, const char *state)
{
    return g_strdup_printf("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'p'},'status':{'phase':'Running','conditions':[{'type':'Ready','status':'%s'}],"
                           "'containerStatuses':[{'name':'m','restartCount':%d,'state':%s,'lastState':{'terminated':{'exitCode':1,'reason':'Error','finishedAt':'2026-11-01T00:00:00Z'}}}]}}",
                           strstr(state, "running") != NULL ? "True" : "False", restarts, state);
}

static void look_crash(Look *l, int restarts, const char *state, int64_t at_s, const char *expect)
{
    g_autofree char *text = crashing(restarts, state);
    look(l, text, at_s, expect);
}

#define WAITS "{'waiting':{'reason':'CrashLoopBackOff'}}"
#define RUNS "{'running':{'startedAt':'2026-11-23T12:20:00Z'}}" /* T0 + 1200 s */

static void test_crash_loop_needs_two(void)
{
    Look l = {0};
    look_crash(&l, 5, RUNS, 0, "Progressing Settling");
    look_crash(&l, 5, RUNS, 700, "Healthy Ready");
    look_crash(&l, 6, WAITS, 1000, "Progressing Restarting"); /* one crash in a long time */
    look_crash(&l, 7, WAITS, 1100, "Degraded CrashLoopBackOff");
    g_assert_cmpint(sl_state_restarts(&l.state, T0 + 1100 * SL_SECOND_US), ==, 2);
    look_crash(&l, 7, RUNS, 1230, "Degraded CrashLoopBackOff"); /* started a moment ago: no verdict yet */
    look_crash(&l, 7, WAITS, 1650, "Degraded CrashLoopBackOff"); /* at its longest, the back-off leaves one in the window */
    look_crash(&l, 7, RUNS, 1700, "Progressing Settling");
    look_crash(&l, 7, RUNS, 1705, "Healthy Ready");
    look_crash(&l, 1, RUNS, 1800, "Healthy Ready"); /* another Pod of that name */
    g_assert_cmpuint(l.state.restart_count, ==, 1);
    for (int i = 2; i < 40; i++) {
        g_autofree char *text = crashing(i, WAITS);
        g_autoptr(json_t) object = object_of(text);
        sl_state_look(&l.state, object, &l.context);
    }
    g_assert_cmpuint(l.state.restart_count, ==, SL_HEALTH_RESTARTS_MAX);
    SlHealthState none = {0};
    g_assert_cmpint(sl_state_restarts(&none, T0), ==, 0);
}

static void test_state_there_and_back(void)
{
    Look l = {0};
    look_crash(&l, 5, WAITS, 0, "Progressing Restarting");
    look_crash(&l, 6, WAITS, 10, "Progressing Restarting");
    look_crash(&l, 7, WAITS, 20, "Degraded CrashLoopBackOff");
    g_autoptr(json_t) json = sl_health_state_to_json(&l.state);
    SlHealthState back;
    sl_health_state_from_json(json, &back);
    g_autoptr(json_t) again = sl_health_state_to_json(&back);
    g_assert_true(json_equal(json, again));
    g_assert_cmpint(back.since_us, ==, T0 + 20 * SL_SECOND_US);
    static const char *const bad[] = {"{}", "[]", "{'format':2,'change':''}", "{'format':1,'change':'abc'}"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(json_t) odd = object_of(bad[i]);
        sl_health_state_from_json(odd, &back);
        g_assert_cmpint(back.changed_us, ==, 0);
    }
    g_autoptr(json_t) partly = object_of("{'format':1,'change':'','changed':-5,'health':'Fine','reason':'x','since':3,'restarts':[[1],7,['a',2],[5,-1],[9,4]]}");
    sl_health_state_from_json(partly, &back);
    g_assert_false(back.judged);
    g_assert_cmpint(back.changed_us, ==, 0);
    g_assert_cmpuint(back.restart_count, ==, 1);
}

static void test_total(void)
{
    static const struct {
        SlHealth health;
        bool queued, neutral;
        SlHealth worst;
    } steps[] = {
        {SL_HEALTH_HEALTHY, false, false, SL_HEALTH_HEALTHY},
        {SL_HEALTH_SUSPENDED, false, true, SL_HEALTH_HEALTHY},      /* a CronJob that is off */
        {SL_HEALTH_SUSPENDED, false, false, SL_HEALTH_SUSPENDED},
        {SL_HEALTH_SUSPENDED, true, false, SL_HEALTH_PROGRESSING},  /* suspended by its queue */
        {SL_HEALTH_MISSING, false, false, SL_HEALTH_MISSING},
        {SL_HEALTH_DEGRADED, false, false, SL_HEALTH_DEGRADED},
        {SL_HEALTH_UNKNOWN, false, false, SL_HEALTH_UNKNOWN},
        {SL_HEALTH_HEALTHY, false, false, SL_HEALTH_UNKNOWN},
    };
    SlHealthTotal total = {0};
    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        SlHealthVerdict v = {.health = steps[i].health, .queued = steps[i].queued, .neutral = steps[i].neutral};
        sl_health_total_add(&total, &v);
        g_assert_cmpint(total.health, ==, steps[i].worst);
    }
    g_autoptr(json_t) json = sl_health_total_to_json(&total);
    g_autofree char *text = sl_json_canonical(json, NULL);
    g_assert_cmpstr(text, ==, "{\"counts\":{\"Degraded\":1,\"Healthy\":2,\"Missing\":1,\"Progressing\":1,\"Suspended\":2,\"Unknown\":1},\"health\":\"Unknown\"}");
    g_assert_cmpstr(sl_pod_failure_name(SL_POD_FAILURE_OOM), ==, "Oom");
    g_assert_cmpstr(sl_pod_failure_name(SL_N_POD_FAILURES), ==, "");
}

static void test_messages_are_bounded(void)
{
    g_autofree char *long_text = g_strnfill(5000, 'x');
    memcpy(long_text + 10, "\\u001b\\u000a", 12);
    g_autofree char *text = g_strdup_printf(THING("{'conditions':[{'type':'Stalled','status':'True','reason':'%s','message':'%s'}]}"), long_text + 100, long_text);
    Look l = {0};
    look(&l, text, 0, "Degraded Stalled");
    g_assert_cmpuint(strlen(l.verdict.message), <=, SL_HEALTH_MESSAGE_MAX);
    g_assert_null(strchr(l.verdict.message, '\033'));
    g_assert_cmpstr(l.verdict.evidence, ==, "status.conditions[Stalled]");
}

/* ---- rules ---- */

static bool add_rule(SlHealthRules *rules, const char *text, GError **error)
{
    g_autoptr(json_t) rule = object_of(text);
    return sl_health_rules_add(rules, rule, error);
}

static void test_rules_of_a_user(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlHealthRules) own = sl_health_rules_new();
    g_autoptr(json_t) rule = json_object();
    sl_json_set_str(rule, "apiVersion", "example.com/v1");
    sl_json_set_str(rule, "kind", "Thing");
    sl_json_set_str(rule, "inProgress", "status.step < 3");
    sl_json_set_str(rule, "failed", "has(status.bad) && status.bad");
    sl_json_set_str(rule, "current", "status.phase == 'Done'");
    g_assert_true(sl_health_rules_add(own, rule, &error));
    Look l = {.context.rules = own};
    look(&l, THING("{'step':2,'bad':true}"), 0, "Progressing RuleInProgress"); /* the order decides */
    look(&l, THING("{'step':3,'bad':true}"), 1, "Degraded RuleFailed");
    g_assert_cmpstr(l.verdict.evidence, ==, "failed");
    look(&l, THING("{'step':3,'bad':false,'phase':'Done'}"), 2, "Progressing Settling");
    look(&l, THING("{'step':3,'bad':false,'phase':'Done'}"), 8, "Healthy RuleCurrent");
    look(&l, THING("{'phase':'Doing'}"), 9, "Progressing NoRuleTrue");
    g_assert_nonnull(strstr(l.verdict.message, "`inProgress`: column 7: `step` is not there"));
    look(&l, THING("{'step':'x'}"), 10, "Unknown RuleBroken");
    g_assert_nonnull(strstr(l.verdict.message, "a text and an integer have no order"));
    /* first comes what a rule can't know */
    look(&l, "{'apiVersion':'example.com/v2','kind':'Thing','metadata':{'generation':2},'status':{'observedGeneration':1,'phase':'Done'}}", 11, "Progressing NotObserved");
    look(&l, "{'apiVersion':'other.com/v1','kind':'Thing','metadata':{},'status':{'conditions':[{'type':'Ready','status':'False'}]}}", 12, "Progressing NotReady");
}

static void test_bad_rules(void)
{
    static const struct {
        const char *text, *message;
        int code;
    } table[] = {
        {"[1]", "a rule is an object", SLU_HEALTH_RULE},
        {"{'kind':'A','current':'true'}", "apiVersion is missing", SLU_HEALTH_RULE},
        {"{'apiVersion':'a/v1','current':'true'}", "kind is missing", SLU_HEALTH_RULE},
        {"{'apiVersion':'a/v1','kind':'A','failed':'true'}", "current is missing", SLU_HEALTH_RULE},
        {"{'apiVersion':'a/v1','kind':'A','curent':'true'}", "unknown key `curent`; did you mean current", SLU_HEALTH_RULE},
        {"{'apiVersion':'a/v1','kind':'A','selectorOfThings':'true'}", "there are apiVersion, kind", SLU_HEALTH_RULE},
        {"{'apiVersion':'a/v1','kind':'A','current':true}", "current: must be text", SLU_HEALTH_RULE},
        {"{'apiVersion':'a/v1','kind':'A','current':'true','failed':''}", "failed: must be text and not empty", SLU_HEALTH_RULE},
        {"{'apiVersion':'a/v1','kind':'A','current':'true','failed':'a =='}", "failed: column 5: expected a value", SLU_HEALTH_EXPRESSION},
        {"{'apiVersion':'b/v1','kind':'B','current':'true'}", "a rule for B of this group already", SLU_HEALTH_RULE},
    };
    g_autoptr(SlHealthRules) rules = sl_health_rules_new();
    g_assert_true(add_rule(rules, "{'apiVersion':'b/v2','kind':'B','current':'true'}", NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(add_rule(rules, table[i].text, &error));
        g_assert_cmpint(error->code, ==, table[i].code);
        if (strstr(error->message, table[i].message) == NULL) {
            g_error("expected `%s` in: %s", table[i].message, error->message);
        }
    }
    for (int i = 1; i < SL_HEALTH_RULES_MAX; i++) {
        g_autofree char *text = g_strdup_printf("{'apiVersion':'v1','kind':'K%d','current':'true'}", i);
        g_assert_true(add_rule(rules, text, NULL));
    }
    g_autoptr(GError) error = NULL;
    g_assert_false(add_rule(rules, "{'apiVersion':'v1','kind':'More','current':'true'}", &error));
    g_assert_cmpint(error->code, ==, SLU_LIMIT);
    sl_health_rules_free(NULL);
    sl_health_kin_free(NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/health/healthy-must-hold", test_healthy_must_hold);
    g_test_add_func("/health/deadline", test_deadline_runs_since_progress);
    g_test_add_func("/health/noise", test_noise_is_no_progress);
    g_test_add_func("/health/timers", test_timers_of_an_application);
    g_test_add_func("/health/queue", test_queue_has_no_deadline);
    g_test_add_func("/health/restored", test_restored_object);
    g_test_add_func("/health/timers-of-pods", test_timers_of_pods);
    g_test_add_func("/health/long-lists", test_long_lists);
    g_test_add_func("/health/not-seen", test_not_seen);
    g_test_add_func("/health/quiet-kind", test_quiet_kind);
    g_test_add_func("/health/crash-loop", test_crash_loop_needs_two);
    g_test_add_func("/health/state", test_state_there_and_back);
    g_test_add_func("/health/total", test_total);
    g_test_add_func("/health/messages", test_messages_are_bounded);
    g_test_add_func("/health/rules", test_rules_of_a_user);
    g_test_add_func("/health/bad-rules", test_bad_rules);
    return g_test_run();
}
