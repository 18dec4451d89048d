/* test_jobkinds.c - portable kinds: every mistake at once with a hint, defaults written out, items,
 * GPUs. */
#include "core/run.h"
#include "golden_file.h"
#include "sluice/jobkind.h"

static json_t *object(const char *kind, const char *spec)
{
    g_autofree char *text =
        g_strdup_printf("{\"apiVersion\":\"gitops.sluice/"
                        "v1alpha1\",\"kind\":\"%s\",\"metadata\":{\"name\":\"x\"},\"spec\":%s}",
                        kind, spec);
    json_t *json = json_loads(text, 0, NULL);
    g_assert_nonnull(json);
    return json;
}

static char *problems_of(const json_t *json)
{
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
    sl_jobkind_find(json)->validate(json, problems);
    g_ptr_array_add(problems, NULL);
    return g_strjoinv("\n", (char **)problems->pdata);
}

static void expect(const char *kind, const char *spec, const char *problems)
{
    g_autoptr(json_t) json = object(kind, spec);
    g_autofree char *all = problems_of(json);
    g_assert_cmpstr(all, ==, problems);
}

static void test_good(void)
{
    expect("TrainingJob",
           "{\"image\":\"registry/"
           "x@sha256:1\",\"command\":[\"python3\",\"train.py\"],\"args\":[\"\"],\"env\":[{\"name\":"
           "\"A\",\"value\":\"\"},"
           "{\"name\":\"HF_TOKEN\",\"secret\":\"hf-token\"}],\"files\":{\"from\":\"train/"
           "code\"},\"inputs\":[{\"name\":\"base\",\"model\":"
           "\"model://base\"},{\"name\":\"old\",\"model\":\"model://sha256:" H1
           "\"},{\"name\":\"more\",\"model\":\"more\"}],\"outputs\":"
           "[{\"name\":\"model\",\"path\":\"model\"}],\"numNodes\":2,\"numProcPerNode\":8,"
           "\"resourcesPerNode\":{\"gpu\":8,\"cpu\":\"500m\","
           "\"memory\":\"16Gi\",\"shm\":\"1Gi\"},\"queue\":\"gpu\",\"priority\":5,\"timeLimit\":"
           "\"24h\",\"retries\":{\"user\":1,\"infra\":5,"
           "\"gpu\":5},\"checkpoint\":{\"resume\":true,\"every\":\"10m\"},\"stop\":{\"signal\":"
           "\"SIGUSR1\",\"grace\":\"2m\"},\"start\":"
           "\"manual\",\"onChange\":\"replace\",\"waitFor\":\"finished\",\"placement\":\"one\","
           "\"native\":{\"kubernetes\":{\"as\":"
           "\"trainer.kubeflow.org/TrainJob\",\"patch\":{}},\"slurm\":{\"account\":\"x\"}}}",
           "");
    expect("TrainingJob",
           "{\"command\":[\"x\"],\"files\":[{\"path\":\"a.py\",\"mode\":\"644\",\"sha256\":\"" H1
           "\"}]}",
           "");
    expect("ModelServer",
           "{\"command\":[\"serve\"],\"model\":\"model://"
           "model\",\"port\":8501,\"replicas\":2,\"resources\":{\"cpu\":0.5,\"memory\":\"1Gi\"},"
           "\"probe\":{\"httpGet\":{\"path\":\"/"
           "v1\"},\"period\":\"1s\",\"timeout\":\"1s\",\"failureThreshold\":5},\"grace\":\"10s\"}",
           "");
    expect("ModelServer",
           "{\"image\":\"x\",\"port\":1,\"probe\":{\"exec\":{\"command\":[\"check\"]}}}", "");
}

static void test_every_mistake(void)
{
    expect("TrainingJob",
           "{\"comand\":[\"x\"],\"env\":[{\"name\":\"1A\",\"value\":1},{\"name\":\"SLUICE_RUN\","
           "\"value\":\"x\",\"secret\":\"y\"},{\"name\":\"B\"}],"
           "\"files\":\"train\",\"inputs\":[{\"name\":\"a\",\"model\":\"hf://"
           "x\"},{\"name\":\"a\",\"model\":\"m\"}],\"outputs\":[{\"path\":\"../m\"}],"
           "\"numNodes\":0,\"resourcesPerNode\":{\"gpu\":\"8\",\"memory\":\"lots\",\"nvidia.com/"
           "gpu\":1},\"retries\":{\"user\":101},"
           "\"timeLimit\":3600,\"onChange\":\"replac\",\"start\":true,\"backoffLimit\":3}",
           "spec.comand: unknown key; did you mean `command`?\n"
           "spec.backoffLimit: unknown key; write retries: {user: 0, infra: 3, gpu: 3}\n"
           "spec.env.0.value: must be text (put numbers and true/false in quotes), is 1\n"
           "spec.env.0.name: must be letters, digits and _, not starting with a digit\n"
           "spec.env.1.name: SLUICE_RUN is set by Sluice itself\n"
           "spec.env.1: needs value or secret, one of them\n"
           "spec.env.2: needs value or secret, one of them\n"
           "spec.files: must be {from: <folder>}\n"
           "spec.inputs.0.model: must be model://<item> or model://sha256:<digest>, is \"hf://x\"\n"
           "spec.inputs.1.name: `a` is there twice\n"
           "spec.outputs.0.name: is missing\n"
           "spec.outputs.0.path: must be a relative path without `..`, is \"../m\"\n"
           "spec.numNodes: must be 1..4096, is 0\n"
           "spec.resourcesPerNode.nvidia.com/gpu: unknown key; write gpu\n"
           "spec.resourcesPerNode.gpu: must be 0..64, is \"8\"\n"
           "spec.resourcesPerNode.memory: must be a size: 512Mi, 16Gi, is \"lots\"\n"
           "spec.timeLimit: must be a duration: 90s, 15m, 24h or 7d, is 3600\n"
           "spec.retries.user: must be 0..100, is 101\n"
           "spec.start: must be one of auto, manual, is true\n"
           "spec.onChange: must be one of keep, queue, replace, is \"replac\"; did you mean "
           "`replace`?\n"
           "spec.command: is missing; name the program, or an image that brings its own");
    expect("ModelServer",
           "{\"command\":[1],\"port\":70000,\"probe\":{\"period\":5},\"containers\":[]}",
           "spec.containers: unknown key; the fields of the container stand in spec itself (image, "
           "command, args, env)\n"
           "spec.command.0: must be text, is 1; put numbers and true/false in quotes\n"
           "spec.port: must be 1..65535, is 70000\n"
           "spec.probe.period: must be a duration: 90s, 15m, 24h or 7d, is 5\n"
           "spec.probe: needs httpGet: {path} or exec: {command}, one of them");
    expect("ModelServer",
           "{\"command\":[\"x\"],\"port\":1,\"activeDeadlineSeconds\":2,\"terminationGracePeriodSeconds\":5}",
           "spec.activeDeadlineSeconds: unknown key; there are image, command, args, env, files, model, port, "
           "replicas, resources, probe, grace, native\n"
           "spec.terminationGracePeriodSeconds: unknown key; write grace: 30s");
    expect("ModelServer", "{\"command\":[\"x\"]}", "spec.port: is missing");
    expect("TrainingJob",
           "{\"command\":[\"x\"],\"outputs\":[{\"name\":\"a\",\"path\":\"m\"},{\"name\":\"b\","
           "\"path\":\"m/x\"}]}",
           "spec.outputs.1.path: lies in the path of outputs.0");
}

static void test_shape(void)
{
    static const struct {
        const char *text, *problems;
    } rows[] = {
        {"{\"apiVersion\":\"gitops.sluice/v1\",\"kind\":\"TrainingJob\"}",
         "apiVersion: a TrainingJob is gitops.sluice/v1alpha1\nmetadata.name: must be a name: a-z, "
         "0-9 and -, at most 63\n"
         "spec: is missing, or no mapping\nspec.command"},
        {"{\"apiVersion\":\"gitops.sluice/"
         "v1alpha1\",\"kind\":\"ModelServer\",\"metadata\":{\"name\":\"a\",\"lables\":{},"
         "\"annotations\":{\"x\":1}},"
         "\"specs\":{},\"spec\":{\"command\":[\"x\"],\"port\":1}}",
         "specs: unknown key; did you mean spec\nmetadata.lables: unknown key; did you mean "
         "`labels`?\n"
         "metadata.annotations.x: must be text (put it in quotes)"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(json_t) json = json_loads(rows[i].text, 0, NULL);
        g_autofree char *all = problems_of(json);
        g_assert_true(g_str_has_prefix(rows[i].problems, all) ||
                      strcmp(all, rows[i].problems) == 0);
    }
    g_autoptr(json_t) foreign =
        json_loads("{\"apiVersion\":\"batch/v1\",\"kind\":\"TrainingJob\"}", 0, NULL);
    g_assert_null(sl_jobkind_find(foreign));
}

static void test_defaults(void)
{
    g_autoptr(json_t) job =
        object("TrainingJob",
               "{\"command\":[\"x\"],\"outputs\":[{\"name\":\"model\"}],\"retries\":{\"user\":2}}");
    sl_jobkind_find(job)->defaults(job);
    g_autofree char *text = sl_json_canonical(job, NULL);
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
    golden_check("training-job.json", bytes);
    g_autofree char *all = problems_of(job);
    g_assert_cmpstr(all, ==, "");
    g_autoptr(json_t) server =
        object("ModelServer",
               "{\"command\":[\"x\"],\"port\":80,\"probe\":{\"httpGet\":{\"path\":\"/\"}}}");
    sl_jobkind_find(server)->defaults(server);
    g_autofree char *server_text = sl_json_canonical(server, NULL);
    g_autoptr(GBytes) server_bytes = g_bytes_new(server_text, strlen(server_text));
    golden_check("model-server.json", server_bytes);
}

static void test_items_and_gpus(void)
{
    g_autoptr(json_t) job = object(
        "TrainingJob",
        "{\"inputs\":[{\"name\":\"a\",\"model\":\"model://m\"},{\"name\":\"b\",\"model\":\"m\"},"
        "{\"name\":\"c\",\"model\":\"model://sha256:" H1 "\"},{\"name\":\"d\",\"model\":\"n\"}],"
        "\"numNodes\":4,\"resourcesPerNode\":{\"gpu\":8}}");
    g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(g_free);
    sl_jobkind_find(job)->items(job, items);
    g_assert_cmpuint(items->len, ==, 2);
    g_assert_cmpstr(items->pdata[0], ==, "m");
    g_assert_cmpstr(items->pdata[1], ==, "n");
    g_assert_cmpint(sl_jobkind_find(job)->gpus(job), ==, 32);
    g_autoptr(json_t) server =
        object("ModelServer", "{\"model\":\"model://m\",\"replicas\":3,\"resources\":{\"gpu\":1}}");
    g_ptr_array_set_size(items, 0);
    sl_jobkind_find(server)->items(server, items);
    g_assert_cmpuint(items->len, ==, 1);
    g_assert_cmpint(sl_jobkind_find(server)->gpus(server), ==, 3);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/jobkinds/good", test_good);
    g_test_add_func("/jobkinds/every-mistake", test_every_mistake);
    g_test_add_func("/jobkinds/shape", test_shape);
    g_test_add_func("/jobkinds/defaults", test_defaults);
    g_test_add_func("/jobkinds/items", test_items_and_gpus);
    return g_test_run();
}
