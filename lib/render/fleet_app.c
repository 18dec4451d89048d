/* fleet_app.c - Application documents: defaults, parts, items, and the names they refer to. */
#include "base/text.h"
#include "render/fleet_build.h"
#include <string.h>

static void part_free(void *data)
{
    SlPart *part = data;
    g_strfreev(part->paths);
    g_hash_table_unref(part->match_labels);
    json_decref(part->patches);
    g_free(part);
}

static void app_env_free(void *data)
{
    SlAppEnv *env = data;
    g_free(env->env);
    g_ptr_array_unref(env->parts);
    g_ptr_array_unref(env->gates);
    g_free(env);
}

static void item_free(void *data)
{
    SlItemDoc *item = data;
    g_free(item->name);
    g_free(item->kind);
    g_free(item->image);
    g_free(item->job);
    g_free(item->output);
    g_free(item->digest);
    g_free(item->origin);
    g_free(item);
}

void sl_application_doc_free(SlApplicationDoc *app)
{
    if (!app)
        return;
    g_free(app->name);
    json_decref(app->doc);
    g_free(app->digest);
    g_free(app->repository);
    g_free(app->revision);
    g_free(app->path);
    g_free(app->namespace_);
    g_ptr_array_unref(app->items);
    g_ptr_array_unref(app->environments);
    g_free(app);
}

static SlPart *build_part(const json_t *json)
{
    SlPart *part = g_new0(SlPart, 1);
    const json_t *paths = json_object_get(json, "paths");
    part->paths = g_new0(char *, json_array_size(paths) + 1);
    for (size_t i = 0; i < json_array_size(paths); i++)
        part->paths[i] = g_strdup(json_string_value(json_array_get(paths, i)));
    part->match_labels = sl_labels_build(json_object_get(json, "clusters"));
    json_t *patches = json_object_get(json, "patches");
    part->patches = json_array_size(patches) > 0 ? json_incref(patches) : NULL;
    return part;
}

static SlAppEnv *build_env(const SlApplicationDoc *app, const char *name, const json_t *json)
{
    SlAppEnv *env = g_new0(SlAppEnv, 1);
    env->env = g_strdup(name);
    env->parts = g_ptr_array_new_with_free_func(part_free);
    const json_t *parts = json_object_get(json, "parts");
    for (size_t i = 0; i < json_array_size(parts); i++)
        g_ptr_array_add(env->parts, build_part(json_array_get(parts, i)));
    g_autofree char *where = g_strdup_printf("application %s in %s", app->name, name);
    env->gates = sl_gates_build(json_object_get(json, "gates"), where);
    return env;
}

static SlItemDoc *build_item(const json_t *json)
{
    SlItemDoc *item = g_new0(SlItemDoc, 1);
    const json_t *from = json_object_get(json, "from");
    const char *digest = sl_json_str(from, "digest");
    item->name = g_strdup(sl_json_str(json, "name"));
    item->kind = g_strdup(sl_json_str_or(json, "kind", "model"));
    item->image = g_strdup(sl_json_str(from, "image"));
    item->job = g_strdup(sl_json_str(from, "job"));
    item->output = g_strdup(sl_json_str(from, "output"));
    item->origin = g_strdup(sl_json_str(from, "environment"));
    item->digest = digest ? g_strdup(digest + strlen("sha256:")) : NULL;
    return item;
}

static void fill_defaults(json_t *spec)
{
    if (!json_object_get(spec, "source"))
        json_object_set_new(spec, "source", json_object());
    json_t *source = json_object_get(spec, "source");
    if (!json_object_get(source, "path"))
        sl_json_set_str(source, "path", ".");
    json_t *items = json_object_get(spec, "items");
    for (size_t i = 0; i < json_array_size(items); i++) {
        json_t *item = json_array_get(items, i);
        if (!json_object_get(item, "kind"))
            sl_json_set_str(item, "kind", "model");
    }
}

static SlApplicationDoc *empty_app(const SlFleetSource *source)
{
    SlApplicationDoc *app = g_new0(SlApplicationDoc, 1);
    app->name = g_strdup(source->name);
    app->doc = json_incref(source->json);
    app->digest = sl_json_digest(source->json);
    app->path = g_strdup("");
    app->items = g_ptr_array_new_with_free_func(item_free);
    app->environments = g_ptr_array_new_with_free_func(app_env_free);
    app->broken = source->broken;
    return app;
}

SlApplicationDoc *sl_application_build(SlFleetSource *source)
{
    if (source->broken)
        return empty_app(source);
    json_t *spec = json_object_get(source->json, "spec");
    fill_defaults(spec);
    SlApplicationDoc *app = empty_app(source);
    const char *path = sl_json_str_or(spec, "source.path", ".");
    g_free(app->path);
    app->path = g_strdup(g_str_equal(path, ".") ? "" : path);
    app->repository = g_strdup(sl_json_str(spec, "source.repository"));
    app->revision = g_strdup(sl_json_str(spec, "source.revision"));
    app->namespace_ = g_strdup(sl_json_str(spec, "namespace"));
    const json_t *items = json_object_get(spec, "items");
    for (size_t i = 0; i < json_array_size(items); i++)
        g_ptr_array_add(app->items, build_item(json_array_get(items, i)));
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(json_object_get(spec, "environments"), name, value)
        g_ptr_array_add(app->environments, build_env(app, name, value));
    return app;
}

void sl_gates_link(SlDocCheck *check, const GPtrArray *gates, const char *path, const SlFleetDocs *docs)
{
    for (guint i = 0; i < gates->len; i++) {
        const SlGateDoc *gate = g_ptr_array_index(gates, i);
        const char *in = sl_json_str(gate->config, "in");
        if (!in || sl_fleet_env(docs, in))
            continue;
        g_autofree char *at = g_strdup_printf("%s.%u.%s.in", path, i, gate->type);
        g_autofree char *hint = sl_environment_hint(docs, in);
        sl_doc_error(check, at, SLU_FLEET_REFERENCE, hint, "there is no environment `%s`", in);
    }
}

static void link_environments(SlDocCheck *check, const SlApplicationDoc *app, const SlFleetDocs *docs)
{
    for (guint i = 0; i < app->environments->len; i++) {
        const SlAppEnv *env = g_ptr_array_index(app->environments, i);
        g_autofree char *at = g_strdup_printf("spec.environments.%s", env->env);
        g_autofree char *gates = g_strconcat(at, ".gates", NULL);
        g_autofree char *hint = sl_environment_hint(docs, env->env);
        if (!sl_fleet_env(docs, env->env))
            sl_doc_error(check, at, SLU_FLEET_REFERENCE, hint, "there is no environment `%s`", env->env);
        sl_gates_link(check, env->gates, gates, docs);
    }
}

static void link_items(SlDocCheck *check, const SlApplicationDoc *app, const SlFleetDocs *docs)
{
    for (guint i = 0; i < app->items->len; i++) {
        const SlItemDoc *item = g_ptr_array_index(app->items, i);
        g_autofree char *at = g_strdup_printf("spec.items.%u", i);
        g_autofree char *origin = g_strconcat(at, ".from.environment", NULL);
        for (guint k = 0; k < i; k++)
            if (g_str_equal(((SlItemDoc *)g_ptr_array_index(app->items, k))->name, item->name))
                sl_doc_error(check, at, SLU_FLEET_DUPLICATE, NULL, "item `%s` is there twice", item->name);
        if (item->origin && !sl_fleet_env(docs, item->origin)) {
            g_autofree char *hint = sl_environment_hint(docs, item->origin);
            sl_doc_error(check, origin, SLU_FLEET_REFERENCE, hint, "there is no environment `%s`", item->origin);
        } else if (item->origin && !sl_app_env(app, item->origin)) {
            sl_doc_error(check, origin, SLU_FLEET_REFERENCE, "add its parts to this application's environments",
                         "this application has nothing in environment `%s`", item->origin);
        }
    }
}

void sl_application_link(SlFleetSource *source, SlApplicationDoc *app, const SlFleetDocs *docs, GPtrArray *problems)
{
    SlDocCheck check = sl_fleet_source_check(source, problems);
    bool known = app->repository == NULL;
    for (guint i = 0; i < docs->repositories->len; i++)
        known |= g_strcmp0(((SlRepositoryDoc *)g_ptr_array_index(docs->repositories, i))->name, app->repository) == 0;
    if (!known)
        sl_doc_error(&check, "spec.source.repository", SLU_FLEET_REFERENCE, "add a Repository document with this name",
                     "there is no Repository `%s`", app->repository);
    if (app->environments->len == 0)
        sl_doc_error(&check, "spec.environments", SLU_FLEET_VALUE, "write environments: {dev: {parts: [{paths: [FOLDER]}]}}",
                     "no environment is named");
    link_environments(&check, app, docs);
    link_items(&check, app, docs);
    source->broken |= check.broken;
    app->broken = source->broken;
}
