/* render_object.c - what makes an object acceptable, before anything is signed. */
#include "render/render_object.h"
#include "base/text.h"
#include "core/bundle.h"
#include "sluice/jobkind.h"
#include <string.h>

#define OBJECT_NAME_MAX 253 /* Kubernetes' own limit */

typedef struct {
    const SlRenderObject *object;
    GPtrArray *problems;
    bool fine;
} Check;

static void refuse(Check *check, const char *path, int code, const char *hint, const char *what)
{
    check->fine = false;
    const char *kind = sl_json_str_or(check->object->json, "kind", "object");
    const char *name = sl_json_str_or(check->object->json, "metadata.name", "?");
    sl_problem_add(check->problems, check->object->file, sl_render_object_line(check->object, path), 0, code, false, hint,
                   "%s %s: %s", kind, name, what);
}

char *sl_object_identity(const json_t *object)
{
    g_autofree char *kind = sl_object_kind(object, NULL);
    const char *name = sl_object_name(object);
    return g_strdup_printf("%s %s %s", kind ? kind : "?", sl_object_namespace(object), name ? name : "?");
}

static void check_name(Check *check)
{
    const json_t *json = check->object->json;
    const char *name = sl_json_str(json, "metadata.name");
    bool portable = sl_jobkind_find(json) != NULL;
    if (sl_json_at(json, "metadata.generateName")) {
        refuse(check, "metadata.generateName", SLU_RENDER_OBJECT,
               portable ? "write metadata.name: every run has an id of its own" : "write metadata.name",
               "generateName gives another object at each apply");
        return;
    }
    if (!name) {
        refuse(check, "metadata", SLU_RENDER_OBJECT, "numbers and booleans as names need quotes", "metadata.name is missing or not text");
    } else if (portable && !sl_is_name(name)) {
        refuse(check, "metadata.name", SLU_RENDER_OBJECT, "lower-case letters, digits and -, at most 63", "the name is not allowed");
    } else if (!*name || strlen(name) > OBJECT_NAME_MAX || strpbrk(name, "/ \t\n") ||
               !sl_is_clean_utf8(name, strlen(name), false)) {
        refuse(check, "metadata.name", SLU_RENDER_OBJECT, NULL, "the name is not allowed");
    }
    const json_t *ns = sl_json_at(json, "metadata.namespace");
    if (ns && !(json_is_string(ns) && sl_is_name(json_string_value(ns))))
        refuse(check, "metadata.namespace", SLU_RENDER_OBJECT, "lower-case letters, digits and -", "the namespace is not allowed");
}

static void check_text_map(Check *check, const char *path)
{
    const json_t *map = sl_json_at(check->object->json, path);
    const char *key = NULL;
    json_t *value = NULL;
    if (map && !json_is_object(map)) {
        refuse(check, path, SLU_RENDER_OBJECT, NULL, "labels and annotations are maps of text");
        return;
    }
    json_object_foreach((json_t *)map, key, value) {
        if (json_is_string(value))
            continue;
        g_autofree char *at = g_strconcat(path, ".", key, NULL);
        g_autofree char *what = g_strdup_printf("%s must be text", at);
        refuse(check, at, SLU_RENDER_OBJECT, "put it in quotes", what);
    }
}

static void check_server_fields(Check *check)
{
    static const char *const fields[] = {"metadata.uid",           "metadata.resourceVersion", "metadata.managedFields",
                                         "metadata.generation",    "metadata.creationTimestamp",
                                         "metadata.ownerReferences", "metadata.finalizers",     "status", NULL};
    for (size_t i = 0; fields[i]; i++) {
        const json_t *value = sl_json_at(check->object->json, fields[i]);
        if (!value || json_is_null(value))
            continue;
        g_autofree char *what = g_strdup_printf("%s is written by the cluster", fields[i]);
        refuse(check, fields[i], SLU_RENDER_OBJECT, "leave it out", what);
    }
}

static void check_kind(Check *check)
{
    const json_t *json = check->object->json;
    const char *kind = sl_json_str(json, "kind"), *api = sl_json_str(json, "apiVersion");
    size_t len = strlen(kind);
    if (len >= 4 && g_str_equal(kind + len - 4, "List") && (json_object_get(json, "items") || g_str_equal(kind, "List")))
        refuse(check, "kind", SLU_RENDER_LIST, "write its items as documents of their own, separated by ---",
               "lists of objects are not taken");
    if (g_str_equal(kind, "Secret") && g_str_equal(api, "v1"))
        refuse(check, "kind", SLU_RENDER_SECRET,
               "create the Secret in the cluster (or a file or command at the agent) and refer to it: env: [{name: TOKEN, secret: NAME}]",
               "a plain Secret in Git can be read by everyone who reads the repository");
    bool ours = g_str_has_prefix(api, SL_API_GROUP "/");
    if (ours && !sl_jobkind_find(json)) {
        refuse(check, "kind", SLU_RENDER_OBJECT, "portable objects are TrainingJob and ModelServer; fleet documents belong into sluice.yaml or fleet/",
               "this kind cannot be applied to a cluster");
    } else if (ours && !g_str_equal(api, SL_API_VERSION)) {
        refuse(check, "apiVersion", SLU_RENDER_OBJECT, "write apiVersion: " SL_API_VERSION, "the version of the API is unknown");
    }
}

bool sl_object_check(const SlRenderObject *object, GPtrArray *problems)
{
    Check check = {.object = object, .problems = problems, .fine = true};
    if (!json_is_object(object->json)) {
        refuse(&check, "", SLU_RENDER_OBJECT, NULL, "a document must be a map");
        return false;
    }
    const char *api = sl_json_str(object->json, "apiVersion"), *kind = sl_json_str(object->json, "kind");
    g_autofree char *identity = api && kind && *api && *kind ? sl_object_kind(object->json, NULL) : NULL;
    if (!identity) {
        refuse(&check, api ? "kind" : "apiVersion", SLU_RENDER_OBJECT, "every object names both, as text", "apiVersion and kind are needed");
        return false;
    }
    check_kind(&check);
    if (!check.fine)
        return false;
    check_name(&check);
    check_text_map(&check, "metadata.labels");
    check_text_map(&check, "metadata.annotations");
    check_server_fields(&check);
    return check.fine;
}

void sl_objects_check_unique(const GPtrArray *objects, GPtrArray *problems)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < objects->len; i++) {
        SlRenderObject *object = g_ptr_array_index(objects, i);
        char *identity = sl_object_identity(object->json);
        const SlRenderObject *first = g_hash_table_lookup(seen, identity);
        if (first)
            sl_problem_add(problems, object->file, object->line, object->column, SLU_RENDER_DUPLICATE, false,
                           "rename or remove one of them", "%s is there twice, first in %s:%d", identity, first->file, first->line);
        if (first)
            g_free(identity);
        else
            g_hash_table_insert(seen, identity, object);
    }
}
