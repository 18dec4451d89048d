/* checks_head.c - the order of checks of a head. A head that fails is dropped as a whole; what runs
 * goes on. */
#include "agent/brain/state.h"

typedef struct {
    const SlSigned *s;
    SlHead *head; /* NULL until parsed */
    char *digest;
} HeadCase;

static SlCheck head_root_expired(SlAgent *a, HeadCase *c, GError **error)
{
    (void)c;
    if (sl_agent_trusted(a) < a->root->expires_us) {
        return SL_CHECK_OK;
    }
    g_autofree char *when = sl_format_time(a->root->expires_us);
    return sl_check_verdict(sl_throw(error, SLU_AGENT_ROOT_EXPIRED,
                                     "root %" G_GUINT64_FORMAT " expired at %s", a->root->version,
                                     when));
}

static SlCheck head_signer(SlAgent *a, HeadCase *c, GError **error)
{
    return sl_check_verdict(sl_check_known_signer(a, c->s, SL_STATEMENT_HEAD, true, error));
}

static SlCheck head_parse(SlAgent *a, HeadCase *c, GError **error)
{
    (void)a;
    c->head = sl_head_parse(c->s->text, error);
    return sl_check_verdict(c->head != NULL);
}

static SlCheck head_fleet(SlAgent *a, HeadCase *c, GError **error)
{
    return sl_check_fleet(a, c->head->fleet, error);
}

static SlCheck head_env(SlAgent *a, HeadCase *c, GError **error)
{
    return sl_check_env(a, c->head->env, error);
}

static SlCheck head_cluster(SlAgent *a, HeadCase *c, GError **error)
{
    return sl_check_verdict(strcmp(c->head->cluster, a->cluster) == 0 ||
                            sl_throw(error, SLU_AGENT_OTHER_CLUSTER,
                                     "it is for cluster `%s`, this is `%s`", c->head->cluster,
                                     a->cluster));
}

static SlCheck head_nonce(SlAgent *a, HeadCase *c, GError **error)
{
    return sl_check_verdict((a->nonce != NULL && strcmp(c->head->nonce, a->nonce) == 0) ||
                            sl_throw(error, SLU_AGENT_NONCE,
                                     "it answers session %.8s, this is session %.8s",
                                     c->head->nonce, a->nonce != NULL ? a->nonce : "-"));
}

static SlCheck head_epoch(SlAgent *a, HeadCase *c, GError **error)
{
    return sl_check_epoch(a, c->head->epoch, error);
}

static SlCheck head_order(SlAgent *a, HeadCase *c, GError **error)
{
    const SlHeadState *now = &a->head;
    const SlHead *h = c->head;
    bool newer = h->term > now->term || (h->term == now->term && h->version > now->version);
    return sl_check_verdict(now->digest == NULL || newer ||
                            sl_throw(error, SLU_AGENT_REPLAY,
                                     "(term, version) (%" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT
                                     ") is not above (%" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT
                                     ")",
                                     h->term, h->version, now->term, now->version));
}

static SlCheck head_jump(SlAgent *a, HeadCase *c, GError **error)
{
    const SlHeadState *now = &a->head;
    const SlHead *h = c->head;
    uint64_t version_from = h->term == now->term ? now->version : 0;
    bool term_ok = now->digest == NULL ? h->term <= SL_AGENT_FIRST_TERM_MAX
                                       : h->term - now->term <= SL_AGENT_JUMP_MAX;
    return sl_check_verdict((term_ok && h->version - version_from <= SL_AGENT_JUMP_MAX) ||
                            sl_throw(error, SLU_AGENT_JUMP,
                                     "(term, version) leaps to (%" G_GUINT64_FORMAT
                                     ", %" G_GUINT64_FORMAT ")",
                                     h->term, h->version));
}

static SlCheck head_issued(SlAgent *a, HeadCase *c, GError **error)
{
    if (c->head->issued_us <= a->now_us + SL_AGENT_SKEW_US) {
        return SL_CHECK_OK;
    }
    g_autofree char *when = sl_format_time(c->head->issued_us), *now = sl_format_time(a->now_us);
    return sl_check_verdict(
        sl_throw(error, SLU_AGENT_FUTURE, "it was issued at %s, this clock says %s", when, now));
}

int64_t sl_head_expires(const SlAgent *a, const SlHead *head)
{
    const SlRootEnv *env = sl_root_env(a->root, a->env);
    return MIN(head->expires_us, head->issued_us + env->head_lifetime_us + SL_AGENT_SKEW_US);
}

static SlCheck head_expiry(SlAgent *a, HeadCase *c, GError **error)
{
    int64_t expires = sl_head_expires(a, c->head);
    if (sl_agent_trusted(a) < expires) {
        return SL_CHECK_OK;
    }
    g_autofree char *when = sl_format_time(expires), *now = sl_format_time(sl_agent_trusted(a));
    return sl_check_verdict(
        sl_throw(error, SLU_AGENT_EXPIRED, "it expired at %s, it is %s here", when, now));
}

static SlCheck head_trust(SlAgent *a, HeadCase *c, GError **error)
{
    const SlHead *h = c->head;
    if (h->root < a->root->version || h->registry < a->registry_version) {
        return sl_check_verdict(
            sl_throw(error, SLU_AGENT_OLD_TRUST,
                     "it stands on root %" G_GUINT64_FORMAT " and registry %" G_GUINT64_FORMAT
                     ", this agent holds %" G_GUINT64_FORMAT " and %" G_GUINT64_FORMAT,
                     h->root, h->registry, a->root->version, a->registry_version));
    }
    return h->root == a->root->version && h->registry == a->registry_version ? SL_CHECK_OK
                                                                             : SL_CHECK_WAIT;
}

static SlCheck head_registered(SlAgent *a, HeadCase *c, GError **error)
{
    (void)c;
    if (!a->self_known) {
        return SL_CHECK_WAIT;
    }
    if (a->self == NULL) {
        return sl_check_verdict(sl_throw(error, SLU_AGENT_NOT_REGISTERED,
                                         "registry %" G_GUINT64_FORMAT
                                         " of `%s` does not hold cluster `%s`",
                                         a->registry_version, a->env, a->cluster));
    }
    g_autoptr(SlCluster) self = sl_cluster_parse(a->cluster, a->self, error);
    return sl_check_verdict(
        self != NULL && (strcmp(self->sign->line, a->key->line) == 0 ||
                         sl_throw(error, SLU_AGENT_NOT_REGISTERED,
                                  "registry %" G_GUINT64_FORMAT " gives cluster `%s` another key",
                                  a->registry_version, a->cluster)));
}

static const struct {
    const char *kind;
    SlCheck (*check)(SlAgent *, HeadCase *, GError **);
} HEAD_CHECKS[] = {
    {"root-expired", head_root_expired},
    {"unsigned", head_signer},
    {"malformed", head_parse},
    {"other-fleet", head_fleet},
    {"other-environment", head_env},
    {"other-cluster", head_cluster},
    {"old-session", head_nonce},
    {"epoch", head_epoch},
    {"replay", head_order},
    {"jump", head_jump},
    {"future", head_issued},
    {"expired", head_expiry},
    {"old-trust", head_trust},
    {"not-registered", head_registered},
};

SlCheck sl_check_head(SlAgent *a, const SlSigned *s, SlHead **ret_head)
{
    HeadCase c = {.s = s};
    SlCheck result = SL_CHECK_OK;
    for (size_t i = 0; i < G_N_ELEMENTS(HEAD_CHECKS) && result == SL_CHECK_OK; i++) {
        g_autoptr(GError) error = NULL;
        result = HEAD_CHECKS[i].check(a, &c, &error);
        if (result == SL_CHECK_REFUSED) {
            (void)sl_prefix(&error, "head");
            sl_agent_refuse(a, "head", HEAD_CHECKS[i].kind, error);
        }
    }
    if (result != SL_CHECK_REFUSED) {
        *ret_head = g_steal_pointer(&c.head);
    }
    sl_head_free(c.head);
    return result;
}
