/* load.c - a load generator for the HTTP API on its Unix socket: N connections that ask the same
 * thing again as soon as they have their answer. Prints rate and times as one JSON object.
 *
 *   bench-load SOCKET PATH CONNECTIONS SECONDS [HEADER: VALUE] */
#include "base/auto.h"
#include "base/json.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECTIONS_MAX 512
#define HEAD_MAX 4096
#define TIMES_MAX 8000000
#define EVENTS 64

typedef struct {
    int fd;
    int64_t asked_us;
    char head[HEAD_MAX];
    size_t head_len, body_left;
    bool in_body;
} Peer;

static struct {
    char ask[1024];
    size_t ask_len;
    uint32_t *times;
    size_t count, bad, bytes;
    int epoll;
} load;

static void give_up(const char *what)
{
    fprintf(stderr, "bench-load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void ask(Peer *peer)
{
    peer->asked_us = g_get_monotonic_time();
    peer->head_len = 0;
    peer->in_body = false;
    if (send(peer->fd, load.ask, load.ask_len, MSG_NOSIGNAL) != (ssize_t)load.ask_len)
        give_up("send");
}

static void answered(Peer *peer)
{
    int64_t took = g_get_monotonic_time() - peer->asked_us;
    if (load.count < TIMES_MAX)
        load.times[load.count++] = (uint32_t)took;
    if (strncmp(peer->head, "HTTP/1.1 200", 12) != 0 &&
        strncmp(peer->head, "HTTP/1.1 304", 12) != 0)
        load.bad++;
    ask(peer);
}

/* Takes the head when it is whole; how many of the bytes belong to it. */
static size_t take_head(Peer *peer, const char *bytes, size_t len)
{
    size_t before = peer->head_len, room = HEAD_MAX - 1 - before;
    size_t taken = MIN(len, room);
    memcpy(peer->head + before, bytes, taken);
    peer->head_len += taken;
    peer->head[peer->head_len] = '\0';
    char *end = strstr(peer->head, "\r\n\r\n");
    if (end == NULL)
        return taken;
    *end = '\0';
    const char *length = strstr(peer->head, "Content-Length: ");
    peer->in_body = true;
    peer->body_left = length != NULL ? (size_t)g_ascii_strtoull(length + 16, NULL, 10) : 0;
    return (size_t)(end - peer->head) + 4 - before;
}

static void take(Peer *peer, const char *bytes, size_t len)
{
    load.bytes += len;
    if (!peer->in_body) {
        size_t used = take_head(peer, bytes, len);
        bytes += used;
        len -= used;
    }
    if (!peer->in_body)
        return;
    peer->body_left -= MIN(len, peer->body_left);
    if (peer->body_left == 0)
        answered(peer);
}

static void connect_peer(Peer *peer, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        give_up(path);
    memcpy(address.sun_path, path, strlen(path));
    peer->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (peer->fd < 0 || connect(peer->fd, (struct sockaddr *)&address, sizeof address) != 0)
        give_up(path);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
    if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, peer->fd, &event) != 0)
        give_up("epoll");
    ask(peer);
}

static int by_time(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static void report(double seconds)
{
    if (load.count == 0)
        give_up("no answer");
    qsort(load.times, load.count, sizeof *load.times, by_time);
    printf("{\"requests\":%zu,\"refused\":%zu,\"per_second\":%.0f,\"mib_per_second\":%.1f,"
           "\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f}\n",
           load.count, load.bad, (double)load.count / seconds,
           (double)load.bytes / seconds / 1048576, load.times[load.count / 2] / 1e3,
           load.times[load.count * 99 / 100] / 1e3, load.times[load.count - 1] / 1e3);
}

int main(int argc, char **argv)
{
    static Peer peers[CONNECTIONS_MAX];
    static char buffer[256 * 1024];
    if (argc < 5)
        give_up("usage: SOCKET PATH CONNECTIONS SECONDS [HEADER]");
    int count = CLAMP((int)g_ascii_strtoll(argv[3], NULL, 10), 1, CONNECTIONS_MAX);
    int64_t span_us = g_ascii_strtoll(argv[4], NULL, 10) * 1000000;
    load.ask_len =
        (size_t)g_snprintf(load.ask, sizeof load.ask, "GET %s HTTP/1.1\r\nHost: bench\r\n%s%s\r\n",
                           argv[2], argc > 5 ? argv[5] : "", argc > 5 ? "\r\n" : "");
    load.times = g_new(uint32_t, TIMES_MAX);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < count; i++)
        connect_peer(&peers[i], argv[1]);
    int64_t start = g_get_monotonic_time(), now = start;
    while ((now = g_get_monotonic_time()) - start < span_us) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(load.epoll, events, EVENTS, 100);
        for (int i = 0; i < ready; i++) {
            Peer *peer = events[i].data.ptr;
            ssize_t len = recv(peer->fd, buffer, sizeof buffer, 0);
            if (len <= 0)
                give_up("the connection ended");
            take(peer, buffer, (size_t)len);
        }
    }
    report((double)(now - start) / 1e6);
    return 0;
}
