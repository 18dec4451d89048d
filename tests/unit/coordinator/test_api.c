/* The HTTP API over its real sockets, with a shell made for the test: identity, scopes, limits,
 * shapes, waiting and following. */
#include "base/digest.h"
#include "coordinator/api/api.h"
#include "runtime/atomicfile.h"
#include "runtime/http.h"
#include "tests/unit/wait.h"
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct {
    char *dir, *socket, *listen, *base;
    SlLoop *loop;
    SlHttp *http;
    SlApi *api;
    uint64_t seq;
    char *person, *verb, *key;
    bool answer_later;
    char *pending;
    GBytes *status;
    uint64_t tag;
} Fixture;

static json_t *view(void *user, const char *what, const json_t *args, GError **error)
{
    Fixture *f = user;
    if (strcmp(what, "events") == 0) {
        json_t *list = json_array();
        for (uint64_t i = (uint64_t)sl_json_int(args, "since", 0) + 1; i <= f->seq; i++)
            json_array_append_new(list, json_integer((json_int_t)i));
        return json_pack("{s:o}", "events", list);
    }
    if (strcmp(what, "release") == 0)
        return sl_throw_null(error, SLU_NOT_FOUND, "there is no release %s",
                             sl_json_str(args, "id"));
    return json_pack("{s:s,s:O}", "what", what, "args", args);
}

static void view_at(void *user, int64_t at_us, const json_t *args,
                    void (*done)(json_t *, const GError *, void *), void *call)
{
    (void)user, (void)args;
    done(json_pack("{s:I}", "at", (json_int_t)at_us), NULL, call);
}

static bool token(void *user, const char *text, const char **person, const char **scope,
                  GError **error)
{
    (void)user;
    *person = "bob";
    *scope = strcmp(text, "slc_view") == 0 ? "view"
             : strcmp(text, "slc_op") == 0 ? "operate"
                                           : NULL;
    return *scope != NULL || sl_throw(error, SLU_API_TOKEN, "unknown token");
}

static void action(void *user, const SlApiAction *a)
{
    Fixture *f = user;
    g_free(f->person);
    g_free(f->verb);
    f->person = g_strdup(a->person);
    f->verb = g_strdup(a->verb);
    if (f->answer_later) {
        f->pending = g_strdup(a->id);
        return;
    }
    g_autoptr(json_t) body = json_pack("{s:i,s:O}", "attempt", 7, "args", a->args);
    g_assert_true(sl_api_reply(f->api, a->id, 202, body));
}

static void blob(void *user, const char *person, const char *digest,
                 void (*done)(GBytes *, const GError *, void *), void *call)
{
    (void)user, (void)person;
    g_autofree char *known = sl_sha256_hex("bytes", 5);
    g_autoptr(GBytes) bytes = g_bytes_new("bytes", 5);
    done(strcmp(digest, known) == 0 ? bytes : NULL, NULL, call);
}

static json_t *statement(void *user, const char *digest)
{
    (void)user, (void)digest;
    return NULL;
}

static json_t *run_history(void *user, const char *run)
{
    (void)user, (void)run;
    return json_array();
}

static void no_log(void *user, const json_t *args, void (*done)(json_t *, const GError *, void *),
                   void *call)
{
    g_autoptr(GError) error = NULL;
    (void)user, (void)args;
    sl_throw(&error, SLU_API_AGENT_AWAY, "no agent is connected");
    done(NULL, error, call);
}

static uint64_t ledger_seq(void *user)
{
    return ((Fixture *)user)->seq;
}

static char *metrics(void *user)
{
    (void)user;
    return g_strdup("sluice_x 1\n");
}

static bool ready(void *user)
{
    (void)user;
    return true;
}

static bool writable(void *user, GError **error)
{
    (void)user, (void)error;
    return true;
}

static GBytes *status_now(void *user, uint64_t *ret_tag)
{
    Fixture *f = user;
    *ret_tag = f->tag;
    return f->status;
}

static const SlApiOps ops = {.writable = writable,
                             .status = status_now,
                             .view = view,
                             .view_at = view_at,
                             .token = token,
                             .action = action,
                             .blob = blob,
                             .statement = statement,
                             .run_history = run_history,
                             .log = no_log,
                             .ledger_seq = ledger_seq,
                             .metrics = metrics,
                             .ready = ready};

/* @data: how long a request may take, in microseconds; NULL = the default. */
static void set_up(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    f->dir = g_dir_make_tmp("sluice-api-XXXXXX", NULL);
    f->socket = g_build_filename(f->dir, "api.sock", NULL);
    f->loop = sl_loop_new();
    f->http = sl_http_new(f->loop, 8);
    unsigned port = 21000 + (unsigned)getpid() % 8000;
    for (unsigned tries = 0; f->api == NULL && tries < 100; tries++) {
        g_clear_error(&error);
        g_free(f->listen);
        f->listen = g_strdup_printf("127.0.0.1:%u", port++);
        SlApiConfig config = {.loop = f->loop,
                              .socket_path = f->socket,
                              .listen = f->listen,
                              .owner_person = "alice",
                              .request_us = GPOINTER_TO_INT(data),
                              .ops = &ops,
                              .user = f};
        f->api = sl_api_new(&config, &error);
    }
    g_assert_no_error(error);
    f->base = g_strconcat("http://", f->listen, NULL);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    sl_http_free(f->http);
    sl_api_free(f->api);
    sl_loop_free(f->loop);
    g_assert_true(sl_dir_remove_tree(f->dir, &error));
    char *const all[] = {f->dir,    f->socket, f->listen, f->base,
                         f->person, f->verb,   f->key,    f->pending};
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
        g_free(all[i]);
}

typedef struct {
    bool done;
    int status;
    json_t *json;
    char *text, *type, *etag;
} Answer;

static void answer_clear(Answer *a)
{
    json_decref(a->json);
    g_free(a->text);
    g_free(a->type);
    g_free(a->etag);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Answer, answer_clear)

static void got(const SlHttpResponse *response, const GError *error, void *user)
{
    Answer *a = user;
    a->done = true;
    if (g_error_matches(error, SL_ERROR, SLU_LIMIT))
        return; /* more than this client takes */
    g_assert_no_error(error);
    a->status = response->status;
    a->type = g_strdup(response->content_type);
    a->etag = g_strdup(response->etag);
    gsize len = 0;
    const char *text = g_bytes_get_data(response->body, &len);
    a->text = g_strndup(len > 0 ? text : "", len);
    a->json = sl_json_parse(a->text, strlen(a->text), NULL, "answer", NULL);
}

typedef struct {
    const char *method, *path, *token, *type, *body, *have;
    bool tcp;
} Ask;

static void start(Fixture *f, const Ask *ask, Answer *a)
{
    g_autofree char *url = g_strconcat(ask->tcp ? f->base : "http://x", ask->path, NULL);
    g_autofree char *auth =
        ask->token != NULL ? g_strdup_printf("Authorization: Bearer %s", ask->token) : NULL;
    g_autofree char *type =
        g_strdup_printf("Content-Type: %s", ask->type != NULL ? ask->type : "application/json");
    g_autofree char *have = g_strdup_printf("If-None-Match: %s", ask->have);
    const char *headers[4] = {type};
    unsigned n = 1;
    if (auth != NULL)
        headers[n++] = auth;
    if (ask->have != NULL)
        headers[n++] = have;
    g_autoptr(GBytes) body = ask->body != NULL ? g_bytes_new(ask->body, strlen(ask->body)) : NULL;
    SlHttpRequest request = {.method = ask->method != NULL ? ask->method : "GET",
                             .url = url,
                             .unix_socket = ask->tcp ? NULL : f->socket,
                             .headers = headers,
                             .body = body,
                             .timeout_us = 5 * SL_SECOND_US};
    sl_http_send(f->http, &request, got, a);
}

static void finish(Fixture *f, Answer *a)
{
    wait_for(f->loop, a->done);
}

static Answer ask(Fixture *f, Ask how)
{
    Answer a = {0};
    start(f, &how, &a);
    finish(f, &a);
    return a;
}

static void fails(Fixture *f, Ask how, int status, const char *code)
{
    g_auto(Answer) a = ask(f, how);
    g_assert_cmpint(a.status, ==, status);
    g_assert_cmpstr(sl_json_str(a.json, "error.code"), ==, code);
    g_assert_nonnull(sl_json_str(a.json, "error.message"));
    g_assert_nonnull(sl_json_str(a.json, "error.advice"));
    g_assert_nonnull(sl_json_str(a.json, "error.class"));
}

static void test_reading(Fixture *f, gconstpointer data)
{
    (void)data;
    g_auto(Answer) status = ask(f, (Ask){.path = "/v1/status?env=dev"});
    g_assert_cmpint(status.status, ==, 200);
    g_assert_cmpstr(sl_json_str(status.json, "what"), ==, "status");
    g_assert_cmpstr(sl_json_str(status.json, "args.env"), ==, "dev");
    g_auto(Answer) at = ask(f, (Ask){.path = "/v1/status?at=2026-03-03T12:00:00Z"});
    g_assert_cmpint(sl_json_int(at.json, "at", 0), ==, INT64_C(1772539200000000));
    g_auto(Answer) attempt = ask(f, (Ask){.path = "/v1/attempts/12"});
    g_assert_cmpstr(sl_json_str(attempt.json, "args.n"), ==, "12");
    g_autofree char *digest = sl_sha256_hex("bytes", 5);
    g_autofree char *path = g_strconcat("/v1/blobs/", digest, NULL);
    g_auto(Answer) bytes = ask(f, (Ask){.path = path});
    g_assert_cmpstr(bytes.text, ==, "bytes");
    g_assert_cmpstr(bytes.type, ==, "application/octet-stream");
    g_auto(Answer) yaml = ask(f, (Ask){.path = "/openapi.yaml"});
    g_assert_true(g_str_has_prefix(yaml.text, "openapi: 3"));
    fails(f, (Ask){.path = "/v1/releases/123456"}, 404, "SLU1002");
    fails(f, (Ask){.path = "/v1/status?at=yesterday"}, 400, "SLU4109");
    fails(f, (Ask){.path = "/v1/status?evn=dev"}, 400, "SLU4109");
    fails(f, (Ask){.path = "/v1/actions/pin?app=x", .method = "POST", .body = "{\"args\":{}}"}, 400,
          "SLU4109");
    fails(f, (Ask){.path = "/v1/blobs/../../etc/passwd"}, 404, "SLU4100");
    fails(f, (Ask){.path = "/v1/blobs/abc"}, 400, "SLU4109");
    fails(f, (Ask){.path = "/v1/logs?run=1"}, 503, "SLU4110");
    fails(f, (Ask){.path = "/v1/history?limit=x"}, 400, "SLU4109");
    fails(f, (Ask){.path = "/v1/history?limit=1&limit=2"}, 400, "SLU4109");
}

static void test_who(Fixture *f, gconstpointer data)
{
    (void)data;
    g_auto(Answer) health = ask(f, (Ask){.path = "/healthz", .tcp = true});
    g_assert_cmpint(health.status, ==, 200);
    fails(f, (Ask){.path = "/v1/status", .tcp = true}, 401, "SLU4105");
    fails(f, (Ask){.path = "/metrics", .tcp = true}, 401, "SLU4105");
    fails(f, (Ask){.path = "/v1/status", .tcp = true, .token = "slc_wrong"}, 401, "SLU4105");
    fails(f, (Ask){.path = "/v1/status", .token = "slc_wrong"}, 401,
          "SLU4105"); /* a wrong token is no peer */
    g_auto(Answer) view_ok = ask(f, (Ask){.path = "/v1/status", .tcp = true, .token = "slc_view"});
    g_assert_cmpint(view_ok.status, ==, 200);
    fails(f,
          (Ask){.method = "POST",
                .path = "/v1/actions/promote",
                .tcp = true,
                .token = "slc_view",
                .body = "{\"args\":{}}"},
          403, "SLU4106");
    g_assert_null(f->verb);
    g_auto(Answer) op = ask(f, (Ask){.method = "POST",
                                     .path = "/v1/actions/pin",
                                     .tcp = true,
                                     .token = "slc_op",
                                     .body = "{\"args\":{}}"});
    g_assert_cmpint(op.status, ==, 202);
    g_assert_cmpstr(f->person, ==, "bob");
}

static void test_actions(Fixture *f, gconstpointer data)
{
    (void)data;
    g_auto(Answer) a = ask(f, (Ask){.method = "POST",
                                    .path = "/v1/actions/promote",
                                    .body = "{\"args\":{\"app\":\"digits\"}}"});
    g_assert_cmpint(a.status, ==, 202);
    g_assert_cmpint(sl_json_int(a.json, "attempt", 0), ==, 7);
    g_assert_cmpstr(sl_json_str(a.json, "args.app"), ==, "digits");
    g_assert_cmpstr(f->person, ==, "alice"); /* the socket's own user is the configured person */
    g_auto(Answer) other = ask(f, (Ask){.method = "POST",
                                        .path = "/v1/actions/promote",
                                        .body = "{\"args\":{\"person\":\"carol\"}}"});
    g_assert_cmpint(other.status, ==, 202);
    g_assert_cmpstr(f->person, ==, "carol");
    fails(f,
          (Ask){.method = "POST",
                .path = "/v1/actions/pin",
                .tcp = true,
                .token = "slc_op",
                .body = "{\"args\":{\"person\":\"eve\"}}"},
          403, "SLU4106");
}

static void test_bad_bodies(Fixture *f, gconstpointer data)
{
    (void)data;
    const char *path = "/v1/actions/promote";
    fails(f, (Ask){.method = "POST", .path = path, .body = "{\"args\":{}}", .type = "text/plain"},
          415, "SLU4103");
    fails(f, (Ask){.method = "POST", .path = path, .body = "{"}, 400, "SLU1102");
    fails(f, (Ask){.method = "POST", .path = path, .body = "{\"args\":{\"a\":1,\"a\":2}}"}, 400,
          "SLU1103");
    fails(f, (Ask){.method = "POST", .path = path, .body = "{\"args\":{\"a\":NaN}}"}, 400,
          "SLU1102");
    fails(f, (Ask){.method = "POST", .path = path, .body = "[]"}, 400, "SLU4102");
    fails(f, (Ask){.method = "POST", .path = path, .body = "{\"args\":{},\"more\":1}"}, 400,
          "SLU4102");
    fails(f, (Ask){.path = path}, 405, "SLU4101");
    g_autofree char *large = g_malloc(SL_API_BODY_MAX + 100);
    memset(large, ' ', SL_API_BODY_MAX + 99);
    large[SL_API_BODY_MAX + 99] = '\0';
    fails(f, (Ask){.method = "POST", .path = path, .body = large}, 413, "SLU4107");
    g_assert_null(f->verb);
}

static void test_rate(Fixture *f, gconstpointer data)
{
    (void)data;
    int refused = 0;
    for (int i = 0; i < SL_API_RATE_BURST + 20; i++) {
        g_auto(Answer) a =
            ask(f, (Ask){.method = "POST", .path = "/v1/actions/refresh", .body = "{\"args\":{}}"});
        refused += a.status == 429;
    }
    g_assert_cmpint(refused, >, 0);
    g_auto(Answer) still = ask(f, (Ask){.path = "/v1/status"}); /* looking goes on */
    g_assert_cmpint(still.status, ==, 200);
}

/* What lies ready is sent as it is, to everybody as often as they like; who has it is told so. */
static void test_snapshot(Fixture *f, gconstpointer data)
{
    (void)data;
    f->status = g_bytes_new_static("{\"one\":1}", 9);
    f->tag = 0xabc;
    for (int i = 0; i < SL_API_RATE_BURST * SL_API_READ_FACTOR + 100; i++) {
        g_auto(Answer) a = ask(f, (Ask){.path = "/v1/status"});
        g_assert_cmpint(a.status, ==, 200);
        g_assert_cmpstr(a.text, ==, "{\"one\":1}");
        g_assert_cmpstr(a.etag, ==, "\"abc\"");
    }
    g_auto(Answer) same = ask(f, (Ask){.path = "/v1/status", .have = "\"abc\""});
    g_assert_cmpint(same.status, ==, 304);
    g_assert_cmpstr(same.text, ==, "");
    g_assert_cmpstr(same.etag, ==, "\"abc\"");
    g_bytes_unref(f->status);
    f->status = g_bytes_new_static("{\"two\":2}", 9);
    f->tag++;
    g_auto(Answer) next = ask(f, (Ask){.path = "/v1/status", .have = "\"abc\""});
    g_assert_cmpint(next.status, ==, 200);
    g_assert_cmpstr(next.text, ==, "{\"two\":2}");
    g_auto(Answer) part = ask(f, (Ask){.path = "/v1/status?env=dev"}); /* never from it */
    g_assert_cmpstr(sl_json_str(part.json, "args.env"), ==, "dev");
    fails(f, (Ask){.path = "/v1/status", .tcp = true, .have = "\"abd\""}, 401, "SLU4105");
    g_bytes_unref(f->status);
    f->status = NULL;
}

/* A large one counts by its bytes, but not for whoever has it. (This client hangs up after 1 MiB.) */
static void test_large_snapshot(Fixture *f, gconstpointer data)
{
    (void)data;
    gsize len = (gsize)SL_API_RATE_BURST * SL_API_READ_FACTOR * SL_API_SNAPSHOT_BYTES;
    f->status = g_bytes_new_take(g_malloc0(len), len);
    f->tag = 0xabc;
    bool refused = false;
    for (int i = 0; i < 60 && !refused; i++) {
        g_auto(Answer) a = ask(f, (Ask){.path = "/v1/status"});
        refused = a.status == 429;
        g_auto(Answer) same = ask(f, (Ask){.path = "/v1/status", .have = "\"abc\""});
        g_assert_cmpint(same.status, ==, 304);
    }
    g_assert_true(refused);
    g_bytes_unref(f->status);
    f->status = NULL;
}

static void test_later(Fixture *f, gconstpointer data)
{
    (void)data;
    g_auto(Answer) waiting = {0}, meanwhile = {0};
    f->answer_later = true;
    start(f, &(Ask){.method = "POST", .path = "/v1/actions/promote", .body = "{\"args\":{}}"},
          &waiting);
    wait_for(f->loop, f->pending != NULL);
    meanwhile = ask(f, (Ask){.path = "/v1/status"}); /* one that waits delays nobody */
    g_assert_cmpint(meanwhile.status, ==, 200);
    g_assert_false(waiting.done);
    g_autoptr(json_t) body = json_pack("{s:i}", "attempt", 9);
    g_assert_true(sl_api_reply(f->api, f->pending, 202, body));
    g_assert_false(sl_api_reply(f->api, f->pending, 202, body)); /* once */
    finish(f, &waiting);
    g_assert_cmpint(sl_json_int(waiting.json, "attempt", 0), ==, 9);
}

static void test_follow(Fixture *f, gconstpointer data)
{
    (void)data;
    g_auto(Answer) now = {0}, next = {0};
    f->seq = 3;
    now = ask(f, (Ask){.path = "/v1/events?since=1&follow=1"});
    g_assert_cmpuint(json_array_size(json_object_get(now.json, "events")), ==, 2);
    start(f, &(Ask){.path = "/v1/events?since=3&follow=1"}, &next);
    g_auto(Answer) between = ask(f, (Ask){.path = "/v1/status"});
    g_assert_false(next.done);
    f->seq = 4;
    sl_api_events_grew(f->api);
    finish(f, &next);
    g_assert_cmpint(json_integer_value(json_array_get(json_object_get(next.json, "events"), 0)), ==,
                    4);
}

/* A connection of our own, to send what libcurl never would. */
static int connect_raw(const Fixture *f, bool tcp)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)g_ascii_strtoull(strchr(f->listen, ':') + 1, NULL, 10));
    g_strlcpy(local.sun_path, f->socket, sizeof local.sun_path);
    int fd = socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = tcp ? connect(fd, (struct sockaddr *)&address, sizeof address)
                 : connect(fd, (struct sockaddr *)&local, sizeof local);
    g_assert_cmpint(rc, ==, 0);
    return fd;
}

/* Fifty of one person wait; the next one is told so, and others are not disturbed. */
static void test_followers(Fixture *f, gconstpointer data)
{
    static const char request[] = "GET /v1/events?since=9&follow=1 HTTP/1.1\r\nHost: x\r\n\r\n";
    int held[SL_API_FOLLOWERS_EACH];
    (void)data;
    for (size_t i = 0; i < G_N_ELEMENTS(held); i++) {
        held[i] = connect_raw(f, false);
        g_assert_cmpint(write(held[i], request, sizeof request - 1), ==, sizeof request - 1);
    }
    wait_for(f->loop, sl_api_count(f->api) >= SL_API_FOLLOWERS_EACH);
    g_assert_cmpuint(sl_api_count(f->api), ==, SL_API_FOLLOWERS_EACH);
    fails(f, (Ask){.path = "/v1/events?since=9&follow=1"}, 429, "SLU4111");
    g_auto(Answer) other = {0}, plain = ask(f, (Ask){.path = "/v1/events?since=9"});
    g_assert_cmpint(plain.status, ==, 200);
    start(f, &(Ask){.path = "/v1/events?since=9&follow=1", .tcp = true, .token = "slc_view"},
          &other);
    f->seq = 10;
    wait_for(f->loop, sl_api_count(f->api) >= SL_API_FOLLOWERS_EACH + 3);
    sl_api_events_grew(f->api);
    finish(f, &other);
    g_assert_cmpint(other.status, ==, 200);
    for (size_t i = 0; i < G_N_ELEMENTS(held); i++)
        close(held[i]);
}

static bool has_ended(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN);
}

/* One says nothing, one sends a byte now and then, one a body that does not end: cut. Who waits for
 * us is not. */
static void test_slow_clients(Fixture *f, gconstpointer data)
{
    static const char unfinished[] = "POST /v1/actions/promote HTTP/1.1\r\nHost: x\r\n"
                                     "Content-Length: 100000\r\n\r\n";
    (void)data;
    g_auto(Answer) follower = {0};
    f->seq = 3;
    start(f, &(Ask){.path = "/v1/events?since=3&follow=1"}, &follower);
    int fds[] = {connect_raw(f, true), connect_raw(f, true), connect_raw(f, false)};
    g_assert_cmpint(write(fds[2], unfinished, sizeof unfinished - 1), >, 0);
    int64_t end_us = sl_clock_real.monotonic_us(NULL) + DEADLINE_US;
    while (sl_api_slow(f->api) < G_N_ELEMENTS(fds) && sl_clock_real.monotonic_us(NULL) < end_us) {
        (void)!send(fds[1], "G", 1, MSG_NOSIGNAL);
        (void)!send(fds[2], " ", 1, MSG_NOSIGNAL);
        sl_loop_turn(f->loop, 10000);
    }
    g_assert_cmpuint(sl_api_slow(f->api), ==, G_N_ELEMENTS(fds));
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        wait_for(f->loop, has_ended(fds[i]));
        close(fds[i]);
    }
    g_assert_false(follower.done);
    f->seq = 4;
    sl_api_events_grew(f->api);
    finish(f, &follower);
    g_assert_cmpint(follower.status, ==, 200);
}

static void test_port_in_use(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL, file = NULL;
    g_autofree char *other = g_build_filename(f->dir, "other.sock", NULL);
    SlApiConfig config = {.loop = f->loop,
                          .socket_path = other,
                          .listen = f->listen,
                          .owner_person = "alice",
                          .ops = &ops,
                          .user = f};
    g_assert_null(sl_api_new(&config, &error));
    g_assert_error(error, SL_ERROR, SLU_CONFIG_ADDRESS);
    g_assert_nonnull(strstr(error->message, f->listen));
    g_assert_true(g_file_set_contents(other, "precious", -1, NULL));
    g_assert_null(sl_api_new(&config, &file));
    g_assert_error(file, SL_ERROR, SLU_CONFIG_ADDRESS);
    g_assert_true(
        g_file_test(other, G_FILE_TEST_IS_REGULAR)); /* a file that is no socket of ours stays */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function) g_test_add("/api/" name, Fixture, NULL, set_up, function, tear_down)
    ADD("reading", test_reading);
    ADD("who", test_who);
    ADD("actions", test_actions);
    ADD("bad-bodies", test_bad_bodies);
    ADD("rate", test_rate);
    ADD("snapshot", test_snapshot);
    ADD("large-snapshot", test_large_snapshot);
    ADD("later", test_later);
    ADD("follow", test_follow);
    ADD("followers", test_followers);
    g_test_add("/api/slow-clients", Fixture, GINT_TO_POINTER(SL_SECOND_US / 5), set_up,
               test_slow_clients, tear_down);
    ADD("port-in-use", test_port_in_use);
    return g_test_run();
}
