/* source_contract.c - what every row of sources.def must do, over a real Git repository (and a real
 * HTTP server where it needs one). */
#include "../unit/coordinator/git_fixture.h"
#include "core/gitcommit.h"
#include "render/tree.h"
#include "sluice/clock.h"
#include "sluice/source.h"
#include <sodium.h>

typedef struct {
    const SlSourceOps *ops;
    GitFixture git;
} Case;

static SlSourceConfig config_of(Case *c)
{
    return (SlSourceConfig){.name = "",
                            .url = strcmp(c->ops->name, "path") == 0 ? c->git.bare : c->git.url,
                            .branch = "main",
                            .cache_dir = c->git.cache,
                            .git_path = SLUICE_BIN_DIR "/sluice-git",
                            .timeout_us = 20 * SL_SECOND_US,
                            .pack_bytes_max = 1 << 20,
                            .objects_max = 1000};
}

static void set_up(Case *c, gconstpointer ops)
{
    c->ops = ops;
    git_fixture_set_up(&c->git);
    git_http_start(&c->git);
}

static void tear_down(Case *c, gconstpointer ops)
{
    (void)ops;
    git_fixture_tear_down(&c->git);
}

static SlSourceTip *fetch_ok(Case *c, const char *since)
{
    g_autoptr(GError) error = NULL;
    SlSourceConfig config = config_of(c);
    SlSourceTip *tip = c->ops->fetch(&config, since, &error);
    g_assert_no_error(error);
    g_assert_nonnull(tip);
    return tip;
}

static void fetch_fails(Case *c, SlSourceConfig config, int code, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(c->ops->fetch(&config, NULL, &error));
    g_assert_error(error, SL_ERROR, code);
    g_assert_nonnull(strstr(error->message, text));
}

static void test_follow(Case *c, gconstpointer ops)
{
    (void)ops;
    git_write(&c->git, "app/a.txt", "one\n");
    g_autofree char *c1 = git_commit_all(&c->git, "first subject");
    SlSourceTip *t1 = fetch_ok(c, NULL);
    g_assert_cmpstr(t1->commit, ==, c1);
    g_assert_cmpuint(t1->position, ==, 1);
    g_assert_cmpstr(t1->subject, ==, "first subject");
    g_assert_cmpstr(t1->author, ==, "Alice <a@x.test>");
    g_assert_cmpint(t1->time_us, ==, INT64_C(1700000000000000));
    git_write(&c->git, "app/a.txt", "two\n");
    g_autofree char *c2 = git_commit_all(&c->git, "second");
    g_autofree char *c3 = git_commit_all(&c->git, "third");
    SlSourceTip *t3 = fetch_ok(c, t1->commit);
    g_assert_cmpstr(t3->commit, ==, c3);
    g_assert_cmpuint(t3->position, ==, 3);
    g_assert_false(t3->rewound);
    g_assert_cmpuint(json_array_size(t3->authors), ==, 1);
    SlSourceTip *same = fetch_ok(c, c3);
    g_assert_cmpuint(same->position, ==, 3);
    g_assert_false(same->rewound);
    sl_source_tip_free(t1);
    sl_source_tip_free(t3);
    sl_source_tip_free(same);
}

static void test_rewound_keeps_the_old_commit(Case *c, gconstpointer ops)
{
    (void)ops;
    git_write(&c->git, "app/a.txt", "one\n");
    g_autofree char *c1 = git_commit_all(&c->git, "first");
    git_write(&c->git, "app/a.txt", "two\n");
    g_autofree char *c2 = git_commit_all(&c->git, "second");
    sl_source_tip_free(fetch_ok(c, NULL));
    g_free(GIT(c->git.work, "reset", "-q", "--hard", c1));
    git_write(&c->git, "app/a.txt", "other\n");
    g_autofree char *c3 = git_commit_all(&c->git, "instead");
    SlSourceTip *tip = fetch_ok(c, c2);
    g_assert_true(tip->rewound);
    g_assert_cmpuint(tip->position, ==, 2);
    /* The user throws the old commit away for good: what was minted from it still renders. */
    g_free(GIT(c->git.bare, "reflog", "expire", "--expire=now", "--all"));
    g_free(GIT(c->git.bare, "gc", "-q", "--prune=now"));
    g_autoptr(GError) error = NULL;
    SlSourceConfig config = config_of(c);
    SlTree *tree = c->ops->tree(&config, c2, &error);
    g_assert_no_error(error);
    g_autoptr(GBytes) bytes = tree->read(tree->user, "app/a.txt", 100, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(g_bytes_get_size(bytes), ==, 4);
    sl_source_tree_free(tree);
    sl_source_tip_free(tip);
}

static void test_tree(Case *c, gconstpointer ops)
{
    (void)ops;
    g_autoptr(GError) error = NULL, large = NULL, absent = NULL, link = NULL, inside = NULL;
    git_write(&c->git, "app/a.txt", "12345");
    git_write(&c->git, "app.d", "x");
    g_free(GIT(c->git.work, "config", "core.symlinks", "true"));
    g_autofree char *target = g_build_filename(c->git.work, "app", "link", NULL);
    g_assert_cmpint(symlink("/etc/passwd", target), ==, 0);
    g_autofree char *c1 = git_commit_all(&c->git, "first");
    sl_source_tip_free(fetch_ok(c, NULL));
    SlSourceConfig config = config_of(c);
    SlTree *tree = c->ops->tree(&config, c1, &error);
    g_assert_no_error(error);
    g_autoptr(GPtrArray) list = tree->list(tree->user, "", &error);
    g_assert_cmpuint(list->len, ==, 2);
    g_assert_cmpstr(((SlTreeEntry *)list->pdata[0])->name, ==,
                    "app"); /* bytes, not Git's order with '/' */
    g_assert_cmpint(((SlTreeEntry *)list->pdata[0])->mode, ==, SL_TREE_FOLDER);
    g_autoptr(GPtrArray) inner = tree->list(tree->user, "app", &error);
    g_assert_cmpint(((SlTreeEntry *)inner->pdata[1])->mode, ==, SL_TREE_SYMLINK);
    g_assert_null(tree->read(tree->user, "app/link", 100, &link));
    g_assert_error(link, SL_ERROR, SLU_SOURCE_ENTRY);
    g_assert_null(tree->read(tree->user, "app/a.txt", 4, &large));
    g_assert_error(large, SL_ERROR, SLU_LIMIT);
    g_assert_null(tree->list(tree->user, "nowhere", &absent));
    g_assert_error(absent, SL_ERROR, SLU_NOT_FOUND);
    g_autofree char *digest = sl_tree_digest(tree, "app", &inside);
    g_assert_null(digest); /* the symlink inside is an error that names it */
    g_assert_error(inside, SL_ERROR, SLU_TREE_ENTRY);
    g_assert_nonnull(strstr(inside->message, "app/link"));
    sl_source_tree_free(tree);
}

static void test_refusals(Case *c, gconstpointer ops)
{
    (void)ops;
    git_write(&c->git, "a", "1");
    g_autofree char *c1 = git_commit_all(&c->git, "first");
    SlSourceConfig config = config_of(c);
    config.branch = "gone";
    fetch_fails(c, config, SLU_SOURCE_BRANCH, "there is no branch or tag gone");
    config.branch = "a..b";
    fetch_fails(c, config, SLU_SOURCE_REFUSED, "no valid branch name");
    config = config_of(c);
    config.objects_max = 1;
    fetch_fails(c, config, SLU_SOURCE_LIMIT, "objects");
    config = config_of(c);
    config.pack_bytes_max = 20;
    fetch_fails(c, config, SLU_SOURCE_LIMIT, "larger than");
    g_autoptr(GError) error = NULL;
    config = config_of(c);
    g_assert_null(c->ops->tree(&config, "1111111111111111111111111111111111111111", &error));
    g_assert_error(error, SL_ERROR, SLU_SOURCE_COMMIT);
}

/* Whatever Git stores, an author that cannot be read is no author: the change is not read. */
static void test_hostile_commit(Case *c, gconstpointer ops)
{
    (void)ops;
    git_write(&c->git, "a", "1");
    g_autofree char *c1 = git_commit_all(&c->git, "first");
    static const struct {
        const char *rest, *says;
    } bad[] = {
        {"author A <a@x.test> 1 +0000\nauthor B <b@x.test> 1 +0000\ncommitter A <a@x.test> 1 "
         "+0000\n\ntwo authors\n",
         "here must stand one committer"},
        {"author A <a@x.test> <b@x.test> 1 +0000\ncommitter A <a@x.test> 1 +0000\n\ntwo\n",
         "author is not"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *id = git_commit_raw(&c->git, bad[i].rest);
        g_assert_cmpuint(strlen(id), ==, 40);
        fetch_fails(c, config_of(c), SLU_COMMIT_FORMAT, bad[i].says);
    }
}

static json_t *only_signer(const SlSourceTip *tip)
{
    g_assert_cmpuint(json_array_size(tip->signers), ==, 1);
    return json_array_get(tip->signers, 0);
}

/* Who signed: asked only where it matters; the first reading looks at the tip alone. */
static void test_signers(Case *c, gconstpointer ops)
{
    (void)ops;
    g_autofree char *key = g_build_filename(c->git.dir, "key", NULL);
    uint8_t seed[32] = {5}, public_[32], secret[64];
    crypto_sign_seed_keypair(public_, secret, seed);
    g_autoptr(SlPublicKey) own = sl_public_key_from_ed25519(public_);
    g_autofree char *file = sl_private_key_format(secret, "test", 1);
    g_assert_true(g_file_set_contents_full(key, file, -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
    g_autofree char *c1 = git_commit_all(&c->git, "unsigned");
    g_autofree char *c2 = git_commit_signed(&c->git, key, "signed");
    g_autoptr(GError) error = NULL;
    SlSourceConfig config = config_of(c);
    SlSourceTip *tip = c->ops->fetch(&config, NULL, &error);
    g_assert_no_error(error);
    g_assert_null(tip->signers);
    sl_source_tip_free(tip);
    config.signed_commits = true;
    tip = c->ops->fetch(&config, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(sl_json_str(only_signer(tip), "key"), ==, own->line);
    g_assert_cmpstr(sl_json_str(only_signer(tip), "commit"), ==, c2);
    sl_source_tip_free(tip);
    g_autofree char *c3 = git_commit_all(&c->git, "unsigned again");
    g_autofree char *c4 = git_commit_signed(&c->git, key, "on top of it");
    tip = c->ops->fetch(&config, c2, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(json_array_size(tip->signers), ==, 2);
    g_assert_cmpstr(sl_json_str(json_array_get(tip->signers, 1), "commit"), ==, c3);
    g_assert_cmpstr(sl_json_str(json_array_get(tip->signers, 1), "why"), ==, "it is not signed");
    g_assert_cmpstr(sl_json_str(json_array_get(tip->signers, 0), "key"), ==, own->line);
    sl_source_tip_free(tip);
    tip = c->ops->fetch(&config, c4, &error);
    g_assert_cmpuint(json_array_size(tip->signers), ==, 0);
    sl_source_tip_free(tip);
}

static void test_deleted_then_back(Case *c, gconstpointer ops)
{
    (void)ops;
    git_write(&c->git, "a", "1");
    g_autofree char *c1 = git_commit_all(&c->git, "first");
    sl_source_tip_free(fetch_ok(c, NULL));
    g_free(GIT(c->git.bare, "branch", "-m", "main", "kept"));
    fetch_fails(c, config_of(c), SLU_SOURCE_BRANCH, "main");
    g_free(GIT(c->git.bare, "branch", "-m", "kept", "main"));
    SlSourceTip *tip = fetch_ok(c, c1);
    g_assert_false(tip->rewound);
    sl_source_tip_free(tip);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    static const struct {
        const char *name;
        void (*test)(Case *c, gconstpointer ops);
    } tests[] = {{"follow", test_follow},
                 {"rewound", test_rewound_keeps_the_old_commit},
                 {"tree", test_tree},
                 {"refusals", test_refusals},
                 {"hostile-commit", test_hostile_commit},
                 {"signers", test_signers},
                 {"deleted-then-back", test_deleted_then_back}};
    for (size_t i = 0; sl_sources()[i] != NULL; i++) {
        for (size_t k = 0; k < G_N_ELEMENTS(tests); k++) {
            g_autofree char *path =
                g_strdup_printf("/source/%s/%s", sl_sources()[i]->name, tests[k].name);
            g_test_add(path, Case, sl_sources()[i], set_up, tests[k].test, tear_down);
        }
    }
    return g_test_run();
}
