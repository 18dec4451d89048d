/* others.c - a cluster that speaks for others and lies in its own name, a Git host that shows what is old
 * or not its owner's, and one person who signs whatever is asked. */
#include "evil.h"

/* ---- a cluster: forged reports and seals ---- */

static void to_coordinator(World *w, Agent *a, SlStatementKind kind, GBytes *text,
                           const uint8_t *key)
{
    if (text == NULL) {
        return;
    }
    Message *m = message_new(kind == SL_STATEMENT_REPORT ? MSG_REPORT : MSG_SEAL);
    m->statement = sl_signed_new(text);
    sl_signed_sign(m->statement, kind, key);
    net_send(w, a, TO_COORD, m);
}

static SlReport *report_of(World *w, Rng *rng, const Agent *as)
{
    SlReport *r = g_new0(SlReport, 1);
    r->fleet = g_strdup(w->root->fleet);
    r->env = g_strdup(as->env);
    r->cluster = g_strdup(as->cluster);
    r->boot = rng_hex(rng, 16);
    r->counter = rng_chance(rng, 500) ? INT64_MAX : 1;
    r->clock_us = INT64_C(4070908800) * SL_SECOND_US; /* 2099 */
    r->term = rng_chance(rng, 500) ? INT64_MAX : 1;
    r->version = r->root = r->registry = 1;
    r->ledger_seq = rng_chance(rng, 500) ? INT64_MAX : 1;
    r->ledger_hash = rng_hex(rng, 32);
    r->applied = rng_hex(rng, 32);
    r->applied_count = 1;
    r->changes = g_ptr_array_new_with_free_func(g_free);
    return r;
}

/* What the newest attempt of an environment wants to hear of @other. */
static char *good_news(World *w, const Agent *other)
{
    g_autoptr(json_t) history = people_view(w, "history", json_pack("{s:s}", "env", other->env));
    const json_t *newest = json_array_get(sl_json_at(history, "attempts"), 0);
    g_autofree char *path = g_strdup_printf("targets.%s", other->cluster);
    g_autofree char *number = g_strdup_printf("%" G_GINT64_FORMAT, sl_json_int(newest, "n", 0));
    g_autoptr(json_t) attempt =
        newest != NULL ? people_view(w, "attempt",
                                     json_pack("{s:s,s:I}", "n", number, "attempt",
                                               (json_int_t)sl_json_int(newest, "n", 0)))
                       : NULL;
    g_autoptr(json_t) news = json_object();
    const char *text = sl_json_str(attempt, "statement.text");
    g_autofree char *digest = text != NULL ? sl_sha256_hex(text, strlen(text)) : NULL;
    sl_json_set_str(news, "bundle", sl_json_str(attempt, path));
    sl_json_set_str(news, "promotion", digest);
    sl_json_set_str(news, "health", "Healthy");
    sl_json_set_bool(news, "latched", false);
    return sl_json_canonical(news, NULL);
}

/* Speaks for @other: over its own connection or the other's, under its own key or a made-up one. */
static void lie_about(World *w, Rng *rng, Agent *a, Agent *other)
{
    g_autoptr(SlReport) r = report_of(w, rng, other);
    g_autofree char *news = good_news(w, other);
    g_ptr_array_add(r->changes, g_strdup_printf("unit/%s/%s %s", forge_app(w), other->env, news));
    g_ptr_array_add(r->changes, g_strdup("flag/<script> {\"message\":\"\"}"));
    g_autoptr(GBytes) text = sl_report_format(r, NULL);
    Agent *by = rng_chance(rng, 500) && other->connected ? other : a;
    to_coordinator(w, by, SL_STATEMENT_REPORT, text,
                   rng_chance(rng, 500) ? a->secret : forge_key(w, "mallory"));
}

static bool is_sealed(const World *w, const char *run)
{
    for (guint i = w->ledger->len; i > 0; i--) {
        const json_t *event = w->ledger->pdata[i - 1];
        if (g_strcmp0(sl_json_str(event, "type"), "Sealed") == 0 &&
            g_strcmp0(sl_json_str(event, "run"), run) == 0) {
            return true;
        }
    }
    return false;
}

/* A run that goes on elsewhere is over, with the best of results; or its own, which is over long since,
 * once more. */
static void seal_of_others(World *w, Rng *rng, Agent *a)
{
    g_autoptr(GPtrArray) placed = g_ptr_array_new();
    for (guint i = 0; i < w->ledger->len; i++) {
        json_t *event = g_ptr_array_index(w->ledger, i);
        bool theirs = g_strcmp0(sl_json_str(event, "cluster"), a->cluster) != 0;
        bool wanted = theirs || is_sealed(w, sl_json_str(event, "run"));
        if (wanted && g_strcmp0(sl_json_str(event, "type"), "RunPlaced") == 0) {
            g_ptr_array_add(placed, event);
        }
    }
    if (placed->len == 0) {
        return;
    }
    guint at = rng_chance(rng, 500) ? placed->len - 1 : (guint)rng_below(rng, placed->len);
    const json_t *run = g_ptr_array_index(placed, at);
    const Agent *there = agent_named(w, sl_json_str(run, "cluster"));
    bool as_there = rng_chance(rng, 500) && there != NULL;
    g_autoptr(SlSeal) s = g_new0(SlSeal, 1);
    g_autofree char *digest = rng_hex(rng, 32);
    s->fleet = g_strdup(w->root->fleet);
    s->env = g_strdup(as_there ? there->env : a->env);
    s->cluster = g_strdup(as_there ? there->cluster : a->cluster);
    s->app = g_strdup(sl_json_str(run, "app"));
    s->job = g_strdup(sl_json_str(run, "job"));
    s->run_id = g_strdup(sl_json_str(run, "run"));
    s->run_key = g_strdup(sl_json_str(run, "runKey"));
    s->generation = (uint64_t)sl_json_int(run, "generation", 0);
    s->promotion = g_strdup(digest);
    s->bundle = g_strdup(digest);
    s->release = g_strdup(digest);
    s->phase = SL_RUN_SUCCEEDED;
    s->reason = g_strdup("Completed");
    s->exit = g_strdup("0");
    s->attempts = 1;
    s->started_us = w->now - SL_HOUR_US;
    s->finished_us = w->now;
    s->inputs = g_ptr_array_new_with_free_func(g_free);
    s->outputs = g_ptr_array_new_with_free_func(g_free);
    s->metrics = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(s->outputs, g_strdup_printf("model sha256:%s 1000", digest));
    g_ptr_array_add(s->metrics,
                    g_strdup(rng_chance(rng, 500) ? "final.accuracy 1.0" : "final.accuracy NaN"));
    g_autoptr(GBytes) text = sl_seal_format(s, NULL);
    /* Over its own connection under its own key, or over the other's under its own. */
    Agent *by = as_there ? agent_named(w, there->cluster) : a;
    to_coordinator(w, by, SL_STATEMENT_SEAL, text, a->secret);
}

/* Any of dev's clusters, one for each seed: where runs are placed, or beside it. */
static Agent *liar(const World *w)
{
    unsigned n = 0;
    while (agent_in(w, "dev", n) != NULL) {
        n++;
    }
    return n > 0 ? agent_in(w, "dev", (unsigned)(w->options.seed % n)) : NULL;
}

static void cluster_act(World *w, Rng *rng)
{
    Agent *a = liar(w);
    if (a == NULL || !a->connected || w->coord == NULL) {
        return;
    }
    unsigned times = rng_chance(rng, 50) ? 40 : 1; /* now and then a flood */
    for (unsigned i = 0; i < times; i++) {
        if (rng_chance(rng, 500)) {
            Agent *other = agent_at(w, (int)rng_below(rng, w->agents->len));
            if (other != a) { /* what it says about itself is believed: it is its own cluster */
                lie_about(w, rng, a, other);
            }
        } else {
            seal_of_others(w, rng, a);
        }
    }
}

const Actor actor_cluster = {
    .name = "cluster", .per_mille = 250, .mean_us = 10 * SL_SECOND_US, .act = cluster_act};

/* ---- a Git host ---- */

/* Shows the branch as it was, as moved back, or with a commit by somebody else: the tree of an old
 * commit under a new name. After the safety phase it shows the truth again. */
static void git_act(World *w, Rng *rng)
{
    if (w->coord == NULL || sl_coord_followed(w->coord, "") == NULL) {
        return;
    }
    const Commit *old = g_ptr_array_index(w->commits, rng_below(rng, w->commits->len));
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
    g_autoptr(json_t) authors = json_pack("[s]", "mallory@x.test");
    SlCoordInput in = {.type = SL_COORD_SOURCE,
                       .source = {.repository = "",
                                  .branch = "main",
                                  .commit = old->id,
                                  .position = old->position,
                                  .time_us = rng_chance(rng, 500) ? old->time_us : INT64_C(1),
                                  .author = "Mallory <mallory@x.test>",
                                  .subject = old->subject,
                                  .rewound = true,
                                  .authors = authors,
                                  .docs = NULL,
                                  .problems = problems}};
    coord_step(w, &in);
}

const Actor actor_git = {
    .name = "git-host", .per_mille = 200, .mean_us = 30 * SL_SECOND_US, .act = git_act};

/* ---- one person ---- */

/* Signs every statement that waits, old and ended ones too, under two keys, and hands the signatures
 * in for himself and in other names. He is in no role for the units of the stories. */
static void approver_act(World *w, Rng *rng)
{
    if (w->coord == NULL || person_named(w, "bob") == NULL || w->profile != SL_PROFILE_SOLO) {
        return;
    }
    g_autoptr(json_t) history = people_view(w, "history", NULL);
    const json_t *attempts = sl_json_at(history, "attempts");
    const json_t *one = json_array_get(attempts, (size_t)rng_below(rng, json_array_size(attempts)));
    int64_t n = sl_json_int(one, "n", 0);
    g_autofree char *number = g_strdup_printf("%" G_GINT64_FORMAT, n);
    g_autoptr(json_t) attempt =
        people_view(w, "attempt", json_pack("{s:s,s:I}", "n", number, "attempt", (json_int_t)n));
    const char *text = sl_json_str(attempt, "statement.text");
    if (text == NULL) {
        return;
    }
    g_autofree char *revoked = sl_sshsig_sign(forge_key(w, "bob-revoked"), text, strlen(text),
                                              sl_statement_namespace(SL_STATEMENT_PROMOTION));
    g_autofree char *own = people_sign(w, "bob", SL_STATEMENT_PROMOTION, text);
    const char *const sigs[] = {own, revoked};
    const char *const names[] = {"bob", "alice"};
    g_autofree char *id = coord_request(
        w, names[rng_below(rng, 2)], "operate", "approve",
        json_pack("{s:I,s:s}", "attempt", (json_int_t)n, "signature", sigs[rng_below(rng, 2)]));
}

const Actor actor_approver = {
    .name = "approver", .per_mille = 200, .mean_us = 10 * SL_SECOND_US, .act = approver_act};
