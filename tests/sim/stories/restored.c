/* restored.c - the state repository comes back from an older copy: agents are ahead of it. Nobody
 * goes back; what is promoted next has a higher number, and everybody follows again. Where nothing
 * else goes wrong, at the first attempt. */
#include "kit.h"

static bool back_up(World *w, Plot *p)
{
    p->n = (int64_t)w->ledger->len;
    p->flag = rng_chance(&w->people_rng, 500); /* nothing else goes wrong */
    kit_job_push(w, "v2");
    return true;
}

static bool is_calm(World *w, Plot *p)
{
    return !p->flag || kit_calm(w, p);
}

static const char *tip_then(const World *w, const char *env)
{
    for (guint i = w->ledger->len; i > 0; i--) {
        const json_t *e = w->ledger->pdata[i - 1];
        if (g_strcmp0(sl_json_str(e, "type"), "Committed") == 0 &&
            g_strcmp0(sl_json_str(e, "env"), env) == 0) {
            return sl_json_str(e, "new");
        }
    }
    return NULL;
}

static void forget_acknowledged(World *w)
{
    int64_t attempts = 0;
    for (guint i = 0; i < w->ledger->len; i++) {
        attempts += g_strcmp0(sl_json_str(w->ledger->pdata[i], "type"), "Requested") == 0 ? 1 : 0;
    }
    for (guint i = w->acknowledged->len; i > 0; i--) {
        if (sl_json_int(w->acknowledged->pdata[i - 1], "attempt", 0) > attempts) {
            g_ptr_array_remove_index(w->acknowledged, i - 1);
        }
    }
}

static bool restore(World *w, Plot *p)
{
    coord_crash(w);
    say(w, "the state repository is restored: %" G_GINT64_FORMAT " of %u events", p->n,
        w->ledger->len);
    g_ptr_array_set_size(w->ledger, (gint)p->n);
    g_hash_table_unref(w->tips);
    w->tips = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (guint i = 0; i < w->envs->len; i++) {
        const char *env = ((Env *)w->envs->pdata[i])->name;
        const char *tip = tip_then(w, env);
        if (tip != NULL) {
            g_hash_table_insert(w->tips, g_strdup(env), g_strdup(tip));
        }
    }
    forget_acknowledged(w);
    return true;
}

/* Everybody is back and says where it stands; what the coordinator tries meanwhile is over. */
static bool are_heard(World *w, Plot *p)
{
    return !p->flag || (kit_calm(w, p) && w->now > p->since + 2 * SL_MINUTE_US);
}

static bool push_third(World *w, Plot *p)
{
    p->n = (int64_t)book_of(w)->attempts->len;
    kit_job_push(w, "v3");
    return true;
}

/* A number that an agent knows already is refused there. */
static void judge_numbers(World *w, const Plot *p)
{
    const Book *b = book_of(w);
    for (guint i = (guint)p->n; p->flag && i < b->attempts->len; i++) {
        const BookAttempt *a = b->attempts->pdata[i];
        if (a->committed != 0 && a->end != NULL && strcmp(a->end, "Succeeded") != 0) {
            fail(w,
                 "attempt %" G_GUINT64_FORMAT " (%s, seq %" G_GUINT64_FORMAT ") is %s, and "
                 "nothing went wrong but that the ledger was restored",
                 a->n, a->unit, a->seq, a->end);
        }
    }
}

static bool third_runs(World *w, Plot *p)
{
    judge_numbers(w, p);
    return kit_web_runs(w, p) && kit_serves(w, "web", "prod", "v3");
}

static const PlotStep STEPS[] = {
    {"push v1", kit_job_first},
    {"v1 runs in prod", kit_web_runs},
    {"a copy is made; push v2", back_up},
    {"v2 runs in prod", kit_web_runs},
    {"nothing else goes wrong", is_calm},
    {"the copy is put back", restore},
    {"agents say where they stand", are_heard},
    {"push v3", push_third},
    {"v3 runs in prod", third_runs},
    {"everything is calm", kit_calm},
};

PLOT_STORY(restored, "restored", 4, kit_job_shape, STEPS, kit_one_run);
