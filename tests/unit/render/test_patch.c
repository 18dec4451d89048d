/* Strategic merge and RFC 6902. */
#include "help.h"
#include "render/patch.h"

static json_t *from_yaml(const char *text)
{
    g_autoptr(GPtrArray) problems = problems_new();
    g_autoptr(GPtrArray) docs = read_yaml(text, problems);
    assert_quiet(problems);
    return json_deep_copy(sl_yaml_json(g_ptr_array_index(docs, 0)));
}

static void patched(const char *object, const char *patch, const char *json)
{
    g_autoptr(json_t) tree = from_yaml(object), change = from_yaml(patch);
    g_autoptr(GError) error = NULL;
    bool gone = false;
    bool fine = json_is_array(change) ? sl_patch_6902(tree, change, &error) : sl_patch_strategic(tree, change, &gone, &error);
    g_assert_no_error(error);
    g_assert_true(fine && !gone);
    json_object_del(tree, "apiVersion");
    g_autofree char *got = sl_json_canonical(tree, NULL);
    g_assert_cmpstr(got, ==, json);
}

static void wrong(const char *object, const char *patch, const char *said)
{
    g_autoptr(json_t) tree = from_yaml(object), change = from_yaml(patch), before = json_deep_copy(tree);
    g_autoptr(GError) error = NULL;
    bool gone = false;
    bool fine = json_is_array(change) ? sl_patch_6902(tree, change, &error) : sl_patch_strategic(tree, change, &gone, &error);
    g_assert_false(fine);
    g_assert_error(error, SL_ERROR, SLU_RENDER_PATCH);
    if (!strstr(error->message, said))
        g_error("not said: %s but %s", said, error->message);
    if (json_is_array(change))
        g_assert_true(json_equal(tree, before));
}

#define POD "apiVersion: v1\ncontainers:\n- {name: a, image: x, env: [{name: K, value: \"1\"}]}\n- {name: b}\n"

static void test_strategic(void)
{
    patched("apiVersion: v1\na: {b: 1, c: 2}\n", "a: {b: 3, c: null, d: 4}\n", "{\"a\":{\"b\":3,\"d\":4}}");
    patched(POD, "containers: [{name: a, image: z, env: [{name: L, value: \"2\"}]}]\n",
            "{\"containers\":[{\"env\":[{\"name\":\"K\",\"value\":\"1\"},{\"name\":\"L\",\"value\":\"2\"}],\"image\":\"z\",\"name\":\"a\"},{\"name\":\"b\"}]}");
    patched(POD, "containers: [{name: a, $patch: delete}, {name: c, image: new}]\n",
            "{\"containers\":[{\"name\":\"b\"},{\"image\":\"new\",\"name\":\"c\"}]}");
    patched(POD, "containers: [{$patch: replace}, {name: q}]\n", "{\"containers\":[{\"name\":\"q\"}]}");
    patched("apiVersion: v1\na: {b: 1}\n", "a: {$patch: replace, z: 1}\n", "{\"a\":{\"z\":1}}");
    patched("apiVersion: v1\na: {b: 1}\nc: 1\n", "a: {$patch: delete}\n", "{\"c\":1}");
    patched("apiVersion: v1\nargs: [a, b]\n", "args: [c]\n", "{\"args\":[\"c\"]}");
    patched("apiVersion: v1\nports: [{port: 80, name: x}]\n", "ports: [{port: 80, name: web}, {port: 81}]\n",
            "{\"ports\":[{\"name\":\"web\",\"port\":80},{\"port\":81}]}");
    patched("apiVersion: x.test/v1\nenv: [{name: a}]\n", "env: [{name: b}]\n", "{\"env\":[{\"name\":\"b\"}]}");
    patched("apiVersion: gitops.sluice/v1alpha1\nenv: [{name: a}]\n", "env: [{name: b}]\n", "{\"env\":[{\"name\":\"a\"},{\"name\":\"b\"}]}");
    patched("apiVersion: v1\na: 1\n", "new: {x: null, z: 2}\n", "{\"a\":1,\"new\":{\"z\":2}}");
    g_autoptr(json_t) tree = from_yaml("apiVersion: v1\n"), change = from_yaml("$patch: delete\n");
    bool gone = false;
    g_assert_true(sl_patch_strategic(tree, change, &gone, NULL));
    g_assert_true(gone);
    wrong("apiVersion: v1\na: {b: 1}\n", "a: {$patch: merged}\n", "use delete, replace or merge");
    wrong("apiVersion: v1\na: {b: 1}\n", "a: {$retainKeys: [b]}\n", "$retainKeys is not supported");
}

static void test_6902(void)
{
    patched("a: {b: [1, 2]}\n", "[{op: add, path: /a/b/1, value: 9}]", "{\"a\":{\"b\":[1,9,2]}}");
    patched("a: {b: [1, 2]}\n", "[{op: add, path: /a/b/-, value: 9}]", "{\"a\":{\"b\":[1,2,9]}}");
    patched("a: {b: [1, 2]}\n", "[{op: remove, path: /a/b/0}, {op: replace, path: /a/b/0, value: x}]", "{\"a\":{\"b\":[\"x\"]}}");
    patched("a/b: {c~d: 1}\n", "[{op: move, from: /a~1b/c~0d, path: /e}]", "{\"a/b\":{},\"e\":1}");
    patched("a: 1\n", "[{op: test, path: /a, value: 1}, {op: copy, from: /a, path: /b}]", "{\"a\":1,\"b\":1}");
    wrong("a: 1\n", "[{op: add, path: /b, value: 1}, {op: test, path: /a, value: 2}]", "operation 2: test failed");
    wrong("a: [1]\n", "[{op: replace, path: /a/1, value: 2}]", "path `/a/1` is not in the object");
    wrong("a: [1]\n", "[{op: add, path: /a/01, value: 2}]", "is not in the object");
    wrong("a: 1\n", "[{op: remove, path: /b/c}]", "is not in the object");
    wrong("a: 1\n", "[{op: remove, path: \"\"}]", "the whole object cannot be replaced");
    wrong("a: 1\n", "[{op: frob, path: /a}]", "op `frob` is unknown");
    wrong("a: {b: 1}\n", "[{op: move, from: /a, path: /a/b}]", "cannot be moved into itself");
    wrong("a: 1\n", "[{op: add, path: b, value: 1}]", "must begin with /");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/patch/strategic", test_strategic);
    g_test_add_func("/patch/6902", test_6902);
    return g_test_run();
}
