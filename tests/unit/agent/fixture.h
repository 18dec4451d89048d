/* fixture.h - an engine with real programs for tests: a scratch folder, a loop, what the engine
 * said. Waits are for events, with a deadline; nothing sleeps. */
#pragma once
#include "agent/store/models.h"
#include "base/digest.h"
#include "core/run.h"
#include "runtime/atomicfile.h"
#include "runtime/loop.h"
#include "runtime/workq.h"
#include "sluice/engine.h"
#include "tests/unit/wait.h"
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of an API server for the engine `kubernetes`. */
#define FIX_KUBECONFIG "SLUICE_TEST_KUBECONFIG"
#define WAIT_US (20 * SL_SECOND_US)

typedef struct {
    char *dir, *state, *store;
    SlLoop *loop;
    SlWorkq *queue;
    SlModelCache *models;
    const SlEngineOps *ops;
    SlEngine *engine;
    SlEngineEvents events;
    json_t *options;
    GHashTable *blobs;   /* digest -> GBytes* */
    GHashTable *applied; /* name -> error message or "" */
    GPtrArray *answers;  /* digests that applied() named, one after the other */
    GHashTable *removed; /* name -> message */
    GHashTable *health;  /* name -> "Healthy Reason message" */
    GHashTable *records; /* run id -> json */
    GHashTable *ends;    /* run id -> json */
    unsigned end_count;
} Fix;

static inline void fix_applied(void *user, const SlEngineRef *ref, const char *digest,
                               const GError *error)
{
    g_ptr_array_add(((Fix *)user)->answers, g_strdup(digest));
    g_hash_table_replace(((Fix *)user)->applied, g_strdup(ref->name),
                         g_strdup(error ? error->message : ""));
}
static inline void fix_removed(void *user, const SlEngineRef *ref, const GError *error)
{
    g_hash_table_replace(((Fix *)user)->removed, g_strdup(ref->name),
                         g_strdup(error ? error->message : ""));
}
static inline void fix_observed(void *user, const SlEngineRef *ref, SlHealth health,
                                const char *reason, const char *message)
{
    static const char *const names[] = {"Healthy", "Suspended", "Progressing",
                                        "Missing", "Degraded",  "Unknown"};
    char *text = g_strdup_printf("%s %s %s", names[health], reason, message);
    if (g_getenv("FIX_VERBOSE"))
        g_printerr("# %s: %s\n", ref->name, text);
    g_hash_table_replace(((Fix *)user)->health, g_strdup(ref->name), text);
}
static inline void fix_run(void *user, const char *run_id, const json_t *record)
{
    g_hash_table_replace(((Fix *)user)->records, g_strdup(run_id), json_deep_copy(record));
}
static inline void fix_ended(void *user, const char *run_id, const json_t *end)
{
    Fix *f = user;
    f->end_count++;
    g_hash_table_replace(f->ends, g_strdup(run_id), json_deep_copy(end));
}
static inline GBytes *fix_blob(const char *digest, void *user)
{
    return g_hash_table_lookup(((Fix *)user)->blobs, digest);
}

static inline void fix_open(Fix *f)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *cache = g_build_filename(f->dir, "models", NULL);
    f->loop = sl_loop_new();
    f->queue = sl_workq_new(f->loop, 2, 64);
    SlModelCacheConfig models = {.store_dir = f->store, .cache_dir = cache, .queue = f->queue};
    f->models = sl_models_open(&models, &error);
    g_assert_no_error(error);
    f->events = (SlEngineEvents){f, fix_applied, fix_removed, fix_observed, fix_run, fix_ended};
    SlEngineConfig config = {.state_dir = f->state,
                             .cluster = "dev1",
                             .options = f->options,
                             .exec_path = SLUICE_BIN_DIR "/sluice-exec",
                             .loop = f->loop,
                             .clock = &sl_clock_real,
                             .models = f->models,
                             .blob = fix_blob,
                             .blob_user = f,
                             .events = &f->events};
    f->engine = f->ops->open(&config, &error);
    g_assert_no_error(error);
}

static inline void fix_close(Fix *f)
{
    f->ops->close(f->engine);
    sl_workq_free(f->queue);
    sl_models_close(f->models);
    sl_loop_free(f->loop);
}

/* The agent was killed and came back: nothing is told to the engine. */
static inline void fix_restart(Fix *f)
{
    fix_close(f);
    g_hash_table_remove_all(f->health);
    g_hash_table_remove_all(f->records);
    g_hash_table_remove_all(f->ends);
    fix_open(f);
}

static inline Fix *fix_new(const char *engine)
{
    Fix *f = g_new0(Fix, 1);
    f->dir = g_dir_make_tmp("sluice-test-XXXXXX", NULL);
    f->state = g_build_filename(f->dir, "state", NULL);
    f->store = g_build_filename(f->dir, "store", NULL);
    g_assert_cmpint(mkdir(f->state, 0700), ==, 0);
    g_assert_cmpint(mkdir(f->store, 0700), ==, 0);
    f->options = json_object();
    if (strcmp(engine, "process") == 0) {
        unsigned low = 20000 + (unsigned)getpid() % 100 * 100;
        g_autofree char *ports = g_strdup_printf("%u-%u", low, low + 99);
        json_object_set_new(f->options, "ports", json_string(ports));
    }
    if (strcmp(engine, "kubernetes") == 0) {
        json_object_set_new(f->options, "kubeconfig", json_string(g_getenv(FIX_KUBECONFIG)));
    }
    f->ops = sl_engine_find(engine);
    g_assert_nonnull(f->ops);
    f->blobs =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    f->applied = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    f->answers = g_ptr_array_new_with_free_func(g_free);
    f->removed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    f->health = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    f->records =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)json_decref);
    f->ends = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)json_decref);
    fix_open(f);
    return f;
}

static inline void fix_free(Fix *f)
{
    fix_close(f);
    (void)!sl_dir_remove_tree(f->dir, NULL);
    g_hash_table_unref(f->blobs);
    g_hash_table_unref(f->applied);
    g_ptr_array_unref(f->answers);
    g_hash_table_unref(f->removed);
    g_hash_table_unref(f->health);
    g_hash_table_unref(f->records);
    g_hash_table_unref(f->ends);
    json_decref(f->options);
    g_free(f->dir);
    g_free(f->state);
    g_free(f->store);
    g_free(f);
}

/* Turns the loop until @expression holds; fails the test after WAIT_US. */
#define FIX_UNTIL(f, expression) wait_within((f)->loop, WAIT_US, expression)

static inline bool fix_health_is(Fix *f, const char *name, const char *prefix)
{
    const char *text = g_hash_table_lookup(f->health, name);
    return text && g_str_has_prefix(text, prefix);
}

static inline json_t *fix_json(const char *text)
{
    json_error_t why;
    json_t *j = json_loads(text, 0, &why);
    if (!j)
        g_error("test JSON: %s: %s", why.text, text);
    return j;
}

/* {"kind","metadata":{"name"},"spec": @spec} */
static inline json_t *fix_object(const char *kind, const char *name, const char *spec)
{
    json_t *object = json_object(), *metadata = json_object();
    json_object_set_new(object, "apiVersion", json_string(SL_API_VERSION));
    json_object_set_new(object, "kind", json_string(kind));
    json_object_set_new(metadata, "name", json_string(name));
    json_object_set_new(object, "metadata", metadata);
    json_object_set_new(object, "spec", fix_json(spec));
    return object;
}

static inline char *fix_add_blob(Fix *f, const char *text)
{
    char *digest = sl_sha256_hex(text, strlen(text));
    g_hash_table_replace(f->blobs, g_strdup(digest), g_bytes_new(text, strlen(text)));
    return digest;
}

static inline void fix_apply(Fix *f, const char *kind, const char *name,
                             json_t *object /* consumed */)
{
    g_autofree char *digest = sl_json_digest(object);
    SlEngineApply what = {.ref = {"app", kind, "-", name},
                          .object = object,
                          .digest = digest,
                          .env = "dev",
                          .cluster = "dev1"};
    g_hash_table_remove(f->applied, name);
    f->ops->apply(f->engine, &what);
    json_decref(object);
    FIX_UNTIL(f, g_hash_table_contains(f->applied, name));
}

static inline char *fix_run_id(const char *word)
{
    return sl_sha256_hex(word, strlen(word));
}

static inline void fix_start(Fix *f, const char *id, json_t *object /* consumed */)
{
    g_autofree char *digest = sl_json_digest(object), *key = sl_sha256_hex("key", 3);
    SlEngineRun run = {.run_id = id,
                       .run_key = key,
                       .app = "app",
                       .env = "dev",
                       .cluster = "dev1",
                       .job = "train",
                       .object = object,
                       .digest = digest};
    f->ops->run_start(f->engine, &run);
    json_decref(object);
}

static inline const json_t *fix_wait_end(Fix *f, const char *id)
{
    FIX_UNTIL(f, g_hash_table_contains(f->ends, id));
    return g_hash_table_lookup(f->ends, id);
}

static inline void fix_write(const char *path, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *folder = g_path_get_dirname(path);
    bool ok = sl_dir_make(folder, 0755, &error) &&
              sl_file_write_atomic(path, text, strlen(text), 0600, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
}

/* Whole text of a small file, "" if it is not there. */
static inline char *fix_read(const char *path)
{
    g_autoptr(GBytes) bytes = sl_file_read(path, 1 << 20, NULL);
    return bytes ? g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes)) : g_strdup("");
}

/* Answer of a server to one line, with the connection closed after it; NULL if nobody answers. */
static inline char *fix_ask(uint16_t port, const char *line)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 3};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char bytes[4096];
    size_t len = 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        send(fd, line, strlen(line), MSG_NOSIGNAL) > 0)
        for (ssize_t n;
             len < sizeof bytes - 1 && (n = recv(fd, bytes + len, sizeof bytes - 1 - len, 0)) > 0;)
            len += (size_t)n;
    close(fd);
    bytes[len] = '\0';
    return len ? g_strdup(bytes) : NULL;
}
