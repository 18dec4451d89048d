/* The plain renderer: order, checks, patches, namespace, and what it refuses. */
#include "help.h"
#include "sluice/renderer.h"

#define CM(name) "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " name "}\n"

static GPtrArray *render(SlTree *tree, const char *patches, const char *ns, GPtrArray *problems)
{
    static const char *const paths[] = {"k8s", NULL};
    g_autoptr(GPtrArray) quiet = problems_new();
    g_autoptr(GPtrArray) docs = patches ? read_yaml(patches, quiet) : NULL;
    SlRenderPart part = {.tree = tree, .root = "app", .paths = paths, .namespace_ = ns,
                         .patches = docs ? sl_yaml_json(g_ptr_array_index(docs, 0)) : NULL};
    return sl_renderer_find(&part)->render(&part, problems);
}

static void refused(const char *path, const char *content, const char *said)
{
    SlTree *tree = sl_tree_memory_new();
    put(tree, "app/k8s/ok.yaml", CM("ok"));
    put(tree, path, content);
    g_autoptr(GPtrArray) problems = problems_new();
    g_autoptr(GPtrArray) objects = render(tree, NULL, NULL, problems);
    g_assert_null(objects);
    assert_said(problems, said);
    sl_tree_memory_free(tree);
}

static void test_order(void)
{
    SlTree *tree = sl_tree_memory_new();
    put(tree, "app/k8s/b.yaml", CM("b") "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n");
    put(tree, "app/k8s/a/z.json", "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"z\"}}");
    put(tree, "app/k8s/a.yml", CM("a"));
    put(tree, "app/k8s/readme.txt", "x");
    g_autoptr(GPtrArray) problems = problems_new();
    g_autoptr(GPtrArray) objects = render(tree, NULL, "web", problems);
    assert_quiet(problems);
    GString *names = g_string_new(NULL);
    for (guint i = 0; i < objects->len; i++) {
        const SlRenderObject *object = g_ptr_array_index(objects, i);
        g_string_append_printf(names, "%s/%s:%d ", sl_json_str_or(object->json, "metadata.namespace", "-"),
                               sl_json_str(object->json, "metadata.name"), object->line);
    }
    g_assert_cmpstr(names->str, ==, "web/a:1 web/z:1 web/b:1 -/x:5 ");
    g_string_free(names, TRUE);
    sl_tree_memory_free(tree);
}

static void test_refused(void)
{
    refused("app/k8s/s.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n", "app/k8s/s.yaml:2: SLU1303: Secret s: a plain Secret in Git");
    refused("app/k8s/s.yaml", "apiVersion: v1\nkind: List\nmetadata: {name: s}\nitems: []\n", "SLU1304");
    refused("app/k8s/s.yaml", "apiVersion: v1\nkind: ConfigMapList\nmetadata: {name: s}\nitems: []\n", "SLU1304");
    refused("app/k8s/s.yaml", "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: s-}\n", "generateName gives another object");
    refused("app/k8s/s.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n", "metadata.name is missing");
    refused("app/k8s/s.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 7}\n", "missing or not text");
    refused("app/k8s/s.yaml", "kind: ConfigMap\nmetadata: {name: x}\n", "apiVersion and kind are needed");
    refused("app/k8s/s.yaml", CM("ok"), "app/k8s/s.yaml:1:1: SLU1302: core/ConfigMap - ok is there twice, first in app/k8s/ok.yaml:1");
    refused("app/k8s/s.yaml", CM("x") "status: {a: 1}\n", "status is written by the cluster");
    refused("app/k8s/s.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, labels: {a: 1}}\n", "metadata.labels.a must be text (put it in quotes)");
    refused("app/k8s/s.yaml", "a: 1\n", "holds no object with apiVersion and kind");
    refused("app/k8s/s.yaml", CM("x") "data: {a: no}\n", "app/k8s/s.yaml:4:11: SLU1203: `no`");
    refused("app/k8s/s.yaml", CM("x") "data: {a: x, a: z}\n", "SLU1202: key `a` is there twice");
    refused("app/k8s/s.json", "{\"apiVersion\": \"v1\",}", "app/k8s/s.json");
    refused("app/k8s/s.yaml", "apiVersion: gitops.sluice/v1alpha1\nkind: Environment\nmetadata: {name: x}\n", "cannot be applied to a cluster");
    refused("app/k8s/../x.yaml", CM("x"), "SLU1400");
    SlTree *tree = sl_tree_memory_new();
    sl_tree_memory_put(tree, "app/k8s/link.yaml", "x", SL_TREE_SYMLINK);
    g_autoptr(GPtrArray) problems = problems_new();
    g_assert_null(render(tree, NULL, NULL, problems));
    assert_said(problems, "app/k8s/link.yaml is a symbolic link");
    sl_tree_memory_free(tree);
}

static char *patched(const char *patches, GPtrArray *problems)
{
    SlTree *tree = sl_tree_memory_new();
    put(tree, "app/k8s/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web-a, labels: {t: w}}\ndata: {k: \"1\"}\n---\n" CM("other"));
    put(tree, "app/prod.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web-a}\ndata: {k: \"2\"}\n");
    g_autoptr(GPtrArray) objects = render(tree, patches, NULL, problems);
    sl_tree_memory_free(tree);
    GString *text = g_string_new(NULL);
    for (guint i = 0; objects && i < objects->len; i++) {
        const SlRenderObject *object = g_ptr_array_index(objects, i);
        g_string_append_printf(text, "%s=%s ", sl_json_str(object->json, "metadata.name"), sl_json_str_or(object->json, "data.k", "-"));
    }
    return g_string_free(text, FALSE);
}

static void test_patches(void)
{
    static const char *const rows[][2] = {
        {"[{path: prod.yaml}]", "web-a=2 other=- "},
        {"[{patch: {data: {k: \"3\"}}, target: {kind: ConfigMap, name: \"web-*\"}}]", "web-a=3 other=- "},
        {"[{patch: {data: {k: \"3\"}}, target: {labelSelector: \"t=w\"}}]", "web-a=3 other=- "},
        {"[{patch: {data: {k: \"3\"}}, target: {labelSelector: \"t!=w\"}}]", "web-a=1 other=3 "},
        {"[{patch: [{op: replace, path: /data/k, value: \"4\"}], target: {name: web-a}}]", "web-a=4 other=- "},
        {"[{patch: \"- {op: replace, path: /data/k, value: '5'}\", target: {name: web-a, group: core, version: v1}}]", "web-a=5 other=- "},
        {"[{patch: {$patch: delete}, target: {name: other}}]", "web-a=1 "},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GPtrArray) problems = problems_new();
        g_autofree char *got = patched(rows[i][0], problems);
        assert_quiet(problems);
        g_assert_cmpstr(got, ==, rows[i][1]);
    }
}

static void test_bad_patches(void)
{
    static const char *const rows[][2] = {
        {"[{path: nothing.yaml}]", "app/nothing.yaml: SLU1305: the patch cannot be read"},
        {"[{patch: {data: {k: \"3\"}}, target: {name: nobody}}]", "the patch meets no object: kind *, name nobody"},
        {"[{patch: {data: {k: \"3\"}}}]", "has no target, and names no kind and metadata.name itself"},
        {"[{patch: [{op: remove, path: /data/zz}], target: {name: web-a}}]", "path `/data/zz` is not in the object"},
        {"[{patch: {metadata: {name: x}}, target: {name: web-a}}]", "a patch must not change which object it is"},
        {"[{patch: \"a: [\", target: {name: web-a}}]", "SLU1200"},
        {"[{patch: {a: 1}, target: {name: \"web-(a|b)\"}}]", "not a regular expression"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GPtrArray) problems = problems_new();
        g_autofree char *got = patched(rows[i][0], problems);
        g_assert_cmpstr(got, ==, "");
        assert_said(problems, rows[i][1]);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/plain/order", test_order);
    g_test_add_func("/plain/refused", test_refused);
    g_test_add_func("/plain/patches", test_patches);
    g_test_add_func("/plain/bad_patches", test_bad_patches);
    return g_test_run();
}
