/* story_worked.c - the worked example, step by step: train, gate, promote, serve, rotate the root, a worse
 * model, roll back; on requests that may be lost and repeated. */
#include "stories/kit.h"

typedef struct {
    int step;
    Ask ask;
    uint64_t attempt;
    char *remembered; /* bundle to come back to */
} Worked;

static const char FLEET[] =
    "apiVersion: gitops.sluice/v1alpha1\nkind: Fleet\nmetadata: {name: sim}\n---\n"
    "apiVersion: gitops.sluice/v1alpha1\nkind: Environment\nmetadata: {name: dev}\nspec: "
    "{promotion: newest, healthTimeout: 3m}\n---\n"
    "apiVersion: gitops.sluice/v1alpha1\nkind: Environment\nmetadata: {name: test}\nspec: {after: "
    "[dev], promotion: newest, healthTimeout: 3m}\n---\n"
    "apiVersion: gitops.sluice/v1alpha1\nkind: Environment\nmetadata: {name: prod}\nspec: {after: "
    "[test], promotion: manual, healthTimeout: 3m}\n---\n"
    "apiVersion: gitops.sluice/v1alpha1\nkind: Application\nmetadata: {name: digits}\nspec:\n  "
    "source: {path: digits}\n"
    "  items:\n    - {name: model, kind: model, from: {job: train, output: model}}\n  "
    "environments:\n"
    "    dev: {parts: [{paths: [train]}, {paths: [serve]}]}\n"
    "    test:\n      parts: [{paths: [serve, evaluate]}]\n"
    "      gates: [{run: {job: train, in: dev, require: [\"final.accuracy >= 0.95\"], noBaseline: "
    "pass}}]\n"
    "    prod: {parts: [{paths: [serve]}]}\n";

static const char KIND[] =
    "apiVersion: gitops.sluice/v1alpha1\nkind: %s\nmetadata: {name: %s}\nspec:\n%s";

static void put(SlTree *tree, const char *path, const char *kind, const char *name,
                const char *spec)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    g_autofree char *text = g_strdup_printf(KIND, kind, name, spec);
#pragma GCC diagnostic pop
    sl_tree_memory_put(tree, path, text, SL_TREE_FILE);
}

void worked_push(World *w, const char *subject, const char *readme, const char *server,
                 const char *accuracy)
{
    SlTree *tree = sl_tree_memory_new();
    sl_tree_memory_put(tree, "sluice.yaml", FLEET, SL_TREE_FILE);
    sl_tree_memory_put(tree, "digits/train/README.md", readme, SL_TREE_FILE);
    g_autofree char *train = g_strdup_printf("  command: [/bin/train]\n  args: [\"accuracy=%s\"]\n "
                                             " outputs: [{name: model, path: model}]\n",
                                             accuracy);
    g_autofree char *serve = g_strdup_printf(
        "  command: [/bin/serve]\n  args: [%s]\n  model: model://model\n  port: 8501\n", server);
    put(tree, "digits/train/train.yaml", "TrainingJob", "train", train);
    put(tree, "digits/train/tune.yaml", "TrainingJob", "tune",
        "  command: [/bin/tune]\n  args: [\"accuracy=0.99\"]\n  start: manual\n");
    put(tree, "digits/serve/serve.yaml", "ModelServer", "serve", serve);
    put(tree, "digits/evaluate/evaluate.yaml", "TrainingJob", "evaluate",
        "  command: [/bin/evaluate]\n  args: [\"accuracy=0.96\"]\n  inputs: [{name: model, model: "
        "\"model://model\"}]\n  waitFor: finished\n");
    (void)source_push(w, subject, tree);
}

/* ---- looking at the fleet ---- */

static json_t *unit(World *w, const char *env)
{
    g_autoptr(json_t) status = people_view(w, "status", json_pack("{s:s}", "env", env));
    size_t i;
    json_t *u;
    json_array_foreach (sl_json_at(status, "units"), i, u) {
        if (strcmp(sl_json_str_or(u, "env", ""), env) == 0) {
            return json_incref(u);
        }
    }
    return NULL;
}

/* A view may be ahead of the disk: a crash can take back what it says. Whoever goes on because of it
 * waits for the ledger. */
static bool is_on_disk(const World *w)
{
    return sl_coord_ledger_seq(w->coord) == w->ledger->len;
}

static const char *newest_commit(const World *w)
{
    return source_newest(w)->id;
}

/* ---- asking ---- */

static bool request_attempt(World *w, const char *verb, const char *env)
{
    Worked *s = w->story_data;
    int64_t status = 0;
    verb = strcmp(verb, "promote") == 0 ? kit_promotes(w, "digits", env) : verb;
    json_t *body = people_ask(
        w, &s->ask, "alice", verb,
        json_pack("{s:s,s:s,s:s}", "app", "digits", "env", env, "reason", "story"), &status);
    if (body == NULL) {
        return false;
    }
    if (status >= 300) {
        say(w, "%s %s: %s", verb, env, sl_json_str_or(body, "error.message", "?"));
        return false;
    }
    s->attempt = (uint64_t)sl_json_int(body, "attempt", 0);
    people_acknowledged(w, verb, s->attempt);
    return true;
}

static json_t *attempt_view(World *w)
{
    Worked *s = w->story_data;
    g_autofree char *n = g_strdup_printf("%" G_GUINT64_FORMAT, s->attempt);
    return people_view(w, "attempt",
                       json_pack("{s:s,s:I}", "n", n, "attempt", (json_int_t)s->attempt));
}

static void approve(World *w, const json_t *attempt)
{
    Worked *s = w->story_data;
    const char *text = sl_json_str(attempt, "statement.text");
    if (text == NULL || sl_json_int(attempt, "approvals.count", 0) > 0) {
        return;
    }
    g_autofree char *sig = people_sign(w, "alice", SL_STATEMENT_PROMOTION, text);
    int64_t status = 0;
    json_t *body = people_ask(
        w, &s->ask, "alice", "approve",
        json_pack("{s:I,s:s}", "attempt", (json_int_t)s->attempt, "signature", sig), &status);
    if (body != NULL && status < 300) {
        people_acknowledged(w, "approve", s->attempt);
    }
}

typedef enum { GOING, DONE, FAILED } Outcome;

static Outcome follow_attempt(World *w)
{
    static const char *const bad[] = {"FAILED",     "ERRORED", "REJECTED", "ABORTED",
                                      "SUPERSEDED", "EXPIRED", NULL};
    g_autoptr(json_t) attempt = attempt_view(w);
    const char *state = sl_json_str_or(attempt, "state", "");
    if (strcmp(state, "GATING") == 0) {
        approve(w, attempt);
    }
    if (!is_on_disk(w)) {
        return GOING;
    }
    if (strcmp(state, "SUCCEEDED") == 0) {
        return DONE;
    }
    return g_strv_contains(bad, state) ? FAILED : GOING;
}

/* ---- the steps; each says true when the next one may begin ---- */

static bool push_first(World *w)
{
    worked_push(w, "first", "digits\n", "v1", "0.97");
    return true;
}

/* The newest commit is what @env runs, complete and Healthy. */
static bool runs_newest(World *w, const char *env)
{
    g_autoptr(json_t) u = unit(w, env);
    json_t *withheld = sl_json_at(u, "withheld");
    bool same = g_strcmp0(sl_json_str(u, "commit"), newest_commit(w)) == 0;
    bool whole =
        json_array_size(withheld) == 0 && strcmp(sl_json_str_or(u, "health", ""), "Healthy") == 0;
    bool idle = !json_is_object(sl_json_at(u, "active"));
    const char *last = sl_json_str_or(u, "last.state", "");
    if (same && whole && idle && strcmp(last, "SUCCEEDED") == 0 &&
        sl_json_int(u, "last.withheld", 0) == 0) {
        return is_on_disk(w);
    }
    if (idle && kit_asks_again(w, "digits", env)) {
        (void)request_attempt(w, "promote", env);
    }
    return false;
}

static bool wait_dev(World *w)
{
    return runs_newest(w, "dev");
}

static bool wait_test(World *w)
{
    (void)runs_newest(w, "dev");
    return runs_newest(w, "test");
}

static bool ask_prod(World *w)
{
    return request_attempt(w, "promote", "prod");
}

static bool follow_prod(World *w)
{
    Worked *s = w->story_data;
    Outcome outcome = follow_attempt(w);
    if (outcome == FAILED) {
        s->step--; /* ask again */
    }
    return outcome == DONE;
}

static char *prod_bundle(World *w)
{
    g_autoptr(json_t) attempt = attempt_view(w);
    return g_strdup(sl_json_str(attempt, "targets.prod1"));
}

static bool push_typo(World *w)
{
    Worked *s = w->story_data;
    s->remembered = prod_bundle(w);
    worked_push(w, "typo", "digits, really\n", "v1", "0.97");
    return true;
}

/* A new root, signed by its key: every agent walks to it, and says so by accepting heads that stand
 * on it. */
static bool rotate_root(World *w)
{
    Worked *s = w->story_data;
    if (w->root->version == 1) {
        w->root->version = 2;
        w->root->expires_us += SL_DAY_US;
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) text = sl_root_format(w->root, &error);
    g_assert_no_error(error);
    g_autoptr(SlSigned) next = sl_signed_new(text);
    sl_signed_sign(next, SL_STATEMENT_ROOT, person_named(w, "alice")->secret);
    g_autoptr(json_t) args = sl_signed_to_json(next);
    int64_t status = 0;
    json_t *body = people_ask(w, &s->ask, "alice", "root", json_incref(args), &status);
    g_autoptr(json_t) fleet = w->coord != NULL ? people_view(w, "status", NULL) : NULL;
    if (body != NULL && status >= 300) {
        say(w, "root: %s", sl_json_str_or(body, "error.message", "?"));
    }
    return sl_json_int(fleet, "rootVersion", 0) == 2 && is_on_disk(w);
}

static bool push_server(World *w)
{
    worked_push(w, "server", "digits, really\n", "v2", "0.97");
    return true;
}

static bool push_worse(World *w)
{
    worked_push(w, "worse", "digits, really\n", "v2", "0.62");
    return true;
}

static bool wait_rejected(World *w)
{
    (void)runs_newest(w, "dev");
    g_autoptr(json_t) history =
        people_view(w, "history", json_pack("{s:s,s:s}", "app", "digits", "env", "test"));
    size_t i;
    json_t *a;
    json_array_foreach (sl_json_at(history, "attempts"), i, a) {
        bool worse = g_strcmp0(sl_json_str(a, "commit"), newest_commit(w)) == 0;
        if (worse && strcmp(sl_json_str_or(a, "state", ""), "SUCCEEDED") == 0) {
            fail(w, "gate: the worse model came through to test");
        }
        if (worse && strcmp(sl_json_str_or(a, "state", ""), "REJECTED") == 0) {
            return true;
        }
    }
    return false;
}

/* An attempt that ended FAILED because nobody answered in time is still what the unit is wanted to
 * run: it may come true later. */
static bool is_rolled_back(World *w)
{
    Worked *s = w->story_data;
    g_autoptr(json_t) u = unit(w, "prod");
    const json_t *target = json_array_get(sl_json_at(u, "targets"), 0);
    return s->remembered != NULL && g_strcmp0(sl_json_str(target, "bundle"), s->remembered) == 0 &&
           strcmp(sl_json_str_or(u, "health", ""), "Healthy") == 0;
}

static bool ask_rollback(World *w)
{
    if (is_rolled_back(w)) {
        return true;
    }
    return request_attempt(w, "rollback", "prod");
}

static bool follow_rollback(World *w)
{
    Worked *s = w->story_data;
    if (is_rolled_back(w)) {
        return true;
    }
    Outcome outcome = follow_attempt(w);
    if (outcome == FAILED) {
        s->step--;
    }
    if (outcome == DONE) {
        g_autofree char *now = prod_bundle(w);
        if (g_strcmp0(now, s->remembered) != 0) {
            fail(w, "rollback: prod is on bundle %.12s, not on %.12s", now, s->remembered);
        }
    }
    return outcome == DONE;
}

static bool all_healthy(World *w)
{
    static const char *const envs[] = {"dev", "test", "prod"};
    if (w->faults || w->now < w->healed_at + SIM_SETTLE_US) {
        return false;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(envs); i++) {
        g_autoptr(json_t) u = unit(w, envs[i]);
        if (strcmp(sl_json_str_or(u, "health", ""), "Healthy") != 0 ||
            json_is_object(sl_json_at(u, "active"))) {
            return false;
        }
    }
    return true;
}

static const struct {
    const char *name;
    bool (*done)(World *);
} STEPS[] = {
    {"push the first commit", push_first},
    {"dev trains and serves", wait_dev},
    {"test evaluates and serves", wait_test},
    {"alice asks for prod", ask_prod},
    {"prod serves", follow_prod},
    {"push a typo fix", push_typo},
    {"test runs it, nothing is trained", wait_test},
    {"alice signs a new root", rotate_root},
    {"push a change of the server", push_server},
    {"test serves it", wait_test},
    {"alice asks for prod again", ask_prod},
    {"prod serves it", follow_prod},
    {"push a worse model", push_worse},
    {"the gate of test says no", wait_rejected},
    {"alice rolls prod back", ask_rollback},
    {"prod serves the old bytes", follow_rollback},
    {"everything is Healthy", all_healthy},
};

static bool over(const World *w)
{
    return ((const Worked *)w->story_data)->step >= (int)G_N_ELEMENTS(STEPS);
}

static const char *stands(const World *w)
{
    return over(w) ? "over" : STEPS[((const Worked *)w->story_data)->step].name;
}

static void step(World *w)
{
    Worked *s = w->story_data;
    if (over(w) || w->coord == NULL) {
        return;
    }
    int before = s->step;
    if (STEPS[before].done(w)) {
        s->step = before + 1;
        ask_clear(&s->ask);
        say(w, "== %s: done ==", STEPS[before].name);
    } else if (s->step != before) {
        ask_clear(&s->ask);
    }
}

/* Train twice, evaluate once: a typo or a server's change trains nothing, and nobody tunes by himself.
 * Everybody walked to the new root. */
static void end(World *w)
{
    if (g_hash_table_size(w->run_starts) != 3) {
        fail(w, "once: %u runs were started in the whole story, not 3",
             g_hash_table_size(w->run_starts));
    }
    for (guint i = 0; i < w->agents->len; i++) {
        const Agent *a = agent_at(w, (int)i);
        g_autoptr(json_t) v = a->brain != NULL ? sl_agent_view(a->brain, agent_now(w, a)) : NULL;
        if (sl_json_int(v, "rootVersion", 0) != 2) {
            fail(w, "I5 converge: %s stands on an old root", a->cluster);
        }
    }
}

static void worked_free(void *data)
{
    Worked *s = data;
    ask_clear(&s->ask);
    g_free(s->remembered);
    g_free(s);
}

static void begin(World *w)
{
    w->story_data = g_new0(Worked, 1);
    w->story_free = worked_free;
}

const Story story_worked_example = {.name = "worked-example",
                                    .weight = 10,
                                    .begin = begin,
                                    .step = step,
                                    .over = over,
                                    .stands = stands,
                                    .end = end};
