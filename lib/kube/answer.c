/* answer.c - HTTP status, content type and Kubernetes' Status object to one error code. Pure.
 *
 * "Not found" is believed only where an API server says it: the 404 page of some proxy must never
 * read as "the object is gone". "Immutable" only if every cause is of that sort: a caller may delete
 * and create on it. */
#include "kube/answer.h"

#include "base/text.h"
#include "kube/watchline.h"

#include <string.h>

#define MESSAGE_MAX 600
#define CAUSES_SHOWN 8
#define CAUSE_MAX 300

/* ---- causes ---- */

/* conflict with "kubectl-edit" with subresource "status" using apps/v1 */
static char *manager_of(const char *message)
{
    const char *quote = strstr(message, "conflict with \"");
    const char *start = quote != NULL ? strchr(quote, '"') + 1 : NULL;
    const char *end = start != NULL ? strchr(start, '"') : NULL;
    return end != NULL ? g_strndup(start, (gsize)(end - start)) : NULL;
}

bool sl_kube_cause(const json_t *status, size_t n, SlKubeCause *ret_cause)
{
    const json_t *cause = json_array_get(sl_json_at(status, "details.causes"), n);
    if (cause == NULL) {
        return false;
    }
    *ret_cause = (SlKubeCause){
        .field = sl_json_str_or(cause, "field", ""),
        .reason = sl_json_str_or(cause, "reason", ""),
        .message = sl_json_str_or(cause, "message", ""),
    };
    if (strcmp(ret_cause->reason, "FieldManagerConflict") == 0) {
        ret_cause->manager = manager_of(ret_cause->message);
    }
    return true;
}

void sl_kube_cause_clear(SlKubeCause *cause)
{
    g_clear_pointer(&cause->manager, g_free);
}

static bool has_cause(const json_t *status, const char *reason)
{
    SlKubeCause cause;
    bool found = false;
    for (size_t n = 0; !found && sl_kube_cause(status, n, &cause); n++) {
        found = strcmp(cause.reason, reason) == 0;
        sl_kube_cause_clear(&cause);
    }
    return found;
}

/* As the API server's own validation words it; the reason alone (FieldValueInvalid) says nothing. */
static bool is_immutable(const SlKubeCause *cause)
{
    static const char *const phrases[] = {
        "field is immutable",          "is immutable after creation",      "Value is immutable",
        "updates to statefulset spec", "may not change fields other than", "cannot change roleRef",
        "may not change once set",     "may not be changed once set",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(phrases); i++) {
        if (strstr(cause->message, phrases[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static bool all_immutable(const json_t *status)
{
    SlKubeCause cause;
    size_t n = 0;
    for (bool all = true; all && sl_kube_cause(status, n, &cause); n++) {
        all = is_immutable(&cause);
        sl_kube_cause_clear(&cause);
        if (!all) {
            return false;
        }
    }
    return n > 0;
}

/* ---- codes ---- */

static SlErrorCode code_of_reason(int code, const json_t *status)
{
    const char *reason = sl_json_str_or(status, "reason", "");
    switch (code) {
    case 401:
        return SLU_KUBE_UNAUTHORIZED;
    case 403:
        return has_cause(status, "NamespaceTerminating") ? SLU_KUBE_TERMINATING
                                                         : SLU_KUBE_FORBIDDEN;
    case 404:
        return sl_json_str(status, "details.name") != NULL ? SLU_KUBE_NOT_FOUND : SLU_KUBE_NO_KIND;
    case 409:
        return strcmp(reason, "AlreadyExists") == 0 ? SLU_KUBE_EXISTS : SLU_KUBE_CONFLICT;
    case 410:
        return SLU_KUBE_GONE;
    case 413:
        return SLU_KUBE_TOO_LARGE;
    case 422:
        return all_immutable(status) ? SLU_KUBE_IMMUTABLE : SLU_KUBE_INVALID;
    case 429:
        return SLU_KUBE_THROTTLED;
    default:
        return code >= 500 || code == 408 ? SLU_KUBE_SERVER : SLU_KUBE_REFUSED;
    }
}

static void add_causes(GString *text, const json_t *status)
{
    SlKubeCause cause;
    for (size_t n = 0; n < CAUSES_SHOWN && sl_kube_cause(status, n, &cause); n++) {
        g_autofree char *field = sl_escape_for_people(cause.field, CAUSE_MAX);
        g_autofree char *message = sl_escape_for_people(cause.message, CAUSE_MAX);
        g_string_append_printf(text, "; %s: %s", field, message);
        sl_kube_cause_clear(&cause);
    }
}

bool sl_kube_throw_status(GError **error, int code, const json_t *status, const char *what)
{
    g_autofree char *said =
        sl_escape_for_people(sl_json_str_or(status, "message", ""), MESSAGE_MAX);
    g_autoptr(GString) causes = g_string_new(NULL);
    add_causes(causes, status);
    return sl_throw(error, code_of_reason(code, status), "%s: %d %s%s", what, code, said,
                    causes->str);
}

/* ---- answers ---- */

static bool is_type(const SlKubeRawAnswer *raw, const char *type)
{
    size_t len = strlen(type);
    return raw->content_type != NULL && g_ascii_strncasecmp(raw->content_type, type, len) == 0 &&
           (raw->content_type[len] == '\0' || strchr("; ", raw->content_type[len]) != NULL);
}

static char *snippet(const SlKubeRawAnswer *raw)
{
    g_autofree char *text = g_strndup(raw->len > 0 ? raw->bytes : "", MIN(raw->len, 120));
    return sl_escape_for_people(text, 120);
}

/* Text of the server's own filters, before there is a Status: only classes that harm nothing when a
 * proxy said them. */
static bool throw_text(GError **error, const SlKubeRawAnswer *raw, const char *what)
{
    g_autofree char *said = snippet(raw);
    bool no_path = raw->status == 404 && is_type(raw, "text/plain") &&
                   strncmp(said, "404 page not found", 18) == 0;
    bool class_stands = raw->status == 401 || raw->status == 403 || raw->status == 413 ||
                        raw->status == 429 || raw->status >= 500;
    if ((class_stands && !is_type(raw, "text/html")) || no_path || raw->status >= 500) {
        return sl_throw(error, code_of_reason(raw->status, NULL), "%s: %d %s", what, raw->status,
                        said);
    }
    g_autofree char *type = sl_escape_for_people(
        raw->content_type != NULL ? raw->content_type : "no content type", 100);
    return sl_throw(error, SLU_KUBE_ANSWER, "%s: %d with %s where an API server sends JSON: %s",
                    what, raw->status, type, said);
}

json_t *sl_kube_answer_parse(const SlKubeRawAnswer *raw, const char *what, json_t **ret_status,
                             GError **error)
{
    if (raw->status == 304) {
        return json_object();
    }
    if (!is_type(raw, "application/json")) {
        throw_text(error, raw, what);
        return NULL;
    }
    SlJsonLimits limits = sl_kube_json_limits(raw->max);
    g_autoptr(GError) problem = NULL;
    g_autoptr(json_t) tree =
        sl_json_parse(raw->len > 0 ? raw->bytes : "", raw->len, &limits, what, &problem);
    bool is_status = g_strcmp0(sl_json_str(tree, "kind"), "Status") == 0;
    if (tree == NULL || !json_is_object(tree) || (raw->status >= 300 && !is_status)) {
        bool limit = problem != NULL && problem->code == SLU_LIMIT;
        return sl_throw_null(error, limit ? SLU_LIMIT : SLU_KUBE_ANSWER, "%s: %d with %s", what,
                             raw->status, problem != NULL ? problem->message : "no Status object");
    }
    if (raw->status >= 300 || raw->status < 200) {
        sl_kube_throw_status(error, raw->status, tree, what);
        if (ret_status != NULL) {
            *ret_status = g_steal_pointer(&tree);
        }
        return NULL;
    }
    return g_steal_pointer(&tree);
}
