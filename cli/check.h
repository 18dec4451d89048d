/* check.h - is the text that the coordinator drafted what the person asked for? Checked on the exact bytes, before they are shown. */
#pragma once
#include "base/json.h"
#include "core/order.h"
#include "core/registry.h"

/* @args: what was asked ("act", "env", and "app", "run", "cluster" where named). Errors: REVIEW_DIFFERS, and as sl_order_parse. */
SL_MUST_USE bool sl_check_order(GBytes *text, const json_t *args, GError **error);
/* @entries: {"<cluster>": "<values>"}, every entry of the registry's map: its root must be the one that the text names.
 * The clusters (of SlCluster*), by id. Errors: REVIEW_DIFFERS, and as the parsers. (transfer full) */
SL_MUST_USE GPtrArray *sl_check_registry(GBytes *text, const char *env, const json_t *entries,
                                         GError **error);
/* @app, @env: the unit that the person named. The attempt must be about it. Errors: REVIEW_DIFFERS. */
SL_MUST_USE bool sl_check_attempt(const json_t *attempt, const char *app, const char *env,
                                  GError **error);
