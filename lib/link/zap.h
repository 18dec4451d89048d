/* zap.h - who may finish a CURVE handshake: the ZAP handler (RFC 27) on a thread of its own. */
#pragma once
#include "sluice/error.h"
#include <stddef.h>

#define SL_ZAP_DOMAIN_AGENT "agent" /* registered keys only */
#define SL_ZAP_DOMAIN_ENROL "enrol" /* any key: the join token decides */

typedef struct SlZap SlZap;
/* Binds inproc://zeromq.zap.01 in @context; do so before any ROUTER is bound, because libzmq lets
 * everybody in where no handler is. Empty table: nobody gets in. Errors: INTERNAL. */
SL_MUST_USE SlZap *sl_zap_new(void *context, GError **error);
void sl_zap_free(SlZap *zap); /* after the sockets that it guards are closed */
/* Replaces the table. Of char* 64 hex. Any thread. */
void sl_zap_allow(SlZap *zap, const GPtrArray *curve_keys);
bool sl_zap_allowed(SlZap *zap, const char *curve_hex);
/* Registered, but not let in for now; does not end what is connected. Any thread. */
void sl_zap_suspend(SlZap *zap, const char *curve_hex, bool suspended);
