/* prepare.c - from a checked object to the exact bytes that are signed. Nothing here depends on commit, release, promotion
 * or the order of parts: equal inputs give equal bytes. */
#include "render/prepare.h"
#include "base/digest.h"
#include "core/run.h"
#include "render/render_object.h"
#include "render/tree_walk.h"
#include <string.h>

void sl_prepared_free(SlPrepared *prepared)
{
    if (!prepared)
        return;
    json_decref(prepared->json);
    g_free(prepared->kind);
    g_free(prepared->namespace_);
    g_free(prepared->name);
    g_free(prepared->file);
    g_free(prepared->text);
    g_free(prepared->digest);
    g_free(prepared->item);
    g_free(prepared->item_key);
    g_free(prepared->run_key);
    if (prepared->blobs)
        g_ptr_array_unref(prepared->blobs);
    if (prepared->native)
        g_ptr_array_unref(prepared->native);
    g_free(prepared);
}

static void add_problem(SlPrepare *p, const SlRenderObject *object, const char *path, int code, const char *what)
{
    sl_problem_add(p->problems, object->file, sl_render_object_line(object, path), 0, code, false, NULL, "%s %s: %s",
                   sl_json_str_or(object->json, "kind", ""), sl_json_str_or(object->json, "metadata.name", ""), what);
}

/* Messages of a kind are "spec.image: is missing"; the path finds the line. */
static bool validate_portable(SlPrepare *p, const SlPrepared *prepared, const SlRenderObject *object)
{
    g_autoptr(GPtrArray) messages = g_ptr_array_new_with_free_func(g_free);
    prepared->ops->validate(prepared->json, messages);
    for (guint i = 0; i < messages->len; i++) {
        const char *message = g_ptr_array_index(messages, i);
        g_autofree char *path = g_strndup(message, strcspn(message, ": "));
        add_problem(p, object, path, SLU_RENDER_JOB, message);
    }
    return messages->len == 0;
}

bool sl_prepare_text(SlPrepare *p, SlPrepared *prepared, const SlRenderObject *object)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = sl_json_canonical(prepared->json, &error);
    if (!text) {
        add_problem(p, object, "", error->code, error->message);
        return false;
    }
    size_t len = strlen(text);
    if (len > SL_OBJECT_MAX) {
        g_autofree char *what = g_strdup_printf("%zu bytes are more than the %d that an object may have", len, SL_OBJECT_MAX);
        add_problem(p, object, "", SLU_RENDER_LIMIT, what);
        return false;
    }
    if (prepared->item)
        return true; /* withheld: its bytes are not final */
    prepared->digest = sl_sha256_hex(text, len);
    prepared->text = g_steal_pointer(&text);
    g_hash_table_insert(p->blobs, g_strdup(prepared->digest), g_bytes_new(prepared->text, len));
    return true;
}

static bool finish(SlPrepare *p, SlPrepared *prepared, const SlRenderObject *object)
{
    if (prepared->ops && prepared->ops->is_run && !prepared->item) {
        json_t *metadata = json_object_get(prepared->json, "metadata");
        prepared->run_key = sl_run_key(prepared->json);
        if (!json_is_object(json_object_get(metadata, "annotations")))
            json_object_set_new(metadata, "annotations", json_object());
        sl_json_set_str(json_object_get(metadata, "annotations"), SL_ANNOTATION_RUN_KEY, prepared->run_key);
    }
    return sl_prepare_text(p, prepared, object) && (!p->native || !prepared->ops || sl_prepare_native(p, prepared, object));
}

SlPrepared *sl_prepare_object(SlPrepare *p, const SlRenderObject *object)
{
    SlPrepared *prepared = g_new0(SlPrepared, 1);
    prepared->json = json_deep_copy(object->json);
    prepared->ops = sl_jobkind_find(prepared->json);
    prepared->kind = sl_object_kind(prepared->json, NULL);
    prepared->namespace_ = g_strdup(sl_object_namespace(prepared->json));
    prepared->name = g_strdup(sl_object_name(prepared->json));
    prepared->file = g_strdup(object->file);
    prepared->line = object->line;
    prepared->blobs = g_ptr_array_new_with_free_func(g_free);
    bool fine = prepared->kind && prepared->name;
    if (fine && prepared->ops) {
        fine = validate_portable(p, prepared, object);
        if (fine)
            prepared->ops->defaults(prepared->json);
        fine = fine && sl_prepare_files(p, prepared->json, object, prepared->blobs);
    }
    fine = fine && sl_prepare_items(p, prepared, object) && finish(p, prepared, object);
    if (fine)
        return prepared;
    sl_prepared_free(prepared);
    return NULL;
}

GPtrArray *sl_prepare_part(SlPrepare *p, const SlPart *part, const char *env)
{
    SlRenderPart ask = {.tree = p->tree, .root = p->app->path, .paths = (const char *const *)part->paths,
                        .patches = part->patches, .namespace_ = p->app->namespace_};
    const SlRendererOps *renderer = sl_renderer_find(&ask);
    g_autoptr(GPtrArray) objects = renderer ? renderer->render(&ask, p->problems) : NULL;
    if (!objects)
        return NULL;
    g_autoptr(GPtrArray) prepared = g_ptr_array_new_with_free_func((GDestroyNotify)sl_prepared_free);
    for (guint i = 0; i < objects->len; i++) {
        SlPrepared *one = sl_prepare_object(p, g_ptr_array_index(objects, i));
        if (one)
            g_ptr_array_add(prepared, one);
    }
    if (objects->len == 0) {
        g_autofree char *paths = g_strjoinv(", ", part->paths);
        sl_problem_add(p->problems, p->app->path, 0, 0, SLU_RENDER_EMPTY, false,
                       "correct the paths; to take an application away, use `sluice remove`",
                       "application %s has no object for environment %s in %s; nothing is changed or pruned", p->app->name, env,
                       paths);
        return NULL;
    }
    return prepared->len == objects->len ? g_steal_pointer(&prepared) : NULL;
}
