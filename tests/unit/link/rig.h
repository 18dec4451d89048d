/* rig.h - a server and agents over real sockets on loopback, and what both saw. Every wait turns the
 * loop until an event or a deadline. */
#pragma once
#include "base/digest.h"
#include "link/client.h"
#include "link/selftest.h"
#include "link/server.h"
#include "link/socket.h"
#include "tests/unit/wait.h"

#include <netinet/in.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

/* A port below 32768 (libzmq 4.3.4 may connect to itself above) on which nobody listens. */
static inline unsigned free_port(void)
{
    for (;;) {
        uint16_t random;
        sl_random_bytes(&random, sizeof random);
        unsigned port = 10000 + random % 22000u;
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool free_ = bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
        close(fd);
        if (free_) {
            return port;
        }
    }
}

static inline SlCurveKeys new_keys(void)
{
    SlCurveKeys keys;
    g_assert_true(sodium_init() >= 0);
    crypto_box_keypair(keys.public_, keys.secret);
    return keys;
}

/* ---- the two ends, and what they saw ---- */

typedef struct {
    SlLoop *loop;
    SlServer *server;
    SlCurveKeys server_keys;
    char endpoint[64], enrol_endpoint[64];
    GPtrArray *received;   /* of char* "<first 8 of key> <message>" */
    GPtrArray *dropped;    /* of char* messages */
    GArray *dropped_codes; /* of int */
    char last_key[65], last_text[256];
    char *enrol_peer;
    unsigned gone;
    int trouble; /* code said last */
} Server;

typedef struct {
    Server *side;
    SlClient *client;
    SlCurveKeys keys;
    char hex[65];
    unsigned connected, disconnected, heads;
    bool hello_at_once; /* from inside connected() */
    char last_head[64], last_reason[64];
    GString *why;
} Agent;

static inline void on_received(void *user, const char *curve, const Sluice__Wire__Envelope *e)
{
    Server *s = user;
    g_strlcpy(s->last_key, curve, sizeof s->last_key);
    g_ptr_array_add(s->received,
                    g_strdup_printf("%.8s %s", curve, sl_message_info(sl_message_type(e))->name));
    if (e->body_case == SLUICE__WIRE__ENVELOPE__BODY_HELLO) {
        g_strlcpy(s->last_text, e->hello->cluster, sizeof s->last_text);
    }
}

static inline void on_dropped(void *user, const char *curve, const GError *error)
{
    (void)curve;
    Server *s = user;
    g_ptr_array_add(s->dropped, g_strdup(error->message));
    g_array_append_val(s->dropped_codes, error->code);
}

static inline void on_enrol(void *user, const char *peer, const Sluice__Wire__Envelope *e)
{
    Server *s = user;
    g_assert_cmpint(e->body_case, ==, SLUICE__WIRE__ENVELOPE__BODY_ENROL);
    g_free(s->enrol_peer);
    s->enrol_peer = g_strdup(peer);
}

static inline void on_gone(void *user, const char *curve)
{
    (void)curve;
    ((Server *)user)->gone++;
}

static inline void on_trouble(void *user, const char *curve, const GError *error)
{
    (void)curve;
    ((Server *)user)->trouble = error->code;
}

/* On its endpoints, also again. */
static inline void server_open(Server *s, bool enrol, int64_t silent_us)
{
    static SlServerEvents events;
    events = (SlServerEvents){.user = s,
                              .received = on_received,
                              .dropped = on_dropped,
                              .enrol = on_enrol,
                              .gone = on_gone,
                              .trouble = on_trouble};
    SlServerConfig config = {.endpoint = s->endpoint,
                             .enrol_endpoint = enrol ? s->enrol_endpoint : NULL,
                             .keys = &s->server_keys,
                             .events = &events,
                             .loop = s->loop,
                             .peers_max = 8,
                             .silent_us = silent_us};
    g_autoptr(GError) error = NULL;
    s->server = sl_server_new(&config, &error);
    g_assert_no_error(error);
}

static inline void server_start(Server *s, bool enrol, int64_t silent_us)
{
    memset(s, 0, sizeof *s);
    s->loop = sl_loop_new();
    s->received = g_ptr_array_new_with_free_func(g_free);
    s->dropped = g_ptr_array_new_with_free_func(g_free);
    s->dropped_codes = g_array_new(FALSE, FALSE, sizeof(int));
    s->server_keys = new_keys();
    g_snprintf(s->endpoint, sizeof s->endpoint, "tcp://127.0.0.1:%u", free_port());
    g_snprintf(s->enrol_endpoint, sizeof s->enrol_endpoint, "tcp://127.0.0.1:%u", free_port());
    server_open(s, enrol, silent_us);
}

static inline void server_stop(Server *s)
{
    sl_server_free(s->server);
    sl_loop_free(s->loop);
    g_ptr_array_unref(s->received);
    g_ptr_array_unref(s->dropped);
    g_array_unref(s->dropped_codes);
    g_free(s->enrol_peer);
}

static inline void allow(Server *s, const Agent *a, const Agent *b)
{
    g_autoptr(GPtrArray) keys = g_ptr_array_new();
    if (a != NULL) {
        g_ptr_array_add(keys, (gpointer)a->hex);
    }
    if (b != NULL) {
        g_ptr_array_add(keys, (gpointer)b->hex);
    }
    sl_server_allow(s->server, keys);
}

static inline void say_hello(Agent *a, const char *cluster)
{
    uint8_t nonce[16] = {0};
    Sluice__Wire__Hello hello = SLUICE__WIRE__HELLO__INIT;
    hello.nonce = (ProtobufCBinaryData){sizeof nonce, nonce};
    hello.cluster = (char *)cluster;
    Sluice__Wire__Envelope e = SLUICE__WIRE__ENVELOPE__INIT;
    e.body_case = SLUICE__WIRE__ENVELOPE__BODY_HELLO;
    e.hello = &hello;
    g_assert_true(sl_client_send(a->client, &e));
}

static inline void on_connected(void *user)
{
    Agent *a = user;
    a->connected++;
    if (a->hello_at_once) {
        say_hello(a, "at once");
    }
}

static inline void on_disconnected(void *user, const char *why)
{
    Agent *a = user;
    a->disconnected++;
    g_string_append_printf(a->why, "%s\n", why);
}

static inline void on_down(void *user, const Sluice__Wire__Envelope *e)
{
    Agent *a = user;
    if (e->body_case == SLUICE__WIRE__ENVELOPE__BODY_HEAD) {
        a->heads++;
        g_snprintf(a->last_head, sizeof a->last_head, "%.*s", (int)e->head->head->text.len,
                   (const char *)e->head->head->text.data);
    } else if (e->body_case == SLUICE__WIRE__ENVELOPE__BODY_RESET) {
        g_strlcpy(a->last_reason, e->reset->reason, sizeof a->last_reason);
    } else if (e->body_case == SLUICE__WIRE__ENVELOPE__BODY_ENROL_REPLY) {
        g_strlcpy(a->last_reason, e->enrol_reply->state, sizeof a->last_reason);
    }
}

static inline void agent_init(Agent *a, Server *side)
{
    memset(a, 0, sizeof *a);
    a->side = side;
    a->keys = new_keys();
    a->why = g_string_new(NULL);
    sl_curve_public_hex(&a->keys, a->hex);
}

static inline void agent_connect_to(Agent *a, const char *endpoint, SlMessageRole role,
                                    SlClientEvents *events)
{
    *events = (SlClientEvents){
        .user = a, .connected = on_connected, .disconnected = on_disconnected, .received = on_down};
    SlClientConfig config = {.endpoint = endpoint,
                             .server_key = a->side->server_keys.public_,
                             .keys = &a->keys,
                             .role = role,
                             .events = events,
                             .loop = a->side->loop,
                             .reconnect_min_us = SL_SECOND_US / 50,
                             .reconnect_max_us = SL_SECOND_US / 10};
    g_autoptr(GError) error = NULL;
    a->client = sl_client_new(&config, &error);
    g_assert_no_error(error);
}

static inline void agent_stop(Agent *a)
{
    sl_client_free(a->client);
    g_string_free(a->why, TRUE);
}

static inline bool send_signed(Sluice__Wire__Envelope__BodyCase what, Agent *a, Server *s,
                               const char *curve, const char *text, size_t len)
{
    Sluice__Wire__Signed sig = SLUICE__WIRE__SIGNED__INIT;
    sig.text = (ProtobufCBinaryData){len, (uint8_t *)text};
    Sluice__Wire__Report report = SLUICE__WIRE__REPORT__INIT;
    Sluice__Wire__Head head = SLUICE__WIRE__HEAD__INIT;
    report.report = &sig;
    head.head = &sig;
    Sluice__Wire__Envelope e = SLUICE__WIRE__ENVELOPE__INIT;
    e.body_case = what;
    if (what == SLUICE__WIRE__ENVELOPE__BODY_HEAD) {
        e.head = &head;
        return sl_server_send(s->server, curve, &e);
    }
    e.report = &report;
    return sl_client_send(a->client, &e);
}

static inline bool send_head(Server *s, const char *curve, const char *text)
{
    return send_signed(SLUICE__WIRE__ENVELOPE__BODY_HEAD, NULL, s, curve, text, strlen(text));
}

static inline bool send_report(Agent *a, const char *text)
{
    return send_signed(SLUICE__WIRE__ENVELOPE__BODY_REPORT, a, NULL, NULL, text, strlen(text));
}

static inline bool dropped_code(const Server *s, int code)
{
    for (guint i = 0; i < s->dropped_codes->len; i++) {
        if (g_array_index(s->dropped_codes, int, i) == code) {
            return true;
        }
    }
    return false;
}

/* A DEALER of our own with the agent's key, to send what the client never would. */
static inline void *raw_dealer(void *context, const Server *s, const Agent *a)
{
    SlDealerConfig config = {.context = context,
                             .keys = &a->keys,
                             .server_key = s->server_keys.public_,
                             .message_max = 1 << 20,
                             .reconnect_min_ms = 50,
                             .reconnect_max_ms = 100};
    g_autoptr(GError) error = NULL;
    void *dealer = sl_socket_dealer(&config, &error);
    g_assert_no_error(error);
    int wait_ms = 8000;
    zmq_setsockopt(dealer, ZMQ_SNDTIMEO, &wait_ms, sizeof wait_ms);
    g_assert_cmpint(zmq_connect(dealer, s->endpoint), ==, 0);
    return dealer;
}
