/* signing.c - promotion statements: their text, the online key where the root's threshold is 0,
 * people's approvals. */
#include "coordinator/brain/brain.h"
#include <string.h>

/* Digest of the documents that govern a unit: not the whole repository, so that other people's
 * pushes void nothing. */
char *sl_brain_policy_digest(const SlCoord *c, const char *app, const char *env)
{
    const SlEnvironmentDoc *env_doc = c->docs != NULL ? sl_fleet_env(c->docs, env) : NULL;
    const SlApplicationDoc *app_doc = c->docs != NULL ? sl_fleet_app(c->docs, app) : NULL;
    g_autoptr(json_t) both = json_object();
    sl_json_set_str(both, "environment", env_doc != NULL ? env_doc->digest : "-");
    sl_json_set_str(both, "application", app_doc != NULL ? app_doc->digest : "-");
    return sl_json_digest(both);
}

/* A statement has 16 KiB: more strangers than that are named by the release. People of the root are
 * never left out, nor is SL_AUTHOR_EVERYONE: whoever is not named here is not excluded from approving. */
#define STRANGERS_MAX 64

static void add_author(GPtrArray *all, const SlRoot *root, const char *author)
{
    const SlPerson *person = sl_root_person_of_email(root, author);
    const char *name = person != NULL ? person->name : author;
    bool matters = person != NULL || sl_root_person(root, author) != NULL ||
                   strcmp(author, SL_AUTHOR_EVERYONE) == 0;
    if (!matters && all->len >= STRANGERS_MAX) {
        return;
    }
    for (guint i = 0; i < all->len; i++) {
        if (strcmp(g_ptr_array_index(all, i), name) == 0) {
            return;
        }
    }
    g_ptr_array_add(all, g_strdup(name));
}

/* Authors of the change: of every release of the application after the unit's current one up to the
 * attempt's. */
char **sl_brain_authors(const SlCoord *c, const SlAttempt *a)
{
    GPtrArray *all = g_ptr_array_new();
    GPtrArray *releases = g_hash_table_lookup(c->app_releases, a->app);
    const SlUnit *u = sl_brain_unit(c, a->app, a->env);
    const SlRelease *to = sl_brain_release(c, a->release);
    const SlRelease *from =
        u != NULL && u->current != NULL ? sl_brain_release(c, u->current->release) : NULL;
    bool forward = a->act == SL_ACT_PROMOTE || a->act == SL_ACT_REDEPLOY;
    for (guint i = 0; forward && releases != NULL && i < releases->len; i++) {
        const SlRelease *r = g_ptr_array_index(releases, i);
        bool between =
            sl_release_compare(r, to) <= 0 && (from == NULL || sl_release_compare(r, from) > 0);
        for (char **author = r->authors; (between || r == to) && *author != NULL; author++) {
            add_author(all, c->root, *author);
        }
    }
    g_ptr_array_sort(all, sl_text_compare);
    g_ptr_array_add(all, NULL);
    return (char **)g_ptr_array_free(all, FALSE);
}

/* Did a cluster of @back lose its state since? It has nothing to go back to there. What it refuses
 * says nothing: a thief's rollback is refused too, and must not take the way back from others. */
static bool has_forgotten(const SlCoord *c, const SlAttempt *back)
{
    GHashTableIter iter;
    gpointer cluster;
    for (guint i = 0; i < c->orders->len; i++) {
        const SlOrderKept *kept = g_ptr_array_index(c->orders, i);
        if (kept->order->cluster != NULL && kept->at_us > back->finished_us &&
            g_hash_table_contains(back->target_of, kept->order->cluster)) {
            return true; /* a resume after state-lost */
        }
    }
    g_hash_table_iter_init(&iter, back->target_of);
    while (g_hash_table_iter_next(&iter, &cluster, NULL)) {
        const SlSession *session = sl_brain_session(c, cluster);
        if (session != NULL && session->state_lost) {
            return true;
        }
    }
    return false;
}

/* Whose statement a success stands on: its own, or of what was live when it was unchanged. */
static const SlAttempt *stands_on(const SlUnit *u, const SlAttempt *a)
{
    for (guint i = 0; i < u->attempts->len && a->promotion == NULL; i++) {
        const SlAttempt *other = g_ptr_array_index(u->attempts, i);
        if (other->promotion != NULL && g_strcmp0(other->commit, a->commit) == 0 &&
            g_strcmp0(other->targets, a->targets) == 0) {
            return other;
        }
    }
    return a->promotion != NULL ? a : NULL;
}

/* Where agents may go back by themselves when health fails: the unit's last SUCCEEDED promotion, if
 * it has other bundles. Never for a rollback: it would go in circles. */
static const char *auto_rollback_to(const SlCoord *c, const SlUnit *u, const SlAttempt *a,
                                    const char *targets)
{
    for (guint i = u->attempts->len; i > 0 && a->act == SL_ACT_PROMOTE; i--) {
        const SlAttempt *back = g_ptr_array_index(u->attempts, i - 1);
        const SlAttempt *live = back->state == SL_STATE_SUCCEEDED ? stands_on(u, back) : NULL;
        if (live == NULL) {
            continue;
        }
        bool usable = back->act != SL_ACT_REMOVE && strcmp(back->targets, targets) != 0 &&
                      sl_brain_veto(u, back->release, back->target_of) == NULL &&
                      !has_forgotten(c, back);
        return usable ? live->promotion : NULL;
    }
    return NULL;
}

GBytes *sl_brain_statement(SlCoord *c, SlAttempt *a, const SlRelease *r, uint64_t seq,
                           const char *targets, uint64_t target_count, GError **error)
{
    const SlRootEnv *env = sl_root_env(c->root, a->env);
    const SlUnit *u = sl_brain_unit(c, a->app, a->env);
    if (env == NULL) {
        return sl_throw_null(error, SLU_NOT_ELIGIBLE, "the root does not know environment %s",
                             a->env);
    }
    g_auto(GStrv) authors = sl_brain_authors(c, a);
    g_autofree char *policy = sl_brain_policy_digest(c, a->app, a->env);
    char *none[] = {NULL};
    SlPromotion p = {
        .fleet = c->root->fleet,
        .env = a->env,
        .app = a->app,
        .epoch = env->epoch,
        .seq = seq,
        .act = a->act,
        .release = r->id,
        .targets = (char *)(uintptr_t)targets,
        .target_count = target_count,
        .previous = u->last_live != NULL ? u->last_live->promotion : NULL,
        .auto_rollback_to = (char *)(uintptr_t)auto_rollback_to(c, u, a, targets),
        .allow_prune = a->allow_prune,
        .disrupt = a->disrupt,
        .force_fields = a->force_fields,
        .privileged = a->privileged != NULL ? a->privileged : none,
        .authors = authors,
        .not_before_us = c->now_us,
        .activate_until_us = c->now_us + env->activation_window_us,
        .policy = policy,
        .requester = a->requester,
        .reason = a->reason,
    };
    return sl_promotion_format(&p, error);
}

SlPolicyAsk sl_brain_policy_ask(const SlAttempt *a, char **authors)
{
    return (SlPolicyAsk){
        .env = a->env,
        .app = a->app,
        .act = a->act,
        .requester = a->requester,
        .authors = (const char *const *)authors,
    };
}

/* With a key that is in force: who got another key since signs again. */
static bool has_signed(const SlCoord *c, const SlAttempt *a, const char *person)
{
    g_autoptr(GPtrArray) keys = sl_signed_signers(a->statement, SL_STATEMENT_PROMOTION, NULL);
    for (guint i = 0; i < keys->len; i++) {
        const SlPerson *signer = sl_root_person_of_key(c->root, g_ptr_array_index(keys, i));
        if (signer != NULL && strcmp(signer->name, person) == 0) {
            return true;
        }
    }
    return false;
}

GPtrArray *sl_brain_approvers(const SlCoord *c, const SlAttempt *a)
{
    GPtrArray *list = g_ptr_array_new();
    for (guint i = 0; i < a->approvers->len; i++) {
        char *person = g_ptr_array_index(a->approvers, i);
        if (!g_ptr_array_find_with_equal_func(list, person, g_str_equal, NULL) &&
            (!sl_attempt_waits(a) || has_signed(c, a, person))) {
            g_ptr_array_add(list, person);
        }
    }
    return list;
}

bool sl_brain_approve(SlCoord *c, SlAttempt *a, const char *armour, const char *by, GError **error)
{
    if (a->statement == NULL || !sl_attempt_waits(a)) {
        return sl_throw(error, SLU_ATTEMPT_STATE,
                        "attempt %" G_GUINT64_FORMAT
                        " is %s; only one that waits for its gates is approved",
                        a->n, sl_state_info(a->state)->name);
    }
    gsize len = 0;
    const char *text = g_bytes_get_data(a->statement->text, &len);
    g_autoptr(SlPublicKey) key = NULL;
    if (!sl_sshsig_verify(armour, text, len, sl_statement_namespace(SL_STATEMENT_PROMOTION), &key,
                          error)) {
        return false;
    }
    const SlPerson *person = sl_root_person_of_key(c->root, key);
    if (person == NULL) {
        g_autofree char *print = sl_public_key_fingerprint(key);
        return sl_throw(error, SLU_APPROVAL_REFUSED,
                        "key %s belongs to nobody in the root, or was revoked", print);
    }
    if (has_signed(c, a, person->name)) {
        return sl_throw(error, SLU_APPROVAL_REFUSED,
                        "%s has signed attempt %" G_GUINT64_FORMAT " already; a person counts once",
                        person->name, a->n);
    }
    g_auto(GStrv) authors = sl_brain_authors(c, a);
    SlPolicyAsk ask = sl_brain_policy_ask(a, authors);
    if (a->approvers->len >= SL_APPROVALS_MAX ||
        !sl_policy_person_may(c->root, &ask, person->name)) {
        return sl_throw(
            error, SLU_APPROVAL_REFUSED,
            "%s may not %s %s in %s: not in every role, or excluded as requester or author",
            person->name, sl_act_name(a->act), a->app, a->env);
    }
    json_t *event = sl_event("Approved");
    sl_json_set_int(event, "attempt", (int64_t)a->n);
    sl_json_set_str(event, "promotion", a->promotion);
    sl_json_set_str(event, "person", person->name);
    sl_json_set_str(event, "by", by);
    sl_json_set_str(event, "sig", armour);
    sl_emit(c, event);
    return true;
}
