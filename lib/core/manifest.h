/* manifest.h - canonical manifest of a folder of files: the identity of models and outputs. Pure.
 *
 *   format: 1
 *   file <mode 644|755> <size> <path>       per path in byte order
 *   chunk <sha256>                          ... of each SL_CHUNK_BYTES of that file (none for an empty file)
 * Regular files only; the digest is SHA-256 of this text. Archives are never hashed. */
#pragma once
#include "sluice/error.h"
#include "sluice/types.h"

#define SL_MANIFEST_FILES_MAX 100000
#define SL_MANIFEST_BYTES_MAX (64 * 1024 * 1024)

typedef struct {
    char *path;
    bool executable;
    uint64_t size;
    char **chunks; /* hex digests, NULL-terminated */
} SlManifestFile;

typedef struct {
    GPtrArray *files; /* of SlManifestFile*, in byte order of path */
} SlManifest;

SlManifest *sl_manifest_new(void);
void sl_manifest_free(SlManifest *manifest);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlManifest, sl_manifest_free)
/* Files may be added in any order; format sorts. @chunks is copied. */
void sl_manifest_add(SlManifest *manifest, const char *path, bool executable, uint64_t size,
                     const char *const *chunks);
GBytes *sl_manifest_format(SlManifest *manifest);
uint64_t sl_manifest_bytes(const SlManifest *manifest); /* sum of sizes */
/* Errors: MANIFEST_FORMAT. Paths are checked with sl_check_relative_path; chunk counts must fit
 * sizes. */
SL_MUST_USE SlManifest *sl_manifest_parse(GBytes *text, GError **error);
