/* gitodb.h - the object database behind a store: memory above packs above loose objects, without
 * libgit2's look through the folder of packs at every object that is not there (which is every new
 * one). Private to store/. */
#pragma once
#include "git/gitutil.h"
#include <git2/sys/odb_backend.h>

typedef struct {
    git_odb_backend *memory; /* a mempack; borrowed, the repository owns all */
    git_odb_backend *gate;
} SlGitOdb;

/* Gives @repo, with its objects in the folder @objects, such a database. Errors: IO. */
SL_MUST_USE bool sl_git_odb_use(SlGitOdb *odb, git_repository *repo, const char *objects,
                                GError **error);
/* Sees a pack that was just written. */
SL_MUST_USE bool sl_git_odb_refresh(SlGitOdb *odb);
