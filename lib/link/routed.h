/* routed.h - reading and writing of a ROUTER: exactly a routing id and one body. */
#pragma once
#include "sluice/error.h"
#include <stddef.h>

typedef enum { SL_ROUTED_NONE, SL_ROUTED_GOOD, SL_ROUTED_BAD } SlRoutedResult;

typedef struct {
    GBytes *route;
    GBytes *body;
    char user[65]; /* ZAP user id, from the body frame */
    int fd;        /* descriptor of the connection, -1 = unknown */
} SlRouted;
/* Next message without waiting. BAD: wrong number of frames or no user id; @ret->user may be empty
 * then. Clear in any case. */
SlRoutedResult sl_routed_receive(void *router, SlRouted *ret);
void sl_routed_clear(SlRouted *message);

typedef enum { SL_SENT, SL_SEND_FULL, SL_SEND_GONE } SlSendResult;
SlSendResult sl_routed_send(void *router, GBytes *route, GBytes *body);
