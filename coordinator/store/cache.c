/* cache.c - see cache.h. */
#include "coordinator/store/cache.h"
#include "base/auto.h"
#include <sqlite3.h>
#include <stdio.h>

#define SCHEMA_VERSION 1
#define BUSY_MS 2000
#define WAL_PAGES_MAX 1000 /* then they go into the file itself */

struct SlCache {
    GMutex lock; /* a worker adds, the loop reads */
    char *path;
    sqlite3 *db; /* NULL after a failed write, until the files could be made anew */
};

static bool throw_db(SlCache *cache, const char *doing, GError **error)
{
    return sl_throw(error, SLU_CACHE_DB, "%s: %s", doing,
                    cache->db != NULL ? sqlite3_errmsg(cache->db) : "no database");
}

static bool run_sql(SlCache *cache, const char *sql)
{
    return sqlite3_exec(cache->db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

static int version_of(SlCache *cache)
{
    sqlite3_stmt *statement = NULL;
    int version = -1;
    if (sqlite3_prepare_v2(cache->db, "PRAGMA user_version", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        version = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    return version;
}

/* In place of SQLite's own, which passes over a failed sync and tries it again later, when the kernel has
 * forgotten the bytes: here the commit fails, and the files with it. */
static int checkpoint(void *user, sqlite3 *db, const char *name, int pages)
{
    (void)user;
    return pages < WAL_PAGES_MAX
               ? SQLITE_OK
               : sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

/* Until the log is there nothing is synced: what is half made is made anew. */
static bool prepare(SlCache *cache)
{
    sqlite3_busy_timeout(cache->db, BUSY_MS);
    sqlite3_db_config(cache->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_wal_hook(cache->db, checkpoint, NULL);
    int version = version_of(cache);
    if (version != 0 && version != SCHEMA_VERSION)
        return false;
    return run_sql(cache, "PRAGMA synchronous=OFF") && run_sql(cache, "PRAGMA journal_mode=WAL") &&
           run_sql(cache, "PRAGMA synchronous=NORMAL") &&
           run_sql(cache, "CREATE TABLE IF NOT EXISTS progress(id INTEGER PRIMARY KEY, run TEXT "
                          "NOT NULL, point TEXT NOT NULL)") &&
           run_sql(cache, "CREATE INDEX IF NOT EXISTS progress_run ON progress(run, id)") &&
           run_sql(cache, "PRAGMA user_version=1");
}

/* The cache is not trusted, and may be dropped at any time. */
static void drop(SlCache *cache)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    sqlite3_close(g_steal_pointer(&cache->db));
    for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++) {
        g_autofree char *file = g_strconcat(cache->path, suffixes[i], NULL);
        unlink(file);
    }
}

static bool open_files(SlCache *cache, GError **error)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        int rc =
            sqlite3_open_v2(cache->path, &cache->db,
                            SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
        if (rc == SQLITE_OK && prepare(cache))
            return true;
        throw_db(cache, cache->path, attempt == 1 ? error : NULL);
        drop(cache);
    }
    return false;
}

SlCache *sl_cache_open(const char *path, GError **error)
{
    g_autoptr(SlCache) cache = g_new0(SlCache, 1);
    g_mutex_init(&cache->lock);
    cache->path = g_strdup(path);
    return open_files(cache, error) ? g_steal_pointer(&cache) : NULL;
}

void sl_cache_free(SlCache *cache)
{
    if (cache == NULL)
        return;
    sqlite3_close(cache->db);
    g_mutex_clear(&cache->lock);
    g_free(cache->path);
    g_free(cache);
}

static bool add_row(sqlite3_stmt *statement, const json_t *row)
{
    const char *run = sl_json_str(row, "run");
    g_autofree char *point = sl_json_canonical(row, NULL);
    if (run == NULL || point == NULL)
        return true;
    sqlite3_reset(statement);
    sqlite3_bind_text(statement, 1, run, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(statement, 2, point, -1, SQLITE_TRANSIENT);
    return sqlite3_step(statement) == SQLITE_DONE;
}

static bool trim(SlCache *cache)
{
    g_autofree char *sql = g_strdup_printf(
        "DELETE FROM progress WHERE id <= (SELECT max(id) FROM progress) - %d", SL_CACHE_ROWS_MAX);
    return run_sql(cache, sql);
}

static bool add(SlCache *cache, const json_t *rows, GError **error)
{
    sqlite3_stmt *statement = NULL;
    if (!run_sql(cache, "BEGIN IMMEDIATE"))
        return throw_db(cache, "begin", error);
    bool good = sqlite3_prepare_v2(cache->db, "INSERT INTO progress(run, point) VALUES(?1, ?2)", -1,
                                   &statement, NULL) == SQLITE_OK;
    size_t index = 0;
    json_t *row = NULL;
    json_array_foreach (rows, index, row)
        good = good && add_row(statement, row);
    sqlite3_finalize(statement);
    if (good && trim(cache) && run_sql(cache, "COMMIT"))
        return true;
    return throw_db(cache, "insert", error);
}

bool sl_cache_add(SlCache *cache, const json_t *rows, GError **error)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&cache->lock);
    if (cache->db == NULL && !open_files(cache, error))
        return false;
    if (add(cache, rows, error))
        return true;
    drop(cache);
    return false;
}

json_t *sl_cache_run(SlCache *cache, const char *run_id)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&cache->lock);
    json_t *points = json_array();
    sqlite3_stmt *statement = NULL;
    if (cache->db == NULL ||
        sqlite3_prepare_v2(cache->db,
                           "SELECT point FROM (SELECT id, point FROM progress WHERE run = ?1 ORDER "
                           "BY id DESC LIMIT ?2) ORDER BY id",
                           -1, &statement, NULL) != SQLITE_OK)
        return points;
    sqlite3_bind_text(statement, 1, run_id, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int(statement, 2, SL_CACHE_RUN_ROWS_MAX);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        json_t *point = text != NULL
                            ? sl_json_parse(text, (size_t)sqlite3_column_bytes(statement, 0), NULL,
                                            "cache", NULL)
                            : NULL;
        if (point != NULL)
            json_array_append_new(points, point);
    }
    sqlite3_finalize(statement);
    return points;
}
