/* hurry.c - pushes come faster than anything gets done: each one takes a minute to be written, a
 * model is trained meanwhile, and the next push is there after seconds. Nobody is starved: releases
 * go on into dev and test, with their model, all the while. */
#include "kit.h"

#define PUSHES 40 /* one each time that people look: four minutes */
#define LEAST 2   /* must have come true in an environment meanwhile */

static void push(World *w, int64_t n, const char *train)
{
    g_autofree char *server = g_strdup_printf("v%" G_GINT64_FORMAT ", tarries", n);
    KitApp app = {
        .name = "web", .server = server, .maps = 1, .train = train, .model = true, .gate = true};
    kit_push(w, server, KIT_ENVS, &app, 1);
}

static bool push_first(World *w, Plot *p)
{
    (void)p;
    push(w, 0, "\"accuracy=0.97\"");
    return true;
}

/* Whole releases that came true in @env since the step began. */
static unsigned came_true(World *w, const Plot *p, const char *env)
{
    unsigned n = 0;
    const Book *b = book_of(w);
    for (guint i = 0; i < b->attempts->len; i++) {
        const BookAttempt *a = b->attempts->pdata[i];
        n += strcmp(a->env, env) == 0 && g_strcmp0(a->end, "Succeeded") == 0 && a->withheld == 0 &&
                     a->end_us > p->since
                 ? 1
                 : 0;
    }
    return n;
}

/* Half-way the job changes too: what is served goes on with the old model until there is the new. */
static bool push_and_push(World *w, Plot *p)
{
    static const char *const envs[] = {"dev", "test"};
    p->n++;
    push(w, p->n, p->n < PUSHES / 2 ? "\"accuracy=0.97\"" : "\"accuracy=0.98\", \"take=100\"");
    for (size_t i = 0; p->n == PUSHES && i < G_N_ELEMENTS(envs); i++) {
        unsigned n = came_true(w, p, envs[i]);
        if (n < LEAST) {
            fail(w, "%d pushes, and %u releases came true in %s", PUSHES, n, envs[i]);
        }
    }
    return p->n >= PUSHES;
}

static const PlotStep STEPS[] = {
    {"push v0", push_first},
    {"it runs in test", kit_web_upstream},
    {"the faults are over", kit_calm},
    {"pushes come all the time", push_and_push},
    {"the last one runs in test", kit_web_upstream},
    {"everything is calm", kit_calm},
};

PLOT_STORY(hurry, "hurry", 1, kit_web_shape, STEPS, NULL);
