/* Reading YAML: values, positions, and every kind of bad input with its message. */
#include "help.h"

static void expect(const char *yaml, const char *json)
{
    g_autoptr(GPtrArray) problems = problems_new();
    g_autofree char *got = yaml_json(yaml, problems);
    assert_quiet(problems);
    g_assert_cmpstr(got, ==, json);
}

static void refused(const char *yaml, size_t len, const char *said)
{
    g_autoptr(GPtrArray) problems = problems_new();
    g_autoptr(GBytes) bytes = g_bytes_new(yaml, len ? len : strlen(yaml));
    g_autoptr(GPtrArray) docs = sl_yaml_read("f.yaml", bytes, true, problems);
    g_assert_true(sl_problems_have_errors(problems));
    assert_said(problems, said);
    for (guint i = 0; i < docs->len; i++)
        g_assert_nonnull(sl_yaml_json(g_ptr_array_index(docs, i)));
}

static void test_values(void)
{
    expect("a: 1\nb: [x, \"yes\", ~]\n", "{\"a\":1,\"b\":[\"x\",\"yes\",null]}");
    expect("b: &b {x: 1, z: 2}\nc:\n  <<: *b\n  x: 3\n", "{\"b\":{\"x\":1,\"z\":2},\"c\":{\"x\":3,\"z\":2}}");
    expect("b: &b {x: 1}\nd: &d {x: 5, q: 1}\nc: {<<: [*b, *d]}\n", "{\"b\":{\"x\":1},\"c\":{\"q\":1,\"x\":1},\"d\":{\"q\":1,\"x\":5}}");
    expect("v: !!binary aGVsbG8=\nw: !!str 12\nx: !!int \"12\"\n", "{\"v\":\"hello\",\"w\":\"12\",\"x\":12}");
    expect("1: a\ntrue: b\n", "{\"1\":\"a\",\"true\":\"b\"}");
    expect("- |\n  a\n\n- >-\n  b\n  c\n- 'it''s'\n", "[\"a\\n\",\"b c\",\"it's\"]");
    expect("v: \"\\uD83D\\uDE00\"\n", "{\"v\":\"\xF0\x9F\x98\x80\"}");
    expect("{\"a\": [1.0, -0.0, 2.5]}", "{\"a\":[1,0,2.5]}");
    expect("# only a comment\n", "");
    expect("a: \"x\\r\\n\"\r\nb: 2\r\n", "{\"a\":\"x\\r\\n\",\"b\":2}");
}

/* What libfyaml alone gets wrong, and the rules of folding and escapes. */
static void test_quoted(void)
{
    expect("- 'ab''''cd'\n- 'a''b'\n- ''''\n- ''''''\n- ''\n", "[\"ab''cd\",\"a'b\",\"'\",\"''\",\"\"]");
    expect("{'a''''b': 'c''''''d'}\n", "{\"a''b\":\"c'''d\"}");
    expect("- 'a  \n\n\n  b\n  c '\n- \"a  \\\n\n  b\\t\n  c\"\n", "[\"a\\n\\nb c \",\"a  \\nb\\t c\"]");
    expect("- \"\\\\\\\n   b\"\n- \"\\x41\\u00e9\\U0001F600\\N\\_\\L\\P\\/\"\n",
           "[\"\\\\b\",\"A\xC3\xA9\xF0\x9F\x98\x80\xC2\x85\xC2\xA0\xE2\x80\xA8\xE2\x80\xA9/\"]");
    expect("- \"a\r\n  b\"\n- 'a\r\n\r\n  b'\n", "[\"a b\",\"a\\nb\"]");
    refused("v: \"\\uD83Dx\"\n", 0, "");
    refused("v: \"a\\0b\"\n", 0, "NUL");
}

static void test_documents(void)
{
    g_autoptr(GPtrArray) problems = problems_new();
    g_autoptr(GPtrArray) docs = read_yaml("---\na: 1\n---\n---\n# nothing\n---\nb: 2\n", problems);
    assert_quiet(problems);
    g_assert_cmpuint(docs->len, ==, 2);
}

static void test_positions(void)
{
    g_autoptr(GPtrArray) problems = problems_new();
    g_autoptr(GPtrArray) docs = read_yaml("kind: X\nspec:\n  environments:\n    dev:\n      parts:\n        - paths: [a]\n"
                                          "  a.b/c: 1\n", problems);
    SlYamlDoc *doc = g_ptr_array_index(docs, 0);
    int line = 0, column = 0;
    sl_yaml_position(doc, "spec.environments.dev.parts.0.paths", &line, &column);
    g_assert_cmpint(line, ==, 6);
    sl_yaml_position(doc, "spec.environments.dev.nothing", &line, &column);
    g_assert_cmpint(line, ==, 5); /* the nearest known parent's value */
    sl_yaml_position(doc, "spec.a.b/c", &line, &column);
    g_assert_cmpint(line, ==, 7);
    g_assert_cmpint(column, ==, 3);
}

static void test_ambiguous(void)
{
    refused("a: no\n", 0, "f.yaml:1:4: SLU1203: `no` is a boolean for kubectl and text for others (write true or false");
    refused("\non: 1\n", 0, "f.yaml:2:1: SLU1203: `on`");
    refused("mode: 0777\n", 0, "`0777` is read as different numbers");
    refused("n: 1_000\n", 0, "`1_000`");
    refused("d: 2001-01-01\n", 0, "`2001-01-01` is text for kubectl, but a date");
    g_autoptr(GPtrArray) problems = problems_new();
    g_autoptr(GBytes) bytes = g_bytes_new("a: no", 5);
    g_autoptr(GPtrArray) docs = sl_yaml_read("f.yaml", bytes, false, problems);
    g_assert_cmpuint(docs->len, ==, 1);
    g_assert_false(sl_problems_have_errors(problems));
    assert_said(problems, "warning SLU1203");
    g_autoptr(GPtrArray) mild = problems_new();
    g_autofree char *json = yaml_json("v: 1.10\n", mild);
    g_assert_false(sl_problems_have_errors(mild));
    assert_said(mild, "its last zero is lost");
}

static void test_syntax(void)
{
    refused("a: 1\nb:\n\t- c\n", 0, "f.yaml:3:1: SLU1200: a tab character is used as indentation");
    refused("a: \"b\n", 0, "SLU1200: not valid YAML: double-quoted scalar without closing quote");
    refused("a: 1\n b: 2\n", 0, "SLU1200");
    refused("a: [1, 2\nb: 3\n", 0, "SLU1200");
    refused("a: {{ .x }}\n", 0, "put text in braces like {{ .x }} in quotes");
    refused("? [a]\n: b\n", 0, "a key must be text");
}

static void test_duplicates(void)
{
    refused("a: 1\nb: 2\na: 3\n", 0, "f.yaml:3:1: SLU1202: key `a` is there twice, first in line 1");
    refused("x: {1: a, \"1\": b}\n", 0, "key `1` is there twice");
}

static void test_bytes(void)
{
    refused("a: b\0c\n", 7, "f.yaml:1:5: SLU1201: a NUL byte");
    refused("\xEF\xBB\xBF" "a: 1\n", 0, "f.yaml:1:1: SLU1201: a byte order mark (BOM) (save the file as UTF-8 without BOM)");
    refused("a: \x01\n", 0, "a control character");
    refused("a: \xff\xfe\n", 0, "not valid UTF-8");
    refused("\xFF\xFE" "a\0", 4, "this is UTF-16");
    refused("a: \"\\0\"\n", 0, "NUL character");
    refused("a: !foo x\n", 0, "SLU1204: tag !foo cannot be used here");
    refused("a: !!timestamp 2001-01-01\n", 0, "SLU1204");
    refused("a: .inf\n", 0, "SLU1206");
    refused("~: x\n", 0, "SLU1205: `~` cannot be a key");
    refused("12345678901234567890: x\n", 0, "cannot be a key");
}

static void test_aliases(void)
{
    GString *bomb = g_string_new("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 9; i++) {
        g_string_append_printf(bomb, "a%d: &a%d [", i, i);
        for (int k = 0; k < 9; k++)
            g_string_append_printf(bomb, "%s*a%d", k ? ", " : "", i - 1);
        g_string_append(bomb, "]\n");
    }
    refused(bomb->str, 0, "SLU1207: aliases (*name) expand to far more than the file holds");
    g_string_free(bomb, TRUE);
    refused("a: &a [*a]\n", 0, "alias *a stands inside its own anchor");
    refused("a: *b\n", 0, "alias *b has no anchor &b before it");
}

static void test_limits(void)
{
    g_autofree char *deep = g_strnfill(100000, '[');
    refused(deep, 0, "SLU1208: values are nested deeper than 64");
    GString *many = g_string_new("[");
    for (int i = 0; i < 200001; i++)
        g_string_append(many, "1,");
    g_string_append(many, "1]");
    refused(many->str, 0, "more than 200000 values");
    g_string_truncate(many, 0);
    for (int i = 0; i < 10001; i++)
        g_string_append(many, "--- a\n");
    refused(many->str, 0, "more than 10000 documents");
    g_string_free(many, TRUE);
    g_autofree char *big = g_strnfill(8 * 1024 * 1024 + 1, 'a');
    refused(big, 0, "a YAML file has at most 8388608");
}

static void test_long_keys_are_no_paths(void)
{
    GString *text = g_string_new("? ");
    for (int i = 0; i < 500000; i++)
        g_string_append_c(text, 'k');
    g_string_append(text, "\n: [");
    for (int i = 0; i < 50000; i++)
        g_string_append(text, "1,");
    g_string_append(text, "1]\n");
    g_autoptr(GPtrArray) problems = problems_new();
    g_autoptr(GPtrArray) docs = read_yaml(text->str, problems);
    assert_quiet(problems);
    g_assert_cmpuint(docs->len, ==, 1);
    g_string_free(text, TRUE);
}

static void test_problem_list_ends(void)
{
    g_autoptr(GPtrArray) problems = problems_new();
    for (int i = 0; i < 1000; i++)
        sl_problem_add(problems, "f", i, 1, SLU_INVALID, false, NULL, "x");
    g_assert_cmpuint(problems->len, ==, 201);
    assert_said(problems, "more than 200 problems");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/yaml/values", test_values);
    g_test_add_func("/yaml/quoted", test_quoted);
    g_test_add_func("/yaml/documents", test_documents);
    g_test_add_func("/yaml/positions", test_positions);
    g_test_add_func("/yaml/ambiguous", test_ambiguous);
    g_test_add_func("/yaml/syntax", test_syntax);
    g_test_add_func("/yaml/duplicates", test_duplicates);
    g_test_add_func("/yaml/bytes", test_bytes);
    g_test_add_func("/yaml/aliases", test_aliases);
    g_test_add_func("/yaml/limits", test_limits);
    g_test_add_func("/yaml/long_keys", test_long_keys_are_no_paths);
    g_test_add_func("/yaml/problems", test_problem_list_ends);
    return g_test_run();
}
