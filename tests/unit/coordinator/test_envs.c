/* Environment branches: folders, files that come and go, rollback to an exact folder, determinism,
 * bytes back from the branch. */
#include "base/digest.h"
#include "coordinator/store/envs.h"
#include "core/bundle.h"
#include "runtime/atomicfile.h"
#include <string.h>

typedef struct {
    char *dir;
    SlGitStore *store;
    GHashTable *bytes; /* digest -> GBytes* */
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    f->dir = g_dir_make_tmp("sluice-envs-XXXXXX", NULL);
    f->store = sl_git_store_open(f->dir, true, &error);
    g_assert_no_error(error);
    f->bytes =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    sl_git_store_free(f->store);
    g_hash_table_unref(f->bytes);
    g_assert_true(sl_dir_remove_tree(f->dir, &error));
    g_free(f->dir);
}

static GBytes *get(const char *digest, void *user)
{
    GBytes *bytes = g_hash_table_lookup(((Fixture *)user)->bytes, digest);
    return bytes != NULL ? g_bytes_ref(bytes) : NULL;
}

static char *keep(Fixture *f, GBytes *bytes /* consumed */)
{
    char *digest = sl_sha256_hex_bytes(bytes);
    g_hash_table_insert(f->bytes, g_strdup(digest), bytes);
    return digest;
}

/* Bundle of one ConfigMap with @value and one file with @file. */
static char *bundle(Fixture *f, const char *value, const char *file)
{
    g_autofree char *json =
        g_strdup_printf("{\"apiVersion\":\"v1\",\"data\":{\"a\":\"%s\",\"n\":\"no\",\"o\":\"0777\"}"
                        ",\"kind\":\"ConfigMap\","
                        "\"metadata\":{\"name\":\"conf\",\"namespace\":\"web\"}}",
                        value);
    g_autofree char *object = keep(f, g_bytes_new(json, strlen(json)));
    g_autofree char *blob = keep(f, g_bytes_new(file, strlen(file)));
    g_autoptr(SlBundle) made = sl_bundle_new();
    sl_bundle_add_object(made, "core/ConfigMap", "web", "conf", strlen(json), object);
    sl_bundle_add_blob(made, blob, strlen(file));
    return keep(f, sl_bundle_format(made));
}

static void unit_free(void *user)
{
    SlEnvUnit *unit = user;
    g_free(unit->app);
    g_free(unit->from_commit);
    g_free(unit->provenance);
    g_clear_pointer(&unit->target_of, g_hash_table_unref);
    g_free(unit);
}

static SlEnvUnit *unit(const char *app, const char *one, const char *two)
{
    SlEnvUnit *made = g_new0(SlEnvUnit, 1);
    made->app = g_strdup(app);
    made->provenance = g_strdup("{\"commit\":\"c1\"}");
    made->target_of = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_hash_table_insert(made->target_of, g_strdup("east"), g_strdup(one));
    g_hash_table_insert(made->target_of, g_strdup("west"), g_strdup(two));
    return made;
}

static char *write_error(Fixture *f, const char *old, SlEnvUnit *made, GError **error)
{
    g_autoptr(GPtrArray) units = g_ptr_array_new_with_free_func(unit_free);
    g_ptr_array_add(units, made);
    SlEnvWrite ask = {.env = "prod",
                      .old = old,
                      .units = units,
                      .message = "digits\n",
                      .time_us = INT64_C(1700000000000000),
                      .get = get,
                      .user = f};
    return sl_envs_write(f->store, &ask, error);
}

static char *write_unit(Fixture *f, const char *old, SlEnvUnit *made)
{
    g_autoptr(GError) error = NULL;
    char *commit = write_error(f, old, made, &error);
    g_assert_no_error(error);
    g_assert_true(sl_git_store_flush(f->store, NULL, &error)); /* as the ledger's append does */
    return commit;
}

static char *git(Fixture *f, const char *a, const char *b, const char *c, const char *d)
{
    char *out = NULL;
    const char *argv[] = {"git", "--git-dir", f->dir, a, b, c, d, NULL};
    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL,
                               G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &out,
                               NULL, NULL, NULL));
    return out;
}

/* What @script printed, without the end of line. */
static char *shell(Fixture *f, const char *script)
{
    char *out = NULL;
    int status = 0;
    g_auto(GStrv) env = g_environ_setenv(g_get_environ(), "GIT_DIR", f->dir, TRUE);
    const char *argv[] = {"/bin/sh", "-ec", script, NULL};
    g_assert_true(g_spawn_sync(NULL, (char **)argv, env, G_SPAWN_DEFAULT, NULL, NULL, &out, NULL,
                               &status, NULL));
    g_assert_cmpint(status, ==, 0);
    return g_strchomp(out);
}

static void test_all_or_cluster(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *b1 = bundle(f, "one", "f1"), *b2 = bundle(f, "two", "f2");
    g_autofree char *same = write_unit(f, NULL, unit("digits", b1, b1));
    g_autofree char *list = git(f, "ls-tree", "-r", "--name-only", same);
    g_assert_nonnull(strstr(list, "manifests/digits/all/ConfigMap_web_conf.yaml\n"));
    g_assert_nonnull(strstr(list, ".sluice/provenance/digits.json\n"));
    g_autofree char *split = write_unit(f, same, unit("digits", b1, b2));
    g_autofree char *other = git(f, "ls-tree", "-r", "--name-only", split);
    g_assert_null(strstr(other, "/all/"));
    g_assert_nonnull(strstr(other, "manifests/digits/east/ConfigMap_web_conf.yaml\n"));
    g_assert_nonnull(strstr(other, "manifests/digits/west/ConfigMap_web_conf.yaml\n"));
    g_autofree char *spec =
        g_strconcat(same, ":manifests/digits/all/ConfigMap_web_conf.yaml", NULL);
    g_autofree char *yaml = git(f, "cat-file", "-p", spec, NULL);
    g_assert_nonnull(strstr(yaml, "\"no\"")); /* strings stay strings for every reader */
}

static void test_deterministic(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *b1 = bundle(f, "one", "f1");
    g_autofree char *first = write_unit(f, NULL, unit("digits", b1, b1));
    g_autofree char *again = write_unit(f, NULL, unit("digits", b1, b1));
    g_assert_cmpstr(first, ==, again);
}

static void test_rollback_is_exact(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *b1 = bundle(f, "one", "f1"), *b2 = bundle(f, "two", "f2");
    g_autofree char *g1 = write_unit(f, NULL, unit("digits", b1, b1));
    g_autofree char *g2 = write_unit(f, g1, unit("digits", b2, b2));
    SlEnvUnit *back = g_new0(SlEnvUnit, 1);
    back->app = g_strdup("digits");
    back->from_commit = g_strdup(g1);
    back->provenance = g_strdup("{}");
    g_autofree char *g3 = write_unit(f, g2, back);
    g_autofree char *spec1 = g_strconcat(g1, ":manifests/digits", NULL),
                    *spec3 = g_strconcat(g3, ":manifests/digits", NULL);
    g_autofree char *tree1 = git(f, "rev-parse", spec1, NULL, NULL),
                    *tree3 = git(f, "rev-parse", spec3, NULL, NULL);
    g_assert_cmpstr(tree1, ==, tree3);
    g_autofree char *files1 = git(f, "ls-tree", "--name-only", g1, "files/"),
                    *files2 = git(f, "ls-tree", "--name-only", g2, "files/");
    g_autofree char *files3 = git(f, "ls-tree", "--name-only", g3, "files/");
    g_assert_cmpstr(files1, ==, files3);
    g_assert_cmpstr(files1, !=, files2); /* and what nobody names any more is gone from the tree */
}

static void test_files_of_others_stay(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *b1 = bundle(f, "one", "shared"), *b2 = bundle(f, "two", "own");
    g_autofree char *g1 = write_unit(f, NULL, unit("digits", b1, b1));
    g_autofree char *g2 = write_unit(f, g1, unit("letters", b1, b1));
    g_autofree char *g3 = write_unit(f, g2, unit("digits", b2, b2));
    g_autofree char *shared = sl_sha256_hex("shared", 6);
    g_autofree char *files = git(f, "ls-tree", "--name-only", g3, "files/");
    g_assert_nonnull(strstr(files, shared));
    SlEnvUnit *gone = g_new0(SlEnvUnit, 1);
    gone->app = g_strdup("letters");
    g_autofree char *g4 = write_unit(f, g3, gone);
    g_autofree char *left = git(f, "ls-tree", "-r", "--name-only", g4);
    g_assert_null(strstr(left, shared));
    g_assert_null(strstr(left, "letters"));
    g_assert_nonnull(strstr(left, "manifests/digits/"));
}

/* A commit of a person that was adopted: its lists may hold anything. */
static void test_foreign_lists(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *b1 = bundle(f, "one", "f1"), *b2 = bundle(f, "two", "f2");
    g_autofree char *g1 = write_unit(f, NULL, unit("digits", b1, b1));
    g_autofree char *g2 = write_unit(f, g1, unit("letters", b2, b2));
    const char *broken[] = {"digits", "letters"};
    for (size_t i = 0; i < G_N_ELEMENTS(broken); i++) {
        g_autofree char *script = g_strdup_printf(
            "export GIT_INDEX_FILE=$GIT_DIR/meddled GIT_AUTHOR_NAME=m GIT_AUTHOR_EMAIL=m "
            "GIT_COMMITTER_NAME=m GIT_COMMITTER_EMAIL=m; git read-tree %s && blob=$(echo 'by hand' "
            "| "
            "git hash-object -w --stdin) && git update-index --add --cacheinfo "
            "100644,$blob,.sluice/bundles/%s/all && git commit-tree -m m -p %s $(git write-tree)",
            g2, broken[i], g2);
        g_autofree char *foreign = shell(f, script);
        g_autofree char *next = write_unit(f, foreign, unit("digits", b2, b2));
        g_autofree char *files = git(f, "ls-tree", "--name-only", next, "files/");
        g_autofree char *f1 = sl_sha256_hex("f1", 2), *f2 = sl_sha256_hex("f2", 2);
        g_assert_nonnull(strstr(files, f2));
        g_assert_nonnull(strstr(files, f1)); /* who names it is not known: it stays */
    }
}

static void test_bytes_come_back(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    g_autofree char *b1 = bundle(f, "one", "f1"), *b2 = bundle(f, "two", "f2");
    g_autofree char *g1 = write_unit(f, NULL, unit("digits", b1, b2));
    g_autofree char *g2 = write_unit(f, g1, unit("digits", b2, b2));
    g_assert_true(sl_envs_move(f->store, "prod", NULL, g1, &error));
    g_assert_true(sl_envs_move(f->store, "prod", g1, g2, &error));
    GHashTableIter iter;
    gpointer digest = NULL, bytes = NULL;
    g_hash_table_iter_init(&iter, f->bytes);
    while (
        g_hash_table_iter_next(&iter, &digest, &bytes)) { /* also those that only the history has */
        g_autoptr(GBytes) found = sl_envs_find(f->store, digest);
        g_assert_nonnull(found);
        g_assert_true(g_bytes_equal(found, bytes));
    }
    g_assert_null(
        sl_envs_find(f->store, "0000000000000000000000000000000000000000000000000000000000000000"));
}

static void test_moves(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL, elsewhere = NULL;
    g_autofree char *b1 = bundle(f, "one", "f1"), *b2 = bundle(f, "two", "f2");
    g_autofree char *g1 = write_unit(f, NULL, unit("digits", b1, b1)),
                    *g2 = write_unit(f, g1, unit("digits", b2, b2));
    g_autofree char *other = write_unit(f, NULL, unit("letters", b1, b1));
    g_autofree char *none = NULL, *tip = NULL;
    g_assert_true(sl_envs_tip(f->store, "prod", &none, &error));
    g_assert_null(none);
    g_assert_true(sl_envs_move(f->store, "prod", NULL, g1, &error));
    g_assert_true(sl_envs_move(f->store, "prod", g1, g2, &error));
    g_assert_true(sl_envs_move(f->store, "prod", g1, g2, &error));   /* again is nothing */
    g_assert_true(sl_envs_move(f->store, "prod", NULL, g1, &error)); /* it is beyond already */
    g_assert_true(sl_envs_tip(f->store, "prod", &tip, &error));
    g_assert_cmpstr(tip, ==, g2);
    g_assert_true(sl_envs_descends(f->store, g2, g1));
    g_assert_false(sl_envs_descends(f->store, g1, g2));
    g_assert_false(sl_envs_move(f->store, "prod", g1, other, &elsewhere));
    g_assert_error(elsewhere, SL_ERROR, SLU_ENV_TIP);
}

/* A branch that can't be read is not one that somebody deleted. */
static void test_unreadable(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL, look = NULL, move = NULL;
    g_autofree char *b1 = bundle(f, "one", "f1"), *tip = NULL;
    g_autofree char *g1 = write_unit(f, NULL, unit("digits", b1, b1));
    g_autofree char *file = g_build_filename(f->dir, "refs/heads/sluice/env/prod", NULL);
    g_assert_true(sl_envs_move(f->store, "prod", NULL, g1, &error));
    g_assert_true(g_file_set_contents(file, "garbage\n", -1, &error));
    g_assert_false(sl_envs_tip(f->store, "prod", &tip, &look));
    g_assert_error(look, SL_ERROR, SLU_IO);
    g_assert_nonnull(strstr(look->message, "refs/heads/sluice/env/prod"));
    g_assert_false(sl_envs_move(f->store, "prod", NULL, g1, &move));
    g_assert_error(move, SL_ERROR, SLU_IO);
}

static void test_refusals(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) missing = NULL, wrong = NULL, nowhere = NULL;
    g_autofree char *b1 = bundle(f, "one", "f1");
    g_autofree char *file = sl_sha256_hex("f1", 2);
    g_hash_table_remove(f->bytes, file);
    g_assert_null(write_error(f, NULL, unit("digits", b1, b1), &missing));
    g_assert_error(missing, SL_ERROR, SLU_BLOB_MISSING);
    g_assert_nonnull(strstr(missing->message, "digits in prod"));
    /* Bytes that are not canonical do not read back to their digest: nothing is committed. */
    const char *spaced = "{\"kind\": \"ConfigMap\", \"apiVersion\": \"v1\"}";
    g_autofree char *object = keep(f, g_bytes_new(spaced, strlen(spaced)));
    g_autoptr(SlBundle) made = sl_bundle_new();
    sl_bundle_add_object(made, "core/ConfigMap", "-", "conf", strlen(spaced), object);
    g_autofree char *b2 = keep(f, sl_bundle_format(made));
    g_assert_null(write_error(f, NULL, unit("digits", b2, b2), &wrong));
    g_assert_error(wrong, SL_ERROR, SLU_ENV_READ_BACK);
    SlEnvUnit *back = g_new0(SlEnvUnit, 1);
    back->app = g_strdup("digits");
    back->from_commit = g_strdup("1111111111111111111111111111111111111111");
    g_assert_null(write_error(f, NULL, back, &nowhere));
    g_assert_error(nowhere, SL_ERROR, SLU_NOT_FOUND);
}

static void test_names(void)
{
    g_autofree char *a = sl_envs_file_name("core/ConfigMap", "-", "a"),
                    *b = sl_envs_file_name("gitops.sluice/TrainingJob", "x", "t");
    g_autofree char *c = sl_envs_file_name("rbac.authorization.k8s.io/Role", "-", "system:../x_y");
    g_assert_cmpstr(a, ==, "ConfigMap_a.yaml");
    g_assert_cmpstr(b, ==, "TrainingJob.gitops.sluice_x_t.yaml");
    g_assert_cmpstr(c, ==, "Role.rbac.authorization.k8s.io_system%3A..%2Fx%5Fy.yaml");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function) g_test_add("/envs/" name, Fixture, NULL, set_up, function, tear_down)
    ADD("all-or-cluster", test_all_or_cluster);
    ADD("deterministic", test_deterministic);
    ADD("rollback", test_rollback_is_exact);
    ADD("files-of-others", test_files_of_others_stay);
    ADD("foreign-lists", test_foreign_lists);
    ADD("bytes-come-back", test_bytes_come_back);
    ADD("moves", test_moves);
    ADD("unreadable", test_unreadable);
    ADD("refusals", test_refusals);
    g_test_add_func("/envs/names", test_names);
    return g_test_run();
}
