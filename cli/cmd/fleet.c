/* fleet.c - sluice fleet add: tells this machine of a coordinator elsewhere, and who we are there. */
#include "base/text.h"
#include "cli/act.h"

static int run(SlCli *cli)
{
    const char *name = sl_cli_arg(cli, 0), *url = sl_cli_option(cli, "url"),
               *socket = sl_cli_option(cli, "socket");
    if (!sl_is_name(name) || (url == NULL) == (socket == NULL)) {
        return sl_cli_usage(cli, "give a name and either --url (with --token-file) or --socket");
    }
    SlContext context = {
        .name = (char *)(uintptr_t)name,
        .url = (char *)(uintptr_t)url,
        .socket = (char *)(uintptr_t)socket,
        .token_file = (char *)(uintptr_t)sl_cli_option(cli, "token-file"),
        .person = (char *)(uintptr_t)sl_cli_option(cli, "person"),
        .key = (char *)(uintptr_t)sl_cli_option(cli, "key"),
        .repository = (char *)(uintptr_t)sl_cli_option(cli, "repository"),
    };
    g_autoptr(GError) error = NULL;
    if (!sl_context_save(&context, &error)) {
        return sl_cli_fail(cli, error);
    }
    sl_say(cli, "fleet %s is now the current one", name);
    return SL_EXIT_OK;
}

static const SlCliOption options[] = {
    {"person", 0, "NAME", "who you are in the fleet's root", NULL},
    {"key", 0, "FILE", "your private key, or a .pub whose key ssh-agent holds", "file"},
    {"repository", 0, "DIR", "your clone of the fleet repository", "file"},
    {0},
};

const SlCommand sl_cmd_fleet = {
    .name = "fleet add",
    .group = "Set up",
    .synopsis = "NAME --url URL --token-file FILE | --socket PATH",
    .summary = "talk to a coordinator elsewhere",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .run = run,
};
