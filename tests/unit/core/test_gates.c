/* test_gates.c - gates run and approval: every verdict with its reason, and their validation. */
#include "golden_file.h"
#include "sluice/gate.h"

typedef struct {
    json_t *seal, *baseline, *approvals;
} World;

static json_t *seal_of(const SlGateFacts *facts, const char *job, const char *in, bool baseline)
{
    const World *world = facts->user;
    g_assert_cmpstr(job, ==, "train");
    g_assert_cmpstr(in, ==, "dev");
    return baseline ? world->baseline : world->seal;
}

static json_t *approvals_of(const SlGateFacts *facts)
{
    return ((const World *)facts->user)->approvals;
}

static json_t *json(const char *text)
{
    json_t *value = text != NULL ? json_loads(text, 0, NULL) : NULL;
    g_assert_true(text == NULL || value != NULL);
    return value;
}

typedef struct {
    const char *config, *seal, *baseline, *approvals;
    SlGateVerdict verdict;
    const char *reason;
} Row;

static void check(const char *type, const Row *row)
{
    g_autoptr(json_t) config = json(row->config);
    g_autoptr(json_t) seal = json(row->seal);
    g_autoptr(json_t) baseline = json(row->baseline);
    g_autoptr(json_t) approvals = json(row->approvals);
    World world = {seal, baseline, approvals};
    SlGateFacts facts = {.user = &world,
                         .app = "digits",
                         .env = "test",
                         .release = H1,
                         .requester = "alice",
                         .now_us = INT64_C(1795435200000000),
                         .seal = seal_of,
                         .approvals = approvals_of};
    SlGateAnswer answer = {0};
    sl_gate_find(type)->judge(config, &facts, &answer);
    if (answer.verdict != row->verdict || strstr(answer.reason, row->reason) == NULL) {
        g_error("%s: verdict %d: %s", row->config, answer.verdict, answer.reason);
    }
    sl_gate_answer_clear(&answer);
}

#define GOOD                                                                                       \
    "{\"phase\":\"Succeeded\",\"digest\":\"" H2                                                    \
    "\",\"attempts\":1,\"started\":\"2026-11-23T10:00:00Z\","                                      \
    "\"finished\":\"2026-11-23T11:00:00Z\",\"metrics\":{\"final.accuracy\":0.97,\"final.loss\":"   \
    "\"NaN\"}}"
#define OLD "{\"phase\":\"Succeeded\",\"digest\":\"" H3 "\",\"metrics\":{\"final.accuracy\":0.98}}"
#define WANT(text) "{\"job\":\"train\",\"in\":\"dev\",\"require\":[" text "]}"
#define WANT_BASE(word)                                                                            \
    "{\"job\":\"train\",\"in\":\"dev\",\"noBaseline\":\"" word                                     \
    "\",\"require\":[\"final.accuracy >= baseline.accuracy\"]}"

static void test_run(void)
{
    static const Row rows[] = {
        {WANT("\"final.accuracy >= 0.95\""), GOOD, NULL, NULL, SL_GATE_OPEN, "0.97 >= 0.95"},
        {WANT("\"final.accuracy >= 0.99\""), GOOD, NULL, NULL, SL_GATE_SHUT,
         "0.97 < 0.99: final.accuracy >= 0.99 does not hold"},
        {WANT("\"final.accuracy >= 0.95\""), NULL, NULL, NULL, SL_GATE_WAIT,
         "waits for the run of train in dev"},
        {WANT("\"final.accuracy >= 0.95\""),
         "{\"phase\":\"Failed\",\"reason\":\"OOMKilled\",\"metrics\":{\"final.accuracy\":1}}", NULL,
         NULL, SL_GATE_SHUT, "did not succeed: OOMKilled"},
        {WANT("\"final.accuracy >= 0.95\""), "{\"metrics\":{\"final.accuracy\":1}}", NULL, NULL,
         SL_GATE_SHUT, "did not succeed"},
        {WANT("\"final.loss <= 2\""), GOOD, NULL, NULL, SL_GATE_WAIT, "final.loss is NaN"},
        {WANT("\"final.f1 >= 0.5\""), GOOD, NULL, NULL, SL_GATE_WAIT, "final.f1 is not there"},
        {WANT("\"final.f1 >= 0.5\",\"final.accuracy >= 0.99\""), GOOD, NULL, NULL, SL_GATE_SHUT,
         "0.99"},
        {WANT("\"age < 2h\",\"restarts <= 0\",\"duration <= 60m\""), GOOD, NULL, NULL, SL_GATE_OPEN,
         "3600.0 < 7200.0"},
        {WANT("\"age < 30m\""), GOOD, NULL, NULL, SL_GATE_SHUT, "does not hold"},
        {WANT("\"age < 30m\""), OLD, NULL, NULL, SL_GATE_WAIT, "age is NaN"},
        {WANT("\"phase == Succeeded\""), GOOD, NULL, NULL, SL_GATE_OPEN, "phase is Succeeded"},
        {WANT(""), GOOD, NULL, NULL, SL_GATE_WAIT, "no requirement"},
        {WANT("\"final.accuracy >\""), GOOD, NULL, NULL, SL_GATE_WAIT, "column"},
        {WANT_BASE("pass"), GOOD, NULL, NULL, SL_GATE_OPEN, "noBaseline: pass"},
        {WANT_BASE("wait"), GOOD, NULL, NULL, SL_GATE_WAIT, "nothing runs there yet"},
        {WANT_BASE("fail"), GOOD, NULL, NULL, SL_GATE_SHUT, "noBaseline: fail"},
        {WANT_BASE("pass"), GOOD, OLD, NULL, SL_GATE_SHUT, "0.97 < 0.98"},
        {WANT_BASE("pass"), GOOD, "{\"metrics\":{}}", NULL, SL_GATE_WAIT,
         "baseline.accuracy is not there"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        check("run", &rows[i]);
    }
}

static void test_approval(void)
{
    static const Row rows[] = {
        {"{}", NULL, NULL, "{\"threshold\":1,\"count\":0,\"people\":[],\"who\":[\"bob\"]}",
         SL_GATE_WAIT, "waits for approval: 0 of 1"},
        {"{}", NULL, NULL, "{\"threshold\":1,\"count\":1,\"people\":[\"alice\"]}", SL_GATE_OPEN,
         "approved by alice"},
        {"{}", NULL, NULL, "{\"threshold\":2,\"count\":1,\"people\":[\"alice\"]}", SL_GATE_WAIT,
         "1 of 2"},
        {"{}", NULL, NULL, "{\"threshold\":0,\"count\":0,\"people\":[]}", SL_GATE_WAIT, "0 of 1"},
        {"{\"count\":2}", NULL, NULL,
         "{\"threshold\":1,\"count\":1,\"people\":[\"alice\",\"alice\"]}", SL_GATE_WAIT,
         "1 of 2, signed by alice"},
        {"{\"people\":[\"bob\"]}", NULL, NULL,
         "{\"threshold\":1,\"count\":1,\"people\":[\"alice\"]}", SL_GATE_WAIT, "0 of 1"},
        {"{\"excludeRequester\":true}", NULL, NULL,
         "{\"threshold\":1,\"count\":1,\"people\":[\"alice\"]}", SL_GATE_WAIT, "0 of 1"},
        {"{\"excludeAuthors\":true}", NULL, NULL,
         "{\"threshold\":1,\"count\":1,\"people\":[\"bob\"],\"authors\":[\"bob\"]}", SL_GATE_WAIT,
         "0 of 1"},
        {"{\"excludeAuthors\":true}", NULL, NULL,
         "{\"threshold\":1,\"count\":1,\"people\":[\"bob\"]}", SL_GATE_WAIT,
         "authors of the change"},
        {"{\"excludeAuthors\":true}", NULL, NULL,
         "{\"threshold\":1,\"count\":1,\"people\":[\"bob\"],\"authors\":[\"alice\"]}", SL_GATE_OPEN,
         "approved by bob"},
        {"{}", NULL, NULL,
         "{\"threshold\":1,\"count\":1,\"people\":[\"bob\"],\"rejected\":\"carol\"}", SL_GATE_SHUT,
         "rejected by carol"},
        {"{}", NULL, NULL, NULL, SL_GATE_WAIT, "who must sign"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        check("approval", &rows[i]);
    }
}

static void test_validate(void)
{
    static const struct {
        const char *type, *config, *problems; /* joined by " | " */
    } rows[] = {
        {"run", WANT("\"final.accuracy >= 0.95\""), ""},
        {"run", WANT_BASE("pass"), ""},
        {"run", "{}",
         "job: must be the name of a TrainingJob | in: must be the name of the environment where "
         "the job runs | "
         "require: must be a list of 1 to 32 expressions such as \"final.accuracy >= 0.95\""},
        {"run",
         "{\"job\":\"train\",\"in\":\"dev\",\"requires\":[\"a > 1\"],\"require\":[\"a > 1\"]}",
         "requires: unknown key; did you mean `require`?"},
        {"run", WANT("\"final.a >= baseline.a\""),
         "noBaseline: a requirement uses baseline; say what holds while nothing runs there yet: "
         "pass, wait or fail"},
        {"run", WANT_BASE("maybe"), "noBaseline: must be pass, wait or fail"},
        {"run", WANT("7, \"a == 1\""),
         "require.0: must be text | require.1: `a == 1`: column 7: == and != compare words such as "
         "`phase == Succeeded`; for numbers write >= or <= with a tolerance"},
        {"approval", "{}", ""},
        {"approval", "{\"count\":0,\"people\":[\"A\"],\"excludeAuthors\":1,\"x\":1}",
         "x: unknown key; there are count, people, excludeRequester, excludeAuthors | count: must "
         "be 1..64 | "
         "people.0: must be the name of a person | excludeAuthors: must be true or false"},
        {"approval", "{\"count\":3,\"people\":[\"bob\",\"bob\"]}",
         "count: 3 people are asked for, but only 2 are named | people.1: bob is there twice"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(json_t) config = json(rows[i].config);
        g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
        sl_gate_find(rows[i].type)->validate(config, problems);
        g_ptr_array_add(problems, NULL);
        g_autofree char *all = g_strjoinv(" | ", (char **)problems->pdata);
        g_assert_cmpstr(all, ==, rows[i].problems);
    }
    g_assert_null(sl_gate_find("soon"));
    g_assert_null(sl_gate_find(NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/gates/run", test_run);
    g_test_add_func("/gates/approval", test_approval);
    g_test_add_func("/gates/validate", test_validate);
    return g_test_run();
}
