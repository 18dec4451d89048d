/* Digest of a tree, and what a tree may not hold. */
#include "help.h"

static char *digest(SlTree *tree, const char *path, GError **error)
{
    return sl_tree_digest(tree, path, error);
}

static void refused(const char *path, const char *content, SlTreeMode mode, int code, const char *said)
{
    SlTree *tree = sl_tree_memory_new();
    sl_tree_memory_put(tree, "train/ok.py", "x", SL_TREE_FILE);
    sl_tree_memory_put(tree, path, content, mode);
    g_autoptr(GError) error = NULL;
    g_autofree char *got = digest(tree, "train", &error);
    g_assert_null(got);
    g_assert_error(error, SL_ERROR, code);
    if (!strstr(error->message, said))
        g_error("not said: %s but %s", said, error->message);
    sl_tree_memory_free(tree);
}

static void test_digest(void)
{
    SlTree *tree = sl_tree_memory_new();
    put(tree, "train/a.txt", "1");
    put(tree, "train/a/b", "2");
    put(tree, "other/c", "3");
    g_autofree char *one = digest(tree, "train", NULL);
    /* sha256 of "644 a.txt\0" "1\0" "1" "644 a/b\0" "1\0" "2": a.txt sorts before a/b */
    g_autofree char *again = digest(tree, "train", NULL);
    g_assert_cmpstr(one, ==, again);
    g_assert_cmpstr(one, ==, "8257a53912519a5cf5a13ba03853aa8f714057b9f05f75e1cf0f3452c4c1fc77");
    put(tree, "other/c", "4");
    g_autofree char *same = digest(tree, "train", NULL);
    g_assert_cmpstr(one, ==, same);
    sl_tree_memory_put(tree, "train/a/b", "2", SL_TREE_EXECUTABLE);
    g_autofree char *mode = digest(tree, "train", NULL);
    g_assert_cmpstr(one, !=, mode);
    g_autofree char *file = digest(tree, "train/a.txt", NULL);
    g_assert_nonnull(file);
    g_autofree char *top = digest(tree, "", NULL), *dot = digest(tree, ".", NULL);
    g_assert_cmpstr(top, ==, dot);
    sl_tree_memory_free(tree);
}

static void test_refused(void)
{
    refused("train/link", "../../etc/passwd", SL_TREE_SYMLINK, SLU_TREE_ENTRY, "train/link is a symbolic link");
    refused("train/sub", "", SL_TREE_GITLINK, SLU_TREE_ENTRY, "train/sub is a submodule");
    refused("train/../x", "", SL_TREE_FILE, SLU_TREE_ENTRY, "train/..: this name is not allowed");
    refused("train/.GIT/x", "", SL_TREE_FILE, SLU_TREE_ENTRY, ".GIT");
    refused("train/a\x1b[2J", "", SL_TREE_FILE, SLU_TREE_ENTRY, "not allowed");
    refused("train/w.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 9\n", SL_TREE_FILE, SLU_LFS_POINTER,
            "train/w.bin is a Git LFS pointer");
}

static void test_missing(void)
{
    SlTree *tree = sl_tree_memory_new();
    g_autoptr(GError) error = NULL;
    g_assert_null(digest(tree, "nothing", &error));
    g_assert_error(error, SL_ERROR, SLU_NOT_FOUND);
    g_clear_error(&error);
    g_assert_null(digest(tree, "../x", &error));
    g_assert_error(error, SL_ERROR, SLU_INVALID);
    sl_tree_memory_free(tree);
}

static void test_too_large(void)
{
    SlTree *tree = sl_tree_memory_new();
    g_autofree char *big = g_strnfill(32 * 1024 * 1024 + 1, 'x');
    put(tree, "train/big", big);
    g_autoptr(GError) error = NULL;
    g_assert_null(digest(tree, "train", &error));
    g_assert_error(error, SL_ERROR, SLU_LIMIT);
    g_assert_nonnull(strstr(error->message, "train/big"));
    sl_tree_memory_free(tree);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tree/digest", test_digest);
    g_test_add_func("/tree/refused", test_refused);
    g_test_add_func("/tree/missing", test_missing);
    g_test_add_func("/tree/too_large", test_too_large);
    return g_test_run();
}
