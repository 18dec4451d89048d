/* tree.h - a commit's tree as SlTree, read from the object database of a repository (bare or not),
 * never a checkout. */
#pragma once
#include "render/tree.h"

/* @commit: 40 hex. The tree owns its handle and belongs to one thread. Errors: SOURCE_COMMIT,
 * SOURCE_OWNER, IO. */
SL_MUST_USE SlTree *sl_git_tree_open(const char *repository, const char *commit, GError **error);
void sl_git_tree_free(SlTree *tree);
