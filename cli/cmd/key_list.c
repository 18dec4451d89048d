/* key_list.c - sluice key list: the people and keys of the root, and which one is ours. */
#include "base/text.h"
#include "cli/rootedit.h"
#include <string.h>

static json_t *describe(const SlRoot *root, const char *who, const SlPublicKey *key,
                        const char *mine)
{
    json_t *each = json_object();
    g_autofree char *print = sl_public_key_fingerprint(key);
    bool is_root = false;
    for (unsigned i = 0; i < root->root_keys->len; i++) {
        const SlRootKey *pair = g_ptr_array_index(root->root_keys, i);
        is_root = is_root || strcmp(pair->key->line, key->line) == 0;
    }
    sl_json_set_str(each, "who", who);
    sl_json_set_str(each, "type", key->type == SL_KEY_ED25519 ? "ed25519" : "ed25519-sk");
    sl_json_set_str(each, "fingerprint", print);
    sl_json_set_str(each, "key", key->line);
    sl_json_set_bool(each, "yours", mine != NULL && strcmp(mine, key->line) == 0);
    sl_json_set_bool(each, "root", is_root);
    sl_json_set_bool(each, "revoked", sl_root_is_revoked(root, key));
    return each;
}

/* People's keys, then the coordinator's. (transfer full) */
static json_t *list_keys(const SlRoot *root, const char *mine)
{
    json_t *keys = json_array();
    for (unsigned i = 0; i < root->people->len; i++) {
        const SlPerson *person = g_ptr_array_index(root->people, i);
        for (unsigned k = 0; k < person->keys->len; k++) {
            json_array_append_new(
                keys, describe(root, person->name, g_ptr_array_index(person->keys, k), mine));
        }
    }
    for (unsigned i = 0; i < root->online_keys->len; i++) {
        json_array_append_new(
            keys, describe(root, "(coordinator)", g_ptr_array_index(root->online_keys, i), mine));
    }
    return keys;
}

static void print_keys(SlCli *cli, const json_t *keys)
{
    SlTable *table = sl_table_new("WHO", "TYPE", "FINGERPRINT", "", NULL);
    size_t i = 0;
    json_t *each = NULL;
    json_array_foreach (keys, i, each) {
        g_autofree char *notes =
            g_strconcat(sl_json_bool(each, "yours", false) ? "yours " : "",
                        sl_json_bool(each, "root", false) ? "root " : "",
                        sl_json_bool(each, "revoked", false) ? "revoked" : "", NULL);
        sl_table_row(table, sl_json_str(each, "who"), sl_json_str(each, "type"),
                     sl_json_str(each, "fingerprint"), notes, NULL);
    }
    sl_table_print(table, cli, stdout);
}

static int run(SlCli *cli)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlRoot) root = sl_root_fetch(cli, NULL, &error);
    if (root == NULL) {
        return sl_cli_fail(cli, error);
    }
    g_autofree char *mine = sl_cli_public_key(cli, NULL);
    g_autoptr(json_t) keys = list_keys(root, mine);
    if (sl_cli_json(cli)) {
        sl_print_json(cli, keys);
    } else {
        print_keys(cli, keys);
    }
    return SL_EXIT_OK;
}

const SlCommand sl_cmd_key_list = {
    .name = "key list",
    .group = "Set up",
    .synopsis = "",
    .summary = "people and keys of the root",
    .run = run,
};
