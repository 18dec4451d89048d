/* adopt.c - sluice adopt: an environment's branch was changed by hand; what stands there becomes the
 * base of the next commit. Agents never take it: they follow signed promotions only. */
#include "cli/act.h"

/* The commit at which the environment is halted (borrowed from @status), or NULL. */
static const char *halted_at(const json_t *status, const char *name)
{
    size_t i = 0;
    json_t *env = NULL;
    json_array_foreach (json_object_get(status, "environments"), i, env) {
        if (g_strcmp0(sl_json_str(env, "name"), name) == 0) {
            return sl_json_str(env, "halted");
        }
    }
    return NULL;
}

static int adopt(SlCli *cli, const char *env, const char *commit)
{
    g_autofree char *question = g_strdup_printf(
        "sluice/env/%s stands at %.12s, which Sluice did not write (look: git show %.12s in the "
        "state repository). Take it as the base of the next commit?",
        env, commit, commit);
    if (!sl_cli_confirm(cli, question)) {
        return SL_EXIT_NO;
    }
    json_t *args = json_object();
    sl_json_set_str(args, "env", env);
    sl_json_set_str(args, "commit", commit);
    sl_json_set_str(args, "reason", sl_cli_option(cli, "reason"));
    g_autofree char *done = g_strdup_printf(
        "%s: %.12s is the base of the next commit; what waited goes on", env, commit);
    return sl_cli_post(cli, "adopt", args, done);
}

static int run(SlCli *cli)
{
    const char *env = sl_cli_arg(cli, 0), *commit = sl_cli_option(cli, "commit");
    if (sl_cli_option(cli, "reason") == NULL) {
        return sl_cli_usage(cli, "say why with --reason");
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) status = sl_api_get(cli, "/v1/status", (const char *[]){NULL}, &error);
    if (status == NULL) {
        return sl_cli_fail(cli, error);
    }
    commit = commit != NULL ? commit : halted_at(status, env);
    if (commit == NULL || *commit == '\0') {
        sl_throw(&error, SLU_CONFLICT,
                 commit == NULL ? "environment %s is not halted"
                                : "the branch of environment %s was deleted: push it again",
                 env);
        return sl_cli_fail(cli, error);
    }
    return adopt(cli, env, commit);
}

static const SlCliOption options[] = {
    {"commit", 0, "COMMIT", "only if the branch stands there (at least 6 digits)", NULL},
    {"reason", 'm', "TEXT", "why; it stays in the ledger", NULL},
    {"yes", 'y', NULL, "do not ask", NULL},
    {0},
};

const SlCommand sl_cmd_adopt = {
    .name = "adopt",
    .group = "Steer",
    .synopsis = "ENV --reason TEXT [--commit COMMIT]",
    .summary = "go on from an environment's branch that was changed by hand",
    .description = "An environment whose branch sluice/env/ENV somebody moved is halted (see "
                   "`sluice status`): no commit is written over it. Look at the foreign commit, "
                   "then adopt it as the base of the next one. Agents never took it: they follow "
                   "signed promotions only.",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .complete = "env",
    .run = run,
};
