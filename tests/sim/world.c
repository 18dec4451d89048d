/* world.c - seed, clock, the queue of events, the hash of what happened, and the life of a world. */
#include "sim.h"

#define MIX_A UINT64_C(0xbf58476d1ce4e5b9)
#define MIX_B UINT64_C(0x94d049bb133111eb)

/* splitmix64 */
uint64_t rng_next(Rng *rng)
{
    uint64_t z = (rng->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * MIX_A;
    z = (z ^ (z >> 27)) * MIX_B;
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

/* ---- what happened ---- */

void fail(World *w, const char *format, ...)
{
    if (w->failure != NULL) {
        return;
    }
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    w->failure =
        w->checking != NULL ? g_strdup_printf("%s: %s", w->checking->name, text) : g_strdup(text);
    say(w, "VIOLATED %s", w->failure);
}

void say(const World *w, const char *format, ...)
{
    if (!w->options.verbose) {
        return;
    }
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    (void)fprintf(stderr, "%10.3f %s\n", (double)(w->now - SIM_T0) / 1e6, text);
}

static uint64_t mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * MIX_A;
    return h ^ (h >> 29);
}

static uint64_t mix_bytes(uint64_t h, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    for (h = mix(h, len); len > 0;) {
        uint64_t word = 0;
        size_t n = MIN(len, sizeof(word));
        for (size_t i = 0; i < n; i++) { /* the same on every machine */
            word |= (uint64_t)at[i] << (8 * i);
        }
        h = mix(h, word);
        at += n;
        len -= n;
    }
    return h;
}

void note(World *w, const char *what, int actor, const void *bytes, size_t len)
{
    uint64_t h = mix(w->hash, (uint64_t)(w->now - SIM_T0));
    h = mix_bytes(mix(h, (uint64_t)(int64_t)actor), what, strlen(what));
    w->hash = mix_bytes(h, bytes, len);
}

void note_text(World *w, const char *what, int actor, const char *text)
{
    note(w, what, actor, text, text != NULL ? strlen(text) : 0);
}

bool strikes(World *w, FaultKind kind)
{
    bool off = ((w->options.faults_off >> kind) & 1) != 0;
    if (!w->faults || off || !rng_chance(&w->fault_rng[kind], w->per_mille[kind])) {
        return false;
    }
    w->struck[kind]++;
    return true;
}

void check(World *w, const Moment *m)
{
    const Check *outer = w->checking; /* the book shows events while it looks itself */
    for (size_t i = 0; i < CHECKS_COUNT && w->failure == NULL; i++) {
        if ((CHECKS[i].moments & (unsigned)m->type) != 0) {
            w->checking = &CHECKS[i];
            CHECKS[i].look(w, m);
        }
    }
    w->checking = outer;
}

/* While a clock stands still, a time a millisecond ahead never comes: who waits for it looks again
 * and again. */
void idle_step(World *w, Idle *idle, const Clock *clock, bool in_vain, const char *whose)
{
    if (!in_vain || clock->frozen || w->now - idle->since_us > SL_SECOND_US) {
        *idle = (Idle){.since_us = w->now};
    } else if (++idle->ticks > SIM_IDLE_TICKS_MAX) {
        fail(w, "I8 spins: %s wakes up again and again and does nothing", whose);
    }
}

/* ---- things kept over a seed ---- */

typedef struct {
    void *data;
    void (*free_)(void *);
} Kept;

static void kept_free(gpointer data)
{
    Kept *kept = data;
    kept->free_(kept->data);
    g_free(kept);
}

void *world_keep(World *w, const char *name, void *(*make)(void), void (*free_)(void *))
{
    Kept *kept = g_hash_table_lookup(w->kept, name);
    if (kept == NULL) {
        kept = g_new0(Kept, 1);
        kept->data = make();
        kept->free_ = free_;
        g_hash_table_insert(w->kept, g_strdup(name), kept);
    }
    return kept->data;
}

static void *table_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

static void table_free(void *table)
{
    g_hash_table_unref(table);
}

GHashTable *world_keep_table(World *w, const char *name)
{
    return world_keep(w, name, table_new, table_free);
}

/* ---- who is there ---- */

Agent *agent_at(const World *w, int index)
{
    return g_ptr_array_index(w->agents, index);
}

Agent *agent_named(const World *w, const char *cluster)
{
    for (guint i = 0; i < w->agents->len; i++) {
        Agent *a = g_ptr_array_index(w->agents, i);
        if (strcmp(a->cluster, cluster) == 0) {
            return a;
        }
    }
    return NULL;
}

Agent *agent_in(const World *w, const char *env, unsigned n)
{
    for (guint i = 0; i < w->agents->len; i++) {
        Agent *a = g_ptr_array_index(w->agents, i);
        if (strcmp(a->env, env) == 0 && n-- == 0) {
            return a;
        }
    }
    return NULL;
}

Person *person_named(const World *w, const char *name)
{
    for (guint i = 0; i < w->people->len; i++) {
        Person *p = g_ptr_array_index(w->people, i);
        if (strcmp(p->name, name) == 0) {
            return p;
        }
    }
    return NULL;
}

int64_t clock_now(const World *w, const Clock *clock)
{
    return clock->frozen ? clock->frozen_at_us : w->now + clock->offset_us;
}

/* ---- events ---- */

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
    if (g_sequence_get_length(w->events) > SIM_EVENTS_MAX) {
        fail(w, "flood: more than %d events wait", SIM_EVENTS_MAX);
    }
    g_sequence_insert_sorted(w->events, e, by_time, NULL);
    return e;
}

/* ---- the life of a world ---- */

static void env_commit_free(EnvCommit *c)
{
    g_free(c->parent);
    g_hash_table_unref(c->target_of);
    g_free(c);
}

static void event_free(Event *e)
{
    message_unref(e->message);
    g_free(e->a);
    g_free(e->b);
    g_free(e->c);
    if (e->data_free != NULL) {
        e->data_free(e->data);
    }
    g_free(e);
}

static void env_free(gpointer data)
{
    g_free(((Env *)data)->name);
    g_free(data);
}

static void person_free(gpointer data)
{
    Person *p = data;
    g_free(p->name);
    g_free(p->email);
    sl_public_key_free(p->key);
    g_free(p);
}

static GHashTable *set_of(GDestroyNotify free_value)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_value);
}

static Rng rng_of(uint64_t seed, uint64_t user)
{
    Rng rng = {seed * UINT64_C(0x2545f4914f6cdd1d) + user * UINT64_C(0xd1342543de82ef95) + 1};
    (void)rng_next(&rng);
    return rng;
}

static void seed_streams(World *w)
{
    uint64_t seed = w->options.seed, user = 0;
    w->rng = rng_of(seed, user++);
    w->people_rng = rng_of(seed, user++);
    for (int i = 0; i < N_FAULTS; i++) {
        w->fault_rng[i] = rng_of(seed, 1000 + (uint64_t)i);
    }
    for (size_t i = 0; i < SIM_ACTORS_MAX; i++) {
        w->actor_rng[i] = rng_of(seed, 2000 + i);
    }
}

static World *world_new(const SimOptions *options)
{
    World *w = g_new0(World, 1);
    w->options = *options;
    w->now = SIM_T0;
    seed_streams(w);
    w->events = g_sequence_new((GDestroyNotify)event_free);
    w->envs = g_ptr_array_new_with_free_func(env_free);
    w->apps = g_ptr_array_new_with_free_func(g_free);
    w->people = g_ptr_array_new_with_free_func(person_free);
    w->agents = g_ptr_array_new_with_free_func((GDestroyNotify)agent_free);
    w->ledger = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
    w->commits = g_ptr_array_new_with_free_func((GDestroyNotify)commit_free);
    w->acknowledged = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
    w->kept = set_of(kept_free);
    w->ledger_blobs = set_of((GDestroyNotify)g_bytes_unref);
    w->cache = set_of((GDestroyNotify)g_bytes_unref);
    w->branch_blobs = set_of((GDestroyNotify)g_bytes_unref);
    w->forged_blobs = set_of((GDestroyNotify)g_bytes_unref);
    w->tips = set_of(g_free);
    w->env_commits = set_of((GDestroyNotify)env_commit_free);
    w->replies = set_of((GDestroyNotify)json_decref);
    w->models = set_of(NULL);
    w->run_starts = set_of(NULL);
    w->statements = set_of((GDestroyNotify)sl_signed_free);
    w->forged_statements = set_of((GDestroyNotify)sl_signed_free);
    return w;
}

static void world_free(World *w)
{
    if (w->story_free != NULL) {
        w->story_free(w->story_data);
    }
    sl_coord_free(w->coord);
    sl_coord_output_free(w->batch);
    sl_coord_output_free(w->appending);
    g_sequence_free(w->events);
    GHashTable *tables[] = {w->kept,       w->ledger_blobs, w->cache,        w->branch_blobs,
                            w->tips,       w->env_commits,  w->replies,      w->models,
                            w->run_starts, w->statements,   w->forged_blobs, w->forged_statements};
    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
        g_hash_table_unref(tables[i]);
    }
    GPtrArray *lists[] = {w->envs,   w->apps,    w->people,      w->agents,
                          w->ledger, w->commits, w->acknowledged};
    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
        g_ptr_array_unref(lists[i]);
    }
    sl_public_key_free(w->online_key);
    sl_root_free(w->root);
    sl_signed_free(w->root_text);
    g_free(w->root_digest);
    g_free(w->failure);
    g_free(w);
}

/* ---- one seed ---- */

static const char *stands(const World *w)
{
    return w->story->stands != NULL ? w->story->stands(w) : "";
}

/* They look when something happened (the ledger grew, an answer came) or when they went on
 * themselves; else now and then. */
static void people(World *w, Event *e)
{
    uint64_t seen = w->ledger->len + g_hash_table_size(w->replies);
    uint64_t idle = e->n + 1;
    coord_poll(w);
    if (seen != w->people_saw || idle >= SIM_PEOPLE_IDLE) {
        const char *before = stands(w);
        uint64_t pushed = w->commits->len;
        w->people_saw = seen;
        w->story->step(w);
        bool went_on = pushed != w->commits->len || strcmp(before, stands(w)) != 0;
        idle = went_on ? SIM_PEOPLE_IDLE : 0;
    }
    world_after(w, SIM_PEOPLE_US, people, -1)->n = idle;
}

/* Events in order until @until, the end of the story, or a failure. */
static void turn(World *w, int64_t until)
{
    while (w->failure == NULL && !w->story->over(w)) {
        GSequenceIter *first = g_sequence_get_begin_iter(w->events);
        Event *e = g_sequence_iter_is_end(first) ? NULL : g_sequence_get(first);
        if (e == NULL || e->at > until) {
            w->now = MAX(w->now, until);
            return;
        }
        w->now = MAX(w->now, e->at);
        void (*fire)(World *, Event *) = e->fire;
        Event *taken = g_memdup2(e, sizeof(*e));
        *e = (Event){0};
        g_sequence_remove(first);
        fire(w, taken);
        event_free(taken);
    }
}

static const Story *choose_story(World *w)
{
    uint64_t all = 0;
    for (size_t i = 0; i < STORIES_COUNT; i++) {
        all += STORIES[i]->weight;
        if (strcmp(STORIES[i]->name, w->options.story) == 0) {
            return STORIES[i];
        }
    }
    uint64_t at = rng_below(&w->people_rng, all);
    for (size_t i = 0; i < STORIES_COUNT; i++) {
        if (at < STORIES[i]->weight) {
            return STORIES[i];
        }
        at -= STORIES[i]->weight;
    }
    return STORIES[0];
}

static void live(World *w)
{
    fleet_shape(w);
    if (w->story->shape != NULL) {
        w->story->shape(w);
    }
    fleet_make(w);
    if (w->failure != NULL) {
        return;
    }
    w->story->begin(w);
    (void)world_after(w, SL_SECOND_US, people, -1);
    w->begun = true;
    if (w->story->quiet_us != 0) {
        turn(w, w->now + w->story->quiet_us);
    } else {
        faults_begin(w);
        turn(w, w->now + w->safety_us);
        faults_end(w);
    }
    check(w, &(Moment){.type = AT_HEALED});
    turn(w, w->now + (w->story->liveness_us != 0 ? w->story->liveness_us : SIM_LIVENESS_US));
    if (w->failure == NULL && !w->story->over(w)) {
        fail(w, "I5 converge: the story %s stands at `%s`", w->story->name,
             w->story->stands != NULL ? w->story->stands(w) : "?");
    }
    if (w->failure == NULL) {
        check(w, &(Moment){.type = AT_END});
    }
    if (w->failure == NULL && w->story->end != NULL) {
        w->story->end(w);
    }
}

void sim_run(const SimOptions *options, SimResult *r)
{
    World *w = world_new(options);
    w->story = choose_story(w);
    live(w);
    *r = (SimResult){.seed = options->seed,
                     .hash = w->hash,
                     .steps = w->steps,
                     .messages = w->messages,
                     .crashes = w->crashes,
                     .agents = w->agents->len,
                     .virtual_us = w->now - SIM_T0,
                     .safety_us = w->safety_us,
                     .ok = w->failure == NULL};
    for (size_t i = 0; i < STORIES_COUNT; i++) {
        r->story = STORIES[i] == w->story ? (unsigned)i : r->story;
    }
    memcpy(r->struck, w->struck, sizeof(r->struck));
    memcpy(r->acted, w->acted, sizeof(r->acted));
    if (w->failure != NULL) {
        (void)g_strlcpy(r->failure, w->failure, sizeof(r->failure));
    }
    world_free(w);
}
