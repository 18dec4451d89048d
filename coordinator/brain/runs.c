/* runs.c - runs of training jobs: one per run key, never again by itself; placed on one cluster;
 * started, kept, queued or replaced as the job says. */
#include "coordinator/brain/brain.h"
#include <string.h>

SlRun *sl_brain_run_of(const SlUnit *u, const char *job, const char *key)
{
    SlRun *best = NULL;
    for (guint i = 0; i < u->runs->len; i++) {
        SlRun *run = g_ptr_array_index(u->runs, i);
        if (strcmp(run->job, job) == 0 && strcmp(run->key, key) == 0 &&
            (best == NULL || run->generation > best->generation)) {
            best = run;
        }
    }
    return best;
}

SlRun *sl_brain_run_going(const SlUnit *u, const char *job)
{
    for (guint i = u->runs->len; i > 0; i--) {
        SlRun *run = g_ptr_array_index(u->runs, i - 1);
        if (strcmp(run->job, job) == 0 && run->sealed == NULL) {
            return run;
        }
    }
    return NULL;
}

/* A job that feeds an item runs in the item's environment of origin only. */
static bool is_taken_over(const SlCoord *c, const SlAttempt *a, const SlJob *job)
{
    const SlRelease *r = sl_brain_release(c, a->release);
    for (guint i = 0; i < r->items->len; i++) {
        const SlItem *item = g_ptr_array_index(r->items, i);
        if (g_strcmp0(item->job, job->name) == 0 && item->origin != NULL &&
            strcmp(item->origin, a->env) != 0) {
            return true;
        }
    }
    return false;
}

static guint load_of(const SlCoord *c, const char *cluster)
{
    guint n = 0;
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, c->runs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const SlRun *run = value;
        n += run->sealed == NULL && strcmp(run->cluster, cluster) == 0 ? 1 : 0;
    }
    return n;
}

/* One cluster: connected before away, then the least runs, then by id. NULL = none is registered
 * any more. */
static const char *choose_cluster(const SlCoord *c, const SlJob *job)
{
    const char *best = NULL;
    for (char **id = job->clusters; *id != NULL; id++) {
        if (sl_brain_cluster(c, *id, NULL) == NULL) {
            continue;
        }
        bool here = sl_brain_session(c, *id) != NULL;
        bool best_here = best != NULL && sl_brain_session(c, best) != NULL;
        if (best == NULL || (here && !best_here) ||
            (here == best_here && load_of(c, *id) < load_of(c, best))) {
            best = *id;
        }
    }
    return best;
}

static void place(SlCoord *c, const SlAttempt *a, const SlJob *job, uint64_t generation)
{
    const char *cluster = choose_cluster(c, job);
    if (cluster == NULL) {
        return;
    }
    g_autofree char *id =
        sl_run_id(c->root->fleet, a->app, a->env, job->name, job->run_key, generation);
    if (g_hash_table_contains(c->runs, id)) {
        return;
    }
    json_t *event = sl_event("RunPlaced");
    sl_json_set_str(event, "run", id);
    sl_json_set_str(event, "app", a->app);
    sl_json_set_str(event, "env", a->env);
    sl_json_set_str(event, "job", job->name);
    sl_json_set_str(event, "runKey", job->run_key);
    sl_json_set_int(event, "generation", (int64_t)generation);
    sl_json_set_str(event, "cluster", cluster);
    sl_json_set_int(event, "attempt", (int64_t)a->n);
    sl_emit(c, event);
}

/* Generation that a start-run order in force asks for; false = none. Orders are kept for ever: a
 * served one names a run that exists. */
static bool ordered_generation(const SlCoord *c, const SlAttempt *a, const SlJob *job,
                               uint64_t *ret_generation)
{
    g_autofree char *prefix =
        g_strdup_printf("run-key %s/%s %s %s ", a->app, a->env, job->name, job->run_key);
    for (guint i = c->orders->len; i > 0; i--) {
        const SlOrderKept *kept = g_ptr_array_index(c->orders, i - 1);
        const SlOrder *order = kept->order;
        if (order->act == SL_ACT_START_RUN && strcmp(order->env, a->env) == 0 &&
            g_str_has_prefix(order->scope, prefix) && sl_brain_order_holds(c, order, c->now_us) &&
            sl_parse_uint64(order->scope + strlen(prefix), ret_generation)) {
            return true;
        }
    }
    return false;
}

static bool is_automatic(const SlCoord *c, const SlJob *job)
{
    return job->start_auto && job->gpus <= (c->docs != NULL ? c->docs->auto_start_gpus : 8);
}

/* Why a run is not started by itself; NULL = it is. */
static char *held_why(const SlCoord *c, const SlUnit *u, const SlJob *job)
{
    int64_t limit = c->docs != NULL ? c->docs->auto_start_gpus : 8;
    const SlRun *going = sl_brain_run_going(u, job->name);
    if (!job->start_auto) {
        return g_strdup_printf("job %s starts by hand: `sluice run start`", job->name);
    }
    if (job->gpus > limit) {
        return g_strdup_printf("job %s takes %" G_GINT64_FORMAT
                               " GPUs, more than autoStartGPUs %" G_GINT64_FORMAT
                               ": `sluice run start`",
                               job->name, job->gpus, limit);
    }
    if (going != NULL && strcmp(going->key, job->run_key) != 0) {
        return g_strdup_printf("run %.12s of job %s goes on (onChange: %s)", going->id, job->name,
                               job->on_change);
    }
    return NULL;
}

static bool stop_was_ordered(const SlCoord *c, const SlRun *run)
{
    for (guint i = 0; i < c->orders->len; i++) {
        const SlOrderKept *kept = g_ptr_array_index(c->orders, i);
        if (kept->order->act == SL_ACT_STOP_RUN &&
            sl_brain_order_holds(c, kept->order, c->now_us) &&
            g_str_has_suffix(kept->order->scope, run->id)) {
            return true;
        }
    }
    return false;
}

static bool is_protected(const SlCoord *c, const SlRun *run)
{
    int64_t protect_us = c->docs != NULL ? c->docs->protect_after_us : SL_HOUR_US;
    return c->now_us - run->placed_us > protect_us;
}

/* onChange replace: the old run is stopped first. By the online key only where that may stop runs,
 * and only a young one: stopping one older than protectAfter needs a reason that a person signs. */
static void stop_replaced(SlCoord *c, const SlAttempt *a, const SlRun *going)
{
    if (stop_was_ordered(c, going) || is_protected(c, going)) {
        return;
    }
    g_autoptr(json_t) args = json_object();
    g_autoptr(GError) error = NULL;
    g_autofree char *reason =
        g_strdup_printf("replaced by release %.12s (onChange: replace)", a->release);
    unsigned threshold = 1;
    sl_json_set_str(args, "act", "stop-run");
    sl_json_set_str(args, "run", going->id);
    sl_json_set_str(args, "app", a->app);
    sl_json_set_str(args, "env", a->env);
    sl_json_set_str(args, "reason", reason);
    g_autoptr(GBytes) text = sl_brain_order_draft(c, args, NULL, &threshold, NULL, &error);
    if (text != NULL && threshold == 0) {
        g_autofree char *copy = g_strndup(g_bytes_get_data(text, NULL), g_bytes_get_size(text));
        g_autofree char *digest = NULL;
        if (!sl_brain_order_take(c, copy, NULL, &digest, &error)) {
            sl_brain_alarm(c, going->cluster, going->id, error->code, error->message);
        }
    }
}

static void settle_job(SlCoord *c, SlUnit *u, const SlAttempt *a, const SlJob *job)
{
    const SlRun *run = sl_brain_run_of(u, job->name, job->run_key);
    uint64_t generation = 0;
    if (is_taken_over(c, a, job)) {
        return;
    }
    if (ordered_generation(c, a, job, &generation) &&
        (run == NULL || (run->sealed != NULL && run->generation < generation))) {
        place(c, a, job, generation);
        return;
    }
    if (run != NULL || sl_brain_win(c, a->app, a->env, job->run_key) != NULL) {
        return; /* going, or over: never again by itself */
    }
    g_autofree char *why = held_why(c, u, job);
    if (why == NULL) {
        place(c, a, job, 0);
        return;
    }
    const SlRun *going = sl_brain_run_going(u, job->name);
    if (going != NULL && strcmp(job->on_change, "replace") == 0 && is_automatic(c, job)) {
        stop_replaced(c, a, going);
    }
}

/* Seq of the commit by which the unit first had this job with this key: a later release with the
 * same job starts it no more than the first one did. Unchanged, so never committed: UINT64_MAX. */
static uint64_t key_since(const SlUnit *u, const SlAttempt *a, const SlJob *job)
{
    for (guint i = 0; i < u->attempts->len; i++) {
        const SlAttempt *other = g_ptr_array_index(u->attempts, i);
        for (guint k = 0; other->committed_seq != 0 && k < other->jobs->len; k++) {
            const SlJob *one = g_ptr_array_index(other->jobs, k);
            if (strcmp(one->name, job->name) == 0 && strcmp(one->run_key, job->run_key) == 0) {
                return a->committed_seq != 0 ? MIN(a->committed_seq, other->committed_seq)
                                             : other->committed_seq;
            }
        }
    }
    return a->committed_seq != 0 ? a->committed_seq : UINT64_MAX;
}

/* keep: a held run of a new key starts by a person only, also after the old one is over. What came
 * first is the ledger's order: its times are those of a clock that may have been set. */
static bool is_kept_back(const SlUnit *u, const SlAttempt *a, const SlJob *job)
{
    if (strcmp(job->on_change, "keep") != 0) {
        return false;
    }
    uint64_t since = key_since(u, a, job);
    for (guint i = 0; i < u->runs->len; i++) {
        const SlRun *run = g_ptr_array_index(u->runs, i);
        if (strcmp(run->job, job->name) == 0 && strcmp(run->key, job->run_key) != 0 &&
            run->placed_seq < since && (run->sealed == NULL || run->sealed_seq > since)) {
            return true;
        }
    }
    return false;
}

static void settle_unit(SlCoord *c, SlUnit *u)
{
    for (guint k = 0; u->live != NULL && k < u->live->jobs->len; k++) {
        const SlJob *job = g_ptr_array_index(u->live->jobs, k);
        uint64_t generation = 0;
        if (!is_kept_back(u, u->live, job) || ordered_generation(c, u->live, job, &generation)) {
            settle_job(c, u, u->live, job);
        }
    }
}

void sl_brain_runs(SlCoord *c, const SlRound *round)
{
    GHashTableIter iter, envs;
    gpointer value, env;
    g_autoptr(GPtrArray) units = g_ptr_array_new();
    g_hash_table_iter_init(&iter, round->all ? c->units : round->apps);
    while (g_hash_table_iter_next(&iter, &value, NULL)) {
        if (round->all) {
            g_ptr_array_add(units, g_hash_table_lookup(c->units, value));
            continue;
        }
        g_hash_table_iter_init(&envs, c->envs);
        while (g_hash_table_iter_next(&envs, &env, NULL)) {
            SlUnit *u = sl_brain_unit(c, value, env);
            if (u != NULL) {
                g_ptr_array_add(units, u);
            }
        }
    }
    for (guint i = 0; i < units->len; i++) {
        settle_unit(c, g_ptr_array_index(units, i));
    }
}

static SlReach reach(SlReach what, char **ret_text, char *text)
{
    *ret_text = text;
    return what;
}

/* Phase that the cluster reports, or UNKNOWN. */
static SlRunPhase phase_of(const SlCoord *c, const SlRun *run)
{
    g_autoptr(json_t) record =
        sl_brain_seen_entry(c, run->cluster, "run/%s/%s/%s", run->app, run->env, run->id);
    SlRunPhase phase = SL_RUN_UNKNOWN;
    const char *name = sl_json_str(record, "phase");
    return name != NULL && sl_run_phase_parse(name, &phase) ? phase : SL_RUN_UNKNOWN;
}

static bool was_admitted(SlRunPhase phase)
{
    return phase != SL_RUN_QUEUED && phase != SL_RUN_UNKNOWN;
}

static bool is_running(SlRunPhase phase)
{
    return phase == SL_RUN_RUNNING || phase == SL_RUN_SUCCEEDED || phase == SL_RUN_FAILED;
}

/* Why there is no run: its own rules hold it back (that counts as reached), or it will come. */
static SlReach not_placed(const SlCoord *c, const SlUnit *u, const SlAttempt *a, const SlJob *job,
                          char **ret_text)
{
    const SlRun *going = sl_brain_run_going(u, job->name);
    char *why = held_why(c, u, job);
    if (why != NULL && going != NULL && is_automatic(c, job) &&
        strcmp(job->on_change, "replace") == 0) {
        g_free(why);
        const char *how = stop_was_ordered(c, going) ? "was told to stop"
                          : is_protected(c, going)
                              ? "is older than protectAfter: a person must stop it with a reason "
                                "(`sluice run stop`)"
                              : "must be stopped first: `sluice run stop`";
        return reach(SL_REACH_WAIT, ret_text,
                     g_strdup_printf("run %.12s of job %s, which is replaced, %s", going->id,
                                     job->name, how));
    }
    if (why == NULL && is_kept_back(u, a, job)) {
        why = g_strdup_printf("job %s waits for a person: `sluice run start` (onChange: keep)",
                              job->name);
    }
    return why != NULL ? reach(SL_REACH_HELD, ret_text, why)
                       : reach(SL_REACH_WAIT, ret_text,
                               g_strdup_printf("job %s: no cluster for its run", job->name));
}

SlReach sl_brain_run_reach(const SlCoord *c, const SlAttempt *a, const SlJob *job, char **ret_text)
{
    const SlUnit *u = sl_brain_unit(c, a->app, a->env);
    const SlRun *run = sl_brain_run_of(u, job->name, job->run_key);
    bool finished = strcmp(job->wait_for, "finished") == 0;
    if (sl_brain_win(c, a->app, a->env, job->run_key) != NULL || is_taken_over(c, a, job)) {
        return SL_REACH_YES;
    }
    if (run == NULL) {
        return not_placed(c, u, a, job, ret_text);
    }
    if (run->sealed != NULL) {
        return finished ? reach(SL_REACH_FAILED, ret_text,
                                g_strdup_printf("run %.12s of job %s failed: %s: %s", run->id,
                                                job->name, run->seal->reason,
                                                run->seal->message != NULL ? run->seal->message
                                                                           : run->seal->exit))
                        : SL_REACH_YES;
    }
    SlRunPhase phase = phase_of(c, run);
    bool there = finished                                ? false
                 : strcmp(job->wait_for, "running") == 0 ? is_running(phase)
                                                         : was_admitted(phase);
    return there ? SL_REACH_YES
                 : reach(SL_REACH_WAIT, ret_text,
                         g_strdup_printf("run %.12s of job %s on %s: %s, wanted %s", run->id,
                                         job->name, run->cluster, sl_run_phase_name(phase),
                                         job->wait_for));
}
