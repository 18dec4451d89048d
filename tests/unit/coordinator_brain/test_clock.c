/* test_clock.c - the coordinator's clock was years ahead, or behind, while something was decided;
 * then it is right again: nothing waits for a time of the wrong clock. */
#include "rig.h"

#define YEARS_US (10 * 365 * SL_DAY_US)

/* Committed in the wrong year and taken by nobody. */
static Rig *committed_in(int64_t offset_us)
{
    Rig *rig = rig_new();
    rig_agent(rig, "dev1")->mute = true;
    rig->now_us += offset_us;
    rig_push(rig, "c1", "1", "1");
    rig->now_us -= offset_us;
    return rig;
}

static bool is_final(Rig *rig, uint64_t n)
{
    g_autofree char *state = rig_state(rig, n);
    return strcmp(state, "FAILED") == 0 || strcmp(state, "ERRORED") == 0;
}

/* The health time-out counts from the moment at which the clock is right. */
static void test_ends(void)
{
    Rig *rig = committed_in(YEARS_US);
    rig_tick(rig, SL_SECOND_US);
    g_assert_false(is_final(rig, 1));
    rig_tick(rig, 11 * SL_MINUTE_US);
    g_assert_true(is_final(rig, 1));
    rig_free(rig);
}

/* So it does when the process that knew was another one. */
static void test_ends_after_restart(void)
{
    Rig *rig = committed_in(YEARS_US);
    rig_restart(rig);
    rig_tick(rig, 11 * SL_MINUTE_US);
    g_assert_true(is_final(rig, 1));
    rig_free(rig);
}

static uint64_t seq_of(Rig *rig, uint64_t n)
{
    g_autoptr(json_t) view = rig_view(rig, "attempt", json_pack("{s:I}", "n", (json_int_t)n));
    return (uint64_t)sl_json_int(view, "seq", 0);
}

/* Agents never take what was made in the wrong year: asked for again it is made anew. */
static void test_made_anew(void)
{
    static const int64_t offsets[] = {YEARS_US, -YEARS_US};
    for (size_t i = 0; i < G_N_ELEMENTS(offsets); i++) {
        Rig *rig = committed_in(offsets[i]);
        rig_tick(rig, SL_SECOND_US);
        rig_tick(rig, 11 * SL_MINUTE_US);
        g_assert_true(is_final(rig, 1));
        const json_t *reply = rig_ask(rig, "promote", rig_unit_args("digits", "dev"));
        uint64_t n = (uint64_t)sl_json_int(reply, "attempt", 0);
        g_assert_cmpuint(n, >, 1);
        g_assert_cmpuint(seq_of(rig, n), ==, 2);
        rig_free(rig);
    }
}

/* A head of a time that has not come is refused by its agent: the next step sends another one. */
static void test_head_again(void)
{
    Rig *rig = rig_new();
    Agent *agent = rig_agent(rig, "dev1");
    rig->now_us += YEARS_US;
    rig_push(rig, "c1", "1", "1");
    guint heads = agent->heads;
    rig->now_us -= YEARS_US;
    rig_tick(rig, SL_SECOND_US);
    g_assert_cmpuint(agent->heads, ==, heads + 1);
    g_autoptr(SlHead) head = sl_head_parse(agent->head->text, NULL);
    g_assert_cmpint(head->issued_us, <=, rig->now_us);
    rig_free(rig);
}

static void all_report(Rig *rig)
{
    GHashTableIter iter;
    gpointer agent;
    g_hash_table_iter_init(&iter, rig->agents);
    while (g_hash_table_iter_next(&iter, NULL, &agent)) {
        agent_send_report(rig, agent);
    }
}

/* The message of the coordinator's own alarm; NULL. */
static char *own_alarm(Rig *rig)
{
    size_t i;
    json_t *alarm;
    g_autoptr(json_t) view = rig_view(rig, "status", json_object());
    json_array_foreach (json_object_get(view, "alarms"), i, alarm) {
        if (g_strcmp0(sl_json_str(alarm, "what"), "clock") == 0 &&
            g_strcmp0(sl_json_str(alarm, "cluster"), "") == 0) {
            return g_strdup(sl_json_str(alarm, "message"));
        }
    }
    return NULL;
}

/* The clock is set while it runs, and agents contradict: said, and nothing expires. */
static void test_step_ages_nothing(void)
{
    static const int64_t offsets[] = {YEARS_US, -YEARS_US, SL_HOUR_US, -SL_HOUR_US};
    for (size_t i = 0; i < G_N_ELEMENTS(offsets); i++) {
        Rig *rig = rig_new();
        rig->monotonic = true;
        all_report(rig);
        rig_agent(rig, "dev1")->mute = true;
        rig_push(rig, "c1", "1", "1");
        rig->wall_off_us = offsets[i];
        rig_tick(rig, SL_SECOND_US);
        g_autofree char *said = own_alarm(rig);
        g_assert_nonnull(strstr(said, offsets[i] > 0 ? "set ahead" : "set back"));
        g_assert_cmpint(sl_coord_time(rig->coord, rig->now_us + offsets[i], rig->now_us), ==,
                        rig->now_us);
        g_assert_false(is_final(rig, 1));
        rig->wall_off_us = 0;
        rig_tick(rig, SL_SECOND_US);
        g_assert_null(own_alarm(rig));
        g_assert_false(is_final(rig, 1));
        rig_free(rig);
    }
}

/* Nobody contradicts: the wall clock is believed. */
static void test_nobody_to_ask(void)
{
    Rig *rig = rig_new();
    rig->monotonic = true;
    GHashTableIter iter;
    gpointer agent;
    g_hash_table_iter_init(&iter, rig->agents);
    while (g_hash_table_iter_next(&iter, NULL, &agent)) {
        ((Agent *)agent)->mute = true;
    }
    rig_tick(rig, SL_HOUR_US); /* who spoke before is not heard any more */
    rig->wall_off_us = SL_HOUR_US;
    rig_tick(rig, SL_SECOND_US);
    g_assert_cmpint(sl_coord_time(rig->coord, rig->now_us + SL_HOUR_US, rig->now_us), ==,
                    rig->now_us + SL_HOUR_US);
    rig_free(rig);
}

/* It starts with a wrong clock: nothing is rendered before it is right, which agents confirm. */
static void starts_wrong(int64_t by_us)
{
    Rig *rig = rig_new();
    rig->monotonic = true;
    rig->wall_off_us = by_us;
    rig_restart(rig);
    GHashTableIter iter;
    gpointer cluster;
    g_hash_table_iter_init(&iter, rig->agents);
    while (g_hash_table_iter_next(&iter, &cluster, NULL)) {
        agent_hello(rig, cluster);
    }
    all_report(rig);
    rig_tick(rig, SL_SECOND_US);
    g_autofree char *said = own_alarm(rig);
    g_assert_nonnull(strstr(said, "ahead of this machine's"));
    rig_push(rig, "c1", "1", "1");
    rig_assert_state(rig, 1, "QUEUED");
    rig->wall_off_us = 0;
    rig_tick(rig, SL_SECOND_US);
    g_assert_null(own_alarm(rig));
    g_autofree char *state = rig_state(rig, 1);
    g_assert_cmpstr(state, !=, "QUEUED");
    g_assert_cmpstr(state, !=, "EXPIRED"); /* it was not years that it waited */
    rig_free(rig);
}

static void test_starts_wrong(void)
{
    starts_wrong(-SL_HOUR_US);
    starts_wrong(-YEARS_US);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/clock/ends", test_ends);
    g_test_add_func("/clock/ends-after-restart", test_ends_after_restart);
    g_test_add_func("/clock/made-anew", test_made_anew);
    g_test_add_func("/clock/head-again", test_head_again);
    g_test_add_func("/clock/step-ages-nothing", test_step_ages_nothing);
    g_test_add_func("/clock/nobody-to-ask", test_nobody_to_ask);
    g_test_add_func("/clock/starts-wrong", test_starts_wrong);
    return g_test_run();
}
