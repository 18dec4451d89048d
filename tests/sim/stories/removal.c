/* removal.c - an application shrinks by more than agents do without a word, is removed from prod,
 * and its files are deleted: nothing goes that nobody asked for, and one map not even then. */
#include "kit.h"

static void push(World *w, const char *server, unsigned maps)
{
    KitApp apps[] = {{.name = "web", .server = server, .maps = maps, .kept = maps > 1},
                     {.name = "other", .server = "v1", .maps = 1}};
    kit_push(w, server, KIT_ENVS, apps, G_N_ELEMENTS(apps));
}

static void shape(World *w)
{
    static const char *const apps[] = {"web", "other", NULL};
    kit_shape_apps(w, apps);
}

static bool push_first(World *w, Plot *p)
{
    (void)p;
    push(w, "v1", 6);
    return true;
}

static bool push_small(World *w, Plot *p)
{
    (void)p;
    push(w, "v2", 1);
    return true;
}

static bool has_map(const Agent *a, unsigned n)
{
    g_autofree char *key = g_strdup_printf("core/ConfigMap - web-%u", n);
    return g_hash_table_contains(a->objects, key);
}

/* dev refuses it; drift aside, every map stays. */
static bool refused(World *w, Plot *p)
{
    (void)p;
    const Book *b = book_of(w);
    for (guint i = b->attempts->len; i > 0; i--) {
        const BookAttempt *a = b->attempts->pdata[i - 1];
        if (strcmp(a->app, "web") == 0 && strcmp(a->env, "dev") == 0) {
            const char *commit = g_hash_table_lookup(b->releases, a->release);
            bool of_it = g_strcmp0(commit, source_newest(w)->id) == 0;
            if (of_it && g_strcmp0(a->end, "Succeeded") == 0) {
                fail(w, "dev took away five of eight objects without a word");
            }
            return of_it && a->end != NULL;
        }
    }
    return false;
}

/* With a word of people, one environment after the other. */
static bool bring_small(World *w, Plot *p, const char *env)
{
    if (kit_runs_newest(w, "web", env)) {
        return true;
    }
    const BookAttempt *a = kit_attempt(w, p->attempt);
    bool is_it = a != NULL && strcmp(a->env, env) == 0 && a->stage != BOOK_ENDED;
    if (is_it) {
        (void)kit_follow(w, p);
    } else {
        (void)kit_ask(w, p, "promote", "web", env, json_pack("{s:b}", "allowPrune", 1));
    }
    return false;
}

static bool small_runs(World *w, Plot *p)
{
    return bring_small(w, p, "dev") && bring_small(w, p, "test") && bring_small(w, p, "prod");
}

static bool is_small(World *w, Plot *p)
{
    (void)p;
    for (unsigned n = 1; n < 6; n++) {
        if (has_map(kit_agent(w, "prod"), n)) {
            return false;
        }
    }
    return true;
}

static bool remove_it(World *w, Plot *p)
{
    const BookAttempt *a = kit_attempt(w, p->attempt);
    bool is_it = a != NULL && a->act == SL_ACT_REMOVE;
    int how = is_it ? kit_follow(w, p) : -1;
    if (is_it && a->committed != 0 && how < 0) {
        return true; /* its time was over; it comes true all the same */
    }
    if (how < 0) {
        (void)kit_ask(w, p, "remove", "web", "prod", NULL);
    }
    return how > 0;
}

static bool is_gone(World *w, Plot *p)
{
    (void)p;
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, kit_agent(w, "prod")->objects);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        bool kept = strcmp(key, "core/ConfigMap - web-kept") == 0; /* it opted out of pruning */
        if (!kept && g_strcmp0(((const EngineObject *)value)->app, "web") == 0) {
            return false;
        }
    }
    return true;
}

/* The files go too: dev and test keep what they have. */
static bool delete_files(World *w, Plot *p)
{
    (void)p;
    KitApp other = {.name = "other", .server = "v2", .maps = 1};
    kit_push(w, "deleted", KIT_ENVS, &other, 1);
    return true;
}

static bool others_go_on(World *w, Plot *p)
{
    return kit_bring(w, p, "other", "dev") && kit_bring(w, p, "other", "test") &&
           kit_bring(w, p, "other", "prod");
}

static void end(World *w)
{
    if (!kit_serves(w, "web", "dev", "v2") || !kit_serves(w, "web", "test", "v2")) {
        fail(w, "deleting an application's files took it away");
    }
}

static const PlotStep STEPS[] = {
    {"push eight objects", push_first},
    {"they run in prod", kit_web_runs},
    {"push two", push_small},
    {"dev refuses to take five away", refused},
    {"people allow it", small_runs},
    {"they are gone", is_small},
    {"alice removes it from prod", remove_it},
    {"nothing of it is left", is_gone},
    {"its files are deleted", delete_files},
    {"the other one goes on", others_go_on},
    {"everything is calm", kit_calm},
};

PLOT_STORY(removal, "removal", 4, shape, STEPS, end);
