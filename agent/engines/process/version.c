/* version.c - one version of a server: secrets resolved, model verified, files in place, then its
 * instances. Each start verifies the model first, a restart too: it may have been deleted or
 * changed since. What runs is never stopped because its model is gone. */
#include "agent/engines/process/server.h"
#include "base/text.h"
#include "runtime/atomicfile.h"
#include <string.h>

#define WAIT_RETRY_US (3 * SL_SECOND_US)
#define GRACE_DEFAULT_US (30 * SL_SECOND_US)

unsigned version_replicas(const Version *version)
{
    int64_t count = sl_json_int(version->spec, "replicas", 1);
    return count < 0 ? 0
                     : (unsigned)MIN(count,
                                     SERVER_REPLICAS_MAX); /* more are refused by version_prepare */
}

int64_t version_grace(const Version *version)
{
    int64_t grace;
    const char *text = sl_json_str(version->spec, "grace");
    return text && sl_parse_duration(text, &grace, NULL) ? grace : GRACE_DEFAULT_US;
}

uint16_t version_port(const Version *version)
{
    int64_t port = sl_json_int(version->spec, "port", 0);
    return port > 0 && port < 65536 ? (uint16_t)port : 0;
}

unsigned version_ready(const Version *version)
{
    unsigned ready = 0;
    for (guint i = 0; i < version->instances->len; i++)
        ready += ((Instance *)g_ptr_array_index(version->instances, i))->ready;
    return ready;
}

void version_problem(Version *version, SlHealth health, const char *reason, const char *message)
{
    g_free(version->problem_reason);
    g_free(version->problem);
    version->problem_health = health;
    version->problem_reason = g_strdup(reason);
    version->problem = g_strdup(message);
    server_changed(version->server);
}

static void timer_fired(void *data)
{
    Version *version = data;
    if (version->is_draining)
        version_drain_check(version);
    else if (version->prepared)
        version_start_due(version);
    else if (!version->env_job && !version->waits_model)
        version_prepare(version);
}

Version *version_new(Server *server, const char *digest, const json_t *object)
{
    Version *version = g_new0(Version, 1);
    version->server = server;
    version->digest = g_strdup(digest);
    version->object = json_deep_copy(object);
    version->spec = json_object_get(version->object, "spec");
    version->dir = g_strdup_printf("%s/v-%.16s", server->dir, digest);
    version->files = g_build_filename(version->dir, "files", NULL);
    version->instances = g_ptr_array_new_with_free_func((GDestroyNotify)instance_free);
    version->timer = sl_timer_new(server->engine->loop, timer_fired, version);
    version->since_us = sl_process_now(server->engine);
    return version;
}

void version_free(Version *version)
{
    if (!version)
        return;
    sl_env_cancel(version->env_job);
    sl_models_cancel(version->server->engine->models, version);
    sl_files_unwatch(version->server->engine, version->watch_ids);
    g_ptr_array_unref(version->instances);
    g_clear_pointer(&version->pairs, g_ptr_array_unref);
    sl_timer_free(version->timer);
    json_decref(version->object);
    g_free(version->digest);
    g_free(version->dir);
    g_free(version->files);
    g_free(version->model_path);
    g_free(version->problem_reason);
    g_free(version->problem);
    g_free(version);
}

/* ---- files, and their repair ---- */

static void files_changed(void *data)
{
    Version *version = data;
    unsigned written = 0;
    g_autoptr(GError) error = NULL;
    const json_t *files = sl_json_at(version->spec, "files");
    bool ok = sl_files_write(version->server->engine, version->files,
                             json_is_array(files) ? files : NULL, &written, &error);
    if (ok && written == 0)
        return;
    sl_log(version->server->engine->log, SL_LOG_WARNING, "drift-repaired", "object",
           version->server->key, "message", error ? error->message : "files put back", NULL);
    sl_files_unwatch(version->server->engine, version->watch_ids); /* a folder may be a new one */
    version->watch_ids =
        sl_files_watch(version->server->engine, version->files, files, files_changed, version);
}

static bool place_files(Version *version, GError **error)
{
    const json_t *files = sl_json_at(version->spec, "files");
    if (!sl_files_write(version->server->engine, version->files,
                        json_is_array(files) ? files : NULL, NULL, error))
        return false;
    sl_files_unwatch(version->server->engine, version->watch_ids);
    version->watch_ids =
        sl_files_watch(version->server->engine, version->files, files, files_changed, version);
    return true;
}

/* ---- instances ---- */

static void start_instances(Version *version)
{
    g_autoptr(GError) error = NULL;
    Server *server = version->server;
    if (!place_files(version, &error)) {
        version_problem(version, SL_HEALTH_UNKNOWN, "FilesMissing", error->message);
        sl_timer_arm(version->timer, WAIT_RETRY_US);
        return;
    }
    version->prepared = true;
    g_clear_pointer(&version->problem_reason, g_free);
    while (version->instances->len < version_replicas(version))
        g_ptr_array_add(version->instances,
                        instance_new(version, ++server->serial, sl_port_take(server->engine)));
    server_save(server); /* the folders are known before anything starts in them */
    for (guint i = 0; i < version->instances->len; i++) {
        Instance *instance = g_ptr_array_index(version->instances, i);
        if (instance->due)
            instance_launch(instance);
    }
    server_changed(server);
}

static bool is_due(const Version *version)
{
    bool due = version->instances->len < version_replicas(version);
    for (guint i = 0; !due && i < version->instances->len; i++)
        due = ((Instance *)g_ptr_array_index(version->instances, i))->due;
    return due;
}

static void model_ready(const char *path, const GError *error, void *data)
{
    Version *version = data;
    version->waits_model = false;
    if (error && version->is_draining)
        return; /* it is on its way out: what still runs of it drains */
    if (error) {
        /* A store that is empty or damaged says nothing about this release: Unknown, and what runs
         * goes on. */
        version_problem(version, SL_HEALTH_UNKNOWN,
                        error->code == SLU_MODEL_CORRUPT ? "ModelCorrupt" : "ModelUnavailable",
                        error->message);
        sl_timer_arm(version->timer, WAIT_RETRY_US);
        return;
    }
    g_free(version->model_path);
    version->model_path = g_strdup(path);
    start_instances(version);
}

static void verify_and_start(Version *version)
{
    const char *model = sl_json_str(version->spec, "model"), *digest = sl_model_digest(model);
    if (model && !digest) {
        version_problem(version, SL_HEALTH_DEGRADED, "InvalidSpec",
                        "spec.model is not model://sha256:<digest>");
    } else if (digest && is_due(version)) {
        version->waits_model = true;
        sl_models_get(version->server->engine->models, digest, model_ready, version);
    } else {
        start_instances(version); /* all of it runs already, or it has no model */
    }
}

void version_start_due(Version *version)
{
    if (version->prepared && !version->waits_model && is_due(version))
        verify_and_start(version);
}

static void env_done(GPtrArray *pairs, const GError *error, void *data)
{
    Version *version = data;
    version->env_job = NULL;
    if (error) {
        bool waits = error->code == SLU_SECRET_MISSING;
        version_problem(version, SL_HEALTH_DEGRADED, waits ? "SecretMissing" : "InvalidSpec",
                        error->message);
        if (waits)
            sl_timer_arm(version->timer, WAIT_RETRY_US);
        return;
    }
    g_clear_pointer(&version->pairs, g_ptr_array_unref);
    version->pairs = g_ptr_array_ref(pairs);
    verify_and_start(version);
}

void version_prepare(Version *version)
{
    if (sl_json_int(version->spec, "replicas", 1) > SERVER_REPLICAS_MAX) {
        version_problem(version, SL_HEALTH_DEGRADED, "InvalidSpec",
                        "spec.replicas: the engine `process` runs at most 64 of a server");
        return;
    }
    version->env_job = sl_env_resolve(version->server->engine, version->spec, env_done, version);
}

void version_stop(Version *version)
{
    sl_env_cancel(g_steal_pointer(&version->env_job));
    sl_models_cancel(version->server->engine->models, version);
    version->waits_model = false;
    for (guint i = 0; i < version->instances->len; i++)
        instance_stop(g_ptr_array_index(version->instances, i));
}
