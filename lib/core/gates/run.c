/* run.c - gate `run`: what the winning seal of a job says must satisfy every requirement. Only
 * sealed facts count: a run that is going on, a metric that is missing or not finite, and a
 * baseline that is not there never pass by themselves.
 *
 *   run: {job: train, in: dev, require: ["final.accuracy >= 0.95"], noBaseline: pass} */
#include "base/text.h"
#include "core/gates/gates.h"
#include "core/require.h"
#include "sluice/clock.h"
#include <math.h>
#include <string.h>

#define REQUIRE_MAX 32
/* How often an expression with `age` is looked at again. */
#define AGE_STEP_US SL_MINUTE_US

static const char *const keys[] = {"job", "in", "require", "noBaseline", NULL};
static const char *const no_baseline_words[] = {"pass", "wait", "fail", NULL};

static void check_requirements(const json_t *config, GPtrArray *problems)
{
    const json_t *require = json_object_get(config, "require");
    size_t i = 0;
    json_t *text = NULL;
    bool baseline = false;
    if (!json_is_array(require) || json_array_size(require) == 0 ||
        json_array_size(require) > REQUIRE_MAX) {
        sl_gate_problem(problems,
                        "require: must be a list of 1 to %d expressions such as "
                        "\"final.accuracy >= 0.95\"",
                        REQUIRE_MAX);
        return;
    }
    json_array_foreach(require, i, text)
    {
        g_autoptr(GError) error = NULL;
        g_autoptr(SlRequire) parsed =
            json_is_string(text) ? sl_require_parse(json_string_value(text), &error) : NULL;
        if (parsed == NULL) {
            sl_gate_problem(problems, "require.%zu: %s", i,
                            error != NULL ? error->message : "must be text");
        }
        baseline = baseline || (parsed != NULL && sl_require_uses_baseline(parsed));
    }
    if (baseline && json_object_get(config, "noBaseline") == NULL) {
        sl_gate_problem(
            problems, "noBaseline: a requirement uses baseline; say what holds while nothing runs "
                      "there yet: pass, wait or fail");
    }
}

static void validate(const json_t *config, GPtrArray *problems)
{
    if (!sl_gate_check_keys(config, keys, problems)) {
        return;
    }
    const char *const names[] = {"job", "in"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        const char *name = json_string_value(json_object_get(config, names[i]));
        if (name == NULL || !sl_is_name(name)) {
            sl_gate_problem(problems, "%s: must be the name of %s", names[i],
                            i == 0 ? "a TrainingJob" : "the environment where the job runs");
        }
    }
    const json_t *word = json_object_get(config, "noBaseline");
    if (word != NULL &&
        (!json_is_string(word) || !g_strv_contains(no_baseline_words, json_string_value(word)))) {
        sl_gate_problem(problems, "noBaseline: must be pass, wait or fail");
    }
    check_requirements(config, problems);
}

typedef struct {
    const json_t *seal, *baseline;
    int64_t now_us;
} Facts;

static bool metric_of(const json_t *seal, const char *name, double *ret)
{
    const json_t *value = json_object_get(json_object_get(seal, "metrics"), name);
    if (json_is_number(value)) {
        *ret = json_number_value(value);
        return true;
    }
    if (json_is_string(value)) { /* "NaN", "Infinity": there, but not finite */
        *ret = (double)NAN;
        return true;
    }
    return false;
}

static bool time_of(const json_t *seal, const char *key, int64_t *ret_us)
{
    const char *text = json_string_value(json_object_get(seal, key));
    return text != NULL && sl_parse_time(text, ret_us);
}

static bool number_of_seal(const json_t *seal, const char *name, int64_t now_us, double *ret)
{
    int64_t from = 0;
    int64_t to = now_us;
    if (strcmp(name, "attempts") == 0 || strcmp(name, "restarts") == 0) {
        const json_t *attempts = json_object_get(seal, "attempts");
        *ret = (double)json_integer_value(attempts) - (name[0] == 'r' ? 1 : 0);
        return json_is_integer(attempts);
    }
    if (strcmp(name, "age") == 0) {
        *ret = time_of(seal, "finished", &from) ? (double)(to - from) / (double)SL_SECOND_US
                                                : (double)NAN;
        return true;
    }
    if (strcmp(name, "duration") == 0) {
        bool known = time_of(seal, "started", &from) && time_of(seal, "finished", &to);
        *ret = known ? (double)(to - from) / (double)SL_SECOND_US : (double)NAN;
        return true;
    }
    return false;
}

static bool number(const char *name, double *ret, void *user)
{
    const Facts *facts = user;
    if (!g_str_has_prefix(name, "baseline.")) {
        return metric_of(facts->seal, name, ret) ||
               number_of_seal(facts->seal, name, facts->now_us, ret);
    }
    const char *rest = name + strlen("baseline.");
    g_autofree char *final = g_strconcat("final.", rest, NULL);
    return metric_of(facts->baseline, final, ret) || metric_of(facts->baseline, rest, ret) ||
           (facts->baseline != NULL && number_of_seal(facts->baseline, rest, facts->now_us, ret));
}

static const char *word(const char *name, void *user)
{
    const Facts *facts = user;
    bool known = strcmp(name, "phase") == 0 || strcmp(name, "reason") == 0;
    return known ? json_string_value(json_object_get(facts->seal, name)) : NULL;
}

/* Verdict of one requirement; @ret_explain is for people, @ret_age set if time alone may change it.
 */
static SlRequireVerdict judge_one(const json_t *config, const char *text, const Facts *facts,
                                  char **ret_explain, bool *ret_age)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlRequire) require = text != NULL ? sl_require_parse(text, &error) : NULL;
    if (require == NULL) {
        *ret_explain = g_strdup(error != NULL ? error->message : "a requirement is not text");
        return SL_REQUIRE_UNKNOWN;
    }
    *ret_age = *ret_age || sl_require_uses_age(require);
    if (facts->baseline != NULL || !sl_require_uses_baseline(require)) {
        return sl_require_eval(require, number, word, (void *)(uintptr_t)facts, ret_explain);
    }
    const char *no_baseline = json_string_value(json_object_get(config, "noBaseline"));
    bool pass = no_baseline != NULL && strcmp(no_baseline, "pass") == 0;
    bool fail = no_baseline != NULL && strcmp(no_baseline, "fail") == 0;
    *ret_explain = g_strdup_printf("nothing runs there yet to compare with: %s %s", text,
                                   pass   ? "passes (noBaseline: pass)"
                                   : fail ? "fails (noBaseline: fail)"
                                          : "is unknown");
    return pass ? SL_REQUIRE_PASS : fail ? SL_REQUIRE_FAIL : SL_REQUIRE_UNKNOWN;
}

static json_t *evidence_of(const json_t *config, const json_t *seal, const json_t *baseline)
{
    json_t *evidence = json_object();
    static const char *const facts[] = {"run-id", "run-key", "cluster", "promotion",
                                        "bundle", "phase",   "finished"};
    json_object_set(evidence, "job", json_object_get(config, "job"));
    json_object_set(evidence, "in", json_object_get(config, "in"));
    sl_json_set_str(evidence, "seal", json_string_value(json_object_get(seal, "digest")));
    sl_json_set_str(evidence, "baseline", json_string_value(json_object_get(baseline, "digest")));
    for (size_t i = 0; i < G_N_ELEMENTS(facts); i++) {
        json_t *value = json_object_get(seal, facts[i]);
        if (json_is_string(value)) {
            json_object_set(evidence, facts[i], value);
        }
    }
    return evidence;
}

static void judge_requirements(const json_t *config, const Facts *facts, SlGateAnswer *answer)
{
    static const char *const verdict_names[] = {"fail", "pass", "unknown"};
    const json_t *list = json_object_get(config, "require");
    json_t *results = json_array();
    g_autoptr(GString) passed = g_string_new(NULL);
    g_autofree char *failed = NULL;
    g_autofree char *unknown = NULL;
    bool age = false;
    size_t i = 0;
    json_t *text = NULL;
    json_array_foreach(list, i, text)
    {
        g_autofree char *explain = NULL;
        SlRequireVerdict v = judge_one(config, json_string_value(text), facts, &explain, &age);
        json_array_append_new(results, json_pack("{s:O, s:s, s:s}", "text", text, "verdict",
                                                 verdict_names[v], "explain", explain));
        g_string_append_printf(passed, "%s%s", passed->len > 0 ? "; " : "", explain);
        char **at = v == SL_REQUIRE_FAIL ? &failed : v == SL_REQUIRE_UNKNOWN ? &unknown : NULL;
        if (at != NULL && *at == NULL) {
            *at = g_steal_pointer(&explain);
        }
    }
    if (json_array_size(list) == 0 && unknown == NULL) {
        unknown = g_strdup("the gate has no requirement");
    }
    SlGateVerdict verdict = failed != NULL    ? SL_GATE_SHUT
                            : unknown != NULL ? SL_GATE_WAIT
                                              : SL_GATE_OPEN;
    const char *reason = failed != NULL ? failed : unknown != NULL ? unknown : passed->str;
    sl_gate_answer(answer, verdict, g_strdup(reason));
    answer->next_us = age ? facts->now_us + AGE_STEP_US : INT64_MAX;
    answer->evidence = evidence_of(config, facts->seal, facts->baseline);
    json_object_set_new(answer->evidence, "requirements", results);
}

static void judge(const json_t *config, const SlGateFacts *facts, SlGateAnswer *ret_answer)
{
    const char *job = sl_json_str_or(config, "job", "");
    const char *in = sl_json_str_or(config, "in", "");
    json_t *seal = facts->seal(facts, job, in, false);
    if (seal == NULL) {
        sl_gate_answer(
            ret_answer, SL_GATE_WAIT,
            g_strdup_printf("waits for the run of %s in %s to finish and be sealed", job, in));
        return;
    }
    const char *phase = sl_json_str_or(seal, "phase", "");
    if (strcmp(phase, "Succeeded") != 0) {
        g_autofree char *reason =
            sl_escape_for_people(sl_json_str_or(seal, "reason", "no reason given"), 64);
        sl_gate_answer(ret_answer, SL_GATE_SHUT,
                       g_strdup_printf("the run of %s in %s did not succeed: %s", job, in, reason));
        ret_answer->evidence = evidence_of(config, seal, NULL);
        return;
    }
    Facts known = {
        .seal = seal, .baseline = facts->seal(facts, job, in, true), .now_us = facts->now_us};
    judge_requirements(config, &known, ret_answer);
}

const SlGateOps sl_gate_run = {.type = "run", .validate = validate, .judge = judge};
