/* fetch.c - asking for bytes by digest: each once at a time, at most SL_AGENT_FETCHES_MAX open,
 * with back-off and waiters. Whoever waits is named by a word ("unit digits", "list", "order
 * <digest>", "self"); a fetch that nobody waits for is dropped. */
#include "agent/brain/state.h"

#define FETCHES_KNOWN_MAX                                                                          \
    65536 /* a bundle's objects and blobs of some units; more are asked for when these are here */

#define FETCHES_RESERVED 4 /* of those that may be open: for the list and the own entry */

static void fetch_free(SlFetch *f)
{
    g_ptr_array_unref(f->waiters);
    g_free(f);
}

static void want(SlAgent *a, const char *digest, bool is_statement, const char *waiter)
{
    SlFetch *f = g_hash_table_lookup(a->fetches, digest);
    if (f == NULL) {
        if (g_hash_table_size(a->fetches) >= FETCHES_KNOWN_MAX) {
            sl_agent_wake(a, a->elapsed_us + SL_SECOND_US);
            return;
        }
        f = g_new0(SlFetch, 1);
        f->is_statement = is_statement;
        f->waiters = g_ptr_array_new_with_free_func(g_free);
        g_hash_table_insert(a->fetches, g_strdup(digest), f);
    }
    for (guint i = 0; i < f->waiters->len; i++) {
        if (strcmp(f->waiters->pdata[i], waiter) == 0) {
            return;
        }
    }
    g_ptr_array_add(f->waiters, g_strdup(waiter));
    f->first = f->first || strcmp(waiter, "list") == 0 || strcmp(waiter, "self") == 0;
}

static void forget(SlAgent *a, const char *digest, SlFetch *f)
{
    if (f->open) {
        a->open_fetches--;
    }
    fetch_free(f);
    g_hash_table_remove(a->fetches, digest);
}

GBytes *sl_agent_blob(SlAgent *a, const char *digest, const char *waiter)
{
    GBytes *bytes = a->blob(digest, a->user);
    if (bytes == NULL) {
        want(a, digest, false, waiter);
    }
    return bytes;
}

GBytes *sl_agent_checked_blob(SlAgent *a, const char *digest, const char *waiter, GError **error)
{
    GBytes *bytes = sl_agent_blob(a, digest, waiter);
    if (bytes == NULL) {
        return NULL;
    }
    g_autofree char *is = sl_sha256_hex_bytes(bytes);
    if (strcmp(is, digest) != 0) {
        return sl_throw_null(error, SLU_AGENT_WRONG_BYTES,
                             "blob %.12s: its bytes have SHA-256 %.12s", digest, is);
    }
    return bytes;
}

const SlSigned *sl_agent_statement(SlAgent *a, const char *digest, const char *waiter)
{
    const SlSigned *s = g_hash_table_lookup(a->statements, digest);
    if (s == NULL) {
        want(a, digest, true, waiter);
    }
    return s;
}

/* Units keep their own count of what is missing, so that a bundle of thousands of blobs is not
 * walked for each of them. */
static void tell_waiter(SlAgent *a, const char *waiter, const char *digest)
{
    if (!g_str_has_prefix(waiter, "unit ")) {
        a->stir_all = true;
        return;
    }
    SlUnit *u = g_hash_table_lookup(a->units, waiter + strlen("unit "));
    if (u == NULL) {
        return;
    }
    u->stirred = true;
    if (u->candidate != NULL && u->candidate->gather != NULL) {
        sl_gather_arrived(u->candidate->gather, digest);
    }
    if (u->goal != NULL) {
        sl_gather_arrived(u->goal, digest);
    }
    if (u->spare != NULL) {
        sl_gather_arrived(u->spare, digest);
    }
}

void sl_agent_fetched(SlAgent *a, const char *digest)
{
    SlFetch *f = g_hash_table_lookup(a->fetches, digest);
    if (f == NULL) {
        return;
    }
    for (guint i = 0; i < f->waiters->len; i++) {
        tell_waiter(a, f->waiters->pdata[i], digest);
    }
    forget(a, digest, f);
}

void sl_agent_fetch_failed(SlAgent *a, const char *digest, const GError *error)
{
    SlFetch *f = g_hash_table_lookup(a->fetches, digest);
    if (f == NULL || !f->open) {
        return;
    }
    f->open = false;
    a->open_fetches--;
    f->at_us = a->elapsed_us + sl_agent_backoff(f->tries);
    f->tries++;
    if (f->tries == 3) {
        sl_agent_log(a, false, "fetch-failed", "%.12s could not be fetched 3 times: %s", digest,
                     error != NULL ? error->message : "the coordinator does not have it");
    }
}

/* The session ended: nothing that was asked will be answered. */
void sl_agent_fetch_reset(SlAgent *a)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, a->fetches);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        fetch_free(value);
        g_hash_table_iter_remove(&iter);
    }
    a->open_fetches = 0;
}

void sl_agent_fetch_drop(SlAgent *a, const char *waiter)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, a->fetches);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        SlFetch *f = value;
        for (guint i = 0; i < f->waiters->len; i++) {
            if (strcmp(f->waiters->pdata[i], waiter) == 0) {
                g_ptr_array_remove_index_fast(f->waiters, i);
                break;
            }
        }
        if (f->waiters->len == 0) {
            a->open_fetches -= f->open ? 1 : 0;
            fetch_free(f);
            g_hash_table_iter_remove(&iter);
        }
    }
}

static void time_out(SlAgent *a, SlFetch *f)
{
    f->open = false;
    a->open_fetches--;
    f->at_us = a->elapsed_us + sl_agent_backoff(f->tries);
    f->tries++;
}

/* May one more be open for @f? What units wait for never keeps a newer list out. */
static bool is_room(const SlAgent *a, const SlFetch *f)
{
    unsigned left = SL_AGENT_FETCHES_MAX - a->open_fetches;
    return left > (f->first ? 0 : FETCHES_RESERVED);
}

void sl_agent_fetch_settle(SlAgent *a)
{
    if (!a->connected) {
        return;
    }
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, a->fetches);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        SlFetch *f = value;
        if (f->open && a->elapsed_us >= f->at_us) {
            time_out(a, f);
        }
        if (!f->open && a->elapsed_us >= f->at_us && is_room(a, f)) {
            SlAgentEffect *e = sl_agent_emit(a, SL_AGENT_DO_FETCH);
            e->digest = g_strdup(key);
            e->is_statement = f->is_statement;
            f->open = true;
            f->at_us = a->elapsed_us + SL_AGENT_FETCH_TIMEOUT_US;
            a->open_fetches++;
        }
        if (f->open || a->elapsed_us < f->at_us) {
            sl_agent_wake(a, f->at_us);
        }
    }
}

SlCheck sl_agent_map_get(SlAgent *a, const char *root, const char *key, const char *waiter,
                         char **ret_values, GError **error)
{
    GError *why = NULL;
    GBytes *text = sl_agent_checked_blob(a, root, waiter, &why);
    if (text == NULL) {
        if (why == NULL) {
            return SL_CHECK_WAIT;
        }
        g_propagate_error(error, why);
        return SL_CHECK_REFUSED;
    }
    g_autoptr(SlMapIndex) index = sl_map_index_parse(text, root, error);
    if (index == NULL) {
        return SL_CHECK_REFUSED;
    }
    GBytes *bucket = sl_agent_checked_blob(a, sl_map_index_bucket(index, key), waiter, &why);
    if (bucket == NULL) {
        if (why == NULL) {
            return SL_CHECK_WAIT;
        }
        g_propagate_error(error, why);
        return SL_CHECK_REFUSED;
    }
    return sl_map_bucket_get(index, bucket, key, ret_values, error) ? SL_CHECK_OK
                                                                    : SL_CHECK_REFUSED;
}
