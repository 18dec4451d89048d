/* queue.h - puts a turn of the loop between what an engine notices and what the agent hears. */
#pragma once
#include "runtime/loop.h"
#include "sluice/engine.h"

typedef struct SlEventQueue SlEventQueue;
SlEventQueue *sl_event_queue_new(SlLoop *loop, const SlEngineEvents *out);
SlEngineEvents sl_event_queue_in(SlEventQueue *queue); /* give these to the engine's parts */
/* End of a run that an engine does not know: Failed, Lost. (transfer full) */
json_t *sl_engine_lost_end(int64_t now_us);
void sl_event_queue_free(SlEventQueue *queue); /* what was not said yet is dropped */
