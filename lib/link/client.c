/* client.c - the agent's side: one CURVE DEALER on the loop. Loop thread.
 *
 * Whether there is a session is known from the monitor: libzmq accepts messages for a dead
 * connection without a word. libzmq tries again by itself after a lost connection, a refused port,
 * and a handshake that ran into its limit (ZAP 300: not registered yet). After ZAP 400 or 500 and
 * after a protocol error it never does, so then (and whenever nothing happened for REVIVE_US) the
 * DEALER is made anew. So it is after a loss where the coordinator says over how long a return is
 * spread: in between there is no DEALER. */
#include "link/client.h"

#include "link/socket.h"
#include "link/zmqsource.h"

#include <sodium.h>
#include <string.h>
#include <zmq.h>

#define DRAIN_MAX 64
#define ENROL_HANDSHAKE_MS 5000 /* a person waits for the answer */
#define RECONNECT_MIN_US (SL_SECOND_US / 4)
#define RECONNECT_MAX_US (30 * SL_SECOND_US)
#define REVIVE_US (90 * SL_SECOND_US) /* three tries at the longest interval */
#define REFUSED_US (3 * SL_SECOND_US) /* after an answer that ends libzmq's own tries */
#define RETURN_MAX_US SL_MINUTE_US
#define UNANSWERED_US                                                                              \
    (10 * SL_SECOND_US) /* twice as long after each handshake without an end, up to a minute */
#define UNANSWERED_MAX 3
#define EVENTS                                                                                     \
    (ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |                        \
     ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |                       \
     ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CONNECT_RETRIED)

struct SlClient {
    SlClientConfig config;
    char *endpoint;
    SlCurveKeys keys;
    uint8_t server_key[32];
    void *context, *socket, *monitor;
    SlZmqSource *source, *monitor_source;
    SlTimer *revive_timer;
    bool connected;
    int64_t return_us;   /* over which a return is spread; 0 = libzmq's own pace */
    int64_t away_us;     /* about to leave, and to come back within so long; 0 = not */
    unsigned unanswered; /* handshakes in a row that had no end */
    char *why;           /* said last */
};

static bool open_socket(SlClient *client, GError **error);

/* A number from 0 to @max, so that agents which lost their coordinator together do not come back
 * together. */
static int64_t jitter(int64_t max)
{
    uint32_t random;
    sl_random_bytes(&random, sizeof random);
    return (int64_t)(random % (uint64_t)MAX(max, 1));
}

static void close_all(SlClient *client)
{
    sl_zmq_source_free(client->source);
    sl_zmq_source_free(client->monitor_source);
    client->source = client->monitor_source = NULL;
    if (client->socket != NULL) {
        sl_monitor_stop(client->socket, client->monitor);
    }
    sl_socket_close(client->socket);
    client->socket = client->monitor = NULL;
}

static void say_disconnected(SlClient *client, const char *why)
{
    bool news = client->connected || g_strcmp0(client->why, why) != 0;
    client->connected = false;
    g_free(client->why);
    client->why = g_strdup(why);
    if (news) {
        client->config.events->disconnected(client->config.events->user, client->why);
    }
}

static void on_revive(void *user)
{
    SlClient *client = user;
    g_autoptr(GError) error = NULL;
    close_all(client);
    if (client->away_us > 0) {
        sl_timer_arm(client->revive_timer, jitter(client->away_us));
        client->away_us = 0;
        return;
    }
    sl_timer_arm(client->revive_timer, REVIVE_US + jitter(REFUSED_US));
    if (!open_socket(client, &error)) {
        say_disconnected(client, error->message);
    }
}

static void on_connected(SlClient *client)
{
    sl_timer_arm(client->revive_timer, -1);
    g_clear_pointer(&client->why, g_free);
    client->connected = true;
    client->away_us = 0;
    client->unanswered = 0;
    client->config.events->connected(client->config.events->user);
}

/* @after_us: when to start anew if libzmq does not get there by itself. */
static void on_failed(SlClient *client, const char *why, int64_t after_us)
{
    sl_timer_arm(client->revive_timer, after_us + jitter(REFUSED_US));
    say_disconnected(client, why);
}

/* All the others of a large fleet lost it too, or were not let in in time: each tries again at a time
 * of its own, where libzmq would within half a second. */
static void stay_away(SlClient *client, int64_t within_us)
{
    client->away_us = within_us;
    if (within_us > 0) {
        sl_timer_arm(client->revive_timer, 0); /* not from inside the monitor's own turn */
    }
}

/* Nobody says how busy a coordinator is that ends no handshake, so the fewer come the longer it
 * lasts: else thousands keep each other from ever getting in. A join has a person who waits. */
static void on_unanswered(SlClient *client)
{
    int64_t within_us = UNANSWERED_US << client->unanswered;
    client->unanswered = MIN(client->unanswered + 1, UNANSWERED_MAX);
    if (client->config.role == SL_ROLE_AGENT) {
        stay_away(client, MAX(client->return_us, MIN(within_us, RETURN_MAX_US)));
    }
}

static void on_event(SlClient *client, int event)
{
    switch (event) {
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        on_connected(client);
        return;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        on_failed(client,
                  "SLU4004: the coordinator did not let this agent in: its key is not registered "
                  "there, or it is suspended for a minute",
                  REFUSED_US);
        return;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        on_failed(client,
                  "the other side is not a coordinator, or its transport key is another one",
                  REFUSED_US);
        return;
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        say_disconnected(client,
                         "SLU4004: no handshake: the coordinator's key is another one, or it is "
                         "too busy");
        on_unanswered(client);
        return;
    case ZMQ_EVENT_DISCONNECTED:
        if (client->connected) {
            on_failed(client, "the connection was lost", REVIVE_US);
            stay_away(client, client->return_us);
        }
        return;
    case ZMQ_EVENT_CONNECT_RETRIED:
        if (!client->connected && client->why == NULL) {
            say_disconnected(client, "nobody answers there");
        }
        return;
    default:
        return;
    }
}

/* The callbacks that an event leads to do not free the client, but on_revive may have replaced the
 * monitor. */
static void on_monitor(void *user)
{
    SlClient *client = user;
    int event;
    uint32_t value;
    for (int i = 0; i < DRAIN_MAX && client->monitor != NULL &&
                    sl_monitor_next(client->monitor, &event, &value);
         i++) {
        on_event(client, event);
    }
}

/* ---- messages ---- */

static void handle(SlClient *client, zmq_msg_t *frame, bool single)
{
    g_autoptr(GError) error = NULL;
    Sluice__Wire__Envelope *envelope = NULL;
    if (!single) {
        sl_throw(&error, SLU_WIRE_FORMAT, "message of more than one frame");
    } else {
        envelope = sl_wire_unpack(zmq_msg_data(frame), zmq_msg_size(frame), SL_DIRECTION_DOWN,
                                  client->config.role, &error);
    }
    const SlClientEvents *events = client->config.events;
    if (envelope != NULL) {
        events->received(events->user, envelope);
        sl_wire_free(envelope);
    } else if (events->dropped != NULL) {
        events->dropped(events->user, error);
    }
}

/* False: nothing there. */
static bool receive_one(SlClient *client)
{
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    if (zmq_msg_recv(&frame, client->socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&frame);
        return false;
    }
    bool single = true;
    while (zmq_msg_more(&frame)) {
        single = false;
        zmq_msg_close(&frame);
        zmq_msg_init(&frame);
        if (zmq_msg_recv(&frame, client->socket, ZMQ_DONTWAIT) < 0) {
            break;
        }
    }
    handle(client, &frame, single);
    zmq_msg_close(&frame);
    return true;
}

static void on_ready(void *user)
{
    SlClient *client = user;
    for (int i = 0; i < DRAIN_MAX && client->socket != NULL && receive_one(client); i++) {
    }
}

void sl_client_return(SlClient *client, int64_t spread_us)
{
    client->return_us = spread_us <= RECONNECT_MIN_US ? 0 : MIN(spread_us, RETURN_MAX_US);
}

bool sl_client_send(SlClient *client, const Sluice__Wire__Envelope *envelope)
{
    SlMessageType type = sl_message_type(envelope);
    if (!client->connected || type == SL_N_MESSAGES) {
        return false;
    }
    g_autoptr(GBytes) bytes = sl_wire_pack(envelope);
    size_t len;
    const void *data = g_bytes_get_data(bytes, &len);
    return len <= sl_message_info(type)->bytes_max &&
           zmq_send(client->socket, data, len, ZMQ_DONTWAIT) >= 0;
}

/* ---- life ---- */

static size_t down_max(SlMessageRole role)
{
    size_t max = 0;
    for (int i = 0; i < (int)SL_N_MESSAGES; i++) {
        const SlMessageInfo *info = sl_message_info((SlMessageType)i);
        if (info->direction == SL_DIRECTION_DOWN && info->role == role) {
            max = MAX(max, info->bytes_max);
        }
    }
    return max;
}

static bool open_socket(SlClient *client, GError **error)
{
    int64_t min_us = client->config.reconnect_min_us;
    SlDealerConfig options = {
        .context = client->context,
        .keys = &client->keys,
        .server_key = client->server_key,
        .message_max = down_max(client->config.role),
        .handshake_ms = client->config.role == SL_ROLE_ENROL ? ENROL_HANDSHAKE_MS : 0,
        .reconnect_min_ms = (int)((min_us + jitter(min_us)) / 1000),
        .reconnect_max_ms = (int)(client->config.reconnect_max_us / 1000),
    };
    client->socket = sl_socket_dealer(&options, error);
    if (client->socket == NULL) {
        return false;
    }
    client->monitor = sl_monitor_start(client->context, client->socket, EVENTS);
    if (client->monitor == NULL) {
        return sl_throw(error, SLU_INTERNAL, "libzmq refuses a monitor: %s",
                        zmq_strerror(zmq_errno()));
    }
    client->monitor_source =
        sl_zmq_source_new(client->config.loop, client->monitor, on_monitor, client);
    client->source = sl_zmq_source_new(client->config.loop, client->socket, on_ready, client);
    if (zmq_connect(client->socket, client->endpoint) != 0) {
        return sl_throw(error, SLU_ENDPOINT, "%s: can't connect there: %s", client->endpoint,
                        zmq_strerror(zmq_errno()));
    }
    return true;
}

SlClient *sl_client_new(const SlClientConfig *config, GError **error)
{
    SlClient *client = g_new0(SlClient, 1);
    client->config = *config;
    client->config.reconnect_min_us =
        config->reconnect_min_us > 0 ? config->reconnect_min_us : RECONNECT_MIN_US;
    client->config.reconnect_max_us =
        config->reconnect_max_us > 0 ? config->reconnect_max_us : RECONNECT_MAX_US;
    client->endpoint = g_strdup(config->endpoint);
    client->keys = *config->keys;
    memcpy(client->server_key, config->server_key, sizeof client->server_key);
    client->context = sl_context_new();
    client->revive_timer = sl_timer_new(config->loop, on_revive, client);
    if (!open_socket(client, error)) {
        sl_client_free(client);
        return NULL;
    }
    sl_timer_arm(client->revive_timer, REVIVE_US);
    return client;
}

void sl_client_free(SlClient *client)
{
    if (client == NULL) {
        return;
    }
    close_all(client);
    sl_context_free(client->context);
    sl_timer_free(client->revive_timer);
    sodium_memzero(&client->keys, sizeof client->keys);
    g_free(client->endpoint);
    g_free(client->why);
    g_free(client);
}
