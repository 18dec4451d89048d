/* sshwire.h - reading and writing of SSH's binary format (RFC 4251 section 5), and PEM-like armour.
 * Private to the ssh*.c files of this room. Readers never go past their bytes; nothing is trusted
 * about a length before it is checked. */
#pragma once
#include "core/sshsig.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SL_SSH_ED25519 "ssh-ed25519"
#define SL_SSH_SK_ED25519 "sk-ssh-ed25519@openssh.com"
#define SL_SSH_ARMOUR_WIDTH 70 /* what ssh-keygen writes */

typedef struct {
    const uint8_t *at;
    size_t left;
} SlSshReader;

typedef struct {
    const uint8_t *bytes;
    size_t len;
} SlSshString;

bool sl_ssh_read_u32(SlSshReader *reader, uint32_t *ret_value);
bool sl_ssh_read_string(SlSshReader *reader, SlSshString *ret_string);
bool sl_ssh_read_bytes(SlSshReader *reader, size_t len, const uint8_t **ret_bytes);
/* Reads a string that must be @text. */
bool sl_ssh_expect(SlSshReader *reader, const char *text);
bool sl_ssh_string_is(SlSshString string, const char *text);

void sl_ssh_put_u32(GByteArray *out, uint32_t value);
void sl_ssh_put_string(GByteArray *out, const void *bytes, size_t len);
void sl_ssh_put_text(GByteArray *out, const char *text);

/* "-----BEGIN <label>-----", base64 in lines, "-----END <label>-----", LF at the end. (transfer
 * full) */
char *sl_ssh_armour(const char *label, const void *bytes, size_t len);
/* The bytes of exactly such a text (the LF at its end may be missing); NULL on anything else.
 * (transfer full) */
GBytes *sl_ssh_unarmour(const char *label, const char *text, size_t len);

/* A public key's blob, strictly. Errors: KEY_FORMAT. (transfer full; sshkey.c) */
SL_MUST_USE SlPublicKey *sl_ssh_public_from_blob(const uint8_t *blob, size_t len, GError **error);
