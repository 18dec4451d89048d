/* Cache of bytes by digest, and the history database: both may be damaged or deleted at any time.
 */
#include "base/digest.h"
#include "coordinator/store/blobs.h"
#include "coordinator/store/cache.h"
#include "runtime/atomicfile.h"
#include <string.h>

typedef struct {
    char *dir;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    (void)data;
    f->dir = g_dir_make_tmp("sluice-blobs-XXXXXX", NULL);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    g_assert_true(sl_dir_remove_tree(f->dir, &error));
    g_free(f->dir);
}

static void test_blobs(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL, wrong = NULL;
    g_autoptr(SlBlobs) blobs = sl_blobs_new(f->dir, &error);
    g_autoptr(GBytes) bytes = g_bytes_new("hello", 5);
    g_autofree char *digest = sl_sha256_hex("hello", 5);
    g_assert_null(sl_blobs_get(blobs, digest));
    g_assert_true(sl_blobs_put(blobs, digest, bytes, &error));
    g_autoptr(GBytes) back = sl_blobs_get(blobs, digest);
    g_assert_true(g_bytes_equal(back, bytes));
    g_autoptr(GBytes) other = g_bytes_new("other", 5);
    g_autofree char *unknown = sl_sha256_hex("unknown", 7);
    g_assert_false(sl_blobs_put(blobs, unknown, other, &wrong));
    g_assert_error(wrong, SL_ERROR, SLU_CORRUPT);
    g_assert_null(sl_blobs_get(blobs, "../../../../etc/passwd"));
}

static void test_damage_reads_as_absent(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    g_autoptr(SlBlobs) blobs = sl_blobs_new(f->dir, &error);
    g_autoptr(GBytes) bytes = g_bytes_new("hello", 5);
    g_autofree char *digest = sl_sha256_hex("hello", 5);
    g_assert_true(sl_blobs_put(blobs, digest, bytes, &error));
    g_autofree char *path = g_strdup_printf("%s/%.2s/%s", f->dir, digest, digest);
    g_assert_true(g_file_set_contents(path, "hellp", 5, NULL));
    g_assert_null(sl_blobs_get(blobs, digest));
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS)); /* gone, so that it is made again */
    g_assert_true(sl_blobs_put(blobs, digest, bytes, &error));
    g_assert_true(g_file_set_contents(path, "", 0, NULL)); /* cut short by a power loss */
    g_assert_true(sl_blobs_put(blobs, digest, bytes, &error));
    g_autoptr(GBytes) back = sl_blobs_get(blobs, digest);
    g_assert_nonnull(back);
    g_assert_true(g_bytes_equal(back, bytes));
}

static void test_trim(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    g_autoptr(SlBlobs) blobs = sl_blobs_new(f->dir, &error);
    unsigned left = 0;
    for (int i = 0; i < 20; i++) {
        g_autofree char *text = g_strdup_printf("%0100d", i);
        g_autofree char *digest = sl_sha256_hex(text, 100);
        g_autoptr(GBytes) bytes = g_bytes_new(text, 100);
        g_assert_true(sl_blobs_put(blobs, digest, bytes, &error));
    }
    sl_blobs_trim(blobs, 1000);
    for (int i = 0; i < 20; i++) {
        g_autofree char *text = g_strdup_printf("%0100d", i);
        g_autofree char *digest = sl_sha256_hex(text, 100);
        g_autoptr(GBytes) bytes = sl_blobs_get(blobs, digest);
        left += bytes != NULL ? 1 : 0;
    }
    g_assert_cmpuint(left, ==, 10);
    for (int i = 20; i < 200; i++) { /* and from then on while it grows */
        g_autofree char *text = g_strdup_printf("%0100d", i);
        g_autofree char *digest = sl_sha256_hex(text, 100);
        g_autoptr(GBytes) bytes = g_bytes_new(text, 100);
        g_assert_true(sl_blobs_put(blobs, digest, bytes, &error));
    }
    left = 0;
    for (int i = 0; i < 200; i++) {
        g_autofree char *text = g_strdup_printf("%0100d", i);
        g_autofree char *digest = sl_sha256_hex(text, 100);
        g_autoptr(GBytes) bytes = sl_blobs_get(blobs, digest);
        left += bytes != NULL ? 1 : 0;
    }
    g_assert_cmpuint(left, ==, 10); /* each is more than a sixteenth */
}

static void test_history(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(f->dir, "history.sqlite", NULL);
    g_assert_true(
        g_file_set_contents(path, "this is no database at all, not even nearly", -1, NULL));
    g_autoptr(SlCache) cache = sl_cache_open(path, &error); /* made anew: it holds no decision */
    g_assert_no_error(error);
    g_autoptr(json_t) rows = json_pack("[{s:s,s:i},{s:s,s:i},{s:s,s:i}]", "run", "r1", "step", 1,
                                       "run", "r2", "step", 5, "run", "r1", "step", 2);
    g_assert_true(sl_cache_add(cache, rows, &error));
    g_autoptr(json_t) points = sl_cache_run(cache, "r1");
    g_assert_cmpuint(json_array_size(points), ==, 2);
    g_assert_cmpint(sl_json_int(json_array_get(points, 1), "step", 0), ==, 2);
    g_autoptr(json_t) none = sl_cache_run(cache, "'; DROP TABLE progress; --");
    g_assert_cmpuint(json_array_size(none), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/blobs/put-get", Fixture, NULL, set_up, test_blobs, tear_down);
    g_test_add("/blobs/damage", Fixture, NULL, set_up, test_damage_reads_as_absent, tear_down);
    g_test_add("/blobs/trim", Fixture, NULL, set_up, test_trim, tear_down);
    g_test_add("/history/rows", Fixture, NULL, set_up, test_history, tear_down);
    return g_test_run();
}
