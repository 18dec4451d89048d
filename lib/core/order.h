/* order.h - renew, pause, resume, start-run, stop-run: statement (kind order). Pure.
 *   fleet environment epoch act scope number expires [cluster] [nonce] [unit-floor]* [requester] reason
 * scope: `env <env>`, `unit <app>/<env>`, `promotion <digest>` (renew), `run-key <app>/<env> <job>
 * <run key> <generation>` (start-run), `run <app>/<env> <run id>` (stop-run). number: per scope,
 * agents keep a floor. A pause holds until its expiry or a resume with a higher number. unit-floor
 * (resume after state-lost): `<app>/<env> <seq> <promotion digest>`. */
#pragma once
#include "core/statement.h"
#include "sluice/types.h"

typedef struct {
    char *fleet, *env;
    uint64_t epoch;
    SlAct act;
    char *scope; /* whole text, as above */
    uint64_t number;
    int64_t expires_us;
    char *cluster, *nonce; /* resume after state-lost only */
    char **unit_floors;
    char *requester, *reason;
} SlOrder;

SL_MUST_USE SlOrder *sl_order_parse(GBytes *text, GError **error);
SL_MUST_USE GBytes *sl_order_format(const SlOrder *order, GError **error);
void sl_order_free(SlOrder *order);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlOrder, sl_order_free)
/* Application of the scope ("digits"), or NULL for an environment. (transfer full) */
char *sl_order_app(const SlOrder *order);
