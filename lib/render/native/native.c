/* native.c - from a portable object to what is in the bundle of a cluster with Kubernetes: a server's
 * objects themselves, a job with the objects of its runs. Checks what holds for both kinds. */
#include "render/native/native.h"
#include "base/text.h"
#include "core/native.h"
#include <string.h>

void sl_native_refuse(SlNative *n, const char *path, const char *hint, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *what = g_strdup_vprintf(format, args);
    va_end(args);
    n->fine = false;
    sl_problem_add(n->prepare->problems, n->source->file, sl_render_object_line(n->source, path), 0,
                   SLU_RENDER_NATIVE, false, hint, "%s %s: %s: %s",
                   sl_json_str_or(n->object, "kind", ""), n->name, path, what);
}

char *sl_native_name(const SlNative *n, const char *suffix)
{
    return g_strconcat(n->name, n->instance, suffix, NULL);
}

json_int_t sl_native_seconds(const char *duration)
{
    int64_t us = 0;
    if (!duration || !sl_parse_duration(duration, &us, NULL))
        return 0; /* validated before */
    return (us + 999999) / 1000000;
}

json_t *sl_native_selector(const SlNative *n)
{
    return json_pack("{s:s, s:s}", SL_LABEL_APPLICATION, n->prepare->app->name, n->label, n->name);
}

json_t *sl_native_object(const SlNative *n, const char *api_version, const char *kind,
                         const char *name, json_t *spec)
{
    json_t *metadata = json_pack("{s:s}", "name", name);
    const char *namespace_ = sl_json_str(n->object, "metadata.namespace");
    const json_t *labels = sl_json_at(n->object, "metadata.labels"),
                 *annotations = sl_json_at(n->object, "metadata.annotations");
    json_t *ours = labels ? json_deep_copy(labels) : json_object();
    g_autoptr(json_t) selector = sl_native_selector(n);
    json_object_update(ours, selector);
    if (*n->instance)
        sl_json_set_str(ours, SL_LABEL_RUN, SL_NATIVE_RUN);
    json_object_set_new(metadata, "labels", ours);
    if (namespace_)
        sl_json_set_str(metadata, "namespace", namespace_);
    json_t *notes = annotations ? json_deep_copy(annotations) : json_object();
    json_object_del(notes,
                    SL_ANNOTATION_RUN_KEY); /* it stands in the job, which is signed with them */
    if (*n->instance) {
        sl_json_set_str(notes, SL_ANNOTATION_RUN_ID, SL_NATIVE_RUN_ID);
        sl_json_set_str(notes, SL_ANNOTATION_ATTEMPT, SL_NATIVE_ATTEMPT);
    }
    if (json_object_size(notes) > 0)
        json_object_set(metadata, "annotations", notes);
    json_decref(notes);
    json_t *object =
        json_pack("{s:s, s:s, s:o}", "apiVersion", api_version, "kind", kind, "metadata", metadata);
    if (spec)
        json_object_set_new(object, "spec", spec);
    return object;
}

/* What the engine puts in place of its words is never a text of a user: each would change the other. */
static void check_texts(SlNative *n, const json_t *value, const char *path)
{
    const char *key = NULL;
    json_t *each = NULL;
    if (json_is_string(value) && strstr(json_string_value(value), SL_NATIVE_PLACEHOLDER))
        sl_native_refuse(n, path, "write it in native.kubernetes.patch only",
                         "`" SL_NATIVE_PLACEHOLDER "` is Sluice's own word");
    json_object_foreach ((json_t *)(uintptr_t)value, key, each) {
        g_autofree char *at = *path ? g_strconcat(path, ".", key, NULL) : g_strdup(key);
        if (strcmp(at, "spec.native") != 0)
            check_texts(n, each, at);
    }
    for (size_t i = 0; json_is_array(value) && i < json_array_size(value); i++) {
        g_autofree char *at = g_strdup_printf("%s.%zu", path, i);
        check_texts(n, json_array_get(value, i), at);
    }
}

static void check(SlNative *n)
{
    const char *as = sl_json_str(n->spec, "native.kubernetes.as");
    if (as && strcmp(as, n->kind) != 0)
        sl_native_refuse(n, "spec.native.kubernetes.as", NULL,
                         "`%.64s` is not supported by this version, only %s", as, n->kind);
    if (!sl_json_str(n->spec, "image"))
        sl_native_refuse(n, "spec.image", "name an image with the program in it",
                         "is missing: on Kubernetes programs run in images");
    if (!g_ascii_isalpha(*n->name))
        sl_native_refuse(n, "metadata.name", "begin it with a letter",
                         "`%s` can't be the name of a Service", n->name);
    check_texts(n, n->object, "");
}

static bool add_object(SlNative *n, SlPrepared *whole, json_t *json /* taken */)
{
    SlPrepared *one = g_new0(SlPrepared, 1);
    one->json = json;
    one->kind = sl_object_kind(json, NULL);
    one->namespace_ = g_strdup(sl_object_namespace(json));
    one->name = g_strdup(sl_object_name(json));
    one->file = g_strdup(whole->file);
    one->line = whole->line;
    one->item = g_strdup(whole->item);
    one->item_key = g_strdup(whole->item_key);
    one->blobs = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(whole->native, one);
    return sl_prepare_text(n->prepare, one, n->source);
}

bool sl_prepare_native(SlPrepare *p, SlPrepared *whole, const SlRenderObject *source)
{
    bool run = whole->ops->is_run;
    SlNative n = {.prepare = p,
                  .source = source,
                  .object = whole->json,
                  .spec = json_object_get(whole->json, "spec"),
                  .name = whole->name,
                  .kind = run ? "Job" : "Deployment",
                  .label = run ? SL_LABEL_JOB : SL_LABEL_SERVER,
                  .instance = run ? "-" SL_NATIVE_RUN : "",
                  .fine = true};
    check(&n);
    g_autoptr(json_t) objects = !n.fine ? NULL : run ? sl_native_job(&n) : sl_native_server(&n);
    if (!n.fine || !objects)
        return false;
    whole->native = g_ptr_array_new_with_free_func((GDestroyNotify)sl_prepared_free);
    if (run) {
        json_t *job = json_deep_copy(whole->json);
        json_object_set(job, SL_NATIVE_MEMBER, objects);
        return add_object(&n, whole, job);
    }
    bool fine = true;
    for (size_t i = 0; fine && i < json_array_size(objects); i++)
        fine = add_object(&n, whole, json_incref(json_array_get(objects, i)));
    return fine;
}
