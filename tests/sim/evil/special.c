/* special.c - attacks that are more than one forged thing: more runs than people ordered, a pause that is
 * left out, steps that are withheld, a clock set back or far ahead, an emptied model store, a promotion
 * that people signed and took back. */
#include "evil.h"

/* What an attack of several steps remembers; one at a time. */
typedef struct {
    int phase;
    int64_t since;
    char *digest, *other, *older;
    GHashTable *models;
} Steps;

static void steps_free(void *data)
{
    Steps *s = data;
    g_free(s->digest);
    g_free(s->other);
    g_free(s->older);
    g_clear_pointer(&s->models, g_hash_table_unref);
    g_free(s);
}

static void *steps_new(void)
{
    return g_new0(Steps, 1);
}

static Steps *steps_of(World *w)
{
    return world_keep(w, "attack steps", steps_new, steps_free);
}

static Steps *steps_begin(World *w)
{
    Steps *s = steps_of(w);
    g_clear_pointer(&s->digest, g_free);
    g_clear_pointer(&s->other, g_free);
    g_clear_pointer(&s->older, g_free);
    g_clear_pointer(&s->models, g_hash_table_unref);
    s->phase = 0;
    s->since = w->now;
    return s;
}

static void next_phase(World *w, Steps *s)
{
    s->phase++;
    s->since = w->now;
}

static bool waited(const World *w, const Steps *s, int64_t us)
{
    return w->now - s->since >= us;
}

static json_t *view_of(World *w, const Agent *a)
{
    return a->brain != NULL ? sl_agent_view(a->brain, agent_now(w, a)) : json_object();
}

static bool has_entry(World *w, const Agent *a, const char *entry)
{
    g_autoptr(json_t) view = view_of(w, a);
    return json_object_get(sl_json_at(view, "applied"), entry) != NULL;
}

/* ---- runs ---- */

static char *run_key_of(World *w, const Agent *a, const char *job)
{
    g_autofree char *text = forge_list_text(w, a);
    g_autofree char *start = g_strdup_printf("object gitops.sluice/TrainingJob - %s ", job);
    g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        GBytes *bytes =
            g_str_has_prefix(*line, start) ? forge_find(w, strrchr(*line, ' ') + 1) : NULL;
        g_autoptr(json_t) object = bytes != NULL ? json_loadb(g_bytes_get_data(bytes, NULL),
                                                              g_bytes_get_size(bytes), 0, NULL)
                                                 : NULL;
        if (object != NULL) {
            return g_strdup(sl_object_annotation(object, "gitops.sluice/run-key"));
        }
    }
    return NULL;
}

static void list_run(World *w, const Attack *attack, Agent *a, Shot *shot, const char *job,
                     uint64_t generation, uint64_t id_of)
{
    g_autofree char *own = run_key_of(w, a, job), *trained = run_key_of(w, a, "train");
    const char *key = own != NULL ? own : trained; /* no such job: another one's key */
    if (key == NULL) {
        return;
    }
    g_autoptr(GHashTable) lines = hand_lines(w, a);
    char *line =
        g_strdup_printf("run/%s/%s/%s/%" G_GUINT64_FORMAT, forge_app(w), a->env, job, generation);
    shot->entry = attack->kind != NULL ? g_strdup_printf("refused/%s", line) : NULL;
    g_hash_table_replace(lines, line,
                         sl_run_id(w->root->fleet, forge_app(w), a->env, job, key, id_of));
    hand_list(w, a, lines);
}

static void more_generations(World *w, const Attack *attack, Agent *a, Shot *shot)
{
    list_run(w, attack, a, shot, "train", 1, 1);
}

/* A job that a person starts, and nobody did. */
static void by_hand(World *w, const Attack *attack, Agent *a, Shot *shot)
{
    list_run(w, attack, a, shot, "tune", 0, 0);
}

static void wrong_id(World *w, const Attack *attack, Agent *a, Shot *shot)
{
    list_run(w, attack, a, shot, "train", 7, 1);
}

static void no_such_job(World *w, const Attack *attack, Agent *a, Shot *shot)
{
    list_run(w, attack, a, shot, "other", 0, 0);
}

/* Generation 0 again, which ended long ago: its seal is sent again, nothing starts (check "once"). */
static void finished_again(World *w, const Attack *attack, Agent *a, Shot *shot)
{
    list_run(w, attack, a, shot, "train", 0, 0);
    (void)steps_begin(w);
}

static bool quiet_minute(World *w, Agent *a)
{
    (void)a;
    return waited(w, steps_of(w), SL_MINUTE_US);
}

/* ---- orders in steps ---- */

static char *order_of(World *w, const Attack *attack, Agent *a, SlAct act, uint64_t number,
                      const char *signers)
{
    g_auto(Forging) f = {0};
    forge_begin(&f, w, attack, a);
    f.o->act = act;
    f.o->scope = g_strdup_printf("unit %s/%s", forge_app(w), a->env);
    f.o->number = number;
    f.signers = signers;
    g_autoptr(GBytes) text = sl_order_format(f.o, NULL);
    return forge_statement(&f, SL_STATEMENT_ORDER, text);
}

/* What alice signed for the unit, handed in to nobody: the next seq, the same objects but one. */
static char *third_of(World *w, const Attack *attack, Agent *a)
{
    g_auto(Forging) f = {0};
    forge_begin(&f, w, attack, a);
    g_autoptr(SlPromotion) now = forge_promotion_in_force(w, a);
    if (f.p == NULL || now == NULL) {
        return NULL;
    }
    put_text(&f.p->app, forge_app(w));
    f.p->seq = now->seq + 1;
    f.signers = "alice";
    g_autoptr(GBytes) text = sl_promotion_format(f.p, NULL);
    return forge_statement(&f, SL_STATEMENT_PROMOTION, text);
}

static void list_with(World *w, Agent *a, const char *promotion, const char *order)
{
    g_autoptr(GHashTable) lines = hand_lines(w, a);
    if (promotion != NULL) {
        g_hash_table_replace(lines, g_strdup_printf("unit/%s/%s", forge_app(w), a->env),
                             g_strdup(promotion));
    }
    if (order != NULL) {
        g_hash_table_replace(lines, g_strdup_printf("order/%s", order), g_strdup("order"));
    }
    hand_list(w, a, lines);
}

static void pause_left_out(World *w, const Attack *attack, Agent *a, Shot *shot)
{
    Steps *s = steps_begin(w);
    s->other = order_of(w, attack, a, SL_ACT_PAUSE, 7, "alice");
    s->older = order_of(w, attack, a, SL_ACT_RESUME, 5, "alice");
    s->digest = third_of(w, attack, a);
    forge_never(w, a, attack, s->older);
    list_with(w, a, NULL, s->other);
    next_phase(w, s);
    (void)shot;
}

/* It runs what it ran, and says that it waits for the pause to end. */
static void still_paused(World *w, const Agent *a, const Steps *s)
{
    g_autofree char *good = forge_good(w, a);
    g_autofree char *waits = g_strdup_printf("flag/waits/%s/%s", forge_app(w), a->env);
    if (g_strcmp0(good, s->digest) == 0) {
        fail(w, "attack: %s runs promotion %.12s under a pause", a->cluster, s->digest);
    } else if (!has_entry(w, a, waits)) {
        fail(w, "attack: %s does not say that it waits for a pause to end", a->cluster);
    }
}

static void must_refuse(World *w, const Agent *a, const char *order)
{
    g_autofree char *entry = g_strdup_printf("refused/order/%.16s", order);
    g_autoptr(json_t) view = view_of(w, a);
    const json_t *refused = json_object_get(sl_json_at(view, "applied"), entry);
    if (g_strcmp0(sl_json_str(refused, "kind"), "replay") != 0) {
        fail(w, "attack: %s does not refuse order %.12s, which is over", a->cluster, order);
    }
}

/* Paused; the pause left out and something new listed; an older resume; resumed by people; the old
 * pause again: only what people said last counts. */
static bool pause_held(World *w, Agent *a)
{
    static const Attack as_it_is = {.name = "resume"};
    Steps *s = steps_of(w);
    g_autofree char *resume = NULL;
    if (!waited(w, s, SL_MINUTE_US)) {
        return false;
    }
    switch (s->phase) {
    case 1:
        list_with(w, a, s->digest, NULL);
        break;
    case 2:
        still_paused(w, a, s);
        list_with(w, a, s->digest, s->older);
        break;
    case 3:
        still_paused(w, a, s);
        must_refuse(w, a, s->older);
        resume = order_of(w, &as_it_is, a, SL_ACT_RESUME, 8, "alice");
        list_with(w, a, NULL, resume);
        break;
    case 4:
        list_with(w, a, NULL, s->other);
        break;
    default:
        must_refuse(w, a, s->other);
        return true;
    }
    next_phase(w, s);
    return false;
}

/* ---- steps, clocks ---- */

static void steps_withheld(World *w, const Attack *attack, Agent *a, Shot *shot)
{
    g_autoptr(GHashTable) lines = hand_lines(w, a);
    g_autofree char *list = forge_map(w, lines);
    g_autoptr(SlHead) h = hand_head(w, a, list);
    h->root++;
    h->registry++;
    g_autoptr(GBytes) text = sl_head_format(h, NULL);
    g_autofree char *digest = sl_sha256_hex_bytes(text);
    forge_never(w, a, attack, digest);
    hand_send_head(w, a, h, w->online);
    (void)steps_begin(w);
    (void)shot;
}

static void clock_back(World *w, const Attack *attack, Agent *a, Shot *shot)
{
    g_auto(Forging) f = {0};
    forge_begin(&f, w, attack, a);
    g_autoptr(SlPromotion) now = forge_promotion_in_force(w, a);
    if (f.p == NULL || now == NULL) {
        return;
    }
    a->clock.offset_us = -4 * SL_MINUTE_US;
    put_text(&f.p->app, forge_app(w));
    f.p->seq = now->seq + 1;
    f.p->not_before_us = w->now - SL_HOUR_US;
    f.p->activate_until_us = w->now - 2 * SL_MINUTE_US;
    g_autoptr(GBytes) text = sl_promotion_format(f.p, NULL);
    g_autofree char *digest = forge_statement(&f, SL_STATEMENT_PROMOTION, text);
    forge_never(w, a, attack, digest);
    list_with(w, a, digest, NULL);
    shot->entry = g_strdup_printf("refused/unit/%s/%s", forge_app(w), a->env);
}

static bool clock_is_right(World *w, Agent *a)
{
    (void)w;
    a->clock.offset_us = 0;
    return true;
}

/* Signed by people for a while later, and then no head comes any more: it must not start by itself. */
static void no_more_heads(World *w, const Attack *attack, Agent *a, Shot *shot)
{
    g_auto(Forging) f = {0};
    Steps *s = steps_begin(w);
    forge_begin(&f, w, attack, a);
    g_autoptr(SlPromotion) now = forge_promotion_in_force(w, a);
    if (f.p == NULL || now == NULL) {
        return;
    }
    put_text(&f.p->app, forge_app(w));
    f.p->seq = now->seq + 1;
    f.p->not_before_us = w->now + 25 * SL_MINUTE_US;
    f.p->activate_until_us = w->now + 2 * SL_HOUR_US;
    g_autoptr(GBytes) text = sl_promotion_format(f.p, NULL);
    s->digest = forge_statement(&f, SL_STATEMENT_PROMOTION, text);
    list_with(w, a, s->digest, NULL);
    next_phase(w, s);
    shot->entry = g_strdup("flag/stale-head");
}

static bool waits_for_a_head(World *w, Agent *a)
{
    const Steps *s = steps_of(w);
    g_autofree char *good = forge_good(w, a);
    if (g_strcmp0(good, s->digest) == 0) {
        fail(w, "attack: %s starts promotion %.12s under a head that expired", a->cluster,
             s->digest);
    }
    return waited(w, s, 30 * SL_MINUTE_US);
}

/* Only the agent's clock says so, but it is all that it has. */
static void root_expired(World *w, const Attack *attack, Agent *a, Shot *shot)
{
    (void)attack;
    a->clock.offset_us = 400 * SL_DAY_US;
    g_autoptr(GHashTable) lines = hand_lines(w, a);
    hand_list(w, a, lines);
    shot->entry = g_strdup("refused/head");
}

/* ---- models, what was taken back ---- */

static void models_emptied(World *w, const Attack *attack, Agent *a, Shot *shot)
{
    Steps *s = steps_begin(w);
    s->models = g_hash_table_ref(w->models);
    g_hash_table_unref(w->models);
    w->models = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    s->digest = third_of(w, attack, a);
    list_with(w, a, s->digest, NULL);
    next_phase(w, s);
    (void)shot;
}

static bool unit_is(World *w, const Agent *a, const char *promotion, const char *health)
{
    g_autoptr(json_t) view = view_of(w, a);
    g_autofree char *path = g_strdup_printf("units.%s", forge_app(w));
    const json_t *u = sl_json_at(view, path);
    return g_strcmp0(sl_json_str(u, "promotion"), promotion) == 0 &&
           strcmp(sl_json_str_or(u, "health", ""), health) == 0 &&
           !sl_json_bool(u, "latched", true);
}

/* Without models: Unknown, not latched, and the old server goes on. With them: it comes true. */
static bool models_come_back(World *w, Agent *a)
{
    Steps *s = steps_of(w);
    if (s->phase == 1 && waited(w, s, 12 * SL_MINUTE_US)) {
        if (!unit_is(w, a, s->digest, "Unknown")) {
            fail(w, "attack: %s is not Unknown without its model", a->cluster);
        }
        GHashTableIter iter;
        gpointer digest;
        g_hash_table_iter_init(&iter, w->models);
        while (g_hash_table_iter_next(&iter, &digest, NULL)) {
            g_hash_table_add(s->models, g_strdup(digest));
        }
        g_hash_table_unref(w->models);
        w->models = g_steal_pointer(&s->models);
        next_phase(w, s);
    }
    return s->phase == 2 && unit_is(w, a, s->digest, "Healthy");
}

static void taken_back(World *w, const Attack *attack, Agent *a, Shot *shot)
{
    Steps *s = steps_begin(w);
    s->digest = third_of(w, attack, a);
    list_with(w, a, s->digest, NULL);
    (void)shot;
}

static bool runs_it(World *w, Agent *a)
{
    return unit_is(w, a, steps_of(w)->digest, "Healthy");
}

static bool runs_newest(World *w, const char *env)
{
    g_autoptr(json_t) status = people_view(w, "status", json_pack("{s:s}", "env", env));
    const json_t *unit = json_array_get(sl_json_at(status, "units"), 0);
    return g_strcmp0(sl_json_str(unit, "commit"), source_newest(w)->id) == 0 &&
           strcmp(sl_json_str_or(unit, "health", ""), "Healthy") == 0 &&
           strcmp(sl_json_str_or(unit, "last.state", ""), "SUCCEEDED") == 0 &&
           sl_json_int(unit, "last.withheld", 0) == 0;
}

/* ---- a cluster that vouches for a bad model ---- */

/* Whoever holds the online key registers a cluster in dev, and it seals what it likes: the gate of
 * test opens. Prod is another matter. */
static void lying_seal(World *w, const Attack *attack, Agent *a, Shot *shot)
{
    Steps *s = steps_begin(w);
    Agent *prod = agent_in(w, "prod", 0);
    (void)attack;
    (void)a;
    (void)shot;
    hand_hold(w, NULL);
    s->digest = forge_good(w, prod);
    worked_push(w, "a model that is praised", "digits, praised\n", "v2", "0.99");
}

static bool test_believes_prod_does_not(World *w, Agent *a)
{
    (void)a;
    Steps *s = steps_of(w);
    if (s->phase == 0 && runs_newest(w, "test")) {
        next_phase(w, s);
    }
    g_autofree char *good = forge_good(w, agent_in(w, "prod", 0));
    if (g_strcmp0(good, s->digest) != 0) {
        fail(w, "attack: a seal of dev moved prod");
    }
    return s->phase == 1 && waited(w, s, 5 * SL_MINUTE_US);
}

/* ---- a result that is no number ---- */

static void nan_metric(World *w, const Attack *attack, Agent *a, Shot *shot)
{
    (void)attack;
    (void)a;
    (void)shot;
    (void)steps_begin(w);
    hand_hold(w, NULL);
    worked_push(w, "a model that diverged", "digits\n", "v2", "NaN");
}

/* dev trains it and says so; test never takes it, and takes the next one. */
static bool test_does_not_take_it(World *w, Agent *a)
{
    (void)a;
    Steps *s = steps_of(w);
    if (s->phase < 2 && runs_newest(w, "test")) {
        fail(w, "attack: test takes a model whose accuracy is no number");
    }
    if (s->phase == 0 && runs_newest(w, "dev")) {
        next_phase(w, s);
    } else if (s->phase == 1 && waited(w, s, 5 * SL_MINUTE_US)) {
        worked_push(w, "it converges", "digits\n", "v2", "0.98");
        next_phase(w, s);
    }
    return s->phase == 2 && runs_newest(w, "test");
}

static const Attack SPECIALS[] = {
    {.name = "more-generations",
     KIND("run-not-ordered", SLU_AGENT_RUN),
     .act = more_generations,
     .env = "dev"},
    {.name = "by-hand", KIND("run-not-ordered", SLU_AGENT_RUN), .act = by_hand, .env = "dev"},
    {.name = "wrong-run-id", KIND("run-id", SLU_AGENT_RUN), .act = wrong_id, .env = "dev"},
    {.name = "no-such-job",
     KIND("run-not-in-bundle", SLU_AGENT_RUN),
     .act = no_such_job,
     .env = "dev"},
    {.name = "finished-again",
     .act = finished_again,
     .env = "dev",
     .over = quiet_minute,
     .alone = true},
    {.name = "pause-left-out", .act = pause_left_out, .over = pause_held, .alone = true},
    {.name = "steps-withheld", .act = steps_withheld, .over = quiet_minute, .alone = true},
    {.name = "clock-set-back",
     KIND("window", SLU_AGENT_WINDOW),
     .signers = "alice",
     .act = clock_back,
     .over = clock_is_right,
     .alone = true},
    {.name = "root-expired",
     KIND("root-expired", SLU_AGENT_ROOT_EXPIRED),
     .act = root_expired,
     .over = clock_is_right,
     .alone = true},
    {.name = "no-more-heads",
     .signers = "alice",
     .act = no_more_heads,
     .like = "nothing new starts",
     .over = waits_for_a_head,
     .alone = true},
    {.name = "models-emptied", .act = models_emptied, .over = models_come_back, .alone = true},
    {.name = "lying-seal",
     .act = lying_seal,
     .env = "dev",
     .over = test_believes_prod_does_not,
     .alone = true},
    {.name = "nan-metric",
     .act = nan_metric,
     .env = "dev",
     .over = test_does_not_take_it,
     .alone = true},
    {.name = "taken-back", .act = taken_back, .over = runs_it, .alone = true},
};

const AttackTable ATTACKS_SPECIALS = {"special", SPECIALS, G_N_ELEMENTS(SPECIALS), NULL};
