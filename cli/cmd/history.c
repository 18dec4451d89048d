/* history.c - sluice history */
#include "base/text.h"
#include "cli/list.h"

static void print_each(SlCli *cli, SlTable *table, const json_t *each, const char *now)
{
    (void)now;
    g_autofree char *n = g_strdup_printf("%" G_GINT64_FORMAT, sl_json_int(each, "n", 0));
    g_autofree char *unit = g_strdup_printf("%s/%s", sl_json_str_or(each, "app", "?"),
                                            sl_json_str_or(each, "env", "?"));
    g_autofree char *state = sl_colour_state(cli, sl_json_str(each, "state"));
    const char *message = sl_json_str(each, "error.message");
    message = message != NULL ? message : sl_json_str(each, "waitingFor");
    message = message != NULL ? message : sl_json_str_or(each, "reason", "");
    g_autofree char *when = sl_when(sl_json_str(each, "requestedAt"));
    sl_table_row(table, n, when, unit, sl_json_str_or(each, "act", "?"),
                 sl_json_str_or(each, "releaseName", sl_short(sl_json_str(each, "release"))), state,
                 sl_json_str_or(each, "requester", "auto"), message, NULL);
}

static SlTable *headings(void)
{
    return sl_table_new("N", "WHEN", "UNIT", "ACT", "RELEASE", "OUTCOME", "WHO", "WHY", NULL);
}

static int run(SlCli *cli)
{
    static const SlCliList list = {
        .path = "/v1/history",
        .member = "attempts",
        .query = {"app", "env", "limit"},
        .table = headings,
        .row = print_each,
    };
    return sl_cli_list(cli, &list);
}

static const SlCliOption options[] = {
    {"env", 'e', "ENV", "only this environment", "env"},
    {"limit", 'n', "N", "at most so many (default 50)", NULL},
    {"watch", 'w', NULL, "again every second", NULL},
    {0},
};

const SlCommand sl_cmd_history = {
    .name = "history",
    .group = "Look",
    .synopsis = "[APP|APP/ENV] [--limit N]",
    .summary = "attempts, newest first",
    .options = options,
    .args_max = 1,
    .complete = "app",
    .run = run,
};
