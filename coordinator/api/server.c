/* server.c - libmicrohttpd on the daemon's loop: its epoll descriptor is watched, its timeout is a
 * timer, and every request is answered on its last call, never on the first (an answer there closes
 * the connection). Requests that wait are suspended. */
#include "base/auto.h"
#include "base/text.h"
#include "coordinator/api/call.h"
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define IDLE_SECONDS 30
#define PER_ADDRESS_MAX 200
#define CONNECTION_BYTES (32 * 1024) /* headers of one request fit in half of it */
#define BACKLOG 256

/* ---- answers ---- */

static void run_ports(void *user);

static void wake(SlApi *api)
{
    if (api->run_posted || api->stopping)
        return;
    api->run_posted = true;
    sl_loop_post(api->config.loop, run_ports, api);
}

void sl_call_bytes(SlApiCall *call, int status, const char *content_type, GBytes *bytes)
{
    if (call->answered) {
        g_bytes_unref(bytes);
        return;
    }
    call->answered = true;
    call->status = status;
    call->content_type = content_type;
    call->out = bytes;
    if (call->id != NULL)
        g_hash_table_remove(call->api->calls, call->id);
    if (call->timer != NULL)
        sl_timer_arm(call->timer, -1);
    if (call->suspended) {
        call->suspended = false;
        MHD_resume_connection(call->connection);
        wake(call->api);
    }
}

void sl_call_json(SlApiCall *call, int status, const json_t *body)
{
    g_autoptr(GError) error = NULL;
    char *text = sl_json_canonical(body, &error);
    if (text == NULL)
        text = g_strdup("{\"error\":{\"code\":\"SLU1000\"}}");
    sl_call_bytes(call, status, "application/json", g_bytes_new_take(text, strlen(text)));
}

static void unref_bytes(void *bytes)
{
    g_bytes_unref(bytes);
}

static struct MHD_Response *response_of(GBytes *bytes)
{
    gsize len = 0;
    const void *data = g_bytes_get_data(bytes, &len);
    return MHD_create_response_from_buffer_with_free_callback_cls(
        len, (void *)(len > 0 ? data : ""), unref_bytes, g_bytes_ref(bytes));
}

static void format_tag(char text[24], uint64_t tag)
{
    g_snprintf(text, 24, "\"%" G_GINT64_MODIFIER "x\"", tag);
}

static struct MHD_Response *tagged_response(GBytes *bytes, uint64_t tag)
{
    char text[24];
    struct MHD_Response *response = response_of(bytes);
    if (response == NULL)
        return NULL;
    format_tag(text, tag);
    MHD_add_response_header(response, "Content-Type", "application/json");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Cache-Control", "no-cache");
    MHD_add_response_header(response, "ETag", text);
    return response;
}

static void drop_snapshot(SlApi *api) /* whoever is being sent it keeps it */
{
    g_clear_pointer(&api->snapshot, MHD_destroy_response);
    g_clear_pointer(&api->snapshot_same, MHD_destroy_response);
}

static void keep_snapshot(SlApi *api, GBytes *bytes, uint64_t tag)
{
    g_autoptr(GBytes) nothing = g_bytes_new_static("", 0);
    if (api->snapshot != NULL && api->snapshot_tag == tag)
        return;
    drop_snapshot(api);
    api->snapshot = tagged_response(bytes, tag);
    api->snapshot_same = tagged_response(nothing, tag);
    api->snapshot_tag = tag;
}

static bool take_rate(SlApiCall *call, double cost);

void sl_call_snapshot(SlApiCall *call, GBytes *bytes, uint64_t tag)
{
    char text[24];
    format_tag(text, tag);
    const char *have =
        MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, "If-None-Match");
    bool same = g_strcmp0(have, text) == 0;
    double cost = (double)g_bytes_get_size(bytes) / SL_API_SNAPSHOT_BYTES;
    if (!same && cost > 1 && !take_rate(call, cost))
        return;
    keep_snapshot(call->api, bytes, tag);
    call->ready = same ? call->api->snapshot_same : call->api->snapshot;
    sl_call_bytes(call, same ? 304 : 200, "application/json",
                  same ? g_bytes_new_static("", 0) : g_bytes_ref(bytes));
}

static int status_of(const GError *error)
{
    switch (error->code) {
    case SLU_API_TOKEN:
    case SLU_API_TOKEN_UNKNOWN:
        return 401;
    case SLU_API_METHOD:
        return 405;
    case SLU_API_TYPE:
        return 415;
    case SLU_API_TOO_LARGE:
        return 413;
    case SLU_STORAGE_FULL:
        return 507;
    default:
        return sl_error_http_status(sl_error_class(error));
    }
}

void sl_call_error(SlApiCall *call, const GError *error)
{
    const SlErrorInfo *info = sl_error_info(error->code);
    g_autofree char *code = g_strdup_printf("SLU%d", info->code);
    g_autofree char *message = g_utf8_make_valid(error->message, -1);
    g_autoptr(json_t) body = json_pack("{s:{s:s,s:s,s:s,s:s}}", "error", "code", code, "class",
                                       sl_error_class_name(info->error_class), "message", message,
                                       "advice", info->advice);
    int status = status_of(error);
    call->challenge = status == 401;
    sl_call_json(call, status, body);
}

static void call_timed_out(void *user)
{
    SlApiCall *call = user;
    if (call->following) {
        sl_api_follow(call, true);
        return;
    }
    g_autoptr(GError) error = NULL;
    sl_throw(&error, SLU_API_TIMEOUT, "%s: no answer in time; it may still be carried out",
             call->route->what);
    sl_call_error(call, error);
}

void sl_call_wait(SlApiCall *call, int64_t limit_us)
{
    call->id = g_strdup_printf("req%" G_GUINT64_FORMAT, ++call->api->next_id);
    g_hash_table_insert(call->api->calls, call->id, call);
    call->timer = sl_timer_new(call->api->config.loop, call_timed_out, call);
    sl_timer_arm(call->timer, limit_us);
}

static enum MHD_Result send_answer(SlApiCall *call)
{
    sl_patience_answers(call->connection);
    if (call->ready != NULL)
        return MHD_queue_response(call->connection, (unsigned)call->status, call->ready);
    struct MHD_Response *response = response_of(call->out);
    if (response == NULL)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", call->content_type);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Cache-Control", "no-store");
    if (call->challenge)
        MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
    if (call->retry_after > 0) {
        g_autofree char *seconds = g_strdup_printf("%u", call->retry_after);
        MHD_add_response_header(response, "Retry-After", seconds);
    }
    enum MHD_Result result = MHD_queue_response(call->connection, (unsigned)call->status, response);
    MHD_destroy_response(response);
    return result;
}

/* ---- checks in order: route, who, scope, rate; then body size, type, query ---- */

static bool refuse(SlApiCall *call, GError *error /* consumed */)
{
    sl_call_error(call, error);
    g_error_free(error);
    return false;
}

/* The whole status lies ready for everybody: while it is small, sending it costs less than a
 * refusal. */
static bool asks_snapshot(SlApiCall *call)
{
    return call->route->handle == sl_api_status &&
           MHD_get_connection_values(call->connection, MHD_GET_ARGUMENT_KIND, NULL, NULL) == 0;
}

static bool take_rate(SlApiCall *call, double cost)
{
    bool reads = strcmp(call->route->method, "GET") == 0;
    double factor = reads ? SL_API_READ_FACTOR : 1;
    g_autofree char *name = g_strconcat(reads ? "r " : "w ", call->person, NULL);
    int64_t wait = 0;
    GError *error = NULL;
    SlRateAsk ask = {.per_second = SL_API_RATE_PER_SECOND * factor,
                     .burst = SL_API_RATE_BURST * factor,
                     .cost = cost};
    if (sl_rates_take(call->api->rates, name, &ask, sl_clock_real.monotonic_us(sl_clock_real.user),
                      &wait))
        return true;
    call->retry_after = (unsigned)(wait / SL_SECOND_US) + 1;
    sl_throw(&error, SLU_API_RATE, "%s: more than %d requests a second", call->person,
             (int)(SL_API_RATE_PER_SECOND * factor));
    return refuse(call, error);
}

static bool check_rate(SlApiCall *call)
{
    return asks_snapshot(call) || take_rate(call, 1);
}

static bool check_type(SlApiCall *call)
{
    const char *type =
        MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, "Content-Type");
    GError *error = NULL;
    if (call->body->len == 0 || strcmp(call->route->method, "POST") != 0)
        return true;
    size_t len = type != NULL ? strcspn(type, "; ") : 0;
    if (len == strlen("application/json") &&
        g_ascii_strncasecmp(type, "application/json", len) == 0)
        return true;
    sl_throw(&error, SLU_API_TYPE, "Content-Type must be application/json");
    return refuse(call, error);
}

typedef struct {
    SlApiCall *call;
    GError *error;
    unsigned count;
} Query;

static enum MHD_Result take_query(void *user, enum MHD_ValueKind kind, const char *key,
                                  const char *value)
{
    Query *query = user;
    (void)kind;
    if (++query->count > SL_API_QUERY_MAX)
        sl_throw(&query->error, SLU_API_QUERY, "more than %d parameters", SL_API_QUERY_MAX);
    else if (json_object_get(query->call->args, key) == NULL &&
             sl_route_query(query->call->route, query->call->args, key, value != NULL ? value : "",
                            &query->error))
        return MHD_YES;
    else if (query->error == NULL)
        sl_throw(&query->error, SLU_API_QUERY, "a parameter is given twice");
    return MHD_NO;
}

static bool read_query(SlApiCall *call)
{
    Query query = {.call = call};
    MHD_get_connection_values(call->connection, MHD_GET_ARGUMENT_KIND, take_query, &query);
    return query.error == NULL || refuse(call, query.error);
}

/* Before the first byte of a body is kept: strangers get no memory of ours. */
static void begin(SlApiCall *call, const char *method, const char *url)
{
    GError *error = NULL;
    call->begun = true;
    call->api->count++;
    call->args = json_object();
    call->route = sl_route_find(method, url, call->args, &error);
    if (call->route == NULL) {
        refuse(call, error);
        return;
    }
    if (call->route->scope != SL_SCOPE_OPEN && sl_call_authorise(call))
        check_rate(call);
}

static void take_body(SlApiCall *call, const char *bytes, size_t len)
{
    GError *error = NULL;
    if (call->answered)
        return; /* read to its end and thrown away: only then can the answer be sent */
    if (call->body->len + len > SL_API_BODY_MAX) {
        sl_throw(&error, SLU_API_TOO_LARGE, "the body is larger than %d bytes", SL_API_BODY_MAX);
        refuse(call, error);
        return;
    }
    g_byte_array_append(call->body, (const guint8 *)bytes, (guint)len);
}

static void dispatch(SlApiCall *call)
{
    GError *error = NULL;
    call->dispatched = true;
    if (call->api->stopping) { /* a connection that waits would outlive its server */
        sl_throw(&error, SLU_UNAVAILABLE, "the coordinator is stopping");
        refuse(call, error);
        return;
    }
    if (check_type(call) && read_query(call))
        call->route->handle(call);
}

/* ---- libmicrohttpd's callbacks ---- */

static enum MHD_Result handle(void *user, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **state)
{
    SlApiPort *port = user;
    SlApiCall *call = *state;
    (void)version;
    if (call == NULL) {
        call = g_new0(SlApiCall, 1);
        call->api = port->api;
        call->port = port;
        call->connection = connection;
        call->body = g_byte_array_new();
        *state = call;
        return MHD_YES;
    }
    if (!call->begun)
        begin(call, method, url);
    if (*upload_size > 0) {
        take_body(call, upload, *upload_size);
        *upload_size = 0;
        return MHD_YES;
    }
    if (!call->answered && !call->dispatched) {
        sl_patience_works(connection);
        dispatch(call);
    }
    if (call->answered)
        return send_answer(call);
    call->suspended = true;
    MHD_suspend_connection(connection);
    return MHD_YES;
}

static void completed(void *user, struct MHD_Connection *connection, void **state,
                      enum MHD_RequestTerminationCode code)
{
    SlApiCall *call = *state;
    (void)user, (void)code;
    sl_patience_reads(connection);
    if (call == NULL)
        return;
    if (call->id != NULL)
        g_hash_table_remove(call->api->calls, call->id);
    sl_timer_free(call->timer);
    json_decref(call->args);
    g_byte_array_unref(call->body);
    g_clear_pointer(&call->out, g_bytes_unref);
    g_free(call->id);
    g_free(call->person);
    g_free(call);
    *state = NULL;
}

/* ---- on the loop ---- */

static void run_port(SlApiPort *port)
{
    MHD_UNSIGNED_LONG_LONG ms = 0;
    MHD_run(port->daemon);
    if (MHD_get_timeout(port->daemon, &ms) == MHD_YES)
        sl_timer_arm(port->timer, (int64_t)MIN(ms, 60000) * 1000);
    else
        sl_timer_arm(port->timer, -1);
}

static void run_ports(void *user)
{
    SlApi *api = user;
    api->run_posted = false;
    for (size_t i = 0; i < api->n_ports && !api->stopping; i++)
        run_port(&api->ports[i]);
}

static void port_ready(int fd, unsigned events, void *user)
{
    (void)fd, (void)events;
    run_port(user);
}

static void port_timer(void *user)
{
    run_port(user);
}

static bool open_port(SlApi *api, int fd, bool is_unix, GError **error)
{
    SlApiPort *port = &api->ports[api->n_ports];
    port->api = api;
    port->is_unix = is_unix;
    port->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handle,
                                    port, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
                                    (unsigned)SL_API_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                                    (unsigned)IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                                    (size_t)CONNECTION_BYTES, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
                                    (unsigned)(is_unix ? 0 : PER_ADDRESS_MAX),
                                    MHD_OPTION_NOTIFY_COMPLETED, completed, port,
                                    MHD_OPTION_NOTIFY_CONNECTION, sl_patience_notify, api->patience,
                                    MHD_OPTION_END);
    if (port->daemon == NULL) {
        close(fd);
        return sl_throw(error, SLU_CONFIG_ADDRESS, "the HTTP server did not start: %s",
                        g_strerror(errno));
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(port->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    port->watch = sl_watch_new(api->config.loop, info->epoll_fd, SL_READABLE, port_ready, port);
    port->timer = sl_timer_new(api->config.loop, port_timer, port);
    api->n_ports++;
    return true;
}

static bool open_unix(SlApi *api, const char *path, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat st;
    if (strlen(path) >= sizeof address.sun_path)
        return sl_throw(error, SLU_CONFIG_ADDRESS, "%s: the path is too long for a socket", path);
    memcpy(address.sun_path, path, strlen(path));
    if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
        return sl_throw(error, SLU_CONFIG_ADDRESS, "%s: there is a file that is no socket", path);
    unlink(path); /* we hold the folder's lock: it is ours, from before */
    sl_autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask = umask(0177);
    int rc = fd >= 0 ? bind(fd, (struct sockaddr *)&address, sizeof address) : -1;
    int why = errno;
    umask(mask);
    if (rc != 0 || listen(fd, BACKLOG) != 0)
        return sl_throw(error, SLU_CONFIG_ADDRESS, "%s: %s", path,
                        g_strerror(rc != 0 ? why : errno));
    api->socket_path = g_strdup(path);
    return open_port(api, sl_steal_fd(&fd), true, error);
}

static bool open_tcp(SlApi *api, const char *listen_at, GError **error)
{
    g_autofree char *host = g_strdup(listen_at);
    char *colon = strrchr(host, ':');
    if (colon == NULL)
        return sl_throw(error, SLU_CONFIG_ADDRESS, "%s: not HOST:PORT", listen_at);
    *colon = '\0';
    size_t len = strlen(host);
    bool bracketed = len > 1 && host[0] == '[' && host[len - 1] == ']';
    if (bracketed)
        host[len - 1] = '\0';
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(host + (bracketed ? 1 : 0), colon + 1, &hints, &found);
    if (rc != 0)
        return sl_throw(error, SLU_CONFIG_ADDRESS, "%s: %s", listen_at, gai_strerror(rc));
    sl_autofd fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int one = 1;
    bool good = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
                bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0;
    int why = errno;
    freeaddrinfo(found);
    if (!good)
        return sl_throw(error, SLU_CONFIG_ADDRESS, "api.listen %s: %s", listen_at, g_strerror(why));
    return open_port(api, sl_steal_fd(&fd), false, error);
}

SlApi *sl_api_new(const SlApiConfig *config, GError **error)
{
    SlApi *api = g_new0(SlApi, 1);
    api->config = *config;
    api->rates = sl_rates_new();
    api->patience = sl_patience_new(
        config->loop, config->request_us > 0 ? config->request_us : SL_API_REQUEST_US);
    api->calls = g_hash_table_new(g_str_hash, g_str_equal);
    if (open_unix(api, config->socket_path, error) &&
        (config->listen == NULL || open_tcp(api, config->listen, error)))
        return api;
    sl_api_free(api);
    return NULL;
}

static void end_waiting(SlApi *api)
{
    g_autoptr(GList) waiting = g_hash_table_get_values(api->calls);
    g_autoptr(GError) error = NULL;
    sl_throw(&error, SLU_UNAVAILABLE, "the coordinator is stopping");
    for (GList *at = waiting; at != NULL; at = at->next)
        sl_call_error(at->data, error);
}

void sl_api_free(SlApi *api)
{
    if (api == NULL)
        return;
    api->stopping = true; /* from now on nobody new waits */
    end_waiting(api);
    for (size_t i = 0; i < api->n_ports; i++) {
        MHD_run(api->ports[i].daemon); /* what was resumed gets its answer */
        MHD_stop_daemon(api->ports[i].daemon);
        sl_watch_free(api->ports[i].watch);
        sl_timer_free(api->ports[i].timer);
    }
    drop_snapshot(api);
    if (api->socket_path != NULL)
        unlink(api->socket_path);
    g_free(api->socket_path);
    g_hash_table_unref(api->calls);
    sl_rates_free(api->rates);
    sl_patience_free(api->patience);
    g_free(api);
}

bool sl_api_reply(SlApi *api, const char *id, int status, const json_t *body)
{
    SlApiCall *call = id != NULL ? g_hash_table_lookup(api->calls, id) : NULL;
    if (call != NULL)
        sl_call_json(call, status, body);
    return call != NULL;
}

void sl_api_events_grew(SlApi *api)
{
    g_autoptr(GList) waiting = g_hash_table_get_values(api->calls);
    for (GList *at = waiting; at != NULL; at = at->next) {
        SlApiCall *call = at->data;
        if (call->following)
            sl_api_follow(call, false);
    }
}

uint64_t sl_api_count(const SlApi *api)
{
    return api->count;
}

uint64_t sl_api_slow(const SlApi *api)
{
    return sl_patience_cut(api->patience);
}
