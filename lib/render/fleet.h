/* fleet.h - the documents of the fleet repository: Fleet, Repository, Environment, Application. Pure.
 *
 * Read from the YAML files at the top of the tree (`sluice.yaml`, or all *.yaml under `fleet/` when it exists; one file may hold
 * all documents); validated with every mistake at once; unknown keys are errors whose hints know Argo CD, Flux and Kargo
 * words. The typed structs below keep the JSON of each document (defaults filled), whose digest is its identity. */
#pragma once
#include "render/tree.h"
#include "render/yaml.h"

typedef struct {
    int need;     /* k of n: how many of @names; all = n, any = 1 */
    char **names; /* NULL-terminated; empty = first environment */
} SlAfter;

typedef enum { SL_MODE_MANUAL, SL_MODE_NEWEST } SlPromotionMode;

typedef struct {
    char *type;    /* "run", "approval": row of gates.def */
    json_t *config; /* the gate's own members */
    char *where;   /* "environment prod" or "application digits in prod" for people */
} SlGateDoc;

typedef struct {
    char *name;
    json_t *doc;  /* canonical document with defaults */
    char *digest;
    SlAfter after;
    GHashTable *match_labels; /* narrows the registry's clusters; may be empty */
    GPtrArray *gates;         /* of SlGateDoc* */
    SlPromotionMode mode;
    int64_t health_timeout_us; /* an attempt that is not Healthy by then is FAILED (default 10 min) */
    int64_t gate_timeout_us;   /* a wait in GATING ends EXPIRED (default 7 days) */
    char *on_external_change;  /* adopt | revert | halt (default revert; prod: halt) */
} SlEnvironmentDoc;

typedef struct {
    char **paths;             /* relative to the source's path */
    GHashTable *match_labels; /* may be empty = every cluster of the environment */
    json_t *patches;          /* array or NULL */
} SlPart;

typedef struct {
    char *env;
    GPtrArray *parts; /* of SlPart* */
    GPtrArray *gates; /* of SlGateDoc* */
} SlAppEnv;

typedef struct {
    char *name;
    char *kind;  /* "model", "dataset" or "image" */
    char *image; /* of kind image: its name without tag, as manifests write it; else NULL */
    char *job, *output; /* from: {job, output} */
    char *digest;       /* from: {digest: sha256:...}: a fixed one; else NULL */
    char *origin;       /* environment of origin, resolved; NULL for a fixed one */
} SlItemDoc;

typedef struct {
    char *name;
    json_t *doc;
    char *digest;
    char *repository;   /* name of a Repository document, or NULL = the fleet repository */
    char *revision;     /* branch or tag; NULL = the repository's branch */
    char *path;         /* "" = top */
    char *namespace_;   /* or NULL */
    GPtrArray *items;   /* of SlItemDoc* */
    GPtrArray *environments; /* of SlAppEnv*, in the documents' order */
    bool broken;        /* it has errors: its own units stand still */
} SlApplicationDoc;

typedef struct {
    char *name, *url, *branch; /* branch or NULL */
    json_t *doc;
} SlRepositoryDoc;

typedef struct {
    json_t *fleet;           /* the Fleet document: name, stateRepository, modelStore, limits */
    char *fleet_digest;
    int64_t auto_start_gpus; /* limits.autoStartGPUs, 8 */
    int64_t protect_after_us; /* limits.protectAfter, 1 h */
    GPtrArray *repositories; /* of SlRepositoryDoc* */
    GPtrArray *environments; /* of SlEnvironmentDoc*, topological order, then order in the documents */
    GPtrArray *applications; /* of SlApplicationDoc*, by name */
} SlFleetDocs;

void sl_fleet_docs_free(SlFleetDocs *docs);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlFleetDocs, sl_fleet_docs_free)
const SlEnvironmentDoc *sl_fleet_env(const SlFleetDocs *docs, const char *name);
const SlApplicationDoc *sl_fleet_app(const SlFleetDocs *docs, const char *name);
const SlAppEnv *sl_app_env(const SlApplicationDoc *app, const char *env);

/* Do the documents demand signed commits of @repository ("" = the fleet repository)? */
bool sl_fleet_signed_commits(const SlFleetDocs *docs, const char *repository);

/* True if every label in @match (char* -> char*; may be NULL) is among @labels. */
bool sl_labels_match(GHashTable *match, GHashTable *labels);
/* Environments upstream of @env, at any distance (of char*, borrowed from @docs, in the order of @docs). (transfer container) */
GPtrArray *sl_fleet_upstream(const SlFleetDocs *docs, const char *env);

/* Reads and validates everything. NULL only if the Fleet or an Environment document is broken (errors in
 * @problems): the caller then keeps the last good set. A broken Application is in the result, marked. */
SlFleetDocs *sl_fleet_read(const SlTree *tree, GPtrArray *problems);
/* For `sluice validate`: renders every application whose files are in @tree (source in the fleet repository) and adds what is wrong
 * to @problems, with two applications that write one object in an environment (RENDER_CONFLICT; portable objects have their
 * application in their identity and are left out). The brain compares finished bundles. */
void sl_fleet_check_tree(const SlFleetDocs *docs, const SlTree *tree, GPtrArray *problems);
/* As JSON for the ledger, and back (no positions): {"fleet":{..},"repositories":[..],"environments":[..],"applications":[..]} */
json_t *sl_fleet_to_json(const SlFleetDocs *docs);
SL_MUST_USE SlFleetDocs *sl_fleet_from_json(const json_t *json, GError **error);
/* JSON Schema of the documents, for editors. (transfer full) */
json_t *sl_fleet_json_schema(void);
