/* act.h - what several commands share: units on the command line, simple actions, following an attempt to its end. */
#pragma once
#include "cli/cli.h"

/* "digits/prod" as the argument, or APP with --env (or --to). False after printing the usage mistake. */
bool sl_cli_unit(SlCli *cli, const char **ret_app, const char **ret_env);
/* {"app", "env"} (transfer full) or NULL after the usage mistake. */
json_t *sl_cli_unit_args(SlCli *cli);
/* Posts the action; prints the answer (JSON) or @done for people; returns the exit code. @args is consumed. */
int sl_cli_post(SlCli *cli, const char *verb, json_t *args, const char *done);
/* The same about a unit: "app/env: @done". */
int sl_cli_act(SlCli *cli, const char *verb, json_t *args, const char *done);
/* pin, unpin, veto and so on: APP/ENV --reason; @with_release adds the second argument. */
int sl_cli_unit_action(SlCli *cli, const char *verb, bool with_release, const char *done);
extern const SlCliOption sl_reason_options[]; /* --env, --reason */

/* Follows attempt @n, printing each change of state, until it is final or @timeout_us is over (0 = no limit);
 * exit code of the outcome. */
int sl_cli_follow(SlCli *cli, int64_t n, int64_t timeout_us);
/* The attempt of the command line: a number, or APP/ENV for the one there that waits. 0 after a message. */
int64_t sl_cli_find_attempt(SlCli *cli, int *ret_code);
/* One attempt in a few lines: what, state, what it waits for, who can act. */
void sl_print_attempt(SlCli *cli, const json_t *attempt, const char *now);
int sl_exit_of_state(const char *state);
bool sl_state_is_final(const char *state);

/* Signed orders (pause, resume, start-run, stop-run, renew): drafts, shows the text, signs where people must, submits. */
int sl_cli_order(SlCli *cli, json_t *args, const char *done);
/* Signs attempt @n's statement and submits it; the review was shown already. */
int sl_cli_approve(SlCli *cli, int64_t n, const json_t *attempt, bool show);
/* May the person of the context sign this attempt (is in its `who`)? */
bool sl_cli_may_sign(SlCli *cli, const json_t *attempt);
