/* fold_trust.c - events about the fleet itself: root, term, registries, join and API tokens,
 * remembered answers. */
#include "coordinator/brain/brain.h"
#include "coordinator/brain/fold.h"
#include <string.h>

/* Statement of an event, as {text, sigs} under @key. */
static SlSigned *statement_at(const json_t *event, const char *key, GError **error)
{
    json_t *json = sl_json_need_object(event, key, error);
    return json != NULL ? sl_signed_from_json(json, error) : NULL;
}

bool sl_fold_fleet_created(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    if (c->seq != 0) {
        return sl_throw(error, SLU_LEDGER_EVENT, "a fleet is created once, by the first event");
    }
    const char *name = sl_json_need_str(event, "name", error);
    g_autoptr(SlSigned) s = name != NULL ? statement_at(event, "root", error) : NULL;
    SlRoot *root = s != NULL ? sl_root_accept_first(s, NULL, error) : NULL;
    if (root == NULL) {
        return false;
    }
    c->fleet_name = g_strdup(name);
    c->created_us = at_us;
    c->root = root;
    g_ptr_array_add(c->roots, g_steal_pointer(&s));
    for (guint i = 0; i < root->environments->len; i++) {
        const SlRootEnv *env = g_ptr_array_index(root->environments, i);
        sl_brain_env_make(c, env->name);
    }
    return true;
}

bool sl_fold_lease(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    int64_t term = 0;
    (void)at_us;
    if (!sl_json_need_int(event, "term", &term, error)) {
        return false;
    }
    if (c->root == NULL || term <= 0 || (uint64_t)term <= c->term) {
        return sl_throw(error, SLU_LEDGER_EVENT,
                        "term %" G_GINT64_FORMAT " is not above %" G_GUINT64_FORMAT, term, c->term);
    }
    /* A term near the end of the numbers would leave none for the next. */
    if ((uint64_t)term > sl_brain_next_term(c, c->term + SL_JUMP_MAX)) {
        return sl_throw(error, SLU_LEDGER_EVENT,
                        "term %" G_GINT64_FORMAT " is too far above %" G_GUINT64_FORMAT, term,
                        c->term);
    }
    c->term = (uint64_t)term;
    return true;
}

bool sl_fold_root(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    (void)at_us;
    g_autoptr(SlSigned) s = statement_at(event, "root", error);
    SlRoot *next = s != NULL && c->root != NULL ? sl_root_accept_next(c->root, s, error) : NULL;
    if (next == NULL) {
        return false;
    }
    sl_root_free(c->root);
    c->root = next;
    g_ptr_array_add(c->roots, g_steal_pointer(&s));
    for (guint i = 0; i < next->environments->len; i++) {
        const SlRootEnv *env = g_ptr_array_index(next->environments, i);
        sl_brain_env_make(c, env->name);
    }
    return true;
}

typedef struct {
    GHashTable *clusters;
    GError **error;
    bool ok;
} RegistryRead;

static bool read_cluster(const char *id, const char *values, void *user)
{
    RegistryRead *read = user;
    SlCluster *cluster = sl_cluster_parse(id, values, read->error);
    read->ok = cluster != NULL;
    if (read->ok) {
        g_hash_table_insert(read->clusters, g_strdup(id), cluster);
    }
    return read->ok;
}

static GBytes *get_blob(const char *digest, void *user)
{
    return sl_brain_blob(user, digest);
}

/* Who is behind a CURVE key: asked for every message. Nothing is read from what it held before. */
static void index_curves(SlCoord *c)
{
    GHashTableIter envs, clusters;
    gpointer env, value;
    c->keys_version++;
    g_hash_table_remove_all(c->curves);
    g_hash_table_remove_all(c->curve_envs);
    g_hash_table_iter_init(&envs, c->envs);
    while (g_hash_table_iter_next(&envs, NULL, &env)) {
        g_hash_table_iter_init(&clusters, ((SlEnv *)env)->clusters);
        while (g_hash_table_iter_next(&clusters, NULL, &value)) {
            g_hash_table_insert(c->curves, ((SlCluster *)value)->curve, value);
            g_hash_table_insert(c->curve_envs, ((SlCluster *)value)->curve, env);
        }
    }
}

bool sl_fold_registry(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    (void)at_us;
    g_autoptr(SlSigned) s = statement_at(event, "registry", error);
    g_autoptr(SlRegistry) registry = s != NULL ? sl_registry_parse(s->text, error) : NULL;
    g_autoptr(SlMap) map =
        registry != NULL ? sl_map_load(registry->clusters, get_blob, c, error) : NULL;
    if (map == NULL) {
        return false;
    }
    SlEnv *env = sl_brain_env(c, registry->env);
    if (env == NULL || registry->version <= env->registry_version) {
        return sl_throw(error, SLU_LEDGER_EVENT,
                        "registry of %s, version %" G_GUINT64_FORMAT
                        ": unknown environment or not newer",
                        registry->env, registry->version);
    }
    g_autoptr(GHashTable) clusters =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)sl_cluster_free);
    RegistryRead read = {clusters, error, true};
    sl_map_foreach(map, read_cluster, &read);
    if (!read.ok) {
        return false;
    }
    g_autofree char *digest = sl_signed_digest(s);
    g_hash_table_unref(env->clusters);
    env->clusters = g_steal_pointer(&clusters);
    index_curves(c);
    if (env->registry != NULL) {
        g_autofree char *old = sl_signed_digest(env->registry);
        g_hash_table_remove(c->statements, old);
        sl_signed_free(env->registry);
    }
    env->registry = g_steal_pointer(&s);
    env->registry_version = registry->version;
    g_hash_table_replace(c->statements, g_strdup(digest), env->registry);
    GHashTableIter iter;
    gpointer id;
    g_hash_table_iter_init(&iter, env->clusters);
    while (g_hash_table_iter_next(&iter, &id, NULL)) {
        g_hash_table_remove(c->pending, id);
        g_hash_table_remove(c->pending_env, id);
    }
    g_hash_table_iter_init(&iter, c->removed);
    while (g_hash_table_iter_next(&iter, &id, NULL)) {
        if (sl_brain_cluster(c, id, NULL) == NULL) {
            g_hash_table_iter_remove(&iter);
        }
    }
    return true;
}

bool sl_fold_cluster_asked(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    (void)at_us;
    const char *id = sl_json_need_str(event, "token", error);
    const char *name = id != NULL ? sl_json_need_str(event, "name", error) : NULL;
    const char *env = name != NULL ? sl_json_need_str(event, "environment", error) : NULL;
    if (env == NULL) {
        return false;
    }
    SlJoin *j = g_new0(SlJoin, 1);
    j->id = g_strdup(id);
    j->name = g_strdup(name);
    j->env = g_strdup(env);
    j->by = g_strdup(sl_json_str_or(event, "by", ""));
    j->labels = json_deep_copy(sl_json_at(event, "labels"));
    j->expires_us = sl_json_time_at(event, "expires", 0);
    g_hash_table_replace(c->joins, j->id, j);
    return true;
}

bool sl_fold_cluster_enrolled(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    (void)at_us;
    const char *token = sl_json_need_str(event, "token", error);
    const char *id = token != NULL ? sl_json_need_str(event, "cluster", error) : NULL;
    const char *env = id != NULL ? sl_json_need_str(event, "environment", error) : NULL;
    const char *entry = env != NULL ? sl_json_need_str(event, "entry", error) : NULL;
    SlCluster *cluster = entry != NULL ? sl_cluster_parse(id, entry, error) : NULL;
    if (cluster == NULL) {
        return false;
    }
    SlJoin *join = g_hash_table_lookup(c->joins, token);
    if (join == NULL || join->cluster != NULL) {
        sl_cluster_free(cluster);
        return sl_throw(error, SLU_LEDGER_EVENT, "join token %s is unknown or was used", token);
    }
    join->cluster = g_strdup(id);
    join->request = g_strdup(sl_json_str_or(event, "request", ""));
    g_hash_table_replace(c->pending, g_strdup(id), cluster);
    g_hash_table_replace(c->pending_env, g_strdup(id), g_strdup(env));
    return true;
}

static gboolean is_unused_join(gpointer key, gpointer value, gpointer name)
{
    (void)key;
    const SlJoin *join = value;
    return join->cluster == NULL && strcmp(join->name, name) == 0;
}

bool sl_fold_cluster_removed(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    (void)at_us;
    const char *id = sl_json_need_str(event, "cluster", error);
    if (id == NULL) {
        return false;
    }
    g_hash_table_remove(c->pending_env, id);
    /* A token that nobody used was never a cluster: its name is free again. */
    bool unused = g_hash_table_foreach_remove(c->joins, is_unused_join, (char *)(uintptr_t)id) > 0;
    if (!g_hash_table_remove(c->pending, id) && !unused) {
        g_hash_table_replace(c->removed, g_strdup(id), g_strdup(sl_json_str_or(event, "by", "")));
    }
    return true;
}

bool sl_fold_token_made(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    const char *id = sl_json_need_str(event, "token", error);
    const char *hash = id != NULL ? sl_json_need_str(event, "hash", error) : NULL;
    const char *person = hash != NULL ? sl_json_need_str(event, "person", error) : NULL;
    const char *scope = person != NULL ? sl_json_need_str(event, "scope", error) : NULL;
    if (scope == NULL) {
        return false;
    }
    SlToken *t = g_new0(SlToken, 1);
    t->id = g_strdup(id);
    t->hash = g_strdup(hash);
    t->person = g_strdup(person);
    t->scope = g_strdup(scope);
    t->expires_us = sl_json_time_at(event, "expires", 0);
    t->made_us = at_us;
    g_hash_table_replace(c->tokens, t->id, t);
    return true;
}

bool sl_fold_token_revoked(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    (void)at_us;
    const char *id = sl_json_need_str(event, "token", error);
    return id != NULL && (g_hash_table_remove(c->tokens, id) ||
                          sl_throw(error, SLU_LEDGER_EVENT, "token %s is not known", id));
}

static gboolean answer_is_old(gpointer key, gpointer value, gpointer user)
{
    (void)key;
    return ((SlAnswer *)value)->at_us + SL_DAY_US <= *(int64_t *)user;
}

bool sl_fold_answered(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    int64_t status = 0;
    const char *key = sl_json_need_str(event, "key", error);
    const char *person = key != NULL ? sl_json_need_str(event, "person", error) : NULL;
    const char *digest = person != NULL ? sl_json_need_str(event, "request", error) : NULL;
    if (digest == NULL || !sl_json_need_int(event, "status", &status, error)) {
        return false;
    }
    SlAnswer *answer = g_new0(SlAnswer, 1);
    answer->status = (int)status;
    answer->digest = g_strdup(digest);
    answer->body = json_deep_copy(sl_json_at(event, "body"));
    answer->at_us = at_us;
    g_hash_table_foreach_remove(c->answers, answer_is_old, &at_us);
    g_hash_table_replace(c->answers, g_strdup_printf("%s %s", person, key), answer);
    return true;
}
