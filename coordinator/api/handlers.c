/* handlers.c - one function per handler of routes.def: takes the checked arguments, asks the
 * shell's ops, answers or waits. */
#include "base/text.h"
#include "coordinator/api/call.h"
#include "coordinator/api/openapi.h"
#include <string.h>

static const SlApiOps *ops(const SlApiCall *call)
{
    return call->api->config.ops;
}

static void *user(const SlApiCall *call)
{
    return call->api->config.user;
}

static void answer_or_error(SlApiCall *call, json_t *answer /* consumed */, const GError *error)
{
    if (answer != NULL)
        sl_call_json(call, 200, answer);
    else
        sl_call_error(call, error);
    json_decref(answer);
}

void sl_api_healthz(SlApiCall *call)
{
    g_autoptr(json_t) body = json_pack("{s:s}", "status", "ok");
    sl_call_json(call, 200, body);
}

void sl_api_readyz(SlApiCall *call)
{
    bool ready = ops(call)->ready(user(call));
    g_autoptr(json_t) body = json_pack("{s:s}", "status", ready ? "ready" : "starting");
    sl_call_json(call, ready ? 200 : 503, body);
}

void sl_api_metrics(SlApiCall *call)
{
    char *text = ops(call)->metrics(user(call));
    sl_call_bytes(call, 200, "text/plain; version=0.0.4; charset=utf-8",
                  g_bytes_new_take(text, strlen(text)));
}

void sl_api_openapi(SlApiCall *call)
{
    sl_call_bytes(call, 200, "application/yaml",
                  g_bytes_new_static(sl_openapi_yaml, sl_openapi_yaml_len));
}

void sl_api_view(SlApiCall *call)
{
    g_autoptr(GError) error = NULL;
    json_t *answer = ops(call)->view(user(call), call->route->what, call->args, &error);
    answer_or_error(call, answer, error);
}

/* The call may be gone when its answer comes: its id is looked up, never its pointer. */
typedef struct {
    SlApi *api;
    char *id;
} Wait;

static SlApiCall *end_wait(Wait *wait /* consumed */)
{
    SlApiCall *call = g_hash_table_lookup(wait->api->calls, wait->id);
    g_free(wait->id);
    g_free(wait);
    return call;
}

static void at_done(json_t *answer, const GError *error, void *wait)
{
    SlApiCall *call = end_wait(wait);
    if (call != NULL)
        answer_or_error(call, json_incref(answer), error);
    json_decref(answer);
}

static Wait *wait_for(SlApiCall *call, int64_t limit_us)
{
    Wait *wait = g_new0(Wait, 1);
    sl_call_wait(call, limit_us);
    wait->api = call->api;
    wait->id = g_strdup(call->id);
    return wait;
}

void sl_api_status(SlApiCall *call)
{
    const char *at = sl_json_str(call->args, "at");
    int64_t at_us = 0;
    if (at == NULL) {
        uint64_t tag = 0;
        bool whole = json_object_size(call->args) == 0;
        GBytes *bytes = whole ? ops(call)->status(user(call), &tag) : NULL;
        if (bytes != NULL)
            sl_call_snapshot(call, bytes, tag);
        else
            sl_api_view(call);
        return;
    }
    if (!sl_parse_time(at, &at_us)) {
        g_autoptr(GError) error = NULL;
        sl_throw(&error, SLU_API_QUERY, "at: `%s` is no time such as 2026-03-03T12:00:00Z", at);
        sl_call_error(call, error);
        return;
    }
    json_object_del(call->args, "at");
    ops(call)->view_at(user(call), at_us, call->args, at_done, wait_for(call, SL_API_REPLY_US));
}

void sl_api_run(SlApiCall *call)
{
    g_autoptr(GError) error = NULL;
    json_t *answer = ops(call)->view(user(call), "run", call->args, &error);
    const char *id = answer != NULL ? sl_json_str(answer, "id") : NULL;
    if (id != NULL)
        json_object_set_new(answer, "history", ops(call)->run_history(user(call), id));
    answer_or_error(call, answer, error);
}

static json_t *events_since(SlApiCall *call, GError **error)
{
    sl_json_set_int(call->args, "since", (int64_t)call->since);
    return ops(call)->view(user(call), "events", call->args, error);
}

void sl_api_follow(SlApiCall *call, bool last)
{
    g_autoptr(GError) error = NULL;
    json_t *answer = events_since(call, &error);
    if (answer != NULL && json_array_size(json_object_get(answer, "events")) == 0 && !last) {
        json_decref(answer);
        return;
    }
    answer_or_error(call, answer, error);
}

/* Each holds a connection and is looked at when an event comes. */
static bool may_follow(SlApiCall *call)
{
    unsigned all = 0, own = 0;
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, call->api->calls);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const SlApiCall *other = value;
        all += other->following;
        own += other->following && strcmp(other->person, call->person) == 0;
    }
    if (all < SL_API_FOLLOWERS_MAX && own < SL_API_FOLLOWERS_EACH)
        return true;
    g_autoptr(GError) error = NULL;
    sl_throw(&error, SLU_API_FOLLOWERS, "%u requests follow events already, %u of them of %s", all,
             own, call->person);
    call->retry_after = SL_API_FOLLOW_US / SL_SECOND_US;
    sl_call_error(call, error);
    return false;
}

void sl_api_events(SlApiCall *call)
{
    call->since = (uint64_t)sl_json_int(call->args, "since", 0);
    bool follow = sl_json_bool(call->args, "follow", false);
    json_object_del(call->args, "follow");
    if (follow && ops(call)->ledger_seq(user(call)) <= call->since) {
        if (!may_follow(call))
            return;
        call->following = true;
        sl_call_wait(call, SL_API_FOLLOW_US);
        return;
    }
    sl_api_follow(call, true);
}

static const char *digest_of(SlApiCall *call)
{
    const char *digest = sl_json_str(call->args, "digest");
    if (digest != NULL && g_str_has_prefix(digest, "sha256:"))
        digest += strlen("sha256:");
    if (digest != NULL && strlen(digest) == SL_HEX_DIGEST_LEN &&
        strspn(digest, "0123456789abcdef") == SL_HEX_DIGEST_LEN)
        return digest;
    g_autoptr(GError) error = NULL;
    sl_throw(&error, SLU_API_QUERY, "digest: 64 lower-case hex digits");
    sl_call_error(call, error);
    return NULL;
}

static void not_found(SlApiCall *call, const char *what, const char *digest)
{
    g_autoptr(GError) error = NULL;
    sl_throw(&error, SLU_NOT_FOUND, "there is no %s %s", what, digest);
    sl_call_error(call, error);
}

void sl_api_statement(SlApiCall *call)
{
    const char *digest = digest_of(call);
    g_autoptr(json_t) found = digest != NULL ? ops(call)->statement(user(call), digest) : NULL;
    if (found != NULL)
        sl_call_json(call, 200, found);
    else if (digest != NULL)
        not_found(call, "statement", digest);
}

static void blob_done(GBytes *bytes, const GError *error, void *wait)
{
    SlApiCall *call = end_wait(wait);
    if (call == NULL)
        return;
    if (bytes != NULL)
        sl_call_bytes(call, 200, "application/octet-stream", g_bytes_ref(bytes));
    else if (error != NULL)
        sl_call_error(call, error);
    else
        not_found(call, "blob", sl_json_str_or(call->args, "digest", ""));
}

void sl_api_blob(SlApiCall *call)
{
    const char *digest = digest_of(call);
    if (digest == NULL)
        return;
    Wait *wait = wait_for(call, SL_API_REPLY_US);
    ops(call)->blob(user(call), call->person, digest, blob_done, wait);
}

void sl_api_logs(SlApiCall *call)
{
    Wait *wait = wait_for(call, SL_API_REPLY_US);
    ops(call)->log(user(call), call->args, at_done, wait);
}

/* ---- actions ---- */

/* {"args": {...}} and nothing else; an empty body is {"args": {}}. */
static json_t *read_body(SlApiCall *call, GError **error)
{
    if (call->body->len == 0)
        return json_object();
    g_autoptr(json_t) body =
        sl_json_parse((const char *)call->body->data, call->body->len, NULL, "body", error);
    if (body == NULL)
        return NULL;
    json_t *args = json_object_get(body, "args");
    if (!json_is_object(body) || json_object_size(body) != 1 || !json_is_object(args))
        return sl_throw_null(error, SLU_API_BODY,
                             "the body must be {\"args\": {...}} and nothing else");
    return json_incref(args);
}

/* On the Unix socket the operator may act in a person's name (an approval is still that person's
 * signature). */
static bool take_person(SlApiCall *call, GError **error)
{
    const char *person = sl_json_str(call->args, "person");
    if (person == NULL || strcmp(call->route->what, "token-create") == 0)
        return true;
    if (!call->port->is_unix || call->scope != SL_SCOPE_OPERATE)
        return sl_throw(error, SLU_API_SCOPE,
                        "`person` may be given on the Unix socket by scope operate only");
    g_free(call->person);
    call->person = g_strdup(person);
    json_object_del(call->args, "person");
    return true;
}

void sl_api_action(SlApiCall *call)
{
    g_autoptr(GError) error = NULL;
    json_t *args = read_body(call, &error);
    if (args != NULL) {
        json_decref(call->args);
        call->args = args;
    }
    const char *key =
        MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, "Idempotency-Key");
    if (args != NULL && key != NULL &&
        (strlen(key) > 128 || *key == '\0' || !sl_is_clean_utf8(key, strlen(key), false)))
        sl_throw(&error, SLU_API_QUERY, "Idempotency-Key: 1 to 128 printable characters");
    if (error == NULL && !take_person(call, &error))
        g_assert(error != NULL);
    if (error == NULL && !ops(call)->writable(user(call), &error))
        g_assert(error != NULL);
    if (error != NULL) {
        sl_call_error(call, error);
        return;
    }
    sl_call_wait(call, SL_API_REPLY_US);
    SlApiAction action = {.person = call->person,
                          .scope = sl_scope_name(call->scope),
                          .verb = call->route->what,
                          .idempotency_key = key,
                          .args = call->args,
                          .id = call->id};
    ops(call)->action(user(call), &action);
}
