/* test_run.c - run keys and ids (golden: a change retrains everything), causes of failure, retries.
 */
#include "core/run.h"
#include "golden_file.h"

static json_t *job(void)
{
    json_t *json = json_loads(
        "{\"apiVersion\":\"gitops.sluice/"
        "v1alpha1\",\"kind\":\"TrainingJob\",\"metadata\":{\"name\":\"train\","
        "\"labels\":{\"a\":\"b\"},\"annotations\":{\"gitops.sluice/"
        "wave\":\"1\"}},\"spec\":{\"command\":[\"python3\","
        "\"train.py\"],\"files\":[{\"path\":\"train.py\",\"mode\":\"644\",\"sha256\":\"" H1 "\"}],"
        "\"timeLimit\":\"10m\",\"queue\":\"q\",\"retries\":{\"user\":0},\"start\":\"auto\"}}",
        0, NULL);
    g_assert_nonnull(json);
    return json;
}

static void test_key(void)
{
    g_autoptr(json_t) one = job();
    g_autofree char *key = sl_run_key(one);
    g_assert_cmpstr(key, ==, "77ee614cc97cdb1cd455ff88cfbdf383f0c93ecd5d43713bcb0c6a2a86fdb9bc");
    json_t *spec = json_object_get(one, "spec");
    json_t *metadata = json_object_get(one, "metadata");
    sl_json_set_str(metadata, "name", "other");
    json_object_del(metadata, "labels");
    sl_json_set_str(json_object_get(metadata, "annotations"), "gitops.sluice/run-key", H2);
    static const char *const free_keys[] = {"timeLimit", "priority", "queue",  "retries",
                                            "start",     "onChange", "waitFor"};
    for (size_t i = 0; i < G_N_ELEMENTS(free_keys); i++) {
        sl_json_set_str(spec, free_keys[i], "changed");
    }
    g_autofree char *same = sl_run_key(one);
    g_assert_cmpstr(same, ==, key);
    g_assert_nonnull(json_object_get(spec, "queue")); /* the job itself is left alone */
    static const char *const bound[] = {"command", "files",    "image",    "env",
                                        "inputs",  "numNodes", "placement"};
    for (size_t i = 0; i < G_N_ELEMENTS(bound); i++) {
        g_autoptr(json_t) two = job();
        sl_json_set_str(json_object_get(two, "spec"), bound[i], "changed");
        g_autofree char *other = sl_run_key(two);
        g_assert_cmpstr(other, !=, key);
    }
    sl_json_set_str(json_object_get(metadata, "annotations"), "gitops.sluice/run-inputs", H2);
    g_autofree char *inputs = sl_run_key(one);
    g_assert_cmpstr(inputs, !=, key);
}

static void test_id(void)
{
    g_autofree char *id = sl_run_id(H1, "digits", "dev", "train", H2, 0);
    g_assert_cmpstr(id, ==, "468a1f39b63260b97c045a7cf8235fb2ede2b87f82485c8a2cb2358f9aa92a05");
    g_autofree char *again = sl_run_id(H1, "digits", "dev", "train", H2, 1);
    g_assert_cmpstr(id, !=, again);
}

static void test_classify(void)
{
    static const struct {
        int code, signal;
        bool oom, timed_out;
        const char *log, *reason;
        SlFailure failure;
    } rows[] = {
        {1, 0, false, false, NULL, "NonZeroExit", SL_FAILURE_USER},
        {0, 9, true, false, "CUDA out of memory", "OOMKilled", SL_FAILURE_USER},
        {0, 9, false, false, "", "Killed", SL_FAILURE_INFRA},
        {137, 0, false, false, "", "Killed", SL_FAILURE_INFRA},
        {0, 15, false, true, "", "Timeout", SL_FAILURE_TIMEOUT},
        {0, 15, false, false, "CUDA out of memory", "Terminated", SL_FAILURE_INFRA},
        {0, 2, false, false, "", "Interrupted", SL_FAILURE_STOPPED},
        {143, 0, false, false, "", "Terminated", SL_FAILURE_INFRA},
        {0, 6, false, false, "[E] Watchdog caught collective operation timeout: WorkNCCL",
         "NcclTimeout", SL_FAILURE_INFRA},
        {134, 0, false, false, "NCCL WARN net", "NcclError", SL_FAILURE_INFRA},
        {1, 0, false, false, "NCCL WARN net", "NonZeroExit", SL_FAILURE_USER},
        {0, 6, false, false, "assert failed", "Aborted", SL_FAILURE_USER},
        {0, 11, false, false, NULL, "Crashed", SL_FAILURE_USER},
        {127, 0, false, false, NULL, "CommandNotFound", SL_FAILURE_CONFIG},
        {126, 0, false, false, NULL, "CommandNotExecutable", SL_FAILURE_CONFIG},
        {1, 0, false, false, "torch.cuda.OutOfMemoryError: CUDA out of memory.", "GpuOutOfMemory",
         SL_FAILURE_USER},
        {1, 0, false, false, "CUDA error: uncorrectable ECC error encountered", "GpuMemoryError",
         SL_FAILURE_GPU},
        {1, 0, false, false, "NVRM: Xid (PCI:0000:3b:00): 79, pid=1", "GpuLost", SL_FAILURE_GPU},
        {1, 0, false, false, "NVRM: Xid (PCI:0000:3b:00): 13, pid=1", "NonZeroExit",
         SL_FAILURE_USER},
        {1, 0, false, false, "an illegal memory access was encountered", "IllegalMemoryAccess",
         SL_FAILURE_USER},
        {1, 0, false, false, "OSError: No space left on device", "DiskFull", SL_FAILURE_INFRA},
        {1, 0, false, false, "step 3: Loss is NaN, stopping", "NonFiniteLoss", SL_FAILURE_USER},
        {0, 0, false, false, "CUDA out of memory", "Completed", SL_FAILURE_USER},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *reason = NULL;
        SlFailure failure = sl_run_classify(rows[i].code, rows[i].signal, rows[i].oom,
                                            rows[i].timed_out, rows[i].log, &reason);
        g_assert_cmpstr(reason, ==, rows[i].reason);
        g_assert_cmpint(failure, ==, rows[i].failure);
        g_assert_cmpstr(sl_run_reason_text(reason), !=, "");
    }
    g_assert_cmpstr(sl_run_reason_text("Nonsense"), ==, "");
    g_assert_cmpstr(sl_failure_name(SL_FAILURE_GPU), ==, "Gpu");
}

static void test_retries(void)
{
    g_autoptr(json_t) failures = json_loads("{\"user\":1,\"infra\":3,\"gpu\":4}", 0, NULL);
    g_assert_false(sl_run_may_retry(NULL, SL_FAILURE_USER, failures));
    g_assert_true(sl_run_may_retry(NULL, SL_FAILURE_INFRA, failures));
    g_assert_false(sl_run_may_retry(NULL, SL_FAILURE_GPU, failures));
    g_autoptr(json_t) retries = json_loads("{\"user\":1,\"infra\":2,\"gpu\":4}", 0, NULL);
    g_assert_true(sl_run_may_retry(retries, SL_FAILURE_USER, failures));
    g_assert_false(sl_run_may_retry(retries, SL_FAILURE_INFRA, failures));
    g_assert_true(sl_run_may_retry(retries, SL_FAILURE_GPU, failures));
    static const SlFailure never[] = {SL_FAILURE_TIMEOUT, SL_FAILURE_CONFIG, SL_FAILURE_STOPPED};
    for (size_t i = 0; i < G_N_ELEMENTS(never); i++) {
        g_assert_false(sl_run_may_retry(retries, never[i], failures));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/run/key", test_key);
    g_test_add_func("/run/id", test_id);
    g_test_add_func("/run/classify", test_classify);
    g_test_add_func("/run/retries", test_retries);
    return g_test_run();
}
