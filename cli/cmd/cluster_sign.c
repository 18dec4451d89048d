/* cluster_sign.c - sluice cluster sign: puts the enrolled clusters of an environment into its registry, by a person's signature. */
#include "base/text.h"
#include "cli/act.h"
#include <string.h>

static void print_change(SlCli *cli, const char *word, const json_t *list)
{
    size_t i = 0;
    json_t *each = NULL;
    (void)cli;
    json_array_foreach(list, i, each) {
        const char *name = json_is_object(each) ? sl_json_str_or(each, "id", sl_json_str_or(each, "name", "?")) : json_string_value(each);
        g_autofree char *safe = sl_escape_for_people(name != NULL ? name : "?", 64);
        g_autofree char *key = sl_escape_for_people(sl_json_str_or(each, "fingerprint", sl_json_str_or(each, "sign", "")), 128);
        fprintf(stderr, "  %s %s  %s\n", word, safe, key);
    }
}

static int submit(SlCli *cli, const char *text, const char *armour)
{
    json_t *args = json_object();
    sl_json_set_str(args, "text", text);
    if (armour != NULL) {
        sl_json_set_str(args, "signature", armour);
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) answer = sl_api_act(cli, "registry", args, &error);
    if (answer == NULL) {
        return sl_cli_fail(cli, error);
    }
    if (sl_cli_json(cli)) {
        sl_print_json(cli, answer);
    } else {
        sl_say(cli, "registry of %s: signed and in force", sl_cli_arg(cli, 0));
    }
    return SL_EXIT_OK;
}

static int run(SlCli *cli)
{
    json_t *args = json_object();
    sl_json_set_str(args, "env", sl_cli_arg(cli, 0));
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) draft = sl_api_act(cli, "registry-draft", args, &error);
    if (draft == NULL) {
        return sl_cli_fail(cli, error);
    }
    print_change(cli, "adds", json_object_get(draft, "adds"));
    print_change(cli, "removes", json_object_get(draft, "removes"));
    const char *text = sl_json_str(draft, "text");
    if (sl_json_int(draft, "threshold", 1) == 0) {
        return submit(cli, text, NULL);
    }
    if (!sl_cli_confirm(cli, "sign this registry? (compare the fingerprints with `sluice-agent status` on each machine)")) {
        return SL_EXIT_NO;
    }
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
    g_autofree char *armour = sl_cli_sign(cli, bytes, "registry@sluice.v1", &error);
    return armour != NULL ? submit(cli, text, armour) : sl_cli_fail(cli, error);
}

static const SlCliOption options[] = {{"yes", 'y', NULL, "do not ask before signing", NULL}, {0}};

const SlCommand sl_cmd_cluster_sign = {
    .name = "cluster sign", .group = "Set up", .synopsis = "ENV [--yes]", .summary = "sign the registry of an environment's clusters",
    .options = options, .args_min = 1, .args_max = 1, .complete = "env", .run = run,
};
