/* test_root.c - reading, cross-checks, steps from version to version, profiles. */
#include "root_fixture.h"
#include "sluice/clock.h"

static const char base[] =
    "version: 1\nprofile: team\nexpires: " EXPIRES "\nroot-threshold: 2\n"
    "root-key: alice @K1\nroot-key: bob @K2\nroot-key: carol @K3\n"
    "online-key: @K9\n"
    "person: alice a@x.test alice@y.test\nperson: bob b@x.test\nperson: carol c@x.test\n"
    "key: alice @K1\nkey: alice @K4\nkey: bob @K2\nkey: carol @K3\n"
    "environment: dev epoch=1 head-lifetime=1d activation-window=7d\n"
    "environment: prod epoch=3 head-lifetime=15m activation-window=7d\n"
    "role: env=dev app=* act=promote threshold=0\n"
    "role: env=dev app=* act=registry threshold=0\n"
    "role: env=prod app=* act=promote threshold=2 exclude=author,requester alice bob carol\n"
    "role: env=prod app=* act=pause threshold=0\n"
    "policy: env=prod app=* kinds=gitops.sluice/*,core/ConfigMap namespaces=-,web* "
    "privileged=rbac.*\n";

static SlRoot *parse(const char *body, GError **error)
{
    g_autoptr(GBytes) text = root_text(body);
    return sl_root_parse(text, error);
}

static void expect_bent(const char *from, const char *to, int code, const char *part)
{
    g_autofree char *body = replaced(base, from, to);
    g_autoptr(GError) error = NULL;
    g_autoptr(SlRoot) root = parse(body, &error);
    if (root != NULL) {
        g_error("%s -> %s was taken", from, to);
    }
    g_assert_error(error, SL_ERROR, code);
    if (strstr(error->message, part) == NULL) {
        g_error("\"%s\" is not in \"%s\"", part, error->message);
    }
}

static void test_read(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlRoot) root = parse(base, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(root->fleet, ==, FLEET);
    g_assert_cmpuint(root->version, ==, 1);
    g_assert_cmpint(root->profile, ==, SL_PROFILE_TEAM);
    g_assert_cmpuint(root->root_threshold, ==, 2);
    g_assert_cmpuint(sl_root_env(root, "prod")->epoch, ==, 3);
    g_assert_cmpint(sl_root_env(root, "prod")->head_lifetime_us, ==, 15 * SL_MINUTE_US);
    g_assert_null(sl_root_env(root, "pro"));
    g_autoptr(SlPublicKey) k4 = make_key(4);
    g_autoptr(SlPublicKey) k9 = make_key(9);
    g_assert_cmpstr(sl_root_person_of_key(root, k4)->name, ==, "alice");
    g_assert_null(sl_root_person_of_key(root, k9));
    g_assert_true(sl_root_is_online_key(root, k9));
    g_assert_false(sl_root_is_online_key(root, k4));
    g_assert_cmpstr(sl_root_person_of_email(root, "Alice@Y.test")->name, ==, "alice");
    g_assert_null(sl_root_person_of_email(root, "d@x.test"));
    const SlRole *role = g_ptr_array_index(root->roles, 2);
    g_assert_true(role->exclude_author && role->exclude_requester);
    g_assert_cmpuint(g_strv_length(role->people), ==, 3);

    g_autoptr(GBytes) text = root_text(base);
    g_autoptr(GBytes) again = sl_root_format(root, &error);
    g_assert_no_error(error);
    g_assert_true(g_bytes_equal(text, again));
}

static void test_lines_refused(void)
{
    expect_bent("profile: team", "profile: Team", SLU_ROOT_INVALID, "solo, team or regulated");
    expect_bent("version: 1", "version: 0", SLU_ROOT_INVALID, "1 or more");
    expect_bent("person: bob b@x.test", "person: bob", SLU_ROOT_INVALID, "person \"bob\" is not");
    expect_bent("person: bob b@x.test", "person: bob b", SLU_ROOT_INVALID, "person \"bob b\"");
    expect_bent("person: bob b@x.test", "person: bob A@x.test", SLU_ROOT_INVALID,
                "another person's e-mail");
    expect_bent("person: bob b@x.test", "person: alice b@x.test", SLU_ROOT_INVALID,
                "alice is given twice");
    expect_bent("key: bob @K2\nkey", "key: dora @K2\nkey", SLU_ROOT_INVALID, "no such person");
    expect_bent("root-key: bob @K2", "root-key: bob ssh-ed25519 AAAA", SLU_ROOT_INVALID,
                "is not `<person> <key");
    expect_bent("online-key: @K9", "online-key: @K9 comment", SLU_STATEMENT_FORMAT,
                "without comment");
    expect_bent("epoch=1 ", "epoch=0 ", SLU_ROOT_INVALID, "environment \"dev epoch=0");
    expect_bent("head-lifetime=1d", "head-lifetime=1.5h", SLU_ROOT_INVALID, "not a duration");
    expect_bent("environment: prod", "environment: dev", SLU_ROOT_INVALID, "dev is given twice");
    expect_bent("act=pause", "act=Pause", SLU_ROOT_INVALID, "role \"env=prod");
    expect_bent("act=pause threshold=0", "act=pause threshold=17", SLU_ROOT_INVALID,
                "threshold=<0 to 16>");
    expect_bent("exclude=author,requester", "exclude=requester,author", SLU_ROOT_INVALID,
                "role \"env=prod");
    expect_bent("env=prod app=* act=pause", "app=* env=prod act=pause", SLU_ROOT_INVALID,
                "role \"app=*");
    expect_bent("namespaces=-,web* ", "", SLU_ROOT_INVALID, "policy \"env=prod");
    expect_bent("kinds=gitops.sluice/*,", "kinds=,", SLU_ROOT_INVALID, "policy \"env=prod");
}

static void test_rules_refused(void)
{
    expect_bent("root-threshold: 2", "root-threshold: 4", SLU_ROOT_INVALID, "4, but 3 people hold");
    expect_bent("root-threshold: 2", "root-threshold: 0", SLU_ROOT_INVALID, "0, but 3 people hold");
    expect_bent("root-key: bob @K2\nroot-key: carol @K3", "root-key: alice @K4", SLU_ROOT_INVALID,
                "2, but 1 people hold"); /* two keys, one person */
    expect_bent("root-key: bob @K2", "root-key: dora @K2", SLU_ROOT_INVALID, "root-key of dora");
    expect_bent("key: alice @K4", "key: alice @K9", SLU_ROOT_INVALID,
                "the coordinator (online-key) and to alice");
    expect_bent("root-key: carol @K3", "root-key: carol @K9", SLU_ROOT_INVALID, "(online-key)");
    expect_bent("key: alice @K4", "key: alice @K2", SLU_ROOT_INVALID,
                "belongs to alice and to bob");
    expect_bent("environment: dev epoch=1 head-lifetime=1d activation-window=7d\n",
                "revoked: @K9\nenvironment: dev epoch=1 head-lifetime=1d activation-window=7d\n",
                SLU_ROOT_INVALID, "no online-key in force");
    expect_bent("threshold=2", "threshold=4", SLU_ROOT_INVALID,
                "threshold 4, but 3 people in it can sign");
    expect_bent("alice bob carol\n", "alice bob dora\n", SLU_ROOT_INVALID,
                "there is no person dora");
    expect_bent("alice bob carol\n", "alice bob bob\n", SLU_ROOT_INVALID, "bob is named twice");
    expect_bent("env=prod app=* act=pause", "env=prdo app=* act=pause", SLU_ROOT_INVALID,
                "matches no environment");
    expect_bent("policy: env=prod", "policy: env=stage", SLU_ROOT_INVALID,
                "matches no environment");
    expect_bent("env=dev app=* act=registry", "env=dev app=x act=registry", SLU_ROOT_INVALID,
                "app must be *");
    expect_bent("role: env=dev app=* act=promote threshold=0\n", "", SLU_ROOT_INVALID,
                "dev has no role for act promote");
}

/* A free act where promote is guarded hands the environment to whoever holds the online key. */
static void test_free_acts(void)
{
    static const char *const acts[] = {"rollback", "redeploy", "remove",    "break-glass",
                                       "renew",    "resume",   "start-run", "registry"};
    for (size_t i = 0; i < G_N_ELEMENTS(acts); i++) {
        g_autofree char *role = g_strdup_printf("app=* act=%s threshold=0\npolicy", acts[i]);
        expect_bent("app=* act=pause threshold=0\npolicy", role, SLU_ROOT_INVALID,
                    "threshold 0, but promote needs 2");
    }
    expect_bent("env=prod app=* act=pause threshold=0", "env=* app=web* act=remove threshold=0",
                SLU_ROOT_INVALID, "in environment prod");
    g_autofree char *stop = replaced(base, "act=pause", "act=stop-run");
    g_autoptr(GError) error = NULL;
    g_autoptr(SlRoot) root = parse(stop, &error);
    g_assert_nonnull(root);
    g_assert_no_error(error);
    /* Applications that no promote role guards may be free; those that meet one may not. */
    g_autofree char *apart =
        replaced(base, "env=prod app=* act=promote", "env=prod app=pay-* act=promote");
    g_autofree char *free_ = replaced(apart, "app=* act=pause", "app=web-* act=remove");
    g_autoptr(SlRoot) root2 = parse(free_, &error);
    g_assert_nonnull(root2);
    g_assert_no_error(error);
    g_autofree char *meets = replaced(apart, "app=* act=pause", "app=*-web act=remove");
    g_autoptr(SlRoot) root3 = parse(meets, &error);
    g_assert_null(root3);
    g_assert_error(error, SL_ERROR, SLU_ROOT_INVALID);
}

static void test_many_mistakes_at_once(void)
{
    g_autofree char *one = replaced(base, "alice bob carol\n", "dora\n");
    g_autofree char *two = replaced(one, "root-threshold: 2", "root-threshold: 9");
    g_autoptr(GError) error = NULL;
    g_autoptr(SlRoot) root = parse(two, &error);
    g_assert_null(root);
    g_auto(GStrv) lines = g_strsplit(error->message, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==,
                     4); /* heading, threshold, person, threshold of the role */
}

static void test_first(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlSigned) good = signed_by(root_text(base), SL_STATEMENT_ROOT, "12");
    g_autofree char *digest = sl_signed_digest(good);
    g_autoptr(SlRoot) root = sl_root_accept_first(good, digest, &error);
    g_assert_no_error(error);
    g_assert_nonnull(root);
    g_assert_null(sl_root_accept_first(good, FLEET, &error));
    g_assert_error(error, SL_ERROR, SLU_ROOT_STEP);
    static const char *const too_few[] = {"", "1", "11", "14", "19", "1"};
    for (size_t i = 0; i < G_N_ELEMENTS(too_few); i++) {
        g_clear_error(&error);
        g_autoptr(SlSigned) s = signed_by(root_text(base), SL_STATEMENT_ROOT, too_few[i]);
        g_assert_null(sl_root_accept_first(s, NULL, &error));
        g_assert_error(error, SL_ERROR, SLU_ROOT_STEP);
        g_assert_nonnull(strstr(error->message, " of 2 people"));
    }
    g_clear_error(&error);
    g_autoptr(SlSigned) other_kind = signed_by(root_text(base), SL_STATEMENT_PROMOTION, "12");
    g_assert_null(sl_root_accept_first(other_kind, NULL, &error));
    g_assert_nonnull(strstr(error->message, "promotion@sluice.v1"));
    g_clear_error(&error);
    g_autofree char *second = replaced(base, "version: 1", "version: 2");
    g_autoptr(SlSigned) s = signed_by(root_text(second), SL_STATEMENT_ROOT, "12");
    g_assert_null(sl_root_accept_first(s, NULL, &error));
    g_assert_error(error, SL_ERROR, SLU_ROOT_STEP);
}

static void expect_step(const SlRoot *current, const char *body, const char *numbers,
                        const char *part)
{
    g_autoptr(SlSigned) s = signed_by(root_text(body), SL_STATEMENT_ROOT, numbers);
    g_autoptr(GError) error = NULL;
    g_autoptr(SlRoot) next = sl_root_accept_next(current, s, &error);
    if (part == NULL) {
        g_assert_no_error(error);
        g_assert_nonnull(next);
        return;
    }
    g_assert_null(next);
    g_assert_error(error, SL_ERROR, SLU_ROOT_STEP);
    if (strstr(error->message, part) == NULL) {
        g_error("\"%s\" is not in \"%s\"", part, error->message);
    }
}

static void test_steps(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlRoot) root = parse(base, &error);
    g_autofree char *next = replaced(base, "version: 1", "version: 2");
    expect_step(root, next, "12", NULL);
    expect_step(root, next, "1", "1 of 2 people who hold root keys of the current version 1");
    g_autofree char *skipped = replaced(base, "version: 1", "version: 3");
    expect_step(root, skipped, "12", "version 3 does not follow version 1");
    expect_step(root, base, "12", "version 1 does not follow");
    g_autofree char *lowered = replaced(next, "epoch=3", "epoch=2");
    expect_step(root, lowered, "12", "prod goes back from epoch 3 to 2");
    g_autofree char *raised = replaced(next, "epoch=3", "epoch=4");
    expect_step(root, raised, "12", NULL);
    g_autofree char *renamed = replaced(next, "environment: dev", "environment: lab");
    g_autofree char *roles =
        replaced(renamed, "env=dev app=* act=promote", "env=lab app=* act=promote");
    g_autofree char *left_out = replaced(roles, "env=dev", "env=lab");
    expect_step(root, left_out, "12", "environment dev is left out");

    /* New holders: both the old and the new threshold must sign. */
    g_autofree char *k5 = replaced(next, "root-key: alice @K1\nroot-key: bob @K2",
                                   "root-key: alice @K5\nroot-key: bob @K6");
    expect_step(root, k5, "12", "0 of 2 people who hold root keys of its own version 2");
    expect_step(root, k5, "56", "0 of 2 people who hold root keys of the current");
    expect_step(root, k5, "1256", NULL);

    /* A key that the new version revokes still counts for the old threshold, and not for the new.
     */
    g_autofree char *revoked = replaced(next, "environment: dev", "revoked: @K1\nenvironment: dev");
    expect_step(root, revoked, "12", "1 of 2 people who hold root keys of its own");
    expect_step(root, revoked, "123", NULL);
}

static void test_other_fleet(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlRoot) root = parse(base, &error);
    root->fleet[0] = '0';
    g_autofree char *next = replaced(base, "version: 1", "version: 2");
    expect_step(root, next, "12", "another fleet");
}

static void test_revoked(void)
{
    g_autofree char *body =
        replaced(base, "environment: dev", "revoked: @K4\nrevoked: @K8\nenvironment: dev");
    g_autoptr(GError) error = NULL;
    g_autoptr(SlRoot) root = parse(body, &error);
    g_assert_no_error(error);
    g_autoptr(SlPublicKey) k4 = make_key(4);
    g_assert_null(sl_root_person_of_key(root, k4));
    g_assert_true(sl_root_is_revoked(root, k4));
}

static const SlRole *role_of(const SlRoot *root, const char *env, SlAct act)
{
    for (guint i = 0; i < root->roles->len; i++) {
        const SlRole *role = g_ptr_array_index(root->roles, i);
        if (strcmp(role->env, env) == 0 && role->act == act) {
            return role;
        }
    }
    return NULL;
}

static SlRoot *new_root(SlProfile profile, const char *person, GError **error)
{
    g_autoptr(SlPublicKey) person_key = make_key(1);
    g_autoptr(SlPublicKey) online_key = make_key(9);
    const char *envs[] = {"dev", "test", "prod", NULL};
    SlRootNew how = {.fleet = FLEET,
                     .profile = profile,
                     .person = person,
                     .email = "a@x.test",
                     .person_key = person_key,
                     .online_key = online_key,
                     .envs = envs,
                     .now_us = INT64_C(1795435200000000) + 5};
    return sl_root_new(&how, error);
}

static void test_profiles(void)
{
    for (int profile = 0; profile < SL_N_PROFILES; profile++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(SlRoot) root = new_root((SlProfile)profile, "alice", &error);
        g_assert_no_error(error);
        g_assert_cmpint(root->expires_us, ==, INT64_C(1795435200000000) + 365 * SL_DAY_US);
        g_assert_cmpuint(role_of(root, "dev", SL_ACT_PROMOTE)->threshold, ==, 0);
        g_assert_cmpuint(role_of(root, "test", SL_ACT_PROMOTE)->threshold, ==,
                         profile == SL_PROFILE_SOLO ? 0 : 1);
        static const SlAct acts[] = {SL_ACT_PROMOTE,     SL_ACT_ROLLBACK, SL_ACT_REMOVE,
                                     SL_ACT_BREAK_GLASS, SL_ACT_PAUSE,    SL_ACT_STOP_RUN,
                                     SL_ACT_REGISTRY};
        for (size_t i = 0; i < G_N_ELEMENTS(acts); i++) {
            const SlRole *role = role_of(root, "prod", acts[i]);
            g_assert_cmpuint(role->threshold, ==, 1);
            g_assert_cmpstr(role->people[0], ==, "alice");
        }
        const SlRole *prod = role_of(root, "prod", SL_ACT_PROMOTE);
        g_assert_cmpint(prod->exclude_requester, ==, profile != SL_PROFILE_SOLO);
        g_assert_cmpint(prod->exclude_author, ==, profile == SL_PROFILE_REGULATED);
        /* An order is asked for and signed by one person: where promote excludes the requester, orders have roles of
         * their own, else nobody could resume what he paused. */
        const SlRole *resume = role_of(root, "prod", SL_ACT_RESUME);
        g_assert_cmpint(resume != NULL, ==, profile != SL_PROFILE_SOLO);
        g_assert_true(resume == NULL || (resume->threshold == 1 && !resume->exclude_requester &&
                                         !resume->exclude_author));
        g_autoptr(GBytes) text = sl_root_format(root, &error);
        g_autoptr(SlSigned) s = sl_signed_new(text);
        sign_with(s, SL_STATEMENT_ROOT, "1");
        g_autoptr(SlRoot) accepted = sl_root_accept_first(s, NULL, &error);
        g_assert_nonnull(accepted);
        g_assert_no_error(error);
    }
    g_autoptr(GError) error = NULL;
    g_assert_null(new_root(SL_PROFILE_SOLO, "Alice Example", &error));
    g_assert_error(error, SL_ERROR, SLU_ROOT_INVALID);
}

/* The text of `sluice init --profile solo` is fixed: a fleet made today is read by every later
 * version. */
static void test_golden(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlRoot) root = new_root(SL_PROFILE_SOLO, "alice", &error);
    g_autoptr(GBytes) text = sl_root_format(root, &error);
    g_assert_no_error(error);
    g_autofree char *path =
        g_build_filename(SLUICE_SOURCE_DIR, "tests/unit/core/golden/root-solo.txt", NULL);
    g_autofree char *expected = NULL;
    g_assert_true(g_file_get_contents(path, &expected, NULL, &error));
    g_autofree char *ours = g_strndup(g_bytes_get_data(text, NULL), g_bytes_get_size(text));
    g_assert_cmpstr(ours, ==, expected);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/root/read", test_read);
    g_test_add_func("/root/lines-refused", test_lines_refused);
    g_test_add_func("/root/rules-refused", test_rules_refused);
    g_test_add_func("/root/free-acts", test_free_acts);
    g_test_add_func("/root/many-mistakes", test_many_mistakes_at_once);
    g_test_add_func("/root/first", test_first);
    g_test_add_func("/root/steps", test_steps);
    g_test_add_func("/root/other-fleet", test_other_fleet);
    g_test_add_func("/root/revoked", test_revoked);
    g_test_add_func("/root/profiles", test_profiles);
    g_test_add_func("/root/golden", test_golden);
    return g_test_run();
}
