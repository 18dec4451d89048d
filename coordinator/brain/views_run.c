/* views_run.c - a run as people see it: the record that its cluster reports, its placement, its
 * seal. Reads only. */
#include "coordinator/brain/brain.h"
#include <math.h>
#include <string.h>

/* Metrics of a seal ("final.accuracy 0.97") as an object; non-finite ones as words. */
static json_t *final_metrics(const SlSeal *seal)
{
    json_t *metrics = json_object();
    for (guint i = 0; i < seal->metrics->len; i++) {
        g_auto(GStrv) words = g_strsplit(g_ptr_array_index(seal->metrics, i), " ", 2);
        const char *name =
            g_str_has_prefix(words[0], "final.") ? words[0] + strlen("final.") : words[0];
        double value = 0;
        if (!sl_seal_metric(seal, words[0], &value) || !isfinite(value)) {
            sl_json_set_str(metrics, name, words[1]);
        } else {
            json_object_set_new(metrics, name, json_real(value));
        }
    }
    return metrics;
}

static void add_seal(json_t *json, const SlSeal *seal)
{
    sl_json_set_str(json, "phase", sl_run_phase_name(seal->phase));
    sl_json_set_str(json, "reason", seal->reason);
    sl_json_set_str(json, "message", seal->message != NULL ? seal->message : "");
    sl_json_set_int(json, "attempt", (int64_t)seal->attempts);
    json_object_set_new(json, "outputs", sl_json_from_ptr_array(seal->outputs));
    json_t *final = json_object();
    json_object_set_new(final, "metrics", final_metrics(seal));
    json_object_set_new(json, "final", final);
    json_object_set_new(json, "phaseSince", sl_json_time(seal->finished_us));
}

/* The record that the cluster reports; else what placement and seal say. */
json_t *sl_view_run(const SlCoord *c, const SlRun *run)
{
    json_t *json =
        sl_brain_seen_entry(c, run->cluster, "run/%s/%s/%s", run->app, run->env, run->id);
    g_autofree char *unit = g_strdup_printf("%s/%s", run->app, run->env);
    if (!json_is_object(json)) {
        json_decref(json);
        json = json_object();
        sl_json_set_str(json, "phase", sl_run_phase_name(SL_RUN_UNKNOWN));
        sl_json_set_str(json, "reason", c->started ? "NotReported" : "NotRecorded");
    }
    sl_json_set_str(json, "id", run->id);
    sl_json_set_str(json, "key", run->key);
    sl_json_set_str(json, "unit", unit);
    sl_json_set_str(json, "app", run->app);
    sl_json_set_str(json, "env", run->env);
    sl_json_set_str(json, "job", run->job);
    sl_json_set_str(json, "cluster", run->cluster);
    sl_json_set_int(json, "generation", (int64_t)run->generation);
    sl_json_set_int(json, "attemptNumber", (int64_t)run->attempt);
    sl_json_set_bool(json, "sealed", run->sealed != NULL);
    sl_json_set_str(json, "seal", run->seal_digest);
    json_object_set_new(json, "placed", sl_json_time(run->placed_us));
    if (run->seal != NULL) {
        add_seal(json, run->seal);
    }
    return json;
}

json_t *sl_view_seal(const SlSeal *seal)
{
    json_t *json = json_object();
    sl_json_set_str(json, "phase", sl_run_phase_name(seal->phase));
    sl_json_set_str(json, "reason", seal->reason);
    sl_json_set_str(json, "exit", seal->exit);
    sl_json_set_str(json, "message", seal->message);
    sl_json_set_str(json, "promotion", seal->promotion);
    sl_json_set_str(json, "bundle", seal->bundle);
    sl_json_set_str(json, "release", seal->release);
    sl_json_set_int(json, "attempts", (int64_t)seal->attempts);
    json_object_set_new(json, "started", sl_json_time(seal->started_us));
    json_object_set_new(json, "finished", sl_json_time(seal->finished_us));
    json_object_set_new(json, "inputs", sl_json_from_ptr_array(seal->inputs));
    json_object_set_new(json, "outputs", sl_json_from_ptr_array(seal->outputs));
    json_object_set_new(json, "metrics", sl_json_from_ptr_array(seal->metrics));
    return json;
}
