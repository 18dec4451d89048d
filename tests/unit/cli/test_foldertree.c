/* test_foldertree.c - the working tree as a tree: no link is followed, nothing above the folder is reached, .git is not there. */
#include "cli/foldertree.h"
#include "rig.h"

static SlTree *open_tree(const Rig *r)
{
    g_autofree char *path = rig_path(r, "repo");
    g_autoptr(GError) error = NULL;
    SlTree *tree = sl_folder_tree_new(path, &error);
    g_assert_no_error(error);
    return tree;
}

static void fill(const Rig *r)
{
    rig_put(r, "secret", "outside");
    rig_put(r, "repo/sluice.yaml", "a: 1\n");
    rig_put(r, "repo/b/run.sh", "#!/bin/sh\n");
    rig_put(r, "repo/b/deep/er/x", "");
    rig_put(r, "repo/.git/config", "[core]\n");
    rig_put(r, "repo/b/.GIT/config", "[core]\n");
    g_autofree char *run = rig_path(r, "repo/b/run.sh"), *link = rig_path(r, "repo/link"), *folder_link = rig_path(r, "repo/up"),
                    *fifo = rig_path(r, "repo/fifo");
    g_assert_cmpint(chmod(run, 0755), ==, 0);
    g_assert_cmpint(symlink("../secret", link), ==, 0);
    g_assert_cmpint(symlink("..", folder_link), ==, 0);
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
}

static void test_list(void)
{
    g_autoptr(Rig) r = rig_new();
    fill(r);
    SlTree *tree = open_tree(r);
    static const struct {
        const char *name;
        SlTreeMode mode;
        uint64_t size;
    } wanted[] = {{"b", SL_TREE_FOLDER, 0}, {"link", SL_TREE_SYMLINK, 9}, {"sluice.yaml", SL_TREE_FILE, 5}, {"up", SL_TREE_SYMLINK, 2}};
    g_autoptr(GPtrArray) entries = tree->list(tree->user, "", NULL);
    g_assert_cmpuint(entries->len, ==, G_N_ELEMENTS(wanted)); /* neither .git nor the fifo */
    for (guint i = 0; i < entries->len; i++) {
        const SlTreeEntry *entry = g_ptr_array_index(entries, i);
        g_assert_cmpstr(entry->name, ==, wanted[i].name);
        g_assert_cmpint(entry->mode, ==, wanted[i].mode);
        g_assert_cmpuint(entry->size, ==, wanted[i].size);
    }
    g_autoptr(GPtrArray) below = tree->list(tree->user, "b", NULL);
    g_assert_cmpuint(below->len, ==, 2); /* deep, run.sh; not .GIT */
    const SlTreeEntry *run = g_ptr_array_index(below, 1);
    g_assert_cmpint(run->mode, ==, SL_TREE_EXECUTABLE);
    sl_folder_tree_free(tree);
}

static void test_read(void)
{
    g_autoptr(Rig) r = rig_new();
    fill(r);
    SlTree *tree = open_tree(r);
    g_autoptr(GBytes) text = tree->read(tree->user, "sluice.yaml", 5, NULL);
    g_assert_true(g_bytes_get_size(text) == 5 && memcmp(g_bytes_get_data(text, NULL), "a: 1\n", 5) == 0);
    g_autoptr(GBytes) empty = tree->read(tree->user, "b/deep/er/x", 0, NULL);
    g_assert_cmpuint(g_bytes_get_size(empty), ==, 0);
    static const struct {
        const char *path;
        int code;
    } refused[] = {{"sluice.yaml", SLU_LIMIT}, {"none", SLU_NOT_FOUND}, {"sluice.yaml/x", SLU_NOT_FOUND}, {"link", SLU_IO}, {"up/secret", SLU_NOT_FOUND},
                   {"../secret", SLU_INVALID}, {"b/../../secret", SLU_INVALID}, {"/etc/passwd", SLU_INVALID}, {".git/config", SLU_INVALID},
                   {"b/.Git/config", SLU_INVALID}, {"b", SLU_IO}, {"fifo", SLU_IO}, {"", SLU_INVALID}};
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_autoptr(GError) error = NULL;
        g_test_message("%s", refused[i].path);
        g_assert_null(tree->read(tree->user, refused[i].path, 4, &error));
        g_assert_error(error, SL_ERROR, refused[i].code);
    }
    g_autoptr(GError) error = NULL;
    g_assert_null(tree->list(tree->user, "up", &error));
    g_assert_null(tree->list(tree->user, "..", NULL));
    g_assert_null(tree->list(tree->user, "sluice.yaml", NULL));
    sl_folder_tree_free(tree);
}

static void test_find(void)
{
    g_autoptr(Rig) r = rig_new();
    fill(r);
    g_autofree char *start = rig_path(r, "repo/b/deep/er"), *repo = rig_path(r, "repo");
    g_autofree char *found = sl_find_fleet_folder(start, NULL);
    g_assert_cmpstr(found, ==, repo);
    g_autoptr(GError) error = NULL;
    g_assert_null(sl_find_fleet_folder(r->dir, &error));
    g_assert_error(error, SL_ERROR, SLU_NO_FLEET);
    rig_put(r, "other/fleet/a.yaml", "");
    g_autofree char *other = rig_path(r, "other"), *again = sl_find_fleet_folder(other, NULL);
    g_assert_cmpstr(again, ==, other);
    g_clear_error(&error);
    g_assert_null(sl_folder_tree_new("/none/such", &error));
    g_assert_error(error, SL_ERROR, SLU_NOT_FOUND);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/foldertree/list", test_list);
    g_test_add_func("/foldertree/read", test_read);
    g_test_add_func("/foldertree/find", test_find);
    return g_test_run();
}
