/* digestmap.c - building, splitting and checking of digest maps. Every byte that comes from outside
 * is compared with its digest first; a bucket that could be read in two ways (unsorted, twice,
 * foreign entry) is refused whole. */
#include "core/digestmap.h"
#include "base/digest.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>

/* Mean entries of a bucket: design, "smallest k with count <= 64 * 2^k". */
#define BUCKET_ENTRIES 64
#define MAP_ENTRIES_MAX ((size_t)BUCKET_ENTRIES << SL_MAP_K_MAX)
#define HEX_LINE (64 + 1)

typedef struct {
    char *key, *values;
    uint16_t prefix; /* first 16 bits of SHA-256 of the key */
} Entry;

struct SlMapIndex {
    unsigned k;
    GPtrArray *buckets; /* of char*, 2^k digests */
};

struct SlMap {
    GHashTable *entries; /* key -> Entry*, whose key it is */
    /* What was made for the last root, NULL = the bucket changed since: a map that changes a little is
     * not hashed whole again. */
    SlMapIndex *index;
};

static void free_entry(void *data)
{
    Entry *entry = data;
    g_free(entry->key);
    g_free(entry->values);
    g_free(entry);
}

static uint16_t key_prefix(const char *key)
{
    uint8_t digest[32];
    sl_sha256_raw(key, strlen(key), digest);
    return (uint16_t)(digest[0] << 8 | digest[1]);
}

static size_t bucket_of(uint16_t prefix, unsigned k)
{
    return (size_t)prefix >> (16 - k);
}

static unsigned smallest_k(size_t count)
{
    unsigned k = 0;
    while (k < SL_MAP_K_MAX && count > (size_t)BUCKET_ENTRIES << k) {
        k++;
    }
    return k;
}

/* A line must split in exactly one way, so no control characters, no outer spaces, and none in the
 * key. */
static const char *line_fault(const char *key, const char *values)
{
    size_t values_len = strlen(values);
    if (key[0] == '\0' || strchr(key, ' ') != NULL) {
        return "the key is empty or has a space";
    }
    if (strpbrk(key, "\t\n\r\x7f") != NULL || strpbrk(values, "\t\n\r\x7f") != NULL ||
        !sl_is_clean_utf8(key, strlen(key), false) ||
        !sl_is_clean_utf8(values, values_len, false)) {
        return "the entry has a control character or is not UTF-8";
    }
    if (values_len > 0 && (values[0] == ' ' || values[values_len - 1] == ' ')) {
        return "the values start or end with a space";
    }
    return NULL;
}

/* Makes room for 2^@k digests, none known. */
static void forget_digests(SlMapIndex *index, unsigned k)
{
    g_ptr_array_set_size(index->buckets, 0);
    g_ptr_array_set_size(index->buckets, 1 << k);
    index->k = k;
}

SlMap *sl_map_new(void)
{
    SlMap *map = g_new0(SlMap, 1);
    map->entries = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_entry);
    map->index = g_new0(SlMapIndex, 1);
    map->index->buckets = g_ptr_array_new_with_free_func(g_free);
    forget_digests(map->index, 0);
    return map;
}

void sl_map_free(SlMap *map)
{
    if (map == NULL) {
        return;
    }
    sl_map_index_free(map->index);
    g_hash_table_unref(map->entries);
    g_free(map);
}

static bool check_line(const char *key, const char *values, GError **error)
{
    const char *fault = line_fault(key, values);
    bool fits = strlen(key) + strlen(values) + 2 <= SL_MAP_LINE_MAX;
    if (fault == NULL && fits) {
        return true;
    }
    g_autofree char *shown = sl_escape_for_people(key, 128);
    return fault != NULL
               ? sl_throw(error, SLU_INVALID, "map entry `%s`: %s", shown, fault)
               : sl_throw(error, SLU_LIMIT, "map entry `%s`: the line is longer than %d bytes",
                          shown, SL_MAP_LINE_MAX);
}

static void changed(SlMap *map, const Entry *entry)
{
    size_t bucket = bucket_of(entry->prefix, map->index->k);
    g_clear_pointer(&map->index->buckets->pdata[bucket], g_free);
}

bool sl_map_set(SlMap *map, const char *key, const char *values, GError **error)
{
    if (!check_line(key, values, error)) {
        return false;
    }
    Entry *entry = g_hash_table_lookup(map->entries, key);
    if (entry == NULL && sl_map_count(map) >= MAP_ENTRIES_MAX) {
        g_autofree char *shown = sl_escape_for_people(key, 128);
        return sl_throw(error, SLU_LIMIT, "map entry `%s`: a map holds at most %zu entries", shown,
                        MAP_ENTRIES_MAX);
    }
    if (entry == NULL) {
        entry = g_new0(Entry, 1);
        entry->key = g_strdup(key);
        entry->prefix = key_prefix(key);
        g_hash_table_insert(map->entries, entry->key, entry);
    }
    if (g_strcmp0(entry->values, values) != 0) {
        g_free(entry->values);
        entry->values = g_strdup(values);
        changed(map, entry);
    }
    return true;
}

bool sl_map_add(SlMap *map, const char *key, const char *values, GError **error)
{
    if (g_hash_table_contains(map->entries, key)) {
        g_autofree char *shown = sl_escape_for_people(key, 128);
        return sl_throw(error, SLU_INVALID, "map entry `%s`: the key is there already", shown);
    }
    return sl_map_set(map, key, values, error);
}

void sl_map_remove(SlMap *map, const char *key)
{
    const Entry *entry = g_hash_table_lookup(map->entries, key);
    if (entry != NULL) {
        changed(map, entry);
        g_hash_table_remove(map->entries, key);
    }
}

size_t sl_map_count(const SlMap *map)
{
    return g_hash_table_size(map->entries);
}

const char *sl_map_get(const SlMap *map, const char *key)
{
    const Entry *entry = g_hash_table_lookup(map->entries, key);
    return entry != NULL ? entry->values : NULL;
}

static int by_key(gconstpointer a, gconstpointer b)
{
    const Entry *one = *(const Entry *const *)a;
    const Entry *two = *(const Entry *const *)b;
    return strcmp(one->key, two->key);
}

/* Borrowed entries in key order: of the keys that start with @prefix; with @known only those of
 * buckets that it has no digest of. */
static GPtrArray *sorted_entries(const SlMap *map, const char *prefix, const SlMapIndex *known)
{
    GPtrArray *sorted = g_ptr_array_new();
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, map->entries);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const Entry *entry = value;
        bool asked =
            known == NULL || known->buckets->pdata[bucket_of(entry->prefix, known->k)] == NULL;
        if (asked && g_str_has_prefix(entry->key, prefix)) {
            g_ptr_array_add(sorted, value);
        }
    }
    g_ptr_array_sort(sorted, by_key);
    return sorted;
}

void sl_map_foreach_prefix(const SlMap *map, const char *prefix,
                           bool (*each)(const char *key, const char *values, void *user),
                           void *user)
{
    g_autoptr(GPtrArray) sorted = sorted_entries(map, prefix, NULL);
    for (guint i = 0; i < sorted->len; i++) {
        const Entry *entry = sorted->pdata[i];
        if (!each(entry->key, entry->values, user)) {
            return;
        }
    }
}

void sl_map_foreach(const SlMap *map, bool (*each)(const char *key, const char *values, void *user),
                    void *user)
{
    sl_map_foreach_prefix(map, "", each, user);
}

static void free_text(void *text)
{
    if (text != NULL) {
        g_string_free(text, TRUE);
    }
}

/* Texts of buckets, of GString*, in order; with @known only of those that it has no digest of, the
 * others NULL. */
static GPtrArray *bucket_texts(const SlMap *map, unsigned k, const SlMapIndex *known)
{
    g_autoptr(GPtrArray) sorted = sorted_entries(map, "", known);
    GPtrArray *texts = g_ptr_array_new_with_free_func(free_text);
    for (size_t i = 0; i < (size_t)1 << k; i++) {
        bool made = known == NULL || known->buckets->pdata[i] == NULL;
        g_ptr_array_add(texts, made ? g_string_new(NULL) : NULL);
    }
    for (guint i = 0; i < sorted->len; i++) {
        const Entry *entry = sorted->pdata[i];
        GString *text = texts->pdata[bucket_of(entry->prefix, k)];
        g_string_append(text, entry->key);
        if (entry->values[0] != '\0') {
            g_string_append_c(text, ' ');
            g_string_append(text, entry->values);
        }
        g_string_append_c(text, '\n');
    }
    return texts;
}

/* Index text; every bucket goes to @blobs if it is not NULL. */
static GString *index_text(const SlMap *map, GHashTable *blobs)
{
    unsigned k = smallest_k(g_hash_table_size(map->entries));
    if (map->index->k != k) {
        forget_digests(map->index, k);
    }
    g_autoptr(GPtrArray) texts = bucket_texts(map, k, blobs == NULL ? map->index : NULL);
    gpointer *digests = map->index->buckets->pdata;
    GString *index = g_string_new(NULL);
    g_string_append_printf(index, "k: %u\n", k);
    for (guint i = 0; i < texts->len; i++) {
        const GString *text = texts->pdata[i];
        if (digests[i] == NULL) {
            digests[i] = sl_sha256_hex(text->str, text->len);
        }
        g_string_append(index, digests[i]);
        g_string_append_c(index, '\n');
        if (blobs != NULL) {
            g_hash_table_insert(blobs, g_strdup(digests[i]), g_bytes_new(text->str, text->len));
        }
    }
    return index;
}

char *sl_map_root(const SlMap *map)
{
    g_autoptr(GString) index = index_text(map, NULL);
    return sl_sha256_hex(index->str, index->len);
}

GHashTable *sl_map_blobs(const SlMap *map)
{
    GHashTable *blobs =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    GString *index = index_text(map, blobs);
    char *root = sl_sha256_hex(index->str, index->len);
    g_hash_table_insert(blobs, root, g_string_free_to_bytes(index));
    return blobs;
}

static bool matches_digest(GBytes *text, const char *digest)
{
    g_autofree char *actual = sl_sha256_hex_bytes(text);
    return strcmp(actual, digest) == 0;
}

/* "k: N\n" with 0 <= N <= 16; length of the line, 0 if malformed. */
static size_t parse_k(const char *text, size_t len, unsigned *ret_k)
{
    const char *end = memchr(text, '\n', MIN(len, 6));
    if (end == NULL || end - text < 4 || memcmp(text, "k: ", 3) != 0) {
        return 0;
    }
    g_autofree char *digits = g_strndup(text + 3, (size_t)(end - text) - 3);
    uint64_t k = 0;
    if (!sl_parse_uint64(digits, &k) || k > SL_MAP_K_MAX) {
        return 0;
    }
    *ret_k = (unsigned)k;
    return (size_t)(end - text) + 1;
}

SlMapIndex *sl_map_index_parse(GBytes *text, const char *root, GError **error)
{
    if (!matches_digest(text, root)) {
        return sl_throw_null(error, SLU_MAP_INVALID,
                             "map index: its bytes are not those of root %s", root);
    }
    size_t len = 0;
    const char *bytes = g_bytes_get_data(text, &len);
    unsigned k = 0;
    size_t at = len > 0 ? parse_k(bytes, len, &k) : 0;
    if (at == 0 || len - at != ((size_t)1 << k) * HEX_LINE) {
        return sl_throw_null(error, SLU_MAP_INVALID,
                             "map index %s: must be `k: N` (at most %d) and 2^N digests", root,
                             SL_MAP_K_MAX);
    }
    g_autoptr(SlMapIndex) index = g_new0(SlMapIndex, 1);
    index->k = k;
    index->buckets = g_ptr_array_new_with_free_func(g_free);
    for (; at < len; at += HEX_LINE) {
        char *digest = g_strndup(bytes + at, 64);
        g_ptr_array_add(index->buckets, digest);
        if (bytes[at + 64] != '\n' || !sl_is_hex_digest(digest)) {
            return sl_throw_null(error, SLU_MAP_INVALID, "map index %s: line %u is not a digest",
                                 root, index->buckets->len + 1);
        }
    }
    return g_steal_pointer(&index);
}

void sl_map_index_free(SlMapIndex *index)
{
    if (index != NULL) {
        g_clear_pointer(&index->buckets, g_ptr_array_unref);
        g_free(index);
    }
}

const char *sl_map_index_bucket(const SlMapIndex *index, const char *key)
{
    return index->buckets->pdata[bucket_of(key_prefix(key), index->k)];
}

size_t sl_map_index_count(const SlMapIndex *index)
{
    return index->buckets->len;
}

const char *sl_map_index_nth(const SlMapIndex *index, size_t n)
{
    return n < index->buckets->len ? index->buckets->pdata[n] : NULL;
}

/* Reads the entries of bucket @nth into @map, with every check that a reader owes. */
static bool read_bucket(const SlMapIndex *index, size_t nth, GBytes *bucket, SlMap *map,
                        GError **error)
{
    const char *digest = index->buckets->pdata[nth];
    size_t len = 0;
    const char *bytes = g_bytes_get_data(bucket, &len);
    if (len > SL_MAP_BUCKET_BYTES_MAX) {
        return sl_throw(error, SLU_LIMIT, "map bucket %s: %zu bytes, at most %d", digest, len,
                        SL_MAP_BUCKET_BYTES_MAX);
    }
    if (!matches_digest(bucket, digest)) {
        return sl_throw(error, SLU_MAP_INVALID, "map bucket %s: its bytes have another digest",
                        digest);
    }
    if (len > 0 && (bytes[len - 1] != '\n' || memchr(bytes, '\0', len) != NULL)) {
        return sl_throw(error, SLU_MAP_INVALID, "map bucket %s: is not lines of text", digest);
    }
    g_autofree char *before = g_strdup("");
    size_t line_number = 1;
    for (size_t at = 0; at < len; line_number++) {
        const char *end = memchr(bytes + at, '\n', len - at);
        g_autofree char *line = g_strndup(bytes + at, (size_t)(end - (bytes + at)));
        at = (size_t)(end - bytes) + 1;
        char *space = strchr(line, ' ');
        const char *values = space != NULL ? space + 1 : "";
        if (space != NULL) {
            *space = '\0';
        }
        const char *fault =
            space != NULL && values[0] == '\0' ? "a space at its end" : line_fault(line, values);
        if (fault == NULL && strcmp(line, before) <= 0) {
            fault = "the key is unsorted or there twice";
        }
        if (fault == NULL && bucket_of(key_prefix(line), index->k) != nth) {
            fault = "the entry belongs into another bucket";
        }
        if (fault != NULL) {
            return sl_throw(error, SLU_MAP_INVALID, "map bucket %s: line %zu: %s", digest,
                            line_number, fault);
        }
        if (!sl_map_add(map, line, values, error)) {
            return sl_prefix(error, "map bucket %s: line %zu", digest, line_number);
        }
        g_free(before);
        before = g_steal_pointer(&line);
    }
    return true;
}

bool sl_map_bucket_get(const SlMapIndex *index, GBytes *bucket, const char *key, char **ret_values,
                       GError **error)
{
    g_autoptr(SlMap) map = sl_map_new();
    if (!read_bucket(index, bucket_of(key_prefix(key), index->k), bucket, map, error)) {
        return false;
    }
    *ret_values = g_strdup(sl_map_get(map, key));
    return true;
}

SlMap *sl_map_load(const char *root, GBytes *(*get)(const char *digest, void *user), void *user,
                   GError **error)
{
    GBytes *text = get(root, user);
    if (text == NULL) {
        return sl_throw_null(error, SLU_NOT_FOUND, "map index %s is not here", root);
    }
    g_autoptr(SlMapIndex) index = sl_map_index_parse(text, root, error);
    if (index == NULL) {
        return NULL;
    }
    g_autoptr(SlMap) map = sl_map_new();
    for (size_t i = 0; i < index->buckets->len; i++) {
        GBytes *bucket = get(index->buckets->pdata[i], user);
        if (bucket == NULL) {
            return sl_throw_null(error, SLU_NOT_FOUND, "map bucket %s is not here",
                                 (char *)index->buckets->pdata[i]);
        }
        if (!read_bucket(index, i, bucket, map, error)) {
            return NULL;
        }
    }
    /* One map, one text: a map split finer or coarser than the rule says is not what anybody wrote.
     */
    size_t count = sl_map_count(map);
    if (smallest_k(count) != index->k) {
        return sl_throw_null(error, SLU_MAP_INVALID, "map %s: k is %u for %zu entries, must be %u",
                             root, index->k, count, smallest_k(count));
    }
    return g_steal_pointer(&map);
}
