/* gpus.h - GPUs of this machine as names for CUDA_VISIBLE_DEVICES, and who has which. Private to
 * the agent. A lease is written into the run's journal before the run starts, so that it survives
 * the agent; what was leased and is not listed any more stays leased until its run ends. */
#pragma once
#include "sluice/error.h"

#define SL_GPUS_MAX 64

/* "all" (every /dev/nvidia<N>), "none", or "0,1,GPU-<uuid>". Errors: AGENT_CONFIG. (of char*) */
SL_MUST_USE GPtrArray *sl_gpus_list(const char *option, GError **error);

typedef struct SlGpus SlGpus;
SlGpus *sl_gpus_new(GPtrArray *names /* taken */);
void sl_gpus_free(SlGpus *gpus);
unsigned sl_gpus_count(const SlGpus *gpus);
/* Gives @need GPUs to @holder ("0,2"; transfer full), or NULL and why in *ret_why (transfer full)
 * and a place in the queue. First come, first served: nobody overtakes a waiting one that needs
 * more. */
char *sl_gpus_take(SlGpus *gpus, const char *holder, unsigned need, char **ret_why);
/* After a restart: @holder still has these. */
void sl_gpus_take_back(SlGpus *gpus, const char *holder, const char *names);
/* Gives up the lease, or the place in the queue. */
void sl_gpus_release(SlGpus *gpus, const char *holder);
/* Who waits, in order (char*; borrowed until the next call). */
const GPtrArray *sl_gpus_waiting(const SlGpus *gpus);
