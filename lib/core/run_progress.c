/* run_progress.c - progress of one attempt, merged from every channel: newest wins per kind of
 * event, the first `final` stays. Numbers come from the program and may lie; they never set a
 * phase. */
#include "base/text.h"
#include "core/run_line.h"
#include "sluice/clock.h"
#include <math.h>
#include <string.h>

/* A program's clock may run a little ahead; further and it would shut out every later line. */
#define AHEAD_MAX_S 300.0
#define STATE_TEXT_MAX 1024

struct SlProgress {
    double newest[SL_N_EVS]; /* seconds, of the last line taken per event */
    int64_t step, total, first_step, lost_steps;
    double first_t, last_t, epoch, epochs, rate, eta;
    json_t *metrics;
    json_t *final;      /* {"metrics":{..},"ok":bool?,"artifact":{..}?}, NULL until it came */
    json_t *checkpoint; /* or NULL */
    json_t *failure;    /* {"class","message"} or NULL */
    char *stage;
    int64_t heartbeat_us;
    bool changed;
};

SlProgress *sl_progress_new(void)
{
    SlProgress *p = g_new0(SlProgress, 1);
    p->step = p->total = p->first_step = -1;
    p->first_t = p->last_t = p->epoch = p->epochs = p->rate = p->eta = (double)NAN;
    p->metrics = json_object();
    return p;
}

void sl_progress_free(SlProgress *progress)
{
    if (progress == NULL) {
        return;
    }
    json_decref(progress->metrics);
    json_decref(progress->final);
    json_decref(progress->checkpoint);
    json_decref(progress->failure);
    g_free(progress->stage);
    g_free(progress);
}

static void merge_metrics(SlProgress *p, const json_t *metrics)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)metrics, key, value)
    {
        if (json_object_get(p->metrics, key) != NULL ||
            json_object_size(p->metrics) < SL_PROGRESS_METRICS_MAX) {
            json_object_set(p->metrics, key, value);
        }
    }
}

static void take_number(double *at, double value)
{
    if (!isnan(value)) {
        *at = value;
    }
}

static void take_step(SlProgress *p, const SlProgressEvent *event, double t)
{
    if (event->step >= 0) {
        if (p->step >= 0 && event->step < p->step) { /* back to a checkpoint */
            p->lost_steps += p->step - event->step;
            p->first_step = -1;
        }
        if (p->first_step < 0) {
            p->first_step = event->step;
            p->first_t = t;
        }
        p->step = event->step;
        p->last_t = t;
        p->rate = p->eta = (double)NAN;
    }
    if (event->total >= 0) {
        p->total = event->total;
    }
    take_number(&p->epoch, event->epoch);
    take_number(&p->epochs, event->epochs);
    take_number(&p->rate, event->rate);
    take_number(&p->eta, event->eta);
}

static void set_text(json_t *object, const char *key, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        sl_json_set_str(object, key, text);
    }
}

static void replace(json_t **at, json_t *value)
{
    json_decref(*at);
    *at = value;
}

static void take_checkpoint(SlProgress *p, const SlProgressEvent *event)
{
    json_t *checkpoint = json_object();
    set_text(checkpoint, "uri", event->uri);
    set_text(checkpoint, "sha256", event->sha256);
    int64_t step = event->step >= 0 ? event->step : p->step;
    if (step >= 0) {
        sl_json_set_int(checkpoint, "step", step);
    }
    replace(&p->checkpoint, checkpoint);
}

static void take_final(SlProgress *p, const SlProgressEvent *event)
{
    if (p->final != NULL) {
        return;
    }
    p->final = json_object();
    json_object_set(p->final, "metrics", event->metrics);
    if (event->ok >= 0) {
        sl_json_set_bool(p->final, "ok", event->ok > 0);
    }
    if (event->uri != NULL || event->sha256 != NULL) {
        json_t *artifact = json_object();
        set_text(artifact, "uri", event->uri);
        set_text(artifact, "sha256", event->sha256);
        json_object_set_new(p->final, "artifact", artifact);
    }
}

static void take_failure(SlProgress *p, const SlProgressEvent *event)
{
    json_t *failure = json_object();
    set_text(failure, "class", event->error_class);
    set_text(failure, "message", event->message);
    replace(&p->failure, failure);
}

static void take_event(SlProgress *p, const SlProgressEvent *event, double t)
{
    switch (event->ev) {
    case SL_EV_START:
    case SL_EV_PROGRESS:
        take_step(p, event, t);
        merge_metrics(p, event->metrics);
        break;
    case SL_EV_EVAL:
        merge_metrics(p, event->metrics);
        break;
    case SL_EV_CHECKPOINT:
        take_checkpoint(p, event);
        break;
    case SL_EV_PHASE:
        g_free(p->stage);
        p->stage = event->name != NULL ? g_strndup(event->name, SL_PROGRESS_NAME_MAX) : NULL;
        break;
    case SL_EV_ERROR:
        take_failure(p, event);
        break;
    case SL_EV_FINAL:
        take_final(p, event);
        break;
    default:
        break;
    }
}

bool sl_progress_line(SlProgress *progress, const char *line, size_t len, int rank, int64_t now_us)
{
    g_autoptr(SlProgressEvent) event = sl_progress_event_parse(line, len);
    if (event == NULL) {
        return false;
    }
    progress->changed = true;
    progress->heartbeat_us = now_us;
    if (rank > 0 || event->rank > 0) {
        return true; /* any rank is a sign of life; only rank 0 says how far the run is */
    }
    double now = (double)now_us / (double)SL_SECOND_US;
    double t = isnan(event->t) || event->t > now + AHEAD_MAX_S ? now : event->t;
    if (t >= progress->newest[event->ev]) {
        progress->newest[event->ev] = t;
        take_event(progress, event, t);
    }
    return true;
}

static double rounded(double value, double unit)
{
    return round(value / unit) * unit;
}

/* One decimal, and a text that reads back so: 12.3, not 12.300000000000001. */
static json_t *decimal(double value)
{
    return json_real(round(value * 10) / 10);
}

static double percent(const SlProgress *p)
{
    double part = p->step >= 0 && p->total > 0 ? (double)p->step / (double)p->total
                  : p->epochs > 0              ? p->epoch / p->epochs
                                               : (double)NAN;
    return isnan(part) ? part : 100 * CLAMP(part, 0, 1);
}

/* Steps a second: what the program says, else what its lines show. */
static double step_rate(const SlProgress *p)
{
    double seconds = p->last_t - p->first_t;
    if (!isnan(p->rate) || !(seconds > 0) || p->step <= p->first_step) {
        return p->rate;
    }
    return (double)(p->step - p->first_step) / seconds;
}

static json_t *progress_json(const SlProgress *p)
{
    json_t *json = json_object();
    double rate = step_rate(p);
    double pct = percent(p);
    double eta = p->eta;
    if (isnan(eta) && rate > 0 && p->total >= p->step && p->step >= 0) {
        eta = (double)(p->total - p->step) / rate;
    }
    if (p->step >= 0) {
        sl_json_set_int(json, "step", p->step);
    }
    if (p->total >= 0) {
        sl_json_set_int(json, "total", p->total);
    }
    const struct {
        const char *key;
        double value;
    } numbers[] = {{"epoch", p->epoch}, {"epochs", p->epochs}, {"rate", rate}, {"pct", pct}};
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        if (!isnan(numbers[i].value)) {
            json_object_set_new(json, numbers[i].key,
                                numbers[i].key[0] == 'e' ? json_real(numbers[i].value)
                                                         : decimal(numbers[i].value));
        }
    }
    if (!isnan(eta) && eta <= 1e9) {
        sl_json_set_int(json, "eta", (int64_t)rounded(eta, 1));
    }
    if (p->lost_steps > 0) {
        sl_json_set_int(json, "lostSteps", p->lost_steps);
    }
    return json;
}

static size_t record_bytes(const json_t *record)
{
    g_autofree char *text = sl_json_canonical(record, NULL);
    return text != NULL ? strlen(text) : 0;
}

static bool drop_last(json_t *object)
{
    const char *key = NULL;
    const char *last = NULL;
    json_t *value = NULL;
    json_object_foreach(object, key, value)
    {
        last = key;
    }
    return last != NULL && json_object_del(object, last) == 0;
}

static void fit(json_t *record)
{
    int64_t omitted = 0;
    json_t *metrics = json_object_get(record, "metrics");
    json_t *finals = sl_json_at(record, "final.metrics");
    while (record_bytes(record) > SL_RUN_RECORD_MAX && (drop_last(metrics) || drop_last(finals))) {
        sl_json_set_int(record, "metricsOmitted", ++omitted);
    }
    static const char *const spare[] = {"checkpoint", "error", "message", "stage"};
    for (size_t i = 0; i < G_N_ELEMENTS(spare) && record_bytes(record) > SL_RUN_RECORD_MAX; i++) {
        json_object_del(record, spare[i]);
    }
}

void sl_progress_to_record(const SlProgress *progress, json_t *record)
{
    json_t *json = progress_json(progress);
    if (json_object_size(json) > 0) {
        json_object_set(record, "progress", json);
    }
    json_decref(json);
    if (json_object_size(progress->metrics) > 0) {
        json_object_set_new(record, "metrics", json_copy(progress->metrics));
    }
    if (progress->final != NULL) {
        json_object_set_new(record, "final", json_deep_copy(progress->final));
    }
    if (progress->checkpoint != NULL) {
        json_object_set(record, "checkpoint", progress->checkpoint);
    }
    if (progress->failure != NULL) {
        json_object_set(record, "error", progress->failure);
    }
    set_text(record, "stage", progress->stage);
    if (progress->heartbeat_us > 0) {
        g_autofree char *at = sl_format_time(progress->heartbeat_us / SL_SECOND_US * SL_SECOND_US);
        sl_json_set_str(record, "heartbeatAt", at);
    }
    fit(record);
}

GPtrArray *sl_progress_final_metrics(const SlProgress *progress)
{
    GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
    const char *key = NULL;
    json_t *value = NULL;
    if (!sl_json_bool(progress->final, "ok", true)) {
        return lines;
    }
    json_object_foreach(json_object_get(progress->final, "metrics"), key, value)
    {
        g_autofree char *number = json_is_string(value)
                                      ? g_strdup(json_string_value(value))
                                      : sl_json_repr_double(json_number_value(value));
        g_ptr_array_add(lines, g_strdup_printf("final.%s %s", key, number));
    }
    return lines;
}

bool sl_progress_changed(SlProgress *progress)
{
    bool changed = progress->changed;
    progress->changed = false;
    return changed;
}

/* ---- state over a restart ---- */

typedef struct {
    const char *key;
    size_t offset;
    bool is_count;
} StateNumber;

#define NUMBER(name, count)                                                                        \
    {                                                                                              \
#name, offsetof(SlProgress, name), count                                                   \
    }
static const StateNumber state_numbers[] = {
    NUMBER(step, true),       NUMBER(total, true),        NUMBER(first_step, true),
    NUMBER(lost_steps, true), NUMBER(heartbeat_us, true), NUMBER(first_t, false),
    NUMBER(last_t, false),    NUMBER(epoch, false),       NUMBER(epochs, false),
    NUMBER(rate, false),      NUMBER(eta, false),
};
#undef NUMBER

json_t *sl_progress_to_json(const SlProgress *progress)
{
    json_t *json = json_object();
    for (size_t i = 0; i < G_N_ELEMENTS(state_numbers); i++) {
        const void *at = (const char *)progress + state_numbers[i].offset;
        if (state_numbers[i].is_count) {
            sl_json_set_int(json, state_numbers[i].key, *(const int64_t *)at);
        } else if (isfinite(*(const double *)at)) {
            json_object_set_new(json, state_numbers[i].key, json_real(*(const double *)at));
        }
    }
    json_t *newest = json_array();
    for (int i = 0; i < SL_N_EVS; i++) {
        json_array_append_new(newest, json_real(progress->newest[i]));
    }
    json_object_set_new(json, "newest", newest);
    json_object_set_new(json, "metrics", json_copy(progress->metrics));
    json_object_set_new(json, "final",
                        progress->final ? json_deep_copy(progress->final) : json_null());
    json_object_set_new(json, "checkpoint",
                        progress->checkpoint ? json_copy(progress->checkpoint) : json_null());
    json_object_set_new(json, "error",
                        progress->failure ? json_copy(progress->failure) : json_null());
    sl_json_set_str(json, "stage", progress->stage);
    return json;
}

static json_t *good_metrics(const json_t *from)
{
    json_t *metrics = json_object();
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)from, key, value)
    {
        if (sl_progress_is_metric(key, value) &&
            json_object_size(metrics) < SL_PROGRESS_METRICS_MAX) {
            json_object_set(metrics, key, value);
        }
    }
    return metrics;
}

/* Copies texts and non-negative integers of a flat object; NULL if @from is no object. */
static json_t *good_facts(const json_t *from)
{
    if (!json_is_object(from)) {
        return NULL;
    }
    json_t *facts = json_object();
    static const char *const keys[] = {"uri", "sha256", "class", "message"};
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        const char *text = sl_json_str(from, keys[i]);
        if (text != NULL && strlen(text) <= STATE_TEXT_MAX) {
            sl_json_set_str(facts, keys[i], text);
        }
    }
    int64_t step = sl_json_int(from, "step", -1);
    if (step >= 0) {
        sl_json_set_int(facts, "step", step);
    }
    return facts;
}

static json_t *good_final(const json_t *from)
{
    if (!json_is_object(from)) {
        return NULL;
    }
    json_t *final = json_object();
    json_object_set_new(final, "metrics", good_metrics(json_object_get(from, "metrics")));
    if (json_is_boolean(json_object_get(from, "ok"))) {
        sl_json_set_bool(final, "ok", sl_json_bool(from, "ok", true));
    }
    json_t *artifact = good_facts(json_object_get(from, "artifact"));
    if (artifact != NULL) {
        json_object_set_new(final, "artifact", artifact);
    }
    return final;
}

SlProgress *sl_progress_from_json(const json_t *json)
{
    SlProgress *p = sl_progress_new();
    for (size_t i = 0; i < G_N_ELEMENTS(state_numbers); i++) {
        void *at = (char *)p + state_numbers[i].offset;
        const json_t *value = json_object_get(json, state_numbers[i].key);
        if (state_numbers[i].is_count && json_is_integer(value) &&
            json_integer_value(value) >= -1) {
            *(int64_t *)at = (int64_t)json_integer_value(value);
        } else if (!state_numbers[i].is_count && json_is_number(value)) {
            *(double *)at = json_number_value(value);
        }
    }
    const json_t *newest = json_object_get(json, "newest");
    for (size_t i = 0; i < SL_N_EVS; i++) {
        p->newest[i] = json_number_value(json_array_get(newest, i));
    }
    replace(&p->metrics, good_metrics(json_object_get(json, "metrics")));
    p->final = good_final(json_object_get(json, "final"));
    p->checkpoint = good_facts(json_object_get(json, "checkpoint"));
    p->failure = good_facts(json_object_get(json, "error"));
    const char *stage = sl_json_str(json, "stage");
    p->stage = stage != NULL ? sl_escape_for_people(stage, SL_PROGRESS_NAME_MAX) : NULL;
    return p;
}
