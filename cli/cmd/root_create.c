/* root_create.c - sluice root create: version 1 of a root of trust, made and signed on a machine that may be offline. */
#include "base/text.h"
#include "cli/rootedit.h"
#include "runtime/atomicfile.h"
#include <string.h>

static const char *const default_envs[] = {"dev", "test", "prod", NULL};

/* The key that signs is the person's of this context, or --key for a machine without one. */
static int create(SlCli *cli, const SlRootNew *how, const char *out)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *line = sl_cli_public_key(cli, &error);
    g_autoptr(SlPublicKey) person = line != NULL ? sl_public_key_parse(line, &error) : NULL;
    SlRootNew whole = *how;
    whole.person_key = person;
    g_autofree char *json = person != NULL ? sl_root_create(cli, &whole, &error) : NULL;
    if (json == NULL || !sl_file_create(out, json, strlen(json), 0644, &error)) {
        return sl_cli_fail(cli, error);
    }
    sl_say(cli, "%s: root version 1, signed. On the coordinator's machine:", out);
    sl_say(cli,
           "  sluice-coordinator init --dir DIR --fleet-name NAME --root %s    (the online key is "
           "DIR/keys/online)",
           out);
    return SL_EXIT_OK;
}

static int run(SlCli *cli)
{
    const char *person = sl_cli_option(cli, "person"), *email = sl_cli_option(cli, "email"),
               *profile = sl_cli_option(cli, "profile");
    SlRootNew how = {.person = person, .email = email, .envs = default_envs};
    if (!sl_is_name(person) || email == NULL || strchr(email, '@') == NULL) {
        return sl_cli_usage(cli, "give --person NAME and --email EMAIL");
    }
    if (!sl_profile_parse(profile != NULL ? profile : "team", &how.profile)) {
        return sl_cli_usage(cli, "--profile is solo, team or regulated");
    }
    if (sl_cli_option(cli, "env") != NULL) {
        how.envs = sl_cli_option_all(cli, "env");
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(SlPublicKey) online = sl_cli_read_public_key(sl_cli_arg(cli, 0), &error);
    if (online == NULL) {
        return sl_cli_fail(cli, error);
    }
    how.online_key = online;
    return create(cli, &how,
                  sl_cli_option(cli, "out") != NULL ? sl_cli_option(cli, "out") : "root-1.json");
}

static const SlCliOption options[] = {
    {"person", 0, "NAME", "the first person, whose key signs", NULL},
    {"email", 0, "EMAIL", "their e-mail, as in their commits", NULL},
    {"key", 0, "FILE",
     "the private key that signs, or a .pub whose key ssh-agent holds (default: this machine's "
     "context)",
     "file"},
    {"profile", 0, "PROFILE", "solo, team (default) or regulated: who must sign what", NULL},
    {"env", 'e', "ENV", "environments in order (repeat; default dev test prod)", NULL},
    {"out", 0, "FILE", "where to write it (default root-1.json)", "file"},
    {0},
};

const SlCommand sl_cmd_root_create = {
    .name = "root create",
    .group = "Set up",
    .synopsis = "ONLINE.pub --person NAME --email EMAIL [--profile PROFILE]",
    .summary = "version 1 of a root of trust, for a coordinator elsewhere",
    .description = "`sluice init` does this for a fleet on this machine. Here the person's key "
                   "never leaves the machine that signs: give the coordinator's online public key, "
                   "and bring the file to it.",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .complete = "file",
    .run = run,
};
