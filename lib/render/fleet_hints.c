/* fleet_hints.c - words of Argo CD, Flux, Kargo and kustomize, and what they are called here. Only for messages. */
#include "render/fleet_schema.h"
#include <string.h>

typedef struct {
    const char *word, *hint;
} Hint;

static const Hint hints[] = {
    {"targetRevision", "Argo CD's targetRevision is `revision` here"},
    {"branch", "inside `source` a branch or tag is `revision`"},
    {"ref", "Flux's ref is `revision` here: a branch or tag by name"},
    {"sourceRef", "Flux's sourceRef is `source: {repository: NAME, path: ...}` here"},
    {"repoUrl", "write the URL into a Repository document, and name it as `repository`"},
    {"repoURL", "write the URL as `url` into a Repository document, and name it as `source.repository`"},
    {"sources", "an application has one `source`; other inputs are `items`"},
    {"destination", "Argo CD's destination is `environments: {dev: {parts: ...}}` and `namespace` here"},
    {"server", "clusters are chosen by their labels: `clusters: {matchLabels: ...}`"},
    {"project", "there are no projects: roles of the root say who may promote what"},
    {"syncPolicy", "there is no syncPolicy: agents always repair drift, and an Environment says `promotion: manual` or `newest`"},
    {"automated", "an Environment says `promotion: newest`"},
    {"selfHeal", "drift is always repaired; leave it out"},
    {"prune", "pruning is always on, with a guard at 30 %; keep one object with the annotation gitops.sluice/prune: \"false\""},
    {"ignoreDifferences", "fields that you do not write are never compared; leave it out"},
    {"syncOptions", "leave it out; order is the annotation gitops.sluice/wave"},
    {"dependsOn", "order between environments is `after`; inside one it is the annotation gitops.sluice/wave"},
    {"interval", "sources are polled by the coordinator; `sluice refresh` asks at once"},
    {"suspend", "`sluice pause` and `sluice pin` do this, signed; leave it out"},
    {"targetNamespace", "Flux's targetNamespace is `namespace` here"},
    {"wait", "promotions always wait for health; the limit is the Environment's `healthTimeout`"},
    {"timeout", "the Environment's limits are `healthTimeout` and `gateTimeout`"},
    {"postBuild", "there is no substitution: use `patches` of a part"},
    {"kustomize", "write `patches` of a part; files of kustomize itself are not read"},
    {"helm", "charts are not supported by this version: commit the rendered YAML"},
    {"chart", "charts are not supported by this version: commit the rendered YAML"},
    {"values", "there are no values: write `patches` of a part"},
    {"overlays", "an overlay is a part of an environment: `environments: {prod: {parts: [{paths: ..., patches: ...}]}}`"},
    {"resources", "the files of a part are its `paths`"},
    {"requestedFreight", "Kargo's requestedFreight is `after` of an Environment here"},
    {"promotionTemplate", "there are no promotion steps to write: environments say what differs in `parts`"},
    {"promotionPolicies", "write `promotion: newest` or `manual` into the Environment"},
    {"autoPromotionEnabled", "write `promotion: newest` into the Environment"},
    {"autoPromotion", "write `promotion: newest` into the Environment"},
    {"verification", "checks after a promotion are gates of the next environment: `gates: [{run: ...}]`"},
    {"analysisTemplates", "use a gate: `gates: [{run: {job: ..., require: [...]}}]`"},
    {"subscriptions", "inputs are `source` and `items`"},
    {"warehouse", "inputs are `source` and `items` of an Application"},
    {"stages", "stages are Environment documents"},
    {"stage", "a stage is an Environment document"},
    {"approvals", "write a gate: `gates: [{approval: {}}]`"},
    {"approval", "write a gate: `gates: [{approval: {}}]`"},
    {"healthChecks", "health is judged from every object; leave it out"},
    {"clusterSelector", "write `clusters: {matchLabels: {...}}`"},
    {"matchExpressions", "only matchLabels is supported"},
    {"selector", "write `clusters: {matchLabels: {...}}`"},
    {"generators", "write one Application with several `environments` and `clusters: {matchLabels: ...}`"},
    {"template", "write one Application with several `environments` and `clusters: {matchLabels: ...}`"},
    {"name", "names stand in `metadata.name`"},
    {"namespace", "the namespace of the objects is the Application's `spec.namespace`"},
    {NULL, NULL},
};

const char *sl_fleet_hint(const char *path, const char *key)
{
    if (!*path && g_str_equal(key, "spec"))
        return NULL;
    for (const Hint *hint = hints; hint->word; hint++)
        if (g_str_equal(hint->word, key))
            return hint->hint;
    return NULL;
}

const char *sl_fleet_kind_hint(const char *api_version, const char *kind)
{
    if (api_version && g_str_has_prefix(api_version, "argoproj.io/"))
        return "this is a document of Argo CD; `sluice new` writes one for Sluice";
    if (api_version && strstr(api_version, "toolkit.fluxcd.io/"))
        return "this is a document of Flux; `sluice new` writes one for Sluice";
    if (api_version && g_str_has_prefix(api_version, "kargo.akuity.io/"))
        return "this is a document of Kargo: a Stage is an Environment, a Warehouse is an Application's source and items";
    if (kind && (g_str_equal(kind, "TrainingJob") || g_str_equal(kind, "ModelServer")))
        return "portable objects lie below a path of an Application's part, not among the fleet documents";
    return NULL;
}
