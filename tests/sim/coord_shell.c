/* coord_shell.c - what the coordinator's shell does, in memory: each step's events are appended
 * before its effects are performed; a crash may come before the append, after it, or between two
 * effects. */
#include "sim.h"

GBytes *coord_blob(World *w, const char *digest)
{
    GHashTable *stores[] = {w->ledger_blobs, w->cache, w->branch_blobs};
    for (size_t i = 0; i < G_N_ELEMENTS(stores); i++) {
        GBytes *bytes = g_hash_table_lookup(stores[i], digest);
        if (bytes != NULL) {
            return bytes;
        }
    }
    return store_unsynced_blob(w, digest);
}

/* What the brain gets. A disk that can't be read looks like a blob that is not there. */
static GBytes *read_blob(const char *digest, void *user)
{
    World *w = user;
    if (w->reading && strikes(w, FAULT_READ)) {
        return NULL;
    }
    return coord_blob(w, digest);
}

int64_t coord_now(const World *w)
{
    int64_t wall_us = clock_now(w, &w->coord_clock);
    return w->coord != NULL ? sl_coord_time(w->coord, wall_us, w->now) : wall_us;
}

void blobs_merge(GHashTable *into, GHashTable *from)
{
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, from);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        g_hash_table_replace(into, g_strdup(key), g_bytes_ref(value));
    }
}

/* ---- starting and ending ---- */

SlCoord *coord_try_fold(World *w, GError **error)
{
    SlCoordConfig config = {
        .online_secret = w->online, .blobs = {read_blob, w}, .owner_person = "alice"};
    SlCoord *coord = sl_coord_new(&config);
    for (guint i = 0; i < w->ledger->len; i++) {
        if (!sl_coord_fold(coord, w->ledger->pdata[i], error)) {
            g_prefix_error(error, "fold of ledger event %u: ", i + 1);
            sl_coord_free(coord);
            return NULL;
        }
    }
    return coord;
}

SlCoord *coord_folded(World *w)
{
    g_autoptr(GError) error = NULL;
    bool reading = w->reading;
    w->reading = false;
    SlCoord *coord = coord_try_fold(w, &error);
    w->reading = reading;
    if (coord == NULL) {
        fail(w, "%s", error->message);
    }
    return coord;
}

static void connect_again(World *w, Event *e)
{
    net_connect(w, agent_at(w, e->agent));
}

void coord_send_tip(World *w, const char *env, const char *committed)
{
    const char *tip = g_hash_table_lookup(w->tips, env);
    bool descends = committed == NULL;
    for (const char *at = tip; at != NULL && !descends;) {
        const EnvCommit *c = g_hash_table_lookup(w->env_commits, at);
        descends = strcmp(at, committed) == 0;
        at = c != NULL ? c->parent : NULL;
    }
    SlCoordInput in = {.type = SL_COORD_ENV_TIP,
                       .env_tip = {.env = env, .tip = tip, .descends_from_new = descends}};
    coord_step(w, &in);
}

static const char *last_committed(const World *w, const char *env)
{
    for (guint i = w->ledger->len; i > 0; i--) {
        const json_t *event = w->ledger->pdata[i - 1];
        bool commits = g_strcmp0(sl_json_str(event, "type"), "Committed") == 0 &&
                       g_strcmp0(sl_json_str(event, "env"), env) == 0;
        if (commits) {
            return sl_json_str(event, "new");
        }
    }
    return NULL;
}

static void start_later(World *w);

/* With a disk that can't be read now and then the fold fails, and the process with it; or it is
 * what the ledger says (check_fold). */
static bool fold_again(World *w)
{
    g_autoptr(GError) error = NULL;
    uint64_t struck = w->struck[FAULT_READ];
    w->reading = true;
    w->coord = coord_try_fold(w, &error);
    w->reading = false;
    if (w->coord == NULL && w->struck[FAULT_READ] == struck) {
        fail(w, "fold: %s", error->message);
    } else if (w->coord == NULL) {
        say(w, "coordinator does not start: %s", error->message);
        start_later(w);
    }
    return w->coord != NULL;
}

void coord_start(World *w)
{
    w->coord_life++;
    if (!fold_again(w)) {
        return;
    }
    say(w, "coordinator starts: %u events", w->ledger->len);
    check(w, &(Moment){.type = AT_COORD_START});
    coord_step(w, &(SlCoordInput){.type = SL_COORD_START});
    for (guint i = 0; i < w->envs->len && w->coord != NULL; i++) {
        const Env *env = g_ptr_array_index(w->envs, i);
        g_autofree char *committed = g_strdup(last_committed(w, env->name));
        coord_send_tip(w, env->name, committed);
    }
    for (guint i = 0; i < w->agents->len; i++) {
        (void)world_after(w, rng_between(&w->rng, 1000, 3 * SL_SECOND_US), connect_again, (int)i);
    }
}

static void start_again(World *w, Event *e)
{
    (void)e;
    if (w->now < w->coord_away_until) {
        (void)world_after(w, w->coord_away_until - w->now, start_again, -1);
    } else if (w->coord == NULL) {
        coord_start(w);
    }
}

static void start_later(World *w)
{
    (void)world_after(w, rng_between(&w->rng, SL_SECOND_US / 10, 20 * SL_SECOND_US), start_again,
                      -1);
}

void coord_crash(World *w)
{
    if (w->coord == NULL) {
        return;
    }
    say(w, "coordinator ends");
    w->crashes++;
    store_crash(w);
    g_clear_pointer(&w->coord, sl_coord_free);
    w->coord_life++;
    for (guint i = 0; i < w->agents->len; i++) {
        net_disconnect(w, agent_at(w, (int)i));
    }
    start_later(w);
}

/* ---- stepping ---- */

static void coord_tick(World *w, Event *e)
{
    if (e->life == w->coord_life && w->coord != NULL && w->coord_tick_at == e->at) {
        coord_step(w, &(SlCoordInput){.type = SL_COORD_TICK});
    }
}

static void set_tick(World *w, int64_t next_us)
{
    int64_t wait = next_us == INT64_MAX ? SL_HOUR_US : MIN(next_us - coord_now(w), SL_HOUR_US);
    Event *e = world_after(w, MAX(wait, 1000), coord_tick, -1);
    e->life = w->coord_life;
    w->coord_tick_at = e->at;
}

void coord_step(World *w, const SlCoordInput *in)
{
    if (w->coord == NULL) {
        return;
    }
    if (!store_takes(w, in->type)) {
        set_tick(w, coord_now(w) + SL_SECOND_US);
        return;
    }
    w->steps++;
    unsigned life = w->coord_life;
    check(w, &(Moment){.type = AT_COORD_INPUT, .coord_in = in});
    g_autoptr(SlCoordOutput) out = sl_coord_output_new();
    w->reading = true;
    SlCoordInput timed = *in;
    timed.monotonic_us = w->now;
    sl_coord_step(w->coord, &timed, clock_now(w, &w->coord_clock), out);
    w->reading = false;
    int64_t next_us = out->next_us;
    bool in_vain = in->type == SL_COORD_TICK && out->events->len == 0 && out->effects->len == 0;
    idle_step(w, &w->coord_idle, &w->coord_clock, in_vain, "the coordinator");
    store_take(w, out);
    if (life == w->coord_life) {
        set_tick(w, next_us);
    }
}

char *coord_request(World *w, const char *person, const char *scope, const char *verb, json_t *args)
{
    g_autoptr(json_t) owned = args;
    char *id = g_strdup_printf("q%" G_GUINT64_FORMAT, ++w->requests);
    for (size_t i = 0; i < sizeof(w->random); i++) {
        w->random[i] = (uint8_t)rng_next(&w->people_rng);
    }
    if (w->coord == NULL || strikes(w, FAULT_LOSE)) {
        return id;
    }
    if (store_is_held(w)) { /* the API refuses: nothing can be recorded */
        g_hash_table_replace(w->replies, g_strdup(id),
                             json_pack("{s:i,s:{s:{s:s}}}", "status", 507, "body", "error",
                                       "message", "nothing was recorded"));
        return id;
    }
    SlCoordInput in = {.type = SL_COORD_REQUEST,
                       .request = {.id = id,
                                   .verb = verb,
                                   .person = person,
                                   .scope = scope,
                                   .args = args,
                                   .random = w->random}};
    coord_step(w, &in);
    return id;
}

/* ---- messages ---- */

static void serve_fetch(World *w, Agent *a, const Message *m)
{
    Message *answer = message_new(MSG_MISSING);
    answer->digest = g_strdup(m->digest);
    answer->is_statement = m->is_statement;
    if (m->is_statement) {
        const SlSigned *s = sl_coord_statement(w->coord, m->digest);
        s = s != NULL ? s : g_hash_table_lookup(w->forged_statements, m->digest);
        if (s != NULL) {
            answer->type = MSG_BLOB;
            answer->statement = sl_signed_copy(s);
        }
    } else {
        GBytes *bytes = coord_blob(w, m->digest);
        bytes = bytes != NULL ? bytes : g_hash_table_lookup(w->forged_blobs, m->digest);
        if (bytes != NULL) {
            answer->type = MSG_BLOB;
            answer->bytes = g_bytes_ref(bytes);
        }
    }
    net_send(w, a, TO_AGENT, answer);
}

void coord_take(World *w, Agent *a, const Message *m)
{
    if (w->coord == NULL) {
        return;
    }
    SlCoordInput in = {0};
    switch (m->type) {
    case MSG_FETCH:
        serve_fetch(w, a, m);
        return;
    case MSG_HELLO:
        in.type = SL_COORD_HELLO;
        in.hello = (SlCoordHello){.curve = a->curve,
                                  .nonce = m->text,
                                  .root_version = m->n[0],
                                  .registry_version = m->n[1],
                                  .term = m->n[2],
                                  .head_version = m->n[3],
                                  .format_max = 1,
                                  .version = "sim",
                                  .state_lost = m->flag};
        break;
    case MSG_REPORT:
    case MSG_SEAL:
        in.type = m->type == MSG_REPORT ? SL_COORD_REPORT : SL_COORD_SEAL;
        in.statement = (SlCoordStatement){.curve = a->curve, .statement = m->statement};
        break;
    default:
        return;
    }
    coord_step(w, &in);
}
