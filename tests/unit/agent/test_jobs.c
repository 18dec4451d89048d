/* test_jobs.c - training runs on the engine process, with real processes: environment, progress,
 * outputs, retries, limits, restart. */
#include "tests/unit/agent/fixture.h"
#include <errno.h>
#include <sys/syscall.h>

#define JOB(name, spec) fix_object("TrainingJob", name, spec)
#define PY "\"command\": [\"/usr/bin/python3\", \"-c\", \"%s\"]"

static char *python(const char *code, const char *more)
{
    g_autofree char *escaped = g_strescape(code, NULL);
    return g_strdup_printf("{" PY "%s%s}", escaped, *more ? ", " : "", more);
}

/* The next folder whose path ends so can't be made, once: the disk fails. In place of the C library's. */
static const char *bad_folder;

int mkdirat(int at, const char *path, mode_t mode)
{
    if (bad_folder && g_str_has_suffix(path, bad_folder)) {
        bad_folder = NULL;
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_mkdirat, at, path, mode);
}

int mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}

static void test_success(void)
{
    Fix *f = fix_new("process");
    g_autofree char *id = fix_run_id("success");
    g_autofree char *spec =
        python("import os,json\n"
               "e=os.environ\n"
               "assert e['RANK']=='0' and e['WORLD_SIZE']=='1' and e['SLUICE_RUN'] and "
               "e['GREETING']=='hi there', e\n"
               "assert "
               "set(e)<={'PATH','GREETING','SLUICE_OUTPUT_MODEL','SLUICE_CHECKPOINT_DIR','SLUICE_"
               "PROGRESS_FILE',"
               "'SLUICE_TERMINATION_FILE','SLUICE_RUN','SLUICE_ATTEMPT','MASTER_ADDR','MASTER_PORT'"
               ",'RANK','LOCAL_RANK',"
               "'WORLD_SIZE','SLUICE_CONFIG_DIR','LOCAL_WORLD_SIZE','NODE_RANK','GROUP_RANK','LC_"
               "CTYPE'}, list(e)\n"
               "open(e['SLUICE_OUTPUT_MODEL']+'/w.txt','w').write('weights')\n"
               "print('::sluice step=5/10 loss=0.5', flush=True)\n"
               "open(e['SLUICE_PROGRESS_FILE'],'a').write(json.dumps({'sluice':1,'ev':'final','ok':"
               "True,'metrics':{'accuracy':0.97}})+'\\n')\n",
               "\"env\": [{\"name\": \"GREETING\", \"value\": \"hi there\"}], \"outputs\": "
               "[{\"name\": \"model\"}]");
    fix_start(f, id, JOB("train", spec));
    const json_t *end = fix_wait_end(f, id);
    g_assert_cmpstr(sl_json_str(end, "message"), ==, "");
    g_assert_cmpstr(sl_json_str(end, "phase"), ==, "Succeeded");
    g_assert_cmpstr(sl_json_str(end, "reason"), ==, "Completed");
    g_assert_cmpstr(sl_json_str(end, "exit"), ==, "0");
    g_assert_cmpstr(json_string_value(json_array_get(json_object_get(end, "metrics"), 0)), ==,
                    "final.accuracy 0.97");
    const char *output = json_string_value(json_array_get(json_object_get(end, "outputs"), 0));
    g_assert_true(g_str_has_prefix(output, "model sha256:") && g_str_has_suffix(output, " 7"));
    const json_t *record = g_hash_table_lookup(f->records, id);
    g_assert_cmpint(sl_json_int(record, "progress.step", 0), ==, 5);
    g_assert_cmpstr(sl_json_str(record, "unit"), ==, "app/dev");
    fix_free(f);
}

static void test_fails_with_log(void)
{
    Fix *f = fix_new("process");
    g_autofree char *id = fix_run_id("fails");
    g_autofree char *spec =
        python("import sys; sys.stderr.write('bad data in row 7\\n'); sys.exit(3)", "");
    fix_start(f, id, JOB("train", spec));
    const json_t *end = fix_wait_end(f, id);
    g_assert_cmpstr(sl_json_str(end, "phase"), ==, "Failed");
    g_assert_cmpstr(sl_json_str(end, "reason"), ==, "NonZeroExit");
    g_assert_cmpstr(sl_json_str(end, "exit"), ==, "3");
    g_assert_nonnull(strstr(sl_json_str(end, "message"), "bad data in row 7"));
    SlEngineLogAsk ask = {.run_id = id, .err = true, .tail = true, .max = 1000};
    SlEngineLog log;
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) bytes = f->ops->log(f->engine, &ask, &log, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(g_bytes_get_size(bytes), ==, log.size);
    g_assert_cmpuint(log.size, ==, strlen("bad data in row 7\n"));
    g_assert_true(log.finished);
    ask.rank = 1;
    g_assert_null(f->ops->log(f->engine, &ask, &log, &error));
    g_assert_nonnull(strstr(error->message, "process 1: nothing is here"));
    fix_free(f);
}

static void test_missing_program(void)
{
    Fix *f = fix_new("process");
    g_autofree char *id = fix_run_id("missing");
    fix_start(f, id, JOB("train", "{\"command\": [\"no-such-program-here\"]}"));
    const json_t *end = fix_wait_end(f, id);
    g_assert_cmpstr(sl_json_str(end, "reason"), ==, "CommandNotFound");
    g_assert_nonnull(strstr(sl_json_str(end, "message"), "no-such-program-here: No such file"));
    fix_free(f);
}

static void test_retry_keeps_checkpoint(void)
{
    Fix *f = fix_new("process");
    g_autofree char *id = fix_run_id("retry");
    g_autofree char *spec = python("import os,sys\n"
                                   "c=os.environ['SLUICE_CHECKPOINT_DIR']+'/step'\n"
                                   "if not os.path.exists(c):\n"
                                   "  open(c,'w').write('1'); sys.exit(1)\n"
                                   "assert os.environ['SLUICE_ATTEMPT']=='2'\n",
                                   "\"retries\": {\"user\": 1}");
    fix_start(f, id, JOB("train", spec));
    const json_t *end = fix_wait_end(f, id);
    g_assert_cmpstr(sl_json_str(end, "phase"), ==, "Succeeded");
    g_assert_cmpint(sl_json_int(end, "attempts", 0), ==, 2);
    fix_free(f);
}

static void test_time_limit(void)
{
    Fix *f = fix_new("process");
    g_autofree char *id = fix_run_id("limit");
    g_autofree char *spec = python("import time; time.sleep(60)",
                                   "\"timeLimit\": \"1s\", \"stop\": {\"grace\": \"1s\"}");
    fix_start(f, id, JOB("train", spec));
    const json_t *end = fix_wait_end(f, id);
    g_assert_cmpstr(sl_json_str(end, "reason"), ==, "Timeout");
    fix_free(f);
}

static bool is_phase(Fix *f, const char *id, const char *phase)
{
    return g_strcmp0(sl_json_str(g_hash_table_lookup(f->records, id), "phase"), phase) == 0;
}

static void test_stop(void)
{
    Fix *f = fix_new("process");
    g_autofree char *id = fix_run_id("stop");
    g_autofree char *spec = python("import time; print('up', flush=True); time.sleep(60)",
                                   "\"stop\": {\"grace\": \"2s\"}");
    fix_start(f, id, JOB("train", spec));
    FIX_UNTIL(f, is_phase(f, id, "Running") || is_phase(f, id, "Pending"));
    f->ops->run_stop(f->engine, id, "alice: wrong data");
    const json_t *end = fix_wait_end(f, id);
    g_assert_cmpstr(sl_json_str(end, "reason"), ==, "Stopped");
    g_assert_cmpstr(sl_json_str(end, "message"), ==, "alice: wrong data");
    fix_free(f);
}

/* Two ranks see each other's numbers, and a failing rank ends the other. */
static void test_ranks(void)
{
    Fix *f = fix_new("process");
    g_autofree char *id = fix_run_id("ranks");
    g_autofree char *spec =
        python("import os,sys,time\n"
               "assert os.environ['WORLD_SIZE']=='2' and os.environ['MASTER_ADDR']=='127.0.0.1'\n"
               "if os.environ['RANK']=='1': sys.exit(7)\n"
               "time.sleep(60)\n",
               "\"numProcPerNode\": 2");
    fix_start(f, id, JOB("train", spec));
    const json_t *end = fix_wait_end(f, id);
    g_assert_cmpstr(sl_json_str(end, "exit"), ==, "7");
    fix_free(f);
}

/* The agent dies while a run goes on: it is adopted, not started again, and its end is said. */
static void test_restart_adopts(void)
{
    Fix *f = fix_new("process");
    g_autofree char *id = fix_run_id("restart");
    g_autofree char *go = g_build_filename(f->dir, "go", NULL),
                    *starts = g_build_filename(f->dir, "starts", NULL);
    g_autofree char *code = g_strdup_printf("import os,time\n"
                                            "open('%s','a').write('x')\n"
                                            "print('::sluice step=1/2', flush=True)\n"
                                            "while not os.path.exists('%s'): time.sleep(0.01)\n",
                                            starts, go);
    g_autofree char *spec = python(code, "");
    fix_start(f, id, JOB("train", spec));
    FIX_UNTIL(f, is_phase(f, id, "Running"));
    fix_restart(f);
    fix_start(f, id, JOB("train", spec)); /* the brain asks again: nothing is started */
    FIX_UNTIL(f, is_phase(f, id, "Running"));
    fix_write(go, "");
    const json_t *end = fix_wait_end(f, id);
    g_assert_cmpstr(sl_json_str(end, "phase"), ==, "Succeeded");
    g_assert_cmpint(sl_json_int(end, "attempts", 0), ==, 1);
    g_autofree char *count = fix_read(starts);
    g_assert_cmpstr(count, ==, "x");
    /* Not acknowledged: said again after a restart; acknowledged: never again, and never run again.
     */
    fix_restart(f);
    fix_wait_end(f, id);
    f->ops->run_forget(f->engine, id);
    fix_restart(f);
    fix_start(f, id, JOB("train", spec));
    fix_wait_end(f, id);
    g_autofree char *again = fix_read(starts);
    g_assert_cmpstr(again, ==, "x");
    fix_free(f);
}

static void test_adopt_unknown(void)
{
    Fix *f = fix_new("process");
    g_autofree char *id = fix_run_id("never");
    f->ops->run_adopt(f->engine, id);
    const json_t *end = fix_wait_end(f, id);
    g_assert_cmpstr(sl_json_str(end, "reason"), ==, "Lost");
    fix_free(f);
}

static void test_secret(void)
{
    Fix *f = fix_new("process");
    g_autofree char *id = fix_run_id("secret"), *path = g_build_filename(f->dir, "token", NULL);
    g_autofree char *options = g_strdup_printf(
        "{\"hf\": {\"file\": \"%s\"}, \"cmd\": {\"command\": [\"/usr/bin/printf\", \"s3\"]}}",
        path);
    json_object_set_new(f->options, "secrets", fix_json(options));
    fix_restart(f);
    g_autofree char *spec =
        python("import os; assert os.environ['HF']=='s3cret' and os.environ['CMD']=='s3'",
               "\"env\": [{\"name\": \"HF\", \"secret\": \"hf\"}, {\"name\": \"CMD\", \"secret\": "
               "\"cmd\"}]");
    fix_start(f, id, JOB("train", spec));
    FIX_UNTIL(f, is_phase(f, id, "Queued"));
    const json_t *record = g_hash_table_lookup(f->records, id);
    g_assert_cmpstr(sl_json_str(record, "reason"), ==, "SecretMissing");
    g_assert_nonnull(strstr(sl_json_str(record, "message"), "secret `hf`"));
    fix_write(path, "s3cret\n");
    const json_t *end = fix_wait_end(f, id);
    g_assert_cmpstr(sl_json_str(end, "phase"), ==, "Succeeded");
    fix_free(f);
}

static void test_output_missing(void)
{
    Fix *f = fix_new("process");
    g_autofree char *id = fix_run_id("nothing");
    fix_start(f, id,
              JOB("train", "{\"command\": [\"/bin/true\"], \"outputs\": [{\"name\": \"model\"}]}"));
    const json_t *end = fix_wait_end(f, id);
    g_assert_cmpstr(sl_json_str(end, "reason"), ==, "OutputMissing");
    g_assert_nonnull(strstr(sl_json_str(end, "message"), "has no file"));
    fix_free(f);
}

/* An output of one run is the input of the next, by digest; files of the bundle are there with
 * their modes. */
static void test_input_and_files(void)
{
    Fix *f = fix_new("process");
    g_autofree char *first = fix_run_id("first"), *second = fix_run_id("second");
    g_autofree char *make =
        python("import os; open(os.environ['SLUICE_OUTPUT_MODEL']+'/w','w').write('w')",
               "\"outputs\": [{\"name\": \"model\"}]");
    fix_start(f, first, JOB("train", make));
    const json_t *end = fix_wait_end(f, first);
    g_auto(GStrv) words =
        g_strsplit(json_string_value(json_array_get(json_object_get(end, "outputs"), 0)), " ", 3);
    g_autofree char *blob =
        fix_add_blob(f, "print(open('data/x.txt').read())\nimport os\nassert "
                        "open(os.environ['SLUICE_INPUT_MODEL']+'/w').read()=='w'\n");
    g_autofree char *data = fix_add_blob(f, "data");
    g_autofree char *spec =
        g_strdup_printf("{\"command\": [\"python3\", \"run.py\"], \"inputs\": [{\"name\": "
                        "\"model\", \"model\": \"model://%s\"}],"
                        "\"files\": [{\"path\": \"run.py\", \"mode\": \"644\", \"sha256\": \"%s\"},"
                        "{\"path\": \"data/x.txt\", \"mode\": \"644\", \"sha256\": \"%s\"}]}",
                        words[1], blob, data);
    fix_start(f, second, JOB("evaluate", spec));
    end = fix_wait_end(f, second);
    g_assert_cmpstr(sl_json_str(end, "message"), ==, "");
    g_assert_cmpstr(sl_json_str(end, "phase"), ==, "Succeeded");
    fix_free(f);
}

/* A disk that failed once while an attempt was laid out costs the run a second, not its life. */
static void test_disk_fails_once(void)
{
    static const char *const folders[] = {"/attempts/1", "/files", "data", "/checkpoint",
                                          "/files/model"};
    Fix *f = fix_new("process");
    g_autofree char *data = fix_add_blob(f, "data");
    g_autofree char *spec = g_strdup_printf(
        "{\"command\": [\"/bin/cp\", \"data/x.txt\", \"model/w\"],"
        "\"outputs\": [{\"name\": \"model\", \"path\": \"model\"}],"
        "\"files\": [{\"path\": \"data/x.txt\", \"mode\": \"644\", \"sha256\": \"%s\"}]}",
        data);
    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autofree char *id = fix_run_id(folders[i]);
        bad_folder = folders[i];
        fix_start(f, id, JOB("train", spec));
        FIX_UNTIL(f, is_phase(f, id, "Queued"));
        g_assert_null(bad_folder);
        const json_t *record = g_hash_table_lookup(f->records, id);
        g_assert_cmpstr(sl_json_str(record, "reason"), ==, "DiskFault");
        g_assert_nonnull(strstr(sl_json_str(record, "message"), "Input/output error"));
        const json_t *end = fix_wait_end(f, id);
        g_assert_cmpstr(sl_json_str(end, "phase"), ==, "Succeeded");
        g_assert_cmpint(sl_json_int(end, "attempts", 0), ==, 1);
    }
    fix_free(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/jobs/success", test_success);
    g_test_add_func("/jobs/fails-with-log", test_fails_with_log);
    g_test_add_func("/jobs/missing-program", test_missing_program);
    g_test_add_func("/jobs/retry-keeps-checkpoint", test_retry_keeps_checkpoint);
    g_test_add_func("/jobs/time-limit", test_time_limit);
    g_test_add_func("/jobs/stop", test_stop);
    g_test_add_func("/jobs/ranks", test_ranks);
    g_test_add_func("/jobs/restart-adopts", test_restart_adopts);
    g_test_add_func("/jobs/adopt-unknown", test_adopt_unknown);
    g_test_add_func("/jobs/secret", test_secret);
    g_test_add_func("/jobs/output-missing", test_output_missing);
    g_test_add_func("/jobs/input-and-files", test_input_and_files);
    g_test_add_func("/jobs/disk-fails-once", test_disk_fails_once);
    return g_test_run();
}
