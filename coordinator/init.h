/* init.h - `sluice-coordinator init`: the state repository of a new fleet with its first event. */
#pragma once
#include "sluice/error.h"

/* DIR/keys/online must be there (made by `sluice init`); DIR/keys/curve and DIR/state.git are made.
 * @root_file: {text, sigs} of root version 1. Errors: LEDGER_EXISTS, CONFIG_KEY, ROOT_INVALID,
 * KEY_RIGHTS, ... */
SL_MUST_USE bool sl_init_fleet(const char *dir, const char *fleet_name, const char *root_file,
                               GError **error);
