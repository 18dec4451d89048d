/* Offers and release ids: what makes a new release and what does not. The golden ids guard every stored release. */
#include "help.h"
#include "base/digest.h"

#define API "apiVersion: gitops.sluice/v1alpha1\n"
#define HEAD API "kind: Fleet\nmetadata: {name: demo}\n---\n" API "kind: Environment\nmetadata: {name: dev}\n---\n" API \
    "kind: Application\nmetadata: {name: digits}\nspec:\n  source: {path: digits}\n"
#define JOB API "kind: TrainingJob\nmetadata: {name: train}\nspec:\n  command: [python3, train.py]\n  files: {from: train}\n  outputs: [{name: model}]\n"
#define FLEET HEAD "  items: [{name: model, from: {job: train, output: model}}]\n  environments:\n    dev: {parts: [{paths: [train], patches: [{path: p.yaml}]}]}\n"
#define PATCH API "kind: TrainingJob\nmetadata: {name: train}\nspec: {timeLimit: 1h}\n"

static SlTree *tree_new(const char *fleet)
{
    SlTree *tree = sl_tree_memory_new();
    put(tree, "sluice.yaml", fleet);
    put(tree, "digits/train/job.yaml", JOB);
    put(tree, "digits/train/train.py", "print(1)\n");
    put(tree, "digits/p.yaml", PATCH);
    put(tree, "digits/README.md", "x");
    return tree;
}

static SlOffer *offer_of(SlTree *tree)
{
    g_autoptr(GPtrArray) problems = problems_new();
    g_autoptr(SlFleetDocs) docs = sl_fleet_read(tree, problems);
    assert_quiet(problems);
    return sl_offer_make(docs, sl_fleet_app(docs, "digits"), tree);
}

static char *id_of(const SlOffer *offer)
{
    return sl_release_id(offer->app, offer->trees, offer->document, offer->items);
}

static void test_offer(void)
{
    SlTree *tree = tree_new(FLEET);
    SlOffer *offer = offer_of(tree);
    assert_quiet(offer->problems);
    const SlItemValue *model = g_ptr_array_index(offer->items, 0);
    g_assert_null(model->digest);
    g_assert_true(sl_is_hex_digest(model->run_key));
    g_assert_cmpuint(json_object_size(offer->trees), ==, 2);
    g_autofree char *digest = sl_tree_digest(tree, "digits/train", NULL);
    g_assert_cmpstr(json_string_value(json_object_get(offer->trees, "digits/train")), ==, digest);
    g_autofree char *before = id_of(offer);

    put(tree, "digits/README.md", "outside the declared paths");
    SlOffer *same = offer_of(tree);
    g_autofree char *unchanged = id_of(same);
    g_assert_cmpstr(before, ==, unchanged);

    put(tree, "digits/p.yaml", API "kind: TrainingJob\nmetadata: {name: train}\nspec: {timeLimit: 2h}\n");
    SlOffer *patched = offer_of(tree);
    g_autofree char *other = id_of(patched);
    g_assert_cmpstr(before, !=, other);
    /* a time limit is another release, but not another run */
    g_assert_cmpstr(((SlItemValue *)g_ptr_array_index(patched->items, 0))->run_key, ==, model->run_key);
    sl_offer_free(offer);
    sl_offer_free(same);
    sl_offer_free(patched);
    sl_tree_memory_free(tree);
}

static void test_golden(void)
{
    SlTree *tree = tree_new(FLEET);
    SlOffer *offer = offer_of(tree);
    g_autofree char *id = id_of(offer);
    g_test_message("document %s key %s id %s", offer->document, ((SlItemValue *)g_ptr_array_index(offer->items, 0))->run_key, id);
    g_assert_cmpstr(((SlItemValue *)g_ptr_array_index(offer->items, 0))->run_key, ==, "881076d3d00ca31aab5095f557e2191764d1f5c82b87788802391afe3f6a648c");
    g_assert_cmpstr(id, ==, "03cac1a23ac2a9577c587362302df9919dc81d16ec64d313a50fb67cf5beadf3");
    sl_offer_free(offer);
    sl_tree_memory_free(tree);
}

static void test_release_id(void)
{
    /* sha256 of {"application":"a","document":"d","format":1,"items":{"m":"pending:k","n":"x"},"trees":{"p":"t"}} */
    static const char text[] = "{\"application\":\"a\",\"document\":\"d\",\"format\":1,\"items\":{\"m\":\"pending:k\",\"n\":\"x\"},\"trees\":{\"p\":\"t\"}}";
    g_autoptr(json_t) trees = json_pack("{s:s}", "p", "t");
    SlItemValue n = {.name = (char[]){"n"}, .digest = (char[]){"x"}, .run_key = (char[]){"ignored"}};
    SlItemValue m = {.name = (char[]){"m"}, .run_key = (char[]){"k"}};
    g_autoptr(GPtrArray) items = g_ptr_array_new();
    g_ptr_array_add(items, &n);
    g_ptr_array_add(items, &m);
    g_autofree char *id = sl_release_id("a", trees, "d", items), *want = sl_sha256_hex(text, strlen(text));
    g_assert_cmpstr(id, ==, want);
}

static void refused(const char *fleet, const char *path, const char *content, const char *said)
{
    SlTree *tree = tree_new(fleet);
    g_autoptr(GPtrArray) problems = problems_new();
    g_autoptr(SlFleetDocs) docs = sl_fleet_read(tree, problems);
    sl_tree_memory_put(tree, path, content, g_str_has_suffix(path, "link") ? SL_TREE_SYMLINK : SL_TREE_FILE);
    SlOffer *offer = sl_offer_make(docs, sl_fleet_app(docs, "digits"), tree);
    assert_said(offer->problems, said);
    sl_offer_free(offer);
    sl_tree_memory_free(tree);
}

static void test_refused(void)
{
    refused(FLEET, "digits/train/link", "x", "digits/train/link is a symbolic link");
    refused(FLEET, "digits/train/big", "version https://git-lfs.github.com/spec/v1\n", "SLU1401: application digits: digits/train/big is a Git LFS pointer");
    refused(FLEET, "digits/train/job.yaml", "a: [\n", "SLU1200");
    refused(HEAD "  environments: {dev: {parts: [{paths: [nothing]}]}}\n", "x", "y", "digits/nothing: SLU1305");
    refused(HEAD "  oops: 1\n  environments: {dev: {parts: [{paths: [train]}]}}\n", "x", "y", "the document of application digits has errors");
}

static void test_two_jobs_differ(void)
{
    SlTree *tree = tree_new(HEAD "  items: [{name: model, from: {job: train, output: model}}]\n  environments:\n"
        "    dev: {parts: [{paths: [train], clusters: {matchLabels: {a: x}}}, {paths: [two], clusters: {matchLabels: {a: z}}}]}\n");
    put(tree, "digits/two/job.yaml", API "kind: TrainingJob\nmetadata: {name: train}\nspec:\n  command: [other]\n  outputs: [{name: model}]\n");
    SlOffer *offer = offer_of(tree);
    assert_said(offer->problems, "its job differs between the parts of its environment");
    sl_offer_free(offer);
    sl_tree_memory_free(tree);
}

static void test_chain(void)
{
    SlTree *tree = tree_new(HEAD "  items:\n    - {name: model, from: {job: train, output: model}}\n    - {name: fine, from: {job: tune, output: model}}\n"
        "  environments: {dev: {parts: [{paths: [train, tune]}]}}\n");
    put(tree, "digits/tune/job.yaml", API "kind: TrainingJob\nmetadata: {name: tune}\nspec:\n  command: [tune]\n  inputs: [{name: base, model: \"model://model\"}]\n  outputs: [{name: model}]\n");
    SlOffer *offer = offer_of(tree);
    assert_said(offer->problems, "item `fine`: its job `tune` itself waits for item `model`");
    sl_offer_free(offer);
    sl_tree_memory_free(tree);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mint/offer", test_offer);
    g_test_add_func("/mint/golden", test_golden);
    g_test_add_func("/mint/release_id", test_release_id);
    g_test_add_func("/mint/refused", test_refused);
    g_test_add_func("/mint/two_jobs", test_two_jobs_differ);
    g_test_add_func("/mint/chain", test_chain);
    return g_test_run();
}
