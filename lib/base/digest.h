/* digest.h - SHA-256 (FIPS 180-4, libcrypto), hex, base64 and base32 text. Pure. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* SHA-256 of @len bytes as 64 lower-case hex digits. (transfer full) */
char *sl_sha256_hex(const void *bytes, size_t len);
char *sl_sha256_hex_bytes(GBytes *bytes);
void sl_sha256_raw(const void *bytes, size_t len, uint8_t ret_digest[32]);

/* Incremental form. final frees nothing; free accepts NULL. */
typedef struct SlSha256 SlSha256;
SlSha256 *sl_sha256_new(void);
void sl_sha256_update(SlSha256 *hash, const void *bytes, size_t len);
char *sl_sha256_final_hex(SlSha256 *hash); /* (transfer full) */
void sl_sha256_free(SlSha256 *hash);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlSha256, sl_sha256_free)

/* 64 lower-case hex digits and nothing else? NULL is not. */
bool sl_is_hex_digest(const char *text);
char *sl_hex(const void *bytes, size_t len); /* lower case, (transfer full) */
/* Exactly 2 * @len lower-case digits; false otherwise. */
bool sl_unhex(const char *text, uint8_t *ret_bytes, size_t len);
/* Base64 (RFC 4648 section 4) with padding. Decoding is canonical: no white space, zero spare bits;
 * NULL on anything else. (transfer full) */
char *sl_base64(const void *bytes, size_t len);
GBytes *sl_unbase64(const char *text, size_t text_len);
