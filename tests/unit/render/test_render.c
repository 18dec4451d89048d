/* One unit rendered for its clusters: items, files, run keys, bundles, determinism; and minting. */
#include "help.h"
#include "base/digest.h"
#include "core/run.h"

#define API "apiVersion: gitops.sluice/v1alpha1\n"
#define JOB API "kind: TrainingJob\nmetadata: {name: train}\nspec:\n  command: [python3, train.py]\n  files: {from: train}\n  outputs: [{name: model}]\n"
#define SERVE API "kind: ModelServer\nmetadata: {name: serve}\nspec:\n  command: [python3, serve.py]\n  model: model://model\n  port: 8080\n"
#define FLEET API "kind: Fleet\nmetadata: {name: demo}\n---\n" API "kind: Environment\nmetadata: {name: dev}\n---\n" API \
    "kind: Application\nmetadata: {name: digits}\nspec:\n  source: {path: digits}\n  items:\n" \
    "    - {name: model, from: {job: train, output: model}}\n" \
    "    - {name: base, kind: image, from: {image: reg.test/base, digest: \"sha256:" D "\"}}\n" \
    "  environments:\n    dev: {parts: [{paths: [train], clusters: {matchLabels: {gpu: a}}}, {paths: [serve]}]}\n"
#define D "1111111111111111111111111111111111111111111111111111111111111111"
#define M "2222222222222222222222222222222222222222222222222222222222222222"

typedef struct {
    SlTree *tree;
    SlFleetDocs *docs;
    GPtrArray *problems, *items, *clusters;
} World;

static SlCluster *cluster_new(const char *id, const char *gpu)
{
    SlCluster *cluster = g_new0(SlCluster, 1);
    cluster->id = g_strdup(id);
    cluster->name = g_strdup(id);
    cluster->labels = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    if (gpu)
        g_hash_table_insert(cluster->labels, g_strdup("gpu"), g_strdup(gpu));
    return cluster;
}

static SlItemValue *value_new(const char *name, const char *digest, const char *key)
{
    SlItemValue *value = g_new0(SlItemValue, 1);
    value->name = g_strdup(name);
    value->digest = g_strdup(digest);
    value->run_key = g_strdup(key);
    return value;
}

static void world_init(World *w)
{
    w->tree = sl_tree_memory_new();
    w->problems = problems_new();
    put(w->tree, "sluice.yaml", FLEET);
    put(w->tree, "digits/train/job.yaml", JOB);
    put(w->tree, "digits/train/train.py", "print(1)\n");
    put(w->tree, "digits/train/config.yaml", "lr: 0.1\n");
    put(w->tree, "digits/serve/server.yaml", SERVE "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: a, image: \"reg.test/base:v1\"}]}\n");
    w->docs = sl_fleet_read(w->tree, w->problems);
    assert_quiet(w->problems);
    w->items = g_ptr_array_new_with_free_func((GDestroyNotify)sl_item_value_free);
    g_ptr_array_add(w->items, value_new("model", NULL, "k1"));
    w->clusters = g_ptr_array_new_with_free_func((GDestroyNotify)sl_cluster_free);
    g_ptr_array_add(w->clusters, cluster_new("c1", "a"));
    g_ptr_array_add(w->clusters, cluster_new("c2", NULL));
}

static void world_clear(World *w)
{
    sl_tree_memory_free(w->tree);
    sl_fleet_docs_free(w->docs);
    g_ptr_array_unref(w->problems);
    g_ptr_array_unref(w->items);
    g_ptr_array_unref(w->clusters);
}

static SlRendered *render(World *w)
{
    SlRenderAsk ask = {.docs = w->docs, .app = sl_fleet_app(w->docs, "digits"), .env = "dev", .tree = w->tree,
                       .items = w->items, .clusters = w->clusters};
    return sl_render_unit(&ask, w->problems);
}

static char *list_of(const SlRendered *rendered, const char *cluster)
{
    GBytes *list = g_hash_table_lookup(rendered->blobs, g_hash_table_lookup(rendered->target_of, cluster));
    return g_strndup(g_bytes_get_data(list, NULL), g_bytes_get_size(list));
}

static json_t *object_of(const SlRendered *rendered, const char *cluster, const char *name)
{
    const SlBundle *bundle = g_hash_table_lookup(rendered->bundles, g_hash_table_lookup(rendered->target_of, cluster));
    for (guint i = 0; i < bundle->objects->len; i++) {
        const SlBundleObject *object = g_ptr_array_index(bundle->objects, i);
        GBytes *text = g_hash_table_lookup(rendered->blobs, object->digest);
        if (g_str_equal(object->name, name))
            return sl_json_parse(g_bytes_get_data(text, NULL), g_bytes_get_size(text), NULL, "object", NULL);
    }
    return NULL;
}

static void test_withheld(void)
{
    World w;
    world_init(&w);
    g_autoptr(SlRendered) rendered = render(&w);
    assert_quiet(w.problems);
    g_assert_nonnull(rendered);
    g_assert_cmpuint(rendered->target_count, ==, 2);
    g_autofree char *one = list_of(rendered, "c1"), *two = list_of(rendered, "c2");
    g_assert_nonnull(strstr(one, "withheld gitops.sluice/ModelServer - serve model k1\n"));
    g_assert_nonnull(strstr(one, "object gitops.sluice/TrainingJob - train "));
    g_assert_null(strstr(two, "TrainingJob"));
    g_assert_nonnull(strstr(two, "withheld gitops.sluice/ModelServer - serve model k1\n"));
    g_autofree char *digest = sl_sha256_hex(one, strlen(one));
    g_assert_cmpstr(digest, ==, g_hash_table_lookup(rendered->target_of, "c1"));
    g_assert_cmpuint(rendered->jobs->len, ==, 1);
    const SlRenderedJob *job = g_ptr_array_index(rendered->jobs, 0);
    g_assert_cmpuint(job->clusters->len, ==, 1);
    g_assert_cmpstr(job->on_change, ==, "keep");
    g_autoptr(json_t) object = object_of(rendered, "c1", "train");
    g_assert_cmpstr(sl_object_annotation(object, SL_ANNOTATION_RUN_KEY), ==, job->run_key);
    const json_t *files = sl_json_at(object, "spec.files");
    g_assert_cmpuint(json_array_size(files), ==, 3);
    const json_t *script = json_array_get(files, 2);
    g_assert_cmpstr(sl_json_str(script, "path"), ==, "train.py");
    g_assert_cmpstr(sl_json_str(script, "mode"), ==, "644");
    g_autofree char *want = sl_sha256_hex("print(1)\n", 9);
    g_assert_cmpstr(sl_json_str(script, "sha256"), ==, want);
    g_assert_nonnull(g_hash_table_lookup(rendered->blobs, want));
    g_assert_nonnull(strstr(one, want));
    g_assert_nonnull(g_hash_table_lookup(rendered->blobs, rendered->targets));
    g_autoptr(json_t) pod = object_of(rendered, "c2", "p");
    g_assert_cmpstr(sl_json_str(json_array_get(sl_json_at(pod, "spec.containers"), 0), "image"), ==, "reg.test/base@sha256:" D);
    world_clear(&w);
}

static void test_filled_and_deterministic(void)
{
    World w;
    world_init(&w);
    g_autoptr(SlRendered) before = render(&w);
    g_ptr_array_set_size(w.items, 0);
    g_ptr_array_add(w.items, value_new("model", M, "k1"));
    g_autoptr(SlRendered) one = render(&w);
    SlCluster *first = cluster_new("c1", "a"), *second = cluster_new("c2", NULL);
    g_ptr_array_set_size(w.clusters, 0);
    g_ptr_array_add(w.clusters, second); /* in another order */
    g_ptr_array_add(w.clusters, first);
    g_autoptr(SlRendered) two = render(&w);
    assert_quiet(w.problems);
    g_assert_cmpstr(one->targets, ==, two->targets);
    g_assert_cmpstr(one->targets, !=, before->targets);
    g_autoptr(json_t) server = object_of(one, "c2", "serve");
    g_assert_cmpstr(sl_json_str(server, "spec.model"), ==, "model://sha256:" M);
    const SlRenderedJob *old = g_ptr_array_index(before->jobs, 0), *new_one = g_ptr_array_index(one->jobs, 0);
    g_assert_cmpstr(old->run_key, ==, new_one->run_key); /* a filled item does not retrain */
    g_assert_cmpstr(old->digest, ==, new_one->digest);
    world_clear(&w);
}

static char *run_key(World *w)
{
    g_autoptr(SlRendered) rendered = render(w);
    assert_quiet(w->problems);
    return g_strdup(((SlRenderedJob *)g_ptr_array_index(rendered->jobs, 0))->run_key);
}

static void test_what_retrains(void)
{
    World w;
    world_init(&w);
    g_autofree char *base = run_key(&w);
    put(w.tree, "digits/serve/README.md", "typo");
    g_autofree char *readme = run_key(&w);
    g_assert_cmpstr(base, ==, readme);
    put(w.tree, "digits/train/train.py", "print(1) # comment\n");
    g_autofree char *script = run_key(&w);
    g_assert_cmpstr(base, !=, script);
    put(w.tree, "digits/train/train.py", "print(1)\n");
    g_autofree char *again = run_key(&w);
    g_assert_cmpstr(base, ==, again);
    world_clear(&w);
}

static void render_refused(const char *path, const char *content, const char *said)
{
    World w;
    world_init(&w);
    put(w.tree, path, content);
    g_autoptr(SlRendered) rendered = render(&w);
    g_assert_null(rendered);
    assert_said(w.problems, said);
    world_clear(&w);
}

static void test_refused(void)
{
    render_refused("digits/serve/x.yaml", API "kind: ModelServer\nmetadata: {name: x}\nspec: {command: [a], model: \"model://modl\", port: 80}\n",
                   "there is no item `modl` (did you mean `model`?)");
    render_refused("digits/serve/x.yaml", API "kind: TrainingJob\nmetadata: {name: x}\nspec: {command: [a], files: {from: other}}\n",
                   "`other` lies outside the declared paths of application digits");
    render_refused("digits/serve/x.yaml", API "kind: TrainingJob\nmetadata: {name: x}\nspec:\n  command: [a]\n  numNodes: 0\n",
                   "digits/serve/x.yaml:6: SLU1308: TrainingJob x: spec.numNodes");
    render_refused("digits/serve/x.yaml", JOB, "is there twice for cluster c1");
    g_autofree char *big = g_strnfill(16 * 1024 * 1024, 'x');
    render_refused("digits/train/big.bin", big, "SLU1309");
    g_autofree char *huge = g_strnfill(1024 * 1024, 'x');
    g_autofree char *map = g_strdup_printf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: big}\ndata: {a: \"%s\"}\n", huge);
    render_refused("digits/serve/x.yaml", map, "SLU1310");
}

static void test_empty(void)
{
    World w;
    world_init(&w);
    put(w.tree, "digits/serve/server.yaml", "# nothing left\n");
    g_autoptr(SlRendered) rendered = render(&w);
    g_assert_null(rendered);
    assert_said(w.problems, "SLU1301: application digits has no object for environment dev in serve; nothing is changed or pruned");
    world_clear(&w);
}

static void test_no_cluster(void)
{
    World w;
    world_init(&w);
    g_ptr_array_set_size(w.clusters, 0);
    g_autoptr(SlRendered) rendered = render(&w);
    g_assert_null(rendered);
    assert_said(w.problems, "SLU1311");
    world_clear(&w);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/render/withheld", test_withheld);
    g_test_add_func("/render/filled", test_filled_and_deterministic);
    g_test_add_func("/render/retrains", test_what_retrains);
    g_test_add_func("/render/refused", test_refused);
    g_test_add_func("/render/empty", test_empty);
    g_test_add_func("/render/no_cluster", test_no_cluster);
    return g_test_run();
}
