/* mint.c - what a commit offers for one application, and the id of a release.
 *
 * Identity is what goes in: digests of the declared paths, the Application document, the items. Commit, author and time
 * are provenance and never come near it: an unchanged application mints nothing. */
#include "base/digest.h"
#include "render/prepare.h"
#include "render/render.h"
#include "render/tree_walk.h"
#include <string.h>

void sl_offer_free(SlOffer *offer)
{
    if (!offer)
        return;
    g_free(offer->app);
    json_decref(offer->trees);
    g_free(offer->document);
    g_ptr_array_unref(offer->items);
    g_ptr_array_unref(offer->problems);
    json_decref(offer->needs);
    g_free(offer);
}

/* One path is declared by several environments; what is wrong with it is said once. */
static bool said_before(const SlOffer *offer, const char *file, const char *what)
{
    for (guint i = 0; i < offer->problems->len; i++) {
        const SlProblem *problem = g_ptr_array_index(offer->problems, i);
        if (g_strcmp0(problem->file, file) == 0 && g_strcmp0(problem->message, what) == 0)
            return true;
    }
    return false;
}

static void add_tree(SlOffer *offer, const SlApplicationDoc *app, const SlTree *tree, const char *path)
{
    g_autofree char *full = sl_path_join(app->path, path);
    const char *key = *full ? full : ".";
    if (json_object_get(offer->trees, key))
        return;
    g_autoptr(GError) error = NULL;
    g_autofree char *digest = sl_tree_digest(tree, full, &error);
    if (digest) {
        sl_json_set_str(offer->trees, key, digest);
        return;
    }
    bool missing = error->code == SLU_NOT_FOUND;
    g_autofree char *what = g_strdup_printf("application %s: %s", app->name, error->message);
    if (!said_before(offer, full, what))
        sl_problem_add(offer->problems, full, 0, 0, missing ? SLU_RENDER_PATH : error->code, false,
                       missing ? "paths are relative to the source's path" : NULL, "%s", what);
}

static void add_trees(SlOffer *offer, const SlApplicationDoc *app, const SlTree *tree)
{
    for (guint i = 0; i < app->environments->len; i++) {
        const SlAppEnv *env = g_ptr_array_index(app->environments, i);
        for (guint k = 0; k < env->parts->len; k++) {
            const SlPart *part = g_ptr_array_index(env->parts, k);
            for (char **path = part->paths; *path; path++)
                add_tree(offer, app, tree, *path);
            for (size_t n = 0; n < json_array_size(part->patches); n++) {
                const char *path = sl_json_str(json_array_get(part->patches, n), "path");
                if (path)
                    add_tree(offer, app, tree, path);
            }
        }
    }
}

static void item_problem(SlOffer *offer, const SlApplicationDoc *app, const SlItemDoc *item, const char *hint, const char *what)
{
    sl_problem_add(offer->problems, app->path, 0, 0, SLU_FLEET_ITEM, false, hint, "application %s: item `%s`: %s", app->name, item->name,
                   what);
}

typedef struct {
    SlOffer *offer;
    const SlApplicationDoc *app;
    SlPrepare *prepare;
} Minter;

/* Run key of @job in one part: *@found is set if the part has it. */
static char *key_in_part(Minter *m, const SlItemDoc *item, const SlPart *part, bool *found)
{
    SlRenderPart ask = {.tree = m->prepare->tree, .root = m->app->path, .paths = (const char *const *)part->paths,
                        .patches = part->patches, .namespace_ = m->app->namespace_};
    const SlRendererOps *renderer = sl_renderer_find(&ask);
    g_autoptr(GPtrArray) objects = renderer ? renderer->render(&ask, m->offer->problems) : NULL;
    for (guint i = 0; objects && i < objects->len; i++) {
        const SlRenderObject *object = g_ptr_array_index(objects, i);
        const SlJobKindOps *ops = sl_jobkind_find(object->json);
        if (!ops || !ops->is_run || g_strcmp0(sl_object_name(object->json), item->job) != 0)
            continue;
        *found = true;
        SlPrepared *prepared = sl_prepare_object(m->prepare, object);
        char *key = prepared ? g_strdup(prepared->run_key) : NULL;
        if (prepared && prepared->item) {
            g_autofree char *what = g_strdup_printf("its job `%s` itself waits for item `%s`", item->job, prepared->item);
            item_problem(m->offer, m->app, item, "chains of jobs are not supported by this version: make one job of both", what);
        }
        sl_prepared_free(prepared);
        return key;
    }
    return NULL;
}

static char *job_key(Minter *m, const SlItemDoc *item)
{
    const SlAppEnv *env = item->origin ? sl_app_env(m->app, item->origin) : NULL;
    g_autofree char *key = NULL;
    bool found = false;
    for (guint i = 0; env && i < env->parts->len; i++) {
        bool here = false;
        g_autofree char *one = key_in_part(m, item, g_ptr_array_index(env->parts, i), &here);
        found |= here;
        if (one && key && !g_str_equal(one, key)) {
            item_problem(m->offer, m->app, item, "let one part hold the job, or make them equal",
                         "its job differs between the parts of its environment, so its output is not one thing");
            return NULL;
        }
        if (one && !key)
            key = g_steal_pointer(&one);
    }
    if (!found && !sl_problems_have_errors(m->offer->problems)) {
        g_autofree char *what = g_strdup_printf("no part in %s contains the TrainingJob `%s`", item->origin ? item->origin : "any environment",
                                                item->job);
        item_problem(m->offer, m->app, item, "add the job's folder to the `paths` of a part", what);
    }
    return g_steal_pointer(&key);
}

static void add_items(Minter *m)
{
    for (guint i = 0; i < m->app->items->len; i++) {
        const SlItemDoc *item = g_ptr_array_index(m->app->items, i);
        SlItemValue *value = g_new0(SlItemValue, 1);
        value->name = g_strdup(item->name);
        value->digest = g_strdup(item->digest);
        if (item->job)
            value->run_key = job_key(m, item);
        g_ptr_array_add(m->offer->items, value);
    }
}

SlOffer *sl_offer_make(const SlFleetDocs *docs, const SlApplicationDoc *app, const SlTree *tree)
{
    (void)docs; /* origins are in the document */
    SlOffer *offer = g_new0(SlOffer, 1);
    offer->app = g_strdup(app->name);
    offer->trees = json_object();
    offer->document = g_strdup(app->digest);
    offer->items = g_ptr_array_new_with_free_func((GDestroyNotify)sl_item_value_free);
    offer->problems = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
    if (app->broken) {
        sl_problem_add(offer->problems, app->path, 0, 0, SLU_FLEET_DOCUMENT, false, "`sluice validate` shows them",
                       "the document of application %s has errors", app->name);
        return offer;
    }
    g_autoptr(GHashTable) blobs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    g_autoptr(GHashTable) folders = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)json_decref);
    SlPrepare prepare = {.app = app, .tree = tree, .blobs = blobs, .problems = offer->problems, .folders = folders};
    Minter minter = {.offer = offer, .app = app, .prepare = &prepare};
    add_trees(offer, app, tree);
    add_items(&minter);
    offer->needs = sl_offer_needs(app, tree);
    return offer;
}

char *sl_release_id(const char *app, const json_t *trees, const char *document, const GPtrArray *items)
{
    json_t *values = json_object();
    for (guint i = 0; items && i < items->len; i++) {
        const SlItemValue *item = g_ptr_array_index(items, i);
        g_autofree char *pending = item->digest ? NULL : g_strconcat("pending:", item->run_key ? item->run_key : "", NULL);
        sl_json_set_str(values, item->name, item->digest ? item->digest : pending);
    }
    g_autoptr(json_t) identity = json_pack("{s:i, s:s, s:O, s:s, s:o}", "format", 1, "application", app, "trees", trees, "document",
                                           document, "items", values);
    return sl_json_digest(identity);
}
