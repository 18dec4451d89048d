/* help.c - sluice help [COMMAND], sluice help --man [COMMAND], sluice help --man-dir DIR */
#include "cli/private.h"
#include "runtime/atomicfile.h"
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

static bool write_page(const char *dir, const SlCommand *command, GError **error)
{
    g_autofree char *page = sl_help_man(command);
    g_autofree char *name =
        command != NULL ? g_strdup_printf("sluice-%s.1", command->name) : g_strdup("sluice.1");
    g_autofree char *path = g_build_filename(dir, g_strdelimit(name, " ", '-'), NULL);
    return sl_file_write_atomic(path, page, strlen(page), 0644, error);
}

/* Every page, for packages. */
static int write_pages(SlCli *cli, const char *dir)
{
    g_autoptr(GError) error = NULL;
    bool ok = sl_dir_make(dir, 0755, &error) && write_page(dir, NULL, &error);
    for (const SlCommand *const *c = sl_commands(); ok && *c != NULL; c++) {
        ok = write_page(dir, *c, &error);
    }
    return ok ? SL_EXIT_OK : sl_cli_fail(cli, error);
}

static int run(SlCli *cli)
{
    g_autofree char *name = NULL;
    if (sl_cli_option(cli, "man-dir") != NULL) {
        return write_pages(cli, sl_cli_option(cli, "man-dir"));
    }
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

static const SlCliOption options[] = {
    {"man", 0, NULL, "as a man page (roff)", NULL},
    {"man-dir", 0, "DIR", "write the man pages of all commands into DIR", "file"},
    {0},
};

const SlCommand sl_cmd_help = {
    .name = "help",
    .group = "Other",
    .synopsis = "[COMMAND]",
    .summary = "what commands there are, or one of them",
    .options = options,
    .args_max = 2,
    .run = run,
};
