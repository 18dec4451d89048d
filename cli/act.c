/* act.c - shared by the commands that ask the coordinator for something; see act.h. */
#include "cli/act.h"
#include "base/text.h"
#include "cli/check.h"
#include <string.h>
#include <unistd.h>

const SlCliOption sl_reason_options[] = {
    {"env", 'e', "ENV", "the environment, where the argument is only the application", "env"},
    {"reason", 'm', "TEXT", "why; it stays in the ledger", NULL},
    {0},
};

bool sl_cli_unit(SlCli *cli, const char **ret_app, const char **ret_env)
{
    static char *app; /* lives as long as the process: one unit per command line */
    const char *word = sl_cli_arg(cli, 0);
    const char *slash = word != NULL ? strchr(word, '/') : NULL;
    const char *env = sl_cli_option(cli, "env");
    env = env != NULL ? env : sl_cli_option(cli, "to");
    if (slash != NULL && env != NULL && strcmp(slash + 1, env) != 0) {
        sl_cli_usage(cli, "the environment is named twice");
        return false;
    }
    env = slash != NULL ? slash + 1 : env;
    g_free(app);
    app = slash != NULL ? g_strndup(word, (size_t)(slash - word)) : g_strdup(word);
    if (!sl_is_name(app) || !sl_is_name(env)) {
        sl_cli_usage(cli, "name the unit as APP/ENV, for example digits/prod");
        return false;
    }
    *ret_app = app;
    *ret_env = env;
    return true;
}

json_t *sl_cli_unit_args(SlCli *cli)
{
    const char *app = NULL, *env = NULL;
    if (!sl_cli_unit(cli, &app, &env)) {
        return NULL;
    }
    json_t *args = json_object();
    sl_json_set_str(args, "app", app);
    sl_json_set_str(args, "env", env);
    if (sl_cli_option(cli, "reason") != NULL) {
        sl_json_set_str(args, "reason", sl_cli_option(cli, "reason"));
    }
    return args;
}

int sl_cli_post(SlCli *cli, const char *verb, json_t *args, const char *done)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) answer = sl_api_act(cli, verb, args, &error);
    if (answer == NULL) {
        return sl_cli_fail(cli, error);
    }
    if (sl_cli_json(cli)) {
        sl_print_json(cli, answer);
    } else {
        sl_say(cli, "%s", done);
    }
    return SL_EXIT_OK;
}

int sl_cli_act(SlCli *cli, const char *verb, json_t *args, const char *done)
{
    g_autofree char *text = g_strdup_printf("%s/%s: %s", sl_json_str_or(args, "app", ""),
                                            sl_json_str_or(args, "env", ""), done);
    return sl_cli_post(cli, verb, args, text);
}

int sl_cli_unit_action(SlCli *cli, const char *verb, bool with_release, const char *done)
{
    json_t *args = sl_cli_unit_args(cli);
    if (args == NULL) {
        return SL_EXIT_USAGE;
    }
    if (sl_cli_option(cli, "reason") == NULL) {
        json_decref(args);
        return sl_cli_usage(cli, "say why with --reason");
    }
    if (with_release) {
        sl_json_set_str(args, "release", sl_cli_arg(cli, 1));
    }
    return sl_cli_act(cli, verb, args, done);
}

bool sl_state_is_final(const char *state)
{
    static const char *const final[] = {"SUCCEEDED", "FAILED",     "ERRORED", "REJECTED",
                                        "ABORTED",   "SUPERSEDED", "EXPIRED", NULL};
    return state != NULL && g_strv_contains(final, state);
}

int sl_exit_of_state(const char *state)
{
    static const struct {
        const char *state;
        int code;
    } table[] = {{"SUCCEEDED", SL_EXIT_OK},
                 {"REJECTED", SL_EXIT_REJECTED},
                 {"ABORTED", SL_EXIT_SUPERSEDED},
                 {"SUPERSEDED", SL_EXIT_SUPERSEDED},
                 {"EXPIRED", SL_EXIT_EXPIRED}};
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        if (g_strcmp0(table[i].state, state) == 0) {
            return table[i].code;
        }
    }
    return sl_state_is_final(state) ? SL_EXIT_NO : SL_EXIT_WAITING;
}

static char *people(const json_t *list)
{
    GString *out = g_string_new(NULL);
    size_t i = 0;
    json_t *each = NULL;
    json_array_foreach (list, i, each) {
        g_autofree char *name = sl_escape_for_people(
            json_string_value(each) != NULL ? json_string_value(each) : "?", 64);
        g_string_append_printf(out, "%s%s", out->len > 0 ? ", " : "", name);
    }
    return g_string_free(out, FALSE);
}

static void print_gates(SlCli *cli, const json_t *gates)
{
    size_t i = 0;
    json_t *gate = NULL;
    json_array_foreach (gates, i, gate) {
        g_autofree char *verdict = sl_colour_state(cli, sl_json_str_or(gate, "verdict", "wait"));
        g_autofree char *reason = sl_escape_for_people(sl_json_str_or(gate, "reason", ""), 400);
        sl_say(cli, "    gate %-9s %s  %s", sl_json_str_or(gate, "type", "?"), verdict, reason);
    }
}

void sl_print_attempt(SlCli *cli, const json_t *attempt, const char *now)
{
    const char *state = sl_json_str_or(attempt, "state", "?");
    g_autofree char *shown = sl_colour_state(cli, state);
    g_autofree char *since = sl_since(sl_json_str(attempt, "since"), now);
    g_autofree char *subject = sl_escape_for_people(sl_json_str_or(attempt, "subject", ""), 72);
    sl_say(cli, "  %" G_GINT64_FORMAT "  %s %s/%s %s  %s for %s  %s", sl_json_int(attempt, "n", 0),
           sl_json_str_or(attempt, "act", "?"), sl_json_str_or(attempt, "app", "?"),
           sl_json_str_or(attempt, "env", "?"),
           sl_json_str_or(attempt, "releaseName", sl_short(sl_json_str(attempt, "release"))), shown,
           since, subject);
    const char *waiting = sl_json_str(attempt, "waitingFor");
    if (waiting != NULL && !sl_state_is_final(state)) {
        g_autofree char *what = sl_escape_for_people(waiting, 400);
        const json_t *list = json_object_get(attempt, "who");
        g_autofree char *who = people(list);
        g_autofree char *until = sl_when(sl_json_str(attempt, "until"));
        sl_say(cli, "    waits for %s, until %s%s%s", what, until,
               *who != '\0' ? "; who can act: " : "", who);
    }
    const char *message = sl_json_str(attempt, "error.message");
    if (message != NULL) {
        g_autofree char *safe = sl_escape_for_people(message, 1000);
        sl_say(cli, "    %s: %s", sl_json_str_or(attempt, "error.code", "error"), safe);
    }
    if (!sl_state_is_final(state) || strcmp(state, "REJECTED") == 0) {
        print_gates(cli, json_object_get(attempt, "gates"));
    }
}

static void print_change(SlCli *cli, const json_t *attempt, char **last)
{
    const char *state = sl_json_str_or(attempt, "state", "?");
    g_autofree char *now =
        g_strdup_printf("%s|%s", state, sl_json_str_or(attempt, "waitingFor", ""));
    if (g_strcmp0(now, *last) == 0) {
        return;
    }
    g_free(*last);
    *last = g_steal_pointer(&now);
    g_autofree char *shown = sl_colour_state(cli, state);
    g_autofree char *waiting = sl_escape_for_people(sl_json_str_or(attempt, "waitingFor", ""), 400);
    g_autofree char *who = people(json_object_get(attempt, "who"));
    fprintf(stderr, "%-22s %s%s%s%s\n", shown, waiting, *who != '\0' ? " (who can act: " : "", who,
            *who != '\0' ? ")" : "");
    if (sl_cli_may_sign(cli, attempt) && sl_json_str(attempt, "statement.text") != NULL) {
        fprintf(stderr, "%-22s sign it in another terminal: sluice approve %" G_GINT64_FORMAT "\n",
                "", sl_json_int(attempt, "n", 0));
    }
}

static int finish_follow(SlCli *cli, const json_t *attempt)
{
    if (sl_cli_json(cli)) {
        sl_print_json(cli, attempt);
    } else {
        g_autofree char *now = sl_format_time(sl_cli_now_us());
        sl_print_attempt(cli, attempt, now);
    }
    return sl_exit_of_state(sl_json_str(attempt, "state"));
}

int sl_cli_follow(SlCli *cli, int64_t n, int64_t timeout_us)
{
    g_autofree char *path = g_strdup_printf("/v1/attempts/%" G_GINT64_FORMAT, n);
    g_autofree char *last = NULL;
    int64_t end = timeout_us > 0 ? sl_cli_now_us() + timeout_us : INT64_MAX;
    while (true) {
        g_autoptr(GError) error = NULL;
        g_autoptr(json_t) attempt = sl_api_get(cli, path, NULL, &error);
        if (attempt == NULL && !(sl_error_is_retryable(error) && sl_cli_now_us() < end)) {
            return sl_cli_fail(cli, error);
        }
        if (attempt != NULL) {
            print_change(cli, attempt, &last);
            if (sl_state_is_final(sl_json_str(attempt, "state")) || sl_cli_now_us() >= end) {
                return finish_follow(cli, attempt);
            }
        }
        usleep(200 * 1000);
    }
}

/* Shows the exact text that will be signed, indented. */
static void show_text(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (size_t i = 0; lines[i] != NULL && *lines[i] != '\0'; i++) {
        g_autofree char *safe = sl_escape_for_people(lines[i], 400);
        fprintf(stderr, "  | %s\n", safe);
    }
}

/* Shows the checked text and signs it if the person says so; NULL: no (error unset) or it failed. */
static char *sign_order(SlCli *cli, const char *text, const json_t *asked, GError **error)
{
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
    if (!sl_check_order(bytes, asked, error)) {
        return NULL;
    }
    show_text(text);
    return sl_cli_confirm(cli, "sign this order?")
               ? sl_cli_sign(cli, bytes, sl_statement_namespace(SL_STATEMENT_ORDER), error)
               : NULL;
}

int sl_cli_order(SlCli *cli, json_t *args, const char *done)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) asked = json_copy(args);
    g_autoptr(json_t) draft = sl_api_act(cli, "order-draft", args, &error);
    const char *text = draft != NULL ? sl_json_need_str(draft, "text", &error) : NULL;
    if (text == NULL) {
        return sl_cli_fail(cli, error);
    }
    g_autofree char *armour = NULL;
    if (sl_json_int(draft, "threshold", 1) > 0) {
        armour = sign_order(cli, text, asked, &error);
        if (armour == NULL) {
            return error != NULL ? sl_cli_fail(cli, error) : SL_EXIT_NO;
        }
    }
    json_t *submit = json_object();
    sl_json_set_str(submit, "text", text);
    if (armour != NULL) {
        sl_json_set_str(submit, "signature", armour);
    }
    return sl_cli_post(cli, "order", submit, done);
}

bool sl_cli_may_sign(SlCli *cli, const json_t *attempt)
{
    g_autoptr(GError) error = NULL;
    const SlContext *context = sl_cli_context(cli, &error);
    size_t i = 0;
    json_t *each = NULL;
    json_array_foreach (json_object_get(attempt, "who"), i, each) {
        if (context != NULL && context->person != NULL &&
            g_strcmp0(json_string_value(each), context->person) == 0) {
            return true;
        }
    }
    return false;
}

int sl_cli_approve(SlCli *cli, int64_t n, const json_t *attempt, bool show)
{
    const char *text = sl_json_str(attempt, "statement.text");
    g_autoptr(GError) error = NULL;
    if (text == NULL) {
        (void)sl_throw(&error, SLU_CONFLICT,
                       "attempt %" G_GINT64_FORMAT " has nothing to sign: it is %s", n,
                       sl_json_str_or(attempt, "state", "?"));
        return sl_cli_fail(cli, error);
    }
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
    g_autofree char *armour =
        sl_cli_sign(cli, bytes, sl_statement_namespace(SL_STATEMENT_PROMOTION), &error);
    if (armour == NULL) {
        return sl_cli_fail(cli, error);
    }
    json_t *args = json_object();
    sl_json_set_int(args, "attempt", n);
    sl_json_set_str(args, "signature", armour);
    g_autoptr(json_t) answer = sl_api_act(cli, "approve", args, &error);
    if (answer == NULL) {
        return sl_cli_fail(cli, error);
    }
    if (sl_cli_json(cli) && show) {
        sl_print_json(cli, answer);
    } else if (!sl_cli_json(cli)) {
        sl_say(cli,
               "attempt %" G_GINT64_FORMAT ": signed, %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT, n,
               sl_json_int(answer, "counted", 1), sl_json_int(answer, "threshold", 1));
    }
    return SL_EXIT_OK;
}
