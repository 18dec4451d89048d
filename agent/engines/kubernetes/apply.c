/* apply.c - an object is written by one server-side apply, none if it stands there as it is wanted.
 * The first time it is asked for before: what somebody else made is not touched without force. */
#include "agent/engines/kubernetes/kubernetes.h"
#include "kube/fields.h"

#include <string.h>

void sl_kube_apply_answer(Thing *thing, const GError *error)
{
    const SlEngineEvents *out = &thing->engine->events;
    const KubeOp *op = g_queue_peek_head(&thing->ops);
    SlEngineRef ref = sl_thing_ref(thing);
    if (op->type == KUBE_APPLY) {
        out->applied(out->user, &ref, op->digest, error);
    } else if (error != NULL && error->code != SLU_KUBE_NOT_FOUND) {
        sl_kube_say(thing, SL_HEALTH_UNKNOWN,
                    error->code == SLU_KUBE_EXISTS ? "NotOurs" : "Unreadable", error->message);
    } else if (error != NULL) {
        sl_kube_missing(thing, "it is not in the cluster");
    }
}

static void fail(Thing *thing, const GError *error)
{
    sl_kube_apply_answer(thing, error);
    sl_thing_next(thing);
}

/* ---- write ---- */

/* The object that people signed, with our mark and the label that watches select by. (transfer full) */
static json_t *body_of(const Thing *thing, const json_t *object, const char *namespace_)
{
    json_t *body = json_deep_copy(object);
    json_t *metadata = json_object_get(body, "metadata");
    static const char *const maps[] = {"labels", "annotations"};
    for (size_t i = 0; i < G_N_ELEMENTS(maps); i++) {
        if (!json_is_object(json_object_get(metadata, maps[i]))) {
            json_object_set_new(metadata, maps[i], json_object());
        }
    }
    g_autofree char *mark = sl_thing_mark(thing, namespace_);
    json_object_set_new(json_object_get(metadata, "labels"), SL_LABEL_APPLICATION,
                        json_string(thing->app));
    json_object_set_new(json_object_get(metadata, "annotations"), SL_KUBE_MARK, json_string(mark));
    (void)json_object_del(body, "status");
    return body;
}

static void written(const SlKubeAnswer *answer, const GError *error, void *user)
{
    Thing *thing = user;
    KubeOp *op = g_queue_peek_head(&thing->ops);
    thing->call = NULL;
    if (error != NULL) {
        g_clear_pointer(&thing->digest,
                        g_free); /* it may have come there: written anew next time */
        fail(thing, error);
        return;
    }
    g_free(thing->digest);
    thing->digest = g_strdup(op->digest);
    thing->drifted = false;
    sl_kube_written(thing, answer->json);
    sl_kube_apply_answer(thing, NULL);
    g_clear_pointer(&thing->said_reason, g_free); /* said again: the agent waits for it */
    sl_kube_look(thing, answer->json);
    sl_thing_next(thing);
}

static void write_object(Thing *thing, const SlKubeKind *kind, bool force)
{
    const KubeOp *op = g_queue_peek_head(&thing->ops);
    g_autoptr(GError) error = NULL;
    g_autofree char *path = sl_thing_path(thing, kind, &error);
    if (path == NULL) {
        fail(thing, error);
        return;
    }
    g_autofree char *target =
        g_strdup_printf("%s?fieldManager=" SL_KUBE_MANAGER "&fieldValidation=Strict&force=%s", path,
                        force ? "true" : "false");
    g_autoptr(json_t) body = body_of(thing, op->object, sl_thing_namespace(thing, kind));
    SlKubeRequest request = {.method = "PATCH",
                             .path = target,
                             .content_type = "application/apply-patch+yaml",
                             .body = body};
    thing->call = sl_kube_send(thing->engine->kube, &request, written, thing);
}

/* ---- whose is it? ---- */

/* NULL-safe: @object is what stands there. False: it is not ours to write. */
static bool check_owner(const Thing *thing, const KubeOp *op, const json_t *object, GError **error)
{
    switch (sl_thing_owner(thing, object)) {
    case KUBE_OURS:
        return true;
    case KUBE_OTHERS: {
        g_autofree char *mark =
            g_strdup(sl_object_annotation(object, SL_KUBE_MARK)); /* "CLUSTER/APP KIND ..." */
        mark[strcspn(mark, " ")] = '\0';
        return op->force ||
               sl_throw(error, SLU_KUBE_EXISTS,
                        "%s %s belongs to application %s: leave it in one of the two", thing->kind,
                        thing->name, strchr(mark, '/') != NULL ? strchr(mark, '/') + 1 : mark);
    }
    case KUBE_NOBODYS:
    default: {
        const char *other = sl_kube_fields_other(object, SL_KUBE_MANAGER);
        return op->force ||
               sl_throw(error, SLU_KUBE_EXISTS,
                        "%s %s is there already, written by %s: promote with --force-fields "
                        "to take it over",
                        thing->kind, thing->name, other[0] != '\0' ? other : "another");
    }
    }
}

static const SlKubeKind *kind_or_fail(Thing *thing)
{
    g_autoptr(GError) error = NULL;
    const SlKubeKind *kind = sl_thing_kind(thing, g_queue_peek_head(&thing->ops), &error);
    if (error != NULL) {
        fail(thing, error);
    }
    return kind;
}

static void found(const SlKubeAnswer *answer, const GError *problem, void *user)
{
    Thing *thing = user;
    KubeOp *op = g_queue_peek_head(&thing->ops);
    g_autoptr(GError) error = NULL;
    bool there = problem == NULL;
    thing->call = NULL;
    if (!there && (problem->code != SLU_KUBE_NOT_FOUND || op->type == KUBE_ADOPT)) {
        fail(thing, problem);
        return;
    }
    if (there && !check_owner(thing, op, answer->json, &error)) {
        fail(thing, error);
        return;
    }
    if (op->type == KUBE_ADOPT) {
        sl_kube_look(thing, answer->json);
        sl_thing_next(thing);
        return;
    }
    const SlKubeKind *kind = kind_or_fail(thing);
    if (kind != NULL) {
        write_object(thing, kind, op->force);
    }
}

static void look_first(Thing *thing, const SlKubeKind *kind)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = sl_thing_path(thing, kind, &error);
    if (path == NULL) {
        fail(thing, error);
        return;
    }
    SlKubeRequest request = {.method = "GET", .path = path};
    thing->call = sl_kube_send(thing->engine->kube, &request, found, thing);
}

/* ---- begin ---- */

static void adopt(Thing *thing, const KubeOp *op, const SlKubeKind *kind)
{
    g_free(thing->digest);
    thing->digest = g_strdup(op->digest);
    look_first(thing, kind);
}

void sl_kube_apply_begin(Thing *thing, KubeOp *op)
{
    const SlKubeKind *kind = kind_or_fail(thing);
    if (kind == NULL) {
        return;
    }
    sl_kube_watch_kind(thing->engine, kind);
    if (op->type == KUBE_ADOPT) {
        adopt(thing, op, kind);
    } else if (thing->uid == NULL) {
        look_first(thing, kind);
    } else if (thing->drifted || g_strcmp0(thing->digest, op->digest) != 0) {
        write_object(thing, kind, op->force || thing->drifted);
    } else {
        sl_kube_apply_answer(thing, NULL);
        g_autofree char *reason = g_steal_pointer(&thing->said_reason),
                        *message = g_steal_pointer(&thing->said_message);
        if (reason != NULL) {
            sl_kube_say(thing, thing->said, reason, message);
        }
        sl_thing_next(thing);
    }
}
