/* discovery.c - fetches /api and /apis (aggregated discovery) and keeps both answers' tables, each
 * with its ETag. A table is replaced whole, and only by a good one. */
#include "kube/discovery.h"

#define ACCEPT                                                                                     \
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"                        \
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"

static const char *const paths[] = {"/api", "/apis"};
#define N_PATHS G_N_ELEMENTS(paths)

typedef struct {
    void (*done)(const GError *error, void *user);
    void *user;
} Waiter;

struct SlKubeDiscovery {
    SlKube *kube;
    SlKubeKinds *kinds[N_PATHS]; /* NULL before the first fetch */
    char *etags[N_PATHS];
    GArray *waiters, *later; /* of Waiter: of the fetch under way; of the one after it */
    size_t at;               /* path under way */
    SlKubeCall *call;        /* NULL = no fetch under way */
    bool saying, freed;      /* the last waiter may free what is being said */
};

static void ask(SlKubeDiscovery *discovery);

static void begin(SlKubeDiscovery *discovery)
{
    g_autoptr(GArray) none = discovery->waiters;
    discovery->waiters = discovery->later;
    discovery->later = g_array_set_size(g_steal_pointer(&none), 0);
    discovery->at = 0;
    ask(discovery);
}

static void destroy(SlKubeDiscovery *discovery)
{
    for (size_t i = 0; i < N_PATHS; i++) {
        sl_kube_kinds_free(discovery->kinds[i]);
        g_free(discovery->etags[i]);
    }
    g_array_unref(discovery->waiters);
    g_array_unref(discovery->later);
    g_free(discovery);
}

static void end(SlKubeDiscovery *discovery, const GError *error)
{
    g_autoptr(GArray) waiters = discovery->waiters;
    discovery->waiters = g_array_new(FALSE, FALSE, sizeof(Waiter));
    if (discovery->later->len > 0) {
        begin(discovery);
    }
    discovery->saying = true;
    for (guint i = 0; i < waiters->len && !discovery->freed; i++) {
        Waiter *waiter = &g_array_index(waiters, Waiter, i);
        waiter->done(error, waiter->user);
    }
    discovery->saying = false;
    if (discovery->freed) {
        destroy(discovery);
    }
}

/* Takes the answer as the table of the path under way. */
static bool take(SlKubeDiscovery *discovery, const SlKubeAnswer *answer, GError **error)
{
    size_t at = discovery->at;
    if (answer->status == 304) {
        return true;
    }
    g_autoptr(SlKubeKinds) kinds = sl_kube_kinds_new();
    if (!sl_kube_kinds_add(kinds, answer->json, discovery->kinds[at], error)) {
        return sl_prefix(error, "GET %s", paths[at]);
    }
    sl_kube_kinds_free(discovery->kinds[at]);
    discovery->kinds[at] = g_steal_pointer(&kinds);
    g_free(discovery->etags[at]);
    discovery->etags[at] = g_strdup(answer->etag);
    return true;
}

static void on_answer(const SlKubeAnswer *answer, const GError *error, void *user)
{
    SlKubeDiscovery *discovery = user;
    discovery->call = NULL;
    g_autoptr(GError) wrong = NULL;
    if (error == NULL && !take(discovery, answer, &wrong)) {
        error = wrong;
    }
    if (error != NULL || ++discovery->at == N_PATHS) {
        end(discovery, error);
    } else {
        ask(discovery);
    }
}

static void ask(SlKubeDiscovery *discovery)
{
    SlKubeRequest request = {.method = "GET",
                             .path = paths[discovery->at],
                             .accept = ACCEPT,
                             .if_none_match = discovery->etags[discovery->at]};
    discovery->call = sl_kube_send(discovery->kube, &request, on_answer, discovery);
}

SlKubeDiscovery *sl_kube_discovery_new(SlKube *kube)
{
    SlKubeDiscovery *discovery = g_new0(SlKubeDiscovery, 1);
    discovery->kube = kube;
    discovery->waiters = g_array_new(FALSE, FALSE, sizeof(Waiter));
    discovery->later = g_array_new(FALSE, FALSE, sizeof(Waiter));
    return discovery;
}

void sl_kube_discovery_free(SlKubeDiscovery *discovery)
{
    if (discovery == NULL) {
        return;
    }
    sl_kube_cancel(discovery->call);
    discovery->call = NULL;
    discovery->freed = true;
    if (!discovery->saying) {
        destroy(discovery);
    }
}

void sl_kube_discovery_refresh(SlKubeDiscovery *discovery,
                               void (*done)(const GError *error, void *user), void *user)
{
    Waiter waiter = {.done = done, .user = user};
    g_array_append_val(discovery->later, waiter);
    if (discovery->call == NULL) {
        begin(discovery);
    }
}

SlKubeFound sl_kube_discovery_find(const SlKubeDiscovery *discovery, const char *group,
                                   const char *version, const char *kind,
                                   const SlKubeKind **ret_kind)
{
    const SlKubeKinds *kinds = discovery->kinds[group[0] == '\0' ? 0 : 1];
    return kinds != NULL ? sl_kube_kinds_find(kinds, group, version, kind, ret_kind)
                         : SL_KUBE_UNKNOWN;
}
