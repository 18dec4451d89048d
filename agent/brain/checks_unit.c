/* checks_unit.c - the order of checks of a listed promotion, up to the moment before it is made
 * durable. A refusal holds back this unit alone; WAIT says in `waits` for what. The last rows are
 * no refusals: they hold what passed until it may start. */
#include "agent/brain/state.h"

/* Signatures are judged once for each root: a candidate is looked at again at each of its bytes that
 * comes. */
static bool is_judged(const SlAgent *a, const SlCandidate *c)
{
    return c->judged_root == a->root->version;
}

static SlCheck unit_signer(SlAgent *a, SlUnit *u, SlCandidate *c, GError **error)
{
    (void)u;
    return sl_check_verdict(
        is_judged(a, c) ||
        sl_check_known_signer(a, c->statement, SL_STATEMENT_PROMOTION, false, error));
}

static SlCheck unit_parse(SlAgent *a, SlUnit *u, SlCandidate *c, GError **error)
{
    (void)a;
    (void)u;
    if (c->promotion == NULL) {
        c->promotion = sl_promotion_parse(c->statement->text, error);
    }
    return sl_check_verdict(c->promotion != NULL);
}

static SlCheck unit_fleet(SlAgent *a, SlUnit *u, SlCandidate *c, GError **error)
{
    (void)u;
    return sl_check_fleet(a, c->promotion->fleet, error);
}

static SlCheck unit_env(SlAgent *a, SlUnit *u, SlCandidate *c, GError **error)
{
    (void)u;
    return sl_check_env(a, c->promotion->env, error);
}

static SlCheck unit_unit(SlAgent *a, SlUnit *u, SlCandidate *c, GError **error)
{
    (void)a;
    return sl_check_verdict(strcmp(c->promotion->app, u->app) == 0 ||
                            sl_throw(error, SLU_AGENT_OTHER_UNIT,
                                     "it is for application `%s`, the list names it for `%s`",
                                     c->promotion->app, u->app));
}

static SlCheck unit_epoch(SlAgent *a, SlUnit *u, SlCandidate *c, GError **error)
{
    (void)u;
    return sl_check_epoch(a, c->promotion->epoch, error);
}

static SlCheck unit_role(SlAgent *a, SlUnit *u, SlCandidate *c, GError **error)
{
    (void)u;
    if (is_judged(a, c)) {
        return SL_CHECK_OK;
    }
    const SlPromotion *p = c->promotion;
    SlPolicyAsk ask = {.env = p->env,
                       .app = p->app,
                       .act = p->act,
                       .requester = p->requester,
                       .authors = (const char *const *)p->authors};
    g_autoptr(GError) why = NULL;
    if (!sl_policy_check(a->root, &ask, c->statement, SL_STATEMENT_PROMOTION, NULL, &why)) {
        return sl_check_verdict(sl_throw(error, SLU_AGENT_UNAPPROVED, "%s needs more: %s",
                                         sl_act_name(p->act), why->message));
    }
    c->judged_root = a->root->version;
    return SL_CHECK_OK;
}

static SlCheck unit_targets(SlAgent *a, SlUnit *u, SlCandidate *c, GError **error)
{
    if (c->bundle != NULL) {
        return SL_CHECK_OK;
    }
    g_autofree char *waiter = g_strdup_printf("unit %s", u->app);
    g_autofree char *line = NULL;
    SlCheck check = sl_agent_map_get(a, c->promotion->targets, a->cluster, waiter, &line, error);
    if (check != SL_CHECK_OK) {
        return check;
    }
    if (line == NULL) {
        return sl_check_verdict(sl_throw(error, SLU_AGENT_NOT_TARGET,
                                         "its targets have no line for cluster `%s`", a->cluster));
    }
    if (!sl_is_hex_digest(line)) {
        return sl_check_verdict(sl_throw(error, SLU_AGENT_WRONG_BYTES,
                                         "its targets' line for this cluster is no bundle digest"));
    }
    g_autofree char *empty = sl_sha256_hex("", 0);
    if (c->promotion->act == SL_ACT_REMOVE && strcmp(line, empty) != 0) {
        return sl_check_verdict(
            sl_throw(error, SLU_AGENT_WRONG_BYTES,
                     "a promotion with act remove names a bundle that is not empty"));
    }
    c->bundle = g_steal_pointer(&line);
    return SL_CHECK_OK;
}

static bool was_healthy(const SlUnit *u, const char *bundle)
{
    for (guint i = 0; i < u->healthy->len; i++) {
        if (strcmp(u->healthy->pdata[i], bundle) == 0) {
            return true;
        }
    }
    return false;
}

/* Own line of the promotion that auto-rollback-to names. A cluster that is not in it has nothing to
 * go back to. */
static SlCheck find_auto_bundle(SlAgent *a, SlUnit *u, SlCandidate *c, GError **error)
{
    if (c->promotion->auto_rollback_to == NULL || c->auto_bundle != NULL) {
        return SL_CHECK_OK;
    }
    g_autofree char *waiter = g_strdup_printf("unit %s", u->app);
    const SlSigned *s = sl_agent_statement(a, c->promotion->auto_rollback_to, waiter);
    if (s == NULL) {
        return SL_CHECK_WAIT;
    }
    g_autoptr(SlPromotion) back = sl_promotion_parse(s->text, error);
    if (back == NULL) {
        return SL_CHECK_REFUSED;
    }
    if (strcmp(back->fleet, a->root->fleet) != 0 || strcmp(back->app, u->app) != 0 ||
        strcmp(back->env, a->env) != 0) {
        return sl_check_verdict(sl_throw(error, SLU_AGENT_OTHER_UNIT,
                                         "auto-rollback-to names a promotion of `%s/%s`", back->app,
                                         back->env));
    }
    g_autofree char *line = NULL;
    SlCheck check = sl_agent_map_get(a, back->targets, a->cluster, waiter, &line, error);
    if (check == SL_CHECK_OK) {
        g_strfreev(c->auto_privileged);
        c->auto_privileged = g_strdupv(back->privileged);
        c->auto_bundle = line != NULL ? g_steal_pointer(&line) : g_strdup("");
    }
    return check;
}

static SlCheck unit_going_back(SlAgent *a, SlUnit *u, SlCandidate *c, GError **error)
{
    bool goes_back =
        c->promotion->act == SL_ACT_ROLLBACK || c->promotion->act == SL_ACT_BREAK_GLASS;
    if (goes_back && !was_healthy(u, c->bundle)) {
        return sl_check_verdict(sl_throw(error, SLU_AGENT_NEVER_HEALTHY,
                                         "%s to bundle %.12s, which was never healthy here",
                                         sl_act_name(c->promotion->act), c->bundle));
    }
    SlCheck check = find_auto_bundle(a, u, c, error);
    if (check == SL_CHECK_OK && c->auto_bundle != NULL && c->auto_bundle[0] != '\0' &&
        !was_healthy(u, c->auto_bundle)) {
        /* People allowed the promotion itself; a cluster that is new or lost its state only has nothing to go back to. */
        g_free(c->auto_bundle);
        c->auto_bundle = g_strdup("");
    }
    return check;
}

static uint64_t floor_of(const SlUnit *u, const SlCandidate *c)
{
    return u->epoch == c->promotion->epoch ? u->seq : 0;
}

static SlCheck unit_seq(SlAgent *a, SlUnit *u, SlCandidate *c, GError **error)
{
    (void)a;
    uint64_t floor = floor_of(u, c);
    return sl_check_verdict(c->promotion->seq >= floor ||
                            sl_throw(error, SLU_AGENT_REPLAY,
                                     "seq %" G_GUINT64_FORMAT " is below %" G_GUINT64_FORMAT
                                     ", which was accepted here",
                                     c->promotion->seq, floor));
}

static SlCheck unit_seq_bytes(SlAgent *a, SlUnit *u, SlCandidate *c, GError **error)
{
    (void)a;
    uint64_t floor = floor_of(u, c);
    return sl_check_verdict(
        c->promotion->seq != floor || floor == 0 || g_strcmp0(u->floor, c->digest) == 0 ||
        sl_throw(error, SLU_AGENT_SEQ_BYTES,
                 "seq %" G_GUINT64_FORMAT " was accepted as %.12s, this is %.12s", floor,
                 u->floor != NULL ? u->floor : "-", c->digest));
}

static SlCheck unit_jump(SlAgent *a, SlUnit *u, SlCandidate *c, GError **error)
{
    (void)a;
    uint64_t floor = floor_of(u, c);
    return sl_check_verdict(c->promotion->seq - floor <= SL_AGENT_JUMP_MAX ||
                            sl_throw(error, SLU_AGENT_JUMP,
                                     "seq leaps from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT,
                                     floor, c->promotion->seq));
}

static SlCheck unit_window(SlAgent *a, SlUnit *u, SlCandidate *c, GError **error)
{
    const SlPromotion *p = c->promotion;
    if (g_strcmp0(u->promotion, c->digest) == 0) {
        return SL_CHECK_OK; /* not a first activation */
    }
    int64_t now = sl_agent_trusted(a);
    if (a->now_us < p->not_before_us && p->not_before_us - a->now_us > SL_AGENT_SKEW_US) {
        g_autofree char *when = sl_format_time(p->not_before_us);
        g_free(c->waits);
        c->waits = g_strdup_printf("starts at %s, not before", when);
        sl_agent_wake_at(a, p->not_before_us);
        return SL_CHECK_WAIT;
    }
    if (now <= p->activate_until_us || sl_agent_renewed(a, c->digest, u->app)) {
        return SL_CHECK_OK;
    }
    g_autofree char *when = sl_format_time(p->activate_until_us);
    return sl_check_verdict(
        sl_throw(error, SLU_AGENT_WINDOW, "its first start was allowed until %s", when));
}

static SlCheck unit_bytes(SlAgent *a, SlUnit *u, SlCandidate *c, GError **error)
{
    if (c->gather == NULL) {
        c->gather = sl_gather_new(c->bundle);
    }
    g_autofree char *waiter = g_strdup_printf("unit %s", u->app);
    g_autoptr(GError) why = NULL;
    SlCheck check = sl_gather_advance(a, c->gather, waiter, &why);
    if (check == SL_CHECK_WAIT) {
        g_free(c->waits);
        c->waits = c->gather->missing == NULL
                       ? g_strdup("fetches the bundle's list")
                       : g_strdup_printf("fetches %u more blobs of the bundle",
                                         g_hash_table_size(c->gather->missing));
    } else if (check == SL_CHECK_REFUSED) {
        (void)sl_throw(error, SLU_AGENT_WRONG_BYTES, "%s", why->message);
        g_clear_pointer(&c->gather, sl_gather_free);
    }
    return check;
}

bool sl_check_objects(const SlAgent *a, const SlUnit *u, const SlGather *gather,
                      const char *const *privileged, GError **error)
{
    for (guint i = 0; i < gather->goals->len; i++) {
        const SlGoal *g = gather->goals->pdata[i];
        const char *ns = strcmp(g->namespace_, "-") == 0 ? NULL : g->namespace_;
        g_autoptr(GError) why = NULL;
        if (!sl_policy_check_object(a->root, a->env, u->app, g->kind, ns, privileged, &why)) {
            return sl_throw(error, SLU_AGENT_OBJECT_POLICY, "%s", why->message);
        }
    }
    return true;
}

static SlCheck unit_objects(SlAgent *a, SlUnit *u, SlCandidate *c, GError **error)
{
    if (!sl_check_objects(a, u, c->gather, (const char *const *)c->promotion->privileged, error)) {
        return SL_CHECK_REFUSED;
    }
    for (guint i = 0; i < c->gather->goals->len; i++) {
        const SlGoal *g = c->gather->goals->pdata[i];
        if (g->is_run && (g->run_key == NULL || !sl_is_hex_digest(g->run_key))) {
            return sl_check_verdict(
                sl_throw(error, SLU_AGENT_OBJECT_POLICY, "job `%s` carries no run key", g->name));
        }
    }
    return SL_CHECK_OK;
}

static SlCheck unit_share(SlAgent *a, SlUnit *u, SlCandidate *c, GError **error)
{
    (void)a;
    SlAct act = c->promotion->act;
    unsigned removed = 0, all = 0;
    if (c->promotion->allow_prune || act == SL_ACT_REMOVE || act == SL_ACT_ROLLBACK ||
        act == SL_ACT_BREAK_GLASS || sl_plan_share_ok(u, c->gather, &removed, &all)) {
        return SL_CHECK_OK;
    }
    return sl_check_verdict(sl_throw(error, SLU_AGENT_PRUNE_SHARE,
                                     "it would remove %u of %u objects, more than %d %%", removed,
                                     all, SL_AGENT_PRUNE_SHARE));
}

static SlCheck waits(SlCandidate *c, char *why)
{
    g_free(c->waits);
    c->waits = why;
    return SL_CHECK_WAIT;
}

static SlCheck unit_lost(SlAgent *a, SlUnit *u, SlCandidate *c, GError **error)
{
    (void)error;
    return sl_agent_is_lost(a, u->app)
               ? waits(
                     c,
                     g_strdup(
                         "state was lost: waits for a resume order for this cluster and its nonce"))
               : SL_CHECK_OK;
}

static SlCheck unit_pause(SlAgent *a, SlUnit *u, SlCandidate *c, GError **error)
{
    (void)error;
    int64_t until = 0;
    if (!sl_agent_paused(a, u->app, &until)) {
        return SL_CHECK_OK;
    }
    g_autofree char *when = sl_format_time(until);
    sl_agent_wake_at(a, until);
    return waits(c, g_strdup_printf("paused until %s or a resume order", when));
}

static SlCheck unit_fresh(SlAgent *a, SlUnit *u, SlCandidate *c, GError **error)
{
    (void)u;
    (void)error;
    if (sl_agent_may_start(a)) {
        return SL_CHECK_OK;
    }
    return waits(c, g_strdup(sl_agent_head_fresh(a)
                                 ? "fetches the list of the newest head"
                                 : "the head has expired: waits for the coordinator"));
}

static const struct {
    const char *kind;
    SlCheck (*check)(SlAgent *, SlUnit *, SlCandidate *, GError **);
} UNIT_CHECKS[] = {
    {"unsigned", unit_signer},
    {"malformed", unit_parse},
    {"other-fleet", unit_fleet},
    {"other-environment", unit_env},
    {"other-unit", unit_unit},
    {"epoch", unit_epoch},
    {"unapproved", unit_role},
    {"not-target", unit_targets},
    {"never-healthy", unit_going_back},
    {"replay", unit_seq},
    {"seq-reused", unit_seq_bytes},
    {"jump", unit_jump},
    {"window", unit_window},
    {"wrong-bytes", unit_bytes},
    {"object-policy", unit_objects},
    {"prune-share", unit_share},
    {"state-lost", unit_lost},
    {"paused", unit_pause},
    {"stale-head", unit_fresh},
};

SlCheck sl_check_unit(SlAgent *a, SlUnit *u, SlCandidate *c)
{
    for (size_t i = 0; i < G_N_ELEMENTS(UNIT_CHECKS); i++) {
        g_autoptr(GError) error = NULL;
        SlCheck check = UNIT_CHECKS[i].check(a, u, c, &error);
        if (check == SL_CHECK_WAIT) {
            return check;
        }
        if (check == SL_CHECK_REFUSED) {
            g_autofree char *what = g_strdup_printf("unit/%s", u->key);
            const char *kind =
                error->code == SLU_AGENT_WRONG_BYTES || error->code == SLU_MAP_INVALID
                    ? "wrong-bytes"
                    : UNIT_CHECKS[i].kind;
            (void)sl_prefix(&error, "promotion %.12s", c->digest);
            sl_agent_refuse_promotion(a, what, kind, c->digest, error);
            return check;
        }
    }
    return SL_CHECK_OK;
}
