/* book.c - the ledger, read a second time. Each durable event is shown to the checkers (AT_EVENT)
 * before it is taken in: so a rule sees the state that the decision was made in. */
#include "book.h"

static void attempt_free(void *data)
{
    BookAttempt *a = data;
    g_free(a->app);
    g_free(a->env);
    g_free(a->unit);
    g_free(a->release);
    g_free(a->requester);
    g_free(a->digest);
    sl_promotion_free(a->promotion);
    g_clear_pointer(&a->text, g_bytes_unref);
    g_clear_pointer(&a->target_of, g_hash_table_unref);
    g_free(a->commit);
    g_free(a->end);
    g_free(a);
}

static void order_free(void *data)
{
    BookOrder *o = data;
    g_free(o->digest);
    sl_order_free(o->order);
    g_free(o);
}

static void run_free(void *data)
{
    BookRun *r = data;
    g_free(r->id);
    g_free(r->app);
    g_free(r->env);
    g_free(r->job);
    g_free(r->key);
    g_free(r->cluster);
    g_free(r->seal);
    g_free(r);
}

static GHashTable *texts(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

static void fill(Book *b)
{
    b->roots = g_ptr_array_new_with_free_func((GDestroyNotify)sl_root_free);
    b->attempts = g_ptr_array_new_with_free_func(attempt_free);
    b->orders = g_ptr_array_new_with_free_func(order_free);
    b->runs = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, run_free);
    b->promoted = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GHashTable **const tables[] = {&b->pins,    &b->vetoes,  &b->seqs,   &b->members,
                                   &b->commits, &b->foreign, &b->halted, &b->releases};
    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
        *tables[i] = texts();
    }
    memset(b->hash, '0', 64);
}

static void empty(Book *b)
{
    g_ptr_array_unref(b->roots);
    g_ptr_array_unref(b->orders);
    GHashTable *const tables[] = {b->promoted, b->runs,    b->pins,    b->vetoes, b->seqs,
                                  b->members,  b->commits, b->foreign, b->halted, b->releases};
    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
        g_hash_table_unref(tables[i]);
    }
    g_ptr_array_unref(b->attempts);
    *b = (Book){0};
}

static void *book_new(void)
{
    Book *b = g_new0(Book, 1);
    fill(b);
    return b;
}

void book_free(void *book)
{
    empty(book);
    g_free(book);
}

Book *book_of(World *w)
{
    return world_keep(w, "book", book_new, book_free);
}

/* ---- questions ---- */

BookAttempt *book_attempt(const Book *b, const json_t *event)
{
    int64_t n = sl_json_int(event, "attempt", 0);
    return n > 0 && n <= b->attempts->len ? b->attempts->pdata[n - 1] : NULL;
}

BookAttempt *book_live(const Book *b, const char *unit)
{
    for (guint i = b->attempts->len; i > 0; i--) {
        BookAttempt *a = b->attempts->pdata[i - 1];
        if (a->stage == BOOK_LIVE && strcmp(a->unit, unit) == 0) {
            return a;
        }
    }
    return NULL;
}

bool book_member(const Book *b, const char *env, const char *cluster)
{
    g_autofree char *key = g_strdup_printf("%s %s", env, cluster);
    return g_hash_table_contains(b->members, key);
}

const SlRoot *book_root(const Book *b, uint64_t version)
{
    return version > 0 && version <= b->roots->len ? b->roots->pdata[version - 1] : NULL;
}

const SlRoot *book_root_newest(const Book *b)
{
    return book_root(b, b->roots->len);
}

/* ---- reading ---- */

static void add_text(GHashTable *table, char *key /* consumed */)
{
    g_hash_table_replace(table, key, g_strdup(""));
}

static SlSigned *statement_at(const json_t *event, const char *key)
{
    const json_t *json = sl_json_at(event, key);
    return json_is_object(json) ? sl_signed_from_json(json, NULL) : NULL;
}

static void read_root(World *w, Book *b, const json_t *event)
{
    g_autoptr(SlSigned) s = statement_at(event, "root");
    SlRoot *root = s != NULL ? sl_root_parse(s->text, NULL) : NULL;
    if (root == NULL || root->version != b->roots->len + 1) {
        fail(w, "event %" G_GINT64_FORMAT " holds no next root", sl_json_int(event, "seq", 0));
        sl_root_free(root);
        return;
    }
    g_ptr_array_add(b->roots, root);
}

static GBytes *any_blob(const char *digest, void *user)
{
    return coord_blob(user, digest);
}

static gboolean is_of_env(gpointer key, gpointer value, gpointer prefix)
{
    (void)value;
    return g_str_has_prefix(key, prefix);
}

typedef struct {
    Book *b;
    const char *env;
} Members;

static bool add_member(const char *cluster, const char *values, void *user)
{
    const Members *m = user;
    (void)values;
    add_text(m->b->members, g_strdup_printf("%s %s", m->env, cluster));
    return true;
}

static void read_registry(World *w, Book *b, const json_t *event)
{
    g_autoptr(SlSigned) s = statement_at(event, "registry");
    g_autoptr(SlRegistry) r = s != NULL ? sl_registry_parse(s->text, NULL) : NULL;
    g_autoptr(SlMap) map = r != NULL ? sl_map_load(r->clusters, any_blob, w, NULL) : NULL;
    if (map == NULL) {
        fail(w, "a registry is in the ledger, its map is not");
        return;
    }
    g_autofree char *prefix = g_strdup_printf("%s ", r->env);
    (void)g_hash_table_foreach_remove(b->members, is_of_env, prefix);
    Members members = {b, r->env};
    sl_map_foreach(map, add_member, &members);
}

static void read_requested(Book *b, const json_t *event)
{
    BookAttempt *a = g_new0(BookAttempt, 1);
    a->n = b->attempts->len + 1;
    a->to = (uint64_t)sl_json_int(event, "to", 0);
    a->seen_at = (uint64_t)sl_json_int(event, "seq", 0);
    (void)sl_act_parse(sl_json_str_or(event, "act", "promote"), &a->act);
    a->app = g_strdup(sl_json_str(event, "app"));
    a->env = g_strdup(sl_json_str(event, "env"));
    a->unit = g_strdup_printf("%s/%s", a->app, a->env);
    a->release = g_strdup(sl_json_str(event, "release"));
    a->requester = g_strdup(sl_json_str(event, "requester"));
    g_ptr_array_add(b->attempts, a);
}

static bool put_target(const char *cluster, const char *bundle, void *user)
{
    g_hash_table_replace(user, g_strdup(cluster), g_strdup(bundle));
    return true;
}

static void read_rendered(World *w, Book *b, BookAttempt *a, const json_t *event)
{
    const char *root = sl_json_str_or(event, "targets", "");
    g_autoptr(SlMap) map = sl_map_load(root, any_blob, w, NULL);
    g_autoptr(SlSigned) s = statement_at(event, "statement");
    a->target_of = texts();
    a->rendered_us = w->now;
    if (map == NULL) {
        fail(w, "attempt %" G_GUINT64_FORMAT " was rendered, its targets are not in the ledger",
             a->n);
        return;
    }
    sl_map_foreach(map, put_target, a->target_of);
    a->unchanged = s == NULL;
    a->seq = (uint64_t)sl_json_int(event, "unitSeq", 0);
    if (s != NULL) {
        a->digest = sl_signed_digest(s);
        a->text = g_bytes_ref(s->text);
        a->promotion = sl_promotion_parse(s->text, NULL);
        g_hash_table_replace(b->promoted, g_strdup(a->digest), a);
        g_hash_table_replace(b->seqs, g_strdup(a->unit),
                             g_strdup_printf("%" G_GUINT64_FORMAT, a->seq));
    }
}

static int64_t time_of(const json_t *event)
{
    int64_t us = 0;
    (void)sl_parse_time(sl_json_str_or(event, "at", ""), &us);
    return us;
}

static void read_committed(Book *b, const json_t *event)
{
    const char *commit = sl_json_str_or(event, "new", "");
    size_t i;
    json_t *unit;
    const char *was = g_hash_table_lookup(b->commits, commit);
    int64_t before = 0;
    if (was != NULL) {
        (void)sl_parse_int64(was, &before);
    }
    g_hash_table_replace(b->commits, g_strdup(commit),
                         g_strdup_printf("%" G_GINT64_FORMAT, before + 1));
    json_array_foreach (sl_json_at(event, "units"), i, unit) {
        BookAttempt *a = book_attempt(b, unit);
        if (a != NULL) {
            a->stage = BOOK_LIVE;
            a->commit = g_strdup(commit);
            a->committed = (uint64_t)sl_json_int(event, "seq", 0);
            a->committed_us = time_of(event);
        }
    }
}

static void read_end(BookAttempt *a, const json_t *event)
{
    a->stage = BOOK_ENDED;
    a->end = g_strdup(sl_json_str(event, "type"));
    a->ended = (uint64_t)sl_json_int(event, "seq", 0);
    a->end_us = time_of(event);
    a->withheld = (uint64_t)sl_json_int(event, "withheld", 0);
}

static void read_order(Book *b, const json_t *event)
{
    g_autoptr(SlSigned) s = statement_at(event, "order");
    SlOrder *order = s != NULL ? sl_order_parse(s->text, NULL) : NULL;
    if (order != NULL) {
        BookOrder *o = g_new0(BookOrder, 1);
        o->digest = sl_signed_digest(s);
        o->order = order;
        o->seen_at = (uint64_t)sl_json_int(event, "seq", 0);
        o->at_us = time_of(event);
        g_ptr_array_add(b->orders, o);
    }
}

static void read_placed(Book *b, const json_t *event)
{
    BookRun *r = g_new0(BookRun, 1);
    r->id = g_strdup(sl_json_str_or(event, "run", ""));
    r->app = g_strdup(sl_json_str(event, "app"));
    r->env = g_strdup(sl_json_str(event, "env"));
    r->job = g_strdup(sl_json_str(event, "job"));
    r->key = g_strdup(sl_json_str(event, "runKey"));
    r->cluster = g_strdup(sl_json_str(event, "cluster"));
    r->generation = (uint64_t)sl_json_int(event, "generation", 0);
    r->placed_us = time_of(event);
    g_hash_table_replace(b->runs, r->id, r);
}

static void read_sealed(Book *b, const json_t *event)
{
    BookRun *r = g_hash_table_lookup(b->runs, sl_json_str_or(event, "run", ""));
    g_autoptr(SlSigned) s = statement_at(event, "seal");
    if (r != NULL && s != NULL && r->seal == NULL) {
        r->seal = sl_signed_digest(s);
    }
}

static void read_external(Book *b, const json_t *event)
{
    const char *found = sl_json_str_or(event, "found", "");
    add_text(b->foreign, g_strdup(found));
    if (strcmp(sl_json_str_or(event, "policy", ""), "adopt") == 0) {
        g_hash_table_remove(b->halted, sl_json_str_or(event, "env", ""));
    } else {
        add_text(b->halted, g_strdup(sl_json_str_or(event, "env", "")));
    }
}

static void read_mark(Book *b, const char *type, const json_t *event)
{
    g_autofree char *unit =
        g_strdup_printf("%s/%s", sl_json_str(event, "app"), sl_json_str(event, "env"));
    g_autofree char *veto = g_strdup_printf("%s %s", unit, sl_json_str_or(event, "release", ""));
    if (strcmp(type, "Pinned") == 0) {
        add_text(b->pins, g_strdup(unit));
    } else if (strcmp(type, "Unpinned") == 0) {
        g_hash_table_remove(b->pins, unit);
    } else if (strcmp(type, "Vetoed") == 0) {
        add_text(b->vetoes, g_strdup(veto));
    } else {
        g_hash_table_remove(b->vetoes, veto);
    }
}

static bool is_one_of(const char *type, const char *const *list)
{
    return g_strv_contains(list, type);
}

void book_fold(World *w, Book *b, const json_t *event)
{
    static const char *const ends[] = {"Succeeded", "Failed",     "Errored", "Rejected",
                                       "Aborted",   "Superseded", "Expired", NULL};
    static const char *const marks[] = {"Pinned", "Unpinned", "Vetoed", "Unvetoed", NULL};
    const char *type = sl_json_str_or(event, "type", "");
    BookAttempt *a = book_attempt(b, event);
    if (strcmp(type, "FleetCreated") == 0 || strcmp(type, "Root") == 0) {
        read_root(w, b, event);
    } else if (strcmp(type, "Registry") == 0) {
        read_registry(w, b, event);
    } else if (strcmp(type, "Lease") == 0) {
        b->term = (uint64_t)sl_json_int(event, "term", 0);
    } else if (strcmp(type, "ReleaseMinted") == 0 || strcmp(type, "ReleaseSeen") == 0) {
        g_hash_table_replace(b->releases, g_strdup(sl_json_str_or(event, "release", "")),
                             g_strdup(sl_json_str_or(event, "commit", "")));
    } else if (strcmp(type, "Requested") == 0) {
        read_requested(b, event);
    } else if (strcmp(type, "Rendered") == 0 && a != NULL) {
        read_rendered(w, b, a, event);
    } else if (strcmp(type, "Approved") == 0 && a != NULL) {
        a->approvals++;
    } else if (strcmp(type, "Committed") == 0) {
        read_committed(b, event);
    } else if (is_one_of(type, ends) && a != NULL) {
        read_end(a, event);
    } else if (is_one_of(type, marks)) {
        read_mark(b, type, event);
    } else if (strcmp(type, "Order") == 0) {
        read_order(b, event);
    } else if (strcmp(type, "RunPlaced") == 0) {
        read_placed(b, event);
    } else if (strcmp(type, "Sealed") == 0) {
        read_sealed(b, event);
    } else if (strcmp(type, "ExternalChange") == 0) {
        read_external(b, event);
    } else if (strcmp(type, "ExternalResolved") == 0) {
        g_hash_table_remove(b->halted, sl_json_str_or(event, "env", ""));
    }
    g_autofree char *hash = sl_json_digest(event);
    memcpy(b->hash, hash, sizeof(b->hash));
    b->read = (uint64_t)sl_json_int(event, "seq", 0);
}

/* The ledger became another one (restored from an older copy): read it again, judge only what
 * comes. */
static bool is_prefix(const World *w, const Book *b)
{
    if (b->read == 0 || b->read > w->ledger->len) {
        return b->read == 0;
    }
    g_autofree char *hash = sl_json_digest(w->ledger->pdata[b->read - 1]);
    return strcmp(hash, b->hash) == 0;
}

/* The first row of checks.def: shows every new event to the checkers, then takes it in. */
void check_book(World *w, const Moment *m)
{
    Book *b = book_of(w);
    bool shown = true;
    if (m->type == AT_COORD_START && !is_prefix(w, b)) {
        empty(b);
        fill(b);
        shown = false;
    }
    for (guint i = (guint)b->read; i < w->ledger->len && w->failure == NULL; i++) {
        const json_t *event = w->ledger->pdata[i];
        if (shown) {
            check(w, &(Moment){.type = AT_EVENT, .event = event});
        }
        book_fold(w, b, event);
    }
}
