/* refresh.c - sluice refresh: look at the Git sources now instead of at the next poll. */
#include "cli/act.h"

static int run(SlCli *cli)
{
    json_t *args = json_object();
    if (sl_cli_arg(cli, 0) != NULL) {
        sl_json_set_str(args, "repository", sl_cli_arg(cli, 0));
    }
    if (sl_cli_option(cli, "accept") != NULL) {
        sl_json_set_str(args, "accept", sl_cli_option(cli, "accept"));
    }
    return sl_cli_post(cli, "refresh", args, "reading the sources now");
}

static const SlCliOption options[] = {
    {"accept", 0, "COMMIT",
     "accept a branch that was rewound to this commit (`sluice status` names it)", NULL},
    {0},
};

const SlCommand sl_cmd_refresh = {
    .name = "refresh",
    .group = "Promote",
    .synopsis = "[REPOSITORY] [--accept COMMIT]",
    .summary = "read the Git sources now",
    .description = "A branch that was rewound (force-push) is not followed: its last good commit "
                   "stays in force until somebody with scope "
                   "operate accepts the new tip by its first digits, at least 6.",
    .options = options,
    .args_max = 1,
    .run = run,
};
