/* workq.h - blocking work off the loop: a bounded queue, pthread workers, completions back on the
 * loop (eventfd). */
#pragma once
#include "runtime/loop.h"

typedef struct SlWorkq SlWorkq;
/* @work runs on a worker and touches only @job; @done runs on the loop thread and owns @job again.
 */
SlWorkq *sl_workq_new(SlLoop *loop, unsigned threads, size_t queue_max);
void sl_workq_free(SlWorkq *queue); /* waits for running work; queued jobs get done(cancelled) */
SL_MUST_USE bool sl_workq_push(SlWorkq *queue, void (*work)(void *job),
                               void (*done)(void *job, bool cancelled), void *job,
                               GError **error); /* LIMIT when full */
size_t sl_workq_pending(const SlWorkq *queue);
