/* test_json.c - bounded reading, accessors, and canonical text against /usr/bin/python3's json. */
#include "base/digest.h"
#include "base/json.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#define PYTHON "/usr/bin/python3"

static json_t *parse(const char *text, GError **error)
{
    return sl_json_parse(text, strlen(text), NULL, "body", error);
}

static void expect_error(const char *text, int code, const char *part)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) tree = parse(text, &error);
    g_assert_null(tree);
    g_assert_error(error, SL_ERROR, code);
    g_assert_nonnull(strstr(error->message, part));
}

static void test_bad_input(void)
{
    expect_error("", SLU_JSON_SYNTAX, "body:1:0:");
    expect_error("{\"a\":1,}", SLU_JSON_SYNTAX, "body:1:");
    expect_error("{\"a\":1} x", SLU_JSON_SYNTAX, "end of file");
    expect_error("{\"a\":1,\"a\":2}", SLU_JSON_DUPLICATE_KEY, "duplicate");
    expect_error("[9223372036854775808]", SLU_JSON_NUMBER, "big");
    expect_error("[1e999]", SLU_JSON_NUMBER, "overflow");
    expect_error("[NaN]", SLU_JSON_SYNTAX, "body:1:");
    expect_error("[\"\\u0000\"]", SLU_JSON_SYNTAX, "\\u0000");
    expect_error("[\"\xff\"]", SLU_UTF8, "byte 2");
    expect_error("[\"\xed\xa0\x80\"]", SLU_UTF8, "byte 2");
    expect_error("[\"\\ud800\"]", SLU_JSON_SYNTAX, "body:1:");
    g_autoptr(GError) error = NULL;
    g_assert_null(sl_json_parse("[1]\0", 4, NULL, "line", &error));
    g_assert_error(error, SL_ERROR, SLU_UTF8);
}

static void test_limits(void)
{
    g_autoptr(GString) deep = g_string_new(NULL);
    for (int i = 0; i < 33; i++) {
        g_string_append_c(deep, '[');
    }
    expect_error(deep->str, SLU_LIMIT, "deeper than 32");
    SlJsonLimits limits = {.nodes_max = 4, .bytes_max = 20};
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) good = sl_json_parse("[1,\"[,]\",{}]", 12, &limits, "x", &error);
    g_assert_nonnull(good);
    g_assert_no_error(error);
    g_assert_null(sl_json_parse("[1,2,3,4]", 9, &limits, "x", &error));
    g_assert_error(error, SL_ERROR, SLU_LIMIT);
    g_clear_error(&error);
    g_assert_null(sl_json_parse("[1,2,3,4,        5,6]", 21, &limits, "x", &error));
    g_assert_error(error, SL_ERROR, SLU_LIMIT);
    g_assert_cmpstr(error->message, ==, "x: 21 bytes of JSON; at most 20 are read");
}

static void test_accessors(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) tree =
        parse("{\"spec\":{\"model\":{\"name\":\"m\"},\"n\":3,\"on\":true,\"list\":[]}}", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(sl_json_str(tree, "spec.model.name"), ==, "m");
    g_assert_null(sl_json_str(tree, "spec.n"));
    g_assert_null(sl_json_str(tree, "spec.model.name.x"));
    g_assert_cmpstr(sl_json_str_or(tree, "spec.x", "d"), ==, "d");
    g_assert_cmpint(sl_json_int(tree, "spec.n", 9), ==, 3);
    g_assert_cmpint(sl_json_int(tree, "spec.on", 9), ==, 9);
    g_assert_true(sl_json_bool(tree, "spec.on", false));
    g_assert_nonnull(sl_json_need_array(tree, "spec.list", &error));
    g_assert_nonnull(sl_json_need_object(tree, "spec.model", &error));
    g_assert_no_error(error);
    g_assert_null(sl_json_need_str(tree, "spec.n", &error));
    g_assert_error(error, SL_ERROR, SLU_JSON_TYPE);
    g_assert_cmpstr(error->message, ==, "spec.n: must be a text, but is an integer");
    g_clear_error(&error);
    int64_t value = 7;
    g_assert_false(sl_json_need_int(tree, "spec.gone", &value, &error));
    g_assert_cmpstr(error->message, ==, "spec.gone: must be an integer, but is missing");
    g_assert_cmpint(value, ==, 7);
}

static void test_canonical(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) tree = parse("{\"b\":[1,-0,2.0,1e400e],\"a\":1}", &error);
    g_assert_null(tree);
    g_clear_error(&error);
    tree = parse(" {\"\\u00e9\":null, \"z\":[true,false,1.0,-0.0,1e16,12345678901234567890.0],"
                 "\"a\\u0001\\t\\\"\\\\\\/\":\"\\u007f\\u2028\"} ",
                 &error);
    g_assert_no_error(error);
    g_autofree char *text = sl_json_canonical(tree, &error);
    g_assert_cmpstr(text, ==,
                    "{\"a\\u0001\\t\\\"\\\\/\":\"\x7f\u2028\",\"z\":[true,false,1.0,-0.0,1e+16,"
                    "1.2345678901234567e+19],\"é\":null}");
    g_autofree char *digest = sl_json_digest(tree);
    g_autofree char *same = sl_sha256_hex(text, strlen(text));
    g_assert_cmpstr(digest, ==, same);
}

static void test_not_finite(void)
{
    g_autoptr(json_t) tree = json_object();
    g_assert_cmpint(json_object_set_new(tree, "x", json_real(NAN)), !=, 0);
    g_autofree char *nan_text = sl_json_repr_double(NAN);
    g_assert_cmpstr(nan_text, ==, "nan");
    g_autofree char *inf_text = sl_json_repr_double(-INFINITY);
    g_assert_cmpstr(inf_text, ==, "-inf");
}

/* Runs @script with @input on stdin; stdout. */
static char *python(const char *script, const char *input)
{
    g_autofree char *path = NULL;
    g_autoptr(GError) error = NULL;
    int fd = g_file_open_tmp("sluice-json-XXXXXX", &path, &error);
    g_assert_no_error(error);
    g_close(fd, NULL);
    g_assert_true(g_file_set_contents(path, input, -1, NULL));
    const char *argv[] = {PYTHON, "-c", script, path, NULL};
    char *out = NULL;
    int status = 0;
    g_assert_true(
        g_spawn_sync(NULL, (char **)argv, NULL, 0, NULL, NULL, &out, NULL, &status, &error));
    g_assert_cmpint(status, ==, 0);
    g_unlink(path);
    return out;
}

static double double_of_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void add_double(GString *bits_text, GString *repr_text, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    g_autofree char *repr = sl_json_repr_double(value);
    g_string_append_printf(bits_text, "%016" G_GINT64_MODIFIER "x\n", bits);
    g_string_append_printf(repr_text, "%s\n", repr);
}

/* Every power of two (their gaps are uneven), powers of ten and neighbours, and random bit
 * patterns. */
static void test_repr_as_python(void)
{
    g_autoptr(GString) bits = g_string_new(NULL);
    g_autoptr(GString) reprs = g_string_new(NULL);
    for (int e = -1074; e < 1024; e++) {
        add_double(bits, reprs, ldexp(1.0, e));
        add_double(bits, reprs, nextafter(ldexp(1.0, e), 0));
    }
    for (int e = -30; e < 30; e++) {
        add_double(bits, reprs, pow(10, e));
        add_double(bits, reprs, -nextafter(pow(10, e), INFINITY));
        add_double(bits, reprs, 12345.678 * pow(10, e));
    }
    g_autoptr(GRand) rand = g_rand_new_with_seed(20261123);
    for (int i = 0; i < 4000; i++) {
        double value = double_of_bits(((uint64_t)g_rand_int(rand) << 32) | g_rand_int(rand));
        if (isfinite(value)) {
            add_double(bits, reprs, value);
        }
        add_double(bits, reprs, g_rand_int_range(rand, -100000, 100000) / 1000.0);
    }
    g_autofree char *expected =
        python("import struct,sys\n"
               "for l in open(sys.argv[1]):\n"
               "  print(repr(struct.unpack('>d', bytes.fromhex(l.strip()))[0]))\n",
               bits->str);
    g_assert_cmpstr(reprs->str, ==, expected);
}

static json_t *random_tree(GRand *rand, int depth)
{
    static const char *const strings[] = {
        "",     "a",          "b/c", "é", "日本",   "\x01\x1f", "\"\\\n\r\t\b\f",
        "\x7f", "\U0001F600", "a.b", "~", "\u2028", "\u00a0z"};
    int kind = g_rand_int_range(rand, 0, depth > 0 ? 9 : 6);
    switch (kind) {
    case 0:
        return json_null();
    case 1:
        return json_boolean(g_rand_boolean(rand));
    case 2:
        return json_integer((json_int_t)(((uint64_t)g_rand_int(rand) << 32) | g_rand_int(rand)));
    case 3:
        return json_real(g_rand_double_range(rand, -1e6, 1e6));
    case 4:
        return json_real(ldexp(g_rand_double(rand), g_rand_int_range(rand, -200, 200)));
    case 5:
        return json_string(strings[g_rand_int_range(rand, 0, G_N_ELEMENTS(strings))]);
    default:
        break;
    }
    json_t *tree = kind == 6 ? json_array() : json_object();
    for (int i = g_rand_int_range(rand, 0, 6); i > 0; i--) {
        json_t *child = random_tree(rand, depth - 1);
        if (kind == 6) {
            json_array_append_new(tree, child);
        } else {
            g_autofree char *key =
                g_strconcat(strings[g_rand_int_range(rand, 0, G_N_ELEMENTS(strings))],
                            strings[g_rand_int_range(rand, 0, G_N_ELEMENTS(strings))], NULL);
            json_object_set_new(tree, key, child);
        }
    }
    return tree;
}

static void test_canonical_as_python(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(7);
    g_autoptr(GString) input = g_string_new(NULL);
    g_autoptr(GString) ours = g_string_new(NULL);
    for (int i = 0; i < 3000; i++) {
        g_autoptr(json_t) tree = random_tree(rand, 4);
        g_autofree char *text = sl_json_canonical(tree, NULL);
        /* Another text of the same tree goes to Python: escaped, unsorted, with spaces. */
        char *loose =
            json_dumps(tree, JSON_ENCODE_ANY | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(17));
        g_string_append_printf(input, "%s\n", loose);
        g_string_append_printf(ours, "%s\n", text);
        free(loose);

        g_autoptr(GError) error = NULL;
        g_autoptr(json_t) back = sl_json_parse(text, strlen(text), NULL, "own", &error);
        g_assert_no_error(error);
        g_autofree char *again = sl_json_canonical(back, &error);
        g_assert_cmpstr(again, ==, text);
    }
    g_autofree char *expected =
        python("import json,sys\nsys.stdout.reconfigure(encoding='utf-8', newline='\\n')\n"
               "for l in open(sys.argv[1]):\n"
               "  print(json.dumps(json.loads(l), sort_keys=True, separators=(',', ':'),"
               " ensure_ascii=False))\n",
               input->str);
    g_assert_cmpstr(ours->str, ==, expected);
}

static void test_setters(void)
{
    g_autoptr(json_t) tree = json_object();
    sl_json_set_str(tree, "a", "x");
    sl_json_set_str(tree, "b", NULL);
    sl_json_set_str(tree, "c", "bad \xff");
    sl_json_set_int(tree, "d", INT64_MIN);
    sl_json_set_bool(tree, "e", true);
    const char *list[] = {"p", "q", NULL};
    json_object_set_new(tree, "f", sl_json_strv(list));
    json_object_set_new(tree, "g", sl_json_from_ptr_array(NULL));
    g_autofree char *text = sl_json_canonical(tree, NULL);
    g_assert_cmpstr(text, ==,
                    "{\"a\":\"x\",\"b\":null,\"c\":\"bad \\\\xff\",\"d\":-9223372036854775808,"
                    "\"e\":true,\"f\":[\"p\",\"q\"],\"g\":[]}");
}

static void test_too_deep_to_write(void)
{
    g_autoptr(json_t) tree = json_array();
    for (int i = 0; i < 200; i++) {
        json_t *outer = json_array();
        json_array_append_new(outer, g_steal_pointer(&tree));
        tree = outer;
    }
    g_autoptr(GError) error = NULL;
    g_assert_null(sl_json_canonical(tree, &error));
    g_assert_error(error, SL_ERROR, SLU_LIMIT);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/json/bad-input", test_bad_input);
    g_test_add_func("/json/limits", test_limits);
    g_test_add_func("/json/accessors", test_accessors);
    g_test_add_func("/json/canonical", test_canonical);
    g_test_add_func("/json/not-finite", test_not_finite);
    g_test_add_func("/json/repr-as-python", test_repr_as_python);
    g_test_add_func("/json/canonical-as-python", test_canonical_as_python);
    g_test_add_func("/json/setters", test_setters);
    g_test_add_func("/json/too-deep-to-write", test_too_deep_to_write);
    return g_test_run();
}
