/* git_repack.h - merging the packs of a bare repository that others read and write meanwhile: only
 * what was listed before is merged, and only that is removed, after the new pack is durable. Every
 * object stays, whether a branch reaches it or not. */
#pragma once
#include <git2.h>
#include <glib.h>

typedef struct {
    size_t objects; /* in the new pack; 0 = there was nothing to do */
    unsigned packs; /* that it took the place of */
} SlRepacked;

/* Merges small packs until each is at least twice as large as all smaller ones together, and every
 * loose object with them: in its life an object is written anew about log2(packs) times. Nothing is
 * merged without room for twice the result. Returns libgit2's code. */
int sl_repack(const char *repo_dir, SlRepacked *ret);
