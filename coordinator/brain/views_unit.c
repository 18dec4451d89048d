/* views_unit.c - one unit as status shows it: what is current, how each cluster says that it is,
 * what waits, who pinned, paused or vetoed. Of a state that was only folded, what the ledger
 * recorded. Reads only. */
#include "coordinator/brain/brain.h"
#include <string.h>

static json_t *mark_json(const SlMark *mark)
{
    if (mark == NULL) {
        return json_null();
    }
    json_t *json = json_object();
    sl_json_set_str(json, "by", mark->by);
    sl_json_set_str(json, "reason", mark->reason);
    json_object_set_new(json, "since", sl_json_time(mark->since_us));
    return json;
}

/* The pause in force: highest number of its scope, neither expired nor of an older epoch, and not a
 * resume. */
static json_t *paused_json(const SlCoord *c, const char *app, const char *env, int64_t now_us)
{
    g_autofree char *unit = g_strdup_printf("unit %s/%s", app, env),
                    *whole = g_strdup_printf("env %s", env);
    const SlOrderKept *last[2] = {NULL, NULL};
    for (guint i = 0; i < c->orders->len; i++) {
        const SlOrderKept *kept = g_ptr_array_index(c->orders, i);
        bool is_pause = kept->order->act == SL_ACT_PAUSE || kept->order->act == SL_ACT_RESUME;
        if (is_pause && strcmp(kept->order->env, env) == 0) {
            last[0] = strcmp(kept->order->scope, unit) == 0 ? kept : last[0];
            last[1] = strcmp(kept->order->scope, whole) == 0 ? kept : last[1];
        }
    }
    for (int i = 0; i < 2; i++) {
        if (last[i] != NULL && last[i]->order->act == SL_ACT_PAUSE &&
            sl_brain_order_holds(c, last[i]->order, now_us)) {
            SlMark mark = {.by = last[i]->order->requester,
                           .reason = last[i]->order->reason,
                           .since_us = last[i]->at_us};
            json_t *json = mark_json(&mark);
            json_object_set_new(json, "until", sl_json_time(last[i]->order->expires_us));
            return json;
        }
    }
    return json_null();
}

static json_t *vetoes_json(const SlUnit *u)
{
    json_t *list = json_array();
    for (guint i = 0; u != NULL && i < u->vetoes->len; i++) {
        const SlVeto *veto = g_ptr_array_index(u->vetoes, i);
        json_t *json = json_object();
        sl_json_set_str(json, "release", veto->release);
        sl_json_set_str(json, "by", veto->by);
        sl_json_set_str(json, "reason", veto->reason);
        json_object_set_new(json, "since", sl_json_time(veto->since_us));
        json_array_append_new(list, json);
    }
    return list;
}

typedef struct {
    SlHealth worst;
    char *reason, *message;
    bool latched;
} Worst;

/* What a cluster says of a unit; of a state that was only folded, what the ledger recorded. */
static json_t *entry_of(const SlCoord *c, const SlUnit *u, const char *cluster, int64_t *ret_us)
{
    const SlSeen *seen = g_hash_table_lookup(c->seen, cluster);
    *ret_us = seen != NULL ? seen->seen_us : 0;
    if (c->started) {
        return sl_brain_seen_entry(c, cluster, "unit/%s/%s", u->app, u->env);
    }
    const SlRecorded *recorded =
        u->recorded != NULL ? g_hash_table_lookup(u->recorded, cluster) : NULL;
    if (recorded == NULL || recorded->entry == NULL) {
        return NULL;
    }
    *ret_us = recorded->at_us;
    return sl_json_parse(recorded->entry, strlen(recorded->entry), NULL, "report", NULL);
}

static void note_worst(Worst *worst, SlHealth health, const char *reason, const char *message)
{
    if (worst->reason == NULL || health > worst->worst) {
        g_free(worst->reason);
        g_free(worst->message);
        worst->worst = health;
        worst->reason = g_strdup(reason != NULL ? reason : "");
        worst->message = g_strdup(message != NULL ? message : "");
    }
}

static json_t *target_json(const SlCoord *c, const SlUnit *u, const char *cluster, int64_t now_us,
                           Worst *worst)
{
    json_t *json = json_object();
    int64_t seen_us = 0;
    const char *bundle = g_hash_table_lookup(u->live->target_of, cluster);
    g_autoptr(json_t) entry = entry_of(c, u, cluster, &seen_us);
    SlHealth health = SL_HEALTH_UNKNOWN;
    const char *reason = sl_json_str(entry, "reason"), *message = sl_json_str(entry, "message");
    bool same = entry != NULL && g_strcmp0(sl_json_str(entry, "bundle"), bundle) == 0;
    bool stale = c->started && (seen_us == 0 || now_us - seen_us > SL_STALE_US ||
                                sl_brain_session(c, cluster) == NULL);
    bool latched = sl_json_bool(entry, "latched", false) &&
                   g_strcmp0(sl_json_str(entry, "promotion"), u->live->promotion) == 0;
    if (latched) {
        reason = "Latched"; /* what it went back to may be healthy; what was promoted is not */
        health = SL_HEALTH_DEGRADED;
    } else if (!same && !c->started) {
        reason = "NotRecorded";
        message = "the ledger had no verdict on this bundle yet";
    } else if (entry == NULL) {
        reason = "NotReported";
        message = "the agent has not said anything about this unit";
    } else if (!same) {
        reason = "OtherBundle";
        message = "the agent still has another bundle";
        health = SL_HEALTH_PROGRESSING;
    } else if (!sl_health_parse(sl_json_str_or(entry, "health", ""), &health)) {
        health = SL_HEALTH_UNKNOWN;
    }
    worst->latched = worst->latched || latched;
    note_worst(worst, health, reason, message);
    sl_json_set_str(json, "cluster", cluster);
    sl_json_set_str(json, "bundle", bundle);
    sl_json_set_str(json, "health", sl_health_name(health));
    sl_json_set_str(json, "reason", reason);
    sl_json_set_str(json, "message", message);
    json_object_set_new(json, "seen", sl_json_time(seen_us));
    sl_json_set_bool(json, "stale", stale);
    return json;
}

static GBytes *get_blob(const SlCoord *c, const char *digest)
{
    return c->config.blobs.get != NULL ? c->config.blobs.get(digest, c->config.blobs.user) : NULL;
}

static void add_withheld(const SlCoord *c, json_t *list, const char *bundle)
{
    GBytes *text = get_blob(c, bundle);
    g_autoptr(SlBundle) parsed = text != NULL ? sl_bundle_parse(text, NULL) : NULL;
    for (guint i = 0; parsed != NULL && i < parsed->withheld->len; i++) {
        const SlBundleWithheld *w = g_ptr_array_index(parsed->withheld, i);
        json_t *json = json_object();
        g_autofree char *message = g_strdup_printf("waits for item %s%s%.12s", w->item,
                                                   w->run_key != NULL ? " of run key " : "",
                                                   w->run_key != NULL ? w->run_key : "");
        sl_json_set_str(json, "kind", w->kind);
        sl_json_set_str(json, "name", w->name);
        sl_json_set_str(json, "item", w->item);
        sl_json_set_str(json, "runKey", w->run_key);
        sl_json_set_str(json, "message", message);
        json_array_append_new(list, json);
    }
}

/* Servers and their ports: objects that clusters report with a message that names one. */
static void add_servers(const SlCoord *c, json_t *list, const SlUnit *u, const char *cluster)
{
    const SlSeen *seen = g_hash_table_lookup(c->seen, cluster);
    const GPtrArray *keys = seen != NULL ? g_hash_table_lookup(seen->servers, u->key) : NULL;
    for (guint i = 0; keys != NULL && i < keys->len; i++) {
        const char *key = g_ptr_array_index(keys, i), *value = sl_map_get(seen->entries, key);
        g_autoptr(json_t) entry = sl_json_parse(value, strlen(value), NULL, "report", NULL);
        const char *digest = sl_json_str(entry, "digest");
        GBytes *bytes = digest != NULL ? get_blob(c, digest) : NULL;
        g_autoptr(json_t) object =
            bytes != NULL ? sl_json_parse(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes),
                                          NULL, "object", NULL)
                          : NULL;
        json_t *json = json_object();
        sl_json_set_str(json, "cluster", cluster);
        sl_json_set_str(json, "name", strrchr(key, '/') + 1);
        int64_t port = sl_json_int(object, "spec.port", 0);
        json_object_set_new(json, "port", port != 0 ? json_integer(port) : json_null());
        sl_json_set_str(json, "health", sl_json_str(entry, "health"));
        json_array_append_new(list, json);
    }
}

static void put_attempts(const SlCoord *c, json_t *json, const SlUnit *u)
{
    json_t *waiting = json_array();
    const SlAttempt *active = NULL, *last = NULL;
    for (guint i = 0; u != NULL && i < u->attempts->len; i++) {
        const SlAttempt *a = g_ptr_array_index(u->attempts, i);
        if (sl_state_info(a->state)->final) {
            last = a;
        } else if (sl_attempt_waits(a)) {
            json_array_append_new(waiting, sl_view_attempt(c, a));
            active = active == NULL || sl_attempt_waits(active) ? a : active;
        } else {
            active = a;
        }
    }
    json_object_set_new(json, "active", active != NULL ? sl_view_attempt(c, active) : json_null());
    json_object_set_new(json, "last", last != NULL ? sl_view_attempt(c, last) : json_null());
    json_object_set_new(json, "waiting", waiting);
}

/* Clusters that joined after what runs was decided: it would go there too, and nobody decides that by
 * itself. */
static json_t *late_json(const SlCoord *c, const SlUnit *u, const GPtrArray *clusters)
{
    json_t *late = json_array();
    const SlApplicationDoc *app = c->docs != NULL ? sl_fleet_app(c->docs, u->app) : NULL;
    const SlAppEnv *env = app != NULL ? sl_app_env(app, u->env) : NULL;
    for (guint i = 0; env != NULL && i < clusters->len; i++) {
        const SlCluster *cluster = g_ptr_array_index(clusters, i);
        bool wanted = false;
        if (g_hash_table_contains(u->live->target_of, cluster->id)) {
            continue;
        }
        for (guint k = 0; k < env->parts->len; k++) {
            const SlPart *part = g_ptr_array_index(env->parts, k);
            wanted = wanted || sl_labels_match(part->match_labels, cluster->labels);
        }
        if (wanted) {
            json_array_append_new(late, json_string(cluster->id));
        }
    }
    return late;
}

static void put_live(const SlCoord *c, json_t *json, const SlUnit *u, const GPtrArray *members,
                     int64_t now_us)
{
    json_t *targets = json_array(), *withheld = json_array(), *servers = json_array();
    Worst worst = {.worst = SL_HEALTH_HEALTHY};
    g_autoptr(GHashTable) bundles = g_hash_table_new(g_str_hash, g_str_equal);
    if (u != NULL && u->live != NULL) {
        g_autoptr(GPtrArray) clusters = sl_sorted_keys(u->live->target_of);
        GHashTableIter iter;
        gpointer bundle;
        g_hash_table_iter_init(&iter, u->live->target_of);
        while (g_hash_table_iter_next(&iter, NULL, &bundle)) {
            if (g_hash_table_add(bundles, bundle)) {
                add_withheld(c, withheld, bundle);
            }
        }
        for (guint i = 0; i < clusters->len; i++) {
            json_array_append_new(
                targets, target_json(c, u, g_ptr_array_index(clusters, i), now_us, &worst));
            add_servers(c, servers, u, g_ptr_array_index(clusters, i));
        }
    } else {
        worst.worst = SL_HEALTH_MISSING;
        worst.reason = g_strdup("NothingDeployed");
        worst.message = g_strdup("nothing was promoted here yet");
    }
    sl_json_set_str(json, "health", sl_health_name(worst.worst));
    sl_json_set_str(json, "reason", worst.reason != NULL ? worst.reason : "");
    sl_json_set_str(json, "message", worst.message != NULL ? worst.message : "");
    sl_json_set_bool(json, "latched", worst.latched);
    json_object_set_new(json, "targets", targets);
    bool runs = u != NULL && u->live != NULL && u->live->act != SL_ACT_REMOVE;
    json_object_set_new(json, "late", runs ? late_json(c, u, members) : json_array());
    json_object_set_new(json, "withheld", withheld);
    json_object_set_new(json, "servers", servers);
    g_free(worst.reason);
    g_free(worst.message);
}

json_t *sl_view_unit(const SlCoord *c, const char *app, const char *env, const GPtrArray *clusters,
                     int64_t now_us)
{
    const SlUnit *u = sl_brain_unit(c, app, env);
    const SlAttempt *current = u != NULL ? u->current : NULL;
    const SlRelease *r = current != NULL ? sl_brain_release(c, current->release) : NULL;
    json_t *json = json_object();
    sl_json_set_str(json, "app", app);
    sl_json_set_str(json, "env", env);
    sl_json_set_str(json, "release", r != NULL ? r->id : NULL);
    sl_json_set_str(json, "releaseName", r != NULL ? r->name : NULL);
    sl_json_set_str(json, "commit", r != NULL ? r->commit : NULL);
    sl_json_set_str(json, "subject", r != NULL ? r->subject : NULL);
    json_object_set_new(
        json, "since",
        sl_json_time(current != NULL ? MAX(current->committed_us, current->requested_us) : 0));
    sl_json_set_int(json, "seq", u != NULL && u->live != NULL ? (int64_t)u->live->seq : 0);
    sl_json_set_str(json, "promotion", u != NULL && u->live != NULL ? u->live->promotion : NULL);
    json_object_set_new(json, "attempt",
                        current != NULL ? json_integer((json_int_t)current->n) : json_null());
    json_object_set_new(json, "pinned", mark_json(u != NULL ? u->pinned : NULL));
    json_object_set_new(json, "paused", paused_json(c, app, env, now_us));
    json_object_set_new(json, "vetoes", vetoes_json(u));
    put_live(c, json, u, clusters, now_us);
    put_attempts(c, json, u);
    return json;
}
