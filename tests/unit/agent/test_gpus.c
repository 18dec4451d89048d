/* test_gpus.c - leases of GPUs: the table alone, and with runs that need more than there are. */
#include "agent/engines/process/gpus.h"
#include "tests/unit/agent/fixture.h"

static SlGpus *table(const char *option)
{
    g_autoptr(GError) error = NULL;
    GPtrArray *names = sl_gpus_list(option, &error);
    g_assert_no_error(error);
    return sl_gpus_new(names);
}

static void test_list(void)
{
    static const char *const bad[] = {"", "0,0", "gpu0", "0,", "-1", "1024", "GPU-x;rm", "0 1"};
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) two = sl_gpus_list("1,GPU-1b4e-77", &error);
    g_assert_no_error(error);
    g_assert_cmpuint(two->len, ==, 2);
    g_assert_cmpstr(g_ptr_array_index(two, 1), ==, "GPU-1b4e-77");
    g_autoptr(GPtrArray) none = sl_gpus_list("none", &error);
    g_assert_cmpuint(none->len, ==, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_null(sl_gpus_list(bad[i], &error));
        g_assert_error(error, SL_ERROR, SLU_AGENT_CONFIG);
        g_assert_nonnull(strstr(error->message, "is not `all`, `none`, or a list"));
        g_clear_error(&error);
    }
}

static void test_first_come(void)
{
    SlGpus *gpus = table("0,1,2");
    char *why = NULL;
    g_autofree char *a = sl_gpus_take(gpus, "a", 2, &why);
    g_assert_cmpstr(a, ==, "0,1");
    g_assert_null(sl_gpus_take(gpus, "b", 2, &why));
    g_assert_cmpstr(why, ==, "needs 2 of 3 GPUs, 1 free: 0 by run a, 1 by run a");
    g_clear_pointer(&why, g_free);
    g_assert_null(sl_gpus_take(gpus, "c", 1, &why)); /* one is free, but b was first */
    g_assert_nonnull(strstr(why, "; 1 wait before it"));
    g_clear_pointer(&why, g_free);
    g_assert_null(sl_gpus_take(gpus, "d", 4, &why));
    g_assert_cmpstr(why, ==, "needs 4 GPUs; this agent has 3 in all (option gpus)");
    g_clear_pointer(&why, g_free);
    g_assert_cmpuint(sl_gpus_waiting(gpus)->len, ==, 2);
    sl_gpus_release(gpus, "a");
    g_autofree char *b = sl_gpus_take(gpus, "b", 2, &why);
    g_autofree char *c = sl_gpus_take(gpus, "c", 1, &why);
    g_assert_cmpstr(b, ==, "0,1");
    g_assert_cmpstr(c, ==, "2");
    g_assert_cmpuint(sl_gpus_waiting(gpus)->len, ==, 0);
    sl_gpus_free(gpus);
}

static void test_leaves_queue(void)
{
    SlGpus *gpus = table("0");
    char *why = NULL;
    sl_gpus_take_back(gpus, "old", "0,7"); /* 7 is not listed any more */
    g_assert_null(sl_gpus_take(gpus, "b", 1, &why));
    g_clear_pointer(&why, g_free);
    g_assert_null(sl_gpus_take(gpus, "c", 1, &why));
    g_clear_pointer(&why, g_free);
    sl_gpus_release(gpus, "b"); /* stopped while it waited */
    sl_gpus_release(gpus, "old");
    g_autofree char *c = sl_gpus_take(gpus, "c", 1, &why);
    g_assert_cmpstr(c, ==, "0");
    sl_gpus_free(gpus);
}

/* ---- with runs ---- */

#define WAITS                                                                                      \
    "{\"command\": [\"/bin/sh\", \"-c\", \"echo got \\\"${CUDA_VISIBLE_DEVICES-unset}\\\"; while " \
    "[ ! -e %s ]; do "                                                                             \
    "sleep 0.02; done\"], "                                                                        \
    "\"resourcesPerNode\": {\"gpu\": %d}}"

static Fix *fix_with_gpus(const char *list)
{
    Fix *f = fix_new("process");
    fix_close(f);
    json_object_set_new(f->options, "gpus", json_string(list));
    fix_open(f);
    return f;
}

static char *start_waiting(Fix *f, const char *word, int gpus)
{
    char *id = fix_run_id(word);
    g_autofree char *flag = g_build_filename(f->dir, word, NULL);
    g_autofree char *spec = g_strdup_printf(WAITS, flag, gpus);
    fix_start(f, id, fix_object("TrainingJob", "train", spec));
    return id;
}

static void let_go(Fix *f, const char *word)
{
    g_autofree char *flag = g_build_filename(f->dir, word, NULL);
    fix_write(flag, "");
}

static const char *record_text(Fix *f, const char *id, const char *key)
{
    const json_t *record = g_hash_table_lookup(f->records, id);
    return record ? sl_json_str_or(record, key, "") : "";
}

static char *output_of(Fix *f, const char *id)
{
    SlEngineLogAsk ask = {.run_id = id, .max = 1000};
    SlEngineLog log;
    g_autoptr(GBytes) bytes = f->ops->log(f->engine, &ask, &log, NULL);
    return bytes ? g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes)) : g_strdup("");
}

static void test_runs_share(void)
{
    Fix *f = fix_with_gpus("3,5");
    g_autofree char *one = start_waiting(f, "one", 2);
    FIX_UNTIL(f, strcmp(record_text(f, one, "phase"), "Running") == 0);
    g_autofree char *two = start_waiting(f, "two", 1);
    FIX_UNTIL(f, strcmp(record_text(f, two, "reason"), "GPUsBusy") == 0);
    g_assert_cmpstr(record_text(f, two, "phase"), ==, "Queued");
    g_assert_nonnull(strstr(record_text(f, two, "message"), "needs 1 of 2 GPUs, 0 free"));
    fix_restart(f); /* the lease is in the journal */
    FIX_UNTIL(f, strcmp(record_text(f, two, "reason"), "GPUsBusy") == 0);
    let_go(f, "one");
    g_assert_cmpstr(sl_json_str(fix_wait_end(f, one), "phase"), ==, "Succeeded");
    let_go(f, "two");
    g_assert_cmpstr(sl_json_str(fix_wait_end(f, two), "phase"), ==, "Succeeded");
    g_autofree char *first = output_of(f, one), *second = output_of(f, two);
    g_assert_cmpstr(first, ==, "got 3,5\n");
    g_assert_cmpstr(second, ==, "got 3\n");
    fix_free(f);
}

static void test_none_sees_none(void)
{
    Fix *f = fix_with_gpus("0");
    g_autofree char *id = start_waiting(f, "free", 0);
    let_go(f, "free");
    fix_wait_end(f, id);
    g_autofree char *text = output_of(f, id);
    g_assert_cmpstr(text, ==, "got \n");
    g_autofree char *big = start_waiting(f, "big", 2);
    FIX_UNTIL(f, strcmp(record_text(f, big, "reason"), "GPUsMissing") == 0);
    f->ops->run_stop(f->engine, big, "nobody has two");
    g_assert_cmpstr(sl_json_str(fix_wait_end(f, big), "reason"), ==, "Stopped");
    fix_free(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/gpus/list", test_list);
    g_test_add_func("/gpus/first-come", test_first_come);
    g_test_add_func("/gpus/leaves-queue", test_leaves_queue);
    g_test_add_func("/gpus/runs-share", test_runs_share);
    g_test_add_func("/gpus/none-sees-none", test_none_sees_none);
    return g_test_run();
}
