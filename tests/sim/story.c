/* story.c - what people do: the worked example, step by step, on requests that may be lost and
 * repeated. */
#include "sim.h"

#define SETTLE_US                                                                                  \
    (2 * SL_MINUTE_US) /* after the last fault: everybody is back and has said what runs */

static const char FLEET[] =
    "apiVersion: gitops.sluice/v1alpha1\nkind: Fleet\nmetadata: {name: sim}\n---\n"
    "apiVersion: gitops.sluice/v1alpha1\nkind: Environment\nmetadata: {name: dev}\nspec: "
    "{promotion: newest}\n---\n"
    "apiVersion: gitops.sluice/v1alpha1\nkind: Environment\nmetadata: {name: test}\nspec: {after: "
    "[dev], promotion: newest}\n---\n"
    "apiVersion: gitops.sluice/v1alpha1\nkind: Environment\nmetadata: {name: prod}\nspec: {after: "
    "[test], promotion: manual}\n---\n"
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

static void push(World *w, const char *subject, const char *readme, const char *server,
                 const char *accuracy)
{
    Commit *c = g_new0(Commit, 1);
    c->tree = sl_tree_memory_new();
    sl_tree_memory_put(c->tree, "sluice.yaml", FLEET, SL_TREE_FILE);
    sl_tree_memory_put(c->tree, "digits/train/README.md", readme, SL_TREE_FILE);
    g_autofree char *train = g_strdup_printf("  command: [/bin/train]\n  args: [\"accuracy=%s\"]\n "
                                             " outputs: [{name: model, path: model}]\n",
                                             accuracy);
    g_autofree char *serve = g_strdup_printf(
        "  command: [/bin/serve]\n  args: [%s]\n  model: model://model\n  port: 8501\n", server);
    put(c->tree, "digits/train/train.yaml", "TrainingJob", "train", train);
    put(c->tree, "digits/serve/serve.yaml", "ModelServer", "serve", serve);
    put(c->tree, "digits/evaluate/evaluate.yaml", "TrainingJob", "evaluate",
        "  command: [/bin/evaluate]\n  args: [\"accuracy=0.96\"]\n  inputs: [{name: model, model: "
        "\"model://model\"}]\n  waitFor: finished\n");
    g_autofree char *seed = g_strdup_printf("commit %u %s", w->commits->len + 1, subject);
    c->id = sl_sha256_hex(seed, strlen(seed));
    c->id[40] = '\0';
    c->position = w->commits->len + 1;
    c->subject = g_strdup(subject);
    c->time_us = w->now;
    g_ptr_array_add(w->commits, c);
    say(w, "push %.8s: %s", c->id, subject);
}

/* ---- set-up: root, coordinator, three agents that join ---- */

static void make_key(uint8_t secret[64], SlPublicKey **ret_key, uint8_t c)
{
    uint8_t seed[32], pk[32];
    memset(seed, c, sizeof(seed));
    (void)crypto_sign_ed25519_seed_keypair(pk, secret, seed);
    *ret_key = sl_public_key_from_ed25519(pk);
}

static void make_root(World *w)
{
    static const char *const envs[] = {"dev", "test", "prod", NULL};
    static const char fleet[] = "f1ee70000000000000000000000000000000000000000000000000000000000f";
    SlRootNew how = {.fleet = fleet,
                     .profile = SL_PROFILE_SOLO,
                     .person = "alice",
                     .email = "alice@x.test",
                     .person_key = w->alice_key,
                     .online_key = w->online_key,
                     .envs = envs,
                     .now_us = w->now};
    g_autoptr(GError) error = NULL;
    w->root = sl_root_new(&how, &error);
    g_assert_no_error(error);
    g_autoptr(GBytes) text = sl_root_format(w->root, &error);
    g_assert_no_error(error);
    w->root_text = sl_signed_new(text);
    sl_signed_sign(w->root_text, SL_STATEMENT_ROOT, w->alice);
    w->root_digest = sl_signed_digest(w->root_text);
    json_t *genesis = sl_coord_genesis(w->root_text, "sim", w->now, &error);
    g_assert_no_error(error);
    g_ptr_array_add(w->ledger, genesis);
}

static json_t *ask(World *w, const char *verb, json_t *args)
{
    g_autofree char *id = coord_request(w, verb, args);
    json_t *reply = g_hash_table_lookup(w->replies, id);
    if (reply == NULL || sl_json_int(reply, "status", 0) >= 300) {
        g_autofree char *text =
            reply != NULL ? sl_json_canonical(reply, NULL) : g_strdup("no answer");
        fail(w, "set-up: %s: %s", verb, text);
        return NULL;
    }
    return sl_json_at(reply, "body");
}

static SlSigned *enrol_request(World *w, const Agent *a, const json_t *join)
{
    SlStatementWriter *writer = sl_statement_writer_new(SL_STATEMENT_ENROL);
    sl_statement_add(writer, "fleet", w->root->fleet);
    sl_statement_add(writer, "environment", a->env);
    sl_statement_add(writer, "cluster", a->cluster);
    sl_statement_add(writer, "sign", a->key->line);
    sl_statement_add(writer, "curve", a->curve);
    sl_statement_add(writer, "engine", "fake");
    sl_statement_add(writer, "labels", "-");
    sl_statement_add(writer, "token", sl_json_str(join, "id"));
    sl_statement_add(writer, "root", w->root_digest);
    sl_statement_add_time(writer, "time", w->now);
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) text = sl_statement_finish(writer, &error);
    g_assert_no_error(error);
    SlSigned *s = sl_signed_new(text);
    sl_signed_sign(s, SL_STATEMENT_ENROL, a->secret);
    return s;
}

static json_t *enrol(World *w, const Agent *a, const json_t *join)
{
    uint8_t secret[32], proof[32];
    g_autoptr(SlSigned) s = enrol_request(w, a, join);
    gsize len = 0;
    const uint8_t *text = g_bytes_get_data(s->text, &len);
    if (!sl_unhex(sl_json_str(join, "secret"), secret, sizeof(secret))) {
        fail(w, "set-up: no join secret");
        return NULL;
    }
    crypto_auth_hmacsha256(proof, text, len, secret);
    g_autofree char *id = g_strdup_printf("e%" G_GUINT64_FORMAT, ++w->requests);
    SlCoordInput in = {
        .type = SL_COORD_ENROL,
        .enrol = {
            .request_id = id, .statement = s, .token_id = sl_json_str(join, "id"), .proof = proof}};
    coord_step(w, &in);
    json_t *reply = g_hash_table_lookup(w->replies, id);
    return reply;
}

static void sign_registry(World *w, const char *env)
{
    json_t *draft = ask(w, "registry-draft", json_pack("{s:s}", "env", env));
    const char *text = draft != NULL ? sl_json_str(draft, "text") : NULL;
    if (text == NULL) {
        return;
    }
    g_autofree char *sig =
        sl_sshsig_sign(w->alice, text, strlen(text), sl_statement_namespace(SL_STATEMENT_REGISTRY));
    (void)ask(w, "registry", json_pack("{s:s,s:s}", "text", text, "signature", sig));
}

static GPtrArray *signed_list(const json_t *array)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)sl_signed_free);
    size_t i;
    json_t *item;
    json_array_foreach(array, i, item)
    {
        g_ptr_array_add(list, sl_signed_from_json(item, NULL));
    }
    return list;
}

static void join_agent(World *w, Agent *a)
{
    json_t *body = ask(w, "cluster-add", json_pack("{s:s,s:s}", "name", a->cluster, "env", a->env));
    g_autoptr(json_t) join = body != NULL ? json_deep_copy(sl_json_at(body, "join")) : NULL;
    json_t *reply = join != NULL ? enrol(w, a, join) : NULL;
    if (reply != NULL && strcmp(sl_json_str_or(reply, "body.state", ""), "pending") == 0) {
        sign_registry(w, a->env);
        reply = enrol(w, a, join);
    }
    if (reply == NULL || strcmp(sl_json_str_or(reply, "body.state", ""), "accepted") != 0) {
        g_autofree char *text =
            reply != NULL ? sl_json_canonical(reply, NULL) : g_strdup("no answer");
        fail(w, "set-up: %s does not join: %s", a->cluster, text);
        return;
    }
    g_autoptr(GPtrArray) roots = signed_list(sl_json_at(reply, "roots")),
                         registries = signed_list(sl_json_at(reply, "registries"));
    g_autoptr(GError) error = NULL;
    a->slots[0] = sl_agent_first_slot(a->cluster, a->env, roots,
                                      registries->len > 0 ? registries->pdata[0] : NULL,
                                      w->root_digest, &error);
    if (a->slots[0] == NULL) {
        fail(w, "set-up: %s: %s", a->cluster, error->message);
    }
}

void story_setup(World *w)
{
    static const char *const envs[SIM_AGENTS] = {"dev", "test", "prod"};
    make_key(w->alice, &w->alice_key, 'a');
    make_key(w->online, &w->online_key, 'o');
    make_root(w);
    coord_start(w);
    for (int i = 0; i < SIM_AGENTS && w->failure == NULL; i++) {
        Agent *a = &w->agents[i];
        a->index = i;
        a->env = envs[i];
        (void)g_snprintf(a->cluster, sizeof(a->cluster), "%s1", envs[i]);
        make_key(a->secret, &a->key, (uint8_t)('1' + i));
        g_autofree char *curve = g_strnfill(64, (char)('1' + i));
        (void)g_strlcpy(a->curve, curve, sizeof(a->curve));
        a->blobs =
            g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
        a->objects = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                           (GDestroyNotify)engine_object_free);
        a->runs =
            g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)engine_run_free);
        a->max_seq = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        a->sealed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        EngineObject *foreign = g_new0(EngineObject, 1);
        foreign->digest = g_strdup(w->root_digest);
        g_hash_table_insert(a->objects, g_strdup("core/ConfigMap - foreign"), foreign);
        join_agent(w, a);
        if (w->failure == NULL) {
            agent_start(w, a);
        }
    }
}

/* ---- looking at the fleet ---- */

static json_t *view(World *w, const char *what, json_t *args)
{
    g_autoptr(json_t) owned = args;
    return w->coord != NULL ? sl_coord_view(w->coord, what, args, coord_now(w), NULL) : NULL;
}

static json_t *unit(World *w, const char *env)
{
    g_autoptr(json_t) status = view(w, "status", json_pack("{s:s}", "env", env));
    size_t i;
    json_t *u;
    json_array_foreach(sl_json_at(status, "units"), i, u)
    {
        if (strcmp(sl_json_str_or(u, "env", ""), env) == 0) {
            return json_incref(u);
        }
    }
    return NULL;
}

static const char *newest_commit(const World *w)
{
    return ((const Commit *)w->commits->pdata[w->commits->len - 1])->id;
}

/* ---- asking, again and again until there is an answer ---- */

/* NULL: no answer yet. The body of the answer (borrowed), with *ret_status. */
static json_t *ask_until(World *w, const char *verb, json_t *args, int64_t *ret_status)
{
    g_autoptr(json_t) owned = args;
    json_t *reply = w->request != NULL ? g_hash_table_lookup(w->replies, w->request) : NULL;
    if (reply != NULL) {
        *ret_status = sl_json_int(reply, "status", 0);
        g_clear_pointer(&w->request, g_free);
        return sl_json_at(reply, "body");
    }
    if (w->request == NULL || w->now - w->request_at > 10 * SL_SECOND_US) {
        g_free(w->request);
        w->request = coord_request(w, verb, json_incref(args));
        w->request_at = w->now;
    }
    return NULL;
}

static void acknowledge(World *w, const char *verb, uint64_t attempt)
{
    json_t *ack = json_object();
    sl_json_set_str(ack, "verb", verb);
    sl_json_set_int(ack, "attempt", (int64_t)attempt);
    g_ptr_array_add(w->acknowledged, ack);
}

static bool request_attempt(World *w, const char *verb, const char *env)
{
    int64_t status = 0;
    json_t *body = ask_until(
        w, verb, json_pack("{s:s,s:s,s:s}", "app", "digits", "env", env, "reason", "story"),
        &status);
    if (body == NULL) {
        return false;
    }
    if (status >= 300) {
        say(w, "%s %s: %s", verb, env, sl_json_str_or(body, "error.message", "?"));
        return false;
    }
    w->attempt = (uint64_t)sl_json_int(body, "attempt", 0);
    acknowledge(w, verb, w->attempt);
    return true;
}

static json_t *attempt_view(World *w)
{
    g_autofree char *n = g_strdup_printf("%" G_GUINT64_FORMAT, w->attempt);
    return view(w, "attempt", json_pack("{s:s,s:I}", "n", n, "attempt", (json_int_t)w->attempt));
}

static void approve(World *w, const json_t *attempt)
{
    const char *text = sl_json_str(attempt, "statement.text");
    if (text == NULL || sl_json_int(attempt, "approvals.count", 0) > 0) {
        return;
    }
    g_autofree char *sig = sl_sshsig_sign(w->alice, text, strlen(text),
                                          sl_statement_namespace(SL_STATEMENT_PROMOTION));
    int64_t status = 0;
    json_t *body = ask_until(
        w, "approve", json_pack("{s:I,s:s}", "attempt", (json_int_t)w->attempt, "signature", sig),
        &status);
    if (body != NULL && status < 300) {
        acknowledge(w, "approve", w->attempt);
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
    if (strcmp(state, "SUCCEEDED") == 0) {
        return DONE;
    }
    return g_strv_contains(bad, state) ? FAILED : GOING;
}

/* ---- the steps; each says true when the next one may begin ---- */

static bool push_first(World *w)
{
    push(w, "first", "digits\n", "v1", "0.97");
    return true;
}

/* The newest commit is what @env runs, complete and Healthy. An attempt that failed under faults is
 * asked for again. */
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
        return true;
    }
    bool gave_up =
        strcmp(last, "FAILED") == 0 || strcmp(last, "ERRORED") == 0 || strcmp(last, "EXPIRED") == 0;
    if (u != NULL && idle && gave_up) {
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
    Outcome outcome = follow_attempt(w);
    if (outcome == FAILED) {
        w->step--; /* ask again */
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
    w->remembered = prod_bundle(w);
    push(w, "typo", "digits, really\n", "v1", "0.97");
    return true;
}

/* A new root, signed by its key: every agent walks to it, and says so by accepting heads that stand
 * on it. */
static bool rotate_root(World *w)
{
    if (w->root->version == 1) {
        w->root->version = 2;
        w->root->expires_us += SL_DAY_US;
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) text = sl_root_format(w->root, &error);
    g_assert_no_error(error);
    g_autoptr(SlSigned) s = sl_signed_new(text);
    sl_signed_sign(s, SL_STATEMENT_ROOT, w->alice);
    g_autoptr(json_t) args = sl_signed_to_json(s);
    int64_t status = 0;
    json_t *body = ask_until(w, "root", json_incref(args), &status);
    g_autoptr(json_t) fleet = w->coord != NULL ? view(w, "status", NULL) : NULL;
    if (body != NULL && status >= 300) {
        say(w, "root: %s", sl_json_str_or(body, "error.message", "?"));
    }
    return sl_json_int(fleet, "rootVersion", 0) == 2;
}

static bool push_server(World *w)
{
    push(w, "server", "digits, really\n", "v2", "0.97");
    return true;
}

static bool push_worse(World *w)
{
    push(w, "worse", "digits, really\n", "v2", "0.62");
    return true;
}

static bool wait_rejected(World *w)
{
    (void)runs_newest(w, "dev");
    g_autoptr(json_t) history =
        view(w, "history", json_pack("{s:s,s:s}", "app", "digits", "env", "test"));
    size_t i;
    json_t *a;
    json_array_foreach(sl_json_at(history, "attempts"), i, a)
    {
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
    g_autoptr(json_t) u = unit(w, "prod");
    const json_t *target = json_array_get(sl_json_at(u, "targets"), 0);
    return w->remembered != NULL && g_strcmp0(sl_json_str(target, "bundle"), w->remembered) == 0 &&
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
    if (is_rolled_back(w)) {
        return true;
    }
    Outcome outcome = follow_attempt(w);
    if (outcome == FAILED) {
        w->step--;
    }
    if (outcome == DONE) {
        g_autofree char *now = prod_bundle(w);
        if (g_strcmp0(now, w->remembered) != 0) {
            fail(w, "rollback: prod is on bundle %.12s, not on %.12s", now, w->remembered);
        }
    }
    return outcome == DONE;
}

static bool all_healthy(World *w)
{
    static const char *const envs[] = {"dev", "test", "prod"};
    if (w->faults || w->now < w->healed_at + SETTLE_US) {
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

bool story_over(const World *w)
{
    return w->step >= (int)G_N_ELEMENTS(STEPS);
}

const char *story_name(const World *w)
{
    return story_over(w) ? "over" : STEPS[w->step].name;
}

void story_step(World *w)
{
    if (story_over(w) || w->coord == NULL) {
        return;
    }
    int before = w->step;
    if (STEPS[before].done(w)) {
        w->step = before + 1;
        g_clear_pointer(&w->request, g_free);
        say(w, "== %s: done ==", STEPS[before].name);
    } else if (w->step != before) {
        g_clear_pointer(&w->request, g_free);
    }
}
