/* coordinator_store.c - the coordinator's stores at every call: the ledger, environment branches with
 * their commit point, the caches. */
#include "base/digest.h"
#include "coordinator/store/blobs.h"
#include "coordinator/store/cache.h"
#include "coordinator/store/envs.h"
#include "coordinator/store/ledger.h"
#include "core/bundle.h"
#include "rounds.h"
#include "runtime/atomicfile.h"
#include "tests/ledger_event.h"
#include <errno.h>
#include <string.h>

#define AT_US INT64_C(1790000000000000)

static char *state_of(const char *dir)
{
    return g_build_filename(dir, "state.git", NULL);
}

static GHashTable *bytes_table(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
}

static char *keep(GHashTable *table, const char *text)
{
    char *digest = sl_sha256_hex(text, strlen(text));
    g_hash_table_insert(table, g_strdup(digest), g_bytes_new(text, strlen(text)));
    return digest;
}

/* ---- ledger ---- */

/* Batches of one life: last seq, and how many maps each brings. The third is a pack. */
static const struct {
    int64_t last;
    unsigned maps;
} batches[] = {{3, 1}, {4, 0}, {24, 40}, {25, 2}, {27, 0}};

static char *map_text(int64_t last, unsigned n)
{
    return g_strdup_printf("cluster %" G_GINT64_FORMAT " %u\n", last, n);
}

static bool append(SlLedger *ledger, int64_t first, int64_t last, unsigned maps, GError **error)
{
    g_autoptr(GPtrArray) events = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
    g_autoptr(GHashTable) blobs = bytes_table();
    for (int64_t seq = first; seq <= last; seq++)
        g_ptr_array_add(events, ledger_event(seq, "Health"));
    for (unsigned n = 0; n < maps; n++) {
        g_autofree char *text = map_text(last, n);
        g_free(keep(blobs, text));
    }
    return sl_ledger_append(ledger, events, blobs, error);
}

static SlLedger *create_ledger(const char *dir, GError **error)
{
    g_autofree char *state = state_of(dir);
    g_autoptr(json_t) first = ledger_event(1, "FleetCreated");
    return sl_ledger_create(state, first, error) ? sl_ledger_open(state, error) : NULL;
}

static bool ledger_live(const char *dir, volatile uint32_t *acked, GError **error)
{
    g_autoptr(SlLedger) ledger = create_ledger(dir, error);
    int64_t first = 2;
    if (ledger == NULL)
        return false;
    *acked = 1;
    for (size_t i = 0; i < G_N_ELEMENTS(batches); i++) {
        if (!append(ledger, first, batches[i].last, batches[i].maps, error))
            return false;
        *acked = (uint32_t)batches[i].last;
        first = batches[i].last + 1;
    }
    return true;
}

static bool note_seq(const json_t *e, void *user, GError **error)
{
    (void)error;
    *(int64_t *)user = sl_json_int(e, "seq", 0);
    return true;
}

/* What is not there and was not promised is made again, as the next start would. */
static SlLedger *reopen(const char *dir, uint32_t acked, int64_t *ret_last)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *state = state_of(dir);
    git_oid tip;
    sl_git_store_unlock(state);
    SlLedger *ledger = sl_ledger_open(state, &error);
    bool there = false;
    if (ledger != NULL) {
        g_assert_true(
            sl_git_store_tip(sl_ledger_store(ledger), SL_LEDGER_REF, &there, &tip, &error));
    }
    if (!there) {
        g_assert_cmpuint(acked, ==, 0);
        g_clear_error(&error);
        sl_ledger_free(ledger);
        ledger = create_ledger(dir, &error);
        g_assert_no_error(error);
    }
    bool good = sl_ledger_replay(ledger, note_seq, ret_last, &error);
    g_assert_no_error(error);
    g_assert_true(good);
    return ledger;
}

/* What git fsck looks at, without its process: every object reads back to its name, and what trees
 * and commits name is there. */
static int read_object(const git_oid *oid, void *user)
{
    g_autoptr(git_odb_object) object = NULL;
    g_assert_cmpint(git_odb_read(&object, user, oid), ==, 0);
    return 0;
}

static void walk_tree(git_repository *repo, const git_oid *oid)
{
    g_autoptr(git_tree) tree = NULL;
    g_autoptr(git_odb) odb = NULL;
    g_assert_cmpint(git_tree_lookup(&tree, repo, oid), ==, 0);
    g_assert_cmpint(git_repository_odb(&odb, repo), ==, 0);
    for (size_t i = 0; i < git_tree_entrycount(tree); i++) {
        const git_tree_entry *entry = git_tree_entry_byindex(tree, i);
        if (git_tree_entry_type(entry) == GIT_OBJECT_TREE)
            walk_tree(repo, git_tree_entry_id(entry));
        else
            g_assert_true(git_odb_exists(odb, git_tree_entry_id(entry)));
    }
}

static void walk_branch(git_repository *repo, const git_oid *tip)
{
    git_oid at = *tip;
    for (bool more = true; more;) {
        g_autoptr(git_commit) commit = NULL;
        g_assert_cmpint(git_commit_lookup(&commit, repo, &at), ==, 0);
        walk_tree(repo, git_commit_tree_id(commit));
        more = git_commit_parentcount(commit) > 0;
        if (more)
            at = *git_commit_parent_id(commit, 0);
    }
}

/* git itself would take the folder for a repository. */
static void looks_like_git(const char *state)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *head = g_build_filename(state, "HEAD", NULL);
    g_autofree char *config = g_build_filename(state, "config", NULL);
    g_autoptr(GBytes) ref = sl_file_read(head, 1000, &error);
    g_assert_no_error(error);
    g_autoptr(GBytes) settings = sl_file_read(config, 10000, &error);
    g_assert_no_error(error);
    g_assert_true(g_bytes_get_size(ref) > 5 &&
                  memcmp(g_bytes_get_data(ref, NULL), "ref: ", 5) == 0);
    g_assert_cmpuint(g_bytes_get_size(settings), >, 10);
}

static void fsck(const char *dir)
{
    static const char *const refs[] = {SL_LEDGER_REF, "refs/heads/sluice/env/prod"};
    g_autofree char *state = state_of(dir);
    g_autoptr(GError) error = NULL;
    looks_like_git(state);
    g_autoptr(git_repository) repo = sl_git_open(state, false, &error); /* nothing in memory */
    g_autoptr(git_odb) odb = NULL;
    g_assert_no_error(error);
    g_assert_cmpint(git_repository_odb(&odb, repo), ==, 0);
    g_assert_cmpint(git_odb_foreach(odb, read_object, odb), ==, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(refs); i++) {
        git_oid tip;
        if (git_reference_name_to_id(&tip, repo, refs[i]) == 0)
            walk_branch(repo, &tip);
    }
}

static void ledger_check(const char *dir, uint32_t acked)
{
    g_autoptr(GError) error = NULL;
    int64_t last = 0, again = 0;
    bool whole = false;
    g_autoptr(SlLedger) ledger = reopen(dir, acked, &last);
    g_assert_cmpint(last, >=, acked);
    for (size_t i = 0; i < G_N_ELEMENTS(batches); i++) {
        whole = whole || last == batches[i].last;
        for (unsigned n = 0; last >= batches[i].last && n < batches[i].maps; n++) {
            g_autofree char *text = map_text(batches[i].last, n),
                            *digest = sl_sha256_hex(text, strlen(text));
            g_autoptr(GBytes) bytes = sl_ledger_map(ledger, digest);
            g_assert_nonnull(bytes);
        }
    }
    g_assert_true(whole || last == 1); /* a batch is there or not */
    bool more = append(ledger, last + 1, last + 2, 1, &error);
    g_assert_no_error(error);
    g_assert_true(more && sl_ledger_replay(ledger, note_seq, &again, NULL));
    g_assert_cmpint(again, ==, last + 2);
    fsck(dir);
}

/* ---- environment branches ---- */

static GHashTable *published; /* digest -> GBytes*, of all bundles below */

static GBytes *get_bytes(const char *digest, void *user)
{
    (void)user;
    GBytes *bytes = g_hash_table_lookup(published, digest);
    return bytes != NULL ? g_bytes_ref(bytes) : NULL;
}

/* One ConfigMap and @files files; more than a few make a pack. */
static char *make_bundle(unsigned version, unsigned files)
{
    g_autofree char *json =
        g_strdup_printf("{\"apiVersion\":\"v1\",\"data\":{\"a\":\"%u\"},\"kind\":\"ConfigMap\","
                        "\"metadata\":{\"name\":\"conf\",\"namespace\":\"web\"}}",
                        version);
    g_autofree char *object = keep(published, json);
    g_autoptr(SlBundle) made = sl_bundle_new();
    sl_bundle_add_object(made, "core/ConfigMap", "web", "conf", strlen(json), object);
    for (unsigned i = 0; i < files; i++) {
        g_autofree char *text = g_strdup_printf("file %u of %u\n", i, version);
        g_autofree char *blob = keep(published, text);
        sl_bundle_add_blob(made, blob, strlen(text));
    }
    GBytes *list = sl_bundle_format(made);
    char *digest = sl_sha256_hex_bytes(list);
    g_hash_table_insert(published, g_strdup(digest), list);
    return digest;
}

static char *write_version(SlGitStore *store, const char *old, unsigned version, GError **error)
{
    g_autofree char *bundle = make_bundle(version, version == 2 ? 40 : 2);
    g_autoptr(GHashTable) targets = g_hash_table_new(g_str_hash, g_str_equal);
    char app[] = "digits", provenance[] = "{}", east[] = "east";
    g_hash_table_insert(targets, east, bundle);
    SlEnvUnit unit = {.app = app, .provenance = provenance, .target_of = targets};
    g_autoptr(GPtrArray) units = g_ptr_array_new();
    g_ptr_array_add(units, &unit);
    SlEnvWrite ask = {.env = "prod",
                      .old = old,
                      .units = units,
                      .message = "digits\n",
                      .time_us = AT_US + version,
                      .get = get_bytes};
    return sl_envs_write(store, &ask, error);
}

static bool commit_event(SlLedger *ledger, int64_t seq, const char *old, const char *new_,
                         GError **error)
{
    json_t *e = ledger_event(seq, "Committed");
    g_autoptr(GPtrArray) events = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
    sl_json_set_str(e, "new", new_);
    if (old != NULL)
        sl_json_set_str(e, "old", old);
    g_ptr_array_add(events, e);
    return sl_ledger_append(ledger, events, NULL, error);
}

/* A full disk is said as such, so that nobody counts it as a try. */
static bool stage(SlGitStore *store, const char *commit, GError **error)
{
    g_autoptr(GError) why = NULL;
    if (sl_envs_stage(store, "prod", commit, &why))
        return true;
    if (strstr(why->message, g_strerror(ENOSPC)) != NULL && strstr(why->message, "sync") == NULL)
        g_assert_error(why, SL_ERROR, SLU_STORAGE_FULL);
    g_propagate_error(error, g_steal_pointer(&why));
    return false;
}

/* The order of docs/ARCHITECTURE.md: objects, staged where there is a remote, COMMITTED, branch. */
static bool publish(SlLedger *ledger, char **tip, unsigned version, int64_t seq, GError **error)
{
    SlGitStore *store = sl_ledger_store(ledger);
    g_autofree char *next = write_version(store, *tip, version, error);
    if (next == NULL || (version == 1 && !stage(store, next, error)) ||
        !commit_event(ledger, seq, *tip, next, error) ||
        !sl_envs_move(store, "prod", *tip, next, error))
        return false;
    g_free(*tip);
    *tip = g_steal_pointer(&next);
    return true;
}

static bool envs_live(const char *dir, volatile uint32_t *acked, GError **error)
{
    published = bytes_table();
    g_autoptr(SlLedger) ledger = create_ledger(dir, error);
    g_autofree char *tip = NULL;
    if (ledger == NULL)
        return false;
    *acked = 1;
    for (unsigned version = 1; version <= 3; version++) {
        if (!publish(ledger, &tip, version, version + 1, error))
            return false;
        *acked = version + 1;
    }
    return true;
}

typedef struct {
    int64_t seq;
    char *old, *new_;
} LastCommit;

static bool note_commit(const json_t *e, void *user, GError **error)
{
    (void)error;
    LastCommit *last = user;
    last->seq = sl_json_int(e, "seq", 0);
    if (strcmp(sl_json_str_or(e, "type", ""), "Committed") != 0)
        return true;
    g_free(last->old);
    g_free(last->new_);
    last->old = g_strdup(sl_json_str(e, "old"));
    last->new_ = g_strdup(sl_json_str(e, "new"));
    return true;
}

static void envs_check(const char *dir, uint32_t acked)
{
    g_autoptr(GError) error = NULL;
    int64_t seq = 0;
    LastCommit last = {0};
    published = bytes_table();
    g_autoptr(SlLedger) ledger = reopen(dir, acked, &seq);
    SlGitStore *store = sl_ledger_store(ledger);
    g_assert_cmpint(seq, >=, acked);
    g_assert_true(sl_ledger_replay(ledger, note_commit, &last, NULL));
    if (last.new_ != NULL) { /* recovery rolls forward */
        bool moved = sl_envs_move(store, "prod", last.old, last.new_, &error);
        g_assert_no_error(error);
        g_autofree char *tip = NULL;
        g_assert_true(sl_envs_tip(store, "prod", &tip, &error));
        g_assert_true(moved);
        g_assert_cmpstr(tip, ==, last.new_);
    }
    for (unsigned version = 1; version < (unsigned)seq; version++)
        g_free(make_bundle(version, version == 2 ? 40 : 2));
    GHashTableIter iter;
    gpointer digest = NULL;
    g_hash_table_iter_init(&iter, published);
    while (g_hash_table_iter_next(&iter, &digest, NULL)) {
        g_autoptr(GBytes) bytes = sl_envs_find(store, digest);
        g_assert_nonnull(bytes);
    }
    g_autofree char *tip = g_strdup(last.new_);
    bool more = publish(ledger, &tip, 9, seq + 1, &error);
    g_assert_no_error(error);
    g_assert_true(more);
    fsck(dir);
}

/* ---- caches: they promise nothing but to be right or absent ---- */

static json_t *cache_rows(void)
{
    return json_pack("[{s:s,s:i},{s:s,s:i}]", "run", "r1", "step", 1, "run", "r1", "step", 2);
}

static bool caches_live(const char *dir, volatile uint32_t *acked, GError **error)
{
    g_autofree char *folder = g_build_filename(dir, "blobs", NULL);
    g_autofree char *file = g_build_filename(dir, "history.sqlite", NULL);
    g_autoptr(SlBlobs) blobs = sl_blobs_new(folder, error);
    g_autoptr(SlCache) cache = sl_cache_open(file, NULL); /* works on without it */
    g_autoptr(GHashTable) table = bytes_table();
    g_autoptr(json_t) rows = cache_rows();
    (void)acked;
    g_free(keep(table, "one\n"));
    g_free(keep(table, "two, a longer one\n"));
    if (cache != NULL && (!sl_cache_add(cache, rows, NULL) || !sl_cache_add(cache, rows, NULL)))
        g_clear_pointer(&cache, sl_cache_free);
    return blobs != NULL && sl_blobs_put_all(blobs, table, error);
}

static void caches_check(const char *dir, uint32_t acked)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *folder = g_build_filename(dir, "blobs", NULL);
    g_autofree char *file = g_build_filename(dir, "history.sqlite", NULL);
    g_autofree char *digest = sl_sha256_hex("one\n", 4);
    g_autoptr(GBytes) whole = g_bytes_new("one\n", 4);
    (void)acked;
    SlBlobs *blobs = sl_blobs_new(folder, &error);
    g_assert_no_error(error);
    GBytes *found = sl_blobs_get(blobs, digest);
    g_assert_true(found == NULL || g_bytes_equal(found, whole));
    g_assert_true(sl_blobs_put(blobs, digest, whole, &error));
    g_autoptr(GBytes) again = sl_blobs_get(blobs, digest);
    g_assert_nonnull(again);
    SlCache *cache = sl_cache_open(file, &error);
    g_assert_no_error(error);
    g_autoptr(json_t) rows = cache_rows();
    g_autoptr(json_t) before = sl_cache_run(cache, "r1");
    g_assert_true(sl_cache_add(cache, rows, &error));
    g_autoptr(json_t) after = sl_cache_run(cache, "r1");
    g_assert_cmpuint(json_array_size(before) % 2, ==, 0); /* a transaction is there or not */
    g_assert_cmpuint(json_array_size(after), ==, json_array_size(before) + 2);
    sl_cache_free(cache);
    sl_blobs_free(blobs);
    if (found != NULL)
        g_bytes_unref(found);
}

int main(int argc, char **argv)
{
    static const CrashScenario scenarios[] = {{"ledger", ledger_live, ledger_check},
                                              {"envs", envs_live, envs_check},
                                              {"caches", caches_live, caches_check},
                                              {0}};
    return crash_main(argc, argv, scenarios);
}
