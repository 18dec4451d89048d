/* test_requests.c - verbs: scopes, clear refusals, approvals, supersede, idempotency, tokens. */
#include "rig.h"

static Rig *rig_ready(bool two)
{
    Rig *rig = rig_new_with(SL_PROFILE_SOLO, two);
    rig_enrol_all(rig);
    rig_push(rig, "c1", "1", "1");
    rig_seal(rig, "dev", "train", "m1", "0.97");
    return rig;
}

static void test_refusals(void)
{
    Rig *rig = rig_ready(false);
    guint len = rig->ledger->len;
    rig_ask(rig, "promote", rig_unit_args("nosuch", "prod"));
    rig_assert_refused(rig, SLU_NO_SUCH_UNIT);
    rig_ask(rig, "promote",
            json_pack("{s:s,s:s,s:s}", "app", "digits", "env", "prod", "release", "R99"));
    rig_assert_refused(rig, SLU_NO_SUCH_RELEASE);
    rig_ask(rig, "promote",
            json_pack("{s:s,s:s,s:s}", "app", "digits", "env", "prod", "release", "R1"));
    rig_assert_refused(rig, SLU_NOT_ELIGIBLE); /* its model is pending */
    rig_ask(rig, "promote", json_pack("{s:s}", "app", "digits"));
    rig_assert_refused(rig, SLU_JSON_TYPE);
    rig_ask(rig, "rollback", rig_unit_args("digits", "prod"));
    rig_assert_refused(rig, SLU_NO_ROLLBACK_TARGET);
    rig_ask(rig, "redeploy", rig_unit_args("digits", "prod"));
    rig_assert_refused(rig, SLU_NOTHING_THERE);
    rig_ask(rig, "approve", json_pack("{s:i,s:s}", "attempt", 99, "signature", "x"));
    rig_assert_refused(rig, SLU_NO_SUCH_ATTEMPT);
    rig_ask(rig, "approve", json_pack("{s:i,s:s}", "attempt", 1, "signature", "x"));
    rig_assert_refused(rig, SLU_ATTEMPT_STATE);
    rig_ask(rig, "abort", json_pack("{s:i}", "attempt", 1));
    rig_assert_refused(rig, SLU_ATTEMPT_STATE);
    rig_ask(rig, "pin", json_pack("{s:s,s:s}", "app", "digits", "env", "dev"));
    rig_assert_refused(rig, SLU_INVALID); /* no reason */
    rig_ask(rig, "explode", NULL);
    rig_assert_refused(rig, SLU_VERB_UNKNOWN);
    rig_ask_as(rig, "bob", "view", "promote", NULL, rig_unit_args("digits", "prod"));
    rig_assert_refused(rig, SLU_SCOPE);
    rig_ask_as(rig, "bob", "request", "pin", NULL, rig_unit_args("digits", "prod"));
    rig_assert_refused(rig, SLU_SCOPE);
    g_assert_cmpint(rig->status, ==, 403);
    g_assert_cmpuint(rig->ledger->len, ==, len);
    rig_free(rig);
}

/* Two people must sign; a person with one signature twice counts once; a stranger and the online
 * key never. */
static void test_two_people(void)
{
    Rig *rig = rig_ready(true);
    uint8_t stranger[64];
    rig_seed(77, stranger);
    rig_ask(rig, "promote", rig_unit_args("digits", "prod"));
    uint64_t n = (uint64_t)sl_json_int(rig->reply, "attempt", 0);
    g_autofree char *a = rig_approve(rig, n, stranger);
    g_assert_cmpstr(a, ==, "SLU3110");
    g_autofree char *b = rig_approve(rig, n, rig->online);
    g_assert_cmpstr(b, ==, "SLU3110");
    g_autofree char *c = rig_approve(rig, n, rig->alice);
    g_assert_null(c);
    g_autofree char *d = rig_approve(rig, n, rig->alice);
    g_assert_cmpstr(d, ==, "SLU3110");
    rig_assert_state(rig, n, "GATING");
    g_autoptr(json_t) view = rig_view(rig, "attempt", json_pack("{s:I}", "n", (json_int_t)n));
    g_assert_cmpstr(sl_json_str(view, "waitingFor"), ==, "approval 1 of 2");
    g_assert_cmpuint(json_array_size(json_object_get(view, "who")), ==, 1);
    g_autofree char *e = rig_approve(rig, n, rig->bob);
    g_assert_null(e);
    rig_assert_state(rig, n, "SUCCEEDED");
    rig_free(rig);
}

/* A signature over other bytes counts for nothing. */
static void test_other_bytes(void)
{
    Rig *rig = rig_ready(false);
    rig_ask(rig, "promote", rig_unit_args("digits", "prod"));
    g_autofree char *sig = sl_sshsig_sign(rig->alice, "other", 5, "promotion@sluice.v1");
    rig_ask(rig, "approve", json_pack("{s:i,s:s}", "attempt", 4, "signature", sig));
    rig_assert_refused(rig, SLU_SIGNATURE_BAD);
    rig_assert_state(rig, 4, "GATING");
    rig_ask_as(rig, "bob", "request", "reject", NULL,
               json_pack("{s:i,s:s}", "attempt", 4, "reason", "no"));
    rig_assert_refused(rig, SLU_APPROVAL_REFUSED);
    rig_ask_as(rig, "alice", "request", "reject", NULL,
               json_pack("{s:i,s:s}", "attempt", 4, "reason", "not today"));
    rig_assert_state(rig, 4, "REJECTED");
    rig_free(rig);
}

/* A newer request ends a waiting one that nobody signed; it expires if nobody comes. */
static void test_supersede_and_expire(void)
{
    Rig *rig = rig_ready(false);
    rig_ask(rig, "promote", rig_unit_args("digits", "prod"));
    rig_ask(rig, "promote", rig_unit_args("digits", "prod"));
    rig_assert_state(rig, 4, "SUPERSEDED");
    rig_assert_state(rig, 5, "GATING");
    g_autofree char *late = rig_approve(rig, 5, rig->alice);
    g_assert_null(late);
    rig_ask(rig, "redeploy", rig_unit_args("digits", "prod"));
    rig_tick(rig, 8 * SL_DAY_US);
    rig_assert_state(rig, 6, "EXPIRED");
    g_autoptr(json_t) view = rig_view(rig, "attempt", json_pack("{s:i}", "n", 6));
    g_assert_nonnull(strstr(sl_json_str(view, "error.message"), "approval 0 of 1"));
    rig_free(rig);
}

static void test_idempotency(void)
{
    Rig *rig = rig_ready(false);
    g_autoptr(json_t) first = json_incref(
        rig_ask_as(rig, "alice", "request", "promote", "k1", rig_unit_args("digits", "prod")));
    guint len = rig->ledger->len;
    json_t *again =
        rig_ask_as(rig, "alice", "request", "promote", "k1", rig_unit_args("digits", "prod"));
    g_assert_true(json_equal(first, again));
    g_assert_cmpint(rig->status, ==, 202);
    g_assert_cmpuint(rig->ledger->len, ==, len);
    rig_restart(rig);
    again = rig_ask_as(rig, "alice", "request", "promote", "k1", rig_unit_args("digits", "prod"));
    g_assert_true(json_equal(first, again));
    rig_ask_as(rig, "alice", "request", "promote", "k1", rig_unit_args("digits", "test"));
    rig_assert_refused(rig, SLU_CONFLICT);
    rig_tick(rig, 2 * SL_DAY_US);
    again = rig_ask_as(rig, "alice", "request", "promote", "k1", rig_unit_args("digits", "prod"));
    g_assert_false(json_equal(first, again));
    rig_free(rig);
}

static void test_api_tokens(void)
{
    Rig *rig = rig_ready(false);
    const char *person = NULL, *scope = NULL;
    g_autoptr(json_t) made = json_incref(rig_ask(
        rig, "token-create",
        json_pack("{s:s,s:s,s:s}", "person", "alice", "scope", "request", "lifetime", "1h")));
    const char *token = sl_json_str(made, "token");
    g_assert_true(sl_coord_token_check(rig->coord, token, rig->now_us, &person, &scope, NULL));
    g_assert_cmpstr(person, ==, "alice");
    g_assert_cmpstr(scope, ==, "request");
    for (guint i = 0; i < rig->ledger->len; i++) {
        g_autofree char *text = sl_json_canonical(g_ptr_array_index(rig->ledger, i), NULL);
        g_assert_null(strstr(text, strrchr(token, '_') + 1)); /* the secret is nowhere */
    }
    rig_restart(rig);
    g_assert_true(sl_coord_token_check(rig->coord, token, rig->now_us, &person, &scope, NULL));
    g_assert_false(sl_coord_token_check(rig->coord, token, rig->now_us + 2 * SL_HOUR_US, &person,
                                        &scope, NULL));
    g_assert_false(
        sl_coord_token_check(rig->coord, "slc_00_11", rig->now_us, &person, &scope, NULL));
    rig_ask(rig, "token-revoke", json_pack("{s:s}", "id", sl_json_str(made, "id")));
    g_autoptr(GError) error = NULL;
    g_assert_false(sl_coord_token_check(rig->coord, token, rig->now_us, &person, &scope, &error));
    g_assert_error(error, SL_ERROR, SLU_API_TOKEN_UNKNOWN);
    rig_ask(rig, "token-create", json_pack("{s:s,s:s}", "person", "mallory", "scope", "operate"));
    rig_assert_refused(rig, SLU_NOT_FOUND);
    rig_free(rig);
}

/* What a join would be refused for is refused when the token is asked for; a secret has an end. */
static void test_join_tokens(void)
{
    Rig *rig = rig_ready(false);
    static const struct {
        const char *key, *value, *lifetime;
        int code;
    } rows[] = {{"zone", "\303\274", "1h", SLU_REGISTRY_ENTRY}, {"z\303\266ne", "a", "1h", SLU_REGISTRY_ENTRY},
                {"", "a", "1h", SLU_REGISTRY_ENTRY},           {"zone", "a,b=c", "1h", SLU_REGISTRY_ENTRY},
                {"engine", "process", "1h", SLU_REGISTRY_ENTRY}, {"cluster", "x", "1h", SLU_REGISTRY_ENTRY},
                {"zone", "a", "31d", SLU_LIMIT},               {"zone", "a", "soon", SLU_INVALID}};
    guint len = rig->ledger->len;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        rig_ask(rig, "cluster-add",
                json_pack("{s:s,s:s,s:{s:s},s:s}", "name", "dev9", "env", "dev", "labels", rows[i].key,
                          rows[i].value, "lifetime", rows[i].lifetime));
        rig_assert_refused(rig, rows[i].code);
    }
    rig_ask(rig, "token-create",
            json_pack("{s:s,s:s,s:s}", "person", "alice", "scope", "view", "lifetime", "91d"));
    rig_assert_refused(rig, SLU_LIMIT);
    g_assert_cmpuint(rig->ledger->len, ==, len);
    rig_ask(rig, "cluster-add",
            json_pack("{s:s,s:s,s:{s:s},s:s}", "name", "dev9", "env", "dev", "labels", "example.org/zone",
                      "a-1", "lifetime", "30d"));
    g_assert_cmpuint(rig->ledger->len, >, len);
    rig_free(rig);
}

/* pin holds back automatic promotion; unpin lets it go on. Remove takes everything away and pins.
 */
static void test_pin_and_remove(void)
{
    Rig *rig = rig_ready(false);
    rig_ask(rig, "pin", rig_unit_args("digits", "dev"));
    guint attempts = rig->renders;
    rig_push(rig, "c2", "1", "2");
    g_assert_cmpuint(rig->renders, ==, attempts);
    rig_ask(rig, "unpin", rig_unit_args("digits", "dev"));
    g_assert_cmpuint(rig->renders, >, attempts);
    rig_ask(rig, "remove", rig_unit_args("digits", "dev"));
    uint64_t n = (uint64_t)sl_json_int(rig->reply, "attempt", 0);
    rig_assert_state(rig, n, "SUCCEEDED");
    g_autoptr(json_t) dev = rig_unit(rig, "dev");
    g_assert_true(json_is_null(json_object_get(dev, "release")));
    g_assert_nonnull(sl_json_str(dev, "pinned.reason"));
    rig_free(rig);
}

/* Views answer on a state that was only folded, and name what is not there. */
static void test_views(void)
{
    static const char *const all[] = {"status", "history",      "releases", "clusters", "runs",
                                      "events", "environments", "roots",    "tokens",   "problems"};
    Rig *rig = rig_ready(false);
    g_autoptr(SlCoord) folded = rig_fold(rig, rig->ledger->len);
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(json_t) live = sl_coord_view(rig->coord, all[i], NULL, rig->now_us, &error);
        g_assert_no_error(error);
        g_autoptr(json_t) replayed = sl_coord_view(folded, all[i], NULL, rig->now_us, &error);
        g_assert_no_error(error);
        g_assert_true(json_is_object(live) && json_is_object(replayed));
    }
    g_autoptr(json_t) why =
        rig_view(rig, "why", json_pack("{s:s}", "object", "digits/test/ModelServer/serve"));
    g_assert_cmpuint(json_array_size(json_object_get(why, "chain")), >=, 4);
    g_autoptr(json_t) diff = rig_view(
        rig, "diff", json_pack("{s:s,s:s,s:s}", "app", "digits", "env", "test", "with", "dev"));
    g_assert_nonnull(json_object_get(diff, "objects"));
    g_autoptr(json_t) registry = rig_view(rig, "registries", json_pack("{s:s}", "env", "prod"));
    g_assert_cmpuint(json_array_size(json_object_get(registry, "clusters")), ==, 1);
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) ask = json_pack("{s:s}", "id", "abcdef0");
    g_assert_null(sl_coord_view(rig->coord, "run", ask, rig->now_us, &error));
    g_assert_error(error, SL_ERROR, SLU_NO_SUCH_RUN);
    rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/requests/refusals", test_refusals);
    g_test_add_func("/requests/two-people", test_two_people);
    g_test_add_func("/requests/other-bytes", test_other_bytes);
    g_test_add_func("/requests/supersede-and-expire", test_supersede_and_expire);
    g_test_add_func("/requests/idempotency", test_idempotency);
    g_test_add_func("/requests/api-tokens", test_api_tokens);
    g_test_add_func("/requests/join-tokens", test_join_tokens);
    g_test_add_func("/requests/pin-and-remove", test_pin_and_remove);
    g_test_add_func("/requests/views", test_views);
    return g_test_run();
}
