/* kubernetes.c - the engine `kubernetes`: any object, by server-side apply at one API server; watched
 * for drift and health. It starts no runs yet: a TrainingJob is refused as a kind that is not
 * supported. */
#include "agent/engines/kubernetes/kubernetes.h"

#include "base/text.h"
#include <string.h>

#define DOCTOR_US (5 * SL_SECOND_US)

static bool kubernetes_can_apply(const char *kind)
{
    return !g_str_has_prefix(kind, SL_API_GROUP "/");
}

/* ---- options ---- */

static bool check_options(const json_t *options, GError **error)
{
    static const char *const known[] = {"kubeconfig", "context", "namespaces", "secrets", NULL};
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)options, key, value) {
        const char *near = sl_nearest(key, known);
        if (!g_strv_contains(known, key)) {
            return sl_throw(error, SLU_AGENT_CONFIG, "engines.kubernetes.%s: unknown key%s%s%s",
                            key, near != NULL ? "; did you mean `" : "", near != NULL ? near : "",
                            near != NULL ? "`?" : "");
        }
        if (!json_is_string(value) && strcmp(key, "secrets") != 0) { /* those are of every engine */
            return sl_throw(error, SLU_AGENT_CONFIG, "engines.kubernetes.%s: must be text", key);
        }
    }
    return true;
}

/* "team-a,team-b"; NULL without error = all. (transfer full) */
static bool read_namespaces(const json_t *options, char ***ret_namespaces, GError **error)
{
    const char *text = sl_json_str(options, "namespaces");
    *ret_namespaces = NULL;
    if (text == NULL) {
        return true;
    }
    g_auto(GStrv) names = g_strsplit(text, ",", SL_KUBE_NAMESPACES_MAX + 1);
    unsigned n = g_strv_length(names);
    for (unsigned i = 0; i < n; i++) {
        if (!sl_is_name(g_strstrip(names[i])) || n > SL_KUBE_NAMESPACES_MAX) {
            return sl_throw(error, SLU_AGENT_CONFIG,
                            "engines.kubernetes.namespaces: at most %d names with commas between "
                            "them, not `%s`",
                            SL_KUBE_NAMESPACES_MAX, text);
        }
    }
    *ret_namespaces = g_steal_pointer(&names);
    return true;
}

static SlKubeConfig *connection_of(const json_t *options, GError **error)
{
    const char *path = sl_json_str(options, "kubeconfig");
    return path != NULL
               ? sl_kube_config_load(path, sl_json_str(options, "context"), error)
               : sl_kube_config_of_pod(SL_KUBE_ACCOUNT_FOLDER, g_getenv("KUBERNETES_SERVICE_HOST"),
                                       g_getenv("KUBERNETES_SERVICE_PORT"), error);
}

/* ---- life ---- */

static void kubernetes_close(SlEngine *engine)
{
    if (engine->things != NULL) {
        g_hash_table_unref(engine->things);
    }
    if (engine->kinds != NULL) {
        g_hash_table_unref(engine->kinds); /* its watches */
    }
    if (engine->discovery != NULL) {
        sl_kube_discovery_free(engine->discovery);
    }
    if (engine->kube != NULL) {
        sl_kube_free(engine->kube);
    }
    sl_event_queue_free(engine->queue);
    g_clear_pointer(&engine->waiting, g_ptr_array_unref);
    g_strfreev(engine->namespaces);
    g_free(engine->cluster);
    g_free(engine);
}

static SlEngine *kubernetes_open(const SlEngineConfig *config, GError **error)
{
    SlEngine *engine = g_new0(SlEngine, 1);
    engine->loop = config->loop;
    engine->log = config->log;
    engine->clock = config->clock;
    engine->blob = config->blob;
    engine->blob_user = config->blob_user;
    engine->cluster = g_strdup(config->cluster);
    SlKubeConfig *connection = check_options(config->options, error) &&
                                       read_namespaces(config->options, &engine->namespaces, error)
                                   ? connection_of(config->options, error)
                                   : NULL;
    if (connection == NULL) {
        kubernetes_close(engine);
        return NULL;
    }
    engine->queue = sl_event_queue_new(config->loop, config->events);
    engine->events = sl_event_queue_in(engine->queue);
    engine->kube = sl_kube_new(config->loop, connection);
    engine->discovery = sl_kube_discovery_new(engine->kube);
    engine->waiting = g_ptr_array_new();
    engine->things = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, sl_thing_free);
    engine->kinds = sl_kube_watches_new();
    return engine;
}

/* ---- objects ---- */

static void add_op(SlEngine *engine, KubeOpType type, const SlEngineApply *what)
{
    KubeOp *op = g_new0(KubeOp, 1);
    op->type = type;
    op->object = json_deep_copy(what->object);
    op->digest = g_strdup(what->digest);
    op->force = what->force;
    sl_thing_add(sl_thing_of(engine, &what->ref), op);
}

static void kubernetes_apply(SlEngine *engine, const SlEngineApply *what)
{
    if (kubernetes_can_apply(what->ref.kind)) {
        add_op(engine, KUBE_APPLY, what);
        return;
    }
    g_autoptr(GError) error = NULL;
    (void)sl_throw(&error, SLU_KIND_UNSUPPORTED,
                   "%s %s: the engine `kubernetes` does not apply this kind", what->ref.kind,
                   what->ref.name);
    engine->events.applied(engine->events.user, &what->ref, what->digest, error);
}

static void kubernetes_adopt(SlEngine *engine, const SlEngineApply *what)
{
    if (kubernetes_can_apply(what->ref.kind)) {
        add_op(engine, KUBE_ADOPT, what);
    }
}

static void kubernetes_remove(SlEngine *engine, const SlEngineRef *ref)
{
    if (!kubernetes_can_apply(ref->kind)) {
        engine->events.removed(engine->events.user, ref, NULL);
        return;
    }
    KubeOp *op = g_new0(KubeOp, 1);
    op->type = KUBE_REMOVE;
    sl_thing_add(sl_thing_of(engine, ref), op);
}

/* ---- runs ---- */

static void kubernetes_run_start(SlEngine *engine, const SlEngineRun *run)
{
    g_autoptr(json_t) end = sl_engine_lost_end(engine->clock->utc_us(engine->clock->user));
    sl_json_set_str(end, "reason", "Unsupported");
    sl_json_set_str(end, "message", "the engine `kubernetes` starts no runs yet");
    engine->events.run_ended(engine->events.user, run->run_id, end);
}

static void kubernetes_run_stop(SlEngine *engine, const char *run_id, const char *reason)
{
    (void)engine;
    (void)run_id;
    (void)reason;
}

static void kubernetes_run_adopt(SlEngine *engine, const char *run_id)
{
    g_autoptr(json_t) end = sl_engine_lost_end(engine->clock->utc_us(engine->clock->user));
    engine->events.run_ended(engine->events.user, run_id, end);
}

static void kubernetes_run_forget(SlEngine *engine, const char *run_id)
{
    (void)engine;
    (void)run_id;
}

static GBytes *kubernetes_log(SlEngine *engine, const SlEngineLogAsk *ask, SlEngineLog *ret_log,
                              GError **error)
{
    *ret_log = (SlEngineLog){0};
    if (ask->run_id != NULL) {
        return sl_throw_null(error, SLU_RUN_UNKNOWN, "no run %s is known here", ask->run_id);
    }
    return sl_throw_null(error, SLU_LOG_MISSING,
                         "logs of Pods stay in the cluster: kubectl logs -n %s -l %s=%s",
                         strcmp(ask->ref->namespace_, "-") == 0 ? sl_kube_namespace(engine->kube)
                                                                : ask->ref->namespace_,
                         SL_LABEL_APPLICATION, ask->ref->app);
}

/* ---- doctor ---- */

static void add_check(json_t *checks, const char *name, bool ok, const char *message)
{
    json_t *check = json_object();
    sl_json_set_str(check, "check", name);
    sl_json_set_bool(check, "ok", ok);
    sl_json_set_str(check, "message", message);
    json_array_append_new(checks, check);
}

typedef struct {
    bool over;
    char *message;
    bool ok;
} Asked;

static void asked(const SlKubeAnswer *answer, const GError *error, void *user)
{
    Asked *a = user;
    a->over = true;
    a->ok = error == NULL;
    a->message = error != NULL ? g_strdup(error->message)
                               : g_strdup(sl_json_str_or(answer->json, "gitVersion", "it answers"));
}

static void check_server(SlKubeConfig *connection, json_t *checks)
{
    SlLoop *loop = sl_loop_new();
    g_autofree char *server = g_strdup(connection->server);
    SlKube *kube = sl_kube_new(loop, connection);
    int64_t end = sl_clock_real.monotonic_us(sl_clock_real.user) + DOCTOR_US;
    Asked a = {0};
    SlKubeRequest request = {.method = "GET", .path = "/version", .timeout_us = DOCTOR_US};
    SlKubeCall *call = sl_kube_send(kube, &request, asked, &a);
    for (int64_t now; !a.over && (now = sl_clock_real.monotonic_us(sl_clock_real.user)) < end;) {
        (void)sl_loop_turn(loop, end - now);
    }
    if (!a.over) {
        sl_kube_cancel(call);
    }
    g_autofree char *message =
        g_strdup_printf("%s: %s", server, a.over ? a.message : "no answer in 5 s");
    add_check(checks, "API server", a.ok, message);
    g_free(a.message);
    sl_kube_free(kube);
    sl_loop_free(loop);
}

static void kubernetes_doctor(const SlEngineConfig *config, json_t *checks)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) namespaces = NULL;
    bool ok = check_options(config->options, &error) &&
              read_namespaces(config->options, &namespaces, &error);
    add_check(checks, "engine options", ok, ok ? "engines.kubernetes" : error->message);
    SlKubeConfig *connection = ok ? connection_of(config->options, &error) : NULL;
    if (connection != NULL) {
        check_server(connection, checks);
    } else if (ok) {
        add_check(checks, "API server", false, error->message);
    }
}

extern const SlEngineOps sl_engine_kubernetes;
const SlEngineOps sl_engine_kubernetes = {
    .name = SL_NATIVE_ENGINE,
    .can_apply = kubernetes_can_apply,
    .open = kubernetes_open,
    .close = kubernetes_close,
    .apply = kubernetes_apply,
    .remove = kubernetes_remove,
    .adopt = kubernetes_adopt,
    .run_start = kubernetes_run_start,
    .run_stop = kubernetes_run_stop,
    .run_adopt = kubernetes_run_adopt,
    .run_forget = kubernetes_run_forget,
    .log = kubernetes_log,
    .doctor = kubernetes_doctor,
};
