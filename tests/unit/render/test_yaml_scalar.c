/* Plain scalars, against what `kubectl label --local -o json` 1.32 made of them. */
#include "render/yaml_scalar.h"
#include "base/json.h"
#include <glib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    const char *text, *json; /* json NULL: refused */
    bool trap;
} Row;

static const Row rows[] = {
    {"yes", "true", true}, {"no", "false", true}, {"on", "true", true}, {"off", "false", true}, {"y", "true", true},
    {"n", "false", true}, {"Y", "true", true}, {"N", "false", true}, {"TRUE", "true", false}, {"True", "true", false},
    {"true", "true", false}, {"tRUE", "\"tRUE\"", false}, {"Yes", "true", true}, {"ON", "true", true},
    {"0777", "511", true}, {"0o777", "511", true}, {"0O17", "15", true}, {"1_000", "1000", true}, {"0x1F", "31", false},
    {"0X1f", "31", true}, {"0b101", "5", true}, {"0B1", "1", true}, {"08", "8", true}, {"09.5", "9.5", true},
    {"+1", "1", false}, {"-1", "-1", false}, {"+1.5", "1.5", false}, {"1.10", "1.1", true}, {"1e3", "1000", true},
    {"1E3", "1000", true}, {"1e400", "\"1e400\"", true}, {".inf", NULL, false}, {"-.inf", NULL, false}, {".NaN", NULL, false},
    {"12345678901234567890", "1.2345678901234567e+19", true}, {"-9223372036854775808", "-9223372036854775808", false},
    {"9223372036854775807", "9223372036854775807", false}, {".5", "0.5", false}, {"5.", "5", false}, {"-0", "0", false},
    {"-0.0", "0", false}, {"0x", "\"0x\"", false}, {"0b12", "\"0b12\"", false}, {"0o8", "\"0o8\"", false},
    {"1__0", "10", true}, {"_1", "\"_1\"", false}, {"1_", "1", true}, {"1_0.5", "10.5", true},
    {"190:20:30", "\"190:20:30\"", true}, {"2001-01-01", "\"2001-01-01\"", true},
    {"2001-12-14T21:59:43Z", "\"2001-12-14T21:59:43Z\"", true}, {"~", "null", false}, {"null", "null", false},
    {"Null", "null", false}, {"NULL", "null", false}, {"nULL", "\"nULL\"", false}, {"", "null", false},
    {"0x1_F", "31", true}, {"-0x1F", "-31", true}, {"-0o17", "-15", true}, {"017", "15", true}, {"00", "0", true},
    {"0.0", "0", false}, {"1.0", "1", false}, {"1.0e-7", "1e-07", false}, {"123456.789", "123456.789", false},
    {"0x1FFFFFFFFFFFFFFFF", "\"0x1FFFFFFFFFFFFFFFF\"", false}, {"0x1p3", "\"0x1p3\"", false}, {"inf", "\"inf\"", false},
    {"NaN", "\"NaN\"", false}, {"1e", "\"1e\"", false}, {"e3", "\"e3\"", false}, {".e3", "\".e3\"", false},
    {".", "\".\"", false}, {"..", "\"..\"", false}, {"+.5", "0.5", false}, {"+.", "\"+.\"", false}, {"0_7", "7", true},
    {"1.5e3", "1500", true}, {"1.5e+3", "1500", false}, {"=", "\"=\"", false}, {"8080:80", "\"8080:80\"", false},
    {"22:22", "\"22:22\"", true}, {"1.2.3", "\"1.2.3\"", false}, {"v1", "\"v1\"", false},
};

static char *as_json(const char *text, const SlScalar *scalar)
{
    switch (scalar->type) {
    case SL_SCALAR_NULL: return g_strdup("null");
    case SL_SCALAR_BOOL: return g_strdup(scalar->boolean ? "true" : "false");
    case SL_SCALAR_INT: return g_strdup_printf("%" G_GINT64_FORMAT, scalar->integer);
    case SL_SCALAR_REAL: return sl_json_repr_double(scalar->real);
    case SL_SCALAR_NONFINITE: return NULL;
    default: return g_strdup_printf("\"%s\"", text);
    }
}

static void test_as_kubectl(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        SlScalar scalar;
        sl_scalar_resolve(rows[i].text, strlen(rows[i].text), &scalar);
        g_autofree char *json = as_json(rows[i].text, &scalar);
        if (g_strcmp0(json, rows[i].json) != 0 || (scalar.trap != NULL) != rows[i].trap)
            g_error("%s: got %s%s, want %s%s", rows[i].text, json, scalar.trap ? " (trap)" : "", rows[i].json,
                    rows[i].trap ? " (trap)" : "");
        g_assert_true(!scalar.trap || scalar.advice);
    }
}

static void test_long_text_is_text(void)
{
    g_autofree char *digits = g_strnfill(100000, '1');
    SlScalar scalar;
    sl_scalar_resolve(digits, 100000, &scalar);
    g_assert_cmpint(scalar.type, ==, SL_SCALAR_STRING);
}

/* The real kubectl, where it is installed: the table above must be what it says today. */
static void test_differential(void)
{
    g_autofree char *kubectl = g_find_program_in_path("kubectl");
    if (!kubectl) {
        g_test_skip("no kubectl here");
        return;
    }
    GString *doc = g_string_new("apiVersion: v1\nkind: Foo\nmetadata: {name: a}\nspec:\n");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (rows[i].json)
            g_string_append_printf(doc, "  k%zu: %s\n", i, rows[i].text);
    g_autofree char *path = NULL, *out = NULL, *err = NULL;
    int fd = g_file_open_tmp("sluice-scalar-XXXXXX.yaml", &path, NULL), status = 0;
    g_assert_cmpint(fd, >=, 0);
    g_assert_true(g_file_set_contents(path, doc->str, (gssize)doc->len, NULL));
    close(fd);
    char *argv[] = {kubectl, (char[]){"label"}, (char[]){"--local"}, (char[]){"-f"}, path, (char[]){"-o"}, (char[]){"json"}, (char[]){"a=b"}, NULL};
    bool ran = g_spawn_sync(NULL, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, &err, &status, NULL) && status == 0;
    unlink(path);
    g_string_free(doc, TRUE);
    if (!ran) {
        g_test_skip("this kubectl has no `label --local`");
        return;
    }
    json_error_t error;
    g_autoptr(json_t) got = json_loads(out, JSON_DECODE_INT_AS_REAL, &error);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (!rows[i].json)
            continue;
        g_autofree char *path_of = g_strdup_printf("spec.k%zu", i);
        g_autoptr(json_t) want = json_loads(rows[i].json, JSON_DECODE_INT_AS_REAL | JSON_DECODE_ANY, &error);
        if (!json_equal(want, sl_json_at(got, path_of)))
            g_error("kubectl reads %s otherwise than %s", rows[i].text, rows[i].json);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/yaml_scalar/as_kubectl", test_as_kubectl);
    g_test_add_func("/yaml_scalar/long", test_long_text_is_text);
    g_test_add_func("/yaml_scalar/differential", test_differential);
    return g_test_run();
}
