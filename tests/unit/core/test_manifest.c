/* test_manifest.c - model manifests: golden text, chunk arithmetic, what is refused. */
#include "core/manifest.h"
#include "golden_file.h"

static void test_golden(void)
{
    g_autoptr(SlManifest) m = sl_manifest_new();
    sl_manifest_add(m, "weights/part 2.bin", false, SL_CHUNK_BYTES + 1,
                    (const char *const[]){H1, H2, NULL});
    sl_manifest_add(m, "empty", false, 0, NULL);
    sl_manifest_add(m, "run.sh", true, 5, (const char *const[]){H3, NULL});
    g_autoptr(GBytes) text = sl_manifest_format(m);
    golden_check("manifest.txt", text);
    g_assert_cmpuint(sl_manifest_bytes(m), ==, SL_CHUNK_BYTES + 6);
    g_autoptr(GError) error = NULL;
    g_autoptr(SlManifest) back = sl_manifest_parse(text, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(back->files->len, ==, 3);
    const SlManifestFile *last = back->files->pdata[2];
    g_assert_cmpstr(last->path, ==, "weights/part 2.bin");
    g_assert_cmpstr(last->chunks[1], ==, H2);
    g_autoptr(GBytes) again = sl_manifest_format(back);
    g_assert_true(g_bytes_equal(text, again));
}

static void test_refused(void)
{
    static const struct {
        const char *text, *word;
    } rows[] = {
        {"", "lines of UTF-8"},
        {"format: 1", "lines of UTF-8"},
        {"format: 2\n", "line 1: must be `format: 1`"},
        {"format: 1\nfile 600 0 a\n", "<644|755>"},
        {"format: 1\nfile 644 -1 a\n", "<644|755>"},
        {"format: 1\nfile 644 01 a\n", "<644|755>"},
        {"format: 1\nfile 644 0 b\nfile 644 0 a\n", "byte order"},
        {"format: 1\nfile 644 0 a\nfile 644 0 a\n", "byte order"},
        {"format: 1\nfile 644 0 a\nfile 644 0 a/b\n", "a parent of this path is a file"},
        {"format: 1\nfile 644 1 a\n", "more or fewer chunks"},
        {"format: 1\nfile 644 0 a\nchunk " H1 "\n", "more chunks"},
        {"format: 1\nfile 644 16777217 a\nchunk " H1 "\nfile 644 0 b\n", "more or fewer chunks"},
        {"format: 1\nchunk " H1 "\n", "after a file"},
        {"format: 1\nfile 644 1 a\nchunk 11\n", "chunk <sha256>"},
        {"format: 1\nfile 644 0 a\r\n", "lines of UTF-8"},
        {"format: 1\nfile 644 0 a\xff\n", "lines of UTF-8"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GBytes) text = g_bytes_new(rows[i].text, strlen(rows[i].text));
        g_autoptr(GError) error = NULL;
        g_assert_null(sl_manifest_parse(text, &error));
        expect_error(&error, SLU_MANIFEST_FORMAT, rows[i].word);
    }
    static const char *const paths[] = {"../a", "/a", "a//b", "a/./b", ".git/config", ""};
    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_autofree char *line = g_strdup_printf("format: 1\nfile 644 0 %s\n", paths[i]);
        g_autoptr(GBytes) text = g_bytes_new(line, strlen(line));
        g_autoptr(GError) error = NULL;
        g_assert_null(sl_manifest_parse(text, &error));
        expect_error(&error, error->code, "line 2");
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/manifest/golden", test_golden);
    g_test_add_func("/manifest/refused", test_refused);
    return g_test_run();
}
