/* standalone.c - runs a fuzz target over files and folders: the corpora as tests in every build, and a crash again by its file. */
#include "fuzz.h"

static unsigned run_path(const char *path)
{
    unsigned count = 0;
    if (g_file_test(path, G_FILE_TEST_IS_DIR)) {
        GDir *dir = g_dir_open(path, 0, NULL);
        for (const char *name = g_dir_read_name(dir); name != NULL; name = g_dir_read_name(dir)) {
            g_autofree char *each = g_build_filename(path, name, NULL);
            count += run_path(each);
        }
        g_dir_close(dir);
        return count;
    }
    char *bytes = NULL;
    gsize len = 0;
    if (!g_file_get_contents(path, &bytes, &len, NULL)) {
        fprintf(stderr, "cannot read %s\n", path);
        return 0;
    }
    /* Every prefix too: parsers meet cut-off input more often than anything else. */
    LLVMFuzzerTestOneInput((const uint8_t *)bytes, len);
    for (gsize cut = 0; cut < len; cut += 1 + len / 64) {
        LLVMFuzzerTestOneInput((const uint8_t *)bytes, cut);
    }
    g_free(bytes);
    return 1;
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    for (int i = 1; i < argc; i++) {
        count += run_path(argv[i]);
    }
    printf("%u inputs\n", count);
    return count > 0 ? 0 : 1; /* an empty corpus tests nothing */
}
