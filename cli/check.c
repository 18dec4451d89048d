/* check.c - see check.h. A coordinator that was taken over may draft anything: a signature must never mean more than its person meant. */
#include "cli/check.h"
#include "base/text.h"
#include <string.h>

static bool differs(GError **error, const char *what, const char *drafted, const char *asked)
{
    return sl_throw(error, SLU_REVIEW_DIFFERS, "the text to sign has %s `%s`, asked for was `%s`",
                    what, drafted != NULL ? drafted : "none", asked != NULL ? asked : "none");
}

/* "run digits/dev 4f3a..." and asked for 4f3a. */
static bool names_run(const char *scope, const char *run)
{
    const char *id = strrchr(scope, ' ');
    return id != NULL && g_str_has_prefix(id + 1, run);
}

/* "run-key digits/dev train <key> 1": the third word is the job. */
static bool names_job(const char *scope, const char *job)
{
    g_auto(GStrv) words = g_strsplit(scope, " ", 4);
    return g_strv_length(words) == 4 && strcmp(words[2], job) == 0;
}

bool sl_check_order(GBytes *text, const json_t *args, GError **error)
{
    g_autoptr(SlOrder) order = sl_order_parse(text, error);
    if (order == NULL) {
        return false;
    }
    g_autofree char *app = sl_order_app(order);
    const char *run = sl_json_str(args, "run"), *job = sl_json_str(args, "job");
    const struct {
        const char *what, *drafted, *asked;
    } rows[] = {{"act", sl_act_name(order->act), sl_json_str(args, "act")},
                {"environment", order->env, sl_json_str(args, "env")},
                {"application", app, sl_json_str(args, "app")},
                {"cluster", order->cluster, sl_json_str(args, "cluster")}};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        bool of_promotion =
            i == 2 && order->act == SL_ACT_RENEW; /* its scope names a digest only */
        if (!of_promotion && g_strcmp0(rows[i].drafted, rows[i].asked) != 0) {
            return differs(error, rows[i].what, rows[i].drafted, rows[i].asked);
        }
    }
    if (order->act == SL_ACT_STOP_RUN && (run == NULL || !names_run(order->scope, run))) {
        return differs(error, "scope", order->scope, run);
    }
    if (order->act == SL_ACT_START_RUN && (job == NULL || !names_job(order->scope, job))) {
        return differs(error, "scope", order->scope, job);
    }
    return true;
}

static void cluster_free(void *cluster)
{
    sl_cluster_free(cluster);
}

static bool add_entry(SlMap *map, GPtrArray *clusters, const char *id, const char *values,
                      GError **error)
{
    SlCluster *cluster = values != NULL ? sl_cluster_parse(id, values, error) : NULL;
    if (cluster == NULL) {
        return values != NULL ? false
                              : sl_throw(error, SLU_COORDINATOR_ANSWER,
                                         "the draft has no entry for a cluster");
    }
    g_ptr_array_add(clusters, cluster);
    return sl_map_add(map, id, values, error);
}

static int by_id(gconstpointer a, gconstpointer b)
{
    const SlCluster *const *left = a, *const *right = b;
    return strcmp((*left)->id, (*right)->id);
}

GPtrArray *sl_check_registry(GBytes *text, const char *env, const json_t *entries, GError **error)
{
    g_autoptr(SlRegistry) registry = sl_registry_parse(text, error);
    if (registry == NULL) {
        return NULL;
    }
    if (strcmp(registry->env, env) != 0) {
        differs(error, "environment", registry->env, env);
        return NULL;
    }
    g_autoptr(SlMap) map = sl_map_new();
    g_autoptr(GPtrArray) clusters = g_ptr_array_new_with_free_func(cluster_free);
    const char *id = NULL;
    json_t *values = NULL;
    json_object_foreach ((json_t *)(uintptr_t)entries, id, values) {
        if (!add_entry(map, clusters, id, json_string_value(values), error)) {
            return NULL;
        }
    }
    g_autofree char *root = sl_map_root(map);
    if (strcmp(root, registry->clusters) != 0 || registry->count != clusters->len) {
        differs(error, "clusters", registry->clusters, root);
        return NULL;
    }
    g_ptr_array_sort(clusters, by_id);
    return g_steal_pointer(&clusters);
}

bool sl_check_attempt(const json_t *attempt, const char *app, const char *env, GError **error)
{
    const char *its_app = sl_json_str(attempt, "app"), *its_env = sl_json_str(attempt, "env");
    return g_strcmp0(its_app, app) != 0   ? differs(error, "application", its_app, app)
           : g_strcmp0(its_env, env) != 0 ? differs(error, "environment", its_env, env)
                                          : true;
}
