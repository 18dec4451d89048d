/* registry.h - the clusters of one environment: statement (kind registry) over a digest map. Pure.
 *
 *   fleet, environment, version, count, clusters: <map root>
 * Entry: `<cluster> name=<n> engine=<e> sign=<base64 of ssh key blob> curve=<64 hex>
 * labels=<k=v,...|->` */
#pragma once
#include "core/digestmap.h"
#include "core/statement.h"

typedef struct {
    char *fleet, *env;
    uint64_t version;
    uint64_t count;
    char *clusters; /* map root */
} SlRegistry;

typedef struct {
    char *id, *name, *engine;
    SlPublicKey *sign;  /* agent's signing key */
    char *curve;        /* CURVE public key, 64 hex */
    GHashTable *labels; /* char* -> char*; "engine" and "cluster" are always there */
} SlCluster;

SL_MUST_USE SlRegistry *sl_registry_parse(GBytes *text, GError **error);
SL_MUST_USE GBytes *sl_registry_format(const SlRegistry *registry, GError **error);
void sl_registry_free(SlRegistry *registry);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlRegistry, sl_registry_free)

/* May a person give a cluster this label? (`engine` and `cluster` are built in.) Errors: REGISTRY_ENTRY. */
SL_MUST_USE bool sl_cluster_label_check(const char *key, const char *value, GError **error);
SL_MUST_USE SlCluster *sl_cluster_parse(const char *id, const char *values, GError **error);
char *sl_cluster_format(const SlCluster *cluster); /* the entry's values. (transfer full) */
SlCluster *sl_cluster_copy(const SlCluster *cluster);
void sl_cluster_free(SlCluster *cluster);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlCluster, sl_cluster_free)
