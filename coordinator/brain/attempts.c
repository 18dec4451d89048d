/* attempts.c - takes requests in and moves every active attempt as far as facts allow. Nothing here
 * waits silently: whatever holds an attempt back is put into its `waiting`, and every state has an
 * end (machine.c). */
#include "coordinator/brain/brain.h"
#include <string.h>

bool sl_attempt_waits(const SlAttempt *a)
{
    return a->state == SL_STATE_QUEUED || a->state == SL_STATE_RENDERING ||
           a->state == SL_STATE_GATING;
}

bool sl_attempt_live(const SlAttempt *a)
{
    return a->state >= SL_STATE_COMMITTED && a->state <= SL_STATE_VERIFYING;
}

int64_t sl_attempt_until(const SlCoord *c, const SlAttempt *a)
{
    const SlEnvironmentDoc *env = c->docs != NULL ? sl_fleet_env(c->docs, a->env) : NULL;
    int64_t gate_us =
        env != NULL && env->gate_timeout_us > 0 ? env->gate_timeout_us : 7 * SL_DAY_US;
    int64_t health_us =
        env != NULL && env->health_timeout_us > 0 ? env->health_timeout_us : 10 * SL_MINUTE_US;
    switch (sl_state_expiry(a->state)) {
    case SL_EXPIRY_GATE:
        return a->since_us + gate_us;
    case SL_EXPIRY_WORK:
        return a->since_us + SL_WORK_LIMIT_US;
    case SL_EXPIRY_HEALTH:
        return (a->committed_us != 0 ? a->committed_us : a->since_us) + health_us;
    default:
        return 0;
    }
}

static void set_waiting(SlAttempt *a, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void set_waiting(SlAttempt *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_free(a->waiting);
    a->waiting = g_strdup_vprintf(format, args);
    va_end(args);
    json_decref(a->who);
    a->who = NULL;
}

/* A newer request ends older ones that wait and that nobody has signed. An automatic one never ends
 * a person's, and a promotion never ends a rollback. */
static bool is_superseded_by(const SlAttempt *old, const SlAttempt *new)
{
    bool signed_by_anyone = old->approvers->len > 0;
    bool person_first = old->requester != NULL && new->requester == NULL;
    bool old_is_return = old->act == SL_ACT_ROLLBACK && new->act != SL_ACT_ROLLBACK;
    return old->n < new->n &&sl_attempt_waits(old) && !signed_by_anyone && !person_first &&
           !old_is_return;
}

uint64_t sl_brain_request(SlCoord *c, const SlAsk *ask)
{
    json_t *event = sl_event("Requested");
    uint64_t n = c->attempts->len + 1;
    sl_json_set_int(event, "attempt", (int64_t)n);
    sl_json_set_str(event, "app", ask->app);
    sl_json_set_str(event, "env", ask->env);
    sl_json_set_str(event, "act", sl_act_name(ask->act));
    sl_json_set_str(event, "release", ask->release);
    if (ask->requester != NULL) {
        sl_json_set_str(event, "requester", ask->requester);
    }
    sl_json_set_str(event, "reason", ask->reason);
    if (ask->allow_prune) {
        sl_json_set_bool(event, "allowPrune", true);
    }
    if (ask->disrupt) {
        sl_json_set_bool(event, "disrupt", true);
    }
    if (ask->privileged != NULL) {
        json_object_set_new(event, "privileged", json_deep_copy(ask->privileged));
    }
    if (ask->to != 0) {
        sl_json_set_int(event, "to", (int64_t)ask->to);
    }
    sl_emit(c, event);
    const SlAttempt *new = sl_brain_attempt(c, n);
    g_autoptr(GPtrArray) attempts =
        g_ptr_array_copy(sl_brain_unit(c, ask->app, ask->env)->attempts, NULL, NULL);
    for (guint i = 0; i < attempts->len; i++) {
        SlAttempt *old = g_ptr_array_index(attempts, i);
        if (is_superseded_by(old, new)) {
            sl_emit_end(c, old, "Superseded", SLU_CONFLICT,
                        "attempt %" G_GUINT64_FORMAT " took its place", n);
        }
    }
    return n;
}

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

static void ask_render(SlCoord *c, SlAttempt *a)
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

/* Did an agent go back from what is live? Only a higher number ends that. */
static bool is_latched(const SlCoord *c, const SlAttempt *live)
{
    GHashTableIter iter;
    gpointer cluster;
    g_hash_table_iter_init(&iter, live->target_of);
    while (g_hash_table_iter_next(&iter, &cluster, NULL)) {
        g_autoptr(json_t) entry =
            sl_brain_seen_entry(c, cluster, "unit/%s/%s", live->app, live->env);
        if (sl_json_bool(entry, "latched", false) &&
            g_strcmp0(sl_json_str(entry, "promotion"), live->promotion) == 0) {
            return true;
        }
    }
    return live->error_code == SLU_LATCHED;
}

/* The same bundles for the same clusters, under the epoch in force and without a latch: nothing new
 * to sign. */
static bool is_unchanged(const SlCoord *c, const SlAttempt *a, const char *root)
{
    const SlUnit *u = sl_brain_unit(c, a->app, a->env);
    const SlRootEnv *env = sl_root_env(c->root, a->env);
    if (a->act != SL_ACT_PROMOTE || u->live == NULL || env == NULL ||
        strcmp(u->live->targets, root) != 0 || is_latched(c, u->live)) {
        return false;
    }
    g_autoptr(SlPromotion) p = sl_promotion_parse(u->live->statement->text, NULL);
    return p != NULL && p->epoch == env->epoch;
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
        uint64_t seq = u->seq + 1;
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
static void render_rollback(SlCoord *c, SlAttempt *a)
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
static void render_remove(SlCoord *c, SlAttempt *a)
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

static void retry_later(SlCoord *c, SlAttempt *a, int code, const char *message)
{
    if (++a->tries >= SL_TRIES_MAX) {
        sl_emit_end(c, a, "Errored", code, "%s (tried %u times)", message, a->tries);
        return;
    }
    unsigned tries = a->tries;
    sl_attempt_move(c, a, SL_ON_RETRY);
    a->tries = tries;
    a->retry_us = c->now_us + MIN(SL_RETRY_FIRST_US << (tries - 1), SL_RETRY_MAX_US);
    set_waiting(a, "another try: %s", message);
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
    if (a == NULL || a->state != SL_STATE_RENDERING) {
        return; /* aborted or superseded meanwhile */
    }
    if (in->error != NULL) {
        retry_later(c, a, SLU_RENDER_ERROR, in->error->message);
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

static void advance_queued(SlCoord *c, SlAttempt *a)
{
    g_autofree char *reason = NULL;
    a->wants_slot = false;
    if (a->retry_us > c->now_us) {
        sl_wake(c, a->retry_us);
    } else if (a->act == SL_ACT_ROLLBACK) {
        render_rollback(c, a);
    } else if (a->act == SL_ACT_REMOVE) {
        render_remove(c, a);
    } else if (sl_brain_eligible(c, sl_brain_release(c, a->release), a->app, a->env, &reason) !=
               SL_ELIGIBLE_OPEN) {
        set_waiting(a, "%s", reason);
    } else if (c->renders >= SL_RENDERS_MAX) {
        a->wants_slot = true;
        set_waiting(a, "its turn: %u renders are under way", c->renders);
    } else {
        ask_render(c, a);
    }
}

static SlAttempt *busy_with(const SlUnit *u, const SlAttempt *a)
{
    for (guint i = 0; i < u->attempts->len; i++) {
        SlAttempt *other = g_ptr_array_index(u->attempts, i);
        if (other != a && (sl_attempt_live(other) || other->state == SL_STATE_COMMITTING)) {
            return other;
        }
    }
    return NULL;
}

static void advance_gating(SlCoord *c, SlAttempt *a)
{
    const SlUnit *u = sl_brain_unit(c, a->app, a->env);
    const SlVeto *veto = NULL;
    g_autofree char *reason = NULL;
    a->ready = false;
    if (a->act != SL_ACT_ROLLBACK && a->act != SL_ACT_REMOVE &&
        sl_brain_vetoed(u, a->release, a->target_of, &veto)) {
        sl_emit_end(c, a, "Rejected", SLU_VETOED, "vetoed in %s by %s: %s", u->key, veto->by,
                    veto->reason);
        return;
    }
    if (sl_brain_ended_by_conflict(c, a) || !sl_brain_gates(c, a)) {
        return;
    }
    if (a->act == SL_ACT_PROMOTE && sl_brain_eligible(c, sl_brain_release(c, a->release), a->app,
                                                      a->env, &reason) != SL_ELIGIBLE_OPEN) {
        set_waiting(a, "%s", reason);
        return;
    }
    const SlAttempt *other = busy_with(u, a);
    if (other != NULL && (a->act != SL_ACT_ROLLBACK || other->state == SL_STATE_COMMITTING)) {
        set_waiting(a, "attempt %" G_GUINT64_FORMAT " of the same unit to end", other->n);
        return;
    }
    if (a->unchanged && (u->live == NULL || strcmp(u->live->targets, a->targets) != 0)) {
        sl_emit_end(c, a, "Superseded", SLU_CONFLICT,
                    "what the unit runs has changed since it was rendered");
    } else if (a->unchanged) {
        sl_attempt_move(c, a, SL_ON_UNCHANGED);
    } else {
        a->ready = true;
    }
}

/* States in which nobody came in time. Health has its own end in verify.c. */
static bool ended_by_time(SlCoord *c, SlAttempt *a)
{
    int64_t until_us = sl_attempt_until(c, a);
    SlExpiry expiry = sl_state_expiry(a->state);
    sl_wake(c, until_us);
    if (until_us > c->now_us || expiry == SL_EXPIRY_HEALTH) {
        return false;
    }
    if (expiry == SL_EXPIRY_GATE) {
        g_autofree char *what =
            g_strdup(a->waiting != NULL ? a->waiting : sl_state_info(a->state)->waits);
        sl_emit_end(c, a, "Expired", SLU_STATE_TIMEOUT, "waited too long for: %s", what);
        return true;
    }
    if (a->state == SL_STATE_RENDERING) {
        c->renders -= c->renders > 0 ? 1 : 0;
        retry_later(c, a, SLU_RENDER_ERROR, "the render did not answer in time");
    }
    return true;
}

static void advance(SlCoord *c, SlAttempt *a)
{
    if (ended_by_time(c, a)) {
        return;
    }
    if (a->state == SL_STATE_QUEUED) {
        advance_queued(c, a);
    }
    if (a->state == SL_STATE_GATING) {
        advance_gating(c, a);
    }
    if (sl_attempt_live(a)) {
        sl_brain_verify(c, a);
    }
}

/* With thousands of targets each report would cost all of them: judged at most every so often. */
static bool comes_later(const SlCoord *c, SlAttempt *a)
{
    bool large = sl_attempt_live(a) && g_hash_table_size(a->target_of) > SL_VERIFY_TARGETS;
    if (large && a->verify_us > c->now_us) {
        a->next_us = MIN(a->next_us, a->verify_us);
        return true;
    }
    a->verify_us =
        large ? c->now_us + (int64_t)g_hash_table_size(a->target_of) * SL_VERIFY_PER_TARGET_US : 0;
    return false;
}

void sl_brain_attempts(SlCoord *c, const SlRound *round)
{
    g_autoptr(GPtrArray) active = g_ptr_array_copy(c->active, NULL, NULL);
    for (guint i = 0; i < active->len; i++) {
        SlAttempt *a = g_ptr_array_index(active, i);
        bool slot = a->wants_slot && c->renders < SL_RENDERS_MAX;
        bool due = a->next_us <= c->now_us || slot || sl_round_has(round, a->app);
        if (sl_state_info(a->state)->final) {
            continue;
        }
        if (due && !comes_later(c, a)) {
            int64_t outer_us = c->next_us;
            c->next_us = INT64_MAX;
            c->envs_dirty = true;
            advance(c, a);
            a->next_us = c->next_us;
            c->next_us = outer_us;
        }
        sl_wake(c, a->next_us);
    }
}
