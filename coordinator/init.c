/* init.c - see init.h. The event is folded by a brain before anything is written: what would not fold is never begun. */
#include "coordinator/init.h"
#include "base/text.h"
#include "coordinator/brain/coord.h"
#include "coordinator/config.h"
#include "coordinator/store/ledger.h"
#include "link/keys.h"
#include "runtime/atomicfile.h"
#include "runtime/loop.h"
#include <sodium.h>

#define ROOT_FILE_MAX (1024 * 1024)

static SlSigned *read_root(const char *path, GError **error)
{
    g_autoptr(GBytes) bytes = sl_file_read(path, ROOT_FILE_MAX, error);
    if (bytes == NULL)
        return NULL;
    gsize len = 0;
    const char *text = g_bytes_get_data(bytes, &len);
    g_autoptr(json_t) json = sl_json_parse(text, len, NULL, path, error);
    return json != NULL ? sl_signed_from_json(json, error) : NULL;
}

static bool check_key(const SlSigned *signed_root, const uint8_t online[64], GError **error)
{
    SlRoot *root = sl_root_accept_first(signed_root, NULL, error);
    if (root == NULL)
        return false;
    g_autoptr(SlPublicKey) key = sl_public_key_from_ed25519(online + 32);
    bool listed = sl_root_is_online_key(root, key);
    sl_root_free(root);
    return listed || sl_throw(error, SLU_CONFIG_KEY, "keys/online is no online key of the root");
}

static GBytes *no_blob(const char *digest, void *user)
{
    (void)digest, (void)user;
    return NULL;
}

static json_t *first_event(const SlSigned *root, const char *name, const uint8_t online[64], GError **error)
{
    SlCoordConfig config = {.online_secret = online, .blobs = {.get = no_blob}, .owner_person = ""};
    g_autoptr(SlCoord) brain = sl_coord_new(&config);
    g_autofree char *at = sl_format_time(sl_clock_real.utc_us(sl_clock_real.user));
    g_autoptr(json_t) event = json_object();
    sl_json_set_int(event, "seq", 1);
    sl_json_set_str(event, "prev", sl_coord_ledger_hash(brain));
    sl_json_set_str(event, "type", "FleetCreated");
    sl_json_set_str(event, "at", at);
    sl_json_set_str(event, "name", name);
    json_object_set_new(event, "root", sl_signed_to_json(root));
    return sl_coord_fold(brain, event, error) ? json_incref(event) : NULL;
}

bool sl_init_fleet(const char *dir, const char *fleet_name, const char *root_file, GError **error)
{
    g_autoptr(SlConfig) config = sl_config_paths(dir);
    uint8_t online[64];
    SlCurveKeys curve;
    if (!sl_is_name(fleet_name))
        return sl_throw(error, SLU_INVALID, "--fleet-name `%s`: lower-case letters, digits and - only", fleet_name);
    g_autoptr(SlSigned) root = read_root(root_file, error);
    if (root == NULL || !sl_signing_key_load(config->online_key, false, "", online, error))
        return false;
    g_autoptr(json_t) event = check_key(root, online, error) ? first_event(root, fleet_name, online, error) : NULL;
    sodium_memzero(online, sizeof online);
    if (event == NULL)
        return false;
    if (g_file_test(config->state_git, G_FILE_TEST_EXISTS)) {
        g_autofree char *ref = g_build_filename(config->state_git, "refs", "heads", "sluice", "ledger", NULL);
        if (g_file_test(ref, G_FILE_TEST_EXISTS))
            return sl_throw(error, SLU_LEDGER_EXISTS, "%s: there is a fleet already", config->state_git);
    }
    bool made = sl_curve_keys_load(config->curve_key, true, &curve, error) && sl_ledger_create(config->state_git, event, error);
    sodium_memzero(&curve, sizeof curve);
    return made;
}
