/* machine.c - lookups in machine.def. A move that is not in the table does not happen: the caller
 * decides whether that is a damaged ledger (fold) or our own mistake (step). */
#include "coordinator/brain/machine.h"
#include <stddef.h>

static const SlStateInfo states[SL_N_STATES] = {
#define SL_STATE(NAME, final, acts, waits) [SL_STATE_##NAME] = {#NAME, final, acts, waits},
#include "coordinator/brain/machine.def"
#undef SL_STATE
};

static const struct {
    SlState from;
    SlOn on;
    SlState to;
} moves[] = {
#define SL_MOVE(FROM, ON, TO) {SL_STATE_##FROM, SL_ON_##ON, SL_STATE_##TO},
#include "coordinator/brain/machine.def"
#undef SL_MOVE
};

static const SlExpiry expiries[SL_N_STATES] = {
    [SL_STATE_REQUESTED] = SL_EXPIRY_GATE,   [SL_STATE_QUEUED] = SL_EXPIRY_GATE,
    [SL_STATE_RENDERING] = SL_EXPIRY_WORK,   [SL_STATE_GATING] = SL_EXPIRY_GATE,
    [SL_STATE_COMMITTING] = SL_EXPIRY_WORK,  [SL_STATE_COMMITTED] = SL_EXPIRY_HEALTH,
    [SL_STATE_PUBLISHED] = SL_EXPIRY_HEALTH, [SL_STATE_APPLYING] = SL_EXPIRY_HEALTH,
    [SL_STATE_VERIFYING] = SL_EXPIRY_HEALTH,
};

const SlStateInfo *sl_state_info(SlState state)
{
    return &states[state];
}

SlExpiry sl_state_expiry(SlState state)
{
    return expiries[state];
}

bool sl_state_next(SlState from, SlOn on, SlState *ret_to)
{
    for (size_t i = 0; i < sizeof moves / sizeof moves[0]; i++) {
        if (moves[i].from == from && moves[i].on == on) {
            *ret_to = moves[i].to;
            return true;
        }
    }
    return false;
}

SlState sl_state_durable(SlState state, bool unchanged)
{
    switch (state) {
    case SL_STATE_RENDERING:
        return SL_STATE_QUEUED;
    case SL_STATE_COMMITTING:
        return SL_STATE_GATING;
    case SL_STATE_PUBLISHED:
    case SL_STATE_APPLYING:
        return SL_STATE_COMMITTED;
    case SL_STATE_VERIFYING:
        return unchanged ? SL_STATE_GATING : SL_STATE_COMMITTED;
    default:
        return state;
    }
}
