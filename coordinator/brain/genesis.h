/* genesis.h - the first event of a new ledger. Pure; for `sluice init` and tests. */
#pragma once
#include "core/root.h"

/* FleetCreated {name, root}: seq 1, prev 64 zeros. The root is checked (version 1, signed by its
 * own threshold). Errors: as sl_root_accept_first, INVALID (name). (transfer full) */
SL_MUST_USE json_t *sl_coord_genesis(const SlSigned *root, const char *fleet_name, int64_t now_us,
                                     GError **error);
