/* seal.h - final record of a run, signed by the agent that ran it (kind seal). Pure.
 *   fleet environment cluster unit job run-id run-key generation promotion bundle release phase reason exit attempts
 *   started finished [input]* [output]* [metric]* [message]
 * input: `<name> sha256:<digest>`; output: `<name> sha256:<manifest digest> <bytes>`; metric:
 * `<name> <number|NaN|Infinity|-Infinity>` */
#pragma once
#include "core/statement.h"
#include "sluice/types.h"

typedef struct {
    char *fleet, *env, *cluster, *app, *job;
    char *run_id, *run_key;
    uint64_t generation;
    char *promotion, *bundle, *release;
    SlRunPhase phase; /* Succeeded or Failed */
    /* CamelCase: Completed, NonZeroExit, Timeout, OOMKilled, Stopped, OutputMissing, ... */
    char *reason;
    char *exit; /* "0", "1", "signal 9" */
    uint64_t attempts;
    int64_t started_us, finished_us;
    GPtrArray *inputs, *outputs, *metrics; /* of char* lines as above */
    char *message;                         /* or NULL */
} SlSeal;

SL_MUST_USE SlSeal *sl_seal_parse(GBytes *text, GError **error);
SL_MUST_USE GBytes *sl_seal_format(const SlSeal *seal, GError **error);
void sl_seal_free(SlSeal *seal);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlSeal, sl_seal_free)
/* Manifest digest (64 hex) of an output by name; NULL if it has none. */
char *sl_seal_output(const SlSeal *seal, const char *name); /* (transfer full) */
/* false if absent; a non-finite metric is returned as such. */
bool sl_seal_metric(const SlSeal *seal, const char *name, double *ret_value);
/* The seal as gates and the API see it (sluice/gate.h):
 * {"digest","phase","reason","run-id","run-key","promotion","bundle",
 * "release","job","app","environment","cluster","generation","attempts","started","finished","exit","message",
 * "metrics":{name: number|"NaN"},"inputs":{name:{digest}},"outputs":{name:{digest,bytes}}}.
 * @digest: of the seal's text. (transfer full) */
json_t *sl_seal_to_json(const SlSeal *seal, const char *digest);
