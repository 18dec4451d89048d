/* fleet_torn.c - what a file that cannot be parsed was about: so that a typo in one Application's file stops that application
 * alone. Looks at lines only and trusts them for nothing but names to hold still. */
#include "base/text.h"
#include "render/fleet_build.h"
#include <string.h>

/* Value of "key: value" at the begin of @line, without quotes and comment; NULL if it is another line. */
static char *line_value(const char *line, const char *key)
{
    size_t len = strlen(key);
    if (strncmp(line, key, len) != 0 || line[len] != ':')
        return NULL;
    g_autofree char *value = g_strndup(line + len + 1, strcspn(line + len + 1, "#,}"));
    g_strstrip(value);
    size_t size = strlen(value);
    bool quoted = size >= 2 && (*value == '"' || *value == '\'') && value[size - 1] == *value;
    return quoted ? g_strndup(value + 1, size - 2) : g_steal_pointer(&value);
}

/* One document's name, if its lines say `kind: Application` and a name; NULL otherwise. */
static char *torn_name(const char *chunk)
{
    g_auto(GStrv) lines = g_strsplit(chunk, "\n", -1);
    bool application = false, metadata = false;
    g_autofree char *name = NULL;
    for (char **line = lines; *line; line++) {
        g_autofree char *kind = line_value(*line, "kind");
        if (kind && (application || !g_str_equal(kind, "Application")))
            return NULL;
        application |= kind != NULL;
        if (**line != ' ' && **line != '\0')
            metadata = g_str_has_prefix(*line, "metadata:");
        const char *at = metadata && !name ? strstr(*line, "name:") : NULL;
        if (at)
            name = line_value(at, "name");
    }
    return application && name && sl_is_name(name) ? g_steal_pointer(&name) : NULL;
}

static bool is_blank(const char *chunk)
{
    g_auto(GStrv) lines = g_strsplit(chunk, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_strstrip(*line);
        if (**line && **line != '#')
            return false;
    }
    return true;
}

GPtrArray *sl_torn_applications(GBytes *text)
{
    g_autofree char *copy = g_strndup(g_bytes_get_data(text, NULL), g_bytes_get_size(text));
    if (strlen(copy) != g_bytes_get_size(text))
        return NULL; /* NUL: what is behind it is unknown */
    g_autofree char *whole = g_strconcat("\n", copy, NULL);
    g_auto(GStrv) chunks = g_strsplit(whole, "\n---", -1);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    for (char **chunk = chunks; *chunk; chunk++) {
        if (is_blank(*chunk))
            continue;
        char *name = torn_name(*chunk);
        if (!name)
            return NULL;
        g_ptr_array_add(names, name);
    }
    return g_steal_pointer(&names);
}
