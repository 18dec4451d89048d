/* routed.c - reading and writing of a ROUTER without waiting.
 *
 * The user id is read from the body frame: libzmq 4.3.4 forgets it on the identity frame of a
 * socket that was polled first. */
#include "link/routed.h"

#include <errno.h>
#include <string.h>
#include <zmq.h>

#define SRCFD 2 /* ZMQ_SRCFD, which the header calls deprecated and offers nothing instead */

static void keep_sender(zmq_msg_t *body, SlRouted *ret)
{
    ret->fd = zmq_msg_get(body, SRCFD);
    const char *user = zmq_msg_gets(body, "User-Id");
    if (user != NULL && strlen(user) == 64) {
        memcpy(ret->user, user, 65);
    }
}

/* Reads one frame to @ret (NULL: thrown away). False: nothing there. */
static bool receive_frame(void *socket, GBytes **ret, SlRouted *ret_sender, bool *ret_more)
{
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    if (zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&frame);
        return false;
    }
    if (ret != NULL) {
        *ret = g_bytes_new(zmq_msg_data(&frame), zmq_msg_size(&frame));
    }
    if (ret_sender != NULL) {
        keep_sender(&frame, ret_sender);
    }
    *ret_more = zmq_msg_more(&frame) != 0;
    zmq_msg_close(&frame);
    return true;
}

SlRoutedResult sl_routed_receive(void *router, SlRouted *ret)
{
    *ret = (SlRouted){.fd = -1};
    bool more = false;
    if (!receive_frame(router, &ret->route, NULL, &more)) {
        return SL_ROUTED_NONE;
    }
    if (!more || !receive_frame(router, &ret->body, ret, &more)) {
        return SL_ROUTED_BAD;
    }
    bool single = !more;
    while (more && receive_frame(router, NULL, NULL, &more)) {
    }
    return single && ret->user[0] != '\0' ? SL_ROUTED_GOOD : SL_ROUTED_BAD;
}

void sl_routed_clear(SlRouted *message)
{
    g_clear_pointer(&message->route, g_bytes_unref);
    g_clear_pointer(&message->body, g_bytes_unref);
}

SlSendResult sl_routed_send(void *router, GBytes *route, GBytes *body)
{
    size_t len;
    const void *id = g_bytes_get_data(route, &len);
    if (zmq_send(router, id, len, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) {
        return zmq_errno() == EAGAIN ? SL_SEND_FULL : SL_SEND_GONE;
    }
    const void *bytes = g_bytes_get_data(body, &len);
    return zmq_send(router, bytes, len, ZMQ_DONTWAIT) < 0 ? SL_SEND_GONE : SL_SENT;
}
