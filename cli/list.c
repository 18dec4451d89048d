/* list.c - see list.h. */
#include "cli/list.h"
#include "base/text.h"

static const char *value_of(SlCli *cli, const char *name, char **unit)
{
    const char *app = unit[0], *env = app != NULL ? unit[1] : NULL;
    if (g_str_equal(name, "app")) {
        return app;
    }
    if (g_str_equal(name, "env") && env != NULL) {
        return env;
    }
    if (g_str_equal(name, "active")) {
        return sl_cli_flag(cli, name) ? "1" : NULL;
    }
    return sl_cli_option(cli, name);
}

static int show(SlCli *cli, void *user)
{
    const SlCliList *list = user;
    const char *word = sl_cli_arg(cli, 0);
    g_auto(GStrv) unit = g_strsplit(word != NULL ? word : "", "/", 2);
    const char *query[2 * SL_LIST_QUERY_MAX + 1] = {0};
    for (size_t i = 0; list->query[i] != NULL; i++) {
        query[2 * i] = list->query[i];
        query[2 * i + 1] = value_of(cli, list->query[i], unit);
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) answer = sl_api_get(cli, list->path, query, &error);
    if (answer == NULL) {
        return sl_cli_fail(cli, error);
    }
    if (sl_cli_json(cli)) {
        sl_print_json(cli, answer);
        return SL_EXIT_OK;
    }
    g_autofree char *now = sl_format_time(sl_cli_now_us());
    SlTable *table = list->table();
    size_t i = 0;
    json_t *each = NULL;
    json_array_foreach (json_object_get(answer, list->member), i, each) {
        list->row(cli, table, each, now);
    }
    sl_table_print(table, cli, stdout);
    if (list->after != NULL) {
        list->after(cli, answer);
    }
    return SL_EXIT_OK;
}

int sl_cli_list(SlCli *cli, const SlCliList *list)
{
    return sl_cli_watch(cli, show, (void *)(uintptr_t)list);
}
