/* fuzz_text.c - times, durations, numbers, paths, names, globs, base64: what parses is written back the same, what is escaped is harmless. */
#include "fuzz.h"
#include "base/digest.h"
#include "base/text.h"
#include <string.h>

static void check_numbers(const char *text)
{
    int64_t time = 0, again = 0, signed_ = 0;
    uint64_t unsigned_ = 0;
    if (sl_parse_time(text, &time)) {
        g_autofree char *shown = sl_format_time(time);
        if (!sl_parse_time(shown, &again) || again != time) {
            fuzz_fail("time %s is shown as %s", text, shown);
        }
    }
    g_autofree char *decimal = sl_parse_int64(text, &signed_) ? g_strdup_printf("%" G_GINT64_FORMAT, signed_) : NULL;
    g_autofree char *positive = sl_parse_uint64(text, &unsigned_) ? g_strdup_printf("%" G_GUINT64_FORMAT, unsigned_) : NULL;
    if ((decimal != NULL && strcmp(decimal, text) != 0) || (positive != NULL && strcmp(positive, text) != 0)) {
        fuzz_fail("number %s has a second spelling", text);
    }
    if (sl_parse_duration(text, &time, NULL)) {
        g_autofree char *shown = sl_format_duration(time);
        g_assert_cmpint(time, >, 0);
    }
}

static void check_words(const char *text)
{
    (void)!sl_check_relative_path(text, NULL);
    (void)sl_nearest(text, (const char *const[]){"promote", "rollback", "status", NULL});
    const char *gap = strchr(text, '\n');
    if (gap != NULL) {
        g_autofree char *pattern = g_strndup(text, (size_t)(gap - text));
        (void)sl_glob_match(pattern, gap + 1);
    }
    g_assert_true(sl_glob_match("*", text));
    if (sl_is_name(text)) {
        g_assert_true(sl_is_plain_line(text, strlen(text)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    check_numbers(text);
    check_words(text);
    g_autofree char *safe = sl_escape_for_people(text, 400);
    if (!sl_is_plain_line(safe, strlen(safe)) && strchr(text, '\n') == NULL && strchr(text, '\t') == NULL) {
        fuzz_fail("escaped text still has something hidden: %s", safe);
    }
    g_autoptr(GBytes) bytes = sl_unbase64((const char *)data, size);
    if (bytes != NULL) {
        g_autofree char *back = sl_base64(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
        if (strlen(back) != size || memcmp(back, data, size) != 0) {
            fuzz_fail("base64 has a second spelling");
        }
    }
    return 0;
}
