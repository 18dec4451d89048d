/* render.h - one unit of one release, for each of its clusters: objects, blobs, bundles, targets. Pure.
 *
 * Steps: renderer per part -> patches -> portable kinds validated, defaults filled -> `files: {from}` to blobs ->
 * items pinned (model://<item> -> model://sha256:..., images) or object withheld -> run key annotation ->
 * canonical JSON -> bundle per cluster -> targets map. Rendered twice by the caller's choice and compared there. */
#pragma once
#include "core/bundle.h"
#include "core/digestmap.h"
#include "core/registry.h"
#include "render/fleet.h"

/* Of `spec.kubernetes.carryImage` of the Fleet document: a name that only a mirror of the fleet's own can answer. */
#define SL_CARRY_IMAGE "registry.sluice.internal/sluice-carry:v1alpha1"

/* Value of an item of a release. */
typedef struct {
    char *name;
    char *digest;  /* 64 hex of the model manifest; NULL = pending */
    char *run_key; /* of the job that fills it; NULL if fixed */
} SlItemValue;
void sl_item_value_free(SlItemValue *value);

typedef struct {
    const SlFleetDocs *docs;
    const SlApplicationDoc *app;
    const char *env;
    const SlTree *tree;
    const GPtrArray *items;    /* of SlItemValue* */
    const GPtrArray *clusters; /* of SlCluster* (core/registry.h): the environment's, narrowed already */
} SlRenderAsk;

typedef struct {
    char *targets;             /* root of map cluster -> bundle digest */
    uint64_t target_count;
    GHashTable *target_of;     /* cluster id -> bundle digest */
    GHashTable *blobs;         /* digest -> GBytes*: bundle lists, objects, file blobs, map index and buckets */
    GHashTable *bundles;       /* bundle digest -> SlBundle* */
    GPtrArray *jobs;           /* of SlRenderedJob* */
} SlRendered;

typedef struct {
    char *name, *run_key;
    char *digest;       /* of the object */
    char *object_kind;
    bool start_auto;
    char *on_change;    /* keep | queue | replace */
    char *wait_for;     /* admitted | running | finished */
    int64_t gpus;
    GPtrArray *clusters; /* of char*: where it may be placed */
} SlRenderedJob;

void sl_rendered_free(SlRendered *rendered);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlRendered, sl_rendered_free)
/* NULL and problems if anything is wrong; an application without objects in this environment is a problem
 * (RENDER_EMPTY): an empty render prunes nothing. Two objects with one identity: RENDER_DUPLICATE. A cluster that no part
 * chooses is no target (it keeps what it has); no target at all: RENDER_NO_CLUSTER. Warnings may come with a result. */
SlRendered *sl_render_unit(const SlRenderAsk *ask, GPtrArray *problems);

/* What a commit offers for one application, before items are filled: for minting. */
typedef struct {
    char *app;
    json_t *trees;        /* {"<path>": "<tree digest>"} of every declared input path, all environments */
    char *document;       /* digest of the Application document */
    GPtrArray *items;     /* of SlItemValue*: run_key set for `from: job`, digest for fixed ones */
    GPtrArray *problems;  /* of SlProblem*: not empty = cannot be minted */
    json_t *needs;        /* {"<env>": ["<item>"...]}: items `from: job` that its objects name; an environment that is not there
                           * could not be looked at: it needs all */
} SlOffer;
void sl_offer_free(SlOffer *offer);
/* Declared inputs only; renders the items' jobs in their origin environment. (transfer full) */
SlOffer *sl_offer_make(const SlFleetDocs *docs, const SlApplicationDoc *app, const SlTree *tree);
/* Release id: SHA-256 of canonical JSON {format, application, trees, document, items: {name: digest | "pending:<run key>"}}. */
char *sl_release_id(const char *app, const json_t *trees, const char *document, const GPtrArray *items);
