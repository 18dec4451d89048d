/* relay.c - somebody on the way between coordinator and agents, past the transport's keys: takes away, plays
 * again, mixes the sessions of agents, swaps bodies, answers for the other side. */
#include "evil.h"

#define KEPT_MAX 200

typedef struct {
    GPtrArray *messages; /* of Message*, each held */
    bool mine;
} Relay;

static void relay_free(void *data)
{
    Relay *relay = data;
    g_ptr_array_unref(relay->messages);
    g_free(relay);
}

static void *relay_new(void)
{
    Relay *relay = g_new0(Relay, 1);
    relay->messages = g_ptr_array_new_with_free_func((GDestroyNotify)message_unref);
    return relay;
}

static Relay *relay_of(World *w)
{
    return world_keep(w, "relay", relay_new, relay_free);
}

/* Copies what it carries: the one on the wire is changed and freed by others. */
static Message *copy_of(const Message *m)
{
    Message *copy = message_new(m->type);
    copy->statement = m->statement != NULL ? sl_signed_copy(m->statement) : NULL;
    copy->roots = m->roots != NULL ? g_ptr_array_ref(m->roots) : NULL;
    copy->registries = m->registries != NULL ? g_ptr_array_ref(m->registries) : NULL;
    copy->text = g_strdup(m->text);
    copy->digest = g_strdup(m->digest);
    copy->bytes = m->bytes != NULL ? g_bytes_ref(m->bytes) : NULL;
    memcpy(copy->n, m->n, sizeof(copy->n));
    copy->flag = m->flag;
    copy->is_statement = m->is_statement;
    return copy;
}

static const Message *any_of_type(const Relay *relay, Rng *rng, MessageType type)
{
    for (int tries = 0; tries < 8 && relay->messages->len > 0; tries++) {
        const Message *m = g_ptr_array_index(relay->messages, rng_below(rng, relay->messages->len));
        if (m->type == type) {
            return m;
        }
    }
    return NULL;
}

/* The body of another message of its kind, under its own name. */
static void swap_body(const Relay *relay, Rng *rng, Message *m)
{
    const Message *other = any_of_type(relay, rng, m->type);
    if (other == NULL) {
        return;
    }
    if (m->statement != NULL && other->statement != NULL) {
        sl_signed_free(m->statement);
        m->statement = sl_signed_copy(other->statement);
    }
    if (m->bytes != NULL && other->bytes != NULL) {
        g_bytes_unref(m->bytes);
        m->bytes = g_bytes_ref(other->bytes);
    }
}

static void keep(Relay *relay, Rng *rng, const Message *m)
{
    if (relay->messages->len >= KEPT_MAX) {
        g_ptr_array_remove_index_fast(relay->messages, (guint)rng_below(rng, KEPT_MAX));
    }
    g_ptr_array_add(relay->messages, copy_of(m));
}

/* A seal that did not arrive is acknowledged all the same. */
static void swallow_seal(World *w, Relay *relay, Agent *a, const Message *m)
{
    Message *ack = message_new(MSG_SEAL_ACK);
    ack->digest = sl_signed_digest(m->statement);
    relay->mine = true;
    net_send(w, a, TO_AGENT, ack);
    relay->mine = false;
}

static bool wire(World *w, Rng *rng, Agent *a, int direction, Message *m)
{
    Relay *relay = relay_of(w);
    if (relay->mine || hand_is_mine(w)) { /* a thief's steps would do harm where nobody must sign */
        return true;
    }
    if (direction == TO_COORD && m->type == MSG_SEAL && rng_chance(rng, 300)) {
        swallow_seal(w, relay, a, m);
        return false;
    }
    if (rng_chance(rng, 300)) {
        keep(relay, rng, m);
    }
    if (rng_chance(rng, 30)) {
        return false;
    }
    if (rng_chance(rng, 30)) {
        swap_body(relay, rng, m);
    }
    return true;
}

static bool goes_to_agents(const Message *m)
{
    return m->type == MSG_RESET || m->type >= MSG_STEPS;
}

/* Plays an old message again, to whomever. */
static void act(World *w, Rng *rng)
{
    Relay *relay = relay_of(w);
    if (relay->messages->len == 0) {
        return;
    }
    Message *m = copy_of(g_ptr_array_index(relay->messages, rng_below(rng, relay->messages->len)));
    Agent *a = agent_at(w, (int)rng_below(rng, w->agents->len));
    relay->mine = true;
    net_send(w, a, goes_to_agents(m) ? TO_AGENT : TO_COORD, m);
    relay->mine = false;
}

const Actor actor_relay = {
    .name = "relay", .per_mille = 300, .mean_us = 2 * SL_SECOND_US, .act = act, .wire = wire};
