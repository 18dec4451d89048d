/* root_list.c - sluice root list: every version of the root and who signed it. */
#include "base/text.h"
#include "cli/rootedit.h"

static void print_version(SlTable *table, const json_t *each)
{
    g_autoptr(SlSigned) signed_ = sl_signed_from_json(each, NULL);
    g_autoptr(SlRoot) root = signed_ != NULL ? sl_root_parse(signed_->text, NULL) : NULL;
    if (root == NULL) {
        return;
    }
    g_autoptr(GPtrArray) signers = sl_signed_signers(signed_, SL_STATEMENT_ROOT, NULL);
    g_autoptr(GString) names = g_string_new(NULL);
    for (unsigned i = 0; i < signers->len; i++) {
        const SlPerson *person = sl_root_person_of_key(root, g_ptr_array_index(signers, i));
        g_autofree char *print = sl_public_key_fingerprint(g_ptr_array_index(signers, i));
        g_string_append_printf(names, "%s%s", names->len > 0 ? ", " : "",
                               person != NULL ? person->name : print);
    }
    g_autofree char *version = g_strdup_printf("%" G_GUINT64_FORMAT, root->version);
    g_autofree char *people = g_strdup_printf("%u", root->people->len);
    g_autofree char *expires = sl_format_time(root->expires_us);
    sl_table_row(table, version, expires, people, names->str, NULL);
}

static int run(SlCli *cli)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) answer = sl_api_get(cli, "/v1/roots", NULL, &error);
    if (answer == NULL) {
        return sl_cli_fail(cli, error);
    }
    if (sl_cli_json(cli)) {
        sl_print_json(cli, answer);
        return SL_EXIT_OK;
    }
    SlTable *table = sl_table_new("VERSION", "EXPIRES", "PEOPLE", "SIGNED BY", NULL);
    size_t i = 0;
    json_t *each = NULL;
    json_array_foreach (json_object_get(answer, "roots"), i, each) {
        print_version(table, each);
    }
    sl_table_print(table, cli, stdout);
    return SL_EXIT_OK;
}

const SlCommand sl_cmd_root_list = {
    .name = "root list",
    .group = "Set up",
    .synopsis = "",
    .summary = "versions of the root and who signed them",
    .run = run,
};
