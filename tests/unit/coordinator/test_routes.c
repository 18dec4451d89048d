/* The route table, its description docs/openapi.yaml, and the buckets of the rate limit. */
#include "coordinator/api/openapi.h"
#include "coordinator/api/rate.h"
#include "coordinator/api/route.h"
#include "render/yaml.h"
#include "sluice/clock.h"
#include <string.h>

static const json_t *described(SlYamlDoc **ret_doc, GPtrArray **ret_docs)
{
    g_autoptr(GBytes) text = g_bytes_new(sl_openapi_yaml, sl_openapi_yaml_len);
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
    *ret_docs = sl_yaml_read("openapi.yaml", text, true, problems);
    g_assert_false(sl_problems_have_errors(problems));
    g_assert_cmpuint((*ret_docs)->len, ==, 1);
    *ret_doc = (*ret_docs)->pdata[0];
    return json_object_get(sl_yaml_json(*ret_doc), "paths");
}

static char *query_of(const json_t *row)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    size_t i = 0;
    json_t *parameter = NULL;
    json_array_foreach (json_object_get(row, "parameters"), i, parameter) {
        if (strcmp(sl_json_str_or(parameter, "in", ""), "query") == 0)
            g_ptr_array_add(names, (char *)sl_json_str(parameter, "name"));
    }
    g_ptr_array_add(names, NULL);
    return g_strjoinv(" ", (char **)names->pdata);
}

/* Every route is described with its scope and its parameters, and nothing else is. */
static void test_openapi(void)
{
    SlYamlDoc *doc = NULL;
    g_autoptr(GPtrArray) docs = NULL;
    const json_t *paths = described(&doc, &docs);
    size_t count = 0, described_count = 0;
    const SlRoute *routes = sl_routes(&count);
    for (size_t i = 0; i < count; i++) {
        g_autofree char *method = g_ascii_strdown(routes[i].method, -1);
        const json_t *path = json_object_get(paths, routes[i].path);
        const json_t *row = json_object_get(path, method);
        if (row == NULL)
            g_error("%s %s is not in docs/openapi.yaml", routes[i].method, routes[i].path);
        g_assert_cmpstr(sl_json_str(row, "x-scope"), ==, sl_scope_name(routes[i].scope));
        g_assert_cmpstr(sl_json_str(row, "summary"), ==, routes[i].summary);
        g_autofree char *query = query_of(row);
        g_assert_cmpstr(query, ==, routes[i].query);
        g_assert_true((json_object_get(row, "security") != NULL) ==
                      (routes[i].scope == SL_SCOPE_OPEN));
    }
    const char *name = NULL;
    json_t *path = NULL;
    json_object_foreach ((json_t *)paths, name, path)
        described_count += json_object_size(path);
    g_assert_cmpuint(described_count, ==, count);
}

static void test_find(void)
{
    g_autoptr(json_t) args = json_object();
    g_autoptr(GError) error = NULL, method = NULL, none = NULL;
    const SlRoute *route = sl_route_find("GET", "/v1/releases/abc123", args, &error);
    g_assert_nonnull(route);
    g_assert_cmpstr(route->what, ==, "release");
    g_assert_cmpstr(sl_json_str(args, "id"), ==, "abc123");
    g_assert_null(sl_route_find("GET", "/v1/actions/promote", args, &method));
    g_assert_error(method, SL_ERROR, SLU_API_METHOD);
    g_assert_nonnull(strstr(method->message, "POST"));
    static const char *const bad[] = {"/v1/releases/", "/v1/releases/a/b",    "/v1",
                                      "/v1/status/",   "/v1/releases/a\033b", "",
                                      "/../etc"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_clear_error(&none);
        g_assert_null(sl_route_find("GET", bad[i], args, &none));
        g_assert_error(none, SL_ERROR, SLU_API_ROUTE);
        g_assert_null(strchr(none->message, '\033'));
    }
}

/* Nothing that changes the fleet is open or readable with a view token; nothing that reads needs
 * more than it says. */
static void test_scopes(void)
{
    size_t count = 0;
    const SlRoute *routes = sl_routes(&count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(routes[i].method, "POST") == 0)
            g_assert_cmpint(routes[i].scope, >=, SL_SCOPE_REQUEST);
        if (routes[i].scope == SL_SCOPE_OPEN)
            g_assert_true(g_str_has_suffix(routes[i].path, "z"));
    }
    SlScope scope = SL_SCOPE_OPEN;
    g_assert_true(sl_scope_parse("operate", &scope));
    g_assert_cmpint(scope, ==, SL_SCOPE_OPERATE);
    g_assert_false(sl_scope_parse("open", &scope));
    g_assert_false(sl_scope_parse(NULL, &scope));
}

static void test_query(void)
{
    g_autoptr(json_t) args = json_object();
    g_autoptr(GError) error = NULL;
    const SlRoute route = {.path = "/v1/x", .query = "limit follow app since"};
    g_assert_true(sl_route_query(&route, args, "limit", "10", &error));
    g_assert_true(sl_route_query(&route, args, "follow", "1", &error));
    g_assert_true(sl_route_query(&route, args, "app", "10", &error));
    g_assert_cmpint(sl_json_int(args, "limit", 0), ==, 10);
    g_assert_true(sl_json_bool(args, "follow", false));
    g_assert_cmpstr(sl_json_str(args, "app"), ==, "10");
    static const char *const bad[][2] = {
        {"limit", "-1"}, {"limit", "1e3"}, {"since", ""}, {"follow", "yes"}, {"app", "a\nb\001"}};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_clear_error(&error);
        g_assert_false(sl_route_query(&route, args, bad[i][0], bad[i][1], &error));
        g_assert_error(error, SL_ERROR, SLU_API_QUERY);
    }
    const SlRoute bare = {.path = "/v1/bare", .query = ""};
    g_clear_error(&error);
    g_assert_false(sl_route_query(&route, args, "limt", "1", &error));
    g_assert_error(error, SL_ERROR, SLU_API_QUERY);
    g_assert_nonnull(strstr(error->message, "`limt`; it takes limit follow app since"));
    g_clear_error(&error);
    g_assert_false(sl_route_query(&bare, args, "app", "x", &error));
    g_assert_nonnull(strstr(error->message, "it takes none"));
    g_clear_error(&error);
    g_assert_false(sl_route_query(&bare, args, "", "x", &error)); /* no name at all */
}

static void test_rates(void)
{
    SlRates *rates = sl_rates_new();
    SlRateAsk ask = {.per_second = 20, .burst = 40, .cost = 1};
    int64_t wait = 0, now = INT64_C(1000000);
    for (int i = 0; i < 40; i++)
        g_assert_true(sl_rates_take(rates, "alice", &ask, now, &wait));
    g_assert_false(sl_rates_take(rates, "alice", &ask, now, &wait));
    g_assert_cmpint(wait, >, 0);
    g_assert_cmpint(wait, <=, 50001);
    g_assert_true(
        sl_rates_take(rates, "bob", &ask, now, &wait)); /* one person delays only himself */
    g_assert_true(sl_rates_take(rates, "alice", &ask, now + 60000, &wait));
    g_assert_false(sl_rates_take(rates, "alice", &ask, now + 60000, &wait));
    sl_rates_free(rates);
}

static void test_rate_costs(void)
{
    SlRates *rates = sl_rates_new();
    SlRateAsk one = {.per_second = 10, .burst = 20, .cost = 1}, some = one, all = one;
    int64_t wait = 0;
    some.cost = 15;
    all.cost = 1000; /* as much as there can be */
    g_assert_true(sl_rates_take(rates, "a", &some, 0, &wait));
    g_assert_true(sl_rates_take(rates, "a", &one, 0, &wait));
    g_assert_false(sl_rates_take(rates, "a", &some, 0, &wait));
    g_assert_cmpint(wait, ==, 1100 * 1000);
    g_assert_true(sl_rates_take(rates, "a", &some, wait, &wait));
    g_assert_false(sl_rates_take(rates, "a", &all, 2 * SL_SECOND_US, &wait));
    g_assert_true(sl_rates_take(rates, "a", &all, 10 * SL_SECOND_US, &wait));
    g_assert_true(sl_rates_take(rates, "b", &all, 0, &wait));
    sl_rates_free(rates);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/routes/openapi", test_openapi);
    g_test_add_func("/routes/find", test_find);
    g_test_add_func("/routes/scopes", test_scopes);
    g_test_add_func("/routes/query", test_query);
    g_test_add_func("/routes/rates", test_rates);
    g_test_add_func("/routes/rate-costs", test_rate_costs);
    return g_test_run();
}
