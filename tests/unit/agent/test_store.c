/* test_store.c - blobs and models: nothing with a wrong byte is handed out, and a broken-off try
 * goes on. */
#include "agent/store/blobs.h"
#include "tests/unit/agent/fixture.h"

static char *scratch(void)
{
    return g_dir_make_tmp("sluice-test-XXXXXX", NULL);
}

static void test_blob_round(void)
{
    g_autofree char *dir = scratch();
    g_autoptr(GError) error = NULL;
    g_autoptr(SlBlobs) blobs = sl_blobs_open(dir, &error);
    g_autoptr(GBytes) bytes = g_bytes_new("hello", 5);
    g_autofree char *digest = sl_sha256_hex("hello", 5);
    g_assert_false(sl_blobs_has(blobs, digest));
    g_assert_true(sl_blobs_put(blobs, digest, bytes, &error));
    g_assert_true(g_bytes_equal(sl_blobs_get(blobs, digest), bytes));
    g_autofree char *other = sl_sha256_hex("hallo", 5);
    g_assert_false(sl_blobs_put(blobs, other, bytes, &error));
    g_assert_error(error, SL_ERROR, SLU_CORRUPT);
    g_assert_null(sl_blobs_get(blobs, "../../etc/passwd"));
    (void)!sl_dir_remove_tree(dir, NULL);
}

static void test_blob_damaged_on_disk(void)
{
    g_autofree char *dir = scratch();
    g_autoptr(GBytes) bytes = g_bytes_new("hello", 5);
    g_autofree char *digest = sl_sha256_hex("hello", 5),
                    *path = g_strdup_printf("%s/%.2s/%s", dir, digest, digest);
    SlBlobs *blobs = sl_blobs_open(dir, NULL);
    g_assert_true(sl_blobs_put(blobs, digest, bytes, NULL));
    sl_blobs_close(blobs);
    fix_write(path, "hEllo");
    blobs = sl_blobs_open(dir, NULL);
    g_assert_null(sl_blobs_get(blobs, digest));
    g_assert_cmpint(access(path, F_OK), !=, 0); /* thrown away: fetched again */
    sl_blobs_close(blobs);
    (void)!sl_dir_remove_tree(dir, NULL);
}

static void test_blob_partial(void)
{
    g_autofree char *dir = scratch(), *digest = sl_sha256_hex("hello world", 11);
    g_autoptr(GError) error = NULL;
    SlBlobs *blobs = sl_blobs_open(dir, NULL);
    g_assert_true(sl_blobs_partial_add(blobs, digest, 0, "hello ", 6, NULL));
    sl_blobs_close(blobs);
    blobs = sl_blobs_open(dir, NULL);
    g_assert_cmpuint(sl_blobs_partial_size(blobs, digest), ==, 6);
    g_assert_false(sl_blobs_partial_add(blobs, digest, 7, "orld", 4, &error));
    g_assert_error(error, SL_ERROR, SLU_CONFLICT);
    g_clear_error(&error);
    g_assert_true(sl_blobs_partial_add(blobs, digest, 6, "wOrld", 5, NULL));
    g_assert_false(sl_blobs_partial_finish(blobs, digest, &error));
    g_assert_error(error, SL_ERROR, SLU_CORRUPT);
    g_assert_cmpuint(sl_blobs_partial_size(blobs, digest), ==, 0); /* starts anew */
    g_assert_true(sl_blobs_partial_add(blobs, digest, 0, "hello world", 11, NULL));
    g_assert_true(sl_blobs_partial_finish(blobs, digest, NULL));
    g_assert_true(sl_blobs_has(blobs, digest));
    g_autoptr(GHashTable) none = g_hash_table_new(g_str_hash, g_str_equal);
    g_assert_cmpuint(sl_blobs_collect(blobs, none, sl_clock_real.utc_us(NULL)), ==,
                     0); /* too young */
    g_assert_cmpuint(sl_blobs_collect(blobs, none, sl_clock_real.utc_us(NULL) + 2 * SL_HOUR_US), ==,
                     1);
    g_assert_false(sl_blobs_has(blobs, digest));
    (void)!sl_dir_remove_tree(dir, NULL); /* the cache deleted while the agent runs */
    g_assert_true(sl_blobs_partial_add(blobs, digest, 0, "hello world", 11, NULL));
    g_assert_true(sl_blobs_partial_finish(blobs, digest, NULL));
    g_assert_true(sl_blobs_has(blobs, digest));
    sl_blobs_close(blobs);
    (void)!sl_dir_remove_tree(dir, NULL);
}

typedef struct {
    char *dir, *store, *cache, *folder, *digest;
} Model;

static Model model_new(void)
{
    g_autoptr(GError) error = NULL;
    uint64_t bytes = 0;
    Model m = {.dir = scratch()};
    m.store = g_build_filename(m.dir, "store", NULL);
    m.cache = g_build_filename(m.dir, "cache", NULL);
    m.folder = g_build_filename(m.dir, "out", NULL);
    g_autofree char *weights = g_build_filename(m.folder, "weights.bin", NULL),
                    *deep = g_build_filename(m.folder, "a/b.txt", NULL);
    g_assert_cmpint(mkdir(m.store, 0755) | mkdir(m.cache, 0755), ==, 0);
    fix_write(weights, "weights");
    fix_write(deep, "");
    g_assert_cmpint(chmod(weights, 0755), ==, 0);
    m.digest = sl_models_store_folder(m.store, m.folder, &bytes, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(bytes, ==, 7);
    return m;
}

static void model_free(Model *m)
{
    (void)!sl_dir_remove_tree(m->dir, NULL);
    g_free(m->dir);
    g_free(m->store);
    g_free(m->cache);
    g_free(m->folder);
    g_free(m->digest);
}

static void test_model_round(void)
{
    Model m = model_new();
    g_autoptr(GError) error = NULL;
    struct stat st;
    g_assert_true(sl_models_materialise(m.store, m.cache, m.digest, &error));
    g_assert_no_error(error);
    g_autofree char *path = g_strdup_printf("%s/%s/weights.bin", m.cache, m.digest),
                    *text = fix_read(path);
    g_assert_cmpstr(text, ==, "weights");
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0555);
    /* The same folder again is the same model. */
    uint64_t bytes;
    g_autofree char *again = sl_models_store_folder(m.store, m.folder, &bytes, &error);
    g_assert_cmpstr(again, ==, m.digest);
    model_free(&m);
}

/* A wrong byte in the copy or an extra file: made again from the store. In the store: refused, by
 * name. */
static void test_model_wrong_byte(void)
{
    Model m = model_new();
    g_autoptr(GError) error = NULL;
    g_assert_true(sl_models_materialise(m.store, m.cache, m.digest, &error));
    g_autofree char *path = g_strdup_printf("%s/%s/weights.bin", m.cache, m.digest),
                    *extra = g_strdup_printf("%s/%s/x", m.cache, m.digest);
    fix_write(path, "wEights");
    fix_write(extra, "x");
    g_assert_true(sl_models_materialise(m.store, m.cache, m.digest, &error));
    g_autofree char *text = fix_read(path);
    g_assert_cmpstr(text, ==, "weights");
    g_assert_cmpint(access(extra, F_OK), !=, 0);
    g_autofree char *chunk = sl_sha256_hex("weights", 7),
                    *stored = g_strdup_printf("%s/chunks/%.2s/%s", m.store, chunk, chunk);
    fix_write(stored, "wEights");
    g_assert_true(sl_models_materialise(m.store, m.cache, m.digest,
                                        &error)); /* the copy is right: the store is not needed */
    fix_write(path, "broken!");
    g_assert_false(sl_models_materialise(m.store, m.cache, m.digest, &error));
    g_assert_error(error, SL_ERROR, SLU_MODEL_CORRUPT);
    g_assert_nonnull(strstr(error->message, "file weights.bin: chunk 0"));
    g_clear_error(&error);
    unlink(stored);
    g_assert_false(sl_models_materialise(m.store, m.cache, m.digest, &error));
    g_assert_error(error, SL_ERROR, SLU_MODEL_MISSING);
    /* Storing the output again repairs the store, and what was copied already is kept. */
    uint64_t bytes;
    g_autofree char *again = sl_models_store_folder(m.store, m.folder, &bytes, NULL);
    g_assert_cmpstr(again, ==, m.digest);
    g_clear_error(&error);
    g_assert_true(sl_models_materialise(m.store, m.cache, m.digest, &error));
    model_free(&m);
}

static void test_model_refused_folders(void)
{
    Model m = model_new();
    uint64_t bytes;
    g_autoptr(GError) error = NULL;
    g_autofree char *link = g_build_filename(m.folder, "link", NULL),
                    *empty = g_build_filename(m.dir, "empty", NULL);
    g_assert_cmpint(symlink("/etc/passwd", link), ==, 0);
    g_assert_null(sl_models_store_folder(m.store, m.folder, &bytes, &error));
    g_assert_error(error, SL_ERROR, SLU_OUTPUT_INVALID);
    g_assert_nonnull(strstr(error->message, "`link` is a link"));
    g_clear_error(&error);
    unlink(link);
    g_assert_cmpint(mkfifo(link, 0600), ==, 0);
    g_assert_null(sl_models_store_folder(m.store, m.folder, &bytes, &error));
    g_assert_nonnull(strstr(error->message, "not a regular file"));
    g_clear_error(&error);
    g_assert_cmpint(mkdir(empty, 0755), ==, 0);
    g_assert_null(sl_models_store_folder(m.store, empty, &bytes, &error));
    g_assert_nonnull(strstr(error->message, "has no file"));
    model_free(&m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store/blob-round", test_blob_round);
    g_test_add_func("/store/blob-damaged-on-disk", test_blob_damaged_on_disk);
    g_test_add_func("/store/blob-partial", test_blob_partial);
    g_test_add_func("/store/model-round", test_model_round);
    g_test_add_func("/store/model-wrong-byte", test_model_wrong_byte);
    g_test_add_func("/store/model-refused-folders", test_model_refused_folders);
    return g_test_run();
}
