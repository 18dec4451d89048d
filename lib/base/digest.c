/* digest.c - SHA-256 by libcrypto, and the text forms of bytes: hex and canonical base64.
 *
 * Decoders are strict: one text per value, so that what is signed or compared can't be written in
 * two ways. */
#include "base/digest.h"

#include "sluice/types.h"

#include <openssl/evp.h>
#include <string.h>

struct SlSha256 {
    EVP_MD_CTX *context;
};

SlSha256 *sl_sha256_new(void)
{
    SlSha256 *hash = g_new0(SlSha256, 1);
    hash->context = EVP_MD_CTX_new();
    if (hash->context == NULL || EVP_DigestInit_ex(hash->context, EVP_sha256(), NULL) != 1) {
        g_error("libcrypto has no SHA-256"); /* nothing can be verified without it */
    }
    return hash;
}

void sl_sha256_update(SlSha256 *hash, const void *bytes, size_t len)
{
    if (len > 0 && EVP_DigestUpdate(hash->context, bytes, len) != 1) {
        g_error("SHA-256 failed");
    }
}

char *sl_sha256_final_hex(SlSha256 *hash)
{
    uint8_t digest[32];
    if (EVP_DigestFinal_ex(hash->context, digest, NULL) != 1) {
        g_error("SHA-256 failed");
    }
    return sl_hex(digest, sizeof digest);
}

void sl_sha256_free(SlSha256 *hash)
{
    if (hash == NULL) {
        return;
    }
    EVP_MD_CTX_free(hash->context);
    g_free(hash);
}

void sl_sha256_raw(const void *bytes, size_t len, uint8_t ret_digest[32])
{
    if (EVP_Digest(len > 0 ? bytes : "", len, ret_digest, NULL, EVP_sha256(), NULL) != 1) {
        g_error("libcrypto has no SHA-256");
    }
}

char *sl_sha256_hex(const void *bytes, size_t len)
{
    uint8_t digest[32];
    sl_sha256_raw(bytes, len, digest);
    return sl_hex(digest, sizeof digest);
}

char *sl_sha256_hex_bytes(GBytes *bytes)
{
    size_t len = 0;
    const void *data = g_bytes_get_data(bytes, &len);
    return sl_sha256_hex(data, len);
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool sl_is_hex_digest(const char *text)
{
    if (text == NULL) {
        return false;
    }
    size_t i = 0;
    while (i <= SL_HEX_DIGEST_LEN && nibble(text[i]) >= 0) {
        i++;
    }
    return i == SL_HEX_DIGEST_LEN && text[i] == '\0';
}

char *sl_hex(const void *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *in = bytes;
    char *text = g_malloc(2 * len + 1);
    for (size_t i = 0; i < len; i++) {
        text[2 * i] = digits[in[i] >> 4];
        text[2 * i + 1] = digits[in[i] & 15];
    }
    text[2 * len] = '\0';
    return text;
}

bool sl_unhex(const char *text, uint8_t *ret_bytes, size_t len)
{
    if (text == NULL || strnlen(text, 2 * len + 1) != 2 * len) {
        return false;
    }
    for (size_t i = 0; i < 2 * len; i++) {
        if (nibble(text[i]) < 0) {
            return false;
        }
    }
    for (size_t i = 0; i < len; i++) {
        ret_bytes[i] = (uint8_t)((nibble(text[2 * i]) << 4) | nibble(text[2 * i + 1]));
    }
    return true;
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *sl_base64(const void *bytes, size_t len)
{
    const uint8_t *in = bytes;
    char *text = g_malloc((len + 2) / 3 * 4 + 1);
    char *out = text;
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        uint32_t group = (uint32_t)in[i] << 16;
        group |= left > 1 ? (uint32_t)in[i + 1] << 8 : 0;
        group |= left > 2 ? (uint32_t)in[i + 2] : 0;
        *out++ = base64_digits[group >> 18];
        *out++ = base64_digits[(group >> 12) & 63];
        *out++ = left > 1 ? base64_digits[(group >> 6) & 63] : '=';
        *out++ = left > 2 ? base64_digits[group & 63] : '=';
    }
    *out = '\0';
    return text;
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four digits into up to three bytes; returns how many, or 0 if not canonical. */
static size_t unbase64_group(const char *in, bool last, uint8_t out[3])
{
    int a = base64_value(in[0]);
    int b = base64_value(in[1]);
    int c = base64_value(in[2]);
    int d = base64_value(in[3]);
    if (a < 0 || b < 0) {
        return 0;
    }
    size_t n = 3;
    if (last && in[3] == '=') {
        n = in[2] == '=' ? 1 : 2;
    }
    if ((n > 1 && c < 0) || (n > 2 && d < 0)) {
        return 0;
    }
    if ((n == 1 && (b & 15) != 0) || (n == 2 && (c & 3) != 0)) {
        return 0; /* spare bits: a second text for the same bytes */
    }
    uint32_t bits =
        (uint32_t)a << 18 | (uint32_t)b << 12 | (uint32_t)MAX(c, 0) << 6 | (uint32_t)MAX(d, 0);
    out[0] = (uint8_t)(bits >> 16 & 255);
    out[1] = (uint8_t)(bits >> 8 & 255); /* only the first n count */
    out[2] = (uint8_t)(bits & 255);
    return n;
}

GBytes *sl_unbase64(const char *text, size_t text_len)
{
    if (text_len % 4 != 0) {
        return NULL;
    }
    g_autofree uint8_t *out = g_malloc(text_len / 4 * 3 + 1);
    size_t len = 0;
    for (size_t i = 0; i < text_len; i += 4) {
        size_t n = unbase64_group(text + i, i + 4 == text_len, out + len);
        if (n == 0) {
            return NULL;
        }
        len += n;
    }
    return g_bytes_new_take(g_steal_pointer(&out), len);
}
