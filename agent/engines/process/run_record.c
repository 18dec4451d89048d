/* run_record.c - what a run says of itself: phase, progress of every channel (file, stdout and
 * stderr of each rank, termination record), the common record. Everything a program writes is
 * hostile: only sl_progress_line reads it, and it never sets the phase. */
#include "agent/engines/process/run.h"
#include "base/auto.h"
#include "base/text.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define READ_MAX (256 * 1024) /* of one stream at a time, so that a flood costs one turn little */

void run_set_phase(Run *run, SlRunPhase phase, const char *reason, const char *message)
{
    if (run->phase != phase || run->phase_since_us == 0)
        run->phase_since_us = sl_process_now(run->engine);
    run->phase = phase;
    g_free(run->reason);
    run->reason = g_strdup(reason ? reason : "");
    char *clean = sl_escape_for_people(message ? message : "", 1000);
    g_free(run->message);
    run->message = clean;
    run_changed(run);
}

/* Whole lines of @bytes; returns how many bytes they are. A line that fills the buffer is skipped.
 */
static size_t take_lines(Run *run, const char *text, size_t len, int rank)
{
    size_t done = 0;
    int64_t now = sl_process_now(run->engine);
    for (const char *end; done < len && (end = memchr(text + done, '\n', len - done));) {
        size_t line = (size_t)(end - text) - done;
        (void)sl_progress_line(run->progress, text + done, line, rank, now);
        done += line + 1;
    }
    return done == 0 && len >= READ_MAX ? len : done;
}

static bool read_stream(Run *run, const char *stream, unsigned rank, uint64_t *at)
{
    bool news = false;
    uint64_t from = 0, size = 0;
    do {
        g_autoptr(GBytes) bytes =
            sl_segments_read(run->attempt_dir, stream, rank, *at, READ_MAX, &from, &size);
        size_t len = 0;
        const char *text = bytes ? g_bytes_get_data(bytes, &len) : NULL;
        if (!text || len == 0)
            return news;
        size_t taken = take_lines(run, text, len, (int)rank);
        news = news || taken > 0;
        *at = from + taken;
        if (taken == 0)
            return news;
    } while (*at < size);
    return news;
}

static bool read_file(Run *run)
{
    g_autofree char *path = g_build_filename(run->attempt_dir, "progress", NULL);
    g_autofree char *text = g_malloc(READ_MAX);
    struct stat st;
    bool news = false;
    sl_autofd fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    if ((uint64_t)st.st_size < run->file_at)
        run->file_at = 0; /* the program wrote it anew */
    for (ssize_t n; (n = pread(fd, text, READ_MAX, (off_t)run->file_at)) > 0;) {
        size_t taken = take_lines(run, text, (size_t)n, -1);
        if (taken == 0)
            break;
        run->file_at += taken;
        news = true;
    }
    return news;
}

bool run_read_progress(Run *run)
{
    bool news = read_file(run);
    for (unsigned rank = 0; rank < run->processes; rank++) {
        news = read_stream(run, "stdout", rank, &run->out_at[rank]) || news;
        news = read_stream(run, "stderr", rank, &run->err_at[rank]) || news;
    }
    run->sign_of_life = run->sign_of_life || news;
    return sl_progress_changed(run->progress) || news;
}

static void add_times(const Run *run, json_t *record)
{
    json_t *times = json_object();
    struct {
        const char *key;
        int64_t value;
    } rows[] = {{"submitted", run->submitted_us},
                {"started", run->started_us},
                {"finished", run->finished_us}};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = rows[i].value ? sl_format_time(rows[i].value) : NULL;
        if (text)
            sl_json_set_str(times, rows[i].key, text);
    }
    json_object_set_new(record, "times", times);
}

static void add_workers(const Run *run, json_t *record)
{
    json_t *workers = json_object();
    bool up = run->phase == SL_RUN_RUNNING || run->phase == SL_RUN_PENDING;
    sl_json_set_int(workers, "desired", run->processes);
    sl_json_set_int(workers, "ready", up ? (int64_t)run->processes : 0);
    sl_json_set_int(workers, "succeeded",
                    run->phase == SL_RUN_SUCCEEDED ? (int64_t)run->processes : 0);
    sl_json_set_int(workers, "failed", run->phase == SL_RUN_FAILED ? 1 : 0);
    json_object_set_new(record, "workers", workers);
}

json_t *run_record(const Run *run)
{
    json_t *record = json_object();
    g_autofree char *unit = g_strdup_printf("%s/%s", run->app, run->env);
    g_autofree char *since = sl_format_time(run->phase_since_us);
    sl_json_set_str(record, "id", run->id);
    sl_json_set_str(record, "key", run->key);
    sl_json_set_str(record, "unit", unit);
    sl_json_set_str(record, "job", run->job);
    sl_json_set_str(record, "cluster", run->cluster);
    sl_json_set_int(record, "generation", (int64_t)run->generation);
    sl_json_set_str(record, "phase", sl_run_phase_name(run->phase));
    sl_json_set_str(record, "phaseSince", since);
    sl_json_set_str(record, "reason", run->reason);
    sl_json_set_str(record, "reasonClass", run->cause ? run->cause : "");
    sl_json_set_str(record, "message", run->message);
    sl_json_set_int(record, "attempt", run->attempt);
    sl_json_set_int(record, "attempts", run->attempt);
    json_object_set(record, "retries", run->failures);
    add_workers(run, record);
    add_times(run, record);
    if (run->has_exit) {
        json_t *exit = json_object();
        sl_json_set_int(exit, "code", run->exit_code);
        sl_json_set_int(exit, "signal", run->exit_signal);
        json_object_set_new(record, "exit", exit);
    }
    json_object_set_new(record, "flags", json_array());
    sl_progress_to_record(run->progress, record);
    return record;
}
