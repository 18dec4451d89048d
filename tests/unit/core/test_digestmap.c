/* test_digestmap.c - digest maps: golden root, every size around the splits, hostile indexes and
 * buckets. */
#include "core/digestmap.h"
#include "golden_file.h"

static GBytes *get_blob(const char *digest, void *user)
{
    return g_hash_table_lookup(user, digest);
}

static SlMap *numbered(guint count)
{
    SlMap *map = sl_map_new();
    for (guint i = 0; i < count; i++) {
        g_autofree char *key = g_strdup_printf("key-%u", i);
        g_autofree char *values = g_strdup_printf("value %u", i);
        g_assert_true(sl_map_add(map, key, values, NULL));
    }
    return map;
}

static void test_golden(void)
{
    g_autoptr(SlMap) map = sl_map_new();
    g_assert_true(sl_map_add(map, "prod2", H2, NULL));
    g_assert_true(sl_map_add(map, "prod1", H1, NULL));
    g_assert_true(sl_map_add(map, "alone", "", NULL));
    g_autofree char *root = sl_map_root(map);
    g_autoptr(GHashTable) blobs = sl_map_blobs(map);
    g_assert_cmpuint(g_hash_table_size(blobs), ==, 2);
    golden_check("map-index.txt", g_hash_table_lookup(blobs, root));
    g_autoptr(SlMapIndex) index = sl_map_index_parse(g_hash_table_lookup(blobs, root), root, NULL);
    g_assert_nonnull(index);
    golden_check("map-bucket.txt", g_hash_table_lookup(blobs, sl_map_index_nth(index, 0)));
    g_assert_cmpstr(root, ==, "0d29f3428294a0a3c29afe80a68e5616e856ce4df08d029be414e595792ac682");
}

static void test_empty(void)
{
    g_autoptr(SlMap) map = sl_map_new();
    g_autofree char *root = sl_map_root(map);
    g_autoptr(GHashTable) blobs = sl_map_blobs(map);
    g_autoptr(SlMap) back = sl_map_load(root, get_blob, blobs, NULL);
    g_assert_nonnull(back);
    g_assert_cmpuint(sl_map_count(back), ==, 0);
    g_assert_null(sl_map_get(back, "x"));
}

static void test_sizes(void)
{
    static const guint counts[] = {1, 63, 64, 65, 128, 129, 1000, 5000};
    static const guint buckets[] = {1, 1, 1, 2, 2, 4, 16, 128};
    for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
        g_autoptr(SlMap) map = numbered(counts[i]);
        g_autofree char *root = sl_map_root(map);
        g_autoptr(GHashTable) blobs = sl_map_blobs(map);
        g_autoptr(GError) error = NULL;
        g_autoptr(SlMapIndex) index = sl_map_index_parse(get_blob(root, blobs), root, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(sl_map_index_count(index), ==, buckets[i]);
        for (guint n = 0; n < counts[i]; n += 7) {
            g_autofree char *key = g_strdup_printf("key-%u", n);
            g_autofree char *want = g_strdup_printf("value %u", n);
            g_autofree char *values = NULL;
            GBytes *bucket = get_blob(sl_map_index_bucket(index, key), blobs);
            g_assert_true(sl_map_bucket_get(index, bucket, key, &values, NULL));
            g_assert_cmpstr(values, ==, want);
        }
        g_autofree char *none = NULL;
        GBytes *bucket = get_blob(sl_map_index_bucket(index, "absent"), blobs);
        g_assert_true(sl_map_bucket_get(index, bucket, "absent", &none, NULL));
        g_assert_null(none);
        g_autoptr(SlMap) back = sl_map_load(root, get_blob, blobs, NULL);
        g_autofree char *again = sl_map_root(back);
        g_assert_cmpstr(again, ==, root);
    }
}

static bool check_order(const char *key, const char *values, void *user)
{
    const char **before = user;
    g_assert_cmpstr(values, !=, "");
    g_assert_cmpint(strcmp(*before, key), <, 0);
    *before = key;
    return true;
}

static void test_one_change_costs_one_bucket(void)
{
    g_autoptr(SlMap) one = numbered(1000);
    g_autoptr(SlMap) two = numbered(999);
    g_assert_true(sl_map_add(two, "key-999", "other", NULL));
    g_autoptr(GHashTable) old = sl_map_blobs(one);
    g_autoptr(GHashTable) new = sl_map_blobs(two);
    guint added = 0;
    GHashTableIter iter;
    gpointer digest = NULL;
    g_hash_table_iter_init(&iter, new);
    while (g_hash_table_iter_next(&iter, &digest, NULL)) {
        added += g_hash_table_contains(old, digest) ? 0 : 1;
    }
    g_assert_cmpuint(added, ==, 2); /* the bucket and the index */
    const char *before = "";
    sl_map_foreach(one, check_order, &before);
}

/* However a map came to be what it is, its root is that of the same entries in a new one. */
static void test_root_follows_changes(void)
{
    g_autoptr(SlMap) map = sl_map_new();
    g_autoptr(GHashTable) model = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    for (guint step = 0; step < 400; step++) {
        bool grows = step < 200 || g_rand_boolean(rand); /* over several sizes, then up and down */
        for (int change = g_rand_int_range(rand, 0, 4); change >= 0; change--) {
            g_autofree char *key = g_strdup_printf("key-%d", g_rand_int_range(rand, 0, 300));
            g_autofree char *values = g_strdup_printf("%d", g_rand_int_range(rand, 0, 3));
            if (grows) {
                g_assert_true(sl_map_set(map, key, values, NULL));
                g_hash_table_replace(model, g_steal_pointer(&key), g_steal_pointer(&values));
            } else {
                sl_map_remove(map, key);
                g_hash_table_remove(model, key);
            }
        }
        g_autoptr(SlMap) fresh = sl_map_new();
        GHashTableIter iter;
        gpointer key, values;
        g_hash_table_iter_init(&iter, model);
        while (g_hash_table_iter_next(&iter, &key, &values)) {
            g_assert_true(sl_map_add(fresh, key, values, NULL));
            g_assert_cmpstr(sl_map_get(map, key), ==, values);
        }
        g_autofree char *root = sl_map_root(map), *expected = sl_map_root(fresh);
        g_assert_cmpuint(sl_map_count(map), ==, g_hash_table_size(model));
        g_assert_cmpstr(root, ==, expected);
    }
}

static void test_bad_entries(void)
{
    static const struct {
        const char *key, *values, *word;
        int code;
    } rows[] = {
        {"a b", "", "space", SLU_INVALID},     {"", "x", "empty", SLU_INVALID},
        {"a", "x\ny", "control", SLU_INVALID}, {"a\tb", "x", "control", SLU_INVALID},
        {"a", "\xff", "UTF-8", SLU_INVALID},   {"a", " x", "space", SLU_INVALID},
        {"a", "x ", "space", SLU_INVALID},     {"twice", "x", "already", SLU_INVALID},
    };
    g_autoptr(SlMap) map = sl_map_new();
    g_assert_true(sl_map_add(map, "twice", "1", NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(sl_map_add(map, rows[i].key, rows[i].values, &error));
        expect_error(&error, rows[i].code, rows[i].word);
    }
    g_autofree char *huge = g_strnfill(SL_MAP_LINE_MAX, 'x');
    g_autoptr(GError) error = NULL;
    g_assert_false(sl_map_add(map, "huge", huge, &error));
    expect_error(&error, SLU_LIMIT, "longer than 4096");
    g_assert_cmpuint(sl_map_count(map), ==, 1);
}

/* A map of one level k whose buckets are @texts, with right digests all the way up. */
static char *forge(GHashTable *blobs, unsigned k, const char *const *texts)
{
    g_autoptr(GString) index = g_string_new(NULL);
    g_string_append_printf(index, "k: %u\n", k);
    for (size_t i = 0; i < (size_t)1 << k; i++) {
        char *digest = sl_sha256_hex(texts[i], strlen(texts[i]));
        g_string_append_printf(index, "%s\n", digest);
        g_hash_table_insert(blobs, digest, g_bytes_new(texts[i], strlen(texts[i])));
    }
    char *root = sl_sha256_hex(index->str, index->len);
    g_hash_table_insert(blobs, g_strdup(root), g_bytes_new(index->str, index->len));
    return root;
}

static void expect_hostile(unsigned k, const char *const *texts, const char *key, const char *word)
{
    g_autoptr(GHashTable) blobs =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    g_autofree char *root = forge(blobs, k, texts);
    g_autoptr(GError) error = NULL;
    g_assert_null(sl_map_load(root, get_blob, blobs, &error));
    expect_error(&error, SLU_MAP_INVALID, word);
    if (key == NULL) {
        return;
    }
    g_autoptr(SlMapIndex) index = sl_map_index_parse(get_blob(root, blobs), root, NULL);
    g_autofree char *values = NULL;
    GBytes *bucket = get_blob(sl_map_index_bucket(index, key), blobs);
    g_assert_false(sl_map_bucket_get(index, bucket, key, &values, &error));
    expect_error(&error, SLU_MAP_INVALID, word);
    g_assert_null(values);
}

static void test_hostile_buckets(void)
{
    expect_hostile(0, (const char *[]){"a 1\na 2\n"}, "a", "unsorted or there twice");
    expect_hostile(0, (const char *[]){"b 1\na 1\n"}, "a", "unsorted or there twice");
    expect_hostile(0, (const char *[]){"a 1"}, "a", "not lines");
    expect_hostile(0, (const char *[]){"a \n"}, "a", "space at its end");
    expect_hostile(0, (const char *[]){"a  1\n"}, "a", "start or end with a space");
    expect_hostile(0, (const char *[]){"\n"}, "a", "empty");
    expect_hostile(0, (const char *[]){"a 1\r\n"}, "a", "control");
    /* SHA-256("a") starts with 1 bits: its bucket of two is the second. */
    expect_hostile(1, (const char *[]){"a 1\n", ""}, NULL, "another bucket");
    expect_hostile(1, (const char *[]){"", "a 1\n"}, NULL, "k is 1 for 1 entries");
}

static void test_hostile_index(void)
{
    static const char *const texts[] = {"",
                                        "k: 0\n",
                                        "k: 17\n",
                                        "k: 00\n" H1 "\n",
                                        "k: 0\n" H1,
                                        "k: 0\n" H1 "\n" H2 "\n",
                                        "k:0\n" H1 "\n",
                                        "K: 0\n" H1 "\n"};
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GBytes) text = g_bytes_new(texts[i], strlen(texts[i]));
        g_autofree char *root = sl_sha256_hex_bytes(text);
        g_autoptr(GError) error = NULL;
        g_assert_null(sl_map_index_parse(text, root, &error));
        expect_error(&error, SLU_MAP_INVALID, "must be `k: N`");
        g_assert_null(sl_map_index_parse(text, H3, &error));
        expect_error(&error, SLU_MAP_INVALID, "not those of root");
    }
}

static void test_wrong_and_missing_bytes(void)
{
    g_autoptr(SlMap) map = numbered(100);
    g_autofree char *root = sl_map_root(map);
    g_autoptr(GHashTable) blobs = sl_map_blobs(map);
    g_autoptr(SlMapIndex) index = sl_map_index_parse(get_blob(root, blobs), root, NULL);
    g_autoptr(GError) error = NULL;
    g_autofree char *values = NULL;
    GBytes *other = get_blob(sl_map_index_nth(index, strcmp(sl_map_index_bucket(index, "key-1"),
                                                            sl_map_index_nth(index, 0)) == 0),
                             blobs);
    g_assert_false(sl_map_bucket_get(index, other, "key-1", &values, &error));
    expect_error(&error, SLU_MAP_INVALID, "another digest");
    g_hash_table_remove(blobs, sl_map_index_nth(index, 1));
    g_assert_null(sl_map_load(root, get_blob, blobs, &error));
    expect_error(&error, SLU_NOT_FOUND, "is not here");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/digestmap/golden", test_golden);
    g_test_add_func("/digestmap/empty", test_empty);
    g_test_add_func("/digestmap/sizes", test_sizes);
    g_test_add_func("/digestmap/one-change", test_one_change_costs_one_bucket);
    g_test_add_func("/digestmap/root-follows-changes", test_root_follows_changes);
    g_test_add_func("/digestmap/bad-entries", test_bad_entries);
    g_test_add_func("/digestmap/hostile-buckets", test_hostile_buckets);
    g_test_add_func("/digestmap/hostile-index", test_hostile_index);
    g_test_add_func("/digestmap/wrong-bytes", test_wrong_and_missing_bytes);
    return g_test_run();
}
