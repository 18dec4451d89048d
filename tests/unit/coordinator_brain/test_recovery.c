/* test_recovery.c - the coordinator dies between any two steps of a commit, somebody else moves the
 * branch, technical failures. */
#include "rig.h"

/* Dies with the write asked for: nothing is committed; the next start writes again. */
static void test_before_committed(void)
{
    Rig *rig = rig_new();
    rig->hold_write = true;
    rig_push(rig, "c1", "1", "1");
    rig_assert_state(rig, 1, "COMMITTING");
    rig->hold_write = false;
    rig_restart(rig);
    agent_hello(rig, "dev1");
    rig_assert_state(rig, 1, "SUCCEEDED");
    rig_free(rig);
}

/* The power went, and with it what was rendered and not yet committed: it is rendered again, for its
 * bytes only, and the next try commits the very same promotion. */
static void test_lost_bytes(void)
{
    Rig *rig = rig_new();
    rig->hold_write = true;
    rig_push(rig, "c1", "1", "1");
    rig_assert_state(rig, 1, "COMMITTING");
    g_autoptr(json_t) before = rig_view(rig, "attempt", json_pack("{s:i}", "n", 1));
    guint renders = rig->renders;
    rig->hold_write = false;
    g_autoptr(GError) error = NULL;
    (void)!sl_throw(&error, SLU_BLOB_MISSING, "bytes of an object are not in the cache");
    SlCoordInput in = {.type = SL_COORD_ENV_WRITTEN, .env_written = {.env = "dev", .error = error}};
    rig_step(rig, &in);
    g_assert_cmpuint(rig->renders, ==, renders + 1);
    rig_assert_state(rig, 1, "SUCCEEDED"); /* at once, and nothing new to sign */
    g_autoptr(json_t) after = rig_view(rig, "attempt", json_pack("{s:i}", "n", 1));
    g_assert_cmpstr(sl_json_str(after, "promotion"), ==, sl_json_str(before, "promotion"));
    rig_free(rig);
}

/* Dies after COMMITTED, before the ref moved: it is moved at the next start, and no second commit
 * is made. */
static void test_before_move(void)
{
    Rig *rig = rig_new();
    rig->hold_move = true;
    rig_push(rig, "c1", "1", "1");
    g_assert_null(g_hash_table_lookup(rig->tips, "dev"));
    guint writes = rig->writes;
    rig->hold_move = false;
    rig_restart(rig);
    g_assert_nonnull(g_hash_table_lookup(rig->tips, "dev"));
    g_assert_cmpuint(rig->writes, ==, writes);
    agent_hello(rig, "dev1");
    rig_assert_state(rig, 1, "SUCCEEDED");
    rig_free(rig);
}

/* Restart at every event of the ledger: each prefix goes on to the same end. */
/* The ledger was restored and knows less than the agents: its next order is above what they hold. */
static void test_orders_after_a_restore(void)
{
    Rig *rig = rig_new();
    rig_push(rig, "c1", "1", "1");
    Agent *agent = rig_agent(rig, "dev1");
    json_t *args = json_pack("{s:s,s:s,s:s,s:s}", "act", "pause", "env", "dev", "expires", "9h",
                             "reason", "x");
    g_autoptr(json_t) early = json_incref(rig_ask(rig, "order-draft", json_incref(args)));
    g_assert_nonnull(strstr(sl_json_str(early, "text"), "\nnumber: 1\n"));
    agent_set(agent, "floor/env/dev", json_pack("{s:i}", "number", 7));
    agent_send_report(rig, agent);
    g_autoptr(json_t) draft = json_incref(rig_ask(rig, "order-draft", json_incref(args)));
    g_assert_nonnull(strstr(sl_json_str(draft, "text"), "\nnumber: 8\n"));
    agent_set(agent, "floor/env/dev", json_pack("{s:I}", "number", (json_int_t)1 << 40));
    agent_send_report(rig, agent); /* a leap that agents would refuse: not believed */
    g_autoptr(json_t) same = json_incref(rig_ask(rig, "order-draft", args));
    g_assert_nonnull(strstr(sl_json_str(same, "text"), "\nnumber: 1\n"));
    agent_set(agent, "floor/env/dev", json_pack("{s:i}", "number", 9));
    agent_send_report(rig, agent); /* higher than at the draft: what was signed is good still */
    rig_ask(rig, "order", json_pack("{s:s}", "text", sl_json_str(draft, "text")));
    g_assert_cmpint(rig->status, ==, 200);
    rig_ask(rig, "order", json_pack("{s:s}", "text", sl_json_str(early, "text")));
    g_assert_cmpint(rig->status, !=, 200);
    rig_free(rig);
}

static void test_every_prefix(void)
{
    Rig *rig = rig_new();
    rig->check = false;
    guint enrolled = rig->ledger->len;
    rig_push(rig, "c1", "1", "1");
    rig_assert_state(rig, 1, "SUCCEEDED");
    guint all = rig->ledger->len;
    for (guint count = enrolled + 3; count < all; count++) {
        Rig *other = rig_new();
        other->check = false;
        rig_push(other, "c1", "1", "1");
        sl_coord_free(other->coord);
        g_ptr_array_set_size(other->ledger, (gint)count);
        g_hash_table_remove_all(other->tips);
        Agent *agent = rig_agent(other, "dev1");
        g_hash_table_remove_all(agent->applied);
        for (guint i = 0; i < count; i++) { /* the branch is where the ledger put it, at most */
            const json_t *event = g_ptr_array_index(other->ledger, i);
            if (strcmp(sl_json_str(event, "type"), "Committed") == 0 && i + 1 < count) {
                g_hash_table_replace(other->tips, g_strdup(sl_json_str(event, "env")),
                                     g_strdup(sl_json_str(event, "new")));
            }
        }
        other->coord = rig_fold(other, count);
        rig_start(other);
        agent_hello(other, "dev1");
        rig_assert_state(other, 1, "SUCCEEDED");
        rig_assert_same(other);
        rig_free(other);
    }
    rig_free(rig);
}

static void foreign(Rig *rig, const char *env, const char *tip)
{
    g_hash_table_replace(rig->tips, g_strdup(env), g_strdup(tip));
    SlCoordInput in = {.type = SL_COORD_ENV_TIP,
                       .env_tip = {.env = env, .tip = tip, .descends_from_new = true}};
    rig_step(rig, &in);
}

/* dev: revert puts everything back on top; the environment goes on by itself. */
static void test_external_revert(void)
{
    Rig *rig = rig_new();
    rig_push(rig, "c1", "1", "1");
    guint from = rig->ledger->len;
    foreign(rig, "dev", "ffffffffffffffffffffffffffffffffffffffff");
    g_autofree char *types = rig_types(rig, from);
    g_assert_true(g_str_has_prefix(types, "ExternalChange Committed ExternalResolved"));
    g_assert_cmpstr(g_hash_table_lookup(rig->tips, "dev"), !=,
                    "ffffffffffffffffffffffffffffffffffffffff");
    rig_seal(rig, "dev", "train", "m1", "0.97");
    rig_assert_state(rig, 2, "SUCCEEDED");
    rig_free(rig);
}

/* prod: halted until a person adopts; the attempt says so. */
static void test_external_halt(void)
{
    Rig *rig = rig_new();
    rig_push(rig, "c1", "1", "1");
    rig_seal(rig, "dev", "train", "m1", "0.97");
    foreign(rig, "prod", "ffffffffffffffffffffffffffffffffffffffff");
    rig_ask(rig, "promote", rig_unit_args("digits", "prod"));
    uint64_t n = (uint64_t)sl_json_int(rig->reply, "attempt", 0);
    g_autofree char *no = rig_approve(rig, n, rig->alice);
    g_assert_null(no);
    g_autoptr(json_t) view = rig_view(rig, "attempt", json_pack("{s:I}", "n", (json_int_t)n));
    g_assert_cmpstr(sl_json_str(view, "state"), ==, "GATING");
    g_assert_nonnull(strstr(sl_json_str(view, "waitingFor"), "changed by hand"));
    rig_ask(rig, "adopt",
            json_pack("{s:s,s:s,s:s}", "env", "prod", "commit", "aaaaaaaa", "reason", "x"));
    rig_assert_refused(rig, SLU_CONFLICT);
    rig_ask(
        rig, "adopt",
        json_pack("{s:s,s:s,s:s}", "env", "prod", "commit", "ffffffff", "reason", "looked at it"));
    rig_assert_state(rig, n, "SUCCEEDED");
    rig_free(rig);
}

/* A repository that could not be fetched even once leaves nothing that the ledger would not. */
static void test_never_read(void)
{
    g_autoptr(GError) away =
        g_error_new_literal(SL_ERROR, SLU_SOURCE_UNREACHABLE, "no route to host");
    Rig *rig = rig_new();
    SlCoordInput in = {.type = SL_COORD_SOURCE,
                       .source = {.repository = "other", .branch = "main", .error = away}};
    rig_step(rig, &in);
    rig_assert_same(rig);
    rig_free(rig);
}

/* Changed by hand while the commit was being written: nothing is committed over it. */
static void test_external_while_writing(void)
{
    Rig *rig = rig_new();
    rig_push(rig, "c1", "1", "1");
    rig_seal(rig, "dev", "train", "m1", "0.97");
    rig_ask(rig, "promote", rig_unit_args("digits", "prod"));
    uint64_t n = (uint64_t)sl_json_int(rig->reply, "attempt", 0);
    rig->hold_write = true;
    g_autofree char *no = rig_approve(rig, n, rig->alice);
    g_assert_null(no);
    rig_assert_state(rig, n, "COMMITTING");
    guint from = rig->ledger->len;
    foreign(rig, "prod", "ffffffffffffffffffffffffffffffffffffffff");
    SlCoordInput written = {
        .type = SL_COORD_ENV_WRITTEN,
        .env_written = {.env = "prod", .commit = "1111111111111111111111111111111111111111"}};
    rig_step(rig, &written);
    rig_tick(rig, SL_MINUTE_US);
    g_autofree char *types = rig_types(rig, from);
    g_assert_nonnull(strstr(types, "ExternalChange"));
    g_assert_null(strstr(types, "Committed"));
    g_autoptr(json_t) view = rig_view(rig, "attempt", json_pack("{s:I}", "n", (json_int_t)n));
    g_assert_nonnull(strstr(sl_json_str(view, "waitingFor"), "changed by hand"));
    rig->hold_write = false;
    rig_ask(
        rig, "adopt",
        json_pack("{s:s,s:s,s:s}", "env", "prod", "commit", "ffffffff", "reason", "looked at it"));
    rig_assert_state(rig, n, "SUCCEEDED");
    rig_free(rig);
}

/* Vetoed while the commit was being written: it is not committed, whatever the act. */
static void test_veto_while_writing(void)
{
    Rig *rig = rig_new();
    rig_push(rig, "c1", "1", "1");
    rig_seal(rig, "dev", "train", "m1", "0.97");
    g_autoptr(json_t) unit = rig_unit(rig, "dev");
    rig->hold_write = true;
    rig_ask(rig, "redeploy", rig_unit_args("digits", "dev"));
    uint64_t n = (uint64_t)sl_json_int(rig->reply, "attempt", 0);
    rig_assert_state(rig, n, "COMMITTING");
    rig_ask(rig, "veto",
            json_pack("{s:s,s:s,s:s,s:s}", "app", "digits", "env", "dev", "release",
                      sl_json_str(unit, "release"), "reason", "it is bad"));
    g_assert_cmpint(rig->status, ==, 200);
    guint from = rig->ledger->len;
    rig->hold_write = false;
    SlCoordInput written = {.type = SL_COORD_ENV_WRITTEN,
                            .env_written = {.env = "dev",
                                            .old = g_hash_table_lookup(rig->tips, "dev"),
                                            .commit = "1111111111111111111111111111111111111111"}};
    rig_step(rig, &written);
    g_autofree char *types = rig_types(rig, from);
    g_assert_null(strstr(types, "Committed"));
    rig_assert_state(rig, n, "REJECTED");
    rig_free(rig);
}

/* A render that fails technically is tried again with back-off and ends ERRORED, which an automatic
 * unit tries again later. */
static void test_render_errors(void)
{
    Rig *rig = rig_new();
    rig->render_error = "the disk is full";
    rig_push(rig, "c1", "1", "1");
    rig_assert_state(rig, 1, "QUEUED");
    g_autoptr(json_t) view = rig_view(rig, "attempt", json_pack("{s:i}", "n", 1));
    g_assert_nonnull(strstr(sl_json_str(view, "waitingFor"), "the disk is full"));
    for (int i = 0; i < 12; i++) {
        rig_tick(rig, 11 * SL_MINUTE_US);
    }
    rig_assert_state(rig, 1, "ERRORED");
    rig->render_error = NULL;
    rig_tick(rig, 11 * SL_MINUTE_US);
    rig_tick(rig, 11 * SL_MINUTE_US);
    g_autoptr(json_t) dev = rig_unit(rig, "dev");
    g_assert_cmpint(sl_json_int(dev, "attempt", 0), ==, 2);
    rig_free(rig);
}

/* Unhealthy until the time is over: FAILED, not tried again; a later release may start. Away:
 * ERRORED. */
static void test_health_timeout(void)
{
    Rig *rig = rig_new();
    rig_agent(rig, "dev1")->sick = true;
    rig_push(rig, "c1", "1", "1");
    rig_assert_state(rig, 1, "VERIFYING");
    rig_tick(rig, 11 * SL_MINUTE_US);
    rig_assert_state(rig, 1, "FAILED");
    g_autoptr(json_t) view = rig_view(rig, "attempt", json_pack("{s:i}", "n", 1));
    g_assert_nonnull(strstr(sl_json_str(view, "error.message"), "it crashes"));
    guint len = rig->ledger->len;
    rig_tick(rig, SL_HOUR_US);
    g_assert_cmpuint(rig->ledger->len, ==, len);
    rig_agent(rig, "dev1")->sick = false;
    rig_push(rig, "c2", "2", "1"); /* its run is held: the old one goes on */
    rig_assert_state(rig, 2, "SUCCEEDED");
    rig_free(rig);
}

/* Deleted branch, force-push, broken documents: the last good state stays and the problem shows. */
static void test_source_trouble(void)
{
    Rig *rig = rig_new();
    rig_push(rig, "c1", "1", "1");
    g_autoptr(GError) gone = g_error_new(SL_ERROR, SLU_NOT_FOUND, "branch main is not there");
    SlCoordInput in = {.type = SL_COORD_SOURCE,
                       .source = {.repository = "", .branch = "main", .error = gone}};
    rig_step(rig, &in);
    g_autoptr(json_t) status = rig_view(rig, "status", NULL);
    g_assert_nonnull(
        strstr(sl_json_str(json_array_get(json_object_get(status, "sources"), 0), "error"),
               "branch main"));
    guint len = rig->ledger->len;
    rig_push_tree(rig, "forced", rig_tree(RIG_FLEET, "9", "9"), true);
    g_assert_cmpuint(rig->ledger->len, ==, len);
    g_autofree char *hash = sl_sha256_hex("forced", 6);
    hash[40] = '\0';
    rig_ask(rig, "refresh", json_pack("{s:s}", "accept", hash));
    g_assert_cmpint(rig->status, ==, 200);
    rig_push_tree(rig, "forced", rig_tree(RIG_FLEET, "9", "9"), true);
    g_assert_cmpstr(sl_coord_followed(rig->coord, ""), ==, hash);
    rig_push_tree(rig, "broken", rig_tree("kind: Nonsense\n", "1", "1"), false);
    g_assert_nonnull(sl_fleet_app(sl_coord_docs(rig->coord), "digits"));
    g_autoptr(json_t) problems = rig_view(rig, "problems", NULL);
    g_assert_cmpuint(json_array_size(json_object_get(problems, "problems")), >, 0);
    rig_free(rig);
}

/* A ledger somebody left with the last term there is: refused, for the next start could take none. */
static void test_last_term(void)
{
    Rig *rig = rig_new();
    guint at = 0;
    while (strcmp(sl_json_str(g_ptr_array_index(rig->ledger, at), "type"), "Lease") != 0) {
        at++;
    }
    g_autoptr(SlCoord) coord = rig_fold(rig, at);
    g_autoptr(json_t) last = json_deep_copy(g_ptr_array_index(rig->ledger, at));
    sl_json_set_int(last, "term", INT64_MAX);
    g_autoptr(GError) error = NULL;
    g_assert_false(sl_coord_fold(coord, last, &error));
    g_assert_error(error, SL_ERROR, SLU_LEDGER_EVENT);
    g_assert_nonnull(strstr(error->message, "too far above"));
    rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/recovery/before-committed", test_before_committed);
    g_test_add_func("/recovery/lost-bytes", test_lost_bytes);
    g_test_add_func("/recovery/before-move", test_before_move);
    g_test_add_func("/recovery/every-prefix", test_every_prefix);
    g_test_add_func("/recovery/orders-after-a-restore", test_orders_after_a_restore);
    g_test_add_func("/recovery/external-revert", test_external_revert);
    g_test_add_func("/recovery/external-halt", test_external_halt);
    g_test_add_func("/recovery/never-read", test_never_read);
    g_test_add_func("/recovery/external-while-writing", test_external_while_writing);
    g_test_add_func("/recovery/veto-while-writing", test_veto_while_writing);
    g_test_add_func("/recovery/render-errors", test_render_errors);
    g_test_add_func("/recovery/health-timeout", test_health_timeout);
    g_test_add_func("/recovery/source-trouble", test_source_trouble);
    g_test_add_func("/recovery/last-term", test_last_term);
    return g_test_run();
}
