/* runs.c - starting and stopping runs. A run line starts a run only if its id is what fleet, unit,
 * job, run key and generation of the listed and accepted bundle give, and it is generation 0 of an
 * automatic job or a start-run order names it. The journal is durable before the start; an id in
 * the journal or among the finished is never placed again. */
#include "agent/brain/state.h"

void sl_journal_free(SlJournal *j)
{
    if (j == NULL) {
        return;
    }
    g_free(j->id);
    g_free(j->app);
    g_free(j->job);
    g_free(j->run_key);
    g_free(j->promotion);
    g_free(j->bundle);
    g_free(j->release);
    g_free(j->object);
    g_free(j->namespace_);
    g_clear_pointer(&j->inputs, g_ptr_array_unref);
    sl_signed_free(j->seal);
    g_free(j->seal_digest);
    json_decref(j->record);
    g_free(j);
}

typedef struct {
    const SlRunLine *line;
    SlUnit *unit;
    const SlGoal *job;
} RunCase;

static SlCheck run_unit(SlAgent *a, RunCase *c, GError **error)
{
    (void)error;
    c->unit = g_hash_table_lookup(a->units, c->line->app);
    const SlUnit *u = c->unit;
    bool in_force = u != NULL && u->promotion != NULL && g_strcmp0(u->promotion, u->wanted) == 0 &&
                    u->latch_reason == NULL && sl_gather_ready(u->goal) &&
                    sl_agent_epoch_in_force(a, u);
    return in_force ? SL_CHECK_OK : SL_CHECK_WAIT;
}

static SlCheck run_job(SlAgent *a, RunCase *c, GError **error)
{
    (void)a;
    const GPtrArray *goals = c->unit->goal->goals;
    for (guint i = 0; i < goals->len; i++) {
        const SlGoal *g = goals->pdata[i];
        if (g->is_run && strcmp(g->name, c->line->job) == 0) {
            c->job = g;
            return SL_CHECK_OK;
        }
    }
    return sl_check_verdict(
        sl_throw(error, SLU_AGENT_RUN, "the listed bundle has no job `%s`", c->line->job));
}

static SlCheck run_id(SlAgent *a, RunCase *c, GError **error)
{
    const SlRunLine *l = c->line;
    g_autofree char *id =
        sl_run_id(a->root->fleet, l->app, a->env, l->job, c->job->run_key, l->generation);
    return sl_check_verdict(strcmp(id, l->id) == 0 ||
                            sl_throw(error, SLU_AGENT_RUN,
                                     "run %.12s is not generation %" G_GUINT64_FORMAT
                                     " of job `%s` of the listed bundle",
                                     l->id, l->generation, l->job));
}

static SlCheck run_ordered(SlAgent *a, RunCase *c, GError **error)
{
    const SlRunLine *l = c->line;
    if (l->generation == 0 && c->job->start_auto) {
        return SL_CHECK_OK;
    }
    g_autofree char *scope = g_strdup_printf("run-key %s/%s %s %s %" G_GUINT64_FORMAT, l->app,
                                             a->env, l->job, c->job->run_key, l->generation);
    bool ordered = sl_agent_start_ordered(a, l->app, scope);
    if (!ordered && sl_agent_orders_wait(a)) {
        return SL_CHECK_WAIT; /* the run's line may come before the order's bytes */
    }
    return sl_check_verdict(ordered || sl_throw(error, SLU_AGENT_RUN,
                                                "job `%s`, generation %" G_GUINT64_FORMAT
                                                "%s: no start-run order in force",
                                                l->job, l->generation,
                                                c->job->start_auto ? "" : ", starts by hand"));
}

static SlCheck run_room(SlAgent *a, RunCase *c, GError **error)
{
    (void)c;
    return sl_check_verdict((g_hash_table_size(a->runs) < SL_AGENT_RUNS_MAX &&
                             g_hash_table_size(a->finished) < SL_AGENT_FINISHED_MAX) ||
                            sl_throw(error, SLU_AGENT_FULL,
                                     "the journal holds %u runs and %u finished ones",
                                     g_hash_table_size(a->runs), g_hash_table_size(a->finished)));
}

static SlCheck run_may_now(SlAgent *a, RunCase *c, GError **error)
{
    (void)error;
    int64_t until = 0;
    g_autofree char *stop = g_strdup_printf("run %s/%s %s", c->line->app, a->env, c->line->id);
    bool may = !sl_agent_is_lost(a, c->line->app) && !sl_agent_paused(a, c->line->app, &until) &&
               sl_agent_may_start(a) && !sl_agent_stop_ordered(a, stop);
    return may ? SL_CHECK_OK : SL_CHECK_WAIT;
}

static SlCheck run_finished(SlAgent *a, RunCase *c, GError **error)
{
    return sl_check_verdict(
        !g_hash_table_contains(a->finished, c->line->id) ||
        sl_throw(error, SLU_AGENT_RUN, "it ended here before, and its seal is no longer kept"));
}

static const struct {
    const char *kind;
    SlCheck (*check)(SlAgent *, RunCase *, GError **);
} RUN_CHECKS[] = {
    {"run-finished", run_finished},
    {"no-unit", run_unit},
    {"run-not-in-bundle", run_job},
    {"run-id", run_id},
    {"run-not-ordered", run_ordered},
    {"full", run_room},
    {"held", run_may_now},
};

static void place(SlAgent *a, const RunCase *c)
{
    SlJournal *j = g_new0(SlJournal, 1);
    j->id = g_strdup(c->line->id);
    j->app = g_strdup(c->line->app);
    j->job = g_strdup(c->line->job);
    j->generation = c->line->generation;
    j->run_key = g_strdup(c->job->run_key);
    j->object = g_strdup(c->job->digest);
    j->namespace_ = g_strdup(c->job->namespace_);
    j->promotion = g_strdup(c->unit->promotion);
    j->bundle = g_strdup(c->unit->bundle);
    j->release = g_strdup(c->unit->release);
    j->inputs = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < c->job->inputs->len; i++) {
        g_ptr_array_add(j->inputs, g_strdup(c->job->inputs->pdata[i]));
    }
    j->sent_us = -1;
    g_hash_table_insert(a->runs, j->id, j);
    sl_agent_dirty(a);
    a->keep_dirty = true;
    sl_agent_report_run(a, j, true);
}

static void check_line(SlAgent *a, const SlRunLine *line)
{
    if (g_hash_table_contains(a->runs, line->id) || sl_agent_kept_seal(a, line->id) != NULL) {
        return;
    }
    g_autofree char *what = g_strdup_printf("run/%s/%s/%s/%" G_GUINT64_FORMAT, line->app, a->env,
                                            line->job, line->generation);
    RunCase c = {.line = line};
    for (size_t i = 0; i < G_N_ELEMENTS(RUN_CHECKS); i++) {
        g_autoptr(GError) error = NULL;
        SlCheck check = RUN_CHECKS[i].check(a, &c, &error);
        if (check == SL_CHECK_REFUSED) {
            (void)sl_prefix(&error, "run %.12s", line->id);
            sl_agent_refuse(a, what, RUN_CHECKS[i].kind, error);
        }
        if (check != SL_CHECK_OK) {
            return;
        }
    }
    sl_agent_unrefuse(a, what);
    place(a, &c);
}

void sl_agent_runs_settle(SlAgent *a)
{
    if (a->root == NULL) {
        return;
    }
    for (guint i = 0; i < a->run_lines->len; i++) {
        check_line(a, a->run_lines->pdata[i]);
    }
}

/* ---- effects, when everything is durable ---- */

static SlAgentEffect *emit_run(SlAgent *a, const SlJournal *j, SlAgentEffectType type)
{
    SlAgentEffect *e = sl_agent_emit(a, type);
    e->run_id = g_strdup(j->id);
    e->run_key = g_strdup(j->run_key);
    e->job = g_strdup(j->job);
    e->generation = j->generation;
    e->app = g_strdup(j->app);
    e->kind = g_strdup(SL_KIND_TRAINING_JOB);
    e->namespace_ = g_strdup(j->namespace_);
    e->name = g_strdup(j->job);
    e->digest = g_strdup(j->object);
    e->promotion = g_strdup(j->promotion);
    e->bundle = g_strdup(j->bundle);
    e->release = g_strdup(j->release);
    return e;
}

void sl_agent_runs_adopt(SlAgent *a)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, a->runs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        SlJournal *j = value;
        if (j->state == SL_JOURNAL_STARTED) {
            (void)emit_run(a, j, SL_AGENT_DO_ADOPT);
            j->issued = true;
        }
        sl_agent_report_run(a, j, false);
    }
}

void sl_agent_runs_issue(SlAgent *a)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, a->runs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        SlJournal *j = value;
        if (j->state == SL_JOURNAL_SEALED) {
            continue;
        }
        g_autofree char *scope = g_strdup_printf("run %s/%s %s", j->app, a->env, j->id);
        if (!j->issued) {
            (void)emit_run(a, j, SL_AGENT_DO_RUN_START);
            j->issued = true;
        }
        if (!j->stopped && sl_agent_stop_ordered(a, scope)) {
            SlAgentEffect *e = emit_run(a, j, SL_AGENT_DO_RUN_STOP);
            e->message = g_strdup("a stop-run order");
            j->stopped = true;
        }
    }
}

void sl_agent_run(SlAgent *a, const char *run_id, const json_t *record)
{
    SlJournal *j = run_id != NULL ? g_hash_table_lookup(a->runs, run_id) : NULL;
    if (j == NULL || j->state == SL_JOURNAL_SEALED) {
        return;
    }
    bool changed = g_strcmp0(sl_json_str(j->record, "phase"), sl_json_str(record, "phase")) != 0;
    json_decref(j->record);
    j->record = json_deep_copy(record);
    if (j->state == SL_JOURNAL_PLACED) {
        j->state = SL_JOURNAL_STARTED;
        sl_agent_lazy(a);
    }
    sl_agent_report_run(a, j, changed);
}
