/* rig.h - the brain with a shell made of tables: in-memory trees, branches as strings, and agents
 * that do what a good agent does. The clock is turned by the test. After every step the ledger may
 * be folded anew and must give the same state. */
#pragma once
#include "base/digest.h"
#include "base/text.h"
#include "coordinator/brain/coord.h"
#include "coordinator/brain/genesis.h"
#include "coordinator/brain/machine.h"
#include "core/promotion.h"
#include "core/registry.h"
#include "core/run.h"
#include "sluice/clock.h"

#include <sodium.h>
#include <string.h>
#include <time.h>

#define RIG_FLEET_ID "5f1c000000000000000000000000000000000000000000000000000000000000"

typedef struct {
    char *cluster, *env, *curve, *boot;
    uint8_t secret[64];
    uint64_t counter, root, registry, term, version;
    GHashTable *applied; /* key -> json */
    char *desired;
    SlSigned *head;
    guint resets, steps, heads, seal_acks;
    char *refused;
    bool want_full, mute, sick; /* sick: reports Degraded */
    bool latch;                 /* goes back by itself where the promotion says so */
} Agent;

typedef struct {
    SlCoord *coord;
    GPtrArray *ledger;   /* of json_t* */
    GHashTable *blobs;   /* digest -> GBytes* */
    GHashTable *trees;   /* commit -> SlTree* */
    GHashTable *docs_of; /* commit -> SlFleetDocs* */
    GHashTable *tips;    /* env -> commit */
    GHashTable *agents;  /* cluster -> Agent* */
    GHashTable *placed;  /* cluster -> run ids that were in a desired list */
    GPtrArray *effects;  /* not done yet */
    json_t *reply;
    int status;
    json_t *enrol;
    int64_t now_us, next_us;
    int64_t wall_off_us; /* of the coordinator's clock */
    bool monotonic;      /* what passes is said, too */
    uint8_t online[64], alice[64], bob[64], random[64];
    uint64_t position;
    guint renders, writes, moves, refreshed;
    bool hold_write, hold_move, hold_render, check, busy;
    const char *render_error;
    json_t *signers; /* of the next push, borrowed */
    json_t *authors; /* likewise; NULL: bob */
    int64_t step_us; /* spent in steps, of this thread's CPU */
} Rig;

static inline void rig_step(Rig *rig, SlCoordInput *input);

static inline GBytes *rig_blob(const char *digest, void *user)
{
    return g_hash_table_lookup(((Rig *)user)->blobs, digest);
}

static inline void rig_seed(uint8_t number, uint8_t secret[64])
{
    uint8_t seed[32] = {number}, public_[32];
    crypto_sign_seed_keypair(public_, secret, seed);
}

static inline SlCoord *rig_new_coord(Rig *rig)
{
    SlCoordConfig config = {.online_secret = rig->online,
                            .blobs = {.get = rig_blob, .user = rig},
                            .owner_person = "alice"};
    return sl_coord_new(&config);
}

static inline SlCoord *rig_fold(Rig *rig, guint count)
{
    SlCoord *again = rig_new_coord(rig);
    for (guint i = 0; i < count; i++) {
        g_autoptr(GError) error = NULL;
        bool ok = sl_coord_fold(again, g_ptr_array_index(rig->ledger, i), &error);
        g_assert_no_error(error);
        g_assert_true(ok);
    }
    return again;
}

static inline void rig_assert_same(Rig *rig)
{
    g_autoptr(SlCoord) again = rig_fold(rig, rig->ledger->len);
    g_autoptr(json_t) a = sl_coord_dump(rig->coord), b = sl_coord_dump(again);
    g_autofree char *x = sl_json_canonical(a, NULL), *y = sl_json_canonical(b, NULL);
    g_assert_cmpstr(x, ==, y);
}

static inline Agent *rig_agent(Rig *rig, const char *cluster)
{
    return g_hash_table_lookup(rig->agents, cluster);
}

static inline SlPublicKey *rig_key(const uint8_t secret[64])
{
    return sl_public_key_from_ed25519(secret + 32);
}

/* ---- a good agent ---- */

static inline void agent_set(Agent *agent, const char *key, json_t *value)
{
    char *text = sl_json_canonical(value, NULL);
    json_decref(value);
    g_hash_table_replace(agent->applied, g_strdup(key), text);
}

/* Part of a full report: at most RIG_PART entries from the @from-th on. */
#define RIG_PART 60
static inline SlSigned *agent_report_part(Rig *rig, Agent *agent, guint from)
{
    g_autoptr(SlMap) map = sl_map_new();
    GPtrArray *changes = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter iter;
    gpointer key, value;
    guint n = 0;
    g_hash_table_iter_init(&iter, agent->applied);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        if (n < from + RIG_PART) {
            g_assert_true(sl_map_add(map, key, value, NULL));
        }
        if (n >= from && n < from + RIG_PART) {
            g_ptr_array_add(changes, g_strdup_printf("%s %s", (char *)key, (char *)value));
        }
        n++;
    }
    g_autofree char *root = sl_map_root(map),
                    *head = agent->head != NULL ? sl_signed_digest(agent->head) : NULL;
    SlReport report = {
        .fleet = RIG_FLEET_ID,
        .env = agent->env,
        .cluster = agent->cluster,
        .boot = agent->boot,
        .counter = ++agent->counter,
        .clock_us = rig->now_us,
        .head = head,
        .term = agent->term,
        .version = agent->version,
        .root = 1,
        .registry = 1,
        .ledger_seq = 0,
        .ledger_hash = "0000000000000000000000000000000000000000000000000000000000000000",
        .applied = root,
        .applied_count = sl_map_count(map),
        .full = from == 0,
        .more = n > from + RIG_PART,
        .changes = changes,
    };
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) text = sl_report_format(&report, &error);
    g_assert_no_error(error);
    g_ptr_array_unref(changes);
    SlSigned *s = sl_signed_new(text);
    sl_signed_sign(s, SL_STATEMENT_REPORT, agent->secret);
    return s;
}

static inline SlSigned *agent_report(Rig *rig, Agent *agent)
{
    return agent_report_part(rig, agent, 0);
}

static inline void agent_send_report(Rig *rig, Agent *agent)
{
    guint from = 0;
    do {
        g_autoptr(SlSigned) s = agent_report_part(rig, agent, from);
        SlCoordInput in = {.type = SL_COORD_REPORT,
                           .statement = {.curve = agent->curve, .statement = s}};
        rig_step(rig, &in);
        from += RIG_PART;
    } while (from < g_hash_table_size(agent->applied));
}

typedef struct {
    Rig *rig;
    Agent *agent;
} Desired;

static inline bool agent_take(const char *key, const char *values, void *user)
{
    Desired *d = user;
    g_auto(GStrv) parts = g_strsplit(key, "/", 5);
    if (strcmp(parts[0], "unit") == 0) {
        const SlSigned *s = sl_coord_statement(d->rig->coord, values);
        g_assert_nonnull(s);
        g_autoptr(SlPromotion) p = sl_promotion_parse(s->text, NULL);
        g_autoptr(SlMap) targets = sl_map_load(p->targets, rig_blob, d->rig, NULL);
        g_assert_nonnull(targets);
        json_t *unit = json_object();
        sl_json_set_str(unit, "bundle", sl_map_get(targets, d->agent->cluster));
        if (d->agent->latch && p->auto_rollback_to != NULL) {
            const SlSigned *old = sl_coord_statement(d->rig->coord, p->auto_rollback_to);
            g_autoptr(SlPromotion) back = sl_promotion_parse(old->text, NULL);
            g_autoptr(SlMap) before = sl_map_load(back->targets, rig_blob, d->rig, NULL);
            sl_json_set_str(unit, "bundle", sl_map_get(before, d->agent->cluster));
            sl_json_set_bool(unit, "latched", true);
        }
        sl_json_set_str(unit, "promotion", values);
        sl_json_set_str(unit, "health", d->agent->sick ? "Degraded" : "Healthy");
        sl_json_set_str(unit, "message", d->agent->sick ? "it crashes" : "");
        agent_set(d->agent, key, unit);
    } else if (strcmp(parts[0], "run") == 0) {
        json_t *run = json_object();
        g_autofree char *entry = g_strdup_printf("run/%s/%s/%s", parts[1], parts[2], values);
        sl_json_set_str(run, "id", values);
        sl_json_set_str(run, "phase", "Running");
        agent_set(d->agent, entry, run);
    }
    return true;
}

static inline void agent_take_head(Rig *rig, Agent *agent, const SlSigned *s)
{
    g_autoptr(SlHead) head = sl_head_parse(s->text, NULL);
    g_assert_nonnull(head);
    g_assert_true(head->term > agent->term ||
                  (head->term == agent->term && head->version > agent->version));
    agent->term = head->term;
    agent->version = head->version;
    sl_signed_free(agent->head);
    agent->head = sl_signed_copy(s);
    agent->heads++;
    g_autoptr(SlMap) map = sl_map_load(head->desired, rig_blob, rig, NULL);
    g_assert_nonnull(map);
    Desired d = {rig, agent};
    sl_map_foreach(map, agent_take, &d);
    if (!agent->mute) {
        agent_send_report(rig, agent);
    }
}

static inline void agent_hello(Rig *rig, const char *cluster)
{
    Agent *agent = rig_agent(rig, cluster);
    SlCoordInput in = {.type = SL_COORD_HELLO,
                       .hello = {.curve = agent->curve,
                                 .nonce = "00112233445566778899aabbccddeeff",
                                 .root_version = agent->root,
                                 .registry_version = agent->registry,
                                 .term = agent->term,
                                 .head_version = agent->version,
                                 .format_max = 1,
                                 .version = "test"}};
    rig_step(rig, &in);
}

/* ---- the shell ---- */

static inline Agent *rig_agent_of_curve(Rig *rig, const char *curve)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, rig->agents);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        if (strcmp(((Agent *)value)->curve, curve) == 0) {
            return value;
        }
    }
    return NULL;
}

static inline void rig_render(Rig *rig, const SlCoordEffect *e)
{
    const SlFleetDocs *docs = g_hash_table_lookup(rig->docs_of, e->commit);
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
    SlRenderAsk ask = {.docs = docs,
                       .app = sl_fleet_app(docs, e->app),
                       .env = e->env,
                       .tree = g_hash_table_lookup(rig->trees, e->commit),
                       .items = e->items,
                       .clusters = e->clusters};
    g_autoptr(GError) error = rig->render_error != NULL
                                  ? g_error_new(SL_ERROR, SLU_TIMEOUT, "%s", rig->render_error)
                                  : NULL;
    g_autoptr(SlRendered) rendered = error == NULL ? sl_render_unit(&ask, problems) : NULL;
    SlCoordInput in = {
        .type = SL_COORD_RENDERED,
        .rendered = {
            .attempt = e->attempt, .rendered = rendered, .problems = problems, .error = error}};
    rig->renders++;
    rig_step(rig, &in);
}

static inline char *rig_commit_id(const SlCoordEffect *e)
{
    g_autofree char *all = g_strdup_printf("%s|%s|%s|%" G_GINT64_FORMAT, e->env,
                                           e->old != NULL ? e->old : "-", e->message, e->time_us);
    g_autofree char *hash = sl_sha256_hex(all, strlen(all));
    return g_strndup(hash, 40);
}

static inline void rig_send(Rig *rig, SlCoordEffect *e)
{
    Agent *agent = rig_agent_of_curve(rig, e->curve);
    if (agent == NULL) {
        return;
    }
    switch (e->send) {
    case SL_COORD_SEND_RESET:
        agent->resets++;
        break;
    case SL_COORD_SEND_STEPS:
        agent->steps++;
        agent->root += e->roots->len;
        agent->registry += e->registries->len > 0 ? 1 : 0;
        break;
    case SL_COORD_SEND_HEAD:
        agent_take_head(rig, agent, e->statement);
        break;
    case SL_COORD_SEND_REPORT_ACK:
        agent->want_full = e->want_full;
        break;
    case SL_COORD_SEND_SEAL_ACK:
        agent->seal_acks++;
        g_free(agent->refused);
        agent->refused = g_strdup(e->refused);
        break;
    }
}

static inline void rig_do(Rig *rig, SlCoordEffect *e)
{
    switch (e->type) {
    case SL_COORD_DO_REPLY:
        json_decref(rig->reply);
        rig->reply = json_incref(e->body);
        rig->status = e->status;
        break;
    case SL_COORD_DO_ENROL_REPLY:
        json_decref(rig->enrol);
        rig->enrol = json_incref(e->body);
        break;
    case SL_COORD_DO_RENDER:
        if (!rig->hold_render) {
            rig_render(rig, e);
        }
        break;
    case SL_COORD_DO_ENV_WRITE:
        rig->writes++;
        if (!rig->hold_write) {
            g_autofree char *commit = rig_commit_id(e);
            SlCoordInput in = {.type = SL_COORD_ENV_WRITTEN,
                               .env_written = {.env = e->env, .old = e->old, .commit = commit}};
            rig_step(rig, &in);
        }
        break;
    case SL_COORD_DO_ENV_MOVE:
        rig->moves++;
        if (!rig->hold_move) {
            if (g_strcmp0(g_hash_table_lookup(rig->tips, e->env), e->old) == 0) {
                g_hash_table_replace(rig->tips, g_strdup(e->env), g_strdup(e->new_));
            }
            SlCoordInput in = {
                .type = SL_COORD_ENV_TIP,
                .env_tip = {.env = e->env, .tip = g_hash_table_lookup(rig->tips, e->env)}};
            rig_step(rig, &in);
        }
        break;
    case SL_COORD_DO_SEND:
        rig_send(rig, e);
        break;
    case SL_COORD_DO_REFRESH:
        rig->refreshed++;
        break;
    default:
        break;
    }
}

static inline void rig_merge(GHashTable *to, GHashTable *from)
{
    GHashTableIter iter;
    gpointer digest, bytes;
    g_hash_table_iter_init(&iter, from);
    while (g_hash_table_iter_next(&iter, &digest, &bytes)) {
        g_autofree char *real = sl_sha256_hex_bytes(bytes);
        g_assert_cmpstr(real, ==, digest);
        g_hash_table_replace(to, g_strdup(digest), g_bytes_ref(bytes));
    }
}

static inline int64_t rig_cpu_us(void)
{
    struct timespec spent;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
    return (int64_t)spent.tv_sec * SL_SECOND_US + spent.tv_nsec / 1000;
}

static inline void rig_step(Rig *rig, SlCoordInput *input)
{
    g_autoptr(SlCoordOutput) out = sl_coord_output_new();
    input->monotonic_us = rig->monotonic ? rig->now_us : 0;
    int64_t start_us = rig_cpu_us();
    sl_coord_step(rig->coord, input, rig->now_us + rig->wall_off_us, out);
    rig->step_us += rig_cpu_us() - start_us;
    for (guint i = 0; i < out->events->len; i++) {
        g_ptr_array_add(rig->ledger, json_incref(g_ptr_array_index(out->events, i)));
    }
    rig_merge(rig->blobs, out->ledger_blobs);
    rig_merge(rig->blobs, out->cache_blobs);
    rig->next_us = out->next_us;
    if (rig->check) {
        rig_assert_same(rig);
    }
    while (out->effects->len > 0) { /* in order, also of the steps that they lead to */
        g_ptr_array_add(rig->effects, g_ptr_array_steal_index(out->effects, 0));
    }
    while (!rig->busy && rig->effects->len > 0) {
        SlCoordEffect *effect = g_ptr_array_steal_index(rig->effects, 0);
        rig->busy = true;
        rig_do(rig, effect);
        rig->busy = false;
        sl_coord_effect_free(effect);
    }
}

static inline void rig_tick(Rig *rig, int64_t us)
{
    SlCoordInput in = {.type = SL_COORD_TICK};
    rig->now_us += us;
    rig_step(rig, &in);
}

static inline void rig_tips(Rig *rig)
{
    static const char *const envs[] = {"dev", "test", "prod"};
    for (size_t i = 0; i < 3; i++) {
        SlCoordInput tip = {
            .type = SL_COORD_ENV_TIP,
            .env_tip = {.env = envs[i], .tip = g_hash_table_lookup(rig->tips, envs[i])}};
        rig_step(rig, &tip);
    }
}

static inline void rig_start(Rig *rig)
{
    SlCoordInput in = {.type = SL_COORD_START};
    rig_step(rig, &in);
    rig_tips(rig);
}

/* The coordinator dies and starts again from its ledger. */
static inline void rig_restart(Rig *rig)
{
    rig_assert_same(rig);
    sl_coord_free(rig->coord);
    rig->coord = rig_fold(rig, rig->ledger->len);
    rig_start(rig);
}

static inline json_t *rig_ask_as(Rig *rig, const char *person, const char *scope, const char *verb,
                                 const char *key, json_t *args)
{
    SlCoordInput in = {.type = SL_COORD_REQUEST,
                       .request = {.id = "r",
                                   .verb = verb,
                                   .person = person,
                                   .scope = scope,
                                   .args = args,
                                   .idempotency_key = key,
                                   .random = rig->random}};
    rig->random[0]++;
    json_decref(rig->reply);
    rig->reply = NULL;
    rig_step(rig, &in);
    json_decref(args);
    g_assert_nonnull(rig->reply);
    return rig->reply;
}

static inline json_t *rig_ask(Rig *rig, const char *verb, json_t *args)
{
    return rig_ask_as(rig, "alice", "operate", verb, NULL, args);
}

static inline json_t *rig_unit_args(const char *app, const char *env)
{
    return json_pack("{s:s,s:s,s:s}", "app", app, "env", env, "reason", "a test");
}

#define rig_assert_refused(rig, number)                                                            \
    do {                                                                                           \
        g_autofree char *code_ = g_strdup_printf("SLU%d", number);                                 \
        g_assert_cmpstr(sl_json_str((rig)->reply, "error.code"), ==, code_);                       \
        g_assert_nonnull(sl_json_str((rig)->reply, "error.message"));                              \
    } while (0)

static inline json_t *rig_view(Rig *rig, const char *what, json_t *args)
{
    g_autoptr(GError) error = NULL;
    json_t *view = sl_coord_view(rig->coord, what, args, rig->now_us, &error);
    g_assert_no_error(error);
    json_decref(args);
    return view;
}

static inline char *rig_state(Rig *rig, uint64_t n)
{
    g_autoptr(json_t) view = rig_view(rig, "attempt", json_pack("{s:I}", "n", (json_int_t)n));
    return g_strdup(sl_json_str(view, "state"));
}

#define rig_assert_state(rig, n, wanted)                                                           \
    do {                                                                                           \
        g_autofree char *state_ = rig_state(rig, n);                                               \
        g_assert_cmpstr(state_, ==, wanted);                                                       \
    } while (0)

static inline char *rig_approve(Rig *rig, uint64_t n, const uint8_t secret[64])
{
    g_autoptr(json_t) view = rig_view(rig, "attempt", json_pack("{s:I}", "n", (json_int_t)n));
    const char *text = sl_json_str(view, "statement.text");
    g_assert_nonnull(text);
    g_autofree char *sig =
        sl_sshsig_sign(secret, text, strlen(text), sl_statement_namespace(SL_STATEMENT_PROMOTION));
    json_t *reply =
        rig_ask(rig, "approve", json_pack("{s:I,s:s}", "attempt", (json_int_t)n, "signature", sig));
    return g_strdup(sl_json_str(reply, "error.code"));
}

#include "rig_fleet.h" /* needs what is above */
