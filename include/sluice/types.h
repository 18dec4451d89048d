/* types.h - words that every room shares (docs/ARCHITECTURE.md, "Words"). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_API_GROUP "gitops.sluice"
#define SL_API_VERSION "gitops.sluice/v1alpha1"

/* Digests are SHA-256 as 64 lower-case hex digits; "sha256:" is written in front of them only where
 * a person or a manifest names one (model://sha256:..., statement fields). */
#define SL_HEX_DIGEST_LEN 64

/* Limits of names and sizes that come from outside. */
#define SL_NAME_MAX 63 /* DNS label: applications, environments, clusters, jobs, items */
#define SL_STATEMENT_MAX                                                                           \
    (16 * 1024) /* bytes of a statement's text; a head is at most SL_HEAD_MAX */
#define SL_HEAD_MAX 1024
#define SL_ROOT_MAX (256 * 1024)              /* bytes of a root's text */
#define SL_FILES_BYTES_MAX (16 * 1024 * 1024) /* `files: {from}`: bytes in one bundle */
#define SL_FILES_COUNT_MAX 4096
#define SL_OBJECT_MAX                                                                              \
    (1024 * 1024) /* canonical JSON of one object: the Kubernetes API's own limit */
#define SL_CHUNK_BYTES (16 * 1024 * 1024) /* model manifests hash files in chunks of this size */

typedef enum {
    SL_HEALTH_HEALTHY,
    SL_HEALTH_SUSPENDED,
    SL_HEALTH_PROGRESSING,
    SL_HEALTH_MISSING,
    SL_HEALTH_DEGRADED,
    SL_HEALTH_UNKNOWN,
    SL_N_HEALTH /* in the order "worst wins" */
} SlHealth;

typedef enum {
    SL_ACT_PROMOTE,
    SL_ACT_ROLLBACK,
    SL_ACT_REDEPLOY,
    SL_ACT_REMOVE,
    SL_ACT_BREAK_GLASS,
    SL_ACT_RENEW,
    SL_ACT_PAUSE,
    SL_ACT_RESUME,
    SL_ACT_START_RUN,
    SL_ACT_STOP_RUN,
    SL_ACT_REGISTRY,
    SL_N_ACTS
} SlAct;

typedef enum {
    SL_RUN_QUEUED,   /* waits for quota or for a person */
    SL_RUN_ADMITTED, /* may run; nothing started yet */
    SL_RUN_PENDING,  /* started, no sign of life yet */
    SL_RUN_RUNNING,
    SL_RUN_SUCCEEDED,
    SL_RUN_FAILED,
    SL_RUN_PREEMPTED, /* lost its resources, will run again */
    SL_RUN_SUSPENDED,
    SL_RUN_UNKNOWN,
    SL_N_RUN_PHASES
} SlRunPhase;
