/* cluster_add.c - sluice cluster add: a single-use join token for one new cluster, and the command to run there. */
#include "base/text.h"
#include "cli/act.h"
#include <string.h>

static bool take_labels(SlCli *cli, json_t *args)
{
    json_t *labels = json_object();
    json_object_set_new(args, "labels", labels);
    for (const char *const *each = sl_cli_option_all(cli, "label"); *each != NULL; each++) {
        const char *equal = strchr(*each, '=');
        g_autofree char *name = equal != NULL ? g_strndup(*each, (size_t)(equal - *each)) : NULL;
        if (equal == NULL || !sl_is_name(name)) {
            sl_cli_usage(cli, "--label is NAME=VALUE");
            return false;
        }
        sl_json_set_str(labels, name, equal + 1);
    }
    return true;
}

static void print_how(SlCli *cli, const char *name, const json_t *answer)
{
    g_autofree char *expires = sl_when(sl_json_str(answer, "expires"));
    g_autofree char *store = sl_context_model_store(sl_cli_context(cli, NULL));
    sl_say(cli, "Run this on the machine of cluster %s (the first line once, until %s):\n", name,
           expires);
    sl_say(cli, "  sluice-agent join --dir /var/lib/sluice-agent --model-store %s",
           store != NULL ? store : "FOLDER");
    sl_say(cli, "  sluice-agent run --dir /var/lib/sluice-agent\n");
    sl_say(cli, "join asks for this token, a secret:\n\n%s", sl_json_str_or(answer, "token", "?"));
    sl_say(cli, "\nAny folder will do for --dir, one for each agent. The model store is one folder "
                "that all clusters share who exchange models; without it nothing is trained or "
                "served.");
}

static int run(SlCli *cli)
{
    const char *name = sl_cli_arg(cli, 0), *env = sl_cli_option(cli, "env");
    if (env == NULL) {
        return sl_cli_usage(cli, "say with --env which environment it joins");
    }
    if (!sl_is_name(name) || !sl_is_name(env)) {
        return sl_cli_usage(cli, "names are lower-case letters, digits and '-', at most 63");
    }
    json_t *args = json_object();
    sl_json_set_str(args, "name", name);
    sl_json_set_str(args, "env", env);
    if (sl_cli_option(cli, "lifetime") != NULL) {
        sl_json_set_str(args, "lifetime", sl_cli_option(cli, "lifetime"));
    }
    if (!take_labels(cli, args)) {
        json_decref(args);
        return SL_EXIT_USAGE;
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) answer = sl_api_act(cli, "cluster-add", args, &error);
    if (answer == NULL) {
        return sl_cli_fail(cli, error);
    }
    if (sl_cli_json(cli)) {
        sl_print_json(cli, answer);
    } else if (sl_cli_flag(cli, "token")) {
        sl_say(cli, "%s", sl_json_str_or(answer, "token", ""));
    } else {
        print_how(cli, name, answer);
    }
    return SL_EXIT_OK;
}

static const SlCliOption options[] = {
    {"env", 'e', "ENV", "the environment that it joins; it can never change", "env"},
    {"label", 'l', "NAME=VALUE", "a label (repeat for more); parts of applications select by them",
     NULL},
    {"lifetime", 0, "TIME", "how long the token is good (default 24h, at most 30d)", NULL},
    {"token", 0, NULL, "print only the token", NULL},
    {0},
};

const SlCommand sl_cmd_cluster_add = {
    .name = "cluster add",
    .group = "Set up",
    .synopsis = "NAME --env ENV [--label NAME=VALUE]...",
    .summary = "a join token for a new cluster",
    .description = "The token is shown once and works once. It carries the fleet's id and the "
                   "digest of its root, so that the agent trusts nobody on first use. "
                   "Where the root asks for people (prod), the cluster waits until `sluice cluster "
                   "sign ENV` puts it into the signed registry.",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .run = run,
};
