/* clockback.c - the clock went back: it had been ahead, or is behind now. What was noted for a time
 * of the other clock may be years away; each such time becomes now, so that nothing waits for it.
 * Ledger times stay what they are. */
#include "coordinator/brain/brain.h"

static void clamp_attempt(const SlCoord *c, SlAttempt *a)
{
    a->retry_us = a->verify_us = a->next_us = 0;
    a->since_us = MIN(a->since_us, c->now_us);
    a->ahead_us = MAX(a->committed_us - c->now_us, 0);
}

static void clamp_env(const SlCoord *c, SlEnv *env)
{
    env->retry_us = 0;
    env->asked_us = MIN(env->asked_us, c->now_us);
}

/* A head of a time that has not come is refused by its agent: another one now. */
static void clamp_session(const SlCoord *c, SlSession *session)
{
    if (session->sent_us > c->now_us) {
        session->renew_us = 0;
    }
    session->sent_us = MIN(session->sent_us, c->now_us);
    session->seen_us = MIN(session->seen_us, c->now_us);
}

void sl_brain_clock_back(SlCoord *c)
{
    GHashTableIter iter;
    gpointer value;
    for (guint i = 0; i < c->active->len; i++) {
        clamp_attempt(c, g_ptr_array_index(c->active, i));
    }
    g_hash_table_iter_init(&iter, c->envs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        clamp_env(c, value);
    }
    g_hash_table_iter_init(&iter, c->sessions);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        clamp_session(c, value);
    }
    g_hash_table_iter_init(&iter, c->seen);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        SlSeen *seen = value;
        seen->seen_us = MIN(seen->seen_us, c->now_us);
    }
    sl_brain_troubles_clock_back(c);
    g_hash_table_remove_all(c->auto_wait); /* every application is looked at again */
}
