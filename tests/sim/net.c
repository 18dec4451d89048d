/* net.c - messages between coordinator and agents: lost, late, twice, out of order; a link is one
 * generation of a connection. */
#include "sim.h"

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

static const char *const NAMES[N_MESSAGES] = {"hello",    "report", "seal",   "fetch",
                                              "reset",    "steps",  "head",   "report-ack",
                                              "seal-ack", "blob",   "missing"};

static void say_message(const World *w, const Event *e, const char *what)
{
    if (w->options.wire) {
        say(w, "  %s %s %s%s", agent_at(w, e->agent)->cluster, e->n == TO_COORD ? ">" : "<",
            NAMES[e->message->type], what);
    }
}

static void note_message(World *w, const Event *e)
{
    const Message *m = e->message;
    note_text(w, NAMES[m->type], e->agent, m->digest != NULL ? m->digest : m->text);
    if (m->statement != NULL) {
        gsize len = 0;
        const void *text = g_bytes_get_data(m->statement->text, &len);
        note(w, "text", e->agent, text, len);
    }
}

static void deliver(World *w, Event *e)
{
    Agent *a = agent_at(w, e->agent);
    if (e->link != a->link && !strikes(w, FAULT_LATE)) {
        return; /* the connection is gone; now and then its bytes come all the same */
    }
    if (!a->connected || w->now < a->cut_until[e->n]) {
        say_message(w, e, " (lost)");
        return;
    }
    say_message(w, e, "");
    w->messages++;
    note_message(w, e);
    if (e->n == TO_COORD) {
        coord_take(w, a, e->message);
    } else if (a->brain != NULL) {
        agent_take(w, a, e->message);
    }
}

/* What an actor does with it; false = taken away. */
static bool pass_actors(World *w, Agent *a, Direction direction, Message *m)
{
    for (size_t i = 0; w->faults && i < ACTORS_COUNT; i++) {
        bool on = ((w->actors_on >> i) & 1) != 0 && ACTORS[i]->wire != NULL;
        if (on && !ACTORS[i]->wire(w, &w->actor_rng[i], a, (int)direction, m)) {
            return false;
        }
    }
    return true;
}

void net_send(World *w, Agent *a, Direction direction, Message *m)
{
    unsigned copies = strikes(w, FAULT_LOSE) ? 0 : strikes(w, FAULT_REPEAT) ? 2 : 1;
    if (!pass_actors(w, a, direction, m)) {
        copies = 0;
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

static bool is_cut(const World *w, const Agent *a)
{
    return w->now < a->cut_until[TO_COORD] || w->now < a->cut_until[TO_AGENT] ||
           w->now < a->away_until;
}

void net_connect(World *w, Agent *a)
{
    if (a->brain == NULL || a->connected || w->coord == NULL || is_cut(w, a)) {
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
    Agent *a = agent_at(w, e->agent);
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
