/* ledger.c - bench of the coordinator's store and brain without network and processes: what one
 * batch costs, 1,000 promotions decided and recorded, the fold of a long ledger. Figures as one
 * JSON object on stdout; tests/bench/ledger.py puts the budgets beside them. It counts the syncs
 * of this process itself, by standing in front of libc's. */
#include "coordinator/store/ledger.h"
#include "../unit/coordinator_brain/rig.h"
#include "runtime/atomicfile.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static unsigned syncs;

int fsync(int fd)
{
    syncs++;
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    syncs++;
    return (int)syscall(SYS_fdatasync, fd);
}

static double seconds_since(int64_t start_us)
{
    return (double)(g_get_monotonic_time() - start_us) / 1e6;
}

static void set_real(json_t *figures, const char *name, double value)
{
    json_object_set_new(figures, name, json_real(value));
}

static void must(bool good, GError *error)
{
    if (!good)
        g_error("%s", error != NULL ? error->message : "failed without a reason");
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* ---- batches ---- */

static json_t *event_of(uint64_t seq)
{
    json_t *event = json_object();
    sl_json_set_int(event, "seq", (int64_t)seq);
    sl_json_set_str(event, "type", "Committed");
    sl_json_set_str(event, "app", "digits");
    sl_json_set_str(event, "env", "dev");
    g_autofree char *at =
        sl_format_time(INT64_C(1795608000) * SL_SECOND_US + (int64_t)seq * 250000);
    sl_json_set_str(event, "at", at);
    char filler[601];
    memset(filler, 'x', sizeof filler - 1); /* as long as an event of a promotion is on average */
    filler[sizeof filler - 1] = '\0';
    sl_json_set_str(event, "text", filler);
    return event;
}

static GHashTable *blobs_of(uint64_t seq, unsigned count)
{
    GHashTable *table =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    for (unsigned i = 0; i < count; i++) {
        g_autofree char *text = g_strdup_printf("cluster%u %" G_GUINT64_FORMAT "\n", i, seq);
        g_hash_table_insert(table, sl_sha256_hex(text, strlen(text)),
                            g_bytes_new(text, strlen(text)));
    }
    return table;
}

static void append_batches(SlLedger *ledger, unsigned count, double *times)
{
    uint64_t seq = 2;
    for (unsigned i = 0; i < count; i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) events = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
        g_autoptr(GHashTable) blobs = blobs_of(seq, 2);
        for (unsigned k = 0; k < 4; k++)
            g_ptr_array_add(events, event_of(seq++));
        int64_t start = g_get_monotonic_time();
        must(sl_ledger_append(ledger, events, blobs, &error), error);
        times[i] = seconds_since(start);
    }
}

static bool count_event(const json_t *event, void *user, GError **error)
{
    (void)event, (void)error;
    ++*(uint64_t *)user;
    return true;
}

/* What a disk of this machine gives: one byte appended and synced, over and over. */
static double one_sync(const char *dir)
{
    g_autofree char *path = g_build_filename(dir, "probe", NULL);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int64_t start = g_get_monotonic_time();
    for (int i = 0; i < 200; i++)
        must(write(fd, "x", 1) == 1 && fsync(fd) == 0, NULL);
    double each = seconds_since(start) / 200;
    close(fd);
    unlink(path);
    return each;
}

static void bench_append(json_t *figures, const char *dir, unsigned count)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) first = event_of(1);
    g_autofree char *state = g_build_filename(dir, "append.git", NULL);
    g_autofree double *times = g_new0(double, count);
    must(sl_ledger_create(state, first, &error), error);
    g_autoptr(SlLedger) ledger = sl_ledger_open(state, &error);
    must(ledger != NULL, error);
    set_real(figures, "one_sync_ms", one_sync(dir) * 1e3);
    syncs = 0;
    int64_t start = g_get_monotonic_time();
    append_batches(ledger, count, times);
    set_real(figures, "batches_per_second", count / seconds_since(start));
    set_real(figures, "syncs_per_batch", (double)syncs / count);
    qsort(times, count, sizeof *times, by_value);
    set_real(figures, "batch_p50_ms", times[count / 2] * 1e3);
    set_real(figures, "batch_p99_ms", times[count * 99 / 100] * 1e3);
    sl_json_set_int(figures, "batches", count);
    uint64_t seen = 0;
    start = g_get_monotonic_time();
    must(sl_ledger_replay(ledger, count_event, &seen, &error), error);
    set_real(figures, "replay_of_these_batches_s", seconds_since(start));
    g_assert_cmpuint(seen, ==, 1 + 4 * (uint64_t)count);
}

int main(int argc, char **argv)
{
    unsigned batches = argc > 1 ? (unsigned)g_ascii_strtoull(argv[1], NULL, 10) : 1000;
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("sluice-bench-XXXXXX", &error);
    must(dir != NULL, error);
    g_autoptr(json_t) figures = json_object();
    bench_append(figures, dir, batches);
    must(sl_dir_remove_tree(dir, &error), error);
    g_autofree char *text = sl_json_canonical(figures, &error);
    must(text != NULL, error);
    puts(text);
    return 0;
}
