/* route.c - see route.h. */
#include "coordinator/api/route.h"
#include "base/text.h"
#include "coordinator/api/call.h"
#include <string.h>

#define SEGMENT_MAX 512 /* bytes of one path parameter: "app/env/Kind/name" comes as a query */
#define VALUE_MAX 2048

static const SlRoute routes[] = {
#define SL_ROUTE(method, path, scope, handler, what, query, summary)                               \
    {#method, path, SL_SCOPE_##scope, #handler, what, query, summary, sl_api_##handler},
#include "coordinator/api/routes.def"
#undef SL_ROUTE
};
static const char *const scope_names[SL_N_SCOPES] = {"open", "view", "request", "operate"};

const SlRoute *sl_routes(size_t *ret_count)
{
    *ret_count = G_N_ELEMENTS(routes);
    return routes;
}

const char *sl_scope_name(SlScope scope)
{
    return scope < SL_N_SCOPES ? scope_names[scope] : "open";
}

bool sl_scope_parse(const char *text, SlScope *ret)
{
    for (SlScope i = SL_SCOPE_VIEW; i < SL_N_SCOPES; i++) {
        if (g_strcmp0(text, scope_names[i]) == 0) {
            *ret = i;
            return true;
        }
    }
    return false;
}

/* Does @path match the pattern; parameters go into @found. */
static bool match(const char *pattern, const char *path, json_t *found)
{
    while (*pattern != '\0') {
        if (*pattern != '{') {
            if (*pattern++ != *path++)
                return false;
            continue;
        }
        const char *close = strchr(pattern, '}');
        size_t len = strcspn(path, "/");
        if (close == NULL || len == 0 || len > SEGMENT_MAX || !sl_is_clean_utf8(path, len, false))
            return false;
        g_autofree char *name = g_strndup(pattern + 1, (gsize)(close - pattern - 1));
        json_object_set_new(found, name, json_stringn(path, len));
        pattern = close + 1;
        path += len;
    }
    return *path == '\0';
}

const SlRoute *sl_route_find(const char *method, const char *path, json_t *args, GError **error)
{
    const char *other = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(routes); i++) {
        g_autoptr(json_t) found = json_object();
        if (!match(routes[i].path, path, found))
            continue;
        if (strcmp(routes[i].method, method) == 0) {
            json_object_update(args, found);
            return &routes[i];
        }
        other = routes[i].method;
    }
    if (other != NULL)
        return sl_throw_null(error, SLU_API_METHOD, "this route wants %s", other);
    g_autofree char *shown = sl_escape_for_people(path, 200);
    return sl_throw_null(error, SLU_API_ROUTE, "there is no route %s", shown);
}

static bool knows(const SlRoute *route, const char *key, GError **error)
{
    g_auto(GStrv) known = g_strsplit(route->query, " ", -1);
    if (g_strv_contains((const char *const *)known, key))
        return true;
    g_autofree char *shown = sl_escape_for_people(key, 64);
    return sl_throw(error, SLU_API_QUERY, "%s does not know the parameter `%s`; it takes %s",
                    route->path, shown, *route->query != '\0' ? route->query : "none");
}

bool sl_route_query(const SlRoute *route, json_t *args, const char *key, const char *value,
                    GError **error)
{
    static const char *const numbers[] = {"limit", "since", "offset", "max", "rank", NULL};
    static const char *const flags[] = {"active", "follow", "tail", "stderr", "previous", NULL};
    int64_t number = 0;
    if (strlen(value) > VALUE_MAX || !sl_is_clean_utf8(value, strlen(value), false) ||
        !sl_is_clean_utf8(key, strlen(key), false))
        return sl_throw(error, SLU_API_QUERY, "a parameter is too long or has control characters");
    if (!knows(route, key, error))
        return false;
    if (g_strv_contains(numbers, key)) {
        if (!sl_parse_int64(value, &number) || number < 0)
            return sl_throw(error, SLU_API_QUERY, "%s: `%s` is no number from 0 on", key, value);
        sl_json_set_int(args, key, number);
    } else if (g_strv_contains(flags, key)) {
        bool on = strcmp(value, "1") == 0 || strcmp(value, "true") == 0;
        if (!on && strcmp(value, "0") != 0 && strcmp(value, "false") != 0)
            return sl_throw(error, SLU_API_QUERY, "%s: `%s` is neither 1 nor 0", key, value);
        sl_json_set_bool(args, key, on);
    } else {
        sl_json_set_str(args, key, value);
    }
    return true;
}
