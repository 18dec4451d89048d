/* team.c - two people of four, never who asked; a queue that is full; a key that is revoked while its
 * signature waits; an epoch that is raised. */
#include "kit.h"

static void shape(World *w)
{
    kit_web_shape(w);
    w->profile = SL_PROFILE_TEAM;
}

static bool push_second(World *w, Plot *p)
{
    (void)p;
    kit_web_push(w, "v2");
    return true;
}

/* 1: signed, -1: refused, 0: no answer yet. */
static int sign_as(World *w, Plot *p, const char *who)
{
    g_autofree char *n = g_strdup_printf("%" G_GUINT64_FORMAT, p->attempt);
    g_autoptr(json_t) a = people_view(
        w, "attempt", json_pack("{s:s,s:I}", "n", n, "attempt", (json_int_t)p->attempt));
    const char *text = sl_json_str(a, "statement.text");
    if (text == NULL) {
        return 0;
    }
    size_t i;
    json_t *name;
    json_array_foreach (sl_json_at(a, "approvals.people"), i, name) {
        if (g_strcmp0(json_string_value(name), who) == 0) {
            return 1;
        }
    }
    g_autofree char *sig = people_sign(w, who, SL_STATEMENT_PROMOTION, text);
    int64_t status = 0;
    if (p->signing != p->attempt) {
        ask_clear(&p->second);
        p->signing = p->attempt;
    }
    const json_t *body = people_ask(
        w, &p->second, who, "approve",
        json_pack("{s:I,s:s}", "attempt", (json_int_t)p->attempt, "signature", sig), &status);
    return body == NULL ? 0 : status < 300 ? 1 : -1;
}

static bool over(World *w, Plot *p)
{
    const BookAttempt *a = kit_attempt(w, p->attempt);
    return a != NULL && a->stage != BOOK_WAITS;
}

/* Who asked may not sign it. */
static bool own_signature(World *w, Plot *p)
{
    if (over(w, p)) {
        return true;
    }
    int how = sign_as(w, p, "alice");
    if (how > 0) {
        fail(w, "alice asked for attempt %" G_GUINT64_FORMAT " and her signature counts",
             p->attempt);
    }
    return how < 0;
}

static bool bob_signs(World *w, Plot *p)
{
    return over(w, p) || sign_as(w, p, "bob") > 0;
}

static uint64_t next_version(World *w)
{
    return book_root_newest(book_of(w))->version + 1;
}

/* Bob's laptop is gone: he gets another key, and the old one counts no more. */
static void new_key(World *w)
{
    Person *bob = person_named(w, "bob");
    SlPerson *in_root = (SlPerson *)(uintptr_t)sl_root_person(w->root, "bob");
    uint8_t seed[32] = {'b'}, public_key[32];
    g_ptr_array_add(w->root->revoked, sl_public_key_copy(bob->key));
    sl_public_key_free(bob->key);
    (void)crypto_sign_ed25519_seed_keypair(public_key, bob->secret, seed);
    bob->key = sl_public_key_from_ed25519(public_key);
    g_ptr_array_set_size(in_root->keys, 0);
    g_ptr_array_add(in_root->keys, sl_public_key_copy(bob->key));
}

static bool revoke_bob(World *w, Plot *p)
{
    if (p->n == 0) {
        p->n = (int64_t)next_version(w);
        new_key(w);
    }
    return kit_root(w, p, (uint64_t)p->n);
}

/* Carol signs too: one of two, for bob counts no more. Half a minute later it still waits. */
static bool carol_signs(World *w, Plot *p)
{
    if (over(w, p)) {
        const BookAttempt *a = kit_attempt(w, p->attempt);
        if (a->committed != 0) {
            fail(w, "attempt %" G_GUINT64_FORMAT " was committed with a revoked key", a->n);
        }
        return true;
    }
    return sign_as(w, p, "carol") > 0 && w->now > p->since + 30 * SL_SECOND_US;
}

static bool second_runs(World *w, Plot *p)
{
    return kit_bring(w, p, "web", "prod") && kit_serves(w, "web", "prod", "v2");
}

/* Everybody asks, one signs: sixteen wait, the next one is refused. */
static bool overload(World *w, Plot *p)
{
    int64_t status = 0;
    if (p->n < 100) {
        p->n = 100; /* own number: asked so often */
        kit_web_push(w, "v3");
    }
    if (!kit_web_upstream(w, p)) {
        return false;
    }
    const BookAttempt *last = kit_attempt(w, p->attempt);
    bool waits = last != NULL && last->stage == BOOK_WAITS && last->approvals == 0;
    if (waits) {
        (void)sign_as(w, p, "carol");
        return false;
    }
    const json_t *body =
        people_ask(w, &p->ask, "alice", "promote", kit_args("web", "prod"), &status);
    if (body != NULL && status < 300) {
        p->attempt = (uint64_t)sl_json_int(body, "attempt", 0);
        p->n++;
    } else if (body != NULL) {
        g_autofree char *full = g_strdup_printf("SLU%d", SLU_QUEUE_FULL);
        return strcmp(sl_json_str_or(body, "error.code", ""), full) == 0;
    }
    if (p->n > 150) {
        fail(w, "50 signed attempts wait in one unit");
    }
    return false;
}

static bool third_runs(World *w, Plot *p)
{
    return kit_bring(w, p, "web", "prod") && kit_serves(w, "web", "prod", "v3");
}

/* Everything that was signed for prod is void. What runs there stays. */
static bool raise_epoch(World *w, Plot *p)
{
    if (p->n < 1000) {
        p->n = 1000 + (int64_t)next_version(w);
        for (guint i = 0; i < w->root->environments->len; i++) {
            SlRootEnv *env = w->root->environments->pdata[i];
            env->epoch += strcmp(env->name, "prod") == 0 ? 1 : 0;
        }
    }
    return kit_root(w, p, (uint64_t)(p->n - 1000));
}

static bool stays(World *w, Plot *p)
{
    if (!w->faults && !kit_serves(w, "web", "prod", "v3")) {
        fail(w, "a raised epoch took away what runs");
    }
    return w->now > p->since + 2 * SL_MINUTE_US;
}

static const PlotStep STEPS[] = {
    {"push v1", kit_web_first},
    {"v1 runs in prod, signed by two", kit_web_runs},
    {"push v2", push_second},
    {"v2 runs in test", kit_web_upstream},
    {"alice asks for it in prod", kit_web_ask},
    {"her own signature does not count", own_signature},
    {"bob signs", bob_signs},
    {"bob's key is revoked", revoke_bob},
    {"carol signs: one of two", carol_signs},
    {"v2 runs in prod", second_runs},
    {"many ask, one signs: the queue is full", overload},
    {"v3 runs in prod", third_runs},
    {"the epoch of prod is raised", raise_epoch},
    {"what runs stays", stays},
    {"redeploy signs it anew", kit_web_redeploy},
    {"everything is calm", kit_calm},
};

PLOT_STORY(team, "team", 6, shape, STEPS, NULL);
