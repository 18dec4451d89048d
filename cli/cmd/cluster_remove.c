/* cluster_remove.c - sluice cluster remove: its key is refused at once; the next signed registry leaves it out. */
#include "cli/act.h"

static int run(SlCli *cli)
{
    json_t *args = json_object();
    sl_json_set_str(args, "name", sl_cli_arg(cli, 0));
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) answer = sl_api_act(cli, "cluster-remove", args, &error);
    if (answer == NULL) {
        return sl_cli_fail(cli, error);
    }
    if (sl_cli_json(cli)) {
        sl_print_json(cli, answer);
    } else {
        sl_say(cli, "cluster %s: removed; what runs there goes on.", sl_cli_arg(cli, 0));
        if (!sl_json_bool(answer, "signed", false)) {
            sl_say(cli, "Now sign the registry without it: sluice cluster sign %s",
                   sl_json_str_or(answer, "environment", "ENV"));
        }
    }
    return SL_EXIT_OK;
}

const SlCommand sl_cmd_cluster_remove = {
    .name = "cluster remove",
    .group = "Set up",
    .synopsis = "NAME",
    .summary = "no longer trust a cluster's agent",
    .args_min = 1,
    .args_max = 1,
    .complete = "cluster",
    .run = run,
};
