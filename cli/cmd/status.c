/* status.c - sluice status: the fleet on one screen. What runs where, since when, healthy or why not; what waits, for what,
 * and who can act; which agent is stale; what was refused. */
#include "base/text.h"
#include "cli/act.h"
#include "cli/runs.h"

static void remark(GString *why, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void remark(GString *why, const char *format, ...)
{
    va_list args;
    g_string_append(why, why->len > 0 ? "; " : "");
    va_start(args, format);
    g_string_append_vprintf(why, format, args);
    va_end(args);
}

static void remark_late(GString *why, const json_t *late)
{
    if (json_array_size(late) > 0) {
        remark(why, "%s", json_string_value(json_array_get(late, 0)));
        if (json_array_size(late) > 1) {
            g_string_append_printf(why, " and %zu more", json_array_size(late) - 1);
        }
        g_string_append(why, " joined later and got nothing yet (sluice redeploy)");
    }
}

/* What people should know of a unit besides its health. */
static char *remarks(const json_t *unit)
{
    GString *why = g_string_new(NULL);
    const char *reason = sl_json_str(unit, "reason"), *message = sl_json_str(unit, "message");
    bool healthy = g_strcmp0(sl_json_str(unit, "health"), "Healthy") == 0;
    if (!healthy && reason != NULL) {
        g_string_append(why, reason);
    }
    if (!healthy && message != NULL && *message != '\0') {
        g_string_append_printf(why, "%s%s", why->len > 0 ? ": " : "", message);
    }
    const char *const marks[] = {"pinned", "paused"};
    for (size_t i = 0; i < G_N_ELEMENTS(marks); i++) {
        const json_t *mark = json_object_get(unit, marks[i]);
        if (json_is_object(mark)) {
            remark(why, "%s by %s", marks[i], sl_json_str_or(mark, "by", "?"));
        }
    }
    size_t i = 0;
    json_t *veto = NULL;
    json_array_foreach (json_object_get(unit, "vetoes"), i, veto) {
        remark(why, "%s vetoed by %s", sl_short(sl_json_str(veto, "release")),
               sl_json_str_or(veto, "by", "?"));
    }
    size_t withheld = json_array_size(json_object_get(unit, "withheld"));
    if (withheld > 0) {
        remark(why, "%zu withheld (waits for its model)", withheld);
    }
    remark_late(why, json_object_get(unit, "late"));
    if (sl_json_bool(unit, "latched", false)) {
        remark(why, "rolled back by the agent itself");
    }
    return g_string_free(why, FALSE);
}

static void print_unit(SlCli *cli, SlTable *table, const json_t *unit, const char *now)
{
    g_autofree char *name = g_strdup_printf("%s/%s", sl_json_str_or(unit, "app", "?"),
                                            sl_json_str_or(unit, "env", "?"));
    const char *id = sl_json_str(unit, "release");
    g_autofree char *release =
        id != NULL ? g_strdup_printf("%s %s", sl_json_str_or(unit, "releaseName", ""), sl_short(id))
                   : g_strdup("-");
    g_autofree char *commit = id != NULL
                                  ? g_strdup_printf("%.7s %s", sl_json_str_or(unit, "commit", "?"),
                                                    sl_json_str_or(unit, "subject", ""))
                                  : g_strdup("-");
    if (g_utf8_strlen(commit, -1) > 40) {
        g_autofree char *cut = g_utf8_substring(commit, 0, 39);
        g_free(commit);
        commit = g_strconcat(cut, "…", NULL);
    }
    g_autofree char *since = sl_since(sl_json_str(unit, "since"), now);
    g_autofree char *health =
        sl_colour_state(cli, id != NULL ? sl_json_str_or(unit, "health", "Unknown") : "-");
    g_autofree char *why = remarks(unit);
    sl_table_row(table, name, release, commit, since, health, why, NULL);
}

static void print_units(SlCli *cli, const json_t *status, const char *now)
{
    SlTable *table = sl_table_new("UNIT", "RELEASE", "COMMIT", "SINCE", "HEALTH", "", NULL);
    size_t i = 0;
    json_t *unit = NULL;
    json_array_foreach (json_object_get(status, "units"), i, unit) {
        print_unit(cli, table, unit, now);
    }
    sl_table_print(table, cli, stdout);
}

static void print_waiting(SlCli *cli, const json_t *status, const char *now)
{
    bool heading = false;
    size_t i = 0, k = 0;
    json_t *unit = NULL, *attempt = NULL;
    json_array_foreach (json_object_get(status, "units"), i, unit) {
        const json_t *active = json_object_get(unit, "active"),
                     *last = json_object_get(unit, "last");
        const char *outcome = sl_json_str(last, "state");
        bool bad = outcome != NULL && sl_exit_of_state(outcome) != SL_EXIT_OK &&
                   !json_is_object(active) && g_strcmp0(outcome, "SUPERSEDED") != 0;
        size_t waiting = json_array_size(json_object_get(unit, "waiting"));
        if (!heading && (json_is_object(active) || bad || waiting > 0)) {
            sl_say(cli, "\nATTEMPTS");
            heading = true;
        }
        if (json_is_object(active)) {
            sl_print_attempt(cli, active, now);
        }
        json_array_foreach (json_object_get(unit, "waiting"), k, attempt) {
            if (sl_json_int(attempt, "n", 0) != sl_json_int(active, "n", -1)) {
                sl_print_attempt(cli, attempt, now);
            }
        }
        if (bad) {
            sl_print_attempt(cli, last, now);
        }
    }
}

static void print_runs(SlCli *cli, const json_t *status, const char *now)
{
    json_t *runs = json_object_get(status, "runs"), *run = NULL;
    if (json_array_size(runs) == 0) {
        return;
    }
    putchar('\n');
    SlTable *table = sl_table_new("RUN", "ID", "CLUSTER", "PHASE", "SINCE", "", NULL);
    size_t i = 0;
    json_array_foreach (runs, i, run) {
        g_autofree char *name =
            g_strdup_printf("%s/%s/%s", sl_json_str_or(run, "app", "?"),
                            sl_json_str_or(run, "env", "?"), sl_json_str_or(run, "job", "?"));
        g_autofree char *phase = sl_colour_state(cli, sl_json_str_or(run, "phase", "Unknown"));
        g_autofree char *since = sl_since(sl_json_str(run, "phaseSince"), now);
        g_autofree char *progress = sl_run_progress_text(run);
        const char *message = sl_json_str(run, "message");
        g_autofree char *text =
            message != NULL && *message != '\0'
                ? g_strconcat(progress, *progress != '\0' ? "  " : "", message, NULL)
                : g_strdup(progress);
        sl_table_row(table, name, sl_short(sl_json_str(run, "id")),
                     sl_json_str_or(run, "cluster", "-"), phase, since, text, NULL);
    }
    sl_table_print(table, cli, stdout);
}

static void print_clusters(SlCli *cli, const json_t *status, const char *now)
{
    SlTable *table = sl_table_new("CLUSTER", "ENV", "ENGINE", "AGENT", "SEEN", "", NULL);
    size_t i = 0, k = 0;
    json_t *cluster = NULL, *flag = NULL;
    json_array_foreach (json_object_get(status, "clusters"), i, cluster) {
        bool stale = sl_json_bool(cluster, "stale", false);
        g_autofree char *state =
            sl_colour_state(cli, stale                                       ? "stale"
                                 : sl_json_bool(cluster, "connected", false) ? "connected"
                                                                             : "away");
        g_autofree char *seen = sl_since(sl_json_str(cluster, "lastSeen"), now);
        GString *flags = g_string_new(NULL);
        json_array_foreach (json_object_get(cluster, "flags"), k, flag) {
            const char *text = json_is_object(flag)
                                   ? sl_json_str_or(flag, "name", sl_json_str_or(flag, "what", "?"))
                                   : json_string_value(flag);
            g_string_append_printf(flags, "%s%s", flags->len > 0 ? ", " : "",
                                   text != NULL ? text : "?");
        }
        sl_table_row(table, sl_json_str_or(cluster, "id", "?"), sl_json_str_or(cluster, "env", "?"),
                     sl_json_str_or(cluster, "engine", "?"), state, seen, flags->str, NULL);
        g_string_free(flags, TRUE);
    }
    putchar('\n');
    sl_table_print(table, cli, stdout);
}

/* As `sluice validate` shows it; a line 0 is a whole file or folder. */
static void print_problem(SlCli *cli, const json_t *each, const char *message)
{
    g_autofree char *file = sl_escape_for_people(sl_json_str(each, "file"), 300);
    g_autofree char *hint = sl_escape_for_people(sl_json_str_or(each, "hint", ""), 300);
    g_autofree char *line = g_strdup_printf(":%" G_GINT64_FORMAT, sl_json_int(each, "line", 0));
    sl_say(cli, "  %s%s: %s: %s%s%s%s", file, strcmp(line, ":0") != 0 ? line : "",
           sl_json_str_or(each, "code", ""), message, *hint != '\0' ? " (" : "", hint,
           *hint != '\0' ? ")" : "");
}

static void print_lines(SlCli *cli, const char *heading, const json_t *list, const char *now)
{
    size_t i = 0;
    json_t *each = NULL;
    if (json_array_size(list) > 0) {
        sl_say(cli, "\n%s", heading);
    }
    json_array_foreach (list, i, each) {
        g_autofree char *message = sl_escape_for_people(sl_json_str_or(each, "message", ""), 600);
        if (sl_json_str(each, "file") != NULL) {
            print_problem(cli, each, message);
        } else if (sl_json_str(each, "error") != NULL) {
            g_autofree char *error = sl_escape_for_people(sl_json_str(each, "error"), 600);
            sl_say(cli, "  %s %s: %s", sl_json_str_or(each, "repository", "fleet repository"),
                   sl_json_str_or(each, "branch", ""), error);
        } else {
            g_autofree char *since = sl_since(sl_json_str(each, "since"), now);
            sl_say(cli, "  %s: %s %s: %s (for %s)", sl_json_str_or(each, "cluster", "coordinator"),
                   sl_json_str_or(each, "what", "alarm"), sl_json_str_or(each, "code", ""), message,
                   since);
        }
    }
}

static void print_sources(SlCli *cli, const json_t *sources)
{
    g_autoptr(json_t) broken = json_array();
    size_t i = 0;
    json_t *each = NULL;
    json_array_foreach (sources, i, each) {
        if (sl_json_str(each, "error") != NULL) {
            json_array_append(broken, each);
        }
    }
    print_lines(cli, "SOURCES that can't be read (the last good commit stays in force)", broken,
                NULL);
}

static void print_halted(SlCli *cli, const json_t *environments)
{
    bool heading = false;
    size_t i = 0;
    json_t *each = NULL;
    json_array_foreach (environments, i, each) {
        const char *name = sl_json_str_or(each, "name", "?"), *at = sl_json_str(each, "halted");
        if (at == NULL) {
            continue;
        }
        if (!heading) {
            sl_say(cli, "\nHALTED (nothing is committed there; what runs goes on)");
            heading = true;
        }
        if (*at != '\0') {
            sl_say(cli,
                   "  %s: its branch was changed by hand and stands at %.12s: look at it, then "
                   "`sluice adopt %s --reason ...`, or move it back",
                   name, at, name);
        } else {
            sl_say(cli, "  %s: its branch was deleted: push it again from a clone", name);
        }
    }
}

static int show(SlCli *cli, void *user)
{
    (void)user;
    const char *word = sl_cli_arg(cli, 0), *app = word, *env = sl_cli_option(cli, "env");
    g_auto(GStrv) parts = g_strsplit(word != NULL ? word : "", "/", 2);
    if (parts[0] != NULL && parts[1] != NULL) {
        app = parts[0];
        env = parts[1];
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) status = sl_api_get(
        cli, "/v1/status",
        (const char *[]){"app", app, "env", env, "at", sl_cli_option(cli, "at"), NULL}, &error);
    if (status == NULL) {
        return sl_cli_fail(cli, error);
    }
    if (sl_cli_json(cli)) {
        sl_print_json(cli, status);
        return SL_EXIT_OK;
    }
    if (app != NULL && *app != '\0' && json_array_size(json_object_get(status, "units")) == 0) {
        (void)sl_throw(&error, SLU_NO_SUCH_UNIT, "there is no application %s%s%s", app,
                       env != NULL ? " in environment " : "", env != NULL ? env : "");
        return sl_cli_fail(cli, error);
    }
    const char *now = sl_json_str(status, "now");
    g_autofree char *name = sl_escape_for_people(sl_json_str_or(status, "fleet", "?"), 64);
    g_autofree char *when = sl_when(now);
    sl_say(cli, "fleet %s (%s)  ledger %" G_GINT64_FORMAT "  root %" G_GINT64_FORMAT "  %s\n", name,
           sl_json_str_or(status, "profile", "?"), sl_json_int(status, "ledger.seq", 0),
           sl_json_int(status, "rootVersion", 0), when);
    print_units(cli, status, now);
    print_waiting(cli, status, now);
    print_halted(cli, json_object_get(status, "environments"));
    print_runs(cli, status, now);
    print_clusters(cli, status, now);
    print_lines(cli, "ALARMS", json_object_get(status, "alarms"), now);
    print_lines(cli, "PROBLEMS in the fleet repository (what is broken keeps its last good state)",
                json_object_get(status, "problems"), now);
    print_sources(cli, json_object_get(status, "sources"));
    return SL_EXIT_OK;
}

static int run(SlCli *cli)
{
    return sl_cli_watch(cli, show, NULL);
}

static const SlCliOption options[] = {
    {"env", 'e', "ENV", "only this environment", "env"},
    {"at", 0, "TIME", "as it was then, from the ledger (2026-11-23T12:00:00Z)", NULL},
    {"watch", 'w', NULL, "again every second", NULL},
    {0},
};

const SlCommand sl_cmd_status = {
    .name = "status",
    .group = "Look",
    .synopsis = "[APP|APP/ENV] [--env ENV] [--at TIME] [--watch]",
    .summary = "what runs where, what waits for what, who can act",
    .options = options,
    .args_max = 1,
    .complete = "app",
    .run = run,
};
