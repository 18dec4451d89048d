/* promotion.h - "this release may run in this unit": statement (kind promotion). Pure.
 *
 *   fleet environment epoch unit seq act release targets target-count previous [auto-rollback-to] [allow-prune]
 *   [disrupt] [force-fields] [privileged]* [author]* not-before activate-until policy [requester] reason
 * targets: root of the digest map `<cluster> <bundle digest>`. */
#pragma once
#include "core/digestmap.h"
#include "core/statement.h"
#include "sluice/types.h"

typedef struct {
    char *fleet, *env, *app; /* unit = app/env */
    uint64_t epoch, seq;
    SlAct act;     /* promote, rollback, redeploy, remove, break-glass */
    char *release; /* release id (64 hex) */
    char *targets; /* map root */
    uint64_t target_count;
    char *previous;         /* digest of the unit's promotion before, or NULL */
    char *auto_rollback_to; /* digest of a promotion, or NULL */
    bool allow_prune, disrupt, force_fields;
    char **privileged; /* kinds, NULL-terminated */
    char **authors;    /* people or e-mails of the change, NULL-terminated */
    int64_t not_before_us, activate_until_us;
    char *policy;    /* digest of the governing documents */
    char *requester; /* person or NULL */
    char *reason;
} SlPromotion;

SL_MUST_USE SlPromotion *sl_promotion_parse(GBytes *text, GError **error);
SL_MUST_USE GBytes *sl_promotion_format(const SlPromotion *promotion, GError **error);
void sl_promotion_free(SlPromotion *promotion);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlPromotion, sl_promotion_free)
