/* test_keys.c - key files: made once with narrow rights, read back, refused when anybody else could
 * read or swap them. */
#include "base/digest.h"
#include "link/convert.h"
#include "link/keys.h"
#include "runtime/atomicfile.h"

#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *folder;

static char *in_folder(const char *name)
{
    return g_build_filename(folder, name, NULL);
}

static void write_file(const char *path, const char *text, unsigned mode)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(sl_file_write_atomic(path, text, strlen(text), mode, &error));
    g_assert_no_error(error);
}

static void refused(const char *path, bool create, int code, const char *says)
{
    g_autoptr(GError) error = NULL;
    SlCurveKeys keys = {0};
    g_assert_false(sl_curve_keys_load(path, create, &keys, &error));
    g_assert_error(error, SL_ERROR, code);
    g_assert_nonnull(strstr(error->message, path));
    if (strstr(error->message, says) == NULL) {
        g_error("\"%s\" does not say \"%s\"", error->message, says);
    }
    g_assert_true(sodium_is_zero((const uint8_t *)&keys, sizeof keys));
}

static void test_curve(void)
{
    g_autofree char *path = in_folder("curve");
    g_autoptr(GError) error = NULL;
    SlCurveKeys first, second;
    refused(path, false, SLU_FILE_MISSING, "No such file");
    g_assert_true(sl_curve_keys_load(path, true, &first, &error));
    g_assert_no_error(error);
    g_assert_true(sl_curve_keys_load(path, true, &second, &error));
    g_assert_true(memcmp(&first, &second, sizeof first) == 0);
    struct stat st;
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpuint(st.st_mode & 07777, ==, 0600);
    char hex[65];
    sl_curve_public_hex(&first, hex);
    g_assert_true(sl_is_hex_digest(hex));
    g_assert_cmpint(chmod(path, 0640), ==, 0);
    refused(path, true, SLU_KEY_RIGHTS, "0640");
}

static void test_curve_format(void)
{
    g_autofree char *path = in_folder("bad");
    write_file(path, "", 0600);
    refused(path, true, SLU_KEY_FORMAT,
            "not a CURVE key file"); /* empty is not absent: never overwritten */
    write_file(path, "# x\npublic: 12\nsecret: 34\n", 0600);
    refused(path, false, SLU_KEY_FORMAT, "not a CURVE key file");
    g_autofree char *zeros = g_strnfill(64, '0');
    g_autofree char *ones = g_strnfill(64, '1');
    g_autofree char *foreign = g_strdup_printf("# x\npublic: %s\nsecret: %s\n", zeros, ones);
    write_file(path, foreign, 0600);
    refused(path, false, SLU_KEY_FORMAT, "belong together");
    g_autofree char *large = g_strnfill(9000, 'x');
    write_file(path, large, 0600);
    refused(path, false, SLU_LIMIT, "larger than");
    g_autofree char *link = in_folder("link");
    g_assert_cmpint(symlink(path, link), ==, 0);
    refused(link, true, SLU_IO, "symbolic link");
    refused(folder, true, SLU_IO, "not a regular file");
}

static void test_signing(void)
{
    g_autofree char *path = in_folder("signing");
    g_autofree char *public_ = in_folder("signing.pub");
    g_autoptr(GError) error = NULL;
    uint8_t first[64], second[64];
    g_assert_false(sl_signing_key_load(path, false, "x", first, &error));
    g_assert_error(error, SL_ERROR, SLU_FILE_MISSING);
    g_clear_error(&error);
    g_assert_true(sl_signing_key_load(path, true, "agent dev1", first, &error));
    g_assert_no_error(error);
    g_assert_true(sl_signing_key_load(path, false, NULL, second, &error));
    g_assert_true(memcmp(first, second, 64) == 0);
    g_autoptr(GBytes) line = sl_file_read(public_, 1024, &error);
    g_assert_no_error(error);
    g_autofree char *text = g_strndup(g_bytes_get_data(line, NULL), g_bytes_get_size(line));
    g_assert_true(g_str_has_suffix(text, " agent dev1\n"));
    g_autoptr(SlPublicKey) key = sl_public_key_parse(g_strchomp(text), &error);
    g_assert_no_error(error);
    g_assert_true(memcmp(key->ed25519, first + 32, 32) == 0);
    write_file(path, "-----BEGIN OPENSSH PRIVATE KEY-----\n", 0600);
    g_assert_false(sl_signing_key_load(path, true, NULL, first, &error));
    g_assert_error(error, SL_ERROR, SLU_KEY_FORMAT);
    g_assert_nonnull(strstr(error->message, path));
}

static void test_convert(void)
{
    g_autoptr(GBytes) text = g_bytes_new_static("format: 1\n", 10);
    g_autoptr(SlSigned) s = sl_signed_new(text);
    sl_signed_add(s, "one\n");
    sl_signed_add(s, "two\n");
    Sluice__Wire__Signed message;
    sl_wire_signed(s, &message);
    g_autoptr(GError) error = NULL;
    g_autoptr(SlSigned) back = sl_wire_to_signed(&message, &error);
    g_assert_no_error(error);
    g_assert_true(g_bytes_equal(back->text, text));
    g_assert_cmpuint(back->sigs->len, ==, 2);
    g_assert_cmpstr(g_ptr_array_index(back->sigs, 1), ==, "two\n");
    message.text.len = 0;
    g_assert_null(sl_wire_to_signed(&message, &error));
    g_assert_error(error, SL_ERROR, SLU_INVALID);
    g_clear_error(&error);
    g_assert_null(sl_wire_to_signed(NULL, &error));
    g_assert_error(error, SL_ERROR, SLU_INVALID);
    g_clear_error(&error);
    message.text.len = 10;
    message.n_sigs = 17;
    g_assert_null(sl_wire_to_signed(&message, &error));
    g_assert_error(error, SL_ERROR, SLU_LIMIT);
    g_free(message.sigs);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_autoptr(GError) error = NULL;
    folder = g_dir_make_tmp("sluice-keys-XXXXXX", NULL);
    g_test_add_func("/keys/curve", test_curve);
    g_test_add_func("/keys/curve-format", test_curve_format);
    g_test_add_func("/keys/signing", test_signing);
    g_test_add_func("/keys/convert", test_convert);
    int code = g_test_run();
    if (!sl_dir_remove_tree(folder, &error)) {
        g_error("%s", error->message);
    }
    g_free(folder);
    return code;
}
