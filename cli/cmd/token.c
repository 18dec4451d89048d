/* token.c - sluice token create: an API token for a person or a program, shown once. */
#include "base/text.h"
#include "cli/act.h"
#include <string.h>

static int run(SlCli *cli)
{
    const char *scope = sl_cli_option(cli, "scope") != NULL ? sl_cli_option(cli, "scope") : "view";
    static const char *const scopes[] = {"view", "request", "operate", NULL};
    if (!g_strv_contains(scopes, scope)) {
        return sl_cli_usage(cli, "--scope is view, request or operate");
    }
    json_t *args = json_object();
    sl_json_set_str(args, "person", sl_cli_arg(cli, 0));
    sl_json_set_str(args, "scope", scope);
    sl_json_set_str(args, "lifetime",
                    sl_cli_option(cli, "lifetime") != NULL ? sl_cli_option(cli, "lifetime")
                                                           : "30d");
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) answer = sl_api_act(cli, "token-create", args, &error);
    if (answer == NULL) {
        return sl_cli_fail(cli, error);
    }
    if (sl_cli_json(cli)) {
        sl_print_json(cli, answer);
    } else {
        sl_say(cli, "%s", sl_json_str_or(answer, "token", ""));
    }
    return SL_EXIT_OK;
}

static const SlCliOption options[] = {
    {"scope", 0, "SCOPE", "view (default), request or operate", NULL},
    {"lifetime", 0, "TIME", "default 30d, at most 90d", NULL},
    {0},
};

const SlCommand sl_cmd_token = {
    .name = "token create",
    .group = "Set up",
    .synopsis = "PERSON [--scope SCOPE] [--lifetime TIME]",
    .summary = "an API token, shown once",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .run = run,
};
