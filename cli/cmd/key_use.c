/* key_use.c - sluice key use: which key signs for this person from now on. */
#include "cli/cli.h"
#include "cli/rootedit.h"

static int run(SlCli *cli)
{
    g_autoptr(GError) error = NULL;
    const SlContext *now = sl_cli_context(cli, &error);
    g_autofree char *path = g_canonicalize_filename(sl_cli_arg(cli, 0), NULL);
    if (now == NULL) {
        return sl_cli_fail(cli, error);
    }
    SlContext next = *now;
    next.key = path;
    if (sl_cli_option(cli, "person") != NULL) {
        next.person = (char *)(uintptr_t)sl_cli_option(cli, "person");
    }
    if (!sl_context_save(&next, &error)) {
        return sl_cli_fail(cli, error);
    }
    sl_say(cli, "fleet %s: %s signs with %s%s", next.name,
           next.person != NULL ? next.person : "you", path,
           g_str_has_suffix(path, ".pub") ? " (by ssh-agent)" : "");
    return SL_EXIT_OK;
}

static const SlCliOption options[] = {{"person", 0, "NAME", "who you are in the root", NULL}, {0}};

const SlCommand sl_cmd_key_use = {
    .name = "key use",
    .group = "Set up",
    .synopsis = "FILE [--person NAME]",
    .summary = "sign with this key (a .pub: by ssh-agent)",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .complete = "file",
    .run = run,
};
