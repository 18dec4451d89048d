/* verbs_attempt.c - approve, reject, abort; pin, veto and their ends; adopt and refresh. */
#include "coordinator/brain/verbs.h"
#include <string.h>

static json_t *ok_body(void)
{
    json_t *body = json_object();
    sl_json_set_bool(body, "ok", true);
    return body;
}

json_t *sl_verb_approve(SlCoord *c, const SlCoordRequest *in, int *ret_status, GError **error)
{
    (void)ret_status;
    SlAttempt *a = sl_args_attempt(c, in->args, "attempt", error);
    const char *sig = a != NULL ? sl_json_need_str(in->args, "signature", error) : NULL;
    if (sig == NULL) {
        return NULL;
    }
    if (strlen(sig) > SL_SSHSIG_ARMOUR_MAX) {
        return sl_throw_null(error, SLU_LIMIT, "signature: at most %d bytes", SL_SSHSIG_ARMOUR_MAX);
    }
    if (!sl_brain_approve(c, a, sig, in->person, error)) {
        return NULL;
    }
    json_t *body = json_object();
    sl_json_set_int(body, "attempt", (int64_t)a->n);
    sl_json_set_str(body, "person", g_ptr_array_index(a->approvers, a->approvers->len - 1));
    return body;
}

static bool may_reject(const SlCoord *c, const SlAttempt *a, const SlCoordRequest *in)
{
    g_auto(GStrv) authors = sl_brain_authors(c, a);
    SlPolicyAsk ask = sl_brain_policy_ask(a, authors);
    ask.requester = NULL; /* who is excluded from approving may still say no */
    ask.authors = NULL;
    return strcmp(in->scope, "operate") == 0 || sl_policy_person_may(c->root, &ask, in->person);
}

static void end_by_person(SlCoord *c, SlAttempt *a, const char *type, const char *by,
                          const char *reason)
{
    json_t *event = sl_event(type), *what = json_object();
    g_autofree char *code = g_strdup_printf("SLU%d", SLU_DENIED);
    g_autofree char *message = g_strdup_printf("%s: %s", by, reason);
    sl_json_set_int(event, "attempt", (int64_t)a->n);
    sl_json_set_str(event, "by", by);
    sl_json_set_str(what, "code", code);
    sl_json_set_str(what, "message", message);
    json_object_set_new(event, "error", what);
    sl_emit(c, event);
}

json_t *sl_verb_reject(SlCoord *c, const SlCoordRequest *in, int *ret_status, GError **error)
{
    const char *reason = NULL;
    (void)ret_status;
    SlAttempt *a = sl_args_attempt(c, in->args, "attempt", error);
    if (a == NULL || !sl_args_reason(in->args, true, NULL, &reason, error)) {
        return NULL;
    }
    if (!may_reject(c, a, in)) {
        return sl_throw_null(error, SLU_APPROVAL_REFUSED, "%s is in no role that approves %s in %s",
                             in->person, a->app, a->env);
    }
    if (!sl_attempt_waits(a)) {
        return sl_throw_null(error, SLU_ATTEMPT_STATE,
                             "attempt %" G_GUINT64_FORMAT " is %s; only one that waits is rejected",
                             a->n, sl_state_info(a->state)->name);
    }
    end_by_person(c, a, "Rejected", in->person, reason);
    return ok_body();
}

json_t *sl_verb_abort(SlCoord *c, const SlCoordRequest *in, int *ret_status, GError **error)
{
    const char *reason = NULL;
    (void)ret_status;
    SlAttempt *a = sl_args_attempt(c, in->args, "attempt", error);
    if (a == NULL || !sl_args_reason(in->args, false, "aborted", &reason, error)) {
        return NULL;
    }
    bool can = sl_attempt_waits(a) || a->state == SL_STATE_COMMITTING;
    if (!can) {
        return sl_throw_null(error, SLU_ATTEMPT_STATE,
                             "attempt %" G_GUINT64_FORMAT " is %s; after the commit use rollback",
                             a->n, sl_state_info(a->state)->name);
    }
    json_t *body = ok_body();
    if (a->approvers->len > 0 || a->signed_online) {
        sl_json_set_str(body, "warning",
                        "the statement was signed: agents accept it until a higher number or its "
                        "expiry, if someone publishes it");
    }
    end_by_person(c, a, "Aborted", in->person, reason);
    return body;
}

static json_t *mark(SlCoord *c, const SlCoordRequest *in, const char *type, bool with_release,
                    GError **error)
{
    const char *app = NULL, *env = NULL, *reason = NULL;
    if (!sl_args_unit(c, in->args, &app, &env, error) ||
        !sl_args_reason(in->args, true, NULL, &reason, error)) {
        return NULL;
    }
    json_t *event = sl_event(type);
    if (with_release) {
        const char *text = sl_json_need_str(in->args, "release", error);
        const SlRelease *r = text != NULL ? sl_args_release(c, app, text, error) : NULL;
        if (r == NULL) {
            json_decref(event);
            return NULL;
        }
        sl_json_set_str(event, "release", r->id);
    }
    sl_json_set_str(event, "app", app);
    sl_json_set_str(event, "env", env);
    sl_json_set_str(event, "by", in->person);
    sl_json_set_str(event, "reason", reason);
    sl_emit(c, event);
    return ok_body();
}

json_t *sl_verb_pin(SlCoord *c, const SlCoordRequest *in, int *ret_status, GError **error)
{
    (void)ret_status;
    return mark(c, in, "Pinned", false, error);
}

json_t *sl_verb_unpin(SlCoord *c, const SlCoordRequest *in, int *ret_status, GError **error)
{
    (void)ret_status;
    return mark(c, in, "Unpinned", false, error);
}

json_t *sl_verb_veto(SlCoord *c, const SlCoordRequest *in, int *ret_status, GError **error)
{
    (void)ret_status;
    return mark(c, in, "Vetoed", true, error);
}

json_t *sl_verb_unveto(SlCoord *c, const SlCoordRequest *in, int *ret_status, GError **error)
{
    (void)ret_status;
    return mark(c, in, "Unvetoed", true, error);
}

/* A halted environment: the person looked at the foreign commit and takes it as the base of what
 * follows. */
json_t *sl_verb_adopt(SlCoord *c, const SlCoordRequest *in, int *ret_status, GError **error)
{
    const char *reason = NULL;
    (void)ret_status;
    const char *name = sl_json_need_str(in->args, "env", error);
    const char *commit = name != NULL ? sl_json_need_str(in->args, "commit", error) : NULL;
    if (commit == NULL || !sl_args_reason(in->args, true, NULL, &reason, error)) {
        return NULL;
    }
    const SlEnv *env = sl_brain_env(c, name);
    if (env == NULL || env->external == NULL) {
        return sl_throw_null(error, SLU_CONFLICT, "environment %s is not halted", name);
    }
    if (strlen(commit) < 6 || !g_str_has_prefix(env->external, commit)) {
        return sl_throw_null(error, SLU_CONFLICT,
                             "the branch stands at %.12s, not at %.12s; look again", env->external,
                             commit);
    }
    json_t *event = sl_event("ExternalChange");
    sl_json_set_str(event, "env", env->name);
    sl_json_set_str(event, "expected", env->tip);
    sl_json_set_str(event, "found", env->external);
    sl_json_set_str(event, "policy", "adopt");
    sl_json_set_str(event, "by", in->person);
    sl_json_set_str(event, "reason", reason);
    sl_emit(c, event);
    return ok_body();
}

json_t *sl_verb_refresh(SlCoord *c, const SlCoordRequest *in, int *ret_status, GError **error)
{
    (void)ret_status;
    const char *repository = sl_json_str_or(in->args, "repository", "");
    const char *accept = sl_json_str(in->args, "accept");
    const SlSourceState *s = g_hash_table_lookup(c->sources, repository);
    if (accept != NULL) {
        if (s == NULL || s->rewound == NULL || strlen(accept) < 6 ||
            !g_str_has_prefix(s->rewound, accept)) {
            return sl_throw_null(error, SLU_CONFLICT, "the branch was not rewound to %.40s",
                                 accept);
        }
        if (strcmp(in->scope, "operate") != 0) {
            return sl_throw_null(error, SLU_SCOPE,
                                 "accepting a rewound branch needs scope operate");
        }
        json_t *event = sl_event("RewindAccepted");
        sl_json_set_str(event, "repository", repository);
        sl_json_set_str(event, "commit", s->rewound);
        sl_json_set_str(event, "by", in->person);
        sl_emit(c, event);
    }
    sl_brain_refresh(c, repository);
    return ok_body();
}
