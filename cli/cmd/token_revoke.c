/* token_revoke.c - sluice token revoke: an API token that counts no longer, by its id or by itself. */
#include "cli/act.h"
#include <string.h>

/* "slc_ID_SECRET" is taken too: only its id leaves this process. */
static char *id_of(const char *word)
{
    g_auto(GStrv) parts = g_strsplit(word, "_", 3);
    return g_strdup(g_strv_length(parts) == 3 && strcmp(parts[0], "slc") == 0 ? parts[1] : word);
}

static int run(SlCli *cli)
{
    g_autofree char *id = id_of(sl_cli_arg(cli, 0));
    json_t *args = json_object();
    sl_json_set_str(args, "id", id);
    g_autofree char *done = g_strdup_printf("token %s: revoked, nobody may use it from now on", id);
    return sl_cli_post(cli, "token-revoke", args, done);
}

const SlCommand sl_cmd_token_revoke = {
    .name = "token revoke",
    .group = "Set up",
    .synopsis = "ID",
    .summary = "an API token counts no longer",
    .description = "`sluice token list` shows the ids.",
    .args_min = 1,
    .args_max = 1,
    .run = run,
};
