/* test_error.c - the table of errors, throwing, and what people see. */
#include "sluice/error.h"

#include <string.h>

static void test_table(void)
{
    size_t count = 0;
    const SlErrorInfo *table = sl_error_table(&count);
    g_autoptr(GHashTable) slugs = g_hash_table_new(g_str_hash, g_str_equal);
    for (size_t i = 0; i < count; i++) {
        g_test_message("SLU%d %s", table[i].code, table[i].slug);
        g_assert_cmpint(table[i].code, >=, 1000);
        g_assert_cmpint(table[i].code, <=, 9999);
        g_assert_true(i == 0 || table[i].code > table[i - 1].code); /* in order, none used twice */
        g_assert_true(g_hash_table_add(slugs, (gpointer)table[i].slug));
        g_assert_cmpuint(strlen(table[i].advice), >, 10);
        g_assert_true(sl_error_info(table[i].code) == &table[i]);
    }
    g_assert_cmpint(sl_error_info(4711)->code, ==, SLU_INTERNAL);
    g_assert_cmpint(sl_error_info(-1)->code, ==, SLU_INTERNAL);
}

static void test_classes(void)
{
    g_autoptr(GHashTable) exits = g_hash_table_new(NULL, NULL);
    for (int i = 0; i < SL_N_CLASSES; i++) {
        int status = sl_error_http_status((SlErrorClass)i);
        g_assert_true(status >= 400 && status < 600);
        int code = sl_error_exit_code((SlErrorClass)i);
        g_assert_cmpint(code, ==, 3 + i); /* as sluice(1) says: 3 invalid ... 12 internal, in the order of the classes */
        g_assert_true(g_hash_table_add(exits, GINT_TO_POINTER(code)));
        g_assert_nonnull(sl_error_class_name((SlErrorClass)i));
    }
    g_assert_cmpint(sl_error_exit_code(SL_CLASS_INVALID), ==, 3);
    g_assert_cmpint(sl_error_exit_code(SL_CLASS_INTERNAL), ==, 12);
    g_assert_cmpint(sl_error_exit_code(SL_N_CLASSES), ==, 12);
    g_autoptr(GError) foreign = g_error_new_literal(g_quark_from_string("x"), 1001, "foreign");
    g_assert_cmpint(sl_error_class(foreign), ==, SL_CLASS_INTERNAL);
    g_assert_false(sl_error_is_retryable(foreign));
}

static void test_throw(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(sl_throw(&error, SLU_TIMEOUT, "%s took %d s", "fetch", 3));
    g_assert_error(error, SL_ERROR, SLU_TIMEOUT);
    g_assert_true(sl_error_is_retryable(error));
    g_assert_false(sl_prefix(&error, "source %s", "main"));
    g_assert_cmpstr(error->message, ==, "source main: fetch took 3 s");
    g_assert_null(sl_throw_null(NULL, SLU_INVALID, "nobody asks"));
    g_assert_false(sl_prefix(NULL, "nobody asks"));
}

static void test_format(void)
{
    g_autoptr(GError) error = NULL;
    sl_throw(&error, SLU_INVALID, "a \x1b[2J\nSLU9999: forged");
    g_autofree char *text = sl_error_format(error);
    g_assert_cmpstr(text, ==,
                    "SLU1001: a \\x1b[2J\n    SLU9999: forged\n"
                    "  Correct the value that the message names.");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/error/table", test_table);
    g_test_add_func("/error/classes", test_classes);
    g_test_add_func("/error/throw", test_throw);
    g_test_add_func("/error/format", test_format);
    return g_test_run();
}
