/* runs.c - a training run is not a web server: it starts once, where it was placed, never again
 * after its seal; nothing but an order stops it; what is not the first run by itself was ordered by
 * people; no model that failed its gate is served. */
#include "book.h"

static BookOrder *order_of(const Book *b, const char *env, const char *scope, SlAct act)
{
    for (guint i = b->orders->len; i > 0; i--) {
        BookOrder *o = b->orders->pdata[i - 1];
        if (o->order->act == act && strcmp(o->order->env, env) == 0 &&
            strcmp(o->order->scope, scope) == 0) {
            return o;
        }
    }
    return NULL;
}

static bool starts_by_hand(World *w, const Agent *a, const SlAgentEffect *e)
{
    GBytes *bytes = e->digest != NULL ? yard_blob(w, a, e->digest) : NULL;
    gsize size = 0;
    const char *text = bytes != NULL ? g_bytes_get_data(bytes, &size) : NULL;
    return text != NULL && g_strstr_len(text, (gssize)size, "\"start\":\"manual\"") != NULL;
}

/* By people as the root says; of a manual job or a later generation. */
static void judge_start(World *w, const Agent *a, const SlAgentEffect *e)
{
    const Book *b = book_of(w);
    if (e->generation == 0 && !starts_by_hand(w, a, e)) {
        return;
    }
    g_autofree char *scope = g_strdup_printf("run-key %s/%s %s %s %" G_GUINT64_FORMAT, e->app,
                                             a->env, e->job, e->run_key, e->generation);
    const BookOrder *o = order_of(b, a->env, scope, SL_ACT_START_RUN);
    if (o == NULL) {
        fail(w, "%s starts generation %" G_GUINT64_FORMAT " of job %s, which nobody ordered",
             a->cluster, e->generation, e->job);
        return;
    }
    LawCase what = {
        .env = a->env, .app = e->app, .act = SL_ACT_START_RUN, .requester = o->order->requester};
    /* Any root since the order: it was taken under one of them. */
    g_autofree char *against = NULL;
    for (guint v = b->roots->len; v > 0; v--) {
        g_free(against);
        against = law_against(w, book_root(b, v), &what, o->digest);
        if (against == NULL) {
            return;
        }
    }
    fail(w, "%s starts generation %" G_GUINT64_FORMAT " of job %s: %s", a->cluster, e->generation,
         e->job, against);
}

#define PROTECT_US SL_HOUR_US

static void judge_stop(World *w, const Agent *a, const SlAgentEffect *e)
{
    const Book *b = book_of(w);
    g_autofree char *scope = g_strdup_printf("run %s/%s %s", e->app, a->env, e->run_id);
    const BookOrder *o = order_of(b, a->env, scope, SL_ACT_STOP_RUN);
    const BookRun *run = g_hash_table_lookup(b->runs, e->run_id);
    if (o == NULL) {
        fail(w, "%s stops run %.12s, which nobody ordered", a->cluster, e->run_id);
        return;
    }
    const char *signed_by = g_hash_table_lookup(world_keep_table(w, "signed"), o->digest);
    if (run != NULL && o->at_us - run->placed_us > PROTECT_US + SL_MINUTE_US && signed_by == NULL) {
        fail(w, "%s stops run %.12s, older than an hour, without a person", a->cluster, e->run_id);
    }
}

/* Placed on this cluster, in the ledger, before it starts; not sealed there. */
void check_placed(World *w, const Moment *m)
{
    const SlAgentEffect *e = m->effect;
    if (e->type == SL_AGENT_DO_RUN_STOP) {
        judge_stop(w, m->agent, e);
    }
    if (e->type != SL_AGENT_DO_RUN_START) {
        return;
    }
    const BookRun *run = g_hash_table_lookup(book_of(w)->runs, e->run_id);
    if (run != NULL && strcmp(run->cluster, m->agent->cluster) != 0) {
        fail(w, "%s starts run %.12s, which was placed on %s", m->agent->cluster, e->run_id,
             run->cluster);
    } else if (run != NULL && run->seal != NULL) {
        fail(w, "%s starts run %.12s, whose seal is in the ledger", m->agent->cluster, e->run_id);
    }
    judge_start(w, m->agent, e);
}

/* A run starts once, in one cluster; never after its end was sealed. */
void check_once(World *w, const Moment *m)
{
    const SlAgentEffect *e = m->effect;
    if (m->type == AT_RUN_START) {
        int where = GPOINTER_TO_INT(g_hash_table_lookup(w->run_starts, m->run_id));
        if (where != 0) {
            fail(w, "run %.12s (key %.12s) is started in %s and in %s", m->run_id, m->run_key,
                 agent_at(w, where - 1)->cluster, m->agent->cluster);
        }
        g_hash_table_insert(w->run_starts, g_strdup(m->run_id),
                            GINT_TO_POINTER(m->agent->index + 1));
    } else if (e->type == SL_AGENT_DO_SEAL) {
        g_hash_table_add(m->agent->sealed, g_strdup(e->run_id));
    } else if (e->type == SL_AGENT_DO_RUN_START &&
               g_hash_table_contains(m->agent->sealed, e->run_id)) {
        fail(w, "%s starts run %.12s after its seal", m->agent->cluster, e->run_id);
    }
}

/* ---- what a model is worth ---- */

static void note_models(World *w, const EngineRun *run)
{
    const char *accuracy = "";
    for (guint i = 0; i < run->metrics->len; i++) {
        const char *metric = run->metrics->pdata[i];
        if (g_str_has_prefix(metric, "final.accuracy ")) {
            accuracy = metric + strlen("final.accuracy ");
        }
    }
    for (guint i = 0; i < run->outputs->len; i++) {
        const char *at = strstr(run->outputs->pdata[i], "sha256:");
        if (at != NULL) {
            g_hash_table_replace(world_keep_table(w, "accuracy"), g_strndup(at + 7, 64),
                                 g_strdup(accuracy));
        }
    }
}

/* 17: where a gate wants accuracy, no server runs on a model that has less, none, or none finite. */
void check_model(World *w, const Moment *m)
{
    Agent *a = m->agent;
    if (m->type == AT_RUN_START) {
        const EngineRun *run = g_hash_table_lookup(a->runs, m->run_id);
        if (run != NULL) {
            note_models(w, run);
        }
        return;
    }
    const SlAgentEffect *e = m->effect;
    if (e->type != SL_AGENT_DO_APPLY || strcmp(a->env, "dev") == 0 ||
        !g_str_has_suffix(e->kind, "/ModelServer")) {
        return;
    }
    GBytes *bytes = yard_blob(w, a, e->digest);
    gsize size = 0;
    const char *text = bytes != NULL ? g_bytes_get_data(bytes, &size) : NULL;
    const char *at = text != NULL ? g_strstr_len(text, (gssize)size, "model://sha256:") : NULL;
    g_autofree char *model = at != NULL ? g_strndup(at + strlen("model://sha256:"), 64) : NULL;
    const char *accuracy =
        model != NULL ? g_hash_table_lookup(world_keep_table(w, "accuracy"), model) : NULL;
    const SlFleetDocs *docs = w->coord != NULL ? sl_coord_docs(w->coord) : NULL;
    const SlApplicationDoc *doc = docs != NULL ? sl_fleet_app(docs, e->app) : NULL;
    const SlAppEnv *env = doc != NULL ? sl_app_env(doc, "test") : NULL;
    bool gated = env != NULL && env->gates != NULL && env->gates->len > 0;
    if (gated && accuracy != NULL && !(g_ascii_strtod(accuracy, NULL) >= 0.95)) {
        fail(w, "%s serves model %.12s of %s with accuracy `%s`", a->cluster, model, e->app,
             accuracy);
    }
}
