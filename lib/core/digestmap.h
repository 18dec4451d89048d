/* digestmap.h - authenticated dictionary for everything long (registries, targets, desired lists,
 * applied). Pure.
 *
 * Entry line `<key> <values...>` LF (`<key>` LF without values); key without spaces. Entries
 * sorted by key in 2^k buckets (bucket = first k bits of SHA-256 of the key; smallest k with count
 * <= 64 * 2^k, k <= 16). Bucket text = its lines (may be empty). Index text = "k: N\n" and one
 * bucket digest per line. Root = SHA-256 of the index text. A reader needs the index and its own
 * bucket; both are fetched by digest like any blob. */
#pragma once
#include "sluice/error.h"

#define SL_MAP_K_MAX 16
/* 64 entries on average; four times that at the longest line is beyond any honest map. */
#define SL_MAP_BUCKET_BYTES_MAX (1024 * 1024)
#define SL_MAP_LINE_MAX 4096

typedef struct SlMap SlMap; /* a whole map, built or read */

SlMap *sl_map_new(void);
void sl_map_free(SlMap *map);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlMap, sl_map_free)
/* @values may be "". Errors: INVALID (space in key, duplicate key, control character), LIMIT. */
SL_MUST_USE bool sl_map_add(SlMap *map, const char *key, const char *values, GError **error);
/* Like add, over what is there under @key. */
SL_MUST_USE bool sl_map_set(SlMap *map, const char *key, const char *values, GError **error);
void sl_map_remove(SlMap *map, const char *key);
size_t sl_map_count(const SlMap *map);
const char *sl_map_get(const SlMap *map, const char *key); /* values, NULL if absent */
/* In key order; stops when @each returns false. */
void sl_map_foreach(const SlMap *map, bool (*each)(const char *key, const char *values, void *user),
                    void *user);

/* Likewise, only entries whose keys start with @prefix. */
void sl_map_foreach_prefix(const SlMap *map, const char *prefix,
                           bool (*each)(const char *key, const char *values, void *user),
                           void *user);

/* Root digest (transfer full): asked again, it costs the buckets that changed since. Not from two
 * threads at a time. And all texts by digest: hash table char* -> GBytes* with index and buckets. */
char *sl_map_root(const SlMap *map);
GHashTable *sl_map_blobs(const SlMap *map);

/* Reading by parts. Index: checks the text against @root. */
typedef struct SlMapIndex SlMapIndex;
SL_MUST_USE SlMapIndex *sl_map_index_parse(GBytes *text, const char *root, GError **error);
void sl_map_index_free(SlMapIndex *index);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlMapIndex, sl_map_index_free)
/* Digest of the bucket that holds @key; borrowed. */
const char *sl_map_index_bucket(const SlMapIndex *index, const char *key);
size_t sl_map_index_count(const SlMapIndex *index);
const char *sl_map_index_nth(const SlMapIndex *index, size_t n);
/* Looks @key up in a bucket whose bytes are checked: digest, sorted, unique, every entry in its
 * right bucket. @ret_values NULL if the key is not there (which is an answer, not an error).
 * Errors: MAP_INVALID. */
SL_MUST_USE bool sl_map_bucket_get(const SlMapIndex *index, GBytes *bucket, const char *key,
                                   char **ret_values, GError **error);
/* Whole map from the index and all buckets (looked up by @get, borrowed result, NULL = missing:
 * NOT_FOUND). */
SL_MUST_USE SlMap *sl_map_load(const char *root, GBytes *(*get)(const char *digest, void *user),
                               void *user, GError **error);
