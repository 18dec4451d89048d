/* try.c - `sluice-agent try --dir DIR`: one job of a working tree on the engine `process`, in a
 * scratch folder that `sluice try` prepared. No brain, no network, no key, no seal: what it makes
 * is dirty and can't be promoted. Says run records as JSON lines on stdout; the run ends with us.
 *
 *   DIR/try.json  what to run        DIR/blobs/<sha256>  its files         (written by the CLI)
 *   DIR/engine/   state and logs     DIR/outputs/<name>  what it made      (ours) */
#include "agent/engines/process/gpus.h"
#include "agent/shell.h"
#include "base/digest.h"
#include "base/text.h"
#include "runtime/atomicfile.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define TRY_FILE_MAX (4 * 1024 * 1024) /* an object is at most 1 MiB */
#define LOG_STEP_BYTES (64 * 1024)
#define LOG_TAIL_BYTES (16 * 1024)
#define LOG_EVERY_US (SL_SECOND_US / 5)

typedef struct {
    char *dir, *id;
    json_t *doc;    /* try.json */
    json_t *object; /* borrowed from it */
    SlLoop *loop;
    SlLogSink *sink;
    SlLog *log;
    SlWorkq *queue;
    SlModelCache *models;
    const SlEngineOps *ops;
    SlEngine *engine;
    SlEngineEvents events;
    GHashTable *blobs; /* digest -> GBytes* */
    SlTimer *log_timer;
    uint64_t log_at[2];
    unsigned signals;
    json_t *end;
} Try;

static char *below(const Try *t, const char *name)
{
    return g_build_filename(t->dir, name, NULL);
}

static void say(json_t *event /* consumed */)
{
    char *line = json_dumps(event, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(event);
    if (line) {
        puts(line);
        fflush(stdout);
    }
    free(line);
}

static json_t *event_new(const char *name)
{
    json_t *event = json_object();
    sl_json_set_str(event, "event", name);
    return event;
}

/* ---- what the engine asks for and says ---- */

static GBytes *blob(const char *digest, void *user)
{
    Try *t = user;
    GBytes *bytes = g_hash_table_lookup(t->blobs, digest);
    if (bytes || !sl_is_hex_digest(digest))
        return bytes;
    g_autofree char *name = g_build_filename("blobs", digest, NULL);
    g_autofree char *path = below(t, name);
    g_autoptr(GBytes) read = sl_file_read(path, SL_BLOB_BYTES_MAX, NULL);
    g_autofree char *found = read ? sl_sha256_hex_bytes(read) : NULL;
    if (g_strcmp0(found, digest) != 0)
        return NULL;
    bytes = g_bytes_ref(read);
    g_hash_table_insert(t->blobs, g_strdup(digest), bytes);
    return bytes;
}

static void applied(void *user, const SlEngineRef *ref, const char *digest, const GError *error)
{
    (void)user, (void)ref, (void)digest, (void)error;
}

static void removed(void *user, const SlEngineRef *ref, const GError *error)
{
    (void)user, (void)ref, (void)error;
}

static void observed(void *user, const SlEngineRef *ref, SlHealth health, const char *reason,
                     const char *message)
{
    (void)user, (void)ref, (void)health, (void)reason, (void)message;
}

static void run_changed(void *user, const char *run_id, const json_t *record)
{
    (void)user, (void)run_id;
    json_t *event = event_new("record");
    json_object_set_new(event, "record", json_deep_copy(record));
    say(event);
}

static char *read_log(Try *t, bool err, bool tail, size_t max, uint64_t *at)
{
    SlEngineLogAsk ask = {.run_id = t->id, .err = err, .tail = tail, .offset = *at, .max = max};
    SlEngineLog log = {0};
    g_autoptr(GBytes) bytes = t->ops->log(t->engine, &ask, &log, NULL);
    size_t len = 0;
    const char *text = bytes ? g_bytes_get_data(bytes, &len) : NULL;
    *at = bytes ? log.offset + len : *at;
    return text && len > 0 ? g_utf8_make_valid(text, (gssize)len) : NULL;
}

static void say_log(Try *t, bool all)
{
    bool more = sl_json_bool(t->doc, "log", false);
    while (more) {
        more = false;
        for (unsigned s = 0; s < 2; s++) {
            g_autofree char *text = read_log(t, s == 1, false, LOG_STEP_BYTES, &t->log_at[s]);
            if (!text)
                continue;
            json_t *event = event_new("log");
            sl_json_set_str(event, "stream", s == 1 ? "stderr" : "stdout");
            sl_json_set_str(event, "text", text);
            say(event);
            more = all;
        }
    }
}

static void log_due(void *data)
{
    Try *t = data;
    say_log(t, false);
    sl_timer_arm(t->log_timer, LOG_EVERY_US);
}

static void run_ended(void *user, const char *run_id, const json_t *end)
{
    (void)run_id;
    Try *t = user;
    say_log(t, true);
    t->end = json_deep_copy(end);
    sl_loop_quit(t->loop, 0);
}

static void caught(int number, void *user)
{
    (void)number;
    Try *t = user;
    if (++t->signals == 1)
        t->ops->run_stop(t->engine, t->id, "stopped by a person");
    else
        sl_loop_quit(t->loop, 0); /* sluice-exec sees that we are gone and kills at once */
}

/* ---- before ---- */

static bool read_try(Try *t, GError **error)
{
    SlJsonLimits limits = {.bytes_max = TRY_FILE_MAX};
    g_autofree char *path = below(t, "try.json");
    g_autoptr(GBytes) bytes = sl_file_read(path, TRY_FILE_MAX, error);
    t->doc = bytes ? sl_json_parse(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), &limits,
                                   path, error)
                   : NULL;
    t->object = json_object_get(t->doc, "object");
    if (!t->doc)
        return false;
    if (sl_json_int(t->doc, "format", 0) != 1 || !json_is_object(t->object) ||
        !sl_json_str(t->doc, "app") || !sl_json_str(t->doc, "env") || !sl_json_str(t->doc, "job"))
        return sl_throw(error, SLU_INVALID,
                        "%s: needs format 1, app, env, job and object: `sluice try` writes it",
                        path);
    return true;
}

static bool check_gpus(const Try *t, GError **error)
{
    g_autoptr(GPtrArray) have = sl_gpus_list(sl_json_str_or(t->doc, "gpus", "all"), error);
    int64_t need = sl_json_int(t->object, "spec.resourcesPerNode.gpu", 0);
    return have &&
           (need <= (int64_t)have->len ||
            sl_throw(error, SLU_INVALID,
                     "the job needs %d GPU%s and this machine has %u: `--gpus none` runs it "
                     "without any",
                     (int)need, need == 1 ? "" : "s", have->len));
}

/* Inputs that are named by digest come, verified, from the model store; nothing is written there.
 */
static bool fetch_inputs(const Try *t, GError **error)
{
    size_t i;
    json_t *input;
    g_autofree char *cache = below(t, "models");
    json_array_foreach (sl_json_at(t->object, "spec.inputs"), i, input) {
        const char *digest = sl_json_str(input, "model");
        digest = digest && g_str_has_prefix(digest, "model://") ? digest + 8 : digest;
        digest = digest && g_str_has_prefix(digest, "sha256:") ? digest + 7 : digest;
        if (!sl_models_materialise(sl_json_str(t->doc, "modelStore"), cache, digest ? digest : "",
                                   error))
            return sl_prefix(error, "input `%s`", sl_json_str_or(input, "name", "?"));
    }
    return true;
}

static bool open_engine(Try *t, GError **error)
{
    SlAgentConf conf = {.exec = (char *)sl_json_str(t->doc, "exec")};
    g_autofree char *exec = sl_shell_exec_path(&conf), *state = below(t, "engine"),
                    *store = below(t, "store"), *cache = below(t, "models");
    g_autoptr(json_t) options = json_object();
    if (!sl_dir_make(state, 0700, error) || !sl_dir_make(store, 0700, error) ||
        !sl_dir_make(cache, 0700, error) || !fetch_inputs(t, error))
        return false;
    sl_json_set_bool(options, "endWithAgent", true);
    sl_json_set_str(options, "gpus", sl_json_str_or(t->doc, "gpus", "all"));
    if (json_object_get(t->doc, "secrets"))
        json_object_set(options, "secrets", json_object_get(t->doc, "secrets"));
    t->queue = sl_workq_new(t->loop, 2, 64);
    SlModelCacheConfig models = {.store_dir = store, .cache_dir = cache, .queue = t->queue};
    t->models = sl_models_open(&models, error);
    t->events = (SlEngineEvents){t, applied, removed, observed, run_changed, run_ended};
    SlEngineConfig config = {.state_dir = state,
                             .cluster = "try",
                             .options = options,
                             .exec_path = exec,
                             .loop = t->loop,
                             .log = t->log,
                             .clock = &sl_clock_real,
                             .models = t->models,
                             .blob = blob,
                             .blob_user = t,
                             .events = &t->events};
    t->ops = sl_engine_find("process");
    t->engine = t->models ? t->ops->open(&config, error) : NULL;
    return t->engine != NULL;
}

/* ---- after ---- */

/* Out of the attempt's folder to where people look; a rename, for they may be large. */
static json_t *take_outputs(const Try *t, const char *attempt)
{
    json_t *list = json_array(), *output;
    size_t i;
    g_autofree char *outputs = below(t, "outputs");
    if (!sl_dir_make(outputs, 0755, NULL))
        return list;
    json_array_foreach (sl_json_at(t->object, "spec.outputs"), i, output) {
        const char *name = sl_json_str_or(output, "name", "output"),
                   *path = sl_json_str(output, "path");
        g_autofree char *from = g_build_filename(attempt, path ? "files" : "outputs",
                                                 path ? path : name, NULL),
                        *to = g_build_filename(outputs, name, NULL);
        json_t *each = json_object();
        sl_json_set_str(each, "name", name);
        sl_json_set_str(each, "path", rename(from, to) == 0 ? to : from);
        const char *line = json_string_value(json_array_get(json_object_get(t->end, "outputs"), i));
        sl_json_set_str(each, "sealed", line ? line : "");
        json_array_append_new(list, each);
    }
    return list;
}

static void say_end(Try *t)
{
    static const char *const scratch[] = {"store", "models", "blobs"};
    json_t *event = event_new("end");
    g_autofree char *name = g_strdup_printf("engine/runs/%s/attempts/%d", t->id,
                                            (int)sl_json_int(t->end, "attempts", 1));
    g_autofree char *attempt = below(t, name);
    uint64_t at = 0;
    g_autofree char *out = read_log(t, false, true, LOG_TAIL_BYTES, &at);
    g_autofree char *err = read_log(t, true, true, LOG_TAIL_BYTES, &at);
    sl_json_set_str(event, "stdout", out ? out : "");
    sl_json_set_str(event, "stderr", err ? err : "");
    sl_json_set_str(event, "folder", attempt);
    json_object_set(event, "end", t->end);
    bool ok = strcmp(sl_json_str_or(t->end, "phase", ""), "Succeeded") == 0;
    json_object_set_new(event, "outputs", ok ? take_outputs(t, attempt) : json_array());
    for (size_t i = 0; i < G_N_ELEMENTS(scratch); i++) {
        g_autofree char *path = below(t, scratch[i]);
        (void)!sl_dir_remove_tree(path, NULL);
    }
    say(event);
}

static void start(Try *t)
{
    uint8_t random[32];
    sl_random_bytes(random, sizeof random);
    t->id = sl_hex(random, sizeof random); /* never a fleet's run id */
    g_autofree char *digest = sl_json_digest(t->object);
    SlEngineRun run = {.run_id = t->id,
                       .run_key = sl_json_str_or(t->doc, "runKey", ""),
                       .app = sl_json_str(t->doc, "app"),
                       .env = sl_json_str(t->doc, "env"),
                       .cluster = "try",
                       .job = sl_json_str(t->doc, "job"),
                       .object = t->object,
                       .digest = digest};
    json_t *event = event_new("start");
    sl_json_set_str(event, "run", t->id);
    sl_json_set_bool(event, "dirty", true);
    say(event);
    t->ops->run_start(t->engine, &run);
    sl_timer_arm(t->log_timer, LOG_EVERY_US);
}

static bool try_run(Try *t, GError **error)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, 0};
    if (!read_try(t, error) || !check_gpus(t, error) || !open_engine(t, error) ||
        !sl_loop_signals(t->loop, signals, caught, t, error))
        return false;
    start(t);
    (void)sl_loop_run(t->loop);
    if (!t->end)
        t->end = json_pack("{s:s,s:s,s:s,s:s}", "phase", "Failed", "reason", "Stopped", "exit",
                           "signal 9", "message", "killed by a person before its grace was over");
    say_end(t);
    return strcmp(sl_json_str_or(t->end, "phase", ""), "Succeeded") == 0;
}

int sl_command_try(const char *dir)
{
    g_autoptr(GError) error = NULL;
    Try t = {.dir = g_canonicalize_filename(dir, NULL), .loop = sl_loop_new()};
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* a CLI that was killed leaves no job behind */
    t.sink = sl_log_sink_new(2, SL_LOG_ERROR, &t.log);
    t.blobs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    t.log_timer = sl_timer_new(t.loop, log_due, &t);
    bool ok = try_run(&t, &error);
    if (t.engine)
        t.ops->close(t.engine);
    if (t.queue)
        sl_workq_free(t.queue);
    if (t.models)
        sl_models_close(t.models);
    sl_timer_free(t.log_timer);
    sl_loop_free(t.loop);
    sl_log_sink_free(t.sink);
    g_hash_table_unref(t.blobs);
    json_decref(t.end);
    json_decref(t.doc);
    g_free(t.id);
    g_free(t.dir);
    if (!error)
        return ok ? 0 : 1;
    g_autofree char *text = sl_error_format(error);
    fprintf(stderr, "sluice-agent: %s\n", text);
    return sl_error_exit_code(sl_error_class(error));
}
