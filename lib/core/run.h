/* run.h - runs of training jobs: keys and ids, the common record, progress lines. Pure. */
#pragma once
#include "base/json.h"
#include "sluice/types.h"

/* Run key: SHA-256 of the canonical job without metadata.name, labels, annotations (ours and Argo
 * CD's, run-inputs excepted), timeLimit, priority, queue, retries, start, onChange, waitFor: what
 * says when, not what; with files, image digests and input items (all in the object already, or in
 * gitops.sluice/run-inputs). @job is the rendered TrainingJob object. (transfer full) */
char *sl_run_key(const json_t *job);
/* Run id: SHA-256 of fleet, unit, job, run key, generation, each on a line. (transfer full) */
char *sl_run_id(const char *fleet, const char *app, const char *env, const char *job,
                const char *run_key, uint64_t generation);

/* The common record (docs/formats.md "run record"), at most SL_RUN_RECORD_MAX bytes of canonical
 * JSON, so that it fits with its key into one line of a digest map:
 * {"id","key","unit","job","cluster","generation","phase","phaseSince","reason","reasonClass","message",
 *  "attempt","attempts","retries":{...},"workers":{desired,ready,succeeded,failed},
 *  "progress":{step,total,epoch,epochs,pct,eta,rate,lostSteps},"metrics":{name: number|"NaN"},
 *  "final":{"metrics":{..},"ok":bool,"artifact":{uri,sha256}},"checkpoint":{uri,step,sha256},"stage":"warm-up",
 *  "error":{class,message},"times":{submitted,started,finished},"heartbeatAt","exit":{code,signal},"flags":[..]}
 */

#define SL_RUN_RECORD_MAX 3840

/* Progress of one attempt, merged from every channel. */
typedef struct SlProgress SlProgress;
SlProgress *sl_progress_new(void);
void sl_progress_free(SlProgress *progress);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlProgress, sl_progress_free)
#define SL_PROGRESS_LINE_MAX 4096
#define SL_PROGRESS_METRICS_MAX 64
/* One line from the progress file or from stdout; hostile input. True if it was a progress line
 * and was taken: JSON {"sluice":1,"ev":...} (anything before `{"sluice":1` is a log prefix) or
 * `::sluice step=1200/50000 loss=2.31`. False: an ordinary line, or too long, or malformed (never
 * an error). `final` latches. @rank < 0 = unset. */
bool sl_progress_line(SlProgress *progress, const char *line, size_t len, int rank, int64_t now_us);
/* Adds progress, metrics, final, checkpoint, stage, error, heartbeatAt to @record (those that are
 * there), then drops metrics, last ones first, until the record fits SL_RUN_RECORD_MAX
 * ("metricsOmitted": n). Call it last. */
void sl_progress_to_record(const SlProgress *progress, json_t *record);
/* Metrics of `final` as seal lines ("final.accuracy 0.97"); none if there was no final record or it
 * said "ok": false. (of char*) */
GPtrArray *sl_progress_final_metrics(const SlProgress *progress);
bool sl_progress_changed(SlProgress *progress); /* since the last call */
/* State as JSON and back: an agent's restart loses no metric. */
json_t *sl_progress_to_json(const SlProgress *progress);
/* never NULL: what is malformed is left out */
SlProgress *sl_progress_from_json(const json_t *json);

typedef enum {
    SL_FAILURE_USER,
    SL_FAILURE_INFRA,
    SL_FAILURE_GPU,
    SL_FAILURE_TIMEOUT,
    SL_FAILURE_CONFIG,
    SL_FAILURE_STOPPED,
    SL_N_FAILURES
} SlFailure;
const char *sl_failure_name(SlFailure failure); /* "User" */
/* Cause of an attempt's end from its exit: code or signal (0 if none), and the last lines of its
 * log (nullable). @ret_reason: CamelCase word for records and seals ("NonZeroExit", "OOMKilled",
 * "Timeout", "NcclTimeout"; transfer full). Only for ends that nobody of ours asked for: the
 * engine knows of its own stops (SL_FAILURE_STOPPED, "Stopped") without asking. */
SlFailure sl_run_classify(int code, int signal, bool oom, bool timed_out, const char *log_tail,
                          char **ret_reason);
/* What a reason means, one sentence for people; "" for a word that is not ours. Static. */
const char *sl_run_reason_text(const char *reason);
/* May the failed attempt be followed by another? @retries is spec.retries {user, infra, gpu};
 * absent = 0, 3, 3. @failures_so_far: failed attempts by cause, this one included:
 * {"user":1,"infra":0,"gpu":0}. Timeout, Config and Stopped are never retried. */
bool sl_run_may_retry(const json_t *retries, SlFailure cause, const json_t *failures_so_far);
