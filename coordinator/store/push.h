/* push.h - the state repository's branches to its remote, by sluice-git. Blocking: work-queue
 * threads. Fast-forward only, so a second coordinator or a restored state is noticed, never
 * overwritten. */
#pragma once
#include "sluice/error.h"

/* Refs of one push: the ledger, SL_ROOT_ENVIRONMENTS_MAX environments and what is staged for each
 * fit; also sluice-git's. */
#define SL_PUSH_REFS_MAX 192
/* The next commit of an environment before it is COMMITTED; at the remote it is the branch
 * sluice/staging/<env>, so that the ledger there never names a commit that is not there. */
#define SL_PUSH_STAGED "refs/sluice/staging/"

typedef struct {
    const char *git_path, *repo, *url;
    const char *ca_file, *credential_file; /* or NULL */
    /* full names, NULL-terminated, at most SL_PUSH_REFS_MAX */
    const char *const *refs;
    int64_t timeout_us;
    int stop_fd; /* readable: given up; 0 = none */
} SlPush;
/* Errors: PUSH_FAILED (again later), PUSH_REWOUND. */
SL_MUST_USE bool sl_push_state(const SlPush *push, GError **error);
/* Names of all branches of the state repository and of what is staged. Errors: PUSH_FAILED, also if
 * there are too many. (transfer full, NULL-terminated) */
SL_MUST_USE char **sl_push_refs(const char *repo, GError **error);
