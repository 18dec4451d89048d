/* sshsig.h - SSHSIG signatures (OpenSSH PROTOCOL.sshsig), ssh-ed25519 and
 * sk-ssh-ed25519@openssh.com. Pure.
 *
 * Stricter than OpenSSH (docs/adr, security checklist 2.4): version 1; `reserved` empty; namespace
 * equal to the expected one; hash sha512 or sha256; inner key type = signature type; signature
 * exactly 64 bytes; no trailing bytes at any level; sk: user-present bit required, application as
 * enrolled; armour at most 4 KiB and canonical base64; no certificates. */
#pragma once
#include "sluice/error.h"
#include <stdint.h>

#define SL_SSHSIG_ARMOUR_MAX 4096

typedef enum { SL_KEY_ED25519, SL_KEY_SK_ED25519 } SlKeyType;

/* A public key as one line of OpenSSH text: "ssh-ed25519 AAAA..." (comment dropped). */
typedef struct {
    SlKeyType type;
    uint8_t ed25519[32];
    char *application; /* sk only, e.g. "ssh:"; else NULL */
    /* canonical "type base64" without comment: identity of the key, compare with strcmp */
    char *line;
} SlPublicKey;

/* Parses "type base64 [comment]"; small-order and non-canonical points are refused. Errors:
 * KEY_FORMAT. */
SL_MUST_USE SlPublicKey *sl_public_key_parse(const char *line, GError **error);
SlPublicKey *sl_public_key_from_ed25519(const uint8_t ed25519[32]);
SlPublicKey *sl_public_key_copy(const SlPublicKey *key);
void sl_public_key_free(SlPublicKey *key);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlPublicKey, sl_public_key_free)
/* Is @key among @keys (of SlPublicKey*)? */
bool sl_public_key_listed(const GPtrArray *keys, const SlPublicKey *key);
char *sl_public_key_fingerprint(const SlPublicKey *key); /* "SHA256:..." as ssh-keygen prints it */

/* Verifies @armour over @message under @namespace_; @ret_key is the signer (transfer full). Whose
 * key that is, and whether it may, is policy's business. Errors: SIGNATURE_FORMAT, SIGNATURE_BAD,
 * SIGNATURE_NAMESPACE. */
SL_MUST_USE bool sl_sshsig_verify(const char *armour, const void *message, size_t len,
                                  const char *namespace_, SlPublicKey **ret_key, GError **error);
/* Is @armour a signature by exactly this key? OTHER: malformed or of another key; nothing was
 * computed. */
typedef enum { SL_SSHSIG_OTHER, SL_SSHSIG_BAD, SL_SSHSIG_GOOD } SlSshsigBy;
SlSshsigBy sl_sshsig_verify_by(const char *armour, const void *message, size_t len,
                               const char *namespace_, const SlPublicKey *key);

/* Signs with an ed25519 secret key (libsodium's 64-byte form), hash sha512: deterministic.
 * Armoured text with LF at its end, byte for byte what ssh-keygen -Y sign writes for the same key.
 * (transfer full) */
char *sl_sshsig_sign(const uint8_t secret[64], const void *message, size_t len,
                     const char *namespace_);

/* For signers that hold the key elsewhere (ssh-agent): the bytes to be signed, and the armour
 * around the agent's signature blob (string format, string signature [+ sk flags and counter]). */
GBytes *sl_sshsig_preamble(const void *message, size_t len, const char *namespace_);
SL_MUST_USE char *sl_sshsig_wrap(const SlPublicKey *key, const uint8_t *signature_blob, size_t len,
                                 const char *namespace_, GError **error);

/* Unencrypted OpenSSH private key file ("openssh-key-v1", ed25519). The secret is 64 bytes; wipe
 * it with sodium_memzero. Errors: KEY_FORMAT (encrypted keys say: use ssh-agent). */
SL_MUST_USE bool sl_private_key_parse(const char *text, size_t len, uint8_t ret_secret[64],
                                      GError **error);
/* OpenSSH private key file text for @secret; @check is any 32-bit value. (transfer full) */
char *sl_private_key_format(const uint8_t secret[64], const char *comment, uint32_t check);
