/* native.h - the portable kinds on Kubernetes: words that the render writes and the engine reads, and the one rule that makes the objects
 * of a run from what people signed. Pure. docs/kubernetes.md says what they mean, docs/adr/0022 why. */
#pragma once
#include "base/json.h"
#include "sluice/types.h"

#define SL_NATIVE_ENGINE "kubernetes" /* of clusters that get native objects */
#define SL_NATIVE_MEMBER                                                                           \
    "kubernetes" /* of a rendered TrainingJob: the objects of one of its runs, in the order of applying */

#define SL_LABEL_APPLICATION SL_API_GROUP "/application"
#define SL_LABEL_SERVER SL_API_GROUP "/server" /* name of the ModelServer */
#define SL_LABEL_JOB SL_API_GROUP "/job"       /* name of the TrainingJob */
#define SL_LABEL_RUN SL_API_GROUP "/run"       /* SL_NATIVE_RUN */
#define SL_ANNOTATION_RUN_ID SL_API_GROUP "/run-id"
#define SL_ANNOTATION_ATTEMPT SL_API_GROUP "/attempt"

/* Containers of a run's Pods, and the Secret with the access to the model store (the agent's affair; it may be missing). */
#define SL_NATIVE_PROGRAM "program"
#define SL_NATIVE_CARRY "sluice-carry"
#define SL_NATIVE_FETCH "sluice-fetch"
#define SL_NATIVE_STORE_SECRET "sluice-carry"

/* Placeholders in the texts of a run's objects. */
#define SL_NATIVE_PLACEHOLDER                                                                      \
    "$(sluice." /* how each of them begins: nobody's text but the render's holds this */
#define SL_NATIVE_RUN                                                                              \
    SL_NATIVE_PLACEHOLDER                                                                          \
    "run)" /* first ten digits of the run id; from attempt 2 on "-<attempt>" behind them */
#define SL_NATIVE_RUN_ID SL_NATIVE_PLACEHOLDER "run-id)" /* all of it */
#define SL_NATIVE_ATTEMPT SL_NATIVE_PLACEHOLDER "attempt)"
#define SL_NATIVE_RUN_DIGITS 10
#define SL_NATIVE_ATTEMPTS_MAX                                                                     \
    999 /* three digits are kept free in names; retries are 0..100 for each of three causes */

/* Objects of attempt @attempt (from 1) of the run @run_id of the rendered TrainingJob @job: a copy of its SL_NATIVE_MEMBER with every
 * placeholder in every text replaced, keys untouched; nothing else may be changed by who applies them. (transfer full)
 * Errors: OBJECT_SPEC (no such member, a placeholder that is unknown, an attempt out of range). */
SL_MUST_USE json_t *sl_native_run(const json_t *job, const char *run_id, unsigned attempt,
                                  GError **error);
