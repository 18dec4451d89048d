/* promotion.c - the promotion statement as a struct. Who may sign it is policy's business
 * (policy.c). */
#include "core/promotion.h"
#include "base/text.h"
#include "core/fields.h"

#define FIELD(key, type, name)                                                                     \
    {                                                                                              \
        key, SL_FIELD_##type, offsetof(SlPromotion, name)                                          \
    }
static const SlField promotion_fields[] = {
    FIELD("fleet", HEX, fleet),
    FIELD("environment", NAME, env),
    FIELD("epoch", UINT, epoch),
    FIELD("unit", UNIT, app),
    FIELD("seq", UINT, seq),
    FIELD("act", ACT, act),
    FIELD("release", HEX, release),
    FIELD("targets", HEX, targets),
    FIELD("target-count", UINT, target_count),
    FIELD("previous", HEX, previous),
    FIELD("auto-rollback-to", HEX, auto_rollback_to),
    FIELD("allow-prune", FLAG, allow_prune),
    FIELD("disrupt", FLAG, disrupt),
    FIELD("force-fields", FLAG, force_fields),
    FIELD("privileged", STRV, privileged),
    FIELD("author", STRV, authors),
    FIELD("not-before", TIME, not_before_us),
    FIELD("activate-until", TIME, activate_until_us),
    FIELD("policy", HEX, policy),
    FIELD("requester", TEXT, requester),
    FIELD("reason", TEXT, reason),
};
#undef FIELD

static bool check_promotion(const void *record, GError **error)
{
    const SlPromotion *p = record;
    if (p->act > SL_ACT_BREAK_GLASS) {
        return sl_throw(error, SLU_STATEMENT_FORMAT,
                        "act: a promotion promotes, rolls back, redeploys, "
                        "removes or breaks the glass; it does not `%s`",
                        sl_act_name(p->act));
    }
    if (p->seq == 0 || p->epoch == 0) {
        return sl_throw(error, SLU_STATEMENT_FORMAT, "%s: numbers start at 1",
                        p->seq == 0 ? "seq" : "epoch");
    }
    if (p->activate_until_us <= p->not_before_us) {
        return sl_throw(error, SLU_STATEMENT_FORMAT,
                        "activate-until: must be later than not-before");
    }
    return true;
}

static const SlRecord promotion_record = {
    .kind = SL_STATEMENT_PROMOTION,
    .size = sizeof(SlPromotion),
    .env_offset = offsetof(SlPromotion, env),
    .count = G_N_ELEMENTS(promotion_fields),
    .fields = promotion_fields,
    .check = check_promotion,
};

SlPromotion *sl_promotion_parse(GBytes *text, GError **error)
{
    return sl_record_parse(&promotion_record, text, error);
}

GBytes *sl_promotion_format(const SlPromotion *promotion, GError **error)
{
    return sl_record_format(&promotion_record, promotion, error);
}

void sl_promotion_free(SlPromotion *promotion)
{
    sl_record_free(&promotion_record, promotion);
}
