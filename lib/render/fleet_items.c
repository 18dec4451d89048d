/* fleet_items.c - where an item `from: {job, output}` comes from: the first environment whose parts contain the job.
 *
 * The origin becomes part of the document (from.environment), so that the ledger and the brain need no tree to know
 * it. An environment upstream of the origin must not use the item: it could never get it. */
#include "base/text.h"
#include "render/fleet_build.h"
#include "sluice/jobkind.h"
#include "sluice/renderer.h"
#include <string.h>

typedef struct {
    const SlFleetDocs *docs;
    const SlApplicationDoc *app;
    const SlTree *tree;
    GHashTable *rendered; /* env -> GPtrArray of SlRenderObject*, or an empty one after problems */
    GPtrArray *problems;  /* of rendering, each environment once */
} Looker;

/* Objects of all parts of @env, as written (not expanded). */
static const GPtrArray *objects_of(Looker *l, const SlAppEnv *env)
{
    const GPtrArray *known = g_hash_table_lookup(l->rendered, env->env);
    if (known)
        return known;
    GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify)sl_render_object_free);
    for (guint i = 0; i < env->parts->len; i++) {
        const SlPart *part = g_ptr_array_index(env->parts, i);
        SlRenderPart ask = {.tree = l->tree, .root = l->app->path, .paths = (const char *const *)part->paths,
                            .patches = part->patches, .namespace_ = l->app->namespace_};
        g_autoptr(GPtrArray) objects = sl_renderer_find(&ask)->render(&ask, l->problems);
        while (objects && objects->len > 0)
            g_ptr_array_add(all, g_ptr_array_steal_index(objects, 0));
    }
    g_hash_table_insert(l->rendered, env->env, all);
    return all;
}

static const json_t *find_job(const GPtrArray *objects, const char *job)
{
    for (guint i = 0; i < objects->len; i++) {
        const json_t *json = ((SlRenderObject *)g_ptr_array_index(objects, i))->json;
        const SlJobKindOps *kind = sl_jobkind_find(json);
        if (kind && kind->is_run && g_strcmp0(sl_json_str(json, "metadata.name"), job) == 0)
            return json;
    }
    return NULL;
}

static bool mentions(const json_t *json, const char *uri)
{
    const char *key = NULL;
    json_t *value = NULL;
    if (json_is_string(json))
        return g_str_equal(json_string_value(json), uri);
    json_object_foreach((json_t *)json, key, value)
        if (mentions(value, uri))
            return true;
    for (size_t i = 0; i < json_array_size(json); i++)
        if (mentions(json_array_get(json, i), uri))
            return true;
    return false;
}

static const SlRenderObject *find_user(const GPtrArray *objects, const char *item)
{
    g_autofree char *uri = g_strconcat("model://", item, NULL);
    for (guint i = 0; i < objects->len; i++) {
        const SlRenderObject *object = g_ptr_array_index(objects, i);
        const SlJobKindOps *kind = sl_jobkind_find(object->json);
        g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(g_free);
        if (kind)
            kind->items(object->json, items);
        for (guint k = 0; k < items->len; k++)
            if (g_str_equal(g_ptr_array_index(items, k), item))
                return object;
        if (mentions(object->json, uri))
            return object;
    }
    return NULL;
}

static bool has_output(const json_t *job, const char *output)
{
    const json_t *outputs = sl_json_at(job, "spec.outputs");
    for (size_t i = 0; i < json_array_size(outputs); i++) {
        const json_t *entry = json_array_get(outputs, i);
        const char *name = json_is_string(entry) ? json_string_value(entry) : sl_json_str(entry, "name");
        if (g_strcmp0(name, output) == 0)
            return true;
    }
    return json_is_object(outputs) && json_object_get(outputs, output);
}

static void resolve_one(Looker *l, SlDocCheck *check, SlItemDoc *item, guint index)
{
    g_autofree char *at = g_strdup_printf("spec.items.%u.from", index);
    const json_t *job = NULL;
    for (guint i = 0; i < l->docs->environments->len && !job; i++) {
        const SlEnvironmentDoc *env = g_ptr_array_index(l->docs->environments, i);
        const SlAppEnv *mine = sl_app_env(l->app, env->name);
        if (!mine || (item->origin && !g_str_equal(item->origin, env->name)))
            continue;
        job = find_job(objects_of(l, mine), item->job);
        if (job && !item->origin)
            item->origin = g_strdup(env->name);
    }
    if (!job) {
        if (!sl_problems_have_errors(l->problems))
            sl_doc_error(check, at, SLU_FLEET_ITEM, "add the TrainingJob's folder to the `paths` of a part",
                         "no part %s%s contains the TrainingJob `%s`", item->origin ? "in " : "of any environment",
                         item->origin ? item->origin : "", item->job);
        return;
    }
    if (!has_output(job, item->output))
        sl_doc_error(check, at, SLU_FLEET_ITEM, "add it to the job's spec.outputs", "TrainingJob `%s` has no output `%s`", item->job,
                     item->output);
    g_autoptr(GPtrArray) upstream = sl_fleet_upstream(l->docs, item->origin);
    for (guint i = 0; i < upstream->len; i++) {
        const SlAppEnv *env = sl_app_env(l->app, g_ptr_array_index(upstream, i));
        const SlRenderObject *user = env ? find_user(objects_of(l, env), item->name) : NULL;
        if (user)
            sl_doc_error(check, at, SLU_FLEET_ITEM, "run the job there too, or set from.environment",
                         "%s in environment %s uses item `%s`, which is made only later, in %s", user->file, env->env, item->name,
                         item->origin);
    }
}

static void write_origin(SlApplicationDoc *app, guint index, const char *origin)
{
    json_t *from = json_object_get(json_array_get(sl_json_at(app->doc, "spec.items"), index), "from");
    sl_json_set_str(from, "environment", origin);
}

void sl_items_resolve(SlFleetSource *source, SlApplicationDoc *app, const SlFleetDocs *docs, const SlTree *tree,
                      GPtrArray *problems)
{
    g_autoptr(GHashTable) rendered = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_ptr_array_unref);
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
    Looker l = {.docs = docs, .app = app, .tree = tree, .rendered = rendered, .problems = found};
    SlDocCheck check = sl_fleet_source_check(source, problems);
    bool here = tree && !app->repository && !app->revision;
    for (guint i = 0; i < app->items->len; i++) {
        SlItemDoc *item = g_ptr_array_index(app->items, i);
        g_autofree char *at = g_strdup_printf("spec.items.%u.from", i);
        if (!item->job)
            continue;
        if (here)
            resolve_one(&l, &check, item, i);
        else if (!item->origin)
            sl_doc_error(&check, at, SLU_FLEET_ITEM, "add environment: NAME",
                         "an item of an application from another repository or revision names the environment of its job");
        if (item->origin)
            write_origin(app, i, item->origin);
    }
    source->broken |= check.broken || sl_problems_have_errors(found);
    sl_problems_move(problems, found);
    app->broken = source->broken;
    g_free(app->digest);
    app->digest = sl_json_digest(app->doc);
}
