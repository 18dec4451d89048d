/* check_core.c - what must hold whatever happens, for each unit, run and head (checks.def). */
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

/* The statement that an operation names, as its agent got it; NULL and a failure if nobody sent it. */
static SlPromotion *promotion_of(World *w, const Agent *a, const SlAgentEffect *e,
                                 const SlSigned **ret_signed)
{
    *ret_signed = e->promotion != NULL ? g_hash_table_lookup(w->statements, e->promotion) : NULL;
    SlPromotion *p = *ret_signed != NULL ? sl_promotion_parse((*ret_signed)->text, NULL) : NULL;
    if (p == NULL) {
        fail(w, "%s applies %s of promotion %.12s, which nobody sent", a->cluster, e->name,
             e->promotion != NULL ? e->promotion : "-");
    }
    return p;
}

void check_threshold(World *w, const Moment *m)
{
    const SlAgentEffect *e = m->effect;
    if (e->type != SL_AGENT_DO_APPLY) {
        return;
    }
    const SlSigned *s = NULL;
    g_autoptr(SlPromotion) p = promotion_of(w, m->agent, e, &s);
    if (p == NULL) {
        return;
    }
    if (strcmp(p->env, m->agent->env) != 0) {
        fail(w, "%s runs a promotion of another environment", m->agent->cluster);
    }
    if (strcmp(m->agent->env, "prod") == 0 &&
        !is_signed_by(s, SL_STATEMENT_PROMOTION, person_named(w, "alice")->key)) {
        fail(w, "prod runs %s of promotion %.12s, which alice did not sign", e->name, e->promotion);
    }
}

static void seq_of_effect(World *w, Agent *a, const SlAgentEffect *e)
{
    const SlSigned *s = NULL;
    g_autoptr(SlPromotion) p = promotion_of(w, a, e, &s);
    uint64_t *floor = g_hash_table_lookup(a->max_seq, e->app);
    if (floor == NULL) {
        floor = g_new0(uint64_t, 1);
        g_hash_table_insert(a->max_seq, g_strdup(e->app), floor);
    }
    if (p != NULL && p->seq < *floor) {
        fail(w, "%s applies seq %" G_GUINT64_FORMAT " of %s after %" G_GUINT64_FORMAT, a->cluster,
             p->seq, e->app, *floor);
    }
    *floor = p != NULL ? MAX(*floor, p->seq) : *floor;
}

static void seq_of_start(World *w, const Agent *a)
{
    g_autoptr(json_t) view = sl_agent_view(a->brain, agent_now(w, a));
    GHashTableIter iter;
    gpointer app, seq;
    if (sl_json_bool(view, "stateLost", false)) {
        fail(w, "%s lost its state by a crash", a->cluster);
        return;
    }
    g_hash_table_iter_init(&iter, a->max_seq);
    while (g_hash_table_iter_next(&iter, &app, &seq)) {
        g_autofree char *path = g_strdup_printf("units.%s.seq", (char *)app);
        uint64_t now = (uint64_t)sl_json_int(view, path, 0);
        if (now < *(uint64_t *)seq) {
            fail(w, "%s starts with seq %" G_GUINT64_FORMAT " of %s, it applied %" G_GUINT64_FORMAT,
                 a->cluster, now, (char *)app, *(uint64_t *)seq);
        }
    }
}

void check_seq(World *w, const Moment *m)
{
    if (m->type == AT_AGENT_START) {
        seq_of_start(w, m->agent);
    } else if (m->effect->type == SL_AGENT_DO_APPLY) {
        seq_of_effect(w, m->agent, m->effect);
    }
}

/* The object that was there before Sluice. */
static void foreign_is_there(World *w, const Agent *a)
{
    const EngineObject *foreign = g_hash_table_lookup(a->objects, "core/ConfigMap - foreign");
    if (foreign == NULL || foreign->ours) {
        fail(w, "the foreign object of %s is gone", a->cluster);
    }
}

void check_inventory(World *w, const Moment *m)
{
    for (guint i = 0; m->type == AT_END && i < w->agents->len; i++) {
        foreign_is_there(w, agent_at(w, (int)i));
    }
    if (m->type != AT_AGENT_EFFECT || m->effect->type != SL_AGENT_DO_REMOVE) {
        return;
    }
    const SlAgentEffect *e = m->effect;
    g_autofree char *key = g_strdup_printf("%s %s %s", e->kind, e->namespace_, e->name);
    const EngineObject *o = g_hash_table_lookup(m->agent->objects, key);
    if (o != NULL && !o->ours) {
        fail(w, "%s removes %s, which is not ours", m->agent->cluster, key);
    }
}

/* A run starts once, in one cluster, and never after its seal. */
void check_once(World *w, const Moment *m)
{
    const SlAgentEffect *e = m->effect;
    if (m->type == AT_RUN_START) {
        int where = GPOINTER_TO_INT(g_hash_table_lookup(w->run_starts, m->run_id));
        if (where != 0) {
            fail(w, "run %.12s (key %.12s) is started in %s and in %s", m->run_id, m->run_key,
                 agent_at(w, where - 1)->cluster, m->agent->cluster);
        }
        g_hash_table_insert(w->run_starts, g_strdup(m->run_id),
                            GINT_TO_POINTER(m->agent->index + 1));
    } else if (e->type == SL_AGENT_DO_SEAL) {
        g_hash_table_add(m->agent->sealed, g_strdup(e->run_id));
    } else if (e->type == SL_AGENT_DO_RUN_START &&
               g_hash_table_contains(m->agent->sealed, e->run_id)) {
        fail(w, "%s starts run %.12s after its seal", m->agent->cluster, e->run_id);
    }
}

/* Heads name a (seq, hash) of this ledger. */
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

/* The ledger alone gives the coordinator's state. */
void check_fold(World *w, const Moment *m)
{
    (void)m;
    if (w->coord == NULL || sl_coord_ledger_seq(w->coord) != w->ledger->len) {
        return; /* a part of what is decided is not durable yet */
    }
    g_autoptr(json_t) live = sl_coord_dump(w->coord);
    SlCoord *again = coord_folded(w);
    g_autoptr(json_t) replayed = sl_coord_dump(again);
    sl_coord_free(again);
    g_autoptr(GString) text = g_string_new(NULL);
    if (!json_equal(live, replayed)) {
        find_difference("", live, replayed, text);
        fail(w, "%s", text->str);
    }
}

/* What was answered 2xx is there after every restart. */
void check_acknowledged(World *w, const Moment *m)
{
    (void)m;
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
            fail(w, "%s gave attempt %s, which is gone: %s", sl_json_str(ack, "verb"), n,
                 error->message);
        } else if (g_strcmp0(sl_json_str(ack, "verb"), "approve") == 0 &&
                   sl_json_int(attempt, "approvals.count", 0) == 0) {
            fail(w, "the approval of attempt %s is gone", n);
        }
    }
}

/* A unit has at most one attempt between commit and end. */
void check_one_live(World *w, const Moment *m)
{
    (void)m;
    static const char *const live[] = {"COMMITTED", "PUBLISHED", "APPLYING", "VERIFYING", NULL};
    g_autoptr(json_t) history = sl_coord_view(w->coord, "history", NULL, coord_now(w), NULL);
    g_autoptr(GHashTable) units = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    size_t i;
    json_t *a;
    json_array_foreach (sl_json_at(history, "attempts"), i, a) {
        bool is_live = g_strv_contains(live, sl_json_str_or(a, "state", "")) &&
                       !sl_json_bool(a, "unchanged", false);
        char *unit = g_strdup_printf("%s/%s", sl_json_str(a, "app"), sl_json_str(a, "env"));
        if (is_live && g_hash_table_contains(units, unit)) {
            fail(w, "%s has two live attempts", unit);
        }
        if (is_live) {
            g_hash_table_add(units, unit);
        } else {
            g_free(unit);
        }
    }
}

static void check_unit(World *w, const Agent *a, const char *app)
{
    g_autoptr(json_t) view = sl_agent_view(a->brain, agent_now(w, a));
    g_autofree char *unit = g_strdup_printf("units.%s", app);
    const json_t *u = sl_json_at(view, unit);
    const char *bundle = sl_json_str(u, "bundle");
    GBytes *text = bundle != NULL ? coord_blob(w, bundle) : NULL;
    g_autoptr(SlBundle) b = text != NULL ? sl_bundle_parse(text, NULL) : NULL;
    if (b == NULL || strcmp(sl_json_str_or(u, "health", ""), "Healthy") != 0) {
        fail(w, "%s is %s: %s", a->cluster, sl_json_str_or(u, "health", "-"),
             sl_json_str_or(u, "message", ""));
        return;
    }
    for (guint i = 0; i < b->objects->len; i++) {
        const SlBundleObject *o = b->objects->pdata[i];
        g_autofree char *key = g_strdup_printf("%s %s %s", o->kind, o->namespace_, o->name);
        const EngineObject *real = g_hash_table_lookup(a->objects, key);
        bool is_run = g_str_has_suffix(o->kind, "/TrainingJob");
        if (!is_run && (real == NULL || strcmp(real->digest, o->digest) != 0)) {
            fail(w, "%s has another %s than its bundle", a->cluster, key);
        }
    }
}

/* When everything is over each cluster has what its bundles say, Healthy. */
void check_converged(World *w, const Moment *m)
{
    (void)m;
    for (guint i = 0; i < w->agents->len; i++) {
        const Agent *a = agent_at(w, (int)i);
        if (a->brain == NULL) {
            fail(w, "%s is down", a->cluster);
            return;
        }
        for (guint k = 0; k < w->apps->len; k++) {
            check_unit(w, a, g_ptr_array_index(w->apps, k));
        }
    }
}
