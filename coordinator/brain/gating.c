/* gating.c - judges the gates of an attempt (documents' gates, then the root's threshold) and lets
 * the online key sign where the threshold is 0. Judged at every step while it waits, and again at
 * the commit: tightening counts, and voids nothing. */
#include "coordinator/brain/brain.h"
#include <string.h>

typedef struct {
    SlCoord *c;
    SlAttempt *a;
    json_t *lent; /* facts that the gate borrows: kept until it has answered */
} GateUser;

static void gate_line_free(SlGateLine *line)
{
    g_free(line->type);
    g_free(line->where);
    g_free(line->reason);
    json_decref(line->who);
    json_decref(line->evidence);
    g_free(line);
}

/* Run key of @job of a release in an environment: of the item that it fills, else as it was
 * rendered there. */
static char *run_key_of(const SlCoord *c, const SlRelease *r, const char *job, const char *env)
{
    for (guint i = 0; i < r->items->len; i++) {
        const SlItem *item = g_ptr_array_index(r->items, i);
        if (g_strcmp0(item->job, job) == 0 && g_strcmp0(item->origin, env) == 0) {
            return g_strdup(item->run_key);
        }
    }
    const SlUnit *u = sl_brain_unit(c, r->app, env);
    for (guint i = u != NULL ? u->attempts->len : 0; i > 0; i--) {
        const SlAttempt *a = g_ptr_array_index(u->attempts, i - 1);
        for (guint k = 0; strcmp(a->release, r->id) == 0 && k < a->jobs->len; k++) {
            const SlJob *one = g_ptr_array_index(a->jobs, k);
            if (strcmp(one->name, job) == 0) {
                return g_strdup(one->run_key);
            }
        }
    }
    return NULL;
}

/* The winning seal; a failed one only if no later generation may still win. */
static const SlRun *sealed_run(const SlCoord *c, const char *app, const char *env, const char *job,
                               const char *key)
{
    const SlRun *win = sl_brain_win(c, app, env, key);
    const SlUnit *u = sl_brain_unit(c, app, env);
    const SlRun *last = win == NULL && u != NULL ? sl_brain_run_of(u, job, key) : NULL;
    return win != NULL ? win : last != NULL && last->sealed != NULL ? last : NULL;
}

static json_t *lend(const GateUser *user, json_t *fact)
{
    json_array_append_new(user->lent, fact);
    return fact;
}

static json_t *seal_fact(const SlGateFacts *facts, const char *job, const char *in, bool baseline)
{
    const GateUser *user = facts->user;
    const SlUnit *u = sl_brain_unit(user->c, user->a->app, user->a->env);
    const char *id = user->a->release;
    if (baseline) {
        id = u != NULL && u->current != NULL ? u->current->release : NULL;
    }
    const SlRelease *r = sl_brain_release(user->c, id);
    g_autofree char *key =
        r != NULL ? run_key_of(user->c, r, job, in != NULL ? in : user->a->env) : NULL;
    const SlRun *run =
        key != NULL ? sealed_run(user->c, r->app, in != NULL ? in : user->a->env, job, key) : NULL;
    return run != NULL ? lend(user, sl_seal_to_json(run->seal, run->seal_digest)) : NULL;
}

static json_t *approvals_json(SlCoord *c, const SlAttempt *a)
{
    g_auto(GStrv) authors = sl_brain_authors(c, a);
    SlPolicyAsk ask = sl_brain_policy_ask(a, authors);
    SlPolicyNeed need = {0};
    sl_policy_need(c->root, &ask, &need);
    g_autoptr(GPtrArray) who =
        sl_policy_who_can(c->root, &ask, a->statement, SL_STATEMENT_PROMOTION);
    json_t *json = json_object();
    sl_json_set_int(json, "threshold", need.threshold);
    /* A person who left the roles since counts no more. */
    int64_t count = 0;
    json_t *people = json_array();
    g_autoptr(GPtrArray) approvers = sl_brain_approvers(c, a);
    for (guint i = 0; i < approvers->len; i++) {
        const char *person = g_ptr_array_index(approvers, i);
        if (sl_policy_person_may(c->root, &ask, person)) {
            json_array_append_new(people, json_string(person));
            count++;
        }
    }
    sl_json_set_int(json, "count", count);
    json_object_set_new(json, "people", people);
    json_object_set_new(json, "who", sl_json_from_ptr_array(who));
    json_object_set_new(json, "rejected", json_null());
    sl_policy_need_clear(&need);
    return json;
}

static json_t *approvals_fact(const SlGateFacts *facts)
{
    const GateUser *user = facts->user;
    return lend(user, approvals_json(user->c, user->a));
}

static SlGateLine *add_line(SlAttempt *a, const char *type, const char *where,
                            SlGateVerdict verdict, const char *reason)
{
    SlGateLine *line = g_new0(SlGateLine, 1);
    line->type = g_strdup(type);
    line->where = g_strdup(where);
    line->verdict = verdict;
    line->reason = g_strdup(reason);
    g_ptr_array_add(a->gates, line);
    return line;
}

static void judge(SlCoord *c, SlAttempt *a, const SlGateDoc *gate)
{
    const SlGateOps *ops = sl_gate_find(gate->type);
    if (ops == NULL) {
        g_autofree char *why =
            g_strdup_printf("gate %s is not known to this coordinator", gate->type);
        (void)add_line(a, gate->type, gate->where, SL_GATE_WAIT, why);
        return;
    }
    g_autoptr(json_t) lent = json_array();
    GateUser user = {c, a, lent};
    SlGateFacts facts = {
        .user = &user,
        .app = a->app,
        .env = a->env,
        .release = a->release,
        .requester = a->requester,
        .now_us = c->now_us,
        .seal = seal_fact,
        .approvals = approvals_fact,
    };
    SlGateAnswer answer = {.verdict = SL_GATE_WAIT, .next_us = INT64_MAX};
    ops->judge(gate->config, &facts, &answer);
    SlGateLine *line = add_line(a, gate->type, gate->where, answer.verdict, answer.reason);
    line->who = answer.who != NULL ? json_incref(answer.who) : NULL;
    line->evidence = answer.evidence != NULL ? json_incref(answer.evidence) : NULL;
    sl_wake(c, answer.next_us);
    sl_gate_answer_clear(&answer);
}

static void judge_all(SlCoord *c, SlAttempt *a, const GPtrArray *gates)
{
    for (guint i = 0; gates != NULL && i < gates->len; i++) {
        judge(c, a, g_ptr_array_index(gates, i));
    }
}

static void judge_root(SlCoord *c, SlAttempt *a, bool *ret_online)
{
    g_auto(GStrv) authors = sl_brain_authors(c, a);
    SlPolicyAsk ask = sl_brain_policy_ask(a, authors);
    SlPolicyNeed need = {0};
    g_autoptr(GError) error = NULL;
    g_autofree char *where = g_strdup_printf("root version %" G_GUINT64_FORMAT, c->root->version);
    sl_policy_need(c->root, &ask, &need);
    *ret_online = need.allowed && need.threshold == 0;
    if (!need.allowed) {
        g_autofree char *why = g_strdup_printf("no role of the root allows %s of %s in %s",
                                               sl_act_name(a->act), a->app, a->env);
        (void)add_line(a, "approval", where, SL_GATE_WAIT, why);
    } else if (need.threshold > 0) {
        bool open =
            sl_policy_check(c->root, &ask, a->statement, SL_STATEMENT_PROMOTION, NULL, &error);
        g_autoptr(json_t) approvals = approvals_json(c, a);
        g_autofree char *why = g_strdup_printf("approval %" G_GINT64_FORMAT " of %u",
                                               sl_json_int(approvals, "count", 0), need.threshold);
        SlGateLine *line = add_line(a, "approval", where, open ? SL_GATE_OPEN : SL_GATE_WAIT, why);
        line->who = open ? NULL : json_incref(json_object_get(approvals, "who"));
    }
    sl_policy_need_clear(&need);
}

static json_t *gates_json(const SlAttempt *a)
{
    static const char *const verdicts[] = {"wait", "open", "shut"};
    json_t *list = json_array();
    for (guint i = 0; i < a->gates->len; i++) {
        const SlGateLine *line = g_ptr_array_index(a->gates, i);
        if (strcmp(line->type, "approval") == 0) {
            continue; /* signatures are events of their own */
        }
        json_t *json = json_object();
        sl_json_set_str(json, "type", line->type);
        sl_json_set_str(json, "where", line->where);
        sl_json_set_str(json, "verdict", verdicts[line->verdict]);
        sl_json_set_str(json, "reason", line->reason);
        if (line->evidence != NULL) {
            json_object_set(json, "evidence", line->evidence);
        }
        json_array_append_new(list, json);
    }
    return list;
}

/* The verdicts go into the ledger when they decide: all open, or one shut; again only if they
 * changed. */
static void record_gates(SlCoord *c, SlAttempt *a)
{
    g_autoptr(json_t) gates = gates_json(a);
    if (json_array_size(gates) > 0 && !json_equal(gates, a->evidence)) {
        json_t *event = sl_event("Gate");
        sl_json_set_int(event, "attempt", (int64_t)a->n);
        json_object_set(event, "gates", gates);
        sl_emit(c, event);
    }
}

static void sign_online(SlCoord *c, SlAttempt *a)
{
    gsize len = 0;
    const char *text = g_bytes_get_data(a->statement->text, &len);
    g_autofree char *sig = sl_sshsig_sign(c->config.online_secret, text, len,
                                          sl_statement_namespace(SL_STATEMENT_PROMOTION));
    json_t *event = sl_event("Signed");
    sl_json_set_int(event, "attempt", (int64_t)a->n);
    sl_json_set_str(event, "promotion", a->promotion);
    sl_json_set_str(event, "sig", sig);
    sl_emit(c, event);
}

static void wait_for(SlAttempt *a, const SlGateLine *line)
{
    g_free(a->waiting);
    a->waiting = g_strdup_printf("%s", line->reason);
    json_decref(a->who);
    a->who = line->who != NULL ? json_incref(line->who) : NULL;
}

/* The first gate that is not open, shut ones first; NULL = all open. */
static const SlGateLine *first_closed(const SlAttempt *a)
{
    const SlGateLine *wait = NULL;
    for (guint i = 0; i < a->gates->len; i++) {
        const SlGateLine *line = g_ptr_array_index(a->gates, i);
        if (line->verdict == SL_GATE_SHUT) {
            return line;
        }
        if (line->verdict == SL_GATE_WAIT && wait == NULL) {
            wait = line;
        }
    }
    return wait;
}

bool sl_brain_gates(SlCoord *c, SlAttempt *a)
{
    const SlApplicationDoc *app = c->docs != NULL ? sl_fleet_app(c->docs, a->app) : NULL;
    const SlEnvironmentDoc *env = c->docs != NULL ? sl_fleet_env(c->docs, a->env) : NULL;
    const SlAppEnv *app_env = app != NULL ? sl_app_env(app, a->env) : NULL;
    bool online = false;
    g_clear_pointer(&a->gates, g_ptr_array_unref);
    a->gates = g_ptr_array_new_with_free_func((GDestroyNotify)gate_line_free);
    if (a->act == SL_ACT_PROMOTE) { /* a rollback must not wait for what guards new releases */
        judge_all(c, a, env != NULL ? env->gates : NULL);
        judge_all(c, a, app_env != NULL ? app_env->gates : NULL);
    }
    if (!a->unchanged) {
        judge_root(c, a, &online);
    }
    const SlGateLine *closed = first_closed(a);
    if (closed != NULL && closed->verdict == SL_GATE_SHUT) {
        record_gates(c, a);
        sl_emit_end(c, a, "Rejected", SLU_GATE_SHUT, "gate %s of %s: %s", closed->type,
                    closed->where, closed->reason);
        return false;
    }
    if (closed != NULL) {
        wait_for(a, closed);
        return false;
    }
    record_gates(c, a);
    if (online && !a->signed_online) {
        sign_online(c, a);
    }
    return true;
}
