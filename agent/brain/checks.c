/* checks.c - what every order of checks has in common, and the one of orders. The tables are meant
 * to be read aloud (design section 6): a head (checks_head.c), a promotion (checks_unit.c) and an
 * order each pass their rows from top to bottom and stop at the first that does not say OK. A row
 * names the kind of attack or mistake that it is there for. Signatures come before parsing: what no
 * known key signed is never read. Nothing here changes what is wanted or runs. */
#include "agent/brain/state.h"

bool sl_check_known_signer(const SlAgent *a, const SlSigned *s, SlStatementKind kind,
                           bool online_only, GError **error)
{
    size_t size = g_bytes_get_size(s->text);
    if (size > sl_statement_size_max(kind) || s->sigs->len > SL_STATEMENT_SIGS_MAX) {
        return sl_throw(error, SLU_LIMIT,
                        "%s: %zu bytes and %u signatures are more than %zu and %d",
                        sl_statement_kind_name(kind), size, s->sigs->len,
                        sl_statement_size_max(kind), SL_STATEMENT_SIGS_MAX);
    }
    g_autofree char *why = NULL;
    g_autoptr(GPtrArray) signers = sl_signed_signers(s, kind, &why);
    for (guint i = 0; i < signers->len; i++) {
        const SlPublicKey *key = signers->pdata[i];
        if (sl_root_is_online_key(a->root, key) ||
            (!online_only && sl_root_person_of_key(a->root, key) != NULL)) {
            return true;
        }
    }
    return sl_throw(error, SLU_AGENT_SIGNER,
                    "%s: not signed by %s of root %" G_GUINT64_FORMAT "%s%s",
                    sl_statement_kind_name(kind), online_only ? "an online key" : "any key",
                    a->root->version, why != NULL ? ": " : "", why != NULL ? why : "");
}

SlCheck sl_check_fleet(const SlAgent *a, const char *fleet, GError **error)
{
    return sl_check_verdict(strcmp(fleet, a->root->fleet) == 0 ||
                            sl_throw(error, SLU_AGENT_OTHER_FLEET,
                                     "it is for fleet %.12s, this is %.12s", fleet,
                                     a->root->fleet));
}

SlCheck sl_check_env(const SlAgent *a, const char *env, GError **error)
{
    return sl_check_verdict(strcmp(env, a->env) == 0 ||
                            sl_throw(error, SLU_AGENT_OTHER_ENV,
                                     "it is for environment `%s`, this agent was enrolled in `%s`",
                                     env, a->env));
}

SlCheck sl_check_epoch(const SlAgent *a, uint64_t epoch, GError **error)
{
    const SlRootEnv *env = sl_root_env(a->root, a->env);
    if (env == NULL) {
        return sl_check_verdict(sl_throw(error, SLU_AGENT_EPOCH,
                                         "root %" G_GUINT64_FORMAT " has no environment `%s`",
                                         a->root->version, a->env));
    }
    return sl_check_verdict(epoch == env->epoch || sl_throw(error, SLU_AGENT_EPOCH,
                                                            "it is of epoch %" G_GUINT64_FORMAT
                                                            ", the root says %" G_GUINT64_FORMAT,
                                                            epoch, env->epoch));
}

/* ---- orders ---- */

static SlCheck order_signer(SlAgent *a, SlAgentOrder *o, GError **error)
{
    return sl_check_verdict(
        sl_check_known_signer(a, o->statement, SL_STATEMENT_ORDER, false, error));
}

static SlCheck order_parse(SlAgent *a, SlAgentOrder *o, GError **error)
{
    (void)a;
    if (o->order == NULL) {
        o->order = sl_order_parse(o->statement->text, error);
    }
    return sl_check_verdict(o->order != NULL);
}

static SlCheck order_fleet(SlAgent *a, SlAgentOrder *o, GError **error)
{
    return sl_check_fleet(a, o->order->fleet, error);
}

static SlCheck order_env(SlAgent *a, SlAgentOrder *o, GError **error)
{
    return sl_check_env(a, o->order->env, error);
}

static SlCheck order_epoch(SlAgent *a, SlAgentOrder *o, GError **error)
{
    return sl_check_epoch(a, o->order->epoch, error);
}

/* An order without an application (a whole environment) is judged by the roles of the environment.
 */
static SlCheck order_role(SlAgent *a, SlAgentOrder *o, GError **error)
{
    g_autofree char *app = sl_order_app(o->order);
    SlPolicyAsk ask = {
        .env = a->env, .app = app, .act = o->order->act, .requester = o->order->requester};
    g_autoptr(GError) why = NULL;
    return sl_check_verdict(
        sl_policy_check(a->root, &ask, o->statement, SL_STATEMENT_ORDER, NULL, &why) ||
        sl_throw(error, SLU_AGENT_UNAPPROVED, "%s needs more: %s", sl_act_name(o->order->act),
                 why->message));
}

static SlCheck order_number(SlAgent *a, SlAgentOrder *o, GError **error)
{
    const SlFloor *floor = g_hash_table_lookup(a->floors, o->order->scope);
    uint64_t number = floor != NULL ? floor->number : 0;
    return sl_check_verdict(o->order->number > number ||
                            sl_throw(error, SLU_AGENT_REPLAY,
                                     "number %" G_GUINT64_FORMAT " is not above %" G_GUINT64_FORMAT
                                     " of scope `%s`",
                                     o->order->number, number, o->order->scope));
}

static SlCheck order_jump(SlAgent *a, SlAgentOrder *o, GError **error)
{
    const SlFloor *floor = g_hash_table_lookup(a->floors, o->order->scope);
    uint64_t number = floor != NULL ? floor->number : 0;
    return sl_check_verdict(o->order->number - number <= SL_AGENT_JUMP_MAX ||
                            sl_throw(error, SLU_AGENT_JUMP,
                                     "number leaps from %" G_GUINT64_FORMAT
                                     " to %" G_GUINT64_FORMAT,
                                     number, o->order->number));
}

static SlCheck order_expiry(SlAgent *a, SlAgentOrder *o, GError **error)
{
    if (sl_agent_trusted(a) < o->order->expires_us) {
        return SL_CHECK_OK;
    }
    g_autofree char *when = sl_format_time(o->order->expires_us);
    return sl_check_verdict(sl_throw(error, SLU_AGENT_EXPIRED, "it expired at %s", when));
}

static SlCheck order_cluster(SlAgent *a, SlAgentOrder *o, GError **error)
{
    const char *cluster = o->order->cluster;
    return sl_check_verdict(cluster == NULL || strcmp(cluster, a->cluster) == 0 ||
                            sl_throw(error, SLU_AGENT_OTHER_CLUSTER,
                                     "it is for cluster `%s`, this is `%s`", cluster, a->cluster));
}

/* Bound to a nonce: only for the loss of state that this agent reported. */
static SlCheck order_nonce(SlAgent *a, SlAgentOrder *o, GError **error)
{
    const char *nonce = o->order->nonce;
    bool answers = nonce != NULL && a->lost_nonce != NULL && strcmp(nonce, a->lost_nonce) == 0;
    return sl_check_verdict(
        (nonce == NULL && o->order->cluster == NULL) || answers ||
        sl_throw(error, SLU_AGENT_NONCE,
                 "it answers another loss of state than the one reported here"));
}

static SlCheck order_room(SlAgent *a, SlAgentOrder *o, GError **error)
{
    bool known = g_hash_table_contains(a->floors, o->order->scope);
    return sl_check_verdict(
        known || g_hash_table_size(a->floors) < SL_AGENT_FLOORS_MAX ||
        sl_throw(error, SLU_AGENT_FULL, "more than %d scopes of orders", SL_AGENT_FLOORS_MAX));
}

static const struct {
    const char *kind;
    SlCheck (*check)(SlAgent *, SlAgentOrder *, GError **);
} ORDER_CHECKS[] = {
    {"unsigned", order_signer},       {"malformed", order_parse},   {"other-fleet", order_fleet},
    {"other-environment", order_env}, {"epoch", order_epoch},       {"unapproved", order_role},
    {"replay", order_number},         {"jump", order_jump},         {"expired", order_expiry},
    {"other-cluster", order_cluster}, {"old-session", order_nonce}, {"full", order_room},
};

SlCheck sl_check_order(SlAgent *a, SlAgentOrder *o)
{
    for (size_t i = 0; i < G_N_ELEMENTS(ORDER_CHECKS); i++) {
        g_autoptr(GError) error = NULL;
        SlCheck check = ORDER_CHECKS[i].check(a, o, &error);
        if (check == SL_CHECK_REFUSED) {
            g_autofree char *what = g_strdup_printf("order/%.16s", o->digest);
            (void)sl_prefix(&error, "order %.12s", o->digest);
            sl_agent_refuse(a, what, ORDER_CHECKS[i].kind, error);
        }
        if (check != SL_CHECK_OK) {
            return check;
        }
    }
    return SL_CHECK_OK;
}
