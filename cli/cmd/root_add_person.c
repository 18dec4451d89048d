/* root_add_person.c - sluice root add-person: a person with a key, in the roles that another person has. */
#include "base/text.h"
#include "cli/rootedit.h"
#include <string.h>

static void append(char ***list, const char *word)
{
    size_t n = g_strv_length(*list);
    *list = g_renew(char *, *list, n + 2);
    (*list)[n] = g_strdup(word);
    (*list)[n + 1] = NULL;
}

static void add_person(SlRoot *root, const char *name, const char *email, const SlPublicKey *key)
{
    SlPerson *person = (SlPerson *)(uintptr_t)sl_root_person(root, name);
    if (person == NULL) {
        person = g_new0(SlPerson, 1);
        person->name = g_strdup(name);
        person->emails = g_new0(char *, 1);
        person->keys = g_ptr_array_new_with_free_func((GDestroyNotify)sl_public_key_free);
        g_ptr_array_add(root->people, person);
    }
    if (!g_strv_contains((const char *const *)person->emails, email)) {
        append(&person->emails, email);
    }
    g_ptr_array_add(person->keys, sl_public_key_copy(key));
}

/* Every role that @like has; returns how many. */
static unsigned join_roles(SlRoot *root, const char *name, const char *like)
{
    unsigned joined = 0;
    for (unsigned i = 0; i < root->roles->len; i++) {
        SlRole *role = g_ptr_array_index(root->roles, i);
        const char *const *people = (const char *const *)role->people;
        if (g_strv_contains(people, like) && !g_strv_contains(people, name)) {
            append(&role->people, name);
            joined++;
        }
    }
    return joined;
}

static int run(SlCli *cli)
{
    const char *name = sl_cli_arg(cli, 0), *email = sl_cli_arg(cli, 1),
               *like = sl_cli_option(cli, "like");
    if (!sl_is_name(name) || strchr(email, '@') == NULL || strpbrk(email, " \t\n") != NULL) {
        return sl_cli_usage(
            cli, "give NAME (lower-case letters, digits, '-'), EMAIL and the public key's file");
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(SlSigned) signed_ = NULL;
    g_autoptr(SlPublicKey) key = sl_cli_read_public_key(sl_cli_arg(cli, 2), &error);
    g_autoptr(SlRoot) before = key != NULL ? sl_root_fetch(cli, &signed_, &error) : NULL;
    g_autoptr(SlRoot) next = before != NULL ? sl_root_parse(signed_->text, &error) : NULL;
    if (next == NULL) {
        return sl_cli_fail(cli, error);
    }
    if (like != NULL && sl_root_person(next, like) == NULL) {
        (void)sl_throw(&error, SLU_NOT_FOUND, "the root has no person `%s`", like);
        return sl_cli_fail(cli, error);
    }
    add_person(next, name, email, key);
    unsigned joined = like != NULL ? join_roles(next, name, like) : 0;
    fprintf(stderr, "%s: %u roles%s\n", name, joined,
            joined == 0 ? " (a person without a role can only look and ask)" : "");
    return sl_root_finish(cli, next, before);
}

static const SlCliOption options[] = {
    {"like", 0, "PERSON", "give the new person every role that PERSON has", NULL},
    {"yes", 'y', NULL, "do not ask before signing", NULL},
    {"out", 0, "FILE", "where the next version is kept until enough people signed", "file"},
    {0},
};

const SlCommand sl_cmd_root_add_person = {
    .name = "root add-person",
    .group = "Set up",
    .synopsis = "NAME EMAIL KEY.pub [--like PERSON]",
    .summary = "a person and their key in the root of trust",
    .description = "Makes the next root version and signs it. Where the root asks for more "
                   "signatures, the file is given to the others (`sluice root sign`).",
    .options = options,
    .args_min = 3,
    .args_max = 3,
    .run = run,
};
