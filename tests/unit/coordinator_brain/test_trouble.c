/* test_trouble.c - what the link says of a peer becomes an alarm of its cluster, and ends by itself. */
#include "rig.h"

static unsigned alarms_of(Rig *rig, const char *what)
{
    g_autoptr(json_t) status = rig_view(rig, "status", json_object());
    const json_t *list = json_object_get(status, "alarms");
    unsigned count = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *alarm = json_array_get(list, i);
        count += strcmp(sl_json_str_or(alarm, "what", ""), what) == 0 &&
                 strcmp(sl_json_str_or(alarm, "cluster", ""), "dev1") == 0;
    }
    return count;
}

static void say(Rig *rig, const char *curve, const char *what, SlErrorCode code)
{
    g_autoptr(GError) error = NULL;
    (void)!sl_throw(&error, code, "%s", "words");
    SlCoordInput in = {.type = SL_COORD_TROUBLE};
    in.trouble = (SlCoordTrouble){.curve = curve, .what = what, .error = error};
    rig_step(rig, &in);
}

static void test_alarm_ends(void)
{
    Rig *rig = rig_new();
    const char *curve = rig_agent(rig, "dev1")->curve;
    say(rig, curve, "twin", SLU_PEER_TWIN);
    say(rig, curve, "suspended", SLU_PEER_SUSPENDED);
    g_assert_cmpuint(alarms_of(rig, "twin"), ==, 1);
    rig_tick(rig, 10 * SL_MINUTE_US);
    say(rig, curve, "twin", SLU_PEER_TWIN); /* said again: one alarm, which lasts longer */
    g_assert_cmpuint(alarms_of(rig, "twin"), ==, 1);
    rig_tick(rig, 6 * SL_MINUTE_US);
    g_assert_cmpuint(alarms_of(rig, "suspended"), ==, 0);
    g_assert_cmpuint(alarms_of(rig, "twin"), ==, 1);
    rig_tick(rig, 10 * SL_MINUTE_US);
    g_assert_cmpuint(alarms_of(rig, "twin"), ==, 0);
    rig_free(rig);
}

/* Said while the clock was years ahead: it ends as soon as any other once the clock is right. */
static void test_alarm_ends_after_a_wrong_clock(void)
{
    Rig *rig = rig_new();
    const char *curve = rig_agent(rig, "dev1")->curve;
    rig->now_us += 1000 * SL_DAY_US;
    say(rig, curve, "twin", SLU_PEER_TWIN);
    rig->now_us -= 1000 * SL_DAY_US;
    rig_tick(rig, SL_SECOND_US);
    g_assert_cmpuint(alarms_of(rig, "twin"), ==, 1);
    rig_tick(rig, 16 * SL_MINUTE_US);
    g_assert_cmpuint(alarms_of(rig, "twin"), ==, 0);
    rig_free(rig);
}

/* Is what dev1 says it refuses, and why, said of attempt 1? */
static bool says_refusal(Rig *rig, const char *promotion)
{
    Agent *agent = rig_agent(rig, "dev1");
    agent_set(agent, "refused/unit/digits/dev",
              json_pack("{s:s,s:s,s:s}", "code", "SLU2211", "message", "needs more", "promotion",
                        promotion));
    agent_set(agent, "unit/digits/dev",
              json_pack("{s:s,s:s}", "promotion", "an older one", "health", "Healthy"));
    agent_send_report(rig, agent);
    rig_tick(rig, SL_SECOND_US);
    g_autoptr(json_t) view = rig_view(rig, "attempt", json_pack("{s:i}", "n", 1));
    g_autofree char *text = sl_json_canonical(view, NULL);
    g_test_message("%s", sl_json_str_or(view, "waiting", ""));
    return strstr(text, "refused: SLU2211: needs more") != NULL;
}

/* A refusal is about the promotion that it names, whatever its words are. */
static void test_refused(void)
{
    Rig *rig = rig_new();
    rig_agent(rig, "dev1")->mute = true;
    rig_push(rig, "c1", "1", "1");
    g_autoptr(json_t) view = rig_view(rig, "attempt", json_pack("{s:i}", "n", 1));
    const char *promotion = sl_json_str(view, "promotion");
    g_assert_nonnull(promotion);
    g_autofree char *other = g_strnfill(64, 'a');
    g_assert_false(says_refusal(rig, other));
    g_assert_true(says_refusal(rig, promotion));
    rig_free(rig);
}

/* An agent that was restarted says what it has now; of a refusal that is over it knows nothing. */
static void test_refusal_ends_with_a_restart(void)
{
    Rig *rig = rig_new();
    Agent *agent = rig_agent(rig, "dev1");
    agent_set(agent, "refused/head", json_pack("{s:s,s:s}", "code", "SLU2101", "message", "old"));
    agent_set(agent, "flag/stale-head", json_object());
    agent_send_report(rig, agent);
    g_assert_cmpuint(alarms_of(rig, "refused/head"), ==, 1);
    g_assert_cmpuint(alarms_of(rig, "flag/stale-head"), ==, 1);
    g_hash_table_remove(agent->applied, "refused/head");
    agent_send_report(rig, agent);
    g_assert_cmpuint(alarms_of(rig, "refused/head"), ==, 0);
    g_assert_cmpuint(alarms_of(rig, "flag/stale-head"), ==, 1);
    rig_free(rig);
}

/* Nobody's key is nobody's alarm. */
static void test_unknown_key(void)
{
    Rig *rig = rig_new();
    g_autoptr(json_t) before = rig_view(rig, "status", json_object());
    say(rig, "0000000000000000000000000000000000000000000000000000000000000000", "twin",
        SLU_PEER_TWIN);
    g_autoptr(json_t) after = rig_view(rig, "status", json_object());
    g_assert_cmpuint(json_array_size(json_object_get(after, "alarms")), ==,
                     json_array_size(json_object_get(before, "alarms")));
    rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/trouble/alarm-ends", test_alarm_ends);
    g_test_add_func("/trouble/alarm-ends-after-a-wrong-clock", test_alarm_ends_after_a_wrong_clock);
    g_test_add_func("/trouble/unknown-key", test_unknown_key);
    g_test_add_func("/trouble/refused", test_refused);
    g_test_add_func("/trouble/refusal-ends-with-a-restart", test_refusal_ends_with_a_restart);
    return g_test_run();
}
