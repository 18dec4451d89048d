/* events.c - sluice events: the ledger's events, one line each; -f waits for more. */
#include "base/digest.h"
#include "base/text.h"
#include "cli/cli.h"
#include "core/statement.h"
#include <string.h>
#include <unistd.h>

/* The members that tell most, in this order. */
static const char *const telling[] = {"app",     "env",       "unit",    "attempt", "n",
                                      "job",     "cluster",   "run",     "act",     "state",
                                      "release", "promotion", "commit",  "new",     "person",
                                      "by",      "reason",    "message", NULL};

/* What a signed text says, of an event that holds little else. */
static const struct {
    const char *member;
    SlStatementKind kind;
    const char *keys[6];
} statements[] = {
    {"order", SL_STATEMENT_ORDER, {"act", "scope", "expires", "requester", "reason", NULL}},
    {"registry", SL_STATEMENT_REGISTRY, {"environment", "version", "count", NULL}},
};

static void add(GString *line, const char *name, const char *value)
{
    g_autofree char *text = sl_escape_for_people(value, 80);
    g_string_append_printf(line, " %s=%s", name, sl_is_hex_digest(text) ? sl_short(text) : text);
}

static void add_statement(GString *line, const json_t *event)
{
    for (size_t i = 0; i < G_N_ELEMENTS(statements); i++) {
        const char *text = sl_json_str(json_object_get(event, statements[i].member), "text");
        g_autoptr(SlStatement) said =
            text != NULL ? sl_statement_parse(statements[i].kind, text, strlen(text), NULL) : NULL;
        for (size_t k = 0; said != NULL && statements[i].keys[k] != NULL; k++) {
            const char *value = sl_statement_get(said, statements[i].keys[k]);
            if (value != NULL) {
                add(line, statements[i].keys[k], value);
            }
        }
    }
}

static void print_event(SlCli *cli, const json_t *event)
{
    if (sl_cli_json(cli)) {
        g_autofree char *line = sl_json_canonical(event, NULL);
        puts(line != NULL ? line : "{}"); /* whole, however long: programs read it */
        return;
    }
    GString *line = g_string_new(NULL);
    for (size_t i = 0; telling[i] != NULL; i++) {
        const json_t *value = json_object_get(event, telling[i]);
        if (json_is_integer(value)) {
            g_string_append_printf(line, " %s=%" JSON_INTEGER_FORMAT, telling[i],
                                   json_integer_value(value));
        } else if (json_is_string(value)) {
            add(line, telling[i], json_string_value(value));
        }
    }
    add_statement(line, event);
    g_autofree char *when = sl_when(sl_json_str(event, "at"));
    sl_say(cli, "%6" G_GINT64_FORMAT "  %s  %-16s%s", sl_json_int(event, "seq", 0), when,
           sl_json_str_or(event, "type", "?"), line->str);
    g_string_free(line, TRUE);
}

static int run(SlCli *cli)
{
    int64_t since = 0;
    if (sl_cli_option(cli, "since") != NULL &&
        !sl_parse_int64(sl_cli_option(cli, "since"), &since)) {
        return sl_cli_usage(cli, "--since is a number of the ledger");
    }
    while (true) {
        g_autofree char *from = g_strdup_printf("%" G_GINT64_FORMAT, since);
        g_autoptr(GError) error = NULL;
        g_autoptr(json_t) answer = sl_api_get(
            cli, "/v1/events", (const char *[]){"since", from, "limit", "1000", NULL}, &error);
        if (answer == NULL) {
            return sl_cli_fail(cli, error);
        }
        const json_t *events = json_object_get(answer, "events");
        size_t i = 0;
        json_t *event = NULL;
        json_array_foreach (events, i, event) {
            print_event(cli, event);
            since = sl_json_int(event, "seq", since);
        }
        fflush(stdout);
        if (json_array_size(events) == 0 && !sl_cli_flag(cli, "follow")) {
            return SL_EXIT_OK;
        }
        if (json_array_size(events) == 0) {
            usleep(500 * 1000);
        }
    }
}

static const SlCliOption options[] = {
    {"since", 0, "SEQ", "events after this number", NULL},
    {"follow", 'f', NULL, "wait for more", NULL},
    {0},
};

const SlCommand sl_cmd_events = {
    .name = "events",
    .group = "Look",
    .synopsis = "[--since SEQ] [--follow]",
    .summary = "every decision and proof, from the ledger",
    .options = options,
    .run = run,
};
