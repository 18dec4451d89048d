/* test_digest.c - known answers of SHA-256, and one text per value for hex and base64. */
#include "base/digest.h"

#include <string.h>

static void test_sha256(void)
{
    g_autofree char *empty = sl_sha256_hex("", 0);
    g_assert_cmpstr(empty, ==, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    g_autofree char *none = sl_sha256_hex(NULL, 0);
    g_assert_cmpstr(none, ==, empty);
    g_autofree char *abc = sl_sha256_hex("abc", 3);
    g_assert_cmpstr(abc, ==, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    g_autoptr(SlSha256) hash = sl_sha256_new();
    sl_sha256_update(hash, "a", 1);
    sl_sha256_update(hash, NULL, 0);
    sl_sha256_update(hash, "bc", 2);
    g_autofree char *parts = sl_sha256_final_hex(hash);
    g_assert_cmpstr(parts, ==, abc);
    g_autoptr(GBytes) bytes = g_bytes_new_static("abc", 3);
    g_autofree char *of_bytes = sl_sha256_hex_bytes(bytes);
    g_assert_cmpstr(of_bytes, ==, abc);
    g_assert_true(sl_is_hex_digest(abc));
}

static void test_hex(void)
{
    uint8_t out[2] = {7, 7};
    g_assert_true(sl_unhex("00ff", out, 2));
    g_assert_cmpint(out[0], ==, 0);
    g_assert_cmpint(out[1], ==, 255);
    const char *bad[] = {"", "00f", "00FF", "00ff0", "00fg", " 0ff", NULL};
    for (size_t i = 0; bad[i] != NULL; i++) {
        g_assert_false(sl_unhex(bad[i], out, 2));
    }
    g_assert_false(sl_unhex(NULL, out, 2));
    g_assert_cmpint(out[1], ==, 255); /* untouched by failures */
    g_assert_false(sl_is_hex_digest(NULL));
    g_assert_false(sl_is_hex_digest("00"));
    g_assert_false(
        sl_is_hex_digest("E3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    g_assert_false(
        sl_is_hex_digest("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8550"));
}

static void test_base64(void)
{
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
        g_autofree char *text = sl_base64(pairs[i][0], strlen(pairs[i][0]));
        g_assert_cmpstr(text, ==, pairs[i][1]);
        g_autoptr(GBytes) back = sl_unbase64(text, strlen(text));
        g_assert_nonnull(back);
        g_autoptr(GBytes) expected = g_bytes_new_static(pairs[i][0], strlen(pairs[i][0]));
        g_assert_true(g_bytes_equal(back, expected));
    }
}

static void test_base64_not_canonical(void)
{
    const char *bad[] = {"Zg",   "Zg=",  "Zh==",     "Zm9=",     "Zm9v\n", "Zm 9v", "=Zm9",
                         "Z===", "====", "Zg==Zg==", "Zm9vYg=a", "Zm9-",   NULL};
    for (size_t i = 0; bad[i] != NULL; i++) {
        g_assert_null(sl_unbase64(bad[i], strlen(bad[i])));
    }
    g_assert_null(sl_unbase64("Zm\0v", 4));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/digest/sha256", test_sha256);
    g_test_add_func("/digest/hex", test_hex);
    g_test_add_func("/digest/base64", test_base64);
    g_test_add_func("/digest/base64-not-canonical", test_base64_not_canonical);
    return g_test_run();
}
