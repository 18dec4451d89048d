/* pin.c - sluice pin */
#include "cli/act.h"

static int run(SlCli *cli)
{
    return sl_cli_unit_action(cli, "pin", false, "pinned");
}

const SlCommand sl_cmd_pin = {
    .name = "pin",
    .group = "Steer",
    .synopsis = "APP/ENV --reason TEXT",
    .summary = "no automatic promotion of this unit",
    .options = sl_reason_options,
    .args_min = 1,
    .args_max = 1,
    .complete = "app",
    .run = run,
};
