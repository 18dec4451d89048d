/* gittree.h - a raw Git tree object: entries with checked names, modes as stored. Pure.
 *
 * A name that could leave its folder or become ".git" on some file system, one that stands twice and
 * one out of order is refused by name: no reader of the same tree may see other files than we do. */
#pragma once
#include "sluice/error.h"
#include <glib.h>

#define SL_GITTREE_ENTRIES_MAX 100000           /* of one folder */
#define SL_GITTREE_BYTES_MAX (32 * 1024 * 1024) /* largest object that a source fetches */
#define SL_GITTREE_NAME_MAX 255

typedef struct {
    char *name;
    unsigned mode; /* as stored: 0100644, 0100755, 040000, 0120000, 0160000, or anything else */
    uint8_t id[20];
} SlGitEntry;

/* Entries in Git's order (folders as if they ended in '/'). @path of the folder is for messages
 * only. Errors: SOURCE_ENTRY, CORRUPT, LIMIT. (transfer full, of SlGitEntry*) */
SL_MUST_USE GPtrArray *sl_gittree_parse(const void *bytes, size_t len, const char *path,
                                        GError **error);
