/* steps.c - the chain of roots and the registry of the agent's own environment. Every root is
 * verified from the one before it, under both thresholds; a registry by the role of the environment
 * that enrolment fixed. An agent that lost its state walks again from the pinned first root. A
 * raised epoch resets what the epoch guards, and stops nothing. */
#include "agent/brain/state.h"

/* ---- roots ---- */

static void reset_epoch(SlAgent *a, uint64_t epoch)
{
    sl_agent_log(a, false, "epoch",
                 "the root raised the epoch of `%s` to %" G_GUINT64_FORMAT ": numbers start again",
                 a->env, epoch);
    sl_head_state_clear(&a->head);
    a->trusted_us = 0;
    sl_agent_floors_forget(a);
    g_hash_table_remove_all(a->orders);
    /* Floors of units carry their own epoch: an older one counts as 0 (checks_unit.c). What runs
     * stays. */
}

static void enter_root(SlAgent *a, SlRoot *next, const SlSigned *s)
{
    const SlRootEnv *was = a->root != NULL ? sl_root_env(a->root, a->env) : NULL;
    const SlRootEnv *is = sl_root_env(next, a->env);
    if (was != NULL && is != NULL && is->epoch > was->epoch) {
        reset_epoch(a, is->epoch);
    }
    sl_root_free(a->root);
    sl_signed_free(a->root_text);
    a->root = next;
    a->root_text = sl_signed_copy(s);
    sl_agent_log(a, false, "root", "root version %" G_GUINT64_FORMAT " is in force", next->version);
    a->report_now = true; /* who signed it waits to see it in force */
    sl_agent_dirty(a);
    sl_agent_units_recheck(a);
}

#define CLAIM_BYTES_MAX 160 /* the four lines up to a root's version */

/* Version that a text claims, which is not verified and so not parsed: only its fourth line is looked
 * at, to skip what is known. */
static uint64_t claimed_version(const SlSigned *s)
{
    gsize len = 0;
    const char *text = g_bytes_get_data(s->text, &len);
    g_autofree char *head = g_strndup(len > 0 ? text : "", MIN(len, CLAIM_BYTES_MAX));
    g_auto(GStrv) lines = g_strsplit(head, "\n", 5);
    uint64_t version = 0;
    bool is_version = g_strv_length(lines) == 5 && g_str_has_prefix(lines[3], "version: ");
    return is_version && sl_parse_uint64(lines[3] + strlen("version: "), &version) ? version : 0;
}

static bool take_root(SlAgent *a, const SlSigned *s, GError **error)
{
    if (g_bytes_get_size(s->text) > SL_ROOT_MAX) {
        return sl_throw(error, SLU_LIMIT, "a root of %zu bytes is more than %d",
                        g_bytes_get_size(s->text), SL_ROOT_MAX);
    }
    if (a->root == NULL) {
        SlRoot *first = a->root_pin != NULL ? sl_root_accept_first(s, a->root_pin, error) : NULL;
        if (first == NULL && a->root_pin == NULL) {
            return sl_throw(error, SLU_AGENT_STATE_LOST, "no root is pinned here: enrol again");
        }
        if (first != NULL) {
            enter_root(a, first, s);
        }
        return first != NULL;
    }
    uint64_t claims = claimed_version(s);
    if (claims != 0 && claims <= a->root->version) {
        g_autofree char *mine = sl_signed_digest(a->root_text), *theirs = sl_signed_digest(s);
        return claims < a->root->version || strcmp(mine, theirs) == 0 ||
               sl_throw(error, SLU_AGENT_ROOT_STEP,
                        "another root of version %" G_GUINT64_FORMAT " than the one in force",
                        claims);
    }
    g_autoptr(GError) why = NULL;
    SlRoot *next = sl_root_accept_next(a->root, s, &why);
    if (next == NULL) {
        return sl_throw(error, SLU_AGENT_ROOT_STEP, "step from version %" G_GUINT64_FORMAT ": %s",
                        a->root->version, why->message);
    }
    enter_root(a, next, s);
    return true;
}

static void take_roots(SlAgent *a, const GPtrArray *roots)
{
    uint64_t before = a->root != NULL ? a->root->version : 0, newest = 0;
    for (guint i = 0; i < roots->len && i < SL_AGENT_STEPS_MAX; i++) {
        g_autoptr(GError) error = NULL;
        newest = MAX(newest, claimed_version(roots->pdata[i]));
        if (!take_root(a, roots->pdata[i], &error)) {
            sl_agent_refuse(
                a, "root", error->code == SLU_AGENT_STATE_LOST ? "state-lost" : "root-step", error);
            return;
        }
    }
    if (newest != 0 && newest < before) {
        g_autoptr(GError) error = NULL;
        (void)sl_throw(&error, SLU_AGENT_REPLAY,
                       "root: version %" G_GUINT64_FORMAT " was offered, %" G_GUINT64_FORMAT
                       " is in force",
                       newest, before);
        sl_agent_refuse(a, "root", "replay", error);
    }
}

/* ---- registry ---- */

bool sl_agent_check_registry(const SlRoot *root, const char *env, uint64_t version,
                             const SlSigned *s, SlRegistry **ret, GError **error)
{
    SlAgent probe = {.root = (SlRoot *)root};
    if (!sl_check_known_signer(&probe, s, SL_STATEMENT_REGISTRY, false, error)) {
        return false;
    }
    g_autoptr(SlRegistry) r = sl_registry_parse(s->text, error);
    if (r == NULL) {
        return false;
    }
    if (strcmp(r->fleet, root->fleet) != 0) {
        return sl_throw(error, SLU_AGENT_OTHER_FLEET,
                        "registry: it is for fleet %.12s, this is %.12s", r->fleet, root->fleet);
    }
    if (strcmp(r->env, env) != 0) {
        return sl_throw(error, SLU_AGENT_OTHER_ENV,
                        "registry: it is of `%s`, this agent was enrolled in `%s`", r->env, env);
    }
    if (r->version < version) {
        return sl_throw(error, SLU_AGENT_REPLAY,
                        "registry: version %" G_GUINT64_FORMAT " is below %" G_GUINT64_FORMAT,
                        r->version, version);
    }
    if (r->version - version > (version != 0 ? SL_AGENT_JUMP_MAX : SL_AGENT_FIRST_TERM_MAX)) {
        return sl_throw(error, SLU_AGENT_JUMP, "registry: version leaps to %" G_GUINT64_FORMAT,
                        r->version);
    }
    SlPolicyAsk ask = {.env = env, .act = SL_ACT_REGISTRY};
    g_autoptr(GError) why = NULL;
    if (!sl_policy_check(root, &ask, s, SL_STATEMENT_REGISTRY, NULL, &why)) {
        return sl_throw(error, SLU_AGENT_REGISTRY, "registry %" G_GUINT64_FORMAT " of `%s`: %s",
                        r->version, env, why->message);
    }
    if (ret != NULL) {
        *ret = g_steal_pointer(&r);
    }
    return true;
}

static const char *registry_kind(const GError *error)
{
    switch (error->code) {
    case SLU_AGENT_SIGNER:
        return "unsigned";
    case SLU_AGENT_OTHER_FLEET:
        return "other-fleet";
    case SLU_AGENT_OTHER_ENV:
        return "other-environment";
    case SLU_AGENT_REPLAY:
        return "replay";
    case SLU_AGENT_JUMP:
        return "jump";
    case SLU_AGENT_REGISTRY:
        return "unapproved";
    default:
        return "malformed";
    }
}

static void take_registry(SlAgent *a, const SlSigned *s)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlRegistry) r = NULL;
    if (!sl_agent_check_registry(a->root, a->env, a->registry_version, s, &r, &error)) {
        sl_agent_refuse(a, "registry", registry_kind(error), error);
        return;
    }
    if (a->registry_text != NULL && r->version == a->registry_version) {
        if (!g_bytes_equal(a->registry_text->text, s->text)) {
            (void)sl_throw(&error, SLU_AGENT_SEQ_BYTES,
                           "registry: another text of version %" G_GUINT64_FORMAT, r->version);
            sl_agent_refuse(a, "registry", "seq-reused", error);
        }
        return;
    }
    sl_signed_free(a->registry_text);
    a->registry_text = sl_signed_copy(s);
    a->registry_version = r->version;
    g_free(a->registry_map);
    a->registry_map = g_strdup(r->clusters);
    g_clear_pointer(&a->self, g_free);
    a->self_known = false;
    sl_agent_log(a, false, "registry", "registry version %" G_GUINT64_FORMAT " is in force",
                 r->version);
    a->report_now = true;
    sl_agent_dirty(a);
}

void sl_agent_take_steps(SlAgent *a, const GPtrArray *roots, const GPtrArray *registries)
{
    if (roots != NULL) {
        take_roots(a, roots);
    }
    if (a->root == NULL || registries == NULL) {
        return;
    }
    for (guint i = 0; i < registries->len && i < SL_AGENT_STEPS_MAX; i++) {
        take_registry(a, registries->pdata[i]);
    }
}

/* Looks the own entry up in the registry in force. */
void sl_agent_steps_settle(SlAgent *a)
{
    if (a->root == NULL || a->registry_map == NULL || a->self_known) {
        return;
    }
    g_autofree char *values = NULL;
    g_autoptr(GError) error = NULL;
    SlCheck check = sl_agent_map_get(a, a->registry_map, a->cluster, "self", &values, &error);
    if (check == SL_CHECK_REFUSED) {
        sl_agent_refuse(a, "registry", "wrong-bytes", error);
    } else if (check == SL_CHECK_OK) {
        g_free(a->self);
        a->self = g_steal_pointer(&values);
        a->self_known = true;
        sl_agent_dirty(a);
    }
}
