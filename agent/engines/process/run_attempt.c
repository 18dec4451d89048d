/* run_attempt.c - from a run that may start to its running processes: secrets, inputs, files,
 * environment, sluice-exec. */
#include "agent/engines/process/run.h"
#include "base/text.h"
#include "runtime/atomicfile.h"
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define WAIT_RETRY_US SL_SECOND_US /* a secret or model that is not there now */
#define POLL_US (100 * 1000)       /* after a change was noticed: collects a burst of lines */
#define LOG_SEGMENT_BYTES (4 * 1024 * 1024)
#define LOG_SEGMENTS 8
#define VISIBLE "CUDA_VISIBLE_DEVICES"

static void next_input(Run *run);

/* Says it once, not at each try. */
static void wait_for(Run *run, const char *reason, const char *message)
{
    g_autofree char *clean = sl_escape_for_people(message, 1000);
    if (run->phase != SL_RUN_QUEUED || g_strcmp0(run->reason, reason) != 0 ||
        g_strcmp0(run->message, clean) != 0)
        run_set_phase(run, SL_RUN_QUEUED, reason, message);
}

static void wait_and_retry(Run *run, const char *reason, const GError *error)
{
    wait_for(run, reason, error->message);
    sl_timer_arm(run->timer, WAIT_RETRY_US);
}

/* Nothing starts before the journal says so; a full disk is waited for. */
static void wait_for_disk(Run *run)
{
    wait_for(run, "StateUnsaved", run->save_problem);
    sl_timer_arm(run->timer, WAIT_RETRY_US);
}

static unsigned processes_of(const json_t *spec)
{
    int64_t count = sl_json_int(spec, "numProcPerNode", 1);
    return count < 1 || count > RUN_PROCESSES_MAX ? 0 : (unsigned)count;
}

static void env_done(GPtrArray *pairs, const GError *error, void *data)
{
    Run *run = data;
    run->env_job = NULL;
    if (error && error->code == SLU_SECRET_MISSING) {
        wait_and_retry(run, "SecretMissing", error);
        return;
    }
    if (error) {
        run_finish(run, SL_RUN_FAILED, "InvalidSpec", error->message);
        return;
    }
    g_clear_pointer(&run->pairs, g_ptr_array_unref);
    run->pairs = g_ptr_array_ref(pairs);
    run->next_input = 0;
    next_input(run);
}

void run_prepare(Run *run)
{
    run->processes = processes_of(run->spec);
    if (run->processes == 0 || sl_json_int(run->spec, "numNodes", 1) != 1) {
        run->processes = MAX(run->processes, 1);
        run_finish(run, SL_RUN_FAILED, "InvalidSpec",
                   "the engine `process` runs one node with at most 64 processes");
        return;
    }
    run->state = RUN_PREPARE;
    g_free(run->attempt_dir);
    run->attempt_dir = g_strdup_printf("%s/attempts/%u", run->dir, run->attempt);
    if (!run_save(run)) {
        wait_for_disk(run);
        return;
    }
    if (run->attempt == 1 && run->phase != SL_RUN_QUEUED)
        run_set_phase(run, SL_RUN_ADMITTED, "Preparing", "");
    run->env_job = sl_env_resolve(run->engine, run->spec, env_done, run);
}

/* The model that an input names, under whatever key the document gives it ("model", "from",
 * "item"). */
static const char *input_digest(const json_t *input)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)input, key, value)
        if (sl_model_digest(json_string_value(value)))
            return sl_model_digest(json_string_value(value));
    return NULL;
}

static void input_ready(const char *path, const GError *error, void *data)
{
    Run *run = data;
    run->waits_model = false;
    if (error) {
        wait_and_retry(run, error->code == SLU_MODEL_CORRUPT ? "ModelCorrupt" : "ModelUnavailable",
                       error);
        return;
    }
    const json_t *input = json_array_get(sl_json_at(run->spec, "inputs"), run->next_input++);
    g_autofree char *name = sl_env_name("SLUICE_INPUT_", sl_json_str_or(input, "name", "model"));
    g_ptr_array_add(run->pairs, g_strconcat(name, "=", path, NULL));
    next_input(run);
}

/* ---- launch ---- */

static void add_rank(SlSpec *spec, const Run *run, unsigned rank)
{
    g_autofree char *text = g_strdup_printf("%u", rank),
                    *world = g_strdup_printf("%u", run->processes);
    sl_spec_add(spec, "process", text);
    sl_spec_add_env(spec, "RANK", text);
    sl_spec_add_env(spec, "LOCAL_RANK", text);
    sl_spec_add_env(spec, "WORLD_SIZE", world);
    sl_spec_add_env(spec, "LOCAL_WORLD_SIZE", world);
    sl_spec_add_env(spec, "NODE_RANK", "0");
    sl_spec_add_env(spec, "GROUP_RANK", "0");
}

static bool add_outputs(SlSpec *spec, const Run *run, GError **error)
{
    size_t i;
    json_t *output;
    json_array_foreach (sl_json_at(run->spec, "outputs"), i, output) {
        const char *name = sl_json_str(output, "name"), *path = sl_json_str(output, "path");
        if (!name || !sl_is_name(name) || (path && !sl_check_relative_path(path, error)))
            return (error && *error) ? sl_prefix(error, "spec.outputs.%zu.path", i)
                                     : sl_throw(error, SLU_OBJECT_SPEC,
                                                "spec.outputs.%zu.name: must be a name", i);
        g_autofree char *dir = run_output_dir(run, output),
                        *variable = sl_env_name("SLUICE_OUTPUT_", name);
        if (!sl_dir_make(dir, 0755, error))
            return false;
        sl_spec_add_env(spec, variable, dir);
    }
    return true;
}

static bool add_ours(SlSpec *spec, Run *run, GError **error)
{
    g_autofree char *checkpoint = g_build_filename(run->dir, "checkpoint", NULL);
    g_autofree char *progress = g_build_filename(run->attempt_dir, "progress", NULL);
    g_autofree char *termination = g_build_filename(run->attempt_dir, "termination", NULL);
    g_autofree char *attempt = g_strdup_printf("%u", run->attempt);
    g_autofree char *config = sl_config_folder(run->engine, run->app, run->object);
    for (guint i = 0; i < run->pairs->len; i++)
        if (!run->gpus || !g_str_has_prefix(g_ptr_array_index(run->pairs, i), VISIBLE "="))
            sl_spec_add(spec, "env", g_ptr_array_index(run->pairs, i));
    if (run->gpus || sl_gpus_count(run->engine->gpus) > 0) /* who asked for none sees none */
        sl_spec_add_env(spec, VISIBLE, run->gpus ? run->gpus : "");
    sl_spec_add_env(spec, "SLUICE_CONFIG_DIR", config);
    if (run->attempt > 1 && !sl_json_bool(run->spec, "checkpoint.resume", true))
        (void)!sl_dir_remove_tree(checkpoint, NULL); /* each attempt starts from nothing */
    if (!sl_dir_make(config, 0755, error) || !sl_dir_make(checkpoint, 0755, error) ||
        !add_outputs(spec, run, error))
        return false;
    sl_spec_add_env(spec, "SLUICE_CHECKPOINT_DIR", checkpoint);
    sl_spec_add_env(spec, "SLUICE_PROGRESS_FILE", progress);
    sl_spec_add_env(spec, "SLUICE_TERMINATION_FILE", termination);
    sl_spec_add_env(spec, "SLUICE_RUN", run->id);
    sl_spec_add_env(spec, "SLUICE_ATTEMPT", attempt);
    uint16_t port = sl_port_take(run->engine);
    g_autofree char *master = g_strdup_printf("%u", port);
    sl_spec_add_env(spec, "MASTER_ADDR", "127.0.0.1");
    sl_spec_add_env(spec, "MASTER_PORT", master);
    return port != 0 || sl_throw(error, SLU_LIMIT, "no free port between %u and %u",
                                 run->engine->port_low, run->engine->port_high);
}

static bool add_limits(SlSpec *spec, Run *run, GError **error)
{
    const char *limit = sl_json_str(run->spec, "timeLimit");
    int64_t limit_us;
    if (limit && !sl_parse_duration(limit, &limit_us, error))
        return sl_prefix(error, "spec.timeLimit");
    if (limit) {
        /* The limit is the whole run's: what earlier attempts used is gone. */
        int64_t used = run->started_us ? sl_process_now(run->engine) - run->started_us : 0;
        sl_spec_add_uint(spec, "limit-us", (uint64_t)MAX(limit_us - MAX(used, 0), 1));
    }
    sl_spec_add_uint(spec, "log-bytes", LOG_SEGMENT_BYTES);
    sl_spec_add_uint(spec, "log-count", LOG_SEGMENTS);
    if (run->engine->end_with_agent)
        sl_spec_add_uint(spec, "owner-pid", (uint64_t)getpid());
    if (run->engine->use_cgroup) {
        g_autofree char *group = g_strdup_printf("run-%.16s-%u", run->id, run->attempt);
        sl_spec_add(spec, "cgroup", group);
    }
    return true;
}

static GBytes *make_spec(Run *run, GError **error)
{
    g_autofree char *files = g_build_filename(run->attempt_dir, "files", NULL);
    g_autoptr(SlSpec) spec = sl_spec_new(files);
    const json_t *list = sl_json_at(run->spec, "files");
    if (!sl_dir_make(run->attempt_dir, 0700, error) ||
        !sl_files_write(run->engine, files, json_is_array(list) ? list : NULL, NULL, error) ||
        !sl_spec_add_program(spec, run->spec, error) || !add_limits(spec, run, error) ||
        !add_ours(spec, run, error))
        return NULL;
    for (unsigned rank = 0; rank < run->processes; rank++)
        add_rank(spec, run, rank);
    return sl_spec_finish(g_steal_pointer(&spec));
}

static void noticed(void *data)
{
    Run *run = data;
    sl_timer_arm(run->poll, POLL_US);
}

static void begin_watching(Run *run)
{
    if (!run->watch)
        run->watch = sl_dirwatch_add(run->engine->watch, run->attempt_dir, noticed, run);
    sl_timer_arm(run->poll, POLL_US);
}

static void shim_started(void *data, const GError *error)
{
    Run *run = data;
    if (error) {
        SlExit lost = {.lost = true, .error = error->message};
        sl_shim_free(g_steal_pointer(&run->shim));
        run_attempt_over(run, &lost);
        return;
    }
    if (run->started_us == 0)
        run->started_us = sl_process_now(run->engine);
    run_set_phase(run, SL_RUN_PENDING, "Started", "");
    run_save(run);
    begin_watching(run);
    if (run->stop)
        sl_shim_signal(run->shim, SIGTERM);
}

static void shim_ended(void *data, const SlExit *end)
{
    Run *run = data;
    run_read_progress(run);
    sl_timer_arm(run->poll, -1);
    sl_dirwatch_remove(run->engine->watch, run->watch);
    run->watch = 0;
    sl_shim_free(g_steal_pointer(&run->shim));
    run_attempt_over(run, end);
}

static const SlShimEvents shim_events = {shim_started, shim_ended};

/* ---- GPUs ---- */

static void wake_waiting(SlEngine *engine)
{
    const GPtrArray *waiting = sl_gpus_waiting(engine->gpus);
    for (guint i = 0; i < waiting->len; i++) {
        Run *other = g_hash_table_lookup(engine->runs, g_ptr_array_index(waiting, i));
        if (other)
            sl_timer_arm(other->timer, 0);
    }
}

void run_give_gpus(Run *run)
{
    g_clear_pointer(&run->gpus, g_free);
    sl_gpus_release(run->engine->gpus, run->id);
    wake_waiting(run->engine);
}

/* False: the run waits, and is woken when some become free. */
static bool take_gpus(Run *run)
{
    int64_t need = sl_json_int(run->spec, "resourcesPerNode.gpu", 0);
    g_autofree char *why = NULL;
    if (need <= 0 || run->gpus)
        return true;
    run->gpus = sl_gpus_take(run->engine->gpus, run->id, (unsigned)need, &why);
    if (run->gpus) {
        wake_waiting(run->engine);
        return true;
    }
    wait_for(run, need > sl_gpus_count(run->engine->gpus) ? "GPUsMissing" : "GPUsBusy", why);
    return false;
}

/* Nothing was started yet: what the machine lacks or failed at is tried again, in the same folder. What
 * the object says wrong stays wrong. */
static bool may_pass(const GError *error)
{
    return sl_error_is_retryable(error) || sl_error_class(error) == SL_CLASS_EXHAUSTED ||
           error->code == SLU_DISK_FAULT;
}

static void launch(Run *run)
{
    g_autoptr(GError) error = NULL;
    if (!take_gpus(run))
        return;
    g_autoptr(GBytes) spec = make_spec(run, &error);
    if (!spec)
        run_give_gpus(run);
    if (!spec && may_pass(error)) {
        wait_and_retry(run, error->code == SLU_DISK_FAULT ? "DiskFault" : "AgentBusy", error);
        return;
    }
    if (!spec) {
        run_finish(run, SL_RUN_FAILED, "InvalidSpec", error->message);
        return;
    }
    run->state = RUN_ATTEMPT;
    memset(run->out_at, 0, sizeof run->out_at);
    memset(run->err_at, 0, sizeof run->err_at);
    run->file_at = 0;
    run->sign_of_life = false;
    sl_progress_free(run->progress);
    run->progress = sl_progress_new();
    if (!run_save(run)) {
        run->state = RUN_PREPARE;
        run_give_gpus(run);
        wait_for_disk(run);
        return;
    }
    run->shim = sl_shim_new(run->engine, run->attempt_dir, "run", &shim_events, run);
    sl_shim_start(run->shim, spec);
}

static void next_input(Run *run)
{
    const json_t *inputs = sl_json_at(run->spec, "inputs");
    if (run->next_input >= json_array_size(inputs)) {
        launch(run);
        return;
    }
    const json_t *input = json_array_get(inputs, run->next_input);
    const char *digest = input_digest(input);
    if (!digest) {
        run_finish(run, SL_RUN_FAILED, "InvalidSpec", "an input names no model by digest");
        return;
    }
    run->waits_model = true;
    sl_models_get(run->engine->models, digest, input_ready, run);
}

/* ---- restart and stop ---- */

static void attach(Run *run)
{
    run->shim = sl_shim_new(run->engine, run->attempt_dir, "run", &shim_events, run);
    if (!sl_shim_attach(run->shim)) {
        /* Nothing was started there; the same folder again, so that a launcher still under way
         * can't become a second one. */
        sl_shim_free(g_steal_pointer(&run->shim));
        run_prepare(run);
        return;
    }
    run->phase = run->phase == SL_RUN_RUNNING ? SL_RUN_RUNNING : SL_RUN_PENDING;
    begin_watching(run);
    if (run->stop)
        sl_shim_signal(run->shim, SIGTERM);
}

void run_resume(Run *run)
{
    run->processes = MAX(processes_of(run->spec), 1);
    g_free(run->attempt_dir);
    run->attempt_dir = g_strdup_printf("%s/attempts/%u", run->dir, run->attempt);
    if (run->state == RUN_ATTEMPT)
        attach(run);
    else if (run->state == RUN_STORE)
        run_store_outputs(run);
    else if (run->state == RUN_PREPARE && run->stop)
        run_finish(run, SL_RUN_FAILED, "Stopped", run->stop);
    else if (run->state == RUN_PREPARE)
        run_prepare(run);
}

void run_stop_now(Run *run)
{
    if (run->state == RUN_ATTEMPT && run->shim) {
        run_set_phase(run, run->phase, "Stopping", run->stop);
        sl_shim_signal(run->shim, SIGTERM);
    } else if (run->state == RUN_PREPARE) {
        run_release(run);
        run_finish(run, SL_RUN_FAILED, "Stopped", run->stop);
    }
}

void run_release(Run *run)
{
    sl_env_cancel(g_steal_pointer(&run->env_job));
    sl_models_cancel(run->engine->models, run);
    run->waits_model = false;
    if (run->watch)
        sl_dirwatch_remove(run->engine->watch, run->watch);
    run->watch = 0;
    sl_shim_free(g_steal_pointer(&run->shim));
    sl_timer_arm(run->timer, -1);
    sl_timer_arm(run->poll, -1);
}
