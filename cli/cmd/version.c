/* version.c - sluice version */
#include "cli/cli.h"

static int run(SlCli *cli)
{
    if (sl_cli_json(cli)) {
        g_autoptr(json_t) body = json_object();
        sl_json_set_str(body, "version", SLUICE_VERSION);
        sl_print_json(cli, body);
    } else {
        sl_say(cli, "sluice %s", SLUICE_VERSION);
    }
    return SL_EXIT_OK;
}

const SlCommand sl_cmd_version = {
    .name = "version",
    .group = "Other",
    .synopsis = "",
    .summary = "the version of this program",
    .run = run,
};
