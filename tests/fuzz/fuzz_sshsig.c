/* fuzz_sshsig.c - armour, public key line and private key file from outside. */
#include "fuzz.h"
#include "core/sshsig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(SlPublicKey) signer = NULL;
    static const char message[] = "format: 1\nkind: promotion\nsigned: by ssh-keygen\n"; /* as tests/unit/core/golden/sshsig.txt */
    if (sl_sshsig_verify(text, message, sizeof message - 1, "promotion@sluice.v1", &signer, NULL) && signer == NULL) {
        fuzz_fail("verified by nobody");
    }
    g_autoptr(SlPublicKey) key = sl_public_key_parse(text, NULL);
    uint8_t secret[64];
    if (sl_private_key_parse((const char *)data, size, secret, NULL)) {
        g_autoptr(SlPublicKey) own = sl_public_key_from_ed25519(secret + 32);
    }
    return 0;
}
