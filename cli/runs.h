/* runs.h - shared by the commands about runs. */
#pragma once
#include "cli/cli.h"

extern const SlCliOption sl_run_options[]; /* --reason, --yes */
/* Arguments of an order about the run or job named on the command line: APP/ENV/JOB or a run id (prefix). NULL and *ret_code after a message. */
json_t *sl_cli_run_args(SlCli *cli, const char *act, int *ret_code);
/* A run by id, unique prefix of an id, or APP/ENV/JOB (its newest run). (transfer full) */
SL_MUST_USE json_t *sl_cli_find_run(SlCli *cli, const char *word, GError **error);
/* "70%  step 28/40  loss 0.1  accuracy 0.97" (transfer full) */
char *sl_run_progress_text(const json_t *run);
