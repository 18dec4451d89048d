/* local.c - see local.h. */
#include "cli/local.h"
#include "base/text.h"
#include "cli/foldertree.h"
#include "core/registry.h"
#include <string.h>

bool sl_local_open(SlCli *cli, SlLocal *ret_local, GError **error)
{
    const char *given = sl_cli_option(cli, "repository");
    g_autofree char *folder = given != NULL ? g_strdup(given) : sl_find_fleet_folder(".", error);
    SlTree *tree = folder != NULL ? sl_folder_tree_new(folder, error) : NULL;
    if (tree == NULL) {
        return false;
    }
    ret_local->tree = tree;
    ret_local->problems = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
    ret_local->docs = sl_fleet_read(tree, ret_local->problems);
    return true;
}

void sl_local_clear(SlLocal *local)
{
    sl_fleet_docs_free(local->docs);
    sl_folder_tree_free(local->tree);
    if (local->problems != NULL) {
        g_ptr_array_unref(local->problems);
    }
    *local = (SlLocal){0};
}

static SlCluster *make_cluster(const char *id, const char *engine)
{
    SlCluster *cluster = g_new0(SlCluster, 1);
    cluster->id = g_strdup(id);
    cluster->name = g_strdup(id);
    cluster->engine = g_strdup(engine);
    cluster->labels = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_hash_table_insert(cluster->labels, g_strdup("cluster"), g_strdup(id));
    g_hash_table_insert(cluster->labels, g_strdup("engine"), g_strdup(engine));
    return cluster;
}

static GPtrArray *known_clusters(SlCli *cli, const char *env)
{
    GPtrArray *clusters = g_ptr_array_new_with_free_func((GDestroyNotify)sl_cluster_free);
    g_autoptr(json_t) answer =
        sl_api_get(cli, "/v1/clusters", (const char *[]){"env", env, NULL}, NULL);
    size_t i = 0;
    json_t *each = NULL;
    json_array_foreach (json_object_get(answer, "clusters"), i, each) {
        SlCluster *cluster = make_cluster(sl_json_str_or(each, "id", "?"),
                                          sl_json_str_or(each, "engine", "process"));
        const char *name = NULL;
        json_t *value = NULL;
        json_object_foreach (json_object_get(each, "labels"), name, value) {
            g_hash_table_insert(cluster->labels, g_strdup(name),
                                g_strdup(json_is_string(value) ? json_string_value(value) : ""));
        }
        g_ptr_array_add(clusters, cluster);
    }
    return clusters;
}

GPtrArray *sl_local_clusters(SlCli *cli, const SlLocal *local, const SlApplicationDoc *app,
                             const char *env)
{
    (void)local;
    GPtrArray *clusters = known_clusters(cli, env);
    const SlAppEnv *where = sl_app_env(app, env);
    for (unsigned i = 0; clusters->len == 0 && where != NULL && i < where->parts->len; i++) {
        const SlPart *part = g_ptr_array_index(where->parts, i);
        g_autofree char *id = g_strdup_printf("%s%u", env, i + 1);
        SlCluster *cluster = make_cluster(id, "process");
        GHashTableIter iter;
        gpointer name = NULL, value = NULL;
        g_hash_table_iter_init(&iter, part->match_labels);
        while (g_hash_table_iter_next(&iter, &name, &value)) {
            g_hash_table_insert(cluster->labels, g_strdup(name), g_strdup(value));
        }
        g_ptr_array_add(clusters, cluster);
    }
    return clusters;
}

GPtrArray *sl_local_items(const SlLocal *local, const SlApplicationDoc *app)
{
    GPtrArray *items = g_ptr_array_new_with_free_func((GDestroyNotify)sl_item_value_free);
    SlOffer *offer = sl_offer_make(local->docs, app, local->tree);
    for (unsigned i = 0; offer != NULL && i < offer->items->len; i++) {
        const SlItemValue *from = g_ptr_array_index(offer->items, i);
        SlItemValue *item = g_new0(SlItemValue, 1);
        item->name = g_strdup(from->name);
        item->digest = g_strdup(from->digest);
        item->run_key = g_strdup(from->run_key);
        g_ptr_array_add(items, item);
    }
    for (unsigned i = 0; offer != NULL && i < offer->problems->len; i++) {
        const SlProblem *p = g_ptr_array_index(offer->problems, i);
        sl_problem_add(local->problems, p->file, p->line, p->column, p->code, p->warning, p->hint,
                       "%s", p->message);
    }
    sl_offer_free(offer);
    return items;
}

void sl_problems_once(GPtrArray *problems)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (unsigned i = 0; i < problems->len;) {
        char *text = sl_problem_format(g_ptr_array_index(problems, i));
        if (g_hash_table_add(seen, text)) {
            i++;
        } else {
            g_ptr_array_remove_index(problems, i);
        }
    }
}

unsigned sl_print_problems(SlCli *cli, const GPtrArray *problems)
{
    unsigned errors = 0;
    for (unsigned i = 0; i < problems->len; i++) {
        const SlProblem *problem = g_ptr_array_index(problems, i);
        errors += problem->warning ? 0 : 1;
        if (!sl_cli_json(cli)) {
            g_autofree char *text = sl_problem_format(problem);
            g_autofree char *safe = sl_escape_for_people(text, 4000);
            fprintf(stderr, "%s\n", safe);
        }
    }
    return errors;
}

json_t *sl_problems_to_json(const GPtrArray *problems)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < problems->len; i++) {
        const SlProblem *problem = g_ptr_array_index(problems, i);
        json_t *each = json_object();
        g_autofree char *code = g_strdup_printf("SLU%d", problem->code);
        sl_json_set_str(each, "file", problem->file);
        sl_json_set_int(each, "line", problem->line);
        sl_json_set_int(each, "column", problem->column);
        sl_json_set_str(each, "code", code);
        sl_json_set_bool(each, "warning", problem->warning);
        sl_json_set_str(each, "message", problem->message);
        sl_json_set_str(each, "hint", problem->hint);
        json_array_append_new(list, each);
    }
    return list;
}
