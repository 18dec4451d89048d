/* jobs.c - sluice jobs */
#include "base/text.h"
#include "cli/list.h"
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

static SlTable *headings(void)
{
    return sl_table_new("RUN", "ID", "CLUSTER", "PHASE", "SINCE", "TRY", "", NULL);
}

static int run(SlCli *cli)
{
    static const SlCliList list = {
        .path = "/v1/runs",
        .member = "runs",
        .query = {"app", "env", "active"},
        .table = headings,
        .row = print_each,
    };
    return sl_cli_list(cli, &list);
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
