/* api.c - requests to the coordinator's HTTP API; its errors come back as ours, with its code. */
#include "base/text.h"
#include "cli/private.h"
#include "runtime/atomicfile.h"
#include <string.h>

#define ANSWER_MAX (64u * 1024 * 1024)
#define TOKEN_MAX 512

static char *with_query(const char *path, const char *const *query)
{
    GString *url = g_string_new(path);
    char mark = '?';
    for (size_t i = 0; query != NULL && query[i] != NULL; i += 2) {
        if (query[i + 1] == NULL) {
            continue;
        }
        g_autofree char *value = g_uri_escape_string(query[i + 1], NULL, FALSE);
        g_string_append_printf(url, "%c%s=%s", mark, query[i], value);
        mark = '&';
    }
    return g_string_free(url, FALSE);
}

static char *authorization(const SlContext *context, GError **error)
{
    if (context->socket != NULL) {
        return g_strdup(
            "Accept: application/json"); /* the socket's peer credentials say who we are */
    }
    if (context->token_file == NULL) {
        return sl_throw_null(error, SLU_NO_TOKEN,
                             "fleet %s is reached by %s, which needs --token-file", context->name,
                             context->url);
    }
    g_autoptr(GBytes) token = sl_file_read_secret(context->token_file, TOKEN_MAX, error);
    if (token == NULL) {
        return NULL;
    }
    size_t len = 0;
    const char *text = g_bytes_get_data(token, &len);
    g_autofree char *clean = g_strstrip(g_strndup(text, len));
    return g_strconcat("Authorization: Bearer ", clean, NULL);
}

/* Throws the coordinator's error object, or what can be said without one. Always false. */
static bool throw_answer(const SlHttpResponse *response, GError **error)
{
    size_t len = 0;
    const char *text = g_bytes_get_data(response->body, &len);
    g_autoptr(json_t) body = sl_json_parse(text, len, NULL, "answer", NULL);
    const char *code = body != NULL ? sl_json_str(body, "error.code") : NULL;
    const char *message = body != NULL ? sl_json_str(body, "error.message") : NULL;
    int64_t number = 0;
    if (code == NULL || message == NULL || !g_str_has_prefix(code, "SLU") ||
        !sl_parse_int64(code + 3, &number) || number < 1000 || number > 9999) {
        return sl_throw(error, SLU_COORDINATOR_ANSWER,
                        "the coordinator answered with HTTP status %d", response->status);
    }
    g_autofree char *safe = sl_escape_for_people(message, 4000);
    return sl_throw(error, (SlErrorCode)number, "%s", safe);
}

static GBytes *call(SlCli *cli, const char *method, const char *path, GBytes *body, GError **error)
{
    const SlContext *context = sl_cli_context(cli, error);
    g_autofree char *header = context != NULL ? authorization(context, error) : NULL;
    if (header == NULL) {
        return NULL;
    }
    g_autofree char *url =
        g_strconcat(context->socket != NULL ? "http://coordinator" : context->url, path, NULL);
    const char *headers[] = {header, "Content-Type: application/json", NULL};
    SlHttpRequest request = {.method = method,
                             .url = url,
                             .unix_socket = context->socket,
                             .headers = headers,
                             .body = body,
                             .body_max = ANSWER_MAX};
    SlHttpResponse response = {0};
    g_autoptr(GError) problem = NULL;
    if (!sl_http_wait(&request, &response, &problem)) {
        if (context->socket != NULL && g_error_matches(problem, SL_ERROR, SLU_UNAVAILABLE)) {
            g_autofree char *dir = g_path_get_dirname(context->socket);
            return sl_throw_null(error, SLU_UNAVAILABLE,
                                 "no coordinator answers for fleet %s; is it running? "
                                 "sluice-coordinator run --dir %s (%s)",
                                 context->name, dir, problem->message);
        }
        g_propagate_error(error, g_steal_pointer(&problem));
        sl_prefix(error, "coordinator of fleet %s at %s", context->name,
                  context->socket != NULL ? context->socket : context->url);
        return NULL;
    }
    GBytes *answer = NULL;
    if (response.status >= 200 && response.status < 300) {
        answer = g_bytes_ref(response.body);
    } else if (!throw_answer(&response, error)) {
        answer = NULL;
    }
    sl_http_response_clear(&response);
    return answer;
}

static json_t *parse_answer(GBytes *answer, GError **error)
{
    size_t len = 0;
    const char *text = g_bytes_get_data(answer, &len);
    SlJsonLimits limits = {.bytes_max = ANSWER_MAX, .depth_max = 64, .nodes_max = 5 * 1000 * 1000};
    return sl_json_parse(text, len, &limits, "answer of the coordinator", error);
}

GBytes *sl_api_get_bytes(SlCli *cli, const char *path, const char *const *query, GError **error)
{
    g_autofree char *url = with_query(path, query);
    return call(cli, "GET", url, NULL, error);
}

json_t *sl_api_get(SlCli *cli, const char *path, const char *const *query, GError **error)
{
    g_autoptr(GBytes) answer = sl_api_get_bytes(cli, path, query, error);
    return answer != NULL ? parse_answer(answer, error) : NULL;
}

json_t *sl_api_act(SlCli *cli, const char *verb, json_t *args, GError **error)
{
    g_autoptr(json_t) body = json_object();
    json_object_set_new(body, "args", args);
    char *text = sl_json_canonical(body, error);
    if (text == NULL) {
        return NULL;
    }
    g_autoptr(GBytes) bytes = g_bytes_new_take(text, strlen(text));
    g_autofree char *path = g_strconcat("/v1/actions/", verb, NULL);
    g_autoptr(GBytes) answer = call(cli, "POST", path, bytes, error);
    return answer != NULL ? parse_answer(answer, error) : NULL;
}
