/* marks.c - people change their minds: pins, vetoes, rejections, aborts and rollbacks in any order,
 * with faults between. In the end the newest runs once nothing stands against it. */
#include "kit.h"

static bool push_more(World *w, Plot *p)
{
    g_autofree char *server = g_strdup_printf("v%" G_GINT64_FORMAT, 2 + p->n);
    kit_web_push(w, server);
    return true;
}

static json_t *with_release(World *w, const char *env)
{
    const Book *b = book_of(w);
    json_t *args = kit_args("web", env);
    for (guint i = b->attempts->len; i > 0; i--) {
        const BookAttempt *a = b->attempts->pdata[i - 1];
        if (strcmp(a->env, env) == 0) {
            sl_json_set_str(args, "release", a->release);
            break;
        }
    }
    return args;
}

static json_t *with_attempt(World *w)
{
    const Book *b = book_of(w);
    uint64_t n = b->attempts->len - rng_below(&w->people_rng, MIN(b->attempts->len, 4));
    return json_pack("{s:I,s:s}", "attempt", (json_int_t)n, "reason", "story");
}

/* Whatever they say, the answer is a word or a code; what it does is for the checkers. */
static void anything(World *w, Plot *p)
{
    static const char *const verbs[] = {"promote", "promote", "rollback", "redeploy", "pin",
                                        "unpin",   "veto",    "unveto",   "abort",    "reject"};
    static const char *const envs[] = {"dev", "test", "prod", "prod"};
    const char *env = envs[rng_below(&w->people_rng, G_N_ELEMENTS(envs))];
    size_t i = (size_t)rng_below(&w->people_rng, G_N_ELEMENTS(verbs));
    json_t *args = strstr(verbs[i], "veto") != NULL ? with_release(w, env)
                   : i >= 8                         ? with_attempt(w)
                                                    : kit_args("web", env);
    ask_clear(&p->ask);
    (void)kit_verb(w, p, verbs[i], args, NULL);
    if (rng_chance(&w->people_rng, 400)) {
        kit_sign(w, p, "web", "prod");
    }
}

static bool change_minds(World *w, Plot *p)
{
    anything(w, p);
    p->n++;
    if (p->n % 12 == 0) {
        g_autofree char *server = g_strdup_printf("v%" G_GINT64_FORMAT, 2 + p->n / 12);
        kit_web_push(w, server);
    }
    return p->n >= 50;
}

/* Everything that stands against something is taken back, one word at a time. */
static bool clear_marks(World *w, Plot *p)
{
    const Book *b = book_of(w);
    GHashTableIter iter;
    gpointer key;
    g_hash_table_iter_init(&iter, b->pins);
    if (g_hash_table_iter_next(&iter, &key, NULL)) {
        g_auto(GStrv) unit = g_strsplit(key, "/", 2);
        (void)kit_verb(w, p, "unpin", kit_args(unit[0], unit[1]), NULL);
        return false;
    }
    g_hash_table_iter_init(&iter, b->vetoes);
    if (g_hash_table_iter_next(&iter, &key, NULL)) {
        g_auto(GStrv) words = g_strsplit(key, " ", 2);
        g_auto(GStrv) unit = g_strsplit(words[0], "/", 2);
        json_t *args = kit_args(unit[0], unit[1]);
        sl_json_set_str(args, "release", words[1]);
        (void)kit_verb(w, p, "unveto", args, NULL);
        return false;
    }
    return true;
}

static bool push_last(World *w, Plot *p)
{
    (void)p;
    kit_web_push(w, "last");
    return true;
}

/* A rollback under way may pin and veto once more. */
static bool last_runs(World *w, Plot *p)
{
    if (!clear_marks(w, p)) {
        return false;
    }
    return kit_web_runs(w, p) && kit_serves(w, "web", "prod", "last");
}

static const PlotStep STEPS[] = {
    {"push v1", kit_web_first},
    {"v1 runs in prod", kit_web_runs},
    {"push v2", push_more},
    {"people change their minds", change_minds},
    {"nothing stands against anything", clear_marks},
    {"push the last one", push_last},
    {"it runs in prod", last_runs},
    {"everything is calm", kit_calm},
};

PLOT_STORY(marks, "marks", 6, kit_web_shape, STEPS, NULL);
