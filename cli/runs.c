/* runs.c - finding runs by name and showing their progress; see runs.h. */
#include "cli/runs.h"
#include "base/text.h"
#include <string.h>

const SlCliOption sl_run_options[] = {
    {"reason", 'm', "TEXT", "why; it is part of what is signed", NULL},
    {"yes", 'y', NULL, "do not ask before signing", NULL},
    {0},
};

json_t *sl_cli_find_run(SlCli *cli, const char *word, GError **error)
{
    g_autoptr(json_t) answer = sl_api_get(cli, "/v1/runs", NULL, error);
    if (answer == NULL) {
        return NULL;
    }
    json_t *found = NULL, *each = NULL;
    size_t i = 0;
    unsigned matches = 0;
    json_array_foreach (json_object_get(answer, "runs"), i, each) {
        g_autofree char *path =
            g_strdup_printf("%s/%s/%s", sl_json_str_or(each, "app", ""),
                            sl_json_str_or(each, "env", ""), sl_json_str_or(each, "job", ""));
        bool by_name = strcmp(path, word) == 0;
        bool by_id = strlen(word) >= 6 && g_str_has_prefix(sl_json_str_or(each, "id", ""), word);
        if (!by_name && !by_id) {
            continue;
        }
        bool newer = found == NULL || strcmp(sl_json_str_or(each, "placed", ""),
                                             sl_json_str_or(found, "placed", "")) > 0;
        found = newer ? each : found;
        matches += by_id ? 1 : 0;
    }
    if (found == NULL) {
        return sl_throw_null(
            error, SLU_NOT_FOUND,
            "no run `%s`: name it as APP/ENV/JOB or by at least 6 digits of its id", word);
    }
    return matches > 1
               ? sl_throw_null(error, SLU_INVALID, "`%s` is the start of %u run ids", word, matches)
               : json_incref(found);
}

json_t *sl_cli_run_args(SlCli *cli, const char *act, int *ret_code)
{
    g_auto(GStrv) parts = g_strsplit(sl_cli_arg(cli, 0), "/", -1);
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) run = sl_cli_find_run(cli, sl_cli_arg(cli, 0), &error);
    bool named = g_strv_length(parts) == 3;
    if (run == NULL && !named) {
        *ret_code = sl_cli_fail(cli, error);
        return NULL;
    }
    json_t *args = json_object();
    sl_json_set_str(args, "act", act);
    sl_json_set_str(args, "app", named ? parts[0] : sl_json_str(run, "app"));
    sl_json_set_str(args, "env", named ? parts[1] : sl_json_str(run, "env"));
    sl_json_set_str(args, "job", named ? parts[2] : sl_json_str(run, "job"));
    if (run != NULL) {
        sl_json_set_str(args, "run", sl_json_str(run, "id"));
    }
    sl_json_set_str(args, "reason",
                    sl_cli_option(cli, "reason") != NULL ? sl_cli_option(cli, "reason")
                                                         : "asked for by hand");
    return args;
}

char *sl_run_progress_text(const json_t *run)
{
    GString *out = g_string_new(NULL);
    const json_t *progress = json_object_get(run, "progress");
    if (g_strcmp0(sl_json_str(run, "phase"), "Failed") == 0) {
        g_autofree char *reason = sl_escape_for_people(sl_json_str_or(run, "reason", ""), 64);
        g_string_append_printf(out, "%s  ",
                               reason); /* the seal's word; its message is often empty */
    }
    double pct = json_number_value(json_object_get(progress, "pct"));
    int64_t step = sl_json_int(progress, "step", -1), total = sl_json_int(progress, "total", -1);
    if (pct > 0) {
        g_string_append_printf(out, "%.0f%%  ", pct);
    }
    if (step >= 0) {
        g_string_append_printf(out,
                               total > 0 ? "step %" G_GINT64_FORMAT "/%" G_GINT64_FORMAT "  "
                                         : "step %" G_GINT64_FORMAT "  ",
                               step, total);
    }
    const json_t *metrics = json_object_get(json_object_get(run, "final"), "metrics");
    metrics = json_object_size(metrics) > 0 ? metrics : json_object_get(run, "metrics");
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach ((json_t *)(uintptr_t)metrics, name, value) {
        g_autofree char *safe = sl_escape_for_people(name, 64);
        if (json_is_number(value)) {
            g_string_append_printf(out, "%s %.4g  ", safe, json_number_value(value));
        } else if (json_is_string(value)) {
            g_autofree char *word = sl_escape_for_people(json_string_value(value), 16);
            g_string_append_printf(out, "%s %s  ", safe, word);
        }
    }
    return g_strchomp(g_string_free(out, FALSE));
}
