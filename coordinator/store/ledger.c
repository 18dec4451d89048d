/* ledger.c - see ledger.h. One writer handle, used by one thread at a time. It decides nothing and
 * never rewrites a file. */
#include "coordinator/store/ledger.h"
#include "base/auto.h"
#include "base/digest.h"
#include "base/text.h"
#include "runtime/atomicfile.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SUBJECT_EVENTS_MAX 6 /* event names in a commit's subject */
/* Whatever sl_json_canonical writes must be read back at the next start, or the fleet has lost its
 * state: depth above the writer's own limit (128), as many values as a batch has bytes. */
#define REPLAY_DEPTH_MAX 160

struct SlLedger {
    SlGitStore *store;
    const char *line; /* of the event that is being replayed */
    size_t line_len;
};

SlLedger *sl_ledger_open(const char *state_git, GError **error)
{
    SlGitStore *store = sl_git_store_open(state_git, false, error);
    if (store == NULL)
        return NULL;
    SlLedger *ledger = g_new0(SlLedger, 1);
    ledger->store = store;
    return ledger;
}

void sl_ledger_free(SlLedger *ledger)
{
    if (ledger == NULL)
        return;
    sl_git_store_free(ledger->store);
    g_free(ledger);
}

SlGitStore *sl_ledger_store(SlLedger *ledger)
{
    return ledger->store;
}

static int64_t time_of(const json_t *event)
{
    const char *at = sl_json_str(event, "at");
    int64_t us = 0;
    return at != NULL && sl_parse_time(at, &us) ? us : 0;
}

static char *batch_path(const json_t *first)
{
    time_t seconds = (time_t)(time_of(first) / 1000000);
    struct tm utc = {0};
    gmtime_r(&seconds, &utc);
    return g_strdup_printf("%04d/%02d/%02d/%02d/%02d/%" G_GINT64_FORMAT, utc.tm_year + 1900,
                           utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
                           sl_json_int(first, "seq", 0));
}

static void describe(GString *message, const json_t *event)
{
    const char *app = sl_json_str(event, "app"), *env = sl_json_str(event, "env");
    g_string_append_printf(message, "%" G_GINT64_FORMAT " %s", sl_json_int(event, "seq", 0),
                           sl_json_str_or(event, "type", "?"));
    if (app != NULL && env != NULL)
        g_string_append_printf(message, " %s/%s", app, env);
    else if (app != NULL || env != NULL)
        g_string_append_printf(message, " %s", app != NULL ? app : env);
}

/* "31 Committed digits/prod; 32 Health ..." so that git log alone tells the story. */
static char *commit_message(const GPtrArray *events)
{
    GString *message = g_string_new(NULL);
    for (guint i = 0; i < events->len && i < SUBJECT_EVENTS_MAX; i++) {
        g_string_append(message, i > 0 ? "; " : "");
        describe(message, events->pdata[i]);
    }
    if (events->len > SUBJECT_EVENTS_MAX)
        g_string_append_printf(message, "; and %u more", events->len - SUBJECT_EVENTS_MAX);
    g_string_append_c(message, '\n');
    return g_string_free(message, FALSE);
}

typedef struct {
    GArray *updates; /* of git_tree_update */
    GPtrArray *paths;
} Updates;

static bool add_file(SlLedger *ledger, Updates *updates, char *path /* taken */, const void *bytes,
                     size_t len, GError **error)
{
    g_ptr_array_add(updates->paths, path);
    git_tree_update update = {
        .action = GIT_TREE_UPDATE_UPSERT, .filemode = GIT_FILEMODE_BLOB, .path = path};
    if (!sl_git_store_blob(ledger->store, bytes, len, &update.id, error))
        return false;
    g_array_append_val(updates->updates, update);
    return true;
}

/* Lines of the events from *@at on, as many as one file may have. */
static bool add_events(SlLedger *ledger, const GPtrArray *events, guint *at, Updates *updates,
                       GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    const json_t *first = events->pdata[*at];
    for (; *at < events->len; ++*at) {
        g_autofree char *line = sl_json_canonical(events->pdata[*at], error);
        if (line == NULL)
            return false;
        size_t len = strlen(line) + 1;
        if (len > SL_LEDGER_BATCH_MAX)
            return sl_throw(error, SLU_LIMIT, "an event of %zu bytes", len);
        if (text->len + len > SL_LEDGER_BATCH_MAX)
            break;
        g_string_append(text, line);
        g_string_append_c(text, '\n');
    }
    return add_file(ledger, updates, batch_path(first), text->str, text->len, error);
}

static bool gather_files(SlLedger *ledger, const GPtrArray *events, GHashTable *blobs,
                         Updates *updates, GError **error)
{
    bool good = true;
    for (guint at = 0; good && at < events->len;)
        good = add_events(ledger, events, &at, updates, error);
    GHashTableIter iter;
    gpointer digest = NULL, bytes = NULL;
    if (blobs != NULL)
        g_hash_table_iter_init(&iter, blobs);
    while (good && blobs != NULL && g_hash_table_iter_next(&iter, &digest, &bytes)) {
        gsize len = 0;
        const void *data = g_bytes_get_data(bytes, &len);
        good = add_file(ledger, updates,
                        g_strdup_printf("maps/%.2s/%s", (char *)digest, (char *)digest),
                        len > 0 ? data : "", len, error);
    }
    return good;
}

static bool make_tree(SlLedger *ledger, const git_oid *tip, const Updates *updates, git_oid *ret,
                      GError **error)
{
    git_repository *repo = sl_git_store_repo(ledger->store);
    g_autoptr(git_commit) commit = NULL;
    g_autoptr(git_tree) base = NULL;
    git_treebuilder *empty = NULL;
    git_oid oid;
    int rc = 0;
    if (tip != NULL) {
        rc = git_commit_lookup(&commit, repo, tip);
        if (rc == 0)
            rc = git_commit_tree(&base, commit);
    } else {
        rc = git_treebuilder_new(&empty, repo, NULL);
        if (rc == 0)
            rc = git_treebuilder_write(&oid, empty);
        if (rc == 0)
            rc = git_tree_lookup(&base, repo, &oid);
        git_treebuilder_free(empty);
    }
    if (rc == 0)
        rc = git_tree_create_updated(ret, repo, base, updates->updates->len,
                                     (git_tree_update *)(void *)updates->updates->data);
    return rc == 0 || sl_git_throw(error, SLU_LEDGER_APPEND, "making the ledger's tree");
}

static bool append(SlLedger *ledger, const GPtrArray *events, GHashTable *blobs, GError **error)
{
    g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(git_tree_update));
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    Updates updates = {.updates = list, .paths = paths};
    git_oid tip, tree, commit;
    bool have = false;
    if (!sl_git_store_tip(ledger->store, SL_LEDGER_REF, &have, &tip, error) ||
        !gather_files(ledger, events, blobs, &updates, error) ||
        !make_tree(ledger, have ? &tip : NULL, &updates, &tree, error))
        return false;
    g_autofree char *message = commit_message(events);
    return sl_git_store_commit(ledger->store, &tree, have ? &tip : NULL,
                               time_of(events->pdata[events->len - 1]), message, &commit, error) &&
           sl_git_store_flush(ledger->store, &commit, error) &&
           sl_git_store_move(ledger->store, SL_LEDGER_REF, have ? &tip : NULL, &commit, error);
}

bool sl_ledger_append(SlLedger *ledger, const GPtrArray *events, GHashTable *blobs, GError **error)
{
    g_autoptr(GError) inner = NULL;
    if (append(ledger, events, blobs, &inner))
        return true;
    sl_git_store_discard(ledger->store);
    bool room = inner->code == SLU_STORAGE_FULL;
    return sl_throw(error, room ? SLU_STORAGE_FULL : SLU_LEDGER_APPEND, "%s", inner->message);
}

/* Everything of the new repository: libgit2 syncs objects and refs, not what init made around
 * them. */
static bool sync_all(const char *dir, GError **error)
{
    sl_autofd fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return (fd >= 0 && syncfs(fd) == 0) ||
           sl_throw(error, SLU_LEDGER_APPEND, "%s: %s", dir, g_strerror(errno));
}

static bool write_first(const char *dir, const json_t *first_event, GError **error)
{
    g_autoptr(SlLedger) ledger = g_new0(SlLedger, 1);
    git_oid tip;
    bool there = false;
    ledger->store = sl_git_store_open(dir, true, error);
    if (ledger->store == NULL ||
        !sl_git_store_tip(ledger->store, SL_LEDGER_REF, &there, &tip, error))
        return false;
    if (there)
        return sl_throw(error, SLU_LEDGER_EXISTS, "%s: there is a ledger already", dir);
    g_autoptr(GPtrArray) events = g_ptr_array_new();
    g_ptr_array_add(events, (json_t *)first_event);
    return sl_ledger_append(ledger, events, NULL, error) && sync_all(dir, error);
}

/* A repository that was half made when the power went looks like one to libgit2 and not to git, so
 * it gets its name when it is whole; one that a person made there before is taken as it is. */
bool sl_ledger_create(const char *state_git, const json_t *first_event, GError **error)
{
    if (g_file_test(state_git, G_FILE_TEST_EXISTS))
        return write_first(state_git, first_event, error);
    g_autofree char *making = g_strconcat(state_git, ".new", NULL);
    g_autofree char *above = g_path_get_dirname(state_git);
    if (!sl_dir_remove_tree(making, error) || !write_first(making, first_event, error))
        return false;
    return (rename(making, state_git) == 0 ||
            sl_throw(error, SLU_LEDGER_APPEND, "%s: %s", state_git, g_strerror(errno))) &&
           sync_all(above, error);
}

/* ---- replay ---- */

typedef struct {
    uint64_t first;
    git_oid oid;
    char *path;
} Batch;

typedef struct {
    GArray *batches;
    char *bad;
} Scan;

static int note_batch(const char *root, const git_tree_entry *entry, void *payload)
{
    Scan *scan = payload;
    if (git_tree_entry_type(entry) == GIT_OBJECT_TREE)
        return *root == '\0' && strcmp(git_tree_entry_name(entry), "maps") == 0
                   ? 1
                   : 0; /* 1: not below it */
    Batch batch = {.oid = *git_tree_entry_id(entry),
                   .path = g_strconcat(root, git_tree_entry_name(entry), NULL)};
    if (!sl_parse_uint64(git_tree_entry_name(entry), &batch.first)) {
        g_free(scan->bad);
        scan->bad = batch.path;
        return -1;
    }
    g_array_append_val(scan->batches, batch);
    return 0;
}

static int by_first(gconstpointer a, gconstpointer b)
{
    const Batch *left = a, *right = b;
    return left->first < right->first ? -1 : left->first > right->first;
}

static void clear_batch(void *batch)
{
    g_free(((Batch *)batch)->path);
}

const char *sl_ledger_line(const SlLedger *ledger, size_t *ret_len)
{
    *ret_len = ledger->line_len;
    return ledger->line;
}

static bool replay_lines(SlLedger *ledger, const Batch *batch, const char *text, size_t len,
                         uint64_t *next, SlLedgerEach each, void *user, GError **error)
{
    size_t line_no = 0;
    if (batch->first != *next)
        return sl_throw(error, SLU_LEDGER_READ, "%s: event %" G_GUINT64_FORMAT " should come next",
                        batch->path, *next);
    for (const char *end = text + len; text < end;) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        line_no++;
        if (stop == NULL)
            return sl_throw(error, SLU_LEDGER_READ, "%s:%zu: the line has no end", batch->path,
                            line_no);
        SlJsonLimits limits = {.bytes_max = SL_LEDGER_BATCH_MAX,
                               .depth_max = REPLAY_DEPTH_MAX,
                               .nodes_max = SL_LEDGER_BATCH_MAX};
        g_autoptr(json_t) event =
            sl_json_parse(text, (size_t)(stop - text), &limits, batch->path, error);
        if (event == NULL)
            return sl_prefix(error, "line %zu", line_no);
        if (sl_json_int(event, "seq", -1) != (int64_t)*next)
            return sl_throw(error, SLU_LEDGER_READ, "%s:%zu: seq is not %" G_GUINT64_FORMAT,
                            batch->path, line_no, *next);
        ledger->line = text;
        ledger->line_len = (size_t)(stop - text);
        bool good = each(event, user, error);
        ledger->line = NULL;
        ledger->line_len = 0;
        if (!good)
            return false;
        (*next)++;
        text = stop + 1;
    }
    return true;
}

bool sl_ledger_replay(SlLedger *ledger, SlLedgerEach each, void *user, GError **error)
{
    git_repository *repo = sl_git_store_repo(ledger->store);
    git_oid tip;
    g_autoptr(git_commit) commit = NULL;
    g_autoptr(git_tree) tree = NULL;
    bool there = false;
    if (!sl_git_store_tip(ledger->store, SL_LEDGER_REF, &there, &tip, error))
        return sl_prefix(error, "the branch of the ledger");
    if (!there)
        return sl_throw(error, SLU_LEDGER_MISSING,
                        "the state repository has no branch sluice/ledger");
    if (git_commit_lookup(&commit, repo, &tip) < 0 || git_commit_tree(&tree, commit) < 0)
        return sl_git_throw(error, SLU_LEDGER_READ, "reading the ledger's tip");
    Scan scan = {.batches = g_array_new(FALSE, FALSE, sizeof(Batch))};
    g_autoptr(GArray) batches = scan.batches;
    g_autofree char *bad = NULL;
    g_array_set_clear_func(batches, clear_batch);
    int rc = git_tree_walk(tree, GIT_TREEWALK_PRE, note_batch, &scan);
    bad = scan.bad;
    if (bad != NULL)
        return sl_throw(error, SLU_LEDGER_READ, "%s: this file does not belong into a ledger", bad);
    if (rc < 0)
        return sl_git_throw(error, SLU_LEDGER_READ, "walking the ledger");
    g_array_sort(batches, by_first);
    uint64_t next = 1;
    for (guint i = 0; i < batches->len; i++) {
        const Batch *batch = &g_array_index(batches, Batch, i);
        g_autoptr(GBytes) bytes = sl_git_blob_bytes(repo, &batch->oid);
        if (bytes == NULL)
            return sl_git_throw(error, SLU_LEDGER_READ, batch->path);
        if (!replay_lines(ledger, batch, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes),
                          &next, each, user, error))
            return false;
    }
    return true;
}

GBytes *sl_ledger_map(SlLedger *ledger, const char *digest)
{
    git_repository *repo = sl_git_store_repo(ledger->store);
    git_oid tip;
    g_autoptr(git_commit) commit = NULL;
    g_autoptr(git_tree) tree = NULL;
    g_autoptr(git_tree_entry) entry = NULL;
    bool there = false;
    if (!sl_is_hex_digest(digest) ||
        !sl_git_store_tip(ledger->store, SL_LEDGER_REF, &there, &tip, NULL) || !there)
        return NULL;
    g_autofree char *path = g_strdup_printf("maps/%.2s/%s", digest, digest);
    if (git_commit_lookup(&commit, repo, &tip) < 0 || git_commit_tree(&tree, commit) < 0 ||
        git_tree_entry_bypath(&entry, tree, path) < 0)
        return NULL;
    g_autoptr(GBytes) bytes = sl_git_blob_bytes(repo, git_tree_entry_id(entry));
    g_autofree char *found = bytes != NULL ? sl_sha256_hex_bytes(bytes) : NULL;
    return g_strcmp0(found, digest) == 0 ? g_steal_pointer(&bytes) : NULL;
}
