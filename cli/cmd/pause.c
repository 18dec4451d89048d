/* pause.c - sluice pause: agents change nothing in a unit or an environment until it is over. */
#include "base/text.h"
#include "cli/act.h"
#include <string.h>

static int run(SlCli *cli)
{
    const char *scope = sl_cli_arg(cli, 0), *slash = strchr(scope, '/');
    json_t *args = json_object();
    g_autofree char *app = slash != NULL ? g_strndup(scope, (size_t)(slash - scope)) : NULL;
    sl_json_set_str(args, "act", "pause");
    if (app != NULL) {
        sl_json_set_str(args, "app", app);
    }
    sl_json_set_str(args, "env", slash != NULL ? slash + 1 : scope);
    sl_json_set_str(args, "expires",
                    sl_cli_option(cli, "for") != NULL ? sl_cli_option(cli, "for") : "24h");
    sl_json_set_str(args, "reason",
                    sl_cli_option(cli, "reason") != NULL ? sl_cli_option(cli, "reason")
                                                         : "paused by hand");
    g_autofree char *done = g_strdup_printf(
        "%s: paused; agents change nothing there until `sluice resume %s`, or it is over", scope,
        scope);
    return sl_cli_order(cli, args, done);
}

static const SlCliOption options[] = {
    {"for", 0, "TIME", "how long at most (default 24h)", NULL},
    {"reason", 'm', "TEXT", "why; it is part of what is signed", NULL},
    {"yes", 'y', NULL, "do not ask before signing", NULL},
    {0},
};

const SlCommand sl_cmd_pause = {
    .name = "pause",
    .group = "Steer",
    .synopsis = "ENV|APP/ENV [--for TIME]",
    .summary = "agents change nothing there for a while",
    .description = "A signed order. What runs goes on; drift is not repaired and nothing new is "
                   "applied. It holds until its time is over or a resume with a higher number.",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .complete = "env",
    .run = run,
};
