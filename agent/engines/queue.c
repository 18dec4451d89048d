/* queue.c - what the engine says goes out on the next turn of the loop, in order: never from inside
 * an operation. */
#include "agent/engines/queue.h"

typedef enum { SAY_APPLIED, SAY_REMOVED, SAY_OBSERVED, SAY_RUN, SAY_ENDED } SayType;

typedef struct {
    SayType type;
    SlEngineRef ref; /* owned strings */
    char *digest, *reason, *message, *run_id;
    SlHealth health;
    GError *error;
    json_t *json;
} Say;

#define SAYS_AT_ONCE                                                                               \
    256 /* in one turn: what they change is saved together, and messages still get their turn */

struct SlEventQueue {
    SlEngineEvents out;
    SlTimer *timer;
    GQueue says;
};

static void say_free(void *data)
{
    Say *say = data;
    g_free((char *)say->ref.app);
    g_free((char *)say->ref.kind);
    g_free((char *)say->ref.namespace_);
    g_free((char *)say->ref.name);
    g_free(say->digest);
    g_free(say->reason);
    g_free(say->message);
    g_free(say->run_id);
    g_clear_error(&say->error);
    json_decref(say->json);
    g_free(say);
}

static void say_one(const SlEngineEvents *out, const Say *say)
{
    switch (say->type) {
    case SAY_APPLIED:
        out->applied(out->user, &say->ref, say->digest, say->error);
        break;
    case SAY_REMOVED:
        out->removed(out->user, &say->ref, say->error);
        break;
    case SAY_OBSERVED:
        out->observed(out->user, &say->ref, say->health, say->reason, say->message);
        break;
    case SAY_RUN:
        out->run(out->user, say->run_id, say->json);
        break;
    case SAY_ENDED:
        out->run_ended(out->user, say->run_id, say->json);
        break;
    }
}

static void flush(void *data)
{
    SlEventQueue *queue = data;
    guint left = MIN(queue->says.length, SAYS_AT_ONCE);
    for (; left > 0; left--) {
        Say *say = g_queue_pop_head(&queue->says);
        say_one(&queue->out, say); /* may add more: they come in the next turn */
        say_free(say);
    }
    sl_timer_arm(queue->timer, g_queue_is_empty(&queue->says) ? -1 : 0);
}

static Say *add(SlEventQueue *queue, SayType type, const SlEngineRef *ref)
{
    Say *say = g_new0(Say, 1);
    say->type = type;
    if (ref)
        say->ref = (SlEngineRef){g_strdup(ref->app), g_strdup(ref->kind), g_strdup(ref->namespace_),
                                 g_strdup(ref->name)};
    g_queue_push_tail(&queue->says, say);
    sl_timer_arm(queue->timer, 0);
    return say;
}

static void applied(void *user, const SlEngineRef *ref, const char *digest, const GError *error)
{
    Say *say = add(user, SAY_APPLIED, ref);
    say->digest = g_strdup(digest);
    say->error = error ? g_error_copy(error) : NULL;
}

static void removed(void *user, const SlEngineRef *ref, const GError *error)
{
    Say *say = add(user, SAY_REMOVED, ref);
    say->error = error ? g_error_copy(error) : NULL;
}

static void observed(void *user, const SlEngineRef *ref, SlHealth health, const char *reason,
                     const char *message)
{
    Say *say = add(user, SAY_OBSERVED, ref);
    say->health = health;
    say->reason = g_strdup(reason);
    say->message = g_strdup(message);
}

static void run(void *user, const char *run_id, const json_t *record)
{
    Say *say = add(user, SAY_RUN, NULL);
    say->run_id = g_strdup(run_id);
    say->json = json_deep_copy(record);
}

static void run_ended(void *user, const char *run_id, const json_t *end)
{
    Say *say = add(user, SAY_ENDED, NULL);
    say->run_id = g_strdup(run_id);
    say->json = json_deep_copy(end);
}

SlEventQueue *sl_event_queue_new(SlLoop *loop, const SlEngineEvents *out)
{
    SlEventQueue *queue = g_new0(SlEventQueue, 1);
    queue->out = *out;
    queue->timer = sl_timer_new(loop, flush, queue);
    g_queue_init(&queue->says);
    return queue;
}

SlEngineEvents sl_event_queue_in(SlEventQueue *queue)
{
    return (SlEngineEvents){queue, applied, removed, observed, run, run_ended};
}

json_t *sl_engine_lost_end(int64_t now_us)
{
    json_t *end = json_object();
    sl_json_set_str(end, "phase", "Failed");
    sl_json_set_str(end, "reason", "Lost");
    sl_json_set_str(end, "exit", "lost");
    sl_json_set_str(end, "message", "the engine has no record of this run any more");
    sl_json_set_int(end, "attempts", 0);
    sl_json_set_int(end, "started", now_us);
    sl_json_set_int(end, "finished", now_us);
    json_object_set_new(end, "outputs", json_array());
    json_object_set_new(end, "metrics", json_array());
    return end;
}

void sl_event_queue_free(SlEventQueue *queue)
{
    if (!queue)
        return;
    sl_timer_free(queue->timer);
    g_queue_clear_full(&queue->says, say_free);
    g_free(queue);
}
