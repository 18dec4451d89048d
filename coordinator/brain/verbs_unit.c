/* verbs_unit.c - promote, rollback, redeploy, remove: they only ask; gates and signatures decide.
 */
#include "coordinator/brain/verbs.h"
#include <string.h>

uint64_t sl_args_number(const json_t *args, const char *key)
{
    const json_t *value = json_object_get(args, key);
    uint64_t n = 0;
    if (json_is_integer(value)) {
        return json_integer_value(value) > 0 ? (uint64_t)json_integer_value(value) : 0;
    }
    return json_is_string(value) && sl_parse_uint64(json_string_value(value), &n) ? n : 0;
}

bool sl_args_unit(const SlCoord *c, const json_t *args, const char **ret_app, const char **ret_env,
                  GError **error)
{
    const char *app = sl_json_need_str(args, "app", error);
    const char *env = app != NULL ? sl_json_need_str(args, "env", error) : NULL;
    if (env == NULL) {
        return false;
    }
    const SlApplicationDoc *doc =
        c->docs != NULL && sl_is_name(app) ? sl_fleet_app(c->docs, app) : NULL;
    bool known =
        sl_is_name(app) && sl_is_name(env) &&
        ((doc != NULL && sl_app_env(doc, env) != NULL) || sl_brain_unit(c, app, env) != NULL);
    if (!known) {
        g_autofree char *clean_app = sl_escape_for_people(app, 100),
                        *clean_env = sl_escape_for_people(env, 100);
        return sl_throw(error, SLU_NO_SUCH_UNIT, "there is no application %s in environment %s",
                        clean_app, clean_env);
    }
    *ret_app = app;
    *ret_env = env;
    return true;
}

bool sl_args_reason(const json_t *args, bool needed, const char *otherwise, const char **ret_reason,
                    GError **error)
{
    const char *reason = sl_json_str(args, "reason");
    size_t len = reason != NULL ? strlen(reason) : 0;
    if (len == 0) {
        *ret_reason = otherwise;
        return !needed || sl_throw(error, SLU_INVALID, "reason: say why, others will read it");
    }
    if (len > SL_REASON_MAX || !sl_is_clean_utf8(reason, len, false) ||
        strpbrk(reason, "\n\t") != NULL) {
        return sl_throw(error, SLU_INVALID, "reason: one line of at most %d bytes", SL_REASON_MAX);
    }
    *ret_reason = reason;
    return true;
}

SlRelease *sl_args_release(const SlCoord *c, const char *app, const char *text, GError **error)
{
    GPtrArray *releases = g_hash_table_lookup(c->app_releases, app);
    SlRelease *found = NULL;
    bool prefix = strlen(text) >= 6;
    for (guint i = 0; releases != NULL && i < releases->len; i++) {
        SlRelease *r = g_ptr_array_index(releases, i);
        if (strcmp(r->name, text) == 0) {
            return r;
        }
        if (prefix && g_str_has_prefix(r->id, text)) {
            if (found != NULL) {
                return sl_throw_null(error, SLU_NO_SUCH_RELEASE,
                                     "%s fits several releases of %s; give more digits", text, app);
            }
            found = r;
        }
    }
    g_autofree char *clean = sl_escape_for_people(text, 80);
    return found != NULL
               ? found
               : sl_throw_null(error, SLU_NO_SUCH_RELEASE, "%s has no release %s", app, clean);
}

SlAttempt *sl_args_attempt(const SlCoord *c, const json_t *args, const char *key, GError **error)
{
    uint64_t n = sl_args_number(args, key);
    SlAttempt *a = sl_brain_attempt(c, n);
    if (n == 0) {
        return sl_throw_null(error, SLU_INVALID, "%s: give the number of an attempt", key);
    }
    return a != NULL ? a
                     : sl_throw_null(error, SLU_NO_SUCH_ATTEMPT,
                                     "there is no attempt %" G_GUINT64_FORMAT, n);
}

static bool has_room(const SlCoord *c, const char *app, const char *env, GError **error)
{
    const SlUnit *u = sl_brain_unit(c, app, env);
    guint waiting = 0;
    for (guint i = 0; u != NULL && i < u->attempts->len; i++) {
        waiting += sl_attempt_waits(g_ptr_array_index(u->attempts, i)) ? 1 : 0;
    }
    return waiting < SL_WAITING_MAX ||
           sl_throw(error, SLU_QUEUE_FULL, "%u attempts wait in %s/%s already", waiting, app, env);
}

/* Kinds that the promotion may use although the root calls them privileged. */
static bool check_privileged(const json_t *args, GError **error)
{
    const json_t *list = json_object_get(args, "privileged");
    size_t i;
    json_t *kind;
    if (list != NULL && (!json_is_array(list) || json_array_size(list) > 32)) {
        return sl_throw(error, SLU_INVALID, "privileged: an array of at most 32 kinds");
    }
    json_array_foreach(list, i, kind)
    {
        const char *text = json_string_value(kind);
        if (text == NULL || strlen(text) > 253 || strpbrk(text, " \n\t") != NULL ||
            !sl_is_clean_utf8(text, strlen(text), false)) {
            return sl_throw(error, SLU_INVALID,
                            "privileged.%zu: a kind like rbac.authorization.k8s.io/ClusterRole", i);
        }
    }
    return true;
}

static json_t *attempt_body(uint64_t n, int *ret_status)
{
    json_t *body = json_object();
    sl_json_set_int(body, "attempt", (int64_t)n);
    *ret_status = 202;
    return body;
}

static void pin(SlCoord *c, const char *app, const char *env, const char *by, const char *reason)
{
    json_t *event = sl_event("Pinned");
    sl_json_set_str(event, "app", app);
    sl_json_set_str(event, "env", env);
    sl_json_set_str(event, "by", by);
    sl_json_set_str(event, "reason", reason);
    sl_emit(c, event);
}

/* In an automatic unit a person's choice of another release than the newest holds until `unpin`. */
static void pin_if_older(SlCoord *c, const char *app, const char *env, const SlRelease *r,
                         const char *person)
{
    const SlEnvironmentDoc *doc = sl_fleet_env(c->docs, env);
    g_autofree char *ignored = NULL;
    const SlRelease *newest = sl_brain_newest(c, app, env, &ignored);
    if (doc != NULL && doc->mode == SL_MODE_NEWEST && newest != NULL && newest != r) {
        g_autofree char *reason =
            g_strdup_printf("%s was chosen instead of %s", r->name, newest->name);
        pin(c, app, env, person, reason);
    }
}

json_t *sl_verb_promote(SlCoord *c, const SlCoordRequest *in, int *ret_status, GError **error)
{
    SlAsk ask = {.act = SL_ACT_PROMOTE, .requester = in->person};
    const char *text = sl_json_str(in->args, "release");
    g_autofree char *reason = NULL;
    if (!sl_args_unit(c, in->args, &ask.app, &ask.env, error) ||
        !sl_args_reason(in->args, false, "promoted", &ask.reason, error) ||
        !check_privileged(in->args, error) || !has_room(c, ask.app, ask.env, error)) {
        return NULL;
    }
    const SlRelease *r = text != NULL ? sl_args_release(c, ask.app, text, error)
                                      : sl_brain_newest(c, ask.app, ask.env, &reason);
    if (r == NULL) {
        return text != NULL ? NULL : sl_throw_null(error, SLU_NOT_ELIGIBLE, "%s", reason);
    }
    if (sl_brain_eligible(c, r, ask.app, ask.env, &reason) != SL_ELIGIBLE_OPEN) {
        bool veto = sl_brain_veto(sl_brain_unit(c, ask.app, ask.env), r->id, NULL) != NULL;
        return sl_throw_null(error, veto ? SLU_VETOED : SLU_NOT_ELIGIBLE, "%s", reason);
    }
    ask.release = r->id;
    ask.allow_prune = sl_json_bool(in->args, "allowPrune", false);
    ask.disrupt = sl_json_bool(in->args, "disrupt", false);
    ask.force_fields = sl_json_bool(in->args, "forceFields", false);
    ask.privileged = json_object_get(in->args, "privileged");
    pin_if_older(c, ask.app, ask.env, r, in->person);
    return attempt_body(sl_brain_request(c, &ask), ret_status);
}

static bool same_targets(GHashTable *a, GHashTable *b)
{
    GHashTableIter iter;
    gpointer key, value;
    if (g_hash_table_size(a) != g_hash_table_size(b)) {
        return false;
    }
    g_hash_table_iter_init(&iter, a);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        if (g_strcmp0(g_hash_table_lookup(b, key), value) != 0) {
            return false;
        }
    }
    return true;
}

/* Default target: the last SUCCEEDED with other bundles than what the unit has now. */
static const SlAttempt *rollback_target(const SlUnit *u)
{
    for (guint i = u->attempts->len; i > 0; i--) {
        const SlAttempt *a = g_ptr_array_index(u->attempts, i - 1);
        if (a->state == SL_STATE_SUCCEEDED && a->commit != NULL && a->act != SL_ACT_REMOVE &&
            (u->live == NULL || !same_targets(a->target_of, u->live->target_of)) &&
            sl_brain_veto(u, a->release, a->target_of) == NULL) {
            return a;
        }
    }
    return NULL;
}

json_t *sl_verb_rollback(SlCoord *c, const SlCoordRequest *in, int *ret_status, GError **error)
{
    SlAsk ask = {.act = SL_ACT_ROLLBACK, .requester = in->person};
    if (!sl_args_unit(c, in->args, &ask.app, &ask.env, error) ||
        !sl_args_reason(in->args, false, "rolled back", &ask.reason, error) ||
        !has_room(c, ask.app, ask.env, error)) {
        return NULL;
    }
    const SlUnit *u = sl_brain_unit(c, ask.app, ask.env);
    const SlAttempt *to = u != NULL ? rollback_target(u) : NULL;
    if (json_object_get(in->args, "to") != NULL) {
        to = sl_args_attempt(c, in->args, "to", error);
        if (to == NULL) {
            return NULL;
        }
        if (strcmp(to->app, ask.app) != 0 || strcmp(to->env, ask.env) != 0 ||
            to->state != SL_STATE_SUCCEEDED || to->commit == NULL || to->act == SL_ACT_REMOVE) {
            return sl_throw_null(error, SLU_NO_ROLLBACK_TARGET,
                                 "attempt %" G_GUINT64_FORMAT
                                 " is none of %s/%s that succeeded with a commit of its own",
                                 to->n, ask.app, ask.env);
        }
    }
    if (to == NULL) {
        return sl_throw_null(error, SLU_NO_ROLLBACK_TARGET, "nothing else has succeeded in %s/%s",
                             ask.app, ask.env);
    }
    ask.release = to->release;
    ask.to = to->n;
    return attempt_body(sl_brain_request(c, &ask), ret_status);
}

static json_t *again(SlCoord *c, const SlCoordRequest *in, SlAct act, bool reason_needed,
                     int *ret_status, GError **error)
{
    SlAsk ask = {.act = act, .requester = in->person};
    if (!sl_args_unit(c, in->args, &ask.app, &ask.env, error) ||
        !sl_args_reason(in->args, reason_needed, "deployed again", &ask.reason, error) ||
        !has_room(c, ask.app, ask.env, error)) {
        return NULL;
    }
    const SlUnit *u = sl_brain_unit(c, ask.app, ask.env);
    if (u == NULL || u->current == NULL) {
        return sl_throw_null(error, SLU_NOTHING_THERE, "%s/%s has no current release", ask.app,
                             ask.env);
    }
    ask.release = u->current->release;
    ask.allow_prune = act == SL_ACT_REMOVE || sl_json_bool(in->args, "allowPrune", false);
    ask.disrupt = sl_json_bool(in->args, "disrupt", false);
    if (act == SL_ACT_REMOVE) {
        pin(c, ask.app, ask.env, in->person, "removed");
    }
    return attempt_body(sl_brain_request(c, &ask), ret_status);
}

json_t *sl_verb_redeploy(SlCoord *c, const SlCoordRequest *in, int *ret_status, GError **error)
{
    return again(c, in, SL_ACT_REDEPLOY, false, ret_status, error);
}

json_t *sl_verb_remove(SlCoord *c, const SlCoordRequest *in, int *ret_status, GError **error)
{
    return again(c, in, SL_ACT_REMOVE, true, ret_status, error);
}
