/* status.c - status.json, and the commands that only look: `sluice-agent status`, `sluice-agent
 * doctor`. */
#include "agent/shell.h"
#include "base/auto.h"
#include "base/digest.h"
#include "base/text.h"
#include "core/sshsig.h"
#include "runtime/atomicfile.h"
#include "runtime/spawn.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define STATUS_MAX (16 * 1024 * 1024)

void sl_shell_write_status(SlShell *shell)
{
    g_autoptr(GError) error = NULL;
    int64_t now = sl_clock_real.utc_us(NULL);
    g_autoptr(json_t) view = sl_agent_view(shell->brain, now);
    g_autoptr(json_t) status = json_object();
    g_autofree char *written = sl_format_time(now), *started = sl_format_time(shell->started_us);
    sl_json_set_str(status, "cluster", shell->conf->cluster);
    sl_json_set_str(status, "environment", shell->conf->env);
    sl_json_set_str(status, "engine", shell->conf->engine);
    sl_json_set_str(status, "version", SLUICE_VERSION);
    sl_json_set_int(status, "pid", getpid());
    sl_json_set_str(status, "started", started);
    sl_json_set_str(status, "written", written);
    sl_json_set_str(status, "coordinator", shell->conf->coordinator);
    sl_json_set_bool(status, "connected", shell->connected);
    sl_json_set_str(status, "disconnected",
                    shell->connected          ? ""
                    : shell->disconnected_why ? shell->disconnected_why
                                              : "not yet connected");
    if (view)
        json_object_set(status, "view", view);
    g_autofree char *text = sl_json_canonical(status, &error),
                    *path = sl_agent_conf_path(shell->conf, "status.json");
    bool written_now = text && sl_file_write_cache(path, text, strlen(text), 0600, &error);
    if (!written_now && !shell->status_failed) /* said once: it is tried at every change */
        sl_log_error(shell->log, "status", error);
    shell->status_failed = !written_now;
}

static int complain(const GError *error)
{
    g_autofree char *text = sl_error_format(error);
    fprintf(stderr, "sluice-agent: %s\n", text);
    return sl_error_exit_code(sl_error_class(error));
}

/* Does an agent hold the folder's lock? */
static bool is_running(const SlAgentConf *conf)
{
    g_autofree char *path = sl_agent_conf_path(conf, "state/lock");
    sl_autofd fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0;
}

static json_t *read_status(const SlAgentConf *conf, GError **error)
{
    SlJsonLimits limits = {.bytes_max = STATUS_MAX};
    g_autofree char *path = sl_agent_conf_path(conf, "status.json");
    g_autoptr(GBytes) bytes = sl_file_read(path, STATUS_MAX, error);
    return bytes ? sl_json_parse(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), &limits,
                                 path, error)
                 : NULL;
}

/* Fingerprint of the agent's key, which people compare before they sign the registry; NULL before
 * a join. (transfer full) */
static char *fingerprint_of(const char *dir)
{
    g_autofree char *path = g_build_filename(dir, "keys", "agent.pub", NULL);
    g_autoptr(GBytes) bytes = sl_file_read(path, 16 * 1024, NULL);
    g_autofree char *line =
        bytes ? g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes)) : NULL;
    g_autoptr(SlPublicKey) key = line ? sl_public_key_parse(g_strstrip(line), NULL) : NULL;
    return key ? sl_public_key_fingerprint(key) : NULL;
}

/* A join that people have not signed yet: there is no configuration, but a key to compare. */
static bool print_asked(const char *dir)
{
    g_autofree char *print = fingerprint_of(dir), *asked = g_build_filename(dir, "join.json", NULL);
    if (!print || access(asked, F_OK) != 0)
        return false;
    printf("asked to join; a person has to sign the registry: sluice cluster sign ENV\n"
           "agent key    %s\n",
           print);
    return true;
}

static void print_unit(const char *app, const json_t *unit)
{
    size_t applied = 0;
    const char *key;
    json_t *object, *objects = json_object_get(unit, "objects");
    json_object_foreach (objects, key, object)
        applied += sl_json_bool(object, "applied", false);
    g_autofree char *text = sl_escape_for_people(sl_json_str_or(unit, "message", ""), 200);
    const char *waits = sl_json_str(unit, "waits");
    printf("unit         %s: %s%s%s, seq %" PRId64
           ", bundle %.12s, %zu of %zu objects applied%s%s%s\n",
           app, sl_json_str_or(unit, "health", "Unknown"), *text ? ": " : "", text,
           sl_json_int(unit, "seq", 0), sl_json_str_or(unit, "bundle", "-"), applied,
           json_object_size(objects),
           sl_json_bool(unit, "latched", false) ? ", went back by itself" : "",
           waits ? "; the next waits: " : "", waits ? waits : "");
}

/* What people look for first; all of it is in --json. */
static void print_view(json_t *view)
{
    const char *key;
    json_t *each;
    printf("root %" PRId64 ", registry %" PRId64 ", head (%" PRId64 ", %" PRId64 ")%s\n",
           sl_json_int(view, "rootVersion", 0), sl_json_int(view, "registryVersion", 0),
           sl_json_int(view, "head.term", 0), sl_json_int(view, "head.version", 0),
           sl_json_bool(view, "head.fresh", false) ? "" : ": expired, nothing new starts");
    json_object_foreach (json_object_get(view, "units"), key, each)
        print_unit(key, each);
    json_object_foreach (json_object_get(view, "runs"), key, each)
        printf("run          %.12s %s: %s\n", key, sl_json_str_or(each, "job", ""),
               sl_json_str_or(each, "phase", sl_json_str_or(each, "state", "?")));
    json_object_foreach (json_object_get(view, "applied"), key, each) {
        if (!g_str_has_prefix(key, "refused/") && !g_str_has_prefix(key, "flag/"))
            continue;
        g_autofree char *text = sl_escape_for_people(sl_json_str_or(each, "message", ""), 300);
        printf("%s: %s\n", key, text);
    }
}

int sl_command_status(const char *dir, bool as_json)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlAgentConf) conf = sl_agent_conf_load(dir, &error);
    if (!conf && !as_json && sl_error_class(error) == SL_CLASS_NOT_FOUND && print_asked(dir))
        return 3;
    g_autoptr(json_t) status = conf ? read_status(conf, &error) : NULL;
    if (!conf || (!status && sl_error_class(error) != SL_CLASS_NOT_FOUND))
        return complain(error);
    bool running = is_running(conf);
    if (!status) {
        printf("cluster %s (%s): %s\n", conf->cluster, conf->env,
               running ? "starting" : "never started: sluice-agent run");
        return running ? 0 : 3;
    }
    sl_json_set_bool(status, "running", running);
    if (as_json) {
        g_autofree char *text = sl_json_canonical(status, NULL);
        puts(text ? text : "{}");
        return running ? 0 : 3;
    }
    printf("cluster      %s (environment %s, engine %s)\n", conf->cluster, conf->env, conf->engine);
    printf("agent        %s, version %s, written %s\n", running ? "running" : "NOT RUNNING",
           sl_json_str_or(status, "version", "?"), sl_json_str_or(status, "written", "?"));
    g_autofree char *print = fingerprint_of(dir);
    printf("agent key    %s\n", print ? print : "?");
    g_autofree char *why = sl_escape_for_people(sl_json_str_or(status, "disconnected", ""), 200);
    printf("coordinator  %s, %s%s\n", conf->coordinator,
           sl_json_bool(status, "connected", false) ? "connected" : "NOT CONNECTED: ", why);
    print_view(json_object_get(status, "view"));
    return running ? 0 : 3;
}

/* ---- doctor ---- */

static void check(json_t *checks, const char *name, bool ok, const char *message)
{
    json_t *row = json_object();
    sl_json_set_str(row, "check", name);
    sl_json_set_bool(row, "ok", ok);
    sl_json_set_str(row, "message", message);
    json_array_append_new(checks, row);
}

static void check_error(json_t *checks, const char *name, const char *good,
                        GError *error /* consumed */)
{
    g_autofree char *text = error ? sl_error_format(error) : g_strdup(good);
    check(checks, name, error == NULL, text);
    g_clear_error(&error);
}

static void check_keys(const SlAgentConf *conf, json_t *checks)
{
    GError *sign = NULL, *curve = NULL;
    uint8_t secret[64];
    SlCurveKeys keys;
    g_autofree char *sign_path = sl_agent_conf_path(conf, "keys/agent"),
                    *curve_path = sl_agent_conf_path(conf, "keys/curve");
    (void)!sl_signing_key_load(sign_path, false, "", secret, &sign);
    (void)!sl_curve_keys_load(curve_path, false, &keys, &curve);
    memset(secret, 0, sizeof secret);
    memset(&keys, 0, sizeof keys);
    check_error(checks, "signing key", sign_path, sign);
    check_error(checks, "transport key", curve_path, curve);
}

static void check_program(const SlAgentConf *conf, json_t *checks)
{
    g_autofree char *path = sl_shell_exec_path(conf);
    const char *argv[] = {path, "--version", NULL};
    SlSpawn how = {.argv = argv, .output_max = 256, .timeout_us = 5 * SL_SECOND_US};
    SlChildEnd end = {0};
    GError *error = NULL;
    if (access(path, X_OK) != 0)
        sl_throw(&error, SLU_EXEC_MISSING, "%s can't be run", path);
    else if (sl_spawn_wait(&how, &end, &error) && end.code != 0)
        sl_throw(&error, SLU_EXEC_FAILED, "%s --version ended with %d", path, end.code);
    sl_child_end_clear(&end);
    check_error(checks, "sluice-exec", path, error);
}

static void check_store(const SlAgentConf *conf, json_t *checks)
{
    GError *error = NULL;
    if (!conf->model_store)
        sl_throw(&error, SLU_MODEL_STORE, "no modelStore is set: models and outputs have no place");
    else if (access(conf->model_store, R_OK | W_OK | X_OK) != 0)
        sl_throw(&error, SLU_MODEL_STORE, "%s: not there, or not readable and writable",
                 conf->model_store);
    check_error(checks, "model store", conf->model_store, error);
}

static void check_state(const SlAgentConf *conf, json_t *checks)
{
    GError *error = NULL;
    g_autofree char *path = sl_agent_conf_path(conf, "state");
    if (access(path, W_OK) != 0)
        sl_throw(&error, SLU_AGENT_STATE_DIR, "%s can't be written", path);
    check_error(checks, "state folder", path, error);
    check(checks, "agent", is_running(conf),
          is_running(conf) ? "running" : "not running: sluice-agent run --dir DIR");
}

static void check_engine(const SlAgentConf *conf, json_t *checks)
{
    const SlEngineOps *ops = sl_engine_find(conf->engine);
    g_autofree char *state = sl_agent_conf_path(conf, "engine");
    g_autofree char *exec = sl_shell_exec_path(conf);
    g_autoptr(json_t) options = sl_agent_conf_options(conf);
    SlEngineConfig config = {.state_dir = state, .options = options, .exec_path = exec};
    if (ops && ops->doctor)
        ops->doctor(&config, checks);
}

int sl_command_doctor(const char *dir)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlAgentConf) conf = sl_agent_conf_load(dir, &error);
    g_autoptr(json_t) checks = json_array();
    size_t i, bad = 0;
    json_t *row;
    if (!conf)
        return complain(error);
    check(checks, "configuration", true, "agent.json");
    check(checks, "engine", sl_engine_find(conf->engine) != NULL, conf->engine);
    check_state(conf, checks);
    check_keys(conf, checks);
    check_program(conf, checks);
    check_store(conf, checks);
    check_engine(conf, checks);
    g_autoptr(json_t) status = read_status(conf, NULL);
    if (status && is_running(conf))
        check(checks, "coordinator", sl_json_bool(status, "connected", false),
              sl_json_bool(status, "connected", false)
                  ? conf->coordinator
                  : sl_json_str_or(status, "disconnected", "not connected"));
    json_array_foreach (checks, i, row) {
        bool ok = sl_json_bool(row, "ok", false);
        bad += !ok;
        printf("%-4s %-16s %s\n", ok ? "ok" : "BAD", sl_json_str_or(row, "check", ""),
               sl_json_str_or(row, "message", ""));
    }
    return bad ? 1 : 0;
}
