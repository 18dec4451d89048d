/* run.c - thin, honest agents on one epoll loop: real DEALERs with the product's own socket options.
 *
 * Each does what the wire asks of an agent and nothing else: HELLO with a fresh nonce on every
 * connection and after RESET; for a HEAD it fetches the desired list (index and buckets) if it does
 * not have it and then acknowledges by a signed REPORT; a REPORT every period. It keeps no state on
 * disk and checks no signature: a fleet's agents do that on their own machines.
 *
 * Commands on stdin, one JSON line back for each: "stat"; "rtt" (report to acknowledgement, since
 * the last asking); "round" answers once every agent has acknowledged a head that came after the
 * command, with the time of the first and the last on the monotonic clock; "period MS"; "end". */
#include "agent.h"

#include "base/json.h"
#include "runtime/loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <zmq.h>

#define TICK_US 10000
#define EVENTS_MAX 256

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void say(json_t *line /* consumed */)
{
    char *text = json_dumps(line, JSON_COMPACT);
    json_decref(line);
    (void)puts(text);
    (void)fflush(stdout);
    free(text);
}

static void say_stat(const Swarm *s)
{
    unsigned connected = 0, sessions = 0;
    for (unsigned i = 0; i < s->count; i++) {
        connected += s->agents[i].connected;
        sessions += s->agents[i].connected && s->agents[i].headed;
    }
    json_t *line = json_object();
    sl_json_set_int(line, "connected", connected);
    sl_json_set_int(line, "sessions", sessions);
    sl_json_set_int(line, "hellos", (int64_t)s->hellos);
    sl_json_set_int(line, "heads", (int64_t)s->heads);
    sl_json_set_int(line, "fetches", (int64_t)s->fetches);
    sl_json_set_int(line, "reports", (int64_t)s->reports);
    sl_json_set_int(line, "acks", (int64_t)s->acks);
    sl_json_set_int(line, "unsent", (int64_t)s->unsent);
    say(line);
}

static void say_rtt(Swarm *s)
{
    guint n = s->rtts->len;
    uint32_t *all = (uint32_t *)(void *)s->rtts->data;
    json_t *line = json_object();
    qsort(all, n, sizeof *all, compare);
    sl_json_set_int(line, "count", n);
    sl_json_set_int(line, "p50_us", n > 0 ? all[n / 2] : 0);
    sl_json_set_int(line, "p99_us", n > 0 ? all[(guint)((uint64_t)n * 99 / 100)] : 0);
    sl_json_set_int(line, "max_us", n > 0 ? all[n - 1] : 0);
    say(line);
    g_array_set_size(s->rtts, 0);
}

static void say_round(Swarm *s)
{
    json_t *line = json_object();
    sl_json_set_int(line, "first_us", s->round_first_us);
    sl_json_set_int(line, "heads_us", s->round_heads_us);
    sl_json_set_int(line, "acked_us", s->round_acked_us);
    say(line);
    s->round_open = false;
}

static void begin_round(Swarm *s)
{
    s->round_open = true;
    s->round_left = s->count;
    s->round_first_us = 0;
    for (unsigned i = 0; i < s->count; i++) {
        s->agents[i].round = ROUND_WAITS;
    }
}

/* False: end. */
static bool obey(Swarm *s, char *line)
{
    g_strchomp(line);
    if (strcmp(line, "stat") == 0) {
        say_stat(s);
    } else if (strcmp(line, "rtt") == 0) {
        say_rtt(s);
    } else if (strcmp(line, "round") == 0) {
        begin_round(s);
    } else if (g_str_has_prefix(line, "period ")) {
        s->period_us = (int64_t)swarm_number(line + 7, "period") * 1000;
        say_stat(s);
    } else {
        return false;
    }
    return true;
}

/* Its descriptor leaves the epoll set with the socket, since nobody else has it. */
static void leave(SwarmAgent *a)
{
    sl_socket_close(a->socket);
    a->socket = NULL;
}

static void turn(Swarm *s, uint32_t index)
{
    SwarmAgent *a = &s->agents[index];
    if (a->socket != NULL && !swarm_agent_turn(s, a)) {
        leave(a);
    }
}

static bool watch(Swarm *s, int fd, uint32_t index)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static bool come(Swarm *s, uint32_t index)
{
    int fd = swarm_agent_open(s, &s->agents[index]);
    if (fd < 0 || !watch(s, fd, index)) {
        (void)fprintf(stderr, "sluice-swarm: agent %u: %s\n", index, zmq_strerror(zmq_errno()));
        return false;
    }
    turn(s, index); /* its descriptor is silent until it was asked once */
    return true;
}

/* Agents report at times of their own, spread over the period. */
static void tick(Swarm *s)
{
    uint64_t expired;
    if (read(s->timer, &expired, sizeof expired) < 0) {
        return;
    }
    int64_t now = swarm_now_us(), before = s->ticked_us;
    s->ticked_us = now;
    for (unsigned i = 0; i < s->count; i++) {
        SwarmAgent *a = &s->agents[i];
        if (a->socket != NULL && swarm_agent_unanswered(a, now)) {
            leave(a);
        }
        if (a->socket == NULL && now >= a->back_us && !come(s, i)) {
            leave(a); /* sockets that were closed may still hold their descriptors */
            a->back_us = now + SL_SECOND_US;
        }
        int64_t phase = s->period_us * i / s->count;
        if (s->period_us > 0 && a->socket != NULL &&
            (now - phase) / s->period_us != (before - phase) / s->period_us) {
            swarm_agent_report(s, a);
            turn(s, i);
        }
    }
}

static bool read_command(Swarm *s)
{
    char line[256];
    ssize_t n = read(STDIN_FILENO, line, sizeof line - 1);
    if (n <= 0) {
        return false;
    }
    line[n] = '\0';
    return obey(s, line); /* the tests write one line and wait for its answer */
}

static int loop(Swarm *s)
{
    struct epoll_event events[EVENTS_MAX];
    for (;;) {
        int n = epoll_wait(s->epoll, events, EVENTS_MAX, -1);
        if (n < 0 && errno != EINTR) {
            return 1;
        }
        for (int i = 0; i < n; i++) {
            uint32_t index = events[i].data.u32;
            if (index == SWARM_TIMER) {
                tick(s);
            } else if (index != SWARM_STDIN) {
                turn(s, index);
            } else if (!read_command(s)) {
                return 0;
            }
        }
        if (s->round_open && s->round_left == 0) {
            say_round(s);
        }
    }
}

static bool open_all(Swarm *s, const char *seed, unsigned first)
{
    struct itimerspec every = {{0, TICK_US * 1000}, {0, TICK_US * 1000}};
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    s->context = sl_context_new();
    if (s->epoll < 0 || s->timer < 0 || timerfd_settime(s->timer, 0, &every, NULL) != 0 ||
        zmq_ctx_set(s->context, ZMQ_MAX_SOCKETS, 2 * (int)s->count + 16) != 0 ||
        !watch(s, s->timer, SWARM_TIMER) || !watch(s, STDIN_FILENO, SWARM_STDIN)) {
        return false;
    }
    for (unsigned i = 0; i < s->count; i++) {
        swarm_agent_init(&s->agents[i], seed, first + i);
        if (!come(s, i)) {
            return false;
        }
    }
    return true;
}

int swarm_run(int argc, char **argv)
{
    (void)argc;
    Swarm s = {.count = swarm_number(argv[7], "COUNT"),
               .period_us = (int64_t)swarm_number(argv[8], "PERIOD-MS") * 1000,
               .env = argv[4],
               .endpoint = argv[2],
               .ticked_us = swarm_now_us()};
    if (s.count == 0 || !sl_unhex(argv[3], s.server_key, sizeof s.server_key)) {
        return 64;
    }
    s.agents = g_new0(SwarmAgent, s.count);
    s.rtts = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    int code = open_all(&s, argv[5], swarm_number(argv[6], "FIRST")) ? loop(&s) : 1;
    for (unsigned i = 0; i < s.count; i++) {
        swarm_agent_close(&s.agents[i]);
    }
    sl_context_free(s.context);
    g_array_unref(s.rtts);
    g_free(s.agents);
    return code;
}
