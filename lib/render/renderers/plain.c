/* plain.c - renderer `plain`: the YAML and JSON files below a part's paths, checked, patched, each object once.
 *
 * Files are read in byte order of their path. Nothing outside the part's paths and patches is read; nothing is
 * guessed: what kubectl and other tools would read differently is an error with its line. */
#include "base/text.h"
#include "core/bundle.h"
#include "render/patch.h"
#include "render/render_object.h"
#include "render/tree_walk.h"
#include "render/yaml.h"
#include "sluice/jobkind.h"
#include "sluice/renderer.h"
#include <string.h>

#define OBJECTS_MAX SL_BUNDLE_OBJECTS_MAX

/* A YAML file without any object: fine among files that travel with a job, a mistake elsewhere. */
typedef struct {
    char *file;
    GPtrArray *problems;
} Odd;

typedef struct {
    const SlRenderPart *part;
    GPtrArray *problems;
    GPtrArray *objects; /* of SlRenderObject* */
    GPtrArray *odd;     /* of Odd* */
    bool full;
} Reader;

static void odd_free(void *data)
{
    Odd *odd = data;
    g_free(odd->file);
    g_ptr_array_unref(odd->problems);
    g_free(odd);
}

static bool has_suffix(const char *path)
{
    return g_str_has_suffix(path, ".yaml") || g_str_has_suffix(path, ".yml") || g_str_has_suffix(path, ".json");
}

static bool is_patch_file(const SlRenderPart *part, const char *path)
{
    for (size_t i = 0; i < json_array_size(part->patches); i++) {
        const char *name = sl_json_str(json_array_get(part->patches, i), "path");
        g_autofree char *full = name ? sl_path_join(part->root, name) : NULL;
        if (full && g_str_equal(full, path))
            return true;
    }
    return false;
}

static GPtrArray *list_files(const SlRenderPart *part, GPtrArray *problems)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    for (const char *const *path = part->paths; *path; path++) {
        g_autofree char *full = sl_path_join(part->root, *path);
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) files = sl_tree_files(part->tree, full, &error);
        if (!files) {
            bool missing = error->code == SLU_NOT_FOUND;
            sl_problem_add(problems, full, 0, 0, missing ? SLU_RENDER_PATH : error->code, false,
                           missing ? "paths are relative to the source's path" : NULL, "%s", error->message);
            continue;
        }
        for (guint i = 0; i < files->len; i++) {
            const SlTreeFile *file = g_ptr_array_index(files, i);
            if (has_suffix(file->path) && !is_patch_file(part, file->path) && g_hash_table_add(seen, g_strdup(file->path)))
                g_ptr_array_add(names, g_strdup(file->path));
        }
    }
    g_ptr_array_sort(names, sl_text_compare);
    return names;
}

static void lines_free(void *lines)
{
    sl_yaml_doc_free(lines);
}

static void add_object(Reader *r, const char *file, SlYamlDoc *doc /* taken */)
{
    SlRenderObject *object = g_new0(SlRenderObject, 1);
    object->json = json_deep_copy(sl_yaml_json(doc));
    object->file = g_strdup(file);
    sl_yaml_position(doc, "", &object->line, &object->column);
    object->lines = doc;
    object->lines_free = lines_free;
    bool full = r->objects->len >= OBJECTS_MAX;
    if (full && !r->full)
        sl_problem_add(r->problems, file, 0, 0, SLU_RENDER_LIMIT, false, NULL, "more than %d objects in one part", OBJECTS_MAX);
    r->full |= full;
    if (!full && sl_object_check(object, r->problems) && !sl_yaml_broken(doc))
        g_ptr_array_add(r->objects, object);
    else
        sl_render_object_free(object);
}

static bool is_object(const json_t *json)
{
    return json_is_object(json) && (json_object_get(json, "apiVersion") || json_object_get(json, "kind"));
}

/* Fleet documents may lie beside the objects of an application at the top of a small repository. */
static bool is_fleet_document(const char *file, const json_t *json)
{
    bool ours = g_str_equal(file, "sluice.yaml") || g_str_has_prefix(file, "fleet/");
    return ours && g_strcmp0(sl_json_str(json, "apiVersion"), SL_API_VERSION) == 0 && !sl_jobkind_find(json);
}

/* sl_json_parse() puts the place in front of its words; a problem has fields for it. */
static void json_problem(const char *file, const GError *error, GPtrArray *problems)
{
    const char *text = error->message;
    uint64_t at[2] = {0, 0};
    if (g_str_has_prefix(text, file) && text[strlen(file)] == ':') {
        g_auto(GStrv) parts = g_strsplit(text + strlen(file) + 1, ":", 3);
        if (g_strv_length(parts) == 3 && sl_parse_uint64(parts[0], &at[0]) && sl_parse_uint64(parts[1], &at[1]) && at[0] < INT_MAX &&
            at[1] < INT_MAX) {
            sl_problem_add(problems, file, (int)at[0], (int)at[1], error->code, false, "correct the JSON here", "not valid JSON: %s", g_strchug(parts[2]));
            return;
        }
    }
    sl_problem_add(problems, file, 0, 0, error->code, false, NULL, "%s", text);
}

static bool check_json_file(const char *file, GBytes *bytes, GPtrArray *problems)
{
    size_t len = 0;
    const char *data = g_bytes_get_data(bytes, &len);
    const SlJsonLimits limits = {.bytes_max = 8 * 1024 * 1024, .depth_max = 64, .nodes_max = 200000};
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) json = sl_json_parse(data ? data : "", len, &limits, file, &error);
    if (!json)
        json_problem(file, error, problems);
    return json != NULL;
}

static void read_file(Reader *r, const char *file)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) bytes = sl_tree_read_file(r->part->tree, file, 8 * 1024 * 1024, &error);
    if (!bytes) {
        sl_problem_add(r->problems, file, 0, 0, error->code, false, NULL, "%s", error->message);
        return;
    }
    g_autoptr(GPtrArray) mine = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
    g_autoptr(GPtrArray) docs = NULL;
    if (!g_str_has_suffix(file, ".json") || check_json_file(file, bytes, mine))
        docs = sl_yaml_read(file, bytes, true, mine);
    bool any = false;
    for (guint i = 0; docs && i < docs->len; i++)
        any |= is_object(sl_yaml_json(g_ptr_array_index(docs, i)));
    if (!any) {
        if (docs && docs->len > 0 && !sl_problems_have_errors(mine))
            sl_problem_add(mine, file, 1, 0, SLU_RENDER_OBJECT, false, "move files that are no objects out of the part's paths",
                           "holds no object with apiVersion and kind");
        Odd *odd = g_new0(Odd, 1);
        odd->file = g_strdup(file);
        odd->problems = g_steal_pointer(&mine);
        g_ptr_array_add(r->odd, odd);
        return;
    }
    sl_problems_move(r->problems, mine);
    for (guint i = 0; i < docs->len; i++)
        if (!is_fleet_document(file, sl_yaml_json(g_ptr_array_index(docs, i))))
            add_object(r, file, g_steal_pointer(&docs->pdata[i]));
}

/* Does @file travel with a job as one of its `files`? */
static bool travels(const Reader *r, const char *file)
{
    for (guint i = 0; i < r->objects->len; i++) {
        const SlRenderObject *object = g_ptr_array_index(r->objects, i);
        const char *from = sl_json_str(object->json, "spec.files.from");
        g_autofree char *full = from ? sl_path_join(r->part->root, from) : NULL;
        if (full && sl_path_below(file, full))
            return true;
    }
    return false;
}

static bool cluster_scoped(const json_t *object)
{
    static const char *const kinds[] = {
        "APIService", "CSIDriver", "CSINode", "CertificateSigningRequest", "ClusterIssuer", "ClusterPolicy", "ClusterQueue",
        "ClusterRole", "ClusterRoleBinding", "Cohort", "CustomResourceDefinition", "DeviceClass", "FlowSchema", "GatewayClass",
        "IngressClass", "MutatingWebhookConfiguration", "Namespace", "Node", "PersistentVolume", "PriorityClass",
        "PriorityLevelConfiguration", "ResourceFlavor", "RuntimeClass", "StorageClass", "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration", "VolumeAttachment", "VolumeSnapshotClass",
        "WorkloadPriorityClass", NULL};
    return g_strv_contains(kinds, sl_json_str_or(object, "kind", ""));
}

static void fill_namespace(const SlRenderPart *part, GPtrArray *objects)
{
    for (guint i = 0; part->namespace_ && i < objects->len; i++) {
        const SlRenderObject *object = g_ptr_array_index(objects, i);
        json_t *metadata = json_object_get(object->json, "metadata");
        if (metadata && !json_object_get(metadata, "namespace") && !cluster_scoped(object->json))
            sl_json_set_str(metadata, "namespace", part->namespace_);
    }
}

static bool plain_detect(const SlRenderPart *part)
{
    (void)part; /* the renderer of last resort: it says what it cannot find */
    return true;
}

static GPtrArray *plain_render(const SlRenderPart *part, GPtrArray *problems)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
    g_autoptr(GPtrArray) objects = g_ptr_array_new_with_free_func((GDestroyNotify)sl_render_object_free);
    g_autoptr(GPtrArray) odd = g_ptr_array_new_with_free_func(odd_free);
    Reader r = {.part = part, .problems = found, .objects = objects, .odd = odd};
    g_autoptr(GPtrArray) files = list_files(part, found);
    for (guint i = 0; i < files->len; i++)
        read_file(&r, g_ptr_array_index(files, i));
    for (guint i = 0; i < odd->len; i++) {
        Odd *entry = g_ptr_array_index(odd, i);
        if (!travels(&r, entry->file))
            sl_problems_move(found, entry->problems);
    }
    fill_namespace(part, objects);
    if (!sl_problems_have_errors(found)) {
        sl_patches_apply(part, objects, found);
        sl_objects_check_unique(objects, found);
    }
    bool fine = !sl_problems_have_errors(found);
    sl_problems_move(problems, found);
    return fine ? g_steal_pointer(&objects) : NULL;
}

const SlRendererOps sl_renderer_plain = {.name = "plain", .detect = plain_detect, .render = plain_render};
