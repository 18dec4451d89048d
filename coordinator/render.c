/* render.c - RENDER on the work queue: the unit's tree is rendered twice and compared, its bytes go
 * into the cache, and the result into the brain. A job touches only itself; documents are read
 * again from the commit (or copied as JSON). */
#include "coordinator/coordinator.h"
#include "sluice/source.h"

typedef struct {
    SlCoordinator *c;
    SlCoordEffect *effect;
    SlSourceConfig source;
    json_t *docs_json; /* in force: for applications of other repositories */
    SlBlobs *blobs;
    SlRendered *rendered;
    GPtrArray *problems;
    GError *error;
} RenderJob;

static void job_free(RenderJob *job)
{
    sl_coord_effect_free(job->effect);
    sl_poll_config_clear(&job->source);
    json_decref(job->docs_json);
    sl_rendered_free(job->rendered);
    g_ptr_array_unref(job->problems);
    g_clear_error(&job->error);
    g_free(job);
}

/* The documents of the very commit where the application's own repository is the fleet's, else
 * those in force. */
static SlFleetDocs *read_docs(RenderJob *job, const SlTree *tree)
{
    g_autoptr(SlFleetDocs) docs = NULL;
    if (job->source.name[0] == '\0') {
        g_autoptr(GPtrArray) ignored =
            g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
        docs = sl_fleet_read(tree, ignored);
        if (docs != NULL && sl_fleet_app(docs, job->effect->app) != NULL)
            return g_steal_pointer(&docs);
    }
    return job->docs_json != NULL
               ? sl_fleet_from_json(job->docs_json, &job->error)
               : sl_throw_null(&job->error, SLU_NOT_FOUND, "no fleet documents are in force yet");
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
    g_autoptr(SlFleetDocs) docs = read_docs(job, tree);
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

void sl_render_start(SlCoordinator *c, SlCoordEffect *effect)
{
    RenderJob *job = g_new0(RenderJob, 1);
    job->c = c;
    job->effect = effect;
    job->blobs = c->blobs;
    job->problems = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
    const SlFleetDocs *docs = sl_coord_docs(c->brain);
    job->docs_json = docs != NULL ? sl_fleet_to_json(docs) : NULL;
    if (!sl_polls_config(c, effect->repository, &job->source))
        sl_throw(&job->error, SLU_NOT_FOUND, "repository `%s` is not in the documents",
                 effect->repository);
    if (job->error != NULL || !sl_workq_push(c->work_queue, work, done, job, &job->error))
        done(job, false);
}
