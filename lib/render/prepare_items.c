/* prepare_items.c - items in objects: model://<item> becomes model://sha256:<digest>, images are pinned, and an object that names
 * an item without a value waits. */
#include "base/text.h"
#include "render/prepare.h"
#include <string.h>

static const char MODEL[] = "model://";
static const char DIGEST[] = "sha256:";

typedef struct {
    SlPrepare *p;
    SlPrepared *prepared;
    const SlRenderObject *source;
    bool fine;
} Pinner;

static const SlItemValue *value_of(const Pinner *pin, const char *name)
{
    for (guint i = 0; pin->p->items && i < pin->p->items->len; i++) {
        const SlItemValue *value = g_ptr_array_index(pin->p->items, i);
        if (g_str_equal(value->name, name))
            return value;
    }
    return NULL;
}

static const SlItemDoc *declared(const Pinner *pin, const char *name)
{
    for (guint i = 0; i < pin->p->app->items->len; i++) {
        const SlItemDoc *item = g_ptr_array_index(pin->p->app->items, i);
        if (g_str_equal(item->name, name))
            return item;
    }
    return NULL;
}

static void unknown_item(Pinner *pin, const char *name)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (guint i = 0; i < pin->p->app->items->len; i++)
        g_ptr_array_add(names, ((SlItemDoc *)g_ptr_array_index(pin->p->app->items, i))->name);
    g_ptr_array_add(names, NULL);
    const char *near = sl_nearest(name, (const char *const *)names->pdata);
    g_autofree char *hint = near ? g_strdup_printf("did you mean `%s`?", near)
                                 : g_strdup_printf("declare it in spec.items of application %s", pin->p->app->name);
    sl_problem_add(pin->p->problems, pin->source->file, pin->source->line, 0, SLU_RENDER_ITEM, false, hint,
                   "%s %s: there is no item `%s`", sl_json_str_or(pin->source->json, "kind", ""), pin->prepared->name, name);
    pin->fine = false;
}

/* Text to write instead of model://@name, or NULL: the object waits, or there is no such item. */
static char *pinned_model(Pinner *pin, const char *name)
{
    const SlItemDoc *item = declared(pin, name);
    const SlItemValue *value = value_of(pin, name);
    if (!item) {
        unknown_item(pin, name);
        return NULL;
    }
    const char *digest = value && value->digest ? value->digest : item->digest;
    if (digest)
        return g_strconcat(MODEL, DIGEST, digest, NULL);
    if (!pin->prepared->item) {
        pin->prepared->item = g_strdup(name);
        pin->prepared->item_key = g_strdup(value ? value->run_key : NULL);
    }
    return NULL;
}

/* registry/name or registry/name:tag of an item of kind image -> registry/name@sha256:... */
static char *pinned_image(const Pinner *pin, const char *image)
{
    const char *slash = strrchr(image, '/'), *tag = strchr(slash ? slash : image, ':');
    if (strchr(image, '@'))
        return NULL;
    g_autofree char *name = tag ? g_strndup(image, (gsize)(tag - image)) : g_strdup(image);
    for (guint i = 0; i < pin->p->app->items->len; i++) {
        const SlItemDoc *item = g_ptr_array_index(pin->p->app->items, i);
        const SlItemValue *value = value_of(pin, item->name);
        const char *digest = value && value->digest ? value->digest : item->digest;
        if (item->image && digest && g_str_equal(item->image, name))
            return g_strconcat(name, "@", DIGEST, digest, NULL);
    }
    return NULL;
}

static char *pinned_text(Pinner *pin, const char *key, const char *text)
{
    if (g_str_has_prefix(text, MODEL)) {
        const char *rest = text + sizeof MODEL - 1;
        return g_str_has_prefix(rest, DIGEST) ? NULL : pinned_model(pin, rest);
    }
    return key && g_str_equal(key, "image") ? pinned_image(pin, text) : NULL;
}

static void pin_tree(Pinner *pin, json_t *tree)
{
    const char *key = NULL;
    json_t *value = NULL;
    void *safe = NULL;
    json_object_foreach_safe(tree, safe, key, value) {
        g_autofree char *text = json_is_string(value) ? pinned_text(pin, key, json_string_value(value)) : NULL;
        if (text)
            json_object_set_new(tree, key, json_string(text));
        else
            pin_tree(pin, value);
    }
    for (size_t i = 0; i < json_array_size(tree); i++) {
        value = json_array_get(tree, i);
        g_autofree char *text = json_is_string(value) ? pinned_text(pin, NULL, json_string_value(value)) : NULL;
        if (text)
            json_array_set_new(tree, i, json_string(text));
        else
            pin_tree(pin, value);
    }
}

/* Portable kinds may name an item without model:// in front; one way of writing goes into the bundle. */
static void spell_out(json_t *holder)
{
    const char *text = sl_json_str(holder, "model");
    if (!text || g_str_has_prefix(text, MODEL))
        return;
    g_autofree char *full = g_strconcat(MODEL, text, NULL);
    json_object_set_new(holder, "model", json_string(full));
}

bool sl_prepare_items(SlPrepare *p, SlPrepared *prepared, const SlRenderObject *source)
{
    Pinner pin = {.p = p, .prepared = prepared, .source = source, .fine = true};
    if (prepared->ops) {
        json_t *spec = json_object_get(prepared->json, "spec"), *inputs = json_object_get(spec, "inputs");
        spell_out(spec);
        for (size_t i = 0; i < json_array_size(inputs); i++)
            spell_out(json_array_get(inputs, i));
    }
    pin_tree(&pin, prepared->json);
    return pin.fine;
}
