/* registry.c - the next registry of an environment: who is in it, its text, and the online key's
 * signature where the root's threshold for act registry is 0. */
#include "coordinator/brain/brain.h"
#include <string.h>

static bool add_cluster(SlMap *map, const SlCluster *cluster, GError **error)
{
    g_autofree char *values = sl_cluster_format(cluster);
    return sl_map_add(map, cluster->id, values, error);
}

/* Above ours and above what the agents there hold: after a theft or a restored ledger they may be
 * ahead, and refuse every head that stands on less. Nobody is followed further than one jump, and
 * nothing is signed because an agent said so: only the next registry counts from there. */
static uint64_t next_version(const SlCoord *c, const SlEnv *env)
{
    uint64_t newest = env->registry_version;
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, c->sessions);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const SlSession *session = value;
        if (strcmp(session->env, env->name) == 0 && session->registry > newest &&
            session->registry - env->registry_version < SL_JUMP_MAX) {
            newest = session->registry;
        }
    }
    return newest + 1;
}

/* Who asks to come in: the fingerprint is what a person compares with the machine's own. */
static json_t *addition(const SlCluster *cluster, const char *env)
{
    json_t *json = json_object();
    g_autofree char *print = sl_public_key_fingerprint(cluster->sign);
    sl_json_set_str(json, "id", cluster->id);
    sl_json_set_str(json, "name", cluster->name);
    sl_json_set_str(json, "env", env);
    sl_json_set_str(json, "engine", cluster->engine);
    sl_json_set_str(json, "fingerprint", print);
    return json;
}

GBytes *sl_brain_registry_draft(SlCoord *c, const char *name, json_t *adds, json_t *removes,
                                SlMap **ret_map, GError **error)
{
    const SlEnv *env = sl_brain_env(c, name);
    if (env == NULL || sl_root_env(c->root, name) == NULL) {
        return sl_throw_null(error, SLU_NOT_FOUND, "the root has no environment %s", name);
    }
    g_autoptr(SlMap) map = sl_map_new();
    GHashTableIter iter;
    gpointer id, value;
    g_hash_table_iter_init(&iter, env->clusters);
    while (g_hash_table_iter_next(&iter, &id, &value)) {
        if (g_hash_table_contains(c->removed, id)) {
            json_array_append_new(removes, json_string(id));
        } else if (!add_cluster(map, value, error)) {
            return NULL;
        }
    }
    g_hash_table_iter_init(&iter, c->pending);
    while (g_hash_table_iter_next(&iter, &id, &value)) {
        if (strcmp(g_hash_table_lookup(c->pending_env, id), name) == 0) {
            json_array_append_new(adds, addition(value, name));
            if (!add_cluster(map, value, error)) {
                return NULL;
            }
        }
    }
    g_autofree char *root = sl_map_root(map);
    SlRegistry registry = {
        .fleet = c->root->fleet,
        .env = env->name,
        .version = next_version(c, env),
        .count = sl_map_count(map),
        .clusters = root,
    };
    GBytes *text = sl_registry_format(&registry, error);
    if (text != NULL && ret_map != NULL) {
        *ret_map = g_steal_pointer(&map);
    }
    return text;
}

static SlPolicyAsk policy_ask(const char *env)
{
    return (SlPolicyAsk){.env = env, .act = SL_ACT_REGISTRY};
}

bool sl_brain_registry_emit(SlCoord *c, const char *env, const SlSigned *s, const SlMap *map,
                            GError **error)
{
    SlPolicyAsk ask = policy_ask(env);
    if (!sl_policy_check(c->root, &ask, s, SL_STATEMENT_REGISTRY, NULL, error)) {
        return false;
    }
    sl_brain_keep_map(c, map);
    json_t *event = sl_event("Registry");
    sl_json_set_str(event, "environment", env);
    json_object_set_new(event, "registry", sl_signed_to_json(s));
    sl_emit(c, event);
    return true;
}

bool sl_brain_registry_auto(SlCoord *c, const char *env)
{
    SlPolicyAsk ask = policy_ask(env);
    SlPolicyNeed need = {0};
    sl_policy_need(c->root, &ask, &need);
    bool online = need.allowed && need.threshold == 0;
    sl_policy_need_clear(&need);
    g_autoptr(json_t) adds = json_array(), removes = json_array();
    g_autoptr(SlMap) map = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) text =
        online ? sl_brain_registry_draft(c, env, adds, removes, &map, &error) : NULL;
    if (text == NULL || json_array_size(adds) + json_array_size(removes) == 0) {
        return false;
    }
    g_autoptr(SlSigned) s = sl_signed_new(text);
    sl_signed_sign(s, SL_STATEMENT_REGISTRY, c->config.online_secret);
    if (!sl_brain_registry_emit(c, env, s, map, &error)) {
        sl_brain_alarm(c, "-", env, error->code, error->message);
        return false;
    }
    return true;
}
