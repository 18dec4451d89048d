/* test_cost.c - a step costs what changed, not what exists: many applications, and reports that say
 * nothing new. Figures are printed (--verbose); the limits are generous, they find a wrong power. */
#include "rig.h"
#include <time.h>

#define APPS 200

static SlTree *tree_of(int changed)
{
    SlTree *tree = sl_tree_memory_new();
    g_autoptr(GString) fleet = g_string_new(
        RIG_API "kind: Fleet\nmetadata: {name: demo}\n---\n" RIG_API
                "kind: Environment\nmetadata: {name: dev}\nspec: {promotion: newest}\n");
    for (int i = 0; i < APPS; i++) {
        g_autofree char *path = g_strdup_printf("a%d/c.yaml", i);
        g_autofree char *text = g_strdup_printf(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%d}\ndata: {a: \"%d\"}\n", i,
            i == 0 ? changed : 0);
        g_string_append_printf(
            fleet,
            "---\n" RIG_API "kind: Application\nmetadata: {name: a%d}\nspec:\n  "
            "source: {path: a%d}\n  environments: {dev: {parts: [{paths: [.]}]}}\n",
            i, i);
        sl_tree_memory_put(tree, path, text, SL_TREE_FILE);
    }
    sl_tree_memory_put(tree, "sluice.yaml", fleet->str, SL_TREE_FILE);
    return tree;
}

/* The first Health event that refers to another one's report; its index. */
static guint find_reference(const Rig *rig)
{
    guint i = 0;
    while (i < rig->ledger->len &&
           sl_json_int(g_ptr_array_index(rig->ledger, i), "reportIn", 0) == 0) {
        i++;
    }
    g_assert_cmpuint(i, <, rig->ledger->len);
    return i;
}

static bool fold_up_to(const Rig *rig, guint count, const json_t *last, GError **error)
{
    g_autoptr(SlCoord) coord = rig_new_coord((Rig *)rig);
    for (guint i = 0; i < count; i++) {
        if (!sl_coord_fold(coord, g_ptr_array_index(rig->ledger, i), error)) {
            return false;
        }
    }
    return sl_coord_fold(coord, last, error);
}

/* One report is recorded once, whatever it proves; a reference to any other event is a damaged
 * ledger. */
static void test_one_report_proves_many(void)
{
    Rig *rig = rig_new();
    rig->check = false;
    rig_push_tree(rig, "c1", tree_of(1), false);
    g_autoptr(GHashTable) texts = g_hash_table_new(g_str_hash, g_str_equal);
    guint health = 0;
    for (guint i = 0; i < rig->ledger->len; i++) {
        const json_t *event = g_ptr_array_index(rig->ledger, i);
        const char *text = sl_json_str(event, "report.text");
        health += strcmp(sl_json_str(event, "type"), "Health") == 0;
        g_assert_true(text == NULL || g_hash_table_add(texts, (gpointer)text));
    }
    g_assert_cmpuint(health, ==, APPS);
    g_assert_cmpuint(g_hash_table_size(texts), <, APPS / 4);
    guint at = find_reference(rig);
    g_autoptr(GError) error = NULL;
    g_assert_true(fold_up_to(rig, at, g_ptr_array_index(rig->ledger, at), &error));
    g_autoptr(json_t) bad = json_deep_copy(g_ptr_array_index(rig->ledger, at));
    sl_json_set_int(bad, "reportIn", sl_json_int(bad, "reportIn", 0) - 1);
    g_assert_false(fold_up_to(rig, at, bad, &error));
    g_assert_error(error, SL_ERROR, SLU_LEDGER_EVENT);
    rig_free(rig);
}

static void test_many(void)
{
    Rig *rig = rig_new();
    rig->check = false;
    int64_t start = g_get_monotonic_time();
    rig_push_tree(rig, "c1", tree_of(1), false);
    g_test_message("%d applications pushed, rendered, committed, reported: %.1f ms", APPS,
                   (double)(g_get_monotonic_time() - start) / 1000);
    g_autoptr(json_t) history = rig_view(rig, "history", json_pack("{s:i}", "limit", 1000));
    size_t i;
    json_t *each;
    g_assert_cmpuint(json_array_size(json_object_get(history, "attempts")), ==, APPS);
    json_array_foreach (json_object_get(history, "attempts"), i, each) {
        g_assert_cmpstr(sl_json_str(each, "state"), ==, "SUCCEEDED");
    }
    guint renders = rig->renders;
    start = g_get_monotonic_time();
    rig_push_tree(rig, "c2", tree_of(2), false);
    g_test_message("one of them changed: %.1f ms", (double)(g_get_monotonic_time() - start) / 1000);
    g_assert_cmpuint(rig->renders, ==, renders + 1);
    clock_t cpu = clock(); /* of this process: others may keep the machine busy */
    for (int k = 0; k < 1000; k++) {
        rig_tick(rig, 1000);
    }
    int64_t spent = (int64_t)(clock() - cpu) * 1000000 / CLOCKS_PER_SEC;
    g_test_message("a step in which nothing happens: %.2f us", (double)spent / 1000);
    g_assert_cmpint(spent, <, 200 * 1000); /* 200 us each; a scan of all units would be more */
    rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cost/one-report-proves-many", test_one_report_proves_many);
    g_test_add_func("/cost/many", test_many);
    return g_test_run();
}
