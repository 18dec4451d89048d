/* remove.c - an object that is ours is deleted by its uid; then it is looked at until it is gone. What
 * is not ours (any more) stays, and counts as gone. */
#include "agent/engines/kubernetes/kubernetes.h"
#include "kube/retry.h"

#include <string.h>

static void over(Thing *thing, const GError *error)
{
    const SlEngineEvents *out = &thing->engine->events;
    SlEngineRef ref = sl_thing_ref(thing);
    sl_timer_arm(thing->timer, -1);
    thing->tries = 0;
    if (error == NULL) {
        g_clear_pointer(&thing->uid, g_free);
        g_clear_pointer(&thing->digest, g_free);
        g_clear_pointer(&thing->object, json_decref);
    }
    out->removed(out->user, &ref, error);
    sl_thing_next(thing);
}

/* Names of what keeps it: "a, b". (transfer full) */
static char *finalizers(const json_t *object)
{
    g_autoptr(GString) names = g_string_new(NULL);
    size_t i;
    json_t *name;
    json_array_foreach (sl_json_at(object, "metadata.finalizers"), i, name) {
        const char *text = json_string_value(name);
        g_string_append_printf(names, "%s%s", names->len > 0 ? ", " : "",
                               text != NULL ? text : "?");
    }
    return g_string_free(g_steal_pointer(&names), FALSE);
}

static bool is_kept_always(const Thing *thing)
{
    return strcmp(thing->kind, "core/Namespace") == 0 &&
           (strcmp(thing->name, "default") == 0 || g_str_has_prefix(thing->name, "kube-"));
}

static void deleted(const SlKubeAnswer *answer, const GError *error, void *user)
{
    Thing *thing = user;
    (void)answer;
    thing->call = NULL;
    if (error != NULL && error->code != SLU_KUBE_NOT_FOUND && error->code != SLU_KUBE_CONFLICT) {
        over(thing, error);
        return;
    }
    sl_timer_arm(thing->timer, 0); /* a conflict: it is another one now */
}

static void delete_object(Thing *thing, const char *path, const json_t *object)
{
    g_free(thing->uid);
    thing->uid = g_strdup(sl_json_str_or(object, "metadata.uid", ""));
    g_autoptr(json_t) body =
        json_pack("{s:s,s:s,s:s,s:{s:s}}", "apiVersion", "v1", "kind", "DeleteOptions",
                  "propagationPolicy", "Background", "preconditions", "uid", thing->uid);
    SlKubeRequest request = {.method = "DELETE", .path = path, .body = body};
    thing->call = sl_kube_send(thing->engine->kube, &request, deleted, thing);
}

static char *path_of(Thing *thing, GError **error)
{
    const SlKubeKind *kind = sl_thing_kind(thing, g_queue_peek_head(&thing->ops), error);
    return kind != NULL ? sl_thing_path(thing, kind, error) : NULL;
}

static void looked(const SlKubeAnswer *answer, const GError *problem, void *user)
{
    Thing *thing = user;
    thing->call = NULL;
    if (problem != NULL) {
        bool gone = problem->code == SLU_KUBE_NOT_FOUND || problem->code == SLU_KUBE_NO_KIND;
        over(thing, gone ? NULL : problem);
        return;
    }
    if (sl_thing_owner(thing, answer->json) != KUBE_OURS) {
        sl_log(thing->engine->log, SL_LOG_WARNING, "kube-not-ours", "kind", thing->kind, "name",
               thing->name, "application", thing->app, NULL);
        over(thing, NULL);
        return;
    }
    if (sl_json_str(answer->json, "metadata.deletionTimestamp") != NULL) {
        g_autofree char *names = finalizers(answer->json);
        g_autofree char *message =
            g_strdup_printf("is being deleted%s%s", names[0] != '\0' ? "; waits for " : "", names);
        sl_kube_say(thing, SL_HEALTH_PROGRESSING, "Terminating", message);
        sl_timer_arm(thing->timer, sl_kube_backoff_us(++thing->tries, 0));
        return;
    }
    g_autoptr(GError) error = NULL;
    g_autofree char *path = path_of(thing, &error);
    if (path != NULL) {
        delete_object(thing, path, answer->json);
    } else if (error != NULL) {
        over(thing, error);
    }
}

void sl_kube_remove_look(Thing *thing)
{
    if (thing->call != NULL) {
        return; /* it is being looked at */
    }
    g_autoptr(GError) error = NULL;
    g_autofree char *path = path_of(thing, &error);
    if (path == NULL) {
        if (error != NULL) {
            over(thing, error->code == SLU_KUBE_NO_KIND ? NULL : error);
        }
        return;
    }
    SlKubeRequest request = {.method = "GET", .path = path};
    thing->call = sl_kube_send(thing->engine->kube, &request, looked, thing);
}

void sl_kube_remove_begin(Thing *thing, KubeOp *op)
{
    (void)op;
    g_autoptr(GError) error = NULL;
    sl_timer_arm(thing->timer, -1); /* of its health until now */
    if (is_kept_always(thing)) {
        (void)sl_throw(&error, SLU_KUBE_REFUSED, "Namespace %s is never deleted", thing->name);
        over(thing, error);
    } else {
        sl_kube_remove_look(thing);
    }
}
