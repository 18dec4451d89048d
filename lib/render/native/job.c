/* job.c - what one run of a TrainingJob is on Kubernetes: a Job that is never repeated by itself (attempts are the agent's), its files,
 * and for several nodes a headless Service by which they find the first. The program's image stays as it is: sluice-carry, put beside
 * it by an init container, starts it, hands it the stop signal and writes how it ended. */
#include "base/text.h"
#include "core/native.h"
#include "render/native/native.h"
#include <string.h>

#define MASTER_PORT 29500 /* torchrun's own default */
#define GRACE_MORE_S 15   /* after the program's grace: to kill it and to write how it ended */
#define CARRY_FILE SL_NATIVE_RUN_DIR "/sluice-carry"
#define INDEX_FIELD "metadata.annotations['batch.kubernetes.io/job-completion-index']"
/* A Pod's host name is name-run-attempt-index, at most 63: "-" and 10 digits, "-" and 3, "-" and 4. */
#define JOB_NAME_MAX (SL_NAME_MAX - (1 + SL_NATIVE_RUN_DIGITS) - 4 - 5)

static json_int_t nodes_of(const SlNative *n)
{
    return sl_json_int(n->spec, "numNodes", 1);
}

static bool resumes(const SlNative *n)
{
    return sl_json_bool(n->spec, "checkpoint.resume", true);
}

static void add(json_t *args, const char *text)
{
    json_array_append_new(args, json_string(text));
}

static void add_pair(json_t *args, const char *option, const char *left, const char *right)
{
    g_autofree char *text = g_strconcat(left, "=", right, NULL);
    add(args, option);
    add(args, text);
}

static void add_rank(json_t *env, json_int_t nodes, const char *name)
{
    if (nodes > 1)
        sl_pod_env_field(env, name, INDEX_FIELD);
    else
        sl_pod_env(env, name, "0");
}

/* torchrun's variables. RANK and LOCAL_RANK of several processes are for sluice-carry to say; PET_* are what a torchrun that is itself
 * the one process of its node reads. */
static void add_world(SlNative *n, json_t *env)
{
    json_int_t nodes = nodes_of(n), processes = sl_json_int(n->spec, "numProcPerNode", 1);
    g_autofree char *world = g_strdup_printf("%" JSON_INTEGER_FORMAT, nodes * processes);
    g_autofree char *local = g_strdup_printf("%" JSON_INTEGER_FORMAT, processes);
    g_autofree char *count = g_strdup_printf("%" JSON_INTEGER_FORMAT, nodes);
    g_autofree char *base = sl_native_name(n, "");
    g_autofree char *master =
        nodes > 1 ? g_strdup_printf("%s-0.%s", base, base) : g_strdup("127.0.0.1");
    g_autofree char *port = g_strdup_printf("%d", MASTER_PORT);
    sl_pod_env(env, "MASTER_ADDR", master);
    sl_pod_env(env, "MASTER_PORT", port);
    sl_pod_env(env, "WORLD_SIZE", world);
    sl_pod_env(env, "LOCAL_WORLD_SIZE", local);
    add_rank(env, nodes, "NODE_RANK");
    add_rank(env, nodes, "GROUP_RANK");
    if (processes > 1)
        return;
    add_rank(env, nodes, "RANK");
    sl_pod_env(env, "LOCAL_RANK", "0");
    sl_pod_env(env, "PET_MASTER_ADDR", master);
    sl_pod_env(env, "PET_MASTER_PORT", port);
    sl_pod_env(env, "PET_NNODES", count);
    sl_pod_env(env, "PET_NPROC_PER_NODE", local);
    add_rank(env, nodes, "PET_NODE_RANK");
}

static void add_paths(SlNative *n, json_t *env)
{
    size_t i = 0;
    json_t *each = NULL;
    json_array_foreach (json_object_get(n->spec, "inputs"), i, each) {
        g_autofree char *name = sl_env_name("SLUICE_INPUT_", sl_json_str(each, "name"));
        g_autofree char *path =
            g_strconcat(SL_NATIVE_INPUTS_DIR "/", sl_json_str(each, "name"), NULL);
        sl_pod_env(env, name, path);
    }
    json_array_foreach (json_object_get(n->spec, "outputs"), i, each) {
        g_autofree char *name = sl_env_name("SLUICE_OUTPUT_", sl_json_str(each, "name"));
        g_autofree char *path =
            g_strconcat(SL_NATIVE_WORK_DIR "/", sl_json_str(each, "path"), NULL);
        sl_pod_env(env, name, path);
    }
    sl_pod_env(env, "SLUICE_CHECKPOINT_DIR", SL_NATIVE_CHECKPOINT_DIR);
    sl_pod_env(env, "SLUICE_PROGRESS_FILE", SL_NATIVE_RUN_DIR "/progress");
    sl_pod_env(env, "SLUICE_TERMINATION_FILE", SL_NATIVE_RUN_DIR "/termination");
    sl_pod_env(env, "SLUICE_RUN", SL_NATIVE_RUN_ID);
    sl_pod_env(env, "SLUICE_ATTEMPT", SL_NATIVE_ATTEMPT);
}

/* sluice-carry run ... -- program: what sluice-exec is on a machine without Pods. */
static void wrap(SlNative *n, SlPod *pod)
{
    json_t *users = json_object_get(pod->program, "command"),
           *args = json_object_get(pod->program, "args");
    g_autofree char *processes =
        g_strdup_printf("%" G_GINT64_FORMAT, sl_json_int(n->spec, "numProcPerNode", 1));
    const char *signal = sl_json_str_or(n->spec, "stop.signal", "TERM");
    json_t *all = json_pack("[s, s, s, s, s, s, s, s]", "run", "--processes", processes, "--signal",
                            g_str_has_prefix(signal, "SIG") ? signal + 3 : signal, "--grace",
                            sl_json_str_or(n->spec, "stop.grace", "30s"),
                            "--checkpoint=" SL_NATIVE_CHECKPOINT_DIR);
    size_t i = 0;
    json_t *output = NULL;
    json_array_foreach (json_object_get(n->spec, "outputs"), i, output) {
        g_autofree char *path =
            g_strconcat("--output=" SL_NATIVE_WORK_DIR "/", sl_json_str(output, "path"), NULL);
        add(all, path);
    }
    add(all, "--");
    json_array_extend(all, users);
    json_array_extend(all, args);
    json_object_set_new(pod->program, "command", json_pack("[s]", CARRY_FILE));
    json_object_set_new(pod->program, "args", all);
}

static void add_fetch(SlNative *n, SlPod *pod, bool files)
{
    json_t *args = json_pack("[s, s, s]", "fetch", "--install", CARRY_FILE);
    json_t *carrier = sl_pod_carrier(n, SL_NATIVE_FETCH, args);
    json_t *mounts = json_object_get(carrier, "volumeMounts"), *env = json_array();
    size_t i = 0;
    json_t *input = NULL;
    if (files)
        add_pair(args, "--copy", SL_NATIVE_FILES_DIR, SL_NATIVE_WORK_DIR);
    json_array_foreach (json_object_get(n->spec, "inputs"), i, input) {
        g_autofree char *path =
            g_strconcat(SL_NATIVE_INPUTS_DIR "/", sl_json_str(input, "name"), NULL);
        add_pair(args, "--model", sl_native_model(json_object_get(input, "model")), path);
    }
    if (resumes(n))
        add_pair(args, "--checkpoint", SL_NATIVE_RUN_ID, SL_NATIVE_CHECKPOINT_DIR);
    if (files)
        sl_pod_mount(mounts, "files", SL_NATIVE_FILES_DIR, true);
    if (i > 0)
        sl_pod_mount(mounts, "inputs", SL_NATIVE_INPUTS_DIR, false);
    sl_pod_mount(mounts, "checkpoint", SL_NATIVE_CHECKPOINT_DIR, false);
    sl_pod_mount(mounts, "run", SL_NATIVE_RUN_DIR, false);
    sl_pod_mount(mounts, "work", SL_NATIVE_WORK_DIR, false);
    add_rank(env, nodes_of(n), "NODE_RANK");
    json_object_set_new(carrier, "env", env);
    json_array_append_new(pod->init, carrier);
}

/* A container of its own, not a sidecar: the Pod ends when the outputs are in the store, and fails where they can't be; the access to
 * the store never is where the program is. */
static void add_carry(SlNative *n, SlPod *pod)
{
    const json_t *outputs = json_object_get(n->spec, "outputs");
    const char *every = sl_json_str(n->spec, "checkpoint.every");
    if (json_array_size(outputs) == 0 && !resumes(n))
        return;
    json_t *args = json_pack("[s, s, s]", "carry", "--run", SL_NATIVE_RUN_DIR), *env = json_array();
    json_t *carrier = sl_pod_carrier(n, SL_NATIVE_CARRY, args),
           *mounts = json_object_get(carrier, "volumeMounts");
    size_t i = 0;
    json_t *output = NULL;
    json_array_foreach ((json_t *)(uintptr_t)outputs, i, output) {
        g_autofree char *path =
            g_strconcat(SL_NATIVE_WORK_DIR "/", sl_json_str(output, "path"), NULL);
        add_pair(args, "--output", sl_json_str(output, "name"), path);
    }
    if (resumes(n))
        add_pair(args, "--checkpoint", SL_NATIVE_RUN_ID, SL_NATIVE_CHECKPOINT_DIR);
    if (resumes(n) && every) {
        add(args, "--every");
        add(args, every);
    }
    sl_pod_mount(mounts, "checkpoint", SL_NATIVE_CHECKPOINT_DIR, true);
    sl_pod_mount(mounts, "run", SL_NATIVE_RUN_DIR, false);
    sl_pod_mount(mounts, "work", SL_NATIVE_WORK_DIR, true);
    add_rank(env, nodes_of(n), "NODE_RANK");
    json_object_set_new(carrier, "env", env);
    json_array_append_new(pod->containers, carrier);
}

static json_t *template_of(SlNative *n, json_t *volume /* of files, taken; or NULL */)
{
    SlPod pod = {0};
    sl_pod_init(n, &pod, "resourcesPerNode");
    add_paths(n, pod.env);
    add_world(n, pod.env);
    wrap(n, &pod);
    add_fetch(n, &pod, volume != NULL);
    add_carry(n, &pod);
    sl_pod_empty_volume(&pod, "checkpoint");
    sl_pod_empty_volume(&pod, "run");
    sl_pod_empty_volume(&pod, "work");
    sl_pod_mount(pod.mounts, "checkpoint", SL_NATIVE_CHECKPOINT_DIR, false);
    sl_pod_mount(pod.mounts, "run", SL_NATIVE_RUN_DIR, false);
    sl_pod_mount(pod.mounts, "work", SL_NATIVE_WORK_DIR, false);
    if (json_array_size(json_object_get(n->spec, "inputs")) > 0) {
        sl_pod_empty_volume(&pod, "inputs");
        sl_pod_mount(pod.mounts, "inputs", SL_NATIVE_INPUTS_DIR, true);
    }
    if (volume) {
        json_array_append_new(pod.volumes, volume);
        sl_json_set_str(pod.program, "workingDir", SL_NATIVE_WORK_DIR);
    }
    json_int_t grace =
        sl_native_seconds(sl_json_str_or(n->spec, "stop.grace", "30s")) + GRACE_MORE_S;
    json_t *template = sl_pod_template(n, &pod, grace, false);
    g_autofree char *base = sl_native_name(n, "");
    if (nodes_of(n) > 1)
        sl_json_set_str(json_object_get(template, "spec"), "subdomain", base);
    return template;
}

/* A lost Pod of one is made again, for it is no failure of the run; of several the others hang, so all begin anew as the next attempt. */
static json_t *failure_policy(const SlNative *n)
{
    bool again = nodes_of(n) == 1 && sl_json_int(n->spec, "retries.infra", 3) > 0;
    return json_pack("{s:[{s:s, s:[{s:s, s:s}]}, {s:s, s:{s:s, s:[i]}}]}", "rules", "action",
                     again ? "Ignore" : "FailJob", "onPodConditions", "type", "DisruptionTarget",
                     "status", "True", "action", "FailJob", "onExitCodes", "operator", "NotIn",
                     "values", 0);
}

static json_t *job(SlNative *n, json_t *volume)
{
    json_int_t nodes = nodes_of(n);
    const char *limit = sl_json_str(n->spec, "timeLimit"), *queue = sl_json_str(n->spec, "queue");
    json_t *spec =
        json_pack("{s:s, s:I, s:I, s:I, s:s, s:o, s:o}", "completionMode",
                  nodes > 1 ? "Indexed" : "NonIndexed", "completions", nodes, "parallelism", nodes,
                  "backoffLimit", (json_int_t)0, "podReplacementPolicy", "Failed",
                  "podFailurePolicy", failure_policy(n), "template", template_of(n, volume));
    if (limit)
        sl_json_set_int(spec, "activeDeadlineSeconds", sl_native_seconds(limit));
    if (queue)
        sl_json_set_bool(spec, "suspend", true); /* the queue lets it go */
    g_autofree char *name = sl_native_name(n, "");
    json_t *object = sl_native_object(n, "batch/v1", "Job", name, spec);
    if (queue)
        sl_json_set_str(sl_json_at(object, "metadata.labels"), "kueue.x-k8s.io/queue-name", queue);
    return object;
}

static json_t *service(const SlNative *n)
{
    g_autofree char *name = sl_native_name(n, "");
    json_t *selector = sl_native_selector(n);
    sl_json_set_str(selector, SL_LABEL_RUN, SL_NATIVE_RUN);
    json_t *spec = json_pack("{s:s, s:b, s:o, s:[{s:s, s:i, s:s}]}", "clusterIP", "None",
                             "publishNotReadyAddresses", 1, "selector", selector, "ports", "name",
                             "master", "port", MASTER_PORT, "protocol", "TCP");
    return sl_native_object(n, "v1", "Service", name, spec);
}

static void check(SlNative *n)
{
    if (strlen(n->name) > JOB_NAME_MAX)
        sl_native_refuse(n, "metadata.name", "choose a shorter one",
                         "`%s` has more than %d characters, and Pods are named after it", n->name,
                         JOB_NAME_MAX);
    if (!json_object_get(n->spec, "command"))
        sl_native_refuse(
            n, "spec.command",
            "name the program: Sluice starts it and can't know what the image would start",
            "is missing");
    const char *queue = sl_json_str(n->spec, "queue");
    if (queue && !sl_is_name(queue))
        sl_native_refuse(n, "spec.queue", "lower-case letters, digits and -, at most 63",
                         "`%.64s` can't be the name of a LocalQueue", queue);
    if (json_object_get(n->spec, "priority"))
        sl_problem_add(n->prepare->problems, n->source->file,
                       sl_render_object_line(n->source, "spec.priority"), 0, SLU_RENDER_NATIVE,
                       true,
                       "set the queue's class: native: {kubernetes: {patch: {metadata: {labels: "
                       "{kueue.x-k8s.io/priority-class: NAME}}}}}",
                       "TrainingJob %s: spec.priority: has no meaning on Kubernetes", n->name);
}

json_t *sl_native_job(SlNative *n)
{
    check(n);
    if (!n->fine)
        return NULL;
    json_t *objects = json_array(), *volume = NULL;
    json_t *files = sl_native_files(n, &volume);
    if (files)
        json_array_append_new(objects, files);
    if (nodes_of(n) > 1)
        json_array_append_new(objects, service(n));
    json_t *main = job(n, volume);
    sl_native_patch(n, main);
    json_array_append_new(objects, main);
    return objects;
}
