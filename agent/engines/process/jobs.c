/* jobs.c - the runs of this cluster: journal, start once per id, adoption, what is said to the
 * agent. A run id stays known for ever: its run.json is small and never collected. */
#include "agent/engines/process/run.h"
#include "agent/engines/queue.h"
#include "base/digest.h"
#include "base/text.h"
#include "runtime/atomicfile.h"
#include <dirent.h>
#include <string.h>
#include <unistd.h>

#define JOURNAL_MAX (2 * 1024 * 1024) /* the object is at most 1 MiB */
#define SAY_EVERY_US (500 * 1000)     /* records of one run; a change of phase is said at once */
#define SAVE_EVERY_US (5 * SL_SECOND_US)
#define PENDING_MAX_US (30 * SL_SECOND_US)
#define LOGS_KEPT 20 /* finished and acknowledged runs whose logs stay */

static const char *const state_names[RUN_N_STATES] = {"prepare", "attempt", "store", "ended"};

static json_t *journal(const Run *run)
{
    json_t *j = json_object();
    struct {
        const char *key, *value;
    } rows[] = {{"id", run->id},           {"key", run->key},
                {"app", run->app},         {"env", run->env},
                {"cluster", run->cluster}, {"job", run->job},
                {"digest", run->digest},   {"state", state_names[run->state]},
                {"stop", run->stop},       {"phase", sl_run_phase_name(run->phase)},
                {"reason", run->reason},   {"cause", run->cause},
                {"message", run->message}, {"gpus", run->gpus}};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (rows[i].value)
            sl_json_set_str(j, rows[i].key, rows[i].value);
    sl_json_set_int(j, "generation", (int64_t)run->generation);
    sl_json_set_int(j, "attempt", run->attempt);
    sl_json_set_int(j, "submitted", run->submitted_us);
    sl_json_set_int(j, "started", run->started_us);
    sl_json_set_int(j, "finished", run->finished_us);
    sl_json_set_int(j, "phaseSince", run->phase_since_us);
    sl_json_set_bool(j, "forgotten", run->forgotten);
    sl_json_set_int(j, "exitCode", run->exit_code);
    sl_json_set_int(j, "exitSignal", run->exit_signal);
    sl_json_set_bool(j, "hasExit", run->has_exit);
    json_object_set(j, "failures", run->failures);
    json_object_set(j, "object", run->object);
    json_object_set_new(j, "progress", sl_progress_to_json(run->progress));
    if (run->end)
        json_object_set(j, "end", run->end);
    return j;
}

bool run_save(Run *run)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) j = journal(run);
    g_autofree char *text = sl_json_canonical(j, &error);
    g_autofree char *path = g_build_filename(run->dir, "run.json", NULL);
    if (text && sl_dir_make(run->dir, 0700, &error) &&
        sl_file_write_atomic(path, text, strlen(text), 0600, &error)) {
        run->saved_us = sl_process_now(run->engine);
        g_clear_pointer(&run->save_problem, g_free);
        return true;
    }
    if (!run->save_problem) /* logged once, not at each try */
        sl_log_error(run->engine->log, "run-journal", error);
    g_free(run->save_problem);
    run->save_problem = g_strdup(error->message);
    return false;
}

void run_changed(Run *run)
{
    g_autoptr(json_t) record = run_record(run);
    run->said_us = sl_process_now(run->engine);
    run->engine->events.run(run->engine->events.user, run->id, record);
}

static void fired(void *data)
{
    Run *run = data;
    if (run->say_end) {
        if (run->saved_us < run->finished_us && !run_save(run)) {
            sl_timer_arm(run->timer, SL_SECOND_US);
            return;
        }
        run->say_end = false;
        run->engine->events.run_ended(run->engine->events.user, run->id, run->end);
    } else if (run->state == RUN_STORE && !run->waits_model) {
        run_store_outputs(run);
    } else if (run->state == RUN_PREPARE && !run->env_job && !run->waits_model) {
        run_prepare(run);
    }
}

static void polled(void *data)
{
    Run *run = data;
    if (run->state != RUN_ATTEMPT)
        return;
    bool news = run_read_progress(run);
    int64_t now = sl_process_now(run->engine);
    if (run->phase == SL_RUN_PENDING &&
        (run->sign_of_life || now - run->phase_since_us >= PENDING_MAX_US))
        run_set_phase(run, SL_RUN_RUNNING, "Running", "");
    else if (news && now - run->said_us >= SAY_EVERY_US)
        run_changed(run);
    else if (news) {
        sl_timer_arm(run->poll, SAY_EVERY_US - (now - run->said_us) + 1000);
        return;
    }
    if (news && now - run->saved_us >= SAVE_EVERY_US)
        run_save(run);
    sl_timer_arm(run->poll, SL_SECOND_US);
}

static void run_free(void *data)
{
    Run *run = data;
    run_release(run);
    sl_timer_free(run->timer);
    sl_timer_free(run->poll);
    char **texts[] = {&run->id,          &run->key,  &run->app,         &run->env,
                      &run->cluster,     &run->job,  &run->digest,      &run->dir,
                      &run->attempt_dir, &run->stop, &run->reason,      &run->cause,
                      &run->message,     &run->gpus, &run->save_problem};
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(*texts[i]);
    json_decref(run->object);
    json_decref(run->failures);
    json_decref(run->end);
    sl_progress_free(run->progress);
    g_clear_pointer(&run->pairs, g_ptr_array_unref);
    g_ptr_array_unref(run->outputs);
    g_free(run);
}

static Run *run_new(SlEngine *engine, const char *id)
{
    Run *run = g_new0(Run, 1);
    run->engine = engine;
    run->id = g_strdup(id);
    run->dir = g_build_filename(engine->state_dir, "runs", id, NULL);
    run->attempt = 1;
    run->processes = 1;
    run->failures = json_object();
    run->outputs = g_ptr_array_new_with_free_func(g_free);
    run->progress = sl_progress_new();
    run->timer = sl_timer_new(engine->loop, fired, run);
    run->poll = sl_timer_new(engine->loop, polled, run);
    run->phase = SL_RUN_ADMITTED;
    return run;
}

static void say_again(Run *run)
{
    run_changed(run);
    if (run->state == RUN_ENDED && run->end) {
        run->say_end = true;
        sl_timer_arm(run->timer, 0);
    }
}

void sl_jobs_adopt(SlEngine *engine, const char *run_id)
{
    Run *run = g_hash_table_lookup(engine->runs, run_id);
    if (run) {
        say_again(run);
        return;
    }
    g_autoptr(json_t) end = sl_engine_lost_end(sl_process_now(engine));
    engine->events.run_ended(engine->events.user, run_id, end);
}

void sl_jobs_start(SlEngine *engine, const SlEngineRun *what)
{
    Run *run = g_hash_table_lookup(engine->runs, what->run_id);
    if (run) {
        say_again(run);
        return;
    }
    run = run_new(engine, what->run_id);
    run->key = g_strdup(what->run_key);
    run->app = g_strdup(what->app);
    run->env = g_strdup(what->env);
    run->cluster = g_strdup(what->cluster);
    run->job = g_strdup(what->job);
    run->digest = g_strdup(what->digest);
    run->generation = what->generation;
    run->object = json_deep_copy(what->object);
    run->spec = json_object_get(run->object, "spec");
    run->submitted_us = run->phase_since_us = sl_process_now(engine);
    g_hash_table_insert(engine->runs, run->id, run);
    g_autofree char *attempts = g_build_filename(run->dir, "attempts", NULL);
    if (access(attempts, F_OK) == 0)
        run_finish(
            run, SL_RUN_FAILED, "JournalCorrupt",
            "the run was started before, but its record is damaged: it is not started twice");
    else
        run_prepare(run);
}

void sl_jobs_stop(SlEngine *engine, const char *run_id, const char *reason)
{
    Run *run = g_hash_table_lookup(engine->runs, run_id);
    if (!run || run->state == RUN_ENDED || run->state == RUN_STORE)
        return;
    if (!run->stop)
        run->stop = g_strdup(reason && *reason ? reason : "stopped");
    run_save(run);
    run_stop_now(run);
}

/* ---- collection ---- */

static void remove_below(const Run *run, const char *what)
{
    g_autofree char *path = g_build_filename(run->dir, what, NULL);
    (void)!sl_dir_remove_tree(path, NULL);
}

static gint oldest_first(gconstpointer a, gconstpointer b)
{
    const Run *x = *(Run *const *)a, *y = *(Run *const *)b;
    return x->finished_us < y->finished_us ? -1 : x->finished_us > y->finished_us;
}

static void collect_logs(SlEngine *engine)
{
    g_autoptr(GPtrArray) done = g_ptr_array_new();
    GHashTableIter iter;
    void *value;
    g_hash_table_iter_init(&iter, engine->runs);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        if (((Run *)value)->forgotten)
            g_ptr_array_add(done, value);
    g_ptr_array_sort(done, oldest_first);
    for (guint i = 0; i + LOGS_KEPT < done->len; i++)
        remove_below(g_ptr_array_index(done, i), "attempts");
}

void sl_jobs_forget(SlEngine *engine, const char *run_id)
{
    Run *run = g_hash_table_lookup(engine->runs, run_id);
    if (!run || run->state != RUN_ENDED || run->forgotten)
        return;
    run->forgotten = true;
    run->say_end = false;
    run_save(run);
    for (unsigned n = 1; n <= run->attempt; n++) {
        g_autofree char *files = g_strdup_printf("attempts/%u/files", n),
                        *outputs = g_strdup_printf("attempts/%u/outputs", n);
        remove_below(run, files);
        remove_below(run, outputs);
    }
    remove_below(run, "checkpoint");
    collect_logs(engine);
}

const char *sl_jobs_log_dir(SlEngine *engine, const char *run_id, bool *ret_finished)
{
    Run *run = g_hash_table_lookup(engine->runs, run_id);
    if (!run)
        return NULL;
    *ret_finished = run->state == RUN_ENDED;
    if (!run->attempt_dir)
        run->attempt_dir = g_strdup_printf("%s/attempts/%u", run->dir, run->attempt);
    return run->attempt_dir;
}

/* ---- restart ---- */

static void restore(Run *run, const json_t *j)
{
    struct {
        char **field;
        const char *key;
    } rows[] = {{&run->key, "key"},         {&run->app, "app"},       {&run->env, "env"},
                {&run->cluster, "cluster"}, {&run->job, "job"},       {&run->digest, "digest"},
                {&run->stop, "stop"},       {&run->reason, "reason"}, {&run->cause, "cause"},
                {&run->message, "message"}, {&run->gpus, "gpus"}};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        *rows[i].field = g_strdup(sl_json_str(j, rows[i].key));
    run->generation = (uint64_t)sl_json_int(j, "generation", 0);
    run->attempt = (unsigned)sl_json_int(j, "attempt", 1);
    run->submitted_us = sl_json_int(j, "submitted", 0);
    run->started_us = sl_json_int(j, "started", 0);
    run->finished_us = sl_json_int(j, "finished", 0);
    run->phase_since_us = sl_json_int(j, "phaseSince", 0);
    run->forgotten = sl_json_bool(j, "forgotten", false);
    run->exit_code = (int)sl_json_int(j, "exitCode", 0);
    run->exit_signal = (int)sl_json_int(j, "exitSignal", 0);
    run->has_exit = sl_json_bool(j, "hasExit", false);
    run->object = json_deep_copy(json_object_get(j, "object"));
    run->spec = json_object_get(run->object, "spec");
    run->end = json_deep_copy(json_object_get(j, "end"));
    (void)sl_run_phase_parse(sl_json_str_or(j, "phase", "Unknown"), &run->phase);
    if (json_is_object(json_object_get(j, "failures"))) {
        json_decref(run->failures);
        run->failures = json_deep_copy(json_object_get(j, "failures"));
    }
    sl_progress_free(run->progress);
    run->progress = sl_progress_from_json(json_object_get(j, "progress"));
    for (unsigned s = 0; s < RUN_N_STATES; s++)
        if (g_strcmp0(sl_json_str(j, "state"), state_names[s]) == 0)
            run->state = (RunState)s;
}

static Run *load_one(SlEngine *engine, const char *id)
{
    g_autoptr(GError) error = NULL;
    SlJsonLimits limits = {.bytes_max = JOURNAL_MAX};
    g_autofree char *path = g_build_filename(engine->state_dir, "runs", id, "run.json", NULL);
    g_autoptr(GBytes) bytes = sl_file_read(path, JOURNAL_MAX, &error);
    g_autoptr(json_t) j = bytes ? sl_json_parse(g_bytes_get_data(bytes, NULL),
                                                g_bytes_get_size(bytes), &limits, path, &error)
                                : NULL;
    if (!j) {
        sl_log_error(engine->log, "run-load", error);
        return NULL;
    }
    Run *run = run_new(engine, id);
    restore(run, j);
    g_hash_table_insert(engine->runs, run->id, run);
    if (run->state != RUN_ATTEMPT)
        g_clear_pointer(&run->gpus, g_free);
    if (run->gpus)
        sl_gpus_take_back(engine->gpus, run->id, run->gpus);
    return run;
}

void sl_jobs_load(SlEngine *engine)
{
    engine->runs = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, run_free);
    g_autofree char *folder = g_build_filename(engine->state_dir, "runs", NULL);
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        Run *run = sl_is_hex_digest(entry->d_name) ? load_one(engine, entry->d_name) : NULL;
        if (run && run->state == RUN_ENDED && run->end && !run->forgotten) {
            run->say_end = true;
            sl_timer_arm(run->timer, 0);
        } else if (run && run->state != RUN_ENDED) {
            run_resume(run);
        }
    }
    if (dir)
        closedir(dir);
}

void sl_jobs_free(SlEngine *engine)
{
    g_clear_pointer(&engine->runs, g_hash_table_unref);
}
