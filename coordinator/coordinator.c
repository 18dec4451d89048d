/* coordinator.c - the owner of every part: what is opened and checked in which order at start, and
 * let go in reverse. */
#include "coordinator/coordinator.h"
#include "base/auto.h"
#include "base/text.h"
#include "runtime/atomicfile.h"
#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <string.h>
#include <sys/eventfd.h>

#define LOCK_TRIES 20
#define LOCK_WAIT_MS 50

static GBytes *lend_blob(const char *digest, void *user)
{
    SlCoordinator *c = user;
    g_clear_pointer(&c->lent, g_bytes_unref);
    c->lent = sl_turn_blob(c, digest);
    return c->lent;
}

static bool check_folder(const SlConfig *config, GError **error)
{
    if (!g_file_test(config->dir, G_FILE_TEST_IS_DIR))
        return sl_throw(error, SLU_CONFIG_MISSING, "%s: there is no such folder", config->dir);
    if (access(config->dir, W_OK) != 0)
        return sl_throw(error, SLU_STATE_READ_ONLY, "%s: %s", config->dir, g_strerror(errno));
    return true;
}

/* A process that was killed a moment ago may still be on its way out. */
static bool take_lock(SlCoordinator *c, GError **error)
{
    for (int tries = 0; tries < LOCK_TRIES; tries++) {
        g_autoptr(GError) inner = NULL;
        if (sl_dir_lock(c->config->dir, &c->lock_fd, &inner))
            return true;
        bool taken = sl_error_class(inner) == SL_CLASS_CONFLICT;
        if (taken && tries + 1 < LOCK_TRIES) {
            poll(NULL, 0, LOCK_WAIT_MS);
            continue;
        }
        if (taken)
            return sl_throw(error, SLU_CONFIG_LOCKED, "%s", inner->message);
        g_propagate_error(error, g_steal_pointer(&inner));
        return false;
    }
    return false;
}

static bool open_store(SlCoordinator *c, GError **error)
{
    const SlConfig *config = c->config;
    g_autoptr(GError) cache_error = NULL;
    sl_git_store_unlock(config->state_git);
    c->ledger = sl_ledger_open(config->state_git, error);
    if (c->ledger == NULL)
        return false;
    c->reader = sl_ledger_open(config->state_git, error);
    c->blobs = c->reader != NULL ? sl_blobs_new(config->blobs_dir, error) : NULL;
    if (c->blobs == NULL || !sl_dir_make(config->sources_dir, 0700, error))
        return false;
    sl_blobs_trim(c->blobs, SL_BLOBS_BYTES_MAX);
    c->cache = sl_cache_open(config->cache_file, &cache_error);
    if (c->cache == NULL)
        sl_log_error(c->log, "history-off", cache_error); /* a cache: everything else goes on */
    return true;
}

/* The key that signs heads must be one that the root names: anything else would make a fleet that
 * agents refuse. */
static bool check_online_key(SlCoordinator *c, GError **error)
{
    g_autoptr(json_t) args = json_object();
    g_autoptr(json_t) view = sl_coord_view(c->brain, "roots", args, sl_now_us(c), error);
    json_t *roots = json_object_get(view, "roots");
    const char *text = sl_json_str(json_array_get(roots, json_array_size(roots) - 1), "text");
    if (text == NULL)
        return error == NULL || *error != NULL
                   ? false
                   : sl_throw(error, SLU_SELF_CHECK, "the ledger has no root");
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
    SlRoot *root = sl_root_parse(bytes, error);
    if (root == NULL)
        return false;
    g_autoptr(SlPublicKey) key = sl_public_key_from_ed25519(c->online + 32);
    bool listed = sl_root_is_online_key(root, key);
    sl_root_free(root);
    g_autofree char *print = sl_public_key_fingerprint(key);
    return listed ||
           sl_throw(error, SLU_CONFIG_KEY, "%s: the key %s is no online key of the root in force",
                    c->config->online_key, print);
}

static bool fold(SlCoordinator *c, GError **error)
{
    SlCoordConfig config = {.online_secret = c->online,
                            .blobs = {.get = lend_blob, .user = c},
                            .owner_person = c->config->person};
    c->brain = sl_coord_new(&config);
    c->committed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    SlReplay replay = {.config = c->config,
                       .online = c->online,
                       .ledger = c->reader,
                       .blobs = c->blobs,
                       .until_us = INT64_MAX,
                       .committed = c->committed};
    return sl_replay_into(c->brain, &replay, error) && check_online_key(c, error);
}

SlCoordinator *sl_coordinator_new(const SlConfig *config, SlLoop *loop, SlLog *log, GError **error)
{
    g_autoptr(SlCoordinator) c = g_new0(SlCoordinator, 1);
    c->config = (SlConfig *)config;
    c->loop = loop;
    c->log = log;
    c->lock_fd = c->inotify = -1;
    c->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    c->polls = g_ptr_array_new();
    c->started_us = sl_now_us(c);
    sl_turn_init(c);
    sl_lent_docs_init(&c->lent_docs);
    sl_append_init(c);
    sl_history_init(c);
    sl_finds_init(c);
    if (!check_folder(config, error) || !take_lock(c, error))
        return NULL;
    sl_space_init(c);
    if (!sl_signing_key_load(config->online_key, false, "", c->online, error) ||
        !sl_curve_keys_load(config->curve_key, false, &c->curve, error))
        return NULL;
    if (!open_store(c, error) || !fold(c, error))
        return NULL;
    c->store_queue = sl_workq_new(loop, 1, SL_WORK_QUEUE_MAX);
    c->work_queue = sl_workq_new(loop, SL_WORKERS, SL_WORK_QUEUE_MAX);
    return g_steal_pointer(&c);
}

bool sl_coordinator_start(SlCoordinator *c, GError **error)
{
    if (!sl_agents_start(c, error))
        return false;
    SlApiConfig api = {.loop = c->loop,
                       .socket_path = c->config->api_socket,
                       .listen = c->config->api_listen,
                       .request_us = c->config->api_request_us,
                       .owner_person = c->config->person,
                       .ops = &sl_people_ops,
                       .user = c};
    c->api = sl_api_new(&api, error);
    if (c->api == NULL)
        return false;
    SlCoordInput start = {.type = SL_COORD_START};
    sl_turn_input(c, &start);
    sl_branches_start(c);
    sl_polls_start(c);
    sl_repacks_start(c);
    sl_push_soon(c);
    sl_space_start(c);
    return true;
}

void sl_coordinator_free(SlCoordinator *c)
{
    if (c == NULL)
        return;
    c->failed = true; /* nothing that ends now becomes an input */
    if (c->stop_fd >= 0)
        eventfd_write(c->stop_fd, 1);
    sl_repacks_free(c);
    sl_branches_free(c);
    sl_workq_free(c->work_queue);
    sl_workq_free(c->store_queue);
    sl_agents_free(c); /* before the API: whoever waits for a log is told */
    sl_api_free(c->api);
    sl_finds_free(c);
    sl_polls_free(c);
    sl_append_free(c);
    sl_turn_clear(c);
    sl_space_free(c);
    sl_history_free(c);
    sl_coord_free(c->brain);
    sl_lent_docs_clear(&c->lent_docs);
    g_clear_pointer(&c->docs_text, g_bytes_unref);
    g_clear_pointer(&c->lent, g_bytes_unref);
    g_clear_pointer(&c->snapshot.bytes, g_bytes_unref);
    g_clear_pointer(&c->committed, g_hash_table_unref);
    sl_cache_free(c->cache);
    sl_blobs_free(c->blobs);
    sl_ledger_free(c->reader);
    sl_ledger_free(c->ledger);
    sl_close_fd(&c->lock_fd);
    sl_close_fd(&c->stop_fd);
    sodium_memzero(c->online, sizeof c->online);
    sodium_memzero(&c->curve, sizeof c->curve);
    g_free(c);
}
