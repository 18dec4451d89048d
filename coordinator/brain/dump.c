/* dump.c - the durable state as JSON: what a replay of the ledger must give again, from every
 * prefix. */
#include "coordinator/brain/brain.h"
#include <string.h>

static json_t *attempt_json(const SlAttempt *a)
{
    json_t *json = json_object(), *targets = json_object();
    GHashTableIter iter;
    gpointer key, value;
    if (a->target_of != NULL) {
        g_hash_table_iter_init(&iter, a->target_of);
        while (g_hash_table_iter_next(&iter, &key, &value)) {
            sl_json_set_str(targets, key, value);
        }
    }
    sl_json_set_int(json, "n", (int64_t)a->n);
    sl_json_set_str(json, "app", a->app);
    sl_json_set_str(json, "env", a->env);
    sl_json_set_str(json, "act", sl_act_name(a->act));
    sl_json_set_str(json, "release", a->release);
    sl_json_set_str(json, "requester", a->requester);
    sl_json_set_str(json, "reason", a->reason);
    sl_json_set_str(json, "state", sl_state_info(sl_state_durable(a->state, a->unchanged))->name);
    sl_json_set_int(json, "requested", a->requested_us);
    sl_json_set_int(json, "finished", a->finished_us);
    sl_json_set_int(json, "committed", a->committed_us);
    sl_json_set_int(json, "seq", (int64_t)a->seq);
    sl_json_set_str(json, "promotion", a->promotion);
    sl_json_set_str(json, "commit", a->commit);
    json_object_set_new(json, "targets", targets);
    json_object_set_new(json, "approvers", sl_json_from_ptr_array(a->approvers));
    sl_json_set_int(json, "signatures", a->statement != NULL ? a->statement->sigs->len : 0);
    sl_json_set_int(json, "jobs", a->jobs->len);
    json_object_set(json, "evidence", a->evidence);
    sl_json_set_int(json, "withheld", (int64_t)a->withheld);
    sl_json_set_int(json, "held", (int64_t)a->held);
    sl_json_set_str(json, "error", a->error);
    return json;
}

static json_t *unit_json(const SlUnit *u)
{
    json_t *json = json_object(), *vetoes = json_array(), *been = json_object();
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, u->been);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        sl_json_set_str(been, key, value);
    }
    for (guint i = 0; i < u->vetoes->len; i++) {
        json_array_append_new(vetoes,
                              json_string(((SlVeto *)g_ptr_array_index(u->vetoes, i))->release));
    }
    sl_json_set_int(json, "seq", (int64_t)u->seq);
    sl_json_set_int(json, "live", u->live != NULL ? (int64_t)u->live->n : 0);
    sl_json_set_int(json, "current", u->current != NULL ? (int64_t)u->current->n : 0);
    sl_json_set_int(json, "lastLive", u->last_live != NULL ? (int64_t)u->last_live->n : 0);
    sl_json_set_str(json, "pinned", u->pinned != NULL ? u->pinned->reason : NULL);
    json_object_set_new(json, "vetoes", vetoes);
    json_object_set_new(json, "been", been);
    return json;
}

static json_t *env_json(const SlEnv *env)
{
    json_t *json = json_object(), *clusters = json_object();
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, env->clusters);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        g_autofree char *entry = sl_cluster_format(value);
        sl_json_set_str(clusters, key, entry);
    }
    sl_json_set_int(json, "registry", (int64_t)env->registry_version);
    json_object_set_new(json, "clusters", clusters);
    sl_json_set_str(json, "tip", env->tip);
    sl_json_set_str(json, "before", env->before);
    sl_json_set_str(json, "external", env->external);
    return json;
}

static json_t *run_json(const SlRun *run)
{
    json_t *json = json_object();
    sl_json_set_str(json, "job", run->job);
    sl_json_set_str(json, "key", run->key);
    sl_json_set_str(json, "cluster", run->cluster);
    sl_json_set_str(json, "seal", run->seal_digest);
    return json;
}

static json_t *table_json(GHashTable *table, json_t *(*one)(const void *))
{
    json_t *json = json_object();
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, table);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        json_t *member = one != NULL ? one(value) : json_string(value);
        if (member != NULL) {
            json_object_set_new(json, key, member);
        }
    }
    return json;
}

static json_t *release_any(const void *value)
{
    const SlRelease *r = value;
    json_t *json = json_object();
    sl_json_set_str(json, "name", r->name);
    sl_json_set_str(json, "commit", r->commit);
    sl_json_set_int(json, "order", (int64_t)r->order);
    sl_json_set_int(json, "position", (int64_t)r->position);
    sl_json_set_bool(json, "pending", sl_release_pending(r));
    return json;
}

static json_t *unit_any(const void *value)
{
    return unit_json(value);
}

static json_t *env_any(const void *value)
{
    return env_json(value);
}

static json_t *run_any(const void *value)
{
    return run_json(value);
}

static json_t *join_any(const void *value)
{
    return json_string(((const SlJoin *)value)->cluster != NULL ? "used" : "open");
}

static json_t *token_any(const void *value)
{
    return json_string(((const SlToken *)value)->hash);
}

static json_t *win_any(const void *value)
{
    return json_string(((const SlRun *)value)->id);
}

static json_t *pending_any(const void *value)
{
    g_autofree char *entry = sl_cluster_format(value);
    return json_string(entry);
}

static json_t *answer_any(const void *value)
{
    return json_string(((const SlAnswer *)value)->digest);
}

static json_t *read_any(const void *value)
{
    return json_integer((json_int_t) * (const uint64_t *)value);
}

/* NULL: one that was never read. That it can't be is known here, and is nothing of the ledger's. */
static json_t *source_any(const void *value)
{
    const SlSourceState *s = value;
    if (s->commit == NULL && s->accept == NULL && s->reads == 0) {
        return NULL;
    }
    json_t *json = json_object();
    sl_json_set_str(json, "commit", s->commit);
    sl_json_set_str(json, "accept", s->accept);
    sl_json_set_int(json, "reads", (int64_t)s->reads);
    sl_json_set_int(json, "forgotten", (int64_t)s->forgotten);
    json_object_set_new(json, "authors", table_json(s->authors, read_any));
    json_object_set_new(json, "floors", table_json(s->floors, read_any));
    json_object_set_new(json, "unsettled", sl_json_strv((const char *const *)s->unsettled));
    return json;
}

json_t *sl_coord_dump(const SlCoord *c)
{
    json_t *json = json_object(), *attempts = json_array(), *orders = json_array();
    for (guint i = 0; i < c->attempts->len; i++) {
        json_array_append_new(attempts, attempt_json(g_ptr_array_index(c->attempts, i)));
    }
    for (guint i = 0; i < c->orders->len; i++) {
        json_array_append_new(
            orders, json_string(((SlOrderKept *)g_ptr_array_index(c->orders, i))->digest));
    }
    sl_json_set_int(json, "seq", (int64_t)c->seq);
    sl_json_set_str(json, "hash", c->hash);
    sl_json_set_int(json, "term", (int64_t)c->term);
    sl_json_set_int(json, "roots", c->roots->len);
    if (c->docs_json != NULL) {
        json_object_set(json, "documents", c->docs_json);
    }
    json_object_set_new(json, "attempts", attempts);
    json_object_set_new(json, "orders", orders);
    json_object_set_new(json, "releases", table_json(c->releases, release_any));
    json_object_set_new(json, "units", table_json(c->units, unit_any));
    json_object_set_new(json, "environments", table_json(c->envs, env_any));
    json_object_set_new(json, "runs", table_json(c->runs, run_any));
    json_object_set_new(json, "wins", table_json(c->wins, win_any));
    json_object_set_new(json, "pending", table_json(c->pending, pending_any));
    json_object_set_new(json, "pendingEnv", table_json(c->pending_env, NULL));
    json_object_set_new(json, "removed", table_json(c->removed, NULL));
    json_object_set_new(json, "joins", table_json(c->joins, join_any));
    json_object_set_new(json, "tokens", table_json(c->tokens, token_any));
    json_object_set_new(json, "floors", table_json(c->floors, NULL));
    json_object_set_new(json, "sources", table_json(c->sources, source_any));
    json_object_set_new(json, "answers", table_json(c->answers, answer_any));
    return json;
}
