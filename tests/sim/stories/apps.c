/* apps.c - several applications in one repository: one document breaks, the others go on; what did
 * not change is not touched. */
#include "kit.h"

static const char *const NAMES[] = {"a", "b", "c", "d", NULL};

static void shape(World *w)
{
    kit_shape_apps(w, NAMES);
}

/* Only the server of @changed is new. */
static void push(World *w, const char *changed, const char *server, const char *broken)
{
    KitApp apps[4] = {0};
    for (size_t i = 0; i < G_N_ELEMENTS(apps); i++) {
        bool is = strcmp(NAMES[i], changed) == 0;
        apps[i] = (KitApp){.name = NAMES[i],
                           .server = is || strcmp(changed, "all") == 0 ? server : "v1",
                           .maps = 1,
                           .broken = g_strcmp0(NAMES[i], broken) == 0};
    }
    kit_push(w, changed, KIT_ENVS, apps, G_N_ELEMENTS(apps));
}

static bool push_first(World *w, Plot *p)
{
    (void)p;
    push(w, "all", "v1", NULL);
    return true;
}

static bool runs(World *w, Plot *p, const char *app, const char *server)
{
    static const char *const envs[] = {"dev", "test", "prod"};
    for (size_t i = 0; i < G_N_ELEMENTS(envs); i++) {
        if (!kit_bring(w, p, app, envs[i]) || !kit_serves(w, app, envs[i], server)) {
            return false;
        }
    }
    return true;
}

static bool all_run(World *w, Plot *p)
{
    bool all = true;
    for (int i = 0; NAMES[i] != NULL && all; i++) {
        all = runs(w, p, NAMES[i], "v1");
    }
    return all;
}

static bool push_half(World *w, Plot *p)
{
    (void)p;
    push(w, "b", "v2", "c");
    return true;
}

static bool half_runs(World *w, Plot *p)
{
    if (!kit_serves(w, "c", "dev", "v1") && !w->faults) {
        fail(w, "a broken document took its application away");
    }
    return runs(w, p, "b", "v2");
}

static bool push_whole(World *w, Plot *p)
{
    (void)p;
    push(w, "c", "v3", NULL);
    return true;
}

static bool whole_runs(World *w, Plot *p)
{
    return runs(w, p, "c", "v3");
}

/* a and d changed once: one release, and what people or faults asked for, no more. */
static void end(World *w)
{
    const Book *b = book_of(w);
    g_autoptr(GHashTable) releases = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < b->attempts->len; i++) {
        const BookAttempt *a = b->attempts->pdata[i];
        if (strcmp(a->app, "d") == 0) {
            g_hash_table_add(releases, a->release);
        }
    }
    if (g_hash_table_size(releases) != 1) {
        fail(w, "d never changed and has %u releases", g_hash_table_size(releases));
    }
}

static const PlotStep STEPS[] = {
    {"push four applications", push_first},
    {"all run in prod", all_run},
    {"push b's change and a mistake in c's document", push_half},
    {"b runs in prod, c stays", half_runs},
    {"c's document is mended, with a change", push_whole},
    {"c runs in prod", whole_runs},
    {"everything is calm", kit_calm},
};

PLOT_STORY(apps, "applications", 4, shape, STEPS, end);
