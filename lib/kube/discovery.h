/* discovery.h - the table of kinds of one API server, fetched when it is asked for. */
#pragma once
#include "kube/client.h"
#include "kube/kinds.h"

typedef struct SlKubeDiscovery SlKubeDiscovery;
SlKubeDiscovery *sl_kube_discovery_new(SlKube *kube);
void sl_kube_discovery_free(SlKubeDiscovery *discovery); /* before the client */
/* @done once, after a fetch that began after this call. An error leaves the table as it was. Two
 * small requests if nothing changed (ETag). */
void sl_kube_discovery_refresh(SlKubeDiscovery *discovery,
                               void (*done)(const GError *error, void *user), void *user);
/* As sl_kube_kinds_find; UNKNOWN before the first fetch. @ret_kind is borrowed until the next turn of the loop. */
SlKubeFound sl_kube_discovery_find(const SlKubeDiscovery *discovery, const char *group,
                                   const char *version, const char *kind,
                                   const SlKubeKind **ret_kind);
