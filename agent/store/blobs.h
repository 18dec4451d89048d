/* blobs.h - what the agent fetched: bytes by SHA-256, in one folder. Checked when stored and when
 * first read after a start. Loop thread only. Never trusts a name: a file whose bytes are not its
 * digest is removed and counts as absent. */
#pragma once
#include "sluice/error.h"

#define SL_BLOB_BYTES_MAX                                                                          \
    (64 * 1024 *                                                                                   \
     1024) /* the largest thing fetched by digest: a bundle's list or one file is far below */

typedef struct SlBlobs SlBlobs;
/* @dir is made if absent. Errors: IO. */
SL_MUST_USE SlBlobs *sl_blobs_open(const char *dir, GError **error);
void sl_blobs_close(SlBlobs *blobs);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlBlobs, sl_blobs_close)

/* Borrowed until the next call; NULL if it is not there or damaged. */
GBytes *sl_blobs_get(SlBlobs *blobs, const char *digest);
bool sl_blobs_has(SlBlobs *blobs, const char *digest);
/* Errors: CORRUPT if the bytes are not @digest, IO. */
SL_MUST_USE bool sl_blobs_put(SlBlobs *blobs, const char *digest, GBytes *bytes, GError **error);

/* A fetch in parts: what arrived is kept on disk, so that it goes on where it stopped, also after a
 * restart. */
uint64_t sl_blobs_partial_size(SlBlobs *blobs, const char *digest);
/* Adds bytes that start at @offset = the partial size. Errors: CONFLICT (gap), LIMIT, IO. */
SL_MUST_USE bool sl_blobs_partial_add(SlBlobs *blobs, const char *digest, uint64_t offset,
                                      const void *bytes, size_t len, GError **error);
/* All is there: checks, moves it in place. Wrong bytes are thrown away. Errors: CORRUPT, IO. */
SL_MUST_USE bool sl_blobs_partial_finish(SlBlobs *blobs, const char *digest, GError **error);
/* Removes what is not in @keep (char* set) and is older than an hour, so that a fetch under way is
 * not hit. Number removed. */
unsigned sl_blobs_collect(SlBlobs *blobs, GHashTable *keep, int64_t now_us);
