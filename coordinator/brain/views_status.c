/* views_status.c - the fleet at a glance: units, runs, clusters, sources, alarms. Works on a folded
 * state too (no reports). */
#include "coordinator/brain/brain.h"
#include <string.h>

static bool put_flag(const char *key, const char *values, void *user)
{
    (void)values;
    json_array_append_new(user, json_string(key + strlen("flag/")));
    return true;
}

static bool put_refused(const char *key, const char *values, void *user)
{
    json_t *entry = sl_json_parse(values, strlen(values), NULL, "report", NULL);
    entry = entry != NULL ? entry : json_object();
    sl_json_set_str(entry, "what", key + strlen("refused/"));
    json_array_append_new(user, entry);
    return true;
}

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
        sl_map_foreach_prefix(seen->entries, "flag/", put_flag, flags);
        sl_map_foreach_prefix(seen->entries, "refused/", put_refused, refused);
    }
    int64_t seen_us = session != NULL ? session->seen_us : seen != NULL ? seen->seen_us : 0;
    sl_json_set_str(json, "id", cluster->id);
    sl_json_set_str(json, "name", cluster->name);
    sl_json_set_str(json, "env", env);
    sl_json_set_str(json, "engine", cluster->engine);
    json_object_set_new(json, "labels", labels);
    json_object_set_new(json, "connected",
                        c->started ? json_boolean(session != NULL) : json_null());
    json_object_set_new(json, "lastSeen", sl_json_time(seen_us));
    sl_json_set_bool(json, "stale",
                     c->started &&
                         (session == NULL || seen == NULL ||
                          now_us - seen->seen_us > SL_STALE_US)); /* the past: not known */
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

static bool wanted(const json_t *args, const char *key, const char *value)
{
    const char *only = sl_json_str(args, key);
    return only == NULL || strcmp(only, value) == 0;
}

/* For all units of an environment once. */
static const GPtrArray *clusters_of(const SlCoord *c, GHashTable *known, const char *env)
{
    GPtrArray *clusters = g_hash_table_lookup(known, env);
    if (clusters == NULL) {
        clusters = sl_brain_clusters(c, env);
        g_hash_table_insert(known, (char *)(uintptr_t)env, clusters);
    }
    return clusters;
}

static json_t *unit_json(const SlCoord *c, GHashTable *known, const char *app, const char *env,
                         int64_t now_us)
{
    return sl_view_unit(c, app, env, clusters_of(c, known, env), now_us);
}

/* Units of the documents in their order, then those that only have a history. */
static json_t *units_json(const SlCoord *c, const json_t *args, int64_t now_us)
{
    json_t *list = json_array();
    g_autoptr(GHashTable) done = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) known =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_ptr_array_unref);
    for (guint i = 0; c->docs != NULL && i < c->docs->applications->len; i++) {
        const SlApplicationDoc *app = g_ptr_array_index(c->docs->applications, i);
        for (guint k = 0; k < c->docs->environments->len; k++) {
            const SlEnvironmentDoc *env = g_ptr_array_index(c->docs->environments, k);
            if (sl_app_env(app, env->name) != NULL && wanted(args, "app", app->name) &&
                wanted(args, "env", env->name)) {
                json_array_append_new(list, unit_json(c, known, app->name, env->name, now_us));
                g_hash_table_add(done, g_strdup_printf("%s/%s", app->name, env->name));
            }
        }
    }
    g_autoptr(GPtrArray) keys = sl_sorted_keys(c->units);
    for (guint i = 0; i < keys->len; i++) {
        const SlUnit *u = g_hash_table_lookup(c->units, g_ptr_array_index(keys, i));
        if (!g_hash_table_contains(done, u->key) && u->live != NULL &&
            wanted(args, "app", u->app) && wanted(args, "env", u->env)) {
            json_array_append_new(list, unit_json(c, known, u->app, u->env, now_us));
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
    if (!c->started) { /* folded up to a moment: nobody is connected to the past */
        json_object_set_new(json, "at", sl_json_time(now_us));
    }
    json_object_set_new(json, "environments", environments_json(c));
    json_object_set_new(json, "units", units_json(c, args, now_us));
    json_object_set_new(json, "runs", runs_json(c, args));
    json_object_set_new(json, "clusters", clusters_json(c, sl_json_str(args, "env"), now_us));
    json_object_set_new(json, "sources", sources_json(c));
    json_object_set(json, "problems", json_object_get(problems, "problems"));
    json_object_set_new(json, "alarms", alarms);
    return json;
}
