/* run_line.h - one progress line of a training program as a checked event. Private to lib/core. */
#pragma once
#include "core/run.h"

typedef enum {
    SL_EV_START,
    SL_EV_PROGRESS,
    SL_EV_EVAL,
    SL_EV_CHECKPOINT,
    SL_EV_HEARTBEAT,
    SL_EV_PHASE,
    SL_EV_ERROR,
    SL_EV_FINAL,
    SL_N_EVS
} SlEv;

#define SL_PROGRESS_NAME_MAX 64  /* bytes of a metric's name */
#define SL_PROGRESS_TEXT_MAX 512 /* bytes of a uri or message */

/* Members that are absent are NaN, -1 or NULL. */
typedef struct {
    SlEv ev;
    double t; /* seconds UTC */
    int64_t step, total, rank;
    double epoch, epochs, rate, eta;
    json_t *metrics; /* object of name -> real, or "NaN", "Infinity", "-Infinity"; checked */
    char *uri, *sha256, *name, *error_class, *message;
    int ok; /* -1 absent */
} SlProgressEvent;

/* NULL if the line is none. (transfer full) */
SlProgressEvent *sl_progress_event_parse(const char *line, size_t len);
void sl_progress_event_free(SlProgressEvent *event);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlProgressEvent, sl_progress_event_free)

/* A metric that may be kept: a name of ours, and a finite number or one of the three words. */
bool sl_progress_is_metric(const char *name, const json_t *value);
