/* lifecycle.c - a coordinator's state from nothing to nothing. */
#include "coordinator/brain/state.h"
#include <string.h>

static void source_free(SlSourceState *s)
{
    g_free(s->repository);
    g_free(s->branch);
    g_free(s->commit);
    g_free(s->subject);
    g_free(s->error);
    g_free(s->accept);
    json_decref(s->problems);
    g_hash_table_unref(s->authors);
    g_hash_table_unref(s->floors);
    g_strfreev(s->unsettled);
    g_free(s->rewound);
    g_free(s->unsigned_);
    g_free(s);
}

static void join_free(SlJoin *j)
{
    g_free(j->id);
    g_free(j->name);
    g_free(j->env);
    g_free(j->by);
    g_free(j->cluster);
    g_free(j->request);
    json_decref(j->labels);
    g_free(j);
}

static void token_free(SlToken *t)
{
    g_free(t->id);
    g_free(t->hash);
    g_free(t->person);
    g_free(t->scope);
    g_free(t);
}

static void order_free(SlOrderKept *o)
{
    g_free(o->digest);
    sl_signed_free(o->statement);
    sl_order_free(o->order);
    g_free(o);
}

static void answer_free(SlAnswer *a)
{
    g_free(a->digest);
    json_decref(a->body);
    g_free(a);
}

static GHashTable *table(GDestroyNotify free_key, GDestroyNotify free_value)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, free_key, free_value);
}

static void make_tables(SlCoord *c)
{
    c->roots = g_ptr_array_new_with_free_func((GDestroyNotify)sl_signed_free);
    c->releases = table(NULL, (GDestroyNotify)sl_release_free);
    c->app_releases = table(g_free, (GDestroyNotify)g_ptr_array_unref);
    c->attempts = g_ptr_array_new_with_free_func((GDestroyNotify)sl_attempt_free);
    c->active = g_ptr_array_new();
    c->units = table(NULL, (GDestroyNotify)sl_unit_free);
    c->envs = table(NULL, (GDestroyNotify)sl_env_free);
    c->runs = table(NULL, (GDestroyNotify)sl_run_free);
    c->wins = table(g_free, NULL);
    c->pending = table(g_free, (GDestroyNotify)sl_cluster_free);
    c->pending_env = table(g_free, g_free);
    c->removed = table(g_free, g_free);
    c->joins = table(NULL, (GDestroyNotify)join_free);
    c->tokens = table(NULL, (GDestroyNotify)token_free);
    c->orders = g_ptr_array_new_with_free_func((GDestroyNotify)order_free);
    c->floors = table(g_free, g_free);
    c->sources = table(NULL, (GDestroyNotify)source_free);
    c->statements = table(g_free, NULL);
    c->answers = table(g_free, (GDestroyNotify)answer_free);
    c->proofs = table(g_free, (GDestroyNotify)sl_proof_free);
    c->history = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
    c->sessions = table(NULL, (GDestroyNotify)sl_session_free);
    c->seen = table(g_free, (GDestroyNotify)sl_seen_free);
    c->head_versions = table(g_free, g_free);
    c->dirty = table(g_free, NULL);
    c->dirty_sessions = table(g_free, NULL);
    c->auto_wait = table(g_free, g_free);
    c->curves = table(NULL, NULL);
    c->curve_envs = table(NULL, NULL);
    c->desired_lists = table(g_free, (GDestroyNotify)g_hash_table_unref);
    c->alarms = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
    c->troubles = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    c->troubles_next_us = INT64_MAX;
    c->alarm_of = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    c->doc_problems = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
}

SlCoord *sl_coord_new(const SlCoordConfig *config)
{
    SlCoord *c = g_new0(SlCoord, 1);
    c->config = *config;
    c->owner = g_strdup(config->owner_person);
    memset(c->hash, '0', SL_HEX_DIGEST_LEN);
    make_tables(c);
    return c;
}

void sl_coord_free(SlCoord *c)
{
    if (c == NULL) {
        return;
    }
    GHashTable *const tables[] = {
        c->wins,           c->statements, c->app_releases,  c->releases,      c->units,
        c->envs,           c->runs,       c->pending,       c->pending_env,   c->removed,
        c->joins,          c->tokens,     c->floors,        c->sources,       c->answers,
        c->sessions,       c->seen,       c->head_versions, c->desired_lists, c->dirty,
        c->dirty_sessions, c->auto_wait,  c->curves,        c->curve_envs,    c->alarm_of,
        c->troubles,       c->proofs};
    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
        g_hash_table_unref(tables[i]);
    }
    GPtrArray *const arrays[] = {c->roots,  c->attempts,     c->orders, c->history,
                                 c->alarms, c->doc_problems, c->active};
    for (size_t i = 0; i < G_N_ELEMENTS(arrays); i++) {
        g_ptr_array_unref(arrays[i]);
    }
    g_free(c->owner);
    g_free(c->fleet_name);
    sl_root_free(c->root);
    json_decref(c->docs_json);
    sl_fleet_docs_free(c->docs);
    g_free(c->docs_commit);
    g_free(c);
}
