/* keys.c - key files: CURVE pairs as text, ed25519 signing keys in OpenSSH's format. Any thread.
 *
 * Files are 0600, made whole and only where nothing is: a key that exists is never overwritten,
 * because what was signed or registered with it would be lost. Text of secrets is wiped after use.
 */
#include "link/keys.h"

#include "base/digest.h"
#include "runtime/atomicfile.h"
#include "runtime/loop.h"

#include <sodium.h>
#include <string.h>

#define KEY_FILE_MAX 8192
#define CURVE_HEAD "# Sluice transport key (CURVE); the secret stays on this machine\n"

static void wipe(char *text)
{
    if (text != NULL) {
        sodium_memzero(text, strlen(text));
        g_free(text);
    }
}
#define autowipe __attribute__((cleanup(wipe_at))) char *
static void wipe_at(char **text)
{
    wipe(*text);
}

static void ensure_sodium(void)
{
    if (sodium_init() < 0) {
        g_error("libsodium can't be initialised");
    }
}

/* ---- CURVE ---- */

/* Value of the line "<name>: <64 hex>". */
static bool read_line(const char *text, const char *name, uint8_t ret_key[32])
{
    g_autofree char *start = g_strdup_printf("\n%s: ", name);
    const char *at = strstr(text, start);
    if (at == NULL) {
        return false;
    }
    at += strlen(start);
    size_t len = strcspn(at, "\n");
    autowipe value = g_strndup(at, MIN(len, 65));
    return len == 64 && sl_unhex(value, ret_key, 32);
}

static bool parse_curve(const char *path, GBytes *file, SlCurveKeys *ret_keys, GError **error)
{
    size_t len;
    const char *bytes = g_bytes_get_data(file, &len);
    autowipe text = g_strndup(bytes, len);
    SlCurveKeys keys;
    uint8_t public_[32];
    bool good = read_line(text, "public", keys.public_) && read_line(text, "secret", keys.secret) &&
                crypto_scalarmult_base(public_, keys.secret) == 0 &&
                memcmp(public_, keys.public_, sizeof public_) == 0;
    if (good) {
        *ret_keys = keys;
    }
    sodium_memzero(&keys, sizeof keys);
    return good ||
           sl_throw(
               error, SLU_KEY_FORMAT,
               "%s: not a CURVE key file: lines \"public: \" and \"secret: \" that belong together",
               path);
}

static bool create_curve(const char *path, GError **error)
{
    SlCurveKeys keys;
    char public_[65], secret[65];
    crypto_box_keypair(keys.public_, keys.secret);
    sodium_bin2hex(public_, sizeof public_, keys.public_, 32);
    sodium_bin2hex(secret, sizeof secret, keys.secret, 32);
    autowipe text = g_strdup_printf(CURVE_HEAD "public: %s\nsecret: %s\n", public_, secret);
    sodium_memzero(&keys, sizeof keys);
    sodium_memzero(secret, sizeof secret);
    return sl_file_create(path, text, strlen(text), 0600, error);
}

/* @file: what is there; NULL without @error: nothing, so make it (somebody else may do so at the
 * same time: theirs counts). */
static GBytes *load_or_create(const char *path, bool create,
                              bool (*make)(const char *path, void *user, GError **error),
                              void *user, GError **error)
{
    g_autoptr(GError) absent = NULL;
    GBytes *file = sl_file_read_secret(path, KEY_FILE_MAX, &absent);
    if (file != NULL || !create || !g_error_matches(absent, SL_ERROR, SLU_FILE_MISSING)) {
        if (file == NULL) {
            g_propagate_error(error, g_steal_pointer(&absent));
        }
        return file;
    }
    g_autoptr(GError) making = NULL;
    if (!make(path, user, &making) && !g_error_matches(making, SL_ERROR, SLU_CONFLICT)) {
        g_propagate_error(error, g_steal_pointer(&making));
        return NULL;
    }
    return sl_file_read_secret(path, KEY_FILE_MAX, error);
}

static bool make_curve(const char *path, void *unused, GError **error)
{
    (void)unused;
    return create_curve(path, error);
}

bool sl_curve_keys_load(const char *path, bool create, SlCurveKeys *ret_keys, GError **error)
{
    ensure_sodium();
    g_autoptr(GBytes) file = load_or_create(path, create, make_curve, NULL, error);
    return file != NULL && parse_curve(path, file, ret_keys, error);
}

void sl_curve_public_hex(const SlCurveKeys *keys, char ret_hex[65])
{
    sodium_bin2hex(ret_hex, 65, keys->public_, 32);
}

/* ---- signing keys ---- */

static bool make_signing(const char *path, void *user, GError **error)
{
    uint8_t public_[32], secret[64];
    uint32_t check;
    crypto_sign_keypair(public_, secret);
    sl_random_bytes(&check, sizeof check);
    autowipe text = sl_private_key_format(secret, user, check);
    sodium_memzero(secret, sizeof secret);
    return sl_file_create(path, text, strlen(text), 0600, error);
}

/* path.pub is for people and ssh-keygen; it is made again if it is missing. */
static bool ensure_public(const char *path, const char *comment, const uint8_t secret[64],
                          GError **error)
{
    uint8_t public_[32];
    crypto_sign_ed25519_sk_to_pk(public_, secret);
    g_autoptr(SlPublicKey) key = sl_public_key_from_ed25519(public_);
    g_autofree char *line = g_strdup_printf("%s %s\n", key->line, comment);
    g_autofree char *name = g_strconcat(path, ".pub", NULL);
    g_autoptr(GError) making = NULL;
    if (sl_file_create(name, line, strlen(line), 0644, &making) ||
        g_error_matches(making, SL_ERROR, SLU_CONFLICT)) {
        return true;
    }
    g_propagate_error(error, g_steal_pointer(&making));
    return false;
}

bool sl_signing_key_load(const char *path, bool create, const char *comment, uint8_t ret_secret[64],
                         GError **error)
{
    ensure_sodium();
    const char *said = comment != NULL ? comment : "sluice";
    g_autoptr(GBytes) file = load_or_create(path, create, make_signing, (void *)said, error);
    if (file == NULL) {
        return false;
    }
    size_t len;
    const char *text = g_bytes_get_data(file, &len);
    uint8_t secret[64];
    if (!sl_private_key_parse(text, len, secret, error)) {
        return sl_prefix(error, "%s", path);
    }
    bool complete = !create || ensure_public(path, said, secret, error);
    if (complete) {
        memcpy(ret_secret, secret, sizeof secret);
    }
    sodium_memzero(secret, sizeof secret);
    return complete;
}
