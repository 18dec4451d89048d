/* sshkey.c - public and private keys in OpenSSH's formats (part of sshsig.h).
 *
 * Secrets are wiped wherever they were copied; the caller wipes what it got. Certificates,
 * encrypted keys and other algorithms are refused with a word on what to use. */
#include "base/digest.h"
#include "base/text.h"
#include "core/sshsig.h"
#include "core/sshwire.h"

#include <sodium.h>
#include <string.h>

#define KEY_LINE_MAX 1024      /* "type base64 comment" */
#define APPLICATION_MAX 255    /* a relying party's id: "ssh:", "ssh:fleet" */
#define PRIVATE_FILE_MAX 16384 /* an unencrypted ed25519 file has about 400 bytes */
#define PRIVATE_MAGIC "openssh-key-v1"
#define PRIVATE_LABEL "OPENSSH PRIVATE KEY"
#define PADDING_BLOCK 8 /* of the cipher "none" */

static GBytes *public_blob(const SlPublicKey *key)
{
    GByteArray *blob = g_byte_array_new();
    sl_ssh_put_text(blob, key->type == SL_KEY_ED25519 ? SL_SSH_ED25519 : SL_SSH_SK_ED25519);
    sl_ssh_put_string(blob, key->ed25519, sizeof key->ed25519);
    if (key->type == SL_KEY_SK_ED25519) {
        sl_ssh_put_text(blob, key->application);
    }
    return g_byte_array_free_to_bytes(blob);
}

static void set_line(SlPublicKey *key)
{
    g_autoptr(GBytes) blob = public_blob(key);
    size_t len = 0;
    const void *bytes = g_bytes_get_data(blob, &len);
    g_autofree char *digits = sl_base64(bytes, len);
    key->line = g_strdup_printf(
        "%s %s", key->type == SL_KEY_ED25519 ? SL_SSH_ED25519 : SL_SSH_SK_ED25519, digits);
}

SlPublicKey *sl_public_key_from_ed25519(const uint8_t ed25519[32])
{
    SlPublicKey *key = g_new0(SlPublicKey, 1);
    key->type = SL_KEY_ED25519;
    memcpy(key->ed25519, ed25519, sizeof key->ed25519);
    set_line(key);
    return key;
}

SlPublicKey *sl_public_key_copy(const SlPublicKey *key)
{
    SlPublicKey *copy = g_new0(SlPublicKey, 1);
    copy->type = key->type;
    memcpy(copy->ed25519, key->ed25519, sizeof copy->ed25519);
    copy->application = g_strdup(key->application);
    copy->line = g_strdup(key->line);
    return copy;
}

bool sl_public_key_listed(const GPtrArray *keys, const SlPublicKey *key)
{
    for (guint i = 0; i < keys->len; i++) {
        const SlPublicKey *other = g_ptr_array_index(keys, i);
        if (strcmp(other->line, key->line) == 0) {
            return true;
        }
    }
    return false;
}

void sl_public_key_free(SlPublicKey *key)
{
    if (key == NULL) {
        return;
    }
    g_free(key->application);
    g_free(key->line);
    g_free(key);
}

char *sl_public_key_fingerprint(const SlPublicKey *key)
{
    g_autoptr(GBytes) blob = public_blob(key);
    size_t len = 0;
    const void *bytes = g_bytes_get_data(blob, &len);
    uint8_t digest[32];
    sl_sha256_raw(bytes, len, digest);
    g_autofree char *digits = sl_base64(digest, sizeof digest);
    digits[strcspn(digits, "=")] = '\0';
    return g_strdup_printf("SHA256:%s", digits);
}

SlPublicKey *sl_ssh_public_from_blob(const uint8_t *blob, size_t len, GError **error)
{
    SlSshReader reader = {blob, len};
    SlSshString type;
    SlSshString point;
    SlSshString application = {NULL, 0};
    if (!sl_ssh_read_string(&reader, &type)) {
        return sl_throw_null(error, SLU_KEY_FORMAT, "the key is cut short");
    }
    bool sk = sl_ssh_string_is(type, SL_SSH_SK_ED25519);
    if (!sk && !sl_ssh_string_is(type, SL_SSH_ED25519)) {
        return sl_throw_null(error, SLU_KEY_FORMAT,
                             "the key is neither ssh-ed25519 nor sk-ssh-ed25519@openssh.com");
    }
    if (!sl_ssh_read_string(&reader, &point) || point.len != 32 ||
        (sk && !sl_ssh_read_string(&reader, &application)) || reader.left != 0) {
        return sl_throw_null(error, SLU_KEY_FORMAT, "the key has the wrong length");
    }
    /* On the curve, canonical, in the main subgroup: no key for which signatures hold that nobody
     * made. */
    if (crypto_core_ed25519_is_valid_point(point.bytes) != 1) {
        return sl_throw_null(error, SLU_KEY_FORMAT, "the key is not a valid ed25519 point");
    }
    if (sk && (application.len == 0 || application.len > APPLICATION_MAX ||
               !sl_is_plain_line((const char *)application.bytes, application.len))) {
        return sl_throw_null(error, SLU_KEY_FORMAT,
                             "the key's application is not one line of text");
    }
    SlPublicKey *key = g_new0(SlPublicKey, 1);
    key->type = sk ? SL_KEY_SK_ED25519 : SL_KEY_ED25519;
    memcpy(key->ed25519, point.bytes, sizeof key->ed25519);
    key->application = sk ? g_strndup((const char *)application.bytes, application.len) : NULL;
    set_line(key);
    return key;
}

SlPublicKey *sl_public_key_parse(const char *line, GError **error)
{
    size_t len = line != NULL ? strnlen(line, KEY_LINE_MAX + 1) : 0;
    if (len == 0 || len > KEY_LINE_MAX) {
        return sl_throw_null(error, SLU_KEY_FORMAT, "a public key is one line of 1 to %d bytes",
                             KEY_LINE_MAX);
    }
    g_autofree char *copy = g_strchomp(g_strdup(line));
    g_auto(GStrv) words = g_strsplit(copy, " ", 3);
    g_autofree char *shown = sl_escape_for_people(words[0], 40);
    if (words[0] == NULL ||
        (strcmp(words[0], SL_SSH_ED25519) != 0 && strcmp(words[0], SL_SSH_SK_ED25519) != 0)) {
        return sl_throw_null(error, SLU_KEY_FORMAT,
                             "\"%s\" is not a key type that is taken; make one with "
                             "`ssh-keygen -t ed25519` or `ssh-keygen -t ed25519-sk`",
                             shown);
    }
    g_autoptr(GBytes) blob = words[1] != NULL ? sl_unbase64(words[1], strlen(words[1])) : NULL;
    if (blob == NULL || g_bytes_get_size(blob) == 0) {
        return sl_throw_null(error, SLU_KEY_FORMAT, "the key after \"%s\" is not base64", shown);
    }
    size_t blob_len = 0;
    const uint8_t *bytes = g_bytes_get_data(blob, &blob_len);
    g_autoptr(SlPublicKey) key = sl_ssh_public_from_blob(bytes, blob_len, error);
    if (key != NULL &&
        (key->type == SL_KEY_SK_ED25519) != (strcmp(words[0], SL_SSH_SK_ED25519) == 0)) {
        return sl_throw_null(error, SLU_KEY_FORMAT, "the key is of another type than \"%s\"",
                             shown);
    }
    return g_steal_pointer(&key);
}

/* The private half of the file: two equal check numbers, key, comment, padding 1, 2, 3... */
static bool read_private_part(SlSshString part, const uint8_t public_[32], uint8_t ret_secret[64])
{
    SlSshReader reader = {part.bytes, part.len};
    uint32_t check[2];
    SlSshString point;
    SlSshString secret;
    SlSshString comment;
    if (part.len % PADDING_BLOCK != 0 || !sl_ssh_read_u32(&reader, &check[0]) ||
        !sl_ssh_read_u32(&reader, &check[1]) || check[0] != check[1] ||
        !sl_ssh_expect(&reader, SL_SSH_ED25519) || !sl_ssh_read_string(&reader, &point) ||
        !sl_ssh_read_string(&reader, &secret) || !sl_ssh_read_string(&reader, &comment) ||
        point.len != 32 || secret.len != 64 || reader.left >= PADDING_BLOCK) {
        return false;
    }
    for (size_t i = 0; i < reader.left; i++) {
        if (reader.at[i] != i + 1) {
            return false;
        }
    }
    /* A public half that does not belong to the seed would leak the key in the first signature. */
    uint8_t derived_public[32];
    uint8_t derived_secret[64];
    crypto_sign_seed_keypair(derived_public, derived_secret, secret.bytes);
    bool same = memcmp(derived_public, public_, 32) == 0 && memcmp(point.bytes, public_, 32) == 0 &&
                sodium_memcmp(derived_secret, secret.bytes, 64) == 0;
    if (same) {
        memcpy(ret_secret, derived_secret, 64);
    }
    sodium_memzero(derived_secret, sizeof derived_secret);
    return same;
}

static bool read_private(const uint8_t *bytes, size_t len, uint8_t ret_secret[64], GError **error)
{
    SlSshReader reader = {bytes, len};
    const uint8_t *magic = NULL;
    SlSshString cipher, kdf, options, public_, private_;
    uint32_t count = 0;
    if (!sl_ssh_read_bytes(&reader, sizeof PRIVATE_MAGIC, &magic) ||
        memcmp(magic, PRIVATE_MAGIC, sizeof PRIVATE_MAGIC) != 0 ||
        !sl_ssh_read_string(&reader, &cipher) || !sl_ssh_read_string(&reader, &kdf) ||
        !sl_ssh_read_string(&reader, &options) || !sl_ssh_read_u32(&reader, &count)) {
        return sl_throw(error, SLU_KEY_FORMAT, "the private key is cut short");
    }
    if (!sl_ssh_string_is(cipher, "none") || !sl_ssh_string_is(kdf, "none") || options.len != 0) {
        return sl_throw(error, SLU_KEY_FORMAT,
                        "the private key is encrypted; load it with ssh-add and use ssh-agent");
    }
    if (count != 1 || !sl_ssh_read_string(&reader, &public_) ||
        !sl_ssh_read_string(&reader, &private_) || reader.left != 0) {
        return sl_throw(error, SLU_KEY_FORMAT, "the private key file is damaged");
    }
    g_autoptr(SlPublicKey) key = sl_ssh_public_from_blob(public_.bytes, public_.len, error);
    if (key == NULL) {
        return false;
    }
    if (key->type != SL_KEY_ED25519) {
        return sl_throw(error, SLU_KEY_FORMAT,
                        "the key lives in a security key; load it with ssh-add and use ssh-agent");
    }
    return read_private_part(private_, key->ed25519, ret_secret) ||
           sl_throw(error, SLU_KEY_FORMAT, "the private key file is damaged");
}

bool sl_private_key_parse(const char *text, size_t len, uint8_t ret_secret[64], GError **error)
{
    GBytes *bytes = len <= PRIVATE_FILE_MAX ? sl_ssh_unarmour(PRIVATE_LABEL, text, len) : NULL;
    if (bytes == NULL) {
        return sl_throw(error, SLU_KEY_FORMAT,
                        "not an OpenSSH private key; make one with `ssh-keygen -t ed25519`");
    }
    size_t blob_len = 0;
    uint8_t *blob = g_bytes_unref_to_data(bytes, &blob_len);
    bool good = read_private(blob, blob_len, ret_secret, error);
    sodium_memzero(blob, blob_len);
    g_free(blob);
    return good;
}

char *sl_private_key_format(const uint8_t secret[64], const char *comment, uint32_t check)
{
    g_autoptr(SlPublicKey) key = sl_public_key_from_ed25519(secret + 32);
    g_autoptr(GBytes) public_ = public_blob(key);
    size_t public_len = 0;
    const void *public_bytes = g_bytes_get_data(public_, &public_len);
    const char *note = comment != NULL ? comment : "";

    /* Both sized once, so that no copy of the secret stays behind in a block that was grown. */
    GByteArray *part = g_byte_array_sized_new((guint)(256 + strlen(note)));
    sl_ssh_put_u32(part, check);
    sl_ssh_put_u32(part, check);
    sl_ssh_put_text(part, SL_SSH_ED25519);
    sl_ssh_put_string(part, secret + 32, 32);
    sl_ssh_put_string(part, secret, 64);
    sl_ssh_put_text(part, note);
    for (uint8_t i = 1; part->len % PADDING_BLOCK != 0; i++) {
        g_byte_array_append(part, &i, 1);
    }
    GByteArray *file = g_byte_array_sized_new(256 + part->len);
    g_byte_array_append(file, (const uint8_t *)PRIVATE_MAGIC, sizeof PRIVATE_MAGIC);
    sl_ssh_put_text(file, "none");
    sl_ssh_put_text(file, "none");
    sl_ssh_put_text(file, "");
    sl_ssh_put_u32(file, 1);
    sl_ssh_put_string(file, public_bytes, public_len);
    sl_ssh_put_string(file, part->data, part->len);
    char *text = sl_ssh_armour(PRIVATE_LABEL, file->data, file->len);
    sodium_memzero(part->data, part->len);
    sodium_memzero(file->data, file->len);
    g_byte_array_unref(part);
    g_byte_array_unref(file);
    return text;
}
