/* models.h - models and outputs by manifest digest: the agent's model store (a folder, maybe
 * shared) and its own verified cache.
 *
 *   store:  chunks/<2 hex>/<sha256>   manifests/<digest>         written by whoever seals an
 * output, read by whoever needs it cache:  <digest>/...              read-only copy, every chunk
 * checked; <digest>.part while it is being made (resumable)
 *
 * Hashing and copying run in the work queue; callbacks come on the loop thread. Never hands out a
 * folder with a byte that is not in its manifest, and never changes a folder that it handed out. */
#pragma once
#include "runtime/workq.h"
#include "sluice/error.h"

typedef struct SlModelCache SlModelCache;
typedef struct {
    const char *store_dir; /* modelStore: of the configuration; NULL = none: every ask is an error
                              that says so */
    const char *cache_dir;
    SlWorkq *queue;
} SlModelCacheConfig;
SL_MUST_USE SlModelCache *sl_models_open(const SlModelCacheConfig *config, GError **error);
/* Waits for nothing: free the work queue first. */
void sl_models_close(SlModelCache *cache);

/* Makes the model's folder ready: @done once with its path (borrowed), or an error. Asks for one
 * digest share the work. Errors: MODEL_MISSING (store has no manifest or chunk), MODEL_CORRUPT
 * (file and chunk named), MODEL_STORE, IO. */
typedef void (*SlModelReady)(const char *path, const GError *error, void *user);
void sl_models_get(SlModelCache *cache, const char *digest, SlModelReady done, void *user);
/* Puts a folder of regular files into the store, synced: @done with its manifest digest and size.
 * Errors: OUTPUT_INVALID (links, names, nothing in it), MODEL_STORE, IO. */
typedef void (*SlModelStored)(const char *digest, uint64_t bytes, const GError *error, void *user);
void sl_models_put(SlModelCache *cache, const char *folder, SlModelStored done, void *user);
/* Takes back every callback of @user: none comes any more. */
void sl_models_cancel(SlModelCache *cache, void *user);
/* Removes cached copies that are not in @keep (char* set), the newest @spare excepted. The store is
 * never touched. */
void sl_models_collect(SlModelCache *cache, GHashTable *keep, unsigned spare);

/* Blocking parts, for the work queue, tests and tools. */
SL_MUST_USE char *sl_models_store_folder(const char *store_dir, const char *folder,
                                         uint64_t *ret_bytes, GError **error);
SL_MUST_USE bool sl_models_materialise(const char *store_dir, const char *cache_dir,
                                       const char *digest, GError **error);
