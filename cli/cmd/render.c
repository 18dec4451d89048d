/* render.c - sluice render: the objects that a unit would get from the working tree, as YAML or JSON. */
#include "base/text.h"
#include "cli/act.h"
#include "cli/local.h"
#include <string.h>

static void print_bundle(SlCli *cli, const SlRendered *rendered, const char *cluster,
                         const char *digest, json_t *all)
{
    const SlBundle *bundle = g_hash_table_lookup(rendered->bundles, digest);
    if (!sl_cli_json(cli)) {
        sl_say(cli, "# cluster %s, bundle %s", cluster, digest);
    }
    for (unsigned i = 0; i < bundle->objects->len; i++) {
        const SlBundleObject *entry = g_ptr_array_index(bundle->objects, i);
        GBytes *bytes = g_hash_table_lookup(rendered->blobs, entry->digest);
        size_t len = 0;
        const char *text = g_bytes_get_data(bytes, &len);
        g_autoptr(json_t) object = sl_json_parse(text, len, NULL, "object", NULL);
        if (sl_cli_json(cli)) {
            json_array_append(all, object);
        } else {
            g_autofree char *yaml = sl_yaml_emit(object);
            printf("---\n%s", yaml);
        }
    }
    for (unsigned i = 0; i < bundle->withheld->len; i++) {
        const SlBundleWithheld *entry = g_ptr_array_index(bundle->withheld, i);
        if (!sl_cli_json(cli)) {
            sl_say(cli, "# withheld: %s %s waits for item %s", entry->kind, entry->name,
                   entry->item);
        }
    }
}

static int print_all(SlCli *cli, const SlRendered *rendered)
{
    g_autoptr(json_t) body = json_object();
    g_autoptr(GPtrArray) ids = sl_sorted_keys(rendered->target_of);
    for (guint i = 0; i < ids->len; i++) {
        const char *id = g_ptr_array_index(ids, i);
        json_t *objects = json_array();
        json_object_set_new(body, id, objects);
        print_bundle(cli, rendered, id, g_hash_table_lookup(rendered->target_of, id), objects);
    }
    if (sl_cli_json(cli)) {
        sl_print_json(cli, body);
    }
    return SL_EXIT_OK;
}

static int render(SlCli *cli, SlLocal *local, const char *app_name, const char *env)
{
    const SlApplicationDoc *app = local->docs != NULL ? sl_fleet_app(local->docs, app_name) : NULL;
    if (app == NULL || sl_app_env(app, env) == NULL) {
        sl_print_problems(cli, local->problems);
        g_autoptr(GError) error = NULL;
        (void)sl_throw(&error, SLU_NOT_FOUND,
                       "the documents have no application `%s` in environment `%s`", app_name, env);
        return sl_cli_fail(cli, error);
    }
    g_autoptr(GPtrArray) items = sl_local_items(local, app);
    g_autoptr(GPtrArray) clusters = sl_local_clusters(cli, local, app, env);
    SlRenderAsk ask = {.docs = local->docs,
                       .app = app,
                       .env = env,
                       .tree = local->tree,
                       .items = items,
                       .clusters = clusters};
    g_autoptr(SlRendered) rendered = sl_render_unit(&ask, local->problems);
    unsigned errors = sl_print_problems(cli, local->problems);
    return rendered != NULL && errors == 0 ? print_all(cli, rendered) : SL_EXIT_NO;
}

static int run(SlCli *cli)
{
    const char *app = NULL, *env = NULL;
    g_autoptr(GError) error = NULL;
    SlLocal local = {0};
    if (!sl_cli_unit(cli, &app, &env)) {
        return SL_EXIT_USAGE;
    }
    if (!sl_local_open(cli, &local, &error)) {
        return sl_cli_fail(cli, error);
    }
    int code = render(cli, &local, app, env);
    sl_local_clear(&local);
    return code;
}

static const SlCliOption options[] = {
    {"env", 'e', "ENV", "the environment, where the argument is only the application", "env"},
    {"repository", 0, "DIR", "the fleet repository (default: here or above)", "file"},
    {0},
};

const SlCommand sl_cmd_render = {
    .name = "render",
    .group = "Start",
    .synopsis = "APP/ENV",
    .summary = "what a unit would get from the working tree",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .complete = "app",
    .run = run,
};
