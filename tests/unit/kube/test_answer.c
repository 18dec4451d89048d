/* test_answer.c - what an API server, or who stands in its place, answers: to one error code each. */
#include "kube/answer.h"

#include <string.h>

#define JSON "application/json"
#define STATUS(code, rest) "{\"kind\":\"Status\",\"code\":" #code rest "}"
#define CAUSES(causes) ",\"message\":\"no\",\"details\":{\"name\":\"a\",\"causes\":[" causes "]}"

static json_t *parse(int status, const char *type, const char *body, json_t **ret_status,
                     GError **error)
{
    SlKubeRawAnswer raw = {
        .status = status, .content_type = type, .bytes = body, .len = strlen(body), .max = 4096};
    return sl_kube_answer_parse(&raw, "GET /x", ret_status, error);
}

static void test_good(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) tree = parse(200, JSON "; charset=utf-8", "{\"kind\":\"Pod\"}", NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(sl_json_str(tree, "kind"), ==, "Pod");
    g_autoptr(json_t) same = parse(304, NULL, "", NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(json_object_size(same), ==, 0);
    g_autoptr(json_t) deleted = parse(200, JSON, STATUS(200, ""), NULL, &error);
    g_assert_nonnull(deleted); /* what a DELETE answers */
}

#define IMMUTABLE                                                                                  \
    "{\"reason\":\"FieldValueInvalid\",\"message\":\"Invalid value: 1: field is immutable\","      \
    "\"field\":\"spec.selector\"}"
#define PLAIN                                                                                      \
    "{\"reason\":\"FieldValueRequired\",\"message\":\"Required value\",\"field\":\"spec.x\"}"

static void test_codes(void)
{
    static const struct {
        int status;
        const char *type, *body;
        int code;
        const char *says;
    } rows[] = {
        {401, JSON, STATUS(401, ",\"message\":\"Unauthorized\""), SLU_KUBE_UNAUTHORIZED, "Unauth"},
        {401, "text/plain", "no", SLU_KUBE_UNAUTHORIZED, "401 no"},
        {403, JSON, STATUS(403, ",\"message\":\"pods is forbidden\""), SLU_KUBE_FORBIDDEN,
         "pods is"},
        {403, JSON, STATUS(403, CAUSES("{\"reason\":\"NamespaceTerminating\"}")),
         SLU_KUBE_TERMINATING, "403"},
        {404, JSON, STATUS(404, ",\"details\":{\"name\":\"web\"}"), SLU_KUBE_NOT_FOUND, "404"},
        {404, JSON, STATUS(404, ",\"details\":{}"), SLU_KUBE_NO_KIND, "404"},
        {404, "text/plain; charset=utf-8", "404 page not found\n", SLU_KUBE_NO_KIND, "404 page"},
        {404, "text/html", "<html>404 page not found", SLU_KUBE_ANSWER, "text/html"},
        {404, "text/plain", "nothing here", SLU_KUBE_ANSWER, "nothing here"},
        {404, JSON, "{\"error\":\"no route\"}", SLU_KUBE_ANSWER, "no Status"},
        {409, JSON, STATUS(409, ",\"reason\":\"AlreadyExists\""), SLU_KUBE_EXISTS, "409"},
        {409, JSON, STATUS(409, ",\"reason\":\"Conflict\""), SLU_KUBE_CONFLICT, "409"},
        {410, JSON, STATUS(410, ",\"reason\":\"Expired\""), SLU_KUBE_GONE, "410"},
        {413, "text/plain", "large", SLU_KUBE_TOO_LARGE, "413"},
        {422, JSON, STATUS(422, CAUSES(IMMUTABLE)), SLU_KUBE_IMMUTABLE, "spec.selector: Invalid"},
        {422, JSON, STATUS(422, CAUSES(IMMUTABLE "," PLAIN)), SLU_KUBE_INVALID, "spec.x: Required"},
        {422, JSON, STATUS(422, CAUSES(PLAIN)), SLU_KUBE_INVALID, "spec.x: Required"},
        {422, JSON, STATUS(422, ",\"message\":\"field is immutable\""), SLU_KUBE_INVALID, "422"},
        {429, "text/plain", "Too many requests", SLU_KUBE_THROTTLED, "Too many"},
        {500, JSON, STATUS(500, ",\"message\":\"webhook\""), SLU_KUBE_SERVER, "webhook"},
        {503, "text/html", "<html>", SLU_KUBE_SERVER, "503"},
        {400, JSON, STATUS(400, ",\"message\":\"bad\""), SLU_KUBE_REFUSED, "bad"},
        {401, "text/html", "<html>log in", SLU_KUBE_ANSWER, "log in"},
        {302, NULL, "", SLU_KUBE_ANSWER, "no content type"},
        {200, "text/html", "<html>", SLU_KUBE_ANSWER, "<html>"},
        {200, JSON, "{\"cut\":", SLU_KUBE_ANSWER, "200 with"},
        {200, JSON, "[]", SLU_KUBE_ANSWER, "200 with"},
        {200, "application/jsonp", "{}", SLU_KUBE_ANSWER, "jsonp"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(parse(rows[i].status, rows[i].type, rows[i].body, NULL, &error));
        if (error->code != rows[i].code || strstr(error->message, rows[i].says) == NULL) {
            g_error("row %zu: %d %s", i, error->code, error->message);
        }
        g_assert_true(g_str_has_prefix(error->message, "GET /x: "));
    }
}

static void test_limit(void)
{
    g_autofree char *long_ = g_strnfill(5000, ' ');
    g_autoptr(GError) error = NULL;
    g_assert_null(parse(200, JSON, long_, NULL, &error));
    g_assert_error(error, SL_ERROR, SLU_LIMIT);
}

static void test_causes(void)
{
    static const char body[] = STATUS(
        409, CAUSES("{\"reason\":\"FieldManagerConflict\",\"field\":\".spec.replicas\",\"message\":"
                    "\"conflict with \\\"kubectl-edit\\\" with subresource \\\"scale\\\" using "
                    "apps/v1\"},{\"reason\":\"Other\",\"message\":\"conflict with \\\"x\\\"\"}"));
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) status = NULL;
    g_assert_null(parse(409, JSON, body, &status, &error));
    g_assert_error(error, SL_ERROR, SLU_KUBE_CONFLICT);
    g_assert_nonnull(strstr(error->message, ".spec.replicas: conflict with \"kubectl-edit\""));
    SlKubeCause cause;
    g_assert_true(sl_kube_cause(status, 0, &cause));
    g_assert_cmpstr(cause.manager, ==, "kubectl-edit");
    g_assert_cmpstr(cause.field, ==, ".spec.replicas");
    sl_kube_cause_clear(&cause);
    g_assert_true(sl_kube_cause(status, 1, &cause));
    g_assert_null(cause.manager);
    g_assert_cmpstr(cause.field, ==, "");
    g_assert_false(sl_kube_cause(status, 2, &cause));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/answer/good", test_good);
    g_test_add_func("/answer/codes", test_codes);
    g_test_add_func("/answer/limit", test_limit);
    g_test_add_func("/answer/causes", test_causes);
    return g_test_run();
}
