/* enrolport.c - the enrolment port. Loop thread.
 *
 * Strangers may talk here, so everything is small: 4 KiB a message, a few messages of one connection
 * and RATE a second for all of them together; the rest is thrown away unread. Who asks as an agent
 * does is never above the first, and among many who do too, its turn comes within a few tries. The peer's name for a reply is its routing
 * id in hex, which means nothing elsewhere. */
#include "link/enrolport.h"

#include "base/digest.h"
#include "link/doorman.h"
#include "link/peer.h"
#include "link/routed.h"
#include "link/socket.h"
#include "link/zap.h"
#include "link/zmqsource.h"

#include <string.h>

#define DRAIN_MAX 16 /* messages per turn */
#define RATE 100     /* messages a second: a hundred agents enrol in one; about 1 % of a core */
#define BURST 100
#define SHARE_RATE 1  /* of one connection: an agent asks every two seconds, */
#define SHARE_BURST 3 /* and once more when it lost its answer */
#define PEER_TEXT_MAX 512
#define RECEIVE_MAX 4 /* requests of one stranger that wait to be read */
#define CONNECTIONS_MAX 256
#define ACCEPTS_PER_SECOND 200 /* handshakes: a tenth of a core */
#define MUTE_US (10 * SL_SECOND_US) /* a request follows the handshake at once */
#define IDLE_US (60 * SL_SECOND_US) /* who waits for a person asks again every two seconds */
#define OPEN_MAX (64 * 1024)        /* bytes of requests that have not ended */
#define BUFFER (32 * 1024)          /* of the kernel: libzmq still reads it after a cut */

struct SlEnrolPort {
    void *socket;
    SlDoorman *doorman;
    SlZmqSource *source;
    SlBucket bucket;
    const SlServerEvents *events;
};

static void handle(SlEnrolPort *port, SlRouted *message, bool within_share)
{
    g_autoptr(GError) error = NULL;
    if (!within_share) {
        sl_throw(&error, SLU_FLOOD, "enrolment: one connection asks more than once a second");
        port->events->dropped(port->events->user, message->user, error);
        return;
    }
    if (!sl_bucket_take(&port->bucket, 1, sl_clock_real.monotonic_us(NULL))) {
        sl_throw(&error, SLU_FLOOD, "enrolment: more than %d messages a second", RATE);
        port->events->dropped(port->events->user, message->user, error);
        return;
    }
    size_t len;
    const void *bytes = g_bytes_get_data(message->body, &len);
    Sluice__Wire__Envelope *envelope =
        sl_wire_unpack(bytes, len, SL_DIRECTION_UP, SL_ROLE_ENROL, &error);
    if (envelope == NULL) {
        port->events->dropped(port->events->user, message->user, error);
        return;
    }
    const void *route = g_bytes_get_data(message->route, &len);
    g_autofree char *peer = sl_hex(route, len);
    port->events->enrol(port->events->user, peer, envelope);
    sl_wire_free(envelope);
}

static void on_ready(void *user)
{
    SlEnrolPort *port = user;
    for (int i = 0; i < DRAIN_MAX; i++) {
        SlRouted message;
        SlRoutedResult result = sl_routed_receive(port->socket, &message);
        bool within =
            result == SL_ROUTED_NONE || sl_doorman_heard(port->doorman, message.fd, message.user);
        if (result == SL_ROUTED_GOOD) {
            handle(port, &message, within);
        }
        sl_routed_clear(&message);
        if (result == SL_ROUTED_NONE) {
            return;
        }
    }
}

SlEnrolPort *sl_enrol_port_new(void *context, const SlServerConfig *config, GError **error)
{
    SlRouterConfig options = {.context = context,
                              .keys = config->keys,
                              .domain = SL_ZAP_DOMAIN_ENROL,
                              .message_max = sl_message_info(SL_MESSAGE_ENROL)->bytes_max,
                              .receive_max = RECEIVE_MAX,
                              .receive_buffer = BUFFER};
    static const SlDoorLimits limits = {.connections_max = CONNECTIONS_MAX,
                                        .accepts_per_second = ACCEPTS_PER_SECOND,
                                        .accepts_burst = CONNECTIONS_MAX,
                                        .mute_us = MUTE_US,
                                        .idle_us = IDLE_US,
                                        .open_max = OPEN_MAX,
                                        .share_rate = SHARE_RATE,
                                        .share_burst = SHARE_BURST,
                                        .strangers = true};
    void *socket = sl_socket_router(&options, error);
    SlDoorman *doorman = socket != NULL ? sl_doorman_new(context, socket, &limits, error) : NULL;
    if (doorman == NULL || !sl_socket_bind(socket, config->enrol_endpoint, error)) {
        sl_doorman_free(doorman);
        sl_socket_close(socket);
        return NULL;
    }
    SlEnrolPort *port = g_new0(SlEnrolPort, 1);
    port->socket = socket;
    port->doorman = doorman;
    port->events = config->events;
    port->bucket = (SlBucket){.rate = RATE, .burst = BURST, .tokens = BURST};
    port->source = sl_zmq_source_new(config->loop, socket, on_ready, port);
    return port;
}

void sl_enrol_port_free(SlEnrolPort *port)
{
    if (port != NULL) {
        sl_zmq_source_free(port->source);
        sl_doorman_free(port->doorman);
        sl_socket_close(port->socket);
        g_free(port);
    }
}

/* A peer that went away meanwhile asks again; nothing is lost. */
void sl_enrol_port_reply(SlEnrolPort *port, const char *peer,
                         const Sluice__Wire__Envelope *envelope)
{
    uint8_t route[PEER_TEXT_MAX / 2];
    size_t text_len = strlen(peer);
    if (text_len > PEER_TEXT_MAX || text_len % 2 != 0 || !sl_unhex(peer, route, text_len / 2)) {
        return;
    }
    g_autoptr(GBytes) id = g_bytes_new(route, text_len / 2);
    g_autoptr(GBytes) body = sl_wire_pack(envelope);
    sl_routed_send(port->socket, id, body);
}

SlDoorCounts sl_enrol_port_counts(SlEnrolPort *port)
{
    return sl_doorman_counts(port->doorman);
}
