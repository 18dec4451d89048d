/* front.c - holds the declared port of a server and forwards TCP to its back ends.
 *
 *   DIR/front     "listen: 127.0.0.1:8501"                         written once by the agent
 *   DIR/backends  "generation: 4", "grace-us: N", "backend: 127.0.0.1:20001"...   replaced
 * atomically, re-read at once (inotify) DIR/state     "generation: 4", "old: 2"   connections that
 * still use a back end which the file no longer names
 *
 * New connections go to the named back ends in turn; old ones go on for the grace and are closed
 * then. One front per folder (lock, pid record). It parses nothing of what it forwards. */
#include "exec.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 1024 /* x 2 buffers of 16 KiB = 32 MiB at most */
#define BUFFER_BYTES (16 * 1024)
#define BACKENDS_MAX 64 /* replicas of one server on one machine */
#define BACKENDS_FILE_MAX (8 * 1024)
#define CONNECT_TIMEOUT_US 5000000 /* a back end on this machine answers at once or is gone */

typedef struct {
    char bytes[BUFFER_BYTES];
    size_t start, end;
    bool eof, shut; /* the reader saw the end; the writer passed it on */
} Buffer;

typedef struct Connection Connection;
typedef struct {
    Connection *connection;
    int fd;
    uint32_t events;
} Side;

struct Connection {
    Side client, server;
    Buffer up, down; /* client to server, server to client */
    struct sockaddr_in backend;
    bool connecting, broken;
    size_t tries;
    int64_t close_at, connect_by; /* boot clock, INT64_MAX = none */
};

typedef struct {
    int dirfd, listener, epoll, signals, notify;
    struct sockaddr_in backend[BACKENDS_MAX];
    size_t backend_count, next;
    uint64_t generation, grace_us;
    Connection *connection[CONNECTIONS_MAX];
    size_t count;
    size_t old_said;
    bool stopping, paused;
} Front;

static bool parse_address(char *text, struct sockaddr_in *ret)
{
    uint64_t port;
    char *colon = strrchr(text, ':');
    if (!colon || !exec_parse_uint(colon + 1, 65535, &port) || port == 0)
        return false;
    *colon = '\0';
    *ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    bool ok = inet_pton(AF_INET, text, &ret->sin_addr) == 1;
    *colon = ':';
    return ok;
}

static bool is_named(const Front *f, const struct sockaddr_in *backend)
{
    for (size_t i = 0; i < f->backend_count; i++)
        if (f->backend[i].sin_port == backend->sin_port &&
            f->backend[i].sin_addr.s_addr == backend->sin_addr.s_addr)
            return true;
    return false;
}

static void write_state(Front *f)
{
    char text[128];
    size_t old = 0;
    for (size_t i = 0; i < f->count; i++)
        if (!is_named(f, &f->connection[i]->backend))
            old++;
    int len = snprintf(text, sizeof text, "format: 1\ngeneration: %llu\nold: %zu\n",
                       (unsigned long long)f->generation, old);
    if (old == f->old_said)
        return;
    f->old_said = old;
    (void)exec_write_atomic(f->dirfd, "state", text, (size_t)len);
}

static void read_backends(Front *f)
{
    size_t len;
    char *text = exec_read_file(f->dirfd, "backends", BACKENDS_FILE_MAX, &len), *rest = text;
    if (!text)
        return;
    f->backend_count = 0;
    for (char *line; (line = strsep(&rest, "\n"));) {
        if (strncmp(line, "generation: ", 12) == 0)
            (void)exec_parse_uint(line + 12, UINT64_C(1) << 62, &f->generation);
        else if (strncmp(line, "grace-us: ", 10) == 0)
            (void)exec_parse_uint(line + 10, UINT64_C(86400000000), &f->grace_us);
        else if (strncmp(line, "backend: ", 9) == 0 && f->backend_count < BACKENDS_MAX &&
                 parse_address(line + 9, &f->backend[f->backend_count]))
            f->backend_count++;
    }
    free(text);
    int64_t until = exec_monotonic_us() + (int64_t)f->grace_us;
    for (size_t i = 0; i < f->count; i++) {
        Connection *c = f->connection[i];
        if (is_named(f, &c->backend))
            c->close_at = INT64_MAX;
        else if (c->close_at == INT64_MAX)
            c->close_at = until;
    }
    f->old_said = SIZE_MAX;
    write_state(f);
}

static void watch(Front *f, Side *side, uint32_t events)
{
    if (side->events == events)
        return;
    /* Nothing wanted = taken out: a hang-up is reported even then, and would spin. */
    int how = events == 0 ? EPOLL_CTL_DEL : side->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    struct epoll_event e = {.events = events, .data.ptr = side};
    (void)epoll_ctl(f->epoll, how, side->fd, &e);
    side->events = events;
}

static void watch_connection(Front *f, Connection *c)
{
    uint32_t client = 0, server = 0;
    if (!c->connecting) {
        if (!c->up.eof && c->up.end < BUFFER_BYTES)
            client |= EPOLLIN;
        if (c->down.end > c->down.start)
            client |= EPOLLOUT;
        if (!c->down.eof && c->down.end < BUFFER_BYTES)
            server |= EPOLLIN;
        if (c->up.end > c->up.start)
            server |= EPOLLOUT;
    } else {
        server = EPOLLOUT;
    }
    watch(f, &c->client, client);
    if (c->server.fd >= 0)
        watch(f, &c->server, server);
}

static void end_connection(Front *f, Connection *c)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->connection[i] == c)
            f->connection[i] = f->connection[--f->count];
    close(c->client.fd);
    if (c->server.fd >= 0)
        close(c->server.fd);
    free(c);
    write_state(f);
}

/* The next back end that takes a connection; false if none does. */
static bool try_backends(Front *f, Connection *c)
{
    int one = 1;
    if (c->server.fd >= 0)
        close(c->server.fd);
    c->server = (Side){c, -1, 0};
    while (f->backend_count > 0 && c->tries < f->backend_count) {
        c->tries++;
        c->backend = f->backend[f->next++ % f->backend_count];
        c->server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (c->server.fd < 0)
            return false;
        setsockopt(c->server.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        c->connecting = true;
        c->connect_by = exec_monotonic_us() + CONNECT_TIMEOUT_US;
        if (connect(c->server.fd, (struct sockaddr *)&c->backend, sizeof c->backend) == 0 ||
            errno == EINPROGRESS) {
            watch_connection(f, c);
            return true;
        }
        close(c->server.fd);
        c->server.fd = -1;
    }
    return false;
}

static void pause_listener(Front *f, bool pause)
{
    if (f->paused == pause || f->listener < 0)
        return;
    f->paused = pause;
    struct epoll_event e = {.events = pause ? 0 : EPOLLIN, .data.ptr = &f->listener};
    (void)epoll_ctl(f->epoll, EPOLL_CTL_MOD, f->listener, &e);
}

static void accept_some(Front *f)
{
    while (f->listener >= 0 && f->count < CONNECTIONS_MAX) {
        int one = 1, fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return;
        Connection *c = calloc(1, sizeof *c);
        if (!c) {
            close(fd);
            return;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
        c->client = (Side){c, fd, 0};
        c->server.fd = -1;
        c->close_at = c->connect_by = INT64_MAX;
        f->connection[f->count++] = c;
        if (!try_backends(f, c))
            end_connection(f, c);
    }
    pause_listener(f, f->count >= CONNECTIONS_MAX); /* the others wait in the backlog */
}

/* Moves what can be moved one way; false if the connection broke. */
static bool move_bytes(Side *from, Side *to, Buffer *b)
{
    if (!b->eof && b->end < BUFFER_BYTES) {
        ssize_t n = recv(from->fd, b->bytes + b->end, BUFFER_BYTES - b->end, 0);
        if (n > 0)
            b->end += (size_t)n;
        else if (n == 0)
            b->eof = true;
        else if (errno != EAGAIN && errno != EINTR)
            return false;
    }
    while (b->start < b->end) {
        ssize_t n = send(to->fd, b->bytes + b->start, b->end - b->start, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            return false;
        b->start += (size_t)n;
    }
    if (b->start == b->end)
        b->start = b->end = 0;
    else if (b->start > 0 && b->end == BUFFER_BYTES) {
        memmove(b->bytes, b->bytes + b->start, b->end - b->start);
        b->end -= b->start;
        b->start = 0;
    }
    if (b->eof && b->end == 0 && !b->shut) {
        b->shut = true;
        shutdown(to->fd, SHUT_WR);
    }
    return true;
}

static void serve_side(Front *f, Side *side, uint32_t events)
{
    Connection *c = side->connection;
    if (c->connecting) {
        int problem = 0;
        socklen_t len = sizeof problem;
        if (side == &c->client) {
            c->broken = (events & (EPOLLHUP | EPOLLERR)) != 0;
            return;
        }
        getsockopt(side->fd, SOL_SOCKET, SO_ERROR, &problem, &len);
        if (problem != 0) {
            c->broken = !try_backends(f, c);
            return;
        }
        c->connecting = false;
        c->connect_by = INT64_MAX;
    }
    bool ok =
        move_bytes(&c->client, &c->server, &c->up) && move_bytes(&c->server, &c->client, &c->down);
    c->broken = !ok || (c->up.shut && c->down.shut) ||
                ((events & (EPOLLERR | EPOLLHUP)) && c->up.eof && c->down.eof);
    if (!c->broken)
        watch_connection(f, c);
}

static int64_t close_due(Front *f)
{
    int64_t now = exec_monotonic_us(), next = INT64_MAX;
    for (size_t i = f->count; i-- > 0;) {
        Connection *c = f->connection[i];
        if (c->connect_by <= now && !try_backends(f, c))
            c->broken = true;
        if (c->broken || c->close_at <= now) {
            end_connection(f, c);
            continue;
        }
        next = c->close_at < next ? c->close_at : next;
        next = c->connect_by < next ? c->connect_by : next;
    }
    return next;
}

static void stop(Front *f)
{
    struct signalfd_siginfo info;
    while (read(f->signals, &info, sizeof info) == (ssize_t)sizeof info)
        f->stopping = true;
    if (f->listener >= 0)
        close(f->listener);
    f->listener = -1;
    f->backend_count = 0;
    int64_t until = exec_monotonic_us() + (int64_t)f->grace_us;
    for (size_t i = 0; i < f->count; i++)
        if (f->connection[i]->close_at > until)
            f->connection[i]->close_at = until;
}

/* Our own state file lies in the same folder: only the back ends' name counts. */
static bool backends_changed(Front *f)
{
    char bytes[8192] __attribute__((aligned(8)));
    bool changed = false;
    for (ssize_t n; (n = read(f->notify, bytes, sizeof bytes)) > 0;) {
        for (char *at = bytes; at < bytes + n;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)at;
            changed = changed || (event->mask & IN_Q_OVERFLOW) ||
                      (event->len > 0 && strcmp(event->name, "backends") == 0);
            at += sizeof *event + event->len;
        }
    }
    return changed;
}

static int wait_ms(int64_t next)
{
    if (next == INT64_MAX)
        return -1;
    int64_t left = (next - exec_monotonic_us()) / 1000 + 1;
    return left < 0 ? 0 : left > 3600000 ? 3600000 : (int)left;
}

static void serve(Front *f)
{
    while (!f->stopping || f->count > 0) {
        struct epoll_event events[128];
        int64_t next = close_due(f);
        pause_listener(f, f->count >= CONNECTIONS_MAX);
        if (f->stopping && f->count == 0)
            break;
        int n = epoll_wait(f->epoll, events, 128, wait_ms(next));
        for (int i = 0; i < n; i++) {
            void *what = events[i].data.ptr;
            if (what == &f->listener) {
                accept_some(f);
            } else if (what == &f->signals) {
                stop(f);
            } else if (what == &f->notify) {
                if (backends_changed(f) && !f->stopping)
                    read_backends(f);
            } else if (!((Side *)what)->connection->broken) {
                serve_side(f, what, events[i].events);
            }
        }
    }
}

static void add_source(Front *f, int *fd)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = fd};
    if (*fd < 0 || epoll_ctl(f->epoll, EPOLL_CTL_ADD, *fd, &e) != 0)
        exec_die(1, "front: %s", strerror(errno));
}

static void listen_on(Front *f, const char *dir)
{
    size_t len;
    struct sockaddr_in address;
    int one = 1;
    char *text = exec_read_file(f->dirfd, "front", 1024, &len);
    char *line = text ? strstr(text, "listen: ") : NULL;
    if (line)
        line[strcspn(line, "\n")] = '\0';
    if (!line || !parse_address(line + 8, &address))
        exec_die(2, "%s/front: needs a line `listen: ADDRESS:PORT`", dir);
    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(f->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (f->listener < 0 || bind(f->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(f->listener, 1024) != 0)
        exec_die(errno == EADDRINUSE ? 98 : 1, "cannot listen on %s: %s", line + 8,
                 strerror(errno));
    free(text);
}

_Noreturn void exec_front(const char *dir)
{
    static Front f = {.listener = -1, .grace_us = 10000000, .old_said = SIZE_MAX};
    exec_cloexec_all();
    f.dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (f.dirfd < 0)
        exec_die(1, "%s: %s", dir, strerror(errno));
    int lock = openat(f.dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) != 0)
        exec_die(EXEC_ALREADY, "%s has a front already", dir);
    exec_detach();
    listen_on(&f, dir);
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    f.epoll = epoll_create1(EPOLL_CLOEXEC);
    f.signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    f.notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", f.dirfd);
    add_source(&f, &f.listener);
    add_source(&f, &f.signals);
    add_source(&f, &f.notify);
    if (inotify_add_watch(f.notify, path, IN_MOVED_TO | IN_CLOSE_WRITE) < 0)
        exec_die(1, "%s: inotify: %s", dir, strerror(errno));
    if (!exec_write_identity(f.dirfd, "pid", ""))
        exec_die(1, "%s/pid: %s", dir, strerror(errno));
    read_backends(&f);
    exec_ready();
    serve(&f);
    unlinkat(f.dirfd, "pid", 0);
    _exit(0);
}
