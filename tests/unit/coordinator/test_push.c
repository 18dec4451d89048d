/* The program sluice-git beside fetch: push fast-forward only, repack loses nothing. */
#include "coordinator/store/envs.h"
#include "coordinator/store/ledger.h"
#include "coordinator/store/push.h"
#include "coordinator/store/packs.h"
#include "git_fixture.h"
#include "sluice/clock.h"
#include "tests/ledger_event.h"
#include <signal.h>
#include <sys/wait.h>
#include <utime.h>

static void set_up(GitFixture *f, gconstpointer data)
{
    (void)data;
    git_fixture_set_up(f);
}

static void tear_down(GitFixture *f, gconstpointer data)
{
    (void)data;
    git_fixture_tear_down(f);
}

static void append(SlLedger *ledger, int64_t seq)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) events = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
    g_ptr_array_add(events, ledger_event(seq, "Lease"));
    g_assert_true(sl_ledger_append(ledger, events, NULL, &error));
}

static SlLedger *make(const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) first = ledger_event(1, "Lease");
    g_assert_true(sl_ledger_create(path, first, &error));
    SlLedger *ledger = sl_ledger_open(path, &error);
    g_assert_no_error(error);
    return ledger;
}

static bool push(GitFixture *f, const char *repo, GError **error)
{
    g_auto(GStrv) refs = sl_push_refs(repo, error);
    g_assert_nonnull(refs);
    g_assert_cmpstr(refs[0], ==, SL_LEDGER_REF);
    SlPush how = {.git_path = SLUICE_BIN_DIR "/sluice-git",
                  .repo = repo,
                  .url = f->bare,
                  .refs = (const char *const *)refs,
                  .timeout_us = 20 * SL_SECOND_US};
    return sl_push_state(&how, error);
}

static void test_push(GitFixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL, rewound = NULL, away = NULL;
    g_autofree char *state = g_build_filename(f->dir, "state.git", NULL),
                    *other = g_build_filename(f->dir, "other.git", NULL);
    g_autoptr(SlLedger) ledger = make(state);
    g_assert_true(push(f, state, &error));
    append(ledger, 2);
    g_assert_true(push(f, state, &error));
    g_autofree char *here = GIT(state, "rev-parse", "sluice/ledger"),
                    *there = GIT(f->bare, "rev-parse", "sluice/ledger");
    g_assert_cmpstr(here, ==, there);
    g_autoptr(SlLedger) second = make(other);
    append(second, 7); /* another coordinator with a history of its own */
    g_assert_false(push(f, other, &rewound));
    g_assert_true(g_error_matches(rewound, SL_ERROR, SLU_PUSH_REWOUND) ||
                  g_error_matches(rewound, SL_ERROR, SLU_PUSH_FAILED));
    g_autofree char *still = GIT(f->bare, "rev-parse", "sluice/ledger");
    g_assert_cmpstr(still, ==, there);
    g_free(f->bare);
    f->bare = g_build_filename(f->dir, "away.git", NULL);
    g_assert_false(push(f, state, &away));
    g_assert_error(away, SL_ERROR, SLU_PUSH_FAILED);
}

static bool count_event(const json_t *e, void *user, GError **error)
{
    (void)e, (void)error;
    ++*(int64_t *)user;
    return true;
}

static void make_branches(const char *state, unsigned from, unsigned to)
{
    g_autofree char *tip = GIT(state, "rev-parse", "sluice/ledger");
    g_strchomp(tip);
    for (unsigned i = from; i < to; i++) {
        g_autofree char *ref = g_strdup_printf("refs/heads/sluice/env/e%03u", i);
        g_free(GIT(state, "update-ref", ref, tip));
    }
}

/* The next commit of an environment is at the remote before any branch names it, wherever the staged
 * one was before. */
static void test_staged(GitFixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    g_autofree char *state = g_build_filename(f->dir, "state.git", NULL);
    g_autoptr(SlLedger) ledger = make(state);
    append(ledger, 2);
    for (int n = 0; n < 2; n++) { /* forward, and back */
        g_autofree char *commit =
            GIT(state, "rev-parse", n == 0 ? "sluice/ledger" : "sluice/ledger~1");
        bool staged = sl_envs_stage(sl_ledger_store(ledger), "dev", commit, &error);
        g_assert_no_error(error);
        g_assert_true(staged);
        g_assert_true(push(f, state, &error));
        g_autofree char *there = GIT(f->bare, "rev-parse", "sluice/staging/dev");
        g_assert_cmpstr(there, ==, commit);
    }
}

static void refused_by_lock(GitFixture *f, const char *state)
{
    g_autoptr(GError) locked = NULL;
    g_assert_false(push(f, state, &locked));
    g_assert_error(locked, SL_ERROR, SLU_PUSH_FAILED);
    g_assert_nonnull(strstr(locked->message, ".lock"));
}

/* A lock in the remote's folder is somebody's, however old it is; but not one that a push of ours
 * left, which was killed: what it meant to write lies in our repository. */
static void test_stale_lock(GitFixture *f, gconstpointer data)
{
    (void)data;
    static const char *const theirs[] = {"", "0123456789012345678901234567890123456789\n"};
    g_autoptr(GError) error = NULL;
    g_autofree char *state = g_build_filename(f->dir, "state.git", NULL),
                    *lock = g_strconcat(f->bare, "/", SL_LEDGER_REF ".lock", NULL),
                    *intent = g_build_filename(state, "sluice-pushing", NULL);
    g_autoptr(SlLedger) ledger = make(state);
    g_assert_true(push(f, state, &error));
    append(ledger, 2);
    struct utimbuf old = {.actime = 1000000000, .modtime = 1000000000};
    for (size_t i = 0; i < G_N_ELEMENTS(theirs); i++) {
        g_assert_true(g_file_set_contents(lock, theirs[i], -1, NULL));
        refused_by_lock(f, state);
        g_assert_cmpint(utime(lock, &old), ==, 0);
        refused_by_lock(f, state);
    }
    g_autofree char *commit = g_strchomp(GIT(state, "rev-parse", "sluice/ledger"));
    g_autofree char *meant = g_strdup_printf("%s\n%s " SL_LEDGER_REF, f->bare, commit);
    const char *const ours[] = {"", commit};
    for (size_t i = 0; i < G_N_ELEMENTS(ours); i++) {
        g_assert_true(g_file_set_contents(intent, meant, -1, NULL));
        g_assert_true(g_file_set_contents(lock, theirs[1], -1, NULL));
        refused_by_lock(f, state); /* not what we meant */
        g_assert_true(g_file_set_contents(intent, meant, -1, NULL));
        g_assert_true(g_file_set_contents(lock, ours[i], -1, NULL));
        g_assert_cmpint(utime(lock, &old), ==, 0);
        refused_by_lock(f, state); /* was there before */
        g_assert_true(g_file_set_contents(intent, meant, -1, NULL));
        g_assert_true(g_file_set_contents(lock, ours[i], -1, NULL));
        g_assert_true(push(f, state, &error));
        g_assert_false(g_file_test(lock, G_FILE_TEST_EXISTS));
        g_assert_false(g_file_test(intent, G_FILE_TEST_EXISTS));
        append(ledger, 3 + (int64_t)i);
    }
}

/* What is staged for environments that the root has no more goes: a push has a limit. */
static void test_unstage(GitFixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    g_autofree char *state = g_build_filename(f->dir, "state.git", NULL);
    g_autoptr(SlLedger) ledger = make(state);
    SlGitStore *store = sl_ledger_store(ledger);
    g_autofree char *commit = g_strchomp(GIT(state, "rev-parse", "sluice/ledger"));
    for (unsigned i = 0; i < SL_PUSH_REFS_MAX; i++) {
        g_autofree char *env = g_strdup_printf("e%03u", i);
        g_assert_true(sl_envs_stage(store, env, commit, &error));
    }
    g_assert_null(sl_push_refs(state, &error));
    g_clear_error(&error);
    g_assert_true(sl_envs_unstage(store, (const char *const[]){"e000", "e190", NULL}, &error));
    g_auto(GStrv) refs = sl_push_refs(state, &error);
    g_autofree char *text = g_strjoinv(" ", refs);
    g_assert_cmpstr(text, ==, SL_LEDGER_REF " " SL_PUSH_STAGED "e000 " SL_PUSH_STAGED "e190");
}

/* As many environments as a root may have, and the ledger after them in the order of names. */
static void test_all_branches_or_none(GitFixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    g_autofree char *state = g_build_filename(f->dir, "state.git", NULL);
    sl_ledger_free(make(state));
    make_branches(state, 0, 64);
    g_auto(GStrv) refs = sl_push_refs(state, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(g_strv_length(refs), ==, 65);
    g_assert_true(g_strv_contains((const char *const *)refs, SL_LEDGER_REF));
    make_branches(state, 64, SL_PUSH_REFS_MAX);
    g_assert_null(sl_push_refs(state, &error));
    g_assert_error(error, SL_ERROR, SLU_PUSH_FAILED);
}

static void test_repack(GitFixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    g_autofree char *state = g_build_filename(f->dir, "state.git", NULL);
    g_autoptr(SlLedger) ledger = make(state);
    for (int64_t i = 2; i <= 20; i++)
        append(ledger, i);
    const char *argv[] = {SLUICE_BIN_DIR "/sluice-git", "repack", "--repo", state, NULL};
    g_autofree char *out = NULL;
    int status = -1;
    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, NULL,
                               &status, NULL));
    g_assert_cmpint(status, ==, 0);
    g_assert_nonnull(strstr(out, "\"ok\":true"));
    g_autofree char *counts = GIT(state, "count-objects", "-v");
    g_assert_nonnull(strstr(counts, "count: 0\n"));
    g_assert_nonnull(strstr(counts, "packs: 1\n"));
    int64_t count = 0; /* an open handle goes on reading */
    g_assert_true(sl_ledger_replay(ledger, count_event, &count, &error));
    g_assert_cmpint(count, ==, 20);
    append(ledger, 21);
}

static pid_t repack_beside(const char *state)
{
    const char *argv[] = {SLUICE_BIN_DIR "/sluice-git", "repack", "--repo", state, NULL};
    GPid pid = 0;
    g_assert_true(g_spawn_async(NULL, (char **)argv, NULL,
                                G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL,
                                &pid, NULL));
    return pid;
}

/* A killed repack left its part, and the next one fails for another reason: the part goes anyway. */
static void test_repack_clears_up(GitFixture *f, gconstpointer data)
{
    (void)data;
    static const char broken[] = "objects/17/00000000000000000000000000000000000000";
    g_autofree char *state = g_build_filename(f->dir, "state.git", NULL),
                    *part = g_build_filename(state, "objects", "pack", "pack_git2_dead", NULL),
                    *folder = g_build_filename(state, "objects", "17", NULL),
                    *loose = g_build_filename(state, broken, NULL);
    sl_ledger_free(make(state));
    const struct utimbuf old = {.actime = 1700000000, .modtime = 1700000000};
    g_assert_true(g_file_set_contents(part, "PACK", -1, NULL));
    g_assert_cmpint(utime(part, &old), ==, 0);
    g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
    g_assert_true(g_file_set_contents(loose, "", 0, NULL));
    int status = 0;
    g_assert_cmpint(waitpid(repack_beside(state), &status, 0), >, 0);
    g_assert_cmpint(WEXITSTATUS(status), ==, 1);
    g_assert_false(g_file_test(part, G_FILE_TEST_EXISTS));
    g_assert_true(g_file_test(loose, G_FILE_TEST_EXISTS));
}

static void test_want_repack(GitFixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *state = g_build_filename(f->dir, "state.git", NULL),
                    *folder = g_build_filename(state, "objects", "17", NULL);
    sl_ledger_free(make(state));
    g_assert_false(sl_packs_want_repack(state));
    g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
    for (int i = 0; i < 100; i++) {
        g_autofree char *name = g_strdup_printf("%s/%038d", folder, i);
        g_assert_true(g_file_set_contents(name, "", 0, NULL));
    }
    g_assert_true(sl_packs_want_repack(state));
}

static int64_t replayed(SlLedger *ledger)
{
    g_autoptr(GError) error = NULL;
    int64_t count = 0;
    bool good = sl_ledger_replay(ledger, count_event, &count, &error);
    g_assert_no_error(error);
    g_assert_true(good);
    return count;
}

/* Packs go while a writer writes, a handle that has read little reads, and one is killed. */
static void test_repack_beside_a_writer(GitFixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    g_autofree char *state = g_build_filename(f->dir, "state.git", NULL);
    g_autoptr(SlLedger) writer = make(state);
    g_autoptr(SlLedger) reader = sl_ledger_open(state, &error);
    int64_t seq = 1, rounds = 0;
    g_assert_cmpint(replayed(reader), ==, 1);
    for (; rounds < 6; rounds++) {
        for (int i = 0; i < 20; i++)
            append(writer, ++seq);
        int status = -1;
        pid_t pid = repack_beside(state);
        if (rounds == 3)
            kill(pid, SIGKILL);
        for (int i = 0; i < 5; i++)
            append(writer, ++seq);
        waitpid(pid, &status, 0);
        g_assert_true(rounds == 3 || status == 0);
        g_assert_cmpint(replayed(rounds % 2 == 0 ? reader : writer), ==, seq);
        g_assert_true(rounds % 3 != 0 || sl_git_store_reopen(sl_ledger_store(writer), &error));
    }
    g_assert_cmpint(replayed(reader), ==, seq);
    g_autofree char *counts = GIT(state, "count-objects", "-v");
    const char *packs = strstr(counts, "packs: ");
    g_assert_nonnull(packs);
    g_assert_cmpint(g_ascii_strtoll(packs + strlen("packs: "), NULL, 10), <=, 12);
    g_autofree char *said = GIT(state, "fsck", "--full", "--strict");
    g_assert_null(strstr(said, "missing"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/push/fast-forward-only", GitFixture, NULL, set_up, test_push, tear_down);
    g_test_add("/push/staged", GitFixture, NULL, set_up, test_staged, tear_down);
    g_test_add("/push/stale-lock", GitFixture, NULL, set_up, test_stale_lock, tear_down);
    g_test_add("/push/unstage", GitFixture, NULL, set_up, test_unstage, tear_down);
    g_test_add("/push/all-branches-or-none", GitFixture, NULL, set_up, test_all_branches_or_none,
               tear_down);
    g_test_add("/push/repack", GitFixture, NULL, set_up, test_repack, tear_down);
    g_test_add("/push/repack-clears-up", GitFixture, NULL, set_up, test_repack_clears_up,
               tear_down);
    g_test_add("/push/want-repack", GitFixture, NULL, set_up, test_want_repack, tear_down);
    g_test_add("/push/repack-beside-a-writer", GitFixture, NULL, set_up,
               test_repack_beside_a_writer, tear_down);
    return g_test_run();
}
