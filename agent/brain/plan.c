/* plan.c - what is entered in the inventory and what may leave it. The inventory holds old and new
 * objects together before the first of them is written; only what is in it can ever be removed.
 * Withheld objects keep their place and their live version. */
#include "agent/brain/state.h"

void sl_agent_object_free(SlAgentObject *o)
{
    if (o == NULL) {
        return;
    }
    g_free(o->kind);
    g_free(o->namespace_);
    g_free(o->name);
    g_free(o->digest);
    sl_verdict_clear(&o->verdict);
    g_free(o);
}

bool sl_plan_share_ok(const SlUnit *u, const SlGather *next, unsigned *ret_removed,
                      unsigned *ret_all)
{
    unsigned removed = 0, all = 0;
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, u->objects);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        const SlAgentObject *o = value;
        if (g_hash_table_contains(next->withheld, key)) {
            continue;
        }
        all++;
        removed += !o->keep && !g_hash_table_contains(next->by_key, key) ? 1 : 0;
    }
    *ret_removed = removed;
    *ret_all = all;
    return removed * 100 <= all * SL_AGENT_PRUNE_SHARE;
}

static SlAgentObject *enter(SlUnit *u, const SlGoal *g)
{
    SlAgentObject *o = g_new0(SlAgentObject, 1);
    o->kind = g_strdup(g->kind);
    o->namespace_ = g_strdup(g->namespace_);
    o->name = g_strdup(g->name);
    o->digest = g_strdup("");
    g_hash_table_insert(u->objects, g_strdup(g->key), o);
    return o;
}

void sl_plan_enter(SlAgent *a, SlUnit *u, const SlGather *next)
{
    for (guint i = 0; i < next->goals->len; i++) {
        const SlGoal *g = next->goals->pdata[i];
        if (g->is_run) {
            continue; /* runs are started, not applied: the journal holds them */
        }
        SlAgentObject *o = g_hash_table_lookup(u->objects, g->key);
        if (o == NULL) {
            o = enter(u, g);
        }
        o->wave = g->wave;
        o->keep = g->keep;
        if (strcmp(o->digest, g->digest) != 0) {
            g_free(o->digest);
            o->digest = g_strdup(g->digest);
            o->applied = false;
            o->tries = 0;
            o->retry_us = 0;
            o->op = SL_OP_NONE;
            (void)sl_verdict_set(&o->verdict, SL_HEALTH_PROGRESSING, "Waiting",
                                 "waits for its turn", a->now_us);
            sl_agent_report_object(a, u, o, false);
        } else if (o->op == SL_OP_REMOVE) {
            o->op = SL_OP_NONE; /* wanted again while it is being removed: applied again after it is
                                   gone */
            o->applied = false;
        }
    }
}

bool sl_plan_prunable(const SlUnit *u, const char *key, const SlAgentObject *o)
{
    return !o->keep && !g_hash_table_contains(u->goal->by_key, key) &&
           !g_hash_table_contains(u->goal->withheld, key);
}
