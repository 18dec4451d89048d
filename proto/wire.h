/* wire.h - envelopes: pack, and unpack with every cap checked before and after. Pure.
 * The generated struct Sluice__Wire__Envelope (proto/envelope.pb-c.h) is the message itself. */
#pragma once
#include "proto/envelope.pb-c.h"
#include "sluice/error.h"

#define SL_FETCH_MAX (512 * 1024)

typedef enum {
#define SL_MESSAGE(name, NAME, direction, max, role) SL_MESSAGE_##NAME,
#include "proto/messages.def"
#undef SL_MESSAGE
    SL_N_MESSAGES
} SlMessageType;

typedef enum { SL_DIRECTION_UP, SL_DIRECTION_DOWN } SlDirection;
typedef enum { SL_ROLE_AGENT, SL_ROLE_ENROL } SlMessageRole;

typedef struct {
    const char *name;
    SlDirection direction;
    size_t bytes_max;
    SlMessageRole role;
} SlMessageInfo;
const SlMessageInfo *sl_message_info(SlMessageType type);
SlMessageType sl_message_type(const Sluice__Wire__Envelope *envelope);

/* (transfer full) */
GBytes *sl_wire_pack(const Sluice__Wire__Envelope *envelope);
/* Refuses: larger than the type's row, wrong direction or role, unknown type, unknown fields, lists
 * over their limits, more than 4 MiB of heap (capped allocator). Errors: WIRE_FORMAT, LIMIT. Free
 * with sl_wire_free. */
SL_MUST_USE Sluice__Wire__Envelope *sl_wire_unpack(const void *bytes, size_t len,
                                                   SlDirection direction, SlMessageRole role,
                                                   GError **error);
void sl_wire_free(Sluice__Wire__Envelope *envelope);
