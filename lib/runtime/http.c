/* http.c - HTTP client: one curl multi handle on the loop, its sockets as watches and its time-out
 * as a timer. Loop thread; sl_http_wait is independent of any loop and may be called on any thread.
 *
 * Redirects are not followed (a redirect must not carry a token elsewhere), only http and https are
 * spoken, bodies are capped while they arrive, HTTP/1.1 only (docs/adr: HTTP/2 of this libcurl
 * loses requests on GOAWAY). Callbacks never run from inside sl_http_send. Error texts name scheme,
 * host and path, never the query, user or headers: those may be secrets. */
#include "runtime/http.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#define BODY_MAX_DEFAULT (1024 * 1024)
#define TIMEOUT_DEFAULT_US (30 * SL_SECOND_US)
#define CONNECT_TIMEOUT_MS 10000L
#define REQUESTS_MAX                                                                               \
    1024 /* under way in one client; more is a caller that does not wait for answers */
#define HEADER_VALUE_MAX 1024
#define KEEPALIVE_IDLE_S 30L
#define KEEPALIVE_INTERVAL_S 10L
#define UNACKNOWLEDGED_MAX_MS 45000

struct SlHttpCall {
    CURL *easy;
    struct curl_slist *headers;
    GBytes *sent;
    GByteArray *body;
    size_t body_max;
    bool too_large;
    char *content_type, *retry_after, *etag;
    char text[CURL_ERROR_SIZE];
    char *what; /* "GET https://host/path" for messages */
    CURLcode code;
    bool queued;   /* in what is to be said */
    bool finished; /* curl is through with it */
    void (*chunk)(GBytes *bytes, void *user);
    void (*done)(const SlHttpResponse *response, const GError *error, void *user);
    void *user;
    SlHttp *http;
    GError *refused; /* said instead of an answer */
};

struct SlHttp {
    SlLoop *loop;
    CURLM *multi;
    SlTimer *timer, *say_timer;
    GHashTable *watches; /* fd -> SlWatch* */
    GPtrArray *requests; /* of SlHttpCall*, under way */
    GQueue to_say;       /* of SlHttpCall*: ended, or with a piece of a body */
    bool finalizing; /* curl calls back during its clean-up: the loop must not be touched then */
};

static void start_curl(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        g_error("libcurl can't be initialised");
    }
}

static void ensure_curl(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_curl);
}

/* ---- one request ---- */

static void free_request(SlHttpCall *request)
{
    if (request == NULL) {
        return;
    }
    if (request->easy != NULL) {
        curl_easy_cleanup(request->easy);
    }
    curl_slist_free_all(request->headers);
    g_clear_pointer(&request->sent, g_bytes_unref);
    g_clear_pointer(&request->body, g_byte_array_unref);
    g_free(request->content_type);
    g_free(request->retry_after);
    g_free(request->etag);
    g_free(request->what);
    g_clear_error(&request->refused);
    g_free(request);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlHttpCall, free_request)

static void say_soon(SlHttpCall *request)
{
    if (!request->queued) {
        request->queued = true;
        g_queue_push_tail(&request->http->to_say, request);
        sl_timer_arm(request->http->say_timer, 0);
    }
}

static bool is_stream(const SlHttpCall *request)
{
    long status = 0;
    return request->chunk != NULL &&
           curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK &&
           status == 200;
}

static size_t on_body(char *bytes, size_t unit, size_t count, void *user)
{
    SlHttpCall *request = user;
    size_t len = unit * count;
    if (len > request->body_max - request->body->len) {
        request->too_large = true;
        return 0;
    }
    g_byte_array_append(request->body, (const guint8 *)bytes, (guint)len);
    if (is_stream(request)) {
        say_soon(request);
    }
    return len;
}

/* Remembers one header's value; the last one wins, an interim answer's too. */
static bool take_header(const char *line, size_t len, const char *name, char **ret_value)
{
    size_t name_len = strlen(name);
    if (len <= name_len || g_ascii_strncasecmp(line, name, name_len) != 0 ||
        line[name_len] != ':') {
        return false;
    }
    g_free(*ret_value);
    *ret_value =
        g_strstrip(g_strndup(line + name_len + 1, MIN(len - name_len - 1, HEADER_VALUE_MAX)));
    return true;
}

static size_t on_header(char *bytes, size_t unit, size_t count, void *user)
{
    SlHttpCall *request = user;
    size_t len = unit * count;
    if (!take_header(bytes, len, "Content-Type", &request->content_type) &&
        !take_header(bytes, len, "Retry-After", &request->retry_after)) {
        take_header(bytes, len, "ETag", &request->etag);
    }
    return len;
}

static char *describe(const SlHttpRequest *how)
{
    const char *scheme_end = strstr(how->url, "://");
    const char *authority = scheme_end != NULL ? scheme_end + 3 : how->url;
    size_t len = strcspn(authority, "?#");
    const char *at = memrchr(authority, '@', strcspn(authority, "/?#"));
    if (at != NULL) {
        len -= (size_t)(at + 1 - authority);
        authority = at + 1;
    }
    return g_strdup_printf("%s %.*s%.*s%s%s", how->method,
                           scheme_end != NULL ? (int)(scheme_end + 3 - how->url) : 0, how->url,
                           (int)MIN(len, 300), authority, how->unix_socket != NULL ? " over " : "",
                           how->unix_socket != NULL ? how->unix_socket : "");
}

static bool has_header(const SlHttpRequest *how, const char *name)
{
    for (const char *const *h = how->headers; h != NULL && *h != NULL; h++) {
        if (g_ascii_strncasecmp(*h, name, strlen(name)) == 0 && (*h)[strlen(name)] == ':') {
            return true;
        }
    }
    return false;
}

static void add_header(SlHttpCall *request, const char *line)
{
    request->headers = curl_slist_append(request->headers, line);
}

static void set_headers(SlHttpCall *request, const SlHttpRequest *how)
{
    for (const char *const *h = how->headers; h != NULL && *h != NULL; h++) {
        add_header(request, *h);
    }
    add_header(request,
               "Expect:"); /* or a body over 1 MiB waits a second for a 100 that nobody sends */
    if (how->body != NULL && !has_header(how, "Content-Type")) {
        add_header(request,
                   "Content-Type: application/octet-stream"); /* else curl says it is a web form */
    }
    curl_easy_setopt(request->easy, CURLOPT_HTTPHEADER, request->headers);
}

static void set_method(SlHttpCall *request, const SlHttpRequest *how)
{
    if (how->body != NULL) {
        request->sent = g_bytes_ref(how->body);
        curl_easy_setopt(request->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)g_bytes_get_size(how->body));
        curl_easy_setopt(request->easy, CURLOPT_POSTFIELDS, g_bytes_get_data(how->body, NULL));
    }
    if (strcmp(how->method, "HEAD") == 0) {
        curl_easy_setopt(request->easy, CURLOPT_NOBODY, 1L);
    } else {
        curl_easy_setopt(request->easy, CURLOPT_CUSTOMREQUEST, how->method);
    }
}

/* Bytes that nobody acknowledges for so long mean that the peer is gone: keepalive alone looks only
 * at idle connections. A Unix socket refuses it, which is no harm. */
static int on_new_socket(void *unused, curl_socket_t fd, curlsocktype purpose)
{
    (void)unused;
    (void)purpose;
    unsigned limit_ms = UNACKNOWLEDGED_MAX_MS;
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit_ms, sizeof limit_ms);
    return CURL_SOCKOPT_OK;
}

static void set_pem(CURL *easy, CURLoption option, const char *pem)
{
    struct curl_blob blob = {
        .data = (void *)(uintptr_t)pem, .len = strlen(pem), .flags = CURL_BLOB_COPY};
    curl_easy_setopt(easy, option, &blob);
}

/* An own CA is trusted alone: not beside those of the system's folder. */
static void set_certificates(SlHttpCall *request, const SlHttpRequest *how)
{
    CURL *easy = request->easy;
    if (how->ca_pem != NULL || how->ca_file != NULL) {
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    if (how->ca_pem != NULL) {
        set_pem(easy, CURLOPT_CAINFO_BLOB, how->ca_pem);
    } else if (how->ca_file != NULL) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, how->ca_file);
    }
    if (how->cert_pem != NULL && how->key_pem != NULL) {
        set_pem(easy, CURLOPT_SSLCERT_BLOB, how->cert_pem);
        set_pem(easy, CURLOPT_SSLKEY_BLOB, how->key_pem);
    }
}

static void set_limits(SlHttpCall *request, const SlHttpRequest *how)
{
    CURL *easy = request->easy;
    if (how->timeout_us >= 0) {
        int64_t timeout_us = how->timeout_us > 0 ? how->timeout_us : TIMEOUT_DEFAULT_US;
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)MAX(timeout_us / 1000, 1));
    }
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_new_socket);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "sluice/" SLUICE_VERSION);
    if (how->unix_socket != NULL) {
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, how->unix_socket);
    }
    if (how->unix_socket != NULL || how->direct) {
        curl_easy_setopt(easy, CURLOPT_PROXY, "");
    }
}

static SlHttpCall *new_request(const SlHttpRequest *how)
{
    ensure_curl();
    SlHttpCall *request = g_new0(SlHttpCall, 1);
    request->easy = curl_easy_init();
    if (request->easy == NULL) {
        g_error("libcurl: no handle");
    }
    request->body = g_byte_array_new();
    request->body_max = how->body_max > 0 ? how->body_max : BODY_MAX_DEFAULT;
    request->what = describe(how);
    curl_easy_setopt(request->easy, CURLOPT_URL, how->url);
    curl_easy_setopt(request->easy, CURLOPT_ERRORBUFFER, request->text);
    curl_easy_setopt(request->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(request->easy, CURLOPT_WRITEDATA, request);
    curl_easy_setopt(request->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(request->easy, CURLOPT_HEADERDATA, request);
    curl_easy_setopt(request->easy, CURLOPT_PRIVATE, request);
    set_limits(request, how);
    set_certificates(request, how);
    set_method(request, how);
    set_headers(request, how);
    return request;
}

/* What no repetition mends: the peer's certificate, or our own. */
static bool is_tls_refusal(CURLcode code)
{
    return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
           code == CURLE_SSL_CERTPROBLEM;
}

/* Takes the answer out of @request; false and @error if there is none. */
static bool take_response(SlHttpCall *request, CURLcode code, SlHttpResponse *ret_response,
                          GError **error)
{
    if (request->too_large) {
        return sl_throw(error, SLU_LIMIT, "%s: the answer is larger than %zu bytes", request->what,
                        request->body_max);
    }
    const char *why = request->text[0] != '\0' ? request->text : curl_easy_strerror(code);
    if (code == CURLE_OPERATION_TIMEDOUT) {
        return sl_throw(error, SLU_TIMEOUT, "%s: %s", request->what, why);
    }
    if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL) {
        return sl_throw(error, SLU_INVALID, "%s: %s", request->what, why);
    }
    if (is_tls_refusal(code)) {
        return sl_throw(error, SLU_TLS_PEER, "%s: %s", request->what, why);
    }
    if (code != CURLE_OK) {
        return sl_throw(error, SLU_UNAVAILABLE, "%s: %s", request->what, why);
    }
    long status = 0;
    curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
    *ret_response = (SlHttpResponse){
        .status = (int)status,
        .body = g_byte_array_free_to_bytes(g_steal_pointer(&request->body)),
        .content_type = g_steal_pointer(&request->content_type),
        .retry_after = g_steal_pointer(&request->retry_after),
        .etag = g_steal_pointer(&request->etag),
    };
    return true;
}

void sl_http_response_clear(SlHttpResponse *response)
{
    g_clear_pointer(&response->body, g_bytes_unref);
    g_clear_pointer(&response->content_type, g_free);
    g_clear_pointer(&response->retry_after, g_free);
    g_clear_pointer(&response->etag, g_free);
}

bool sl_http_wait(const SlHttpRequest *how, SlHttpResponse *ret_response, GError **error)
{
    g_autoptr(SlHttpCall) request = new_request(how);
    return take_response(request, curl_easy_perform(request->easy), ret_response, error);
}

/* ---- on the loop ---- */

static void say_end(SlHttpCall *taken)
{
    g_autoptr(SlHttpCall) request = taken;
    SlHttpResponse response = {0};
    g_autoptr(GError) error = g_steal_pointer(&request->refused);
    bool answered = error == NULL && take_response(request, request->code, &response, &error);
    request->done(answered ? &response : NULL, error, request->user);
    sl_http_response_clear(&response);
}

/* Said one per turn of the timer: each callback may free the client, and then nothing of it may be
 * touched. */
static void say_next(void *user)
{
    SlHttp *http = user;
    SlHttpCall *request = g_queue_pop_head(&http->to_say);
    if (request == NULL) {
        return;
    }
    request->queued = false;
    bool piece = request->body->len > 0 && is_stream(request) && !request->too_large;
    if (piece && request->finished) {
        say_soon(request);
    }
    sl_timer_arm(http->say_timer, http->to_say.length > 0 ? 0 : -1);
    if (piece) {
        g_autoptr(GBytes) bytes = g_byte_array_free_to_bytes(request->body);
        request->body = g_byte_array_new();
        request->chunk(bytes, request->user);
    } else if (request->finished) {
        say_end(request);
    }
}

static void finish(SlHttpCall *request)
{
    request->finished = true;
    say_soon(request);
}

static void collect(SlHttp *http)
{
    int left = 0;
    for (CURLMsg *m = curl_multi_info_read(http->multi, &left); m != NULL;
         m = curl_multi_info_read(http->multi, &left)) {
        if (m->msg != CURLMSG_DONE) {
            continue;
        }
        char *private_ = NULL;
        CURL *easy = m->easy_handle;
        CURLcode code = m->data.result; /* remove_handle frees the message */
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private_);
        SlHttpCall *request = (SlHttpCall *)(void *)private_;
        request->code = code;
        curl_multi_remove_handle(http->multi, easy);
        g_ptr_array_remove_fast(http->requests, request);
        finish(request);
    }
}

static void on_socket(int fd, unsigned events, void *user)
{
    SlHttp *http = user;
    int mask = (events & SL_READABLE ? CURL_CSELECT_IN : 0) |
               (events & SL_WRITABLE ? CURL_CSELECT_OUT : 0) |
               (events & SL_HANGUP ? CURL_CSELECT_ERR : 0);
    int running = 0;
    curl_multi_socket_action(http->multi, fd, mask, &running);
    collect(http);
}

static void on_timeout(void *user)
{
    SlHttp *http = user;
    int running = 0;
    curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(http);
}

static int want_timeout(CURLM *multi, long timeout_ms, void *user)
{
    (void)multi;
    SlHttp *http = user;
    if (!http->finalizing) {
        sl_timer_arm(http->timer, timeout_ms < 0 ? -1 : (int64_t)timeout_ms * 1000);
    }
    return 0;
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *unused)
{
    (void)easy;
    (void)unused;
    SlHttp *http = user;
    if (what == CURL_POLL_REMOVE || http->finalizing) {
        g_hash_table_remove(http->watches, GINT_TO_POINTER(fd));
        return 0;
    }
    unsigned events = (what & CURL_POLL_IN ? (unsigned)SL_READABLE : 0u) |
                      (what & CURL_POLL_OUT ? (unsigned)SL_WRITABLE : 0u);
    SlWatch *watch = g_hash_table_lookup(http->watches, GINT_TO_POINTER(fd));
    if (watch != NULL) {
        sl_watch_set(watch, events);
    } else {
        g_hash_table_insert(http->watches, GINT_TO_POINTER(fd),
                            sl_watch_new(http->loop, fd, events, on_socket, http));
    }
    return 0;
}

static void free_watch(gpointer watch)
{
    sl_watch_free(watch);
}

SlHttp *sl_http_new(SlLoop *loop, unsigned connections_max)
{
    ensure_curl();
    SlHttp *http = g_new0(SlHttp, 1);
    http->loop = loop;
    http->multi = curl_multi_init();
    if (http->multi == NULL) {
        g_error("libcurl: no multi handle");
    }
    http->timer = sl_timer_new(loop, on_timeout, http);
    http->say_timer = sl_timer_new(loop, say_next, http);
    http->watches = g_hash_table_new_full(NULL, NULL, NULL, free_watch);
    http->requests = g_ptr_array_new();
    g_queue_init(&http->to_say);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, want_timeout);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)MAX(connections_max, 1));
    return http;
}

void sl_http_cancel(SlHttp *http, SlHttpCall *call)
{
    if (call == NULL) {
        return;
    }
    if (g_ptr_array_remove_fast(http->requests, call)) {
        curl_multi_remove_handle(http->multi, call->easy);
    }
    g_queue_remove(&http->to_say, call);
    free_request(call);
}

void sl_http_free(SlHttp *http)
{
    if (http == NULL) {
        return;
    }
    http->finalizing = true;
    while (http->requests->len > 0) {
        sl_http_cancel(http, g_ptr_array_index(http->requests, 0));
    }
    while (http->to_say.length > 0) {
        sl_http_cancel(http, http->to_say.head->data);
    }
    curl_multi_cleanup(http->multi);
    sl_timer_free(http->timer);
    sl_timer_free(http->say_timer);
    g_hash_table_unref(http->watches);
    g_ptr_array_unref(http->requests);
    g_free(http);
}

SlHttpCall *sl_http_send(SlHttp *http, const SlHttpRequest *how,
                         void (*done)(const SlHttpResponse *response, const GError *error,
                                      void *user),
                         void *user)
{
    SlHttpCall *request = new_request(how);
    request->http = http;
    request->chunk = how->chunk;
    request->done = done;
    request->user = user;
    if (http->requests->len >= REQUESTS_MAX) {
        sl_throw(&request->refused, SLU_LIMIT, "%s: %d requests are under way already",
                 request->what, REQUESTS_MAX);
        finish(request);
        return request;
    }
    g_ptr_array_add(http->requests, request);
    curl_multi_add_handle(
        http->multi, request->easy); /* sets curl's timer: the transfer begins in the next turn */
    return request;
}
