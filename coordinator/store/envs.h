/* envs.h - the branches sluice/env/<env> of the state repository: what runs there, readable, and
 * enough to rebuild every bundle.
 *
 *   manifests/<app>/<cluster or all>/<Kind>[.<group>][_<namespace>]_<name>.yaml
 *                                             `all`: every target has the same bundle
 *   files/<sha256>                            blobs of all bundles
 *   .sluice/bundles/<app>/<cluster or all>    bundle list text
 *   .sluice/provenance/<app>.json
 *
 * Commits are deterministic: same units, parent, time, same commit. What is written is read back
 * and compared before going on. Used by one thread at a time (that of the store it is given). */
#pragma once
#include "coordinator/brain/coord.h"
#include "coordinator/store/gitstore.h"

typedef struct {
    const char *env;
    const char *old;        /* commit that the new one follows; NULL = first */
    const GPtrArray *units; /* of SlEnvUnit* */
    const char *message;
    int64_t time_us;
    GBytes *(*get)(const char *digest, void *user); /* (transfer full); NULL = not there */
    void *user;
} SlEnvWrite;

/* Makes the objects of the next commit; the branch does not move. They are held: durable with the
 * store's next flush, which is the one that says COMMITTED, or an earlier one. Errors:
 * BLOB_MISSING, ENV_READ_BACK, ENV_WRITE, NOT_FOUND (rollback to a commit without the folder).
 * (transfer full) */
SL_MUST_USE char *sl_envs_write(SlGitStore *store, const SlEnvWrite *ask, GError **error);
/* Keeps @commit under the staging ref of @env (push.h) until the next one. Errors: STORAGE_FULL, IO,
 * ENV_WRITE. */
SL_MUST_USE bool sl_envs_stage(SlGitStore *store, const char *env, const char *commit,
                               GError **error);
/* Forgets what is staged for environments other than @kept (NULL-terminated): every push names all
 * that is staged, and has a limit. Errors: ENV_WRITE. */
SL_MUST_USE bool sl_envs_unstage(SlGitStore *store, const char *const *kept, GError **error);
/* Moves the branch from @old (NULL: none) to @to; nothing if it is there or beyond. Errors:
 * ENV_TIP, IO. */
SL_MUST_USE bool sl_envs_move(SlGitStore *store, const char *env, const char *old, const char *to,
                              GError **error);
/* Where the branch is, NULL if there is none. (transfer full) Errors: IO, then nobody knows. */
SL_MUST_USE bool sl_envs_tip(SlGitStore *store, const char *env, char **ret_tip, GError **error);
bool sl_envs_descends(SlGitStore *store, const char *tip, const char *from);
/* Rebuilds the bytes of a digest (object, file or bundle list) from the branches, tips first. NULL
 * if no branch has them. (transfer full) */
GBytes *sl_envs_find(SlGitStore *store, const char *digest);
char *sl_envs_file_name(const char *kind, const char *ns, const char *name); /* (transfer full) */
