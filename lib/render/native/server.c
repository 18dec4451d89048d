/* server.c - a ModelServer on Kubernetes: a Deployment and its Service, and the ConfigMap of its files.
 * A new version is ready before the old one stops, as everywhere. */
#include "core/native.h"
#include "render/native/native.h"

#define STARTUP_S 1800 /* until a started program answers its probe: loading of large weights */
#define PROGRESS_DEADLINE_S 3600 /* the same and the fetching of the model before it */
#define REVISIONS 2              /* of the Deployment: going back is a promotion */

static json_t *probe_of(const SlNative *n, bool startup)
{
    const json_t *probe = json_object_get(n->spec, "probe");
    json_int_t period = sl_native_seconds(sl_json_str_or(probe, "period", "5s"));
    json_int_t failures =
        startup ? (STARTUP_S + period - 1) / period : sl_json_int(probe, "failureThreshold", 3);
    json_t *json = json_pack("{s:I, s:I, s:I}", "periodSeconds", period, "timeoutSeconds",
                             sl_native_seconds(sl_json_str_or(probe, "timeout", "2s")),
                             "failureThreshold", failures);
    const char *path = sl_json_str(probe, "httpGet.path");
    if (path)
        json_object_set_new(json, "httpGet", json_pack("{s:s, s:s}", "path", path, "port", "http"));
    else
        json_object_set_new(json, "exec",
                            json_pack("{s:O}", "command", sl_json_at(probe, "exec.command")));
    return json;
}

static void add_model(SlNative *n, SlPod *pod)
{
    const json_t *model = json_object_get(n->spec, "model");
    if (!model)
        return;
    g_autofree char *fetch = g_strconcat(sl_native_model(model), "=" SL_NATIVE_MODEL_DIR, NULL);
    json_t *carrier =
        sl_pod_carrier(n, SL_NATIVE_FETCH, json_pack("[s, s, s]", "fetch", "--model", fetch));
    sl_pod_mount(json_object_get(carrier, "volumeMounts"), "model", SL_NATIVE_MODEL_DIR, false);
    json_array_append_new(pod->init, carrier);
    sl_pod_empty_volume(pod, "model");
    sl_pod_mount(pod->mounts, "model", SL_NATIVE_MODEL_DIR, true);
    sl_pod_env(pod->env, "SLUICE_MODEL", SL_NATIVE_MODEL_DIR);
}

static json_t *deployment(SlNative *n, json_t *volume /* of files, taken; or NULL */)
{
    SlPod pod = {0};
    sl_pod_init(n, &pod, "resources");
    json_int_t port = sl_json_int(n->spec, "port", 0);
    g_autofree char *number = g_strdup_printf("%" JSON_INTEGER_FORMAT, port);
    sl_pod_env(pod.env, "PORT", number);
    add_model(n, &pod);
    if (volume) {
        json_array_append_new(pod.volumes, volume);
        sl_pod_mount(pod.mounts, "files", SL_NATIVE_WORK_DIR, true);
        sl_json_set_str(pod.program, "workingDir", SL_NATIVE_WORK_DIR);
    }
    json_object_set_new(
        pod.program, "ports",
        json_pack("[{s:s, s:I, s:s}]", "name", "http", "containerPort", port, "protocol", "TCP"));
    if (json_object_get(n->spec, "probe")) {
        json_object_set_new(pod.program, "startupProbe", probe_of(n, true));
        json_object_set_new(pod.program, "readinessProbe", probe_of(n, false));
    }
    json_t *template =
        sl_pod_template(n, &pod, sl_native_seconds(sl_json_str_or(n->spec, "grace", "30s")), true);
    json_t *spec = json_pack(
        "{s:I, s:I, s:I, s:{s:o}, s:{s:s, s:{s:i, s:i}}, s:o}", "replicas",
        sl_json_int(n->spec, "replicas", 1), "progressDeadlineSeconds",
        (json_int_t)PROGRESS_DEADLINE_S, "revisionHistoryLimit", (json_int_t)REVISIONS, "selector",
        "matchLabels", sl_native_selector(n), "strategy", "type", "RollingUpdate", "rollingUpdate",
        "maxSurge", 1, "maxUnavailable", 0, "template", template);
    return sl_native_object(n, "apps/v1", "Deployment", n->name, spec);
}

static json_t *service(const SlNative *n)
{
    json_t *spec = json_pack("{s:o, s:[{s:s, s:I, s:s, s:s}]}", "selector", sl_native_selector(n),
                             "ports", "name", "http", "port", sl_json_int(n->spec, "port", 0),
                             "targetPort", "http", "protocol", "TCP");
    return sl_native_object(n, "v1", "Service", n->name, spec);
}

json_t *sl_native_server(SlNative *n)
{
    json_t *objects = json_array(), *volume = NULL;
    json_t *files = sl_native_files(n, &volume);
    if (files)
        json_array_append_new(objects, files);
    json_array_append_new(objects, service(n));
    json_t *main = deployment(n, volume);
    sl_native_patch(n, main);
    json_array_append_new(objects, main);
    return objects;
}
