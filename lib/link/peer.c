/* peer.c - one peer of the server: token buckets and the queue in which the latest head wins. No
 * I/O. */
#include "link/peer.h"

#define SHARE_RATE                                                                                 \
    (256 * 1024) /* bytes per second: reports of 24 KiB, ten a second, and every fetch */
#define SHARE_BURST (1024 * 1024)   /* a full report of a large cluster after a restart */
#define LOGS_RATE (4 * 1024 * 1024) /* logs are only sent when somebody asked for them */
#define LOGS_BURST (8 * 1024 * 1024)
#define MESSAGE_COST_MIN 128 /* so that empty messages cost something: at most 2,048 a second */

bool sl_bucket_take(SlBucket *bucket, int64_t cost, int64_t now_us)
{
    int64_t passed = MIN(MAX(now_us - bucket->filled_us, 0), SL_HOUR_US);
    int64_t more = passed * bucket->rate / SL_SECOND_US;
    if (more > 0) {
        bucket->tokens = MIN(bucket->tokens + more, bucket->burst);
        bucket->filled_us = now_us;
    }
    if (bucket->tokens < cost) {
        return false;
    }
    bucket->tokens -= cost;
    return true;
}

bool sl_strikes_add(SlStrikes *strikes, unsigned most, int64_t now_us)
{
    if (strikes->count == 0 || now_us - strikes->since_us > SL_MINUTE_US) {
        strikes->count = 0;
        strikes->since_us = now_us;
    }
    strikes->count = strikes->count + 1 >= most ? 0 : strikes->count + 1;
    return strikes->count == 0;
}

SlPeer *sl_peer_new(const char *curve)
{
    SlPeer *peer = g_new0(SlPeer, 1);
    g_strlcpy(peer->curve, curve, sizeof peer->curve);
    peer->share = (SlBucket){.rate = SHARE_RATE, .burst = SHARE_BURST, .tokens = SHARE_BURST};
    peer->logs = (SlBucket){.rate = LOGS_RATE, .burst = LOGS_BURST, .tokens = LOGS_BURST};
    g_queue_init(&peer->waiting);
    return peer;
}

void sl_peer_clear_queue(SlPeer *peer)
{
    g_queue_clear_full(&peer->waiting, (GDestroyNotify)g_bytes_unref);
    peer->waiting_bytes = 0;
    g_clear_pointer(&peer->head, g_bytes_unref);
}

void sl_peer_free(SlPeer *peer)
{
    if (peer != NULL) {
        sl_peer_clear_queue(peer);
        g_clear_pointer(&peer->route, g_bytes_unref);
        g_free(peer);
    }
}

bool sl_peer_queue(SlPeer *peer, SlMessageType type, GBytes *bytes)
{
    if (type == SL_MESSAGE_HEAD) {
        g_clear_pointer(&peer->head, g_bytes_unref);
        peer->head = g_bytes_ref(bytes);
        return true;
    }
    size_t len = g_bytes_get_size(bytes);
    if (peer->waiting.length >= SL_PEER_QUEUE_MAX ||
        len > SL_PEER_QUEUE_BYTES - peer->waiting_bytes) {
        return false;
    }
    g_queue_push_tail(&peer->waiting, g_bytes_ref(bytes));
    peer->waiting_bytes += len;
    return true;
}

bool sl_peer_has_queue(const SlPeer *peer)
{
    return peer->waiting.length > 0 || peer->head != NULL;
}

GBytes *sl_peer_first(const SlPeer *peer)
{
    return peer->waiting.length > 0 ? peer->waiting.head->data : peer->head;
}

void sl_peer_pop(SlPeer *peer)
{
    if (peer->waiting.length == 0) {
        g_clear_pointer(&peer->head, g_bytes_unref);
        return;
    }
    g_autoptr(GBytes) first = g_queue_pop_head(&peer->waiting);
    peer->waiting_bytes -= g_bytes_get_size(first);
}

bool sl_peer_charge(SlPeer *peer, bool is_log, size_t len, int64_t now_us)
{
    return sl_bucket_take(is_log ? &peer->logs : &peer->share, (int64_t)MAX(len, MESSAGE_COST_MIN),
                          now_us);
}
