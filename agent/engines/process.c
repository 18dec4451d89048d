/* process.c - the engine `process`: TrainingJob, ModelServer and ConfigMap on this machine, without
 * any container or cluster. */
#include "agent/engines/process/process.h"
#include "agent/engines/queue.h"
#include "base/auto.h"
#include "base/text.h"
#include "runtime/atomicfile.h"
#include <string.h>
#include <unistd.h>

#define PROBES_AT_ONCE 32
#define PORTS_DEFAULT "20000-29999"

int64_t sl_process_now(const SlEngine *engine)
{
    return engine->clock->utc_us(engine->clock->user);
}

char *sl_process_key(const SlEngineRef *ref)
{
    const char *kind = strchr(ref->kind, '/');
    g_autofree char *lower = g_ascii_strdown(kind ? kind + 1 : ref->kind, -1);
    return g_strdup_printf("%s.%s.%s.%s", ref->app,
                           strcmp(ref->namespace_, "-") == 0 ? "default" : ref->namespace_, lower,
                           ref->name);
}

static bool is_run_kind(const char *kind)
{
    return strcmp(kind, SL_API_GROUP "/TrainingJob") == 0;
}

static bool is_server_kind(const char *kind)
{
    return strcmp(kind, SL_API_GROUP "/ModelServer") == 0;
}

static bool is_config_kind(const char *kind)
{
    return strcmp(kind, "core/ConfigMap") == 0;
}

static bool process_can_apply(const char *kind)
{
    return is_run_kind(kind) || is_server_kind(kind) || is_config_kind(kind);
}

/* "20000-29999" */
static bool parse_ports(SlEngine *engine, const char *text, GError **error)
{
    uint64_t low = 0, high = 0;
    g_auto(GStrv) parts = g_strsplit(text, "-", 2);
    if (g_strv_length(parts) != 2 || !sl_parse_uint64(parts[0], &low) ||
        !sl_parse_uint64(parts[1], &high) || low < 1024 || high > 65535 || high < low)
        return sl_throw(error, SLU_AGENT_CONFIG, "engines.process.ports: `%s` is not like %s", text,
                        PORTS_DEFAULT);
    engine->port_low = engine->port_next = (uint16_t)low;
    engine->port_high = (uint16_t)high;
    /* Several agents on one machine should not try the same ports in the same order. */
    engine->port_next = (uint16_t)(low + (uint64_t)getpid() % (high - low + 1));
    return true;
}

static bool read_options(SlEngine *engine, GError **error)
{
    static const char *const known[] = {"listen",  "ports",        "cgroup", "gpus",
                                        "secrets", "endWithAgent", NULL};
    const char *key;
    json_t *value;
    json_object_foreach (engine->options, key, value) {
        const char *near = sl_nearest(key, known);
        if (!g_strv_contains(known, key))
            return sl_throw(error, SLU_AGENT_CONFIG, "engines.process.%s: unknown key%s%s%s", key,
                            near ? "; did you mean `" : "", near ? near : "", near ? "`?" : "");
    }
    engine->listen = g_strdup(sl_json_str_or(engine->options, "listen", "127.0.0.1"));
    engine->use_cgroup = sl_json_bool(engine->options, "cgroup", true);
    engine->end_with_agent = sl_json_bool(engine->options, "endWithAgent", false);
    GPtrArray *gpus = sl_gpus_list(sl_json_str_or(engine->options, "gpus", "all"), error);
    if (!gpus)
        return sl_prefix(error, "engines.process");
    engine->gpus = sl_gpus_new(gpus);
    engine->secrets = json_incref(sl_json_at(engine->options, "secrets"));
    return parse_ports(engine, sl_json_str_or(engine->options, "ports", PORTS_DEFAULT), error);
}

static void process_close(SlEngine *engine)
{
    if (!engine)
        return;
    if (engine->runs)
        sl_jobs_free(engine);
    if (engine->servers)
        sl_servers_free(engine);
    if (engine->configs)
        sl_configs_free(engine);
    sl_http_free(engine->http);
    sl_dirwatch_free(engine->watch);
    sl_event_queue_free(engine->queue);
    sl_gpus_free(engine->gpus);
    json_decref(engine->options);
    json_decref(engine->secrets);
    g_free(engine->state_dir);
    g_free(engine->exec_path);
    g_free(engine->listen);
    g_free(engine);
}

static SlEngine *process_open(const SlEngineConfig *config, GError **error)
{
    if (access(config->exec_path, X_OK) != 0)
        return sl_throw_null(error, SLU_EXEC_MISSING, "%s can't be run", config->exec_path);
    SlEngine *engine = g_new0(SlEngine, 1);
    engine->state_dir = g_canonicalize_filename(config->state_dir, NULL);
    engine->exec_path = g_canonicalize_filename(config->exec_path, NULL);
    engine->options = config->options ? json_deep_copy(config->options) : json_object();
    engine->loop = config->loop;
    engine->log = config->log;
    engine->clock = config->clock;
    engine->models = config->models;
    engine->blob = config->blob;
    engine->blob_user = config->blob_user;
    engine->queue = sl_event_queue_new(config->loop, config->events);
    engine->events = sl_event_queue_in(engine->queue);
    engine->http = sl_http_new(config->loop, PROBES_AT_ONCE);
    engine->watch = sl_dirwatch_new(config->loop, error);
    if (!engine->watch || !read_options(engine, error)) {
        process_close(engine);
        return NULL;
    }
    sl_configs_load(engine);
    sl_servers_load(engine);
    sl_jobs_load(engine);
    return engine;
}

static void unsupported(SlEngine *engine, const SlEngineApply *what)
{
    g_autoptr(GError) error = NULL;
    sl_throw(&error, SLU_KIND_UNSUPPORTED, "%s %s: the engine `process` does not apply this kind",
             what->ref.kind, what->ref.name);
    engine->events.applied(engine->events.user, &what->ref, what->digest, error);
}

static void process_apply(SlEngine *engine, const SlEngineApply *what)
{
    if (is_server_kind(what->ref.kind))
        sl_servers_apply(engine, what);
    else if (is_config_kind(what->ref.kind))
        sl_configs_apply(engine, what);
    else if (is_run_kind(what->ref.kind)) /* the object itself starts nothing: runs do */
        engine->events.applied(engine->events.user, &what->ref, what->digest, NULL);
    else
        unsupported(engine, what);
}

static void process_remove(SlEngine *engine, const SlEngineRef *ref)
{
    if (is_server_kind(ref->kind))
        sl_servers_remove(engine, ref);
    else if (is_config_kind(ref->kind))
        sl_configs_remove(engine, ref);
    else
        engine->events.removed(engine->events.user, ref, NULL);
}

static void process_adopt(SlEngine *engine, const SlEngineApply *what)
{
    if (is_server_kind(what->ref.kind))
        sl_servers_adopt(engine, what);
    else if (is_config_kind(what->ref.kind))
        sl_configs_adopt(engine, what);
}

static const char *log_dir(SlEngine *engine, const SlEngineLogAsk *ask, bool *ret_finished)
{
    if (ask->run_id)
        return sl_jobs_log_dir(engine, ask->run_id, ret_finished);
    return ask->previous ? sl_servers_crashed_dir(engine, ask->ref)
                         : sl_servers_log_dir(engine, ask->ref);
}

static GBytes *process_log(SlEngine *engine, const SlEngineLogAsk *ask, SlEngineLog *ret_log,
                           GError **error)
{
    const char *stream = ask->err ? "stderr" : "stdout",
               *what = ask->run_id ? ask->run_id : ask->ref->name;
    *ret_log = (SlEngineLog){0};
    const char *dir = log_dir(engine, ask, &ret_log->finished);
    if (!dir && ask->run_id)
        return sl_throw_null(error, SLU_RUN_UNKNOWN, "no run %s is known here", what);
    GBytes *bytes = !dir        ? NULL
                    : ask->tail ? sl_segments_tail(dir, stream, ask->rank, ask->max,
                                                   &ret_log->offset, &ret_log->size)
                                : sl_segments_read(dir, stream, ask->rank, ask->offset, ask->max,
                                                   &ret_log->offset, &ret_log->size);
    if (bytes)
        return bytes;
    if (ask->previous)
        return sl_throw_null(error, SLU_LOG_MISSING, "%s of %s: no process of it crashed here",
                             stream, what);
    return sl_throw_null(error, SLU_LOG_MISSING, "%s of %s, process %u: nothing is here%s", stream,
                         what, ask->rank,
                         !ask->run_id && sl_servers_crashed_dir(engine, ask->ref)
                             ? "; --previous shows what the last crashed one wrote"
                             : "");
}

static void add_check(json_t *checks, const char *name, bool ok, const char *message)
{
    json_t *check = json_object();
    sl_json_set_str(check, "check", name);
    sl_json_set_bool(check, "ok", ok);
    sl_json_set_str(check, "message", message);
    json_array_append_new(checks, check);
}

/* A limit that can't be enforced is said, but is no fault: everything runs without it. */
static void check_machine(SlEngine *engine, json_t *checks)
{
    static const char *const controllers[] = {"cpu", "memory"};
    bool ran = g_file_test(engine->state_dir, G_FILE_TEST_EXISTS); /* the first start makes it */
    g_autofree char *dir =
        ran ? g_strdup(engine->state_dir) : g_path_get_dirname(engine->state_dir);
    g_autofree char *room = NULL, *full = sl_disk_problem(dir, &room);
    g_autofree char *gpus = g_strdup_printf("%u for runs", sl_gpus_count(engine->gpus));
    add_check(checks, "disk", full == NULL, full ? full : room);
    add_check(checks, "gpus", true, gpus);
    for (size_t i = 0; i < G_N_ELEMENTS(controllers); i++) {
        g_autofree char *name = g_strdup_printf("%s limit", controllers[i]);
        g_autofree char *why = sl_limits_problem(engine, controllers[i]);
        add_check(checks, name, true, why ? why : "enforced by cgroup");
    }
}

static void check_secrets(const SlEngine *engine, json_t *checks)
{
    const char *name;
    json_t *how;
    json_object_foreach (engine->secrets, name, how) {
        const char *path = sl_json_str(how, "file");
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) bytes = path ? sl_file_read_secret(path, 64 * 1024, &error) : NULL;
        g_autofree char *check = g_strdup_printf("secret %s", name);
        bool ok = path ? bytes != NULL : json_is_array(sl_json_at(how, "command"));
        add_check(checks, check, ok, error ? error->message : path ? path : "by command");
    }
}

static void process_doctor(const SlEngineConfig *config, json_t *checks)
{
    g_autoptr(GError) error = NULL;
    SlEngine *engine = g_new0(SlEngine, 1);
    engine->state_dir = g_strdup(config->state_dir);
    engine->options = config->options ? json_deep_copy(config->options) : json_object();
    bool ok = read_options(engine, &error);
    add_check(checks, "engine options", ok, ok ? "engines.process" : error->message);
    if (ok) {
        uint16_t port = sl_port_take(engine);
        g_autofree char *range = g_strdup_printf("%u-%u", engine->port_low, engine->port_high);
        add_check(checks, "free ports", port != 0, range);
        check_machine(engine, checks);
        check_secrets(engine, checks);
    }
    process_close(engine);
}

static void process_run_start(SlEngine *engine, const SlEngineRun *run)
{
    sl_jobs_start(engine, run);
}

static void process_run_stop(SlEngine *engine, const char *run_id, const char *reason)
{
    sl_jobs_stop(engine, run_id, reason);
}

static void process_run_adopt(SlEngine *engine, const char *run_id)
{
    sl_jobs_adopt(engine, run_id);
}

static void process_run_forget(SlEngine *engine, const char *run_id)
{
    sl_jobs_forget(engine, run_id);
}

extern const SlEngineOps sl_engine_process;
const SlEngineOps sl_engine_process = {
    .name = "process",
    .can_apply = process_can_apply,
    .open = process_open,
    .close = process_close,
    .apply = process_apply,
    .remove = process_remove,
    .adopt = process_adopt,
    .run_start = process_run_start,
    .run_stop = process_run_stop,
    .run_adopt = process_run_adopt,
    .run_forget = process_run_forget,
    .log = process_log,
    .doctor = process_doctor,
};
