/* socket.c - ZeroMQ sockets with our options. Numbers and reasons: docs/adr/0010, measured with
 * libzmq 4.3.4.
 *
 * MAXMSGSIZE is set before bind or connect, or a stranger makes us allocate what its frame header
 * says. Option 93 (ZMQ_ZAP_ENFORCE_DOMAIN, hidden by the header as draft) closes the hole that
 * CURVE lets everybody in while no ZAP handler is bound. Heartbeats are set on agents only: on a
 * ROUTER of 10,000 they cost most of a core; it relies on TCP keepalive instead. LINGER 0: what is
 * not sent is said again after the next HELLO. */
#include "link/socket.h"

#include <errno.h>
#include <string.h>
#include <zmq.h>

#define ZAP_ENFORCE_DOMAIN 93
/* Ten thousand agents that come together need some twenty seconds of handshakes; a limit below
 * that ends them all, again and again. */
#define HANDSHAKE_MS 30000
#define BACKLOG 4096
#define ROUTER_HWM                                                                                 \
    16 /* messages per peer inside libzmq; the real queue is ours, where the latest head wins */
#define DEALER_HWM 64
#define KEEPALIVE_IDLE_S 60
#define KEEPALIVE_INTERVAL_S 15
#define KEEPALIVE_COUNT 4
#define TCP_MAXRT_MS                                                                               \
    60000 /* un-acknowledged data kills the connection after this (TCP_USER_TIMEOUT) */
#define HEARTBEAT_MS 15000
#define HEARTBEAT_TIMEOUT_MS 30000
#define CONNECT_MS 10000

void *sl_context_new(void)
{
    void *context = zmq_ctx_new();
    if (context == NULL) {
        g_error("libzmq: no context: %s", zmq_strerror(zmq_errno()));
    }
    zmq_ctx_set(context, ZMQ_IO_THREADS, 1);
    zmq_ctx_set(context, ZMQ_BLOCKY, 0);
    return context;
}

void sl_context_free(void *context)
{
    while (context != NULL && zmq_ctx_term(context) != 0 && zmq_errno() == EINTR) {
    }
}

void sl_socket_close(void *socket)
{
    if (socket != NULL) {
        zmq_close(socket);
    }
}

typedef struct {
    int option, value;
} IntOption;

static bool set_ints(void *socket, const IntOption *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (zmq_setsockopt(socket, options[i].option, &options[i].value, sizeof options[i].value) !=
            0) {
            return false;
        }
    }
    return true;
}

/* Zero leaves what is set. */
static bool set_if(void *socket, int option, int value)
{
    const IntOption one = {option, value};
    return value == 0 || set_ints(socket, &one, 1);
}

static const IntOption common_options[] = {
    {ZMQ_LINGER, 0},
    {ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS},
    {ZMQ_RCVHWM, SL_RECEIVE_MAX},
    {ZMQ_TCP_KEEPALIVE, 1},
    {ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S},
    {ZMQ_TCP_KEEPALIVE_INTVL, KEEPALIVE_INTERVAL_S},
    {ZMQ_TCP_KEEPALIVE_CNT, KEEPALIVE_COUNT},
    {ZMQ_TCP_MAXRT, TCP_MAXRT_MS},
    {ZMQ_IPV6, 1},
};

static bool set_common(void *socket, size_t message_max)
{
    int64_t max = (int64_t)message_max;
    return set_ints(socket, common_options, G_N_ELEMENTS(common_options)) &&
           zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max, sizeof max) == 0;
}

static void *refused(void *socket, const char *what, GError **error)
{
    sl_throw(error, SLU_INTERNAL, "libzmq refuses %s: %s", what, zmq_strerror(zmq_errno()));
    sl_socket_close(socket);
    return NULL;
}

void *sl_socket_router(const SlRouterConfig *config, GError **error)
{
    static const IntOption options[] = {
        {ZMQ_CURVE_SERVER, 1},     {ZMQ_SNDHWM, ROUTER_HWM}, {ZMQ_BACKLOG, BACKLOG},
        {ZMQ_ROUTER_MANDATORY, 1}, {ZMQ_ROUTER_HANDOVER, 0}, {ZAP_ENFORCE_DOMAIN, 1},
    };
    void *socket = zmq_socket(config->context, ZMQ_ROUTER);
    if (socket == NULL || !set_common(socket, config->message_max) ||
        !set_ints(socket, options, G_N_ELEMENTS(options)) ||
        !set_if(socket, ZMQ_RCVHWM, config->receive_max) ||
        !set_if(socket, ZMQ_RCVBUF, config->receive_buffer) ||
        zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, config->domain, strlen(config->domain)) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, config->keys->secret, 32) != 0) {
        return refused(socket, "the options of a ROUTER", error);
    }
    return socket;
}

bool sl_socket_bind(void *socket, const char *endpoint, GError **error)
{
    if (zmq_bind(socket, endpoint) == 0) {
        return true;
    }
    int code = zmq_errno();
    if (code == EADDRINUSE) {
        return sl_throw(error, SLU_PORT_IN_USE, "%s: another program listens there already",
                        endpoint);
    }
    return sl_throw(error, SLU_ENDPOINT, "%s: can't listen there: %s", endpoint,
                    zmq_strerror(code));
}

void *sl_socket_dealer(const SlDealerConfig *config, GError **error)
{
    const IntOption options[] = {
        {ZMQ_SNDHWM, DEALER_HWM},
        {ZMQ_IMMEDIATE, 1}, /* nothing is queued for a connection that is not there */
        {ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS},
        {ZMQ_HEARTBEAT_TIMEOUT,
         HEARTBEAT_TIMEOUT_MS}, /* no TTL: it would arm a timer at the ROUTER */
        {ZMQ_CONNECT_TIMEOUT, CONNECT_MS},
        {ZMQ_HANDSHAKE_IVL, config->handshake_ms > 0 ? config->handshake_ms : HANDSHAKE_MS},
        {ZMQ_RECONNECT_IVL, config->reconnect_min_ms},
        {ZMQ_RECONNECT_IVL_MAX, config->reconnect_max_ms},
    };
    void *socket = zmq_socket(config->context, ZMQ_DEALER);
    if (socket == NULL || !set_common(socket, config->message_max) ||
        !set_ints(socket, options, G_N_ELEMENTS(options)) ||
        zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, config->server_key, 32) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, config->keys->public_, 32) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, config->keys->secret, 32) != 0) {
        return refused(socket, "the options of a DEALER", error);
    }
    return socket;
}

/* ---- monitors ---- */

void *sl_monitor_start(void *context, void *socket, int mask)
{
    static gint number; /* libzmq frees a name some time after its socket */
    g_autofree char *name =
        g_strdup_printf("inproc://sluice.monitor.%d", g_atomic_int_add(&number, 1));
    int none = 0; /* a full monitor would hold up the io thread, and its own end */
    void *monitor = zmq_socket(context, ZMQ_PAIR);
    if (monitor == NULL || zmq_setsockopt(monitor, ZMQ_LINGER, &none, sizeof none) != 0 ||
        zmq_setsockopt(monitor, ZMQ_RCVHWM, &none, sizeof none) != 0 ||
        zmq_socket_monitor(socket, name, mask) != 0 || zmq_connect(monitor, name) != 0) {
        sl_socket_close(monitor);
        return NULL;
    }
    return monitor;
}

void sl_monitor_stop(void *monitored, void *monitor)
{
    if (monitor != NULL) {
        zmq_socket_monitor(monitored, NULL, 0);
        zmq_close(monitor);
    }
}

/* Two frames: 16-bit event and 32-bit value in host order, then an address that we don't need. */
bool sl_monitor_next(void *monitor, int *ret_event, uint32_t *ret_value)
{
    uint8_t frame[6];
    char address[256];
    if (zmq_recv(monitor, frame, sizeof frame, ZMQ_DONTWAIT) != (int)sizeof frame) {
        return false;
    }
    zmq_recv(monitor, address, sizeof address, ZMQ_DONTWAIT);
    uint16_t event;
    memcpy(&event, frame, sizeof event);
    memcpy(ret_value, frame + 2, sizeof *ret_value);
    *ret_event = event;
    return true;
}
