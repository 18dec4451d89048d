/* jobkind.h - a portable kind (TrainingJob, ModelServer): what it may contain and what it means.
 * Pure; both daemons and the CLI link it. Adding one: lib/core/jobkinds/<name>.c with `const
 * SlJobKindOps sl_jobkind_<name>` and a line in jobkinds.def. Reads spec only through the tree;
 * keeps no state. */
#pragma once
#include "base/json.h"

typedef struct {
    const char *kind; /* "TrainingJob" */
    bool is_run;      /* a run with an end (true), or a server that stays (false) */

    /* Required. Checks spec strictly; unknown keys are errors with a hint. Adds one message per
     * mistake to @problems as "spec.retries.user: must be 0..100" (char*). */
    void (*validate)(const json_t *object, GPtrArray *problems);
    /* Required. Fills defaults in place, so that what people sign says everything. Idempotent. */
    void (*defaults)(json_t *object);
    /* Required. Every `model://<item>` and input item that it names (char*, no duplicates). */
    void (*items)(const json_t *object, GPtrArray *ret_items);
    /* Required. GPUs that it takes in all; 0 if none. */
    int64_t (*gpus)(const json_t *object);
} SlJobKindOps;

/* NULL-terminated table made from jobkinds.def; lookup by "gitops.sluice/TrainingJob"'s Kind or
 * NULL. */
const SlJobKindOps *const *sl_jobkinds(void);
const SlJobKindOps *sl_jobkind_find(const json_t *object);
