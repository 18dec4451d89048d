/* fold.h - one fold function per event type: the only writers of what is durable. Private. */
#pragma once
#include "coordinator/brain/state.h"

typedef bool SlFold(SlCoord *c, const json_t *event, int64_t at_us, GError **error);

void sl_fold_authors(SlSourceState *s, const json_t *event); /* of SourceRead */

#define SL_EVENT(Type, function) SlFold function;
#include "coordinator/brain/events.def"
#undef SL_EVENT
