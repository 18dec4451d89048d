/* approve.c - sluice approve: shows what will change, renders it again from the own clone, then signs with the person's key. */
#include "base/text.h"
#include "cli/act.h"
#include "cli/review.h"
#include <string.h>

static int run(SlCli *cli)
{
    int code = SL_EXIT_OK;
    int64_t n = sl_cli_find_attempt(cli, &code);
    if (n == 0) {
        return code;
    }
    g_autofree char *path = g_strdup_printf("/v1/attempts/%" G_GINT64_FORMAT, n);
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) attempt = sl_api_get(cli, path, NULL, &error);
    if (attempt == NULL) {
        return sl_cli_fail(cli, error);
    }
    if (sl_cli_flag(cli, "text")) {
        sl_print_exact(sl_json_str_or(attempt, "statement.text", ""));
        return SL_EXIT_OK;
    }
    code = sl_review(cli, attempt);
    if (code == SL_EXIT_OK) {
        code = sl_cli_approve(cli, n, attempt, true);
    }
    return code == SL_EXIT_OK && sl_cli_flag(cli, "wait") ? sl_cli_follow(cli, n, 0) : code;
}

static const SlCliOption options[] = {
    {"env", 'e', "ENV", "the environment, where the argument is only the application", "env"},
    {"yes", 'y', NULL, "do not ask before signing", NULL},
    {"text", 0, NULL, "only print the exact text to sign (for ssh-keygen -Y sign)", NULL},
    {"repository", 0, "DIR", "the clone to render the release from again (default: the context's)",
     "file"},
    {"no-verify", 0, NULL, "do not render it again from the own clone", NULL},
    {"wait", 'w', NULL, "then stay until the outcome", NULL},
    {0},
};

const SlCommand sl_cmd_approve = {
    .name = "approve",
    .group = "Promote",
    .synopsis = "ATTEMPT|APP/ENV [--yes] [--wait]",
    .summary = "look at an attempt and sign it with your key",
    .description = "An approval is your SSH signature on the exact text of the promotion, made "
                   "where your key is: the coordinator only carries it, and agents check it. "
                   "Shown before: who asks, the release and its commit, which objects change, the "
                   "evidence of the gates, who signed the clusters; and the release is rendered "
                   "again from your own clone and compared.",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .complete = "app",
    .run = run,
};
