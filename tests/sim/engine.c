/* engine.c - a cluster in memory. Objects and runs live on when the agent's process ends; an
 * operation under way then may have happened or not. What it does is said by arguments: a job has
 * `accuracy=0.97` and `take=600` (seconds) and may `fail`; a server may be `broken`, broken in one
 * environment (`broken-prod`), `slow` to come up, written only after a minute (`tarries`), or in one
 * environment after twelve (`crawls-prod`), the first time. A model is made from its run key. */
#include "sim.h"

void engine_object_free(EngineObject *o)
{
    g_free(o->app);
    g_free(o->digest);
    g_free(o);
}

void engine_run_free(EngineRun *r)
{
    g_free(r->id);
    g_free(r->run_key);
    g_free(r->job);
    g_clear_pointer(&r->outputs, g_ptr_array_unref);
    g_clear_pointer(&r->metrics, g_ptr_array_unref);
    g_free(r);
}

/* An object that an event is about: e->a app, e->b "kind ns name", e->c digest. */
static Event *object_event(World *w, int64_t us, void (*fire)(World *, Event *), Agent *a,
                           const SlAgentEffect *e)
{
    Event *later = world_after(w, us, fire, a->index);
    later->life = a->life;
    later->a = g_strdup(e->app);
    later->b = g_strdup_printf("%s %s %s", e->kind, e->namespace_, e->name);
    later->c = g_strdup(e->digest);
    return later;
}

/* Operations of one object come in their order: each begins when the one before has answered. */
static int64_t turn_of(const World *w, const Agent *a, const SlAgentEffect *e)
{
    g_autofree char *key = g_strdup_printf("%s %s %s", e->kind, e->namespace_, e->name);
    const int64_t *busy_until = g_hash_table_lookup(a->busy, key);
    return busy_until != NULL ? MAX(*busy_until, w->now) : w->now;
}

static int64_t in_turn(const World *w, Agent *a, const SlAgentEffect *e, int64_t us)
{
    int64_t done = turn_of(w, a, e) + us;
    g_hash_table_replace(a->busy, g_strdup_printf("%s %s %s", e->kind, e->namespace_, e->name),
                         g_memdup2(&done, sizeof(done)));
    return done - w->now;
}

static void tell_object(World *w, Agent *a, const Event *e, SlAgentInput *in)
{
    g_auto(GStrv) words = g_strsplit(e->b, " ", 3);
    in->object = (SlObjectRef){e->a, words[0], words[1], words[2]};
    agent_step(w, a, in);
}

static void observe_later(World *w, Agent *a, const Event *e, int64_t us);

static void observe(World *w, Event *e)
{
    Agent *a = agent_at(w, e->agent);
    const EngineObject *o = g_hash_table_lookup(a->objects, e->b);
    if (e->life != a->life) {
        return;
    }
    SlAgentInput in = {.type = SL_AGENT_OBSERVED,
                       .health = SL_HEALTH_MISSING,
                       .reason = "Missing",
                       .message = "it is not there"};
    if (o != NULL && strcmp(o->digest, e->c) == 0 && o->broken) {
        in.health = SL_HEALTH_DEGRADED;
        in.reason = "CrashLoop";
        in.message = "it ends again and again";
    } else if (o != NULL && strcmp(o->digest, e->c) == 0) {
        bool ready = w->now >= o->healthy_at;
        in.health = ready ? SL_HEALTH_HEALTHY : SL_HEALTH_PROGRESSING;
        in.reason = ready ? "Ready" : "Starting";
        in.message = "";
        if (!ready) {
            observe_later(w, a, e, o->healthy_at - w->now);
        }
    }
    tell_object(w, a, e, &in);
}

static void observe_later(World *w, Agent *a, const Event *e, int64_t us)
{
    Event *later = world_after(w, us, observe, a->index);
    later->life = a->life;
    later->a = g_strdup(e->a);
    later->b = g_strdup(e->b);
    later->c = g_strdup(e->c);
}

/* The object has an argument that starts so. */
static bool has_argument(const Agent *a, const char *digest, const char *word)
{
    g_autofree char *quoted = g_strdup_printf("\"%s", word);
    GBytes *bytes = g_hash_table_lookup(a->blobs, digest);
    gsize size = 0;
    const char *text = bytes != NULL ? g_bytes_get_data(bytes, &size) : NULL;
    return text != NULL && g_strstr_len(text, (gssize)size, quoted) != NULL;
}

/* What follows @word up to a quote or space, at most @most bytes; NULL if @word is not there. */
static char *value_after(const char *text, const char *word, size_t most)
{
    const char *at = strstr(text, word);
    return at != NULL ? g_strndup(at + strlen(word), MIN(strcspn(at + strlen(word), "\" "), most))
                      : NULL;
}

static void put_object(World *w, Agent *a, const Event *e)
{
    g_autofree char *here = g_strdup_printf("broken-%s\"", a->env);
    EngineObject *o = g_hash_table_lookup(a->objects, e->b);
    if (o != NULL && strcmp(o->digest, e->c) == 0) {
        return;
    }
    o = g_new0(EngineObject, 1);
    o->app = g_strdup(e->a);
    o->digest = g_strdup(e->c);
    o->healthy_at = w->now + rng_between(&w->rng, SL_SECOND_US / 10, 4 * SL_SECOND_US);
    o->ours = true;
    o->broken = has_argument(a, e->c, "broken\"") || has_argument(a, e->c, here);
    o->healthy_at += has_argument(a, e->c, "slow\"") ? 7 * SL_MINUTE_US : 0;
    g_hash_table_replace(a->objects, g_strdup(e->b), o);
}

/* A server whose model is not in the store can't start. */
static bool has_models(World *w, Agent *a, const char *digest)
{
    GBytes *bytes = g_hash_table_lookup(a->blobs, digest);
    gsize size = 0;
    const char *text = bytes != NULL ? g_bytes_get_data(bytes, &size) : NULL;
    const char *at = text != NULL ? g_strstr_len(text, (gssize)size, "model://sha256:") : NULL;
    if (at == NULL) {
        return true;
    }
    g_autofree char *model = g_strndup(at + strlen("model://sha256:"), 64);
    return g_hash_table_contains(w->models, model);
}

static void applied(World *w, Event *e)
{
    Agent *a = agent_at(w, e->agent);
    if (e->life != a->life) {
        if (rng_chance(&w->rng, 500)) {
            put_object(w, a, e);
        }
        return;
    }
    g_autoptr(GError) error = NULL;
    if (strikes(w, FAULT_ENGINE)) {
        (void)sl_throw(&error, SLU_UNAVAILABLE, "the cluster does not answer");
    } else if (!has_models(w, a, e->c)) {
        (void)sl_throw(&error, SLU_NOT_FOUND, "its model is not in the store");
    } else {
        put_object(w, a, e);
    }
    SlAgentInput in = {.type = SL_AGENT_APPLIED, .digest = e->c, .error = error};
    bool ok = error == NULL;
    if (ok) {
        observe_later(w, a, e, 1000);
    }
    tell_object(w, a, e, &in);
}

static void removed(World *w, Event *e)
{
    Agent *a = agent_at(w, e->agent);
    bool alive = e->life == a->life;
    if (alive || rng_chance(&w->rng, 500)) {
        g_hash_table_remove(a->objects, e->b);
    }
    if (alive) {
        SlAgentInput in = {.type = SL_AGENT_REMOVED};
        tell_object(w, a, e, &in);
    }
}

/* ---- runs ---- */

static EngineRun *run_new(World *w, Agent *a, const SlAgentEffect *e)
{
    EngineRun *run = g_new0(EngineRun, 1);
    run->id = g_strdup(e->run_id);
    run->run_key = g_strdup(e->run_key);
    run->job = g_strdup(e->job);
    run->started = agent_now(w, a);
    run->ends = w->now + rng_between(&w->rng, SL_SECOND_US, 40 * SL_SECOND_US);
    run->outputs = g_ptr_array_new_with_free_func(g_free);
    run->metrics = g_ptr_array_new_with_free_func(g_free);
    GBytes *bytes = g_hash_table_lookup(a->blobs, e->digest);
    gsize size = 0;
    const char *blob = bytes != NULL ? g_bytes_get_data(bytes, &size) : NULL;
    if (blob == NULL) {
        fail(w, "%s starts run %.12s, but its object is not there", a->cluster, e->run_id);
        return run;
    }
    g_autofree char *text = g_strndup(blob, size);
    g_autofree char *take = value_after(text, "\"take=", 10),
                    *accuracy = value_after(text, "accuracy=", 4);
    int64_t lasts = 0;
    if (take != NULL && sl_parse_int64(take, &lasts)) {
        run->ends = w->now + lasts * SL_SECOND_US;
    }
    run->fails = strstr(text, "\"fail\"") != NULL;
    if (run->fails) {
        return run;
    }
    if (accuracy != NULL) {
        g_ptr_array_add(run->metrics, g_strdup_printf("final.accuracy %s", accuracy));
    }
    if (strstr(text, "\"outputs\":[{") != NULL) {
        g_autofree char *seed = g_strdup_printf("model %s", e->run_key),
                        *digest = sl_sha256_hex(seed, strlen(seed));
        g_ptr_array_add(run->outputs, g_strdup_printf("model sha256:%s 1000", digest));
    }
    return run;
}

static void say_end(World *w, Agent *a, EngineRun *run)
{
    SlRunEnd end = {.run_id = run->id,
                    .phase = run->fails ? SL_RUN_FAILED : SL_RUN_SUCCEEDED,
                    .reason = run->stopped ? "Stopped"
                              : run->fails ? "NonZeroExit"
                                           : "Completed",
                    .exit = run->fails ? "1" : "0",
                    .attempts = 1,
                    .started_us = run->started,
                    .finished_us = run->started + SL_SECOND_US,
                    .outputs = run->outputs,
                    .metrics = run->metrics};
    agent_step(w, a, &(SlAgentInput){.type = SL_AGENT_RUN_ENDED, .end = &end});
}

static void run_ends(World *w, Event *e)
{
    Agent *a = agent_at(w, e->agent);
    EngineRun *run = g_hash_table_lookup(a->runs, e->a);
    if (!run->ended) {
        run->ended = true;
        for (guint i = 0; i < run->outputs->len;
             i++) { /* stored and synced before the end is said */
            g_hash_table_add(w->models,
                             g_strndup(strstr(run->outputs->pdata[i], "sha256:") + 7, 64));
        }
    }
    if (a->brain != NULL) {
        say_end(w, a, run);
    }
}

static void say_run(World *w, Agent *a, const EngineRun *run)
{
    const char *phase = !run->ended ? "Running" : run->fails ? "Failed" : "Succeeded";
    g_autoptr(json_t) record = json_pack("{s:s,s:{s:i}}", "phase", phase, "progress", "step", 1);
    g_autofree char *id = g_strdup(run->id);
    agent_step(w, a, &(SlAgentInput){.type = SL_AGENT_RUN, .run_id = id, .record = record});
}

static void run_said(World *w, Event *e)
{
    Agent *a = agent_at(w, e->agent);
    EngineRun *run = g_hash_table_lookup(a->runs, e->a);
    if (e->life != a->life || run == NULL) {
        return;
    }
    say_run(w, a, run);
    if (run->ended && !run->forgotten && a->brain != NULL && e->life == a->life) {
        say_end(w, a, run);
    }
}

static void run_say_later(World *w, Agent *a, const char *id)
{
    Event *later = world_after(w, 1000, run_said, a->index);
    later->life = a->life;
    later->a = g_strdup(id);
}

static void do_run_start(World *w, Agent *a, const SlAgentEffect *e)
{
    EngineRun *run = g_hash_table_lookup(a->runs, e->run_id);
    if (run == NULL) {
        run = run_new(w, a, e);
        g_hash_table_replace(a->runs, g_strdup(run->id), run);
        check(w, &(Moment){.type = AT_RUN_START,
                           .agent = a,
                           .effect = e,
                           .run_id = e->run_id,
                           .run_key = e->run_key});
        say(w, "%s starts run %.8s of job %s, key %.8s", a->cluster, run->id, run->job,
            run->run_key);
        Event *later = world_after(w, run->ends - w->now, run_ends, a->index);
        later->a = g_strdup(run->id);
    }
    run_say_later(w, a, e->run_id);
}

/* It ends at once, with nothing made. */
static void do_stop(World *w, Agent *a, EngineRun *run)
{
    if (run == NULL || run->ended) {
        return;
    }
    run->stopped = run->fails = true;
    g_ptr_array_set_size(run->outputs, 0);
    g_ptr_array_set_size(run->metrics, 0);
    Event *later = world_after(w, SL_SECOND_US, run_ends, a->index);
    later->a = g_strdup(run->id);
}

static void do_adopt(World *w, Agent *a, const SlAgentEffect *e)
{
    if (e->run_id == NULL) {
        (void)object_event(w, 1000, observe, a, e);
        return;
    }
    if (g_hash_table_lookup(a->runs, e->run_id) == NULL) {
        fail(w, "%s adopts run %.12s, which was never started there", a->cluster, e->run_id);
        return;
    }
    run_say_later(w, a, e->run_id);
}

void engine_start(World *w, Agent *a)
{
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, a->runs);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        const EngineRun *run = value;
        if (run->ended && !run->forgotten) {
            run_say_later(w, a, key);
        }
    }
}

void engine_drift(World *w, Agent *a)
{
    GHashTableIter iter;
    gpointer key, value;
    uint64_t skip = rng_below(&w->fault_rng[FAULT_DRIFT], g_hash_table_size(a->objects) + 1);
    g_hash_table_iter_init(&iter, a->objects);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        EngineObject *o = value;
        if (skip-- != 0 || !o->ours) {
            continue;
        }
        say(w, "%s: %s is gone", a->cluster, (char *)key);
        Event *later = world_after(w, 1000, observe, a->index);
        later->life = a->life;
        later->a = g_strdup(o->app);
        later->b = g_strdup(key);
        later->c = g_strdup(o->digest);
        g_hash_table_iter_remove(&iter);
        return;
    }
}

/* It says how something stands that nobody asked about: what was there before us, and is not ours. */
void engine_stray(World *w, Agent *a)
{
    g_auto(GStrv) words = g_strsplit(SIM_FOREIGN, " ", 3);
    agent_step(w, a,
               &(SlAgentInput){.type = SL_AGENT_OBSERVED,
                               .object = {w->apps->pdata[0], words[0], words[1], words[2]},
                               .health = SL_HEALTH_HEALTHY,
                               .reason = "Ready",
                               .message = ""});
}

/* What these bytes need is on the cluster's own disk this long after they were asked for first, also
 * when the agent ended meanwhile. */
#define FETCH_US (12 * SL_MINUTE_US)

static int64_t fetch_left(World *w, const Agent *a, const SlAgentEffect *e)
{
    GHashTable *fetches = world_keep_table(w, "fetches");
    g_autofree char *here = g_strdup_printf("%s %s", a->cluster, e->digest);
    const char *begun = g_hash_table_lookup(fetches, here);
    int64_t at = w->now;
    if (begun == NULL) {
        g_hash_table_insert(fetches, g_steal_pointer(&here),
                            g_strdup_printf("%" G_GINT64_FORMAT, w->now));
    } else {
        (void)sl_parse_int64(begun, &at);
    }
    return MAX(0, at + FETCH_US - turn_of(w, a, e));
}

void engine_do(World *w, Agent *a, const SlAgentEffect *e)
{
    int64_t delay = rng_between(&w->rng, 1000, w->faults ? SL_SECOND_US : 10000);
    g_autofree char *crawls = g_strdup_printf("crawls-%s\"", a->env);
    EngineRun *run = e->run_id != NULL ? g_hash_table_lookup(a->runs, e->run_id) : NULL;
    switch (e->type) {
    case SL_AGENT_DO_APPLY:
        delay += has_argument(a, e->digest, "tarries\"") ? SL_MINUTE_US : 0;
        delay += has_argument(a, e->digest, crawls) ? fetch_left(w, a, e) : 0;
        (void)object_event(w, in_turn(w, a, e, delay), applied, a, e);
        break;
    case SL_AGENT_DO_REMOVE:
        (void)object_event(w, in_turn(w, a, e, delay), removed, a, e);
        break;
    case SL_AGENT_DO_ADOPT:
        do_adopt(w, a, e);
        break;
    case SL_AGENT_DO_RUN_START:
        do_run_start(w, a, e);
        break;
    case SL_AGENT_DO_RUN_STOP:
        do_stop(w, a, run);
        break;
    case SL_AGENT_DO_RUN_FORGET:
        if (run != NULL) {
            run->forgotten = true;
        }
        break;
    default:
        break;
    }
}
