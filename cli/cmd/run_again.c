/* run_again.c - sluice run again */
#include "cli/act.h"
#include "cli/runs.h"

static int run(SlCli *cli)
{
    int code = SL_EXIT_OK;
    json_t *args = sl_cli_run_args(cli, "start-run", &code);
    if (args == NULL) {
        return code;
    }
    sl_json_set_bool(args, "again", true);
    return sl_cli_order(cli, args, "asked to start");
}

const SlCommand sl_cmd_run_again = {
    .name = "run again",
    .group = "Runs",
    .synopsis = "APP/ENV/JOB [--reason TEXT]",
    .summary = "run a job again, although it ended",
    .description = "A signed order; the root's role for start-run decides who may.",
    .options = sl_run_options,
    .args_min = 1,
    .args_max = 1,
    .run = run,
};
