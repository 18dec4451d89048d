/* object.c - who an object is and when it is applied, read from its JSON (declared in bundle.h). */
#include "base/text.h"
#include "core/bundle.h"
#include <string.h>

/* Argo CD's word for the same thing, so that people can move. */
#define ARGO_SYNC_WAVE "argocd.argoproj.io/sync-wave"
#define WAVE_MAX 1000000

char *sl_object_kind(const json_t *object, GError **error)
{
    const char *version = sl_json_need_str(object, "apiVersion", error);
    const char *kind = version != NULL ? sl_json_need_str(object, "kind", error) : NULL;
    if (kind == NULL) {
        return NULL;
    }
    const char *slash = strchr(version, '/');
    if (version[0] == '\0' || kind[0] == '\0' || slash == version) {
        return sl_throw_null(error, SLU_JSON_TYPE, "apiVersion and kind must not be empty");
    }
    return slash == NULL ? g_strdup_printf("core/%s", kind)
                         : g_strdup_printf("%.*s/%s", (int)(slash - version), version, kind);
}

const char *sl_object_name(const json_t *object)
{
    return sl_json_str(object, "metadata.name");
}

const char *sl_object_namespace(const json_t *object)
{
    const char *ns = sl_json_str(object, "metadata.namespace");
    return ns != NULL && ns[0] != '\0' ? ns : "-";
}

const char *sl_object_annotation(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(sl_json_at(object, "metadata.annotations"), key));
}

int sl_object_wave(const json_t *object)
{
    const char *text = sl_object_annotation(object, SL_ANNOTATION_WAVE);
    int64_t wave = 0;
    if (text == NULL) {
        text = sl_object_annotation(object, ARGO_SYNC_WAVE);
    }
    if (text == NULL || !sl_parse_int64(text, &wave)) {
        return 0;
    }
    return (int)CLAMP(wave, -WAVE_MAX, WAVE_MAX);
}
