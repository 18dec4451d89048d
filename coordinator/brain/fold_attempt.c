/* fold_attempt.c - events of attempts. Every state is reached through machine.def; a move that is
 * not in it is a damaged ledger. */
#include "coordinator/brain/brain.h"
#include "coordinator/brain/fold.h"
#include <string.h>

static SlAttempt *attempt_of(SlCoord *c, const json_t *event, GError **error)
{
    int64_t n = 0;
    if (!sl_json_need_int(event, "attempt", &n, error)) {
        return NULL;
    }
    SlAttempt *a = n > 0 ? sl_brain_attempt(c, (uint64_t)n) : NULL;
    return a != NULL ? a
                     : sl_throw_null(error, SLU_LEDGER_EVENT,
                                     "attempt %" G_GINT64_FORMAT " is not known", n);
}

static bool move(SlCoord *c, SlAttempt *a, SlOn on, int64_t at_us, GError **error)
{
    SlState to;
    if (!sl_state_next(a->state, on, &to)) {
        return sl_throw(error, SLU_LEDGER_EVENT,
                        "attempt %" G_GUINT64_FORMAT " is %s: this cannot follow", a->n,
                        sl_state_info(a->state)->name);
    }
    a->state = to;
    a->since_us = at_us;
    a->ready = false;
    a->tries = 0;
    a->retry_us = 0;
    g_clear_pointer(&a->waiting, g_free);
    json_decref(a->who);
    a->who = NULL;
    if (sl_state_info(to)->final) {
        a->finished_us = at_us;
        g_ptr_array_remove(c->active, a);
    }
    return true;
}

bool sl_fold_requested(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    int64_t n = 0;
    const char *app = sl_json_need_str(event, "app", error);
    const char *env = app != NULL ? sl_json_need_str(event, "env", error) : NULL;
    const char *act = env != NULL ? sl_json_need_str(event, "act", error) : NULL;
    const char *release = act != NULL ? sl_json_need_str(event, "release", error) : NULL;
    if (release == NULL || !sl_json_need_int(event, "attempt", &n, error)) {
        return false;
    }
    SlAct which;
    const SlRelease *r = sl_brain_release(c, release);
    if (n != (int64_t)c->attempts->len + 1 || r == NULL || !sl_act_parse(act, &which)) {
        return sl_throw(error, SLU_LEDGER_EVENT,
                        "attempt %" G_GINT64_FORMAT " does not fit: number, release or act", n);
    }
    SlUnit *u = sl_brain_unit_make(c, app, env);
    SlAttempt *a = g_new0(SlAttempt, 1);
    a->n = (uint64_t)n;
    a->app = g_strdup(app);
    a->env = g_strdup(env);
    a->act = which;
    a->release = g_strdup(release);
    a->order = r->order;
    a->requester = g_strdup(sl_json_str(event, "requester"));
    a->reason = g_strdup(sl_json_str_or(event, "reason", "new release"));
    a->allow_prune = sl_json_bool(event, "allowPrune", false);
    a->disrupt = sl_json_bool(event, "disrupt", false);
    a->force_fields = sl_json_bool(event, "forceFields", false);
    a->privileged = sl_json_strv_at(event, "privileged");
    a->to = (uint64_t)sl_json_int(event, "to", 0);
    a->requested_us = at_us;
    a->evidence = json_array();
    a->jobs = g_ptr_array_new_with_free_func((GDestroyNotify)sl_job_free);
    a->approvers = g_ptr_array_new_with_free_func(g_free);
    a->state = SL_STATE_REQUESTED;
    g_ptr_array_add(c->attempts, a);
    g_ptr_array_add(c->active, a);
    g_ptr_array_add(u->attempts, a);
    return move(c, a, SL_ON_ADMIT, at_us, error);
}

typedef struct {
    GHashTable *of;
} Targets;

static bool put_target(const char *cluster, const char *bundle, void *user)
{
    g_hash_table_insert(((Targets *)user)->of, g_strdup(cluster), g_strdup(bundle));
    return true;
}

static GBytes *get_blob(const char *digest, void *user)
{
    return sl_brain_blob(user, digest);
}

static SlJob *read_job(const json_t *json)
{
    SlJob *job = g_new0(SlJob, 1);
    job->name = g_strdup(sl_json_str_or(json, "name", ""));
    job->run_key = g_strdup(sl_json_str_or(json, "runKey", ""));
    job->digest = g_strdup(sl_json_str_or(json, "digest", ""));
    job->on_change = g_strdup(sl_json_str_or(json, "onChange", "keep"));
    job->wait_for = g_strdup(sl_json_str_or(json, "waitFor", "admitted"));
    job->start_auto = sl_json_bool(json, "startAuto", true);
    job->gpus = sl_json_int(json, "gpus", 0);
    job->clusters = sl_json_strv_at(json, "clusters");
    return job;
}

/* What the render said, beside statement and targets. */
static void take_rendered(SlAttempt *a, const json_t *event)
{
    size_t i;
    json_t *job;
    json_array_foreach(sl_json_at(event, "jobs"), i, job)
    {
        g_ptr_array_add(a->jobs, read_job(job));
    }
    a->withheld_of = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    const char *bundle;
    json_t *count;
    json_object_foreach(sl_json_at(event, "withheld"), bundle, count)
    {
        g_hash_table_insert(a->withheld_of, g_strdup(bundle),
                            g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(count)));
        a->withheld += (uint64_t)json_integer_value(count);
    }
}

bool sl_fold_rendered(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    SlAttempt *a = attempt_of(c, event, error);
    const char *root = a != NULL ? sl_json_need_str(event, "targets", error) : NULL;
    g_autoptr(SlMap) map = root != NULL ? sl_map_load(root, get_blob, c, error) : NULL;
    if (map == NULL) {
        return false;
    }
    SlUnit *u = sl_brain_unit(c, a->app, a->env);
    int64_t seq = sl_json_int(event, "unitSeq", 0);
    json_t *text = sl_json_at(event, "statement");
    g_autoptr(SlSigned) s = text != NULL ? sl_signed_from_json(text, error) : NULL;
    if (text != NULL && (s == NULL || seq <= 0 || (uint64_t)seq <= u->seq)) {
        return s != NULL &&
               sl_throw(error, SLU_LEDGER_EVENT,
                        "seq %" G_GINT64_FORMAT " is not above %" G_GUINT64_FORMAT, seq, u->seq);
    }
    if (!move(c, a, SL_ON_RENDERED, at_us, error)) {
        return false;
    }
    Targets targets = {g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free)};
    sl_map_foreach(map, put_target, &targets);
    a->target_of = targets.of;
    a->targets = g_strdup(root);
    a->from_commit = g_strdup(sl_json_str(event, "fromCommit"));
    take_rendered(a, event);
    if (s == NULL) {
        a->unchanged = true;
        return true;
    }
    a->seq = u->seq = (uint64_t)seq;
    a->previous = g_strdup(sl_json_str(event, "previous"));
    a->promotion = sl_signed_digest(s);
    a->statement = g_steal_pointer(&s);
    g_hash_table_replace(c->statements, g_strdup(a->promotion), a->statement);
    return true;
}

bool sl_fold_gate(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    (void)at_us;
    SlAttempt *a = attempt_of(c, event, error);
    json_t *gates = a != NULL ? sl_json_need_array(event, "gates", error) : NULL;
    if (gates == NULL) {
        return false;
    }
    json_decref(a->evidence);
    a->evidence = json_deep_copy(gates);
    return true;
}

static bool add_signature(SlAttempt *a, const json_t *event, GError **error)
{
    const char *sig = sl_json_need_str(event, "sig", error);
    if (sig == NULL) {
        return false;
    }
    if (a->statement == NULL || a->state < SL_STATE_GATING ||
        a->statement->sigs->len >= SL_STATEMENT_SIGS_MAX) {
        return sl_throw(error, SLU_LEDGER_EVENT,
                        "attempt %" G_GUINT64_FORMAT " has nothing to sign", a->n);
    }
    sl_signed_add(a->statement, sig);
    return true;
}

bool sl_fold_signed(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    (void)at_us;
    SlAttempt *a = attempt_of(c, event, error);
    if (a == NULL || !add_signature(a, event, error)) {
        return false;
    }
    a->signed_online = true;
    return true;
}

bool sl_fold_approved(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    (void)at_us;
    SlAttempt *a = attempt_of(c, event, error);
    const char *person = a != NULL ? sl_json_need_str(event, "person", error) : NULL;
    if (person == NULL || !add_signature(a, event, error)) {
        return false;
    }
    g_ptr_array_add(a->approvers, g_strdup(person));
    return true;
}

/* The unit's live promotion and current release after attempt @a came into force. */
static void make_current(SlUnit *u, SlAttempt *a)
{
    u->current = a->act == SL_ACT_REMOVE ? NULL : a;
    if (!a->unchanged) {
        u->live = u->current;
        u->last_live = a;
    }
    if (u->current != NULL) {
        g_hash_table_replace(u->been, g_strdup(a->release),
                             g_strdup_printf("%" G_GUINT64_FORMAT, a->order));
    }
}

bool sl_fold_committed(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    const char *name = sl_json_need_str(event, "env", error);
    const char *tip = name != NULL ? sl_json_need_str(event, "new", error) : NULL;
    SlEnv *env = tip != NULL ? sl_brain_env(c, name) : NULL;
    if (env == NULL) {
        return tip != NULL &&
               sl_throw(error, SLU_LEDGER_EVENT, "environment %s is not known", name);
    }
    size_t i;
    json_t *unit;
    json_array_foreach(sl_json_at(event, "units"), i, unit)
    {
        SlAttempt *a = attempt_of(c, unit, error);
        if (a == NULL || !move(c, a, SL_ON_COMMITTED, at_us, error)) {
            return false;
        }
        a->commit = g_strdup(tip);
        a->committed_us = at_us;
        a->committed_seq = (uint64_t)sl_json_int(event, "seq", 0);
        make_current(sl_brain_unit(c, a->app, a->env), a);
    }
    env->claims_stale = true;
    g_free(env->before);
    env->before = g_strdup(sl_json_str(event, "old"));
    g_free(env->tip);
    env->tip = g_strdup(tip);
    env->tip_known = false;
    return true;
}

static bool end(SlCoord *c, const json_t *event, SlOn on, int64_t at_us, GError **error)
{
    SlAttempt *a = attempt_of(c, event, error);
    if (a == NULL || !move(c, a, on, at_us, error)) {
        return false;
    }
    const char *code = sl_json_str(event, "error.code");
    uint64_t number = 0;
    if (code != NULL && g_str_has_prefix(code, "SLU") && sl_parse_uint64(code + 3, &number)) {
        a->error_code = (int)number;
        a->error = g_strdup(sl_json_str(event, "error.message"));
    }
    return true;
}

bool sl_fold_succeeded(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    if (!end(c, event, SL_ON_SUCCEED, at_us, error)) {
        return false;
    }
    SlAttempt *a = attempt_of(c, event, error);
    a->withheld = (uint64_t)sl_json_int(event, "withheld", 0);
    a->held = (uint64_t)sl_json_int(event, "held", 0);
    if (a->unchanged) {
        SlUnit *u = sl_brain_unit(c, a->app, a->env);
        /* Its bytes stand in the commit of what is live: without it, an attempt that errored after
         * its commit and was asked for again could never be rolled back to. */
        a->commit = u->live != NULL && a->commit == NULL ? g_strdup(u->live->commit) : a->commit;
        make_current(u, a);
    }
    return true;
}

bool sl_fold_failed(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    return end(c, event, SL_ON_FAIL, at_us, error);
}

bool sl_fold_errored(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    return end(c, event, SL_ON_ERROR, at_us, error);
}

bool sl_fold_rejected(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    return end(c, event, SL_ON_REJECT, at_us, error);
}

bool sl_fold_aborted(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    return end(c, event, SL_ON_ABORT, at_us, error);
}

bool sl_fold_superseded(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    return end(c, event, SL_ON_SUPERSEDE, at_us, error);
}

bool sl_fold_expired(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    return end(c, event, SL_ON_EXPIRE, at_us, error);
}
