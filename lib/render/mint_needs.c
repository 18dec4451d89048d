/* mint_needs.c - which items the objects of each environment name: so that a release whose item is
 * still pending may go where nobody needs it. As written, before anything is pinned. What cannot be
 * rendered here is left out: then every item counts as needed there. */
#include "render/prepare.h"
#include <string.h>

static bool mentions(const json_t *json, const char *uri)
{
    const char *key = NULL;
    json_t *value = NULL;
    if (json_is_string(json))
        return strcmp(json_string_value(json), uri) == 0;
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
    {
        if (mentions(value, uri))
            return true;
    }
    for (size_t i = 0; i < json_array_size(json); i++) {
        if (mentions(json_array_get(json, i), uri))
            return true;
    }
    return false;
}

static bool uses(const GPtrArray *objects, const char *item)
{
    g_autofree char *uri = g_strconcat("model://", item, NULL);
    for (guint i = 0; i < objects->len; i++) {
        const SlRenderObject *object = g_ptr_array_index(objects, i);
        const SlJobKindOps *kind = sl_jobkind_find(object->json);
        g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(g_free);
        if (kind)
            kind->items(object->json, items);
        for (guint k = 0; k < items->len; k++) {
            if (strcmp(g_ptr_array_index(items, k), item) == 0)
                return true;
        }
        if (mentions(object->json, uri))
            return true;
    }
    return false;
}

/* Adds the items that @part names to @list; false if it cannot be rendered. */
static bool add_part(json_t *list, const SlApplicationDoc *app, const SlTree *tree,
                     const SlPart *part)
{
    g_autoptr(GPtrArray) ignored =
        g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
    SlRenderPart ask = {.tree = tree,
                        .root = app->path,
                        .paths = (const char *const *)part->paths,
                        .patches = part->patches,
                        .namespace_ = app->namespace_};
    const SlRendererOps *renderer = sl_renderer_find(&ask);
    g_autoptr(GPtrArray) objects = renderer ? renderer->render(&ask, ignored) : NULL;
    for (guint i = 0; objects && i < app->items->len; i++) {
        const SlItemDoc *item = g_ptr_array_index(app->items, i);
        if (item->job && uses(objects, item->name))
            json_array_append_new(list, json_string(item->name));
    }
    return objects != NULL;
}

json_t *sl_offer_needs(const SlApplicationDoc *app, const SlTree *tree)
{
    json_t *needs = json_object();
    bool any = false;
    for (guint i = 0; i < app->items->len; i++)
        any |= ((SlItemDoc *)g_ptr_array_index(app->items, i))->job != NULL;
    for (guint i = 0; any && i < app->environments->len; i++) {
        const SlAppEnv *env = g_ptr_array_index(app->environments, i);
        g_autoptr(json_t) list = json_array();
        bool whole = true;
        for (guint k = 0; whole && k < env->parts->len; k++)
            whole = add_part(list, app, tree, g_ptr_array_index(env->parts, k));
        if (whole)
            json_object_set(needs, env->env, list);
    }
    return needs;
}
