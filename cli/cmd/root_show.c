/* root_show.c - sluice root show: the text of the root in force, or of an earlier version. */
#include "base/text.h"
#include "cli/rootedit.h"

static int run(SlCli *cli)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) answer = sl_api_get(cli, "/v1/roots", NULL, &error);
    if (answer == NULL) {
        return sl_cli_fail(cli, error);
    }
    const json_t *roots = json_object_get(answer, "roots");
    int64_t version = (int64_t)json_array_size(roots);
    if (sl_cli_arg(cli, 0) != NULL &&
        (!sl_parse_int64(sl_cli_arg(cli, 0), &version) || version < 1)) {
        return sl_cli_usage(cli, "VERSION is a number");
    }
    const json_t *one = json_array_get(roots, (size_t)version - 1);
    if (one == NULL) {
        (void)sl_throw(&error, SLU_NOT_FOUND, "there is no root version %" G_GINT64_FORMAT,
                       version);
        return sl_cli_fail(cli, error);
    }
    if (sl_cli_json(cli)) {
        sl_print_json(cli, one);
    } else {
        sl_print_exact(sl_json_str_or(one, "text", ""));
    }
    return SL_EXIT_OK;
}

const SlCommand sl_cmd_root_show = {
    .name = "root show",
    .group = "Set up",
    .synopsis = "[VERSION]",
    .summary = "who may do what where: the root of trust",
    .args_max = 1,
    .run = run,
};
