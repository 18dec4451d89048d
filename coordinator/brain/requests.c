/* requests.c - the verbs of POST /v1/actions: scope, shape, then one function each. What was
 * answered to an idempotency key is answered again for a day, also after a restart. */
#include "coordinator/brain/verbs.h"
#include <string.h>

static const struct {
    const char *verb;
    SlVerb *act;
    const char *scope;
    bool secret;      /* the answer is shown once: it never enters the ledger */
    const char *args; /* words that it knows: a misspelt one must not mean something else */
} verbs[] = {
    {"promote", sl_verb_promote, "request", false,
     "app env release reason allowPrune disrupt forceFields privileged"},
    {"rollback", sl_verb_rollback, "request", false, "app env to reason"},
    {"redeploy", sl_verb_redeploy, "request", false, "app env reason allowPrune disrupt"},
    {"remove", sl_verb_remove, "request", false, "app env reason allowPrune disrupt"},
    {"approve", sl_verb_approve, "request", false, "attempt signature"},
    {"reject", sl_verb_reject, "request", false, "attempt reason"},
    {"abort", sl_verb_abort, "operate", false, "attempt reason"},
    {"pin", sl_verb_pin, "operate", false, "app env reason"},
    {"unpin", sl_verb_unpin, "operate", false, "app env reason"},
    {"veto", sl_verb_veto, "operate", false, "app env release reason"},
    {"unveto", sl_verb_unveto, "operate", false, "app env release reason"},
    {"adopt", sl_verb_adopt, "operate", false, "env commit reason"},
    {"order-draft", sl_verb_order_draft, "request", true,
     "act app env job run again cluster expires reason"},
    {"order", sl_verb_order, "request", false, "text signature sigs"},
    {"refresh", sl_verb_refresh, "request", false, "repository accept"},
    {"cluster-add", sl_verb_cluster_add, "operate", true, "name env labels lifetime"},
    {"registry-draft", sl_verb_registry_draft, "operate", true, "env"},
    {"registry", sl_verb_registry, "operate", false, "text signature sigs"},
    {"cluster-remove", sl_verb_cluster_remove, "operate", false, "name reason"},
    {"root", sl_verb_root, "operate", false, "text signature sigs"},
    {"token-create", sl_verb_token_create, "operate", true, "person scope lifetime"},
    {"token-revoke", sl_verb_token_revoke, "operate", false, "id"},
};

static int rank(const char *scope)
{
    static const char *const scopes[] = {"view", "request", "operate"};
    for (int i = 0; i < 3; i++) {
        if (g_strcmp0(scope, scopes[i]) == 0) {
            return i;
        }
    }
    return -1;
}

static void reply(SlCoord *c, const SlCoordRequest *in, int status, json_t *body /* consumed */)
{
    SlCoordEffect *effect = sl_effect(c, SL_COORD_DO_REPLY);
    effect->id = g_strdup(in->id);
    effect->status = status;
    effect->body = body;
}

static void reply_error(SlCoord *c, const SlCoordRequest *in, const GError *error)
{
    json_t *body = json_object(), *what = json_object();
    const SlErrorInfo *info = sl_error_info(error->code);
    g_autofree char *code = g_strdup_printf("SLU%d", error->code);
    g_autofree char *message = sl_escape_for_people(error->message, 4000);
    sl_json_set_str(what, "code", code);
    sl_json_set_str(what, "class", sl_error_class_name(info->error_class));
    sl_json_set_str(what, "message", message);
    sl_json_set_str(what, "advice", info->advice);
    json_object_set_new(body, "error", what);
    reply(c, in, sl_error_http_status(info->error_class), body);
}

static char *request_digest(const SlCoordRequest *in)
{
    g_autoptr(json_t) both = json_object();
    sl_json_set_str(both, "verb", in->verb);
    json_object_set(both, "args", (json_t *)(uintptr_t)in->args);
    g_autofree char *text = sl_json_canonical(both, NULL);
    return text != NULL ? sl_sha256_hex(text, strlen(text)) : g_strdup("-");
}

/* true: it was answered before, and is answered now. */
static bool answered_before(SlCoord *c, const SlCoordRequest *in, const char *digest)
{
    if (in->idempotency_key == NULL) {
        return false;
    }
    g_autofree char *key = g_strdup_printf("%s %s", in->person, in->idempotency_key);
    const SlAnswer *answer = g_hash_table_lookup(c->answers, key);
    if (answer == NULL || answer->at_us + SL_DAY_US <= c->now_us) {
        return false;
    }
    if (strcmp(answer->digest, digest) != 0) {
        g_autoptr(GError) error = NULL;
        (void)sl_throw(&error, SLU_CONFLICT, "Idempotency-Key %s was used for another request",
                       in->idempotency_key);
        reply_error(c, in, error);
    } else {
        reply(c, in, answer->status, json_deep_copy(answer->body));
    }
    return true;
}

static void remember(SlCoord *c, const SlCoordRequest *in, const char *digest, int status,
                     const json_t *body)
{
    if (in->idempotency_key == NULL || g_hash_table_size(c->answers) >= SL_ANSWERS_MAX) {
        return;
    }
    json_t *event = sl_event("Answered");
    sl_json_set_str(event, "key", in->idempotency_key);
    sl_json_set_str(event, "person", in->person);
    sl_json_set_str(event, "request", digest);
    sl_json_set_int(event, "status", status);
    json_object_set(event, "body", (json_t *)(uintptr_t)body);
    sl_emit(c, event);
}

static bool check_key(const SlCoordRequest *in, GError **error)
{
    size_t len = in->idempotency_key != NULL ? strlen(in->idempotency_key) : 1;
    if (len == 0 || len > 200 ||
        (in->idempotency_key != NULL && !sl_is_clean_utf8(in->idempotency_key, len, false))) {
        return sl_throw(error, SLU_INVALID, "Idempotency-Key: 1 to 200 bytes of text");
    }
    return true;
}

static bool check_args(const SlCoordRequest *in, const char *known, GError **error)
{
    g_auto(GStrv) words = g_strsplit(known, " ", -1);
    const char *key;
    json_t *value;
    if (in->args != NULL && !json_is_object(in->args)) {
        return sl_throw(error, SLU_INVALID, "args: must be an object");
    }
    json_object_foreach((json_t *)(uintptr_t)in->args, key, value)
    {
        if (!g_strv_contains((const char *const *)words, key)) {
            g_autofree char *shown = sl_escape_for_people(key, 64);
            return sl_throw(error, SLU_INVALID, "args: %s does not know `%s`; it takes %s",
                            in->verb, shown, known);
        }
    }
    return true;
}

static bool perform(SlCoord *c, const SlCoordRequest *in, size_t i, const char *digest,
                    GError **error)
{
    if (rank(in->scope) < rank(verbs[i].scope)) {
        return sl_throw(error, SLU_SCOPE, "%s needs scope %s; this token has %s", in->verb,
                        verbs[i].scope, in->scope);
    }
    if (!check_args(in, verbs[i].args, error)) {
        return false;
    }
    int status = 200;
    json_t *body = verbs[i].act(c, in, &status, error);
    if (body == NULL) {
        return false;
    }
    if (!verbs[i].secret) {
        remember(c, in, digest, status, body);
    }
    reply(c, in, status, body);
    return true;
}

void sl_brain_handle_request(SlCoord *c, const SlCoordRequest *in)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *digest = request_digest(in);
    if (!check_key(in, &error)) {
        reply_error(c, in, error);
        return;
    }
    if (answered_before(c, in, digest)) {
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
        if (g_strcmp0(verbs[i].verb, in->verb) == 0) {
            if (!perform(c, in, i, digest, &error)) {
                reply_error(c, in, error);
            }
            return;
        }
    }
    (void)sl_throw(&error, SLU_VERB_UNKNOWN, "there is no action %s",
                   in->verb != NULL ? in->verb : "(none)");
    reply_error(c, in, error);
}
