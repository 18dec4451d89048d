/* test_machine.c - the state table, checked as a model: every state is reached, every one that is
 * not final says what it waits for, has an end and a way to a final state; nothing leaves a final
 * state. */
#include "coordinator/brain/machine.h"
#include <glib.h>

static bool reaches_final(SlState from, guint depth)
{
    if (sl_state_info(from)->final) {
        return true;
    }
    for (SlOn on = 0; depth > 0 && on < SL_N_ON; on++) {
        SlState to;
        if (sl_state_next(from, on, &to) && to != from && reaches_final(to, depth - 1)) {
            return true;
        }
    }
    return false;
}

static void test_states(void)
{
    bool reached[SL_N_STATES] = {[SL_STATE_REQUESTED] = true};
    for (int round = 0; round < SL_N_STATES; round++) {
        for (SlState from = 0; from < SL_N_STATES; from++) {
            for (SlOn on = 0; on < SL_N_ON; on++) {
                SlState to;
                if (reached[from] && sl_state_next(from, on, &to)) {
                    reached[to] = true;
                }
            }
        }
    }
    for (SlState s = 0; s < SL_N_STATES; s++) {
        const SlStateInfo *info = sl_state_info(s);
        g_assert_true(reached[s]);
        g_assert_true(reaches_final(s, SL_N_STATES));
        if (!info->final) {
            g_assert_cmpstr(info->waits, !=, "");
            g_assert_cmpstr(info->acts, !=, "");
            g_assert_cmpint(sl_state_expiry(s), !=, SL_EXPIRY_NONE);
        }
        for (SlOn on = 0; on < SL_N_ON; on++) {
            SlState to;
            g_assert_false(info->final && sl_state_next(s, on, &to));
        }
    }
}

/* After COMMITTED nobody aborts, supersedes or rejects. */
static void test_no_return(void)
{
    static const SlOn never[] = {SL_ON_ABORT, SL_ON_SUPERSEDE, SL_ON_REJECT, SL_ON_EXPIRE};
    static const SlState after[] = {SL_STATE_COMMITTED, SL_STATE_PUBLISHED, SL_STATE_APPLYING};
    for (size_t i = 0; i < G_N_ELEMENTS(after); i++) {
        for (size_t k = 0; k < G_N_ELEMENTS(never); k++) {
            SlState to;
            g_assert_false(sl_state_next(after[i], never[k], &to));
        }
    }
}

/* What a replay sees may end as the live state may. */
static void test_durable(void)
{
    static const SlOn ends[] = {SL_ON_SUCCEED, SL_ON_FAIL,      SL_ON_ERROR,
                                SL_ON_REJECT,  SL_ON_ABORT,     SL_ON_SUPERSEDE,
                                SL_ON_EXPIRE,  SL_ON_COMMITTED, SL_ON_RENDERED};
    for (SlState s = 0; s < SL_N_STATES; s++) {
        for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
            SlState live, replayed;
            for (int unchanged = 0; unchanged < 2; unchanged++) {
                if ((unchanged && s != SL_STATE_VERIFYING && sl_state_next(s, ends[i], &live) &&
                     s >= SL_STATE_COMMITTING && s <= SL_STATE_APPLYING) ||
                    (!unchanged && s == SL_STATE_VERIFYING && ends[i] == SL_ON_ABORT)) {
                    continue; /* cannot be: an unchanged attempt has no commit; abort while
                                 verifying only without one */
                }
                if (sl_state_next(s, ends[i], &live)) {
                    g_assert_true(
                        sl_state_next(sl_state_durable(s, unchanged != 0), ends[i], &replayed));
                    g_assert_cmpint(live, ==, replayed);
                }
            }
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/machine/states", test_states);
    g_test_add_func("/machine/no-return", test_no_return);
    g_test_add_func("/machine/durable", test_durable);
    return g_test_run();
}
