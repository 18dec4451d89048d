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
