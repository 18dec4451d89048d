/* test_atomicfile.c - files and folders: whole or not there, links not followed, limits named. */
#include "runtime/atomicfile.h"

#include "base/auto.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *folder;

static char *in_folder(const char *name)
{
    return g_build_filename(folder, name, NULL);
}

static void says(GError **error, int code, const char *text)
{
    g_assert_error(*error, SL_ERROR, code);
    if (strstr((*error)->message, text) == NULL) {
        g_error("\"%s\" does not say \"%s\"", (*error)->message, text);
    }
    g_clear_error(error);
}

static unsigned entries(void)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    unsigned count = 0;
    while (g_dir_read_name(dir) != NULL) {
        count++;
    }
    return count;
}

static void test_write_and_read(void)
{
    g_autofree char *path = in_folder("file");
    g_autoptr(GError) error = NULL;
    g_assert_true(sl_file_write_atomic(path, "one", 3, 0640, &error));
    g_assert_no_error(error);
    g_assert_true(sl_file_write_atomic(path, "two!", 4, 0600, &error));
    g_autoptr(GBytes) bytes = sl_file_read(path, 4, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(g_bytes_get_size(bytes), ==, 4);
    struct stat st;
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpuint(st.st_mode & 07777, ==, 0600);
    g_assert_null(sl_file_read(path, 3, &error));
    says(&error, SLU_LIMIT, "larger than 3 bytes");
    g_assert_false(sl_file_create(path, "three", 5, 0600, &error));
    says(&error, SLU_CONFLICT, "not overwritten");
    g_autofree char *absent = in_folder("absent");
    g_assert_null(sl_file_read(absent, 10, &error));
    says(&error, SLU_FILE_MISSING, absent);
    g_assert_true(sl_file_create(absent, "", 0, 0600, &error));
    g_assert_no_error(error);
    g_autofree char *nowhere = in_folder("no/such/file");
    g_assert_false(sl_file_write_atomic(nowhere, "x", 1, 0600, &error));
    says(&error, SLU_FILE_MISSING, "folder");
    g_assert_cmpuint(entries(), ==, 2); /* no temporary file stays */
}

static void test_write_fails_whole(void)
{
    g_autofree char *path = in_folder("dir");
    g_autoptr(GError) error = NULL;
    g_assert_true(sl_dir_make(path, 0700, &error));
    unsigned before = entries();
    g_assert_false(sl_file_write_atomic(path, "x", 1, 0600, &error)); /* a folder has that name */
    says(&error, SLU_IO, "can't take its name");
    g_assert_cmpuint(entries(), ==, before);
    g_assert_null(sl_file_read(path, 10, &error));
    says(&error, SLU_IO, "not a regular file");
}

static void test_secret(void)
{
    g_autofree char *path = in_folder("secret");
    g_autofree char *link = in_folder("secret-link");
    g_autofree char *fifo = in_folder("fifo");
    g_autoptr(GError) error = NULL;
    g_assert_true(sl_file_write_atomic(path, "s", 1, 0644, &error));
    g_assert_null(sl_file_read_secret(path, 10, &error));
    says(&error, SLU_KEY_RIGHTS, "0644");
    g_assert_cmpint(chmod(path, 0600), ==, 0);
    g_autoptr(GBytes) bytes = sl_file_read_secret(path, 10, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(g_bytes_get_size(bytes), ==, 1);
    g_assert_cmpint(symlink(path, link), ==, 0);
    g_assert_null(sl_file_read_secret(link, 10, &error));
    says(&error, SLU_IO, "symbolic link");
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    g_assert_null(sl_file_read(fifo, 10, &error)); /* and does not hang */
    says(&error, SLU_IO, "not a regular file");
}

static void test_folders(void)
{
    g_autofree char *deep = in_folder("a/b//c/");
    g_autofree char *inside = in_folder("a/b/c/file");
    g_autofree char *outside = in_folder("kept");
    g_autofree char *link = in_folder("a/link");
    g_autofree char *closed = in_folder("a/closed");
    g_autofree char *top = in_folder("a");
    g_autoptr(GError) error = NULL;
    g_assert_true(sl_dir_make(deep, 0700, &error));
    g_assert_no_error(error);
    g_assert_true(sl_dir_make(deep, 0700, &error)); /* again */
    g_assert_true(sl_file_write_atomic(inside, "x", 1, 0600, &error));
    g_assert_false(sl_dir_make(inside, 0700, &error));
    says(&error, SLU_IO, "not a folder");
    g_assert_true(sl_dir_make(outside, 0700, &error));
    g_assert_cmpint(symlink(outside, link), ==, 0);
    g_assert_true(sl_dir_make(closed, 0700, &error));
    g_assert_cmpint(chmod(closed, 0), ==, 0);
    g_assert_true(sl_dir_remove_tree(top, &error));
    g_assert_no_error(error);
    g_assert_cmpint(access(top, F_OK), !=, 0);
    g_assert_cmpint(access(outside, F_OK), ==, 0); /* the link was removed, not what it names */
    g_assert_true(sl_dir_remove_tree(top, &error));
    g_assert_cmpint(symlink(outside, top), ==, 0);
    g_assert_false(sl_dir_remove_tree(top, &error));
    says(&error, SLU_IO, "not a folder");
}

static void test_depth(void)
{
    g_autoptr(GString) path = g_string_new(folder);
    g_autoptr(GError) error = NULL;
    g_autofree char *top = in_folder("d");
    for (int i = 0; i < 140; i++) {
        g_string_append(path, "/d");
    }
    g_assert_true(sl_dir_make(path->str, 0700, &error));
    g_assert_false(sl_dir_remove_tree(top, &error));
    says(&error, SLU_LIMIT, "nested more than");
    g_string_truncate(path, strlen(folder) + 2 * 100);
    g_assert_true(sl_dir_remove_tree(path->str, &error));
    g_assert_true(sl_dir_remove_tree(top, &error));
    g_assert_no_error(error);
}

/* flock belongs to the open file: a second open in the same process is as good as another process.
 */
static void test_lock(void)
{
    g_autoptr(GError) error = NULL;
    sl_autofd first = -1;
    int second = -1;
    g_assert_true(sl_dir_lock(folder, &first, &error));
    g_assert_no_error(error);
    g_assert_false(sl_dir_lock(folder, &second, &error));
    g_autofree char *pid = g_strdup_printf("pid %d", (int)getpid());
    says(&error, SLU_CONFLICT, pid);
    g_assert_cmpint(second, ==, -1);
    sl_close_fd(&first);
    g_assert_true(sl_dir_lock(folder, &second, &error));
    close(second);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_autoptr(GError) error = NULL;
    folder = g_dir_make_tmp("sluice-files-XXXXXX", NULL);
    g_test_add_func("/file/write-and-read", test_write_and_read);
    g_test_add_func("/file/write-fails-whole", test_write_fails_whole);
    g_test_add_func("/file/secret", test_secret);
    g_test_add_func("/file/folders", test_folders);
    g_test_add_func("/file/depth", test_depth);
    g_test_add_func("/file/lock", test_lock);
    int code = g_test_run();
    if (!sl_dir_remove_tree(folder, &error)) {
        g_error("%s", error->message);
    }
    g_free(folder);
    return code;
}
