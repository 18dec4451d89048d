/* doorman.h - connections of a ROUTER, counted and cut. libzmq has no limit on connections, drops no
 * peer on request, and keeps the parts of a message that never ends without any limit; but its
 * monitor says which descriptor it accepted, and shutdown() on that descriptor ends exactly that
 * peer. Own thread, so that a busy loop keeps the door shut too. */
#pragma once
#include "sluice/error.h"
#include <stddef.h>

typedef struct {
    size_t connections_max; /* above, the oldest one that never said anything goes */
    double accepts_per_second;
    size_t accepts_burst;
    int64_t mute_us; /* nothing said for so long since it came: cut */
    int64_t idle_us; /* nothing said for so long since it last spoke: cut; 0 = may be idle */
    size_t open_max; /* bytes of messages that have not ended, of one connection */
    int64_t share_rate, share_burst; /* messages of one connection; rate 0: not counted here */
    bool strangers; /* anybody comes this far: looked at each time that bytes come */
} SlDoorLimits;

typedef struct {
    size_t connections;
    uint64_t accepted;
    /* cut, by reason */
    uint64_t crowd, pace, mute, endless, flood, asked;
} SlDoorCounts;

typedef struct SlDoorman SlDoorman;
/* After the self-test (a ROUTER has one monitor) and before bind. Errors: INTERNAL. */
SL_MUST_USE SlDoorman *sl_doorman_new(void *context, void *router, const SlDoorLimits *limits,
                                      GError **error);
void sl_doorman_free(SlDoorman *doorman); /* before the router is closed */
/* A whole message of @user (64 hex or "") came on descriptor @fd; false: it is above the
 * connection's share. Any thread. */
bool sl_doorman_heard(SlDoorman *doorman, int fd, const char *user);
/* Ends every connection on which @user spoke; any thread. How many. */
unsigned sl_doorman_cut(SlDoorman *doorman, const char *user);
/* Connections on which @user spoke. */
unsigned sl_doorman_count(SlDoorman *doorman, const char *user);
SlDoorCounts sl_doorman_counts(SlDoorman *doorman);
