/* training.c - runs: a job that fails and is run again by an order, one that is stopped, one that is
 * held back by the going one (keep, queue, replace), a model that waits for its run. */
#include "kit.h"

static const char *const ON_CHANGE[] = {"keep", "queue", "replace"};

static void push(World *w, Plot *p, const char *server, const char *train)
{
    g_autofree char *job = g_strdup_printf("  onChange: %s\n", ON_CHANGE[p->n % 3]);
    KitApp app = {.name = "web",
                  .server = server,
                  .maps = 1,
                  .train = train,
                  .job = job,
                  .model = true,
                  .gate = true};
    kit_push(w, train, KIT_ENVS, &app, 1);
}

static bool push_failing(World *w, Plot *p)
{
    p->n = 3 + (int64_t)rng_below(&w->people_rng, 3);
    push(w, p, "v1", "\"fail\"");
    return true;
}

/* Runs of web's job in dev: all, or those without a seal. */
static unsigned count_runs(World *w, bool going, const BookRun **ret_last)
{
    unsigned n = 0;
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, book_of(w)->runs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const BookRun *run = value;
        if (!going || run->seal == NULL) {
            n++;
            *ret_last = run;
        }
    }
    return n;
}

/* An attempt that was given up because nobody had the right year is asked for again, also when its run
 * was placed: no cluster takes the run of a promotion that it does not take. */
static bool is_started(World *w, Plot *p, const BookRun *run)
{
    if (run == NULL || !g_hash_table_contains(w->run_starts, run->id)) {
        (void)kit_bring(w, p, "web", "dev");
        return false;
    }
    return true;
}

static bool has_failed(World *w, Plot *p)
{
    const BookRun *last = NULL;
    return count_runs(w, false, &last) <= 1 && is_started(w, p, last) && last->seal != NULL;
}

static json_t *start_draft(void)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s}", "act", "start-run", "app", "web", "env", "dev", "job",
                     "train", "reason", "again");
}

/* It is not run again by itself; an order of the online key suffices in dev. */
static bool run_again(World *w, Plot *p)
{
    const BookRun *last = NULL;
    if (count_runs(w, false, &last) > 1) {
        return true;
    }
    (void)kit_order(w, p, NULL, start_draft());
    return false;
}

/* An order, or the attempt that it waits for, that was over before the cluster took it is given again,
 * for the same run. */
static bool again_failed(World *w, Plot *p)
{
    const BookRun *last = NULL;
    if (count_runs(w, true, &last) == 0) {
        return true;
    }
    if (w->faults || g_hash_table_contains(w->run_starts, last->id)) {
        return false;
    }
    if (kit_asks_again(w, "web", "dev")) {
        (void)kit_bring(w, p, "web", "dev");
    } else {
        (void)kit_order(w, p, NULL, start_draft());
    }
    return false;
}

static bool push_long(World *w, Plot *p)
{
    push(w, p, "v1", "\"accuracy=0.90\", \"take=1500\"");
    return true;
}

static bool goes_on(World *w, Plot *p)
{
    const BookRun *last = NULL;
    (void)count_runs(w, true, &last);
    return is_started(w, p, last);
}

static bool push_good(World *w, Plot *p)
{
    push(w, p, "v1", "\"accuracy=0.97\", \"take=30\"");
    return true;
}

/* The newest release is what dev stands on, with or without its model. */
static bool dev_stands_on_newest(World *w)
{
    g_autoptr(json_t) u = kit_unit(w, "web", "dev");
    return g_strcmp0(sl_json_str(u, "commit"), source_newest(w)->id) == 0;
}

/* keep: the new one waits for a person also when the old one is over; the old one's model may come
 * first, then people go to the newest again. queue: it comes by itself. replace: the old one is
 * stopped while it is young. */
static bool good_is_trained(World *w, Plot *p)
{
    const BookRun *going = NULL;
    bool idle = count_runs(w, true, &going) == 0;
    if (kit_bring(w, p, "web", "dev")) {
        return true;
    }
    if (idle && !dev_stands_on_newest(w)) {
        (void)kit_ask(w, p, "promote", "web", "dev", NULL);
    } else if (idle && p->n % 3 == 0 && w->now > p->since + SL_MINUTE_US) {
        (void)kit_order(w, p, NULL, start_draft());
    }
    return false;
}

static bool good_runs(World *w, Plot *p)
{
    return kit_bring(w, p, "web", "test") && kit_bring(w, p, "web", "prod");
}

static const PlotStep STEPS[] = {
    {"push a job that fails", push_failing},
    {"it failed", has_failed},
    {"it is run again by an order", run_again},
    {"it failed again", again_failed},
    {"push a long one", push_long},
    {"it goes on", goes_on},
    {"push a good one", push_good},
    {"its model serves in dev", good_is_trained},
    {"and in prod", good_runs},
    {"everything is calm", kit_calm},
};

/* Beside the cluster that a run is placed on another one, which may lie about it. */
static void shape(World *w)
{
    kit_web_shape(w);
    Env *dev = w->envs->pdata[0];
    dev->clusters = MAX(dev->clusters, 2);
}

PLOT_STORY(training, "training", 5, shape, STEPS, NULL);
