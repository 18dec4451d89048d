/* machine.h - the attempt's state machine as tables (machine.def). Pure; decides nothing but which
 * move is legal. */
#pragma once
#include <stdbool.h>

typedef enum {
#define SL_STATE(NAME, final, acts, waits) SL_STATE_##NAME,
#include "coordinator/brain/machine.def"
#undef SL_STATE
    SL_N_STATES
} SlState;

typedef enum {
    SL_ON_ADMIT,
    SL_ON_RENDER, /* not in the ledger */
    SL_ON_RETRY,  /* not in the ledger: a technical failure, tried again later */
    SL_ON_RENDERED,
    SL_ON_UNCHANGED, /* the target map is what the unit has: judged on what runs */
    SL_ON_WRITE,     /* not in the ledger */
    SL_ON_COMMITTED,
    SL_ON_PUBLISH, /* not in the ledger */
    SL_ON_APPLY,   /* not in the ledger */
    SL_ON_VERIFY,  /* not in the ledger */
    SL_ON_SUCCEED,
    SL_ON_FAIL,
    SL_ON_ERROR,
    SL_ON_REJECT,
    SL_ON_ABORT,
    SL_ON_SUPERSEDE,
    SL_ON_EXPIRE,
    SL_N_ON
} SlOn;

typedef struct {
    const char *name; /* "GATING" */
    bool final;
    const char *acts;  /* who can act: "coordinator", "gates", "agents" */
    const char *waits; /* what it waits for, for people */
} SlStateInfo;

/* What ends a state that nobody ends otherwise. */
typedef enum { SL_EXPIRY_NONE, SL_EXPIRY_GATE, SL_EXPIRY_WORK, SL_EXPIRY_HEALTH } SlExpiry;

const SlStateInfo *sl_state_info(SlState state);
SlExpiry sl_state_expiry(SlState state);
/* false: the move is not in the table; @ret_to is untouched. */
bool sl_state_next(SlState from, SlOn on, SlState *ret_to);
/* The state that a replay of the ledger gives for @state. @unchanged: an attempt without a commit
 * of its own. */
SlState sl_state_durable(SlState state, bool unchanged);
