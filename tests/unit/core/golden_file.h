/* golden_file.h - golden vectors: bytes that must never change. SLUICE_GOLDEN_WRITE=1 writes them
 * anew (look at the diff!). */
#pragma once
#include "base/digest.h"
#include "sluice/error.h"
#include <string.h>

#define H1 "1111111111111111111111111111111111111111111111111111111111111111"
#define H2 "2222222222222222222222222222222222222222222222222222222222222222"
#define H3 "3333333333333333333333333333333333333333333333333333333333333333"
#define N1 "0123456789abcdef0123456789abcdef"

static inline char *golden_path(const char *name)
{
    return g_strconcat(SLUICE_SOURCE_DIR "/tests/unit/core/golden/", name, NULL);
}

static inline void golden_check(const char *name, GBytes *actual)
{
    g_autofree char *path = golden_path(name);
    gsize len = 0;
    const char *bytes = g_bytes_get_data(actual, &len);
    if (g_getenv("SLUICE_GOLDEN_WRITE") != NULL) {
        g_assert_true(g_file_set_contents(path, len > 0 ? bytes : "", (gssize)len, NULL));
    }
    g_autofree char *expected = NULL;
    gsize expected_len = 0;
    g_assert_true(g_file_get_contents(path, &expected, &expected_len, NULL));
    g_autofree char *text = g_strndup(len > 0 ? bytes : "", len);
    g_assert_cmpstr(text, ==, expected);
    g_assert_cmpuint(len, ==, expected_len);
}

/* The text with @from replaced by @to, as bytes. */
static inline GBytes *changed(GBytes *text, const char *from, const char *to)
{
    gsize len = 0;
    const char *bytes = g_bytes_get_data(text, &len);
    g_autofree char *copy = g_strndup(bytes, len);
    g_auto(GStrv) parts = g_strsplit(copy, from, 2);
    g_assert_cmpuint(g_strv_length(parts), ==, 2);
    char *joined = g_strjoinv(to, parts);
    return g_bytes_new_take(joined, strlen(joined));
}

/* @error is set, has @code, and its message contains @word. */
static inline void expect_error(GError **error, int code, const char *word)
{
    g_assert_nonnull(*error);
    if ((*error)->code != code || strstr((*error)->message, word) == NULL) {
        g_error("expected code %d and `%s`, got %d: %s", code, word, (*error)->code,
                (*error)->message);
    }
    g_clear_error(error);
}
