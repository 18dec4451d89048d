/* releases.c - what a release is and what may hold it: its id says what it is made of and nothing
 * else, the same release is the same bytes whenever it is rendered, what holds a unit lets people go
 * back, and what is not whole, or waited too long, goes nowhere. */
#include "book.h"

static bool is_type(const Moment *m, const char *type)
{
    return strcmp(sl_json_str_or(m->event, "type", ""), type) == 0;
}

static BookAttempt *committed_nth(const Book *b, const json_t *event, size_t i)
{
    const json_t *unit = json_array_get(sl_json_at(event, "units"), i);
    return unit != NULL ? book_attempt(b, unit) : NULL;
}

/* ---- 21 ---- */

/* One of another: what stood there before and is not the same, or NULL. */
static const char *other_than(GHashTable *table, const char *key, const char *value)
{
    const char *was = g_hash_table_lookup(table, key);
    if (was == NULL) {
        g_hash_table_insert(table, g_strdup(key), g_strdup(value));
    }
    return was != NULL && strcmp(was, value) != 0 ? was : NULL;
}

/* Application, input trees, document and items by their immutable ids; not commit, author, branch,
 * time or order. */
void check_release(World *w, const Moment *m)
{
    if (!is_type(m, "ReleaseMinted")) {
        return;
    }
    const char *id = sl_json_str_or(m->event, "release", "-");
    g_autoptr(json_t) made_of = json_object();
    static const char *const parts[] = {"app", "document", "trees", "items"};
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        json_object_set(made_of, parts[i], sl_json_at(m->event, parts[i]));
    }
    g_autofree char *text = sl_json_canonical(made_of, NULL);
    const char *other = other_than(world_keep_table(w, "release of"), text, id);
    if (other != NULL) {
        fail(w, "release %.12s is made of the same as release %.12s", id, other);
    }
    if (other_than(world_keep_table(w, "made of"), id, text) != NULL) {
        fail(w, "release %.12s is made of two things", id);
    }
}

/* ---- 22 ---- */

static void judge_bytes(World *w, const BookAttempt *a)
{
    GHashTableIter iter;
    gpointer cluster, bundle;
    bool anew = a->act == SL_ACT_PROMOTE || a->act == SL_ACT_REDEPLOY;
    if (!anew || a->target_of == NULL) {
        return;
    }
    g_hash_table_iter_init(&iter, a->target_of);
    while (g_hash_table_iter_next(&iter, &cluster, &bundle)) {
        g_autofree char *where = g_strdup_printf("%s %s %s", a->release, a->env, (char *)cluster);
        const char *other = other_than(world_keep_table(w, "rendered"), where, bundle);
        if (other != NULL) {
            fail(w,
                 "attempt %" G_GUINT64_FORMAT
                 ": release %.12s for %s is bundle %.12s, it was bundle %.12s",
                 a->n, a->release, (char *)cluster, (char *)bundle, other);
        }
    }
}

void check_same_bytes(World *w, const Moment *m)
{
    const Book *b = book_of(w);
    const BookAttempt *a = NULL;
    for (size_t i = 0; is_type(m, "Committed") && (a = committed_nth(b, m->event, i)) != NULL;
         i++) {
        judge_bytes(w, a);
    }
    a = is_type(m, "Succeeded") ? book_attempt(b, m->event) : NULL;
    if (a != NULL) {
        judge_bytes(w, a);
    }
}

/* ---- 12 ---- */

/* The mark stands already, or an event of the same batch sets it. */
static bool is_marked(World *w, const Book *b, GHashTable *marks, const char *mark,
                      const char *type, const BookAttempt *a, const char *release)
{
    for (guint i = (guint)b->read; i < w->ledger->len; i++) {
        const json_t *later = w->ledger->pdata[i];
        if (strcmp(sl_json_str_or(later, "type", ""), type) == 0 &&
            g_strcmp0(sl_json_str(later, "app"), a->app) == 0 &&
            g_strcmp0(sl_json_str(later, "env"), a->env) == 0 &&
            (release == NULL || g_strcmp0(sl_json_str(later, "release"), release) == 0)) {
            return true;
        }
    }
    return g_hash_table_contains(marks, mark);
}

/* What was committed in the unit before. @ret_moved: its release may be another one since, without a
 * commit (unchanged bytes), or none (removed). */
static const BookAttempt *before(const Book *b, const BookAttempt *what, bool *ret_moved)
{
    const BookAttempt *last = NULL;
    for (guint i = 0; i < b->attempts->len; i++) {
        const BookAttempt *a = b->attempts->pdata[i];
        if (a == what || strcmp(a->unit, what->unit) != 0) {
            continue;
        }
        if (a->committed > (last != NULL ? last->committed : 0)) {
            last = a;
            *ret_moved = a->act == SL_ACT_REMOVE;
        }
        *ret_moved = *ret_moved || (a->unchanged && a->end != NULL);
    }
    return last;
}

/* A rollback is held up by no pin and no veto; it leaves both behind, in the ledger. */
void check_holds(World *w, const Moment *m)
{
    const Book *b = book_of(w);
    const BookAttempt *a = is_type(m, "Rejected") ? book_attempt(b, m->event) : NULL;
    g_autofree char *vetoed = g_strdup_printf("SLU%d", SLU_VETOED);
    if (a != NULL && a->act == SL_ACT_ROLLBACK &&
        strcmp(sl_json_str_or(m->event, "error.code", ""), vetoed) == 0) {
        fail(w, "attempt %" G_GUINT64_FORMAT " (rollback) is held up by a veto", a->n);
    }
    for (size_t i = 0; is_type(m, "Committed") && (a = committed_nth(b, m->event, i)) != NULL;
         i++) {
        bool moved = false;
        const BookAttempt *replaced = before(b, a, &moved);
        if (a->act != SL_ACT_ROLLBACK || replaced == NULL) {
            continue;
        }
        g_autofree char *veto = g_strdup_printf("%s %s", a->unit, replaced->release);
        bool other = !moved && strcmp(replaced->release, a->release) != 0;
        if (!is_marked(w, b, b->pins, a->unit, "Pinned", a, NULL) ||
            (other && !is_marked(w, b, b->vetoes, veto, "Vetoed", a, replaced->release))) {
            fail(w, "attempt %" G_GUINT64_FORMAT " rolls %s back and leaves no mark", a->n,
                 a->unit);
        }
    }
}

/* ---- 25 ---- */

/* The event that commits comes after the look at the time: no room on the disk, a clock that is off. */
#define LATE_US (15 * SL_MINUTE_US)

static bool is_whole(const Book *b, const char *app, const char *env, const char *release)
{
    for (guint i = 0; i < b->attempts->len; i++) {
        const BookAttempt *a = b->attempts->pdata[i];
        if (strcmp(a->app, app) == 0 && strcmp(a->env, env) == 0 &&
            strcmp(a->release, release) == 0 && g_strcmp0(a->end, "Succeeded") == 0 &&
            a->withheld == 0 && a->act != SL_ACT_REMOVE) {
            return true;
        }
    }
    return false;
}

/* By itself a release is asked for only where it is whole in every environment before. */
static void judge_request(World *w, const Book *b, const json_t *event)
{
    const SlFleetDocs *docs = w->coord != NULL ? sl_coord_docs(w->coord) : NULL;
    const char *app = sl_json_str_or(event, "app", ""), *name = sl_json_str_or(event, "env", "");
    const SlEnvironmentDoc *env = docs != NULL ? sl_fleet_env(docs, name) : NULL;
    const SlApplicationDoc *doc = docs != NULL ? sl_fleet_app(docs, app) : NULL;
    int of = 0, whole = 0;
    for (char **up = env != NULL && doc != NULL ? env->after.names : NULL;
         up != NULL && *up != NULL; up++) {
        of++;
        whole += sl_app_env(doc, *up) == NULL ||
                         is_whole(b, app, *up, sl_json_str_or(event, "release", ""))
                     ? 1
                     : 0;
    }
    if (of > 0 && whole < env->after.need) {
        fail(w, "%s/%s: release %.12s is asked for, it is whole in %d of %d environments before",
             app, name, sl_json_str_or(event, "release", "-"), whole, env->after.need);
    }
}

/* What people let lie ends, also if nobody was there to end it in time. Where clocks were wrong by
 * far, or stood, nobody can say how long it lay, and the wait begins anew. */
static void judge_time(World *w, const BookAttempt *a)
{
    bool no_clock = w->struck[FAULT_CLOCK_FAR] + w->struck[FAULT_CLOCK_STOP] > 0;
    const SlFleetDocs *docs = w->coord != NULL ? sl_coord_docs(w->coord) : NULL;
    const SlEnvironmentDoc *env = docs != NULL ? sl_fleet_env(docs, a->env) : NULL;
    if (!no_clock && env != NULL && env->gate_timeout_us > 0 &&
        w->now - a->rendered_us > env->gate_timeout_us + LATE_US) {
        fail(w, "attempt %" G_GUINT64_FORMAT " is committed long after its time", a->n);
    }
}

void check_whole(World *w, const Moment *m)
{
    const Book *b = book_of(w);
    const BookAttempt *a = NULL;
    if (is_type(m, "Requested") && sl_json_str(m->event, "requester") == NULL) {
        judge_request(w, b, m->event);
    }
    for (size_t i = 0; is_type(m, "Committed") && (a = committed_nth(b, m->event, i)) != NULL;
         i++) {
        judge_time(w, a);
    }
}
