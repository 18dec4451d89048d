/* instance.c - one process of a server: started in its own folder, probed, restarted with back-off
 * when it ends by itself. */
#include "agent/engines/process/server.h"
#include "base/text.h"
#include "runtime/atomicfile.h"
#include <signal.h>
#include <string.h>

#define PROBE_FIRST_US (50 * 1000)
#define PROBE_WAIT_MAX_US SL_SECOND_US /* while it is not ready */
#define PROBE_EVERY_US                                                                             \
    (5 *                                                                                           \
     SL_SECOND_US) /* while it serves, unless probe.period says otherwise                      \
                        */
#define PROBE_FAILURES 3
#define STABLE_US (60 * SL_SECOND_US) /* ready that long: the next crash is a first one again */
#define BACKOFF_MAX_US (60 * SL_SECOND_US)
#define LOOP_WINDOW_US (10 * SL_MINUTE_US)
#define LOG_SEGMENT_BYTES (4 * 1024 * 1024)
#define LOG_SEGMENTS 4

static void set_problem(Instance *instance, const char *text)
{
    g_free(instance->problem);
    instance->problem = g_strdup(text);
}

static int64_t now_us(const Instance *instance)
{
    return sl_process_now(instance->version->server->engine);
}

bool instance_crash_loop(const Instance *instance)
{
    int64_t oldest = instance->restarts[0];
    return oldest != 0 && now_us(instance) - oldest < LOOP_WINDOW_US;
}

static void set_dir(Instance *instance)
{
    g_free(instance->dir);
    instance->dir =
        g_strdup_printf("%s/i%" G_GUINT64_FORMAT, instance->version->server->dir, instance->serial);
}

static int64_t probe_period(const Instance *instance)
{
    int64_t period;
    const char *text = sl_json_str(instance->version->spec, "probe.period");
    return text && sl_parse_duration(text, &period, NULL) ? period : PROBE_EVERY_US;
}

static void probed(Instance *instance, const char *problem)
{
    bool was = instance->ready;
    int64_t failures =
        sl_json_int(instance->version->spec, "probe.failureThreshold", PROBE_FAILURES);
    if (!problem) {
        instance->probe_failures = 0;
        instance->ready = true;
        if (!was)
            instance->ready_since_us = now_us(instance);
        set_problem(instance, NULL);
    } else if (!was || ++instance->probe_failures >= failures) {
        instance->ready = false;
        set_problem(instance, problem);
    }
    instance->probe_wait_us = instance->ready
                                  ? probe_period(instance)
                                  : MIN(instance->probe_wait_us * 3 / 2, PROBE_WAIT_MAX_US);
    sl_timer_arm(instance->timer,
                 instance->probe_failures ? PROBE_WAIT_MAX_US : instance->probe_wait_us);
    if (was != instance->ready || problem)
        server_changed(instance->version->server);
}

static void timer_fired(void *data)
{
    Instance *instance = data;
    if (instance->stopping)
        return;
    if (!instance->shim) {
        instance->due = true;
        version_start_due(instance->version);
    } else if (instance->up && !instance->probe) {
        probe_start(instance, probed);
    }
}

static void begin_probing(Instance *instance)
{
    instance->up = true;
    instance->ready = false;
    instance->probe_failures = 0;
    instance->probe_wait_us = PROBE_FIRST_US;
    sl_timer_arm(instance->timer, PROBE_FIRST_US);
}

/* It ended by itself (or could not be started): a new folder, soon for the first time, later and
 * later after that. */
static void plan_restart(Instance *instance)
{
    Server *server = instance->version->server;
    int64_t now = now_us(instance), wait = 0;
    if (instance->ready_since_us && now - instance->ready_since_us >= STABLE_US)
        instance->crashes = 0;
    instance->crashes++;
    memmove(instance->restarts, instance->restarts + 1,
            sizeof instance->restarts - sizeof instance->restarts[0]);
    instance->restarts[SERVER_RESTARTS_KEPT - 1] = now;
    for (unsigned i = 1; i < instance->crashes; i++)
        wait = MIN(wait ? wait * 2 : SL_SECOND_US, BACKOFF_MAX_US);
    instance->serial = ++server->serial;
    set_dir(instance);
    sl_timer_arm(instance->timer, wait);
}

static void shim_started(void *data, const GError *error)
{
    Instance *instance = data;
    if (error) {
        set_problem(instance, error->message);
        sl_shim_free(g_steal_pointer(&instance->shim));
        if (instance->stopping)
            instance->gone = true;
        else
            plan_restart(instance);
        server_changed(instance->version->server);
        return;
    }
    if (instance->stopping)
        sl_shim_signal(instance->shim, SIGTERM);
    else
        begin_probing(instance);
}

static void remove_dir(const char *dir)
{
    (void)!sl_dir_remove_tree(dir, NULL);
}

static void shim_ended(void *data, const SlExit *end)
{
    Instance *instance = data;
    Server *server = instance->version->server;
    g_autofree char *old = g_strdup(instance->dir);
    probe_cancel(instance->probe);
    sl_shim_free(g_steal_pointer(&instance->shim));
    instance->up = instance->ready = false;
    if (instance->stopping) {
        instance->gone = true;
        remove_dir(old);
        server_settled(server);
        return;
    }
    g_autofree char *text = end->error    ? g_strdup(end->error)
                            : end->lost   ? g_strdup("the process is gone and left no record")
                            : end->signal ? g_strdup_printf("ended by signal %d", end->signal)
                                          : g_strdup_printf("ended with code %d", end->code);
    set_problem(instance, text);
    plan_restart(instance);
    /* The last log of a crash stays for people until the next one. */
    g_autofree char *crashed = g_build_filename(server->dir, "crashed", NULL);
    remove_dir(crashed);
    if (rename(old, crashed) != 0)
        remove_dir(old);
    sl_log(server->engine->log, SL_LOG_WARNING, "server-restart", "object", server->key, "message",
           text, NULL);
    server_changed(server);
}

static const SlShimEvents shim_events = {shim_started, shim_ended};

Instance *instance_new(Version *version, uint64_t serial, uint16_t port)
{
    Instance *instance = g_new0(Instance, 1);
    instance->version = version;
    instance->serial = serial;
    instance->port = port;
    instance->due = true;
    instance->timer = sl_timer_new(version->server->engine->loop, timer_fired, instance);
    set_dir(instance);
    return instance;
}

void instance_free(Instance *instance)
{
    probe_cancel(instance->probe);
    sl_shim_free(instance->shim);
    sl_timer_free(instance->timer);
    g_free(instance->dir);
    g_free(instance->problem);
    g_free(instance);
}

static GBytes *make_spec(Instance *instance, GError **error)
{
    const Version *version = instance->version;
    SlEngine *engine = version->server->engine;
    g_autoptr(SlSpec) spec = sl_spec_new(version->files);
    g_autofree char *port = g_strdup_printf("%u", instance->port);
    if (!sl_spec_add_program(spec, version->spec, error))
        return NULL;
    sl_spec_add_uint(spec, "log-bytes", LOG_SEGMENT_BYTES);
    sl_spec_add_uint(spec, "log-count", LOG_SEGMENTS);
    if (engine->use_cgroup) {
        g_autofree char *group =
            g_strdup_printf("%.64s-%" G_GUINT64_FORMAT, version->server->key, instance->serial);
        sl_spec_add(spec, "cgroup", group);
    }
    for (guint i = 0; version->pairs && i < version->pairs->len; i++)
        sl_spec_add(spec, "env", g_ptr_array_index(version->pairs, i));
    sl_spec_add_env(spec, "PORT", port);
    g_autofree char *config = sl_config_folder(engine, version->server->ref.app, version->object);
    if (!sl_dir_make(config, 0755, error))
        return NULL;
    sl_spec_add_env(spec, "SLUICE_CONFIG_DIR", config);
    if (version->model_path)
        sl_spec_add_env(spec, "SLUICE_MODEL", version->model_path);
    return sl_spec_finish(g_steal_pointer(&spec));
}

void instance_launch(Instance *instance)
{
    g_autoptr(GError) error = NULL;
    Server *server = instance->version->server;
    instance->due = false;
    instance->shim = sl_shim_new(server->engine, instance->dir, "run", &shim_events, instance);
    if (sl_shim_attach(instance->shim)) {
        if (sl_shim_running(instance->shim))
            begin_probing(instance);
        return;
    }
    if (!sl_port_free(instance->port) || sl_port_declared(server->engine, instance->port))
        instance->port = sl_port_take(server->engine);
    g_autoptr(GBytes) spec = instance->port ? make_spec(instance, &error) : NULL;
    if (!instance->port)
        sl_throw(&error, SLU_LIMIT, "no free port between %u and %u", server->engine->port_low,
                 server->engine->port_high);
    if (!spec || !sl_dir_make(instance->dir, 0700, &error)) {
        sl_shim_free(g_steal_pointer(&instance->shim));
        set_problem(instance, error->message);
        plan_restart(instance);
        server_changed(server);
        return;
    }
    server_save(server);
    server_write_backends(server);
    sl_shim_start(instance->shim, spec);
}

void instance_stop(Instance *instance)
{
    if (instance->stopping)
        return;
    instance->stopping = true;
    instance->due = false;
    probe_cancel(instance->probe);
    sl_timer_arm(instance->timer, -1);
    if (!instance->shim) {
        instance->gone = true;
        remove_dir(instance->dir);
    } else {
        sl_shim_signal(instance->shim, SIGTERM);
    }
}
