/* coord.c - the coordinator's durable side: what it says only after the ledger holds it, its
 * branches, its limits, and that the ledger alone gives its state. */
#include "book.h"

/* ---- said after it is durable ---- */

static bool has_seal(const Book *b, const char *digest)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, b->runs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        if (g_strcmp0(((const BookRun *)value)->seal, digest) == 0) {
            return true;
        }
    }
    return false;
}

/* A seal is acknowledged when the ledger holds it; whatever a 2xx promises is there too. */
void check_early(World *w, const Moment *m)
{
    const Book *b = book_of(w);
    for (guint i = 0; i < m->coord_out->effects->len; i++) {
        const SlCoordEffect *e = m->coord_out->effects->pdata[i];
        if (e->type == SL_COORD_DO_SEND && e->send == SL_COORD_SEND_SEAL_ACK &&
            e->refused == NULL && !has_seal(b, e->digest)) {
            fail(w, "seal %.12s is acknowledged before the ledger holds it", e->digest);
        }
        if (e->type != SL_COORD_DO_REPLY || e->status >= 300) {
            continue;
        }
        int64_t n = sl_json_int(e->body, "attempt", 0);
        const char *order = sl_json_str(e->body, "order");
        bool there = order == NULL;
        for (guint k = 0; k < b->orders->len && !there; k++) {
            there = strcmp(((const BookOrder *)b->orders->pdata[k])->digest, order) == 0;
        }
        if (n > (int64_t)b->attempts->len || !there) {
            fail(w, "request %s is answered before the ledger holds it", e->id);
        }
    }
}

/* I3: an approval that was acknowledged is in the ledger as long as there is one. */
void check_acknowledged(World *w, const Moment *m)
{
    (void)m;
    const Book *b = book_of(w);
    for (guint i = 0; i < w->acknowledged->len; i++) {
        const json_t *ack = w->acknowledged->pdata[i];
        int64_t n = sl_json_int(ack, "attempt", 0);
        const char *verb = sl_json_str_or(ack, "verb", "");
        const BookAttempt *a = n > 0 && n <= b->attempts->len ? b->attempts->pdata[n - 1] : NULL;
        if (a == NULL) {
            fail(w, "%s gave attempt %" G_GINT64_FORMAT ", which is gone", verb, n);
        } else if (strcmp(verb, "approve") == 0 && a->approvals == 0) {
            fail(w, "the approval of attempt %" G_GINT64_FORMAT " is gone", n);
        }
    }
}

/* ---- environment branches ---- */

static const char *parent_of(const World *w, const char *commit)
{
    const EnvCommit *c = g_hash_table_lookup(w->env_commits, commit);
    return c != NULL ? c->parent : NULL;
}

static bool descends(const World *w, const char *tip, const char *from)
{
    for (const char *at = tip; at != NULL; at = parent_of(w, at)) {
        if (from == NULL || strcmp(at, from) == 0) {
            return true;
        }
    }
    return from == NULL;
}

/* The ref moves forward only: never forced. */
void check_branch_moves(World *w, const Moment *m)
{
    for (guint i = 0; i < m->coord_out->effects->len; i++) {
        const SlCoordEffect *e = m->coord_out->effects->pdata[i];
        if (e->type != SL_COORD_DO_ENV_MOVE) {
            continue;
        }
        if (!descends(w, e->new_, e->old)) {
            fail(w, "sluice/env/%s is forced from %.12s to %.12s", e->env, e->old, e->new_);
        }
        if (!g_hash_table_contains(book_of(w)->commits, e->new_)) {
            fail(w, "sluice/env/%s moves to %.12s before the ledger says so", e->env, e->new_);
        }
    }
}

/* 4: each commit of a branch is named by exactly one COMMITTED; a foreign tip by EXTERNAL_CHANGE. A
 * commit that the ledger does not name may only be the foreign one that was not looked at yet. */
void check_branch(World *w, const Moment *m)
{
    const Book *b = book_of(w);
    GHashTableIter iter;
    gpointer env, tip;
    g_hash_table_iter_init(&iter, w->tips);
    while (g_hash_table_iter_next(&iter, &env, &tip)) {
        for (const char *at = tip; at != NULL; at = parent_of(w, at)) {
            const char *times = g_hash_table_lookup(b->commits, at);
            bool foreign = g_str_has_prefix(at, "f0") && times == NULL; /* stories name them so */
            if (times != NULL && strcmp(times, "1") != 0) {
                fail(w, "commit %.12s of %s is named %s times", at, (char *)env, times);
            } else if (times == NULL && !foreign && m->type == AT_END) {
                fail(w, "commit %.12s of %s is in no event", at, (char *)env);
            }
        }
    }
}

/* What a unit's live promotion says is what its branch holds. */
void check_branch_bytes(World *w, const Moment *m)
{
    const Book *b = book_of(w);
    (void)m;
    for (guint i = 0; i < b->attempts->len; i++) {
        const BookAttempt *a = b->attempts->pdata[i];
        const EnvCommit *c =
            a->commit != NULL ? g_hash_table_lookup(w->env_commits, a->commit) : NULL;
        const char *text = c != NULL ? g_hash_table_lookup(c->target_of, a->app) : NULL;
        g_autoptr(json_t) held = text != NULL ? json_loads(text, 0, NULL) : NULL;
        GHashTableIter iter;
        gpointer cluster, bundle;
        if (c == NULL || a->act == SL_ACT_REMOVE) {
            continue;
        }
        g_hash_table_iter_init(&iter, a->target_of);
        while (g_hash_table_iter_next(&iter, &cluster, &bundle)) {
            if (g_strcmp0(sl_json_str(held, cluster), bundle) != 0) {
                fail(w,
                     "commit %.12s holds other bytes for %s on %s than attempt %" G_GUINT64_FORMAT,
                     a->commit, a->app, (char *)cluster, a->n);
            }
        }
    }
}

/* ---- state = fold of the events, from every prefix ---- */

static void find_difference(const char *path, const json_t *live, const json_t *replayed,
                            GString *out)
{
    const char *key;
    json_t *value;
    if (json_equal(live, replayed) || out->len > 500) {
        return;
    }
    if (!json_is_object(live) || !json_is_object(replayed)) {
        g_autofree char *l = live != NULL ? sl_json_canonical(live, NULL) : g_strdup("absent");
        g_autofree char *r =
            replayed != NULL ? sl_json_canonical(replayed, NULL) : g_strdup("absent");
        g_string_append_printf(out, " %s: %.100s, replayed %.100s;", path, l, r);
        return;
    }
    json_object_foreach ((json_t *)(uintptr_t)live, key, value) {
        g_autofree char *below = g_strdup_printf("%s.%s", path, key);
        find_difference(below, value, json_object_get(replayed, key), out);
    }
    json_object_foreach ((json_t *)(uintptr_t)replayed, key, value) {
        if (json_object_get(live, key) == NULL) {
            g_string_append_printf(out, " %s.%s only replayed;", path, key);
        }
    }
}

typedef struct {
    SlCoord *coord; /* folded so far, never stepped */
} Shadow;

static void *shadow_new(void)
{
    return g_new0(Shadow, 1);
}

static void shadow_free(void *data)
{
    Shadow *s = data;
    sl_coord_free(s->coord);
    g_free(s);
}

static GBytes *shadow_blob(const char *digest, void *user)
{
    return coord_blob(user, digest);
}

static SlCoord *shadow_of(World *w)
{
    Shadow *s = world_keep(w, "shadow", shadow_new, shadow_free);
    uint64_t seq = s->coord != NULL ? sl_coord_ledger_seq(s->coord) : 0;
    g_autofree char *hash =
        seq > 0 && seq <= w->ledger->len ? sl_json_digest(w->ledger->pdata[seq - 1]) : NULL;
    if (seq > 0 && g_strcmp0(hash, sl_coord_ledger_hash(s->coord)) != 0) { /* restored */
        g_clear_pointer(&s->coord, sl_coord_free);
    }
    if (s->coord == NULL) {
        SlCoordConfig config = {
            .online_secret = w->online, .blobs = {shadow_blob, w}, .owner_person = "alice"};
        s->coord = sl_coord_new(&config);
    }
    for (guint i = (guint)sl_coord_ledger_seq(s->coord); i < w->ledger->len; i++) {
        g_autoptr(GError) error = NULL;
        if (!sl_coord_fold(s->coord, w->ledger->pdata[i], &error)) {
            fail(w, "event %u does not fold: %s", i + 1, error->message);
            break;
        }
    }
    return s->coord;
}

#define EVERY_PREFIX 40 /* one of so many seeds is folded after each step that made events */

/* 1: the ledger alone gives the state: at a crash, at the end, and on some seeds after each step. */
void check_fold(World *w, const Moment *m)
{
    bool each = m->type == AT_COORD_OUTPUT;
    if (w->coord == NULL ||
        sl_coord_ledger_seq(w->coord) != w->ledger->len || /* ahead of the disk */
        (each && (w->options.seed % EVERY_PREFIX != 0 || m->coord_out->events->len == 0))) {
        return;
    }
    g_autoptr(json_t) live = sl_coord_dump(w->coord);
    SlCoord *again = shadow_of(w);
    g_autoptr(json_t) replayed = sl_coord_dump(again);
    g_autoptr(GString) text = g_string_new(NULL);
    if (!json_equal(live, replayed)) {
        find_difference("", live, replayed, text);
        fail(w, "%s", text->str);
    }
}

/* Heads name a (seq, hash) of this ledger. I9. */
void check_prefix(World *w, const Moment *m)
{
    g_autoptr(SlHead) head = sl_head_parse(m->statement->text, NULL);
    if (head == NULL || head->ledger_seq == 0 || head->ledger_seq > w->ledger->len) {
        fail(w, "a head names a ledger seq that is not durable");
        return;
    }
    g_autofree char *hash = sl_json_digest(w->ledger->pdata[head->ledger_seq - 1]);
    if (strcmp(hash, head->ledger_hash) != 0) {
        fail(w, "a head names hash %.12s of ledger seq %" G_GUINT64_FORMAT ", it is %.12s",
             head->ledger_hash, head->ledger_seq, hash);
    }
}

/* ---- nothing waits silently, everything ends ---- */

#define LATE_US (10 * SL_MINUTE_US) /* after its end an attempt may take so long to notice */

static void judge_waiting(World *w, const json_t *a, bool late_is_wrong)
{
    int64_t until = 0;
    const char *state = sl_json_str_or(a, "state", "?");
    const char *text = sl_json_str_or(a, "until", "");
    const char *waits = sl_json_str_or(a, "waitingFor", "");
    int64_t n = sl_json_int(a, "n", 0);
    if (waits[0] == '\0' || !json_is_array(sl_json_at(a, "who"))) {
        fail(w, "attempt %" G_GINT64_FORMAT " is %s and does not say what it waits for", n, state);
    }
    bool on_run = strstr(waits, "run ") != NULL; /* a run may take its time: seven days */
    if (!sl_parse_time(text, &until)) {
        fail(w, "attempt %" G_GINT64_FORMAT " is %s without an end", n, state);
    } else if (late_is_wrong && !on_run && coord_now(w) > until + LATE_US) {
        fail(w, "attempt %" G_GINT64_FORMAT " is %s since its end at %s", n, state, text);
    }
}

/* 26: every attempt that is not over says what it waits for, who can act, until when. */
void check_waiting(World *w, const Moment *m)
{
    if (w->coord == NULL) {
        return;
    }
    g_autoptr(json_t) history = sl_coord_view(w->coord, "history", NULL, coord_now(w), NULL);
    size_t i;
    json_t *a;
    json_array_foreach (sl_json_at(history, "attempts"), i, a) {
        if (json_is_null(sl_json_at(a, "outcome")) || sl_json_str(a, "outcome") == NULL) {
            judge_waiting(w, a, m->type == AT_END);
        }
    }
}

#define EFFECTS_MAX 4096 /* of one step */
#define ORDERS_MAX 256   /* in force, of one environment */

/* I8: what one step asks for and what a fleet's orders may grow to. */
void check_coord_limits(World *w, const Moment *m)
{
    const Book *b = book_of(w);
    unsigned orders = 0;
    for (guint i = 0; i < b->orders->len; i++) {
        const SlOrder *o = ((const BookOrder *)b->orders->pdata[i])->order;
        orders += o->expires_us > coord_now(w) ? 1 : 0;
    }
    if (m->coord_out->effects->len > EFFECTS_MAX || orders > ORDERS_MAX * w->envs->len) {
        fail(w, "%u effects of one step, %u orders in force", m->coord_out->effects->len, orders);
    }
    for (guint i = 0; i < m->coord_out->effects->len; i++) {
        const SlCoordEffect *e = m->coord_out->effects->pdata[i];
        gsize size = e->statement != NULL ? g_bytes_get_size(e->statement->text) : 0;
        if (size > SL_HEAD_MAX) {
            fail(w, "a head of %zu bytes", size);
        }
    }
}

/* ---- the end ---- */

static void judge_object(World *w, const Agent *a, const char *key, const EngineObject *o,
                         const char *bundle)
{
    g_auto(GStrv) f = g_strsplit(key, " ", 3);
    g_autofree char *digest = NULL;
    bool withheld = yard_has_line(w, a, bundle, "withheld", f[0], f[1], f[2], NULL);
    bool listed = yard_has_line(w, a, bundle, "object", f[0], f[1], f[2], &digest);
    GBytes *bytes = yard_blob(w, a, o->digest);
    const char *text = bytes != NULL ? g_bytes_get_data(bytes, NULL) : NULL;
    bool kept = text != NULL && g_strstr_len(text, (gssize)g_bytes_get_size(bytes),
                                             "\"gitops.sluice/prune\":\"false\"") != NULL;
    if (listed ? strcmp(digest, o->digest) != 0 : !withheld && !kept) {
        fail(w, "%s has %s %s its bundle", a->cluster, key, listed ? "unlike" : "besides");
    }
}

/* What the ledger wants of a unit now: its last commit, whatever became of the attempt. */
static const BookAttempt *wanted(const Book *b, const char *app, const char *env)
{
    const BookAttempt *last = NULL;
    for (guint i = 0; i < b->attempts->len; i++) {
        const BookAttempt *a = b->attempts->pdata[i];
        bool here = strcmp(a->app, app) == 0 && strcmp(a->env, env) == 0 && a->committed != 0;
        last = here && (last == NULL || a->committed > last->committed) ? a : last;
    }
    return last;
}

static void judge_unit(World *w, Agent *a, const char *app, const json_t *view)
{
    const BookAttempt *want = wanted(book_of(w), app, a->env);
    const char *bundle = want != NULL ? g_hash_table_lookup(want->target_of, a->cluster) : NULL;
    g_autofree char *path = g_strdup_printf("units.%s", app);
    const json_t *u = sl_json_at(view, path);
    if (bundle == NULL) {
        return; /* nothing was promoted for it */
    }
    const char *in_use = sl_json_bool(u, "latched", false) ? sl_json_str(u, "bundle") : bundle;
    if (strcmp(sl_json_str_or(u, "promotion", "-"), want->digest) != 0 ||
        strcmp(sl_json_str_or(u, "bundle", "-"), in_use) != 0) {
        fail(w, "%s: %s stands on promotion %.12s, wanted is %.12s (%s)", a->cluster, app,
             sl_json_str_or(u, "promotion", "-"), want->digest, sl_json_str_or(u, "waits", "-"));
        return;
    }
    if (strcmp(sl_json_str_or(u, "health", ""), "Healthy") != 0) {
        fail(w, "%s: %s is %s: %s", a->cluster, app, sl_json_str_or(u, "health", "-"),
             sl_json_str_or(u, "message", ""));
    }
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, a->objects);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        const EngineObject *o = value;
        if (o->ours && g_strcmp0(o->app, app) == 0) {
            judge_object(w, a, key, o, in_use);
        }
    }
}

/* I5: when everything is over each member of the fleet has what the ledger wants of it, all of it,
 * Healthy, and nothing else of ours; what was there before Sluice is there still. */
void check_converged(World *w, const Moment *m)
{
    (void)m;
    for (guint i = 0; i < w->agents->len && w->failure == NULL; i++) {
        Agent *a = agent_at(w, (int)i);
        const EngineObject *foreign = g_hash_table_lookup(a->objects, SIM_FOREIGN);
        if (foreign == NULL || foreign->ours) {
            fail(w, "I7: the foreign object of %s is gone", a->cluster);
        }
        if (!book_member(book_of(w), a->env, a->cluster)) {
            continue;
        }
        if (a->brain == NULL) {
            fail(w, "%s is down", a->cluster);
            return;
        }
        g_autoptr(json_t) view = sl_agent_view(a->brain, clock_now(w, &a->clock));
        for (guint k = 0; k < w->apps->len; k++) {
            judge_unit(w, a, g_ptr_array_index(w->apps, k), view);
        }
    }
}
