/* text.c - checks and escapes for text from outside: names, UTF-8, paths, globs, order, "did you mean".
 *
 * Every loop is bounded by its input's length or by a named limit; nothing here allocates from a
 * length that the text itself claims. Numbers and times are in text_number.c, enum names in
 * text_names.c. */
#include "base/text.h"

#include <string.h>

#define PATH_BYTES_MAX 1024 /* as Git hosts and PATH_MAX on small file systems take it */
#define PATH_PARTS_MAX 64
#define NEAREST_DISTANCE_MAX 3
#define NEAREST_LEN_MAX                                                                            \
    64 /* longer words are no typing mistakes of ours; bounds the table on the stack */

char *sl_env_name(const char *prefix, const char *name)
{
    GString *text = g_string_new(prefix);
    for (const char *c = name; *c != '\0'; c++) {
        g_string_append_c(text, g_ascii_isalnum(*c) ? g_ascii_toupper(*c) : '_');
    }
    return g_string_free(text, FALSE);
}

int sl_text_compare(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GPtrArray *sl_sorted_keys(GHashTable *table)
{
    GPtrArray *keys = g_ptr_array_sized_new(g_hash_table_size(table));
    GHashTableIter iter;
    gpointer key;
    g_hash_table_iter_init(&iter, table);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        g_ptr_array_add(keys, key);
    }
    g_ptr_array_sort(keys, sl_text_compare);
    return keys;
}

static bool is_lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool sl_is_name(const char *text)
{
    if (text == NULL || !is_lower_alnum(text[0])) {
        return false;
    }
    size_t n = 0;
    for (; text[n] != '\0'; n++) {
        if (n >= SL_NAME_MAX || (!is_lower_alnum(text[n]) && text[n] != '-')) {
            return false;
        }
    }
    return text[n - 1] != '-';
}

/* Visible ASCII and spaces at the start: nearly all that is checked consists of nothing else. */
static size_t plain_ascii(const char *bytes, size_t len)
{
    size_t n = 0;
    while (n < len && bytes[n] >= 0x20 && bytes[n] < 0x7f) {
        n++;
    }
    return n;
}

bool sl_is_clean_utf8(const char *bytes, size_t len, bool allow_cr)
{
    size_t plain = 0;
    while ((plain += plain_ascii(bytes + plain, len - plain)) < len && bytes[plain] == '\n') {
        plain++;
    }
    bytes += plain;
    len -= plain;
    if (!g_utf8_validate_len(bytes, len, NULL)) {
        return false;
    }
    const char *end = bytes + len;
    for (const char *at = bytes; at < end; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);
        bool allowed = c == '\t' || c == '\n' || (c == '\r' && allow_cr);
        if (!allowed && (c < 0x20 || (c >= 0x7f && c < 0xa0))) {
            return false;
        }
    }
    return true;
}

/* Controls, and characters that make a line look like another one (bidirectional overrides,
 * separators). */
static bool is_hostile(gunichar c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || (c >= 0x200e && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

bool sl_is_plain_line(const char *text, size_t len)
{
    size_t plain = plain_ascii(text, len);
    text += plain;
    len -= plain;
    if (!g_utf8_validate_len(text, len, NULL)) {
        return false;
    }
    for (const char *at = text; at < text + len; at = g_utf8_next_char(at)) {
        if (is_hostile(g_utf8_get_char(at))) {
            return false;
        }
    }
    return true;
}

char *sl_escape_for_people(const char *text, size_t max)
{
    GString *out = g_string_new(NULL);
    const char *at = text != NULL ? text : "";
    size_t left = strlen(at);
    while (left > 0) {
        gunichar c = g_utf8_get_char_validated(at, (gssize)MIN(left, 6));
        bool broken = c == (gunichar)-1 || c == (gunichar)-2;
        size_t len = broken ? 1 : (size_t)(g_utf8_next_char(at) - at);
        bool escape = broken || is_hostile(c);
        if (out->len + (escape ? 4 * len : len) > max) {
            g_string_append(out, "...");
            break;
        }
        for (size_t i = 0; i < len; i++) {
            if (escape) {
                g_string_append_printf(out, "\\x%02x", (unsigned char)at[i]);
            } else {
                g_string_append_c(out, at[i]);
            }
        }
        at += len;
        left -= len;
    }
    return g_string_free(out, FALSE);
}

/* Code points that HFS+ ignores in names. */
static bool hfs_ignores(gunichar c)
{
    return (c >= 0x200c && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
           (c >= 0x206a && c <= 0x206f) || c == 0xfeff;
}

static bool is_hfs_dotgit(const char *name)
{
    static const char dotgit[] = ".git";
    size_t at = 0;
    if (!g_utf8_validate(name, -1, NULL)) {
        return false;
    }
    for (; *name != '\0'; name = g_utf8_next_char(name)) {
        gunichar c = g_utf8_get_char(name);
        if (hfs_ignores(c)) {
            continue;
        }
        if (at == 4 || c > 0x7f || g_ascii_tolower((char)c) != dotgit[at++]) {
            return false;
        }
    }
    return at == 4;
}

bool sl_is_dotgit(const char *name)
{
    static const char *const stems[] = {".git", "git~1"};
    for (size_t i = 0; i < G_N_ELEMENTS(stems); i++) {
        size_t len = strlen(stems[i]);
        if (g_ascii_strncasecmp(name, stems[i], len) == 0) {
            const char *rest = name + len + strspn(name + len, " .");
            if (*rest == '\0' || *rest == ':') {
                return true;
            }
        }
    }
    return is_hfs_dotgit(name);
}

static const char *path_mistake(const char *path)
{
    if (path == NULL || *path == '\0') {
        return "is empty";
    }
    size_t len = strlen(path);
    if (len > PATH_BYTES_MAX) {
        return "is longer than 1024 bytes";
    }
    if (!sl_is_clean_utf8(path, len, false) || strpbrk(path, "\t\n") != NULL) {
        return "has a control character or is not UTF-8";
    }
    if (path[0] == '/') {
        return "is absolute";
    }
    size_t parts = 0;
    for (const char *part = path;; parts++) {
        size_t n = strcspn(part, "/");
        if (n == 0) {
            return "has an empty part";
        }
        if (strncmp(part, "..", MAX(n, 2)) == 0 || (n == 1 && part[0] == '.')) {
            return "has a part \".\" or \"..\"";
        }
        g_autofree char *name = g_strndup(part, n);
        if (sl_is_dotgit(name)) {
            return "has a part \".git\"";
        }
        if (part[n] == '\0') {
            break;
        }
        part += n + 1;
    }
    return parts + 1 > PATH_PARTS_MAX ? "has more than 64 parts" : NULL;
}

bool sl_check_relative_path(const char *path, GError **error)
{
    const char *mistake = path_mistake(path);
    if (mistake == NULL) {
        return true;
    }
    g_autofree char *shown = sl_escape_for_people(path, 80);
    return sl_throw(error, SLU_INVALID, "path \"%s\" %s; give a relative path with '/'", shown,
                    mistake);
}

static const char *next_char(const char *at)
{
    at++;
    while (((unsigned char)*at & 0xc0) == 0x80) {
        at++;
    }
    return at;
}

/* Greedy with one point of return: the last '*' may always take one more character, earlier ones
 * need not. */
bool sl_glob_match(const char *pattern, const char *text)
{
    const char *star = NULL;
    const char *resume = NULL;
    while (*text != '\0') {
        if (*pattern == '*') {
            star = ++pattern;
            resume = text;
        } else if (*pattern == '?') {
            pattern++;
            text = next_char(text);
        } else if (*pattern == *text) {
            pattern++;
            text++;
        } else if (star != NULL) {
            pattern = star;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == '\0';
}

/* Levenshtein with swaps of neighbours as one step; words longer than the limit are far from
 * everything. */
static size_t distance(const char *a, const char *b)
{
    size_t n = strnlen(a, NEAREST_LEN_MAX + 1);
    size_t m = strnlen(b, NEAREST_LEN_MAX + 1);
    if (n > NEAREST_LEN_MAX || m > NEAREST_LEN_MAX) {
        return SIZE_MAX;
    }
    size_t rows[3][NEAREST_LEN_MAX + 1];
    for (size_t j = 0; j <= m; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= n; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];
        const size_t *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            best = MIN(best, MIN(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                best = MIN(best, above2[j - 2] + 1);
            }
            row[j] = best;
        }
    }
    return rows[n % 3][m];
}

const char *sl_nearest(const char *word, const char *const *candidates)
{
    const char *nearest = NULL;
    size_t least = MIN(NEAREST_DISTANCE_MAX + 1, strlen(word));
    for (size_t i = 0; candidates[i] != NULL; i++) {
        size_t d = distance(word, candidates[i]);
        if (d < least) {
            least = d;
            nearest = candidates[i];
        }
    }
    return nearest;
}
