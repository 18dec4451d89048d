/* routed.c - reading and writing of a ROUTER without waiting.
 *
 * The user id is read from the body frame: libzmq 4.3.4 forgets it on the identity frame of a
 * socket that was polled first. */
#include "link/routed.h"

#include <errno.h>
#include <string.h>
#include <zmq.h>

static void keep_user(zmq_msg_t *body, char ret_user[65])
{
    const char *user = zmq_msg_gets(body, "User-Id");
    if (user != NULL && strlen(user) == 64) {
        memcpy(ret_user, user, 65);
    }
}

/* Reads one frame to @ret (NULL: thrown away). False: nothing there. */
static bool receive_frame(void *socket, GBytes **ret, char *ret_user, bool *ret_more)
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
    if (ret_user != NULL) {
        keep_user(&frame, ret_user);
    }
    *ret_more = zmq_msg_more(&frame) != 0;
    zmq_msg_close(&frame);
    return true;
}

SlRoutedResult sl_routed_receive(void *router, SlRouted *ret)
{
    *ret = (SlRouted){0};
    bool more = false;
    if (!receive_frame(router, &ret->route, NULL, &more)) {
        return SL_ROUTED_NONE;
    }
    if (!more || !receive_frame(router, &ret->body, ret->user, &more)) {
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
