/* stir.c - which units a step looks at. A step costs what changed, not what exists: an input marks
 * the unit it is about, whatever else may bear on units marks them all, and a unit that waits for a
 * time says when. Marking too much only costs; marking too little would wait, so what is not known
 * marks all, and every unit is looked at every SL_AGENT_LOOK_ALL_US anyway. */
#include "agent/brain/state.h"

/* Inputs that concern one unit mark it where they find it (fetch.c, apply.c), or concern none. */
void sl_agent_stir_input(SlAgent *a, const SlAgentInput *in)
{
    switch (in->type) {
    case SL_AGENT_BLOB:
    case SL_AGENT_STATEMENT:
    case SL_AGENT_MISSING:
    case SL_AGENT_SAVED:
    case SL_AGENT_APPLIED:
    case SL_AGENT_REMOVED:
    case SL_AGENT_OBSERVED:
    case SL_AGENT_RUN:
    case SL_AGENT_REPORT_ACK:
    case SL_AGENT_SEAL_ACK:
    case SL_AGENT_TICK:
        break;
    default:
        a->stir_all = true;
        break;
    }
}

/* Runs @settle on @u and keeps when it asked to be looked at again. */
static void look(SlAgent *a, SlUnit *u, void (*settle)(SlAgent *, SlUnit *))
{
    int64_t outer_us = a->due_us;
    a->due_us = INT64_MAX;
    settle(a, u);
    u->look_us = MIN(u->look_us, a->due_us);
    a->due_us = outer_us;
}

void sl_agent_units_settle(SlAgent *a)
{
    if (a->elapsed_us >= a->look_all_us) {
        a->look_all_us = a->elapsed_us + SL_AGENT_LOOK_ALL_US;
        a->stir_all = true;
    }
    bool all = a->stir_all;
    a->stir_all = false;
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, a->units);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        SlUnit *u = value;
        u->stirred = u->stirred || all || a->elapsed_us >= u->look_us;
        if (!u->stirred) {
            continue;
        }
        u->look_us = INT64_MAX;
        u->unapplied = true;
        if (a->root != NULL) {
            look(a, u, sl_agent_follow);
        }
    }
    if (a->root != NULL) {
        sl_agent_forget_blank(a);
    }
}

void sl_agent_health_all(SlAgent *a)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, a->units);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        SlUnit *u = value;
        if (u->stirred) {
            look(a, u, sl_agent_health_settle);
            look(a, u, sl_agent_rollback_settle);
            u->stirred = false;
        }
    }
}

/* Only when all hard state is durable; until then they stay marked. */
void sl_agent_apply_all(SlAgent *a)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, a->units);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        SlUnit *u = value;
        if (u->unapplied) {
            u->unapplied = false;
            look(a, u, sl_agent_apply_settle);
        }
    }
}

void sl_agent_units_wake(SlAgent *a)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, a->units);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        sl_agent_wake(a, ((const SlUnit *)value)->look_us);
    }
}
