/* health.c - the order of the rules. Each row answers or leaves it to the next one; then come what Pods say, the deadline, and
 * whether Healthy has held long enough. */
#include "core/health/health.h"
#include "base/text.h"
#include "core/health/case.h"
#include <inttypes.h>
#include <string.h>

#define SETTLE_US (5 * SL_SECOND_US) /* between the two looks that make Healthy */
#define QUIET_US (60 * SL_SECOND_US) /* a kind that nobody knows gets time to show a status */
#define AHEAD_US                                                                                   \
    (60 * SL_SECOND_US) /* a restored object: its status is older than itself, and says more */

/* ---- row 0: not seen ---- */

static bool judge_unseen(SlHealthCase *c, SlHealthState *state)
{
    switch (c->context->sight) {
    case SL_SIGHT_NO_KIND:
        return sl_case_say(c, SL_HEALTH_MISSING, "NoKind", "",
                           "the cluster doesn't know this kind");
    case SL_SIGHT_UNREADABLE:
        if (state->stale_us == 0) {
            state->stale_us = c->context->now_us;
        }
        c->verdict->stale_us = state->stale_us;
        return sl_case_say(c, SL_HEALTH_UNKNOWN, "Unreadable", "",
                           "the cluster doesn't let us read it; it was %s before",
                           state->judged ? sl_health_name(state->health) : "not judged");
    default:
        return sl_case_say(c, SL_HEALTH_MISSING, "NotFound", "", "the cluster doesn't have it");
    }
}

/* ---- row 1 ---- */

static bool judge_deleting(SlHealthCase *c)
{
    if (sl_json_at(c->object, "metadata.deletionTimestamp") == NULL) {
        return false;
    }
    GString *names = g_string_new(NULL);
    size_t i = 0;
    json_t *each = NULL;
    json_array_foreach (sl_json_at(c->object, "metadata.finalizers"), i, each) {
        const char *name = json_string_value(each);
        if (names->len < SL_HEALTH_MESSAGE_MAX && name != NULL) {
            g_string_append_printf(names, "%s%s", i > 0 ? ", " : "", name);
        }
    }
    g_autofree char *finalizers = g_string_free(names, FALSE);
    c->timer_from_us = sl_time_at(c->object, "metadata.deletionTimestamp");
    return sl_case_wait(c, SL_TIMER_DELETE, "Deleting", "metadata.deletionTimestamp",
                        "is being deleted; finalizers: %s", *finalizers ? finalizers : "none");
}

/* ---- row 2 ---- */

/* Above the generation for a minute: the object was restored from a backup, and the field means nothing until the next change. */
static bool is_ahead_for_good(SlHealthCase *c, SlHealthState *state, bool ahead)
{
    int64_t now_us = c->context->now_us;
    if (!ahead) {
        state->ahead_us = 0;
        return false;
    }
    if (state->ahead_us == 0 || state->ahead_us > now_us) {
        state->ahead_us = c->context->snapshot ? state->changed_us : now_us;
    }
    if (now_us - state->ahead_us >= AHEAD_US) {
        return true;
    }
    c->verdict->next_us = state->ahead_us + AHEAD_US;
    return false;
}

static bool judge_observed(SlHealthCase *c, SlHealthState *state, const SlHealthKind *row)
{
    static const char path[] = "status.observedGeneration";
    int64_t observed = 0;
    int64_t generation = 0;
    bool has = sl_number_at(c->object, path, &observed);
    c->verdict->observed_generation = has ? observed : -1;
    if (!has && row != NULL && (row->flags & SL_KIND_OBSERVES) != 0) {
        return sl_case_say(c, SL_HEALTH_PROGRESSING, "NotObserved", path,
                           "its controller has not looked at it yet");
    }
    if (!has || !sl_number_at(c->object, "metadata.generation", &generation)) {
        return false;
    }
    if (is_ahead_for_good(c, state, observed > generation) || observed == generation) {
        return false;
    }
    return sl_case_say(c, SL_HEALTH_PROGRESSING, "NotObserved", path,
                       "its controller looked at generation %" PRId64 ", not yet at %" PRId64,
                       observed, generation);
}

/* ---- row 3 ---- */

static bool judge_stalled(SlHealthCase *c)
{
    const json_t *stalled = sl_case_is(c, "Stalled", "True");
    const json_t *works = sl_case_is(c, "Reconciling", "True");
    if (stalled != NULL) {
        return sl_case_say_condition(c, SL_HEALTH_DEGRADED, "Stalled", stalled);
    }
    return works != NULL && sl_case_say_condition(c, SL_HEALTH_PROGRESSING, "Reconciling", works);
}

/* ---- row 6 ---- */

static bool judge_ready(SlHealthCase *c)
{
    const json_t *ready = sl_case_condition(c, "Ready");
    if (ready == NULL) {
        return false;
    }
    const char *status = sl_json_str_or(ready, "status", "");
    if (strcmp(status, "True") == 0) {
        return sl_case_say_condition(c, SL_HEALTH_HEALTHY, "Ready", ready);
    }
    bool doomed = strcmp(status, "False") == 0 && sl_is_terminal_reason(sl_condition_reason(ready));
    return sl_case_say_condition(c, doomed ? SL_HEALTH_DEGRADED : SL_HEALTH_PROGRESSING, "NotReady",
                                 ready);
}

/* ---- rows 7 and 8 ---- */

static bool judge_quiet(SlHealthCase *c, const SlHealthKind *row)
{
    bool conditions = json_array_size(json_object_get(c->status, "conditions")) > 0;
    const char *reason = conditions ? "NoReadyCondition" : "NoStatus";
    const char *path = conditions ? "status.conditions" : "status";
    int64_t quiet_us = c->context->now_us - c->state->changed_us;
    if (row != NULL) { /* its rule found nothing that it knows yet */
        return sl_case_say(c, SL_HEALTH_PROGRESSING, reason, path, "has not said how it is yet");
    }
    if (quiet_us < QUIET_US) {
        c->verdict->next_us = c->state->changed_us + QUIET_US;
        return sl_case_say(c, SL_HEALTH_PROGRESSING, reason, path, "has not said how it is yet");
    }
    c->settled = true;
    return sl_case_say(
        c, SL_HEALTH_HEALTHY, reason, path,
        "says nothing of its health, and is quiet for %d s; a rule of yours can judge it",
        (int)(QUIET_US / SL_SECOND_US));
}

static void judge_seen(SlHealthCase *c, SlHealthState *state, const SlHealthKind *row,
                       const char *kind)
{
    /* The generation is looked at even of an object that is being deleted: verdicts carry it. */
    bool unobserved = judge_observed(c, state, row);
    if (judge_deleting(c) || unobserved || judge_stalled(c)) {
        return;
    }
    if (sl_rules_judge(c->context->rules, kind, c)) {
        return;
    }
    c->timer = row != NULL ? row->timer : SL_TIMER_GENERIC;
    if (row != NULL && row->judge(c)) {
        return;
    }
    if (!judge_ready(c)) {
        judge_quiet(c, row);
    }
}

/* ---- what its Pods say ---- */

static void add_pod(SlHealthCase *c, const SlHealthKind *row)
{
    SlHealthVerdict *verdict = c->verdict;
    SlHealthVerdict pod_verdict = {0};
    bool stuck = false;
    if (row == NULL || (row->flags & SL_KIND_OWNS_PODS) == 0 || verdict->queued ||
        (verdict->health != SL_HEALTH_PROGRESSING && verdict->health != SL_HEALTH_DEGRADED)) {
        return;
    }
    const json_t *pod = sl_pod_first_bad(c, &pod_verdict, &stuck);
    if (pod == NULL) {
        return;
    }
    if (stuck && c->timer == SL_TIMER_QUEUE) { /* it has its quota: what it waits for is no queue */
        c->timer = SL_TIMER_IMAGE;
    }
    verdict->failure = pod_verdict.failure;
    g_autofree char *said = g_strdup(verdict->message);
    const char *name = sl_json_str_or(pod, "metadata.name", "?");
    const char *revision = sl_case_str(c, "status.updateRevision");
    const json_t *labels = sl_json_at(pod, "metadata.labels");
    const char *of = json_string_value(json_object_get(labels, "controller-revision-hash"));
    /* A Pod of the revision that is being replaced may fail: that is why it is replaced. */
    bool current = of == NULL || *revision == '\0' || strcmp(of, revision) == 0;
    /* One that is over, or goes, is replaced by another. */
    bool lives = pod_verdict.health == SL_HEALTH_DEGRADED && !pod_verdict.final;
    bool fails = (row->flags & SL_KIND_PODS_RULE) != 0 && current && lives &&
                 verdict->health == SL_HEALTH_PROGRESSING;
    g_autofree char *reason = g_strdup(fails ? pod_verdict.reason : verdict->reason);
    g_autofree char *path = g_strdup(verdict->evidence);
    sl_case_say(c, fails ? SL_HEALTH_DEGRADED : verdict->health, reason, path, "%s; Pod %s: %s",
                said, name, pod_verdict.message);
}

/* ---- deadlines, damping ---- */

static void apply_deadline(SlHealthCase *c)
{
    SlHealthVerdict *verdict = c->verdict;
    if (verdict->health != SL_HEALTH_PROGRESSING) {
        return;
    }
    int64_t length_us = c->timer_us > 0 ? c->timer_us : sl_timer_us(c->timer, c->context);
    int64_t from_us = c->timer_from_us > 0 ? c->timer_from_us : c->state->changed_us;
    if (length_us == SL_HEALTH_NO_DEADLINE) {
        return;
    }
    if (c->context->now_us - from_us < length_us) {
        verdict->next_us = MIN(verdict->next_us, from_us + length_us);
        return;
    }
    g_autofree char *length = sl_format_duration(length_us);
    g_autofree char *said = g_strdup(verdict->message);
    g_autofree char *reason = g_strdup(verdict->reason);
    g_autofree char *path = g_strdup(verdict->evidence);
    bool deleting = strcmp(reason, "Deleting") == 0;
    verdict->next_us = INT64_MAX;
    sl_case_say(c, SL_HEALTH_DEGRADED, deleting ? "StuckDeleting" : "DeadlineExceeded", path,
                "%s: no progress for %s: %s", reason, length, said);
}

/* Healthy that was not Healthy before must be seen twice: many objects look well for a moment before they fall over. */
static void damp(SlHealthCase *c, SlHealthState *state)
{
    SlHealthVerdict *verdict = c->verdict;
    int64_t now_us = c->context->now_us;
    if (verdict->health != SL_HEALTH_HEALTHY) {
        state->healthy_us = 0;
        return;
    }
    if (state->healthy_us == 0 || state->healthy_us > now_us) {
        state->healthy_us = now_us;
    }
    bool was = state->judged && state->health == SL_HEALTH_HEALTHY;
    if (was || c->settled || c->context->snapshot || now_us - state->healthy_us >= SETTLE_US) {
        return;
    }
    g_autofree char *said = g_strdup(verdict->message);
    g_autofree char *path = g_strdup(verdict->evidence);
    sl_case_say(c, SL_HEALTH_PROGRESSING, "Settling", path, "must hold for 5 s: %s", said);
    verdict->next_us = state->healthy_us + SETTLE_US;
}

static void publish(SlHealthState *state, SlHealthVerdict *verdict, int64_t now_us)
{
    bool same = state->judged && state->health == verdict->health &&
                strcmp(state->reason, verdict->reason) == 0;
    if (!same) {
        state->since_us = now_us;
        state->judged = true;
        state->health = verdict->health;
        g_strlcpy(state->reason, verdict->reason, sizeof state->reason);
    }
    state->since_us = MIN(state->since_us, now_us);
    verdict->since_us = state->since_us;
}

static void judge_object(SlHealthCase *c, SlHealthState *state)
{
    const char *kind = sl_case_str(c, "kind");
    g_autofree char *group = sl_group_of(sl_case_str(c, "apiVersion"));
    const SlHealthKind *row = sl_health_kind(group, kind);
    c->group = group;
    state->stale_us = 0;
    sl_state_look(state, c->object, c->context);
    judge_seen(c, state, row, kind);
    add_pod(c, row);
    apply_deadline(c);
    damp(c, state);
    c->group = NULL;
}

void sl_health_judge(const json_t *object, const SlHealthContext *context, SlHealthState *state,
                     SlHealthVerdict *ret_verdict)
{
    *ret_verdict = (SlHealthVerdict){.observed_generation = -1, .next_us = INT64_MAX};
    SlHealthCase c = {.object = object,
                      .spec = json_object_get(object, "spec"),
                      .status = json_object_get(object, "status"),
                      .context = context,
                      .state = state,
                      .timer = SL_TIMER_GENERIC,
                      .verdict = ret_verdict};
    if (context->sight == SL_SIGHT_UNREADABLE) {
        judge_unseen(&c, state);
        ret_verdict->since_us = ret_verdict->stale_us; /* the last verdict is kept in the state */
        return;
    }
    if (object == NULL || context->sight != SL_SIGHT_SEEN) {
        int64_t now_us = context->now_us;
        judge_unseen(&c, state);
        SlHealthState kept = {
            .judged = state->judged, .health = state->health, .since_us = state->since_us};
        g_strlcpy(kept.reason, state->reason, sizeof kept.reason);
        *state = kept; /* what comes under this name is another object */
        publish(state, ret_verdict, now_us);
        return;
    }
    judge_object(&c, state);
    publish(state, ret_verdict, context->now_us);
}
