/* render.c - one unit of one release for each of its clusters: parts by labels, bundles, targets. */
#include "render/render.h"
#include "base/digest.h"
#include "core/native.h"
#include "core/registry.h"
#include "render/prepare.h"
#include <string.h>

void sl_item_value_free(SlItemValue *value)
{
    if (!value)
        return;
    g_free(value->name);
    g_free(value->digest);
    g_free(value->run_key);
    g_free(value);
}

static void job_free(void *data)
{
    SlRenderedJob *job = data;
    g_free(job->name);
    g_free(job->run_key);
    g_free(job->digest);
    g_free(job->object_kind);
    g_free(job->on_change);
    g_free(job->wait_for);
    g_ptr_array_unref(job->clusters);
    g_free(job);
}

void sl_rendered_free(SlRendered *rendered)
{
    if (!rendered)
        return;
    g_free(rendered->targets);
    g_hash_table_unref(rendered->target_of);
    g_hash_table_unref(rendered->blobs);
    g_hash_table_unref(rendered->bundles);
    g_ptr_array_unref(rendered->jobs);
    g_free(rendered);
}

static SlRendered *rendered_new(void)
{
    SlRendered *rendered = g_new0(SlRendered, 1);
    rendered->target_of = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    rendered->blobs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    rendered->bundles = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)sl_bundle_free);
    rendered->jobs = g_ptr_array_new_with_free_func(job_free);
    return rendered;
}

typedef struct {
    const SlRenderAsk *ask;
    const SlAppEnv *env;
    GPtrArray *problems;
    GPtrArray *parts;       /* of GPtrArray of SlPrepared*, by index of part */
    GHashTable *by_parts;   /* "101" or "101 kubernetes" -> bundle digest: clusters with the same parts share one */
    SlRendered *rendered;
} Unit;

static bool is_native(const SlCluster *cluster)
{
    return g_strcmp0(cluster->engine, SL_NATIVE_ENGINE) == 0;
}

/* Does a cluster with Kubernetes get @part? */
static bool goes_native(const Unit *u, const SlPart *part)
{
    for (guint i = 0; u->ask->clusters && i < u->ask->clusters->len; i++) {
        const SlCluster *cluster = g_ptr_array_index(u->ask->clusters, i);
        if (is_native(cluster) && sl_labels_match(part->match_labels, cluster->labels))
            return true;
    }
    return false;
}

static bool prepare_parts(Unit *u)
{
    g_autoptr(GHashTable) folders = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)json_decref);
    SlPrepare prepare = {.app = u->ask->app, .tree = u->ask->tree, .items = u->ask->items, .blobs = u->rendered->blobs,
                         .problems = u->problems, .folders = folders};
    bool fine = true;
    const char *carry = sl_json_str_or(u->ask->docs->fleet, "spec.kubernetes.carryImage", SL_CARRY_IMAGE);
    for (guint i = 0; i < u->env->parts->len; i++) {
        prepare.native = goes_native(u, g_ptr_array_index(u->env->parts, i)) ? carry : NULL;
        GPtrArray *objects = sl_prepare_part(&prepare, g_ptr_array_index(u->env->parts, i), u->env->env);
        fine = fine && objects;
        g_ptr_array_add(u->parts, objects ? objects : g_ptr_array_new());
    }
    return fine;
}

static char *chosen_parts(const Unit *u, const SlCluster *cluster, bool *ret_any)
{
    GString *mask = g_string_new(NULL);
    *ret_any = false;
    for (guint i = 0; i < u->env->parts->len; i++) {
        const SlPart *part = g_ptr_array_index(u->env->parts, i);
        bool takes = sl_labels_match(part->match_labels, cluster->labels);
        g_string_append_c(mask, takes ? '1' : '0');
        *ret_any |= takes;
    }
    return g_string_free(mask, FALSE);
}

static bool add_once(Unit *u, GHashTable *seen, const SlPrepared *object, const SlCluster *cluster)
{
    char *identity = g_strdup_printf("%s %s %s", object->kind, object->namespace_, object->name);
    const SlPrepared *first = g_hash_table_lookup(seen, identity);
    if (!first) {
        g_hash_table_insert(seen, identity, (void *)object);
        return true;
    }
    sl_problem_add(u->problems, object->file, object->line, 0, SLU_RENDER_DUPLICATE, false,
                   "two parts write it for one cluster: leave it in one, or choose clusters by labels",
                   "%s is there twice for cluster %s, first in %s:%d", identity, cluster->name, first->file, first->line);
    g_free(identity);
    return false;
}

static void add_to_bundle(Unit *u, SlBundle *bundle, const SlPrepared *object)
{
    if (object->item) {
        sl_bundle_add_withheld(bundle, object->kind, object->namespace_, object->name, object->item, object->item_key);
        return;
    }
    sl_bundle_add_object(bundle, object->kind, object->namespace_, object->name, strlen(object->text), object->digest);
    for (guint i = 0; i < object->blobs->len; i++) {
        const char *digest = g_ptr_array_index(object->blobs, i);
        GBytes *bytes = g_hash_table_lookup(u->rendered->blobs, digest);
        sl_bundle_add_blob(bundle, digest, g_bytes_get_size(bytes));
    }
}

static bool blobs_fit(Unit *u, const SlBundle *bundle, const SlCluster *cluster)
{
    uint64_t bytes = 0;
    for (guint i = 0; i < bundle->blobs->len; i++)
        bytes += ((SlBundleBlob *)g_ptr_array_index(bundle->blobs, i))->size;
    if (bundle->blobs->len <= SL_FILES_COUNT_MAX && bytes <= SL_FILES_BYTES_MAX)
        return true;
    sl_problem_add(u->problems, u->ask->app->path, 0, 0, SLU_RENDER_FILES, false, "put large files into an image or the model store",
                   "the files for cluster %s are more than %d, or more than %d MiB", cluster->name, SL_FILES_COUNT_MAX,
                   SL_FILES_BYTES_MAX / 1024 / 1024);
    return false;
}

/* Digest of the bundle that clusters with these parts get; NULL after adding problems. Borrowed. */
static const char *bundle_for(Unit *u, const char *mask, const SlCluster *cluster)
{
    g_autofree char *which = g_strconcat(mask, is_native(cluster) ? " " SL_NATIVE_ENGINE : "", NULL);
    const char *known = g_hash_table_lookup(u->by_parts, which);
    if (known)
        return known;
    g_autoptr(SlBundle) bundle = sl_bundle_new();
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    bool fine = true;
    for (guint i = 0; mask[i]; i++) {
        const GPtrArray *objects = g_ptr_array_index(u->parts, i);
        for (guint k = 0; mask[i] == '1' && k < objects->len; k++) {
            const SlPrepared *object = g_ptr_array_index(objects, k);
            bool several = is_native(cluster) && object->native;
            for (guint n = 0; n < (several ? object->native->len : 1); n++) {
                const SlPrepared *one = several ? g_ptr_array_index(object->native, n) : object;
                bool new_one = add_once(u, seen, one, cluster);
                fine = fine && new_one;
                if (new_one)
                    add_to_bundle(u, bundle, one);
            }
        }
    }
    if (!fine || !blobs_fit(u, bundle, cluster))
        return NULL;
    GBytes *list = sl_bundle_format(bundle);
    char *digest = sl_sha256_hex_bytes(list);
    g_hash_table_insert(u->rendered->blobs, g_strdup(digest), list);
    if (!g_hash_table_contains(u->rendered->bundles, digest))
        g_hash_table_insert(u->rendered->bundles, g_strdup(digest), g_steal_pointer(&bundle));
    g_hash_table_insert(u->by_parts, g_steal_pointer(&which), digest);
    return digest;
}

static SlRenderedJob *job_of(Unit *u, const SlPrepared *object)
{
    for (guint i = 0; i < u->rendered->jobs->len; i++) {
        SlRenderedJob *job = g_ptr_array_index(u->rendered->jobs, i);
        if (g_str_equal(job->name, object->name) && g_str_equal(job->digest, object->digest))
            return job;
    }
    SlRenderedJob *job = g_new0(SlRenderedJob, 1);
    job->name = g_strdup(object->name);
    job->run_key = g_strdup(object->run_key);
    job->digest = g_strdup(object->digest);
    job->object_kind = g_strdup(object->kind);
    job->start_auto = g_str_equal(sl_json_str_or(object->json, "spec.start", "auto"), "auto");
    job->on_change = g_strdup(sl_json_str_or(object->json, "spec.onChange", "keep"));
    job->wait_for = g_strdup(sl_json_str_or(object->json, "spec.waitFor", "admitted"));
    job->gpus = object->ops->gpus(object->json);
    job->clusters = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(u->rendered->jobs, job);
    return job;
}

static void add_jobs(Unit *u, const char *mask, const SlCluster *cluster)
{
    for (guint i = 0; mask[i]; i++) {
        const GPtrArray *objects = g_ptr_array_index(u->parts, i);
        for (guint k = 0; mask[i] == '1' && k < objects->len; k++) {
            const SlPrepared *object = g_ptr_array_index(objects, k);
            if (object->run_key)
                g_ptr_array_add(job_of(u, object)->clusters, g_strdup(cluster->id));
        }
    }
}

static void add_target(Unit *u, SlMap *targets, const SlCluster *cluster)
{
    bool any = false;
    g_autofree char *mask = chosen_parts(u, cluster, &any);
    if (!any)
        return; /* no part for it: it keeps what it has, and nothing is pruned there */
    const char *digest = bundle_for(u, mask, cluster);
    if (!digest)
        return;
    g_autoptr(GError) error = NULL;
    if (!sl_map_add(targets, cluster->id, digest, &error)) {
        sl_problem_add(u->problems, "", 0, 0, error->code, false, NULL, "cluster %s: %s", cluster->name, error->message);
        return;
    }
    g_hash_table_insert(u->rendered->target_of, g_strdup(cluster->id), g_strdup(digest));
    add_jobs(u, mask, cluster);
}

static void add_targets(Unit *u)
{
    g_autoptr(SlMap) targets = sl_map_new();
    for (guint i = 0; u->ask->clusters && i < u->ask->clusters->len; i++)
        add_target(u, targets, g_ptr_array_index(u->ask->clusters, i));
    u->rendered->target_count = sl_map_count(targets);
    u->rendered->targets = sl_map_root(targets);
    g_autoptr(GHashTable) texts = sl_map_blobs(targets);
    GHashTableIter iter;
    void *key = NULL, *value = NULL;
    g_hash_table_iter_init(&iter, texts);
    while (g_hash_table_iter_next(&iter, &key, &value))
        g_hash_table_insert(u->rendered->blobs, g_strdup(key), g_bytes_ref(value));
    if (u->rendered->target_count == 0 && !sl_problems_have_errors(u->problems))
        sl_problem_add(u->problems, u->ask->app->path, 0, 0, SLU_RENDER_NO_CLUSTER, false,
                       "add a cluster with the labels of a part, or correct clusters.matchLabels",
                       "application %s: no cluster of environment %s is chosen by any part", u->ask->app->name, u->ask->env);
}

SlRendered *sl_render_unit(const SlRenderAsk *ask, GPtrArray *problems)
{
    const SlAppEnv *env = sl_app_env(ask->app, ask->env);
    if (ask->app->broken || !env) {
        sl_problem_add(problems, ask->app->path, 0, 0, ask->app->broken ? SLU_FLEET_DOCUMENT : SLU_RENDER_EMPTY, false, NULL,
                       ask->app->broken ? "the document of application %s has errors" : "application %s has nothing in environment %s",
                       ask->app->name, ask->env);
        return NULL;
    }
    g_autoptr(SlRendered) rendered = rendered_new();
    g_autoptr(GPtrArray) parts = g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref);
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
    g_autoptr(GHashTable) by_parts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    Unit u = {.ask = ask, .env = env, .problems = found, .parts = parts, .by_parts = by_parts, .rendered = rendered};
    if (prepare_parts(&u))
        add_targets(&u);
    bool fine = !sl_problems_have_errors(found);
    sl_problems_move(problems, found);
    return fine ? g_steal_pointer(&rendered) : NULL;
}
