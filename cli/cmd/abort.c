/* abort.c - sluice abort: ends an attempt that is not committed yet. */
#include "base/text.h"
#include "cli/act.h"

static int run(SlCli *cli)
{
    int code = SL_EXIT_OK;
    int64_t n = sl_cli_find_attempt(cli, &code);
    if (n == 0) {
        return code;
    }
    json_t *args = json_object();
    sl_json_set_int(args, "attempt", n);
    sl_json_set_str(args, "reason", sl_cli_option(cli, "reason"));
    g_autofree char *done = g_strdup_printf(
        "attempt %" G_GINT64_FORMAT ": aborted\n"
        "Signatures on its statement stay valid for a taken-over coordinator until a promotion "
        "with a higher seq, or their expiry.",
        n);
    return sl_cli_post(cli, "abort", args, done);
}

const SlCommand sl_cmd_abort = {
    .name = "abort",
    .group = "Promote",
    .synopsis = "ATTEMPT|APP/ENV [--reason TEXT]",
    .summary = "end an attempt before it is committed",
    .description = "After the commit an attempt only goes forward: ask for a rollback instead.",
    .options = sl_reason_options,
    .args_min = 1,
    .args_max = 1,
    .run = run,
};
