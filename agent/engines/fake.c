/* fake.c - an engine in memory, chosen by configuration: every path of the agent runs without a
 * machine. What an object or run does is said in its annotations: gitops.sluice/fake-health:
 * Healthy | Degraded ...   gitops.sluice/fake-error: text (apply fails) gitops.sluice/fake-run:
 * Succeeded | Failed | Running   gitops.sluice/fake-outputs, fake-metrics: lines of the end record
 */
#include "agent/engines/queue.h"
#include "base/text.h"
#include "core/bundle.h"
#include <string.h>

#define FAKE(word) SL_API_GROUP "/fake-" word

struct SlEngine {
    SlEventQueue *queue;
    SlEngineEvents events;
    const SlClock *clock;
    GHashTable *objects; /* key -> digest */
    GHashTable *runs;    /* run id -> json end or record */
};

static char *key_of(const SlEngineRef *ref)
{
    return g_strdup_printf("%s %s %s %s", ref->app, ref->kind, ref->namespace_, ref->name);
}

static bool fake_can_apply(const char *kind)
{
    return *kind != '\0';
}

static SlEngine *fake_open(const SlEngineConfig *config, GError **error)
{
    (void)error;
    SlEngine *engine = g_new0(SlEngine, 1);
    engine->queue = sl_event_queue_new(config->loop, config->events);
    engine->events = sl_event_queue_in(engine->queue);
    engine->clock = config->clock;
    engine->objects = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    engine->runs =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)json_decref);
    return engine;
}

static void fake_close(SlEngine *engine)
{
    if (!engine)
        return;
    sl_event_queue_free(engine->queue);
    g_hash_table_unref(engine->objects);
    g_hash_table_unref(engine->runs);
    g_free(engine);
}

static void observe(SlEngine *engine, const SlEngineApply *what)
{
    SlHealth health = SL_HEALTH_HEALTHY;
    const char *said = sl_object_annotation(what->object, FAKE("health"));
    if (said && !sl_health_parse(said, &health))
        health = SL_HEALTH_UNKNOWN;
    engine->events.observed(engine->events.user, &what->ref, health, "Fake", said ? said : "");
}

static void fake_apply(SlEngine *engine, const SlEngineApply *what)
{
    const char *problem = sl_object_annotation(what->object, FAKE("error"));
    g_autoptr(GError) error = NULL;
    if (problem)
        sl_throw(&error, SLU_OBJECT_SPEC, "%s", problem);
    else
        g_hash_table_insert(engine->objects, key_of(&what->ref), g_strdup(what->digest));
    engine->events.applied(engine->events.user, &what->ref, what->digest, error);
    if (!problem)
        observe(engine, what);
}

static void fake_remove(SlEngine *engine, const SlEngineRef *ref)
{
    g_autofree char *key = key_of(ref);
    g_hash_table_remove(engine->objects, key);
    engine->events.removed(engine->events.user, ref, NULL);
}

static void fake_adopt(SlEngine *engine, const SlEngineApply *what)
{
    g_autofree char *key = key_of(&what->ref);
    if (g_hash_table_contains(engine->objects, key))
        observe(engine, what);
    else
        engine->events.observed(engine->events.user, &what->ref, SL_HEALTH_MISSING, "Missing",
                                "not applied here");
}

static json_t *lines_of(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", 64);
    json_t *list = json_array();
    for (char **line = lines; *line; line++)
        if (**line)
            json_array_append_new(list, json_string(*line));
    return list;
}

static json_t *record_of(const SlEngineRun *run, const char *phase)
{
    json_t *record = json_object();
    g_autofree char *unit = g_strdup_printf("%s/%s", run->app, run->env);
    sl_json_set_str(record, "id", run->run_id);
    sl_json_set_str(record, "key", run->run_key);
    sl_json_set_str(record, "unit", unit);
    sl_json_set_str(record, "job", run->job);
    sl_json_set_str(record, "cluster", run->cluster);
    sl_json_set_int(record, "generation", (int64_t)run->generation);
    sl_json_set_str(record, "phase", phase);
    sl_json_set_int(record, "attempt", 1);
    return record;
}

static json_t *end_of(const SlEngine *engine, const char *phase, const char *reason,
                      const char *exit, const json_t *object)
{
    int64_t now = engine->clock->utc_us(engine->clock->user);
    json_t *end = json_object();
    sl_json_set_str(end, "phase", phase);
    sl_json_set_str(end, "reason", reason);
    sl_json_set_str(end, "exit", exit);
    sl_json_set_str(end, "message", "");
    sl_json_set_int(end, "attempts", 1);
    sl_json_set_int(end, "started", now);
    sl_json_set_int(end, "finished", now);
    json_object_set_new(end, "outputs",
                        lines_of(object ? sl_object_annotation(object, FAKE("outputs")) : NULL));
    json_object_set_new(end, "metrics",
                        lines_of(object ? sl_object_annotation(object, FAKE("metrics")) : NULL));
    return end;
}

static void fake_run_start(SlEngine *engine, const SlEngineRun *run)
{
    json_t *known = g_hash_table_lookup(engine->runs, run->run_id);
    const char *phase = sl_object_annotation(run->object, FAKE("run"));
    if (!phase)
        phase = "Succeeded";
    bool ends = strcmp(phase, "Running") != 0;
    if (!known) {
        bool good = strcmp(phase, "Succeeded") == 0;
        known = ends ? end_of(engine, phase, good ? "Completed" : "NonZeroExit", good ? "0" : "1",
                              run->object)
                     : json_null();
        g_hash_table_insert(engine->runs, g_strdup(run->run_id), known);
    }
    const char *now = json_is_object(known) ? sl_json_str(known, "phase") : phase;
    g_autoptr(json_t) record = record_of(run, now);
    engine->events.run(engine->events.user, run->run_id, record);
    if (json_is_object(known))
        engine->events.run_ended(engine->events.user, run->run_id, known);
}

static void fake_run_stop(SlEngine *engine, const char *run_id, const char *reason)
{
    json_t *known = g_hash_table_lookup(engine->runs, run_id);
    if (!known || json_is_object(known))
        return;
    json_t *end = end_of(engine, "Failed", "Stopped", "signal 15", NULL);
    sl_json_set_str(end, "message", reason);
    g_hash_table_insert(engine->runs, g_strdup(run_id), end);
    engine->events.run_ended(engine->events.user, run_id, end);
}

static void fake_run_adopt(SlEngine *engine, const char *run_id)
{
    json_t *known = g_hash_table_lookup(engine->runs, run_id);
    if (known && !json_is_object(known))
        return;
    g_autoptr(json_t) lost = sl_engine_lost_end(engine->clock->utc_us(engine->clock->user));
    engine->events.run_ended(engine->events.user, run_id, known ? known : lost);
}

static void fake_run_forget(SlEngine *engine, const char *run_id)
{
    (void)engine; /* the id stays known: there is nothing else to collect */
    (void)run_id;
}

static GBytes *fake_log(SlEngine *engine, const SlEngineLogAsk *ask, SlEngineLog *ret_log,
                        GError **error)
{
    static const char text[] = "a line of the fake engine\n";
    size_t len = sizeof text - 1;
    if (ask->run_id && !g_hash_table_contains(engine->runs, ask->run_id))
        return sl_throw_null(error, SLU_RUN_UNKNOWN, "no run %s is known here", ask->run_id);
    if (ask->rank > 0 || ask->previous)
        return sl_throw_null(error, SLU_LOG_MISSING, "process %u: nothing is here", ask->rank);
    uint64_t from = ask->tail ? (len > ask->max ? len - ask->max : 0) : MIN(ask->offset, len);
    *ret_log = (SlEngineLog){.offset = from, .size = len, .finished = true};
    return g_bytes_new(text + from, MIN(ask->max, len - from));
}

extern const SlEngineOps sl_engine_fake;
const SlEngineOps sl_engine_fake = {
    .name = "fake",
    .can_apply = fake_can_apply,
    .open = fake_open,
    .close = fake_close,
    .apply = fake_apply,
    .remove = fake_remove,
    .adopt = fake_adopt,
    .run_start = fake_run_start,
    .run_stop = fake_run_stop,
    .run_adopt = fake_run_adopt,
    .run_forget = fake_run_forget,
    .log = fake_log,
};
