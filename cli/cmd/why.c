/* why.c - sluice why: from an object or a run back to release, commit, run and approver. */
#include "base/text.h"
#include "cli/cli.h"

static int run(SlCli *cli)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) answer =
        sl_api_get(cli, "/v1/why", (const char *[]){"object", sl_cli_arg(cli, 0), NULL}, &error);
    if (answer == NULL) {
        return sl_cli_fail(cli, error);
    }
    if (sl_cli_json(cli)) {
        sl_print_json(cli, answer);
        return SL_EXIT_OK;
    }
    g_autofree char *subject = sl_escape_for_people(sl_json_str_or(answer, "subject", "?"), 200);
    sl_say(cli, "%s", subject);
    SlTable *table = sl_table_new("WHAT", "", NULL);
    size_t i = 0;
    json_t *link = NULL;
    json_array_foreach (json_object_get(answer, "chain"), i, link) {
        sl_table_row(table, sl_json_str_or(link, "what", ""), sl_json_str_or(link, "text", ""),
                     NULL);
    }
    sl_table_print(table, cli, stdout);
    return SL_EXIT_OK;
}

const SlCommand sl_cmd_why = {
    .name = "why",
    .group = "Look",
    .synopsis = "APP/ENV | APP/ENV/KIND/NAME | RUN",
    .summary = "why this is there: release, commit, run, approver",
    .args_min = 1,
    .args_max = 1,
    .complete = "app",
    .run = run,
};
