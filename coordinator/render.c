/* render.c - RENDER on the work queue: the unit's tree is rendered twice and compared, its bytes go
 * into the cache, and the result into the brain. A job touches only itself and the documents lent to
 * it, which were read from the commit (or from the JSON of those in force). */
#include "coordinator/coordinator.h"
#include "sluice/source.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
    SlCoordinator *c;
    SlCoordEffect *effect;
    SlSourceConfig source;
    GBytes *docs_text; /* in force: for applications of other repositories */
    uint64_t docs_version;
    SlBlobs *blobs;
    SlRendered *rendered;
    GPtrArray *problems;
    GError *error;
} RenderJob;

static void job_free(RenderJob *job)
{
    sl_coord_effect_free(job->effect);
    sl_poll_config_clear(&job->source);
    g_clear_pointer(&job->docs_text, g_bytes_unref);
    sl_rendered_free(job->rendered);
    g_ptr_array_unref(job->problems);
    g_clear_error(&job->error);
    g_free(job);
}

/* The documents of the very commit where the application's own repository is the fleet's, else
 * those in force. */
static SlFleetDocs *read_docs(RenderJob *job, const SlTree *tree, char **ret_key)
{
    if (job->source.name[0] == '\0') {
        g_autofree char *key = g_strdup_printf("%s %s", job->source.url, job->effect->commit);
        g_autoptr(GPtrArray) ignored =
            g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
        SlFleetDocs *docs = sl_lent_docs_take(&job->c->lent_docs, key);
        if (docs == NULL)
            docs = sl_fleet_read(tree, ignored);
        if (docs != NULL && sl_fleet_app(docs, job->effect->app) != NULL) {
            *ret_key = g_steal_pointer(&key);
            return docs;
        }
        if (docs != NULL)
            sl_lent_docs_give(&job->c->lent_docs, key, docs);
    }
    if (job->docs_text == NULL)
        return sl_throw_null(&job->error, SLU_NOT_FOUND, "no fleet documents are in force yet");
    *ret_key = g_strdup_printf("in force %" G_GUINT64_FORMAT, job->docs_version);
    SlFleetDocs *docs = sl_lent_docs_take(&job->c->lent_docs, *ret_key);
    if (docs != NULL)
        return docs;
    g_autoptr(json_t) json = json_loadb(g_bytes_get_data(job->docs_text, NULL),
                                        g_bytes_get_size(job->docs_text), 0, NULL); /* our own */
    return sl_fleet_from_json(json, &job->error);
}

static SlRendered *render_once(RenderJob *job, const SlTree *tree, const SlFleetDocs *docs,
                               GPtrArray *problems)
{
    const SlApplicationDoc *app = sl_fleet_app(docs, job->effect->app);
    if (app == NULL) {
        sl_throw(&job->error, SLU_NOT_FOUND, "%s: there is no such application at commit %s",
                 job->effect->app, job->effect->commit);
        return NULL;
    }
    SlRenderAsk ask = {.docs = docs,
                       .app = app,
                       .env = job->effect->env,
                       .tree = tree,
                       .items = job->effect->items,
                       .clusters = job->effect->clusters};
    return sl_render_unit(&ask, problems);
}

static void work(void *user)
{
    RenderJob *job = user;
    const SlSourceOps *ops = sl_source_find(job->source.url);
    SlTree *tree = ops != NULL ? ops->tree(&job->source, job->effect->commit, &job->error) : NULL;
    if (tree == NULL) {
        if (job->error == NULL)
            sl_throw(&job->error, SLU_SOURCE_REFUSED, "%s: no source for this URL",
                     job->source.url);
        return;
    }
    g_autofree char *key = NULL;
    SlFleetDocs *docs = read_docs(job, tree, &key);
    if (docs != NULL)
        job->rendered = render_once(job, tree, docs, job->problems);
    if (job->rendered != NULL) {
        g_autoptr(GPtrArray) again_problems =
            g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
        g_autoptr(SlRendered) again = render_once(job, tree, docs, again_problems);
        /* The targets' root covers every bundle, object and file digest. */
        if (again == NULL || g_strcmp0(again->targets, job->rendered->targets) != 0)
            sl_throw(&job->error, SLU_SELF_CHECK, "%s in %s: two renders of one commit differ",
                     job->effect->app, job->effect->env);
        else if (!sl_blobs_put_all(job->blobs, job->rendered->blobs, &job->error))
            sl_prefix(&job->error, "keeping the rendered bytes");
    }
    if (docs != NULL)
        sl_lent_docs_give(&job->c->lent_docs, key, docs);
    sl_source_tree_free(tree);
}

static void done(void *user, bool cancelled)
{
    RenderJob *job = user;
    SlCoordinator *c = job->c;
    c->count_renders++;
    if (!cancelled) {
        SlCoordInput input = {.type = SL_COORD_RENDERED};
        input.rendered = (SlCoordRendered){.attempt = job->effect->attempt,
                                           .rendered = job->error == NULL ? job->rendered : NULL,
                                           .problems = job->problems,
                                           .error = job->error};
        sl_turn_input(c, &input);
    }
    job_free(job);
}

/* Written once for all renders under the same documents. */
static GBytes *docs_text(SlCoordinator *c)
{
    const SlFleetDocs *docs = sl_coord_docs(c->brain);
    if (docs == NULL)
        return NULL;
    if (c->docs_text == NULL || c->docs_written != sl_coord_docs_version(c->brain)) {
        g_autoptr(json_t) json = sl_fleet_to_json(docs);
        char *text = json_dumps(json, JSON_COMPACT);
        g_clear_pointer(&c->docs_text, g_bytes_unref);
        c->docs_text = g_bytes_new_with_free_func(text, strlen(text), free, text);
        c->docs_written = sl_coord_docs_version(c->brain);
    }
    return g_bytes_ref(c->docs_text);
}

void sl_render_start(SlCoordinator *c, SlCoordEffect *effect)
{
    RenderJob *job = g_new0(RenderJob, 1);
    job->c = c;
    job->effect = effect;
    job->blobs = c->blobs;
    job->problems = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
    job->docs_text = docs_text(c);
    job->docs_version = sl_coord_docs_version(c->brain);
    if (!sl_polls_config(c, effect->repository, &job->source))
        sl_throw(&job->error, SLU_NOT_FOUND, "repository `%s` is not in the documents",
                 effect->repository);
    if (job->error != NULL || !sl_workq_push(c->work_queue, work, done, job, &job->error))
        done(job, false);
}
