/* patch_apply.c - which objects a part's patches meet, and applying them. A patch that meets none is a mistake. */
#include "base/text.h"
#include "core/bundle.h"
#include "render/patch.h"
#include "render/tree_walk.h"
#include <string.h>

typedef struct {
    const char *group, *version, *kind, *name, *namespace_, *selector;
} Target;

typedef struct {
    const SlRenderPart *part;
    GPtrArray *problems;
    const char *file; /* of the patch, or what it is called */
    int line;
} Applying;

static void wrong(const Applying *a, const char *hint, const char *what)
{
    sl_problem_add(a->problems, a->file, a->line, 0, SLU_RENDER_PATCH, false, hint, "%s", what);
}

/* One term of a label selector: key, !key, key=value, key==value, key!=value. */
static bool term_matches(const char *term, const json_t *labels)
{
    const char *not_equal = strstr(term, "!="), *equal = strchr(term, '=');
    g_autofree char *key = g_strndup(term, not_equal ? (gsize)(not_equal - term) : equal ? (gsize)(equal - term) : strlen(term));
    g_strstrip(key);
    bool absent = *key == '!';
    const char *value = json_string_value(json_object_get(labels, key + absent));
    if (!not_equal && !equal)
        return absent ? value == NULL : value != NULL;
    g_autofree char *wanted = g_strdup(not_equal ? not_equal + 2 : equal + 1 + (equal[1] == '='));
    g_strstrip(wanted);
    bool same = value && g_str_equal(value, wanted);
    return not_equal ? !same : same;
}

static bool selector_matches(const char *selector, const json_t *object)
{
    g_auto(GStrv) terms = g_strsplit(selector, ",", -1);
    const json_t *labels = sl_json_at(object, "metadata.labels");
    for (char **term = terms; *term; term++)
        if (!term_matches(g_strstrip(*term), labels))
            return false;
    return true;
}

static bool text_matches(const char *pattern, const char *text)
{
    return !pattern || (text && sl_glob_match(g_str_equal(pattern, ".*") ? "*" : pattern, text));
}

static bool target_matches(const Target *target, const json_t *object)
{
    const char *api = sl_json_str_or(object, "apiVersion", ""), *slash = strchr(api, '/');
    g_autofree char *group = slash ? g_strndup(api, (gsize)(slash - api)) : g_strdup("");
    const char *version = slash ? slash + 1 : api;
    if (target->group && !g_str_equal(target->group, group) && !(g_str_equal(target->group, "core") && !*group))
        return false;
    if (target->version && !g_str_equal(target->version, version))
        return false;
    return text_matches(target->kind, sl_json_str(object, "kind")) && text_matches(target->name, sl_object_name(object)) &&
           text_matches(target->namespace_, sl_object_namespace(object)) &&
           (!target->selector || selector_matches(target->selector, object));
}

static bool same_identity(const json_t *before, const json_t *after)
{
    g_autofree char *old_kind = sl_object_kind(before, NULL), *new_kind = sl_object_kind(after, NULL);
    return g_strcmp0(old_kind, new_kind) == 0 && g_strcmp0(sl_object_name(before), sl_object_name(after)) == 0 &&
           g_str_equal(sl_object_namespace(before), sl_object_namespace(after));
}

/* False if the object is to be taken out. */
static bool apply_to(const Applying *a, SlRenderObject *object, const json_t *patch)
{
    g_autoptr(json_t) patched = json_deep_copy(object->json);
    g_autoptr(GError) error = NULL;
    bool gone = false;
    bool fine = json_is_array(patch) ? sl_patch_6902(patched, patch, &error)
                                     : sl_patch_strategic(patched, patch, &gone, &error);
    if (!fine) {
        g_autofree char *what = g_strdup_printf("%s %s: %s", sl_json_str_or(object->json, "kind", ""),
                                                sl_object_name(object->json), error->message);
        wrong(a, NULL, what);
        return true;
    }
    if (gone)
        return false;
    if (!same_identity(object->json, patched)) {
        wrong(a, "leave kind, name and namespace as they are", "a patch must not change which object it is");
        return true;
    }
    json_decref(object->json);
    object->json = g_steal_pointer(&patched);
    return true;
}

static void apply_to_all(const Applying *a, const Target *target, const json_t *patch, GPtrArray *objects)
{
    guint met = 0;
    for (guint i = 0; i < objects->len;) {
        SlRenderObject *object = g_ptr_array_index(objects, i);
        if (!target_matches(target, object->json)) {
            i++;
            continue;
        }
        met++;
        if (apply_to(a, object, patch))
            i++;
        else
            g_ptr_array_remove_index(objects, i);
    }
    if (met > 0)
        return;
    g_autofree char *what = g_strdup_printf("the patch meets no object: kind %s, name %s", target->kind ? target->kind : "*",
                                            target->name ? target->name : "*");
    wrong(a, "correct the target, or add the object's folder to `paths`", what);
}

/* Without a target a strategic patch names its object itself. */
static bool own_target(const Applying *a, const json_t *patch, Target *ret_target)
{
    ret_target->kind = sl_json_str(patch, "kind");
    ret_target->name = sl_json_str(patch, "metadata.name");
    ret_target->namespace_ = sl_json_str(patch, "metadata.namespace");
    if (ret_target->kind && ret_target->name)
        return true;
    wrong(a, "add target: {kind: ..., name: ...}",
          json_is_array(patch) ? "a list of operations needs a target" : "has no target, and names no kind and metadata.name itself");
    return false;
}

static void apply_body(const Applying *a, const json_t *entry, const json_t *patch, GPtrArray *objects)
{
    if (!json_is_object(patch) && !json_is_array(patch)) {
        wrong(a, NULL, "a patch is a map, or a list of operations");
        return;
    }
    const json_t *given = json_object_get(entry, "target");
    Target target = {.group = sl_json_str(given, "group"),
                     .version = sl_json_str(given, "version"),
                     .kind = sl_json_str(given, "kind"),
                     .name = sl_json_str(given, "name"),
                     .namespace_ = sl_json_str(given, "namespace"),
                     .selector = sl_json_str(given, "labelSelector")};
    if (given && target.name && strpbrk(target.name, "[]()|^$+\\")) {
        wrong(a, "use * and ?", "a target's name is a pattern with * and ?, not a regular expression");
        return;
    }
    if (given || own_target(a, patch, &target))
        apply_to_all(a, &target, patch, objects);
}

static void apply_text(Applying *a, const json_t *entry, GBytes *text, GPtrArray *objects)
{
    g_autoptr(GPtrArray) docs = sl_yaml_read(a->file, text, true, a->problems);
    if (docs->len == 0 && !sl_problems_have_errors(a->problems))
        wrong(a, NULL, "the patch is empty");
    for (guint i = 0; i < docs->len; i++) {
        SlYamlDoc *doc = g_ptr_array_index(docs, i);
        int column = 0;
        sl_yaml_position(doc, "", &a->line, &column);
        if (!sl_yaml_broken(doc))
            apply_body(a, entry, sl_yaml_json(doc), objects);
    }
}

static void apply_entry(const SlRenderPart *part, const json_t *entry, size_t index, GPtrArray *objects, GPtrArray *problems)
{
    const char *path = sl_json_str(entry, "path");
    const json_t *body = json_object_get(entry, "patch");
    g_autofree char *file = path ? sl_path_join(part->root, path) : g_strdup_printf("patch %zu", index + 1);
    Applying a = {.part = part, .problems = problems, .file = file};
    if (json_is_string(body)) {
        const char *text = json_string_value(body);
        g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
        apply_text(&a, entry, bytes, objects);
    } else if (body) {
        apply_body(&a, entry, body, objects);
    } else {
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) bytes = sl_tree_read_file(part->tree, a.file, SL_OBJECT_MAX, &error);
        if (bytes)
            apply_text(&a, entry, bytes, objects);
        else
            sl_problem_add(problems, a.file, 0, 0, error->code == SLU_NOT_FOUND ? SLU_RENDER_PATH : error->code, false,
                           "patches are relative to the source's path", "the patch cannot be read: %s", error->message);
    }
}

void sl_patches_apply(const SlRenderPart *part, GPtrArray *objects, GPtrArray *problems)
{
    for (size_t i = 0; i < json_array_size(part->patches); i++)
        apply_entry(part, json_array_get(part->patches, i), i, objects, problems);
}
