/* zmqsource.h - a ZeroMQ socket on the loop. */
#pragma once
#include "runtime/loop.h"

typedef struct SlZmqSource SlZmqSource;
/* @ready runs on the loop thread while messages wait; it takes some (a bounded number) without
 * blocking and may free the source. The socket outlives the source. */
SlZmqSource *sl_zmq_source_new(SlLoop *loop, void *socket, void (*ready)(void *user), void *user);
void sl_zmq_source_free(SlZmqSource *source);
