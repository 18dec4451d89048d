/* dirty.c - what has to be looked at again. A step costs what changed, not what exists: events,
 * moves and reports mark applications and sessions; times are kept beside the attempts. Marking too
 * much only costs; marking too little would wait for ever, so whatever is not known marks all. */
#include "coordinator/brain/brain.h"
#include <string.h>

void sl_brain_touch(SlCoord *c, const char *app)
{
    if (app == NULL) {
        c->dirty_all = true;
    } else if (!c->dirty_all && !g_hash_table_contains(c->dirty, app)) {
        g_hash_table_add(c->dirty, g_strdup(app));
    }
}

void sl_brain_touch_session(SlCoord *c, const SlSession *session)
{
    if (session != NULL && !g_hash_table_contains(c->dirty_sessions, session->curve)) {
        g_hash_table_add(c->dirty_sessions, g_strdup(session->curve));
    }
}

void sl_brain_touch_sessions(SlCoord *c, const char *env)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, c->sessions);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const SlSession *session = value;
        if (env == NULL || strcmp(session->env, env) == 0) {
            sl_brain_touch_session(c, session);
        }
    }
}

void sl_brain_touch_targets(SlCoord *c, const char *cluster)
{
    for (guint i = 0; i < c->active->len; i++) {
        const SlAttempt *a = g_ptr_array_index(c->active, i);
        if (sl_attempt_live(a) && g_hash_table_contains(a->target_of, cluster)) {
            sl_brain_touch(c, a->app);
        }
    }
}

/* Documents: one application's concerns only that one. */
static void touch_documents(SlCoord *c, const json_t *event)
{
    bool shared = json_object_get(event, "fleet") != NULL ||
                  json_object_get(event, "repositories") != NULL ||
                  json_object_get(event, "environments") != NULL;
    const char *app;
    json_t *digest;
    if (shared) {
        sl_brain_touch(c, NULL);
        return;
    }
    json_object_foreach(json_object_get(event, "applications"), app, digest)
    {
        sl_brain_touch(c, app);
    }
}

static void touch_run(SlCoord *c, const json_t *event)
{
    const char *id = sl_json_str(event, "run");
    const SlRun *run = id != NULL ? g_hash_table_lookup(c->runs, id) : NULL;
    if (run != NULL) {
        sl_brain_touch(c, run->app);
        sl_brain_touch_session(c, sl_brain_session(c, run->cluster));
    }
}

static void touch_order(SlCoord *c)
{
    const SlOrderKept *kept = g_ptr_array_index(c->orders, c->orders->len - 1);
    g_autofree char *app = sl_order_app(kept->order);
    sl_brain_touch(c, app);
    sl_brain_touch_sessions(c, kept->order->env);
    c->heads_next_us = MIN(c->heads_next_us, kept->order->expires_us);
}

static void touch_members(SlCoord *c, const json_t *event)
{
    const json_t *units = json_object_get(event, "units");
    const SlAttempt *a = sl_brain_attempt(c, (uint64_t)sl_json_int(event, "attempt", 0));
    const char *app = sl_json_str(event, "app");
    if (app != NULL) {
        sl_brain_touch(c, app);
    }
    if (a != NULL) {
        sl_brain_touch(c, a->app);
    }
    for (size_t i = 0; i < json_array_size(units); i++) {
        sl_brain_touch(c, sl_json_str(json_array_get(units, i), "app"));
    }
}

void sl_brain_touch_event(SlCoord *c, const char *type, const json_t *event)
{
    static const char *const quiet[] = {
        "SourceRead",      "Answered",       "TokenMade",      "TokenRevoked", "ClusterAsked",
        "ClusterEnrolled", "RewindAccepted", "ClusterRemoved", "Health",       NULL};
    if (g_strv_contains(quiet, type)) {
        return;
    }
    c->envs_dirty = true;
    if (strcmp(type, "Documents") == 0) {
        touch_documents(c, event);
    } else if (strcmp(type, "RunPlaced") == 0 || strcmp(type, "Sealed") == 0) {
        touch_run(c, event);
    } else if (strcmp(type, "Order") == 0) {
        touch_order(c);
    } else if (strcmp(type, "Committed") == 0) {
        touch_members(c, event);
        sl_brain_touch_sessions(c, sl_json_str(event, "env"));
    } else if (json_object_get(event, "app") != NULL || json_object_get(event, "attempt") != NULL) {
        touch_members(c, event);
    } else { /* Root, Registry, Lease, ExternalChange, ... */
        sl_brain_touch(c, NULL);
        sl_brain_touch_sessions(c, NULL);
    }
}

void sl_brain_touch_time(SlCoord *c)
{
    bool went_back = c->now_us < c->step_us;
    c->step_us = c->now_us;
    if (went_back) { /* no time that was noted holds any more */
        sl_brain_clock_back(c);
        c->auto_next_us = c->envs_next_us = c->heads_next_us = 0;
        sl_brain_touch(c, NULL);
        sl_brain_touch_sessions(c, NULL);
    }
}

bool sl_round_has(const SlRound *round, const char *app)
{
    return round->all || g_hash_table_contains(round->apps, app);
}

/* Automatic attempts that wait for a time: their applications are looked at again then. */
static void touch_due(SlCoord *c)
{
    GHashTableIter iter;
    gpointer app, at;
    if (c->auto_next_us > c->now_us) {
        return;
    }
    c->auto_next_us = INT64_MAX;
    g_hash_table_iter_init(&iter, c->auto_wait);
    while (g_hash_table_iter_next(&iter, &app, &at)) {
        int64_t at_us = *(int64_t *)at;
        if (at_us <= c->now_us) {
            sl_brain_touch(c, app);
            g_hash_table_iter_remove(&iter);
        } else {
            c->auto_next_us = MIN(c->auto_next_us, at_us);
        }
    }
}

void sl_brain_wait_auto(SlCoord *c, const char *app, int64_t at_us)
{
    int64_t *at = g_new(int64_t, 1);
    *at = at_us;
    g_hash_table_replace(c->auto_wait, g_strdup(app), at);
    c->auto_next_us = MIN(c->auto_next_us, at_us);
}

void sl_round_begin(SlCoord *c, SlRound *round)
{
    touch_due(c);
    sl_wake(c, c->auto_next_us);
    round->apps = c->dirty;
    round->all = c->dirty_all;
    c->dirty = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    c->dirty_all = false;
}

void sl_round_end(SlRound *round)
{
    g_clear_pointer(&round->apps, g_hash_table_unref);
}

bool sl_brain_is_dirty(const SlCoord *c)
{
    return c->dirty_all || c->envs_dirty || g_hash_table_size(c->dirty) > 0;
}
