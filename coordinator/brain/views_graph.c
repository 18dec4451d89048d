/* views_graph.c - environments as people see them: order, modes, gates and the roles that apply.
 * Reads only. */
#include "coordinator/brain/brain.h"

static json_t *roles_json(const SlCoord *c, const char *env)
{
    json_t *list = json_array();
    for (guint i = 0; i < c->root->roles->len; i++) {
        const SlRole *role = g_ptr_array_index(c->root->roles, i);
        if (!sl_glob_match(role->env, env)) {
            continue;
        }
        json_t *json = json_object();
        sl_json_set_str(json, "app", role->app);
        sl_json_set_str(json, "act", sl_act_name(role->act));
        sl_json_set_int(json, "threshold", role->threshold);
        json_object_set_new(json, "people", sl_json_strv((const char *const *)role->people));
        sl_json_set_bool(json, "excludeAuthor", role->exclude_author);
        sl_json_set_bool(json, "excludeRequester", role->exclude_requester);
        json_array_append_new(list, json);
    }
    return list;
}

json_t *sl_view_environments(const SlCoord *c)
{
    json_t *list = json_array(), *json = json_object();
    for (guint i = 0; c->docs != NULL && i < c->docs->environments->len; i++) {
        const SlEnvironmentDoc *doc = g_ptr_array_index(c->docs->environments, i);
        const SlEnv *env = sl_brain_env(c, doc->name);
        const SlRootEnv *root_env = sl_root_env(c->root, doc->name);
        json_t *one = json_object(), *gates = json_array();
        for (guint k = 0; k < doc->gates->len; k++) {
            const SlGateDoc *gate = g_ptr_array_index(doc->gates, k);
            json_t *g = json_object();
            sl_json_set_str(g, "type", gate->type);
            sl_json_set_str(g, "where", gate->where);
            json_object_set(g, "config", gate->config);
            json_array_append_new(gates, g);
        }
        sl_json_set_str(one, "name", doc->name);
        json_object_set_new(one, "after",
                            doc->after.names != NULL
                                ? sl_json_strv((const char *const *)doc->after.names)
                                : json_array());
        sl_json_set_int(one, "need", doc->after.need);
        sl_json_set_str(one, "mode", doc->mode == SL_MODE_NEWEST ? "newest" : "manual");
        json_object_set_new(one, "gates", gates);
        json_object_set_new(one, "roles", roles_json(c, doc->name));
        sl_json_set_int(one, "epoch", root_env != NULL ? (int64_t)root_env->epoch : 0);
        sl_json_set_int(one, "clusters", env != NULL ? g_hash_table_size(env->clusters) : 0);
        sl_json_set_str(one, "tip", env != NULL ? env->tip : NULL);
        sl_json_set_str(one, "halted", env != NULL ? env->external : NULL);
        json_array_append_new(list, one);
    }
    json_object_set_new(json, "environments", list);
    return json;
}
