/* attempt.c - asks for an attempt (promote, rollback, redeploy, remove), signs it if told so, and follows it. */
#include "base/text.h"
#include "cli/act.h"
#include "cli/check.h"
#include "cli/review.h"
#include <string.h>
#include <unistd.h>

#define SIGN_WAIT_US (60 * SL_SECOND_US) /* rendering and the gates before approval take seconds */

/* Waits until the attempt has a statement that we may sign, shows it and signs. */
static int sign_when_ready(SlCli *cli, int64_t n, const char *unit)
{
    g_auto(GStrv) words = g_strsplit(unit, "/", 2);
    g_autofree char *path = g_strdup_printf("/v1/attempts/%" G_GINT64_FORMAT, n);
    for (int64_t end = sl_cli_now_us() + SIGN_WAIT_US; sl_cli_now_us() < end; usleep(100 * 1000)) {
        g_autoptr(GError) error = NULL;
        g_autoptr(json_t) attempt = sl_api_get(cli, path, NULL, &error);
        if (attempt == NULL) {
            return sl_cli_fail(cli, error);
        }
        if (sl_state_is_final(sl_json_str(attempt, "state"))) {
            return SL_EXIT_OK; /* nobody had to sign, or a gate said no: the outcome says it */
        }
        if (sl_cli_may_sign(cli, attempt) && sl_json_str(attempt, "statement.text") != NULL) {
            if (!sl_check_attempt(attempt, words[0], words[1], &error)) {
                return sl_cli_fail(cli, error);
            }
            int code = sl_review(cli, attempt);
            if (code == SL_EXIT_NO) {
                fprintf(stderr,
                        "sluice: attempt %" G_GINT64_FORMAT " waits for a signature: sluice "
                        "approve %" G_GINT64_FORMAT ", or sluice abort %" G_GINT64_FORMAT "\n",
                        n, n, n);
            }
            return code != SL_EXIT_OK ? code : sl_cli_approve(cli, n, attempt, false);
        }
        if (sl_json_int(attempt, "approvals.threshold", -1) == 0) {
            return SL_EXIT_OK;
        }
    }
    fprintf(stderr,
            "sluice: nothing for you to sign yet; later: sluice approve %" G_GINT64_FORMAT "\n", n);
    return SL_EXIT_WAITING;
}

/* Where a caller whose key is in the role need not be asked twice: what ran before, or runs now, is signed at once. */
static bool signs_by_itself(const char *verb)
{
    return g_str_equal(verb, "rollback") || g_str_equal(verb, "redeploy");
}

int sl_cli_attempt(SlCli *cli, const char *verb, json_t *args)
{
    g_autofree char *unit =
        g_strdup_printf("%s/%s", sl_json_str_or(args, "app", ""), sl_json_str_or(args, "env", ""));
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) answer = sl_api_act(cli, verb, args, &error);
    if (answer == NULL) {
        return sl_cli_fail(cli, error);
    }
    int64_t n = sl_json_int(answer, "attempt", 0), timeout = 0;
    const char *limit = sl_cli_option(cli, "timeout");
    bool wait = sl_cli_flag(cli, "wait");
    if (limit != NULL && !sl_parse_duration(limit, &timeout, &error)) {
        return sl_cli_fail(cli, error);
    }
    if (sl_cli_flag(cli, "sign") || (signs_by_itself(verb) && !sl_cli_flag(cli, "ask-only"))) {
        int code = sign_when_ready(cli, n, unit);
        bool later = code == SL_EXIT_WAITING && wait; /* following says when it can be signed */
        if (code != SL_EXIT_OK && !later) {
            return code;
        }
    }
    if (wait) {
        return sl_cli_follow(cli, n, timeout);
    }
    if (sl_cli_json(cli)) {
        sl_print_json(cli, answer);
    } else {
        sl_say(cli,
               "attempt %" G_GINT64_FORMAT
               ": %s of %s asked for; `sluice status %s` shows what it waits for; where people "
               "must sign: sluice approve %" G_GINT64_FORMAT,
               n, verb, unit, unit, n);
    }
    return SL_EXIT_OK;
}

int64_t sl_cli_find_attempt(SlCli *cli, int *ret_code)
{
    int64_t n = 0;
    if (sl_parse_int64(sl_cli_arg(cli, 0), &n) && n > 0) {
        return n;
    }
    const char *app = NULL, *env = NULL;
    *ret_code = SL_EXIT_USAGE;
    if (!sl_cli_unit(cli, &app, &env)) {
        return 0;
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) status =
        sl_api_get(cli, "/v1/status", (const char *[]){"app", app, "env", env, NULL}, &error);
    if (status == NULL) {
        *ret_code = sl_cli_fail(cli, error);
        return 0;
    }
    size_t i = 0;
    json_t *attempt = NULL;
    json_t *unit = json_array_get(json_object_get(status, "units"), 0);
    json_array_foreach (json_object_get(unit, "waiting"), i, attempt) {
        if (!sl_state_is_final(sl_json_str(attempt, "state"))) {
            return sl_json_int(attempt, "n", 0);
        }
    }
    (void)sl_throw(&error, SLU_NOT_FOUND, "no attempt of %s/%s waits for a person", app, env);
    *ret_code = sl_cli_fail(cli, error);
    return 0;
}
