/* veto.c - sluice veto */
#include "cli/act.h"

static int run(SlCli *cli)
{
    return sl_cli_unit_action(cli, "veto", true, "vetoed");
}

const SlCommand sl_cmd_veto = {
    .name = "veto",
    .group = "Steer",
    .synopsis = "APP/ENV RELEASE --reason TEXT",
    .summary = "never this release in this unit",
    .options = sl_reason_options,
    .args_min = 2,
    .args_max = 2,
    .complete = "app",
    .run = run,
};
