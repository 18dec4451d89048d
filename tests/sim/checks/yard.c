/* yard.c - what each agent did and could know so far, kept from what goes into it and comes out of
 * it. Its slots are read as bytes on a disk, not by its own reader. */
#include "book.h"

static void licence_free(void *data)
{
    Licence *l = data;
    g_free(l->promotion);
    g_free(l->bundle);
    g_free(l->back);
    sl_promotion_free(l->p);
    g_free(l);
}

static void pause_free(void *data)
{
    YardPause *p = data;
    g_free(p->scope);
    g_free(p->digest);
    g_free(p);
}

static void prune_free(void *data)
{
    YardPrune *p = data;
    g_free(p->app);
    g_free(p->promotion);
    g_free(p);
}

static GHashTable *texts(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

static void yard_free(void *data)
{
    Yard *y = data;
    GHashTable *const tables[] = {y->licences, y->floors, y->heads,   y->healthy,
                                  y->runs,     y->prunes, y->fetches, y->ops};
    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
        g_hash_table_unref(tables[i]);
    }
    g_ptr_array_unref(y->pauses);
    g_clear_pointer(&y->slot, g_bytes_unref);
    json_decref(y->slot_json);
    g_clear_pointer(&y->report_text, g_bytes_unref);
    g_clear_pointer(&y->said, g_bytes_unref);
    sl_report_free(y->report);
    g_free(y);
}

static void *yards_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, yard_free);
}

static void yards_free(void *yards)
{
    g_hash_table_unref(yards);
}

Yard *yard_of(World *w, const Agent *a)
{
    GHashTable *yards = world_keep(w, "yards", yards_new, yards_free);
    Yard *y = g_hash_table_lookup(yards, a->cluster);
    if (y != NULL) {
        return y;
    }
    y = g_new0(Yard, 1);
    y->licences = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, licence_free);
    y->prunes = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, prune_free);
    GHashTable **const tables[] = {&y->floors, &y->heads,   &y->healthy,
                                   &y->runs,   &y->fetches, &y->ops};
    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
        *tables[i] = texts();
    }
    y->pauses = g_ptr_array_new_with_free_func(pause_free);
    g_hash_table_insert(yards, g_strdup(a->cluster), y);
    return y;
}

/* What only the slots could remember. Floors stay: where people guard an environment, their resume
 * brings them back. A seal that nobody took is forgotten too: its run is asked for again, and that
 * the engine starts none twice is looked at where it starts them (AT_RUN_START). */
void yard_forget(World *w, const Agent *a)
{
    Yard *y = yard_of(w, a);
    const SlRoot *root = book_root_newest(book_of(w));
    SlPolicyNeed need = {0};
    SlPolicyAsk ask = {.env = a->env, .app = "any", .act = SL_ACT_PROMOTE};
    sl_policy_need(root, &ask, &need);
    if (need.threshold == 0) {
        g_hash_table_remove_all(y->floors);
    }
    sl_policy_need_clear(&need);
    g_ptr_array_set_size(y->pauses, 0);
    g_hash_table_remove_all(y->prunes);
    g_hash_table_remove_all(a->sealed);
    y->epoch = y->term = y->version = 0;
}

/* ---- slots ---- */

static const char *content_of(GBytes *slot, uint64_t *ret_generation)
{
    gsize size = 0;
    const char *text = slot != NULL ? g_bytes_get_data(slot, &size) : NULL;
    const char *lf = text != NULL ? memchr(text, '\n', size) : NULL;
    if (lf == NULL) {
        return NULL;
    }
    g_autofree char *line = g_strndup(text, (gsize)(lf - text));
    g_auto(GStrv) words = g_strsplit(line, " ", 6);
    uint64_t length = 0;
    bool whole = g_strv_length(words) == 5 && sl_parse_uint64(words[2], ret_generation) &&
                 sl_parse_uint64(words[3], &length) && length == size - (gsize)(lf + 1 - text);
    return whole ? lf + 1 : NULL;
}

const json_t *yard_slot(World *w, Agent *a)
{
    Yard *y = yard_of(w, a);
    GBytes *best = NULL;
    uint64_t newest = 0;
    for (int i = 0; i < 2; i++) {
        uint64_t generation = 0;
        if (content_of(a->slots[i], &generation) != NULL && (best == NULL || generation > newest)) {
            best = a->slots[i];
            newest = generation;
        }
    }
    if (best == y->slot) {
        return y->slot_json;
    }
    g_clear_pointer(&y->slot, g_bytes_unref);
    json_decref(y->slot_json);
    y->slot_json = NULL;
    if (best != NULL) {
        const char *text = content_of(best, &newest);
        gsize size =
            g_bytes_get_size(best) - (gsize)(text - (const char *)g_bytes_get_data(best, NULL));
        y->slot = g_bytes_ref(best);
        y->slot_json = sl_json_parse(text, size, NULL, "slot", NULL);
    }
    return y->slot_json;
}

/* ---- reports ---- */

const SlReport *yard_report(World *w, const Agent *a, const SlSigned *s)
{
    Yard *y = yard_of(w, a);
    if (y->report_text != s->text) {
        g_clear_pointer(&y->report_text, g_bytes_unref);
        sl_report_free(y->report);
        y->report_text = g_bytes_ref(s->text);
        y->report = sl_report_parse(s->text, NULL);
    }
    return y->report;
}

/* ---- bytes ---- */

GBytes *yard_blob(World *w, const Agent *a, const char *digest)
{
    GBytes *bytes = g_hash_table_lookup(a->blobs, digest);
    bytes = bytes != NULL ? bytes : coord_blob(w, digest);
    bytes = bytes != NULL ? bytes : g_hash_table_lookup(w->forged_blobs, digest);
    g_autofree char *is = bytes != NULL ? sl_sha256_hex_bytes(bytes) : NULL;
    return is != NULL && strcmp(is, digest) == 0 ? bytes : NULL;
}

bool yard_has_line(World *w, const Agent *a, const char *bundle, const char *what, const char *kind,
                   const char *ns, const char *name, char **ret_digest)
{
    GBytes *bytes = bundle != NULL ? yard_blob(w, a, bundle) : NULL;
    gsize size = 0;
    const char *text = bytes != NULL ? g_bytes_get_data(bytes, &size) : NULL;
    g_autofree char *front = g_strdup_printf("%s %s %s %s ", what, kind, ns, name);
    for (const char *at = text; at != NULL && at < text + size;) {
        const char *end = memchr(at, '\n', size - (gsize)(at - text));
        gsize len = end != NULL ? (gsize)(end - at) : size - (gsize)(at - text);
        if (len > strlen(front) && strncmp(at, front, strlen(front)) == 0) {
            if (ret_digest != NULL) {
                *ret_digest = g_strndup(at + len - MIN(len, 64), MIN(len, 64));
            }
            return true;
        }
        at = end != NULL ? end + 1 : NULL;
    }
    return false;
}

/* Of every object of the bundle that is no job: stands it there, Healthy? @ret_other: does one stand
 * there with other bytes? */
static bool stands(World *w, const Agent *a, const char *bundle, bool *ret_other)
{
    GBytes *bytes = bundle != NULL ? yard_blob(w, a, bundle) : NULL;
    bool all = true;
    *ret_other = false;
    if (bytes == NULL || g_bytes_get_size(bytes) == 0) { /* an empty one has no address */
        return bytes != NULL;
    }
    g_autofree char *text = g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        g_auto(GStrv) f = g_strsplit(*line, " ", 6);
        if (g_strv_length(f) != 6 || strcmp(f[0], "object") != 0 ||
            g_str_has_suffix(f[1], "/TrainingJob")) {
            continue;
        }
        g_autofree char *key = g_strdup_printf("%s %s %s", f[1], f[2], f[3]);
        const EngineObject *o = g_hash_table_lookup(a->objects, key);
        bool other = o != NULL && strcmp(o->digest, f[5]) != 0;
        *ret_other = *ret_other || other;
        all = all && o != NULL && !other && !o->broken && o->healthy_at <= w->now;
    }
    return all;
}

bool yard_all_healthy(World *w, const Agent *a, const char *bundle)
{
    bool other = false;
    return stands(w, a, bundle, &other);
}

bool yard_is_another(World *w, const Agent *a, const char *bundle)
{
    bool other = false;
    (void)stands(w, a, bundle, &other);
    return other;
}

/* ---- licences ---- */

typedef struct {
    World *w;
    const Agent *a;
} Where;

static GBytes *get_blob(const char *digest, void *user)
{
    const Where *where = user;
    return yard_blob(where->w, where->a, digest);
}

static char *own_line(World *w, const Agent *a, const char *targets)
{
    Where where = {w, a};
    g_autoptr(SlMap) map = sl_map_load(targets, get_blob, &where, NULL);
    return map != NULL ? g_strdup(sl_map_get(map, a->cluster)) : NULL;
}

/* As the ledger has it, or as an agent got it from somebody else: garbled bytes are none. */
static SlPromotion *promotion_of(World *w, const char *digest)
{
    const BookAttempt *a =
        digest != NULL ? g_hash_table_lookup(book_of(w)->promoted, digest) : NULL;
    const SlSigned *s = digest != NULL ? g_hash_table_lookup(w->statements, digest) : NULL;
    if (a != NULL) {
        return sl_promotion_parse(a->text, NULL);
    }
    g_autofree char *is = s != NULL ? sl_sha256_hex_bytes(s->text) : NULL;
    return is != NULL && strcmp(is, digest) == 0 ? sl_promotion_parse(s->text, NULL) : NULL;
}

const Licence *yard_licence(World *w, Agent *a, const char *promotion)
{
    Yard *y = yard_of(w, a);
    Licence *l = promotion != NULL ? g_hash_table_lookup(y->licences, promotion) : NULL;
    if (l != NULL) {
        return l;
    }
    SlPromotion *p = promotion_of(w, promotion);
    if (p == NULL) {
        fail(w, "%s acts for promotion %.12s, which nobody sent", a->cluster,
             promotion != NULL ? promotion : "-");
        return NULL;
    }
    l = g_new0(Licence, 1);
    l->promotion = g_strdup(promotion);
    l->p = p;
    l->bundle = own_line(w, a, p->targets);
    g_autoptr(SlPromotion) back = promotion_of(w, p->auto_rollback_to);
    l->back = back != NULL ? own_line(w, a, back->targets) : NULL;
    g_hash_table_insert(y->licences, l->promotion, l);
    return l;
}
