/* checks.c - what no thief may reach: that an agent takes what was forged, or goes on after it lost its state
 * without people having said from where. */
#include "evil.h"

static void look_into(World *w, const Agent *a, const char *text, size_t len)
{
    GHashTableIter iter;
    gpointer never, why;
    g_autofree char *name = g_strdup_printf("never in %s", a->env);
    g_hash_table_iter_init(&iter, world_keep_table(w, name));
    while (g_hash_table_iter_next(&iter, &never, &why)) {
        if (memmem(text, len, never, strlen(never)) != NULL) {
            fail(w, "%s takes what was forged: %s", a->cluster, (char *)why);
            return;
        }
    }
}

void check_never(World *w, const Moment *m)
{
    const SlAgentEffect *e = m->effect;
    if (e->type == SL_AGENT_DO_SAVE) {
        gsize len = 0;
        const char *bytes = g_bytes_get_data(e->bytes, &len);
        look_into(w, m->agent, bytes, len);
    } else if (e->promotion != NULL) {
        look_into(w, m->agent, e->promotion, strlen(e->promotion));
    }
}

/* Has somebody ordered this cluster to go on, for the loss that it reports? */
static bool has_resume(World *w, const Agent *a, const char *nonce)
{
    GHashTableIter iter;
    gpointer s;
    g_hash_table_iter_init(&iter, w->statements);
    while (g_hash_table_iter_next(&iter, NULL, &s)) {
        g_autoptr(SlOrder) o = sl_order_parse(((SlSigned *)s)->text, NULL);
        if (o != NULL && o->act == SL_ACT_RESUME && g_strcmp0(o->cluster, a->cluster) == 0 &&
            g_strcmp0(o->nonce, nonce) == 0) {
            return true;
        }
    }
    return false;
}

void check_lost(World *w, const Moment *m)
{
    bool writes = m->effect->type == SL_AGENT_DO_APPLY || m->effect->type == SL_AGENT_DO_REMOVE;
    if (!writes || strcmp(m->agent->env, "prod") != 0) {
        return;
    }
    g_autoptr(json_t) view = sl_agent_view(m->agent->brain, agent_now(w, m->agent));
    if (sl_json_bool(view, "stateLost", false) &&
        !has_resume(w, m->agent, sl_json_str(view, "lostNonce"))) {
        fail(w, "%s lost its state and writes %s before people said from where it goes on",
             m->agent->cluster, m->effect->name);
    }
}

static bool signed_by(const SlSigned *s, SlStatementKind kind, const SlPublicKey *key)
{
    g_autoptr(GPtrArray) signers = sl_signed_signers(s, kind, NULL);
    for (guint i = 0; i < signers->len; i++) {
        if (strcmp(((const SlPublicKey *)signers->pdata[i])->line, key->line) == 0) {
            return true;
        }
    }
    return false;
}

/* Events of @type about @run in the ledger; the last one in @ret_event. */
static unsigned events_of(const World *w, const char *type, const char *run,
                          const json_t **ret_event)
{
    unsigned n = 0;
    for (guint i = 0; i < w->ledger->len; i++) {
        const json_t *event = w->ledger->pdata[i];
        if (g_strcmp0(sl_json_str(event, "type"), type) == 0 &&
            g_strcmp0(sl_json_str(event, "run"), run) == 0) {
            *ret_event = event;
            n++;
        }
    }
    return n;
}

/* A seal in the ledger is of the cluster that the run was placed on, and there is one. */
void check_seals(World *w, const Moment *m)
{
    for (guint i = 0; i < m->coord_out->events->len; i++) {
        const json_t *event = m->coord_out->events->pdata[i], *other = NULL;
        const char *run = sl_json_str(event, "run");
        if (g_strcmp0(sl_json_str(event, "type"), "Sealed") != 0) {
            continue;
        }
        if (events_of(w, "Sealed", run, &other) > 1) {
            fail(w, "run %.12s is sealed twice", run);
        }
        (void)events_of(w, "RunPlaced", run, &other);
        const Agent *there = agent_named(w, sl_json_str_or(other, "cluster", ""));
        g_autoptr(SlSigned) s = sl_signed_from_json(sl_json_at(event, "seal"), NULL);
        if (s == NULL || there == NULL || !signed_by(s, SL_STATEMENT_SEAL, there->key)) {
            fail(w, "run %.12s is sealed, but not by the cluster that it was placed on", run);
        }
    }
}

/* One event of the ledger changed a little: the fold must stop at the next one. */
void check_tampered(World *w, const Moment *m)
{
    (void)m;
    guint k = (guint)rng_below(&w->rng, w->ledger->len - 1);
    json_t *right = w->ledger->pdata[k], *wrong = json_deep_copy(right);
    g_autoptr(GError) error = NULL;
    sl_json_set_str(wrong, "tampered", "yes");
    w->ledger->pdata[k] = wrong;
    SlCoord *coord = coord_try_fold(w, &error);
    w->ledger->pdata[k] = right;
    json_decref(wrong);
    if (coord != NULL) {
        sl_coord_free(coord);
        fail(w, "event %u of the ledger was changed, and nobody sees it", k + 1);
    }
}
