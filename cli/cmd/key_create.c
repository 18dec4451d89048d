/* key_create.c - sluice key create: an ed25519 key pair in OpenSSH's format, mode 0600, never over an old one. */
#include "cli/cli.h"
#include "link/keys.h"
#include <sodium.h>
#include <string.h>

/* Has a folder above @path a .git? */
static bool is_in_repository(const char *path)
{
    g_autofree char *folder = g_canonicalize_filename(path, NULL);
    while (strcmp(folder, "/") != 0) {
        g_autofree char *above = g_path_get_dirname(folder);
        g_autofree char *git = g_build_filename(above, ".git", NULL);
        if (g_file_test(git, G_FILE_TEST_EXISTS)) {
            return true;
        }
        g_free(folder);
        folder = g_steal_pointer(&above);
    }
    return false;
}

static int run(SlCli *cli)
{
    const char *path = sl_cli_arg(cli, 0);
    g_autoptr(GError) error = NULL;
    if (g_file_test(path, G_FILE_TEST_EXISTS)) {
        (void)sl_throw(&error, SLU_EXISTS, "%s: is there already", path);
        return sl_cli_fail(cli, error);
    }
    if (is_in_repository(path)) {
        (void)sl_throw(&error, SLU_INVALID,
                       "%s: lies in a Git repository, where `git add` would publish the private "
                       "key; name a file elsewhere, "
                       "such as ~/.config/sluice/NAME",
                       path);
        return sl_cli_fail(cli, error);
    }
    uint8_t secret[64];
    if (!sl_signing_key_load(path, true, "sluice", secret, &error)) {
        return sl_cli_fail(cli, error);
    }
    g_autoptr(SlPublicKey) key = sl_public_key_from_ed25519(secret + 32);
    sodium_memzero(secret, sizeof secret);
    g_autofree char *print = sl_public_key_fingerprint(key);
    sl_say(
        cli,
        "%s\n%s\n%s.pub goes to whoever keeps the root: sluice root add-person NAME EMAIL %s.pub",
        key->line, print, path, path);
    return SL_EXIT_OK;
}

const SlCommand sl_cmd_key_create = {
    .name = "key create",
    .group = "Set up",
    .synopsis = "FILE",
    .summary = "a new signing key",
    .description =
        "The same as `ssh-keygen -t ed25519`; any OpenSSH ed25519 or ed25519-sk key will do.",
    .args_min = 1,
    .args_max = 1,
    .complete = "file",
    .run = run,
};
