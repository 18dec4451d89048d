/* promote.c - sluice promote */
#include "base/text.h"
#include "cli/act.h"
#include "cli/review.h"

static int run(SlCli *cli)
{
    json_t *args = sl_cli_unit_args(cli);
    if (args == NULL) {
        return SL_EXIT_USAGE;
    }
    if (sl_cli_option(cli, "release") != NULL) {
        sl_json_set_str(args, "release", sl_cli_option(cli, "release"));
    }
    if (sl_cli_flag(cli, "allow-prune")) {
        sl_json_set_bool(args, "allowPrune", true);
    }
    if (sl_cli_flag(cli, "disrupt")) {
        sl_json_set_bool(args, "disrupt", true);
    }
    if (sl_cli_flag(cli, "force-fields")) {
        sl_json_set_bool(args, "forceFields", true);
    }
    const char *const *kinds = sl_cli_option_all(cli, "privileged");
    if (kinds[0] != NULL) {
        json_object_set_new(args, "privileged", sl_json_strv(kinds));
    }
    return sl_cli_attempt(cli, "promote", args);
}

static const SlCliOption options[] = {
    {"env", 'e', "ENV", "the environment, where the argument is only the application", "env"},
    {"reason", 'm', "TEXT", "why; it is part of what is signed", NULL},
    {"to", 't', "ENV", "the same", "env"},
    {"release", 'r', "ID", "which release (default: the newest that may go there)", "release"},
    {"allow-prune", 0, NULL, "more than 30 % of the unit's objects may go", NULL},
    {"disrupt", 0, NULL, "what runs may be interrupted", NULL},
    {"force-fields", 0, NULL, "objects and fields that others have in the cluster are taken over",
     NULL},
    {"privileged", 0, "KIND",
     "repeated; a kind that the root calls privileged, like core/ServiceAccount", NULL},
    SL_ATTEMPT_OPTIONS,
    {0},
};

const SlCommand sl_cmd_promote = {
    .name = "promote",
    .group = "Promote",
    .synopsis = "APP --to ENV [--release ID] [--sign] [--wait]",
    .summary = "bring a release to an environment",
    .description = "Asks the coordinator. It renders the release for the environment, evaluates "
                   "the gates and, where the root asks for people, waits for their signatures.\n\n"
                   "With --wait the exit code is the outcome: 0 succeeded, 1 failed, 20 rejected, "
                   "21 superseded or aborted, 22 expired, 23 still waiting.",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .complete = "app",
    .run = run,
};
