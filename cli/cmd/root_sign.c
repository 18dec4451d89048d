/* root_sign.c - sluice root sign: adds a signature to the next root version; submits it when enough have signed. */
#include "cli/rootedit.h"

static int run(SlCli *cli)
{
    return sl_root_sign_file(cli, sl_cli_arg(cli, 0));
}

const SlCommand sl_cmd_root_sign = {
    .name = "root sign",
    .group = "Set up",
    .synopsis = "FILE",
    .summary = "sign the next root version that another made",
    .options = sl_root_options,
    .args_min = 1,
    .args_max = 1,
    .complete = "file",
    .run = run,
};
