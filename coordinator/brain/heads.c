/* heads.c - "this is all you should run now", to each cluster with a session. A head is issued when
 * the desired list changed, and renewed at a third of its lifetime; each raises the version. Equal
 * lists are one map, made once. */
#include "coordinator/brain/brain.h"
#include <string.h>

#define DESIRED_KEPT 4096 /* maps remembered: one per distinct list in use, cleared when more */

static bool add(SlMap *map, const char *values, const char *format, ...) G_GNUC_PRINTF(3, 4);
static bool add(SlMap *map, const char *values, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *key = g_strdup_vprintf(format, args);
    va_end(args);
    return sl_map_add(map, key, values, NULL);
}

static void add_orders(const SlCoord *c, SlMap *map, const char *env, const char *cluster)
{
    for (guint i = 0; i < c->orders->len; i++) {
        const SlOrderKept *kept = g_ptr_array_index(c->orders, i);
        const SlOrder *order = kept->order;
        bool here = strcmp(order->env, env) == 0 &&
                    (order->cluster == NULL || strcmp(order->cluster, cluster) == 0);
        if (here && sl_brain_order_holds(c, order, c->now_us)) {
            (void)add(map, sl_act_name(order->act), "order/%s", kept->digest);
        }
    }
}

static SlMap *desired_of(const SlCoord *c, const char *env, const char *cluster)
{
    SlMap *map = sl_map_new();
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, c->units);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const SlUnit *u = value;
        if (strcmp(u->env, env) != 0) {
            continue;
        }
        const SlAttempt *a =
            u->last_live; /* after a remove: its statement, with the empty bundle */
        if (a != NULL && g_hash_table_contains(a->target_of, cluster)) {
            (void)add(map, a->promotion, "unit/%s/%s", u->app, u->env);
        }
        for (guint i = 0; i < u->runs->len; i++) {
            const SlRun *run = g_ptr_array_index(u->runs, i);
            if (run->sealed == NULL && strcmp(run->cluster, cluster) == 0) {
                (void)add(map, run->id, "run/%s/%s/%s/%" G_GUINT64_FORMAT, run->app, run->env,
                          run->job, run->generation);
            }
        }
    }
    add_orders(c, map, env, cluster);
    return map;
}

/* Keeps the map's texts; they go to the cache once per process and list. */
static char *keep_desired(SlCoord *c, SlMap *map)
{
    char *root = sl_map_root(map);
    if (!g_hash_table_contains(c->desired_lists, root)) {
        if (g_hash_table_size(c->desired_lists) >= DESIRED_KEPT) {
            g_hash_table_remove_all(c->desired_lists);
        }
        GHashTable *blobs = sl_map_blobs(map);
        GHashTableIter iter;
        gpointer digest, bytes;
        g_hash_table_iter_init(&iter, blobs);
        while (g_hash_table_iter_next(&iter, &digest, &bytes)) {
            sl_brain_keep_cache(c, digest, bytes);
        }
        g_hash_table_insert(c->desired_lists, g_strdup(root), blobs);
    }
    return root;
}

static uint64_t next_version(SlCoord *c, const char *cluster)
{
    const char *text = g_hash_table_lookup(c->head_versions, cluster);
    uint64_t version = 0;
    if (text != NULL) {
        (void)sl_parse_uint64(text, &version);
    }
    version++;
    g_hash_table_replace(c->head_versions, g_strdup(cluster),
                         g_strdup_printf("%" G_GUINT64_FORMAT, version));
    return version;
}

#define RENEW_STEP_US SL_SECOND_US /* renewals of one second are made together */

/* At a third of the lifetime at the latest; up to a quarter of that sooner, each cluster at a
 * time of its own, so that a fleet that was served together is not renewed together for ever. */
static int64_t renew_at(const SlCoord *c, const char *cluster, int64_t lifetime_us)
{
    int64_t third = lifetime_us / 3;
    int64_t sooner = third / 4 * (int64_t)(g_str_hash(cluster) % 1024) / 1024;
    int64_t at = c->now_us + third - sooner;
    return at - at % MIN(RENEW_STEP_US, third / 4 + 1);
}

static void send_head(SlCoord *c, SlSession *session, const SlRootEnv *root_env, const SlEnv *env,
                      char *desired)
{
    SlHead head = {
        .fleet = c->root->fleet,
        .env = env->name,
        .cluster = session->cluster,
        .epoch = root_env->epoch,
        .nonce = session->nonce,
        .term = c->term,
        .version = next_version(c, session->cluster),
        .root = c->root->version,
        .registry = env->registry_version,
        .ledger_seq = c->seq,
        .ledger_hash = c->hash,
        .issued_us = c->now_us,
        .expires_us = c->now_us + root_env->head_lifetime_us,
        .desired = desired,
    };
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) text = sl_head_format(&head, &error);
    if (text == NULL) {
        sl_brain_alarm(c, session->cluster, "head", error->code, error->message);
        return;
    }
    SlCoordEffect *effect = sl_effect(c, SL_COORD_DO_SEND);
    effect->curve = g_strdup(session->curve);
    effect->send = SL_COORD_SEND_HEAD;
    effect->statement = sl_signed_new(text);
    sl_signed_sign(effect->statement, SL_STATEMENT_HEAD, c->config.online_secret);
    session->renew_us = renew_at(c, session->cluster, root_env->head_lifetime_us);
    session->sent_us = c->now_us;
}

#define HEAD_AGAIN_US (5 * SL_SECOND_US)

/* A report that came well after the last head still stands on an older one: that head was lost on
 * the way. */
static bool is_behind(const SlCoord *c, const SlSession *session)
{
    const SlSeen *seen = g_hash_table_lookup(c->seen, session->cluster);
    const char *text = g_hash_table_lookup(c->head_versions, session->cluster);
    uint64_t version = 0;
    if (seen == NULL || text == NULL || !sl_parse_uint64(text, &version)) {
        return false;
    }
    return session->seen_us >= session->sent_us + HEAD_AGAIN_US &&
           (seen->term < c->term || (seen->term == c->term && seen->head_version < version));
}

void sl_brain_head_seen(SlCoord *c, const SlSession *session)
{
    if (is_behind(c, session)) {
        sl_brain_touch_session(c, session);
    }
}

static void serve(SlCoord *c, SlSession *session)
{
    const SlEnv *env = sl_brain_env(c, session->env);
    const SlRootEnv *root_env = sl_root_env(c->root, session->env);
    if (env == NULL || root_env == NULL || env->registry == NULL ||
        !g_hash_table_contains(env->clusters, session->cluster)) {
        return; /* removed from the registry: what it runs goes on, heads end */
    }
    g_autoptr(SlMap) map = desired_of(c, env->name, session->cluster);
    g_autofree char *desired = keep_desired(c, map);
    bool steps = session->root < c->root->version || session->registry < env->registry_version;
    if (steps) {
        sl_brain_send_steps(c, env, session);
    }
    if (steps || g_strcmp0(session->desired, desired) != 0 || session->renew_us <= c->now_us ||
        session->renew_us > c->now_us + root_env->head_lifetime_us || /* the clock went back */
        is_behind(c, session)) {
        send_head(c, session, root_env, env, desired);
        g_free(session->desired);
        session->desired = g_strdup(desired);
    }
    c->heads_next_us = MIN(c->heads_next_us, session->renew_us);
}

/* Orders that ended since the last look leave the lists of their environment. */
static void drop_ended_orders(SlCoord *c)
{
    for (guint i = 0; i < c->orders->len; i++) {
        const SlOrder *order = ((const SlOrderKept *)g_ptr_array_index(c->orders, i))->order;
        if (order->expires_us > c->now_us) {
            c->heads_next_us = MIN(c->heads_next_us, order->expires_us);
        } else if (order->expires_us > c->heads_seen_us) {
            sl_brain_touch_sessions(c, order->env);
        }
    }
    c->heads_seen_us = c->now_us;
}

/* Sessions whose head must be renewed now; when the next one must. */
static void find_due(SlCoord *c)
{
    GHashTableIter iter;
    gpointer value;
    c->heads_next_us = INT64_MAX;
    drop_ended_orders(c);
    g_hash_table_iter_init(&iter, c->sessions);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const SlSession *session = value;
        if (session->renew_us <= c->now_us) {
            sl_brain_touch_session(c, session);
        } else {
            c->heads_next_us = MIN(c->heads_next_us, session->renew_us);
        }
    }
}

void sl_brain_heads(SlCoord *c)
{
    GHashTableIter iter;
    gpointer curve;
    if (c->heads_next_us <= c->now_us) {
        find_due(c);
    }
    g_autoptr(GHashTable) dirty = c->dirty_sessions;
    c->dirty_sessions = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_hash_table_iter_init(&iter, dirty);
    while (g_hash_table_iter_next(&iter, &curve, NULL)) {
        SlSession *session = g_hash_table_lookup(c->sessions, curve);
        if (session != NULL) {
            serve(c, session);
        }
    }
    sl_wake(c, c->heads_next_us);
}
