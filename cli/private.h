/* private.h - the inside of SlCli, for the files of cli/ only (commands use cli.h). */
#pragma once
#include "cli/cli.h"

struct SlCli {
    const SlCommand *command;
    GPtrArray *args;     /* of char*, NULL-terminated */
    GHashTable *options; /* char* -> GPtrArray of char*, each NULL-terminated */
    SlContext *context;
    bool json, colour;
    int width; /* of the terminal; 0 = none */
};

/* Options that every command has. */
extern const SlCliOption sl_common_options[];

/* options.c: finds the command and parses. NULL and *ret_code set if there is nothing to run. */
SlCli *sl_cli_parse(int argc, char **argv, int *ret_code);
void sl_cli_free(SlCli *cli);
/* help.c */
void sl_help_overview(FILE *out);
void sl_help_command(const SlCommand *command, FILE *out);
char *sl_help_man(const SlCommand *command); /* roff; NULL = sluice(1) itself */
char *sl_help_completion(const char *shell); /* NULL if unknown */
