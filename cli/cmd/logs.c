/* logs.c - sluice logs: what a run or a server wrote, asked from its agent; -f follows. */
#include "base/text.h"
#include "cli/runs.h"
#include <string.h>
#include <unistd.h>

/* Log bytes for a terminal: control characters but tab and newline are shown as \xNN. */
static void print_log(const char *data)
{
    g_auto(GStrv) lines = g_strsplit(data, "\n", -1);
    for (size_t i = 0; lines[i] != NULL; i++) {
        g_autofree char *safe = sl_escape_for_people(lines[i], 1 << 16);
        fputs(safe, stdout);
        if (lines[i + 1] != NULL) {
            putchar('\n');
        }
    }
}

/* Query of the run or object named; @ret_run and @ret_parts keep what its pointers name. */
static bool build_query(SlCli *cli, const char **query, json_t **ret_run, char ***ret_parts,
                        GError **error)
{
    const char *word = sl_cli_arg(cli, 0);
    *ret_parts = g_strsplit(word, "/", 4);
    bool is_object = g_strv_length(*ret_parts) == 4;
    if (is_object) {
        query[0] = "app", query[1] = (*ret_parts)[0], query[2] = "env", query[3] = (*ret_parts)[1];
        query[4] = "object", query[5] = strchr(strchr(word, '/') + 1, '/') + 1;
        return true;
    }
    g_autoptr(GError) problem = NULL;
    *ret_run = sl_cli_find_run(cli, word, &problem);
    if (*ret_run == NULL && g_strv_length(*ret_parts) == 3 &&
        g_error_matches(problem, SL_ERROR, SLU_NOT_FOUND)) {
        char *object =
            g_strconcat("ModelServer/", (*ret_parts)[2], NULL); /* no job of that name: a server? */
        g_free((*ret_parts)[2]);
        (*ret_parts)[2] = object;
        query[0] = "app", query[1] = (*ret_parts)[0], query[2] = "env", query[3] = (*ret_parts)[1];
        query[4] = "object", query[5] = object;
        return true;
    }
    if (*ret_run == NULL) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return false;
    }
    query[0] = "run", query[1] = sl_json_str(*ret_run, "id");
    return true;
}

static int follow(SlCli *cli, const char **query, size_t used)
{
    int64_t offset = 0;
    bool first = true;
    while (true) {
        g_autofree char *from = g_strdup_printf("%" G_GINT64_FORMAT, offset);
        query[used] = first && !sl_cli_flag(cli, "all") ? "tail" : "offset";
        query[used + 1] = first && !sl_cli_flag(cli, "all") ? "1" : from;
        g_autoptr(GError) error = NULL;
        g_autoptr(json_t) answer = sl_api_get(cli, "/v1/logs", query, &error);
        if (answer == NULL) {
            return sl_cli_fail(cli, error);
        }
        const char *data = sl_json_str_or(answer, "data", "");
        print_log(data);
        fflush(stdout);
        int64_t begin = sl_json_int(answer, "offset", 0), size = sl_json_int(answer, "size", 0);
        int64_t next = begin + sl_json_int(answer, "length", (int64_t)strlen(data));
        bool more = next < size && next > offset;
        offset = next;
        first = false;
        if (!more && (!sl_cli_flag(cli, "follow") || sl_json_bool(answer, "finished", false))) {
            return SL_EXIT_OK;
        }
        if (!more) {
            usleep(500 * 1000);
        }
    }
}

static int run(SlCli *cli)
{
    const char *query[16] = {0};
    g_autoptr(json_t) run_record = NULL;
    g_auto(GStrv) parts = NULL;
    g_autoptr(GError) error = NULL;
    if (!build_query(cli, query, &run_record, &parts, &error)) {
        return sl_cli_fail(cli, error);
    }
    size_t used = query[4] != NULL ? 6 : 2;
    if (sl_cli_flag(cli, "stderr")) {
        query[used++] = "stderr";
        query[used++] = "1";
    }
    if (sl_cli_flag(cli, "previous")) {
        query[used++] = "previous";
        query[used++] = "1";
    }
    if (sl_cli_option(cli, "rank") != NULL) {
        query[used++] = "rank";
        query[used++] = sl_cli_option(cli, "rank");
    }
    return follow(cli, query, used);
}

static const SlCliOption options[] = {
    {"follow", 'f', NULL, "wait for more until it ends", NULL},
    {"all", 'a', NULL, "from the beginning, not only the last part", NULL},
    {"rank", 0, "N", "the process of this rank, for a run with several (default 0)", NULL},
    {"previous", 'p', NULL, "what the last crashed process of a server wrote", NULL},
    {"stderr", 0, NULL, "standard error instead of standard output", NULL},
    {0},
};

const SlCommand sl_cmd_logs = {
    .name = "logs",
    .group = "Runs",
    .synopsis = "RUN | APP/ENV/JOB | APP/ENV/SERVER | APP/ENV/KIND/NAME [-f]",
    .summary = "what a run or a server wrote",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .complete = "app",
    .run = run,
};
