/* view.c - the whole state as JSON, for `sluice-agent status`, tests and the simulation's checkers.
 * Nothing reads it to decide. */
#include "agent/brain/state.h"

static json_t *unit_view(const SlUnit *u)
{
    json_t *o = json_object();
    sl_json_set_str(o, "app", u->app);
    sl_json_set_int(o, "epoch", (int64_t)u->epoch);
    sl_json_set_int(o, "seq", (int64_t)u->seq);
    sl_json_set_str(o, "promotion", u->promotion);
    sl_json_set_str(o, "bundle", sl_agent_unit_bundle(u));
    sl_json_set_str(o, "wanted", u->wanted);
    sl_json_set_bool(o, "latched", u->latch_reason != NULL);
    sl_json_set_bool(o, "confirmed", u->confirmed);
    sl_json_set_str(o, "health",
                    u->promotion != NULL ? sl_health_name(u->verdict.health) : "Unknown");
    sl_json_set_str(o, "reason", u->verdict.reason);
    sl_json_set_str(o, "message", u->verdict.message);
    sl_json_set_str(o, "waits", u->candidate != NULL ? u->candidate->waits : NULL);
    json_object_set_new(o, "healthy", sl_json_from_ptr_array(u->healthy));
    json_t *objects = json_object();
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, u->objects);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        const SlAgentObject *obj = value;
        json_t *v = json_object();
        sl_json_set_str(v, "digest", obj->digest);
        sl_json_set_bool(v, "applied", obj->applied);
        sl_json_set_str(v, "health", sl_health_name(obj->verdict.health));
        json_object_set_new(objects, key, v);
    }
    json_object_set_new(o, "objects", objects);
    return o;
}

static json_t *runs_view(const SlAgent *a)
{
    static const char *const STATES[SL_N_JOURNAL] = {"placed", "started", "sealed"};
    json_t *runs = json_object();
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, a->runs);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        const SlJournal *j = value;
        json_t *o = json_object();
        sl_json_set_str(o, "app", j->app);
        sl_json_set_str(o, "job", j->job);
        sl_json_set_str(o, "state", STATES[j->state]);
        sl_json_set_str(o, "phase", sl_json_str(j->record, "phase"));
        json_object_set_new(runs, key, o);
    }
    g_hash_table_iter_init(&iter, a->finished);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        json_object_set_new(runs, key, json_pack("{s:s}", "state", "finished"));
    }
    return runs;
}

static json_t *entries_view(const SlAgent *a)
{
    json_t *entries = json_object();
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, a->entries);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        json_t *v = json_loads(value, 0, NULL);
        if (v != NULL) {
            json_object_set_new(entries, key, v);
        }
    }
    return entries;
}

json_t *sl_agent_view(const SlAgent *a, int64_t now_us)
{
    json_t *o = json_object();
    g_autofree char *now = sl_format_time(now_us);
    sl_json_set_str(o, "now", now);
    sl_json_set_str(o, "cluster", a->cluster);
    sl_json_set_str(o, "environment", a->env);
    sl_json_set_str(o, "version", a->program);
    sl_json_set_str(o, "fleet", a->root != NULL ? a->root->fleet : NULL);
    sl_json_set_int(o, "rootVersion", a->root != NULL ? (int64_t)a->root->version : 0);
    sl_json_set_int(o, "registryVersion", (int64_t)a->registry_version);
    sl_json_set_bool(o, "registered", a->self != NULL);
    sl_json_set_bool(o, "connected", a->connected);
    sl_json_set_bool(o, "durable", sl_agent_durable(a));
    sl_json_set_bool(o, "stateLost", a->lost_nonce != NULL);
    sl_json_set_str(o, "lostNonce", a->lost_nonce);
    sl_json_set_int(o, "generation", (int64_t)a->saved);
    json_t *head = json_object();
    sl_json_set_str(head, "digest", a->head.digest);
    sl_json_set_int(head, "epoch", (int64_t)a->head.epoch);
    sl_json_set_int(head, "term", (int64_t)a->head.term);
    sl_json_set_int(head, "version", (int64_t)a->head.version);
    sl_json_set_int(head, "ledgerSeq", (int64_t)a->head.ledger_seq);
    sl_json_set_str(head, "desired", a->head.desired);
    sl_json_set_bool(head, "fresh", sl_agent_head_fresh(a));
    json_object_set_new(o, "head", head);
    sl_json_set_int(o, "fetches", (int64_t)g_hash_table_size(a->fetches));
    json_t *units = json_object();
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, a->units);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        json_object_set_new(units, key, unit_view(value));
    }
    json_object_set_new(o, "units", units);
    json_object_set_new(o, "runs", runs_view(a));
    json_object_set_new(o, "applied", entries_view(a));
    return o;
}
