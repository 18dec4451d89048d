/* orders.c - drafts and acceptance of orders: pause, resume, renew, start-run, stop-run. Numbers
 * rise per scope. */
#include "coordinator/brain/brain.h"
#include <string.h>

static uint64_t floor_of(const SlCoord *c, const char *env, const char *scope)
{
    g_autofree char *key = g_strdup_printf("%s %s", env, scope);
    const char *text = g_hash_table_lookup(c->floors, key);
    uint64_t number = 0;
    if (text != NULL) {
        (void)sl_parse_uint64(text, &number);
    }
    return number;
}

/* Above everything the ledger says and everything its agents hold: after a restored ledger they are
 * ahead and would refuse a lower number as a replay. */
static uint64_t highest_of(const SlCoord *c, const char *env_name, const char *scope)
{
    uint64_t floor = floor_of(c, env_name, scope), highest = floor;
    const SlEnv *env = sl_brain_env(c, env_name);
    g_autofree char *key = g_strdelimit(g_strdup(scope), " ", '/');
    GHashTableIter iter;
    gpointer cluster;
    if (env == NULL) {
        return floor;
    }
    g_hash_table_iter_init(&iter, env->clusters);
    while (g_hash_table_iter_next(&iter, &cluster, NULL)) {
        g_autoptr(json_t) entry = sl_brain_seen_entry(c, cluster, "floor/%s", key);
        highest = sl_brain_follow(highest, sl_json_int(entry, "number", 0));
    }
    return highest;
}

static SlRun *run_by_prefix(const SlCoord *c, const char *id)
{
    GHashTableIter iter;
    gpointer value;
    SlRun *found = NULL;
    if (id == NULL || strlen(id) < 6) {
        return NULL;
    }
    g_hash_table_iter_init(&iter, c->runs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        SlRun *run = value;
        if (g_str_has_prefix(run->id, id)) {
            if (found != NULL) {
                return NULL;
            }
            found = run;
        }
    }
    return found;
}

/* Run of a stop-run scope that has run longer than protectAfter: hours of GPUs are not thrown away
 * without a person who says why. NULL = young, over or unknown. */
static const SlRun *protected_run(const SlCoord *c, SlAct act, const char *scope)
{
    int64_t protect_us = c->docs != NULL ? c->docs->protect_after_us : SL_HOUR_US;
    const char *id = act == SL_ACT_STOP_RUN ? strrchr(scope, ' ') : NULL;
    const SlRun *run = id != NULL ? g_hash_table_lookup(c->runs, id + 1) : NULL;
    return run != NULL && run->sealed == NULL && c->now_us - run->placed_us > protect_us ? run
                                                                                         : NULL;
}

static bool a_person_signed(const SlCoord *c, const SlSigned *s)
{
    g_autoptr(GPtrArray) keys = sl_signed_signers(s, SL_STATEMENT_ORDER, NULL);
    for (guint i = 0; i < keys->len; i++) {
        if (sl_root_person_of_key(c->root, g_ptr_array_index(keys, i)) != NULL) {
            return true;
        }
    }
    return false;
}

/* In every environment, whatever the root's threshold says. */
static bool check_protected(const SlCoord *c, const SlOrder *order, const SlSigned *s,
                            GError **error)
{
    const SlRun *run = protected_run(c, order->act, order->scope);
    if (run == NULL) {
        return true;
    }
    if (!a_person_signed(c, s)) {
        return sl_throw(error, SLU_ORDER_REFUSED,
                        "run %.12s of job %s has run longer than protectAfter: stopping it needs "
                        "an order that a person signed",
                        run->id, run->job);
    }
    return true;
}

bool sl_brain_order_holds(const SlCoord *c, const SlOrder *order, int64_t now_us)
{
    const SlRootEnv *env = sl_root_env(c->root, order->env);
    return env != NULL && order->epoch == env->epoch && order->expires_us > now_us;
}

static SlPolicyAsk policy_ask(const SlOrder *order, const char *app)
{
    return (SlPolicyAsk){
        .env = order->env, .app = app, .act = order->act, .requester = order->requester};
}

/* Placed by an order that was over before the cluster took it (it was away, a clock was wrong, a key
 * was revoked): it never began, and the same run may be ordered again. Also if it did begin and nobody
 * heard of it: an agent starts a run id once. */
static bool waits_for_an_order(const SlCoord *c, const SlRun *run, const char *scope)
{
    bool was_ordered = false;
    for (guint i = 0; i < c->orders->len; i++) {
        const SlOrderKept *kept = g_ptr_array_index(c->orders, i);
        SlPolicyAsk ask = policy_ask(kept->order, run->app);
        bool is_it = kept->order->act == SL_ACT_START_RUN && strcmp(kept->order->scope, scope) == 0;
        if (is_it && sl_brain_order_holds(c, kept->order, c->now_us) &&
            sl_policy_check(c->root, &ask, kept->statement, SL_STATEMENT_ORDER, NULL, NULL)) {
            return false;
        }
        was_ordered = was_ordered || is_it;
    }
    g_autoptr(json_t) said =
        sl_brain_seen_entry(c, run->cluster, "run/%s/%s/%s", run->app, run->env, run->id);
    return was_ordered && said == NULL;
}

static char *run_scope(const SlUnit *u, const SlJob *job, uint64_t generation)
{
    return g_strdup_printf("run-key %s/%s %s %s %" G_GUINT64_FORMAT, u->app, u->env, job->name,
                           job->run_key, generation);
}

/* The run key that the live promotion gives a job, and the next generation of it. */
static char *start_scope(const SlCoord *c, const char *app, const char *env, const char *job,
                         GError **error)
{
    const SlUnit *u = app != NULL ? sl_brain_unit(c, app, env) : NULL;
    for (guint i = 0; job != NULL && u != NULL && u->live != NULL && i < u->live->jobs->len; i++) {
        const SlJob *one = g_ptr_array_index(u->live->jobs, i);
        if (strcmp(one->name, job) == 0) {
            const SlRun *run = sl_brain_run_of(u, job, one->run_key);
            bool goes_on = run != NULL && run->sealed == NULL;
            g_autofree char *same = goes_on ? run_scope(u, one, run->generation) : NULL;
            if (goes_on && !waits_for_an_order(c, run, same)) {
                return sl_throw_null(error, SLU_ORDER_REFUSED,
                                     "run %.12s of job %s goes on; stop it first", run->id, job);
            }
            return goes_on ? g_steal_pointer(&same)
                           : run_scope(u, one, run != NULL ? run->generation + 1 : 0);
        }
    }
    return sl_throw_null(error, SLU_NO_SUCH_RUN, "%s/%s runs no bundle with a job %s",
                         app != NULL ? app : "?", env, job != NULL ? job : "?");
}

static char *scope_of(const SlCoord *c, SlAct act, const char *env, const json_t *args,
                      GError **error)
{
    const char *app = sl_json_str(args, "app");
    if (act == SL_ACT_PAUSE || act == SL_ACT_RESUME) {
        return app != NULL ? g_strdup_printf("unit %s/%s", app, env)
                           : g_strdup_printf("env %s", env);
    }
    if (act == SL_ACT_START_RUN) {
        return start_scope(c, app, env, sl_json_str(args, "job"), error);
    }
    if (act == SL_ACT_STOP_RUN) {
        const SlRun *run = run_by_prefix(c, sl_json_str(args, "run"));
        if (run == NULL || strcmp(run->env, env) != 0) {
            return sl_throw_null(error, SLU_NO_SUCH_RUN, "no run %s in %s",
                                 sl_json_str_or(args, "run", "(none named)"), env);
        }
        if (run->sealed != NULL) {
            return sl_throw_null(error, SLU_ORDER_REFUSED, "run %.12s is over already", run->id);
        }
        return g_strdup_printf("run %s/%s %s", run->app, run->env, run->id);
    }
    const SlUnit *u = app != NULL ? sl_brain_unit(c, app, env) : NULL;
    if (u == NULL || u->live == NULL) {
        return sl_throw_null(error, SLU_NOTHING_THERE, "%s/%s has no promotion to renew",
                             app != NULL ? app : "?", env);
    }
    return g_strdup_printf("promotion %s", u->live->promotion);
}

static bool is_order(SlAct act)
{
    return act == SL_ACT_RENEW || act == SL_ACT_PAUSE || act == SL_ACT_RESUME ||
           act == SL_ACT_START_RUN || act == SL_ACT_STOP_RUN;
}

static bool expiry_of(const SlCoord *c, const json_t *args, int64_t *ret_us, GError **error)
{
    const char *text = sl_json_str(args, "expires");
    int64_t span_us = SL_DAY_US;
    if (text != NULL && !sl_parse_time(text, ret_us)) {
        if (!sl_parse_duration(text, &span_us, error)) {
            return sl_prefix(error, "expires");
        }
        text = NULL;
    }
    if (text == NULL) {
        *ret_us = c->now_us + span_us;
    }
    return *ret_us > c->now_us || sl_throw(error, SLU_INVALID, "expires: must be in the future");
}

/* Lost state: the resume names the cluster, its nonce and where every unit stands. */
static char **unit_floors(const SlCoord *c, const char *env, const char *cluster)
{
    GPtrArray *floors = g_ptr_array_new();
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, c->units);
    while (cluster != NULL && g_hash_table_iter_next(&iter, NULL, &value)) {
        const SlUnit *u = value;
        const SlAttempt *a = u->last_live;
        if (strcmp(u->env, env) == 0 && a != NULL && g_hash_table_contains(a->target_of, cluster)) {
            g_ptr_array_add(floors, g_strdup_printf("%s %" G_GUINT64_FORMAT " %s", u->key, a->seq,
                                                    a->promotion));
        }
    }
    g_ptr_array_add(floors, NULL);
    return (char **)g_ptr_array_free(floors, FALSE);
}

/* That a cluster waits for since it lost its state: as it reports it, for it may have come back in
 * another session since; before its first report that is the session's. (transfer full) */
static char *lost_nonce(const SlCoord *c, const SlSession *session)
{
    g_autoptr(json_t) flag = sl_brain_seen_entry(c, session->cluster, "flag/state-lost");
    const char *nonce = sl_json_str(flag, "nonce");
    return g_strdup(nonce != NULL ? nonce : session->nonce);
}

GBytes *sl_brain_order_draft(SlCoord *c, const json_t *args, const char *person,
                             unsigned *ret_threshold, json_t *who, GError **error)
{
    SlAct act = SL_N_ACTS;
    const char *name = sl_json_need_str(args, "act", error);
    const char *env = name != NULL ? sl_json_need_str(args, "env", error) : NULL;
    if (env == NULL) {
        return NULL;
    }
    if (!sl_act_parse(name, &act) || !is_order(act)) {
        return sl_throw_null(error, SLU_INVALID,
                             "act: one of pause, resume, start-run, stop-run, renew; not %s", name);
    }
    const SlRootEnv *root_env = sl_root_env(c->root, env);
    if (root_env == NULL) {
        return sl_throw_null(error, SLU_NOT_FOUND, "the root has no environment %s", env);
    }
    const char *cluster = sl_json_str(args, "cluster");
    const SlSession *session = cluster != NULL ? sl_brain_session(c, cluster) : NULL;
    if (cluster != NULL && (act != SL_ACT_RESUME || session == NULL || !session->state_lost)) {
        return sl_throw_null(
            error, SLU_ORDER_REFUSED,
            "cluster: only a resume of a connected cluster that lost its state names one");
    }
    int64_t expires_us = 0;
    g_autofree char *scope =
        expiry_of(c, args, &expires_us, error) ? scope_of(c, act, env, args, error) : NULL;
    if (scope == NULL) {
        return NULL;
    }
    g_auto(GStrv) floors = unit_floors(c, env, cluster);
    g_autofree char *nonce = session != NULL ? lost_nonce(c, session) : NULL;
    SlOrder order = {
        .fleet = c->root->fleet,
        .env = (char *)(uintptr_t)env,
        .epoch = root_env->epoch,
        .act = act,
        .scope = scope,
        .number = highest_of(c, env, scope) + 1,
        .expires_us = expires_us,
        .cluster = (char *)(uintptr_t)cluster,
        .nonce = nonce,
        .unit_floors = floors,
        .requester = (char *)(uintptr_t)person,
        .reason = (char *)(uintptr_t)sl_json_str_or(args, "reason", "no reason given"),
    };
    g_autofree char *app = sl_order_app(&order);
    SlPolicyAsk ask = policy_ask(&order, app);
    SlPolicyNeed need = {0};
    sl_policy_need(c->root, &ask, &need);
    bool allowed = need.allowed;
    *ret_threshold = need.threshold;
    sl_policy_need_clear(&need);
    if (protected_run(c, act, scope) != NULL) {
        *ret_threshold = MAX(*ret_threshold, 1);
        if (sl_json_str_or(args, "reason", "")[0] == '\0') {
            return sl_throw_null(
                error, SLU_INVALID,
                "reason: the run is older than protectAfter; say why it is stopped");
        }
    }
    if (!allowed) {
        return sl_throw_null(error, SLU_ORDER_REFUSED, "no role of the root allows %s in %s", name,
                             env);
    }
    if (who != NULL) {
        g_autoptr(GPtrArray) people = sl_policy_who_can(c->root, &ask, NULL, SL_STATEMENT_ORDER);
        for (guint i = 0; *ret_threshold > 0 && people->len == 0 && i < c->root->people->len; i++) {
            const SlPerson *anyone = g_ptr_array_index(c->root->people, i);
            json_array_append_new(who, json_string(anyone->name));
        }
        for (guint i = 0; i < people->len; i++) {
            json_array_append_new(who, json_string(g_ptr_array_index(people, i)));
        }
    }
    return sl_order_format(&order, error);
}

static guint orders_in_force(const SlCoord *c, const char *env)
{
    guint n = 0;
    for (guint i = 0; i < c->orders->len; i++) {
        const SlOrderKept *kept = g_ptr_array_index(c->orders, i);
        bool here = strcmp(kept->order->env, env) == 0;
        n += here && sl_brain_order_holds(c, kept->order, c->now_us) ? 1 : 0;
    }
    return n;
}

static bool check_order(const SlCoord *c, const SlOrder *order, GError **error)
{
    const SlRootEnv *env = sl_root_env(c->root, order->env);
    if (strcmp(order->fleet, c->root->fleet) != 0 || env == NULL || order->epoch != env->epoch ||
        !is_order(order->act)) {
        return sl_throw(error, SLU_ORDER_REFUSED,
                        "the order is for another fleet, environment or epoch");
    }
    /* A report that came since the draft may have raised the next one: that voids no signature. */
    uint64_t floor = floor_of(c, order->env, order->scope),
             next = highest_of(c, order->env, order->scope) + 1;
    if (order->number <= floor || order->number > next) {
        return sl_throw(error, SLU_ORDER_REFUSED,
                        "order number %" G_GUINT64_FORMAT " of %s; the next is %" G_GUINT64_FORMAT,
                        order->number, order->scope, next);
    }
    if (order->expires_us <= c->now_us) {
        return sl_throw(error, SLU_ORDER_REFUSED, "the order has expired");
    }
    if (orders_in_force(c, order->env) >= SL_ORDERS_MAX) {
        return sl_throw(error, SLU_LIMIT, "%d orders are in force in %s; wait until some expire",
                        SL_ORDERS_MAX, order->env);
    }
    return true;
}

bool sl_brain_order_take(SlCoord *c, const char *text, const json_t *sigs, char **ret_digest,
                         GError **error)
{
    size_t len = strlen(text);
    if (len > SL_STATEMENT_MAX) {
        return sl_throw(error, SLU_LIMIT, "the order's text has %zu bytes; at most %d", len,
                        SL_STATEMENT_MAX);
    }
    g_autoptr(GBytes) bytes = g_bytes_new(text, len);
    g_autoptr(SlSigned) s = sl_signed_new(bytes);
    for (size_t i = 0; i < json_array_size(sigs) && i < SL_STATEMENT_SIGS_MAX; i++) {
        const char *sig = json_string_value(json_array_get(sigs, i));
        if (sig != NULL) {
            sl_signed_add(s, sig);
        }
    }
    g_autoptr(SlOrder) order = sl_order_parse(bytes, error);
    if (order == NULL || !check_order(c, order, error)) {
        return false;
    }
    g_autofree char *app = sl_order_app(order);
    SlPolicyAsk ask = policy_ask(order, app);
    SlPolicyNeed need = {0};
    sl_policy_need(c->root, &ask, &need);
    if (need.allowed && need.threshold == 0 && s->sigs->len < SL_STATEMENT_SIGS_MAX) {
        sl_signed_sign(s, SL_STATEMENT_ORDER, c->config.online_secret);
    }
    sl_policy_need_clear(&need);
    if (!sl_policy_check(c->root, &ask, s, SL_STATEMENT_ORDER, NULL, error) ||
        !check_protected(c, order, s, error)) {
        return false;
    }
    json_t *event = sl_event("Order");
    json_object_set_new(event, "order", sl_signed_to_json(s));
    sl_emit(c, event);
    *ret_digest = sl_signed_digest(s);
    return true;
}
