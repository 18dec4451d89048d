/* rollback.c - sluice rollback */
#include "base/text.h"
#include "cli/act.h"
#include "cli/review.h"

static int run(SlCli *cli)
{
    json_t *args = sl_cli_unit_args(cli);
    if (args == NULL) {
        return SL_EXIT_USAGE;
    }
    const char *to = sl_cli_option(cli, "to-attempt");
    int64_t n = 0;
    if (to != NULL && !sl_parse_int64(to, &n)) {
        json_decref(args);
        return sl_cli_usage(cli, "--to-attempt is a number of `sluice history`");
    }
    if (to != NULL) {
        sl_json_set_int(args, "to", n);
    }
    return sl_cli_attempt(cli, "rollback", args);
}

static const SlCliOption options[] = {
    {"env", 'e', "ENV", "the environment, where the argument is only the application", "env"},
    {"reason", 'm', "TEXT", "why; it is part of what is signed", NULL},
    {"to-attempt", 0, "N", "which earlier attempt of `sluice history`", NULL},
    SL_ATTEMPT_OPTIONS,
    {0},
};

const SlCommand sl_cmd_rollback = {
    .name = "rollback",
    .group = "Promote",
    .synopsis = "APP/ENV [--to-attempt N] [--ask-only] [--wait]",
    .summary = "go back to what ran before",
    .description = "Brings back exactly what an earlier successful attempt ran (the last one with "
                   "other bundles by default), pins the unit and vetoes the release that is left; "
                   "`sluice unpin` and `sluice unveto` clear that. Nothing is rendered again. "
                   "Where your key is "
                   "in the role it is signed at once, after showing what it says; with --ask-only "
                   "others sign.",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .complete = "app",
    .run = run,
};
