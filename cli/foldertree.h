/* foldertree.h - a working tree as SlTree: what `validate`, `render` and `try` read. */
#pragma once
#include "render/tree.h"

/* @folder: absolute or relative; `.git` is left out, symlinks are reported as such and never followed.
 * Errors: NOT_FOUND, IO. Free with sl_folder_tree_free. */
SL_MUST_USE SlTree *sl_folder_tree_new(const char *folder, GError **error);
void sl_folder_tree_free(SlTree *tree);
/* The folder that holds sluice.yaml (or fleet/), from @start upwards. Errors: NOT_FOUND with what to do. (transfer full) */
SL_MUST_USE char *sl_find_fleet_folder(const char *start, GError **error);
