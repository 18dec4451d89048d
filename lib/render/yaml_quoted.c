/* yaml_quoted.c - quotes, escapes and line folding of quoted scalars (YAML 1.2.2, 7.3). libfyaml 0.7.12 finds where they
 * begin and end, but gives wrong text for two quotes in a row (`'a''''b'` loses its end) and for a line that goes on
 * after an escaped backslash, and leaks; so their text is made here. */
#include "render/yaml_quoted.h"
#include <glib.h>
#include <stdbool.h>
#include <string.h>

typedef struct {
    const char *at, *end;
    GString *out;
    size_t solid; /* of out: what a folded line must not trim */
} Reader;

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void skip_blanks(Reader *r)
{
    while (r->at < r->end && is_blank(*r->at))
        r->at++;
}

/* \n, \r\n or \r. */
static bool take_break(Reader *r)
{
    if (r->at == r->end || (*r->at != '\n' && *r->at != '\r'))
        return false;
    r->at += *r->at == '\r' && r->at + 1 < r->end && r->at[1] == '\n' ? 2 : 1;
    return true;
}

/* Empty lines and the blanks before the next text; how many lines. */
static size_t skip_empty_lines(Reader *r)
{
    size_t count = 0;
    skip_blanks(r);
    for (; take_break(r); count++)
        skip_blanks(r);
    return count;
}

static void put_newlines(Reader *r, size_t count)
{
    for (size_t i = 0; i < count; i++)
        g_string_append_c(r->out, '\n');
    r->solid = r->out->len;
}

/* At a line break: one is a space, each more a newline. */
static void fold(Reader *r)
{
    while (r->out->len > r->solid && is_blank(r->out->str[r->out->len - 1]))
        g_string_truncate(r->out, r->out->len - 1);
    take_break(r);
    size_t more = skip_empty_lines(r);
    if (more == 0)
        g_string_append_c(r->out, ' ');
    put_newlines(r, more);
}

static bool take_hex(Reader *r, size_t digits, gunichar *ret)
{
    *ret = 0;
    if ((size_t)(r->end - r->at) < digits)
        return false;
    for (size_t i = 0; i < digits; i++, r->at++) {
        if (!g_ascii_isxdigit(*r->at))
            return false;
        *ret = *ret << 4 | (gunichar)g_ascii_xdigit_value(*r->at);
    }
    return true;
}

/* As JSON writes what does not fit 16 bits. */
static bool take_low_surrogate(Reader *r, gunichar *code)
{
    gunichar low = 0;
    if (r->end - r->at < 6 || r->at[0] != '\\' || r->at[1] != 'u')
        return false;
    r->at += 2;
    if (!take_hex(r, 4, &low) || low < 0xdc00 || low > 0xdfff)
        return false;
    *code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

static bool take_code(Reader *r, size_t digits)
{
    gunichar code = 0;
    if (!take_hex(r, digits, &code))
        return false;
    if (digits == 4 && code >= 0xd800 && code <= 0xdbff && !take_low_surrogate(r, &code))
        return false;
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return false;
    g_string_append_unichar(r->out, code);
    return true;
}

/* After a backslash. */
static bool take_escape(Reader *r)
{
    static const char names[] = "0abt\tnvfre \"/\\N_LP";
    static const gunichar codes[] = {0,    '\a', '\b', '\t', '\t', '\n', '\v', '\f',   '\r',
                                     0x1b, ' ',  '"',  '/',  '\\', 0x85, 0xa0, 0x2028, 0x2029};
    char c = *r->at;
    if (take_break(r)) { /* the line goes on: nothing between */
        r->solid = r->out->len;
        put_newlines(r, skip_empty_lines(r));
        return true;
    }
    r->at++;
    if (c == 'x' || c == 'u' || c == 'U')
        return take_code(r, c == 'x' ? 2 : c == 'u' ? 4 : 8);
    const char *found = c != '\0' ? strchr(names, c) : NULL;
    if (!found)
        return false;
    g_string_append_unichar(r->out, codes[found - names]);
    return true;
}

static bool take_one(Reader *r, char quote)
{
    char c = *r->at;
    if (c == '\n' || c == '\r') {
        fold(r);
        return true;
    }
    r->at++;
    if (quote == '"' && c == '\\') {
        bool good = r->at < r->end && take_escape(r);
        r->solid = r->out->len;
        return good;
    }
    if (quote == '\'' && c == '\'') { /* of a pair */
        if (r->at == r->end || *r->at != '\'')
            return false;
        r->at++;
    }
    g_string_append_c(r->out, c);
    return true;
}

char *sl_yaml_quoted(const char *raw, size_t len, char quote, size_t *ret_len)
{
    Reader r = {.at = raw, .end = raw + len, .out = g_string_sized_new(len + 1)};
    while (r.at < r.end) {
        if (!take_one(&r, quote)) {
            g_string_free(r.out, TRUE);
            return NULL;
        }
    }
    *ret_len = r.out->len;
    return g_string_free(r.out, FALSE);
}
