/* Orders: floors, pauses that hold, scopes, expiry, renewal. */
#include "rig.h"

static char *order_line(Rig *r, const RigOrder *how, const RigKey *const *keys)
{
    g_autofree char *d = rig_publish(r, rig_order(r, how, keys));
    return g_strdup_printf("order/%s %s", d, sl_act_name(how->act));
}

static char *unit_line(Rig *r, uint64_t seq, int version)
{
    g_autofree char *b = rig_servers(r, "a", version);
    g_autofree char *d = rig_publish(
        r, rig_promotion(r, &(RigPromotion){.seq = seq, .bundle = b}, RIG_KEYS(&r->alice)));
    return g_strdup_printf("unit/digits/prod %s", d);
}

static void assert_seq(Rig *r, const char *seq)
{
    rig_wait(r, 2 * SL_SECOND_US);
    rig_assert_reported(r, "unit/digits/prod", "seq", seq);
}

static void pause_until_its_expiry(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autofree char *u1 = unit_line(r, 1, 1), *u2 = unit_line(r, 2, 2);
    rig_list(r, RIG_LINES(u1));
    g_autofree char *pause = order_line(
        r,
        &(RigOrder){
            .act = SL_ACT_PAUSE, .scope = "env prod", .number = 1, .expires = RIG_T0 + SL_HOUR_US},
        RIG_KEYS(&r->alice));
    rig_list(r, RIG_LINES(pause, u2));
    assert_seq(r, "1");
    g_autofree char *since = rig_reported(r, "flag/paused", "since");
    g_assert_cmpstr(since, !=, "");
    r->now = RIG_T0 + 2 * SL_HOUR_US;
    rig_send_head(r, &(RigHead){0});
    assert_seq(r, "2");
    rig_assert_reported(r, "flag/paused", "since", "");
    /* Still listed, long expired: it counts no second time. */
    rig_list(r, RIG_LINES(pause, u2));
    rig_wait(r, 2 * SL_SECOND_US);
    rig_assert_reported(r, "flag/paused", "since", "");
}

/* Only a head vouches for the time at which an order is forgotten. */
static void a_clock_ahead_ends_no_pause(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autofree char *u1 = unit_line(r, 1, 1), *u2 = unit_line(r, 2, 2);
    rig_list(r, RIG_LINES(u1));
    g_autofree char *pause = order_line(
        r,
        &(RigOrder){
            .act = SL_ACT_PAUSE, .scope = "env prod", .number = 1, .expires = RIG_T0 + SL_DAY_US},
        RIG_KEYS(&r->alice));
    rig_list(r, RIG_LINES(pause, u1));
    rig_wait(r, 2 * SL_SECOND_US);
    int64_t right = r->now;
    r->now += 1000 * SL_DAY_US;
    rig_wait(r, SL_MINUTE_US);
    rig_assert_reported(r, "flag/paused", "since", "");
    r->now = right + SL_MINUTE_US;
    rig_list(r, RIG_LINES(pause, u2));
    assert_seq(r, "1");
    g_autofree char *since = rig_reported(r, "flag/paused", "since");
    g_assert_cmpstr(since, !=, "");
    r->now = right + 1000 * SL_DAY_US; /* the same clock, ahead, while the agent starts again */
    rig_crash(r);
    r->now = right + 2 * SL_MINUTE_US;
    rig_list(r, RIG_LINES(pause, u2));
    assert_seq(r, "1");
    r->now = RIG_T0 + 2 * SL_DAY_US;
    rig_list(r, RIG_LINES(pause, u2));
    assert_seq(r, "2");
}

static void paused_agents_change_nothing(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autofree char *u1 = unit_line(r, 1, 1);
    rig_list(r, RIG_LINES(u1));
    assert_seq(r, "1");
    g_autofree char *pause =
        order_line(r, &(RigOrder){.act = SL_ACT_PAUSE, .scope = "unit digits/prod", .number = 1},
                   RIG_KEYS(&r->alice));
    rig_list(r, RIG_LINES(pause, u1));
    rig_clear(r);
    SlAgentInput gone = {.type = SL_AGENT_OBSERVED,
                         .object = {"digits", "gitops.sluice/ModelServer", "-", "a"},
                         .health = SL_HEALTH_MISSING,
                         .reason = "Gone"};
    rig_send(r, &gone);
    rig_wait(r, SL_MINUTE_US);
    g_assert_cmpuint(rig_count(r, "APPLY"), ==, 0);
    g_autofree char *resume =
        order_line(r, &(RigOrder){.act = SL_ACT_RESUME, .scope = "unit digits/prod", .number = 2},
                   RIG_KEYS(&r->alice));
    rig_list(r, RIG_LINES(resume, u1));
    rig_wait(r, 2 * SL_SECOND_US);
    g_assert_cmpuint(rig_count(r, "APPLY"), ==, 1);
}

static void resume_of_another_scope(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autofree char *u1 = unit_line(r, 1, 1), *u2 = unit_line(r, 2, 2);
    rig_list(r, RIG_LINES(u1));
    assert_seq(r, "1");
    g_autofree char *pause = order_line(
        r, &(RigOrder){.act = SL_ACT_PAUSE, .scope = "env prod", .number = 1}, RIG_KEYS(&r->alice));
    g_autofree char *resume =
        order_line(r, &(RigOrder){.act = SL_ACT_RESUME, .scope = "unit digits/prod", .number = 9},
                   RIG_KEYS(&r->alice));
    rig_list(r, RIG_LINES(pause, resume, u2));
    assert_seq(r, "1");
}

static void refusals(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    const struct {
        RigOrder order;
        const RigKey *key;
        const char *kind;
    } rows[] = {
        {{.act = SL_ACT_PAUSE, .scope = "env prod", .number = 1}, &r->eve, "unsigned"},
        {{.act = SL_ACT_PAUSE, .scope = "env prod", .number = 2, .fleet = RIG_HASH},
         &r->alice,
         "other-fleet"},
        {{.act = SL_ACT_PAUSE, .scope = "env dev", .number = 3, .env = "dev"},
         &r->alice,
         "other-environment"},
        {{.act = SL_ACT_PAUSE, .scope = "env prod", .number = 4, .epoch = 9}, &r->alice, "epoch"},
        {{.act = SL_ACT_PAUSE, .scope = "env prod", .number = UINT64_C(1) << 60},
         &r->alice,
         "jump"},
        {{.act = SL_ACT_PAUSE, .scope = "env prod", .number = 5, .expires = RIG_T0 - SL_HOUR_US},
         &r->alice,
         "expired"},
        {{.act = SL_ACT_RESUME,
          .scope = "env prod",
          .number = 6,
          .cluster = "prod2",
          .nonce = "00000000000000000000000000000001"},
         &r->alice,
         "other-cluster"},
        {{.act = SL_ACT_RESUME,
          .scope = "env prod",
          .number = 7,
          .cluster = "prod1",
          .nonce = "00000000000000000000000000000001"},
         &r->alice,
         "old-session"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *line = order_line(r, &rows[i].order, RIG_KEYS(rows[i].key));
        g_autofree char *what = g_strdup_printf("order/%.16s", line + strlen("order/"));
        rig_list(r, RIG_LINES(line));
        rig_wait(r, 2 * SL_SECOND_US);
        rig_assert_refused(r, what, rows[i].kind);
        rig_assert_reported(r, "flag/paused", "since", "");
    }
    /* A refused number left no floor. */
    g_autofree char *pause = order_line(
        r, &(RigOrder){.act = SL_ACT_PAUSE, .scope = "env prod", .number = 1}, RIG_KEYS(&r->alice));
    rig_list(r, RIG_LINES(pause));
    rig_wait(r, 2 * SL_SECOND_US);
    g_autofree char *since = rig_reported(r, "flag/paused", "since");
    g_assert_cmpstr(since, !=, "");
}

static void renewed_window(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autofree char *b = rig_servers(r, "a", 1);
    g_autofree char *d =
        rig_run_promotion(r, &(RigPromotion){.seq = 1, .bundle = b, .until = RIG_T0 - SL_MINUTE_US},
                          RIG_KEYS(&r->alice));
    rig_assert_refused(r, "unit/digits/prod", "window");
    g_autofree char *scope = g_strdup_printf("promotion %s", d),
                    *unit = g_strdup_printf("unit/digits/prod %s", d);
    g_autofree char *renew = order_line(
        r, &(RigOrder){.act = SL_ACT_RENEW, .scope = scope, .number = 1}, RIG_KEYS(&r->alice));
    rig_list(r, RIG_LINES(renew, unit));
    assert_seq(r, "1");
}

/* Whoever was away gets a pause and the resume that ended it in one list, the older bytes last. */
static void ended_meanwhile(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autofree char *u1 = unit_line(r, 1, 1);
    SlSigned *late = rig_order(
        r, &(RigOrder){.act = SL_ACT_PAUSE, .scope = "env prod", .number = 1}, RIG_KEYS(&r->alice));
    g_autofree char *digest = sl_signed_digest(late);
    g_autofree char *pause = g_strdup_printf("order/%s pause", digest),
                    *what = g_strdup_printf("order/%.16s", digest);
    g_autofree char *resume =
        order_line(r, &(RigOrder){.act = SL_ACT_RESUME, .scope = "env prod", .number = 2},
                   RIG_KEYS(&r->alice));
    rig_list(r, RIG_LINES(pause, resume, u1));
    rig_wait(r, 2 * SL_SECOND_US);
    g_free(rig_publish(r, late));
    rig_wait(r, 2 * SL_MINUTE_US);
    rig_assert_refused(r, what, "");
    rig_assert_reported(r, "flag/paused", "since", "");
    assert_seq(r, "1");
    rig_crash(r); /* comes back, and reads the same list */
    rig_send_head(r, &(RigHead){0});
    rig_wait(r, 2 * SL_MINUTE_US);
    rig_assert_refused(r, what, "");
    rig_assert_reported(r, "flag/paused", "since", "");
    /* One that is played again when its time is over is a replay still. */
    SlSigned *old = rig_order(
        r,
        &(RigOrder){
            .act = SL_ACT_PAUSE, .scope = "env prod", .number = 1, .expires = RIG_T0 + SL_DAY_US},
        RIG_KEYS(&r->alice));
    g_autofree char *played = rig_publish(r, old);
    g_autofree char *line = g_strdup_printf("order/%s pause", played),
                    *replay = g_strdup_printf("order/%.16s", played);
    rig_list(r, RIG_LINES(line, resume, u1));
    rig_wait(r, 2 * SL_SECOND_US);
    rig_assert_refused(r, replay, "replay");
}

/* A pause that a longer one replaced is listed still; who comes back calls it no replay. */
static void replaced_before_a_restart(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autofree char *u1 = unit_line(r, 1, 1);
    g_autofree char *first = order_line(
        r, &(RigOrder){.act = SL_ACT_PAUSE, .scope = "env prod", .number = 1}, RIG_KEYS(&r->alice));
    g_autofree char *longer = order_line(
        r, &(RigOrder){.act = SL_ACT_PAUSE, .scope = "env prod", .number = 2}, RIG_KEYS(&r->alice));
    g_autofree char *what = g_strdup_printf("order/%.16s", first + strlen("order/"));
    rig_list(r, RIG_LINES(first, u1));
    rig_list(r, RIG_LINES(first, longer, u1));
    rig_wait(r, 2 * SL_SECOND_US);
    rig_assert_reported(r, "floor/env/prod", "number", "2");
    rig_crash(r);
    rig_connect(r);
    rig_send_head(r, &(RigHead){0});
    rig_wait(r, 2 * SL_MINUTE_US);
    rig_assert_refused(r, what, "");
    g_autofree char *since = rig_reported(r, "flag/paused", "since");
    g_assert_cmpstr(since, !=, "");
}

static bool last_key(const char *key, const char *values, void *user)
{
    (void)values;
    char **last = user;
    g_free(*last);
    *last = g_strdup(key);
    return true;
}

/* As many orders as an agent holds, all of them refused; the pause is the last line, and has room still. */
static void refused_orders_give_way(void)
{
    enum { FULL = 1024 };
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autofree char *last = NULL;
    sl_map_free(r->list);
    r->list = sl_map_new();
    for (uint64_t n = 1; n <= FULL + 1; n++) {
        RigOrder how = {.act = SL_ACT_PAUSE, .scope = "env prod", .number = n};
        g_autofree char *line = order_line(r, &how, RIG_KEYS(&r->eve));
        *strchr(line, ' ') = '\0';
        g_assert_true(sl_map_add(r->list, line, "pause", NULL));
    }
    sl_map_foreach(r->list, last_key, &last);
    sl_map_remove(r->list, last);
    rig_send_head(r, &(RigHead){0});
    rig_assert_reported(r, "flag/paused", "since", "");
    SlSigned *pause = g_hash_table_lookup(r->statements, last + strlen("order/"));
    sl_signed_sign(pause, SL_STATEMENT_ORDER, r->alice.secret);
    g_assert_true(sl_map_add(r->list, last, "pause", NULL));
    rig_send_head(r, &(RigHead){0});
    rig_wait(r, 2 * SL_SECOND_US);
    g_autofree char *since = rig_reported(r, "flag/paused", "since");
    g_assert_cmpstr(since, !=, "");
}

/* The coordinator learns below which number an order would be refused. */
static void floors_are_reported(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autofree char *u1 = unit_line(r, 1, 1);
    g_autofree char *pause =
        order_line(r, &(RigOrder){.act = SL_ACT_PAUSE, .scope = "unit digits/prod", .number = 7},
                   RIG_KEYS(&r->alice));
    rig_list(r, RIG_LINES(pause, u1));
    rig_wait(r, 2 * SL_SECOND_US);
    rig_assert_reported(r, "floor/unit/digits/prod", "number", "7");
    rig_crash(r);
    rig_connect(r);
    rig_send_head(r, &(RigHead){0});
    rig_wait(r, SL_MINUTE_US);
    rig_assert_reported(r, "floor/unit/digits/prod", "number", "7");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/orders/replaced-before-a-restart", replaced_before_a_restart);
    g_test_add_func("/orders/pause-until-its-expiry", pause_until_its_expiry);
    g_test_add_func("/orders/a-clock-ahead-ends-no-pause", a_clock_ahead_ends_no_pause);
    g_test_add_func("/orders/paused-agents-change-nothing", paused_agents_change_nothing);
    g_test_add_func("/orders/resume-of-another-scope", resume_of_another_scope);
    g_test_add_func("/orders/refusals", refusals);
    g_test_add_func("/orders/renewed-window", renewed_window);
    g_test_add_func("/orders/ended-meanwhile", ended_meanwhile);
    g_test_add_func("/orders/refused-orders-give-way", refused_orders_give_way);
    g_test_add_func("/orders/floors-are-reported", floors_are_reported);
    return g_test_run();
}
