/* help.c - sluice help [COMMAND], sluice help --man [COMMAND] */
#include "cli/private.h"
#include <string.h>

static const SlCommand *find(SlCli *cli, char **ret_name)
{
    *ret_name = g_strjoinv(" ", (char **)(uintptr_t)sl_cli_args(cli));
    for (const SlCommand *const *c = sl_commands(); *c != NULL; c++) {
        if (strcmp((*c)->name, *ret_name) == 0) {
            return *c;
        }
    }
    return NULL;
}

static int run(SlCli *cli)
{
    g_autofree char *name = NULL;
    const SlCommand *command = find(cli, &name);
    if (command == NULL && sl_cli_arg_count(cli) > 0) {
        return sl_cli_usage(cli, "there is no command `%s`", name);
    }
    if (sl_cli_flag(cli, "man")) {
        g_autofree char *man = sl_help_man(command);
        fputs(man, stdout);
    } else if (command != NULL) {
        sl_help_command(command, stdout);
    } else {
        sl_help_overview(stdout);
    }
    return SL_EXIT_OK;
}

static const SlCliOption options[] = {{"man", 0, NULL, "as a man page (roff)", NULL}, {0}};

const SlCommand sl_cmd_help = {
    .name = "help", .group = "Other", .synopsis = "[COMMAND]", .summary = "what commands there are, or one of them",
    .options = options, .args_max = 2, .run = run,
};
