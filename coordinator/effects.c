/* effects.c - one line per effect of the brain. They come in order, after the ledger's fsync; each
 * is idempotent. */
#include "coordinator/coordinator.h"
#include <string.h>

static void reply(SlCoordinator *c, SlCoordEffect *effect)
{
    /* cluster-add: the brain makes id and secret; where to connect is the shell's to know. */
    json_t *join = json_object_get(effect->body, "join");
    if (json_is_object(join)) {
        g_autofree char *token = sl_people_join_token(c, join);
        sl_json_set_str(effect->body, "token", token);
        sl_json_set_str(effect->body, "command", "sluice-agent join --dir /var/lib/sluice-agent");
        json_object_del(effect->body, "join");
    }
    if (c->api != NULL && !sl_api_reply(c->api, effect->id, effect->status, effect->body))
        sl_log(c->log, SL_LOG_DEBUG, "reply-nobody-waits", "request", effect->id, NULL);
}

void sl_effect_perform(SlCoordinator *c, SlCoordEffect *effect)
{
    switch (effect->type) {
    case SL_COORD_DO_REPLY:
        reply(c, effect);
        break;
    case SL_COORD_DO_RENDER:
        sl_render_start(c, effect);
        return; /* they take the effect over */
    case SL_COORD_DO_ENV_WRITE:
        sl_branch_write(c, effect);
        return;
    case SL_COORD_DO_ENV_MOVE:
        sl_branch_move(c, effect);
        return;
    case SL_COORD_DO_SEND:
        sl_agents_send(c, effect);
        break;
    case SL_COORD_DO_ENROL_REPLY:
        sl_agents_enrol_reply(c, effect);
        break;
    case SL_COORD_DO_REFRESH:
        sl_polls_poke(c, effect->repository);
        break;
    case SL_COORD_N_EFFECTS:
        break;
    }
    sl_coord_effect_free(effect);
}
