/* test_gittree.c - the strict reader of trees: Git's order, and every name that is refused. */
#include "core/gittree.h"
#include "golden_file.h"
#include <string.h>

typedef struct {
    const char *mode, *name;
} Entry;

static void append(GByteArray *bytes, const char *mode, const char *name)
{
    static const uint8_t id[20] = {1, 2, 3};
    g_byte_array_append(bytes, (const guint8 *)mode, (guint)strlen(mode));
    g_byte_array_append(bytes, (const guint8 *)" ", 1);
    g_byte_array_append(bytes, (const guint8 *)name, (guint)strlen(name) + 1);
    g_byte_array_append(bytes, id, sizeof id);
}

static GPtrArray *parse(const Entry *entries, GError **error)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    for (; entries->mode != NULL; entries++)
        append(bytes, entries->mode, entries->name);
    return sl_gittree_parse(bytes->data, bytes->len, "apps/web", error);
}

static void test_reads(void)
{
    static const Entry good[] = {{"100644", "a"},      {"100644", "a.b"}, {"40000", "a0"},
                                 {"100755", "b.yaml"}, {"40000", "b"},    {"120000", "b0"},
                                 {"160000", "sub"},    {"100600", "z"},   {NULL, NULL}};
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) list = parse(good, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(list->len, ==, 8);
    const SlGitEntry *folder = list->pdata[4];
    g_assert_cmpuint(folder->mode, ==, 040000);
    g_assert_cmpstr(folder->name, ==, "b");
    g_assert_cmpuint(folder->id[1], ==, 2);
    g_autoptr(GPtrArray) empty = sl_gittree_parse("", 0, "", &error);
    g_assert_no_error(error);
    g_assert_cmpuint(empty->len, ==, 0);
}

static void test_names(void)
{
    static const char *const bad[] = {".",
                                      "..",
                                      "a/b",
                                      "a\\b",
                                      ".git",
                                      ".GIT",
                                      ".Git ",
                                      ".git...",
                                      ".git . ",
                                      ".git:x",
                                      "git~1",
                                      "GIT~1 .",
                                      "git~1:$x",
                                      ".gi\xe2\x80\x8ct",
                                      "\xef\xbb\xbf.GIT",
                                      ".git\xe2\x80\x8f",
                                      "a\nb",
                                      "a\033[31m",
                                      "\xff",
                                      "a\xe2\x80\xae"
                                      "b"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        const Entry entries[] = {{"100644", bad[i]}, {NULL, NULL}};
        g_autoptr(GError) error = NULL;
        g_assert_null(parse(entries, &error));
        expect_error(&error, SLU_SOURCE_ENTRY, "apps/web/");
    }
    static const char *const fit[] = {".gitignore", ".gitmodules", "git~2",         "git", ".gi",
                                      "a b",        ".git-x",      "\xc3\xa4.yaml", "..."};
    for (size_t i = 0; i < G_N_ELEMENTS(fit); i++) {
        const Entry entries[] = {{"100644", fit[i]}, {NULL, NULL}};
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) list = parse(entries, &error);
        g_assert_no_error(error);
    }
}

static void test_order(void)
{
    static const struct {
        Entry entries[4];
        const char *says;
    } bad[] = {
        {{{"100644", "b"}, {"100644", "a"}}, "not in Git's order"},
        {{{"40000", "b"}, {"100644", "b.yaml"}}, "not in Git's order"},
        {{{"100644", "a"}, {"100644", "a"}}, "twice"},
        {{{"100644", "a"}, {"40000", "a"}}, "twice"},
        {{{"100644", "a"}, {"100644", "a.b"}, {"40000", "a"}}, "twice"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(parse(bad[i].entries, &error));
        expect_error(&error, SLU_SOURCE_ENTRY, bad[i].says);
    }
}

static void test_malformed(void)
{
    static const char *const modes[] = {"", "0100644", "1006444", "10064x", "-1"};
    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        const Entry entries[] = {{modes[i], "a"}, {NULL, NULL}};
        g_autoptr(GError) error = NULL;
        g_assert_null(parse(entries, &error));
        expect_error(&error, SLU_CORRUPT, "malformed");
    }
    g_autoptr(GByteArray) whole = g_byte_array_new();
    append(whole, "100644", "a");
    for (guint cut = 1; cut < whole->len; cut++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(sl_gittree_parse(whole->data, cut, "", &error));
        expect_error(&error, SLU_CORRUPT, "cut short");
    }
    char name[SL_GITTREE_NAME_MAX + 2];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    const Entry entries[] = {{"100644", name}, {NULL, NULL}};
    g_autoptr(GError) error = NULL;
    g_assert_null(parse(entries, &error));
    expect_error(&error, SLU_SOURCE_ENTRY, "longer than 255");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/gittree/reads", test_reads);
    g_test_add_func("/gittree/names", test_names);
    g_test_add_func("/gittree/order", test_order);
    g_test_add_func("/gittree/malformed", test_malformed);
    return g_test_run();
}
