/* test_policy.c - who may do what: thresholds of distinct people, exclusions, fallbacks, object
 * policy; and the rows of the list of attacks that are about signatures. */
#include "core/policy.h"
#include "root_fixture.h"

/* alice has two keys (1, 4), bob 2, carol 3, mallory none that counts (7 is revoked); 9 is online.
 */
static const char base[] =
    "version: 1\nprofile: team\nexpires: " EXPIRES
    "\nroot-threshold: 1\nroot-key: alice @K1\nonline-key: @K9\n"
    "person: alice a@x.test\nperson: bob b@x.test\nperson: carol c@x.test\nperson: mallory "
    "m@x.test\n"
    "key: alice @K1\nkey: alice @K4\nkey: bob @K2\nkey: carol @K3\nkey: mallory @K7\n"
    "revoked: @K7\n"
    "environment: dev epoch=1 head-lifetime=1d activation-window=7d\n"
    "environment: prod epoch=1 head-lifetime=15m activation-window=7d\n"
    "role: env=dev app=* act=promote threshold=0\n"
    "role: env=prod app=* act=promote threshold=2 exclude=author,requester alice bob carol "
    "mallory\n"
    "role: env=prod app=pay act=promote threshold=1 carol\n"
    "role: env=prod app=* act=rollback threshold=1 alice bob\n"
    "role: env=prod app=* act=pause threshold=0 bob\n"
    "role: env=prod app=* act=registry threshold=1 alice\n"
    "role: env=prod app=web act=resume threshold=1 alice\n"
    "policy: env=prod app=* kinds=gitops.sluice/*,core/*,rbac.authorization.k8s.io/Role* "
    "namespaces=-,web*\n"
    "policy: env=prod app=pay kinds=gitops.sluice/* namespaces=*\n";

static SlRoot *root_of(void)
{
    g_autoptr(GBytes) text = root_text(base);
    g_autoptr(GError) error = NULL;
    SlRoot *root = sl_root_parse(text, &error);
    g_assert_no_error(error);
    return root;
}

static SlSigned *statement(const char *numbers)
{
    return signed_by(g_bytes_new_static("any text", 8), SL_STATEMENT_PROMOTION, numbers);
}

/* Code of the refusal, or 0; @part is in its message, or the names that count if it holds. */
static void expect(SlPolicyAsk ask, const char *numbers, int code, const char *part)
{
    g_autoptr(SlRoot) root = root_of();
    g_autoptr(SlSigned) s = statement(numbers);
    g_autoptr(GPtrArray) who = NULL;
    g_autoptr(GError) error = NULL;
    bool good = sl_policy_check(root, &ask, s, SL_STATEMENT_PROMOTION, &who, &error);
    g_assert_cmpint(error != NULL ? error->code : 0, ==, code);
    g_assert_cmpint(good, ==, code == 0);
    g_autoptr(GString) names = g_string_new(NULL);
    for (guint i = 0; good && i < who->len; i++) {
        g_string_append_printf(names, "%s%s", i > 0 ? " " : "", (char *)g_ptr_array_index(who, i));
    }
    const char *text = good ? names->str : error->message;
    if (good ? strcmp(text, part) != 0 : strstr(text, part) == NULL) {
        g_error("\"%s\" is not \"%s\"", text, part);
    }
}

#define PROMOTE .env = "prod", .app = "web", .act = SL_ACT_PROMOTE

static void test_threshold(void)
{
    expect((SlPolicyAsk){PROMOTE}, "12", 0, "alice bob");
    expect((SlPolicyAsk){PROMOTE}, "123", 0, "alice bob carol");
    expect((SlPolicyAsk){PROMOTE}, "", SLU_ROLE_THRESHOLD,
           "promote of web/prod: 0 of 2 people: needs one of alice, bob, carol");
    expect((SlPolicyAsk){PROMOTE}, "1", SLU_ROLE_THRESHOLD,
           "1 of 2 people: needs one of bob, carol");
    expect((SlPolicyAsk){PROMOTE}, "14", SLU_ROLE_THRESHOLD,
           "1 of 2 people"); /* one person, two keys */
    expect((SlPolicyAsk){PROMOTE}, "17", SLU_ROLE_THRESHOLD, "1 of 2 people"); /* revoked */
    expect((SlPolicyAsk){PROMOTE}, "16", SLU_ROLE_THRESHOLD, "1 of 2 people"); /* nobody's key */
    expect((SlPolicyAsk){PROMOTE}, "19", SLU_ROLE_THRESHOLD, "1 of 2 people");
    expect((SlPolicyAsk){PROMOTE}, "9", SLU_ROLE_THRESHOLD,
           "the coordinator's online key alone signed it");
    expect((SlPolicyAsk){.env = "dev", .app = "web", .act = SL_ACT_PROMOTE}, "9", 0, "");
    expect((SlPolicyAsk){.env = "dev", .app = "web", .act = SL_ACT_PROMOTE}, "", SLU_ROLE_THRESHOLD,
           "neither");
    expect((SlPolicyAsk){.env = "dev", .app = "web", .act = SL_ACT_PROMOTE}, "1",
           SLU_ROLE_THRESHOLD, "neither");
}

static void test_every_role_holds(void)
{
    SlPolicyAsk pay = {.env = "prod", .app = "pay", .act = SL_ACT_PROMOTE};
    expect(pay, "12", SLU_ROLE_THRESHOLD, "0 of 1 people: needs one of carol");
    expect(pay, "13", 0, "alice carol");
    expect(pay, "3", SLU_ROLE_THRESHOLD, "1 of 2");
}

static void test_missing(void)
{
    static const SlAct acts[] = {SL_ACT_REMOVE, SL_ACT_BREAK_GLASS, SL_ACT_STOP_RUN};
    for (size_t i = 0; i < G_N_ELEMENTS(acts); i++) {
        expect((SlPolicyAsk){.env = "prod", .app = "web", .act = acts[i]}, "1239", SLU_ROLE_MISSING,
               "web/prod: the root has no role for it");
    }
    expect((SlPolicyAsk){.env = "dev", .app = "web", .act = SL_ACT_ROLLBACK}, "1239",
           SLU_ROLE_MISSING, "rollback");
    expect((SlPolicyAsk){.env = "lab", .app = "web", .act = SL_ACT_PROMOTE}, "1239",
           SLU_ROLE_MISSING, "web/lab");
    expect((SlPolicyAsk){.env = "dev", .act = SL_ACT_REGISTRY}, "19", SLU_ROLE_MISSING,
           "registry of environment dev");
}

static void test_fallback(void)
{
    static const SlAct acts[] = {SL_ACT_REDEPLOY, SL_ACT_RENEW, SL_ACT_START_RUN, SL_ACT_RESUME};
    for (size_t i = 0; i < G_N_ELEMENTS(acts); i++) {
        SlPolicyAsk ask = {.env = "prod", .app = "digits", .act = acts[i]};
        expect(ask, "9", SLU_ROLE_THRESHOLD, "0 of 2");
        expect(ask, "12", 0, "alice bob");
        ask.env = "dev";
        expect(ask, "9", 0, "");
    }
    expect((SlPolicyAsk){.env = "prod", .app = "web", .act = SL_ACT_RESUME}, "1", 0, "alice");
    /* Of the whole environment: a role for one application neither suffices nor is passed over. */
    SlPolicyAsk whole = {.env = "prod", .act = SL_ACT_RESUME};
    expect(whole, "1", SLU_ROLE_THRESHOLD, "1 of 2");
    expect(whole, "12", SLU_ROLE_THRESHOLD, "needs one of carol");
    expect(whole, "13", 0, "alice carol");
    expect((SlPolicyAsk){.env = "prod", .act = SL_ACT_PAUSE}, "9", 0, "");
    expect((SlPolicyAsk){.env = "prod", .act = SL_ACT_PAUSE}, "2", 0, "bob");
    expect((SlPolicyAsk){.env = "prod", .act = SL_ACT_PAUSE}, "1", SLU_ROLE_THRESHOLD, "neither");
}

static void test_excluded(void)
{
    const char *const everyone[] = {"x@x.test", SL_AUTHOR_EVERYONE, NULL};
    expect((SlPolicyAsk){.env = "prod", .app = "web", .authors = everyone}, "123",
           SLU_ROLE_THRESHOLD, "0 of 2 people: nobody is left who may sign");
    SlPolicyAsk asked = {PROMOTE, .requester = "alice"};
    expect(asked, "12", SLU_ROLE_EXCLUDED, "alice is author or requester");
    expect(asked, "123", 0, "bob carol");
    const char *by_mail[] = {"B@x.test", "stranger@x.test", NULL};
    asked.authors = by_mail;
    expect(asked, "123", SLU_ROLE_EXCLUDED, "1 of 2 people");
    expect(asked, "3", SLU_ROLE_THRESHOLD, "1 of 2 people: nobody is left who may sign");
    const char *by_name[] = {"carol", NULL};
    expect((SlPolicyAsk){PROMOTE, .authors = by_name}, "12", 0, "alice bob");
    /* rollback excludes nobody */
    expect((SlPolicyAsk){.env = "prod", .app = "web", .act = SL_ACT_ROLLBACK, .requester = "alice"},
           "1", 0, "alice");
}

static void test_bad_signatures(void)
{
    g_autoptr(SlRoot) root = root_of();
    g_autoptr(SlSigned) other =
        signed_by(g_bytes_new_static("other", 5), SL_STATEMENT_PROMOTION, "12");
    g_autoptr(SlSigned) s = statement("");
    sl_signed_add(s, g_ptr_array_index(other->sigs, 0));
    sl_signed_add(s, g_ptr_array_index(other->sigs, 1));
    SlPolicyAsk ask = {PROMOTE};
    g_autoptr(GError) error = NULL;
    g_assert_false(sl_policy_check(root, &ask, s, SL_STATEMENT_PROMOTION, NULL, &error));
    g_assert_error(error, SL_ERROR, SLU_SIGNATURE_BAD);
    g_clear_error(&error);
    g_autoptr(SlSigned) as_order =
        signed_by(g_bytes_new_static("any text", 8), SL_STATEMENT_ORDER, "12");
    g_assert_false(sl_policy_check(root, &ask, as_order, SL_STATEMENT_PROMOTION, NULL, &error));
    g_assert_error(error, SL_ERROR, SLU_SIGNATURE_BAD);
    g_assert_nonnull(strstr(error->message, "order@sluice.v1"));
}

static void test_who_can(void)
{
    g_autoptr(SlRoot) root = root_of();
    SlPolicyAsk ask = {PROMOTE, .requester = "carol"};
    g_autoptr(SlSigned) s = statement("1");
    g_autoptr(GPtrArray) who = sl_policy_who_can(root, &ask, s, SL_STATEMENT_PROMOTION);
    g_assert_cmpuint(who->len, ==, 1); /* mallory's only key is revoked */
    g_assert_cmpstr(g_ptr_array_index(who, 0), ==, "bob");
    g_autoptr(GPtrArray) all = sl_policy_who_can(root, &ask, NULL, SL_STATEMENT_PROMOTION);
    g_assert_cmpuint(all->len, ==, 2);
    g_assert_true(sl_policy_person_may(root, &ask, "alice"));
    g_assert_false(sl_policy_person_may(root, &ask, "carol"));
    g_assert_false(sl_policy_person_may(root, &ask, "mallory"));
    g_assert_false(sl_policy_person_may(root, &ask, "nobody"));
    SlPolicyAsk pay = {.env = "prod", .app = "pay", .act = SL_ACT_PROMOTE};
    /* Two roles: 2 of alice, bob, carol, and 1 of carol. Each one's signature is needed by one. */
    g_assert_true(sl_policy_person_may(root, &pay, "alice"));
    g_assert_true(sl_policy_person_may(root, &pay, "carol"));
    g_assert_false(sl_policy_person_may(root, &pay, "mallory"));
    SlPolicyAsk asked_by_bob = {
        .env = "prod", .app = "pay", .act = SL_ACT_PROMOTE, .requester = "bob"};
    g_assert_false(sl_policy_person_may(root, &asked_by_bob, "bob"));
    g_autoptr(SlSigned) by_bob = statement("2");
    g_autoptr(GPtrArray) rest = sl_policy_who_can(root, &pay, by_bob, SL_STATEMENT_PROMOTION);
    for (guint i = 0; i < rest->len; i++) { /* whoever is asked to sign may sign */
        g_assert_true(sl_policy_person_may(root, &pay, g_ptr_array_index(rest, i)));
    }
    SlPolicyAsk dev = {.env = "dev", .app = "web", .act = SL_ACT_PROMOTE};
    g_autoptr(GPtrArray) none = sl_policy_who_can(root, &dev, NULL, SL_STATEMENT_PROMOTION);
    g_assert_cmpuint(none->len, ==, 0);
    SlPolicyNeed need;
    sl_policy_need(root, &pay, &need);
    g_assert_cmpuint(need.threshold, ==, 2);
    g_assert_cmpuint(need.roles->len, ==, 2);
    sl_policy_need_clear(&need);
}

static void expect_object(const char *env, const char *app, const char *kind, const char *ns,
                          const char *named, const char *part)
{
    g_autoptr(SlRoot) root = root_of();
    const char *names[] = {named, NULL};
    g_autoptr(GError) error = NULL;
    bool good = sl_policy_check_object(root, env, app, kind, ns, names, &error);
    if (part == NULL) {
        g_assert_no_error(error);
        g_assert_true(good);
        return;
    }
    g_assert_false(good);
    g_assert_error(error, SL_ERROR, SLU_OBJECT_POLICY);
    g_assert_nonnull(strstr(error->message, part));
}

static void test_objects(void)
{
    expect_object("dev", "web", "gitops.sluice/ModelServer", NULL, NULL, NULL);
    expect_object("dev", "web", "apps/Deployment", "any", NULL, NULL);
    expect_object("dev", "web", "rbac.authorization.k8s.io/ClusterRole", NULL, NULL,
                  "does not name it");
    expect_object("dev", "web", "rbac.authorization.k8s.io/ClusterRole", NULL,
                  "rbac.authorization.k8s.io/ClusterRole", NULL);
    expect_object("prod", "web", "core/ConfigMap", "web-1", NULL, NULL);
    expect_object("prod", "web", "core/ConfigMap", "default", NULL, "namespace default");
    expect_object("prod", "web", "core/ConfigMap", NULL, NULL, NULL);
    expect_object("prod", "web", "apps/Deployment", "web", NULL, "this kind");
    expect_object("prod", "web", "core/Namespace", NULL, NULL, "privileged");
    expect_object("prod", "web", "core/Namespace", NULL, "core/Namespace", NULL);
    expect_object("prod", "web", "rbac.authorization.k8s.io/RoleBinding", "web", NULL,
                  "privileged");
    expect_object("prod", "pay", "core/ConfigMap", "web", NULL,
                  "app=pay"); /* every matching line */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/policy/threshold", test_threshold);
    g_test_add_func("/policy/every-role-holds", test_every_role_holds);
    g_test_add_func("/policy/missing", test_missing);
    g_test_add_func("/policy/fallback", test_fallback);
    g_test_add_func("/policy/excluded", test_excluded);
    g_test_add_func("/policy/bad-signatures", test_bad_signatures);
    g_test_add_func("/policy/who-can", test_who_can);
    g_test_add_func("/policy/objects", test_objects);
    return g_test_run();
}
