/* try.h - parts of `sluice try`: try_render.c finds and renders the job, try_scratch.c makes the folder, try.c runs and shows it. */
#pragma once
#include "cli/local.h"

typedef struct {
    SlLocal local;
    SlTree
        *overlay; /* working tree with made-up documents, for a manifest outside a fleet; or NULL */
    char *app, *env, *job, *run_key;
    json_t *object; /* as rendered, defaults filled, files by digest */
    SlRendered *rendered;
    GHashTable *items; /* made-up digest -> name of the item that a run would fill */
} SlTryJob;

/* The job named by the argument (APP/JOB or a manifest file) and --env, --job. False after printing what is wrong; *ret_code. */
bool sl_try_render(SlCli *cli, SlTryJob *job, int *ret_code);
void sl_try_clear(SlTryJob *job);

/* Puts --input, --secret, --gpus into the job, and says everything that is missing at once. */
SL_MUST_USE bool sl_try_complete(SlCli *cli, SlTryJob *job, json_t **ret_secrets, GError **error);
/* The scratch folder (--dir, or a new one below the cache) with try.json and blobs. (transfer full) */
SL_MUST_USE char *sl_try_scratch(SlCli *cli, const SlTryJob *job, json_t *secrets, GError **error);
