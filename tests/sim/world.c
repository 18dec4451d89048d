/* world.c - seed, clock, the queue of events, and messages between the two kinds of processes. */
#include "sim.h"

/* splitmix64 */
uint64_t rng_next(Rng *rng)
{
    uint64_t z = (rng->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t rng_below(Rng *rng, uint64_t n)
{
    return n == 0 ? 0 : rng_next(rng) % n;
}

bool rng_chance(Rng *rng, unsigned per_mille)
{
    return rng_below(rng, 1000) < per_mille;
}

int64_t rng_between(Rng *rng, int64_t from, int64_t to)
{
    return from + (int64_t)rng_below(rng, (uint64_t)(to - from + 1));
}

char *rng_hex(Rng *rng, size_t bytes)
{
    g_autofree uint8_t *raw = g_malloc(bytes);
    for (size_t i = 0; i < bytes; i++) {
        raw[i] = (uint8_t)rng_next(rng);
    }
    return sl_hex(raw, bytes);
}

void fail(World *w, const char *format, ...)
{
    if (w->failure != NULL) {
        return;
    }
    va_list args;
    va_start(args, format);
    w->failure = g_strdup_vprintf(format, args);
    va_end(args);
}

void say(const World *w, const char *format, ...)
{
    if (!w->verbose) {
        return;
    }
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    (void)fprintf(stderr, "%10.3f %s\n", (double)(w->now - SIM_T0) / 1e6, text);
}

Message *message_new(MessageType type)
{
    Message *m = g_new0(Message, 1);
    m->type = type;
    m->refs = 1;
    return m;
}

void message_unref(Message *m)
{
    if (m == NULL || --m->refs > 0) {
        return;
    }
    sl_signed_free(m->statement);
    g_clear_pointer(&m->roots, g_ptr_array_unref);
    g_clear_pointer(&m->registries, g_ptr_array_unref);
    g_free(m->text);
    g_free(m->digest);
    g_clear_pointer(&m->bytes, g_bytes_unref);
    g_free(m);
}

static gint by_time(gconstpointer left, gconstpointer right, gpointer user)
{
    const Event *l = left, *r = right;
    (void)user;
    if (l->at != r->at) {
        return l->at < r->at ? -1 : 1;
    }
    return l->order < r->order ? -1 : 1;
}

Event *world_after(World *w, int64_t us, void (*fire)(World *, Event *), int agent)
{
    Event *e = g_new0(Event, 1);
    e->at = w->now + MAX(us, 0);
    e->order = ++w->order;
    e->fire = fire;
    e->agent = agent;
    g_sequence_insert_sorted(w->events, e, by_time, NULL);
    return e;
}

/* ---- the network ---- */

static void say_message(const World *w, const Event *e, const char *what)
{
    static const char *const NAMES[] = {"hello", "report",     "seal",     "fetch", "reset", "steps",
                                        "head",  "report-ack", "seal-ack", "blob",  "missing"};
    if (w->wire) {
        say(w, "  %s %s %s%s", w->agents[e->agent].cluster, e->n == TO_COORD ? ">" : "<",
            NAMES[e->message->type], what);
    }
}

static void deliver(World *w, Event *e)
{
    Agent *a = &w->agents[e->agent];
    bool late = e->link != a->link;
    if (late && !(w->faults && rng_chance(&w->rng, 100))) {
        return; /* the connection is gone; now and then its bytes come all the same */
    }
    if (!a->connected || (w->faults && w->now < a->cut_until)) {
        say_message(w, e, " (lost)");
        return;
    }
    say_message(w, e, "");
    w->messages++;
    if (e->n == TO_COORD) {
        coord_take(w, a, e->message);
    } else if (a->brain != NULL) {
        agent_take(w, a, e->message);
    }
}

void net_send(World *w, Agent *a, Direction direction, Message *m)
{
    unsigned copies = 1;
    if (w->faults && rng_chance(&w->rng, w->lose)) {
        copies = 0;
    } else if (w->faults && rng_chance(&w->rng, w->repeat)) {
        copies = 2;
    }
    for (unsigned i = 0; i < copies; i++) {
        int64_t delay = w->faults ? rng_between(&w->rng, 100, w->latency_us) : 500;
        Event *e = world_after(w, delay, deliver, a->index);
        e->link = a->link;
        e->n = direction;
        m->refs++;
        e->message = m;
    }
    message_unref(m);
}

void net_connect(World *w, Agent *a)
{
    if (a->brain == NULL || a->connected || w->coord == NULL ||
        (w->faults && w->now < a->cut_until)) {
        return;
    }
    a->connected = true;
    a->link++;
    g_free(a->nonce);
    a->nonce = rng_hex(&w->rng, 16);
    agent_step(w, a, &(SlAgentInput){.type = SL_AGENT_CONNECTED, .nonce = a->nonce});
}

static void gone(World *w, Event *e)
{
    Agent *a = &w->agents[e->agent];
    if (w->coord != NULL && !a->connected) {
        coord_step(w, &(SlCoordInput){.type = SL_COORD_GONE, .curve = a->curve});
    }
}

void net_disconnect(World *w, Agent *a)
{
    if (!a->connected) {
        return;
    }
    a->connected = false;
    a->link++;
    if (a->brain != NULL) {
        agent_step(w, a, &(SlAgentInput){.type = SL_AGENT_DISCONNECTED});
    }
    (void)world_after(w, 10 * SL_SECOND_US, gone, a->index);
}
