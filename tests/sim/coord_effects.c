/* coord_effects.c - what the coordinator's shell performs, in memory: renders (the real renderer), commits
 * of environment branches (made-up ids), messages, replies. */
#include "sim.h"

static SlItemValue *copy_item(const SlItemValue *from)
{
    SlItemValue *item = g_new0(SlItemValue, 1);
    item->name = g_strdup(from->name);
    item->digest = g_strdup(from->digest);
    item->run_key = g_strdup(from->run_key);
    return item;
}

static void item_free(gpointer data)
{
    SlItemValue *item = data;
    g_free(item->name);
    g_free(item->digest);
    g_free(item->run_key);
    g_free(item);
}

typedef struct {
    uint64_t attempt;
    char *app, *env, *commit;
    GPtrArray *items, *clusters;
} RenderJob;

static void render_job_free(void *data)
{
    RenderJob *job = data;
    g_free(job->app);
    g_free(job->env);
    g_free(job->commit);
    g_ptr_array_unref(job->items);
    g_ptr_array_unref(job->clusters);
    g_free(job);
}

static void rendered(World *w, Event *e)
{
    const RenderJob *job = e->data;
    if (e->life != w->coord_life || w->coord == NULL) {
        return;
    }
    if (strikes(w, FAULT_RENDER)) {
        g_autoptr(GError) error = NULL;
        (void)sl_throw(&error, SLU_UNAVAILABLE, "the tree of commit %.8s can't be read",
                       job->commit);
        coord_step(w, &(SlCoordInput){.type = SL_COORD_RENDERED,
                                      .rendered = {.attempt = job->attempt, .error = error}});
        return;
    }
    const Commit *commit = source_commit(w, job->commit);
    g_autoptr(GPtrArray) problems = source_problems_new();
    source_read(commit);
    SlFleetDocs *docs = commit->docs;
    g_autoptr(SlRendered) result = NULL;
    if (docs != NULL && sl_fleet_app(docs, job->app) != NULL) {
        SlRenderAsk ask = {.docs = docs,
                           .app = sl_fleet_app(docs, job->app),
                           .env = job->env,
                           .tree = commit->tree,
                           .items = job->items,
                           .clusters = job->clusters};
        result = sl_render_unit(&ask, problems);
    }
    source_problems(w, problems);
    if (result != NULL) {
        blobs_merge(w->cache, result->blobs);
    }
    SlCoordInput in = {
        .type = SL_COORD_RENDERED,
        .rendered = {.attempt = job->attempt, .rendered = result, .problems = problems}};
    coord_step(w, &in);
}

static void do_render(World *w, const SlCoordEffect *e)
{
    RenderJob *job = g_new0(RenderJob, 1);
    job->attempt = e->attempt;
    job->app = g_strdup(e->app);
    job->env = g_strdup(e->env);
    job->commit = g_strdup(e->commit);
    job->items = g_ptr_array_new_with_free_func(item_free);
    for (guint i = 0; e->items != NULL && i < e->items->len; i++) {
        g_ptr_array_add(job->items, copy_item(e->items->pdata[i]));
    }
    job->clusters = g_ptr_array_new_with_free_func((GDestroyNotify)sl_cluster_free);
    for (guint i = 0; e->clusters != NULL && i < e->clusters->len; i++) {
        g_ptr_array_add(job->clusters, sl_cluster_copy(e->clusters->pdata[i]));
    }
    Event *later = world_after(w, rng_between(&w->rng, 1000, SL_SECOND_US), rendered, -1);
    later->life = w->coord_life;
    later->data = job;
    later->data_free = render_job_free;
}

static void env_written(World *w, Event *e)
{
    if (e->life != w->coord_life || w->coord == NULL) {
        return;
    }
    g_autoptr(GError) error = NULL;
    if (e->n != 0) {
        (void)sl_throw(&error, SLU_BLOB_MISSING, "bytes are not in the cache");
    } else if (w->now < w->disk_full_until) {
        (void)sl_throw(&error, SLU_STORAGE_FULL, "no room");
    } else if (w->now < w->remote_away_until) {
        (void)sl_throw(&error, SLU_STATE_REMOTE_AWAY, "the remote does not answer");
    } else if (strikes(w, FAULT_ENV)) {
        (void)sl_throw(&error, SLU_IO, "the branch can't be written");
    }
    SlCoordInput in = {
        .type = SL_COORD_ENV_WRITTEN,
        .env_written = {
            .env = e->a, .old = e->b, .commit = error == NULL ? e->c : NULL, .error = error}};
    coord_step(w, &in);
}

static GHashTable *strings_copy(GHashTable *from)
{
    GHashTable *copy = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    GHashTableIter iter;
    gpointer key, value;
    if (from != NULL) {
        g_hash_table_iter_init(&iter, from);
        while (g_hash_table_iter_next(&iter, &key, &value)) {
            g_hash_table_insert(copy, g_strdup(key), g_strdup(value));
        }
    }
    return copy;
}

/* The branch holds what its bundles are made of: from there a lost cache is filled again. false =
 * bytes are nowhere any more. */
static bool keep_bytes(World *w, const char *digest)
{
    GBytes *bytes = coord_blob(w, digest);
    if (bytes != NULL) {
        g_hash_table_replace(w->branch_blobs, g_strdup(digest), g_bytes_ref(bytes));
    }
    return bytes != NULL;
}

static bool keep_bundle(World *w, const char *digest)
{
    GBytes *list = keep_bytes(w, digest) ? coord_blob(w, digest) : NULL;
    g_autoptr(SlBundle) bundle = list != NULL ? sl_bundle_parse(list, NULL) : NULL;
    bool all = bundle != NULL;
    for (guint i = 0; all && i < bundle->objects->len; i++) {
        all = keep_bytes(w, ((SlBundleObject *)bundle->objects->pdata[i])->digest);
    }
    for (guint i = 0; all && i < bundle->blobs->len; i++) {
        all = keep_bytes(w, ((SlBundleBlob *)bundle->blobs->pdata[i])->digest);
    }
    return all;
}

/* NULL: bytes of a bundle are missing. */
static char *targets_text(World *w, GHashTable *target_of)
{
    g_autoptr(json_t) o = json_object();
    GHashTableIter iter;
    gpointer key, value;
    bool all = true;
    g_hash_table_iter_init(&iter, target_of);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        json_object_set_new(o, key, json_string(value));
        all = keep_bundle(w, value) && all;
    }
    return all ? sl_json_canonical(o, NULL) : NULL;
}

static void do_env_write(World *w, const SlCoordEffect *e)
{
    const EnvCommit *parent = e->old != NULL ? g_hash_table_lookup(w->env_commits, e->old) : NULL;
    EnvCommit *c = g_new0(EnvCommit, 1);
    c->parent = g_strdup(e->old);
    c->target_of = strings_copy(parent != NULL ? parent->target_of : NULL);
    bool missing = false;
    GString *text = g_string_new(e->old != NULL ? e->old : "-");
    g_string_append_printf(text, "\n%s\n%s\n%" G_GINT64_FORMAT "\n", e->env, e->message,
                           e->time_us);
    for (guint i = 0; i < e->units->len; i++) {
        const SlEnvUnit *unit = e->units->pdata[i];
        if (unit->target_of == NULL) {
            g_hash_table_remove(c->target_of, unit->app);
            continue;
        }
        char *targets = targets_text(w, unit->target_of);
        if (targets == NULL) {
            missing = true;
            continue;
        }
        g_string_append_printf(text, "%s %s %s\n", unit->app, targets, unit->provenance);
        g_hash_table_replace(c->target_of, g_strdup(unit->app), targets);
    }
    char *id = sl_sha256_hex(text->str, text->len);
    id[40] = '\0';
    g_string_free(text, TRUE);
    g_hash_table_replace(w->env_commits, g_strdup(id), c);
    Event *later = world_after(w, rng_between(&w->rng, 1000, SL_SECOND_US / 2), env_written, -1);
    later->life = w->coord_life;
    later->a = g_strdup(e->env);
    later->b = g_strdup(e->old);
    later->c = id;
    later->n = missing ? 1 : 0;
}

/* A move under way when the process ends has happened or not, in the repository that it was begun
 * in: a story may have put another one in its place. */
static void env_moved(World *w, Event *e)
{
    GHashTable *tips = e->data;
    bool alive = e->life == w->coord_life && w->coord != NULL;
    bool moves = alive ? !strikes(w, FAULT_ENV) : rng_chance(&w->rng, 500);
    const EnvCommit *c = g_hash_table_lookup(w->env_commits, e->b);
    if (c == NULL) {
        fail(w, "branch-bytes: the ledger names commit %.12s of %s, and its objects are gone", e->b,
             e->a);
        return;
    }
    if (moves && g_strcmp0(g_hash_table_lookup(tips, e->a), c->parent) == 0) {
        g_hash_table_replace(tips, g_strdup(e->a), g_strdup(e->b));
    }
    if (alive) {
        coord_send_tip(w, e->a, e->b);
    }
}

static void tips_unref(void *tips)
{
    g_hash_table_unref(tips);
}

static void do_env_move(World *w, const SlCoordEffect *e)
{
    Event *later = world_after(w, rng_between(&w->rng, 1000, SL_SECOND_US / 4), env_moved, -1);
    later->life = w->coord_life;
    later->a = g_strdup(e->env);
    later->b = g_strdup(e->new_);
    later->data = g_hash_table_ref(w->tips);
    later->data_free = tips_unref;
}

static Agent *agent_of(const World *w, const char *curve)
{
    for (guint i = 0; i < w->agents->len; i++) {
        if (strcmp(agent_at(w, (int)i)->curve, curve) == 0) {
            return agent_at(w, (int)i);
        }
    }
    return NULL;
}

static void do_send(World *w, const SlCoordEffect *e)
{
    static const MessageType types[] = {
        [SL_COORD_SEND_RESET] = MSG_RESET,       [SL_COORD_SEND_STEPS] = MSG_STEPS,
        [SL_COORD_SEND_HEAD] = MSG_HEAD,         [SL_COORD_SEND_REPORT_ACK] = MSG_REPORT_ACK,
        [SL_COORD_SEND_SEAL_ACK] = MSG_SEAL_ACK,
    };
    Agent *a = agent_of(w, e->curve);
    if (a == NULL) {
        return;
    }
    Message *m = message_new(types[e->send]);
    m->statement = e->statement != NULL ? sl_signed_copy(e->statement) : NULL;
    m->roots = e->roots != NULL ? g_ptr_array_ref(e->roots) : NULL;
    m->registries = e->registries != NULL ? g_ptr_array_ref(e->registries) : NULL;
    m->digest = g_strdup(e->digest);
    m->text = g_strdup(e->send == SL_COORD_SEND_SEAL_ACK ? e->refused : e->boot);
    m->n[0] = e->counter;
    m->flag = e->want_full;
    if (m->type == MSG_HEAD) {
        check(w, &(Moment){.type = AT_HEAD, .agent = a, .statement = e->statement});
    }
    net_send(w, a, TO_AGENT, m);
}

static void do_reply(World *w, const SlCoordEffect *e)
{
    json_t *reply = json_object();
    json_object_set_new(reply, "status", json_integer(e->status));
    json_object_set(reply, "body", e->body);
    if (e->roots != NULL) { /* enrolment: roots and registries are read by the set-up */
        json_t *roots = json_array(), *registries = json_array();
        for (guint i = 0; i < e->roots->len; i++) {
            json_array_append_new(roots, sl_signed_to_json(e->roots->pdata[i]));
        }
        for (guint i = 0; i < e->registries->len; i++) {
            json_array_append_new(registries, sl_signed_to_json(e->registries->pdata[i]));
        }
        json_object_set_new(reply, "roots", roots);
        json_object_set_new(reply, "registries", registries);
    }
    if (strikes(w, FAULT_LOSE)) {
        json_decref(reply);
        return;
    }
    g_hash_table_replace(w->replies, g_strdup(e->id), reply);
}

static void poll_event(World *w, Event *e)
{
    if (e->life == w->coord_life && w->coord != NULL) {
        coord_poll(w);
    }
}

void coord_perform(World *w, const SlCoordEffect *e)
{
    Event *later = NULL;
    switch (e->type) {
    case SL_COORD_DO_REPLY:
    case SL_COORD_DO_ENROL_REPLY:
        do_reply(w, e);
        break;
    case SL_COORD_DO_RENDER:
        do_render(w, e);
        break;
    case SL_COORD_DO_ENV_WRITE:
        do_env_write(w, e);
        break;
    case SL_COORD_DO_ENV_MOVE:
        do_env_move(w, e);
        break;
    case SL_COORD_DO_SEND:
        do_send(w, e);
        break;
    case SL_COORD_DO_REFRESH:
        later = world_after(w, rng_between(&w->rng, 1000, SL_SECOND_US), poll_event, -1);
        later->life = w->coord_life;
        break;
    case SL_COORD_N_EFFECTS:
        break;
    }
}
