/* case.c - the table of kinds, and the words that its rules are written in. */
#include "core/health/case.h"
#include "base/text.h"
#include <string.h>

#define QUEUE_LABEL "kueue.x-k8s.io/queue-name"
#define VOLCANO "volcano"

static bool judge_statusless(SlHealthCase *c)
{
    c->settled = true;
    return sl_case_say(c, SL_HEALTH_HEALTHY, "Exists", "metadata", "has no status to wait for");
}

static const SlHealthKind kinds[] = {
#define SL_HEALTH_KIND(rule, group, kind, flags, timer, verdicts)                                  \
    {group, kind, flags, timer, verdicts, sl_health_of_##rule},
#define SL_HEALTH_STATUSLESS(group, kind)                                                          \
    {group, kind, SL_KIND_PLAIN, SL_TIMER_GENERIC, "H", judge_statusless},
#include "core/health/kinds.def"
#undef SL_HEALTH_KIND
#undef SL_HEALTH_STATUSLESS
};

const SlHealthKind *sl_health_kinds(size_t *ret_count)
{
    *ret_count = G_N_ELEMENTS(kinds);
    return kinds;
}

const SlHealthKind *sl_health_kind(const char *group, const char *kind)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (strcmp(kinds[i].kind, kind) == 0 && strcmp(kinds[i].group, group) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

char *sl_group_of(const char *api_version)
{
    const char *slash = strchr(api_version, '/');
    return g_strndup(api_version, slash != NULL ? (size_t)(slash - api_version) : 0);
}

/* ---- answers ---- */

/* Message of at most SL_HEALTH_MESSAGE_MAX bytes that a terminal bears. */
static void set_message(SlHealthVerdict *verdict, const char *text)
{
    g_autofree char *safe = sl_escape_for_people(text, SL_HEALTH_MESSAGE_MAX - strlen("..."));
    g_strlcpy(verdict->message, safe, sizeof verdict->message);
}

/* Reasons come from outside: only words are taken, anything else stays what the rule calls it. */
static const char *word_or(const char *word, const char *otherwise)
{
    size_t len = strlen(word);
    if (len == 0 || len >= SL_HEALTH_REASON_MAX || !g_ascii_isalpha(word[0])) {
        return otherwise;
    }
    for (size_t i = 0; i < len; i++) {
        if (!g_ascii_isalnum(word[i]) && word[i] != '_') {
            return otherwise;
        }
    }
    return word;
}

static bool answer(SlHealthCase *c, SlHealth health, const char *reason, const char *path,
                   const char *message)
{
    c->verdict->health = health;
    g_strlcpy(c->verdict->reason, word_or(reason, "Other"), sizeof c->verdict->reason);
    g_autofree char *safe = sl_escape_for_people(path, SL_HEALTH_EVIDENCE_MAX - sizeof "...");
    g_strlcpy(c->verdict->evidence, safe, sizeof c->verdict->evidence);
    set_message(c->verdict, message);
    return true;
}

bool sl_case_say(SlHealthCase *c, SlHealth health, const char *reason, const char *path,
                 const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *message = g_strdup_vprintf(format, args);
    va_end(args);
    return answer(c, health, reason, path, message);
}

bool sl_case_wait(SlHealthCase *c, SlHealthTimer timer, const char *reason, const char *path,
                  const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *message = g_strdup_vprintf(format, args);
    va_end(args);
    c->timer = timer;
    return answer(c, SL_HEALTH_PROGRESSING, reason, path, message);
}

bool sl_case_say_condition(SlHealthCase *c, SlHealth health, const char *reason,
                           const json_t *condition)
{
    const char *type = sl_json_str_or(condition, "type", "?");
    const char *message = sl_condition_message(condition);
    g_autofree char *path = g_strdup_printf("status.conditions[%s]", type);
    g_autofree char *text =
        *message != '\0'
            ? g_strdup(message)
            : g_strdup_printf("%s is %s", type, sl_json_str_or(condition, "status", "missing"));
    return answer(c, health, word_or(sl_condition_reason(condition), reason), path, text);
}

bool sl_case_finished(SlHealthCase *c, const char *reason, const char *path)
{
    c->verdict->final = true;
    c->settled = true;
    return sl_case_say(c, SL_HEALTH_HEALTHY, reason, path, "finished successfully");
}

bool sl_case_failed(SlHealthCase *c, const char *reason, const json_t *condition)
{
    c->verdict->final = true;
    return sl_case_say_condition(c, SL_HEALTH_DEGRADED, reason, condition);
}

static const json_t *workload_condition(const SlHealthCase *c, const char *type, const char *status)
{
    return sl_condition_in(sl_json_at(c->context->workload, "status.conditions"), type, status, 0);
}

bool sl_case_suspended(SlHealthCase *c, const char *path)
{
    if (!sl_case_queue_managed(c)) {
        return sl_case_say(c, SL_HEALTH_SUSPENDED, "Suspended", path, "suspended by its spec");
    }
    c->verdict->queued = true;
    const json_t *evicted = workload_condition(c, "Evicted", "True");
    const json_t *waits = workload_condition(c, "QuotaReserved", "False");
    if (evicted != NULL && workload_condition(c, "QuotaReserved", "True") == NULL) {
        bool preempted = strcmp(sl_condition_reason(evicted), "Preempted") == 0;
        return sl_case_wait(c, SL_TIMER_QUEUE, preempted ? "Preempted" : "Queued", path,
                            "the queue took its quota back (%s): %s", sl_condition_reason(evicted),
                            sl_condition_message(evicted));
    }
    return sl_case_wait(c, SL_TIMER_QUEUE, "Queued", path, "waits for quota of its queue%s%s",
                        waits != NULL ? ": " : "", sl_condition_message(waits));
}

/* ---- looking ---- */

int64_t sl_case_int(const SlHealthCase *c, const char *path, int64_t otherwise)
{
    return sl_json_int(c->object, path, otherwise);
}

const char *sl_case_str(const SlHealthCase *c, const char *path)
{
    return sl_json_str_or(c->object, path, "");
}

bool sl_is_one_of(const char *word, const char *words)
{
    g_autofree char *spaced = g_strdup_printf(" %s ", word);
    return *word != '\0' && strchr(word, ' ') == NULL && strstr(words, spaced) != NULL;
}

bool sl_number_at(const json_t *object, const char *path, int64_t *ret_number)
{
    const json_t *at = sl_json_at(object, path);
    if (json_is_integer(at)) {
        *ret_number = (int64_t)json_integer_value(at);
        return true;
    }
    return json_is_string(at) && sl_parse_int64(json_string_value(at), ret_number);
}

bool sl_is_terminal_reason(const char *reason)
{
    return strcmp(reason, "Failed") == 0 || g_str_has_prefix(reason, "Invalid") ||
           g_str_has_suffix(reason, "ValidationFailed") || g_str_has_suffix(reason, "Exceeded");
}

int64_t sl_time_at(const json_t *object, const char *path)
{
    const char *text = sl_json_str(object, path);
    int64_t us = 0;
    return text != NULL && sl_parse_time(text, &us) ? us : 0;
}

bool sl_condition_is_old(const json_t *condition, int64_t generation)
{
    int64_t observed = 0;
    return sl_number_at(condition, "observedGeneration", &observed) && observed < generation;
}

const json_t *sl_condition_in(const json_t *list, const char *type, const char *status,
                              int64_t generation)
{
    size_t i = 0;
    json_t *each = NULL;
    json_array_foreach (list, i, each) {
        if (!sl_condition_is_old(each, generation) &&
            strcmp(sl_json_str_or(each, "type", ""), type) == 0 &&
            (status == NULL || strcmp(sl_json_str_or(each, "status", ""), status) == 0)) {
            return each;
        }
    }
    return NULL;
}

const json_t *sl_case_is(const SlHealthCase *c, const char *type, const char *status)
{
    return sl_condition_in(json_object_get(c->status, "conditions"), type, status,
                           sl_case_int(c, "metadata.generation", 0));
}

const json_t *sl_case_condition(const SlHealthCase *c, const char *type)
{
    return sl_case_is(c, type, NULL);
}

const char *sl_condition_reason(const json_t *condition)
{
    return sl_json_str_or(condition, "reason", "");
}

const char *sl_condition_message(const json_t *condition)
{
    return sl_json_str_or(condition, "message", "");
}

bool sl_case_queue_managed(const SlHealthCase *c)
{
    const json_t *labels = sl_json_at(c->object, "metadata.labels");
    return c->context->queue_managed || c->context->workload != NULL ||
           json_is_string(json_object_get(labels, QUEUE_LABEL)) ||
           json_is_string(json_object_get(labels, "kueue.x-k8s.io/job-uid")) ||
           strcmp(sl_case_str(c, "spec.schedulerName"), VOLCANO) == 0 ||
           strcmp(sl_case_str(c, "spec.template.spec.schedulerName"), VOLCANO) == 0;
}

SlHealthTimer sl_case_start_timer(const SlHealthCase *c)
{
    return sl_case_queue_managed(c) ? SL_TIMER_QUEUE : SL_TIMER_IMAGE;
}
