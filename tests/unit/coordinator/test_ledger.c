/* The ledger: order, maps, one commit per batch, and what a killed process leaves behind at every
 * durable step. */
#include "base/digest.h"
#include "coordinator/store/ledger.h"
#include "runtime/atomicfile.h"
#include "tests/ledger_event.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct {
    char *dir, *state;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    (void)data;
    f->dir = g_dir_make_tmp("sluice-ledger-XXXXXX", NULL);
    f->state = g_build_filename(f->dir, "state.git", NULL);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    g_assert_true(sl_dir_remove_tree(f->dir, &error));
    g_free(f->dir);
    g_free(f->state);
}

static GPtrArray *batch(int64_t first, unsigned count)
{
    GPtrArray *events = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
    for (unsigned i = 0; i < count; i++)
        g_ptr_array_add(events, ledger_event(first + i, "Committed"));
    return events;
}

static GHashTable *blob(const char *text, char **ret_digest)
{
    GHashTable *table =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    char *digest = sl_sha256_hex(text, strlen(text));
    *ret_digest = g_strdup(digest);
    g_hash_table_insert(table, digest, g_bytes_new(text, strlen(text)));
    return table;
}

static bool count_event(const json_t *e, void *user, GError **error)
{
    int64_t *count = user;
    (void)error;
    g_assert_cmpint(sl_json_int(e, "seq", 0), ==, ++*count);
    return true;
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

static SlLedger *made(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) first = ledger_event(1, "FleetCreated");
    g_assert_true(sl_ledger_create(f->state, first, &error));
    SlLedger *ledger = sl_ledger_open(f->state, &error);
    g_assert_no_error(error);
    return ledger;
}

static void append_ok(SlLedger *ledger, int64_t first, unsigned count)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) events = batch(first, count);
    bool good = sl_ledger_append(ledger, events, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(good);
}

static void test_order(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(SlLedger) ledger = made(f);
    g_autoptr(GError) error = NULL;
    g_autofree char *digest = NULL;
    for (int64_t i = 0; i < 12; i++) /* 2, 4, ... 24: two digits must sort as numbers */
        append_ok(ledger, 2 + 2 * i, 2);
    g_autoptr(GHashTable) blobs = blob("cluster line\n", &digest);
    g_autoptr(GPtrArray) events = batch(26, 1);
    g_assert_true(sl_ledger_append(ledger, events, blobs, &error));
    g_assert_cmpint(replayed(ledger), ==, 26);
    g_autoptr(SlLedger) again = sl_ledger_open(f->state, &error);
    g_assert_cmpint(replayed(again), ==, 26);
    g_autoptr(GBytes) bytes = sl_ledger_map(again, digest);
    g_assert_nonnull(bytes);
    g_autoptr(GBytes) want = g_bytes_new("cluster line\n", 13);
    g_assert_true(g_bytes_equal(bytes, want));
    g_assert_null(sl_ledger_map(again, "../../etc/passwd"));
}

/* What someone sees who has only Git: one commit per batch, readable subjects, clean repository. */
static void test_git_reads_it(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(SlLedger) ledger = made(f);
    append_ok(ledger, 2, 2);
    append_ok(ledger, 4, 200);
    g_autofree char *out = NULL;
    const char *log[] = {"git",           "--git-dir", f->state, "log", "--format=%an <%ae> %s",
                         "sluice/ledger", NULL};
    g_assert_true(g_spawn_sync(NULL, (char **)log, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out,
                               NULL, NULL, NULL));
    g_assert_nonnull(strstr(
        out, "Sluice <sluice@localhost> 2 Committed digits/prod; 3 Committed digits/prod\n"));
    g_assert_nonnull(strstr(out, "and 194 more\n"));
    int status = -1;
    const char *fsck[] = {"git", "--git-dir", f->state, "fsck", "--full", "--strict", NULL};
    g_assert_true(g_spawn_sync(NULL, (char **)fsck, NULL,
                               G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL,
                               NULL, &status, NULL));
    g_assert_cmpint(status, ==, 0);
}

static unsigned count_files(Fixture *f, const char *folder, const char *suffix)
{
    g_autofree char *path = g_build_filename(f->state, "objects", folder, NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    unsigned count = 0;
    for (const char *name = dir != NULL ? g_dir_read_name(dir) : NULL; name != NULL;
         name = g_dir_read_name(dir))
        count += g_str_has_suffix(name, suffix) ? 1 : 0;
    return count;
}

static void test_a_batch_is_one_pack(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(SlLedger) ledger = made(f);
    g_autoptr(GError) error = NULL;
    g_autoptr(GHashTable) blobs =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    for (int i = 0; i < 500; i++) {
        g_autofree char *text = g_strdup_printf("line %d\n", i);
        g_hash_table_insert(blobs, sl_sha256_hex(text, strlen(text)),
                            g_bytes_new(text, strlen(text)));
    }
    g_autoptr(GPtrArray) events = batch(2, 1);
    g_assert_true(sl_ledger_append(ledger, events, blobs, &error));
    append_ok(ledger, 3, 1);
    g_assert_cmpuint(count_files(f, "pack", ".pack"), ==, 3); /* the first event has its own */
    for (unsigned n = 0; n < 256; n++) {
        char folder[3];
        g_snprintf(folder, sizeof folder, "%02x", n);
        g_assert_cmpuint(count_files(f, folder, ""), ==, 0);
    }
    g_assert_cmpint(replayed(ledger), ==, 3);
}

/* What is held lies in the pack of the next append, with what the ledger says of it. */
static void test_held_goes_with_the_batch(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(SlLedger) ledger = made(f);
    g_autoptr(GError) error = NULL;
    SlGitStore *store = sl_ledger_store(ledger);
    git_treebuilder *builder = NULL;
    git_oid blob, tree, commit;
    g_assert_true(sl_git_store_blob(store, "held", 4, &blob, &error));
    g_assert_cmpint(git_treebuilder_new(&builder, sl_git_store_repo(store), NULL), ==, 0);
    g_assert_cmpint(git_treebuilder_insert(NULL, builder, "a", &blob, GIT_FILEMODE_BLOB), ==, 0);
    g_assert_cmpint(git_treebuilder_write(&tree, builder), ==, 0);
    git_treebuilder_free(builder);
    g_assert_true(sl_git_store_commit(store, &tree, NULL, 0, "held\n", &commit, &error));
    g_assert_true(sl_git_store_hold(store, &commit, &error));
    sl_git_store_discard(store); /* of something else that failed */
    g_assert_cmpuint(count_files(f, "pack", ".pack"), ==, 1);
    append_ok(ledger, 2, 1);
    g_assert_cmpuint(count_files(f, "pack", ".pack"), ==, 2);
    g_autoptr(SlLedger) again = sl_ledger_open(f->state, &error);
    g_autoptr(GBytes) bytes = sl_git_blob_bytes(sl_git_store_repo(sl_ledger_store(again)), &blob);
    g_assert_nonnull(bytes);
}

/* ---- a process that dies, a machine that loses power ---- */

typedef enum {
    DIES, /* killed before the step */
    TORN, /* what was written since the last sync of the file is half there */
    LOST, /* a new name is not in its folder yet */
    N_WAYS
} Way;

/* libgit2's own calls come here: each is a durable step. Armed in the child only. */
static struct {
    bool armed;
    Way way;
    unsigned left;
    char *name, *before; /* the last file that got its name, and what it held then */
    gsize before_len;
} faults;

static void undo_name(void)
{
    if (faults.before != NULL)
        g_file_set_contents(faults.name, faults.before, (gssize)faults.before_len, NULL);
    else if (faults.name != NULL)
        unlink(faults.name);
}

static bool is_folder(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

static void at_step(int fd)
{
    struct stat st;
    if (!faults.armed || faults.left-- > 0)
        return;
    faults.armed = false;
    if (fd >= 0 && faults.way == TORN && !is_folder(fd) && fstat(fd, &st) == 0 &&
        ftruncate(fd, st.st_size / 2) != 0)
        _exit(3);
    if (fd >= 0 && faults.way == LOST && is_folder(fd))
        undo_name();
    raise(SIGKILL);
}

static void note_name(const char *to)
{
    g_free(faults.name);
    g_clear_pointer(&faults.before, g_free);
    faults.name = g_strdup(to);
    g_file_get_contents(to, &faults.before, &faults.before_len, NULL);
}

int fsync(int fd)
{
    at_step(fd);
    return (int)syscall(SYS_fsync, fd);
}

int link(const char *from, const char *to)
{
    at_step(-1);
    if (faults.armed && access(to, F_OK) != 0)
        note_name(to);
    return (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int rename(const char *from, const char *to)
{
    at_step(-1);
    if (faults.armed)
        note_name(to);
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* Child: appends one batch and dies at durable step @step. @ret_acknowledged: append returned.
 * Returns false when it got through. */
static bool killed_at(Fixture *f, Way way, unsigned step, int64_t first, bool *ret_acknowledged)
{
    int pipe_fd[2];
    g_assert_cmpint(pipe(pipe_fd), ==, 0);
    pid_t pid = fork();
    if (pid == 0) {
        SlLedger *ledger = sl_ledger_open(f->state, NULL);
        GPtrArray *events = batch(first, 2);
        faults.way = way;
        faults.left = step;
        faults.armed = true;
        if (sl_ledger_append(ledger, events, NULL, NULL) && write(pipe_fd[1], "a", 1) != 1)
            _exit(2);
        _exit(0);
    }
    close(pipe_fd[1]);
    char byte = 0;
    int status = 0;
    *ret_acknowledged = read(pipe_fd[0], &byte, 1) == 1;
    close(pipe_fd[0]);
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status);
}

/* The next process: removes what is stale, reads whole batches, and goes on. */
static int64_t recovered(Fixture *f, int64_t have, bool acknowledged)
{
    g_autoptr(GError) error = NULL;
    sl_git_store_unlock(f->state);
    g_autoptr(SlLedger) ledger = sl_ledger_open(f->state, &error);
    g_assert_no_error(error);
    int64_t now = replayed(ledger);
    g_assert_true(now == have || now == have + 2); /* whole or not at all */
    g_assert_true(!acknowledged || now == have + 2);
    append_ok(ledger, now + 1, 1);
    return now + 1;
}

static void test_fault_at_each_step(Fixture *f, gconstpointer data)
{
    (void)data;
    int64_t have = 1;
    sl_ledger_free(made(f));
    for (Way way = DIES; way < N_WAYS; way++) {
        unsigned steps = 0;
        for (bool died = true; died; steps++) {
            bool acknowledged = false;
            died = killed_at(f, way, steps, have + 1, &acknowledged);
            have = recovered(f, have, acknowledged);
            g_assert_cmpuint(steps, <, 100);
        }
        g_assert_cmpuint(steps, >, 8); /* pack, index, folder, branch, folder, and their names */
    }
    int status = -1;
    const char *fsck[] = {"git", "--git-dir", f->state, "fsck", "--full", "--strict", NULL};
    g_assert_true(
        g_spawn_sync(NULL, (char **)fsck, NULL,
                     G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL,
                     NULL, NULL, NULL, NULL, &status, NULL));
    g_assert_cmpint(status, ==, 0);
}

static void test_stale_lock(Fixture *f, gconstpointer data)
{
    (void)data;
    sl_ledger_free(made(f));
    g_autofree char *lock =
        g_build_filename(f->state, "refs", "heads", "sluice", "ledger.lock", NULL);
    g_assert_true(g_file_set_contents(lock, "", 0, NULL));
    g_autoptr(GError) error = NULL;
    sl_git_store_unlock(f->state); /* a dead process's: whoever has the folder's lock removes it */
    g_autoptr(SlLedger) ledger = sl_ledger_open(f->state, &error);
    g_assert_no_error(error);
    append_ok(ledger, 2, 1);
}

/* A second store (a view of an earlier time) is opened while the writer is in the middle of a move. */
static void test_open_leaves_locks(Fixture *f, gconstpointer data)
{
    (void)data;
    sl_ledger_free(made(f));
    g_autofree char *lock =
        g_build_filename(f->state, "refs", "heads", "sluice", "ledger.lock", NULL);
    g_assert_true(g_file_set_contents(lock, "", 0, NULL));
    g_autoptr(SlLedger) reader = sl_ledger_open(f->state, NULL);
    g_assert_nonnull(reader);
    g_assert_true(g_file_test(lock, G_FILE_TEST_EXISTS));
    g_assert_cmpint(replayed(reader), ==, 1);
}

/* What can be appended can be replayed: an event as deep as the canonical writer lets through. */
static void test_deep_event(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(SlLedger) ledger = made(f);
    g_autoptr(GError) error = NULL;
    json_t *nested = json_integer(1);
    for (int i = 0; i < 120; i++) {
        json_t *outer = json_array();
        json_array_append_new(outer, nested);
        nested = outer;
    }
    g_autoptr(GPtrArray) events = batch(2, 1);
    json_object_set_new(events->pdata[0], "deep", nested);
    bool good = sl_ledger_append(ledger, events, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(good);
    g_assert_cmpint(replayed(ledger), ==, 2);
}

/* A batch that waited long has more bytes than one file may have: it is several files of one commit. */
static void test_large_batch(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(SlLedger) ledger = made(f);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) events = batch(2, 10);
    g_autofree char *pad = g_strnfill(8 << 20, 'x');
    for (guint i = 0; i < events->len; i++)
        sl_json_set_str(events->pdata[i], "pad", pad);
    bool good = sl_ledger_append(ledger, events, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(good);
    append_ok(ledger, 12, 1);
    g_assert_cmpint(replayed(ledger), ==, 12);
}

static void test_refusals(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) none = NULL, twice = NULL, gap = NULL;
    g_assert_null(sl_ledger_open(f->state, &none));
    g_assert_error(none, SL_ERROR, SLU_LEDGER_MISSING);
    g_autoptr(SlLedger) ledger = made(f);
    g_autoptr(json_t) first = ledger_event(1, "FleetCreated");
    g_assert_false(sl_ledger_create(f->state, first, &twice));
    g_assert_error(twice, SL_ERROR, SLU_LEDGER_EXISTS);
    append_ok(ledger, 3, 1); /* a hole: found at replay */
    int64_t count = 0;
    g_assert_false(sl_ledger_replay(ledger, count_event, &count, &gap));
    g_assert_error(gap, SL_ERROR, SLU_LEDGER_READ);
    g_assert_nonnull(strstr(gap->message, "event 2 should come next"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/ledger/order", Fixture, NULL, set_up, test_order, tear_down);
    g_test_add("/ledger/git-reads-it", Fixture, NULL, set_up, test_git_reads_it, tear_down);
    g_test_add("/ledger/one-pack", Fixture, NULL, set_up, test_a_batch_is_one_pack, tear_down);
    g_test_add("/ledger/held", Fixture, NULL, set_up, test_held_goes_with_the_batch, tear_down);
    g_test_add("/ledger/fault-at-each-step", Fixture, NULL, set_up, test_fault_at_each_step,
               tear_down);
    g_test_add("/ledger/large-batch", Fixture, NULL, set_up, test_large_batch, tear_down);
    g_test_add("/ledger/stale-lock", Fixture, NULL, set_up, test_stale_lock, tear_down);
    g_test_add("/ledger/open-leaves-locks", Fixture, NULL, set_up, test_open_leaves_locks,
               tear_down);
    g_test_add("/ledger/deep-event", Fixture, NULL, set_up, test_deep_event, tear_down);
    g_test_add("/ledger/refusals", Fixture, NULL, set_up, test_refusals, tear_down);
    return g_test_run();
}
