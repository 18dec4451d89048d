/* list.h - commands that show one list of the coordinator as a table: history, jobs, releases, clusters. */
#pragma once
#include "cli/cli.h"

#define SL_LIST_QUERY_MAX 4 /* names of one request */

typedef struct {
    const char *path, *member; /* "/v1/runs", "runs" */
    /* What the request may say: "app" and "env" (of the argument APP or APP/ENV, or --env), the flag
     * "active", other options by name. Ends with NULL. */
    const char *query[SL_LIST_QUERY_MAX + 1];
    SlTable *(*table)(void); /* the headings */
    void (*row)(SlCli *cli, SlTable *table, const json_t *each, const char *now);
    void (*after)(SlCli *cli, const json_t *answer); /* what stands below the table; may be NULL */
} SlCliList;

/* Asks and prints, each second with --watch; the exit code. */
int sl_cli_list(SlCli *cli, const SlCliList *list);
