/* root_rotate.c - sluice root rotate: a person's key (or the coordinator's online key) gives way to a new one. */
#include "base/text.h"
#include "cli/rootedit.h"
#include <string.h>

/* Replaces @old by @new_ in a list of keys; true if it was there. */
static bool replace_in(GPtrArray *keys, const SlPublicKey *old, const SlPublicKey *new_)
{
    for (unsigned i = 0; i < keys->len; i++) {
        const SlPublicKey *each = g_ptr_array_index(keys, i);
        if (strcmp(each->line, old->line) == 0) {
            g_ptr_array_remove_index(keys, i);
            g_ptr_array_insert(keys, (int)i, sl_public_key_copy(new_));
            return true;
        }
    }
    return false;
}

static bool replace_key(SlRoot *root, const SlPublicKey *old, const SlPublicKey *new_)
{
    bool found = replace_in(root->online_keys, old, new_);
    for (unsigned i = 0; i < root->people->len; i++) {
        const SlPerson *person = g_ptr_array_index(root->people, i);
        found = replace_in(person->keys, old, new_) || found;
    }
    for (unsigned i = 0; i < root->root_keys->len; i++) {
        SlRootKey *pair = g_ptr_array_index(root->root_keys, i);
        if (strcmp(pair->key->line, old->line) == 0) {
            sl_public_key_free(pair->key);
            pair->key = sl_public_key_copy(new_);
            found = true;
        }
    }
    return found;
}

static int run(SlCli *cli)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlSigned) signed_ = NULL;
    g_autoptr(SlPublicKey) old = sl_cli_read_public_key(sl_cli_arg(cli, 0), &error);
    g_autoptr(SlPublicKey) new_ =
        old != NULL ? sl_cli_read_public_key(sl_cli_arg(cli, 1), &error) : NULL;
    g_autoptr(SlRoot) before = new_ != NULL ? sl_root_fetch(cli, &signed_, &error) : NULL;
    g_autoptr(SlRoot) next = before != NULL ? sl_root_parse(signed_->text, &error) : NULL;
    if (next == NULL) {
        return sl_cli_fail(cli, error);
    }
    if (!replace_key(next, old, new_)) {
        (void)sl_throw(&error, SLU_NOT_FOUND, "the root does not name the key %s",
                       sl_cli_arg(cli, 0));
        return sl_cli_fail(cli, error);
    }
    if (sl_cli_flag(cli, "revoke")) {
        g_ptr_array_add(next->revoked, sl_public_key_copy(old));
    }
    return sl_root_finish(cli, next, before);
}

static const SlCliOption options[] = {
    {"revoke", 0, NULL, "the old key was lost or stolen: nothing that it signed counts from now on",
     NULL},
    {"yes", 'y', NULL, "do not ask before signing", NULL},
    {"out", 0, "FILE", "where the next version is kept until enough people signed", "file"},
    {0},
};

const SlCommand sl_cmd_root_rotate = {
    .name = "root rotate",
    .group = "Set up",
    .synopsis = "OLD.pub NEW.pub [--revoke]",
    .summary = "a new key in the place of an old one",
    .options = options,
    .args_min = 2,
    .args_max = 2,
    .complete = "file",
    .run = run,
};
