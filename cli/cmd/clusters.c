/* clusters.c - sluice clusters */
#include "base/text.h"
#include "cli/list.h"

static void print_each(SlCli *cli, SlTable *table, const json_t *each, const char *now)
{
    bool stale = sl_json_bool(each, "stale", false);
    g_autofree char *state =
        sl_colour_state(cli, stale                                    ? "stale"
                             : sl_json_bool(each, "connected", false) ? "connected"
                                                                      : "away");
    g_autofree char *seen = sl_since(sl_json_str(each, "lastSeen"), now);
    GString *labels = g_string_new(NULL);
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach (json_object_get(each, "labels"), name, value) {
        g_string_append_printf(labels, "%s%s=%s", labels->len > 0 ? "," : "", name,
                               json_string_value(value) != NULL ? json_string_value(value) : "?");
    }
    g_autofree char *refused =
        g_strdup_printf("%zu", json_array_size(json_object_get(each, "refused")));
    sl_table_row(table, sl_json_str_or(each, "id", "?"), sl_json_str_or(each, "env", "?"),
                 sl_json_str_or(each, "engine", "?"), state, seen,
                 sl_json_str_or(each, "version", "-"), labels->str, refused, NULL);
    g_string_free(labels, TRUE);
}

/* Who asked to join, and which tokens nobody has used: nothing waits silently. */
static void print_waiting(SlCli *cli, const json_t *answer)
{
    size_t i = 0;
    json_t *each = NULL;
    json_array_foreach (json_object_get(answer, "pending"), i, each) {
        const char *env = sl_json_str_or(each, "env", "?");
        g_autofree char *name =
            sl_escape_for_people(sl_json_str_or(each, "name", sl_json_str_or(each, "id", "?")), 64);
        sl_say(cli, "%s%s asked to join %s and waits for a signature: sluice cluster sign %s",
               i == 0 ? "\n" : "", name, env, env);
    }
    json_array_foreach (json_object_get(answer, "tokens"), i, each) {
        g_autofree char *until = sl_when(sl_json_str(each, "expires"));
        g_autofree char *name = sl_escape_for_people(sl_json_str_or(each, "name", "?"), 64);
        sl_say(cli, "%s%s has a join token for %s, not used yet, good until %s", i == 0 ? "\n" : "",
               name, sl_json_str_or(each, "env", "?"), until);
    }
}

static SlTable *headings(void)
{
    return sl_table_new("CLUSTER", "ENV", "ENGINE", "AGENT", "SEEN", "VERSION", "LABELS", "REFUSED",
                        NULL);
}

static int run(SlCli *cli)
{
    static const SlCliList list = {
        .path = "/v1/clusters",
        .member = "clusters",
        .query = {"env"},
        .table = headings,
        .row = print_each,
        .after = print_waiting,
    };
    return sl_cli_list(cli, &list);
}

static const SlCliOption options[] = {
    {"env", 'e', "ENV", "only this environment", "env"},
    {"watch", 'w', NULL, "again every second", NULL},
    {0},
};

const SlCommand sl_cmd_clusters = {
    .name = "clusters",
    .group = "Look",
    .synopsis = "[--env ENV]",
    .summary = "clusters and their agents",
    .options = options,
    .run = run,
};
