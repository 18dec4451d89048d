/* releases.c - sluice releases */
#include "base/text.h"
#include "cli/list.h"

static void print_each(SlCli *cli, SlTable *table, const json_t *each, const char *now)
{
    (void)cli;
    GString *items = g_string_new(NULL), *current = g_string_new(NULL);
    const char *name = NULL;
    json_t *item = NULL;
    json_object_foreach (json_object_get(each, "items"), name, item) {
        const char *digest = sl_json_str(item, "digest");
        g_string_append_printf(items, "%s%s=%s", items->len > 0 ? " " : "", name,
                               digest != NULL ? sl_short(digest) : "pending");
    }
    size_t i = 0;
    json_array_foreach (json_object_get(each, "current"), i, item) {
        g_string_append_printf(current, "%s%s", current->len > 0 ? " " : "",
                               json_string_value(item) != NULL ? json_string_value(item) : "?");
    }
    g_autofree char *since = sl_since(sl_json_str(each, "time"), now);
    g_autofree char *commit = g_strndup(sl_json_str_or(each, "commit", "-"), 7);
    sl_table_row(table, sl_json_str_or(each, "name", "?"), sl_short(sl_json_str(each, "id")), since,
                 commit, sl_json_str_or(each, "subject", ""), items->str, current->str, NULL);
    g_string_free(items, TRUE);
    g_string_free(current, TRUE);
}

static SlTable *headings(void)
{
    return sl_table_new("NAME", "ID", "WHEN", "COMMIT", "SUBJECT", "ITEMS", "RUNS IN", NULL);
}

static int run(SlCli *cli)
{
    static const SlCliList list = {
        .path = "/v1/releases",
        .member = "releases",
        .query = {"app", "limit"},
        .table = headings,
        .row = print_each,
    };
    return sl_cli_list(cli, &list);
}

static const SlCliOption options[] = {
    {"limit", 'n', "N", "at most so many (default 50)", NULL},
    {"watch", 'w', NULL, "again every second", NULL},
    {0},
};

const SlCommand sl_cmd_releases = {
    .name = "releases",
    .group = "Look",
    .synopsis = "[APP] [--limit N]",
    .summary = "releases of an application, newest first",
    .options = options,
    .args_max = 1,
    .complete = "app",
    .run = run,
};
