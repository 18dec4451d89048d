/* renders.c - from a release to the bytes that people sign: asks for the render, or takes an earlier
 * folder (rollback) or the empty bundle (remove); reserves the number, writes the statement. A
 * technical failure is tried again; a mistake in the files ends the attempt. */
#include "coordinator/brain/brain.h"
#include <string.h>

static GPtrArray *item_values(const SlRelease *r)
{
    GPtrArray *list = g_ptr_array_new();
    for (guint i = 0; i < r->items->len; i++) {
        const SlItem *item = g_ptr_array_index(r->items, i);
        SlItemValue *value = g_new0(SlItemValue, 1);
        value->name = g_strdup(item->name);
        value->digest = g_strdup(item->digest);
        value->run_key = g_strdup(item->run_key);
        g_ptr_array_add(list, value);
    }
    return list;
}

/* Also for one that was rendered before: what it brings then is only the bytes, into the cache. */
void sl_brain_render_again(SlCoord *c, const SlAttempt *a)
{
    const SlRelease *r = sl_brain_release(c, a->release);
    g_autoptr(GPtrArray) clusters = sl_brain_clusters(c, a->env);
    SlCoordEffect *effect = sl_effect(c, SL_COORD_DO_RENDER);
    effect->attempt = a->n;
    effect->app = g_strdup(a->app);
    effect->env = g_strdup(a->env);
    effect->repository = g_strdup(r->repository);
    effect->commit = g_strdup(r->commit);
    effect->items = item_values(r);
    effect->clusters = g_ptr_array_new_with_free_func((GDestroyNotify)sl_cluster_free);
    for (guint i = 0; i < clusters->len; i++) {
        g_ptr_array_add(effect->clusters, sl_cluster_copy(g_ptr_array_index(clusters, i)));
    }
    c->renders++;
}

void sl_brain_ask_render(SlCoord *c, SlAttempt *a)
{
    sl_brain_render_again(c, a);
    sl_attempt_move(c, a, SL_ON_RENDER);
}

static json_t *jobs_json(const GPtrArray *jobs)
{
    json_t *list = json_array();
    for (guint i = 0; jobs != NULL && i < jobs->len; i++) {
        const SlRenderedJob *job = g_ptr_array_index(jobs, i);
        json_t *json = json_object();
        sl_json_set_str(json, "name", job->name);
        sl_json_set_str(json, "runKey", job->run_key);
        sl_json_set_str(json, "digest", job->digest);
        sl_json_set_str(json, "onChange", job->on_change != NULL ? job->on_change : "keep");
        sl_json_set_str(json, "waitFor", job->wait_for != NULL ? job->wait_for : "admitted");
        sl_json_set_bool(json, "startAuto", job->start_auto);
        sl_json_set_int(json, "gpus", job->gpus);
        json_object_set_new(json, "clusters", sl_json_from_ptr_array(job->clusters));
        json_array_append_new(list, json);
    }
    return list;
}

static json_t *old_jobs_json(const GPtrArray *jobs)
{
    json_t *list = json_array();
    for (guint i = 0; i < jobs->len; i++) {
        const SlJob *job = g_ptr_array_index(jobs, i);
        json_t *json = json_object();
        sl_json_set_str(json, "name", job->name);
        sl_json_set_str(json, "runKey", job->run_key);
        sl_json_set_str(json, "digest", job->digest);
        sl_json_set_str(json, "onChange", job->on_change);
        sl_json_set_str(json, "waitFor", job->wait_for);
        sl_json_set_bool(json, "startAuto", job->start_auto);
        sl_json_set_int(json, "gpus", job->gpus);
        json_object_set_new(json, "clusters", sl_json_strv((const char *const *)job->clusters));
        json_array_append_new(list, json);
    }
    return list;
}

/* Map of @target_of, kept for the ledger; its root. */
static char *keep_targets(SlCoord *c, GHashTable *target_of, GError **error)
{
    g_autoptr(SlMap) map = sl_map_new();
    GHashTableIter iter;
    gpointer cluster, bundle;
    g_hash_table_iter_init(&iter, target_of);
    while (g_hash_table_iter_next(&iter, &cluster, &bundle)) {
        if (!sl_map_add(map, cluster, bundle, error)) {
            return NULL;
        }
    }
    sl_brain_keep_map(c, map);
    return sl_map_root(map);
}

/* Does what one of its clusters reported of the unit match? */
static bool any_target(const SlCoord *c, const SlAttempt *live,
                       bool (*matches)(const json_t *entry, const SlAttempt *live))
{
    GHashTableIter iter;
    gpointer cluster;
    g_hash_table_iter_init(&iter, live->target_of);
    while (g_hash_table_iter_next(&iter, &cluster, NULL)) {
        g_autoptr(json_t) entry =
            sl_brain_seen_entry(c, cluster, "unit/%s/%s", live->app, live->env);
        if (matches(entry, live)) {
            return true;
        }
    }
    return false;
}

static bool went_back(const json_t *entry, const SlAttempt *live)
{
    return sl_json_bool(entry, "latched", false) &&
           g_strcmp0(sl_json_str(entry, "promotion"), live->promotion) == 0;
}

/* Did an agent go back from what is live? Only a higher number ends that. */
static bool is_latched(const SlCoord *c, const SlAttempt *live)
{
    return any_target(c, live, went_back) || live->error_code == SLU_LATCHED;
}

/* It succeeded, or agents still take it: its time has come (a clock may have been ahead when it was
 * made) and is not over. */
static bool can_be_taken(const SlCoord *c, const SlAttempt *live, const SlPromotion *p)
{
    return live->state == SL_STATE_SUCCEEDED ||
           (p->not_before_us <= c->now_us && c->now_us < p->activate_until_us);
}

/* Does the request allow more than what is live? Agents that refused that for want of the word need
 * a statement that has it. */
static bool says_more(const SlAttempt *a, const SlPromotion *live)
{
    bool more = (a->allow_prune && !live->allow_prune) || (a->disrupt && !live->disrupt) ||
                (a->force_fields && !live->force_fields);
    for (char **kind = a->privileged; kind != NULL && *kind != NULL && !more; kind++) {
        more = !g_strv_contains((const char *const *)live->privileged, *kind);
    }
    return more;
}

static bool stands_beyond(const json_t *entry, const SlAttempt *live)
{
    const char *promotion = sl_json_str(entry, "promotion");
    return promotion != NULL && (uint64_t)sl_json_int(entry, "seq", 0) >= live->seq &&
           strcmp(promotion, live->promotion) != 0;
}

/* Does a cluster stand on this number, or a higher one, with another text? After a restored ledger,
 * or a theft: it will never take the live one. */
static bool is_overtaken(const SlCoord *c, const SlAttempt *live)
{
    return any_target(c, live, stands_beyond);
}

/* The same bundles for the same clusters, under the epoch in force, without a latch, and still to be
 * had: nothing new to sign. */
static bool is_unchanged(const SlCoord *c, const SlAttempt *a, const char *root)
{
    const SlUnit *u = sl_brain_unit(c, a->app, a->env);
    const SlRootEnv *env = sl_root_env(c->root, a->env);
    if (a->act != SL_ACT_PROMOTE || u->live == NULL || env == NULL ||
        strcmp(u->live->targets, root) != 0 || is_latched(c, u->live)) {
        return false;
    }
    g_autoptr(SlPromotion) p = sl_promotion_parse(u->live->statement->text, NULL);
    return p != NULL && p->epoch == env->epoch && !says_more(a, p) && !is_overtaken(c, u->live) &&
           can_be_taken(c, u->live, p);
}

/* Above everything the ledger reserved and everything its agents hold: after a restored ledger, or where a thief signed with
 * the online key, an agent may be ahead and would refuse a lower number as a replay. */
static uint64_t next_seq(const SlCoord *c, const SlUnit *u, GHashTable *target_of)
{
    uint64_t highest = u->seq;
    GHashTableIter iter;
    gpointer cluster;
    g_hash_table_iter_init(&iter, target_of);
    while (g_hash_table_iter_next(&iter, &cluster, NULL)) {
        g_autoptr(json_t) entry = sl_brain_seen_entry(c, cluster, "unit/%s/%s", u->app, u->env);
        highest = sl_brain_follow(highest, sl_json_int(entry, "seq", 0));
    }
    return highest + 1;
}

/* Emits Rendered: seq is reserved here, before anyone is asked to sign. @event has jobs and
 * withheld already. */
static bool emit_rendered(SlCoord *c, SlAttempt *a, json_t *event /* consumed */,
                          GHashTable *target_of, GError **error)
{
    g_autoptr(json_t) owned = event;
    SlUnit *u = sl_brain_unit(c, a->app, a->env);
    g_autofree char *root = keep_targets(c, target_of, error);
    if (root == NULL) {
        return false;
    }
    sl_json_set_int(event, "attempt", (int64_t)a->n);
    sl_json_set_str(event, "targets", root);
    sl_json_set_int(event, "targetCount", g_hash_table_size(target_of));
    if (is_unchanged(c, a, root)) {
        sl_json_set_bool(event, "unchanged", true);
    } else {
        uint64_t seq = next_seq(c, u, target_of);
        const SlRelease *r = sl_brain_release(c, a->release);
        g_autoptr(GBytes) text =
            sl_brain_statement(c, a, r, seq, root, g_hash_table_size(target_of), error);
        if (text == NULL) {
            return false;
        }
        g_autoptr(SlSigned) s = sl_signed_new(text);
        sl_json_set_int(event, "unitSeq", (int64_t)seq);
        json_object_set_new(event, "statement", sl_signed_to_json(s));
        if (u->last_live != NULL) {
            sl_json_set_str(event, "previous", u->last_live->promotion);
        }
    }
    sl_emit(c, g_steal_pointer(&owned));
    return true;
}

/* Rollback: exactly the earlier folder, nothing is rendered. */
void sl_brain_render_rollback(SlCoord *c, SlAttempt *a)
{
    const SlAttempt *to = sl_brain_attempt(c, a->to);
    g_autoptr(GError) error = NULL;
    json_t *event = sl_event("Rendered"), *withheld = json_object();
    GHashTableIter iter;
    gpointer bundle, count;
    g_hash_table_iter_init(&iter, to->withheld_of);
    while (g_hash_table_iter_next(&iter, &bundle, &count)) {
        uint64_t n = 0;
        (void)sl_parse_uint64(count, &n);
        sl_json_set_int(withheld, bundle, (int64_t)n);
    }
    json_object_set_new(event, "withheld", withheld);
    json_object_set_new(event, "jobs", old_jobs_json(to->jobs));
    sl_json_set_str(event, "fromCommit", to->commit);
    if (!emit_rendered(c, a, event, to->target_of, &error)) {
        sl_emit_end(c, a, "Failed", error->code, "%s", error->message);
    }
}

/* Remove: the empty bundle for every cluster that has one. */
void sl_brain_render_remove(SlCoord *c, SlAttempt *a)
{
    const SlUnit *u = sl_brain_unit(c, a->app, a->env);
    g_autoptr(GError) error = NULL;
    g_autoptr(SlBundle) empty = sl_bundle_new();
    g_autoptr(GBytes) list = sl_bundle_format(empty);
    g_autofree char *digest = sl_bundle_digest(empty);
    g_autoptr(GHashTable) target_of = g_hash_table_new(g_str_hash, g_str_equal);
    GHashTableIter iter;
    gpointer cluster;
    if (u->live == NULL) {
        sl_emit_end(c, a, "Failed", SLU_NOTHING_THERE, "nothing is deployed in %s any more",
                    u->key);
        return;
    }
    g_hash_table_iter_init(&iter, u->live->target_of);
    while (g_hash_table_iter_next(&iter, &cluster, NULL)) {
        g_hash_table_insert(target_of, cluster, digest);
    }
    sl_brain_keep_ledger(c, digest, list);
    if (!emit_rendered(c, a, sl_event("Rendered"), target_of, &error)) {
        sl_emit_end(c, a, "Failed", error->code, "%s", error->message);
    }
}

void sl_brain_retry_later(SlCoord *c, SlAttempt *a, int code, const char *message)
{
    if (++a->tries >= SL_TRIES_MAX) {
        sl_emit_end(c, a, "Errored", code, "%s (tried %u times)", message, a->tries);
        return;
    }
    unsigned tries = a->tries;
    sl_attempt_move(c, a, SL_ON_RETRY);
    a->tries = tries;
    a->retry_us = c->now_us + MIN(SL_RETRY_FIRST_US << (tries - 1), SL_RETRY_MAX_US);
    sl_attempt_wait_for(a, "another try: %s", message);
}

static void keep_rendered(SlCoord *c, const SlRendered *rendered, json_t *event)
{
    json_t *withheld = json_object();
    GHashTableIter iter;
    gpointer digest, value;
    g_hash_table_iter_init(&iter, rendered->blobs);
    while (g_hash_table_iter_next(&iter, &digest, &value)) {
        if (!g_hash_table_contains(rendered->bundles, digest)) {
            sl_brain_keep_cache(c, digest, value);
        }
    }
    g_hash_table_iter_init(&iter, rendered->bundles);
    while (g_hash_table_iter_next(&iter, &digest, &value)) {
        g_autoptr(GBytes) list = sl_bundle_format(value);
        sl_brain_keep_ledger(c, digest, list);
        if (((SlBundle *)value)->withheld->len > 0) {
            sl_json_set_int(withheld, digest, ((SlBundle *)value)->withheld->len);
        }
    }
    json_object_set_new(event, "withheld", withheld);
    json_object_set_new(event, "jobs", jobs_json(rendered->jobs));
}

static char *first_problem(const GPtrArray *problems)
{
    for (guint i = 0; problems != NULL && i < problems->len; i++) {
        const SlProblem *problem = g_ptr_array_index(problems, i);
        if (!problem->warning) {
            return sl_problem_format(problem);
        }
    }
    return g_strdup("the render gave nothing and said nothing");
}

void sl_brain_rendered(SlCoord *c, const SlCoordRendered *in)
{
    SlAttempt *a = sl_brain_attempt(c, in->attempt);
    c->renders -= c->renders > 0 ? 1 : 0;
    if (a != NULL && a->state == SL_STATE_GATING && in->rendered != NULL) {
        sl_brain_env(c, a->env)->retry_us = c->now_us; /* its bytes are back: no need to wait */
        c->envs_dirty = true;
    }
    if (a == NULL || a->state != SL_STATE_RENDERING) {
        return; /* aborted or superseded meanwhile */
    }
    if (in->error != NULL) {
        sl_brain_retry_later(c, a, SLU_RENDER_ERROR, in->error->message);
        return;
    }
    if (in->rendered == NULL || sl_problems_have_errors(in->problems)) {
        g_autofree char *problem = first_problem(in->problems);
        sl_emit_end(c, a, "Failed", SLU_RENDER_REFUSED, "%s", problem);
        return;
    }
    g_autoptr(GError) error = NULL;
    json_t *event = sl_event("Rendered");
    keep_rendered(c, in->rendered, event);
    if (!emit_rendered(c, a, event, in->rendered->target_of, &error)) {
        sl_emit_end(c, a, "Failed", error->code, "%s", error->message);
    }
}
