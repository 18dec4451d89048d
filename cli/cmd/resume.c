/* resume.c - sluice resume: ends a pause, or lets an agent that lost its state start again. */
#include "cli/act.h"
#include <string.h>

static int run(SlCli *cli)
{
    const char *scope = sl_cli_arg(cli, 0), *slash = strchr(scope, '/');
    json_t *args = json_object();
    g_autofree char *app = slash != NULL ? g_strndup(scope, (size_t)(slash - scope)) : NULL;
    sl_json_set_str(args, "act", "resume");
    if (app != NULL) {
        sl_json_set_str(args, "app", app);
    }
    if (sl_cli_option(cli, "cluster") != NULL) {
        sl_json_set_str(args, "cluster", sl_cli_option(cli, "cluster"));
    }
    sl_json_set_str(args, "env", slash != NULL ? slash + 1 : scope);
    sl_json_set_str(args, "reason",
                    sl_cli_option(cli, "reason") != NULL ? sl_cli_option(cli, "reason")
                                                         : "resumed by hand");
    g_autofree char *done = g_strdup_printf("%s: resumed", scope);
    return sl_cli_order(cli, args, done);
}

static const SlCliOption options[] = {
    {"cluster", 0, "CLUSTER", "the agent that lost its state and waits for this", "cluster"},
    {"reason", 'm', "TEXT", "why; it is part of what is signed", NULL},
    {"yes", 'y', NULL, "do not ask before signing", NULL},
    {0},
};

const SlCommand sl_cmd_resume = {
    .name = "resume",
    .group = "Steer",
    .synopsis = "ENV|APP/ENV [--cluster CLUSTER]",
    .summary = "end a pause",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .complete = "env",
    .run = run,
};
