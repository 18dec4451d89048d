/* turn.c - commit before effect: inputs go through the brain at once; what a loop turn decided goes
 * to the ledger as one commit (append.c); only then its effects are performed, in order. What comes
 * while an append is under way, or is held, gathers for the next one. It never performs an effect
 * whose events are not in the ledger, and never steps the brain once an append has failed. */
#include "coordinator/coordinator.h"

#define TICK_MAX_US (10 * SL_SECOND_US) /* a wrong clock is seen after this at the latest */

static int64_t monotonic_us(void)
{
    return sl_clock_real.monotonic_us(sl_clock_real.user);
}

int64_t sl_now_us(const SlCoordinator *c)
{
    int64_t wall_us = sl_clock_real.utc_us(sl_clock_real.user);
    return c->brain != NULL ? sl_coord_time(c->brain, wall_us, monotonic_us()) : wall_us;
}

static void batch_init(SlBatch *batch)
{
    batch->events = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
    batch->blobs =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    batch->cache =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    batch->effects = g_ptr_array_new_with_free_func((GDestroyNotify)sl_coord_effect_free);
}

void sl_batch_clear(SlBatch *batch)
{
    if (batch->events == NULL)
        return;
    g_ptr_array_unref(batch->events);
    g_hash_table_unref(batch->blobs);
    g_hash_table_unref(batch->cache);
    g_ptr_array_unref(batch->effects);
    *batch = (SlBatch){0};
}

/* ---- bytes by digest ---- */

void sl_turn_remember(SlCoordinator *c, const char *digest, GBytes *bytes)
{
    SlRecent *recent = &c->recent;
    if (g_hash_table_contains(recent->table, digest))
        return;
    char *key = g_strdup(digest);
    g_hash_table_insert(recent->table, key, g_bytes_ref(bytes));
    g_queue_push_tail(&recent->order, key);
    recent->bytes += g_bytes_get_size(bytes);
    while (recent->bytes > SL_RECENT_BYTES_MAX && recent->order.length > 1) {
        char *oldest = g_queue_pop_head(&recent->order);
        recent->bytes -= g_bytes_get_size(g_hash_table_lookup(recent->table, oldest));
        g_hash_table_remove(recent->table, oldest);
    }
}

GBytes *sl_turn_blob(SlCoordinator *c, const char *digest)
{
    GBytes *known = g_hash_table_lookup(c->recent.table, digest);
    if (known == NULL)
        known = g_hash_table_lookup(c->batch.blobs, digest);
    if (known == NULL)
        known = g_hash_table_lookup(c->batch.cache, digest);
    if (known != NULL)
        return g_bytes_ref(known);
    GBytes *bytes = sl_blobs_get(c->blobs, digest);
    if (bytes == NULL)
        bytes = sl_ledger_map(c->reader, digest);
    if (bytes != NULL)
        sl_turn_remember(c, digest, bytes);
    return bytes;
}

/* ---- commit before effect ---- */

static void perform(SlCoordinator *c, SlBatch *batch)
{
    GPtrArray *effects = batch->effects;
    g_ptr_array_set_free_func(effects, NULL);
    for (guint i = 0; i < effects->len; i++)
        sl_effect_perform(c, effects->pdata[i]);
    g_ptr_array_set_size(effects, 0);
}

static void flush(SlCoordinator *c)
{
    if (c->appending || c->failed)
        return;
    SlBatch batch = c->batch;
    batch_init(&c->batch);
    if (batch.events->len > 0 || g_hash_table_size(batch.cache) > 0) {
        sl_append_start(c, &batch);
        return;
    }
    perform(c, &batch);
    sl_batch_clear(&batch);
}

void sl_turn_appended(SlCoordinator *c, SlBatch *batch)
{
    if (batch->events->len > 0) {
        c->count_appends++;
        c->count_events += batch->events->len;
        sl_agents_allow(c);
        sl_polls_follow_docs(c);
        sl_branch_follow_root(c);
    }
    perform(c, batch);
    if (batch->events->len > 0) {
        if (c->api != NULL)
            sl_api_events_grew(c->api);
        if (!c->config->state_remote_required)
            sl_push_soon(c); /* else it is there already */
        sl_repacks_batch(c);
    }
    flush(c);
}

static void posted_flush(void *user)
{
    SlCoordinator *c = user;
    c->flush_posted = false;
    flush(c);
}

static void take_blobs(SlCoordinator *c, GHashTable *from, GHashTable *to)
{
    GHashTableIter iter;
    gpointer digest = NULL, bytes = NULL;
    g_hash_table_iter_init(&iter, from);
    while (g_hash_table_iter_next(&iter, &digest, &bytes)) {
        g_hash_table_insert(to, g_strdup(digest), g_bytes_ref(bytes));
        sl_turn_remember(c, digest, bytes);
    }
}

static void merge(SlCoordinator *c, SlCoordOutput *out)
{
    g_ptr_array_extend_and_steal(c->batch.events, g_steal_pointer(&out->events));
    g_ptr_array_extend_and_steal(c->batch.effects, g_steal_pointer(&out->effects));
    out->events = g_ptr_array_new();
    out->effects = g_ptr_array_new();
    take_blobs(c, out->ledger_blobs, c->batch.blobs);
    take_blobs(c, out->cache_blobs, c->batch.cache);
}

static void arm_tick(SlCoordinator *c, int64_t next_us)
{
    if (next_us <= 0)
        return;
    sl_timer_arm(c->tick, CLAMP(next_us - sl_now_us(c), 1000, TICK_MAX_US));
}

void sl_turn_input(SlCoordinator *c, const SlCoordInput *input)
{
    if (c->failed)
        return;
    if (!sl_append_takes(c, input->type)) {
        sl_timer_arm(c->tick, SL_SECOND_US);
        return;
    }
    g_autoptr(SlCoordOutput) out = sl_coord_output_new();
    SlCoordInput timed = *input;
    timed.monotonic_us = monotonic_us();
    sl_coord_step(c->brain, &timed, sl_clock_real.utc_us(sl_clock_real.user), out);
    c->snapshot.changed = true;
    if (input->type == SL_COORD_REQUEST)
        c->snapshot.asked = true;
    merge(c, out);
    arm_tick(c, out->next_us);
    if (c->flush_posted)
        return;
    c->flush_posted = true;
    sl_loop_post(c->loop, posted_flush, c);
}

static void ticked(void *user)
{
    SlCoordInput input = {.type = SL_COORD_TICK};
    sl_turn_input(user, &input);
}

void sl_turn_init(SlCoordinator *c)
{
    batch_init(&c->batch);
    c->recent.table =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    g_queue_init(&c->recent.order);
    c->tick = sl_timer_new(c->loop, ticked, c);
}

void sl_turn_clear(SlCoordinator *c)
{
    sl_batch_clear(&c->batch);
    g_queue_clear(&c->recent.order);
    g_clear_pointer(&c->recent.table, g_hash_table_unref);
    sl_timer_free(c->tick);
    c->tick = NULL;
}
