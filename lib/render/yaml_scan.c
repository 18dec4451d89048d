/* yaml_scan.c - bytes that have no place in a YAML file, found before the parser sees them (libfyaml stops at NUL and
 * lets control characters and a BOM through). */
#include "render/yaml_tree.h"
#include <string.h>

static bool refuse(const SlYamlAsk *ask, int line, int column, const char *what, const char *hint)
{
    sl_problem_add(ask->problems, ask->file, line, column, SLU_YAML_BYTES, false, hint, "%s", what);
    return false;
}

static const char *bad_char(gunichar c, const char **ret_hint)
{
    if (c == 0xFEFF) {
        *ret_hint = "save the file as UTF-8 without BOM";
        return "a byte order mark (BOM)";
    }
    *ret_hint = "remove it, or write it as an escape in double quotes";
    if (c == 0)
        return "a NUL byte";
    if (c == '\t' || c == '\n' || c == '\r')
        return NULL;
    if (c == 0x85 || c == 0x2028 || c == 0x2029)
        return "a Unicode line break: kubectl ends the line there, others do not";
    return c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0xFFFE || c == 0xFFFF ? "a control character" : NULL;
}

bool sl_yaml_scan(const SlYamlAsk *ask, GBytes *text)
{
    size_t len = 0;
    const char *p = g_bytes_get_data(text, &len);
    if (len > SL_YAML_BYTES_MAX) {
        sl_problem_add(ask->problems, ask->file, 0, 0, SLU_YAML_LIMIT, false, "split the file",
                       "%zu bytes; a YAML file has at most %zu", len, SL_YAML_BYTES_MAX);
        return false;
    }
    if (len == 0)
        return true; /* GBytes of nothing have no address */
    if (len >= 2 && (memcmp(p, "\xFF\xFE", 2) == 0 || memcmp(p, "\xFE\xFF", 2) == 0))
        return refuse(ask, 1, 1, "this is UTF-16", "save the file as UTF-8 without BOM");
    const char *end = p + len;
    int line = 1, column = 1;
    while (p < end) {
        gunichar c = *p ? g_utf8_get_char_validated(p, end - p) : 0;
        if (c == (gunichar)-1 || c == (gunichar)-2)
            return refuse(ask, line, column, "bytes that are not valid UTF-8", "save the file as UTF-8");
        const char *hint = NULL, *what = bad_char(c, &hint);
        if (what)
            return refuse(ask, line, column, what, hint);
        column++;
        if (c == '\n') {
            line++;
            column = 1;
        }
        p = *p ? g_utf8_next_char(p) : p + 1;
    }
    return true;
}
