/* test_conflicts.c - two applications with one object: the second is refused before its commit. */
#include "rig.h"

#define APP(name, path)                                                                            \
    "---\n" RIG_API "kind: Application\nmetadata: {name: " name "}\nspec:\n  source: {path: " path \
    "}\n  environments: {dev: {parts: [{paths: [.]}]}}\n"
#define FLEET                                                                                      \
    RIG_API "kind: Fleet\nmetadata: {name: demo}\n---\n" RIG_API                                   \
            "kind: Environment\nmetadata: {name: dev}\nspec: {promotion: newest}\n"

static SlTree *tree_of(const char *fleet, const char *a, const char *b)
{
    SlTree *tree = sl_tree_memory_new();
    const char *const names[] = {a, b}, *const paths[] = {"a/c.yaml", "b/c.yaml"};
    sl_tree_memory_put(tree, "sluice.yaml", fleet, SL_TREE_FILE);
    for (int i = 0; i < 2; i++) {
        g_autofree char *text = g_strdup_printf(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {from: \"%d\"}\n",
            names[i], i);
        sl_tree_memory_put(tree, paths[i], text, SL_TREE_FILE);
    }
    return tree;
}

static json_t *last_of(Rig *rig, const char *app)
{
    g_autoptr(json_t) view = rig_view(rig, "history", json_pack("{s:s}", "app", app));
    return json_incref(json_array_get(json_object_get(view, "attempts"), 0));
}

/* Both arrive with one push and would be in one commit: the first one gets the object. */
static void test_together(void)
{
    Rig *rig = rig_new();
    rig_push_tree(rig, "c1", tree_of(FLEET APP("a", "a") APP("b", "b"), "one", "one"), false);
    g_autoptr(json_t) a = last_of(rig, "a"), b = last_of(rig, "b");
    g_assert_cmpstr(sl_json_str(a, "state"), ==, "SUCCEEDED");
    g_assert_cmpstr(sl_json_str(b, "state"), ==, "FAILED");
    g_assert_cmpstr(sl_json_str(b, "error.code"), ==, "SLU1312");
    g_assert_cmpstr(sl_json_str(b, "error.message"), ==,
                    "core/ConfigMap one on dev1 is written by application a already");
    for (guint i = 0; i < rig->ledger->len; i++) { /* and it was in no commit */
        const json_t *event = g_ptr_array_index(rig->ledger, i);
        const json_t *units = json_object_get(event, "units");
        for (size_t k = 0; k < json_array_size(units); k++) {
            g_assert_cmpstr(sl_json_str(json_array_get(units, k), "app"), ==, "a");
        }
    }
    rig_push_tree(rig, "c2", tree_of(FLEET APP("a", "a") APP("b", "b"), "one", "two"), false);
    g_autoptr(json_t) now = last_of(rig, "b");
    g_assert_cmpstr(sl_json_str(now, "state"), ==, "SUCCEEDED");
    rig_free(rig);
}

/* The object is taken only later, by a change; after a restart the index is made anew. An object
 * that its owner gave up may be taken. */
static void test_later(void)
{
    Rig *rig = rig_new();
    rig_push_tree(rig, "c1", tree_of(FLEET APP("a", "a") APP("b", "b"), "one", "two"), false);
    rig_restart(rig);
    agent_hello(rig, "dev1");
    rig_push_tree(rig, "c2", tree_of(FLEET APP("a", "a") APP("b", "b"), "two", "two"), false);
    g_autoptr(json_t) a = last_of(rig, "a");
    g_assert_cmpstr(sl_json_str(a, "state"), ==, "FAILED");
    g_assert_nonnull(strstr(sl_json_str(a, "error.message"), "by application b"));
    rig_push_tree(rig, "c3", tree_of(FLEET APP("a", "a") APP("b", "b"), "two", "three"), false);
    rig_ask(rig, "promote", rig_unit_args("a", "dev"));
    g_autoptr(json_t) again = last_of(rig, "a");
    g_assert_cmpstr(sl_json_str(again, "state"), ==, "SUCCEEDED");
    rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/conflicts/together", test_together);
    g_test_add_func("/conflicts/later", test_later);
    return g_test_run();
}
