/* test_example.c - the worked example event by event: push, run, seal, test, prod, typo, server
 * change, worse model, rollback. After every step the ledger is folded anew and must give the same
 * state (rig.h). */
#include "rig.h"

#define assert_types(rig, from, wanted)                                                            \
    do {                                                                                           \
        g_autofree char *types_ = rig_types(rig, from);                                            \
        g_assert_cmpstr(types_, ==, wanted);                                                       \
    } while (0)

static void push_to_prod(Rig *rig)
{
    guint from = rig->ledger->len;
    rig_push(rig, "c1", "1", "1");
    assert_types(rig, from,
                 "SourceRead Documents ReleaseMinted Requested Rendered Signed Committed RunPlaced "
                 "Health Succeeded");
    rig_assert_state(rig, 1, "SUCCEEDED");
    g_autoptr(json_t) first = rig_view(rig, "attempt", json_pack("{s:i}", "n", 1));
    g_assert_cmpint(sl_json_int(first, "withheld", 0), ==, 1);

    from = rig->ledger->len;
    rig_seal(rig, "dev", "train", "m1", "0.97");
    assert_types(rig, from,
                 "Sealed ReleaseMinted Requested Rendered Signed Committed Health Succeeded "
                 "Requested Rendered Gate Signed "
                 "Committed Health Succeeded");
    g_assert_cmpuint(rig_agent(rig, "dev1")->seal_acks, ==, 1);
    g_assert_null(rig_agent(rig, "dev1")->refused);
    rig_assert_state(rig, 2, "SUCCEEDED");
    rig_assert_state(rig, 3, "SUCCEEDED");

    from = rig->ledger->len;
    rig_ask(rig, "promote", rig_unit_args("digits", "prod"));
    g_assert_cmpint(rig->status, ==, 202);
    g_assert_cmpint(sl_json_int(rig->reply, "attempt", 0), ==, 4);
    assert_types(rig, from, "Requested Rendered");
    g_autoptr(json_t) view = rig_view(rig, "attempt", json_pack("{s:i}", "n", 4));
    g_assert_cmpstr(sl_json_str(view, "state"), ==, "GATING");
    g_assert_cmpstr(sl_json_str(view, "waitingFor"), ==, "approval 0 of 1");
    g_assert_cmpstr(json_string_value(json_array_get(json_object_get(view, "who"), 0)), ==,
                    "alice");
    g_assert_cmpuint(json_array_size(json_object_get(view, "changes")), ==, 1);
    g_autofree char *refused = rig_approve(rig, 4, rig->alice);
    g_assert_null(refused);
    assert_types(rig, from, "Requested Rendered Approved Committed Health Succeeded");
    rig_assert_state(rig, 4, "SUCCEEDED");
}

static void test_worked_example(void)
{
    Rig *rig = rig_new();
    assert_types(rig, 0,
                 "FleetCreated Lease ClusterAsked ClusterEnrolled Registry ClusterAsked "
                 "ClusterEnrolled Registry ClusterAsked "
                 "ClusterEnrolled Registry");
    push_to_prod(rig);

    /* 6 TYPO: nothing that is rendered changed */
    guint from = rig->ledger->len;
    SlTree *tree = rig_tree(RIG_FLEET, "1", "1");
    sl_tree_memory_put(tree, "digits/serve/README.md", "a typo", SL_TREE_FILE);
    rig_push_tree(rig, "c2", tree, false);
    assert_types(rig, from,
                 "SourceRead ReleaseMinted Requested Rendered Health Succeeded Requested Rendered "
                 "Gate Health Succeeded");
    g_autoptr(json_t) typo = rig_view(rig, "attempt", json_pack("{s:i}", "n", 5));
    g_assert_true(sl_json_bool(typo, "unchanged", false));
    g_assert_null(sl_json_str(typo, "statement.text"));

    /* 7 SERVER CHANGE */
    rig_push(rig, "c3", "1", "2");
    rig_ask(rig, "promote", rig_unit_args("digits", "prod"));
    uint64_t n = (uint64_t)sl_json_int(rig->reply, "attempt", 0);
    g_autofree char *refused = rig_approve(rig, n, rig->alice);
    g_assert_null(refused);
    rig_assert_state(rig, n, "SUCCEEDED");
    g_autoptr(json_t) prod = rig_unit(rig, "prod");
    g_assert_cmpint(sl_json_int(prod, "seq", 0), ==, 2);
    g_assert_cmpstr(sl_json_str(prod, "health"), ==, "Healthy");

    /* 8 WORSE MODEL */
    rig_push(rig, "c4", "2", "2");
    rig_seal(rig, "dev", "train", "m2", "0.62");
    g_autoptr(json_t) test = rig_unit(rig, "test");
    g_assert_cmpstr(sl_json_str(test, "last.state"), ==, "REJECTED");
    g_assert_nonnull(strstr(sl_json_str(test, "last.error.message"), "0.62"));
    guint before = rig->ledger->len;
    rig_tick(rig, SL_HOUR_US); /* REJECTED is not tried again */
    g_assert_cmpuint(rig->ledger->len, ==, before);
    g_autoptr(json_t) same = rig_unit(rig, "prod");
    g_assert_cmpstr(sl_json_str(same, "promotion"), ==, sl_json_str(prod, "promotion"));

    /* 10 ROLLBACK */
    from = rig->ledger->len;
    rig_ask(rig, "rollback", rig_unit_args("digits", "prod"));
    n = (uint64_t)sl_json_int(rig->reply, "attempt", 0);
    g_autofree char *no = rig_approve(rig, n, rig->alice);
    g_assert_null(no);
    assert_types(rig, from, "Requested Rendered Approved Committed Pinned Vetoed Health Succeeded");
    g_autoptr(json_t) back = rig_view(rig, "attempt", json_pack("{s:I}", "n", (json_int_t)n));
    g_autoptr(json_t) first = rig_view(rig, "attempt", json_pack("{s:i}", "n", 4));
    g_assert_true(json_equal(json_object_get(back, "targets"), json_object_get(first, "targets")));
    g_assert_cmpint(sl_json_int(back, "seq", 0), ==, 3);
    g_autoptr(json_t) pinned = rig_unit(rig, "prod");
    g_assert_nonnull(sl_json_str(pinned, "pinned.reason"));
    g_assert_cmpuint(json_array_size(json_object_get(pinned, "vetoes")), ==, 1);
    rig_ask(rig, "promote",
            json_pack("{s:s,s:s,s:o}", "app", "digits", "env", "prod", "release",
                      json_incref(json_object_get(
                          json_array_get(json_object_get(pinned, "vetoes"), 0), "release"))));
    rig_assert_refused(rig, SLU_VETOED);

    rig_restart(rig);
    g_autoptr(json_t) after = rig_unit(rig, "prod");
    g_assert_cmpstr(sl_json_str(after, "promotion"), ==, sl_json_str(pinned, "promotion"));
    rig_free(rig);
}

/* Every prefix of the ledger folds; a flipped byte, a dropped event, a swapped pair and an unknown
 * type are found. */
static void test_chain(void)
{
    Rig *rig = rig_new();
    rig->check = false;
    push_to_prod(rig);
    for (guint count = 0; count <= rig->ledger->len; count++) {
        g_autoptr(SlCoord) again = rig_fold(rig, count);
        g_assert_cmpuint(sl_coord_ledger_seq(again), ==, count);
    }
    for (guint i = 1; i + 1 < rig->ledger->len; i++) {
        g_autoptr(SlCoord) again = rig_fold(rig, i);
        g_autoptr(json_t) changed = json_deep_copy(g_ptr_array_index(rig->ledger, i));
        g_autoptr(GError) flipped = NULL, dropped = NULL;
        sl_json_set_str(changed, "extra", "x");
        g_assert_false(sl_coord_fold(again, g_ptr_array_index(rig->ledger, i + 1), &dropped));
        g_assert_error(dropped, SL_ERROR, SLU_LEDGER_CHAIN);
        if (sl_coord_fold(again, changed, NULL)) {
            g_assert_false(sl_coord_fold(again, g_ptr_array_index(rig->ledger, i + 1), &flipped));
            g_assert_error(flipped, SL_ERROR, SLU_LEDGER_CHAIN);
        }
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) unknown = json_pack(
        "{s:I,s:s,s:s,s:s}", "seq", (json_int_t)rig->ledger->len + 1, "prev",
        sl_coord_ledger_hash(rig->coord), "type", "Teleported", "at", "2026-11-23T12:00:00Z");
    g_assert_false(sl_coord_fold(rig->coord, unknown, &error));
    g_assert_error(error, SL_ERROR, SLU_UNSUPPORTED);
    g_assert_nonnull(strstr(error->message, "Teleported"));
    rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/brain/worked-example", test_worked_example);
    g_test_add_func("/brain/chain", test_chain);
    return g_test_run();
}
