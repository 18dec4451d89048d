/* selftest.c - proof that the door is shut: libzmq lets everybody in when its ZAP handler is
 * missing, and says nothing. Runs once at start, before any key is on the list, so any finished
 * handshake means an open door. Blocks. */
#include "link/selftest.h"

#include "link/socket.h"
#include "sluice/clock.h"

#include <sodium.h>
#include <string.h>
#include <zmq.h>

#define WAIT_US (8 * SL_SECOND_US) /* more than one handshake limit */
#define EVENTS                                                                                     \
    (ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |                             \
     ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL)

/* Where to knock: a wildcard address is reached by loopback. (transfer full) */
static char *own_endpoint(void *router)
{
    char bound[256] = "";
    size_t len = sizeof bound;
    if (zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, bound, &len) != 0) {
        return g_strdup("");
    }
    const char *port = strrchr(bound, ':');
    if (g_str_has_prefix(bound, "tcp://0.0.0.0:")) {
        return g_strconcat("tcp://127.0.0.1", port, NULL);
    }
    if (g_str_has_prefix(bound, "tcp://[::]:")) {
        return g_strconcat("tcp://[::1]", port, NULL);
    }
    return g_strdup(bound);
}

static bool wait_refused(void *monitor, const char *endpoint, GError **error)
{
    for (int64_t left_us = WAIT_US; left_us > 0; left_us -= 100000) {
        zmq_pollitem_t item = {monitor, 0, ZMQ_POLLIN, 0};
        zmq_poll(&item, 1, 100);
        int event;
        uint32_t value;
        while (sl_monitor_next(monitor, &event, &value)) {
            if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
                return sl_throw(error, SLU_ZAP_OPEN, "%s: a key that nobody registered was let in",
                                endpoint);
            }
            if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) {
                return true;
            }
        }
    }
    return sl_throw(error, SLU_ZAP_OPEN,
                    "%s: it could not be shown that a key which nobody registered is refused",
                    endpoint);
}

bool sl_selftest(void *context, void *router, const uint8_t server_key[32], GError **error)
{
    SlCurveKeys stranger;
    crypto_box_keypair(stranger.public_, stranger.secret);
    SlDealerConfig config = {.context = context,
                             .keys = &stranger,
                             .server_key = server_key,
                             .message_max = 1024,
                             .reconnect_min_ms = 500,
                             .reconnect_max_ms = 500};
    g_autofree char *endpoint = own_endpoint(router);
    void *dealer = sl_socket_dealer(&config, error);
    if (dealer == NULL) {
        return false;
    }
    void *monitor = sl_monitor_start(context, router, EVENTS);
    bool refused = false;
    if (monitor == NULL || zmq_connect(dealer, endpoint) != 0) {
        sl_throw(error, SLU_ZAP_OPEN, "%s: the self-test can't connect: %s", endpoint,
                 zmq_strerror(zmq_errno()));
    } else {
        refused = wait_refused(monitor, endpoint, error);
    }
    sl_socket_close(dealer);
    sl_monitor_stop(router, monitor);
    return refused;
}
