/* verify.c - is what was committed running? Judged on signed reports bound to this promotion and
 * bundle, nothing else. */
#include "coordinator/brain/brain.h"
#include <string.h>

typedef struct {
    guint targets, taken, healthy, away;
    char *worst; /* "prod1: Degraded: ..." */
    bool latched;
    int code;
} Tally;

static void say_worst(Tally *tally, int code, const char *format, ...) G_GNUC_PRINTF(3, 4);
static void say_worst(Tally *tally, int code, const char *format, ...)
{
    if (tally->worst != NULL) {
        return;
    }
    va_list args;
    va_start(args, format);
    tally->worst = g_strdup_vprintf(format, args);
    va_end(args);
    tally->code = code;
}

/* The refusal that a cluster reports for this promotion, if any. */
static char *refusal(const SlCoord *c, const SlAttempt *a, const char *cluster)
{
    g_autoptr(json_t) entry = sl_brain_seen_entry(c, cluster, "refused/unit/%s/%s", a->app, a->env);
    bool about_this = entry != NULL && g_strcmp0(sl_json_str(entry, "promotion"), a->promotion) == 0;
    return about_this ? g_strdup_printf("%s: %s", sl_json_str_or(entry, "code", "?"),
                                        sl_json_str_or(entry, "message", ""))
                      : NULL;
}

static void tally_target(const SlCoord *c, const SlAttempt *a, const SlAttempt *live,
                         const char *cluster, Tally *tally)
{
    const char *bundle = g_hash_table_lookup(a->target_of, cluster);
    g_autoptr(json_t) entry = sl_brain_seen_entry(c, cluster, "unit/%s/%s", a->app, a->env);
    tally->targets++;
    if (entry == NULL) {
        tally->away++;
        say_worst(tally, SLU_AGENT_AWAY, "%s: no report yet", cluster);
        return;
    }
    const char *health = sl_json_str_or(entry, "health", "Unknown");
    bool about_this = g_strcmp0(sl_json_str(entry, "promotion"), live->promotion) == 0;
    if (about_this && sl_json_bool(entry, "latched", false)) { /* not by an older promotion */
        const char *message = sl_json_str_or(entry, "message", "");
        tally->latched = true;
        g_clear_pointer(&tally->worst, g_free); /* says more than anything else */
        say_worst(tally, SLU_LATCHED, "%s: went back by itself and stays there%s%s", cluster,
                  *message != '\0' ? ": " : "", message);
    }
    if (!about_this || g_strcmp0(sl_json_str(entry, "bundle"), bundle) != 0) {
        g_autofree char *why = refusal(c, live, cluster);
        say_worst(tally, SLU_HEALTH_TIMEOUT, "%s: has not taken this promotion yet%s%s", cluster,
                  why != NULL ? ": refused: " : "", why != NULL ? why : "");
        return;
    }
    tally->taken++;
    if (strcmp(health, sl_health_name(SL_HEALTH_HEALTHY)) == 0) {
        tally->healthy++;
    } else {
        say_worst(tally, SLU_HEALTH_TIMEOUT, "%s: %s: %s", cluster, health,
                  sl_json_str_or(entry, "message", sl_json_str_or(entry, "reason", "")));
    }
}

/* Removed: a cluster is done when its unit entry is gone, or names the empty bundle. */
static void tally_removed(const SlCoord *c, const SlAttempt *a, const char *cluster, Tally *tally)
{
    const SlSeen *seen = g_hash_table_lookup(c->seen, cluster);
    g_autoptr(json_t) entry = sl_brain_seen_entry(c, cluster, "unit/%s/%s", a->app, a->env);
    bool gone = seen != NULL && seen->known && entry == NULL;
    bool empty = entry != NULL && g_strcmp0(sl_json_str(entry, "promotion"), a->promotion) == 0;
    tally->targets++;
    if (gone || (empty &&
                 g_strcmp0(sl_json_str(entry, "health"), sl_health_name(SL_HEALTH_HEALTHY)) == 0)) {
        tally->taken++;
        tally->healthy++;
    } else {
        tally->taken += empty ? 1 : 0;
        tally->away += seen == NULL ? 1 : 0;
        say_worst(tally, SLU_HEALTH_TIMEOUT, "%s: objects are still being removed", cluster);
    }
}

/* A cluster that left the registry meanwhile does not hang the attempt. */
static void tally_all(const SlCoord *c, const SlAttempt *a, const SlAttempt *live, Tally *tally)
{
    g_autoptr(GPtrArray) clusters = sl_sorted_keys(a->target_of);
    for (guint i = 0; i < clusters->len; i++) {
        const char *cluster = g_ptr_array_index(clusters, i);
        if (sl_brain_cluster(c, cluster, NULL) == NULL) {
            continue;
        }
        if (a->act == SL_ACT_REMOVE) {
            tally_removed(c, a, cluster, tally);
        } else {
            tally_target(c, a, live, cluster, tally);
        }
    }
}

/* The signed reports that the verdict rests on. One report proves many units: its text is recorded
 * once, or a ledger would grow by the square of what is promoted together. */
static void emit_health(SlCoord *c, const SlAttempt *a)
{
    g_autoptr(GPtrArray) clusters = sl_sorted_keys(a->target_of);
    g_autofree char *key = g_strdup_printf("unit/%s/%s", a->app, a->env);
    for (guint i = 0; i < clusters->len; i++) {
        const char *cluster = g_ptr_array_index(clusters, i);
        const SlSeen *seen = g_hash_table_lookup(c->seen, cluster);
        const SlSigned *report = seen != NULL ? g_hash_table_lookup(seen->sources, key) : NULL;
        if (report == NULL) {
            continue;
        }
        json_t *event = sl_event("Health");
        sl_json_set_int(event, "attempt", (int64_t)a->n);
        sl_json_set_str(event, "cluster", cluster);
        const SlProof *proof = g_hash_table_lookup(c->proofs, cluster);
        if (proof != NULL && g_bytes_equal(proof->report->text, report->text)) {
            sl_json_set_int(event, "reportIn", (int64_t)proof->seq);
        } else {
            json_object_set_new(event, "report", sl_signed_to_json(report));
        }
        sl_emit(c, event);
    }
}

typedef struct {
    guint waits, held;
    char *waiting, *failed;
} Runs;

static void judge_runs(const SlCoord *c, const SlAttempt *a, Runs *runs)
{
    for (guint i = 0; a->act != SL_ACT_REMOVE && i < a->jobs->len; i++) {
        g_autofree char *text = NULL;
        switch (sl_brain_run_reach(c, a, g_ptr_array_index(a->jobs, i), &text)) {
        case SL_REACH_WAIT:
            runs->waits++;
            runs->waiting = runs->waiting != NULL ? runs->waiting : g_steal_pointer(&text);
            break;
        case SL_REACH_HELD:
            runs->held++;
            break;
        case SL_REACH_FAILED:
            runs->failed = runs->failed != NULL ? runs->failed : g_steal_pointer(&text);
            break;
        case SL_REACH_YES:
            break;
        }
    }
}

static void follow(SlCoord *c, SlAttempt *a, const Tally *tally)
{
    bool sent = false;
    GHashTableIter iter;
    gpointer cluster;
    g_hash_table_iter_init(&iter, a->target_of);
    while (!sent && g_hash_table_iter_next(&iter, &cluster, NULL)) {
        sent = sl_brain_session(c, cluster) != NULL;
    }
    if (a->state == SL_STATE_COMMITTED && (sent || tally->taken > 0)) {
        sl_attempt_move(c, a, SL_ON_PUBLISH);
    }
    if (a->state == SL_STATE_PUBLISHED && tally->taken > 0) {
        sl_attempt_move(c, a, SL_ON_APPLY);
    }
    if (a->state == SL_STATE_APPLYING && tally->taken == tally->targets) {
        sl_attempt_move(c, a, SL_ON_VERIFY);
    }
}

static void succeed(SlCoord *c, SlAttempt *a, guint held)
{
    emit_health(c, a);
    json_t *event = sl_event("Succeeded");
    sl_json_set_int(event, "attempt", (int64_t)a->n);
    sl_json_set_int(event, "withheld", (int64_t)a->withheld);
    sl_json_set_int(event, "held", held);
    if (a->unchanged) {
        sl_json_set_bool(event, "unchanged", true);
    }
    sl_emit(c, event);
}

static void judge_end(SlCoord *c, SlAttempt *a, const Tally *tally, const Runs *runs)
{
    int64_t until_us = sl_attempt_until(c, a);
    bool healthy = tally->healthy == tally->targets && !tally->latched;
    /* Past it only a run is waited for: a time that is over would wake us all the time. */
    sl_wake(c, until_us > c->now_us ? until_us : until_us + SL_RUN_WAIT_US);
    if (runs->failed != NULL) {
        emit_health(c, a);
        sl_emit_end(c, a, "Failed", SLU_RUN_FAILED, "%s", runs->failed);
    } else if (healthy && runs->waits == 0) {
        succeed(c, a, runs->held);
    } else if (tally->latched && tally->taken < tally->targets) {
        emit_health(c, a);
        sl_emit_end(c, a, "Failed", SLU_LATCHED, "%s", tally->worst);
    } else if (healthy && until_us - c->now_us > -SL_RUN_WAIT_US) {
        g_free(a->waiting); /* objects are healthy: a run may take its time */
        a->waiting = g_strdup(runs->waiting);
    } else if (until_us <= c->now_us) {
        emit_health(c, a);
        bool away = tally->away > 0 && tally->away + tally->healthy == tally->targets;
        sl_emit_end(c, a, away ? "Errored" : "Failed",
                    tally->worst != NULL ? tally->code : SLU_HEALTH_TIMEOUT, "%s",
                    tally->worst != NULL ? tally->worst : "not healthy in time");
    } else if (tally->worst != NULL) {
        g_free(a->waiting);
        a->waiting = g_strdup(tally->worst);
    }
}

void sl_brain_verify(SlCoord *c, SlAttempt *a)
{
    const SlUnit *u = sl_brain_unit(c, a->app, a->env);
    const SlAttempt *live = a->unchanged ? u->live : a;
    Tally tally = {0};
    Runs runs = {0};
    if (live == NULL) {
        sl_emit_end(c, a, "Failed", SLU_PREEMPTED, "the unit was removed meanwhile");
        return;
    }
    tally_all(c, a, live, &tally);
    follow(c, a, &tally);
    judge_runs(c, a, &runs);
    judge_end(c, a, &tally, &runs);
    g_free(tally.worst);
    g_free(runs.waiting);
    g_free(runs.failed);
}
