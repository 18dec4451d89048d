/* fuzz_keys.c - key files: a CURVE pair and a signing key, whole and of the same person, or refused. */
#include "fuzz.h"
#include "fuzz_folder.h"
#include "link/keys.h"
#include <sodium.h>
#include <string.h>

static void curve(const char *path)
{
    SlCurveKeys keys;
    uint8_t public_[32];
    g_autoptr(GError) error = NULL;
    if (sl_curve_keys_load(path, false, &keys, &error)) {
        g_assert_true(crypto_scalarmult_base(public_, keys.secret) == 0 && memcmp(public_, keys.public_, 32) == 0);
    } else {
        g_assert_nonnull(error);
    }
}

static void signing(const char *path)
{
    uint8_t secret[64], public_[32], again[64];
    g_autoptr(GError) error = NULL;
    if (sl_signing_key_load(path, false, "", secret, &error)) {
        crypto_sign_seed_keypair(public_, again, secret);
        g_assert_true(memcmp(again, secret, sizeof again) == 0); /* both halves belong together */
    } else {
        g_assert_nonnull(error);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *path = g_build_filename(fuzz_folder(), "key", NULL);
    fuzz_folder_put("key", data, size);
    curve(path);
    signing(path);
    return 0;
}
