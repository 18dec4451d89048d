/* remove.c - sluice remove */
#include "base/text.h"
#include "cli/act.h"
#include "cli/review.h"

static int run(SlCli *cli)
{
    json_t *args = sl_cli_unit_args(cli);
    if (args == NULL) {
        return SL_EXIT_USAGE;
    }
    if (sl_cli_option(cli, "reason") == NULL) {
        json_decref(args);
        return sl_cli_usage(cli, "say why with --reason");
    }
    return sl_cli_attempt(cli, "remove", args);
}

static const SlCliOption options[] = {
    {"env", 'e', "ENV", "the environment, where the argument is only the application", "env"},
    {"reason", 'm', "TEXT", "why; it is part of what is signed", NULL},
    SL_ATTEMPT_OPTIONS,
    {0},
};

const SlCommand sl_cmd_remove = {
    .name = "remove",
    .group = "Promote",
    .synopsis = "APP/ENV --reason TEXT [--sign] [--wait]",
    .summary = "take an application out of an environment",
    .description = "A promotion with an empty bundle: everything of the unit is pruned. Models and "
                   "history stay.",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .complete = "app",
    .run = run,
};
