/* selftest.h - proof, before anything is served, that a key which nobody registered is refused. */
#pragma once
#include "link/keys.h"

/* Connects to the bound @router with a fresh key and waits (at most a few seconds, blocking:
 * start-up only) for its handshake to be refused. @server_key: 32 bytes. Errors: ZAP_OPEN (let in,
 * or no answer). */
SL_MUST_USE bool sl_selftest(void *context, void *router, const uint8_t server_key[32],
                             GError **error);
