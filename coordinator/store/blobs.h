/* blobs.h - cache of bytes by SHA-256 on disk: bundle lists, objects, files, map parts. Deleting it
 * loses nothing: what is published is in the branches (envs.h). Every read checks the digest; a
 * damaged file is removed and reads as absent. Any thread. */
#pragma once
#include "sluice/error.h"

#define SL_BLOBS_BYTES_MAX (INT64_C(2) << 30) /* of one coordinator */

typedef struct SlBlobs SlBlobs;
/* Errors: IO, STATE_READ_ONLY. */
SL_MUST_USE SlBlobs *sl_blobs_new(const char *dir, GError **error);
void sl_blobs_free(SlBlobs *blobs);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlBlobs, sl_blobs_free)
GBytes *sl_blobs_get(SlBlobs *blobs,
                     const char *digest); /* NULL if absent or damaged. (transfer full) */
/* Errors: CORRUPT if @bytes are not those of @digest, IO. */
SL_MUST_USE bool sl_blobs_put(SlBlobs *blobs, const char *digest, GBytes *bytes, GError **error);
/* All of a table digest -> GBytes*. */
SL_MUST_USE bool sl_blobs_put_all(SlBlobs *blobs, GHashTable *table, GError **error);
/* Removes the oldest above @bytes_max, now and from then on whenever a sixteenth of it was written. */
void sl_blobs_trim(SlBlobs *blobs, int64_t bytes_max);
