/* keys.h - key files: CURVE pairs, ed25519 signing keys (OpenSSH format), mode 0600, never
 * overwritten. */
#pragma once
#include "core/sshsig.h"

typedef struct {
    uint8_t public_[32], secret[32];
} SlCurveKeys;
SL_MUST_USE bool sl_curve_keys_load(const char *path, bool create, SlCurveKeys *ret_keys,
                                    GError **error); /* KEY_RIGHTS, KEY_FORMAT, NOT_FOUND */
/* @ret_secret: 64 bytes. Creates path and path.pub if @create and absent. */
SL_MUST_USE bool sl_signing_key_load(const char *path, bool create, const char *comment,
                                     uint8_t ret_secret[64], GError **error);
void sl_curve_public_hex(const SlCurveKeys *keys, char ret_hex[65]);
