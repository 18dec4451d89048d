/* Fleet documents: defaults, graph, origins, and every mistake with its line and hint. */
#include "help.h"

#define API "apiVersion: gitops.sluice/v1alpha1\n"
#define FLEET API "kind: Fleet\nmetadata: {name: demo}\n"
#define ENV(name, rest) "---\n" API "kind: Environment\nmetadata: {name: " name "}\nspec:\n  promotion: newest\n" rest
#define ENVS FLEET ENV("dev", "") ENV("test", "  after: [dev]\n") ENV("prod", "  after: {all: [test]}\n")
#define APP "---\n" API "kind: Application\nmetadata: {name: digits}\n"
#define JOB API "kind: TrainingJob\nmetadata: {name: train}\nspec:\n  command: [python3, train.py]\n  outputs: [{name: model}]\n"
#define SERVE API "kind: ModelServer\nmetadata: {name: serve}\nspec:\n  command: [python3, serve.py]\n  model: model://model\n  port: 8080\n"

static SlFleetDocs *read_with(const char *fleet, GPtrArray *problems, const char *const *files)
{
    SlTree *tree = sl_tree_memory_new();
    put(tree, "sluice.yaml", fleet);
    for (size_t i = 0; files && files[i]; i += 2)
        put(tree, files[i], files[i + 1]);
    SlFleetDocs *docs = sl_fleet_read(tree, problems);
    if (docs)
        sl_fleet_check_tree(docs, tree, problems);
    sl_tree_memory_free(tree);
    return docs;
}

static const char *const digits_files[] = {"digits/train/job.yaml", JOB, "digits/serve/server.yaml", SERVE, NULL};
#define DIGITS APP "spec:\n  source: {path: digits}\n  items:\n    - {name: model, from: {job: train, output: model}}\n" \
    "  environments:\n    dev: {parts: [{paths: [train]}, {paths: [serve]}]}\n    prod: {parts: [{paths: [serve]}]}\n"

static void test_good(void)
{
    g_autoptr(GPtrArray) problems = problems_new();
    g_autoptr(SlFleetDocs) docs = read_with(ENVS DIGITS, problems, digits_files);
    assert_quiet(problems);
    g_assert_nonnull(docs);
    g_assert_cmpint(docs->auto_start_gpus, ==, 8);
    g_assert_cmpint(docs->protect_after_us, ==, INT64_C(3600000000));
    g_assert_cmpuint(docs->environments->len, ==, 3);
    const SlEnvironmentDoc *prod = sl_fleet_env(docs, "prod");
    g_assert_cmpstr(prod->on_external_change, ==, "halt");
    g_assert_cmpint(prod->health_timeout_us, ==, INT64_C(600000000));
    g_assert_cmpint(prod->after.need, ==, 1);
    const SlApplicationDoc *app = sl_fleet_app(docs, "digits");
    const SlItemDoc *item = g_ptr_array_index(app->items, 0);
    g_assert_cmpstr(item->origin, ==, "dev");
    g_assert_cmpstr(sl_json_str(json_array_get(sl_json_at(app->doc, "spec.items"), 0), "from.environment"), ==, "dev");
    g_autoptr(json_t) json = sl_fleet_to_json(docs);
    g_autoptr(GError) error = NULL;
    g_autoptr(SlFleetDocs) back = sl_fleet_from_json(json, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(sl_fleet_app(back, "digits")->digest, ==, app->digest);
    g_assert_cmpstr(sl_fleet_env(back, "prod")->digest, ==, prod->digest);
    g_assert_cmpstr(back->fleet_digest, ==, docs->fleet_digest);
}

static void said(const char *fleet, bool kept, const char *what)
{
    g_autoptr(GPtrArray) problems = problems_new();
    g_autoptr(SlFleetDocs) docs = read_with(fleet, problems, digits_files);
    assert_said(problems, what);
    g_assert_true(sl_problems_have_errors(problems));
    g_assert_cmpint(docs != NULL, ==, kept);
}

static void test_fleet_and_kinds(void)
{
    said(ENV("dev", ""), false, "SLU1220: there is no Fleet document");
    said("kind: Fleet\nmetadata: {name: demo}\n", false, "`apiVersion` is missing (write apiVersion: gitops.sluice/v1alpha1)");
    said(FLEET "---\n" API "kind: Enviroment\nmetadata: {name: dev}\n", false, "there is no kind `Enviroment` (did you mean `Environment`?)");
    said(FLEET "---\napiVersion: argoproj.io/v1alpha1\nkind: Rollout\n", false, "this is a document of Argo CD");
    said(FLEET "---\n" API "metadata: {name: x}\n", false, "`kind` is missing");
    said(FLEET "spec:\n  modelStore: {s3: bucket}\n", false, "is not supported by this version");
    said(FLEET "spec:\n  limits: {autoStartGPUs: many}\n", false, "spec.limits.autoStartGPUs: must be a whole number, not text");
    said(FLEET "---\n- a\n", false, "a document must be a map");
    said(FLEET "---\n" API "kind: Repository\nmetadata: {name: r}\nspec: {url: \"https://me:pw@x.test/r\"}\n", true, "must not hold a user or a password");
    said(FLEET "---\n" API "kind: Repository\nmetadata: {name: r}\nspec: {url: \"file:///x\"}\n", true, "must be an absolute path");
}

static void test_environments(void)
{
    said(FLEET ENV("dev", "  after: [prod]\n") ENV("prod", "  after: [dev]\n"), false,
         "SLU1227: Environment dev: spec.after: environments form a circle: dev -> prod -> dev");
    said(FLEET ENV("dev", "") ENV("prod", "  after: [devv]\n"), false, "there is no environment `devv` (did you mean `dev`?)");
    said(FLEET ENV("dev", "") ENV("dev", ""), false, "SLU1225: Environment dev: metadata.name: is there twice, first in sluice.yaml:7");
    said(FLEET ENV("dev", "  requestedFreight: []\n"), false, "Kargo's requestedFreight is `after`");
    said(FLEET ENV("dev", "  healthTimeout: 10\n"), false, "spec.healthTimeout: must be text, not a whole number (put it in quotes)");
    said(FLEET ENV("dev", "  healthTimeout: 10x\n"), false, "`10x` is not a duration (write it like 90s, 15m, 24h or 7d)");
    said(FLEET ENV("dev", "  onExternalChange: revrt\n"), false, "must be adopt, revert or halt (did you mean `revert`?)");
    said(FLEET ENV("dev", "  gates: [{soak: {for: 1h}}]\n"), false, "there is no gate `soak` (this gate is not there yet in this version)");
    said(FLEET ENV("dev", "  gates: [{runn: {}}]\n"), false, "there is no gate `runn` (known: run or approval)");
    said(FLEET ENV("dev", "  gates: [{run: {job: train, in: nowhere, require: [\"a >= 1\"]}}]\n"), false, "there is no environment `nowhere`");
    said(FLEET ENV("dev", "  gates: [{run: {job: train, in: dev, require: [\"a >=\"]}}]\n"), false, "SLU1229");
    said(FLEET ENV("dev", "") ENV("eu", "") ENV("prod", "  after: {atLeast: 3, of: [dev, eu]}\n"), false, "atLeast must be from 1 to 2");
    said(FLEET ENV("dev", "  after: 7\n"), false, "write [dev], {all: [a, b]}, {any: [a, b]}");
    said("apiVersion: gitops.sluice/v1alpha1\nkind: Fleet\nmetadata: {name: no}\n", false, "SLU1203: `no` is a boolean");
}

static void test_after_forms(void)
{
    static const struct { const char *after; int need; } forms[] = {
        {"b", 1}, {"[a, b]", 2}, {"{any: [a, b]}", 1}, {"{all: [a, b]}", 2}, {"{atLeast: 2, of: [a, b, c]}", 2}};
    for (size_t i = 0; i < G_N_ELEMENTS(forms); i++) {
        g_autofree char *text = g_strdup_printf("%s%s  after: %s\n%s%s%s", FLEET, ENV("prod", ""), forms[i].after, ENV("a", ""), ENV("b", ""), ENV("c", ""));
        g_autoptr(GPtrArray) problems = problems_new();
        g_autoptr(SlFleetDocs) docs = read_with(text, problems, NULL);
        assert_quiet(problems);
        g_assert_cmpint(sl_fleet_env(docs, "prod")->after.need, ==, forms[i].need);
        const SlEnvironmentDoc *last = g_ptr_array_index(docs->environments, 3);
        g_assert_true(i == 0 || g_str_equal(last->name, "prod") || forms[i].need <= 2);
        g_autoptr(json_t) json = sl_fleet_to_json(docs);
        g_autoptr(SlFleetDocs) back = sl_fleet_from_json(json, NULL);
        g_assert_nonnull(back);
        g_assert_cmpstr(sl_fleet_env(back, "prod")->digest, ==, sl_fleet_env(docs, "prod")->digest);
    }
}

static void test_applications(void)
{
    said(ENVS APP "spec:\n  source: {path: digits, targetRevision: main}\n  environments: {dev: {parts: [{paths: [train]}]}}\n", true,
         "sluice.yaml:29:26: SLU1222: Application digits: spec.source.targetRevision: unknown key `targetRevision` (Argo CD's targetRevision is `revision` here)");
    said(ENVS APP "spec:\n  syncPolicy: {}\n  destination: {}\n  environmnts: {}\n", true, "did you mean `environments`?");
    said(ENVS APP "spec:\n  syncPolicy: {}\n  environments: {}\n", true, "there is no syncPolicy");
    said(ENVS APP "spec: {environments: {stagng: {parts: [{paths: [a]}]}}}\n", true, "there is no environment `stagng`");
    said(ENVS APP "spec: {environments: {dev: {}}}\n", true, "spec.environments.dev: `parts` is missing");
    said(ENVS APP "spec: {environments: {dev: {parts: [{paths: [../x]}]}}}\n", true, "`../x` is not a path of the tree");
    said(ENVS APP "spec: {source: {repository: other}, environments: {dev: {parts: [{paths: [x]}]}}}\n", true, "there is no Repository `other`");
    said(ENVS DIGITS DIGITS, true, "Application digits: metadata.name: is there twice");
    said(ENVS APP "spec: {items: [{name: m, from: {}}], environments: {dev: {parts: [{paths: [x]}]}}}\n", true, "needs a job or a digest");
    said(ENVS APP "spec: {items: [{name: m, from: {digest: abc}}], environments: {dev: {parts: [{paths: [x]}]}}}\n", true, "`abc` is not a digest");
    said(ENVS APP "spec: {source: {path: digits}, items: [{name: m, from: {job: train, output: modell}}], environments: {dev: {parts: [{paths: [train]}]}}}\n", true,
         "TrainingJob `train` has no output `modell`");
    said(ENVS APP "spec: {source: {path: digits}, items: [{name: m, from: {job: trian, output: model}}], environments: {dev: {parts: [{paths: [train]}]}}}\n", true,
         "contains the TrainingJob `trian`");
    said(ENVS APP "spec: {source: {path: digits}, environments: {dev: {parts: [{paths: [nothing]}]}}}\n", true, "digits/nothing: SLU1305");
}

static void test_upstream_use(void)
{
    said(ENVS APP "spec:\n  source: {path: digits}\n  items: [{name: model, from: {job: train, output: model}}]\n"
         "  environments: {dev: {parts: [{paths: [serve]}]}, test: {parts: [{paths: [train]}]}}\n", true,
         "digits/serve/server.yaml in environment dev uses item `model`, which is made only later, in test");
}

static void test_broken_application_alone(void)
{
    g_autoptr(GPtrArray) problems = problems_new();
    g_autoptr(SlFleetDocs) docs = read_with(ENVS DIGITS "---\n" API "kind: Application\nmetadata: {name: bad}\nspec: {oops: 1}\n", problems, digits_files);
    g_assert_nonnull(docs);
    g_assert_true(sl_fleet_app(docs, "bad")->broken);
    g_assert_false(sl_fleet_app(docs, "digits")->broken);
    assert_said(problems, "unknown key `oops`");
    assert_said(problems, "`environments` is missing");
    g_autoptr(json_t) json = sl_fleet_to_json(docs);
    g_autoptr(SlFleetDocs) back = sl_fleet_from_json(json, NULL);
    g_assert_nonnull(back);
    g_assert_true(sl_fleet_app(back, "bad")->broken);
}

static void test_conflict(void)
{
    static const char map[] = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: same}\n";
    static const char *const files[] = {"a/m.yaml", map, "b/m.yaml", map, NULL};
    g_autoptr(GPtrArray) problems = problems_new();
    g_autoptr(SlFleetDocs) docs = read_with(ENVS "---\n" API "kind: Application\nmetadata: {name: one}\nspec: {environments: {dev: {parts: [{paths: [a]}]}}}\n"
        "---\n" API "kind: Application\nmetadata: {name: two}\nspec: {environments: {dev: {parts: [{paths: [b]}]}, test: {parts: [{paths: [b]}]}}}\n", problems, files);
    g_assert_nonnull(docs);
    assert_said(problems, "b/m.yaml:1: SLU1312: applications one and two both write core/ConfigMap - same in environment dev, first in a/m.yaml:1");
    g_assert_cmpuint(problems->len, ==, 1);
}

static void test_folder(void)
{
    SlTree *tree = sl_tree_memory_new();
    put(tree, "fleet/a.yaml", FLEET);
    put(tree, "fleet/envs/dev.yaml", API "kind: Environment\nmetadata: {name: dev}\n");
    put(tree, "fleet/readme.md", "no yaml: [");
    g_autoptr(GPtrArray) problems = problems_new();
    g_autoptr(SlFleetDocs) docs = sl_fleet_read(tree, problems);
    assert_quiet(problems);
    g_assert_cmpuint(docs->environments->len, ==, 1);
    put(tree, "fleet/b.yaml", "a: [\n");
    g_autoptr(SlFleetDocs) none = sl_fleet_read(tree, problems);
    g_assert_null(none);
    assert_said(problems, "fleet/b.yaml:");
    put(tree, "fleet/b.yaml", "# ours\n---\n" API "kind: Application\nmetadata: {name: torn}\nspec:\n\tx: 1\n");
    g_autoptr(SlFleetDocs) alone = sl_fleet_read(tree, problems);
    g_assert_nonnull(alone);
    g_assert_true(sl_fleet_app(alone, "torn")->broken);
    assert_said(problems, "a tab character is used as indentation");
    put(tree, "fleet/b.yaml", API "kind: Application\nmetadata: {name: torn}\nspec:\n\tx: 1\n---\nkind: Environment\n");
    g_autoptr(SlFleetDocs) mixed = sl_fleet_read(tree, problems);
    g_assert_null(mixed);
    sl_tree_memory_free(tree);
    SlTree *empty = sl_tree_memory_new();
    g_autoptr(GPtrArray) missing = problems_new();
    g_assert_null(sl_fleet_read(empty, missing));
    assert_said(missing, "there is neither a sluice.yaml nor a document below fleet/");
    sl_tree_memory_free(empty);
}

/* The example of docs/fleet-documents.md is valid. */
static void test_documented_example(void)
{
    g_autofree char *page = NULL;
    g_assert_true(g_file_get_contents(SLUICE_SOURCE_DIR "/docs/fleet-documents.md", &page, NULL, NULL));
    char *start = strstr(page, "```yaml\n"), *end = start ? strstr(start + 8, "```") : NULL;
    g_assert_nonnull(end);
    *end = '\0';
    static const char *const files[] = {"digits/train/job.yaml", JOB, "digits/serve/server.yaml", SERVE, "digits/prod.yaml",
        API "kind: ModelServer\nmetadata: {name: serve}\nspec: {replicas: 2}\n", NULL};
    g_autoptr(GPtrArray) problems = problems_new();
    g_autoptr(SlFleetDocs) docs = read_with(start + 8, problems, files);
    assert_quiet(problems);
    g_assert_nonnull(docs);
}

static void test_schema(void)
{
    g_autoptr(json_t) schema = sl_fleet_json_schema();
    g_assert_nonnull(schema);
    g_assert_nonnull(sl_json_at(schema, "definitions.Application.properties.spec.properties.environments"));
    g_assert_cmpstr(sl_json_str(schema, "definitions.Environment.properties.spec.properties.healthTimeout.type"), ==, "string");
    g_assert_cmpuint(json_array_size(json_object_get(schema, "allOf")), ==, 4);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fleet/good", test_good);
    g_test_add_func("/fleet/kinds", test_fleet_and_kinds);
    g_test_add_func("/fleet/environments", test_environments);
    g_test_add_func("/fleet/after", test_after_forms);
    g_test_add_func("/fleet/applications", test_applications);
    g_test_add_func("/fleet/upstream", test_upstream_use);
    g_test_add_func("/fleet/broken", test_broken_application_alone);
    g_test_add_func("/fleet/conflict", test_conflict);
    g_test_add_func("/fleet/folder", test_folder);
    g_test_add_func("/fleet/example", test_documented_example);
    g_test_add_func("/fleet/schema", test_schema);
    return g_test_run();
}
