/* cluster_sign.c - sluice cluster sign: puts the enrolled clusters of an environment into its registry, by a person's signature. */
#include "base/text.h"
#include "cli/act.h"
#include "cli/check.h"
#include <string.h>

/* Is @id among the draft's "adds" (ids, or objects with one)? */
static bool is_new(const json_t *adds, const char *id)
{
    size_t i = 0;
    json_t *each = NULL;
    json_array_foreach (adds, i, each) {
        const char *name = json_is_object(each) ? sl_json_str(each, "id") : json_string_value(each);
        if (g_strcmp0(name, id) == 0) {
            return true;
        }
    }
    return false;
}

/* Every cluster that the signature will vouch for, from the very map that is signed. */
static void show_clusters(const GPtrArray *clusters, const json_t *draft)
{
    fprintf(stderr, "the registry will hold %u cluster%s\n", clusters->len,
            clusters->len == 1 ? "" : "s");
    for (unsigned i = 0; i < clusters->len; i++) {
        const SlCluster *cluster = g_ptr_array_index(clusters, i);
        g_autofree char *print = sl_public_key_fingerprint(cluster->sign);
        const char *mark = is_new(json_object_get(draft, "adds"), cluster->id) ? "new" : "";
        fprintf(stderr, "  %-3s %s  %s  %s\n", mark, cluster->id, cluster->engine, print);
    }
    size_t i = 0;
    json_t *each = NULL;
    json_array_foreach (json_object_get(draft, "removes"), i, each) {
        g_autofree char *safe = sl_escape_for_people(
            json_is_string(each) ? json_string_value(each) : sl_json_str_or(each, "id", "?"), 64);
        fprintf(stderr, "  no longer: %s\n", safe);
    }
}

static int submit(SlCli *cli, const char *text, const char *armour)
{
    json_t *args = json_object();
    sl_json_set_str(args, "text", text);
    if (armour != NULL) {
        sl_json_set_str(args, "signature", armour);
    }
    g_autofree char *done =
        g_strdup_printf("registry of %s: signed and in force", sl_cli_arg(cli, 0));
    return sl_cli_post(cli, "registry", args, done);
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
    const char *text = sl_json_need_str(draft, "text", &error);
    g_autoptr(GBytes) bytes = text != NULL ? g_bytes_new(text, strlen(text)) : NULL;
    g_autoptr(GPtrArray) clusters =
        text != NULL ? sl_check_registry(bytes, sl_cli_arg(cli, 0),
                                         json_object_get(draft, "entries"), &error)
                     : NULL;
    if (clusters == NULL) {
        return sl_cli_fail(cli, error);
    }
    show_clusters(clusters, draft);
    if (sl_json_int(draft, "threshold", 1) == 0) {
        return submit(cli, text, NULL);
    }
    if (!sl_cli_confirm(cli, "sign this registry? (compare the fingerprints with `sluice-agent "
                             "status` on each machine)")) {
        return SL_EXIT_NO;
    }
    g_autofree char *armour =
        sl_cli_sign(cli, bytes, sl_statement_namespace(SL_STATEMENT_REGISTRY), &error);
    return armour != NULL ? submit(cli, text, armour) : sl_cli_fail(cli, error);
}

static const SlCliOption options[] = {{"yes", 'y', NULL, "do not ask before signing", NULL}, {0}};

const SlCommand sl_cmd_cluster_sign = {
    .name = "cluster sign",
    .group = "Set up",
    .synopsis = "ENV [--yes]",
    .summary = "sign the registry of an environment's clusters",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .complete = "env",
    .run = run,
};
