/* kinds.h - what an API server serves: group, version and kind to the path of its objects. Pure.
 *
 * A version whose server was away when the list was made ("Stale") is unknown, never absent: nobody
 * may prune or refuse for that. */
#pragma once
#include "base/json.h"

#define SL_KUBE_KINDS_MAX 20000

typedef enum {
    SL_KUBE_GET = 1,
    SL_KUBE_LIST = 2,
    SL_KUBE_WATCH = 4,
    SL_KUBE_CREATE = 8,
    SL_KUBE_UPDATE = 16,
    SL_KUBE_PATCH = 32,
    SL_KUBE_DELETE = 64
} SlKubeVerb;

typedef struct {
    char *group, *version, *kind; /* group "" = core */
    char *plural;
    bool namespaced;
    unsigned verbs;      /* of SlKubeVerb */
    char **subresources; /* "status", "scale" ... */
} SlKubeKind;

typedef enum { SL_KUBE_ABSENT, SL_KUBE_PRESENT, SL_KUBE_UNKNOWN } SlKubeFound;

typedef struct SlKubeKinds SlKubeKinds;
SlKubeKinds *sl_kube_kinds_new(void);
void sl_kube_kinds_free(SlKubeKinds *kinds);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlKubeKinds, sl_kube_kinds_free)
/* Adds an APIGroupDiscoveryList (apidiscovery.k8s.io v2 or v2beta1). What the list says to be stale
 * is taken from @before (nullable), where it was known. Errors: KUBE_DISCOVERY, KUBE_ANSWER, LIMIT. */
SL_MUST_USE bool sl_kube_kinds_add(SlKubeKinds *kinds, const json_t *list,
                                   const SlKubeKinds *before, GError **error);
/* PRESENT sets @ret_kind (borrowed while the table lives). @version NULL = any that is served. */
SlKubeFound sl_kube_kinds_find(const SlKubeKinds *kinds, const char *group, const char *version,
                               const char *kind, const SlKubeKind **ret_kind);
unsigned sl_kube_kinds_count(const SlKubeKinds *kinds);
bool sl_kube_kind_has(const SlKubeKind *kind, const char *subresource);
/* "/apis/apps/v1/namespaces/team/deployments/web/status"; @namespace_ is left out for what has none,
 * and NULL means all; @name and @subresource may be NULL. Errors: KUBE_PATH. (transfer full) */
SL_MUST_USE char *sl_kube_path(const SlKubeKind *kind, const char *namespace_, const char *name,
                               const char *subresource, GError **error);
