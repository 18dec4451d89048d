/* sessions.c - HELLO, GONE and the term. A session is one nonce of one registered key; the head
 * that follows answers it. */
#include "coordinator/brain/brain.h"
#include <string.h>

static void add_steps(GPtrArray *list, const SlSigned *s)
{
    g_ptr_array_add(list, sl_signed_copy(s));
}

static GPtrArray *signed_list(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)sl_signed_free);
}

static void send_reset(SlCoord *c, const char *curve, const char *reason)
{
    SlCoordEffect *effect = sl_effect(c, SL_COORD_DO_SEND);
    effect->curve = g_strdup(curve);
    effect->send = SL_COORD_SEND_RESET;
    effect->reason = g_strdup(reason);
}

/* Roots and the registry that the agent does not have yet; each root is verified from the one
 * before, so all of them go. */
void sl_brain_send_steps(SlCoord *c, const SlEnv *env, SlSession *session)
{
    bool registry_is_new = env->registry != NULL && session->registry < env->registry_version;
    if (session->root >= c->root->version && !registry_is_new) {
        return;
    }
    SlCoordEffect *effect = sl_effect(c, SL_COORD_DO_SEND);
    effect->curve = g_strdup(session->curve);
    effect->send = SL_COORD_SEND_STEPS;
    effect->roots = signed_list();
    effect->registries = signed_list();
    for (uint64_t version = session->root; version < c->root->version; version++) {
        add_steps(effect->roots, g_ptr_array_index(c->roots, (guint)version));
    }
    if (registry_is_new) {
        add_steps(effect->registries, env->registry);
    }
    session->root = MAX(session->root, c->root->version);
    session->registry = MAX(session->registry, env->registry_version);
}

uint64_t sl_brain_next_term(const SlCoord *c, uint64_t above)
{
    return MAX(c->seq + 1, MAX(c->term, above) + 1);
}

void sl_brain_lease(SlCoord *c, uint64_t above)
{
    json_t *event = sl_event("Lease");
    sl_json_set_int(event, "term", (int64_t)sl_brain_next_term(c, above));
    sl_emit(c, event);
    g_hash_table_remove_all(c->head_versions); /* versions start at 1 in each term */
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, c->sessions);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        g_clear_pointer(&((SlSession *)value)->desired, g_free);
    }
}

static void check_order(SlCoord *c, const SlCoordHello *in, const char *cluster)
{
    const char *known = g_hash_table_lookup(c->head_versions, cluster);
    uint64_t version = 0;
    bool ahead = in->term > c->term;
    if (known != NULL) {
        (void)sl_parse_uint64(known, &version);
    }
    ahead = ahead || (in->term == c->term && in->head_version > version);
    if (!ahead) {
        sl_brain_clear_alarm(c, cluster, "term");
        return;
    }
    if (in->term > c->term && in->term - c->term > SL_JUMP_MAX) {
        sl_brain_alarm(
            c, cluster, "term", SLU_TERM_JUMP,
            "the agent names a term far above ours; its heads will not be accepted there");
        return;
    }
    sl_brain_lease(c, in->term);
}

void sl_brain_hello(SlCoord *c, const SlCoordHello *in)
{
    const char *env_name = NULL;
    const SlCluster *cluster = sl_coord_cluster_of_key(c, in->curve, &env_name);
    if (cluster == NULL) {
        send_reset(c, in->curve, "this key is not registered");
        return;
    }
    SlSession *session = g_new0(SlSession, 1);
    session->curve = g_strdup(in->curve);
    session->cluster = g_strdup(cluster->id);
    session->env = g_strdup(env_name);
    session->nonce = g_strdup(in->nonce);
    session->version = sl_escape_for_people(in->version != NULL ? in->version : "", 64);
    session->state_lost = in->state_lost;
    session->seen_us = c->now_us;
    session->root = in->root_version;
    session->registry = in->registry_version;
    g_hash_table_replace(c->sessions, session->curve, session);
    sl_brain_touch_session(c, session);
    sl_brain_touch_targets(c, session->cluster);
    if (in->format_max < SL_STATEMENT_FORMAT) {
        sl_brain_alarm(c, cluster->id, "format", SLU_UNSUPPORTED,
                       "the agent is too old: it reads no statement of format 1; update it");
        return;
    }
    sl_brain_clear_alarm(c, cluster->id, "format");
    if (in->state_lost) {
        sl_brain_alarm(c, cluster->id, "state-lost", SLU_CORRUPT,
                       "the agent lost its state; it waits for a resume order for this cluster");
    } else {
        sl_brain_clear_alarm(c, cluster->id, "state-lost");
    }
    check_order(c, in, cluster->id);
    sl_brain_send_steps(c, sl_brain_env(c, env_name), session);
}

void sl_brain_gone(SlCoord *c, const char *curve)
{
    const SlSession *session = g_hash_table_lookup(c->sessions, curve);
    if (session != NULL) {
        sl_brain_touch_targets(c, session->cluster);
    }
    g_hash_table_remove(c->sessions, curve);
}

SlSession *sl_brain_session(const SlCoord *c, const char *cluster)
{
    const SlCluster *found = sl_brain_cluster(c, cluster, NULL);
    return found != NULL ? g_hash_table_lookup(c->sessions, found->curve) : NULL;
}

/* ---- what the link says ---- */

#define TROUBLE_US (15 * SL_MINUTE_US) /* an alarm of the link that is not said again ends */

void sl_brain_trouble(SlCoord *c, const SlCoordTrouble *in)
{
    const SlCluster *cluster = sl_coord_cluster_of_key(c, in->curve, NULL);
    if (cluster == NULL) {
        return;
    }
    int64_t *end = g_new(int64_t, 1);
    *end = c->now_us + TROUBLE_US;
    c->troubles_next_us = MIN(c->troubles_next_us, *end);
    sl_brain_alarm(c, cluster->id, in->what, in->error->code, in->error->message);
    g_hash_table_replace(c->troubles, g_strdup_printf("%s %s", cluster->id, in->what), end);
}

void sl_brain_troubles_clock_back(SlCoord *c)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, c->troubles);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        int64_t *end = value;
        *end = MIN(*end, c->now_us + TROUBLE_US);
        c->troubles_next_us = MIN(c->troubles_next_us, *end);
    }
}

void sl_brain_troubles_end(SlCoord *c)
{
    GHashTableIter iter;
    gpointer key, value;
    if (c->troubles_next_us <= c->now_us) {
        c->troubles_next_us = INT64_MAX;
        g_hash_table_iter_init(&iter, c->troubles);
        while (g_hash_table_iter_next(&iter, &key, &value)) {
            int64_t end = *(int64_t *)value;
            if (end > c->now_us) {
                c->troubles_next_us = MIN(c->troubles_next_us, end);
                continue;
            }
            g_auto(GStrv) words = g_strsplit(key, " ", 2);
            sl_brain_clear_alarm(c, words[0], words[1]);
            g_hash_table_iter_remove(&iter);
        }
    }
    sl_wake(c, c->troubles_next_us);
}
