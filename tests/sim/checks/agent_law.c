/* agent_law.c - what an agent may do to its cluster: only what people allowed, for this cluster, in
 * the epoch in force, with exactly those bytes; never back in number; never to a bundle that was
 * not Healthy here. */
#include "book.h"

static bool is_operation(const SlAgentEffect *e)
{
    return e->type == SL_AGENT_DO_APPLY || e->type == SL_AGENT_DO_REMOVE ||
           e->type == SL_AGENT_DO_RUN_START;
}

static uint64_t root_version(const World *w, const Agent *a)
{
    g_autoptr(json_t) view = sl_agent_view(a->brain, clock_now(w, &a->clock));
    return (uint64_t)sl_json_int(view, "rootVersion", 0);
}

/* ---- the root that counts ---- */

typedef struct {
    uint64_t root;
    unsigned life; /* of the process that said so */
} Taken;

static void *takens_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

static void takens_free(void *table)
{
    g_hash_table_unref(table);
}

static Taken *taken_of(World *w, const Agent *a, const char *promotion)
{
    GHashTable *all = world_keep(w, "taken", takens_new, takens_free);
    g_autofree char *key = g_strdup_printf("%s %.12s", a->cluster, promotion);
    Taken *t = g_hash_table_lookup(all, key);
    if (t == NULL) {
        t = g_new0(Taken, 1);
        g_hash_table_insert(all, g_steal_pointer(&key), t);
    }
    return t;
}

/* "accepted: web/prod: promote seq 2, promotion 6f9728692cb8, ..." */
static void note_taken(World *w, const Agent *a, const SlAgentEffect *e)
{
    const char *at = strstr(e->message, "promotion ");
    if (at != NULL) {
        *taken_of(w, a, at + strlen("promotion ")) = (Taken){root_version(w, a), a->life};
    }
}

static bool is_in_slot(World *w, Agent *a, const Licence *l)
{
    size_t i;
    const json_t *unit;
    json_array_foreach (sl_json_at(yard_slot(w, a), "units"), i, unit) {
        if (g_strcmp0(sl_json_str(unit, "promotion"), l->promotion) == 0) {
            return true;
        }
    }
    return false;
}

/* That it stood on when it took the promotion: a key that is revoked between that and the first write
 * (no room for its state, say) comes too late, as one that is revoked after it. What a crash made it
 * forget it has to judge anew. */
static const SlRoot *root_that_counts(World *w, Agent *a, const Licence *l)
{
    const Taken *t = taken_of(w, a, l->promotion);
    bool remembers = t->root != 0 && (t->life == a->life || is_in_slot(w, a, l));
    return book_root(book_of(w), remembers ? t->root : root_version(w, a));
}

/* ---- people ---- */

static void judge_people(World *w, const Agent *a, const SlPromotion *p, const SlRoot *root,
                         const char *digest)
{
    LawCase what = {.env = a->env,
                    .app = p->app,
                    .act = p->act,
                    .requester = p->requester,
                    .authors = p->authors};
    g_autofree char *against = law_against(w, root, &what, digest);
    if (against != NULL) {
        fail(w, "%s runs promotion %.12s of %s: %s", a->cluster, digest, p->app, against);
    }
}

/* The first operation under a promotion: was it allowed? Later ones keep it as it is, whatever was
 * revoked since. */
static void judge_new(World *w, Agent *a, const Licence *l)
{
    const SlRoot *root = book_root(book_of(w), root_version(w, a)),
                 *then = root_that_counts(w, a, l);
    const SlPromotion *p = l->p;
    if (root == NULL || then == NULL) {
        fail(w, "%s stands on a root that the ledger does not have", a->cluster);
        return;
    }
    const SlRootEnv *env = sl_root_env(root, a->env);
    if (strcmp(p->fleet, root->fleet) != 0 || strcmp(p->env, a->env) != 0 || env == NULL) {
        fail(w, "%s runs promotion %.12s of another fleet or environment", a->cluster,
             l->promotion);
    } else if (p->epoch != env->epoch) {
        fail(w,
             "%s starts promotion %.12s of epoch %" G_GUINT64_FORMAT
             ", in force is %" G_GUINT64_FORMAT,
             a->cluster, l->promotion, p->epoch, env->epoch);
    } else {
        judge_people(w, a, p, then, l->promotion);
    }
}

void check_threshold(World *w, const Moment *m)
{
    const SlAgentEffect *e = m->effect;
    if (e->type == SL_AGENT_DO_LOG && g_strcmp0(e->event, "accepted") == 0) {
        note_taken(w, m->agent, e);
    }
    if (!is_operation(e)) {
        return;
    }
    bool known =
        e->promotion != NULL && g_hash_table_contains(yard_of(w, m->agent)->licences, e->promotion);
    const Licence *l = yard_licence(w, m->agent, e->promotion);
    if (l != NULL && !known) {
        judge_new(w, m->agent, l);
    }
    if (l != NULL && g_strcmp0(e->app, l->p->app) != 0) {
        fail(w, "%s uses promotion %.12s of %s for %s", m->agent->cluster, l->promotion, l->p->app,
             e->app);
    }
}

/* Own line of the signed targets, or of what the promotion names to go back to; and the object as
 * that list has it. */
void check_own_bytes(World *w, const Moment *m)
{
    const SlAgentEffect *e = m->effect;
    const Licence *l = is_operation(e) ? yard_licence(w, m->agent, e->promotion) : NULL;
    if (l == NULL) {
        return;
    }
    if (g_strcmp0(e->bundle, l->bundle) != 0 && g_strcmp0(e->bundle, l->back) != 0) {
        fail(w, "%s uses bundle %.12s; promotion %.12s gives it %.12s", m->agent->cluster,
             e->bundle, l->promotion, l->bundle != NULL ? l->bundle : "nothing");
        return;
    }
    if (e->type == SL_AGENT_DO_REMOVE) {
        return;
    }
    g_autofree char *digest = NULL;
    bool listed =
        yard_has_line(w, m->agent, e->bundle, "object", e->kind, e->namespace_, e->name, &digest);
    GBytes *bytes = e->digest != NULL ? g_hash_table_lookup(m->agent->blobs, e->digest) : NULL;
    g_autofree char *is = bytes != NULL ? sl_sha256_hex_bytes(bytes) : NULL;
    bool of_run = e->type == SL_AGENT_DO_RUN_START; /* may start after its bytes were collected */
    if (!listed || g_strcmp0(digest, e->digest) != 0 || (!of_run && g_strcmp0(is, digest) != 0)) {
        fail(w, "%s applies %s %s with bytes that bundle %.12s does not have", m->agent->cluster,
             e->kind, e->name, e->bundle);
    }
}

/* I2: (epoch, seq) of a unit never goes back, and a number never stands for two texts. */
void check_floor(World *w, const Moment *m)
{
    const SlAgentEffect *e = m->effect;
    const Licence *l = is_operation(e) && e->type != SL_AGENT_DO_RUN_START
                           ? yard_licence(w, m->agent, e->promotion)
                           : NULL;
    if (l == NULL) {
        return;
    }
    Yard *y = yard_of(w, m->agent);
    const char *was = g_hash_table_lookup(y->floors, e->app);
    g_auto(GStrv) f = was != NULL ? g_strsplit(was, " ", 3) : NULL;
    uint64_t epoch = 0, seq = 0;
    if (f != NULL && sl_parse_uint64(f[0], &epoch) && sl_parse_uint64(f[1], &seq)) {
        bool back = l->p->epoch < epoch || (l->p->epoch == epoch && l->p->seq < seq);
        bool other = l->p->epoch == epoch && l->p->seq == seq && strcmp(f[2], l->promotion) != 0;
        if (back || other) {
            fail(w,
                 "%s: %s goes from (%s, %s, %.12s) to (%" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT
                 ", %.12s)",
                 m->agent->cluster, e->app, f[0], f[1], f[2], l->p->epoch, l->p->seq, l->promotion);
        }
        if (strcmp(f[2], l->promotion) == 0) {
            return;
        }
    }
    g_hash_table_replace(y->floors, g_strdup(e->app),
                         g_strdup_printf("%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %s",
                                         l->p->epoch, l->p->seq, l->promotion));
}

/* Bundles that really stood here, Healthy. Looked at when the cluster says so and before another
 * bundle is taken up. */
static void note_healthy(World *w, const Agent *a, const char *app)
{
    Yard *y = yard_of(w, a);
    const char *bundle = g_hash_table_lookup(y->runs, app);
    g_autofree char *key = bundle != NULL ? g_strdup_printf("%s %s", app, bundle) : NULL;
    if (key != NULL && !g_hash_table_contains(y->healthy, key) && yard_all_healthy(w, a, bundle)) {
        g_hash_table_replace(y->healthy, g_steal_pointer(&key), g_strdup(""));
    }
}

void check_never_healthy(World *w, const Moment *m)
{
    if (m->type == AT_AGENT_INPUT) {
        if (m->agent_in->type == SL_AGENT_OBSERVED && m->agent_in->health == SL_HEALTH_HEALTHY) {
            note_healthy(w, m->agent, m->agent_in->object.app);
        }
        return;
    }
    const SlAgentEffect *e = m->effect;
    const Licence *l =
        e->type == SL_AGENT_DO_APPLY ? yard_licence(w, m->agent, e->promotion) : NULL;
    Yard *y = yard_of(w, m->agent);
    if (l == NULL) {
        return;
    }
    bool by_itself = g_strcmp0(e->bundle, l->bundle) != 0;
    bool goes_back = l->p->act == SL_ACT_ROLLBACK || l->p->act == SL_ACT_BREAK_GLASS;
    g_autofree char *key = g_strdup_printf("%s %s", e->app, e->bundle);
    note_healthy(w, m->agent, e->app);
    if ((by_itself || goes_back) && !g_hash_table_contains(y->healthy, key)) {
        fail(w, "%s goes back to bundle %.12s of %s, which was never Healthy there",
             m->agent->cluster, e->bundle, e->app);
    }
    if (g_strcmp0(g_hash_table_lookup(y->runs, e->app), e->bundle) != 0) {
        g_hash_table_replace(y->runs, g_strdup(e->app), g_strdup(e->bundle));
    }
}

/* ---- removing ---- */

static YardPrune *prune_of(World *w, Agent *a, const SlAgentEffect *e)
{
    Yard *y = yard_of(w, a);
    YardPrune *p = g_hash_table_lookup(y->prunes, e->app);
    if (p == NULL || strcmp(p->promotion, e->promotion) != 0) {
        p = g_new0(YardPrune, 1);
        p->app = g_strdup(e->app);
        p->promotion = g_strdup(e->promotion);
        g_hash_table_replace(y->prunes, p->app, p);
        g_autoptr(json_t) view = sl_agent_view(a->brain, clock_now(w, &a->clock));
        g_autofree char *path = g_strdup_printf("units.%s.objects", e->app);
        p->had = (unsigned)json_object_size(sl_json_at(view, path));
    }
    return p;
}

static bool is_kept(World *w, const Agent *a, const SlAgentEffect *e)
{
    g_autofree char *key = g_strdup_printf("%s %s %s", e->kind, e->namespace_, e->name);
    const EngineObject *o = g_hash_table_lookup(a->objects, key);
    GBytes *bytes = o != NULL ? yard_blob(w, a, o->digest) : NULL;
    gsize size = 0;
    const char *text = bytes != NULL ? g_bytes_get_data(bytes, &size) : NULL;
    return text != NULL &&
           g_strstr_len(text, (gssize)size, "\"gitops.sluice/prune\":\"false\"") != NULL;
}

/* I7, I10: only what Sluice put there, what the bundle in force no longer has, what is not withheld
 * and not opted out; above 30 % only with a word of people. */
void check_inventory(World *w, const Moment *m)
{
    const SlAgentEffect *e = m->effect;
    Agent *a = m->agent;
    const Licence *l = e->type == SL_AGENT_DO_REMOVE ? yard_licence(w, a, e->promotion) : NULL;
    if (l == NULL) {
        return;
    }
    g_autofree char *key = g_strdup_printf("%s %s %s", e->kind, e->namespace_, e->name);
    const EngineObject *o = g_hash_table_lookup(a->objects, key);
    if (o != NULL && (!o->ours || g_strcmp0(o->app, e->app) != 0)) {
        fail(w, "%s removes %s for %s, which did not put it there", a->cluster, key, e->app);
    }
    if (yard_has_line(w, a, e->bundle, "object", e->kind, e->namespace_, e->name, NULL)) {
        fail(w, "%s removes %s, which its bundle wants", a->cluster, key);
    }
    if (yard_has_line(w, a, e->bundle, "withheld", e->kind, e->namespace_, e->name, NULL)) {
        fail(w, "%s removes %s, which is withheld", a->cluster, key);
    }
    if (is_kept(w, a, e)) {
        fail(w, "%s removes %s, which opted out of pruning", a->cluster, key);
    }
    YardPrune *p = prune_of(w, a, e);
    bool guarded = (l->p->act == SL_ACT_PROMOTE || l->p->act == SL_ACT_REDEPLOY) &&
                   !l->p->allow_prune && g_strcmp0(e->bundle, l->bundle) == 0;
    p->removed += o != NULL ? 1 : 0;
    if (guarded && p->removed * 100 > p->had * 30 && o != NULL) {
        fail(w, "%s removes %u of %u objects of %s without a word of people", a->cluster,
             p->removed, p->had, e->app);
    }
}

/* ---- what is on the disk before anything is done ---- */

static const json_t *item_of(const json_t *list, const char *key, const char *value)
{
    size_t i;
    json_t *item;
    json_array_foreach (list, i, item) {
        if (g_strcmp0(sl_json_str(item, key), value) == 0) {
            return item;
        }
    }
    return NULL;
}

static bool holds_object(const json_t *unit, const SlAgentEffect *e)
{
    size_t i;
    json_t *o;
    json_array_foreach (sl_json_at(unit, "objects"), i, o) {
        if (strcmp(sl_json_str_or(o, "kind", ""), e->kind) == 0 &&
            strcmp(sl_json_str_or(o, "name", ""), e->name) == 0 &&
            strcmp(sl_json_str_or(o, "namespace", ""), e->namespace_) == 0) {
            return true;
        }
    }
    return false;
}

/* What justifies an operation is in a slot before it starts: the promotion and the whole inventory,
 * old and new; a run's journal; a seal that is sent. */
void check_durable(World *w, const Moment *m)
{
    const SlAgentEffect *e = m->effect;
    Agent *a = m->agent;
    if (!is_operation(e) && e->type != SL_AGENT_DO_SEAL) {
        return;
    }
    const json_t *slot = yard_slot(w, a);
    if (e->type == SL_AGENT_DO_APPLY || e->type == SL_AGENT_DO_REMOVE) {
        const json_t *unit = item_of(sl_json_at(slot, "units"), "app", e->app);
        if (g_strcmp0(sl_json_str(unit, "promotion"), e->promotion) != 0) {
            fail(w, "%s acts on promotion %.12s of %s before a slot holds it", a->cluster,
                 e->promotion, e->app);
        } else if (!holds_object(unit, e)) {
            fail(w, "%s writes %s %s before its inventory is in a slot", a->cluster, e->kind,
                 e->name);
        }
        return;
    }
    const json_t *run = item_of(sl_json_at(slot, "runs"), "id", e->run_id);
    const json_t *kept = item_of(sl_json_at(slot, "seals"), "run", e->run_id);
    if (e->type == SL_AGENT_DO_RUN_START && run == NULL) {
        fail(w, "%s starts run %.12s before its journal is in a slot", a->cluster, e->run_id);
    }
    if (e->type == SL_AGENT_DO_SEAL && !json_is_object(sl_json_at(run, "seal")) && kept == NULL) {
        fail(w, "%s sends the seal of run %.12s before a slot holds it", a->cluster, e->run_id);
    }
}
