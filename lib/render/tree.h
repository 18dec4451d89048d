/* tree.h - read-only view of a commit's tree (or a folder), and its digest. The interface is pure: Git objects, a working
 * tree and the tests' in-memory tree implement it. */
#pragma once
#include "sluice/error.h"
#include "sluice/types.h"

typedef enum {
    SL_TREE_FILE,
    SL_TREE_EXECUTABLE,
    SL_TREE_FOLDER,
    SL_TREE_SYMLINK,
    SL_TREE_GITLINK,
    SL_TREE_OTHER, /* a mode that Git does not know */
} SlTreeMode;

typedef struct {
    char *name; /* one path part, checked: no '/', "..", NUL, control character */
    SlTreeMode mode;
    uint64_t size; /* files */
} SlTreeEntry;
void sl_tree_entry_free(SlTreeEntry *entry);

typedef struct SlTree {
    void *user;
    /* Entries of a folder ("" = top) in byte order of name; NOT_FOUND if it is none. (transfer full, of SlTreeEntry*) */
    GPtrArray *(*list)(void *user, const char *path, GError **error);
    /* Content of a regular file; LIMIT if larger than @max. (transfer full) */
    GBytes *(*read)(void *user, const char *path, size_t max, GError **error);
    /* Optional: immutable id of a file or folder (Git oid) for caches; NULL = none. (transfer full) */
    char *(*id)(void *user, const char *path);
} SlTree;

/* SHA-256 over "<mode> <path>\0<size>\0<content>" of every regular file below @path in byte order of path; mode is 644 or
 * 755, path is relative to @path (a file that is @path itself counts under its own name). Symlinks,
 * gitlinks and LFS pointers inside are errors that name them. Errors: TREE_ENTRY, LFS_POINTER, LIMIT. (transfer full) */
SL_MUST_USE char *sl_tree_digest(const SlTree *tree, const char *path, GError **error);

/* In-memory tree for tests, and for `sluice new`: files by path. (free with sl_tree_memory_free) */
SlTree *sl_tree_memory_new(void);
void sl_tree_memory_put(SlTree *tree, const char *path, const char *content, SlTreeMode mode);
void sl_tree_memory_free(SlTree *tree);
