/* effects.c - performs what the brain decided, and tells it what the engine said. No decision here:
 * an effect that can't be done is answered with its error. */
#include "agent/shell.h"
#include "base/text.h"
#include "runtime/atomicfile.h"
#include <string.h>

#define MODELS_SPARE 2 /* the last models of a unit stay on disk even when nothing names them */

static SlEngineRef ref_of(const SlAgentEffect *e)
{
    return (SlEngineRef){e->app, e->kind, e->namespace_ ? e->namespace_ : "-", e->name};
}

static void say_applied(SlShell *shell, const SlEngineRef *ref, const char *digest,
                        const GError *error)
{
    SlAgentInput input = {.type = SL_AGENT_APPLIED,
                          .object = {ref->app, ref->kind, ref->namespace_, ref->name},
                          .digest = digest,
                          .error = error};
    sl_shell_step(shell, &input);
}

/* An object that can't be looked at for want of its bytes (a loss of power takes what was cached): as
 * if it were not there, so that the brain fetches them and applies it again. Silence would leave it
 * unseen for ever. */
static void say_unseen(SlShell *shell, const SlEngineRef *ref, const GError *error)
{
    SlAgentInput input = {.type = SL_AGENT_OBSERVED,
                          .object = {ref->app, ref->kind, ref->namespace_, ref->name},
                          .health = SL_HEALTH_MISSING,
                          .reason = "Missing",
                          .message = error->message};
    sl_shell_step(shell, &input);
}

static json_t *read_object(SlShell *shell, const char *digest, GError **error)
{
    GBytes *bytes = sl_blobs_get(shell->blobs, digest);
    SlJsonLimits limits = {.bytes_max = SL_OBJECT_MAX};
    if (!bytes)
        return sl_throw_null(error, SLU_UNAVAILABLE, "object %.12s is not here (any more)", digest);
    return sl_json_parse(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), &limits, "object",
                         error);
}

static void apply(SlShell *shell, const SlAgentEffect *e, bool adopt)
{
    g_autoptr(GError) error = NULL;
    SlEngineRef ref = ref_of(e);
    g_autoptr(json_t) object = read_object(shell, e->digest, &error);
    if (object && !adopt && !shell->ops->can_apply(e->kind))
        sl_throw(&error, SLU_KIND_UNSUPPORTED, "%s %s: the engine `%s` does not apply this kind",
                 e->kind, e->name, shell->ops->name);
    if (error) {
        adopt ? say_unseen(shell, &ref, error) : say_applied(shell, &ref, e->digest, error);
        return;
    }
    SlEngineApply what = {.ref = ref,
                          .object = object,
                          .digest = e->digest,
                          .env = shell->conf->env,
                          .cluster = shell->conf->cluster,
                          .force = e->force};
    if (adopt)
        shell->ops->adopt(shell->engine, &what);
    else
        shell->ops->apply(shell->engine, &what);
}

static void run_start(SlShell *shell, const SlAgentEffect *e)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) object = read_object(shell, e->digest, &error);
    if (!object) {
        sl_log_error(shell->log, "run-object", error);
        return; /* the brain asks again until RUN confirms it */
    }
    SlEngineRun run = {.run_id = e->run_id,
                       .run_key = e->run_key ? e->run_key : "",
                       .app = e->app,
                       .env = shell->conf->env,
                       .cluster = shell->conf->cluster,
                       .job = e->job,
                       .generation = e->generation,
                       .object = object,
                       .digest = e->digest};
    shell->ops->run_start(shell->engine, &run);
}

static void save(SlShell *shell, const SlAgentEffect *e)
{
    g_autofree char *path =
        sl_agent_conf_path(shell->conf, e->generation % 2 ? "state/b" : "state/a");
    size_t len;
    const void *bytes = g_bytes_get_data(e->bytes, &len);
    g_clear_error(&shell->saved_error);
    if (!sl_file_write_atomic(path, bytes, len, 0600, &shell->saved_error) &&
        shell->saved_error->code == SLU_DISK_FAULT) {
        sl_log_error(shell->log, "state-save", shell->saved_error);
        /* What the kernel still has in memory is not what the disk has: only a new process, which
         * reads both slots again, may decide anything. What runs goes on. */
        shell->stopping = true;
        sl_loop_quit(shell->loop, sl_error_exit_code(sl_error_class(shell->saved_error)));
        return;
    }
    shell->saved_generation = e->generation;
    sl_timer_arm(shell->saved_timer, 0); /* never from inside a step */
}

static void keep(SlShell *shell, const SlAgentEffect *e)
{
    g_autoptr(GHashTable) set = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < e->digests->len; i++)
        g_hash_table_add(set, g_ptr_array_index(e->digests, i));
    unsigned removed = sl_blobs_collect(shell->blobs, set, sl_clock_real.utc_us(NULL));
    sl_models_collect(shell->models, set, MODELS_SPARE);
    g_autofree char *count = g_strdup_printf("%u", removed);
    if (removed > 0)
        sl_log(shell->log, SL_LOG_DEBUG, "blobs-collected", "count", count, NULL);
}

static void log_effect(SlShell *shell, const SlAgentEffect *e)
{
    sl_log(shell->log, e->is_error ? SL_LOG_ERROR : SL_LOG_INFO, e->event ? e->event : "agent",
           "message", e->message ? e->message : "", NULL);
}

void sl_shell_perform(SlShell *shell, const SlAgentEffect *e)
{
    SlEngineRef ref = ref_of(e);
    switch (e->type) {
    case SL_AGENT_DO_HELLO:
        sl_shell_send_hello(shell, e);
        break;
    case SL_AGENT_DO_REPORT:
    case SL_AGENT_DO_SEAL:
        sl_shell_send_signed(shell, e);
        break;
    case SL_AGENT_DO_FETCH:
        sl_fetcher_ask(shell->fetcher, e->digest, e->is_statement);
        break;
    case SL_AGENT_DO_SAVE:
        save(shell, e);
        break;
    case SL_AGENT_DO_APPLY:
        apply(shell, e, false);
        break;
    case SL_AGENT_DO_REMOVE:
        shell->ops->remove(shell->engine, &ref);
        break;
    case SL_AGENT_DO_ADOPT:
        if (e->run_id)
            shell->ops->run_adopt(shell->engine, e->run_id);
        else
            apply(shell, e, true);
        break;
    case SL_AGENT_DO_RUN_START:
        run_start(shell, e);
        break;
    case SL_AGENT_DO_RUN_STOP:
        shell->ops->run_stop(shell->engine, e->run_id, e->message);
        break;
    case SL_AGENT_DO_RUN_FORGET:
        shell->ops->run_forget(shell->engine, e->run_id);
        break;
    case SL_AGENT_DO_KEEP:
        keep(shell, e);
        break;
    case SL_AGENT_DO_LOG:
        log_effect(shell, e);
        break;
    case SL_AGENT_N_EFFECTS:
        break;
    }
}

/* ---- what the engine says ---- */

static void applied(void *user, const SlEngineRef *ref, const char *digest, const GError *error)
{
    say_applied(user, ref, digest, error);
}

static void removed(void *user, const SlEngineRef *ref, const GError *error)
{
    SlAgentInput input = {.type = SL_AGENT_REMOVED,
                          .object = {ref->app, ref->kind, ref->namespace_, ref->name},
                          .error = error};
    sl_shell_step(user, &input);
}

static void observed(void *user, const SlEngineRef *ref, SlHealth health, const char *reason,
                     const char *message)
{
    SlAgentInput input = {.type = SL_AGENT_OBSERVED,
                          .object = {ref->app, ref->kind, ref->namespace_, ref->name},
                          .health = health,
                          .reason = reason,
                          .message = message};
    sl_shell_step(user, &input);
}

static void run_changed(void *user, const char *run_id, const json_t *record)
{
    SlAgentInput input = {.type = SL_AGENT_RUN, .run_id = run_id, .record = record};
    sl_shell_step(user, &input);
}

static GPtrArray *texts(const json_t *list)
{
    size_t i;
    json_t *item;
    GPtrArray *array = g_ptr_array_new();
    json_array_foreach ((json_t *)list, i, item)
        if (json_is_string(item))
            g_ptr_array_add(array, (void *)json_string_value(item));
    return array;
}

static void run_ended(void *user, const char *run_id, const json_t *j)
{
    g_autoptr(GPtrArray) outputs = texts(json_object_get(j, "outputs")),
                         metrics = texts(json_object_get(j, "metrics"));
    SlRunEnd end = {.run_id = run_id,
                    .phase = SL_RUN_FAILED,
                    .reason = sl_json_str_or(j, "reason", "Unknown"),
                    .exit = sl_json_str_or(j, "exit", "unknown"),
                    .message = sl_json_str_or(j, "message", ""),
                    .attempts = (uint64_t)sl_json_int(j, "attempts", 1),
                    .started_us = sl_json_int(j, "started", 0),
                    .finished_us = sl_json_int(j, "finished", 0),
                    .outputs = outputs,
                    .metrics = metrics};
    (void)sl_run_phase_parse(sl_json_str_or(j, "phase", "Failed"), &end.phase);
    SlAgentInput input = {.type = SL_AGENT_RUN_ENDED, .run_id = run_id, .end = &end};
    sl_shell_step(user, &input);
}

SlEngineEvents sl_shell_engine_events(SlShell *shell)
{
    return (SlEngineEvents){shell, applied, removed, observed, run_changed, run_ended};
}
