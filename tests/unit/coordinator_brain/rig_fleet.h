/* rig_fleet.h - the fleet that the rig runs: documents, trees, root, agents that enrol, seals. */
#pragma once
#include "rig.h"

/* ---- the digits fleet ---- */

#define RIG_API "apiVersion: gitops.sluice/v1alpha1\n"
#define RIG_FLEET                                                                                  \
    RIG_API                                                                                        \
    "kind: Fleet\nmetadata: {name: demo}\n---\n" RIG_API                                           \
    "kind: Environment\nmetadata: {name: dev}\nspec: {promotion: newest}\n---\n" RIG_API           \
    "kind: Environment\nmetadata: {name: test}\nspec: {after: [dev], promotion: "                  \
    "newest}\n---\n" RIG_API "kind: Environment\nmetadata: {name: prod}\nspec: {after: "           \
    "[test], promotion: manual}\n---\n" RIG_API                                                    \
    "kind: Application\nmetadata: {name: digits}\nspec:\n  source: {path: digits}\n  items:\n"     \
    "    - {name: model, kind: model, from: {job: train, output: model}}\n  environments:\n"       \
    "    dev: {parts: [{paths: [train]}, {paths: [serve]}]}\n    test:\n      parts: "             \
    "[{paths: [serve]}]\n"                                                                         \
    "      gates: [{run: {job: train, in: dev, require: [\"final.accuracy >= 0.95\"], "            \
    "noBaseline: pass}}]\n"                                                                        \
    "    prod: {parts: [{paths: [serve]}]}\n"

static inline SlTree *rig_tree(const char *fleet, const char *train, const char *serve)
{
    SlTree *tree = sl_tree_memory_new();
    g_autofree char *job =
        g_strdup_printf(RIG_API "kind: TrainingJob\nmetadata: {name: train}\nspec:\n"
                                "  command: [python3, train.py]\n  args: [\"%s\"]\n  outputs: "
                                "[{name: model, path: model}]\n",
                        train);
    g_autofree char *server = g_strdup_printf(
        RIG_API
        "kind: ModelServer\nmetadata: {name: serve}\nspec:\n"
        "  command: [python3, serve.py]\n  args: [\"%s\"]\n  model: model://model\n  port: 18080\n"
        "  probe: {httpGet: {path: /healthz}}\n",
        serve);
    sl_tree_memory_put(tree, "sluice.yaml", fleet, SL_TREE_FILE);
    sl_tree_memory_put(tree, "digits/train/job.yaml", job, SL_TREE_FILE);
    sl_tree_memory_put(tree, "digits/serve/server.yaml", server, SL_TREE_FILE);
    return tree;
}

static inline char *rig_problems(const GPtrArray *problems)
{
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < problems->len; i++) {
        g_autofree char *line = sl_problem_format(g_ptr_array_index(problems, i));
        g_string_append_printf(text, "%s\n", line);
    }
    return g_string_free(text, FALSE);
}

static inline void rig_push_tree(Rig *rig, const char *name, SlTree *tree, bool rewound)
{
    g_autofree char *hash = sl_sha256_hex(name, strlen(name));
    char *commit = g_strndup(hash, 40);
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
    SlFleetDocs *docs = sl_fleet_read(tree, problems);
    g_autofree char *said = rig_problems(problems);
    if (g_test_initialized()) { /* benches have a rig too */
        g_test_message("%s", said);
    }
    g_autoptr(GPtrArray) offers = g_ptr_array_new_with_free_func((GDestroyNotify)sl_offer_free);
    for (guint i = 0; docs != NULL && i < docs->applications->len; i++) {
        g_ptr_array_add(offers,
                        sl_offer_make(docs, g_ptr_array_index(docs->applications, i), tree));
    }
    g_hash_table_replace(rig->trees, commit, tree);
    if (docs != NULL) {
        g_hash_table_replace(rig->docs_of, g_strdup(commit), docs);
    }
    g_autoptr(json_t) authors =
        rig->authors != NULL ? json_incref(rig->authors) : json_pack("[s]", "bob@x.test");
    SlCoordInput in = {.type = SL_COORD_SOURCE,
                       .source = {.repository = "",
                                  .branch = "main",
                                  .commit = commit,
                                  .position = ++rig->position,
                                  .time_us = rig->now_us,
                                  .author = "Bob <bob@x.test>",
                                  .subject = name,
                                  .authors = authors,
                                  .signers = rig->signers,
                                  .rewound = rewound,
                                  .docs = docs,
                                  .offers = offers,
                                  .problems = problems}};
    rig_step(rig, &in);
}

static inline void rig_push(Rig *rig, const char *name, const char *train, const char *serve)
{
    rig_push_tree(rig, name, rig_tree(RIG_FLEET, train, serve), false);
}

/* @roles: the root's role lines; NULL = solo. */
static inline SlSigned *rig_root(Rig *rig, SlProfile profile, bool second_person)
{
    static const char *const envs[] = {"dev", "test", "prod", NULL};
    g_autoptr(SlPublicKey) alice = rig_key(rig->alice), online = rig_key(rig->online);
    g_autoptr(GError) error = NULL;
    SlRootNew how = {.fleet = RIG_FLEET_ID,
                     .profile = profile,
                     .person = "alice",
                     .email = "alice@x.test",
                     .person_key = alice,
                     .online_key = online,
                     .envs = envs,
                     .now_us = rig->now_us};
    g_autoptr(SlRoot) root = sl_root_new(&how, &error);
    g_assert_no_error(error);
    g_autoptr(GBytes) text = sl_root_format(root, &error);
    g_assert_no_error(error);
    if (second_person) {
        g_autoptr(SlPublicKey) bob = rig_key(rig->bob);
        g_autofree char *old = g_strndup(g_bytes_get_data(text, NULL), g_bytes_get_size(text));
        g_autofree char *line =
            g_strdup_printf("person: alice alice@x.test\nperson: bob bob@x.test\n");
        g_auto(GStrv) a = g_strsplit(old, "person: alice alice@x.test\n", 2);
        g_autofree char *with = g_strconcat(a[0], line, a[1], NULL);
        g_autofree char *key = g_strdup_printf("key: alice %s\n", alice->line),
                        *keys =
                            g_strdup_printf("key: alice %s\nkey: bob %s\n", alice->line, bob->line);
        const char *at = strstr(with, "\nkey: alice ");
        g_assert_nonnull(at);
        at++;
        g_autofree char *front = g_strndup(with, (gsize)(at - with));
        g_autofree char *whole = g_strconcat(front, keys, at + strlen(key), NULL);
        g_auto(GStrv) p =
            g_strsplit(whole, "role: env=prod app=* act=promote threshold=1 alice", 2);
        g_assert_nonnull(p[1]);
        g_autofree char *final =
            g_strconcat(p[0], "role: env=prod app=* act=promote threshold=2 alice bob", p[1], NULL);
        g_bytes_unref(text);
        text = g_bytes_new(final, strlen(final));
    }
    SlSigned *s = sl_signed_new(text);
    sl_signed_sign(s, SL_STATEMENT_ROOT, rig->alice);
    return s;
}

static inline void agent_free(Agent *agent)
{
    g_free(agent->cluster);
    g_free(agent->env);
    g_free(agent->curve);
    g_free(agent->boot);
    g_free(agent->desired);
    g_free(agent->refused);
    g_hash_table_unref(agent->applied);
    sl_signed_free(agent->head);
    g_free(agent);
}

static inline Agent *rig_agent_new(Rig *rig, const char *cluster, const char *env, uint8_t number)
{
    Agent *agent = g_new0(Agent, 1);
    agent->cluster = g_strdup(cluster);
    agent->env = g_strdup(env);
    agent->boot = g_strdup("aaaabbbbccccddddaaaabbbbccccdddd");
    rig_seed(number, agent->secret);
    agent->curve = g_strdup_printf("%064x", number);
    agent->applied = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_hash_table_insert(rig->agents, agent->cluster, agent);
    return agent;
}

static inline Rig *rig_new_with(SlProfile profile, bool second_person)
{
    Rig *rig = g_new0(Rig, 1);
    g_assert_cmpint(sodium_init(), >=, 0);
    rig->now_us = INT64_C(1795608000) * SL_SECOND_US;
    rig->check = true;
    rig->ledger = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
    rig->blobs =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    rig->trees =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)sl_tree_memory_free);
    rig->docs_of =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)sl_fleet_docs_free);
    rig->tips = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    rig->effects = g_ptr_array_new_with_free_func((GDestroyNotify)sl_coord_effect_free);
    rig->agents = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)agent_free);
    rig_seed(1, rig->alice);
    rig_seed(2, rig->bob);
    rig_seed(3, rig->online);
    memset(rig->random, 0x5a, sizeof rig->random);
    rig->coord = rig_new_coord(rig);
    g_autoptr(GError) error = NULL;
    g_autoptr(SlSigned) root = rig_root(rig, profile, second_person);
    json_t *first = sl_coord_genesis(root, "demo", rig->now_us, &error);
    g_assert_no_error(error);
    g_assert_true(sl_coord_fold(rig->coord, first, &error));
    g_ptr_array_add(rig->ledger, first);
    rig_start(rig);
    return rig;
}

static inline void rig_free(Rig *rig)
{
    sl_coord_free(rig->coord);
    g_ptr_array_unref(rig->ledger);
    g_ptr_array_unref(rig->effects);
    g_hash_table_unref(rig->blobs);
    g_hash_table_unref(rig->trees);
    g_hash_table_unref(rig->docs_of);
    g_hash_table_unref(rig->tips);
    g_hash_table_unref(rig->agents);
    json_decref(rig->reply);
    json_decref(rig->enrol);
    g_free(rig);
}

/* cluster-add and ENROL; @ret_token (nullable) is the "join" of the answer. */
static inline void rig_enrol_with(Rig *rig, Agent *agent, json_t *join)
{
    uint8_t secret[32], proof[32];
    g_assert_true(sl_unhex(sl_json_str(join, "secret"), secret, sizeof secret));
    g_autoptr(SlPublicKey) sign = rig_key(agent->secret);
    SlStatementWriter *writer = sl_statement_writer_new(SL_STATEMENT_ENROL);
    sl_statement_add(writer, "fleet", sl_json_str(join, "fleet"));
    sl_statement_add(writer, "environment", sl_json_str(join, "env"));
    sl_statement_add(writer, "cluster", sl_json_str(join, "name"));
    sl_statement_add(writer, "sign", sign->line);
    sl_statement_add(writer, "curve", agent->curve);
    sl_statement_add(writer, "engine", "process");
    sl_statement_add(writer, "labels", "zone=a");
    sl_statement_add(writer, "token", sl_json_str(join, "id"));
    sl_statement_add(writer, "root", sl_json_str(join, "root"));
    sl_statement_add_time(writer, "time", rig->now_us);
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) text = sl_statement_finish(writer, &error);
    g_assert_no_error(error);
    g_autoptr(SlSigned) s = sl_signed_new(text);
    sl_signed_sign(s, SL_STATEMENT_ENROL, agent->secret);
    crypto_auth_hmacsha256(proof, g_bytes_get_data(text, NULL), g_bytes_get_size(text), secret);
    SlCoordInput in = {.type = SL_COORD_ENROL,
                       .enrol = {.request_id = "e",
                                 .statement = s,
                                 .token_id = sl_json_str(join, "id"),
                                 .proof = proof}};
    rig_step(rig, &in);
}

static inline json_t *rig_join(Rig *rig, const char *cluster, const char *env)
{
    json_t *reply =
        rig_ask(rig, "cluster-add", json_pack("{s:s,s:s}", "name", cluster, "env", env));
    json_t *join = json_object_get(reply, "join");
    g_assert_nonnull(join);
    return json_incref(join);
}

static inline void rig_sign_registry(Rig *rig, const char *env)
{
    g_autoptr(json_t) draft =
        json_incref(rig_ask(rig, "registry-draft", json_pack("{s:s}", "env", env)));
    const char *text = sl_json_str(draft, "text");
    g_assert_nonnull(text);
    g_autofree char *sig = sl_sshsig_sign(rig->alice, text, strlen(text),
                                          sl_statement_namespace(SL_STATEMENT_REGISTRY));
    rig_ask(rig, "registry", json_pack("{s:s,s:s}", "text", text, "signature", sig));
    g_assert_null(json_object_get(rig->reply, "error"));
}

static inline void rig_enrol_all(Rig *rig)
{
    static const char *const clusters[] = {"dev1", "test1", "prod1"}, *const envs[] = {
                                                                          "dev", "test", "prod"};
    for (uint8_t i = 0; i < 3; i++) {
        Agent *agent = rig_agent_new(rig, clusters[i], envs[i], (uint8_t)(10 + i));
        g_autoptr(json_t) join = rig_join(rig, clusters[i], envs[i]);
        rig_enrol_with(rig, agent, join);
        if (strcmp(sl_json_str(rig->enrol, "state"), "pending") == 0) {
            rig_sign_registry(rig, envs[i]);
            rig_enrol_with(rig, agent, join);
        }
        g_assert_cmpstr(sl_json_str(rig->enrol, "state"), ==, "accepted");
        agent->root = 1;
        agent_hello(rig, clusters[i]);
    }
}

static inline Rig *rig_new(void)
{
    Rig *rig = rig_new_with(SL_PROFILE_SOLO, false);
    rig_enrol_all(rig);
    return rig;
}

/* The run of a job that goes on in a unit; NULL. (transfer full) */
static inline json_t *rig_run(Rig *rig, const char *env, const char *job)
{
    g_autoptr(json_t) view =
        rig_view(rig, "runs", json_pack("{s:s,s:s}", "env", env, "active", "1"));
    size_t i;
    json_t *run;
    json_array_foreach (json_object_get(view, "runs"), i, run) {
        if (strcmp(sl_json_str(run, "job"), job) == 0) {
            return json_incref(run);
        }
    }
    return NULL;
}

static inline SlSigned *rig_seal_text(Rig *rig, const json_t *run, const char *model,
                                      const char *metric)
{
    Agent *agent = rig_agent(rig, sl_json_str(run, "cluster"));
    g_autoptr(json_t) status = rig_view(rig, "status", NULL);
    g_autoptr(GPtrArray) inputs = g_ptr_array_new();
    g_autoptr(GPtrArray) outputs = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) metrics = g_ptr_array_new_with_free_func(g_free);
    char zeros[65];
    memset(zeros, '0', 64);
    zeros[64] = '\0';
    if (model != NULL) {
        g_autofree char *digest = sl_sha256_hex(model, strlen(model));
        g_ptr_array_add(outputs, g_strdup_printf("model sha256:%s 100", digest));
        g_ptr_array_add(metrics, g_strdup_printf("final.accuracy %s", metric));
    }
    SlSeal seal = {
        .fleet = (char *)(uintptr_t)sl_json_str(status, "fleetId"),
        .env = agent->env,
        .cluster = agent->cluster,
        .app = (char *)(uintptr_t)sl_json_str(run, "app"),
        .job = (char *)(uintptr_t)sl_json_str(run, "job"),
        .run_id = (char *)(uintptr_t)sl_json_str(run, "id"),
        .run_key = (char *)(uintptr_t)sl_json_str(run, "key"),
        .generation = (uint64_t)sl_json_int(run, "generation", 0),
        .promotion = zeros,
        .bundle = zeros,
        .release = zeros,
        .phase = model != NULL ? SL_RUN_SUCCEEDED : SL_RUN_FAILED,
        .reason = model != NULL ? "Completed" : "NonZeroExit",
        .exit = model != NULL ? "0" : "1",
        .attempts = 1,
        .started_us = rig->now_us - SL_SECOND_US,
        .finished_us = rig->now_us,
        .inputs = inputs,
        .outputs = outputs,
        .metrics = metrics,
    };
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) text = sl_seal_format(&seal, &error);
    g_assert_no_error(error);
    SlSigned *s = sl_signed_new(text);
    sl_signed_sign(s, SL_STATEMENT_SEAL, agent->secret);
    return s;
}

/* @model NULL: the run fails. */
static inline void rig_seal(Rig *rig, const char *env, const char *job, const char *model,
                            const char *metric)
{
    g_autoptr(json_t) run = rig_run(rig, env, job);
    g_assert_nonnull(run);
    Agent *agent = rig_agent(rig, sl_json_str(run, "cluster"));
    g_autoptr(SlSigned) s = rig_seal_text(rig, run, model, metric);
    SlCoordInput in = {.type = SL_COORD_SEAL, .statement = {.curve = agent->curve, .statement = s}};
    rig_step(rig, &in);
}

/* "FleetCreated Lease ..." of the events after @from. (transfer full) */
static inline char *rig_types(Rig *rig, guint from)
{
    GString *text = g_string_new(NULL);
    for (guint i = from; i < rig->ledger->len; i++) {
        const json_t *event = g_ptr_array_index(rig->ledger, i);
        g_string_append_printf(text, "%s%s", text->len > 0 ? " " : "", sl_json_str(event, "type"));
        g_test_message("%s %s", sl_json_str(event, "type"),
                       sl_json_str_or(event, "error.message", ""));
    }
    return g_string_free(text, FALSE);
}

static inline json_t *rig_unit(Rig *rig, const char *env)
{
    g_autoptr(json_t) status = rig_view(rig, "status", json_pack("{s:s}", "env", env));
    return json_incref(json_array_get(json_object_get(status, "units"), 0));
}
