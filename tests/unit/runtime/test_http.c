/* test_http.c - the HTTP client against small servers on loopback threads: answers, caps,
 * time-outs, redirects, Unix sockets. */
#include "base/auto.h"
#include "runtime/atomicfile.h"
#include "runtime/http.h"
#include "tests/unit/wait.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Answers every connection with the same bytes, or with silence until it is stopped. */
typedef struct {
    int listener, stop[2];
    unsigned port;
    const char *answer; /* NULL = silence */
    size_t filler;      /* further bytes of body */
    char request[4096];
    pthread_t thread;
} Peer;

static void answer_one(Peer *peer, int fd)
{
    size_t have = 0;
    while (have < sizeof peer->request - 1 && strstr(peer->request, "\r\n\r\n") == NULL) {
        ssize_t got = read(fd, peer->request + have, sizeof peer->request - 1 - have);
        if (got <= 0) {
            return;
        }
        have += (size_t)got;
        peer->request[have] = '\0';
    }
    if (peer->answer == NULL) {
        struct pollfd p = {.fd = peer->stop[0], .events = POLLIN};
        poll(&p, 1, -1);
        return;
    }
    bool good = write(fd, peer->answer, strlen(peer->answer)) > 0;
    char block[1000];
    memset(block, 'x', sizeof block);
    for (size_t left = peer->filler; good && left > 0; left -= MIN(left, sizeof block)) {
        good = send(fd, block, MIN(left, sizeof block), MSG_NOSIGNAL) > 0;
    }
}

static void *serve(void *user)
{
    Peer *peer = user;
    for (;;) {
        struct pollfd p[] = {{.fd = peer->stop[0], .events = POLLIN},
                             {.fd = peer->listener, .events = POLLIN}};
        poll(p, 2, -1);
        if (p[0].revents != 0) {
            return NULL;
        }
        sl_autofd fd = accept(peer->listener, NULL, NULL);
        memset(peer->request, 0, sizeof peer->request);
        answer_one(peer, fd);
    }
}

static void peer_begin(Peer *peer)
{
    g_assert_cmpint(listen(peer->listener, 16), ==, 0);
    g_assert_cmpint(pipe(peer->stop), ==, 0);
    g_assert_cmpint(pthread_create(&peer->thread, NULL, serve, peer), ==, 0);
}

static void peer_start_long(Peer *peer, const char *answer, size_t filler)
{
    *peer = (Peer){.answer = answer, .filler = filler};
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    peer->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    do {
        uint16_t random;
        sl_random_bytes(&random, sizeof random);
        peer->port = 10000 + random % 22000u;
        address.sin_port = htons((uint16_t)peer->port);
    } while (bind(peer->listener, (struct sockaddr *)&address, sizeof address) != 0);
    peer_begin(peer);
}

static void peer_start(Peer *peer, const char *answer)
{
    peer_start_long(peer, answer, 0);
}

static void peer_stop(Peer *peer)
{
    g_assert_cmpint(write(peer->stop[1], "x", 1), ==, 1);
    pthread_join(peer->thread, NULL);
    close(peer->listener);
    close(peer->stop[0]);
    close(peer->stop[1]);
}

static char *url_of(const Peer *peer, const char *rest)
{
    return g_strdup_printf("http://127.0.0.1:%u%s", peer->port, rest);
}

#define HELLO                                                                                      \
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nETag: \"7\"\r\nContent-Length: "               \
    "5\r\nConnection: close\r\n\r\nhello"

typedef struct {
    unsigned count;
    int status, code;
    char message[512];
    SlHttp *free_me;
} Seen;

static void done(const SlHttpResponse *response, const GError *error, void *user)
{
    Seen *seen = user;
    seen->count++;
    seen->status = response != NULL ? response->status : 0;
    seen->code = error != NULL ? error->code : 0;
    g_strlcpy(seen->message, error != NULL ? error->message : "", sizeof seen->message);
    sl_http_free(seen->free_me);
    seen->free_me = NULL;
}

static void test_wait(void)
{
    Peer peer;
    peer_start(&peer, HELLO);
    g_autofree char *url = url_of(&peer, "/path?secret=1");
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) body = g_bytes_new_static("{}", 2);
    const char *headers[] = {"Authorization: Bearer x", NULL};
    SlHttpRequest request = {.method = "PATCH", .url = url, .headers = headers, .body = body};
    SlHttpResponse response;
    g_assert_true(sl_http_wait(&request, &response, &error));
    g_assert_no_error(error);
    g_assert_cmpint(response.status, ==, 200);
    g_assert_cmpuint(g_bytes_get_size(response.body), ==, 5);
    g_assert_cmpstr(response.content_type, ==, "text/plain");
    g_assert_cmpstr(response.etag, ==, "\"7\"");
    g_assert_null(response.retry_after);
    sl_http_response_clear(&response);
    peer_stop(&peer);
    g_assert_nonnull(strstr(peer.request, "PATCH /path?secret=1 HTTP/1.1"));
    g_assert_nonnull(strstr(peer.request, "Authorization: Bearer x"));
    g_assert_nonnull(strstr(peer.request, "Content-Type: application/octet-stream"));
    g_assert_null(strstr(peer.request, "Expect:"));
    g_assert_false(sl_http_wait(&request, &response, &error)); /* nobody there any more */
    g_assert_error(error, SL_ERROR, SLU_UNAVAILABLE);
    g_assert_nonnull(strstr(error->message, "PATCH http://127.0.0.1"));
    g_assert_null(strstr(error->message, "secret"));
}

static void test_loop(void)
{
    Peer peer;
    peer_start(&peer, HELLO);
    g_autoptr(SlLoop) loop = sl_loop_new();
    SlHttp *http = sl_http_new(loop, 4);
    g_autofree char *url = url_of(&peer, "/");
    Seen seen = {0};
    SlHttpRequest request = {.method = "GET", .url = url};
    for (int i = 0; i < 20; i++) {
        sl_http_send(http, &request, done, &seen);
    }
    g_assert_cmpuint(seen.count, ==, 0); /* never from inside send */
    wait_for(loop, seen.count == 20);
    g_assert_cmpint(seen.status, ==, 200);
    sl_http_send(http, &request, done, &seen); /* freed under way: not called back */
    sl_http_free(http);
    sl_http_free(NULL);
    g_assert_cmpuint(seen.count, ==, 20);
    peer_stop(&peer);
}

/* The callback may free the client, with others under way. */
static void test_free_in_callback(void)
{
    Peer peer;
    peer_start(&peer, HELLO);
    g_autoptr(SlLoop) loop = sl_loop_new();
    SlHttp *http = sl_http_new(loop, 4);
    g_autofree char *url = url_of(&peer, "/");
    Seen seen = {.free_me = http};
    SlHttpRequest request = {.method = "GET", .url = url};
    for (int i = 0; i < 5; i++) {
        sl_http_send(http, &request, done, &seen);
    }
    wait_for(loop, seen.count == 1);
    for (int i = 0; i < 20; i++) {
        sl_loop_turn(loop, 1000);
    }
    g_assert_cmpuint(seen.count, ==, 1);
    peer_stop(&peer);
}

static void one_error(const SlHttpRequest *request, int code, const char *says)
{
    g_autoptr(SlLoop) loop = sl_loop_new();
    SlHttp *http = sl_http_new(loop, 1);
    Seen seen = {0};
    sl_http_send(http, request, done, &seen);
    wait_for(loop, seen.count == 1);
    g_assert_cmpint(seen.code, ==, code);
    if (strstr(seen.message, says) == NULL) {
        g_error("\"%s\" does not say \"%s\"", seen.message, says);
    }
    sl_http_free(http);
    g_autoptr(GError) error = NULL;
    SlHttpResponse response;
    g_assert_false(sl_http_wait(request, &response, &error));
    g_assert_error(error, SL_ERROR, code);
}

static void test_limits(void)
{
    Peer peer;
    peer_start_long(&peer, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", 100000);
    g_autofree char *url = url_of(&peer, "/");
    SlHttpRequest request = {.method = "GET", .url = url, .body_max = 50000};
    one_error(&request, SLU_LIMIT, "larger than 50000 bytes");
    peer_stop(&peer);
    peer_start(&peer, NULL);
    g_autofree char *silent = url_of(&peer, "/");
    request = (SlHttpRequest){.method = "GET", .url = silent, .timeout_us = SL_SECOND_US / 10};
    g_autoptr(GError) error = NULL;
    SlHttpResponse response;
    g_assert_false(sl_http_wait(&request, &response, &error));
    g_assert_error(error, SL_ERROR, SLU_TIMEOUT);
    peer_stop(&peer);
    request = (SlHttpRequest){.method = "GET", .url = "file:///etc/passwd"};
    one_error(&request, SLU_INVALID, "file");
    request.url = "http://user:hidden@127.0.0.1:1/x";
    g_clear_error(&error);
    g_assert_false(sl_http_wait(&request, &response, &error));
    g_assert_null(strstr(error->message, "hidden"));
}

static void test_redirect(void)
{
    Peer peer;
    peer_start(&peer, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nRetry-After: "
                      "5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    g_autofree char *url = url_of(&peer, "/");
    g_autoptr(GError) error = NULL;
    SlHttpRequest request = {.method = "GET", .url = url};
    SlHttpResponse response;
    g_assert_true(sl_http_wait(&request, &response, &error));
    g_assert_no_error(error);
    g_assert_cmpint(response.status, ==, 302);
    g_assert_cmpstr(response.retry_after, ==, "5");
    sl_http_response_clear(&response);
    peer_stop(&peer);
}

static void test_unix_socket(void)
{
    g_autofree char *folder = g_dir_make_tmp("sluice-http-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "socket", NULL);
    Peer peer = {.answer = HELLO};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    peer.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(peer.listener, (struct sockaddr *)&address, sizeof address), ==, 0);
    peer_begin(&peer);
    g_autoptr(GError) error = NULL;
    SlHttpRequest request = {
        .method = "GET", .url = "http://sluice/v1/status", .unix_socket = path};
    SlHttpResponse response;
    g_assert_true(sl_http_wait(&request, &response, &error));
    g_assert_no_error(error);
    g_assert_cmpint(response.status, ==, 200);
    sl_http_response_clear(&response);
    peer_stop(&peer);
    g_assert_false(sl_http_wait(&request, &response, &error));
    g_assert_nonnull(strstr(error->message, path));
    g_clear_error(&error);
    g_assert_true(sl_dir_remove_tree(folder, &error));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/http/wait", test_wait);
    g_test_add_func("/http/loop", test_loop);
    g_test_add_func("/http/free-in-callback", test_free_in_callback);
    g_test_add_func("/http/limits", test_limits);
    g_test_add_func("/http/redirect", test_redirect);
    g_test_add_func("/http/unix-socket", test_unix_socket);
    return g_test_run();
}
