/* prepare.c - a registry of thousands without thousands of enrolments: the same event, the same
 * signature, one append. What is written is folded again before the program says yes. */
#include "base/digest.h"
#include "base/text.h"
#include "coordinator/brain/coord.h"
#include "coordinator/config.h"
#include "coordinator/coordinator.h"
#include "core/digestmap.h"
#include "core/registry.h"
#include "swarm.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    SlConfig *config;
    SlLedger *ledger;
    SlBlobs *blobs;
    SlCoord *brain;
    uint8_t online[64];
    GBytes *lent;
} Store;

static GBytes *lend(const char *digest, void *user)
{
    Store *store = user;
    g_clear_pointer(&store->lent, g_bytes_unref);
    store->lent = sl_ledger_map(store->ledger, digest);
    return store->lent;
}

static bool fold(Store *store, GError **error)
{
    SlCoordConfig config = {.online_secret = store->online,
                            .blobs = {.get = lend, .user = store},
                            .owner_person = store->config->person};
    g_clear_pointer(&store->brain, sl_coord_free);
    store->brain = sl_coord_new(&config);
    SlReplay replay = {.config = store->config,
                       .online = store->online,
                       .ledger = store->ledger,
                       .blobs = store->blobs,
                       .until_us = INT64_MAX};
    return sl_replay_into(store->brain, &replay, error);
}

static bool open_store(Store *store, const char *dir, GError **error)
{
    store->config = sl_config_load(dir, error);
    if (store->config == NULL ||
        !sl_signing_key_load(store->config->online_key, false, "", store->online, error)) {
        return false;
    }
    store->ledger = sl_ledger_open(store->config->state_git, error);
    return store->ledger != NULL && fold(store, error);
}

static void close_store(Store *store)
{
    g_clear_pointer(&store->brain, sl_coord_free);
    sl_ledger_free(store->ledger);
    sl_config_free(store->config);
    g_clear_pointer(&store->lent, g_bytes_unref);
}

static bool add_agent(SlMap *map, const char *seed, unsigned index, GError **error)
{
    SwarmKeys keys;
    char curve[65];
    g_autofree char *name = swarm_name(index);
    g_autoptr(GHashTable) labels = g_hash_table_new(g_str_hash, g_str_equal);
    swarm_keys(seed, index, &keys);
    sl_curve_public_hex(&keys.curve, curve);
    g_autoptr(SlPublicKey) sign = sl_public_key_from_ed25519(keys.secret + 32);
    g_hash_table_insert(labels, (char *)"engine", (char *)"process");
    g_hash_table_insert(labels, (char *)"cluster", name);
    SlCluster cluster = {.id = name,
                         .name = name,
                         .engine = (char *)"process",
                         .sign = sign,
                         .curve = curve,
                         .labels = labels};
    g_autofree char *values = sl_cluster_format(&cluster);
    return sl_map_add(map, name, values, error);
}

static const char *text_of(json_t *view, const char *key)
{
    json_t *list = json_object_get(view, key);
    return sl_json_str(json_array_get(list, json_array_size(list) - 1), "text");
}

/* Fleet id, from the root in force. */
static char *fleet_of(Store *store, GError **error)
{
    g_autoptr(json_t) args = json_object();
    g_autoptr(json_t) view = sl_coord_view(store->brain, "roots", args, 0, error);
    const char *text = view != NULL ? text_of(view, "roots") : NULL;
    if (text == NULL) {
        return NULL;
    }
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
    SlRoot *root = sl_root_parse(bytes, error);
    char *fleet = root != NULL ? g_strdup(root->fleet) : NULL;
    sl_root_free(root);
    return fleet;
}

static bool append(Store *store, const SlSigned *registry, const char *env, const SlMap *map,
                   GError **error)
{
    g_autoptr(GPtrArray) events = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
    g_autoptr(GHashTable) blobs = sl_map_blobs(map);
    g_autofree char *at = sl_format_time(sl_clock_real.utc_us(sl_clock_real.user));
    json_t *event = json_object();
    sl_json_set_str(event, "type", "Registry");
    sl_json_set_str(event, "environment", env);
    json_object_set_new(event, "registry", sl_signed_to_json(registry));
    sl_json_set_int(event, "seq", (int64_t)sl_coord_ledger_seq(store->brain) + 1);
    sl_json_set_str(event, "prev", sl_coord_ledger_hash(store->brain));
    sl_json_set_str(event, "at", at);
    g_ptr_array_add(events, event);
    return sl_ledger_append(store->ledger, events, blobs, error) && fold(store, error);
}

static bool prepare(Store *store, const char *env, const char *seed, unsigned count, GError **error)
{
    g_autoptr(SlMap) map = sl_map_new();
    for (unsigned i = 0; i < count; i++) {
        if (!add_agent(map, seed, i, error)) {
            return false;
        }
    }
    g_autofree char *fleet = fleet_of(store, error), *root = sl_map_root(map);
    if (fleet == NULL) {
        return false;
    }
    SlRegistry registry = {
        .fleet = fleet, .env = (char *)env, .version = 1, .count = count, .clusters = root};
    g_autoptr(GBytes) text = sl_registry_format(&registry, error);
    if (text == NULL) {
        return false;
    }
    g_autoptr(SlSigned) statement = sl_signed_new(text);
    sl_signed_sign(statement, SL_STATEMENT_REGISTRY, store->online);
    return append(store, statement, env, map, error);
}

int swarm_prepare(int argc, char **argv)
{
    (void)argc;
    Store store = {0};
    g_autoptr(GError) error = NULL;
    unsigned count = swarm_number(argv[5], "COUNT");
    bool ok = count > 0 && open_store(&store, argv[2], &error) &&
              prepare(&store, argv[3], argv[4], count, &error);
    if (!ok) {
        (void)fprintf(stderr, "sluice-swarm: %s\n", error != NULL ? error->message : "no agents");
    }
    close_store(&store);
    return ok ? 0 : 1;
}
