/* servers.c - the ModelServers of this cluster: apply, remove, adopt, and one health verdict each.
 */
#include "agent/engines/process/server.h"
#include "base/digest.h"
#include "runtime/atomicfile.h"
#include <string.h>

#define DEADLINE_US                                                                                \
    (10 *                                                                                          \
     SL_MINUTE_US) /* a version that is not ready by then is Degraded; it may still become    \
                           ready */

#define PORT_RETRY_US SL_SECOND_US /* the port of the next version is held by somebody else */

/* ---- health ---- */

typedef struct {
    SlHealth health;
    const char *reason;
    char *message;
} Verdict;

static const Instance *worst_instance(const Version *version)
{
    const Instance *worst = NULL;
    for (guint i = 0; i < version->instances->len; i++) {
        const Instance *instance = g_ptr_array_index(version->instances, i);
        if (!instance->ready && (!worst || instance_crash_loop(instance)))
            worst = instance;
    }
    return worst;
}

static Verdict judge_starting(const Server *server, const Version *version, unsigned ready,
                              unsigned total)
{
    const Instance *worst = worst_instance(version);
    const char *why = worst && worst->problem ? worst->problem : "";
    const char *old =
        server->live && version != server->live ? "; the version before goes on serving" : "";
    char *message =
        g_strdup_printf("%u of %u ready%s%s%s", ready, total, *why ? ": " : "", why, old);
    if (worst && instance_crash_loop(worst))
        return (Verdict){SL_HEALTH_DEGRADED, "CrashLoop", message};
    if (worst && version == server->live && worst->up && worst->probe_failures > 0)
        return (Verdict){SL_HEALTH_DEGRADED, "ProbeFailing", message};
    if (version != server->live && sl_process_now(server->engine) - version->since_us > DEADLINE_US)
        return (Verdict){SL_HEALTH_DEGRADED, "DeadlineExceeded", message};
    return (Verdict){SL_HEALTH_PROGRESSING, version == server->live ? "Restarting" : "Starting",
                     message};
}

static Verdict judge(const Server *server)
{
    const Version *version = server->next ? server->next : server->live;
    if (!version || server->removing)
        return (Verdict){SL_HEALTH_PROGRESSING, "Removing", g_strdup("")};
    if (version->problem_reason)
        return (Verdict){version->problem_health, version->problem_reason,
                         g_strdup(version->problem)};
    unsigned ready = version_ready(version), total = version_replicas(version);
    if (!version->prepared && version_ready(version) < total)
        return (Verdict){SL_HEALTH_PROGRESSING, "Preparing",
                         g_strdup("model, files and secrets are made ready")};
    if (version == server->next && ready >= total && !server_port_fits(server))
        return (Verdict){SL_HEALTH_DEGRADED, "PortInUse",
                         g_strdup_printf("cannot listen on %s:%u: Address already in use; the "
                                         "version before goes on serving",
                                         server->engine->listen, version_port(version))};
    if (ready < total || version == server->next)
        return judge_starting(server, version, ready, total);
    if (server->front_problem)
        return (Verdict){SL_HEALTH_DEGRADED, "PortInUse", g_strdup(server->front_problem)};
    if (total == 0)
        return (Verdict){SL_HEALTH_SUSPENDED, "NoReplicas", g_strdup("spec.replicas is 0")};
    if (version_port(version) != 0 && (!server->front || !sl_shim_running(server->front)))
        return (Verdict){SL_HEALTH_PROGRESSING, "Starting",
                         g_strdup("the front of the declared port is starting")};
    return (Verdict){SL_HEALTH_HEALTHY, "Serving", g_strdup_printf("%u of %u ready", ready, total)};
}

static void say(Server *server, bool always)
{
    Verdict verdict = judge(server);
    g_autofree char *message = verdict.message;
    if (!always && server->said_reason && server->said == verdict.health &&
        strcmp(server->said_reason, verdict.reason) == 0 &&
        strcmp(server->said_message, message) == 0)
        return;
    server->said = verdict.health;
    g_free(server->said_reason);
    server->said_reason = g_strdup(verdict.reason);
    g_free(server->said_message);
    server->said_message = g_strdup(message);
    server->engine->events.observed(server->engine->events.user, &server->ref, verdict.health,
                                    verdict.reason, message);
}

static void look(void *data)
{
    Server *server = data;
    if (server->removing) {
        server_settled(server);
        return;
    }
    Version *next = server->next;
    if (next && next->prepared && version_ready(next) >= version_replicas(next)) {
        if (server_port_fits(server)) {
            server_take_over(server);
        } else {
            server_port_claim(server, version_port(next));
            sl_timer_arm(server->say_timer, PORT_RETRY_US);
        }
    }
    say(server, false);
}

void server_changed(Server *server)
{
    sl_timer_arm(server->say_timer, 0);
}

static void front_due(void *data)
{
    server_front_ensure(data);
}

/* ---- journal ---- */

static json_t *version_json(const Version *version, const char *role)
{
    json_t *j = json_object(), *instances = json_array();
    sl_json_set_str(j, "role", role);
    sl_json_set_str(j, "digest", version->digest);
    sl_json_set_int(j, "since", version->since_us);
    json_object_set(j, "object", version->object);
    for (guint i = 0; i < version->instances->len; i++) {
        const Instance *instance = g_ptr_array_index(version->instances, i);
        json_t *item = json_object();
        sl_json_set_int(item, "serial", (int64_t)instance->serial);
        sl_json_set_int(item, "port", instance->port);
        json_array_append_new(instances, item);
    }
    json_object_set_new(j, "instances", instances);
    return j;
}

void server_save(Server *server)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) j = json_object();
    json_t *versions = json_array();
    sl_json_set_str(j, "app", server->ref.app);
    sl_json_set_str(j, "kind", server->ref.kind);
    sl_json_set_str(j, "namespace", server->ref.namespace_);
    sl_json_set_str(j, "name", server->ref.name);
    sl_json_set_int(j, "serial", (int64_t)server->serial);
    sl_json_set_int(j, "generation", (int64_t)server->generation);
    sl_json_set_bool(j, "removing", server->removing);
    if (server->live)
        json_array_append_new(versions, version_json(server->live, "live"));
    if (server->next)
        json_array_append_new(versions, version_json(server->next, "next"));
    for (guint i = 0; i < server->draining->len; i++)
        json_array_append_new(versions,
                              version_json(g_ptr_array_index(server->draining, i), "draining"));
    json_object_set_new(j, "versions", versions);
    g_autofree char *text = sl_json_canonical(j, &error),
                    *path = g_build_filename(server->dir, "server.json", NULL);
    if (!text || !sl_dir_make(server->dir, 0700, &error) ||
        !sl_file_write_atomic(path, text, strlen(text), 0600, &error))
        sl_log_error(server->engine->log, "server-journal", error);
}

static void server_free(void *data)
{
    Server *server = data;
    version_free(server->live);
    version_free(server->next);
    g_ptr_array_unref(server->draining);
    sl_shim_free(server->front);
    sl_timer_free(server->front_timer);
    sl_timer_free(server->say_timer);
    g_free((char *)server->ref.app);
    g_free((char *)server->ref.kind);
    g_free((char *)server->ref.namespace_);
    g_free((char *)server->ref.name);
    g_free(server->key);
    g_free(server->dir);
    g_free(server->front_dir);
    g_free(server->front_problem);
    g_free(server->crashed_dir);
    g_free(server->said_reason);
    g_free(server->said_message);
    g_free(server);
}

Server *sl_servers_make(SlEngine *engine, const SlEngineRef *ref)
{
    Server *server = g_new0(Server, 1);
    server->engine = engine;
    server->ref = (SlEngineRef){g_strdup(ref->app), g_strdup(ref->kind), g_strdup(ref->namespace_),
                                g_strdup(ref->name)};
    server->key = sl_process_key(ref);
    server->dir = g_build_filename(engine->state_dir, "servers", server->key, NULL);
    server->draining = g_ptr_array_new_with_free_func((GDestroyNotify)version_free);
    server->front_timer = sl_timer_new(engine->loop, front_due, server);
    server->say_timer = sl_timer_new(engine->loop, look, server);
    return server;
}

/* ---- end of versions and of the server ---- */

static bool all_gone(const Version *version)
{
    for (guint i = 0; i < version->instances->len; i++)
        if (!((Instance *)g_ptr_array_index(version->instances, i))->gone)
            return false;
    return true;
}

static bool dir_in_use(const Server *server, const char *dir)
{
    const Version *named[] = {server->live, server->next};
    for (size_t i = 0; i < G_N_ELEMENTS(named); i++)
        if (named[i] && strcmp(named[i]->dir, dir) == 0)
            return true;
    for (guint i = 0; i < server->draining->len; i++)
        if (strcmp(((Version *)g_ptr_array_index(server->draining, i))->dir, dir) == 0)
            return true;
    return false;
}

static void finish_removal(Server *server)
{
    g_autoptr(GError) error = NULL;
    SlEngine *engine = server->engine;
    if (server->front || server->draining->len > 0)
        return;
    bool ok = sl_dir_remove_tree(server->dir, &error);
    if (!ok && sl_error_class(error) == SL_CLASS_NOT_FOUND)
        g_clear_error(&error);
    engine->events.removed(engine->events.user, &server->ref, error);
    g_hash_table_remove(engine->servers, server->key);
}

void server_settled(Server *server)
{
    bool changed = false;
    for (guint i = 0; i < server->draining->len;) {
        Version *version = g_ptr_array_index(server->draining, i);
        if (!all_gone(version)) {
            i++;
            continue;
        }
        g_autofree char *dir = g_strdup(version->dir);
        g_ptr_array_remove_index(server->draining, i);
        if (!dir_in_use(server, dir))
            (void)!sl_dir_remove_tree(dir, NULL);
        changed = true;
    }
    if (changed)
        server_save(server);
    if (server->removing)
        finish_removal(server);
}

/* It is not wanted any more; what it started is stopped and then forgotten. */
static void discard(Server *server, Version *version)
{
    if (!version)
        return;
    version->is_draining = true;
    g_ptr_array_add(server->draining, version);
    version_stop(version);
    sl_timer_arm(version->timer, 0);
}

/* ---- operations ---- */

static Server *find(SlEngine *engine, const SlEngineRef *ref)
{
    g_autofree char *key = sl_process_key(ref);
    return g_hash_table_lookup(engine->servers, key);
}

void server_prepare(Server *server, const char *digest, const json_t *object)
{
    Version *next = version_new(server, digest, object);
    discard(server, server->next);
    server->next = next;
    server_save(server);
    version_prepare(next);
}

static void accept_object(Server *server, const SlEngineApply *what)
{
    if (server->next && strcmp(server->next->digest, what->digest) == 0)
        return;
    if (!server->live || strcmp(server->live->digest, what->digest) != 0)
        server_prepare(server, what->digest, what->object);
    else
        discard(server, g_steal_pointer(&server->next));
}

void sl_servers_apply(SlEngine *engine, const SlEngineApply *what)
{
    g_autoptr(GError) error = NULL;
    Server *server = find(engine, &what->ref);
    if (server && server->removing) {
        sl_throw(&error, SLU_UNAVAILABLE, "the server of that name is being removed");
        engine->events.applied(engine->events.user, &what->ref, what->digest, error);
        return;
    }
    if (!server) {
        server = sl_servers_make(engine, &what->ref);
        g_hash_table_insert(engine->servers, server->key, server);
    }
    accept_object(server, what);
    engine->events.applied(engine->events.user, &server->ref, what->digest, NULL);
    say(server, true);
}

void sl_servers_adopt(SlEngine *engine, const SlEngineApply *what)
{
    Server *server = find(engine, &what->ref);
    if (server)
        say(server, true);
    else
        engine->events.observed(engine->events.user, &what->ref, SL_HEALTH_MISSING, "Missing",
                                "no server of that name is here");
}

void sl_servers_remove(SlEngine *engine, const SlEngineRef *ref)
{
    Server *server = find(engine, ref);
    if (!server) {
        engine->events.removed(engine->events.user, ref, NULL);
        return;
    }
    if (server->removing)
        return;
    server->removing = true;
    discard(server, g_steal_pointer(&server->next));
    discard(server, g_steal_pointer(&server->live));
    server_save(server);
    for (guint i = 0; i < server->draining->len; i++)
        version_stop(g_ptr_array_index(server->draining, i));
    server_front_stop(server);
    if (server->draining->len == 0)
        server_settled(server);
}

static Server *find_any(SlEngine *engine, const SlEngineRef *ref)
{
    Server *server = find(engine, ref);
    GHashTableIter iter;
    void *value;
    g_hash_table_iter_init(&iter, engine->servers);
    while (!server && g_hash_table_iter_next(&iter, NULL, &value)) {
        Server *other = value; /* people name no namespace */
        if (strcmp(other->ref.app, ref->app) == 0 && strcmp(other->ref.name, ref->name) == 0)
            server = other;
    }
    return server;
}

const char *sl_servers_crashed_dir(SlEngine *engine, const SlEngineRef *ref)
{
    Server *server = find_any(engine, ref);
    if (!server)
        return NULL;
    if (!server->crashed_dir)
        server->crashed_dir = g_build_filename(server->dir, "crashed", NULL);
    return access(server->crashed_dir, F_OK) == 0 ? server->crashed_dir : NULL;
}

const char *sl_servers_log_dir(SlEngine *engine, const SlEngineRef *ref)
{
    Server *server = find_any(engine, ref);
    Version *version = server ? (server->live ? server->live : server->next) : NULL;
    if (!version || version->instances->len == 0)
        return NULL;
    return ((Instance *)g_ptr_array_index(version->instances, 0))->dir;
}

GHashTable *sl_servers_table(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, NULL, server_free);
}

void sl_servers_free(SlEngine *engine)
{
    g_clear_pointer(&engine->servers, g_hash_table_unref);
}
