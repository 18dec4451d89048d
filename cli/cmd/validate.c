/* validate.c - sluice validate: every mistake of the fleet repository at once, with file and line. Works without a coordinator. */
#include "cli/local.h"

/* Renders every unit, so that manifests are checked as the coordinator will check them. */
static void check_application(SlCli *cli, SlLocal *local, const SlApplicationDoc *app)
{
    g_autoptr(GPtrArray) items = sl_local_items(local, app);
    for (unsigned i = 0; i < app->environments->len; i++) {
        const SlAppEnv *env = g_ptr_array_index(app->environments, i);
        g_autoptr(GPtrArray) clusters = sl_local_clusters(cli, local, app, env->env);
        SlRenderAsk ask = {.docs = local->docs,
                           .app = app,
                           .env = env->env,
                           .tree = local->tree,
                           .items = items,
                           .clusters = clusters};
        sl_rendered_free(sl_render_unit(&ask, local->problems));
    }
}

static int print_schema(SlCli *cli)
{
    g_autoptr(json_t) schema = sl_fleet_json_schema();
    sl_print_json(cli, schema);
    return SL_EXIT_OK;
}

static int run(SlCli *cli)
{
    g_autoptr(GError) error = NULL;
    SlLocal local = {0};
    if (sl_cli_flag(cli, "schema")) {
        return print_schema(cli);
    }
    if (!sl_local_open(cli, &local, &error)) {
        return sl_cli_fail(cli, error);
    }
    if (local.docs != NULL) {
        sl_fleet_check_tree(local.docs, local.tree, local.problems);
    }
    for (unsigned i = 0; local.docs != NULL && i < local.docs->applications->len; i++) {
        const SlApplicationDoc *app = g_ptr_array_index(local.docs->applications, i);
        if (!app->broken && app->repository == NULL && app->revision == NULL) {
            check_application(cli, &local, app);
        }
    }
    sl_problems_once(local.problems);
    unsigned errors = sl_print_problems(cli, local.problems);
    bool ok = errors == 0 && local.docs != NULL;
    if (sl_cli_json(cli)) {
        g_autoptr(json_t) body = json_object();
        sl_json_set_bool(body, "valid", ok);
        json_object_set_new(body, "problems", sl_problems_to_json(local.problems));
        sl_print_json(cli, body);
    } else if (ok) {
        sl_say(cli, "valid: %u environment%s, %u application%s", local.docs->environments->len,
               local.docs->environments->len == 1 ? "" : "s", local.docs->applications->len,
               local.docs->applications->len == 1 ? "" : "s");
    } else {
        sl_say(cli, "%u error%s", errors, errors == 1 ? "" : "s");
    }
    sl_local_clear(&local);
    return ok ? SL_EXIT_OK : SL_EXIT_NO;
}

static const SlCliOption options[] = {
    {"repository", 0, "DIR", "the fleet repository (default: here or above)", "file"},
    {"schema", 0, NULL, "print the JSON Schema of the documents (for editors) and check nothing",
     NULL},
    {0},
};

const SlCommand sl_cmd_validate = {
    .name = "validate",
    .group = "Start",
    .synopsis = "[--repository DIR] [--schema]",
    .summary = "check the fleet repository",
    .description = "Every mistake at once, with file, line and what to do: documents, manifests, "
                   "patches, gates, and two applications "
                   "that write one object. Needs no coordinator; exit code 1 if there are errors.",
    .options = options,
    .run = run,
};
