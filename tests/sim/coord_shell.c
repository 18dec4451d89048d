/* coord_shell.c - what the coordinator's shell does, in memory: each step's events are appended
 * before its effects are performed; a crash may come before the append, after it, or between two
 * effects. The source is a list of trees, an environment branch a chain of made-up commits, the
 * render is the real one. */
#include "sim.h"

static GBytes *lookup(World *w, const char *digest)
{
    GHashTable *stores[] = {w->ledger_blobs, w->cache, w->branch_blobs};
    for (size_t i = 0; i < G_N_ELEMENTS(stores); i++) {
        GBytes *bytes = g_hash_table_lookup(stores[i], digest);
        if (bytes != NULL) {
            return bytes;
        }
    }
    return NULL;
}

GBytes *coord_blob(World *w, const char *digest)
{
    return lookup(w, digest);
}

static GBytes *read_blob(const char *digest, void *user)
{
    return lookup(user, digest);
}

int64_t coord_now(const World *w)
{
    return w->now + w->coord_offset_us;
}

static void merge(GHashTable *into, GHashTable *from)
{
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, from);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        g_hash_table_replace(into, g_strdup(key), g_bytes_ref(value));
    }
}

/* ---- starting and ending ---- */

static SlCoord *folded(World *w)
{
    SlCoordConfig config = {
        .online_secret = w->online, .blobs = {read_blob, w}, .owner_person = "alice"};
    SlCoord *coord = sl_coord_new(&config);
    for (guint i = 0; i < w->ledger->len; i++) {
        g_autoptr(GError) error = NULL;
        if (!sl_coord_fold(coord, w->ledger->pdata[i], &error)) {
            fail(w, "fold of ledger event %u: %s", i + 1, error->message);
            break;
        }
    }
    return coord;
}

static void connect_again(World *w, Event *e)
{
    net_connect(w, &w->agents[e->agent]);
}

static void send_tip(World *w, const char *env, const char *committed)
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

void coord_start(World *w)
{
    w->coord = folded(w);
    w->coord_life++;
    say(w, "coordinator starts: %u events", w->ledger->len);
    check_acknowledged(w);
    check_one_live(w);
    coord_step(w, &(SlCoordInput){.type = SL_COORD_START});
    static const char *const envs[] = {"dev", "test", "prod"};
    for (size_t i = 0; i < G_N_ELEMENTS(envs) && w->coord != NULL; i++) {
        g_autofree char *committed = g_strdup(last_committed(w, envs[i]));
        send_tip(w, envs[i], committed);
    }
    for (int i = 0; i < SIM_AGENTS; i++) {
        (void)world_after(w, rng_between(&w->rng, 1000, 3 * SL_SECOND_US), connect_again, i);
    }
}

static void start_again(World *w, Event *e)
{
    (void)e;
    if (w->coord == NULL) {
        coord_start(w);
    }
}

void coord_crash(World *w)
{
    if (w->coord == NULL) {
        return;
    }
    say(w, "coordinator ends");
    w->crashes++;
    g_clear_pointer(&w->coord, sl_coord_free);
    w->coord_life++;
    for (int i = 0; i < SIM_AGENTS; i++) {
        net_disconnect(w, &w->agents[i]);
    }
    if (w->faults && rng_chance(&w->rng, 300)) {
        g_hash_table_remove_all(w->cache); /* deleting the cache loses no decision and no proof */
    }
    (void)world_after(w, rng_between(&w->rng, SL_SECOND_US / 10, 20 * SL_SECOND_US), start_again,
                      -1);
}

/* ---- effects ---- */

static const Commit *commit_of(const World *w, const char *id)
{
    for (guint i = 0; i < w->commits->len; i++) {
        const Commit *c = w->commits->pdata[i];
        if (strcmp(c->id, id) == 0) {
            return c;
        }
    }
    return NULL;
}

static GPtrArray *problems_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
}

static void say_problems(World *w, const GPtrArray *problems)
{
    for (guint i = 0; i < problems->len; i++) {
        g_autofree char *text = sl_problem_format(problems->pdata[i]);
        say(w, "problem: %s", text);
    }
}

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
    const Commit *commit = commit_of(w, job->commit);
    g_autoptr(GPtrArray) problems = problems_new();
    g_autoptr(SlFleetDocs) docs = sl_fleet_read(commit->tree, problems);
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
    say_problems(w, problems);
    if (result != NULL) {
        merge(w->cache, result->blobs);
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
    SlCoordInput in = {.type = SL_COORD_ENV_WRITTEN,
                       .env_written = {.env = e->a, .old = e->b, .commit = e->c}};
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

/* The branch holds what its bundles are made of: from there a lost cache is filled again. */
static void keep_bundle(World *w, const char *digest)
{
    GBytes *list = lookup(w, digest);
    g_autoptr(SlBundle) bundle = list != NULL ? sl_bundle_parse(list, NULL) : NULL;
    if (bundle == NULL) {
        return;
    }
    g_hash_table_replace(w->branch_blobs, g_strdup(digest), g_bytes_ref(list));
    for (guint i = 0; i < bundle->objects->len + bundle->blobs->len; i++) {
        const char *d =
            i < bundle->objects->len
                ? ((SlBundleObject *)bundle->objects->pdata[i])->digest
                : ((SlBundleBlob *)bundle->blobs->pdata[i - bundle->objects->len])->digest;
        GBytes *bytes = lookup(w, d);
        if (bytes != NULL) {
            g_hash_table_replace(w->branch_blobs, g_strdup(d), g_bytes_ref(bytes));
        }
    }
}

static char *targets_text(World *w, GHashTable *target_of)
{
    g_autoptr(json_t) o = json_object();
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, target_of);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        json_object_set_new(o, key, json_string(value));
        keep_bundle(w, value);
    }
    return sl_json_canonical(o, NULL);
}

static void do_env_write(World *w, const SlCoordEffect *e)
{
    const EnvCommit *parent = e->old != NULL ? g_hash_table_lookup(w->env_commits, e->old) : NULL;
    EnvCommit *c = g_new0(EnvCommit, 1);
    c->parent = g_strdup(e->old);
    c->target_of = strings_copy(parent != NULL ? parent->target_of : NULL);
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
}

static void env_moved(World *w, Event *e)
{
    if (e->life == w->coord_life && w->coord != NULL) {
        send_tip(w, e->a, e->b);
    }
}

static void do_env_move(World *w, const SlCoordEffect *e)
{
    if (g_strcmp0(g_hash_table_lookup(w->tips, e->env), e->old) == 0) {
        g_hash_table_replace(w->tips, g_strdup(e->env), g_strdup(e->new_));
    }
    Event *later = world_after(w, 1000, env_moved, -1);
    later->life = w->coord_life;
    later->a = g_strdup(e->env);
    later->b = g_strdup(e->new_);
}

static Agent *agent_of(World *w, const char *curve)
{
    for (int i = 0; i < SIM_AGENTS; i++) {
        if (strcmp(w->agents[i].curve, curve) == 0) {
            return &w->agents[i];
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
        check_head(w, e->statement);
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
    if (w->faults && rng_chance(&w->rng, w->lose)) {
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

static void perform(World *w, const SlCoordEffect *e)
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

/* ---- stepping ---- */

static void coord_tick(World *w, Event *e)
{
    if (e->life == w->coord_life && w->coord != NULL && w->coord_tick_at == e->at) {
        coord_step(w, &(SlCoordInput){.type = SL_COORD_TICK});
    }
}

static void set_tick(World *w, int64_t next_us)
{
    int64_t at = next_us == INT64_MAX ? w->now + SL_HOUR_US
                                      : MIN(next_us - w->coord_offset_us, w->now + SL_HOUR_US);
    at = MAX(at, w->now + 1000);
    Event *e = world_after(w, at - w->now, coord_tick, -1);
    e->life = w->coord_life;
    w->coord_tick_at = e->at;
}

void coord_step(World *w, const SlCoordInput *in)
{
    if (w->coord == NULL) {
        return;
    }
    w->steps++;
    unsigned life = w->coord_life;
    g_autoptr(SlCoordOutput) out = sl_coord_output_new();
    sl_coord_step(w->coord, in, coord_now(w), out);
    bool crash = w->faults && in->type != SL_COORD_TICK && rng_chance(&w->rng, w->crash_coord);
    uint64_t where = crash ? rng_below(&w->rng, 2 + out->effects->len) : UINT64_MAX;
    if (where == 0) {
        say(w, "coordinator ends before the append: nothing of this step happened");
        coord_crash(w);
        return;
    }
    merge(w->ledger_blobs, out->ledger_blobs);
    merge(w->cache, out->cache_blobs);
    for (guint i = 0; i < out->events->len; i++) {
        const json_t *event = out->events->pdata[i];
        g_ptr_array_add(w->ledger, json_deep_copy(event));
        say(w, "ledger %s %s%s attempt %" JSON_INTEGER_FORMAT " %s", sl_json_str(event, "type"),
            sl_json_str_or(event, "app", ""), sl_json_str_or(event, "env", ""),
            (json_int_t)sl_json_int(event, "attempt", 0),
            sl_json_str_or(event, "error.message", ""));
    }
    for (guint i = 0; i < out->effects->len && i + 1 < where; i++) {
        perform(w, out->effects->pdata[i]);
    }
    if (crash) {
        g_autoptr(json_t) before = sl_coord_dump(w->coord);
        SlCoord *again = folded(w);
        g_autoptr(json_t) after = sl_coord_dump(again);
        sl_coord_free(again);
        check_fold(w, before, after);
        coord_crash(w);
        return;
    }
    if (life == w->coord_life) {
        set_tick(w, out->next_us);
    }
}

char *coord_request(World *w, const char *verb, json_t *args)
{
    g_autoptr(json_t) owned = args;
    char *id = g_strdup_printf("q%" G_GUINT64_FORMAT, ++w->requests);
    for (size_t i = 0; i < sizeof(w->random); i++) {
        w->random[i] = (uint8_t)rng_next(&w->rng);
    }
    if (w->coord == NULL || (w->faults && rng_chance(&w->rng, w->lose))) {
        return id;
    }
    SlCoordInput in = {.type = SL_COORD_REQUEST,
                       .request = {.id = id,
                                   .verb = verb,
                                   .person = "alice",
                                   .scope = "operate",
                                   .args = args,
                                   .random = w->random}};
    coord_step(w, &in);
    return id;
}

/* ---- the source ---- */

void coord_poll(World *w)
{
    if (w->coord == NULL || w->commits->len == 0) {
        return;
    }
    const Commit *c = w->commits->pdata[w->commits->len - 1];
    if (g_strcmp0(sl_coord_followed(w->coord, ""), c->id) == 0) {
        return;
    }
    g_autoptr(GPtrArray) problems = problems_new();
    g_autoptr(SlFleetDocs) docs = sl_fleet_read(c->tree, problems);
    g_autoptr(GPtrArray) offers = g_ptr_array_new_with_free_func((GDestroyNotify)sl_offer_free);
    for (guint i = 0; docs != NULL && i < docs->applications->len; i++) {
        SlOffer *offer = sl_offer_make(docs, docs->applications->pdata[i], c->tree);
        say_problems(w, offer->problems);
        g_ptr_array_add(offers, offer);
    }
    say_problems(w, problems);
    g_autoptr(json_t) authors = json_pack("[s]", "carol@x.test");
    SlCoordInput in = {.type = SL_COORD_SOURCE,
                       .source = {.repository = "",
                                  .branch = "main",
                                  .commit = c->id,
                                  .position = c->position,
                                  .time_us = c->time_us,
                                  .author = "Carol <carol@x.test>",
                                  .subject = c->subject,
                                  .authors = authors,
                                  .docs = docs,
                                  .offers = offers,
                                  .problems = problems}};
    coord_step(w, &in);
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
        GBytes *bytes = lookup(w, m->digest);
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
