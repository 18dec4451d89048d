/* key_list.c - sluice key list: the people and keys of the root, and which one is ours. */
#include "base/text.h"
#include "cli/rootedit.h"
#include <string.h>

static void print_key(SlCli *cli, SlTable *table, const SlRoot *root, const char *who, const SlPublicKey *key, const char *mine)
{
    (void)cli;
    g_autofree char *print = sl_public_key_fingerprint(key);
    g_autoptr(GString) notes = g_string_new(NULL);
    if (mine != NULL && strcmp(mine, key->line) == 0) {
        g_string_append(notes, "yours ");
    }
    for (unsigned i = 0; i < root->root_keys->len; i++) {
        const SlRootKey *pair = g_ptr_array_index(root->root_keys, i);
        if (strcmp(pair->key->line, key->line) == 0) {
            g_string_append(notes, "root ");
        }
    }
    if (sl_root_is_revoked(root, key)) {
        g_string_append(notes, "revoked");
    }
    sl_table_row(table, who, key->type == SL_KEY_ED25519 ? "ed25519" : "ed25519-sk", print, notes->str, NULL);
}

static int run(SlCli *cli)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlRoot) root = sl_root_fetch(cli, NULL, &error);
    if (root == NULL) {
        return sl_cli_fail(cli, error);
    }
    g_autofree char *mine = sl_cli_public_key(cli, NULL);
    SlTable *table = sl_table_new("WHO", "TYPE", "FINGERPRINT", "", NULL);
    for (unsigned i = 0; i < root->people->len; i++) {
        const SlPerson *person = g_ptr_array_index(root->people, i);
        for (unsigned k = 0; k < person->keys->len; k++) {
            print_key(cli, table, root, person->name, g_ptr_array_index(person->keys, k), mine);
        }
    }
    for (unsigned i = 0; i < root->online_keys->len; i++) {
        print_key(cli, table, root, "(coordinator)", g_ptr_array_index(root->online_keys, i), mine);
    }
    sl_table_print(table, cli, stdout);
    return SL_EXIT_OK;
}

const SlCommand sl_cmd_key_list = {
    .name = "key list", .group = "Set up", .synopsis = "", .summary = "people and keys of the root", .run = run,
};
