/* zmqsource.c - a ZeroMQ socket on the loop. Loop thread.
 *
 * ZMQ_FD is edge-triggered and says only "look at ZMQ_EVENTS": sending and receiving eat edges, and
 * the descriptor of a new socket never fires until ZMQ_EVENTS was read once. So the descriptor is
 * an alarm clock and nothing more; whether there is something to read is asked in prepare (thus
 * after every send and receive of any callback of the turn before) and in check:
 *
 *     prepare: ZMQ_EVENTS? -> ready, do not sleep
 *     poll:    on ZMQ_FD
 *     check:   ZMQ_EVENTS? -> ready
 *     dispatch: ready() takes a bounded number; the next prepare sees what is left */
#include "link/zmqsource.h"

#include <zmq.h>

struct SlZmqSource {
    GSource source;
    void *socket;
    void (*ready)(void *user);
    void *user;
};

static gboolean readable(GSource *source)
{
    int events = 0;
    size_t len = sizeof events;
    return zmq_getsockopt(((SlZmqSource *)source)->socket, ZMQ_EVENTS, &events, &len) == 0 &&
           (events & ZMQ_POLLIN) != 0;
}

static gboolean prepare(GSource *source, gint *timeout)
{
    *timeout = -1;
    return readable(source);
}

static gboolean dispatch(GSource *source, GSourceFunc unused, gpointer unused_user)
{
    (void)unused;
    (void)unused_user;
    SlZmqSource *zmq = (SlZmqSource *)source;
    zmq->ready(zmq->user);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs funcs = {.prepare = prepare, .check = readable, .dispatch = dispatch};

SlZmqSource *sl_zmq_source_new(SlLoop *loop, void *socket, void (*ready)(void *user), void *user)
{
    int fd = -1;
    size_t len = sizeof fd;
    if (zmq_getsockopt(socket, ZMQ_FD, &fd, &len) != 0) {
        g_error("ZMQ_FD: %s", zmq_strerror(zmq_errno()));
    }
    SlZmqSource *source = (SlZmqSource *)g_source_new(&funcs, sizeof *source);
    source->socket = socket;
    source->ready = ready;
    source->user = user;
    g_source_add_unix_fd(&source->source, fd, G_IO_IN);
    g_source_attach(&source->source, sl_loop_context(loop));
    return source;
}

void sl_zmq_source_free(SlZmqSource *source)
{
    if (source != NULL) {
        g_source_destroy(&source->source);
        g_source_unref(&source->source);
    }
}
