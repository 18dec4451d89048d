/* json_parse.c - JSON bytes to jansson's tree in one pass: RFC 8259, no duplicate keys, no NUL,
 * integers of 64 bits.
 *
 * Jansson's own reader asks a function for each byte, 13 ns of it; a coordinator's start is reading
 * JSON. Depth and nodes are bounded while the tree grows, so hostile bytes cost no more than good
 * ones of their length. Must never look behind the last byte: there may be no NUL. */
#include "base/json.h"
#include "base/text.h"
#include "sluice/types.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define BYTES_MAX_DEFAULT (1024 * 1024)
#define DEPTH_MAX_DEFAULT 32
#define NODES_MAX_DEFAULT 200000
#define SHOWN_MAX 20 /* bytes of the input that a message quotes */

/* Without memory jansson says NULL, which reads as "these bytes are no JSON": a good promotion would
 * be refused for good. So it ends the process, as GLib does, and the next one reads again. */
__attribute__((constructor)) static void no_memory_is_no_bad_json(void)
{
    json_set_alloc_funcs(g_malloc, g_free);
}

typedef struct {
    const char *start, *at, *end, *where;
    int depth, depth_max;
    size_t nodes, nodes_max; /* keys too: they cost memory as well */
    GString *unescaped;
    GError **error;
} Reader;

/* Whole characters, and escaped for people: what is quoted came from outside. */
static char *quoted(const Reader *r)
{
    const char *end = r->at;
    while (end < r->end && end - r->at < SHOWN_MAX && *end != '\n') {
        end = MIN(g_utf8_next_char(end), r->end);
    }
    g_autofree char *raw = g_strndup(r->at, (gsize)(end - r->at));
    g_autofree char *clean = sl_escape_for_people(raw, 4 * SHOWN_MAX);
    return *clean != '\0' ? g_strdup_printf("'%s'", clean) : g_strdup("the end");
}

/* "body:3:7: WHAT, not 'x'": line and column, both from 1, of where the reader stands. */
static bool mistake(const Reader *r, SlErrorCode code, const char *what)
{
    size_t line = 1, column = 1;
    for (const char *at = r->start; at < r->at; at = g_utf8_next_char(at)) {
        line += *at == '\n' ? 1 : 0;
        column = *at == '\n' ? 1 : column + 1;
    }
    g_autofree char *found = quoted(r);
    return sl_throw(r->error, code, "%s:%zu:%zu: %s, not %s", r->where, line, column, what, found);
}

static bool count_node(Reader *r)
{
    return ++r->nodes <= r->nodes_max ||
           sl_throw(r->error, SLU_LIMIT, "%s: byte %zu: more than %zu keys and values", r->where,
                    (size_t)(r->at - r->start), r->nodes_max);
}

static char peek(const Reader *r) /* NUL at the end: no other NUL gets here */
{
    return r->at < r->end ? *r->at : '\0';
}

static void skip_space(Reader *r)
{
    while (r->at < r->end &&
           (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t')) {
        r->at++;
    }
}

/* ---- strings ---- */

/* The four hex digits at @r->at + @from, or -1. */
static int hex4(const Reader *r, size_t from)
{
    int value = 0;
    if ((size_t)(r->end - r->at) < from + 4) {
        return -1;
    }
    for (size_t i = from; i < from + 4; i++) {
        int digit = g_ascii_xdigit_value(r->at[i]);
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

/* Stands on the backslash of \uXXXX; two of them for what lies above U+FFFF. */
static bool read_code(Reader *r)
{
    int code = hex4(r, 2);
    if (code == 0) {
        return mistake(r, SLU_JSON_SYNTAX, "\\u0000 is not allowed; a character is expected");
    }
    if (code >= 0xD800 && code <= 0xDBFF && r->end - r->at >= 12 && r->at[6] == '\\' &&
        r->at[7] == 'u') {
        int low = hex4(r, 8);
        code = low >= 0xDC00 && low <= 0xDFFF ? 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
                                              : -1;
    }
    if (code < 0 || (code >= 0xD800 && code <= 0xDFFF)) {
        return mistake(r, SLU_JSON_SYNTAX, "the code of a character is expected");
    }
    g_string_append_unichar(r->unescaped, (gunichar)code);
    r->at += code > 0xFFFF ? 12 : 6;
    return true;
}

static bool read_escape(Reader *r)
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    char name = r->at + 1 < r->end ? r->at[1] : '\0';
    if (name == 'u') {
        return read_code(r);
    }
    const char *found = name != '\0' ? strchr(names, name) : NULL;
    if (found == NULL) {
        return mistake(r, SLU_JSON_SYNTAX,
                       "one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u is expected");
    }
    g_string_append_c(r->unescaped, values[found - names]);
    r->at += 2;
    return true;
}

/* Up to what a string can't hold as it is: a quote, a backslash, a control. */
static const char *plain_end(const char *at, const char *end)
{
    while (at < end && (unsigned char)*at >= 0x20 && *at != '"' && *at != '\\') {
        at++;
    }
    return at;
}

/* Stands on the opening quote. The text is borrowed until the next string is read. */
static bool read_string(Reader *r, const char **ret_text, size_t *ret_len)
{
    const char *from = ++r->at;
    r->at = plain_end(r->at, r->end);
    if (peek(r) == '"') { /* most have no escape */
        *ret_text = from;
        *ret_len = (size_t)(r->at - from);
        r->at++;
        return true;
    }
    g_string_truncate(r->unescaped, 0);
    g_string_append_len(r->unescaped, from, r->at - from);
    while (peek(r) != '"') {
        if (peek(r) != '\\') {
            return mistake(r, SLU_JSON_SYNTAX, "the end of the text (\") is expected");
        }
        if (!read_escape(r)) {
            return false;
        }
        from = r->at;
        r->at = plain_end(r->at, r->end);
        g_string_append_len(r->unescaped, from, r->at - from);
    }
    r->at++;
    *ret_text = r->unescaped->str;
    *ret_len = r->unescaped->len;
    return true;
}

/* ---- numbers ---- */

static bool skip_digits(Reader *r)
{
    const char *from = r->at;
    while (g_ascii_isdigit(peek(r))) {
        r->at++;
    }
    return r->at > from;
}

static bool skip_number(Reader *r, bool *ret_real)
{
    r->at += *r->at == '-' ? 1 : 0;
    bool good = true;
    if (peek(r) == '0') {
        r->at++; /* and no digit after it */
    } else {
        good = skip_digits(r);
    }
    if (good && peek(r) == '.') {
        *ret_real = true;
        r->at++;
        good = skip_digits(r);
    }
    if (good && (peek(r) == 'e' || peek(r) == 'E')) {
        *ret_real = true;
        r->at++;
        r->at += peek(r) == '+' || peek(r) == '-' ? 1 : 0;
        good = skip_digits(r);
    }
    return good || mistake(r, SLU_JSON_SYNTAX, "a digit is expected");
}

static json_t *read_number(Reader *r)
{
    const char *from = r->at;
    bool real = false;
    if (!skip_number(r, &real)) {
        return NULL;
    }
    g_autofree char *text = g_strndup(from, (gsize)(r->at - from));
    errno = 0;
    double value = real ? g_ascii_strtod(text, NULL) : 0;
    gint64 whole = real ? 0 : g_ascii_strtoll(text, NULL, 10);
    bool overflow = errno == ERANGE && (!real || isinf(value));
    if (overflow) {
        r->at = from;
        mistake(r, SLU_JSON_NUMBER,
                real ? "too big for a real number: less is expected"
                     : "too big for an integer of 64 bits: less is expected");
        return NULL;
    }
    return real ? json_real(value) : json_integer(whole);
}

/* ---- values ---- */

static json_t *read_value(Reader *r);

static bool read_member(Reader *r, json_t *object)
{
    const char *text = NULL;
    size_t len = 0;
    const char *from = r->at;
    if (peek(r) != '"') {
        return mistake(r, SLU_JSON_SYNTAX, "a key in quotes is expected");
    }
    if (!count_node(r) || !read_string(r, &text, &len)) {
        return false;
    }
    if (json_object_getn(object, text, len) != NULL) {
        r->at = from;
        return mistake(r, SLU_JSON_DUPLICATE_KEY, "duplicate key: another one is expected");
    }
    /* The value may have escapes too, and then takes the place of the key's text. */
    g_autofree char *own = text == r->unescaped->str ? g_strndup(text, len) : NULL;
    skip_space(r);
    if (peek(r) != ':') {
        return mistake(r, SLU_JSON_SYNTAX, "':' is expected");
    }
    r->at++;
    skip_space(r);
    json_t *value = read_value(r);
    return value != NULL &&
           json_object_setn_new_nocheck(object, own != NULL ? own : text, len, value) == 0;
}

static bool read_element(Reader *r, json_t *array)
{
    json_t *value = read_value(r);
    return value != NULL && json_array_append_new(array, value) == 0;
}

/* Stands on the opening bracket. */
static json_t *read_container(Reader *r, json_t *tree /* taken */, char close,
                              bool (*read_one)(Reader *, json_t *))
{
    g_autoptr(json_t) container = tree;
    if (++r->depth > r->depth_max) {
        return sl_throw_null(r->error, SLU_LIMIT, "%s: byte %zu: nested deeper than %d", r->where,
                             (size_t)(r->at - r->start), r->depth_max);
    }
    r->at++;
    skip_space(r);
    for (bool first = true; peek(r) != close; first = false) {
        if (!first && peek(r) != ',') {
            mistake(r, SLU_JSON_SYNTAX,
                    close == '}' ? "',' or '}' is expected" : "',' or ']' is expected");
            return NULL;
        }
        r->at += first ? 0 : 1;
        skip_space(r);
        if (!read_one(r, container)) {
            return NULL;
        }
        skip_space(r);
    }
    r->at++;
    r->depth--;
    return g_steal_pointer(&container);
}

static json_t *read_word(Reader *r)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        size_t len = strlen(words[i]);
        if ((size_t)(r->end - r->at) >= len && memcmp(r->at, words[i], len) == 0 &&
            (r->at + len == r->end || !g_ascii_isalnum(r->at[len]))) {
            r->at += len;
            return i == 2 ? json_null() : json_boolean(i == 0);
        }
    }
    mistake(r, SLU_JSON_SYNTAX, "a value is expected");
    return NULL;
}

static json_t *read_value(Reader *r)
{
    const char *text = NULL;
    size_t len = 0;
    if (!count_node(r)) {
        return NULL;
    }
    switch (peek(r)) {
    case '{':
        return read_container(r, json_object(), '}', read_member);
    case '[':
        return read_container(r, json_array(), ']', read_element);
    case '"':
        return read_string(r, &text, &len) ? json_stringn_nocheck(text, len) : NULL;
    default:
        return peek(r) == '-' || g_ascii_isdigit(peek(r)) ? read_number(r) : read_word(r);
    }
}

static bool check_bytes(const char *bytes, size_t len, size_t bytes_max, const char *where,
                        GError **error)
{
    const char *end = NULL;
    if (len > bytes_max) {
        return sl_throw(error, SLU_LIMIT, "%s: %zu bytes of JSON; at most %zu are read", where, len,
                        bytes_max);
    }
    if (!g_utf8_validate_len(bytes, len, &end)) {
        return sl_throw(error, SLU_UTF8, "%s: byte %zu is not UTF-8 (or is NUL)", where,
                        (size_t)(end - bytes));
    }
    return true;
}

json_t *sl_json_parse(const char *bytes, size_t len, const SlJsonLimits *limits, const char *where,
                      GError **error)
{
    SlJsonLimits most = limits != NULL ? *limits : (SlJsonLimits){0};
    most.bytes_max = most.bytes_max > 0 ? most.bytes_max : BYTES_MAX_DEFAULT;
    if (!check_bytes(bytes, len, most.bytes_max, where, error)) {
        return NULL;
    }
    Reader r = {.start = bytes,
                .at = bytes,
                .end = bytes + len,
                .where = where,
                .depth_max = most.depth_max > 0 ? most.depth_max : DEPTH_MAX_DEFAULT,
                .nodes_max = most.nodes_max > 0 ? most.nodes_max : NODES_MAX_DEFAULT,
                .unescaped = g_string_new(NULL),
                .error = error};
    skip_space(&r);
    g_autoptr(json_t) tree = read_value(&r);
    skip_space(&r);
    if (tree != NULL && r.at < r.end) {
        mistake(&r, SLU_JSON_SYNTAX, "the end of file is expected");
        g_clear_pointer(&tree, json_decref);
    }
    g_string_free(r.unescaped, TRUE);
    return g_steal_pointer(&tree);
}
