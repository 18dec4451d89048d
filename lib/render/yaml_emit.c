/* yaml_emit.c - readable YAML of a JSON tree: block maps and lists, every string double-quoted, keys in byte order.
 *
 * Any reader (YAML 1.1, 1.2, kubectl) understands it alike, for nothing plain is left but true, false, null and
 * decimal numbers. Reading it back gives the same canonical JSON. */
#include "base/text.h"
#include "render/yaml.h"
#include <string.h>

static void emit_string(GString *out, const char *text)
{
    g_string_append_c(out, '"');
    for (const char *p = text; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        if (c == '"' || c == '\\')
            g_string_append_printf(out, "\\%c", (char)c);
        else if (c == '\n')
            g_string_append(out, "\\n");
        else if (c == '\t')
            g_string_append(out, "\\t");
        else if (c == '\r')
            g_string_append(out, "\\r");
        else if (c < 0x20 || (c >= 0x7F && c <= 0xA0) || c == 0x2028 || c == 0x2029 || c == 0xFEFF || c == 0xFFFE ||
                 c == 0xFFFF)
            g_string_append_printf(out, "\\u%04x", c);
        else
            g_string_append_unichar(out, c);
    }
    g_string_append_c(out, '"');
}

static void emit_scalar(GString *out, const json_t *value)
{
    if (json_is_string(value)) {
        emit_string(out, json_string_value(value));
    } else if (json_is_integer(value)) {
        g_string_append_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else if (json_is_real(value)) {
        g_autofree char *number = sl_json_repr_double(json_real_value(value));
        char *exponent = strpbrk(number, "eE");
        /* 1e-07 would be text for YAML 1.1: it wants a dot before, and a sign after the e (repr has that). */
        if (exponent && !memchr(number, '.', (size_t)(exponent - number)))
            g_string_append_printf(out, "%.*s.0%s", (int)(exponent - number), number, exponent);
        else
            g_string_append(out, number);
    } else {
        g_string_append(out, json_is_true(value) ? "true" : json_is_false(value) ? "false" : "null");
    }
}

static void indent(GString *out, int depth)
{
    for (int i = 0; i < depth; i++)
        g_string_append(out, "  ");
}

static void emit_list(GString *out, const json_t *value, int depth, bool first_here);

/* @first_here: the first key goes on the line that is begun already ("- "). */
static void emit_map(GString *out, const json_t *value, int depth, bool first_here)
{
    g_autoptr(GPtrArray) keys = g_ptr_array_new();
    const char *key = NULL;
    json_t *member = NULL;
    json_object_foreach((json_t *)value, key, member)
        g_ptr_array_add(keys, (char *)key);
    g_ptr_array_sort(keys, sl_text_compare);
    for (guint i = 0; i < keys->len; i++) {
        key = g_ptr_array_index(keys, i);
        member = json_object_get(value, key);
        if (i > 0 || !first_here)
            indent(out, depth);
        emit_string(out, key);
        g_string_append_c(out, ':');
        if (json_is_object(member) && json_object_size(member) > 0) {
            g_string_append_c(out, '\n');
            emit_map(out, member, depth + 1, false);
        } else if (json_is_array(member) && json_array_size(member) > 0) {
            g_string_append_c(out, '\n');
            emit_list(out, member, depth + 1, false);
        } else {
            g_string_append_c(out, ' ');
            if (json_is_object(member) || json_is_array(member))
                g_string_append(out, json_is_object(member) ? "{}" : "[]");
            else
                emit_scalar(out, member);
            g_string_append_c(out, '\n');
        }
    }
}

static void emit_list(GString *out, const json_t *value, int depth, bool first_here)
{
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        if (i > 0 || !first_here)
            indent(out, depth);
        g_string_append(out, "- ");
        if (json_is_object(item) && json_object_size(item) > 0) {
            emit_map(out, item, depth + 1, true);
        } else if (json_is_array(item) && json_array_size(item) > 0) {
            emit_list(out, item, depth + 1, true);
        } else {
            if (json_is_object(item) || json_is_array(item))
                g_string_append(out, json_is_object(item) ? "{}" : "[]");
            else
                emit_scalar(out, item);
            g_string_append_c(out, '\n');
        }
    }
}

char *sl_yaml_emit(const json_t *value)
{
    GString *out = g_string_new(NULL);
    if (json_is_object(value) && json_object_size(value) > 0) {
        emit_map(out, value, 0, false);
    } else if (json_is_array(value) && json_array_size(value) > 0) {
        emit_list(out, value, 0, false);
    } else {
        if (json_is_object(value) || json_is_array(value))
            g_string_append(out, json_is_object(value) ? "{}" : "[]");
        else
            emit_scalar(out, value);
        g_string_append_c(out, '\n');
    }
    return g_string_free(out, FALSE);
}
