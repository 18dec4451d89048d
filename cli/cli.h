/* cli.h - what every command of `sluice` gets: its parsed options, the fleet it talks to, and ways to print.
 *
 * A command is one file cli/cmd/<name>.c with `const SlCommand sl_cmd_<name>` and a line in cmds.def. Its option table makes the
 * parser, --help, the man page and shell completion. Commands print results to stdout, notes and errors to stderr, and
 * return an exit code of sluice(1): 0 done, 1 the answer is no (attempt failed, problems found), 2 wrong usage, others by
 * class of error. Text from the coordinator is escaped before it reaches a terminal. */
#pragma once
#include "base/json.h"
#include "runtime/http.h"
#include <stdio.h>

typedef struct {
    const char *name; /* "release": --release */
    char letter;      /* 'r' or 0 */
    const char *arg;  /* "ID", or NULL for a flag */
    const char *help;
    const char
        *complete; /* completion of arg: "app", "env", "cluster", "file", "release", or NULL */
} SlCliOption;

typedef struct SlCli SlCli;

typedef struct {
    const char *name;           /* "promote"; two words for a subcommand: "cluster add" */
    const char *group;          /* heading in `sluice help`: "Look", "Promote", "Set up", ... */
    const char *synopsis;       /* "APP --to ENV" */
    const char *summary;        /* one line, no full stop */
    const char *description;    /* paragraphs for help and man page */
    const SlCliOption *options; /* ends with {0}; may be NULL */
    int args_min, args_max;
    const char *complete; /* completion of the arguments: "app", "env", ... or NULL */
    int (*run)(SlCli *cli);
} SlCommand;

enum {
    SL_EXIT_OK = 0,
    SL_EXIT_NO = 1, /* the answer is no: attempt failed, problems found, difference found */
    SL_EXIT_USAGE = 2,
    /* 3..12: class of the error, sl_error_exit_code() */
    SL_EXIT_REJECTED = 20,   /* promote --wait: a gate or a person said no */
    SL_EXIT_SUPERSEDED = 21, /* ... another request took its place, or it was aborted */
    SL_EXIT_EXPIRED = 22,
    SL_EXIT_WAITING = 23, /* ... the time given was over and it still waits */
};

const SlCommand *const *sl_commands(void); /* NULL-terminated, from cmds.def */

/* ---- options and arguments ---- */
const char *sl_cli_arg(const SlCli *cli, int n); /* NULL if absent */
int sl_cli_arg_count(const SlCli *cli);
const char *const *sl_cli_args(const SlCli *cli);
const char *sl_cli_option(const SlCli *cli, const char *name); /* last value, NULL if absent */
const char *const *sl_cli_option_all(const SlCli *cli,
                                     const char *name); /* NULL-terminated, never NULL */
bool sl_cli_flag(const SlCli *cli, const char *name);
bool sl_cli_json(const SlCli *cli); /* -o json */
/* Usage mistake: prints it with the synopsis; returns SL_EXIT_USAGE. */
int sl_cli_usage(SlCli *cli, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Prints an error with code and advice; returns the exit code of its class. */
int sl_cli_fail(SlCli *cli, const GError *error);

/* ---- the fleet: context.c ---- */
typedef struct {
    char *name;   /* of the fleet */
    char *socket; /* coordinator's Unix socket, or NULL */
    char *url;    /* or "http://host:port" with token */
    char *token_file;
    char *person;     /* who we are, for signing */
    char *key;        /* private key file, or NULL = ssh-agent */
    char *repository; /* clone of the fleet repository, or NULL */
    char *state;      /* the coordinator's folder if it is on this machine, or NULL */
} SlContext;
void sl_context_free(SlContext *context);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlContext, sl_context_free)
/* --fleet NAME, $SLUICE_FLEET, or "current" of ~/.config/sluice/config.json ($XDG_CONFIG_HOME); --socket, --url, --token-file override.
 * Borrowed. Errors: NO_CONTEXT with what to do. */
SL_MUST_USE const SlContext *sl_cli_context(SlCli *cli, GError **error);
/* modelStore of the coordinator whose folder is on this machine; NULL elsewhere. (transfer full) */
char *sl_context_model_store(const SlContext *context);
/* Adds or replaces a fleet and makes it current. */
SL_MUST_USE bool sl_context_save(const SlContext *context, GError **error);
char *sl_config_dir(void); /* ~/.config/sluice (transfer full) */

/* ---- the coordinator's API: api.c ---- */
/* @query: NULL-terminated name, value pairs; NULL values are left out. Errors come with the coordinator's code. */
SL_MUST_USE json_t *sl_api_get(SlCli *cli, const char *path, const char *const *query,
                               GError **error);
SL_MUST_USE GBytes *sl_api_get_bytes(SlCli *cli, const char *path, const char *const *query,
                                     GError **error);
/* POST /v1/actions/<verb> with {"args": args} (args consumed). */
SL_MUST_USE json_t *sl_api_act(SlCli *cli, const char *verb, json_t *args, GError **error);

/* ---- printing: output.c ---- */
void sl_print_json(SlCli *cli, const json_t *value); /* indented, sorted keys, for -o json */
typedef struct SlTable SlTable;
SlTable *sl_table_new(const char *first_heading, ...) G_GNUC_NULL_TERMINATED;
void sl_table_row(SlTable *table, const char *first_cell,
                  ...) G_GNUC_NULL_TERMINATED; /* cells are escaped; "" for empty */
void sl_table_print(SlTable *table, SlCli *cli,
                    FILE *out); /* and frees; long last columns wrap at the terminal's width */
/* Word with its colour (green Healthy Succeeded, yellow Progressing, red Failed ...) when colours are on. (transfer full) */
char *sl_colour_state(SlCli *cli, const char *state);
bool sl_cli_colour(const SlCli *cli); /* a terminal, no NO_COLOR, no --no-color */
void sl_say(SlCli *cli, const char *format, ...)
    G_GNUC_PRINTF(2, 3); /* line to stdout; control characters in it are escaped */
void sl_print_exact(
    const char *text); /* the very bytes into a pipe or file; escaped on a terminal */
char *sl_when(
    const char
        *time_text); /* for people: without fractions of a second; "-" for none (transfer full) */
char *sl_since(const char *time_text, const char *now_text); /* "3m" (transfer full) */
const char *sl_short(const char *digest); /* first 10 digits; static ring of buffers */
/* --watch: runs @show again each second on a cleared screen until interrupted; else once. Returns show's code. */
int sl_cli_watch(SlCli *cli, int (*show)(SlCli *cli, void *user), void *user);
int64_t sl_cli_now_us(void);

/* ---- signing: sign.c ---- */
/* Signs @text as @namespace_ with the context's key file or ssh-agent. Errors: NO_KEY, KEY_RIGHTS, SIGN. (transfer full) */
SL_MUST_USE char *sl_cli_sign(SlCli *cli, GBytes *text, const char *namespace_, GError **error);
/* Public key line that sl_cli_sign would use. (transfer full) */
SL_MUST_USE char *sl_cli_public_key(SlCli *cli, GError **error);
/* Asks "… [y/N]" on the terminal; true with --yes; false (and says why) when there is no terminal. */
bool sl_cli_confirm(SlCli *cli, const char *question);
