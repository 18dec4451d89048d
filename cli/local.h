/* local.h - rendering here, without a coordinator: for validate, render, try and the review of approve. */
#pragma once
#include "cli/cli.h"
#include "render/render.h"

/* Documents of a tree; problems (of SlProblem*) are filled. */
typedef struct {
    SlTree *tree;
    SlFleetDocs *docs; /* NULL if broken */
    GPtrArray *problems;
} SlLocal;

/* The working tree of the fleet folder (--repository, or from here upwards). Errors: NO_FLEET, IO. */
SL_MUST_USE bool sl_local_open(SlCli *cli, SlLocal *ret_local, GError **error);
void sl_local_clear(SlLocal *local);

/* Clusters to render an environment for: the coordinator's if it answers, else one made-up cluster per label set that the
 * application's parts select by. (transfer full, of SlCluster*) */
GPtrArray *sl_local_clusters(SlCli *cli, const SlLocal *local, const SlApplicationDoc *app,
                             const char *env);
/* Items as a first commit has them: jobs' outputs pending, fixed ones with their digest. (transfer full, of SlItemValue*) */
GPtrArray *sl_local_items(const SlLocal *local, const SlApplicationDoc *app);
/* Two environments read the same file: what is said twice is left once. */
void sl_problems_once(GPtrArray *problems);
/* Prints problems to stderr (or adds them to JSON); returns how many are errors. */
unsigned sl_print_problems(SlCli *cli, const GPtrArray *problems);
json_t *sl_problems_to_json(const GPtrArray *problems);
