/* watches.c - a watch per kind in use, in the whole cluster or in each namespace of the
 * configuration, of objects with our label. */
#include "agent/engines/kubernetes/kubernetes.h"

#include <string.h>

struct KindWatch {
    SlEngine *engine;
    char *kind; /* "apps/Deployment", as the agent names it */
    SlKubeWatch *watch;
};

static void watch_free(void *data)
{
    KindWatch *watch = data;
    sl_kube_watch_free(watch->watch);
    g_free(watch->kind);
    g_free(watch);
}

static Thing *thing_at(const KindWatch *watch, const char *app, const char *namespace_,
                       const char *name)
{
    const char *const places[] = {namespace_[0] != '\0' ? namespace_ : "-", "-"};
    Thing *thing = NULL;
    for (size_t i = 0; thing == NULL && i < G_N_ELEMENTS(places); i++) {
        g_autofree char *key = sl_thing_key(app, watch->kind, places[i], name);
        thing = g_hash_table_lookup(watch->engine->things, key);
        /* "-" is the default namespace, not this name in every namespace. */
        if (thing != NULL && i > 0 && namespace_[0] != '\0' &&
            strcmp(namespace_, sl_kube_namespace(watch->engine->kube)) != 0) {
            thing = NULL;
        }
    }
    return thing;
}

static void seen(const json_t *object, void *user)
{
    const KindWatch *watch = user;
    json_t *labels = sl_json_at(object, "metadata.labels");
    const char *app = json_string_value(json_object_get(labels, SL_LABEL_APPLICATION));
    Thing *thing = app != NULL
                       ? thing_at(watch, app, sl_json_str_or(object, "metadata.namespace", ""),
                                  sl_json_str_or(object, "metadata.name", ""))
                       : NULL;
    if (thing != NULL) {
        sl_kube_watched(thing, object);
    }
}

/* Its label may have been taken away instead: whoever applies it again sees what stands there. */
static void gone(const char *namespace_, const char *name, const char *uid, void *user)
{
    const KindWatch *watch = user;
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, watch->engine->things);
    (void)namespace_;
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Thing *thing = value;
        if (strcmp(thing->kind, watch->kind) != 0 || strcmp(thing->name, name) != 0 ||
            g_strcmp0(thing->uid, uid) != 0) {
            continue;
        }
        const KubeOp *op = g_queue_peek_head(&thing->ops);
        if (op == NULL) {
            sl_kube_missing(thing, "it was deleted");
        } else if (op->type == KUBE_REMOVE && thing->call == NULL) {
            sl_timer_arm(thing->timer, 0);
        }
        return;
    }
}

static void synced(void *user)
{
    (void)user; /* what is not there, gone() has said */
}

static void problem(const GError *error, void *user)
{
    const KindWatch *watch = user;
    sl_log(watch->engine->log, SL_LOG_WARNING, "kube-watch", "kind", watch->kind, "message",
           error->message, NULL);
}

static KindWatch *watch_new(SlEngine *engine, const SlKubeKind *kind, const char *namespace_)
{
    static const SlKubeWatchEvents events = {seen, gone, synced, problem};
    g_autofree char *path = sl_kube_path(kind, namespace_, NULL, NULL, NULL);
    if (path == NULL) {
        return NULL;
    }
    KindWatch *watch = g_new0(KindWatch, 1);
    watch->engine = engine;
    watch->kind =
        g_strdup_printf("%s/%s", kind->group[0] != '\0' ? kind->group : "core", kind->kind);
    SlKubeWatchHow how = {.path = path, .selector = SL_LABEL_APPLICATION};
    watch->watch = sl_kube_watch_new(engine->kube, &how, &events, watch);
    return watch;
}

void sl_kube_watch_kind(SlEngine *engine, const SlKubeKind *kind)
{
    unsigned needs = SL_KUBE_LIST | SL_KUBE_WATCH;
    g_autofree char *key = g_strdup_printf("%s/%s/%s", kind->group, kind->version, kind->kind);
    if (g_hash_table_contains(engine->kinds, key) || (kind->verbs & needs) != needs) {
        return;
    }
    GPtrArray *watches = g_ptr_array_new_with_free_func(watch_free);
    g_hash_table_insert(engine->kinds, g_steal_pointer(&key), watches);
    if (engine->namespaces == NULL || !kind->namespaced) {
        KindWatch *watch = watch_new(engine, kind, NULL);
        if (watch != NULL) {
            g_ptr_array_add(watches, watch);
        }
        return;
    }
    for (char **each = engine->namespaces; *each != NULL; each++) {
        KindWatch *watch = watch_new(engine, kind, *each);
        if (watch != NULL) {
            g_ptr_array_add(watches, watch);
        }
    }
}

GHashTable *sl_kube_watches_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                 (GDestroyNotify)g_ptr_array_unref);
}
