/* history.c - sluice history */
#include "base/text.h"
#include "cli/act.h"
#include "cli/runs.h"

static void print_each(SlCli *cli, SlTable *table, const json_t *each, const char *now)
{
    g_autofree char *n = g_strdup_printf("%" G_GINT64_FORMAT, sl_json_int(each, "n", 0));
    g_autofree char *unit = g_strdup_printf("%s/%s", sl_json_str_or(each, "app", "?"),
                                            sl_json_str_or(each, "env", "?"));
    g_autofree char *state = sl_colour_state(cli, sl_json_str(each, "state"));
    const char *message = sl_json_str(each, "error.message");
    message = message != NULL ? message : sl_json_str(each, "waitingFor");
    message = message != NULL ? message : sl_json_str_or(each, "reason", "");
    (void)now;
    g_autofree char *when = sl_when(sl_json_str(each, "requestedAt"));
    sl_table_row(table, n, when, unit, sl_json_str_or(each, "act", "?"),
                 sl_json_str_or(each, "releaseName", sl_short(sl_json_str(each, "release"))), state,
                 sl_json_str_or(each, "requester", "auto"), message, NULL);
}

static int show(SlCli *cli, void *user)
{
    (void)user;
    g_auto(GStrv) parts = g_strsplit(sl_cli_arg(cli, 0) != NULL ? sl_cli_arg(cli, 0) : "", "/", 2);
    const char *app = parts[0];
    const char *env = parts[0] != NULL && parts[1] != NULL ? parts[1] : sl_cli_option(cli, "env");
    const char *query[] = {"app", app, "env", env, "limit", sl_cli_option(cli, "limit"), NULL};
    (void)app;
    (void)env;
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) answer = sl_api_get(cli, "/v1/history", query, &error);
    if (answer == NULL) {
        return sl_cli_fail(cli, error);
    }
    if (sl_cli_json(cli)) {
        sl_print_json(cli, answer);
        return SL_EXIT_OK;
    }
    g_autofree char *now = sl_format_time(sl_cli_now_us());
    SlTable *table =
        sl_table_new("N", "WHEN", "UNIT", "ACT", "RELEASE", "OUTCOME", "WHO", "WHY", NULL);
    size_t i = 0;
    json_t *each = NULL;
    json_array_foreach(json_object_get(answer, "attempts"), i, each)
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
