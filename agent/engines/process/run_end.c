/* run_end.c - an attempt is over: again, or for good? Outputs go into the store before the run says
 * that it ended. */
#include "agent/engines/process/run.h"
#include "base/text.h"
#include "runtime/atomicfile.h"
#include <dirent.h>
#include <string.h>

#define TERMINATION_MAX 4096
#define LOG_TAIL_BYTES (64 * 1024)
#define RETRY_US SL_SECOND_US
#define RETRY_MAX_US (60 * SL_SECOND_US)
#define STORE_RETRY_US (5 * SL_SECOND_US)
#define MESSAGE_LINES_BYTES 600

char *run_output_dir(const Run *run, const json_t *output)
{
    const char *path = sl_json_str(output, "path");
    return path ? g_build_filename(run->attempt_dir, "files", path, NULL)
                : g_build_filename(run->attempt_dir, "outputs",
                                   sl_json_str_or(output, "name", "output"), NULL);
}

static void take_termination(Run *run)
{
    g_autofree char *path = g_build_filename(run->attempt_dir, "termination", NULL);
    g_autoptr(GBytes) bytes = sl_file_read(path, TERMINATION_MAX, NULL);
    size_t len = 0;
    const char *text = bytes ? g_bytes_get_data(bytes, &len) : NULL;
    g_autofree char *copy = text ? g_strndup(text, len) : NULL;
    g_auto(GStrv) lines = copy ? g_strsplit(copy, "\n", 64) : NULL;
    for (char **line = lines; line && *line; line++)
        (void)sl_progress_line(run->progress, *line, strlen(*line), -1,
                               sl_process_now(run->engine));
}

static char *exit_text(const SlExit *exit)
{
    if (exit->lost)
        return g_strdup("lost");
    return exit->signal ? g_strdup_printf("signal %d", exit->signal)
                        : g_strdup_printf("%d", exit->code);
}

static void add_list(json_t *end, const char *key, const GPtrArray *lines)
{
    json_object_set_new(end, key, lines ? sl_json_from_ptr_array(lines) : json_array());
}

static json_t *make_end(const Run *run, const char *exit)
{
    json_t *end = json_object();
    g_autoptr(GPtrArray) metrics = sl_progress_final_metrics(run->progress);
    sl_json_set_str(end, "phase", sl_run_phase_name(run->phase));
    sl_json_set_str(end, "reason", run->reason);
    sl_json_set_str(end, "exit", exit);
    sl_json_set_str(end, "message", run->message);
    sl_json_set_int(end, "attempts", run->attempt);
    sl_json_set_int(end, "started", run->started_us ? run->started_us : run->submitted_us);
    sl_json_set_int(end, "finished", run->finished_us);
    add_list(end, "outputs", run->phase == SL_RUN_SUCCEEDED ? run->outputs : NULL);
    add_list(end, "metrics", metrics);
    return end;
}

void run_finish(Run *run, SlRunPhase phase, const char *reason, const char *message)
{
    run->finished_us = sl_process_now(run->engine);
    run_give_gpus(run);
    SlExit exit = {.code = run->exit_code, .signal = run->exit_signal, .lost = !run->has_exit};
    g_autofree char *text = exit_text(&exit);
    run_set_phase(run, phase, reason, message);
    run->state = RUN_ENDED;
    json_decref(run->end);
    run->end = make_end(run, phase == SL_RUN_FAILED && !run->has_exit ? "none" : text);
    run->say_end = true;
    /* Said only once it is durable: the timer tries again. */
    sl_timer_arm(run->timer, run_save(run) ? 0 : STORE_RETRY_US);
}

/* ---- success: outputs ---- */

static void output_stored(const char *digest, uint64_t bytes, const GError *error, void *data)
{
    Run *run = data;
    run->waits_model = false;
    if (error && error->code == SLU_OUTPUT_INVALID) {
        run_finish(run, SL_RUN_FAILED, "OutputMissing", error->message);
        return;
    }
    if (error) {
        /* The program did its work: a store that is away must not cost the run. */
        run_set_phase(run, SL_RUN_RUNNING, "OutputWaits", error->message);
        sl_timer_arm(run->timer, STORE_RETRY_US);
        return;
    }
    const json_t *output = json_array_get(sl_json_at(run->spec, "outputs"), run->next_output++);
    g_ptr_array_add(run->outputs,
                    g_strdup_printf("%s sha256:%s %" G_GUINT64_FORMAT,
                                    sl_json_str_or(output, "name", "output"), digest, bytes));
    run_store_outputs(run);
}

void run_store_outputs(Run *run)
{
    const json_t *outputs = sl_json_at(run->spec, "outputs");
    if (run->next_output >= json_array_size(outputs)) {
        run_finish(run, SL_RUN_SUCCEEDED, "Completed", "");
        return;
    }
    g_autofree char *dir = run_output_dir(run, json_array_get(outputs, run->next_output));
    run->waits_model = true;
    sl_models_put(run->engine->models, dir, output_stored, run);
}

static void succeeded(Run *run)
{
    run->state = RUN_STORE;
    run->next_output = 0;
    g_ptr_array_set_size(run->outputs, 0);
    run_set_phase(run, SL_RUN_RUNNING, "StoringOutputs", "");
    run_save(run);
    run_store_outputs(run);
}

/* ---- failure: again? ---- */

static char *log_tail(const Run *run, unsigned rank)
{
    uint64_t at, size;
    g_autoptr(GBytes) bytes =
        sl_segments_tail(run->attempt_dir, "stderr", rank, LOG_TAIL_BYTES, &at, &size);
    size_t len = 0;
    const char *text = bytes ? g_bytes_get_data(bytes, &len) : NULL; /* NULL also for no bytes */
    return g_utf8_make_valid(text ? text : "", (gssize)len);
}

/* The last lines of the log, for people. */
static const char *last_words(const char *tail)
{
    size_t len = strlen(tail);
    const char *from = len > MESSAGE_LINES_BYTES ? tail + len - MESSAGE_LINES_BYTES : tail;
    const char *line = from > tail ? strchr(from, '\n') : NULL;
    return line && line[1] ? line + 1 : from;
}

static void note_failure(Run *run, SlFailure cause)
{
    g_autofree char *key = g_ascii_strdown(sl_failure_name(cause), -1);
    sl_json_set_int(run->failures, key, sl_json_int(run->failures, key, 0) + 1);
    g_free(run->cause);
    run->cause = g_strdup(sl_failure_name(cause));
}

static void failed(Run *run, SlFailure cause, const char *reason, const char *message)
{
    note_failure(run, cause);
    if (!sl_run_may_retry(sl_json_at(run->spec, "retries"), cause, run->failures)) {
        run_finish(run, SL_RUN_FAILED, reason, message);
        return;
    }
    int64_t wait = RETRY_US;
    for (unsigned i = 1; i < run->attempt && wait < RETRY_MAX_US; i++)
        wait *= 2;
    run->attempt++;
    run->state = RUN_PREPARE; /* the checkpoint folder stays: the next attempt goes on from it */
    g_free(run->attempt_dir);
    run->attempt_dir = g_strdup_printf("%s/attempts/%u", run->dir, run->attempt);
    run_save(run);
    run_set_phase(run, SL_RUN_PENDING, "Retrying", message);
    sl_timer_arm(run->timer, MIN(wait, RETRY_MAX_US));
}

void run_attempt_over(Run *run, const SlExit *exit)
{
    g_autofree char *reason = NULL;
    take_termination(run);
    run_give_gpus(run);
    run->has_exit = !exit->lost;
    run->exit_code = exit->code;
    run->exit_signal = exit->signal;
    if (run->started_us == 0)
        run->started_us = exit->started_us;
    g_autofree char *tail = log_tail(run, exit->rank);
    if (run->stop) {
        note_failure(run, SL_FAILURE_STOPPED);
        run_finish(run, SL_RUN_FAILED, "Stopped", run->stop);
    } else if (exit->error && !exit->lost) {
        note_failure(run, SL_FAILURE_CONFIG);
        run_finish(run, SL_RUN_FAILED, "CommandNotFound", exit->error);
    } else if (exit->lost) {
        failed(run, SL_FAILURE_INFRA, "Lost",
               exit->error ? exit->error
                           : "the process is gone and left no record (machine restarted?)");
    } else if (exit->code == 0 && exit->signal == 0 && !exit->timed_out) {
        succeeded(run);
    } else {
        SlFailure cause =
            sl_run_classify(exit->code, exit->signal, exit->oom, exit->timed_out, tail, &reason);
        failed(run, cause, reason, last_words(tail));
    }
}
