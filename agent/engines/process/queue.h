/* queue.h - puts a turn of the loop between what an engine notices and what the agent hears. */
#pragma once
#include "runtime/loop.h"
#include "sluice/engine.h"

typedef struct SlEventQueue SlEventQueue;
SlEventQueue *sl_event_queue_new(SlLoop *loop, const SlEngineEvents *out);
SlEngineEvents sl_event_queue_in(SlEventQueue *queue); /* give these to the engine's parts */
void sl_event_queue_free(SlEventQueue *queue);         /* what was not said yet is dropped */
