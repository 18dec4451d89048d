/* genesis.c - the first event of a ledger. */
#include "coordinator/brain/genesis.h"
#include "base/text.h"
#include <string.h>

json_t *sl_coord_genesis(const SlSigned *root, const char *fleet_name, int64_t now_us,
                         GError **error)
{
    char zeros[SL_HEX_DIGEST_LEN + 1];
    if (!sl_is_name(fleet_name)) {
        return sl_throw_null(error, SLU_INVALID,
                             "fleet name: lower-case letters, digits and '-', at most %d",
                             SL_NAME_MAX);
    }
    g_autoptr(SlRoot) checked = sl_root_accept_first(root, NULL, error);
    if (checked == NULL) {
        return NULL;
    }
    memset(zeros, '0', SL_HEX_DIGEST_LEN);
    zeros[SL_HEX_DIGEST_LEN] = '\0';
    g_autofree char *at = sl_format_time(now_us);
    json_t *event = json_object();
    sl_json_set_int(event, "seq", 1);
    sl_json_set_str(event, "prev", zeros);
    sl_json_set_str(event, "type", "FleetCreated");
    sl_json_set_str(event, "at", at);
    sl_json_set_str(event, "name", fleet_name);
    json_object_set_new(event, "root", sl_signed_to_json(root));
    return event;
}
