/* Going back by itself: when health fails, once, latched until a higher seq; never from Unknown,
 * never after it was confirmed. */
#include "rig.h"

typedef struct {
    Rig *r;
    char *good, *bad, *first, *second;
} Two;

static void two_clear(Two *t)
{
    rig_free(t->r);
    g_free(t->good);
    g_free(t->bad);
    g_free(t->first);
    g_free(t->second);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Two, two_clear)

static void set_health(Rig *r, const char *word)
{
    g_hash_table_remove_all(r->health);
    if (word != NULL) {
        g_hash_table_insert(r->health, g_strdup("a"), g_strdup(word));
    }
}

static Two two_first(void)
{
    Two t = {.r = rig_new("prod", false)};
    t.good = rig_servers(t.r, "a", 1);
    t.bad = rig_servers(t.r, "a", 2);
    t.first =
        rig_run_promotion(t.r, &(RigPromotion){.seq = 1, .bundle = t.good}, RIG_KEYS(&t.r->alice));
    return t;
}

static void two_second(Two *t, const char *health)
{
    set_health(t->r, health);
    t->second =
        rig_run_promotion(t->r, &(RigPromotion){.seq = 2, .bundle = t->bad, .auto_to = t->first},
                          RIG_KEYS(&t->r->alice));
}

static Two two_new(const char *second_health)
{
    Two t = two_first();
    two_second(&t, second_health);
    return t;
}

static void goes_back_and_stays(void)
{
    g_auto(Two) t = two_new("Degraded");
    Rig *r = t.r;
    rig_assert_reported(r, "unit/digits/prod", "bundle", t.bad);
    rig_send(r, &(SlAgentInput){.type = SL_AGENT_DISCONNECTED}); /* nobody is needed */
    set_health(r, NULL);
    rig_wait(r, SL_MINUTE_US);
    rig_connect(r);
    rig_wait(r, 2 * SL_SECOND_US);
    rig_assert_reported(r, "unit/digits/prod", "bundle", t.good);
    rig_assert_reported(r, "unit/digits/prod", "latched", "true");
    rig_assert_reported(r, "unit/digits/prod", "health", "Healthy");
    g_autofree char *message = rig_reported(r, "unit/digits/prod", "message");
    g_assert_nonnull(strstr(message, "went back by itself (Degraded"));
    /* The same promotion does not bring it forward again, also not after a restart. */
    rig_crash(r);
    rig_send_head(r, &(RigHead){0});
    rig_wait(r, SL_HOUR_US);
    rig_assert_reported(r, "unit/digits/prod", "bundle", t.good);
    rig_assert_reported(r, "unit/digits/prod", "latched", "true");
    g_autofree char *third = rig_servers(r, "a", 3);
    g_autofree char *p3 =
        rig_run_promotion(r, &(RigPromotion){.seq = 3, .bundle = third}, RIG_KEYS(&r->alice));
    rig_assert_reported(r, "unit/digits/prod", "bundle", third);
    rig_assert_reported(r, "unit/digits/prod", "latched", "false");
}

/* People allowed the promotion; a cluster that never had the other bundle Healthy takes it and goes back to nothing. */
static void never_to_what_was_not_healthy(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autofree char *other = rig_servers(r, "a", 1), *bad = rig_servers(r, "a", 2);
    g_autofree char *never = rig_publish(
        r, rig_promotion(r, &(RigPromotion){.seq = 1, .bundle = other}, RIG_KEYS(&r->alice)));
    set_health(r, "Degraded");
    g_autofree char *p = rig_run_promotion(
        r, &(RigPromotion){.seq = 2, .bundle = bad, .auto_to = never}, RIG_KEYS(&r->alice));
    rig_wait(r, SL_HOUR_US);
    rig_assert_reported(r, "unit/digits/prod", "bundle", bad);
    rig_assert_reported(r, "unit/digits/prod", "latched", "false");
}

static void too_slow(void)
{
    g_auto(Two) t = two_new("Progressing");
    rig_wait(t.r, 5 * SL_MINUTE_US);
    rig_assert_reported(t.r, "unit/digits/prod", "latched", "false");
    rig_wait(t.r, 6 * SL_MINUTE_US);
    rig_assert_reported(t.r, "unit/digits/prod", "latched", "true");
}

/* Time counts from when it was written: until then the cluster fetches a model, say. */
static void not_because_of_a_slow_apply(void)
{
    g_auto(Two) t = two_first();
    Rig *r = t.r;
    r->no_engine = true;
    two_second(&t, "Progressing");
    rig_wait(r, SL_HOUR_US);
    rig_assert_reported(r, "unit/digits/prod", "latched", "false");
    rig_assert_reported(r, "unit/digits/prod", "bundle", t.bad);
    r->no_engine = false;
    rig_crash(r); /* it is applied again */
    rig_send_head(r, &(RigHead){0});
    rig_wait(r, 9 * SL_MINUTE_US);
    rig_assert_reported(r, "unit/digits/prod", "latched", "false");
    rig_wait(r, 2 * SL_MINUTE_US);
    rig_assert_reported(r, "unit/digits/prod", "latched", "true");
}

/* Held up is not ill: a pause stops the clock. */
static void not_because_of_a_pause(void)
{
    g_auto(Two) t = two_new("Progressing");
    Rig *r = t.r;
    rig_wait(r, 5 * SL_MINUTE_US);
    g_autofree char *d = rig_publish(r, rig_order(r,
                                                  &(RigOrder){.act = SL_ACT_PAUSE,
                                                              .scope = "env prod",
                                                              .number = 1,
                                                              .expires = r->now + SL_HOUR_US},
                                                  RIG_KEYS(&r->alice)));
    g_autofree char *pause = g_strdup_printf("order/%s pause", d);
    g_autofree char *unit = g_strdup_printf("unit/digits/prod %s", t.second);
    rig_list(r, RIG_LINES(pause, unit));
    rig_wait(r, SL_HOUR_US + 3 * SL_MINUTE_US);
    rig_assert_reported(r, "unit/digits/prod", "latched", "false");
    rig_wait(r, 11 * SL_MINUTE_US);
    rig_assert_reported(r, "unit/digits/prod", "latched", "true");
}

static void send_well(Rig *r)
{
    SlAgentInput well = {.type = SL_AGENT_OBSERVED,
                         .object = {"digits", "gitops.sluice/ModelServer", "-", "a"},
                         .health = SL_HEALTH_HEALTHY,
                         .reason = "Ready"};
    rig_send(r, &well);
}

/* The root takes back the kind of what would be gone back to; then the unit is ill for long enough. */
static void forbid_and_wait(Two *t)
{
    Rig *r = t->r;
    char *kinds[] = {(char *)(uintptr_t) "core/*", NULL}, *all[] = {(char *)(uintptr_t) "*", NULL},
         *none[] = {(char *)(uintptr_t) "none/*", NULL};
    SlObjectPolicy *policy = g_new0(SlObjectPolicy, 1);
    *policy = (SlObjectPolicy){.env = g_strdup("prod"),
                               .app = g_strdup("*"),
                               .kinds = g_strdupv(kinds),
                               .namespaces = g_strdupv(all),
                               .privileged = g_strdupv(none)};
    g_ptr_array_add(r->root->policies, policy);
    r->root->version++;
    rig_steps(r, rig_root_sign(r->root, RIG_KEYS(&r->alice)), NULL);
    rig_wait(r, 12 * SL_MINUTE_US);
    rig_assert_refused(r, "back/digits/prod", "object-policy");
}

/* What the root has forbidden since is not brought back by anything: it is refused, and said. */
static void not_to_what_the_root_forbids(void)
{
    g_auto(Two) t = two_new("Progressing");
    Rig *r = t.r;
    forbid_and_wait(&t);
    rig_assert_reported(r, "unit/digits/prod", "latched", "false");
    rig_assert_reported(r, "unit/digits/prod", "bundle", t.bad);
    rig_assert_reported(r, "refused/back/digits/prod", "promotion", t.first);
    g_ptr_array_set_size(r->root->policies, 0); /* allowed again */
    r->root->version++;
    rig_steps(r, rig_root_sign(r->root, RIG_KEYS(&r->alice)), NULL);
    rig_wait(r, SL_MINUTE_US);
    rig_assert_reported(r, "unit/digits/prod", "latched", "true");
    rig_assert_refused(r, "back/digits/prod", "");
}

static void refusal_ends_when_it_is_well(void)
{
    g_auto(Two) t = two_new("Progressing");
    forbid_and_wait(&t);
    send_well(t.r);
    rig_wait(t.r, SL_MINUTE_US);
    rig_assert_refused(t.r, "back/digits/prod", "");
    rig_assert_reported(t.r, "unit/digits/prod", "latched", "false");
}

static void unknown_never(void)
{
    g_auto(Two) t = two_new("Unknown");
    rig_wait(t.r, 10 * SL_HOUR_US);
    rig_assert_reported(t.r, "unit/digits/prod", "latched", "false");
    rig_assert_reported(t.r, "unit/digits/prod", "bundle", t.bad);
}

/* The wall clock set ahead by hours is no time that passed. */
static void not_because_of_a_clock(void)
{
    g_auto(Two) t = two_new("Progressing");
    Rig *r = t.r;
    r->monotonic = SL_HOUR_US;
    rig_tick(r, 0);
    r->monotonic += SL_SECOND_US;
    rig_tick(r, 5 * SL_HOUR_US);
    rig_assert_reported(r, "unit/digits/prod", "latched", "false");
    r->monotonic += 11 * SL_MINUTE_US;
    rig_tick(r, 0);
    rig_assert_reported(r, "unit/digits/prod", "latched", "true");
}

static void a_short_dip(void)
{
    g_auto(Two) t = two_new("Degraded");
    Rig *r = t.r;
    rig_wait(r, 5 * SL_SECOND_US);
    send_well(r);
    rig_wait(r, SL_MINUTE_US);
    rig_assert_reported(r, "unit/digits/prod", "latched", "false");
}

static void not_after_it_was_confirmed(void)
{
    g_auto(Two) t = two_new(NULL);
    Rig *r = t.r;
    rig_wait(r, 6 * SL_MINUTE_US);
    SlAgentInput ill = {.type = SL_AGENT_OBSERVED,
                        .object = {"digits", "gitops.sluice/ModelServer", "-", "a"},
                        .health = SL_HEALTH_DEGRADED,
                        .reason = "CrashLoop"};
    rig_send(r, &ill);
    rig_wait(r, SL_HOUR_US);
    rig_assert_reported(r, "unit/digits/prod", "latched", "false");
    rig_assert_reported(r, "unit/digits/prod", "health", "Degraded");
}

static void rollback_by_people(void)
{
    g_auto(Two) t = two_new(NULL);
    Rig *r = t.r;
    g_autofree char *p3 =
        rig_run_promotion(r, &(RigPromotion){.act = SL_ACT_ROLLBACK, .seq = 3, .bundle = t.good},
                          RIG_KEYS(&r->alice));
    rig_assert_reported(r, "unit/digits/prod", "bundle", t.good);
    rig_assert_reported(r, "unit/digits/prod", "promotion", p3);
    rig_assert_reported(r, "unit/digits/prod", "health", "Healthy");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rollback/goes-back-and-stays", goes_back_and_stays);
    g_test_add_func("/rollback/never-to-what-was-not-healthy", never_to_what_was_not_healthy);
    g_test_add_func("/rollback/too-slow", too_slow);
    g_test_add_func("/rollback/not-because-of-a-slow-apply", not_because_of_a_slow_apply);
    g_test_add_func("/rollback/not-because-of-a-pause", not_because_of_a_pause);
    g_test_add_func("/rollback/not-to-what-the-root-forbids", not_to_what_the_root_forbids);
    g_test_add_func("/rollback/refusal-ends-when-it-is-well", refusal_ends_when_it_is_well);
    g_test_add_func("/rollback/unknown-never", unknown_never);
    g_test_add_func("/rollback/not-because-of-a-clock", not_because_of_a_clock);
    g_test_add_func("/rollback/a-short-dip", a_short_dip);
    g_test_add_func("/rollback/not-after-it-was-confirmed", not_after_it_was_confirmed);
    g_test_add_func("/rollback/rollback-by-people", rollback_by_people);
    return g_test_run();
}
