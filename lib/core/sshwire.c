/* sshwire.c - SSH's binary format and armour: see sshwire.h. */
#include "core/sshwire.h"

#include "base/digest.h"

#include <sodium.h>

bool sl_ssh_read_bytes(SlSshReader *reader, size_t len, const uint8_t **ret_bytes)
{
    if (len > reader->left) {
        return false;
    }
    *ret_bytes = reader->at;
    reader->at += len;
    reader->left -= len;
    return true;
}

bool sl_ssh_read_u32(SlSshReader *reader, uint32_t *ret_value)
{
    const uint8_t *b = NULL;
    if (!sl_ssh_read_bytes(reader, 4, &b)) {
        return false;
    }
    *ret_value = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    return true;
}

bool sl_ssh_read_string(SlSshReader *reader, SlSshString *ret_string)
{
    uint32_t len = 0;
    if (!sl_ssh_read_u32(reader, &len) || !sl_ssh_read_bytes(reader, len, &ret_string->bytes)) {
        return false;
    }
    ret_string->len = len;
    return true;
}

bool sl_ssh_string_is(SlSshString string, const char *text)
{
    return string.len == strlen(text) && memcmp(string.bytes, text, string.len) == 0;
}

bool sl_ssh_expect(SlSshReader *reader, const char *text)
{
    SlSshString string;
    return sl_ssh_read_string(reader, &string) && sl_ssh_string_is(string, text);
}

void sl_ssh_put_u32(GByteArray *out, uint32_t value)
{
    const uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                              (uint8_t)value};
    g_byte_array_append(out, bytes, 4);
}

void sl_ssh_put_string(GByteArray *out, const void *bytes, size_t len)
{
    sl_ssh_put_u32(out, (uint32_t)len);
    if (len > 0) {
        g_byte_array_append(out, bytes, (guint)len);
    }
}

void sl_ssh_put_text(GByteArray *out, const char *text)
{
    sl_ssh_put_string(out, text, strlen(text));
}

char *sl_ssh_armour(const char *label, const void *bytes, size_t len)
{
    char *digits = sl_base64(bytes, len);
    size_t digits_len = strlen(digits);
    size_t lines = (digits_len + SL_SSH_ARMOUR_WIDTH - 1) / SL_SSH_ARMOUR_WIDTH;
    /* Sized once: a private key must not be left behind in a block that was grown. */
    GString *out = g_string_sized_new(digits_len + lines + 2 * strlen(label) + 40);
    g_string_append_printf(out, "-----BEGIN %s-----\n", label);
    for (size_t i = 0; i < digits_len; i += SL_SSH_ARMOUR_WIDTH) {
        size_t width = MIN(SL_SSH_ARMOUR_WIDTH, digits_len - i);
        g_string_append_len(out, digits + i, (gssize)width);
        g_string_append_c(out, '\n');
    }
    g_string_append_printf(out, "-----END %s-----\n", label);
    sodium_memzero(digits, digits_len);
    g_free(digits);
    return g_string_free(out, FALSE);
}

GBytes *sl_ssh_unarmour(const char *label, const char *text, size_t len)
{
    g_autofree char *begin = g_strdup_printf("-----BEGIN %s-----\n", label);
    g_autofree char *end = g_strdup_printf("-----END %s-----\n", label);
    size_t begin_len = strlen(begin);
    size_t end_len = strlen(end);
    if (len > 0 && text[len - 1] != '\n') {
        end_len--; /* the LF at the end is a file's matter */
    }
    if (len < begin_len + end_len || memcmp(text, begin, begin_len) != 0 ||
        memcmp(text + len - end_len, end, end_len) != 0) {
        return NULL;
    }
    size_t body_len = len - begin_len - end_len;
    const char *body = text + begin_len;
    char *digits = g_malloc(body_len + 1);
    size_t n = 0;
    bool good = true;
    for (size_t i = 0; i < body_len; i++) {
        bool line_end = (i + 1) % (SL_SSH_ARMOUR_WIDTH + 1) == 0 || i + 1 == body_len;
        good = good && (body[i] == '\n') == line_end;
        if (body[i] != '\n') {
            digits[n++] = body[i];
        }
    }
    digits[n] = '\0';
    GBytes *bytes = good && n > 0 ? sl_unbase64(digits, n) : NULL;
    sodium_memzero(digits, body_len + 1);
    g_free(digits);
    return bytes;
}
