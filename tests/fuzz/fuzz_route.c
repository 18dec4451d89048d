/* fuzz_route.c - how an HTTP request finds its route: "METHOD PATH", then a query parameter `key=value` per line. */
#include "fuzz.h"
#include "coordinator/api/call.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_auto(GStrv) lines = g_strsplit(text, "\n", 40);
    char *path = lines[0] != NULL ? strchr(lines[0], ' ') : NULL;
    if (path == NULL) {
        return 0;
    }
    *path++ = '\0';
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) args = json_object();
    const SlRoute *route = sl_route_find(lines[0], path, args, &error);
    g_assert_true((route == NULL) == (error != NULL));
    for (size_t i = 1; lines[i] != NULL; i++) {
        char *value = strchr(lines[i], '=');
        if (value != NULL && route != NULL) {
            *value++ = '\0';
            (void)!sl_route_query(route, args, lines[i], value, NULL);
        }
    }
    g_autofree char *canonical = sl_json_canonical(args, NULL);
    g_assert_nonnull(canonical); /* what a handler gets is clean */
    return 0;
}
