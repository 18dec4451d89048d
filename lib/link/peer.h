/* peer.h - what the server keeps per registered key: its route, its share, and what waits for it.
 */
#pragma once
#include "proto/wire.h"
#include "sluice/clock.h"

#define SL_PEER_QUEUE_MAX 32 /* messages other than the head that wait for one peer */
#define SL_PEER_QUEUE_BYTES (4 * 1024 * 1024) /* and their bytes: a few chunks */

/* Tokens are bytes. */
typedef struct {
    int64_t rate, burst; /* per second; at most */
    int64_t tokens;
    int64_t filled_us;
} SlBucket;
/* Takes @cost if there is that much at @now_us (monotonic). */
bool sl_bucket_take(SlBucket *bucket, int64_t cost, int64_t now_us);

/* How often within a minute. */
typedef struct {
    unsigned count;
    int64_t since_us;
} SlStrikes;
/* One more; true if that makes @most within the minute (and the count starts anew). */
bool sl_strikes_add(SlStrikes *strikes, unsigned most, int64_t now_us);

typedef struct {
    char curve[65];
    GBytes *route;    /* libzmq's routing id of the connection that said HELLO last; NULL = none */
    bool lost;        /* a send said that the route is gone */
    int64_t seen_us;  /* monotonic, of the last valid message */
    int64_t reset_us; /* of the last RESET that we sent by ourselves */
    SlBucket share, logs;        /* everything; answers to log requests */
    SlStrikes malformed, floods; /* that this peer sent */
    SlStrikes twins;             /* messages on another connection, while the first one lives */
    int64_t suspended_us;        /* until then it is not let in; 0 = it is */
    GBytes *head;   /* the latest head that could not be sent yet: a newer one takes its place */
    GQueue waiting; /* of GBytes* */
    size_t waiting_bytes;
} SlPeer;

SlPeer *sl_peer_new(const char *curve);
void sl_peer_free(SlPeer *peer);
/* Queues; false if it is full. A head is never refused. */
bool sl_peer_queue(SlPeer *peer, SlMessageType type, GBytes *bytes);
bool sl_peer_has_queue(const SlPeer *peer);
/* Next to send (borrowed), NULL = none; the head goes last, so that it never overtakes steps that
 * it needs. */
GBytes *sl_peer_first(const SlPeer *peer);
void sl_peer_pop(SlPeer *peer);
void sl_peer_clear_queue(SlPeer *peer);
/* Charges a message of @type and @len bytes; false: it is over its share. */
bool sl_peer_charge(SlPeer *peer, bool is_log, size_t len, int64_t now_us);
