/* test_try.c - sluice try: which job is meant, what is missing before the start, and one real run by sluice-agent. */
#include "rig.h"

static const char job[] = "apiVersion: gitops.sluice/v1alpha1\nkind: TrainingJob\nmetadata: {name: %s}\nspec:\n  command: [/bin/sh, -c, \"%s\"]\n%s";

static void put_job(const Rig *r, const char *path, const char *name, const char *command, const char *more)
{
    g_autofree char *text = g_strdup_printf(job, name, command, more);
    rig_put(r, path, text);
}

static void use_cache(const Rig *r)
{
    g_autofree char *cache = rig_path(r, "cache");
    g_setenv("XDG_CACHE_HOME", cache, TRUE);
}

static void test_manifest_alone(void)
{
    g_autoptr(Rig) r = rig_new();
    use_cache(r);
    put_job(r, "lone/job.yaml", "one", "cat code.txt; echo out > $SLUICE_OUTPUT_REPORT/r", "  outputs: [{name: report}]\n  files: {from: files}\n");
    rig_put(r, "lone/files/code.txt", "from the tree\n");
    assert_code(r, RUN(r, "try", "lone/job.yaml", "--log", "--dir", "scratch"), 0);
    assert_has(r->out, "try/one (try) from the working tree: dirty, not sealed, never promotable");
    assert_has(r->out, "| from the tree");
    g_autofree char *report = rig_read(r, "scratch/outputs/report/r");
    g_assert_cmpstr(report, ==, "out\n");
    assert_code(r, RUN(r, "try", "lone/job.yaml", "--dir", "scratch"), 5);
    assert_has(r->err, "is not empty");
}

static void test_several_jobs(void)
{
    g_autoptr(Rig) r = rig_new();
    use_cache(r);
    g_autofree char *first = g_strdup_printf(job, "one", "exit 3", ""), *second = g_strdup_printf(job, "two", "true", "");
    g_autofree char *both = g_strconcat(first, "---\n", second, NULL);
    rig_put(r, "lone/jobs.yaml", both);
    assert_code(r, RUN(r, "try", "lone/jobs.yaml"), 3);
    assert_has(r->err, "holds 2 TrainingJobs: name one with --job");
    assert_code(r, RUN(r, "try", "lone/jobs.yaml", "--job", "two", "--rm"), 0);
    assert_code(r, RUN(r, "try", "lone/jobs.yaml", "--job", "one", "--rm"), 1);
    assert_has(r->err, "failed: NonZeroExit, exit 3");
    rig_put(r, "lone/none.yaml", "kind: ConfigMap\n");
    assert_code(r, RUN(r, "try", "lone/none.yaml"), 4);
    assert_has(r->err, "holds no TrainingJob");
}

static void test_options_are_checked(void)
{
    g_autoptr(Rig) r = rig_new();
    use_cache(r);
    put_job(r, "lone/job.yaml", "one", "true", "  inputs: [{name: base, model: \"model://base\"}]\n  numNodes: 2\n");
    assert_code(r, RUN(r, "try", "lone/job.yaml"), 3);
    assert_has(r->err, "input `base` (item `base`): give a folder with --input base=DIR");
    assert_code(r, RUN(r, "try", "lone/job.yaml", "--input", "base"), 3);
    assert_has(r->err, "--input base: must be NAME=DIR");
    assert_code(r, RUN(r, "try", "lone/job.yaml", "--input", "base=nowhere"), 4);
    assert_has(r->err, "No such file or directory");
    assert_code(r, RUN(r, "try", "lone/job.yaml", "--input", "base=lone/job.yaml"), 3);
    assert_has(r->err, "is no folder");
    assert_code(r, RUN(r, "try", "lone/job.yaml", "--input", "base=lone", "--rm", "--gpus", "x"), 3);
    assert_has(r->err, "gpus: `x` is not");
    assert_code(r, RUN(r, "try", "lone/job.yaml", "--input", "base=lone", "--rm"), 0);
    assert_has(r->err, "note: runs on one node here, not on 2");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/try/manifest-alone", test_manifest_alone);
    g_test_add_func("/try/several-jobs", test_several_jobs);
    g_test_add_func("/try/options", test_options_are_checked);
    return g_test_run();
}
