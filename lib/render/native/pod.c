/* pod.c - what the Pods of both kinds have: the program's container, its environment and room, volumes,
 * and containers of sluice-carry. Texts of users are literal: Kubernetes would expand $(NAME) in them. */
#include "core/native.h"
#include "render/native/native.h"
#include <string.h>

/* Kubernetes reads $$ as $, and then nothing else is special in command, args and values. */
static json_t *literal(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, "$", -1);
    g_autofree char *joined = g_strjoinv("$$", parts);
    return json_string(joined);
}

static json_t *literals(const json_t *texts)
{
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(texts); i++)
        json_array_append_new(list, literal(json_string_value(json_array_get(texts, i))));
    return list;
}

static bool has(const json_t *list, const char *name)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (g_strcmp0(sl_json_str(json_array_get(list, i), "name"), name) == 0)
            return true;
    return false;
}

void sl_pod_env(json_t *env, const char *name, const char *value)
{
    if (!has(env, name))
        json_array_append_new(env, json_pack("{s:s, s:s}", "name", name, "value", value));
}

void sl_pod_env_field(json_t *env, const char *name, const char *field)
{
    if (!has(env, name))
        json_array_append_new(env, json_pack("{s:s, s:{s:{s:s}}}", "name", name, "valueFrom",
                                             "fieldRef", "fieldPath", field));
}

void sl_pod_mount(json_t *mounts, const char *volume, const char *path, bool read_only)
{
    json_t *mount = json_pack("{s:s, s:s}", "name", volume, "mountPath", path);
    if (read_only)
        sl_json_set_bool(mount, "readOnly", true);
    json_array_append_new(mounts, mount);
}

void sl_pod_empty_volume(SlPod *pod, const char *name)
{
    json_array_append_new(pod->volumes, json_pack("{s:s, s:{}}", "name", name, "emptyDir"));
}

const char *sl_native_model(const json_t *reference)
{
    const char *text = json_string_value(reference);
    return text && g_str_has_prefix(text, "model://") ? text + strlen("model://") : text;
}

json_t *sl_pod_carrier(const SlNative *n, const char *name, json_t *args)
{
    json_t *mounts = json_array();
    sl_pod_mount(mounts, "store", SL_NATIVE_STORE_DIR, true);
    return json_pack("{s:s, s:s, s:[s], s:o, s:o, s:{s:b, s:{s:[s]}}}", "name", name, "image",
                     n->prepare->native, "command", "/sluice-carry", "args", args, "volumeMounts",
                     mounts, "securityContext", "allowPrivilegeEscalation", 0, "capabilities",
                     "drop", "ALL");
}

/* An empty value is left out: the server keeps none, and what it keeps must be what was signed. */
static json_t *user_env(const json_t *spec)
{
    json_t *env = json_array();
    size_t i = 0;
    json_t *each = NULL;
    json_array_foreach (json_object_get(spec, "env"), i, each) {
        const char *name = sl_json_str(each, "name"), *secret = sl_json_str(each, "secret");
        const char *value = sl_json_str_or(each, "value", "");
        json_t *variable = json_pack("{s:s}", "name", name);
        if (secret)
            json_object_set_new(
                variable, "valueFrom",
                json_pack("{s:{s:s, s:s}}", "secretKeyRef", "name", secret, "key", name));
        else if (*value)
            json_object_set_new(variable, "value", literal(value));
        json_array_append_new(env, variable);
    }
    return env;
}

/* 2, 0.5, "500m" as a quantity that needs no exponent. */
static char *cpu_text(const json_t *cpu)
{
    if (json_is_string(cpu))
        return g_strdup(json_string_value(cpu));
    if (json_is_integer(cpu))
        return g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(cpu));
    return g_strdup_printf("%" G_GINT64_FORMAT "m", (gint64)(json_real_value(cpu) * 1000 + 0.5));
}

static char *memory_text(const json_t *memory)
{
    return json_is_integer(memory)
               ? g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(memory))
               : g_strdup(json_string_value(memory));
}

/* Limits only: Kubernetes asks for as much as the limits, so nothing is promised twice. */
static void add_room(SlPod *pod, const json_t *resources)
{
    json_t *limits = json_object();
    const json_t *cpu = json_object_get(resources, "cpu"),
                 *memory = json_object_get(resources, "memory"),
                 *shm = json_object_get(resources, "shm");
    json_int_t gpu = sl_json_int(resources, "gpu", 0);
    g_autofree char *gpus = g_strdup_printf("%" JSON_INTEGER_FORMAT, gpu);
    g_autofree char *cpus = cpu ? cpu_text(cpu) : NULL,
                    *bytes = memory ? memory_text(memory) : NULL,
                    *shared = shm ? memory_text(shm) : NULL;
    if (gpu > 0)
        sl_json_set_str(limits, "nvidia.com/gpu", gpus);
    if (cpus)
        sl_json_set_str(limits, "cpu", cpus);
    if (bytes)
        sl_json_set_str(limits, "memory", bytes);
    if (json_object_size(limits) > 0)
        json_object_set_new(pod->program, "resources", json_pack("{s:O}", "limits", limits));
    json_decref(limits);
    if (!shared)
        return;
    json_array_append_new(pod->volumes, json_pack("{s:s, s:{s:s, s:s}}", "name", "shm", "emptyDir",
                                                  "medium", "Memory", "sizeLimit", shared));
    sl_pod_mount(pod->mounts, "shm", "/dev/shm", false);
}

void sl_pod_init(SlNative *n, SlPod *pod, const char *resources)
{
    const json_t *command = json_object_get(n->spec, "command"),
                 *args = json_object_get(n->spec, "args");
    pod->volumes = json_array();
    pod->init = json_array();
    pod->containers = json_array();
    pod->env = user_env(n->spec);
    pod->mounts = json_array();
    pod->program =
        json_pack("{s:s, s:s, s:o, s:o}", "name", SL_NATIVE_PROGRAM, "image",
                  sl_json_str(n->spec, "image"), "env", pod->env, "volumeMounts", pod->mounts);
    json_array_append_new(pod->containers, pod->program);
    if (command)
        json_object_set_new(pod->program, "command", literals(command));
    if (json_array_size(args) > 0)
        json_object_set_new(pod->program, "args", literals(args));
    add_room(pod, json_object_get(n->spec, resources));
}

json_t *sl_pod_template(SlNative *n, SlPod *pod, json_int_t grace_s, bool restarts)
{
    if (json_array_size(pod->init) > 0)
        json_array_append_new(pod->volumes,
                              json_pack("{s:s, s:{s:s, s:b}}", "name", "store", "secret",
                                        "secretName", SL_NATIVE_STORE_SECRET, "optional", 1));
    if (json_array_size(pod->env) == 0)
        json_object_del(pod->program, "env");
    if (json_array_size(pod->mounts) == 0)
        json_object_del(pod->program, "volumeMounts");
    /* What a program is told is what its object says: neither a token nor other Services. */
    json_t *spec =
        json_pack("{s:b, s:b, s:I, s:s, s:o}", "automountServiceAccountToken", 0,
                  "enableServiceLinks", 0, "terminationGracePeriodSeconds", grace_s,
                  "restartPolicy", restarts ? "Always" : "Never", "containers", pod->containers);
    if (json_array_size(pod->init) > 0)
        json_object_set(spec, "initContainers", pod->init);
    if (json_array_size(pod->volumes) > 0)
        json_object_set(spec, "volumes", pod->volumes);
    json_decref(pod->init);
    json_decref(pod->volumes);
    g_autoptr(json_t) like = sl_native_object(n, "v1", "Pod", "", spec);
    json_t *metadata = json_object_get(like, "metadata");
    json_t *notes = json_object_get(metadata, "annotations");
    const json_t *users = sl_json_at(n->object, "metadata.annotations");
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach ((json_t *)(uintptr_t)users, key, value) {
        json_object_del(notes, key); /* they speak of the object: a wave restarts no server */
    }
    if (json_object_size(notes) == 0)
        json_object_del(metadata, "annotations");
    json_object_del(metadata, "name");
    json_object_del(metadata, "namespace");
    return json_pack("{s:O, s:O}", "metadata", metadata, "spec", spec);
}
