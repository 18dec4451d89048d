/* test_peer.c - token buckets and the queue of one peer. */
#include "link/peer.h"

#include <string.h>

static GBytes *text(const char *what)
{
    return g_bytes_new(what, strlen(what));
}

static void queue(SlPeer *peer, SlMessageType type, const char *what, bool taken)
{
    g_autoptr(GBytes) bytes = text(what);
    g_assert_true(sl_peer_queue(peer, type, bytes) == taken);
}

static void next_is(SlPeer *peer, const char *what)
{
    GBytes *first = sl_peer_first(peer);
    g_autoptr(GBytes) wanted = text(what);
    g_assert_true(first != NULL && g_bytes_equal(first, wanted));
    sl_peer_pop(peer);
}

/* The newest head replaces an older one and goes after the steps that it may need. */
static void test_queue(void)
{
    SlPeer *peer = sl_peer_new("key");
    g_assert_false(sl_peer_has_queue(peer));
    g_assert_null(sl_peer_first(peer));
    queue(peer, SL_MESSAGE_HEAD, "head 1", true);
    queue(peer, SL_MESSAGE_STEPS, "steps", true);
    queue(peer, SL_MESSAGE_HEAD, "head 2", true);
    next_is(peer, "steps");
    next_is(peer, "head 2");
    g_assert_false(sl_peer_has_queue(peer));
    sl_peer_free(peer);
    sl_peer_free(NULL);
}

static void test_queue_limits(void)
{
    SlPeer *peer = sl_peer_new("key");
    for (int i = 0; i < SL_PEER_QUEUE_MAX; i++) {
        queue(peer, SL_MESSAGE_CHUNK, "x", true);
    }
    queue(peer, SL_MESSAGE_CHUNK, "x", false);
    queue(peer, SL_MESSAGE_HEAD, "head", true); /* never refused */
    sl_peer_clear_queue(peer);
    g_assert_false(sl_peer_has_queue(peer));
    g_autofree char *big = g_strnfill(SL_PEER_QUEUE_BYTES, 'x');
    queue(peer, SL_MESSAGE_CHUNK, big, true);
    queue(peer, SL_MESSAGE_CHUNK, "x", false);
    sl_peer_pop(peer);
    queue(peer, SL_MESSAGE_CHUNK, "x", true);
    sl_peer_free(peer);
}

static void test_bucket(void)
{
    SlBucket bucket = {.rate = 1000, .burst = 500, .tokens = 500};
    int64_t now = 5 * SL_SECOND_US;
    g_assert_true(sl_bucket_take(&bucket, 500, now));
    g_assert_false(sl_bucket_take(&bucket, 1, now));
    for (int i = 0; i < 10; i++) {
        g_assert_false(
            sl_bucket_take(&bucket, 5, now + i * 100)); /* asking often loses no fraction */
    }
    g_assert_true(sl_bucket_take(&bucket, 5, now + 5000));
    g_assert_false(sl_bucket_take(&bucket, 501, now + SL_DAY_US)); /* never more than the burst */
    g_assert_true(sl_bucket_take(&bucket, 500, now + SL_DAY_US));
    g_assert_false(sl_bucket_take(&bucket, 1, now)); /* a clock that goes back gives nothing */
}

/* Empty messages cost something too, and logs have their own share. */
static void test_charge(void)
{
    SlPeer *peer = sl_peer_new("key");
    unsigned count = 0;
    while (count < 100000 && sl_peer_charge(peer, false, 0, SL_SECOND_US)) {
        count++;
    }
    g_assert_cmpuint(count, <=, 1024 * 1024 / 128);
    g_assert_true(sl_peer_charge(peer, true, 128 * 1024, SL_SECOND_US));
    sl_peer_free(peer);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/peer/queue", test_queue);
    g_test_add_func("/peer/queue-limits", test_queue_limits);
    g_test_add_func("/peer/bucket", test_bucket);
    g_test_add_func("/peer/charge", test_charge);
    return g_test_run();
}
