/* kin.c - which objects of a set belong together: Pods to what made them, Workloads to their jobs, and what other objects tell about
 * classes. Built once for a set; each object then costs a look-up. */
#include "core/health/case.h"
#include <string.h>

#define GENERATIONS_MAX 4 /* Pod, ReplicaSet, Deployment; Pod, Job, JobSet, TrainJob */

struct SlHealthKin {
    GHashTable *owner_of;  /* uid -> uid of its first owner; both borrowed from the objects */
    GHashTable *pods_of;   /* uid -> json_t array */
    GHashTable *workloads; /* uid -> Workload */
    GHashTable *filled;    /* ingress classes that write addresses */
    GHashTable *lazy;      /* storage classes that bind at the first Pod */
    GHashTable *used;      /* "namespace/claim" that a Pod names */
    json_t *objects;
};

static const char *uid_of(const json_t *object)
{
    return sl_json_str(object, "metadata.uid");
}

static void add_pod(GHashTable *pods_of, const char *uid, json_t *pod)
{
    json_t *pods = g_hash_table_lookup(pods_of, uid);
    if (pods == NULL) {
        pods = json_array();
        g_hash_table_insert(pods_of, (gpointer)(uintptr_t)uid, pods);
    }
    if (json_array_size(pods) < SL_HEALTH_PODS_MAX) {
        json_array_append(pods, pod);
    }
}

static char *claim_key(const json_t *object, const char *name)
{
    return g_strdup_printf("%s/%s", sl_json_str_or(object, "metadata.namespace", ""), name);
}

static void note_claims(SlHealthKin *kin, const json_t *pod)
{
    size_t i = 0;
    json_t *volume = NULL;
    json_array_foreach (sl_json_at(pod, "spec.volumes"), i, volume) {
        const char *name = sl_json_str(volume, "persistentVolumeClaim.claimName");
        if (name != NULL) {
            g_hash_table_add(kin->used, claim_key(pod, name));
        }
    }
}

static const char *first_owner(const json_t *object)
{
    return sl_json_str(json_array_get(sl_json_at(object, "metadata.ownerReferences"), 0), "uid");
}

static void note(SlHealthKin *kin, json_t *object)
{
    const char *kind = sl_json_str_or(object, "kind", "");
    const char *uid = uid_of(object);
    const char *owner = first_owner(object);
    if (uid != NULL && owner != NULL) {
        g_hash_table_insert(kin->owner_of, (gpointer)(uintptr_t)uid, (gpointer)(uintptr_t)owner);
    }
    if (strcmp(kind, "Workload") == 0 && owner != NULL) {
        g_hash_table_insert(kin->workloads, (gpointer)(uintptr_t)owner, object);
    } else if (strcmp(kind, "Ingress") == 0 &&
               json_array_size(sl_json_at(object, "status.loadBalancer.ingress")) > 0) {
        g_hash_table_add(kin->filled,
                         g_strdup(sl_json_str_or(object, "spec.ingressClassName", "")));
    } else if (strcmp(kind, "StorageClass") == 0 &&
               strcmp(sl_json_str_or(object, "volumeBindingMode", ""), "WaitForFirstConsumer") ==
                   0) {
        g_hash_table_add(kin->lazy, g_strdup(sl_json_str_or(object, "metadata.name", "")));
    } else if (strcmp(kind, "Pod") == 0) {
        note_claims(kin, object);
    }
}

SlHealthKin *sl_health_kin_new(const json_t *objects)
{
    SlHealthKin *kin = g_new0(SlHealthKin, 1);
    size_t i = 0;
    json_t *each = NULL;
    kin->owner_of = g_hash_table_new(g_str_hash, g_str_equal);
    kin->pods_of =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)json_decref);
    kin->workloads = g_hash_table_new(g_str_hash, g_str_equal);
    kin->filled = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    kin->lazy = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    kin->used = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    kin->objects = json_incref((json_t *)(uintptr_t)objects);
    json_array_foreach (kin->objects, i, each) {
        note(kin, each);
    }
    json_array_foreach (kin->objects, i, each) {
        const char *owner = first_owner(each);
        if (strcmp(sl_json_str_or(each, "kind", ""), "Pod") != 0) {
            continue;
        }
        for (int n = 0; owner != NULL && n < GENERATIONS_MAX; n++) {
            add_pod(kin->pods_of, owner, each);
            owner = g_hash_table_lookup(kin->owner_of, owner);
        }
    }
    return kin;
}

void sl_health_kin_free(SlHealthKin *kin)
{
    if (kin == NULL) {
        return;
    }
    g_hash_table_unref(kin->owner_of);
    g_hash_table_unref(kin->pods_of);
    g_hash_table_unref(kin->workloads);
    g_hash_table_unref(kin->filled);
    g_hash_table_unref(kin->lazy);
    g_hash_table_unref(kin->used);
    json_decref(kin->objects);
    g_free(kin);
}

void sl_health_kin_context(const SlHealthKin *kin, const json_t *object, SlHealthContext *context)
{
    const char *uid = uid_of(object);
    const char *name = sl_json_str_or(object, "metadata.name", "");
    g_autofree char *claim = claim_key(object, name);
    context->pods = uid != NULL ? g_hash_table_lookup(kin->pods_of, uid) : NULL;
    context->workload = uid != NULL ? g_hash_table_lookup(kin->workloads, uid) : NULL;
    context->ingress_filled =
        g_hash_table_contains(kin->filled, sl_json_str_or(object, "spec.ingressClassName", ""));
    context->waits_for_pod =
        g_hash_table_contains(kin->lazy, sl_json_str_or(object, "spec.storageClassName", "")) &&
        !g_hash_table_contains(kin->used, claim);
}
