/* agent_shell.c - what an agent's shell does, in memory: slots on a disk that loses what was not
 * synced, blobs that were checked, one message per effect. A crash may come at any effect. */
#include "sim.h"

int64_t agent_now(const World *w, const Agent *a)
{
    return clock_now(w, &a->clock);
}

static GBytes *read_blob(const char *digest, void *user)
{
    return g_hash_table_lookup(((Agent *)user)->blobs, digest);
}

static void start_again(World *w, Event *e)
{
    Agent *a = agent_at(w, e->agent);
    if (a->brain == NULL) {
        agent_start(w, a);
    }
}

void agent_crash(World *w, Agent *a)
{
    if (a->brain == NULL) {
        return;
    }
    say(w, "%s ends", a->cluster);
    w->crashes++;
    a->connected = false;
    a->link++;
    a->life++;
    g_clear_pointer(&a->brain, sl_agent_free);
    if (strikes(w, FAULT_BLOB_LOST)) {
        GHashTableIter iter;
        gpointer key;
        uint64_t skip = rng_below(&w->rng, g_hash_table_size(a->blobs) + 1);
        g_hash_table_iter_init(&iter, a->blobs);
        while (g_hash_table_iter_next(&iter, &key, NULL)) {
            if (skip-- == 0) {
                g_hash_table_iter_remove(&iter);
                break;
            }
        }
    }
    (void)world_after(w, rng_between(&w->rng, SL_SECOND_US / 10, 20 * SL_SECOND_US), start_again,
                      a->index);
}

static void connect_event(World *w, Event *e)
{
    Agent *a = agent_at(w, e->agent);
    if (e->life == a->life) {
        net_connect(w, a);
    }
}

void agent_start(World *w, Agent *a)
{
    if (strikes(w, FAULT_SLOT_READ)) {
        say(w, "%s does not start: a slot can't be read", a->cluster);
        (void)world_after(w, rng_between(&w->rng, SL_SECOND_US, 10 * SL_SECOND_US), start_again,
                          a->index);
        return;
    }
    g_autofree char *boot = rng_hex(&w->rng, 16);
    SlAgentConfig config = {.secret = a->secret,
                            .cluster = a->cluster,
                            .env = a->env,
                            .version = "sim",
                            .boot = boot,
                            .root_digest = w->root_digest,
                            .blob = read_blob,
                            .user = a};
    g_autoptr(GError) error = NULL;
    a->brain = sl_agent_new(&config, a->slots[0], a->slots[1], &error);
    a->life++;
    if (a->brain == NULL) {
        fail(w, "%s does not start: %s", a->cluster, error->message);
        return;
    }
    say(w, "%s starts", a->cluster);
    check(w, &(Moment){.type = AT_AGENT_START, .agent = a});
    agent_step(w, a, &(SlAgentInput){.type = SL_AGENT_START});
    if (a->brain != NULL) {
        engine_start(w, a);
    }
    Event *e = world_after(w, rng_between(&w->rng, 1000, SL_SECOND_US), connect_event, a->index);
    e->life = a->life;
}

/* ---- saving ---- */

static void put_slot(GBytes **slot, GBytes *bytes, gsize len)
{
    g_clear_pointer(slot, g_bytes_unref);
    *slot = g_bytes_new_from_bytes(bytes, 0, len);
}

/* Nothing, a part, or all of it is there. */
static void tear_slot(World *w, GBytes **slot, GBytes *bytes)
{
    gsize size = g_bytes_get_size(bytes);
    if (!strikes(w, FAULT_SLOT_TORN)) {
        put_slot(slot, bytes, size);
    } else if (rng_chance(&w->fault_rng[FAULT_SLOT_TORN], 500)) {
        put_slot(slot, bytes, (gsize)rng_below(&w->fault_rng[FAULT_SLOT_TORN], size));
    }
}

static void saved(World *w, Event *e)
{
    Agent *a = agent_at(w, e->agent);
    GBytes *bytes = e->data;
    GBytes **slot = &a->slots[e->n % 2];
    gsize size = g_bytes_get_size(bytes);
    if (e->life != a->life) {
        tear_slot(w, slot, bytes);
        return;
    }
    if (strikes(w, FAULT_SLOT_SYNC)) {
        say(w, "%s: a slot's fsync fails", a->cluster);
        tear_slot(w, slot, bytes);
        agent_crash(w, a);
        return;
    }
    g_autoptr(GError) error = NULL;
    if (strikes(w, FAULT_SLOT_WRITE)) {
        (void)sl_throw(&error, SLU_IO, "no space left");
        if (rng_chance(&w->fault_rng[FAULT_SLOT_WRITE], 500)) { /* after a part was written */
            put_slot(slot, bytes, (gsize)rng_below(&w->fault_rng[FAULT_SLOT_WRITE], size));
        }
    } else {
        put_slot(slot, bytes, size);
    }
    agent_step(w, a, &(SlAgentInput){.type = SL_AGENT_SAVED, .generation = e->n, .error = error});
}

static void do_save(World *w, Agent *a, const SlAgentEffect *e)
{
    Event *later =
        world_after(w, w->faults ? rng_between(&w->rng, 100, 30000) : 100, saved, a->index);
    later->life = a->life;
    later->n = e->generation;
    later->data = g_bytes_ref(e->bytes);
    later->data_free = (void (*)(void *))g_bytes_unref;
}

/* ---- effects ---- */

static void do_hello(World *w, Agent *a, const SlAgentEffect *e)
{
    Message *m = message_new(MSG_HELLO);
    m->text = g_strdup(e->nonce);
    m->n[0] = e->root_version;
    m->n[1] = e->registry_version;
    m->n[2] = e->term;
    m->n[3] = e->head_version;
    m->flag = e->state_lost;
    net_send(w, a, TO_COORD, m);
}

static void do_statement(World *w, Agent *a, const SlAgentEffect *e)
{
    Message *m = message_new(e->type == SL_AGENT_DO_REPORT ? MSG_REPORT : MSG_SEAL);
    m->statement = sl_signed_copy(e->statement);
    net_send(w, a, TO_COORD, m);
}

static void do_fetch(World *w, Agent *a, const SlAgentEffect *e)
{
    Message *m = message_new(MSG_FETCH);
    m->digest = g_strdup(e->digest);
    m->is_statement = e->is_statement;
    net_send(w, a, TO_COORD, m);
}

static void do_keep(World *w, Agent *a, const SlAgentEffect *e)
{
    g_autoptr(GHashTable) keep = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < e->digests->len; i++) {
        g_hash_table_add(keep, e->digests->pdata[i]);
    }
    GHashTableIter iter;
    gpointer key;
    unsigned dropped = 0;
    g_hash_table_iter_init(&iter, a->blobs);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        if (!g_hash_table_contains(keep, key)) {
            g_hash_table_iter_remove(&iter);
            dropped++;
        }
    }
    say(w, "%s keeps %u blobs, drops %u", a->cluster, e->digests->len, dropped);
}

static void note_effect(World *w, const Agent *a, const SlAgentEffect *e)
{
    uint64_t type = e->type;
    note(w, "effect", a->index, &type, sizeof(type));
    note_text(w, "name", a->index, e->name != NULL ? e->name : e->run_id);
    note_text(w, "digest", a->index, e->digest);
    if (e->bytes != NULL) {
        gsize len = 0;
        const void *bytes = g_bytes_get_data(e->bytes, &len);
        note(w, "bytes", a->index, bytes, len);
    }
}

static void perform(World *w, Agent *a, const SlAgentEffect *e)
{
    check(w, &(Moment){.type = AT_AGENT_EFFECT, .agent = a, .effect = e});
    note_effect(w, a, e);
    switch (e->type) {
    case SL_AGENT_DO_HELLO:
        do_hello(w, a, e);
        break;
    case SL_AGENT_DO_REPORT:
    case SL_AGENT_DO_SEAL:
        do_statement(w, a, e);
        break;
    case SL_AGENT_DO_FETCH:
        do_fetch(w, a, e);
        break;
    case SL_AGENT_DO_SAVE:
        do_save(w, a, e);
        break;
    case SL_AGENT_DO_KEEP:
        do_keep(w, a, e);
        break;
    case SL_AGENT_DO_LOG:
        say(w, "%s %s: %s", a->cluster, e->event, e->message);
        break;
    default:
        engine_do(w, a, e);
        break;
    }
}

static void tick(World *w, Event *e)
{
    Agent *a = agent_at(w, e->agent);
    if (e->life == a->life && a->brain != NULL && a->tick_at == e->at) {
        agent_step(w, a, &(SlAgentInput){.type = SL_AGENT_TICK});
    }
}

void agent_step(World *w, Agent *a, const SlAgentInput *in)
{
    if (a->brain == NULL) {
        return;
    }
    w->steps++;
    check(w, &(Moment){.type = AT_AGENT_INPUT, .agent = a, .agent_in = in});
    g_autoptr(SlAgentOutput) out = sl_agent_output_new();
    SlAgentInput timed = *in;
    timed.monotonic_us = w->now;
    sl_agent_step(a->brain, &timed, agent_now(w, a), out);
    idle_step(w, &a->idle, &a->clock, in->type == SL_AGENT_TICK && out->effects->len == 0,
              a->cluster);
    bool crash = in->type != SL_AGENT_TICK && strikes(w, FAULT_AGENT_TEAR);
    uint64_t where =
        crash ? rng_below(&w->fault_rng[FAULT_AGENT_TEAR], out->effects->len + 1) : UINT64_MAX;
    for (guint i = 0; i < out->effects->len && i < where; i++) {
        perform(w, a, out->effects->pdata[i]);
    }
    if (crash) {
        agent_crash(w, a);
        return;
    }
    int64_t wait = out->next_us == INT64_MAX
                       ? SL_HOUR_US
                       : MIN(MAX(out->next_us - agent_now(w, a), 1000), SL_HOUR_US);
    Event *e = world_after(w, wait, tick, a->index);
    e->life = a->life;
    a->tick_at = e->at;
}

/* ---- messages ---- */

static void take_blob(World *w, Agent *a, const Message *m)
{
    if (m->is_statement) {
        g_hash_table_replace(w->statements, g_strdup(m->digest), sl_signed_copy(m->statement));
        agent_step(w, a,
                   &(SlAgentInput){
                       .type = SL_AGENT_STATEMENT, .digest = m->digest, .statement = m->statement});
        return;
    }
    g_autofree char *is = sl_sha256_hex_bytes(m->bytes);
    if (strcmp(is, m->digest) != 0 || strikes(w, FAULT_GARBLE)) {
        agent_step(w, a, &(SlAgentInput){.type = SL_AGENT_MISSING, .digest = m->digest});
        return;
    }
    g_hash_table_replace(a->blobs, g_strdup(m->digest), g_bytes_ref(m->bytes));
    agent_step(w, a, &(SlAgentInput){.type = SL_AGENT_BLOB, .digest = m->digest});
}

void agent_take(World *w, Agent *a, const Message *m)
{
    switch (m->type) {
    case MSG_RESET:
        g_free(a->nonce);
        a->nonce = rng_hex(&w->rng, 16);
        agent_step(w, a, &(SlAgentInput){.type = SL_AGENT_RESET, .nonce = a->nonce});
        break;
    case MSG_STEPS:
        agent_step(w, a,
                   &(SlAgentInput){
                       .type = SL_AGENT_STEPS, .roots = m->roots, .registries = m->registries});
        break;
    case MSG_HEAD:
        agent_step(w, a, &(SlAgentInput){.type = SL_AGENT_HEAD, .statement = m->statement});
        break;
    case MSG_REPORT_ACK:
        agent_step(w, a,
                   &(SlAgentInput){.type = SL_AGENT_REPORT_ACK,
                                   .boot = m->text,
                                   .counter = m->n[0],
                                   .want_full = m->flag});
        break;
    case MSG_SEAL_ACK:
        agent_step(
            w, a,
            &(SlAgentInput){.type = SL_AGENT_SEAL_ACK, .digest = m->digest, .message = m->text});
        break;
    case MSG_BLOB:
        take_blob(w, a, m);
        break;
    case MSG_MISSING:
        agent_step(w, a, &(SlAgentInput){.type = SL_AGENT_MISSING, .digest = m->digest});
        break;
    default:
        break;
    }
}
