/* unveto.c - sluice unveto */
#include "cli/act.h"

static int run(SlCli *cli)
{
    return sl_cli_unit_action(cli, "unveto", true, "veto lifted");
}

const SlCommand sl_cmd_unveto = {
    .name = "unveto",
    .group = "Steer",
    .synopsis = "APP/ENV RELEASE --reason TEXT",
    .summary = "lift a veto",
    .options = sl_reason_options,
    .args_min = 2,
    .args_max = 2,
    .complete = "app",
    .run = run,
};
