/* The whole daemon in this process, without agents: start, follow a repository, keep the last good
 * state through every mistake a user can push, restart from the ledger alone. */
#include "base/text.h"
#include "coordinator/coordinator.h"
#include "coordinator/init.h"
#include "git_fixture.h"
#include "tests/unit/wait.h"
#include <sodium.h>
#include <sys/stat.h>

typedef struct {
    GitFixture git;
    char *state, *root_file;
    SlConfig *config;
    SlLoop *loop;
    SlCoordinator *c;
    unsigned port;
} Fixture;

static const char documents[] =
    "apiVersion: gitops.sluice/v1alpha1\nkind: Fleet\nmetadata: {name: demo}\n---\n"
    "apiVersion: gitops.sluice/v1alpha1\nkind: Environment\nmetadata: {name: dev}\nspec: "
    "{promotion: newest}\n";

static void write_root(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *online_path = g_build_filename(f->state, "keys", "online", NULL);
    g_autofree char *folder = g_path_get_dirname(online_path);
    uint8_t online[64], person[64], public_[32];
    g_assert_true(sl_dir_make(folder, 0700, &error));
    g_assert_true(sl_signing_key_load(online_path, true, "online", online, &error));
    crypto_sign_keypair(public_, person);
    g_autoptr(SlPublicKey) person_key = sl_public_key_from_ed25519(public_);
    g_autofree char *file = sl_private_key_format(person, "alice", 1);
    g_autofree char *path = g_build_filename(f->git.dir, "person", NULL);
    g_assert_true(g_file_set_contents_full(path, file, -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
    g_autoptr(SlPublicKey) online_key = sl_public_key_from_ed25519(online + 32);
    g_autofree char *fleet = g_strnfill(64, 'a');
    const char *envs[] = {"dev", "prod", NULL};
    SlRootNew how = {.fleet = fleet,
                     .profile = SL_PROFILE_SOLO,
                     .person = "alice",
                     .email = "a@x.test",
                     .person_key = person_key,
                     .online_key = online_key,
                     .envs = envs,
                     .now_us = sl_clock_real.utc_us(NULL)};
    SlRoot *root = sl_root_new(&how, &error);
    g_assert_no_error(error);
    g_autoptr(GBytes) text = sl_root_format(root, &error);
    g_autoptr(SlSigned) statement = sl_signed_new(text);
    sl_signed_sign(statement, SL_STATEMENT_ROOT, person);
    g_autoptr(json_t) json = sl_signed_to_json(statement);
    g_autofree char *out = sl_json_canonical(json, &error);
    g_assert_true(g_file_set_contents(f->root_file, out, -1, NULL));
    sl_root_free(root);
}

static void write_config(Fixture *f)
{
    g_autofree char *text = g_strdup_printf(
        "{\"repository\":\"%s\",\"person\":\"alice\",\"poll\":\"1s\",\"agents\":{\"listen\":"
        "\"tcp://127.0.0.1:%u\"},\"enrol\":{\"listen\":\"tcp://127.0.0.1:%u\"}}",
        f->git.bare, f->port, f->port + 1);
    g_autofree char *path = g_build_filename(f->state, "coordinator.json", NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static bool start(Fixture *f, GError **error)
{
    f->loop = sl_loop_new();
    f->config = sl_config_load(f->state, error);
    f->c = f->config != NULL ? sl_coordinator_new(f->config, f->loop, NULL, error) : NULL;
    return f->c != NULL && sl_coordinator_start(f->c, error);
}

static void stop(Fixture *f)
{
    g_clear_pointer(&f->c, sl_coordinator_free);
    g_clear_pointer(&f->config, sl_config_free);
    g_clear_pointer(&f->loop, sl_loop_free);
}

static void start_ok(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    for (unsigned tries = 0; tries < 50; tries++, f->port += 2) {
        g_clear_error(&error);
        write_config(f);
        if (start(f, &error))
            return;
        stop(f);
    }
    g_assert_no_error(error);
}

static void set_up(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    git_fixture_set_up(&f->git);
    f->state = g_build_filename(f->git.dir, "state", NULL);
    f->root_file = g_build_filename(f->git.dir, "root.json", NULL);
    f->port = 22000 + 2 * ((unsigned)getpid() % 4000);
    write_root(f);
    bool made = sl_init_fleet(f->state, "demo", f->root_file, &error);
    g_assert_no_error(error);
    g_assert_true(made);
    git_write(&f->git, "sluice.yaml", documents);
    g_free(git_commit_all(&f->git, "first"));
}

static void tear_down(Fixture *f, gconstpointer data)
{
    (void)data;
    stop(f);
    g_free(f->state);
    g_free(f->root_file);
    git_fixture_tear_down(&f->git);
}

static json_t *status(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) args = json_object();
    json_t *view = sl_coord_view(f->c->brain, "status", args, sl_now_us(f->c), &error);
    g_assert_no_error(error);
    return view;
}

static char *source_text(Fixture *f, const char *key)
{
    g_autoptr(json_t) view = status(f);
    const json_t *source = json_array_get(json_object_get(view, "sources"), 0);
    const json_t *value = json_object_get(source, key);
    if (json_is_object(value))
        value = json_object_get(value, "message");
    return g_strdup(json_string_value(value));
}

/* Turns the loop until the source's @key contains @text (NULL: is not there). */
static void until(Fixture *f, const char *key, const char *text)
{
    g_autofree char *last = NULL;
    int64_t end_us = sl_clock_real.monotonic_us(NULL) + DEADLINE_US;
    while (sl_clock_real.monotonic_us(NULL) < end_us) {
        sl_loop_turn(f->loop, 10000);
        g_free(last);
        last = source_text(f, key);
        if (text == NULL ? last == NULL : last != NULL && strstr(last, text) != NULL)
            return;
    }
    g_error("source's %s is `%s`, not `%s`", key, last != NULL ? last : "(none)",
            text != NULL ? text : "(none)");
}

static void test_follow_and_restart(Fixture *f, gconstpointer data)
{
    (void)data;
    start_ok(f);
    until(f, "subject", "first");
    g_free(git_commit_all(&f->git, "second")); /* inotify: no poll needed */
    until(f, "subject", "second");
    g_assert_nonnull(sl_coord_docs(f->c->brain));
    wait_for(f->loop, !f->c->appending && !f->c->flush_posted);
    uint64_t seq = sl_coord_ledger_seq(f->c->brain);
    stop(f);
    g_autofree char *cache = g_build_filename(f->state, "cache", NULL);
    g_autoptr(GError) error = NULL;
    g_assert_true(sl_dir_remove_tree(cache, &error)); /* only a cache */
    start_ok(f);
    g_assert_cmpuint(sl_coord_ledger_seq(f->c->brain), >=, seq);
    g_assert_nonnull(sl_coord_docs(f->c->brain));
    until(f, "subject", "second");
}

static void test_bad_documents_keep_the_last_good(Fixture *f, gconstpointer data)
{
    (void)data;
    start_ok(f);
    until(f, "subject", "first");
    git_write(
        &f->git, "sluice.yaml",
        "apiVersion: gitops.sluice/v1alpha1\nkind: Fleet\nmetadata: {name: demo}\n---\nkind: [\n");
    g_free(git_commit_all(&f->git, "broken"));
    until(f, "subject", "broken");
    g_autoptr(json_t) view = status(f);
    g_autofree char *problems = sl_json_canonical(json_object_get(view, "problems"), NULL);
    g_assert_nonnull(strstr(problems, "sluice.yaml"));
    g_assert_nonnull(
        sl_fleet_env(sl_coord_docs(f->c->brain), "dev")); /* what was good stays in force */
    git_write(&f->git, "sluice.yaml", documents);
    g_free(git_commit_all(&f->git, "repaired"));
    until(f, "subject", "repaired");
}

/* Turns the loop until the documents in force name @count repositories, the first at an URL with
 * @end, and nothing else is polled besides the fleet's. */
static void until_followed(Fixture *f, guint count, const char *end)
{
    int64_t end_us = sl_clock_real.monotonic_us(NULL) + DEADLINE_US;
    while (sl_clock_real.monotonic_us(NULL) < end_us) {
        sl_loop_turn(f->loop, 10000);
        const GPtrArray *named = sl_coord_docs(f->c->brain)->repositories;
        const SlRepositoryDoc *first = named->len > 0 ? named->pdata[0] : NULL;
        if (named->len == count && f->c->polls->len == count + 1 &&
            (first == NULL || g_str_has_suffix(first->url, end)))
            return;
    }
    g_error("%u repositories are polled besides the fleet's, not %u", f->c->polls->len - 1, count);
}

/* A repository whose URL changes is another one: the old one is let go, not polled for ever. */
static void test_repositories_come_and_go(Fixture *f, gconstpointer data)
{
    (void)data;
    start_ok(f);
    until(f, "subject", "first");
    for (int i = 0; i < 5; i++) {
        g_autofree char *text = g_strdup_printf(
            "%s---\napiVersion: gitops.sluice/v1alpha1\nkind: Repository\nmetadata: "
            "{name: extra}\nspec: {url: %s/nowhere-%d}\n",
            documents, f->git.dir, i);
        g_autofree char *end = g_strdup_printf("nowhere-%d", i);
        git_write(&f->git, "sluice.yaml", text);
        g_free(git_commit_all(&f->git, end));
        until_followed(f, 1, end);
    }
    git_write(&f->git, "sluice.yaml", documents);
    g_free(git_commit_all(&f->git, "none"));
    until_followed(f, 0, NULL); /* and the fleet's own is still watched */
}

/* The whole way of `commits: {signed: required}`: an unsigned push shows and changes nothing; signed
 * by a person of the root it is read. */
static void test_signed_commits(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *text = g_strdup(documents);
    g_auto(GStrv) parts = g_strsplit(text, "{name: demo}\n", 2);
    g_autofree char *demand =
        g_strjoin("{name: demo}\nspec: {commits: {signed: required}}\n", parts[0], parts[1], NULL);
    start_ok(f);
    until(f, "subject", "first");
    git_write(&f->git, "sluice.yaml", demand);
    g_free(git_commit_all(&f->git, "from here on"));
    until(f, "subject", "from here on");
    git_write(&f->git, "sluice.yaml", documents);
    g_free(git_commit_all(&f->git, "unsigned"));
    until(f, "error", "it is not signed; this repository demands signed commits");
    g_assert_true(sl_fleet_signed_commits(sl_coord_docs(f->c->brain), ""));
    g_free(GIT(f->git.work, "reset", "-q", "--hard", "HEAD~1"));
    g_autofree char *key = g_build_filename(f->git.dir, "person", NULL);
    g_free(git_commit_signed(&f->git, key, "signed"));
    until(f, "subject", "signed");
    until(f, "error", NULL);
}

static void test_deleted_branch(Fixture *f, gconstpointer data)
{
    (void)data;
    start_ok(f);
    until(f, "subject", "first");
    g_free(GIT(f->git.bare, "branch", "-m", "main", "kept"));
    until(f, "error", "there is no branch or tag main");
    g_assert_nonnull(sl_fleet_env(sl_coord_docs(f->c->brain), "dev"));
    g_free(GIT(f->git.bare, "branch", "-m", "kept", "main"));
    until(f, "error", NULL);
}

static void test_repository_away(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *elsewhere = g_build_filename(f->git.dir, "elsewhere.git", NULL);
    g_assert_cmpint(rename(f->git.bare, elsewhere), ==, 0);
    start_ok(f); /* the daemon starts without its source */
    until(f, "error", "there is no Git repository");
    g_assert_cmpint(rename(elsewhere, f->git.bare), ==, 0);
    sl_polls_poke(f->c, NULL);
    until(f, "error", NULL);
    until(f, "subject", "first");
}

static void refuses(Fixture *f, int code, const char *text)
{
    g_autoptr(GError) error = NULL;
    write_config(f);
    g_assert_false(start(f, &error));
    stop(f);
    if (!g_error_matches(error, SL_ERROR, code) || strstr(error->message, text) == NULL)
        g_error("SLU%d %s, not SLU%d %s", error->code, error->message, code, text);
}

static void test_start_refusals(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *online = g_build_filename(f->state, "keys", "online", NULL);
    g_autofree char *state_git = g_build_filename(f->state, "state.git", NULL);
    g_autofree char *away = g_build_filename(f->git.dir, "away.git", NULL);
    g_assert_cmpint(chmod(online, 0644), ==, 0);
    refuses(f, SLU_KEY_RIGHTS, "keys/online");
    g_assert_cmpint(chmod(online, 0600), ==, 0);
    g_assert_cmpint(rename(state_git, away), ==, 0);
    refuses(f, SLU_LEDGER_MISSING, "state.git");
    g_assert_cmpint(rename(away, state_git), ==, 0);
    start_ok(f);
    SlLoop *loop = sl_loop_new();
    g_autoptr(GError) error = NULL;
    g_assert_null(sl_coordinator_new(f->config, loop, NULL, &error));
    g_assert_error(error, SL_ERROR, SLU_CONFIG_LOCKED);
    sl_loop_free(loop);
    stop(f);
    g_assert_cmpint(unlink(online), ==, 0); /* another key than the root's */
    uint8_t other[64];
    g_clear_error(&error);
    g_assert_true(sl_signing_key_load(online, true, "", other, &error));
    refuses(f, SLU_CONFIG_KEY, "no online key of the root");
}

typedef struct {
    unsigned absent, unsearched;
} Finds;

static void count_find(SlCoordinator *c, GBytes *bytes, bool searched, void *user)
{
    Finds *finds = user;
    (void)c;
    g_assert_null(bytes);
    finds->absent += searched ? 1 : 0;
    finds->unsearched += searched ? 0 : 1;
}

/* An agent that asks for digests that are nowhere: its own searches wait, up to a limit, one runs,
 * and the queue of the ledger sees none of it. */
static void test_searches_are_bounded(Fixture *f, gconstpointer data)
{
    (void)data;
    start_ok(f);
    until(f, "subject", "first");
    wait_for(f->loop, !f->c->appending && !f->c->flush_posted);
    g_autofree char *digest = g_strnfill(64, '0');
    SlFind find = {.who = "hostile", .digest = digest};
    Finds finds = {0};
    unsigned taken = 0;
    while (taken < 1000 && sl_find_bytes(f->c, &find, count_find, &finds))
        taken++;
    g_assert_cmpuint(taken, ==, 65); /* one that runs, 64 that wait */
    g_assert_cmpuint(sl_workq_pending(f->c->work_queue), <=, 3);
    g_assert_cmpuint(sl_workq_pending(f->c->store_queue), ==, 0);
    Finds others = {0};
    find.who = "honest";
    g_assert_true(sl_find_bytes(f->c, &find, count_find, &others));
    wait_for(f->loop, others.absent > 0);
    g_assert_cmpuint(others.absent, ==, 1);
    wait_for(f->loop, finds.absent >= 65);
    g_assert_cmpuint(finds.absent, ==, 65);
    g_assert_cmpuint(g_hash_table_size(f->c->finding), ==, 0);
    while (sl_find_bytes(f->c, &find, count_find, &finds)) {
    }
    stop(f); /* those that wait are told */
    g_assert_cmpuint(finds.absent + finds.unsearched, ==, 65 + 65);
}

static void count_view(json_t *answer, const GError *error, void *call)
{
    unsigned *counts = call;
    counts[error != NULL && error->code == SLU_API_RATE ? 1 : 0]++;
    json_decref(answer);
}

static void test_views_of_the_past_are_bounded(Fixture *f, gconstpointer data)
{
    (void)data;
    start_ok(f);
    until(f, "subject", "first");
    g_autoptr(json_t) args = json_object();
    unsigned counts[2] = {0};
    for (int i = 0; i < 10; i++)
        sl_people_ops.view_at(f->c, sl_now_us(f->c), args, count_view, counts);
    wait_for(f->loop, counts[0] + counts[1] >= 10);
    g_assert_cmpuint(counts[0], ==, SL_REPLAYS_MAX);
    g_assert_cmpuint(counts[1], ==, 10 - SL_REPLAYS_MAX);
    sl_people_ops.view_at(f->c, sl_now_us(f->c), args, count_view, counts); /* and it goes on */
    wait_for(f->loop, counts[0] > SL_REPLAYS_MAX);
    g_assert_cmpuint(counts[0], ==, SL_REPLAYS_MAX + 1);
}

static void test_init_refusals(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) twice = NULL, other = NULL;
    g_assert_false(sl_init_fleet(f->state, "demo", f->root_file, &twice));
    g_assert_error(twice, SL_ERROR, SLU_LEDGER_EXISTS);
    g_autofree char *fresh = g_build_filename(f->git.dir, "fresh", NULL),
                    *key = g_build_filename(fresh, "keys", "online", NULL);
    g_autofree char *folder = g_path_get_dirname(key),
                    *made = g_build_filename(fresh, "state.git", NULL);
    uint8_t secret[64];
    g_assert_true(sl_dir_make(folder, 0700, &other));
    g_assert_true(sl_signing_key_load(key, true, "", secret, &other));
    g_assert_false(sl_init_fleet(fresh, "demo", f->root_file, &other));
    g_assert_error(other, SL_ERROR, SLU_CONFIG_KEY);
    g_assert_false(g_file_test(made, G_FILE_TEST_EXISTS)); /* nothing half-made */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(sodium_init(), >=, 0);
#define ADD(name, function) g_test_add("/shell/" name, Fixture, NULL, set_up, function, tear_down)
    ADD("follow-and-restart", test_follow_and_restart);
    ADD("bad-documents", test_bad_documents_keep_the_last_good);
    ADD("repositories-come-and-go", test_repositories_come_and_go);
    ADD("signed-commits", test_signed_commits);
    ADD("deleted-branch", test_deleted_branch);
    ADD("repository-away", test_repository_away);
    ADD("start-refusals", test_start_refusals);
    ADD("searches-are-bounded", test_searches_are_bounded);
    ADD("views-of-the-past-are-bounded", test_views_of_the_past_are_bounded);
    ADD("init-refusals", test_init_refusals);
    return g_test_run();
}
