/* check.c - what must hold whatever happens, by name:
 *   threshold    no byte runs in prod that a person of the role did not sign for
 *   floor        (epoch, seq) of a unit never goes down, across any crash
 *   inventory    nothing is removed that Sluice did not put there
 *   once         a run is started once, in one cluster, and never after its seal
 *   fold         the ledger alone gives the coordinator's state
 *   acknowledged what was answered 2xx is there after every restart
 *   one-live     a unit has at most one attempt between commit and end
 *   prefix       heads name a (seq, hash) of this ledger
 *   converge     when faults end, everything becomes Healthy and equal (story.c, check_end) */
#include "sim.h"

static bool is_signed_by(const SlSigned *s, SlStatementKind kind, const SlPublicKey *key)
{
    g_autoptr(GPtrArray) signers = sl_signed_signers(s, kind, NULL);
    for (guint i = 0; i < signers->len; i++) {
        if (strcmp(((SlPublicKey *)signers->pdata[i])->line, key->line) == 0) {
            return true;
        }
    }
    return false;
}

static void check_threshold(World *w, const Agent *a, const SlAgentEffect *e)
{
    const SlSigned *s =
        e->promotion != NULL ? g_hash_table_lookup(w->statements, e->promotion) : NULL;
    if (s == NULL) {
        fail(w, "threshold: %s applies %s of promotion %.12s, which nobody sent", a->cluster,
             e->name, e->promotion != NULL ? e->promotion : "-");
        return;
    }
    if (strcmp(a->env, "prod") == 0 && !is_signed_by(s, SL_STATEMENT_PROMOTION, w->alice_key)) {
        fail(w, "threshold: prod runs %s of promotion %.12s, which alice did not sign", e->name,
             e->promotion);
        return;
    }
    g_autoptr(SlPromotion) p = sl_promotion_parse(s->text, NULL);
    if (p == NULL || strcmp(p->env, a->env) != 0) {
        fail(w, "threshold: %s runs a promotion of another environment", a->cluster);
        return;
    }
    uint64_t *floor = g_hash_table_lookup(a->max_seq, e->app);
    if (floor == NULL) {
        floor = g_new0(uint64_t, 1);
        g_hash_table_insert(a->max_seq, g_strdup(e->app), floor);
    }
    if (p->seq < *floor) {
        fail(w, "floor: %s applies seq %" G_GUINT64_FORMAT " of %s after %" G_GUINT64_FORMAT,
             a->cluster, p->seq, e->app, *floor);
    }
    *floor = MAX(*floor, p->seq);
}

static void check_remove(World *w, const Agent *a, const SlAgentEffect *e)
{
    g_autofree char *key = g_strdup_printf("%s %s %s", e->kind, e->namespace_, e->name);
    const EngineObject *o = g_hash_table_lookup(a->objects, key);
    if (o != NULL && !o->ours) {
        fail(w, "inventory: %s removes %s, which is not ours", a->cluster, key);
    }
}

void check_effect(World *w, Agent *a, const SlAgentEffect *e)
{
    switch (e->type) {
    case SL_AGENT_DO_APPLY:
        check_threshold(w, a, e);
        break;
    case SL_AGENT_DO_REMOVE:
        check_remove(w, a, e);
        break;
    case SL_AGENT_DO_RUN_START:
        if (g_hash_table_contains(a->sealed, e->run_id)) {
            fail(w, "once: %s starts run %.12s after its seal", a->cluster, e->run_id);
        }
        break;
    case SL_AGENT_DO_SEAL:
        g_hash_table_add(a->sealed, g_strdup(e->run_id));
        break;
    default:
        break;
    }
}

void check_run_start(World *w, Agent *a, const char *run_id, const char *run_key)
{
    int where = GPOINTER_TO_INT(g_hash_table_lookup(w->run_starts, run_id));
    if (where != 0) {
        fail(w, "once: run %.12s (key %.12s) is started in %s and in %s", run_id, run_key,
             w->agents[where - 1].cluster, a->cluster);
    }
    g_hash_table_insert(w->run_starts, g_strdup(run_id), GINT_TO_POINTER(a->index + 1));
}

void check_agent_start(World *w, Agent *a)
{
    g_autoptr(json_t) view = sl_agent_view(a->brain, agent_now(w, a));
    GHashTableIter iter;
    gpointer app, seq;
    if (sl_json_bool(view, "stateLost", false)) {
        fail(w, "floor: %s lost its state by a crash", a->cluster);
        return;
    }
    g_hash_table_iter_init(&iter, a->max_seq);
    while (g_hash_table_iter_next(&iter, &app, &seq)) {
        g_autofree char *path = g_strdup_printf("units.%s.seq", (char *)app);
        uint64_t now = (uint64_t)sl_json_int(view, path, 0);
        if (now < *(uint64_t *)seq) {
            fail(w,
                 "floor: %s starts with seq %" G_GUINT64_FORMAT
                 " of %s, it applied %" G_GUINT64_FORMAT,
                 a->cluster, now, (char *)app, *(uint64_t *)seq);
        }
    }
}

void check_head(World *w, const SlSigned *s)
{
    g_autoptr(SlHead) head = sl_head_parse(s->text, NULL);
    if (head == NULL || head->ledger_seq == 0 || head->ledger_seq > w->ledger->len) {
        fail(w, "prefix: a head names a ledger seq that is not durable");
        return;
    }
    g_autofree char *hash = sl_json_digest(w->ledger->pdata[head->ledger_seq - 1]);
    if (strcmp(hash, head->ledger_hash) != 0) {
        fail(w, "prefix: a head names hash %.12s of ledger seq %" G_GUINT64_FORMAT ", it is %.12s",
             head->ledger_hash, head->ledger_seq, hash);
    }
}

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
    json_object_foreach((json_t *)(uintptr_t)live, key, value)
    {
        g_autofree char *below = g_strdup_printf("%s.%s", path, key);
        find_difference(below, value, json_object_get(replayed, key), out);
    }
    json_object_foreach((json_t *)(uintptr_t)replayed, key, value)
    {
        if (json_object_get(live, key) == NULL) {
            g_string_append_printf(out, " %s.%s only replayed;", path, key);
        }
    }
}

void check_fold(World *w, const json_t *live, const json_t *replayed)
{
    g_autoptr(GString) text = g_string_new(NULL);
    if (!json_equal(live, replayed)) {
        find_difference("", live, replayed, text);
        fail(w, "fold: %s", text->str);
    }
}

void check_acknowledged(World *w)
{
    for (guint i = 0; w->coord != NULL && i < w->acknowledged->len; i++) {
        const json_t *ack = w->acknowledged->pdata[i];
        g_autoptr(json_t) args = json_object();
        g_autofree char *n =
            g_strdup_printf("%" JSON_INTEGER_FORMAT, (json_int_t)sl_json_int(ack, "attempt", 0));
        sl_json_set_str(args, "n", n);
        json_object_set_new(args, "attempt", json_integer(sl_json_int(ack, "attempt", 0)));
        g_autoptr(GError) error = NULL;
        g_autoptr(json_t) attempt = sl_coord_view(w->coord, "attempt", args, coord_now(w), &error);
        if (attempt == NULL) {
            fail(w, "acknowledged: %s gave attempt %s, which is gone: %s", sl_json_str(ack, "verb"),
                 n, error->message);
        } else if (g_strcmp0(sl_json_str(ack, "verb"), "approve") == 0 &&
                   sl_json_int(attempt, "approvals.count", 0) == 0) {
            fail(w, "acknowledged: the approval of attempt %s is gone", n);
        }
    }
}

void check_one_live(World *w)
{
    static const char *const live[] = {"COMMITTED", "PUBLISHED", "APPLYING", "VERIFYING", NULL};
    g_autoptr(json_t) history = sl_coord_view(w->coord, "history", NULL, coord_now(w), NULL);
    g_autoptr(GHashTable) units = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    size_t i;
    json_t *a;
    json_array_foreach(sl_json_at(history, "attempts"), i, a)
    {
        bool is_live = g_strv_contains(live, sl_json_str_or(a, "state", "")) &&
                       !sl_json_bool(a, "unchanged", false);
        char *unit = g_strdup_printf("%s/%s", sl_json_str(a, "app"), sl_json_str(a, "env"));
        if (is_live && g_hash_table_contains(units, unit)) {
            fail(w, "one-live: %s has two live attempts", unit);
        }
        if (is_live) {
            g_hash_table_add(units, unit);
        } else {
            g_free(unit);
        }
    }
}

static void check_cluster(World *w, const Agent *a)
{
    g_autoptr(json_t) view = sl_agent_view(a->brain, agent_now(w, a));
    if (sl_json_int(view, "rootVersion", 0) != 2) {
        fail(w, "converge: %s stands on an old root", a->cluster);
    }
    const char *bundle = sl_json_str(view, "units.digits.bundle");
    GBytes *text = bundle != NULL ? coord_blob(w, bundle) : NULL;
    g_autoptr(SlBundle) b = text != NULL ? sl_bundle_parse(text, NULL) : NULL;
    if (b == NULL || strcmp(sl_json_str_or(view, "units.digits.health", ""), "Healthy") != 0) {
        fail(w, "converge: %s is %s: %s", a->cluster,
             sl_json_str_or(view, "units.digits.health", "-"),
             sl_json_str_or(view, "units.digits.message", ""));
        return;
    }
    for (guint i = 0; i < b->objects->len; i++) {
        const SlBundleObject *o = b->objects->pdata[i];
        g_autofree char *key = g_strdup_printf("%s %s %s", o->kind, o->namespace_, o->name);
        const EngineObject *real = g_hash_table_lookup(a->objects, key);
        bool is_run = g_str_has_suffix(o->kind, "/TrainingJob");
        if (!is_run && (real == NULL || strcmp(real->digest, o->digest) != 0)) {
            fail(w, "converge: %s has another %s than its bundle", a->cluster, key);
        }
    }
    const EngineObject *foreign = g_hash_table_lookup(a->objects, "core/ConfigMap - foreign");
    if (foreign == NULL || foreign->ours) {
        fail(w, "inventory: the foreign object of %s is gone", a->cluster);
    }
}

void check_end(World *w)
{
    g_autoptr(json_t) live = sl_coord_dump(w->coord);
    (void)live;
    check_acknowledged(w);
    check_one_live(w);
    for (int i = 0; i < SIM_AGENTS; i++) {
        if (w->agents[i].brain == NULL) {
            fail(w, "converge: %s is down", w->agents[i].cluster);
        } else {
            check_cluster(w, &w->agents[i]);
        }
    }
    if (g_hash_table_size(w->run_starts) !=
        3) { /* train twice, evaluate once: a typo or a server's change trains nothing */
        fail(w, "once: %u runs were started in the whole story, not 3",
             g_hash_table_size(w->run_starts));
    }
}
