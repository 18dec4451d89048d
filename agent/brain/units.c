/* units.c - units on their way: a listed promotion becomes a candidate, passes the checks (fetching
 * what they need), and is accepted. Accepting writes state only; operations follow when that state
 * is durable (apply.c). A refused candidate is judged again when root, list, orders or time change,
 * and once a minute. */
#include "agent/brain/state.h"

void sl_candidate_free(SlCandidate *c)
{
    if (c == NULL) {
        return;
    }
    g_free(c->digest);
    sl_signed_free(c->statement);
    sl_promotion_free(c->promotion);
    g_free(c->bundle);
    g_free(c->auto_bundle);
    g_strfreev(c->auto_privileged);
    sl_gather_free(c->gather);
    g_free(c->waits);
    g_free(c);
}

SlUnit *sl_agent_unit_new(const char *app, const char *env)
{
    SlUnit *u = g_new0(SlUnit, 1);
    u->app = g_strdup(app);
    u->key = g_strdup_printf("%s/%s", app, env);
    u->healthy = g_ptr_array_new_with_free_func(g_free);
    u->objects = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                       (GDestroyNotify)sl_agent_object_free);
    u->healthy_since_us = u->degraded_since_us = u->unwell_since_us = -1;
    return u;
}

void sl_agent_unit_free(SlUnit *u)
{
    if (u == NULL) {
        return;
    }
    g_free(u->app);
    g_free(u->key);
    g_free(u->floor);
    g_free(u->promotion);
    g_free(u->bundle);
    g_free(u->release);
    g_free(u->auto_promotion);
    g_free(u->auto_bundle);
    g_strfreev(u->auto_privileged);
    g_free(u->latch_reason);
    g_ptr_array_unref(u->healthy);
    g_hash_table_unref(u->objects);
    g_free(u->wanted);
    sl_candidate_free(u->candidate);
    sl_gather_free(u->goal);
    sl_gather_free(u->spare);
    sl_verdict_clear(&u->verdict);
    g_free(u);
}

const char *sl_agent_unit_bundle(const SlUnit *u)
{
    return u->latch_reason != NULL ? u->auto_bundle : u->bundle;
}

/* A raised epoch voids what was accepted under an older one: it stays, and starts nothing new. */
bool sl_agent_epoch_in_force(const SlAgent *a, const SlUnit *u)
{
    const SlRootEnv *env = sl_root_env(a->root, a->env);
    return env != NULL && u->epoch == env->epoch;
}

void sl_agent_units_recheck(SlAgent *a)
{
    GHashTableIter iter;
    gpointer value;
    a->stir_all = true;
    g_hash_table_iter_init(&iter, a->units);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        SlUnit *u = value;
        if (u->candidate != NULL) {
            u->candidate->retry_us = 0;
        }
    }
}

static void replace(char **member, const char *value)
{
    char *copy = g_strdup(value);
    g_free(*member);
    *member = copy;
}

static void unrefuse(SlAgent *a, const SlUnit *u)
{
    g_autofree char *what = g_strdup_printf("unit/%s", u->key);
    sl_agent_unrefuse(a, what);
}

static void waits_flag(SlAgent *a, const SlUnit *u, const char *message)
{
    g_autofree char *name = g_strdup_printf("waits/%s", u->key);
    g_autofree char *text = NULL;
    if (message != NULL) {
        text = g_strdup_printf("promotion %.12s: %s", u->wanted, message);
    }
    sl_agent_flag(a, name, text, a->now_us);
}

static void drop_candidate(SlAgent *a, SlUnit *u)
{
    if (u->candidate == NULL) {
        return;
    }
    g_clear_pointer(&u->candidate, sl_candidate_free);
    g_autofree char *waiter = g_strdup_printf("unit %s", u->app);
    sl_agent_fetch_drop(a, waiter);
    waits_flag(a, u, NULL);
}

/* Names that a list once held and that never came to anything make room for others. */
void sl_agent_forget_blank(SlAgent *a)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, a->units);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        SlUnit *u = value;
        if (u->wanted == NULL && u->promotion == NULL && u->floor == NULL && !u->resumed &&
            g_hash_table_size(u->objects) == 0) {
            drop_candidate(a, u);
            unrefuse(a, u);
            g_hash_table_iter_remove(&iter);
        }
    }
}

SlUnit *sl_agent_unit(SlAgent *a, const char *app)
{
    SlUnit *u = g_hash_table_lookup(a->units, app);
    if (u == NULL && g_hash_table_size(a->units) >= SL_AGENT_UNITS_MAX) {
        sl_agent_forget_blank(a);
    }
    if (u == NULL && g_hash_table_size(a->units) < SL_AGENT_UNITS_MAX) {
        u = sl_agent_unit_new(app, a->env);
        u->stirred = true;
        g_hash_table_insert(a->units, u->app, u);
    }
    return u;
}

static void accept(SlAgent *a, SlUnit *u)
{
    SlCandidate *c = u->candidate;
    const SlPromotion *p = c->promotion;
    sl_plan_enter(a, u, c->gather);
    u->epoch = p->epoch;
    u->seq = p->seq;
    replace(&u->floor, c->digest);
    replace(&u->promotion, c->digest);
    u->act = p->act;
    replace(&u->bundle, c->bundle);
    replace(&u->release, p->release);
    u->force = p->force_fields;
    u->confirmed = false;
    bool back = c->auto_bundle != NULL && c->auto_bundle[0] != '\0' &&
                strcmp(c->auto_bundle, c->bundle) != 0;
    replace(&u->auto_promotion, back ? p->auto_rollback_to : NULL);
    replace(&u->auto_bundle, back ? c->auto_bundle : NULL);
    g_strfreev(u->auto_privileged);
    u->auto_privileged = back ? g_strdupv(c->auto_privileged) : NULL;
    g_clear_pointer(&u->latch_reason, g_free);
    u->latch_us = 0;
    u->activated_us = a->now_us;
    u->healthy_since_us = u->degraded_since_us = u->unwell_since_us = -1;
    sl_gather_free(u->goal);
    u->goal = g_steal_pointer(&c->gather);
    u->touched = true;
    g_clear_pointer(&u->spare, sl_gather_free);
    sl_agent_log(a, false, "accepted",
                 "%s: %s seq %" G_GUINT64_FORMAT ", promotion %.12s, bundle %.12s", u->key,
                 sl_act_name(p->act), p->seq, c->digest, c->bundle);
    drop_candidate(a, u);
    unrefuse(a, u);
    sl_agent_rollback_unrefuse(a, u);
    sl_agent_dirty(a);
    a->keep_dirty = true;
}

static void check_candidate(SlAgent *a, SlUnit *u)
{
    SlCandidate *c = u->candidate;
    if (c->refused && a->elapsed_us < c->retry_us) {
        sl_agent_wake(a, c->retry_us);
        return;
    }
    if (c->statement == NULL) {
        g_autofree char *waiter = g_strdup_printf("unit %s", u->app);
        const SlSigned *s = sl_agent_statement(a, c->digest, waiter);
        if (s == NULL) {
            waits_flag(a, u, "fetches the statement");
            return;
        }
        c->statement = sl_signed_copy(s);
    }
    g_clear_pointer(&c->waits, g_free);
    SlCheck check = sl_check_unit(a, u, c);
    c->refused = check == SL_CHECK_REFUSED;
    if (check == SL_CHECK_OK) {
        accept(a, u);
        return;
    }
    if (c->refused) {
        /* Its digest says nothing about signatures: next time it may come with more of them. */
        g_clear_pointer(&c->statement, sl_signed_free);
        c->judged_root = 0;
        g_hash_table_remove(a->statements, c->digest);
        /* Nobody keeps its bytes meanwhile (keep.c): they are gathered again when it may come. */
        g_clear_pointer(&c->gather, sl_gather_free);
        c->retry_us = a->elapsed_us + SL_AGENT_RETRY_REFUSED_US;
        sl_agent_wake(a, c->retry_us);
    } else {
        unrefuse(a, u);
    }
    waits_flag(a, u,
               c->refused ? NULL : (c->waits != NULL ? c->waits : "fetches what its checks need"));
}

static void follow_list(SlAgent *a, SlUnit *u)
{
    bool is_accepted = u->wanted != NULL && g_strcmp0(u->wanted, u->promotion) == 0;
    if (u->candidate != NULL && g_strcmp0(u->candidate->digest, u->wanted) != 0) {
        drop_candidate(a, u);
        unrefuse(a, u);
    }
    if (u->wanted != NULL && !is_accepted && u->candidate == NULL) {
        u->candidate = g_new0(SlCandidate, 1);
        u->candidate->digest = g_strdup(u->wanted);
    }
    if (u->candidate != NULL) {
        check_candidate(a, u);
    }
    g_autofree char *flag = g_strdup_printf("unlisted/%s", u->key);
    bool unlisted = a->list_root != NULL && u->wanted == NULL && u->promotion != NULL &&
                    u->act != SL_ACT_REMOVE;
    sl_agent_flag(a, flag,
                  unlisted ? "the desired list leaves this unit out: it is kept as it is" : NULL,
                  a->now_us);
}

/* Reads what is in force again after a restart, and fetches ahead what the unit may go back to. */
static void load(SlAgent *a, SlUnit *u, SlGather **gather, const char *bundle)
{
    if (bundle == NULL) {
        return;
    }
    if (*gather != NULL && strcmp((*gather)->digest, bundle) != 0) {
        g_clear_pointer(gather, sl_gather_free);
    }
    if (*gather == NULL) {
        *gather = sl_gather_new(bundle);
    }
    if (sl_gather_ready(*gather)) {
        return;
    }
    g_autofree char *waiter = g_strdup_printf("unit %s", u->app);
    g_autoptr(GError) error = NULL;
    SlCheck check = sl_gather_advance(a, *gather, waiter, &error);
    if (check == SL_CHECK_REFUSED) {
        sl_agent_log(a, true, "bundle", "%s: bundle %.12s can't be read: %s", u->key, bundle,
                     error->message);
        g_clear_pointer(gather, sl_gather_free);
        sl_agent_wake(a, a->elapsed_us + SL_AGENT_RETRY_REFUSED_US);
    } else if (check == SL_CHECK_OK) {
        a->keep_dirty = u->touched = true;
    }
}

void sl_agent_follow(SlAgent *a, SlUnit *u)
{
    follow_list(a, u);
    load(a, u, &u->goal, sl_agent_unit_bundle(u));
    load(a, u, &u->spare, u->latch_reason == NULL ? u->auto_bundle : NULL);
}
