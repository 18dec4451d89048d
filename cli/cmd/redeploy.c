/* redeploy.c - sluice redeploy */
#include "base/text.h"
#include "cli/act.h"
#include "cli/review.h"

static int run(SlCli *cli)
{
    json_t *args = sl_cli_unit_args(cli);
    if (args == NULL) {
        return SL_EXIT_USAGE;
    }
    return sl_cli_attempt(cli, "redeploy", args);
}

static const SlCliOption options[] = {
    {"env", 'e', "ENV", "the environment, where the argument is only the application", "env"},
    {"reason", 'm', "TEXT", "why; it is part of what is signed", NULL},
    SL_ATTEMPT_OPTIONS,
    {0},
};

const SlCommand sl_cmd_redeploy = {
    .name = "redeploy",
    .group = "Promote",
    .synopsis = "APP/ENV [--ask-only] [--wait]",
    .summary = "sign what runs now anew",
    .description =
        "For new clusters, a new epoch, or to apply everything again: the same bundles "
        "under a new statement. Where your key is in the role it is signed at once, after "
        "showing what it says; with --ask-only others sign.",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .complete = "app",
    .run = run,
};
