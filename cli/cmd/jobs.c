/* jobs.c - sluice jobs */
#include "base/text.h"
#include "cli/act.h"
#include "cli/runs.h"

static void print_each(SlCli *cli, SlTable *table, const json_t *each, const char *now)
{
    g_autofree char *name =
        g_strdup_printf("%s/%s/%s", sl_json_str_or(each, "app", "?"),
                        sl_json_str_or(each, "env", "?"), sl_json_str_or(each, "job", "?"));
    g_autofree char *phase = sl_colour_state(cli, sl_json_str(each, "phase"));
    g_autofree char *since = sl_since(sl_json_str(each, "phaseSince"), now);
    g_autofree char *progress = sl_run_progress_text(each);
    g_autofree char *attempt =
        g_strdup_printf("%" G_GINT64_FORMAT, sl_json_int(each, "attempt", 1));
    const char *message = sl_json_str_or(each, "message", "");
    g_autofree char *text =
        g_strconcat(progress, *progress != '\0' && *message != '\0' ? "  " : "", message, NULL);
    sl_table_row(table, name, sl_short(sl_json_str(each, "id")),
                 sl_json_str_or(each, "cluster", "-"), phase, since, attempt, text, NULL);
}

static int show(SlCli *cli, void *user)
{
    (void)user;
    g_auto(GStrv) parts = g_strsplit(sl_cli_arg(cli, 0) != NULL ? sl_cli_arg(cli, 0) : "", "/", 2);
    const char *app = parts[0];
    const char *env = parts[0] != NULL && parts[1] != NULL ? parts[1] : sl_cli_option(cli, "env");
    const char *query[] = {
        "app", app, "env", env, "active", sl_cli_flag(cli, "active") ? "1" : NULL, NULL};
    (void)app;
    (void)env;
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) answer = sl_api_get(cli, "/v1/runs", query, &error);
    if (answer == NULL) {
        return sl_cli_fail(cli, error);
    }
    if (sl_cli_json(cli)) {
        sl_print_json(cli, answer);
        return SL_EXIT_OK;
    }
    g_autofree char *now = sl_format_time(sl_cli_now_us());
    SlTable *table = sl_table_new("RUN", "ID", "CLUSTER", "PHASE", "SINCE", "TRY", "", NULL);
    size_t i = 0;
    json_t *each = NULL;
    json_array_foreach(json_object_get(answer, "runs"), i, each)
    {
        print_each(cli, table, each, now);
    }
    sl_table_print(table, cli, stdout);
    return SL_EXIT_OK;
}

static int run(SlCli *cli)
{
    return sl_cli_watch(cli, show, NULL);
}

static const SlCliOption options[] = {
    {"env", 'e', "ENV", "only this environment", "env"},
    {"active", 'a', NULL, "only those that are not finished", NULL},
    {"watch", 'w', NULL, "again every second", NULL},
    {0},
};

const SlCommand sl_cmd_jobs = {
    .name = "jobs",
    .group = "Runs",
    .synopsis = "[APP|APP/ENV] [--watch]",
    .summary = "training runs: phase, progress, metrics",
    .options = options,
    .args_max = 1,
    .complete = "app",
    .run = run,
};
