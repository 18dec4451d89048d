/* run_stop.c - sluice run stop */
#include "cli/act.h"
#include "cli/runs.h"

static int run(SlCli *cli)
{
    int code = SL_EXIT_OK;
    json_t *args = sl_cli_run_args(cli, "stop-run", &code);
    if (args == NULL) {
        return code;
    }
    return sl_cli_order(cli, args, "asked to stop");
}

const SlCommand sl_cmd_run_stop = {
    .name = "run stop",
    .group = "Runs",
    .synopsis = "RUN --reason TEXT",
    .summary = "stop a run that is going on",
    .description = "A signed order; the root's role for stop-run decides who may.",
    .options = sl_run_options,
    .args_min = 1,
    .args_max = 1,
    .run = run,
};
