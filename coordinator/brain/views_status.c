/* views_status.c - the fleet at a glance: units, runs, clusters, sources, alarms. Works on a folded
 * state too (no reports). */
#include "coordinator/brain/brain.h"
#include <string.h>

#define STALE_US (3 * SL_MINUTE_US) /* an agent reports at least every minute: three missed */

json_t *sl_view_cluster(const SlCoord *c, const SlCluster *cluster, const char *env, int64_t now_us)
{
    const SlSession *session = g_hash_table_lookup(c->sessions, cluster->curve);
    const SlSeen *seen = g_hash_table_lookup(c->seen, cluster->id);
    json_t *json = json_object(), *labels = json_object(), *flags = json_array(),
           *refused = json_array();
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, cluster->labels);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        sl_json_set_str(labels, key, value);
    }
    if (seen != NULL) {
        g_hash_table_iter_init(&iter, seen->entries);
        while (g_hash_table_iter_next(&iter, &key, &value)) {
            if (g_str_has_prefix(key, "flag/")) {
                json_array_append_new(flags, json_string((const char *)key + 5));
            } else if (g_str_has_prefix(key, "refused/")) {
                json_t *entry = sl_json_parse(value, strlen(value), NULL, "report", NULL);
                entry = entry != NULL ? entry : json_object();
                sl_json_set_str(entry, "what", (const char *)key + 8);
                json_array_append_new(refused, entry);
            }
        }
    }
    int64_t seen_us = session != NULL ? session->seen_us : seen != NULL ? seen->seen_us : 0;
    sl_json_set_str(json, "id", cluster->id);
    sl_json_set_str(json, "name", cluster->name);
    sl_json_set_str(json, "env", env);
    sl_json_set_str(json, "engine", cluster->engine);
    json_object_set_new(json, "labels", labels);
    sl_json_set_bool(json, "connected", session != NULL);
    json_object_set_new(json, "lastSeen", sl_json_time(seen_us));
    sl_json_set_bool(json, "stale",
                     session == NULL || seen == NULL || now_us - seen->seen_us > STALE_US);
    sl_json_set_int(json, "headVersion", seen != NULL ? (int64_t)seen->head_version : 0);
    sl_json_set_int(json, "rootVersion", seen != NULL ? (int64_t)seen->root : 0);
    sl_json_set_str(json, "version", session != NULL ? session->version : NULL);
    json_object_set_new(json, "flags", flags);
    json_object_set_new(json, "refused", refused);
    return json;
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp((*(SlEnv *const *)a)->name, (*(SlEnv *const *)b)->name);
}

static GPtrArray *sorted_envs(const SlCoord *c)
{
    GPtrArray *envs = g_ptr_array_new();
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, c->envs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        g_ptr_array_add(envs, value);
    }
    g_ptr_array_sort(envs, by_name);
    return envs;
}

static int by_cluster(gconstpointer a, gconstpointer b)
{
    return strcmp((*(SlCluster *const *)a)->id, (*(SlCluster *const *)b)->id);
}

static json_t *clusters_json(const SlCoord *c, const char *only, int64_t now_us)
{
    json_t *list = json_array();
    g_autoptr(GPtrArray) envs = sorted_envs(c);
    for (guint i = 0; i < envs->len; i++) {
        const SlEnv *env = g_ptr_array_index(envs, i);
        g_autoptr(GPtrArray) clusters = g_ptr_array_new();
        GHashTableIter iter;
        gpointer value;
        g_hash_table_iter_init(&iter, env->clusters);
        while ((only == NULL || strcmp(only, env->name) == 0) &&
               g_hash_table_iter_next(&iter, NULL, &value)) {
            g_ptr_array_add(clusters, value);
        }
        g_ptr_array_sort(clusters, by_cluster);
        for (guint k = 0; k < clusters->len; k++) {
            json_array_append_new(
                list, sl_view_cluster(c, g_ptr_array_index(clusters, k), env->name, now_us));
        }
    }
    return list;
}

json_t *sl_view_clusters(const SlCoord *c, const json_t *args, int64_t now_us, GError **error)
{
    (void)error;
    const char *only = sl_json_str(args, "env");
    json_t *json = json_object(), *pending = json_array(), *tokens = json_array();
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, c->pending);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        const char *env = g_hash_table_lookup(c->pending_env, key);
        if (only == NULL || strcmp(only, env) == 0) {
            json_t *one = sl_view_cluster(c, value, env, now_us);
            g_autofree char *print = sl_public_key_fingerprint(((SlCluster *)value)->sign);
            sl_json_set_str(one, "fingerprint", print);
            json_array_append_new(pending, one);
        }
    }
    g_hash_table_iter_init(&iter, c->joins);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const SlJoin *join = value;
        if (join->cluster == NULL && join->expires_us > now_us &&
            (only == NULL || strcmp(only, join->env) == 0)) {
            json_t *one = json_object();
            sl_json_set_str(one, "id", join->id);
            sl_json_set_str(one, "name", join->name);
            sl_json_set_str(one, "env", join->env);
            sl_json_set_str(one, "by", join->by);
            json_object_set_new(one, "expires", sl_json_time(join->expires_us));
            json_array_append_new(tokens, one);
        }
    }
    json_object_set_new(json, "clusters", clusters_json(c, only, now_us));
    json_object_set_new(json, "pending", pending);
    json_object_set_new(json, "tokens", tokens);
    return json;
}

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

/* The pause in force: highest number of its scope, not expired, and not a resume. */
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
            last[i]->order->expires_us > now_us) {
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

static json_t *target_json(const SlCoord *c, const SlUnit *u, const char *cluster, int64_t now_us,
                           Worst *worst)
{
    json_t *json = json_object();
    const SlSeen *seen = g_hash_table_lookup(c->seen, cluster);
    const char *bundle = g_hash_table_lookup(u->live->target_of, cluster);
    g_autoptr(json_t) entry = sl_brain_seen_entry(c, cluster, "unit/%s/%s", u->app, u->env);
    SlHealth health = SL_HEALTH_UNKNOWN;
    const char *reason = sl_json_str(entry, "reason"), *message = sl_json_str(entry, "message");
    bool same = entry != NULL && g_strcmp0(sl_json_str(entry, "bundle"), bundle) == 0;
    bool stale =
        seen == NULL || now_us - seen->seen_us > STALE_US || sl_brain_session(c, cluster) == NULL;
    bool latched = sl_json_bool(entry, "latched", false) &&
                   g_strcmp0(sl_json_str(entry, "promotion"), u->live->promotion) == 0;
    if (entry == NULL) {
        reason = "NotReported";
        message = "the agent has not said anything about this unit";
    } else if (latched) {
        reason = "Latched"; /* what it went back to may be healthy; what was promoted is not */
        health = SL_HEALTH_DEGRADED;
    } else if (!same) {
        reason = "OtherBundle";
        message = "the agent still has another bundle";
        health = SL_HEALTH_PROGRESSING;
    } else if (!sl_health_parse(sl_json_str_or(entry, "health", ""), &health)) {
        health = SL_HEALTH_UNKNOWN;
    }
    worst->latched = worst->latched || latched;
    if (worst->reason == NULL || health > worst->worst) {
        g_free(worst->reason);
        g_free(worst->message);
        worst->worst = health;
        worst->reason = g_strdup(reason != NULL ? reason : "");
        worst->message = g_strdup(message != NULL ? message : "");
    }
    sl_json_set_str(json, "cluster", cluster);
    sl_json_set_str(json, "bundle", bundle);
    sl_json_set_str(json, "health", sl_health_name(health));
    sl_json_set_str(json, "reason", reason);
    sl_json_set_str(json, "message", message);
    json_object_set_new(json, "seen", sl_json_time(seen != NULL ? seen->seen_us : 0));
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
    g_autofree char *prefix =
        g_strdup_printf("object/%s/%s/%s~ModelServer/", u->app, u->env, SL_API_GROUP);
    GHashTableIter iter;
    gpointer key, value;
    if (seen == NULL) {
        return;
    }
    g_hash_table_iter_init(&iter, seen->entries);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        if (!g_str_has_prefix(key, prefix)) {
            continue;
        }
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

static int by_text(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void put_live(const SlCoord *c, json_t *json, const SlUnit *u, int64_t now_us)
{
    json_t *targets = json_array(), *withheld = json_array(), *servers = json_array();
    Worst worst = {.worst = SL_HEALTH_HEALTHY};
    g_autoptr(GHashTable) bundles = g_hash_table_new(g_str_hash, g_str_equal);
    if (u != NULL && u->live != NULL) {
        g_autoptr(GPtrArray) clusters = g_ptr_array_new();
        GHashTableIter iter;
        gpointer key, bundle;
        g_hash_table_iter_init(&iter, u->live->target_of);
        while (g_hash_table_iter_next(&iter, &key, &bundle)) {
            g_ptr_array_add(clusters, key);
            if (g_hash_table_add(bundles, bundle)) {
                add_withheld(c, withheld, bundle);
            }
        }
        g_ptr_array_sort(clusters, by_text);
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
    json_object_set_new(json, "withheld", withheld);
    json_object_set_new(json, "servers", servers);
    g_free(worst.reason);
    g_free(worst.message);
}

static json_t *unit_json(const SlCoord *c, const char *app, const char *env, int64_t now_us)
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
    put_live(c, json, u, now_us);
    put_attempts(c, json, u);
    return json;
}

static bool wanted(const json_t *args, const char *key, const char *value)
{
    const char *only = sl_json_str(args, key);
    return only == NULL || strcmp(only, value) == 0;
}

/* Units of the documents in their order, then those that only have a history. */
static json_t *units_json(const SlCoord *c, const json_t *args, int64_t now_us)
{
    json_t *list = json_array();
    g_autoptr(GHashTable) done = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; c->docs != NULL && i < c->docs->applications->len; i++) {
        const SlApplicationDoc *app = g_ptr_array_index(c->docs->applications, i);
        for (guint k = 0; k < c->docs->environments->len; k++) {
            const SlEnvironmentDoc *env = g_ptr_array_index(c->docs->environments, k);
            if (sl_app_env(app, env->name) != NULL && wanted(args, "app", app->name) &&
                wanted(args, "env", env->name)) {
                json_array_append_new(list, unit_json(c, app->name, env->name, now_us));
                g_hash_table_add(done, g_strdup_printf("%s/%s", app->name, env->name));
            }
        }
    }
    g_autoptr(GPtrArray) keys = g_ptr_array_new();
    GHashTableIter iter;
    gpointer key;
    g_hash_table_iter_init(&iter, c->units);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        g_ptr_array_add(keys, key);
    }
    g_ptr_array_sort(keys, by_text);
    for (guint i = 0; i < keys->len; i++) {
        const SlUnit *u = g_hash_table_lookup(c->units, g_ptr_array_index(keys, i));
        if (!g_hash_table_contains(done, u->key) && u->live != NULL &&
            wanted(args, "app", u->app) && wanted(args, "env", u->env)) {
            json_array_append_new(list, unit_json(c, u->app, u->env, now_us));
        }
    }
    return list;
}

/* Runs that go on, and the last one of each unit and job. */
static json_t *runs_json(const SlCoord *c, const json_t *args)
{
    json_t *list = json_array();
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, c->units);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const SlUnit *u = value;
        g_autoptr(GHashTable) jobs = g_hash_table_new(g_str_hash, g_str_equal);
        for (guint i = u->runs->len; i > 0; i--) {
            const SlRun *run = g_ptr_array_index(u->runs, i - 1);
            bool last = g_hash_table_add(jobs, run->job);
            if ((last || run->sealed == NULL) && wanted(args, "app", run->app) &&
                wanted(args, "env", run->env)) {
                json_array_append_new(list, sl_view_run(c, run));
            }
        }
    }
    return list;
}

static json_t *sources_json(const SlCoord *c)
{
    json_t *list = json_array();
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, c->sources);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const SlSourceState *s = value;
        json_t *json = json_object();
        sl_json_set_str(json, "repository", s->repository);
        sl_json_set_str(json, "branch", s->branch);
        sl_json_set_str(json, "commit", s->commit);
        sl_json_set_str(json, "subject", s->subject);
        json_object_set_new(json, "readAt", sl_json_time(s->read_us));
        sl_json_set_str(json, "error", s->error);
        json_array_append_new(list, json);
    }
    return list;
}

json_t *sl_view_problems(const SlCoord *c)
{
    json_t *json = json_object(), *list = json_array();
    const SlSourceState *fleet = g_hash_table_lookup(c->sources, "");
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, c->sources);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        json_array_extend(list, ((SlSourceState *)value)->problems);
    }
    json_object_set_new(json, "problems", list);
    sl_json_set_str(json, "commit", fleet != NULL ? fleet->commit : NULL);
    return json;
}

static json_t *environments_json(const SlCoord *c)
{
    json_t *list = json_array();
    for (guint i = 0; c->docs != NULL && i < c->docs->environments->len; i++) {
        const SlEnvironmentDoc *doc = g_ptr_array_index(c->docs->environments, i);
        const SlEnv *env = sl_brain_env(c, doc->name);
        json_t *json = json_object();
        sl_json_set_str(json, "name", doc->name);
        json_object_set_new(json, "after",
                            doc->after.names != NULL
                                ? sl_json_strv((const char *const *)doc->after.names)
                                : json_array());
        sl_json_set_str(json, "mode", doc->mode == SL_MODE_NEWEST ? "newest" : "manual");
        sl_json_set_int(json, "clusters", env != NULL ? g_hash_table_size(env->clusters) : 0);
        sl_json_set_str(json, "halted", env != NULL ? env->external : NULL);
        json_array_append_new(list, json);
    }
    return list;
}

json_t *sl_view_status(const SlCoord *c, const json_t *args, int64_t now_us, GError **error)
{
    static const char *const profiles[] = {"solo", "team", "regulated"};
    (void)error;
    json_t *json = json_object(), *ledger = json_object(), *alarms = json_array();
    g_autoptr(json_t) problems = sl_view_problems(c);
    sl_json_set_int(ledger, "seq", (int64_t)c->seq);
    sl_json_set_str(ledger, "hash", c->hash);
    for (guint i = 0; i < c->alarms->len; i++) {
        json_array_append_new(alarms, json_deep_copy(g_ptr_array_index(c->alarms, i)));
    }
    sl_json_set_str(json, "fleet", c->fleet_name);
    sl_json_set_str(json, "fleetId", c->root->fleet);
    sl_json_set_str(json, "profile", profiles[c->root->profile]);
    json_object_set_new(json, "now", sl_json_time(now_us));
    json_object_set_new(json, "ledger", ledger);
    sl_json_set_int(json, "rootVersion", (int64_t)c->root->version);
    sl_json_set_int(json, "term", (int64_t)c->term);
    json_object_set_new(json, "environments", environments_json(c));
    json_object_set_new(json, "units", units_json(c, args, now_us));
    json_object_set_new(json, "runs", runs_json(c, args));
    json_object_set_new(json, "clusters", clusters_json(c, sl_json_str(args, "env"), now_us));
    json_object_set_new(json, "sources", sources_json(c));
    json_object_set(json, "problems", json_object_get(problems, "problems"));
    json_object_set_new(json, "alarms", alarms);
    return json;
}
