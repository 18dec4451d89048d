/* sshsig.c - SSHSIG signatures (OpenSSH PROTOCOL.sshsig), verified more strictly than OpenSSH does.
 *
 *   armour( "SSHSIG" | u32 version | string key | string namespace | string reserved
 *           | string hash | string signature )
 *   signed:  "SSHSIG" | string namespace | string reserved | string hash name | string H(message)
 *
 * One signature has one text: whatever could be changed without breaking it (reserved, line breaks,
 * spare bits, trailing bytes, S + L) is refused. Whose key it is and what it may do is policy's
 * business, not this file's. */
#include "core/sshsig.h"

#include "base/digest.h"
#include "base/text.h"
#include "core/sshwire.h"

#include <sodium.h>
#include <string.h>

#define MAGIC "SSHSIG"
#define MAGIC_LEN 6 /* no NUL follows it, unlike the private key's */
#define VERSION 1
#define LABEL "SSH SIGNATURE"
#define SK_USER_PRESENT 0x01

typedef struct {
    SlSshString key, namespace_, reserved, hash, signature;
} Blob;

static bool throw_format(GError **error, const char *what)
{
    return sl_throw(error, SLU_SIGNATURE_FORMAT, "signature: %s", what);
}

static bool read_blob(GBytes *bytes, Blob *ret_blob, GError **error)
{
    size_t len = 0;
    const uint8_t *data = g_bytes_get_data(bytes, &len);
    SlSshReader reader = {data, len};
    const uint8_t *magic = NULL;
    uint32_t version = 0;
    if (!sl_ssh_read_bytes(&reader, MAGIC_LEN, &magic) || memcmp(magic, MAGIC, MAGIC_LEN) != 0 ||
        !sl_ssh_read_u32(&reader, &version)) {
        return throw_format(error, "not an SSHSIG blob");
    }
    if (version != VERSION) {
        return sl_throw(error, SLU_SIGNATURE_FORMAT, "signature: version %u is not known, only %d",
                        version, VERSION);
    }
    if (!sl_ssh_read_string(&reader, &ret_blob->key) ||
        !sl_ssh_read_string(&reader, &ret_blob->namespace_) ||
        !sl_ssh_read_string(&reader, &ret_blob->reserved) ||
        !sl_ssh_read_string(&reader, &ret_blob->hash) ||
        !sl_ssh_read_string(&reader, &ret_blob->signature)) {
        return throw_format(error, "cut short");
    }
    if (reader.left != 0) {
        return throw_format(error, "bytes after its end");
    }
    if (ret_blob->reserved.len != 0) {
        return throw_format(error, "the reserved field is not empty");
    }
    if (!sl_ssh_string_is(ret_blob->hash, "sha512") &&
        !sl_ssh_string_is(ret_blob->hash, "sha256")) {
        return throw_format(error, "its hash is neither sha512 nor sha256");
    }
    return true;
}

static bool check_namespace(SlSshString found, const char *wanted, GError **error)
{
    if (sl_ssh_string_is(found, wanted)) {
        return true;
    }
    g_autofree char *text = g_strndup((const char *)found.bytes, MIN(found.len, 80));
    g_autofree char *shown = sl_escape_for_people(text, 80);
    return sl_throw(error, SLU_SIGNATURE_NAMESPACE,
                    "signature: made under the namespace \"%s\", but must be under \"%s\"", shown,
                    wanted);
}

static GByteArray *preamble(const void *message, size_t len, const char *namespace_, bool sha256)
{
    uint8_t digest[64];
    if (sha256) {
        sl_sha256_raw(message, len, digest);
    } else {
        crypto_hash_sha512(digest, message, len);
    }
    GByteArray *out = g_byte_array_new();
    g_byte_array_append(out, (const uint8_t *)MAGIC, MAGIC_LEN);
    sl_ssh_put_text(out, namespace_);
    sl_ssh_put_text(out, "");
    sl_ssh_put_text(out, sha256 ? "sha256" : "sha512");
    sl_ssh_put_string(out, digest, sha256 ? 32 : 64);
    return out;
}

/* What the security key signed: SHA-256 of application, flags, counter, SHA-256 of the preamble. */
static GByteArray *sk_message(const SlPublicKey *key, const uint8_t flags_counter[5],
                              const GByteArray *signed_bytes)
{
    uint8_t digest[32];
    GByteArray *out = g_byte_array_new();
    sl_sha256_raw(key->application, strlen(key->application), digest);
    g_byte_array_append(out, digest, sizeof digest);
    g_byte_array_append(out, flags_counter, 5);
    sl_sha256_raw(signed_bytes->data, signed_bytes->len, digest);
    g_byte_array_append(out, digest, sizeof digest);
    return out;
}

typedef struct {
    const uint8_t *bytes;         /* 64 */
    const uint8_t *flags_counter; /* 5, sk only */
} InnerSignature;

static bool read_inner(SlSshString string, const SlPublicKey *key, InnerSignature *ret_inner,
                       GError **error)
{
    bool sk = key->type == SL_KEY_SK_ED25519;
    SlSshReader reader = {string.bytes, string.len};
    SlSshString raw;
    if (!sl_ssh_expect(&reader, sk ? SL_SSH_SK_ED25519 : SL_SSH_ED25519)) {
        return throw_format(error, "its type is not the key's type");
    }
    if (!sl_ssh_read_string(&reader, &raw) || raw.len != 64) {
        return throw_format(error, "not exactly 64 bytes");
    }
    ret_inner->bytes = raw.bytes;
    if (sk && !sl_ssh_read_bytes(&reader, 5, &ret_inner->flags_counter)) {
        return throw_format(error, "the security key's flags and counter are missing");
    }
    if (reader.left != 0) {
        return throw_format(error, "bytes after its end");
    }
    if (sk && (ret_inner->flags_counter[0] & SK_USER_PRESENT) == 0) {
        return sl_throw(error, SLU_SIGNATURE_BAD,
                        "signature: nobody touched the security key (user-present bit is 0)");
    }
    return true;
}

static bool verify_inner(const Blob *blob, const SlPublicKey *key, GByteArray *signed_bytes,
                         GError **error)
{
    InnerSignature inner = {NULL, NULL};
    if (!read_inner(blob->signature, key, &inner, error)) {
        return false;
    }
    g_autoptr(GByteArray) sk =
        key->type == SL_KEY_SK_ED25519 ? sk_message(key, inner.flags_counter, signed_bytes) : NULL;
    const GByteArray *message = sk != NULL ? sk : signed_bytes;
    /* libsodium refuses S >= L, small-order and non-canonical R and A. */
    if (crypto_sign_verify_detached(inner.bytes, message->data, message->len, key->ed25519) != 0) {
        return sl_throw(error, SLU_SIGNATURE_BAD, "signature: does not fit text and key");
    }
    return true;
}

/* Armour and frame, for @namespace_. @ret_blob points into @ret_bytes. */
static bool open_armour(const char *armour, const char *namespace_, GBytes **ret_bytes,
                        Blob *ret_blob, GError **error)
{
    size_t armour_len = armour != NULL ? strnlen(armour, SL_SSHSIG_ARMOUR_MAX + 1) : 0;
    if (armour_len > SL_SSHSIG_ARMOUR_MAX) {
        return sl_throw(error, SLU_SIGNATURE_FORMAT, "signature: longer than %d bytes",
                        SL_SSHSIG_ARMOUR_MAX);
    }
    g_autoptr(GBytes) bytes = armour_len > 0 ? sl_ssh_unarmour(LABEL, armour, armour_len) : NULL;
    if (bytes == NULL) {
        return throw_format(error, "not armoured as ssh-keygen writes it, or not canonical base64");
    }
    if (!read_blob(bytes, ret_blob, error) ||
        !check_namespace(ret_blob->namespace_, namespace_, error)) {
        return false;
    }
    *ret_bytes = g_steal_pointer(&bytes);
    return true;
}

static bool verify_blob(const Blob *blob, const SlPublicKey *key, const void *message, size_t len,
                        const char *namespace_, GError **error)
{
    g_autoptr(GByteArray) signed_bytes =
        preamble(message, len, namespace_, sl_ssh_string_is(blob->hash, "sha256"));
    return verify_inner(blob, key, signed_bytes, error);
}

bool sl_sshsig_verify(const char *armour, const void *message, size_t len, const char *namespace_,
                      SlPublicKey **ret_key, GError **error)
{
    Blob blob;
    g_autoptr(GBytes) bytes = NULL;
    if (!open_armour(armour, namespace_, &bytes, &blob, error)) {
        return false;
    }
    g_autoptr(SlPublicKey) key = sl_ssh_public_from_blob(blob.key.bytes, blob.key.len, error);
    if (key == NULL) {
        return sl_prefix(error, "signature");
    }
    if (!verify_blob(&blob, key, message, len, namespace_, error)) {
        return false;
    }
    if (ret_key != NULL) {
        *ret_key = g_steal_pointer(&key);
    }
    return true;
}

/* The same bytes as those of a key that was read before need no second look at their point, which
 * is a third of the work. */
SlSshsigBy sl_sshsig_verify_by(const char *armour, const void *message, size_t len,
                               const char *namespace_, const SlPublicKey *key)
{
    Blob blob;
    g_autoptr(GBytes) bytes = NULL;
    if (!open_armour(armour, namespace_, &bytes, &blob, NULL)) {
        return SL_SSHSIG_OTHER;
    }
    g_autofree char *digits = sl_base64(blob.key.bytes, blob.key.len);
    if (strcmp(digits, strchr(key->line, ' ') + 1) != 0) {
        return SL_SSHSIG_OTHER;
    }
    return verify_blob(&blob, key, message, len, namespace_, NULL) ? SL_SSHSIG_GOOD : SL_SSHSIG_BAD;
}

GBytes *sl_sshsig_preamble(const void *message, size_t len, const char *namespace_)
{
    return g_byte_array_free_to_bytes(preamble(message, len, namespace_, false));
}

static char *armour_of(const SlPublicKey *key, const void *signature, size_t len,
                       const char *namespace_)
{
    const char *digits = strchr(key->line, ' ') + 1;
    g_autoptr(GBytes) key_blob = sl_unbase64(digits, strlen(digits));
    size_t key_len = 0;
    const void *key_bytes = g_bytes_get_data(key_blob, &key_len);
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_byte_array_append(out, (const uint8_t *)MAGIC, MAGIC_LEN);
    sl_ssh_put_u32(out, VERSION);
    sl_ssh_put_string(out, key_bytes, key_len);
    sl_ssh_put_text(out, namespace_);
    sl_ssh_put_text(out, "");
    sl_ssh_put_text(out, "sha512");
    sl_ssh_put_string(out, signature, len);
    return sl_ssh_armour(LABEL, out->data, out->len);
}

char *sl_sshsig_sign(const uint8_t secret[64], const void *message, size_t len,
                     const char *namespace_)
{
    g_autoptr(GByteArray) signed_bytes = preamble(message, len, namespace_, false);
    uint8_t raw[64];
    crypto_sign_detached(raw, NULL, signed_bytes->data, signed_bytes->len, secret);
    g_autoptr(GByteArray) signature = g_byte_array_new();
    sl_ssh_put_text(signature, SL_SSH_ED25519);
    sl_ssh_put_string(signature, raw, sizeof raw);
    g_autoptr(SlPublicKey) key = sl_public_key_from_ed25519(secret + 32);
    return armour_of(key, signature->data, signature->len, namespace_);
}

char *sl_sshsig_wrap(const SlPublicKey *key, const uint8_t *signature_blob, size_t len,
                     const char *namespace_, GError **error)
{
    InnerSignature inner;
    if (!read_inner((SlSshString){signature_blob, len}, key, &inner, error)) {
        return NULL;
    }
    return armour_of(key, signature_blob, len, namespace_);
}
