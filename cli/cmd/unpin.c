/* unpin.c - sluice unpin */
#include "cli/act.h"

static int run(SlCli *cli)
{
    return sl_cli_unit_action(cli, "unpin", false, "not pinned any more");
}

const SlCommand sl_cmd_unpin = {
    .name = "unpin",
    .group = "Steer",
    .synopsis = "APP/ENV --reason TEXT",
    .summary = "automatic promotions again",
    .options = sl_reason_options,
    .args_min = 1,
    .args_max = 1,
    .complete = "app",
    .run = run,
};
