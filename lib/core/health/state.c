/* state.c - what is remembered of an object between two looks: since when it makes no progress, how often its containers were
 * started, and the last verdict. */
#include "base/digest.h"
#include "base/text.h"
#include "core/health/case.h"
#include <inttypes.h>
#include <string.h>

#define WALK_DEPTH_MAX 8
#define PROGRESS_TEXT_MAX 64 /* longer texts are messages, not phases */
#define PROGRESS_NUMBER_MAX                                                                        \
    1000000000 /* larger numbers are times or bytes, not replicas or steps */
#define FORMAT 1

static const struct {
    const char *name;
    int64_t seconds;
} timers[SL_N_TIMERS] = {
#define SL_HEALTH_TIMER(NAME, name, seconds, text) [SL_TIMER_##NAME] = {name, seconds},
#include "core/health/timers.def"
#undef SL_HEALTH_TIMER
};

int64_t sl_timer_us(SlHealthTimer timer, const SlHealthContext *context)
{
    if (timer == SL_TIMER_NEVER) {
        return SL_HEALTH_NO_DEADLINE;
    }
    if (context->timers_us != NULL && context->timers_us[timer] > 0) {
        return context->timers_us[timer];
    }
    return timers[timer].seconds < 0 ? SL_HEALTH_NO_DEADLINE : timers[timer].seconds * SL_SECOND_US;
}

bool sl_health_timer_set(int64_t timers_us[SL_N_TIMERS], const char *name, const char *duration,
                         GError **error)
{
    for (int i = 0; i < SL_N_TIMERS; i++) {
        if (strcmp(timers[i].name, name) == 0) {
            if (strcmp(duration, "never") == 0) {
                timers_us[i] = SL_HEALTH_NO_DEADLINE;
                return true;
            }
            return sl_parse_duration(duration, &timers_us[i], error) ||
                   sl_prefix(error, "%s", name);
        }
    }
    GString *names = g_string_new(NULL);
    for (int i = 0; i < SL_N_TIMERS; i++) {
        g_string_append_printf(names, "%s%s", i > 0 ? ", " : "", timers[i].name);
    }
    g_autofree char *shown = sl_escape_for_people(name, 64);
    g_autofree char *known = g_string_free(names, FALSE);
    return sl_throw(error, SLU_INVALID, "there is no time-out `%s`; there are %s", shown, known);
}

/* ---- progress ---- */

/* Below these keys lies what changes without progress: a container that crashes again and again must not look busy. */
static bool is_noise(const char *key)
{
    static const char noise[] = " message containerStatuses initContainerStatuses "
                                "ephemeralContainerStatuses currentMetrics resourceVersion "
                                "restartCount images usage observedAt heartbeat uid ";
    return sl_is_one_of(key, noise) ||
           (g_str_has_suffix(key, "Time") && strcmp(key, "lastTransitionTime") != 0) ||
           g_str_has_suffix(key, "Timestamp") || g_str_has_suffix(key, "time");
}

static void add_text(SlSha256 *sha, const char *text)
{
    sl_sha256_update(sha, text, strlen(text) + 1);
}

static void add_progress(SlSha256 *sha, json_t *value, int depth)
{
    const char *key = NULL;
    json_t *each = NULL;
    size_t i = 0;
    char number[32];
    if (depth > WALK_DEPTH_MAX) {
        return;
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        json_object_foreach (value, key, each) {
            if (!is_noise(key)) {
                add_text(sha, key);
                add_progress(sha, each, depth + 1);
            }
        }
        return;
    case JSON_ARRAY:
        json_array_foreach (value, i, each) {
            add_progress(sha, each, depth + 1);
        }
        return;
    case JSON_INTEGER:
        if (json_integer_value(value) <= PROGRESS_NUMBER_MAX) {
            g_snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
            add_text(sha, number);
        }
        return;
    case JSON_STRING:
        if (json_string_length(value) <= PROGRESS_TEXT_MAX) {
            add_text(sha, json_string_value(value));
        }
        return;
    default:
        add_text(sha, json_is_true(value) ? "true" : "-");
    }
}

static char *progress_of(const json_t *object)
{
    g_autoptr(SlSha256) sha = sl_sha256_new();
    g_autofree char *generation =
        g_strdup_printf("%" PRId64, sl_json_int(object, "metadata.generation", 0));
    add_text(sha, sl_json_str_or(object, "metadata.uid", ""));
    add_text(sha, generation);
    add_text(sha, sl_json_str_or(object, "metadata.deletionTimestamp", ""));
    json_t *status = json_object_get(object, "status");
    if (status != NULL) {
        add_progress(sha, status, 0);
    }
    return sl_sha256_final_hex(sha);
}

static void newer(int64_t *newest, int64_t time, int64_t now_us)
{
    *newest = time <= now_us ? MAX(*newest, time) : *newest;
}

int64_t sl_newest_time(const json_t *object, int64_t now_us)
{
    static const char *const paths[] = {"metadata.creationTimestamp", "status.startTime",
                                        "status.lastScheduleTime"};
    int64_t newest = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        newer(&newest, sl_time_at(object, paths[i]), now_us);
    }
    size_t i = 0;
    json_t *each = NULL;
    json_array_foreach (sl_json_at(object, "status.conditions"), i, each) {
        newer(&newest, sl_time_at(each, "lastTransitionTime"), now_us);
        newer(&newest, sl_time_at(each, "lastUpdateTime"), now_us);
    }
    return newest;
}

/* ---- restarts ---- */

static int64_t total_restarts(const json_t *object)
{
    static const char *const lists[] = {"status.containerStatuses", "status.initContainerStatuses"};
    int64_t total = 0;
    for (size_t l = 0; l < G_N_ELEMENTS(lists); l++) {
        size_t i = 0;
        json_t *each = NULL;
        json_array_foreach (sl_json_at(object, lists[l]), i, each) {
            total += CLAMP(sl_json_int(each, "restartCount", 0), 0, INT32_MAX);
        }
    }
    return total;
}

static void push_restart(SlHealthState *state, int64_t at_us, int64_t total)
{
    if (state->restart_count == SL_HEALTH_RESTARTS_MAX) {
        memmove(&state->restarts[0], &state->restarts[1],
                sizeof state->restarts - sizeof state->restarts[0]);
        state->restart_count--;
    }
    state->restarts[state->restart_count].at_us = at_us;
    state->restarts[state->restart_count].total = total;
    state->restart_count++;
}

int64_t sl_state_restarts(const SlHealthState *state, int64_t now_us)
{
    if (state->restart_count == 0) {
        return 0;
    }
    /* What it was when the window began, or at the first look. */
    int64_t before = state->restarts[0].total;
    for (unsigned i = 0; i < state->restart_count; i++) {
        if (state->restarts[i].at_us <= now_us - SL_RESTART_WINDOW_US) {
            before = state->restarts[i].total;
        }
    }
    return state->restarts[state->restart_count - 1].total - before;
}

void sl_state_look(SlHealthState *state, const json_t *object, const SlHealthContext *context)
{
    int64_t now_us = context->now_us;
    g_autofree char *change = progress_of(object);
    if (strcmp(change, state->change) != 0) {
        bool first = state->change[0] == '\0';
        int64_t newest = first && context->snapshot ? sl_newest_time(object, now_us) : 0;
        g_strlcpy(state->change, change, sizeof state->change);
        state->changed_us = newest > 0 ? newest : now_us;
    }
    state->changed_us = MIN(state->changed_us, now_us); /* the clock was set back */
    int64_t total = total_restarts(object);
    unsigned last = state->restart_count;
    if (last == 0 || state->restarts[last - 1].total > total) { /* never seen, or another Pod */
        state->restart_count = 0;
        push_restart(state, now_us, total);
    } else if (state->restarts[last - 1].total != total) {
        push_restart(state, now_us, total);
    }
}

/* ---- to JSON and back ---- */

json_t *sl_health_state_to_json(const SlHealthState *state)
{
    json_t *json = json_object();
    sl_json_set_int(json, "format", FORMAT);
    sl_json_set_str(json, "change", state->change);
    sl_json_set_int(json, "changed", state->changed_us);
    if (state->judged) {
        sl_json_set_str(json, "health", sl_health_name(state->health));
        sl_json_set_str(json, "reason", state->reason);
        sl_json_set_int(json, "since", state->since_us);
    }
    sl_json_set_int(json, "healthyFrom", state->healthy_us);
    sl_json_set_int(json, "aheadFrom", state->ahead_us);
    sl_json_set_int(json, "staleFrom", state->stale_us);
    json_t *restarts = json_array();
    for (unsigned i = 0; i < state->restart_count; i++) {
        json_t *pair = json_array();
        json_array_append_new(pair, json_integer(state->restarts[i].at_us));
        json_array_append_new(pair, json_integer(state->restarts[i].total));
        json_array_append_new(restarts, pair);
    }
    json_object_set_new(json, "restarts", restarts);
    return json;
}

void sl_health_state_from_json(const json_t *json, SlHealthState *ret_state)
{
    *ret_state = (SlHealthState){0};
    const char *change = sl_json_str_or(json, "change", "");
    const char *reason = sl_json_str(json, "reason");
    if (sl_json_int(json, "format", 0) != FORMAT ||
        (*change != '\0' && !sl_is_hex_digest(change))) {
        return;
    }
    g_strlcpy(ret_state->change, change, sizeof ret_state->change);
    ret_state->changed_us = MAX(sl_json_int(json, "changed", 0), 0);
    ret_state->healthy_us = MAX(sl_json_int(json, "healthyFrom", 0), 0);
    ret_state->ahead_us = MAX(sl_json_int(json, "aheadFrom", 0), 0);
    ret_state->stale_us = MAX(sl_json_int(json, "staleFrom", 0), 0);
    if (reason != NULL && strlen(reason) < SL_HEALTH_REASON_MAX &&
        sl_health_parse(sl_json_str_or(json, "health", ""), &ret_state->health)) {
        ret_state->judged = true;
        g_strlcpy(ret_state->reason, reason, sizeof ret_state->reason);
        ret_state->since_us = MAX(sl_json_int(json, "since", 0), 0);
    }
    size_t i = 0;
    json_t *pair = NULL;
    json_array_foreach (json_object_get(json, "restarts"), i, pair) {
        const json_t *at = json_array_get(pair, 0);
        const json_t *total = json_array_get(pair, 1);
        if (json_is_integer(at) && json_is_integer(total) && json_integer_value(total) >= 0) {
            push_restart(ret_state, MAX(json_integer_value(at), 0), json_integer_value(total));
        }
    }
}
