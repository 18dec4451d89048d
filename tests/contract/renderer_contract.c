/* renderer_contract.c - what every row of renderers.def must keep: it detects by names only, reads nothing outside the part's paths, renders the same
 * objects twice, and answers a broken file with a problem that names file and line, never with fewer objects. */
#include "render/tree.h"
#include "render/yaml.h"
#include "sluice/renderer.h"
#include <string.h>

typedef struct {
    SlTree *below;
    unsigned reads, outside;
} Spy;

static GPtrArray *spy_list(void *user, const char *path, GError **error)
{
    Spy *spy = user;
    return spy->below->list(spy->below->user, path, error);
}

static GBytes *spy_read(void *user, const char *path, size_t max, GError **error)
{
    Spy *spy = user;
    spy->reads++;
    spy->outside += g_str_has_prefix(path, "app/in/") ? 0 : 1;
    return spy->below->read(spy->below->user, path, max, error);
}

static const char object[] = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: \"v\"}\n";

static SlTree *make_tree(const char *second)
{
    SlTree *tree = sl_tree_memory_new();
    sl_tree_memory_put(tree, "app/in/a.yaml", object, SL_TREE_FILE);
    sl_tree_memory_put(tree, "app/in/b.yaml", second, SL_TREE_FILE);
    sl_tree_memory_put(tree, "app/out/c.yaml", "not: read", SL_TREE_FILE);
    sl_tree_memory_put(tree, "secret", "not read", SL_TREE_FILE);
    return tree;
}

static GPtrArray *render(const SlRendererOps *ops, SlTree *tree, Spy *spy, GPtrArray *problems)
{
    static const char *const paths[] = {"in", NULL};
    *spy = (Spy){.below = tree};
    SlTree watched = {.user = spy, .list = spy_list, .read = spy_read};
    SlRenderPart part = {.tree = &watched, .root = "app", .paths = paths};
    if (!ops->detect(&part)) {
        return NULL;
    }
    g_assert_cmpuint(spy->reads, ==, 0); /* detect looks at names only */
    return ops->render(&part, problems);
}

static char *text_of(const GPtrArray *objects)
{
    GString *out = g_string_new(NULL);
    for (guint i = 0; i < objects->len; i++) {
        const SlRenderObject *each = g_ptr_array_index(objects, i);
        g_autofree char *text = sl_json_canonical(each->json, NULL);
        g_assert_nonnull(text);
        g_assert_nonnull(each->file);
        g_assert_cmpint(each->line, >, 0);
        g_string_append_printf(out, "%s:%d %s\n", each->file, each->line, text);
    }
    return g_string_free(out, FALSE);
}

static void test_rows(void)
{
    size_t rows = 0;
    for (const SlRendererOps *const *ops = sl_renderers(); *ops != NULL; ops++, rows++) {
        g_assert_nonnull((*ops)->name);
        g_assert_nonnull((*ops)->detect);
        g_assert_nonnull((*ops)->render);
    }
    g_assert_cmpuint(rows, >, 0);
}

static void test_same_twice(void)
{
    for (const SlRendererOps *const *ops = sl_renderers(); *ops != NULL; ops++) {
        SlTree *tree = make_tree("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n");
        Spy spy;
        g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
        g_autoptr(GPtrArray) one = render(*ops, tree, &spy, problems);
        g_autoptr(GPtrArray) two = render(*ops, tree, &spy, problems);
        if (one != NULL) {
            g_autofree char *first = text_of(one), *second = text_of(two);
            g_assert_cmpstr(first, ==, second);
            g_assert_cmpuint(one->len, ==, 2);
            g_assert_cmpuint(spy.outside, ==, 0);
            g_assert_false(sl_problems_have_errors(problems));
        }
        sl_tree_memory_free(tree);
    }
}

static void test_broken(void)
{
    static const char *const broken[] = {"a: [", "a: 1\na: 2\n", "\tx", "kind: ConfigMap\n", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"};
    for (const SlRendererOps *const *ops = sl_renderers(); *ops != NULL; ops++) {
        for (size_t i = 0; i < G_N_ELEMENTS(broken); i++) {
            SlTree *tree = make_tree(broken[i]);
            Spy spy;
            g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
            g_autoptr(GPtrArray) objects = render(*ops, tree, &spy, problems);
            (void)objects;
            g_assert_true(sl_problems_have_errors(problems));
            const SlProblem *first = g_ptr_array_index(problems, 0);
            g_assert_cmpstr(first->file, ==, "app/in/b.yaml");
            g_assert_cmpint(first->line, >, 0);
            sl_tree_memory_free(tree);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/renderer/rows-are-complete", test_rows);
    g_test_add_func("/renderer/same-twice-nothing-outside", test_same_twice);
    g_test_add_func("/renderer/broken-file-is-a-problem", test_broken);
    return g_test_run();
}
