/* ledger.c - rules of every event, judged in the state that stood before it: what may be decided
 * when. The promises are those of the promotion model (one line of the ledger, one live promotion of
 * a unit, people's words are not lost, nothing comes back by itself). */
#include "book.h"

static bool is_type(const Moment *m, const char *type)
{
    return strcmp(sl_json_str_or(m->event, "type", ""), type) == 0;
}

static unsigned unit_live(const Book *b, const char *unit, const BookAttempt *but)
{
    unsigned n = 0;
    for (guint i = 0; i < b->attempts->len; i++) {
        const BookAttempt *a = b->attempts->pdata[i];
        n += a != but && a->stage == BOOK_LIVE && strcmp(a->unit, unit) == 0 ? 1 : 0;
    }
    return n;
}

/* Each attempt that a Committed event names. */
static BookAttempt *committed_nth(const Book *b, const json_t *event, size_t i)
{
    const json_t *unit = json_array_get(sl_json_at(event, "units"), i);
    return unit != NULL ? book_attempt(b, unit) : NULL;
}

void check_chain(World *w, const Moment *m)
{
    const Book *b = book_of(w);
    uint64_t seq = (uint64_t)sl_json_int(m->event, "seq", 0);
    if (seq != b->read + 1 || g_strcmp0(sl_json_str(m->event, "prev"), b->hash) != 0) {
        fail(w, "event %" G_GUINT64_FORMAT " does not follow event %" G_GUINT64_FORMAT, seq,
             b->read);
    }
    if (is_type(m, "Lease") && (uint64_t)sl_json_int(m->event, "term", 0) <= b->term) {
        fail(w, "a lease does not raise the term");
    }
}

/* I4: at most one attempt of a unit between its commit and its end. */
void check_one_live(World *w, const Moment *m)
{
    const Book *b = book_of(w);
    for (size_t i = 0; is_type(m, "Committed"); i++) {
        const BookAttempt *a = committed_nth(b, m->event, i);
        if (a == NULL) {
            return;
        }
        if (unit_live(b, a->unit, a) > 0) {
            fail(w, "%s is committed a second time while attempt %" G_GUINT64_FORMAT " is live",
                 a->unit, book_live(b, a->unit)->n);
        }
        if (a->stage != BOOK_WAITS) {
            fail(w, "attempt %" G_GUINT64_FORMAT " is committed after it %s", a->n,
                 a->end != NULL ? a->end : "was");
        }
    }
}

/* 13: after the commit only forward; a final state is final. */
void check_no_way_back(World *w, const Moment *m)
{
    static const char *const before[] = {"Rejected", "Aborted", "Superseded", "Expired", NULL};
    static const char *const ends[] = {"Succeeded", "Failed",     "Errored", "Rejected",
                                       "Aborted",   "Superseded", "Expired", NULL};
    const char *type = sl_json_str_or(m->event, "type", "");
    const BookAttempt *a = book_attempt(book_of(w), m->event);
    if (a == NULL || !g_strv_contains(ends, type)) {
        return;
    }
    if (a->stage == BOOK_ENDED) {
        fail(w, "attempt %" G_GUINT64_FORMAT " was %s and is %s", a->n, a->end, type);
    } else if (a->stage == BOOK_LIVE && g_strv_contains(before, type)) {
        fail(w, "attempt %" G_GUINT64_FORMAT " is %s after its commit", a->n, type);
    }
}

/* A newer request ends nothing that somebody signed: only a commit with a higher number does. Its
 * event follows in the same batch. */
void check_signed_stays(World *w, const Moment *m)
{
    const Book *b = book_of(w);
    const BookAttempt *a = book_attempt(b, m->event);
    if (!is_type(m, "Superseded") || a == NULL || a->approvals == 0) {
        return;
    }
    for (guint i = (guint)b->read; i < w->ledger->len; i++) {
        const json_t *later = w->ledger->pdata[i];
        for (size_t k = 0; k < json_array_size(sl_json_at(later, "units")); k++) {
            const BookAttempt *by = committed_nth(b, later, k);
            if (by != NULL && strcmp(by->unit, a->unit) == 0 && by->seq > a->seq) {
                return;
            }
        }
    }
    fail(w, "attempt %" G_GUINT64_FORMAT " was signed by %u people and is superseded", a->n,
         a->approvals);
}

/* I1, 6: people of the root in force allowed what is committed; its epoch is in force. */
void check_allowed(World *w, const Moment *m)
{
    const Book *b = book_of(w);
    const SlRoot *root = book_root_newest(b);
    for (size_t i = 0; is_type(m, "Committed"); i++) {
        const BookAttempt *a = committed_nth(b, m->event, i);
        if (a == NULL || root == NULL) {
            return;
        }
        LawCase what = {.env = a->env,
                        .app = a->app,
                        .act = a->act,
                        .requester = a->requester,
                        .authors = a->promotion != NULL ? a->promotion->authors : NULL};
        g_autofree char *against =
            a->digest != NULL ? law_against(w, root, &what, a->digest) : g_strdup("no statement");
        const SlRootEnv *env = sl_root_env(root, a->env);
        if (against != NULL) {
            fail(w, "attempt %" G_GUINT64_FORMAT " is committed: %s", a->n, against);
        } else if (env == NULL || a->promotion->epoch != env->epoch) {
            fail(w, "attempt %" G_GUINT64_FORMAT " is committed under a void epoch", a->n);
        }
    }
}

/* 9: what is vetoed is not committed; what is pinned is not promoted by itself. 10: what failed is
 * not tried again without a person. */
void check_marks(World *w, const Moment *m)
{
    static const char *const final[] = {"Failed", "Rejected", "Aborted", "Expired", NULL};
    const Book *b = book_of(w);
    for (size_t i = 0; is_type(m, "Committed"); i++) {
        const BookAttempt *a = committed_nth(b, m->event, i);
        g_autofree char *veto = a != NULL ? g_strdup_printf("%s %s", a->unit, a->release) : NULL;
        if (veto == NULL) {
            return;
        }
        if (g_hash_table_contains(b->vetoes, veto) &&
            (a->act == SL_ACT_PROMOTE || a->act == SL_ACT_REDEPLOY)) {
            fail(w, "attempt %" G_GUINT64_FORMAT " is committed against a veto", a->n);
        }
    }
    if (!is_type(m, "Requested") || sl_json_str(m->event, "requester") != NULL) {
        return;
    }
    g_autofree char *unit =
        g_strdup_printf("%s/%s", sl_json_str(m->event, "app"), sl_json_str(m->event, "env"));
    if (g_hash_table_contains(b->pins, unit)) {
        fail(w, "%s is promoted by itself while it is pinned", unit);
    }
    for (guint i = 0; i < b->attempts->len; i++) {
        const BookAttempt *a = b->attempts->pdata[i];
        if (strcmp(a->unit, unit) == 0 &&
            g_strcmp0(a->release, sl_json_str(m->event, "release")) == 0 && a->end != NULL &&
            g_strv_contains(final, a->end)) {
            fail(w,
                 "%s: attempt %" G_GUINT64_FORMAT
                 " of this release was %s, it is tried again by itself",
                 unit, a->n, a->end);
        }
    }
}

/* 5: a release is promoted only where it succeeded upstream first, whole. */
static bool succeeded(const Book *b, const BookAttempt *what, const char *env)
{
    for (guint i = 0; i < b->attempts->len; i++) {
        const BookAttempt *a = b->attempts->pdata[i];
        if (strcmp(a->app, what->app) == 0 && strcmp(a->env, env) == 0 &&
            strcmp(a->release, what->release) == 0 && g_strcmp0(a->end, "Succeeded") == 0 &&
            a->withheld == 0 && a->act != SL_ACT_REMOVE) {
            return true;
        }
    }
    return false;
}

void check_upstream(World *w, const Moment *m)
{
    const Book *b = book_of(w);
    const SlFleetDocs *docs = w->coord != NULL ? sl_coord_docs(w->coord) : NULL;
    for (size_t i = 0; is_type(m, "Committed") && docs != NULL; i++) {
        const BookAttempt *a = committed_nth(b, m->event, i);
        const SlEnvironmentDoc *env = a != NULL ? sl_fleet_env(docs, a->env) : NULL;
        const SlApplicationDoc *app = a != NULL ? sl_fleet_app(docs, a->app) : NULL;
        if (a == NULL) {
            return;
        }
        int have = 0, of = 0;
        for (char **name = env != NULL && app != NULL ? env->after.names : NULL;
             name != NULL && *name != NULL; name++) {
            of++;
            have += sl_app_env(app, *name) == NULL || succeeded(b, a, *name) ? 1 : 0;
        }
        if (a->act == SL_ACT_PROMOTE && of > 0 && have < env->after.need) {
            fail(w, "attempt %" G_GUINT64_FORMAT " is committed in %s; upstream %d of %d succeeded",
                 a->n, a->env, have, env->after.need);
        }
    }
}

#define WAITING_MAX 16 /* of one unit: more are a mistake of a script */

/* 13, I8: the queue of a unit is bounded, and it is the newcomer who is refused. */
void check_queue(World *w, const Moment *m)
{
    const Book *b = book_of(w);
    unsigned waiting = 1;
    if (!is_type(m, "Requested") || sl_json_str(m->event, "requester") == NULL) {
        return;
    }
    g_autofree char *unit =
        g_strdup_printf("%s/%s", sl_json_str(m->event, "app"), sl_json_str(m->event, "env"));
    for (guint i = 0; i < b->attempts->len; i++) {
        const BookAttempt *a = b->attempts->pdata[i];
        waiting += a->stage == BOOK_WAITS && strcmp(a->unit, unit) == 0 ? 1 : 0;
    }
    if (waiting > WAITING_MAX) {
        fail(w, "%s has %u waiting attempts", unit, waiting);
    }
}

static uint64_t highest_order(const Book *b, const SlOrder *like)
{
    uint64_t highest = 0;
    for (guint i = 0; i < b->orders->len; i++) {
        const SlOrder *o = ((const BookOrder *)b->orders->pdata[i])->order;
        if (strcmp(o->env, like->env) == 0 && strcmp(o->scope, like->scope) == 0) {
            highest = MAX(highest, o->number);
        }
    }
    return highest;
}

/* Numbers rise: of a unit's statements, of a scope's orders. */
void check_numbers(World *w, const Moment *m)
{
    const Book *b = book_of(w);
    const BookAttempt *a = book_attempt(b, m->event);
    if (is_type(m, "Rendered") && a != NULL && sl_json_at(m->event, "statement") != NULL) {
        const char *was = g_hash_table_lookup(b->seqs, a->unit);
        uint64_t highest = 0, seq = (uint64_t)sl_json_int(m->event, "unitSeq", 0);
        if (was != NULL && sl_parse_uint64(was, &highest) && seq <= highest) {
            fail(w, "%s: number %" G_GUINT64_FORMAT " is given again", a->unit, seq);
        }
    }
    g_autoptr(SlSigned) s =
        is_type(m, "Order") ? sl_signed_from_json(sl_json_at(m->event, "order"), NULL) : NULL;
    g_autoptr(SlOrder) order = s != NULL ? sl_order_parse(s->text, NULL) : NULL;
    if (order != NULL && order->number <= highest_order(b, order)) {
        fail(w, "order number %" G_GUINT64_FORMAT " of `%s` is given again", order->number,
             order->scope);
    }
}

/* It succeeded, or a later one that changed nothing succeeded on it. */
static bool came_true(const Book *b, const BookAttempt *what)
{
    for (guint i = 0; what != NULL && i < b->attempts->len; i++) {
        const BookAttempt *a = b->attempts->pdata[i];
        bool on_it = a == what || (a->unchanged && a->n > what->n && a->target_of != NULL &&
                                   strcmp(a->unit, what->unit) == 0);
        if (on_it && g_strcmp0(a->end, "Succeeded") == 0) {
            return true;
        }
    }
    return false;
}

/* 24: targets are the members at the render, no others, and stay as rendered. 11: a rollback takes
 * exactly what the chosen attempt had, and arms no going back of its own. */
void check_targets(World *w, const Moment *m)
{
    const Book *b = book_of(w);
    const BookAttempt *a = book_attempt(b, m->event);
    if (!is_type(m, "Rendered") || a == NULL) {
        return;
    }
    g_autoptr(SlSigned) s = json_is_object(sl_json_at(m->event, "statement"))
                                ? sl_signed_from_json(sl_json_at(m->event, "statement"), NULL)
                                : NULL;
    g_autoptr(SlPromotion) p = s != NULL ? sl_promotion_parse(s->text, NULL) : NULL;
    if (p == NULL) {
        return;
    }
    if (strcmp(p->targets, sl_json_str_or(m->event, "targets", "")) != 0) {
        fail(w, "attempt %" G_GUINT64_FORMAT " was rendered for other targets than it signs", a->n);
    }
    if (p->auto_rollback_to != NULL && a->act != SL_ACT_PROMOTE) {
        fail(w, "attempt %" G_GUINT64_FORMAT " (%s) arms a going back", a->n, sl_act_name(a->act));
    }
    const BookAttempt *back =
        p->auto_rollback_to != NULL ? g_hash_table_lookup(b->promoted, p->auto_rollback_to) : NULL;
    if (p->auto_rollback_to != NULL && (!came_true(b, back) || strcmp(back->unit, a->unit) != 0)) {
        fail(w, "attempt %" G_GUINT64_FORMAT " would go back to what did not succeed in %s", a->n,
             a->unit);
    }
}

static bool same_texts(GHashTable *left, GHashTable *right)
{
    GHashTableIter iter;
    gpointer key, value;
    bool same =
        left != NULL && right != NULL && g_hash_table_size(left) == g_hash_table_size(right);
    g_hash_table_iter_init(&iter, left);
    while (same && g_hash_table_iter_next(&iter, &key, &value)) {
        same = g_strcmp0(g_hash_table_lookup(right, key), value) == 0;
    }
    return same;
}

void check_rollback(World *w, const Moment *m)
{
    const Book *b = book_of(w);
    for (size_t i = 0; is_type(m, "Committed"); i++) {
        const BookAttempt *a = committed_nth(b, m->event, i);
        if (a == NULL) {
            return;
        }
        const BookAttempt *to = a->act == SL_ACT_ROLLBACK && a->to > 0 && a->to <= b->attempts->len
                                    ? b->attempts->pdata[a->to - 1]
                                    : NULL;
        if (a->act == SL_ACT_ROLLBACK && (to == NULL || !same_texts(a->target_of, to->target_of))) {
            fail(w,
                 "attempt %" G_GUINT64_FORMAT
                 " rolls back to other bytes than attempt %" G_GUINT64_FORMAT " had",
                 a->n, a->to);
        }
    }
}

/* 16, rule 7: Succeeded only on what agents said of this promotion and these bundles. */
void check_proof(World *w, const Moment *m)
{
    const Book *b = book_of(w);
    const BookAttempt *a = book_attempt(b, m->event);
    if (!is_type(m, "Succeeded") || a == NULL || a->act == SL_ACT_REMOVE || a->target_of == NULL) {
        return;
    }
    const char *promotion = a->digest;
    for (guint i = b->attempts->len; i > 0 && a->unchanged && promotion == NULL; i--) {
        const BookAttempt *live = b->attempts->pdata[i - 1];
        bool was_live = live->commit != NULL && strcmp(live->unit, a->unit) == 0;
        promotion = was_live ? live->digest : NULL;
    }
    GHashTable *claims = world_keep_table(w, "claims");
    GHashTableIter iter;
    gpointer cluster, bundle;
    g_hash_table_iter_init(&iter, a->target_of);
    while (g_hash_table_iter_next(&iter, &cluster, &bundle)) {
        g_autofree char *key = g_strdup_printf("%s %s %s", (char *)cluster, (char *)bundle,
                                               promotion != NULL ? promotion : "-");
        if (book_member(b, a->env, cluster) && !g_hash_table_contains(claims, key)) {
            fail(w,
                 "attempt %" G_GUINT64_FORMAT
                 " succeeded, but %s never said that it is Healthy on it",
                 a->n, (char *)cluster);
        }
    }
}
