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
#include <time.h>
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

static double cpu_seconds(void)
{
    struct timespec spent;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return (double)spent.tv_sec + (double)spent.tv_nsec / 1e9;
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

/* ---- promotions, and the fold of their ledger ---- */

static SlTree *tree_of(unsigned apps, unsigned round)
{
    SlTree *tree = sl_tree_memory_new();
    g_autoptr(GString) fleet = g_string_new(
        RIG_API "kind: Fleet\nmetadata: {name: demo}\n---\n" RIG_API
                "kind: Environment\nmetadata: {name: dev}\nspec: {promotion: newest}\n");
    for (unsigned i = 0; i < apps; i++) {
        g_autofree char *path = g_strdup_printf("a%u/c.yaml", i);
        g_autofree char *text = g_strdup_printf(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%u}\ndata: {a: \"%u\"}\n", i,
            round);
        g_string_append_printf(
            fleet,
            "---\n" RIG_API "kind: Application\nmetadata: {name: a%u}\nspec:\n  "
            "source: {path: a%u}\n  environments: {dev: {parts: [{paths: [.]}]}}\n",
            i, i);
        sl_tree_memory_put(tree, path, text, SL_TREE_FILE);
    }
    sl_tree_memory_put(tree, "sluice.yaml", fleet->str, SL_TREE_FILE);
    return tree;
}

static void push_round(Rig *rig, unsigned apps, unsigned round)
{
    g_autofree char *name = g_strdup_printf("round%u", round);
    rig->now_us += SL_MINUTE_US;
    rig_push_tree(rig, name, tree_of(apps, round), false);
}

/* Events from @from on, so many a batch, with a share of the blobs each. Returns the batches. */
static unsigned record(SlLedger *ledger, Rig *rig, guint from, unsigned size, GPtrArray *digests)
{
    unsigned batches = 0, blob = 0, per = digests->len * size / (rig->ledger->len - from) + 1;
    for (guint i = from; i < rig->ledger->len; i += size, batches++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) events = g_ptr_array_new();
        g_autoptr(GHashTable) blobs = g_hash_table_new(g_str_hash, g_str_equal);
        for (guint k = i; k < MIN(i + size, rig->ledger->len); k++)
            g_ptr_array_add(events, rig->ledger->pdata[k]);
        for (unsigned k = 0; k < per && blob < digests->len; k++, blob++)
            g_hash_table_insert(blobs, digests->pdata[blob],
                                g_hash_table_lookup(rig->blobs, digests->pdata[blob]));
        must(sl_ledger_append(ledger, events, blobs, &error), error);
    }
    return batches;
}

static GPtrArray *new_digests(Rig *rig, GHashTable *before)
{
    GPtrArray *all = g_ptr_array_new();
    GHashTableIter iter;
    gpointer digest = NULL;
    g_hash_table_iter_init(&iter, rig->blobs);
    while (g_hash_table_iter_next(&iter, &digest, NULL))
        if (g_hash_table_add(before, digest))
            g_ptr_array_add(all, digest);
    return all;
}

static unsigned succeeded(Rig *rig, guint from)
{
    unsigned count = 0;
    for (guint i = from; i < rig->ledger->len; i++)
        count += strcmp(sl_json_str(rig->ledger->pdata[i], "type"), "Succeeded") == 0;
    return count;
}

typedef struct {
    SlCoord *coord;
    SlLedger *ledger;
} Fold;

static bool fold_event(const json_t *event, void *user, GError **error)
{
    Fold *fold = user;
    size_t len = 0;
    const char *line = sl_ledger_line(fold->ledger, &len);
    return sl_coord_fold_text(fold->coord, event, line, len, error);
}

static void bench_fold(json_t *figures, Rig *rig, SlLedger *ledger)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlCoord) again = rig_new_coord(rig);
    Fold fold = {.coord = again, .ledger = ledger};
    uint64_t seen = 0;
    int64_t start = g_get_monotonic_time();
    must(sl_ledger_replay(ledger, count_event, &seen, &error), error);
    set_real(figures, "read_s", seconds_since(start));
    size_t bytes = 0;
    for (guint i = 0; i < rig->ledger->len; i++) {
        g_autofree char *text = sl_json_canonical(rig->ledger->pdata[i], NULL);
        bytes += strlen(text);
    }
    set_real(figures, "event_bytes", (double)bytes / rig->ledger->len);
    double cpu = cpu_seconds();
    start = g_get_monotonic_time();
    must(sl_ledger_replay(ledger, fold_event, &fold, &error), error);
    set_real(figures, "fold_s", seconds_since(start));
    set_real(figures, "fold_cpu_s", cpu_seconds() - cpu);
    g_assert_cmpuint(sl_coord_ledger_seq(again), ==, rig->ledger->len);
    g_assert_cmpstr(sl_coord_ledger_hash(again), ==, sl_coord_ledger_hash(rig->coord));
    sl_json_set_int(figures, "fold_events", (int64_t)rig->ledger->len);
}

#define BATCH_EVENTS 64 /* what the shell's group commit makes of so many decisions at once */

static void bench_promotions(json_t *figures, const char *dir, unsigned apps, unsigned events)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *state = g_build_filename(dir, "promotions.git", NULL);
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    Rig *rig = rig_new();
    rig->check = false;
    push_round(rig, apps, 0);
    g_ptr_array_unref(new_digests(rig, seen));
    must(sl_ledger_create(state, rig->ledger->pdata[0], &error), error);
    g_autoptr(SlLedger) ledger = sl_ledger_open(state, &error);
    must(ledger != NULL, error);
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    record(ledger, rig, 1, BATCH_EVENTS, none);
    guint from = rig->ledger->len;
    int64_t spent_us = rig->step_us;
    push_round(rig, apps, 1);
    set_real(figures, "decide_s", (double)(rig->step_us - spent_us) / 1e6);
    g_autoptr(GPtrArray) digests = new_digests(rig, seen);
    double cpu = cpu_seconds();
    int64_t start = g_get_monotonic_time();
    unsigned batches = record(ledger, rig, from, BATCH_EVENTS, digests);
    set_real(figures, "record_s", seconds_since(start));
    set_real(figures, "record_cpu_s", cpu_seconds() - cpu);
    sl_json_set_int(figures, "record_batches", batches);
    sl_json_set_int(figures, "record_events", (int64_t)(rig->ledger->len - from));
    sl_json_set_int(figures, "promotions", succeeded(rig, from));
    from = rig->ledger->len;
    for (unsigned round = 2; rig->ledger->len < events; round++)
        push_round(rig, apps, round);
    if (rig->ledger->len > from)
        record(ledger, rig, from, BATCH_EVENTS * 4, none);
    bench_fold(figures, rig, ledger);
    rig_free(rig);
}

int main(int argc, char **argv)
{
    unsigned batches = argc > 1 ? (unsigned)g_ascii_strtoull(argv[1], NULL, 10) : 500;
    unsigned apps = argc > 2 ? (unsigned)g_ascii_strtoull(argv[2], NULL, 10) : 1000;
    unsigned events = argc > 3 ? (unsigned)g_ascii_strtoull(argv[3], NULL, 10) : 100000;
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("sluice-bench-XXXXXX", &error);
    must(dir != NULL, error);
    g_autoptr(json_t) figures = json_object();
    bench_append(figures, dir, batches);
    bench_promotions(figures, dir, apps, events);
    must(sl_dir_remove_tree(dir, &error), error);
    g_autofree char *text = sl_json_canonical(figures, &error);
    must(text != NULL, error);
    puts(text);
    return 0;
}
