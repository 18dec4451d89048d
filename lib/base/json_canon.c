/* json_canon.c - the canonical text of a JSON tree: bytes that are identity (docs/formats.md).
 *
 * One tree has one text, on every machine and in every locale; /usr/bin/python3's
 * json.dumps(sort_keys=True, separators=(",", ":"), ensure_ascii=False) writes the same bytes (a
 * test compares them). */
#include "base/digest.h"
#include "base/json.h"
#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX                                                                                  \
    128 /* far above what is ever parsed; bounds the recursion on trees that we build */
#define EXPONENT_FIXED_MIN (-4)
#define EXPONENT_FIXED_MAX                                                                         \
    16                /* Python's repr: 1e16 is the first that is written with an exponent */
#define DIGITS_MAX 17 /* always enough to read a double back */

typedef struct {
    char digits[DIGITS_MAX + 1];
    int exponent; /* of the first digit: d.ddd * 10^exponent */
} Decimal;

static void decimal_from_text(const char *text, Decimal *ret_decimal) /* "d.ddde-05" */
{
    size_t n = 0;
    const char *at = text;
    for (; *at != 'e'; at++) {
        if (*at != '.') {
            ret_decimal->digits[n++] = *at;
        }
    }
    ret_decimal->digits[n] = '\0';
    ret_decimal->exponent = (int)strtol(at + 1, NULL, 10);
}

static double decimal_value(const Decimal *decimal)
{
    char text[48];
    g_snprintf(text, sizeof text, "%c.%se%d", decimal->digits[0],
               decimal->digits[1] != '\0' ? decimal->digits + 1 : "0", decimal->exponent);
    return g_ascii_strtod(text, NULL);
}

/* The next decimal of the same length. */
static void decimal_up(Decimal *decimal)
{
    size_t n = strlen(decimal->digits);
    while (n > 0) {
        n--;
        if (decimal->digits[n] != '9') {
            decimal->digits[n]++;
            return;
        }
        decimal->digits[n] = '0';
    }
    decimal->digits[0] = '1';
    decimal->exponent++;
}

/* Shortest digits that read back as @value (> 0). At a power of two the gap below is half the gap
 * above, so that the nearest decimal may miss where the next one up hits (2^-44). */
static void shortest(double value, Decimal *ret_decimal)
{
    int binary_exponent = 0;
    bool power_of_two = frexp(value, &binary_exponent) == 0.5;
    for (int digits = 0; digits < DIGITS_MAX; digits++) {
        char format[8];
        char text[48];
        g_snprintf(format, sizeof format, "%%.%de", digits);
        g_ascii_formatd(text, sizeof text, format, value);
        decimal_from_text(text, ret_decimal);
        if (decimal_value(ret_decimal) == value) {
            break;
        }
        Decimal next = *ret_decimal;
        if (power_of_two) {
            decimal_up(&next);
            if (decimal_value(&next) == value) {
                *ret_decimal = next;
                break;
            }
        }
    }
    size_t n = strlen(ret_decimal->digits);
    while (n > 1 && ret_decimal->digits[n - 1] == '0') {
        ret_decimal->digits[--n] = '\0';
    }
}

static void append_fixed(GString *out, const Decimal *decimal)
{
    int n = (int)strlen(decimal->digits);
    if (decimal->exponent < 0) {
        g_string_append(out, "0.");
        for (int i = -1; i > decimal->exponent; i--) {
            g_string_append_c(out, '0');
        }
        g_string_append(out, decimal->digits);
        return;
    }
    for (int i = 0; i <= decimal->exponent || i < n; i++) {
        if (i == decimal->exponent + 1) {
            g_string_append_c(out, '.');
        }
        g_string_append_c(out, i < n ? decimal->digits[i] : '0');
    }
    if (n <= decimal->exponent + 1) {
        g_string_append(out, ".0");
    }
}

static void append_double(GString *out, double value)
{
    if (signbit(value)) {
        g_string_append_c(out, '-');
        value = -value;
    }
    if (value == 0) {
        g_string_append(out, "0.0");
        return;
    }
    Decimal decimal = {0};
    shortest(value, &decimal);
    if (decimal.exponent >= EXPONENT_FIXED_MIN && decimal.exponent < EXPONENT_FIXED_MAX) {
        append_fixed(out, &decimal);
        return;
    }
    g_string_append_c(out, decimal.digits[0]);
    if (decimal.digits[1] != '\0') {
        g_string_append_printf(out, ".%s", decimal.digits + 1);
    }
    g_string_append_printf(out, "e%c%02d", decimal.exponent < 0 ? '-' : '+', abs(decimal.exponent));
}

char *sl_json_repr_double(double value)
{
    if (!isfinite(value)) {
        return g_strdup(isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
    }
    GString *out = g_string_new(NULL);
    append_double(out, value);
    return g_string_free(out, FALSE);
}

static void append_string(GString *out, const char *text, size_t len)
{
    static const char short_escapes[] = "\b\t\n\f\r\"\\";
    static const char short_names[] = "btnfr\"\\";
    g_string_append_c(out, '"');
    for (size_t i = 0; i < len; i++) {
        size_t plain = i;
        while (i < len && (unsigned char)text[i] >= 0x20 && text[i] != '"' && text[i] != '\\') {
            i++;
        }
        g_string_append_len(out, text + plain, (gssize)(i - plain));
        if (i == len) {
            break;
        }
        const char *at = text[i] != '\0' ? strchr(short_escapes, text[i]) : NULL;
        if (at != NULL) {
            g_string_append_c(out, '\\');
            g_string_append_c(out, short_names[at - short_escapes]);
        } else {
            g_string_append_printf(out, "\\u%04x", (unsigned)text[i]);
        }
    }
    g_string_append_c(out, '"');
}

static bool append_value(GString *out, const json_t *value, int depth, GError **error);

static bool append_object(GString *out, const json_t *object, int depth, GError **error)
{
    g_autoptr(GPtrArray) keys = g_ptr_array_new();
    json_t *tree = (json_t *)object; /* jansson's iterators are not const, but change nothing */
    for (void *at = json_object_iter(tree); at != NULL; at = json_object_iter_next(tree, at)) {
        g_ptr_array_add(keys, (gpointer)json_object_iter_key(at));
    }
    g_ptr_array_sort(keys, sl_text_compare);
    g_string_append_c(out, '{');
    for (guint i = 0; i < keys->len; i++) {
        const char *key = g_ptr_array_index(keys, i);
        if (i > 0) {
            g_string_append_c(out, ',');
        }
        append_string(out, key, strlen(key));
        g_string_append_c(out, ':');
        if (!append_value(out, json_object_get(object, key), depth, error)) {
            return false;
        }
    }
    g_string_append_c(out, '}');
    return true;
}

static bool append_array(GString *out, const json_t *array, int depth, GError **error)
{
    g_string_append_c(out, '[');
    for (size_t i = 0; i < json_array_size(array); i++) {
        if (i > 0) {
            g_string_append_c(out, ',');
        }
        if (!append_value(out, json_array_get(array, i), depth, error)) {
            return false;
        }
    }
    g_string_append_c(out, ']');
    return true;
}

static bool append_value(GString *out, const json_t *value, int depth, GError **error)
{
    if (depth > DEPTH_MAX) {
        return sl_throw(error, SLU_LIMIT, "JSON tree is nested deeper than %d", DEPTH_MAX);
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return append_object(out, value, depth + 1, error);
    case JSON_ARRAY:
        return append_array(out, value, depth + 1, error);
    case JSON_STRING:
        append_string(out, json_string_value(value), json_string_length(value));
        return true;
    case JSON_INTEGER:
        g_string_append_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return true;
    case JSON_REAL:
        if (!isfinite(json_real_value(value))) {
            return sl_throw(error, SLU_JSON_NUMBER, "a number is NaN or infinite");
        }
        append_double(out, json_real_value(value));
        return true;
    case JSON_TRUE:
        g_string_append(out, "true");
        return true;
    case JSON_FALSE:
        g_string_append(out, "false");
        return true;
    case JSON_NULL:
    default:
        g_string_append(out, "null");
        return true;
    }
}

char *sl_json_canonical(const json_t *value, GError **error)
{
    g_autoptr(GString) out = g_string_new(NULL);
    if (!append_value(out, value, 0, error)) {
        return NULL;
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

char *sl_json_digest(const json_t *value)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = sl_json_canonical(value, &error);
    if (text == NULL) {
        g_error("a tree of ours has no canonical text: %s", error->message);
    }
    return sl_sha256_hex(text, strlen(text));
}
