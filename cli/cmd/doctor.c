/* doctor.c - sluice doctor: what would keep this person or fleet from working, each with what to do. */
#include "base/text.h"
#include "cli/cli.h"
#include "cli/programs.h"
#include "cli/rootedit.h"
#include <stdlib.h>
#include <string.h>

#define ROOT_SOON_US (30 * SL_DAY_US)
#define CLOCK_SKEW_US (5 * SL_MINUTE_US)

typedef struct {
    SlCli *cli;
    json_t *checks;
    unsigned bad;
} Doctor;

static void say(Doctor *d, const char *check, bool ok, const char *message)
{
    json_t *each = json_object();
    sl_json_set_str(each, "check", check);
    sl_json_set_bool(each, "ok", ok);
    sl_json_set_str(each, "message", message);
    json_array_append_new(d->checks, each);
    d->bad += ok ? 0 : 1;
}

static void say_error(Doctor *d, const char *check, const GError *error)
{
    g_autofree char *text = sl_error_format(error);
    say(d, check, false, text);
}

static void check_programs(Doctor *d)
{
    static const char *const ours[] = {"sluice-coordinator", "sluice-agent", "sluice-git",
                                       "sluice-exec", NULL};
    for (size_t i = 0; ours[i] != NULL; i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *path = sl_program_path(ours[i], &error);
        if (path != NULL) {
            say(d, ours[i], true, path);
        } else {
            say_error(d, ours[i], error);
        }
    }
}

static void check_key(Doctor *d)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *line = sl_cli_public_key(d->cli, &error);
    g_autoptr(SlPublicKey) key = line != NULL ? sl_public_key_parse(line, &error) : NULL;
    g_autoptr(SlRoot) root = key != NULL ? sl_root_fetch(d->cli, NULL, &error) : NULL;
    if (root == NULL) {
        say_error(d, "your key", error);
        return;
    }
    const SlPerson *person = sl_root_person_of_key(root, key);
    g_autofree char *print = sl_public_key_fingerprint(key);
    g_autofree char *text =
        person != NULL
            ? g_strdup_printf("%s is %s", print, person->name)
            : g_strdup_printf("%s is in no person of the root: `sluice root add-person`", print);
    say(d, "your key", person != NULL, text);
    g_autofree char *expires = sl_format_time(root->expires_us);
    bool soon = root->expires_us < sl_cli_now_us() + ROOT_SOON_US;
    g_autofree char *until =
        g_strdup_printf("version %" G_GUINT64_FORMAT " expires %s%s", root->version, expires,
                        soon ? ": `sluice root renew`" : "");
    say(d, "root", !soon, until);
}

static void check_clusters(Doctor *d, const json_t *status)
{
    size_t i = 0;
    json_t *cluster = NULL;
    json_array_foreach (json_object_get(status, "clusters"), i, cluster) {
        g_autofree char *name = g_strdup_printf("cluster %s", sl_json_str_or(cluster, "id", "?"));
        bool connected = sl_json_bool(cluster, "connected", false),
             stale = sl_json_bool(cluster, "stale", false);
        g_autofree char *text =
            connected && !stale
                ? g_strdup("connected")
                : g_strdup_printf("not heard of since %s: is `sluice-agent run` up there?",
                                  sl_json_str_or(cluster, "lastSeen", "it was added"));
        say(d, name, connected && !stale, text);
    }
    if (json_array_size(json_object_get(status, "clusters")) == 0) {
        say(d, "clusters", false, "none yet: `sluice cluster add NAME --env ENV`");
    }
}

/* What waits without an alarm: a unit that is not healthy, a branch that was changed by hand. */
static void check_units(Doctor *d, const json_t *status)
{
    size_t i = 0;
    json_t *each = NULL;
    json_array_foreach (json_object_get(status, "units"), i, each) {
        const char *health = sl_json_str_or(each, "health", "Unknown");
        if (sl_json_str(each, "release") == NULL || strcmp(health, "Healthy") == 0) {
            continue;
        }
        g_autofree char *unit = g_strdup_printf("unit %s/%s", sl_json_str_or(each, "app", "?"),
                                                sl_json_str_or(each, "env", "?"));
        g_autofree char *text =
            g_strdup_printf("%s: %s %s", health, sl_json_str_or(each, "reason", ""),
                            sl_json_str_or(each, "message", ""));
        say(d, unit, strcmp(health, "Progressing") == 0, text);
    }
    json_array_foreach (json_object_get(status, "environments"), i, each) {
        if (sl_json_str(each, "halted") != NULL) {
            g_autofree char *name =
                g_strdup_printf("environment %s", sl_json_str_or(each, "name", "?"));
            say(d, name, false, "halted: `sluice status` says why");
        }
    }
}

static void check_sources(Doctor *d, const json_t *status)
{
    size_t i = 0;
    json_t *each = NULL;
    json_array_foreach (json_object_get(status, "sources"), i, each) {
        const char *error = sl_json_str(each, "error"),
                   *name = sl_json_str_or(each, "repository", "");
        g_autofree char *check =
            g_strdup_printf("source %s", *name != '\0' ? name : "fleet repository");
        say(d, check, error == NULL,
            error != NULL ? error : sl_json_str_or(each, "commit", "read"));
    }
    size_t problems = json_array_size(json_object_get(status, "problems"));
    g_autofree char *text = g_strdup_printf("%zu problems%s", problems,
                                            problems > 0 ? ": `sluice status` lists them" : "");
    say(d, "documents", problems == 0, text);
    size_t alarms = json_array_size(json_object_get(status, "alarms"));
    g_autofree char *alarm_text =
        g_strdup_printf("%zu alarms%s", alarms, alarms > 0 ? ": `sluice status` lists them" : "");
    say(d, "alarms", alarms == 0, alarm_text);
}

static void check_clock(Doctor *d, const json_t *status)
{
    int64_t there = 0, here = sl_cli_now_us();
    if (!sl_parse_time(sl_json_str_or(status, "now", ""), &there)) {
        return;
    }
    int64_t off = here > there ? here - there : there - here;
    g_autofree char *text =
        g_strdup_printf("%" G_GINT64_FORMAT " s apart from the coordinator's", off / SL_SECOND_US);
    say(d, "clock", off < CLOCK_SKEW_US, text);
}

static void check_fleet(Doctor *d)
{
    g_autoptr(GError) error = NULL;
    const SlContext *context = sl_cli_context(d->cli, &error);
    if (context == NULL) {
        say_error(d, "fleet", error);
        return;
    }
    g_autoptr(json_t) status = sl_api_get(d->cli, "/v1/status", NULL, &error);
    if (status == NULL) {
        say_error(d, "coordinator", error);
        return;
    }
    say(d, "coordinator", true, context->socket != NULL ? context->socket : context->url);
    check_clock(d, status);
    check_key(d);
    check_clusters(d, status);
    check_units(d, status);
    check_sources(d, status);
}

static int run(SlCli *cli)
{
    g_autoptr(json_t) checks = json_array();
    Doctor d = {.cli = cli, .checks = checks};
    check_programs(&d);
    check_fleet(&d);
    if (sl_cli_json(cli)) {
        sl_print_json(cli, checks);
        return d.bad == 0 ? SL_EXIT_OK : SL_EXIT_NO;
    }
    SlTable *table = sl_table_new("CHECK", "", "", NULL);
    size_t i = 0;
    json_t *each = NULL;
    json_array_foreach (checks, i, each) {
        g_autofree char *state =
            sl_colour_state(cli, sl_json_bool(each, "ok", false) ? "ok" : "error");
        g_autofree char *message =
            g_strdelimit(g_strdup(sl_json_str_or(each, "message", "")), "\n", ' ');
        sl_table_row(table, sl_json_str_or(each, "check", "?"), state, message, NULL);
    }
    sl_table_print(table, cli, stdout);
    return d.bad == 0 ? SL_EXIT_OK : SL_EXIT_NO;
}

const SlCommand sl_cmd_doctor = {
    .name = "doctor",
    .group = "Other",
    .synopsis = "",
    .summary = "what would keep you or the fleet from working",
    .description = "Exit code 0: all is well, 1: something is not.",
    .run = run,
};
