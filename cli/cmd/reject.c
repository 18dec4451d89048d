/* reject.c - sluice reject: says no to an attempt, for good. */
#include "base/text.h"
#include "cli/act.h"

static int run(SlCli *cli)
{
    const char *reason = sl_cli_option(cli, "reason");
    if (reason == NULL) {
        return sl_cli_usage(cli, "say why with --reason");
    }
    int code = SL_EXIT_OK;
    int64_t n = sl_cli_find_attempt(cli, &code);
    if (n == 0) {
        return code;
    }
    json_t *args = json_object();
    sl_json_set_int(args, "attempt", n);
    sl_json_set_str(args, "reason", reason);
    g_autofree char *done =
        g_strdup_printf("attempt %" G_GINT64_FORMAT
                        ": rejected; this release is not tried again in this unit by itself",
                        n);
    return sl_cli_post(cli, "reject", args, done);
}

const SlCommand sl_cmd_reject = {
    .name = "reject",
    .group = "Promote",
    .synopsis = "ATTEMPT|APP/ENV --reason TEXT",
    .summary = "say no to an attempt",
    .options = sl_reason_options,
    .args_min = 1,
    .args_max = 1,
    .run = run,
};
