/* things.c - what this agent was told about one object: its operations, one after the other. */
#include "agent/engines/kubernetes/kubernetes.h"

#include <string.h>

char *sl_thing_key(const char *app, const char *kind, const char *namespace_, const char *name)
{
    return g_strdup_printf("%s %s %s %s", app, kind, namespace_, name);
}

SlEngineRef sl_thing_ref(const Thing *thing)
{
    return (SlEngineRef){thing->app, thing->kind, thing->namespace_, thing->name};
}

static void op_free(void *data)
{
    KubeOp *op = data;
    json_decref(op->object);
    g_free(op->digest);
    g_free(op);
}

void sl_thing_free(void *data)
{
    Thing *thing = data;
    (void)g_ptr_array_remove(thing->engine->waiting, thing);
    sl_kube_cancel(thing->call);
    sl_timer_free(thing->timer);
    g_queue_clear_full(&thing->ops, op_free);
    json_decref(thing->object);
    json_decref(thing->ahead);
    g_free(thing->app);
    g_free(thing->kind);
    g_free(thing->namespace_);
    g_free(thing->name);
    g_free(thing->group);
    g_free(thing->version);
    g_free(thing->kind_name);
    g_free(thing->digest);
    g_free(thing->uid);
    g_free(thing->fields);
    g_free(thing->said_reason);
    g_free(thing->said_message);
    g_free(thing);
}

static KubeOp *head(const Thing *thing)
{
    return g_queue_peek_head((GQueue *)(uintptr_t)&thing->ops);
}

static void time_has_come(void *user)
{
    Thing *thing = user;
    const KubeOp *op = head(thing);
    if (op != NULL && op->type == KUBE_REMOVE) {
        sl_kube_remove_look(thing);
    } else {
        sl_kube_look_again(thing);
    }
}

Thing *sl_thing_of(SlEngine *engine, const SlEngineRef *ref)
{
    g_autofree char *key = sl_thing_key(ref->app, ref->kind, ref->namespace_, ref->name);
    Thing *thing = g_hash_table_lookup(engine->things, key);
    if (thing == NULL) {
        thing = g_new0(Thing, 1);
        thing->engine = engine;
        thing->app = g_strdup(ref->app);
        thing->kind = g_strdup(ref->kind);
        thing->namespace_ = g_strdup(ref->namespace_);
        thing->name = g_strdup(ref->name);
        thing->timer = sl_timer_new(engine->loop, time_has_come, thing);
        g_queue_init(&thing->ops);
        g_hash_table_insert(engine->things, g_steal_pointer(&key), thing);
    }
    return thing;
}

/* ---- operations ---- */

static void begin(Thing *thing)
{
    KubeOp *op = head(thing);
    if (op->object != NULL) {
        const char *api = sl_json_str_or(op->object, "apiVersion", "");
        const char *slash = strchr(api, '/');
        g_free(thing->group);
        g_free(thing->version);
        g_free(thing->kind_name);
        thing->group = slash != NULL ? g_strndup(api, (size_t)(slash - api)) : g_strdup("");
        thing->version = g_strdup(slash != NULL ? slash + 1 : api);
        thing->kind_name = g_strdup(sl_json_str_or(op->object, "kind", ""));
    }
    if (thing->kind_name == NULL) { /* removed, and never applied or adopted in this life */
        const char *slash = strchr(thing->kind, '/');
        thing->group = g_strndup(thing->kind, (size_t)(slash - thing->kind));
        thing->kind_name = g_strdup(slash + 1);
        if (strcmp(thing->group, "core") == 0) {
            thing->group[0] = '\0';
        }
    }
    if (op->type == KUBE_REMOVE) {
        sl_kube_remove_begin(thing, op);
    } else {
        sl_kube_apply_begin(thing, op);
    }
}

void sl_thing_add(Thing *thing, KubeOp *op)
{
    g_queue_push_tail(&thing->ops, op);
    if (thing->ops.length == 1) {
        begin(thing);
    }
}

void sl_thing_next(Thing *thing)
{
    KubeOp *op = g_queue_pop_head(&thing->ops);
    bool gone = op->type == KUBE_REMOVE && thing->uid == NULL;
    op_free(op);
    if (!g_queue_is_empty(&thing->ops)) {
        begin(thing);
    } else if (gone) {
        g_autofree char *key =
            sl_thing_key(thing->app, thing->kind, thing->namespace_, thing->name);
        g_hash_table_remove(thing->engine->things, key);
    } else {
        sl_kube_look_ahead(thing);
    }
}

/* ---- its kind and place ---- */

static void discovered(const GError *error, void *user)
{
    SlEngine *engine = user;
    g_autoptr(GPtrArray) waiting = engine->waiting;
    engine->waiting = g_ptr_array_new();
    if (error != NULL) {
        sl_log_error(engine->log, "kube-discovery", error);
    }
    for (guint i = 0; i < waiting->len; i++) {
        Thing *thing = waiting->pdata[i];
        head(thing)->refreshed = true;
        begin(thing);
    }
}

const SlKubeKind *sl_thing_kind(Thing *thing, KubeOp *op, GError **error)
{
    SlEngine *engine = thing->engine;
    const SlKubeKind *kind = NULL;
    SlKubeFound found = sl_kube_discovery_find(engine->discovery, thing->group, thing->version,
                                               thing->kind_name, &kind);
    if (found == SL_KUBE_PRESENT) {
        return kind;
    }
    if (!op->refreshed) {
        g_ptr_array_add(engine->waiting, thing);
        if (engine->waiting->len == 1) {
            sl_kube_discovery_refresh(engine->discovery, discovered, engine);
        }
        return NULL;
    }
    const char *slash = thing->group[0] != '\0' ? "/" : "";
    return sl_throw_null(
        error, found == SL_KUBE_UNKNOWN ? SLU_KUBE_UNREACHABLE : SLU_KUBE_NO_KIND, "%s%s%s %s: %s",
        thing->group, slash, thing->version != NULL ? thing->version : "*", thing->kind_name,
        found == SL_KUBE_UNKNOWN ? "the API server can't say whether it serves this kind"
                                 : "the API server does not serve this kind (yet)");
}

const char *sl_thing_namespace(const Thing *thing, const SlKubeKind *kind)
{
    return !kind->namespaced                     ? ""
           : strcmp(thing->namespace_, "-") != 0 ? thing->namespace_
                                                 : sl_kube_namespace(thing->engine->kube);
}

char *sl_thing_path(const Thing *thing, const SlKubeKind *kind, GError **error)
{
    return sl_kube_path(kind, sl_thing_namespace(thing, kind), thing->name, NULL, error);
}

/* ---- whose is it? ---- */

char *sl_thing_mark(const Thing *thing, const char *namespace_)
{
    return g_strdup_printf("%s/%s %s %s/%s", thing->engine->cluster, thing->app, thing->kind,
                           namespace_, thing->name);
}

KubeOwner sl_thing_owner(const Thing *thing, const json_t *object)
{
    const char *said = sl_object_annotation(object, SL_KUBE_MARK);
    if (said == NULL) {
        return KUBE_NOBODYS;
    }
    g_autofree char *mark = sl_thing_mark(thing, sl_json_str_or(object, "metadata.namespace", ""));
    if (strcmp(said, mark) == 0) {
        return KUBE_OURS;
    }
    /* A copy of something: its mark is about another object. */
    const char *place = strchr(said, ' '), *own = strchr(mark, ' ');
    return g_strcmp0(place, own) == 0 ? KUBE_OTHERS : KUBE_NOBODYS;
}
