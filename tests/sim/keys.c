/* keys.c - signatures without Ed25519's arithmetic (linker --wrap, this program only): a fifth of a
 * seed's time otherwise. Its laws hold: who has a secret makes the signature of a message, always the
 * same one; who has its public half checks it; any other key, message or signature is refused. It is
 * the SHA-512 of secret and message. The real ones are for all other tests. */
#include "sim.h"

/* The real ones, as the linker calls them. */
int __real_crypto_sign_verify_detached(const unsigned char *sig, const unsigned char *m,
                                       unsigned long long mlen, const unsigned char *pk);
int __real_crypto_core_ed25519_is_valid_point(const unsigned char *p);
int __wrap_crypto_sign_verify_detached(const unsigned char *sig, const unsigned char *m,
                                       unsigned long long mlen, const unsigned char *pk);
int __wrap_crypto_sign_detached(unsigned char *sig, unsigned long long *siglen,
                                const unsigned char *m, unsigned long long mlen,
                                const unsigned char *sk);
int __wrap_crypto_core_ed25519_is_valid_point(const unsigned char *p);

typedef struct {
    uint8_t public_[32], secret[64];
    bool has_secret, is_valid;
} Key;

static guint hash_key(gconstpointer key)
{
    guint hash = 0;
    memcpy(&hash, key, sizeof(hash)); /* a public key is as good as random */
    return hash;
}

static gboolean is_same(gconstpointer left, gconstpointer right)
{
    return memcmp(left, right, sizeof(((Key *)NULL)->public_)) == 0;
}

/* Everything that was asked about a key of this process. */
static Key *key_of(const uint8_t public_[32])
{
    static GHashTable *keys = NULL;
    if (keys == NULL) {
        keys = g_hash_table_new_full(hash_key, is_same, NULL, g_free);
    }
    Key *key = g_hash_table_lookup(keys, public_);
    if (key == NULL) {
        key = g_new0(Key, 1);
        memcpy(key->public_, public_, sizeof(key->public_));
        key->is_valid = __real_crypto_core_ed25519_is_valid_point(public_) == 1;
        g_hash_table_insert(keys, key->public_, key);
    }
    return key;
}

static void signature_of(uint8_t sig[64], const uint8_t secret[64], const uint8_t *m, size_t len)
{
    crypto_hash_sha512_state state;
    (void)crypto_hash_sha512_init(&state);
    (void)crypto_hash_sha512_update(&state, secret, 64);
    (void)crypto_hash_sha512_update(&state, m, len);
    (void)crypto_hash_sha512_final(&state, sig);
}

int __wrap_crypto_sign_detached(unsigned char *sig, unsigned long long *siglen,
                                const unsigned char *m, unsigned long long mlen,
                                const unsigned char *sk)
{
    Key *key = key_of(sk + 32);
    memcpy(key->secret, sk, sizeof(key->secret));
    key->has_secret = true;
    signature_of(sig, sk, m, (size_t)mlen);
    if (siglen != NULL) {
        *siglen = 64;
    }
    return 0;
}

/* A key that signed nothing here: no signature is its own, unless it is a real one. */
int __wrap_crypto_sign_verify_detached(const unsigned char *sig, const unsigned char *m,
                                       unsigned long long mlen, const unsigned char *pk)
{
    const Key *key = key_of(pk);
    uint8_t right[64];
    if (!key->has_secret) {
        return __real_crypto_sign_verify_detached(sig, m, mlen, pk);
    }
    signature_of(right, key->secret, m, (size_t)mlen);
    return memcmp(right, sig, sizeof(right)) == 0 ? 0 : -1;
}

int __wrap_crypto_core_ed25519_is_valid_point(const unsigned char *p)
{
    return key_of(p)->is_valid ? 1 : 0;
}
