/* coord_store.c - what a step of the coordinator's brain decided on its way to the disk, as
 * coordinator/append.c does it: one append at a time, meanwhile more is gathered; only what is
 * durable has effects. An append under way when the process ends is there as a whole or not at all
 * (the branch is old or new). No room, or a required remote that is away: held and tried again. Any
 * other failure ends the process. */
#include "sim.h"

#define HELD_AGAIN_US (4 * SL_SECOND_US)
#define HELD_EFFECTS_MAX 4096 /* as coordinator/append.c */

static bool is_empty(const SlCoordOutput *out)
{
    return out->events->len == 0 && g_hash_table_size(out->cache_blobs) == 0;
}

GBytes *store_unsynced_blob(const World *w, const char *digest)
{
    const SlCoordOutput *batches[] = {w->batch, w->appending};
    for (size_t i = 0; i < G_N_ELEMENTS(batches); i++) {
        GBytes *bytes =
            batches[i] != NULL ? g_hash_table_lookup(batches[i]->ledger_blobs, digest) : NULL;
        bytes = bytes == NULL && batches[i] != NULL
                    ? g_hash_table_lookup(batches[i]->cache_blobs, digest)
                    : bytes;
        if (bytes != NULL) {
            return bytes;
        }
    }
    return NULL;
}

/* ---- what is durable ---- */

static void say_event(const World *w, const json_t *event)
{
    g_autofree char *error = g_strdup(sl_json_str_or(event, "error.message", ""));
    say(w, "ledger %s %s%s attempt %" JSON_INTEGER_FORMAT " %s", sl_json_str(event, "type"),
        sl_json_str_or(event, "app", ""), sl_json_str_or(event, "env", ""),
        (json_int_t)sl_json_int(event, "attempt", 0), error);
}

/* The objects of a commit of an environment's branch are in the pack of its COMMITTED. */
static void keep_commit(World *w, const json_t *event)
{
    EnvCommit *c = g_hash_table_lookup(w->env_commits, sl_json_str_or(event, "new", ""));
    if (c != NULL) {
        c->synced = true;
    }
}

static void write_batch(World *w, const SlCoordOutput *batch)
{
    blobs_merge(w->ledger_blobs, batch->ledger_blobs);
    blobs_merge(w->cache, batch->cache_blobs);
    for (guint i = 0; i < batch->events->len; i++) {
        json_t *event = batch->events->pdata[i];
        g_ptr_array_add(w->ledger,
                        json_deep_copy(event)); /* whatever the brain does with its own */
        note_text(w, "ledger", -1, sl_json_str_or(event, "prev", ""));
        keep_commit(w, event);
        if (w->options.verbose) {
            say_event(w, event);
        }
    }
}

/* ---- effects ---- */

/* The process may end between any two of them. */
static void perform(World *w, const SlCoordOutput *batch)
{
    unsigned life = w->coord_life;
    bool crash = batch->events->len > 0 && strikes(w, FAULT_COORD_TEAR);
    uint64_t where =
        crash ? rng_below(&w->fault_rng[FAULT_COORD_TEAR], 1 + batch->effects->len) : UINT64_MAX;
    check(w, &(Moment){.type = AT_COORD_OUTPUT, .coord_out = batch});
    for (guint i = 0; i < batch->effects->len && i < where && life == w->coord_life; i++) {
        coord_perform(w, batch->effects->pdata[i]);
    }
    if (crash && life == w->coord_life) {
        say(w, "coordinator ends between two effects");
        check(w, &(Moment){.type = AT_COORD_CRASH});
        coord_crash(w);
    }
}

/* ---- one append at a time ---- */

static void append_start(World *w);

static void append_done(World *w)
{
    SlCoordOutput *batch = g_steal_pointer(&w->appending);
    if (!w->append_written) {
        write_batch(w, batch);
    }
    w->append_written = false;
    perform(w, batch);
    sl_coord_output_free(batch);
    if (w->coord != NULL && w->appending == NULL && w->batch != NULL) {
        append_start(w);
    }
}

static void appended(World *w, Event *e);

static void again(World *w)
{
    Event *e = world_after(w, rng_between(&w->rng, SL_SECOND_US, HELD_AGAIN_US), appended, -1);
    e->life = w->coord_life;
}

static void appended(World *w, Event *e)
{
    if (e->life != w->coord_life || w->coord == NULL) {
        return;
    }
    bool has_events = w->appending->events->len > 0;
    w->append_held = false;
    if (has_events && !w->append_written && w->now < w->disk_full_until) {
        w->append_held = true;
        again(w);
        return;
    }
    if (has_events && !w->append_written && strikes(w, FAULT_APPEND)) {
        say(w, "an append fails");
        coord_crash(w);
        return;
    }
    if (has_events && w->remote_required && w->now < w->remote_away_until) {
        if (!w->append_written) {
            write_batch(w, w->appending);
        }
        w->append_written = true;
        w->append_held = true;
        again(w);
        return;
    }
    append_done(w);
}

static void append_start(World *w)
{
    w->appending = g_steal_pointer(&w->batch);
    if (is_empty(w->appending) || !w->begun) {
        append_done(w);
        return;
    }
    int64_t most = w->faults ? w->sync_us : 2000;
    Event *e = world_after(w, rng_between(&w->rng, 1000, most), appended, -1);
    e->life = w->coord_life;
}

static void gather(SlCoordOutput *into, SlCoordOutput *from)
{
    g_ptr_array_extend_and_steal(into->events, g_steal_pointer(&from->events));
    g_ptr_array_extend_and_steal(into->effects, g_steal_pointer(&from->effects));
    from->events = g_ptr_array_new();
    from->effects = g_ptr_array_new();
    blobs_merge(into->ledger_blobs, from->ledger_blobs);
    blobs_merge(into->cache_blobs, from->cache_blobs);
}

void store_take(World *w, SlCoordOutput *out)
{
    if (w->batch == NULL) {
        w->batch = sl_coord_output_new();
    }
    gather(w->batch, out);
    if (w->appending == NULL) {
        append_start(w);
    }
}

bool store_is_held(const World *w)
{
    return w->append_held || w->now < w->disk_full_until;
}

/* While an append is held what agents say again anyway is not listened to. */
bool store_takes(const World *w, SlCoordInputType type)
{
    bool comes_again = type == SL_COORD_TICK || type == SL_COORD_HELLO || type == SL_COORD_REPORT ||
                       type == SL_COORD_SEAL || type == SL_COORD_ENROL;
    return !w->append_held || !comes_again || w->batch == NULL ||
           w->batch->effects->len < HELD_EFFECTS_MAX;
}

/* ---- the process ends ---- */

static gboolean is_unsynced(gpointer key, gpointer value, gpointer user)
{
    (void)key;
    (void)user;
    return !((const EnvCommit *)value)->synced;
}

void store_crash(World *w)
{
    if (w->appending != NULL && w->appending->events->len > 0 && !w->append_written) {
        if (strikes(w, FAULT_UNSYNCED)) {
            say(w, "the append under way is lost");
        } else {
            say(w, "the append under way is there");
            write_batch(w, w->appending);
        }
    }
    g_clear_pointer(&w->appending, sl_coord_output_free);
    g_clear_pointer(&w->batch, sl_coord_output_free);
    w->append_written = false;
    w->append_held = false;
    (void)g_hash_table_foreach_remove(w->env_commits, is_unsynced, NULL);
    if (strikes(w, FAULT_CACHE_LOST)) {
        g_hash_table_remove_all(w->cache); /* deleting the cache loses no decision and no proof */
    }
}
