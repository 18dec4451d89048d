/* review.h - what a person sees before signing: who asks, what changes, evidence, who signed the clusters; and the same
 * release rendered again from the person's own clone. */
#pragma once
#include "cli/cli.h"

/* Prints the review of an attempt (GET /v1/attempts/N) to stderr, renders it again where a clone is known, asks.
 * SL_EXIT_OK = go on and sign. */
int sl_review(SlCli *cli, const json_t *attempt);

/* Posts promote, rollback, redeploy or remove (args consumed); then --sign, --wait, --timeout as the user said. */
int sl_cli_attempt(SlCli *cli, const char *verb, json_t *args);

/* Options of every command that makes an attempt. */
#define SL_ATTEMPT_OPTIONS                                                                         \
    {"sign", 's', NULL, "sign it too, after showing what will change", NULL},                      \
        {"yes", 'y', NULL, "do not ask before signing", NULL},                                     \
        {"ask-only", 0, NULL, "never sign here, only ask", NULL},                                  \
        {"wait", 'w', NULL, "stay until the outcome; it is the exit code", NULL},                  \
        {"timeout", 0, "TIME", "with --wait: at most this long (90s, 15m)", NULL},                 \
        {"repository", 0, "DIR", "the clone to render the release from again before signing",      \
         "file"},                                                                                  \
    {                                                                                              \
        "no-verify", 0, NULL, "do not render it again from the own clone before signing", NULL     \
    }
