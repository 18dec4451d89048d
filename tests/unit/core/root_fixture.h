/* root_fixture.h - keys by number, roots by text, signatures by key: for the tests of root and
 * policy. */
#pragma once
#include "core/root.h"

#include <sodium.h>
#include <string.h>

#define FLEET "5f1c000000000000000000000000000000000000000000000000000000000000"
#define EXPIRES "2027-11-23T12:00:00Z"

static inline void make_secret(uint8_t number, uint8_t secret[64])
{
    uint8_t seed[32] = {number};
    uint8_t public_[32];
    crypto_sign_seed_keypair(public_, secret, seed);
}

static inline SlPublicKey *make_key(uint8_t number)
{
    uint8_t secret[64];
    make_secret(number, secret);
    return sl_public_key_from_ed25519(secret + 32);
}

/* Replaces @K<digit> by the key's line, and puts the intro in front. */
static inline GBytes *root_text(const char *body)
{
    g_autoptr(GString) text = g_string_new("format: 1\nkind: root\nfleet: " FLEET "\n");
    for (const char *at = body; *at != '\0'; at++) {
        if (at[0] == '@' && at[1] == 'K') {
            g_autoptr(SlPublicKey) key = make_key((uint8_t)(at[2] - '0'));
            g_string_append(text, key->line);
            at += 2;
        } else {
            g_string_append_c(text, *at);
        }
    }
    return g_string_free_to_bytes(g_steal_pointer(&text));
}

static inline void sign_with(SlSigned *s, SlStatementKind kind, const char *numbers)
{
    for (const char *at = numbers; *at != '\0'; at++) {
        uint8_t secret[64];
        make_secret((uint8_t)(*at - '0'), secret);
        sl_signed_sign(s, kind, secret);
    }
}

/* @text is taken. */
static inline SlSigned *signed_by(GBytes *text, SlStatementKind kind, const char *numbers)
{
    SlSigned *s = sl_signed_new(text);
    g_bytes_unref(text);
    sign_with(s, kind, numbers);
    return s;
}

static inline char *replaced(const char *text, const char *from, const char *to)
{
    g_auto(GStrv) parts = g_strsplit(text, from, 2);
    if (g_strv_length(parts) != 2) {
        g_error("\"%s\" is not there", from);
    }
    return g_strjoinv(to, parts);
}
