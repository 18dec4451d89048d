/* tree_walk.h - walking a tree, for this room. Pure. */
#pragma once
#include "render/tree.h"

#define SL_TREE_DEPTH_MAX 64                     /* Git's own limit of ours (sources) */
#define SL_TREE_FILES_MAX 100000                 /* below one declared path: bounds memory of a walk */
#define SL_TREE_FILE_MAX ((size_t)32 * 1024 * 1024) /* largest object that a source fetches */

typedef struct {
    char *path; /* from the top of the tree */
    bool executable;
    uint64_t size;
} SlTreeFile;
void sl_tree_file_free(SlTreeFile *file);

/* "a" + "b" = "a/b"; "" and "." are nothing. (transfer full) */
char *sl_path_join(const char *root, const char *path);
/* Is @path @folder itself or below it? "" holds everything. */
bool sl_path_below(const char *path, const char *folder);
/* What stands at @path ("" = the top folder); name stays NULL. Errors: NOT_FOUND, TREE_ENTRY. */
SL_MUST_USE bool sl_tree_lookup(const SlTree *tree, const char *path, SlTreeEntry *ret_entry, GError **error);
/* Every regular file at or below @path in byte order of path (of SlTreeFile*). Errors: NOT_FOUND, TREE_ENTRY, LIMIT. */
SL_MUST_USE GPtrArray *sl_tree_files(const SlTree *tree, const char *path, GError **error);
/* Content; a Git LFS pointer is refused. Errors: NOT_FOUND, LFS_POINTER, LIMIT. */
SL_MUST_USE GBytes *sl_tree_read_file(const SlTree *tree, const char *path, size_t max, GError **error);
