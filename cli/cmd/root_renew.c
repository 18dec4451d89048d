/* root_renew.c - sluice root renew: the same root for another year. */
#include "cli/rootedit.h"

static int run(SlCli *cli)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlSigned) signed_ = NULL;
    g_autoptr(SlRoot) before = sl_root_fetch(cli, &signed_, &error);
    g_autoptr(SlRoot) next = before != NULL ? sl_root_parse(signed_->text, &error) : NULL;
    return next != NULL ? sl_root_finish(cli, next, before) : sl_cli_fail(cli, error);
}

const SlCommand sl_cmd_root_renew = {
    .name = "root renew",
    .group = "Set up",
    .synopsis = "[--yes]",
    .summary = "the same root, good for another year",
    .options = sl_root_options,
    .run = run,
};
