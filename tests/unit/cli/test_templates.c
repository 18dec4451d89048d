/* test_templates.c - what `init` and `new` write is valid, by the same reader and renderer that the coordinator has. */
#include "cli/templates.h"
#include "rig.h"

static void start(const Rig *r)
{
    rig_put(r, "train.py", "print('t')\n");
    rig_put(r, "serve.py", "print('s')\n");
    rig_put(r, "lib/util.py", "x = 1\n");
}

static void valid(Rig *r)
{
    assert_code(r, RUN(r, "validate"), 0);
    assert_has(r->out, "valid: 3 environments");
    g_assert_cmpstr(r->err, ==, "");
}

static void test_train_and_serve(void)
{
    g_autoptr(Rig) r = rig_new();
    start(r);
    assert_code(r, RUN(r, "new", "digits", "--train", "python3 train.py lib/util.py --name 'two words'", "--serve", "python3 serve.py", "--output", "model",
                       "--port", "9100", "--probe", "/healthz"), 0);
    valid(r);
    g_autofree char *train = rig_read(r, "digits/train/train.yaml"), *code = rig_read(r, "digits/train/code/train.py"),
                    *util = rig_read(r, "digits/train/code/lib/util.py");
    assert_has(train, "\"two words\"");
    g_assert_cmpstr(code, ==, "print('t')\n");
    assert_code(r, RUN(r, "render", "digits/prod"), 0);
    assert_has(r->out, "waits for item model"); /* prod's server */
    assert_code(r, RUN(r, "render", "digits/dev"), 0);
    assert_has(r->out, ": \"TrainingJob\"");
    /* A second one goes into the same file. */
    assert_code(r, RUN(r, "new", "other", "--serve", "python3 serve.py"), 0);
    valid(r);
    assert_has(r->out, "2 applications");
}

static void test_one_part_only(void)
{
    g_autoptr(Rig) r = rig_new();
    start(r);
    assert_code(r, RUN(r, "new", "a", "--train", "python3 train.py"), 0);
    assert_code(r, RUN(r, "new", "b", "--serve", "python3 serve.py"), 0);
    assert_code(r, RUN(r, "new", "c", "--train", "python3 train.py", "--output", "weights"), 0);
    valid(r);
}

static void test_hostile_words(void)
{
    g_autoptr(Rig) r = rig_new();
    start(r);
    assert_code(r, RUN(r, "new", "a", "--serve", "python3 'x\"y: {#' \"\\$HOME\" ---", "--probe", "/ready?x={y}"), 0);
    valid(r);
    g_autofree char *serve = rig_read(r, "a/serve/serve.yaml");
    assert_has(serve, "\"x\\\"y: {#\"");
}

static void test_refusals(void)
{
    g_autoptr(Rig) r = rig_new();
    start(r);
    assert_code(r, RUN(r, "new", "Bad_Name", "--train", "x"), SL_EXIT_USAGE);
    assert_code(r, RUN(r, "new", "a"), SL_EXIT_USAGE);
    assert_code(r, RUN(r, "new", "a", "--serve", "x", "--probe", "/a\"b: c"), SL_EXIT_USAGE);
    assert_code(r, RUN(r, "new", "a", "--serve", "x", "--port", "99999"), SL_EXIT_USAGE);
    assert_code(r, RUN(r, "new", "a", "--train", "x", "--output", "a: b"), SL_EXIT_USAGE);
    assert_code(r, RUN(r, "new", "a", "--train", "python3 'unclosed"), 3);
    rig_put(r, "a/x", "");
    assert_code(r, RUN(r, "new", "a", "--train", "x"), 5);
    rig_put(r, "sluice.yaml", "kind: [\n");
    assert_code(r, RUN(r, "new", "b", "--train", "x"), 3);
    g_autofree char *text = rig_read(r, "sluice.yaml");
    g_assert_cmpstr(text, ==, "kind: [\n"); /* nothing of the user's is lost */
}

static void test_validate(void)
{
    g_autoptr(Rig) r = rig_new();
    start(r);
    assert_code(r, RUN(r, "new", "a", "--serve", "python3 serve.py"), 0);
    g_autofree char *good = rig_read(r, "sluice.yaml"), *bad = g_strconcat(good, "      gatez: []\n", NULL);
    rig_put(r, "sluice.yaml", bad);
    assert_code(r, RUN(r, "validate"), SL_EXIT_NO);
    assert_has(r->err, "sluice.yaml:");
    assert_has(r->err, "SLU1222");
    assert_has(r->err, "gates");
    assert_code(r, RUN(r, "validate", "-o", "json"), SL_EXIT_NO);
    g_autoptr(json_t) answer = sl_json_parse(r->out, strlen(r->out), NULL, "out", NULL);
    g_assert_false(sl_json_bool(answer, "valid", true));
    g_assert_cmpuint(json_array_size(json_object_get(answer, "problems")), ==, 1); /* three environments, said once */
    rig_put(r, "sluice.yaml", good);
    rig_put(r, "a/serve/serve.yaml", "apiVersion: gitops.sluice/v1alpha1\nkind: ModelServer\nmetadata: {name: serve}\nspec: {comand: [x]}\n");
    assert_code(r, RUN(r, "validate"), SL_EXIT_NO);
    assert_has(r->err, "a/serve/serve.yaml:4");
    assert_code(r, RUN(r, "validate", "--schema"), 0);
    g_autoptr(json_t) schema = sl_json_parse(r->out, strlen(r->out), NULL, "schema", NULL);
    g_assert_cmpstr(sl_json_str(schema, "$schema"), ==, "http://json-schema.org/draft-07/schema#");
    g_assert_nonnull(json_object_get(json_object_get(schema, "definitions"), "Application"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/templates/train-and-serve", test_train_and_serve);
    g_test_add_func("/templates/one-part-only", test_one_part_only);
    g_test_add_func("/templates/hostile-words", test_hostile_words);
    g_test_add_func("/templates/refusals", test_refusals);
    g_test_add_func("/templates/validate", test_validate);
    return g_test_run();
}
