/* The portable kinds on Kubernetes: goldens (native/<case>.yaml -> .json; SLUICE_GOLDEN=write writes them anew), and what goldens
 * can't show: files too large, withheld objects, two engines side by side, the engine's own words. */
#include "core/native.h"
#include "core/run.h"
#include "help.h"
#include <glib/gstdio.h>

#define FOLDER SLUICE_SOURCE_DIR "/tests/unit/render/native/"
#define API "apiVersion: gitops.sluice/v1alpha1\n"
#define BASE "2222222222222222222222222222222222222222222222222222222222222222"
#define RUN "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define FLEET(more)                                                                                \
    API "kind: Fleet\nmetadata: {name: demo}\n" more "---\n" API                                   \
        "kind: Environment\nmetadata: {name: dev}\n---\n" API                                      \
        "kind: Application\nmetadata: {name: digits}\nspec:\n  source: {path: app}\n  items:\n"    \
        "    - {name: base, kind: model, from: {digest: \"sha256:" BASE "\"}}\n"

#define APP FLEET("") "  environments: {dev: {parts: [{paths: [.]}]}}\n"
#define JOB                                                                                        \
    API "kind: TrainingJob\nmetadata: {name: train}\nspec:\n  image: i\n  command: [train]\n  "    \
        "outputs: [{name: model}]\n"
#define SERVE API "kind: ModelServer\nmetadata: {name: serve}\nspec:\n  image: i\n  port: 80\n"

typedef struct {
    SlTree *tree;
    SlFleetDocs *docs;
    GPtrArray *problems, *clusters, *items;
} World;

static void add_cluster(World *w, const char *engine)
{
    SlCluster *cluster = g_new0(SlCluster, 1);
    cluster->id = g_strdup(engine);
    cluster->name = g_strdup(engine);
    cluster->engine = g_strdup(engine);
    cluster->labels = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_ptr_array_add(w->clusters, cluster);
}

static void world_init(World *w, const char *fleet, const char *objects)
{
    w->tree = sl_tree_memory_new();
    w->problems = problems_new();
    w->items = g_ptr_array_new_with_free_func((GDestroyNotify)sl_item_value_free);
    w->clusters = g_ptr_array_new_with_free_func((GDestroyNotify)sl_cluster_free);
    put(w->tree, "sluice.yaml", fleet);
    put(w->tree, "app/case.yaml", objects);
    put(w->tree, "app/code/lib/util.py", "pass\n");
    put(w->tree, "app/code/lib_util.py", "# its key would be that of lib/util.py\n");
    put(w->tree, "app/code/word", "$(sluice.run)");
    put(w->tree, "app/code/bytes", "\xff\xfe");
    sl_tree_memory_put(w->tree, "app/code/run.sh", "#!/bin/sh\n", SL_TREE_EXECUTABLE);
    w->docs = sl_fleet_read(w->tree, w->problems);
    assert_quiet(w->problems);
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
    SlRenderAsk ask = {.docs = w->docs,
                       .app = sl_fleet_app(w->docs, "digits"),
                       .env = "dev",
                       .tree = w->tree,
                       .items = w->items,
                       .clusters = w->clusters};
    return sl_render_unit(&ask, w->problems);
}

static const SlBundle *bundle_of(const SlRendered *rendered, const char *cluster)
{
    return g_hash_table_lookup(rendered->bundles,
                               g_hash_table_lookup(rendered->target_of, cluster));
}

static json_t *object_at(const SlRendered *rendered, const SlBundle *bundle, guint index)
{
    const SlBundleObject *object = g_ptr_array_index(bundle->objects, index);
    GBytes *text = g_hash_table_lookup(rendered->blobs, object->digest);
    return sl_json_parse(g_bytes_get_data(text, NULL), g_bytes_get_size(text), NULL, "object",
                         NULL);
}

/* {"objects": of the bundle, "runs": objects of a first attempt, "problems": lines} */
static char *outcome(World *w)
{
    g_autoptr(SlRendered) rendered = render(w);
    json_t *objects = json_array(), *runs = json_array(), *problems = json_array();
    const SlBundle *bundle = rendered ? bundle_of(rendered, "kubernetes") : NULL;
    for (guint i = 0; bundle && i < bundle->objects->len; i++) {
        json_t *object = object_at(rendered, bundle, i);
        json_array_append_new(objects, object);
        if (json_object_get(object, SL_NATIVE_MEMBER)) {
            g_autoptr(GError) error = NULL;
            g_autoptr(json_t) filled = sl_native_run(object, RUN, 1, &error);
            g_assert_no_error(error);
            json_array_extend(runs, filled);
        }
    }
    for (guint i = 0; i < w->problems->len; i++) {
        g_autofree char *line = sl_problem_format(g_ptr_array_index(w->problems, i));
        json_array_append_new(problems, json_string(line));
    }
    g_autoptr(json_t) all =
        json_pack("{s:o, s:o, s:o}", "objects", objects, "runs", runs, "problems", problems);
    char *text = json_dumps(all, JSON_INDENT(1) | JSON_SORT_KEYS),
         *line = g_strconcat(text, "\n", NULL);
    free(text);
    return line;
}

static void test_golden(gconstpointer data)
{
    g_autofree char *in = g_strconcat(FOLDER, (const char *)data, ".yaml", NULL),
                    *out = g_strconcat(FOLDER, (const char *)data, ".json", NULL);
    g_autofree char *yaml = NULL, *want = NULL;
    g_assert_true(g_file_get_contents(in, &yaml, NULL, NULL));
    World w, again;
    world_init(&w, APP, yaml);
    world_init(&again, APP, yaml);
    add_cluster(&w, "kubernetes");
    add_cluster(&again, "process");
    add_cluster(&again, "kubernetes");
    g_autofree char *got = outcome(&w), *second = outcome(&again);
    g_assert_cmpstr(got, ==, second); /* the same, whoever else is there */
    if (g_strcmp0(g_getenv("SLUICE_GOLDEN"), "write") == 0)
        g_assert_true(g_file_set_contents(out, got, -1, NULL));
    g_assert_true(g_file_get_contents(out, &want, NULL, NULL));
    g_assert_cmpstr(got, ==, want);
    world_clear(&w);
    world_clear(&again);
}

static void add_goldens(void)
{
    g_autoptr(GDir) folder = g_dir_open(FOLDER, 0, NULL);
    unsigned count = 0;
    for (const char *name = g_dir_read_name(folder); name; name = g_dir_read_name(folder)) {
        if (!g_str_has_suffix(name, ".yaml"))
            continue;
        char *stem = g_strndup(name, strlen(name) - strlen(".yaml"));
        g_autofree char *path = g_strconcat("/native/golden/", stem, NULL);
        g_test_add_data_func_full(path, stem, test_golden, g_free);
        count++;
    }
    g_assert_cmpuint(count, >=, 14);
}

/* A job is placed and run under one key, whichever engine its clusters have; only Kubernetes' bundle holds what the runs are. */
static void test_two_engines(void)
{
    World w, alone;
    world_init(&w, APP, JOB "---\n" SERVE);
    world_init(&alone, APP, JOB "---\n" SERVE);
    add_cluster(&w, "process");
    add_cluster(&w, "kubernetes");
    add_cluster(&alone, "process");
    g_autoptr(SlRendered) both = render(&w), one = render(&alone);
    assert_quiet(w.problems);
    g_assert_cmpstr(g_hash_table_lookup(both->target_of, "process"), ==,
                    g_hash_table_lookup(one->target_of, "process"));
    g_assert_cmpstr(g_hash_table_lookup(both->target_of, "process"), !=,
                    g_hash_table_lookup(both->target_of, "kubernetes"));
    g_assert_cmpuint(both->jobs->len, ==, 1);
    const SlRenderedJob *job = g_ptr_array_index(both->jobs, 0);
    g_assert_cmpuint(job->clusters->len, ==, 2);
    const SlBundle *bundle = bundle_of(both, "kubernetes");
    g_autoptr(json_t) rendered = object_at(both, bundle, 0);
    g_assert_cmpstr(sl_json_str(rendered, "kind"), ==, "TrainingJob");
    g_assert_cmpstr(sl_object_annotation(rendered, SL_ANNOTATION_RUN_KEY), ==, job->run_key);
    json_object_del(rendered, SL_NATIVE_MEMBER);
    g_autofree char *key = sl_run_key(rendered);
    g_assert_cmpstr(key, ==, job->run_key);
    world_clear(&w);
    world_clear(&alone);
}

static void test_withheld(void)
{
    World w;
    world_init(&w,
               FLEET("") "    - {name: model, from: {job: train, output: model}}\n  environments: "
                         "{dev: {parts: [{paths: [.]}]}}\n",
               JOB "---\n" SERVE "  model: model\n  files: {from: code}\n");
    add_cluster(&w, "kubernetes");
    SlItemValue *value = g_new0(SlItemValue, 1);
    value->name = g_strdup("model");
    value->run_key = g_strdup("k1");
    g_ptr_array_add(w.items, value);
    g_autoptr(SlRendered) rendered = render(&w);
    assert_quiet(w.problems);
    const SlBundle *bundle = bundle_of(rendered, "kubernetes");
    static const char *const kinds[] = {"apps/Deployment", "core/ConfigMap", "core/Service"};
    g_assert_cmpuint(bundle->objects->len, ==, 1);
    g_assert_cmpuint(bundle->withheld->len, ==, G_N_ELEMENTS(kinds));
    g_autoptr(GBytes) list = sl_bundle_format(bundle);
    for (guint i = 0; i < bundle->withheld->len; i++) {
        const SlBundleWithheld *one = g_ptr_array_index(bundle->withheld, i);
        g_assert_true(g_strv_contains(kinds, one->kind));
        g_assert_cmpstr(one->item, ==, "model");
        g_assert_cmpstr(one->run_key, ==, "k1");
    }
    world_clear(&w);
}

static void refused(const char *objects, const char *said)
{
    World w;
    world_init(&w, APP, objects);
    g_autofree char *large = g_strnfill((gsize)SL_OBJECT_MAX, 'x');
    put(w.tree, "app/large/weights", large);
    add_cluster(&w, "process");
    g_autoptr(SlRendered) without = render(&w);
    assert_quiet(w.problems);
    add_cluster(&w, "kubernetes");
    g_autoptr(SlRendered) rendered = render(&w);
    g_assert_null(rendered);
    assert_said(w.problems, said);
    world_clear(&w);
}

static void test_refused(void)
{
    refused(SERVE "  command: [serve]\n  files: {from: large}\n",
            "app/case.yaml:8: SLU1313: ModelServer serve: spec.files: are 1048599 bytes");
    refused(JOB "  files: {from: large}\n",
            "more than the 1048576 that Kubernetes takes (put large files into the image");
    refused(JOB "---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: other}\n---\n" SERVE
                "---\napiVersion: v1\nkind: Service\nmetadata: {name: serve}\n",
            "app/case.yaml:20: SLU1302: core/Service - serve is there twice for cluster "
            "kubernetes, first in app/case.yaml:13");
}

static void test_carry_image(void)
{
    World w;
    world_init(
        &w,
        FLEET(
            "spec: {kubernetes: {carryImage: mirror.test/carry:1}}\n") "  environments: {dev: "
                                                                       "{parts: [{paths: [.]}]}}\n",
        JOB);
    add_cluster(&w, "kubernetes");
    g_autofree char *text = outcome(&w);
    assert_quiet(w.problems);
    g_assert_nonnull(strstr(text, "\"mirror.test/carry:1\""));
    g_assert_null(strstr(text, SL_CARRY_IMAGE));
    world_clear(&w);
}

static void test_run(void)
{
    g_autoptr(json_t) job =
        json_pack("{s:[{s:s, s:[s, i]}]}", "kubernetes", "a", "x$(sluice.run)y$(sluice.run)",
                  "$(sluice.run-id)", "n=$(sluice.attempt) $(other) $$", 7);
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) one = sl_native_run(job, RUN, 1, &error),
                      two = sl_native_run(job, RUN, 102, &error);
    g_autofree char *first = sl_json_canonical(one, NULL), *second = sl_json_canonical(two, NULL);
    g_assert_cmpstr(
        first, ==,
        "[{\"$(sluice.run-id)\":[\"n=1 $(other) $$\",7],\"a\":\"x0123456789y0123456789\"}]");
    g_assert_cmpstr(second, ==,
                    "[{\"$(sluice.run-id)\":[\"n=102 $(other) "
                    "$$\",7],\"a\":\"x0123456789-102y0123456789-102\"}]");
    g_assert_null(sl_native_run(job, RUN, 0, NULL));
    g_assert_null(sl_native_run(job, RUN, SL_NATIVE_ATTEMPTS_MAX + 1, NULL));
    g_assert_null(sl_native_run(job, "0123", 1, NULL));
    g_autoptr(json_t) none = json_object(),
                      unknown = json_pack("{s:[s]}", "kubernetes", "$(sluice.node)");
    g_assert_null(sl_native_run(none, RUN, 1, &error));
    g_assert_cmpint(error->code, ==, SLU_OBJECT_SPEC);
    g_clear_error(&error);
    g_assert_null(sl_native_run(unknown, RUN, 1, &error));
    g_assert_nonnull(strstr(error->message, "$(sluice.node) is no placeholder that is known"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_goldens();
    g_test_add_func("/native/two-engines", test_two_engines);
    g_test_add_func("/native/withheld", test_withheld);
    g_test_add_func("/native/refused", test_refused);
    g_test_add_func("/native/carry-image", test_carry_image);
    g_test_add_func("/native/run", test_run);
    return g_test_run();
}
