/* client.c - requests to one API server: at most 8 under way, the rest in order behind them; retries
 * as retry.h says; a bearer token that is read again when its file changed, and after a 401.
 *
 * HTTP/1.1 and a bounded pool (docs/rooms/kube.md). Must never block but for reading the token's
 * file, log, or put a token or a body into an error. */
#include "kube/client.h"

#include "kube/answer.h"
#include "kube/retry.h"
#include "runtime/http.h"

#include <string.h>
#include <sys/stat.h>

#define PATH_MAX_ 8192
#define STREAM_WAITING_MAX ((size_t)8 * 1024 * 1024)
#define HEADERS_MAX 6

typedef enum { CALL_WAITING, CALL_UNDER_WAY, CALL_PAUSED } CallState;

struct SlKubeCall {
    SlKube *kube;
    CallState state;
    char *method, *path, *content_type, *accept, *if_none_match;
    GBytes *body;
    size_t answer_max;
    int64_t timeout_us;
    bool repeatable, renewed;
    unsigned tries, token_serial;
    SlHttpCall *http;
    SlTimer *timer; /* until the next try, or for what is refused at once */
    GError *refused;
    void (*bytes)(GBytes *bytes, void *user); /* of a stream */
    SlKubeDone done;
    void *user;
};

struct SlKube {
    SlLoop *loop;
    SlHttp *http;
    SlKubeConfig *config;
    struct stat token_stat; /* of the file that config->token came from */
    unsigned token_serial;
    GQueue waiting;    /* of SlKubeCall* */
    GHashTable *calls; /* all, as a set */
    unsigned under_way, streams;
};

/* ---- the token ---- */

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* A file that can't be read just now leaves the last token in force: the server decides. */
static void refresh_token(SlKube *kube, bool anyway)
{
    struct stat now;
    if (kube->config->token_file == NULL || stat(kube->config->token_file, &now) != 0 ||
        (!anyway && is_same_file(&now, &kube->token_stat))) {
        return;
    }
    g_autofree char *token = sl_kube_token_load(kube->config->token_file, NULL);
    if (token == NULL) {
        return;
    }
    kube->token_stat = now;
    if (g_strcmp0(token, kube->config->token) != 0) {
        g_free(kube->config->token);
        kube->config->token = g_steal_pointer(&token);
        kube->token_serial++;
    }
}

/* ---- one call ---- */

static void start(SlKubeCall *call);

static bool is_stream(const SlKubeCall *call)
{
    return call->bytes != NULL;
}

static void free_call(SlKubeCall *call)
{
    g_free(call->method);
    g_free(call->path);
    g_free(call->content_type);
    g_free(call->accept);
    g_free(call->if_none_match);
    g_clear_pointer(&call->body, g_bytes_unref);
    g_clear_error(&call->refused);
    sl_timer_free(call->timer);
    g_free(call);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlKubeCall, free_call)

static void pump(SlKube *kube)
{
    while (kube->under_way < SL_KUBE_REQUESTS_MAX && kube->waiting.length > 0) {
        start(g_queue_pop_head(&kube->waiting));
    }
}

/* Takes the call out of the connection that it has, if any. */
static void leave_connection(SlKubeCall *call)
{
    if (call->state == CALL_UNDER_WAY && !is_stream(call)) {
        call->kube->under_way--;
    }
    call->state = CALL_PAUSED;
    call->http = NULL;
}

static void drop(SlKubeCall *call)
{
    SlKube *kube = call->kube;
    g_queue_remove(&kube->waiting, call);
    g_hash_table_remove(kube->calls, call);
    kube->streams -= is_stream(call) ? 1 : 0;
}

static void finish(SlKubeCall *taken, const SlKubeAnswer *answer, const GError *error)
{
    g_autoptr(SlKubeCall) call = taken;
    drop(call);
    pump(call->kube);
    call->done(answer, error, call->user); /* may free the client */
}

static void on_timer(void *user)
{
    SlKubeCall *call = user;
    if (call->refused != NULL) {
        g_autoptr(GError) error = g_steal_pointer(&call->refused);
        finish(call, &(SlKubeAnswer){0}, error);
        return;
    }
    call->state = CALL_WAITING;
    if (is_stream(call)) {
        start(call);
        return;
    }
    g_queue_push_tail(&call->kube->waiting, call);
    pump(call->kube);
}

static void pause_for(SlKubeCall *call, int64_t us)
{
    if (call->timer == NULL) {
        call->timer = sl_timer_new(call->kube->loop, on_timer, call);
    }
    sl_timer_arm(call->timer, us);
}

/* -1 = no more tries. */
static int64_t next_try_us(SlKubeCall *call, int code, const char *retry_after)
{
    SlKube *kube = call->kube;
    if (code == SLU_KUBE_UNAUTHORIZED && !call->renewed) {
        refresh_token(kube, true);
        call->renewed = call->token_serial != kube->token_serial;
        return call->renewed ? 0 : -1;
    }
    if (is_stream(call)) {
        return -1;
    }
    SlKubeRetry what = {.code = code,
                        .repeatable = call->repeatable,
                        .tries = call->tries,
                        .retry_after = retry_after};
    sl_random_bytes(&what.dice, sizeof what.dice);
    return sl_kube_retry_us(&what);
}

/* Of no answer: what curl says becomes one code, except for what repetition can't mend. */
static void throw_unreachable(GError **error, const GError *http_error)
{
    bool stands = http_error->code == SLU_TLS_PEER || http_error->code == SLU_LIMIT ||
                  http_error->code == SLU_INVALID;
    sl_throw(error, stands ? (SlErrorCode)http_error->code : SLU_KUBE_UNREACHABLE, "%s",
             http_error->message);
}

static char *describe(const SlKubeCall *call)
{
    return g_strdup_printf("%s %.*s", call->method, (int)MIN(strcspn(call->path, "?"), 300),
                           call->path);
}

/* The end of a stream is no object. */
static json_t *parse_answer(SlKubeCall *call, const SlHttpResponse *response, json_t **ret_status,
                            GError **error)
{
    if (is_stream(call) && response->status == 200) {
        return json_object();
    }
    gsize len = 0;
    const char *bytes = g_bytes_get_data(response->body, &len);
    g_autofree char *what = describe(call);
    SlKubeRawAnswer raw = {.status = response->status,
                           .content_type = response->content_type,
                           .bytes = bytes,
                           .len = len,
                           .max = call->answer_max};
    return sl_kube_answer_parse(&raw, what, ret_status, error);
}

static void on_answer(const SlHttpResponse *response, const GError *http_error, void *user)
{
    SlKubeCall *call = user;
    leave_connection(call);
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) status = NULL;
    g_autoptr(json_t) json = NULL;
    if (response == NULL) {
        throw_unreachable(&error, http_error);
    } else {
        json = parse_answer(call, response, &status, &error);
    }
    if (error != NULL) {
        int64_t us =
            next_try_us(call, error->code, response != NULL ? response->retry_after : NULL);
        if (us >= 0) {
            pause_for(call, us);
            pump(call->kube);
            return;
        }
    }
    SlKubeAnswer answer = {.status = response != NULL ? response->status : 0,
                           .json = json != NULL ? json : status,
                           .etag = response != NULL ? response->etag : NULL};
    finish(call, &answer, error);
}

static void on_bytes(GBytes *bytes, void *user)
{
    SlKubeCall *call = user;
    call->bytes(bytes, call->user);
}

static void start(SlKubeCall *call)
{
    SlKube *kube = call->kube;
    const SlKubeConfig *config = kube->config;
    refresh_token(kube, false);
    call->token_serial = kube->token_serial;
    call->state = CALL_UNDER_WAY;
    call->tries++;
    kube->under_way += is_stream(call) ? 0 : 1;
    g_autofree char *url = g_strconcat(config->server, call->path, NULL);
    g_autofree char *accept = g_strconcat("Accept: ", call->accept, NULL);
    g_autofree char *type = g_strconcat("Content-Type: ", call->content_type, NULL);
    g_autofree char *known = call->if_none_match != NULL
                                 ? g_strconcat("If-None-Match: ", call->if_none_match, NULL)
                                 : NULL;
    g_autofree char *bearer =
        config->token != NULL ? g_strconcat("Authorization: Bearer ", config->token, NULL) : NULL;
    const char *headers[HEADERS_MAX] = {accept};
    unsigned n = 1;
    if (call->body != NULL) {
        headers[n++] = type;
    }
    if (known != NULL) {
        headers[n++] = known;
    }
    if (bearer != NULL) {
        headers[n++] = bearer;
    }
    SlHttpRequest how = {
        .method = call->method,
        .url = url,
        .headers = headers,
        .body = call->body,
        .ca_pem = config->ca_pem,
        .cert_pem = config->cert_pem,
        .key_pem = config->key_pem,
        .direct = true,
        .body_max = is_stream(call) ? STREAM_WAITING_MAX : call->answer_max,
        .timeout_us = call->timeout_us,
        .chunk = is_stream(call) ? on_bytes : NULL,
    };
    call->http = sl_http_send(kube->http, &how, on_answer, call);
}

/* ---- what callers have ---- */

static bool is_path(const char *path)
{
    size_t len = strlen(path);
    for (size_t i = 0; i < len; i++) {
        if (path[i] <= ' ' || path[i] > '~' || path[i] == '#') {
            return false;
        }
    }
    g_autofree char *place = g_strndup(path, strcspn(path, "?"));
    return len <= PATH_MAX_ && path[0] == '/' && strstr(place, "//") == NULL &&
           strstr(place, "/.") == NULL;
}

static bool check_request(const SlKube *kube, const SlKubeCall *call, GError **error)
{
    if (!is_path(call->path)) {
        return sl_throw(error, SLU_KUBE_PATH, "%s: not a path of an API server", call->method);
    }
    if (is_stream(call)) {
        return kube->streams <= SL_KUBE_STREAMS_MAX ||
               sl_throw(error, SLU_LIMIT, "%d watches are open already", SL_KUBE_STREAMS_MAX);
    }
    return kube->waiting.length < SL_KUBE_WAITING_MAX ||
           sl_throw(error, SLU_KUBE_THROTTLED, "%d requests wait already", SL_KUBE_WAITING_MAX);
}

static SlKubeCall *new_call(SlKube *kube, const SlKubeRequest *request, SlKubeDone done, void *user)
{
    SlKubeCall *call = g_new0(SlKubeCall, 1);
    call->kube = kube;
    call->method = g_strdup(request->method);
    call->path = g_strdup(request->path);
    call->content_type =
        g_strdup(request->content_type != NULL ? request->content_type : "application/json");
    call->accept = g_strdup(request->accept != NULL ? request->accept : "application/json");
    call->if_none_match = g_strdup(request->if_none_match);
    call->answer_max = request->answer_max > 0 ? request->answer_max : SL_KUBE_ANSWER_MAX;
    call->timeout_us = request->timeout_us;
    call->repeatable = sl_kube_is_repeatable(request->method, call->content_type, request->body);
    call->done = done;
    call->user = user;
    g_hash_table_add(kube->calls, call);
    return call;
}

static bool set_body(SlKubeCall *call, const json_t *body, GError **error)
{
    char *text = body != NULL ? sl_json_canonical(body, error) : NULL;
    call->body = text != NULL ? g_bytes_new_take(text, strlen(text)) : NULL;
    return body == NULL || text != NULL;
}

SlKubeCall *sl_kube_send(SlKube *kube, const SlKubeRequest *request, SlKubeDone done, void *user)
{
    SlKubeCall *call = new_call(kube, request, done, user);
    if (!check_request(kube, call, &call->refused) ||
        !set_body(call, request->body, &call->refused)) {
        call->state = CALL_PAUSED;
        pause_for(call, 0);
        return call;
    }
    g_queue_push_tail(&kube->waiting, call);
    pump(kube);
    return call;
}

SlKubeCall *sl_kube_stream(SlKube *kube, const char *path, void (*bytes)(GBytes *bytes, void *user),
                           SlKubeDone done, void *user)
{
    SlKubeRequest request = {.method = "GET", .path = path, .timeout_us = -1};
    SlKubeCall *call = new_call(kube, &request, done, user);
    call->bytes = bytes;
    kube->streams++;
    if (!check_request(kube, call, &call->refused)) {
        call->state = CALL_PAUSED;
        pause_for(call, 0);
        return call;
    }
    start(call);
    return call;
}

void sl_kube_cancel(SlKubeCall *call)
{
    if (call == NULL) {
        return;
    }
    SlKube *kube = call->kube;
    sl_http_cancel(kube->http, call->http);
    leave_connection(call);
    drop(call);
    free_call(call);
    pump(kube);
}

SlKube *sl_kube_new(SlLoop *loop, SlKubeConfig *config)
{
    SlKube *kube = g_new0(SlKube, 1);
    kube->loop = loop;
    kube->config = config;
    kube->http = sl_http_new(loop, SL_KUBE_REQUESTS_MAX + SL_KUBE_STREAMS_MAX);
    kube->calls = g_hash_table_new(NULL, NULL);
    g_queue_init(&kube->waiting);
    refresh_token(kube, true);
    return kube;
}

void sl_kube_free(SlKube *kube)
{
    if (kube == NULL) {
        return;
    }
    sl_http_free(kube->http);
    g_queue_clear(&kube->waiting);
    GHashTableIter iter;
    gpointer call;
    g_hash_table_iter_init(&iter, kube->calls);
    while (g_hash_table_iter_next(&iter, &call, NULL)) {
        free_call(call);
    }
    g_hash_table_unref(kube->calls);
    sl_kube_config_free(kube->config);
    g_free(kube);
}

SlLoop *sl_kube_loop(const SlKube *kube)
{
    return kube->loop;
}

const char *sl_kube_namespace(const SlKube *kube)
{
    return kube->config->namespace_;
}
