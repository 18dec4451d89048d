/* enrol.h - join tokens. Private to this room. */
#pragma once
#include "coordinator/brain/brain.h"

/* Secret of a token id. Wipe it after use. */
void sl_join_secret(const SlCoord *c, const char *id, uint8_t ret_secret[32]);
/* "slj_<32 hex id>_<64 hex secret>_<64 hex digest of root version 1's text>": what `sluice cluster
 * add` shows once. (transfer full) */
char *sl_join_token(const SlCoord *c, const char *id);
