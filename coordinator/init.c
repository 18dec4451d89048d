/* init.c - see init.h. Root, key and name are checked before anything is written. */
#include "coordinator/init.h"
#include "base/auto.h"
#include "coordinator/brain/genesis.h"
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

bool sl_init_fleet(const char *dir, const char *fleet_name, const char *root_file, GError **error)
{
    g_autoptr(SlConfig) config = sl_config_paths(dir);
    uint8_t online[64];
    SlCurveKeys curve;
    g_autoptr(SlSigned) root = read_root(root_file, error);
    if (root == NULL || !sl_signing_key_load(config->online_key, false, "", online, error))
        return false;
    g_autoptr(json_t) event =
        check_key(root, online, error)
            ? sl_coord_genesis(root, fleet_name, sl_clock_real.utc_us(sl_clock_real.user), error)
            : NULL;
    sodium_memzero(online, sizeof online);
    if (event == NULL)
        return false;
    sl_autofd lock = -1;
    if (!sl_dir_lock(config->dir, &lock, error))
        return false;
    if (g_file_test(config->state_git, G_FILE_TEST_EXISTS)) {
        g_autofree char *ref =
            g_build_filename(config->state_git, "refs", "heads", "sluice", "ledger", NULL);
        if (g_file_test(ref, G_FILE_TEST_EXISTS))
            return sl_throw(error, SLU_LEDGER_EXISTS, "%s: there is a fleet already",
                            config->state_git);
    }
    bool made = sl_curve_keys_load(config->curve_key, true, &curve, error) &&
                sl_ledger_create(config->state_git, event, error);
    sodium_memzero(&curve, sizeof curve);
    return made;
}
