/* completion.c - sluice completion SHELL: the script; sluice completion words KIND: what the script asks for. */
#include "base/text.h"
#include "cli/private.h"
#include <string.h>

static int print_names(json_t *list, const char *key)
{
    size_t i = 0;
    json_t *each = NULL;
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    json_array_foreach (list, i, each) {
        const char *name = sl_json_str(each, key);
        /* Names only: a shell expands `$(...)` in the words that it is given to complete from. */
        if (name != NULL && sl_is_name(name) && g_hash_table_add(seen, (char *)(uintptr_t)name)) {
            puts(name);
        }
    }
    return SL_EXIT_OK;
}

/* Names of apps, environments and clusters from the coordinator; silent when it is away. */
static int words(SlCli *cli, const char *kind)
{
    g_autoptr(json_t) status = sl_api_get(cli, "/v1/status", NULL, NULL);
    if (status == NULL) {
        return SL_EXIT_NO;
    }
    if (strcmp(kind, "app") == 0) {
        return print_names(json_object_get(status, "units"), "app");
    }
    if (strcmp(kind, "env") == 0) {
        return print_names(json_object_get(status, "environments"), "name");
    }
    return strcmp(kind, "cluster") == 0 ? print_names(json_object_get(status, "clusters"), "id")
                                        : SL_EXIT_NO;
}

static int run(SlCli *cli)
{
    const char *shell = sl_cli_arg(cli, 0);
    if (strcmp(shell, "words") == 0 && sl_cli_arg_count(cli) == 2) {
        return words(cli, sl_cli_arg(cli, 1));
    }
    g_autofree char *script = sl_help_completion(shell);
    if (script == NULL) {
        return sl_cli_usage(cli, "completion knows bash and zsh");
    }
    fputs(script, stdout);
    return SL_EXIT_OK;
}

const SlCommand sl_cmd_completion = {
    .name = "completion",
    .group = "Other",
    .synopsis = "bash|zsh",
    .summary = "shell completion script",
    .description = "Put `source <(sluice completion bash)` into ~/.bashrc.",
    .args_min = 1,
    .args_max = 2,
    .run = run,
};
