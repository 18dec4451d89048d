/* route.h - the route table and how a request finds its row. Pure. */
#pragma once
#include "base/json.h"

typedef enum {
    SL_SCOPE_OPEN,
    SL_SCOPE_VIEW,
    SL_SCOPE_REQUEST,
    SL_SCOPE_OPERATE,
    SL_N_SCOPES
} SlScope;

struct SlApiCall;
typedef struct {
    const char *method, *path;
    SlScope scope;
    const char *handler_name, *what;
    const char *query; /* names of its parameters, "app env" */
    const char *summary;
    void (*handle)(struct SlApiCall *call);
} SlRoute;

const SlRoute *sl_routes(size_t *ret_count);
/* Row for a request; path parameters are added to @args. NULL: @error is API_ROUTE or API_METHOD.
 */
const SlRoute *sl_route_find(const char *method, const char *path, json_t *args, GError **error);
const char *sl_scope_name(SlScope scope); /* "view" */
bool sl_scope_parse(const char *text, SlScope *ret);
/* Adds a query parameter with the type its name has: numbers, flags, else text; one that the route
 * does not know is refused by name. Errors: API_QUERY. */
SL_MUST_USE bool sl_route_query(const SlRoute *route, json_t *args, const char *key,
                                const char *value, GError **error);
