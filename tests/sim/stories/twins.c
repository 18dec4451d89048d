/* twins.c - a second coordinator is started by mistake, with the same keys and a copy of the state
 * repository, and takes the address over; then the first one is back, and so on. Each writes a
 * history of its own. No agent goes back, none takes other bytes under a number that it knows; when
 * the second one is gone, what the first one promotes has a higher number, and everybody follows. */
#include "kit.h"

#define TURNS 4 /* even: in the end it is the first one */
#define TURN_US (2 * SL_MINUTE_US)

/* What the one who is not there left behind. */
typedef struct {
    GPtrArray *ledger, *acknowledged;
    GHashTable *tips;
} Other;

static void other_free(void *data)
{
    Other *o = data;
    g_ptr_array_unref(o->ledger);
    g_ptr_array_unref(o->acknowledged);
    g_hash_table_unref(o->tips);
    g_free(o);
}

static GPtrArray *copy_of(const GPtrArray *list)
{
    GPtrArray *copy = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
    for (guint i = 0; i < list->len; i++) {
        g_ptr_array_add(copy, json_deep_copy(list->pdata[i]));
    }
    return copy;
}

static void *other_new(void)
{
    Other *o = g_new0(Other, 1);
    o->ledger = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
    o->acknowledged = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
    o->tips = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return o;
}

static Other *other_of(World *w)
{
    return world_keep(w, "twin", other_new, other_free);
}

/* The copy of the state repository, made while the coordinator writes. */
static bool copy_state(World *w, Plot *p)
{
    Other *o = other_of(w);
    (void)p;
    g_ptr_array_unref(o->ledger);
    g_ptr_array_unref(o->acknowledged);
    o->ledger = copy_of(w->ledger);
    o->acknowledged = copy_of(w->acknowledged);
    GHashTableIter iter;
    gpointer env, tip;
    g_hash_table_iter_init(&iter, w->tips);
    while (g_hash_table_iter_next(&iter, &env, &tip)) {
        g_hash_table_replace(o->tips, g_strdup(env), g_strdup(tip));
    }
    return true;
}

static void change_places(World *w)
{
    Other *o = other_of(w), other = *o;
    coord_crash(w);
    *o = (Other){w->ledger, w->acknowledged, w->tips};
    w->ledger = other.ledger;
    w->acknowledged = other.acknowledged;
    w->tips = other.tips;
    say(w, "the other coordinator is there: %u events, %u of the first", w->ledger->len,
        o->ledger->len);
}

/* Something new in each turn, asked for and signed. */
static bool turns(World *w, Plot *p)
{
    if (w->now < p->since + p->n * TURN_US) {
        (void)kit_web_runs(w, p);
        return false;
    }
    if (p->n >= TURNS) {
        return true;
    }
    change_places(w);
    p->n++;
    p->attempt = 0;
    ask_clear(&p->ask);
    ask_clear(&p->second);
    g_autofree char *server = g_strdup_printf("v%" G_GINT64_FORMAT, 1 + p->n);
    kit_job_push(w, server);
    return false;
}

static bool push_last(World *w, Plot *p)
{
    (void)p;
    kit_job_push(w, "last");
    return true;
}

static bool last_runs(World *w, Plot *p)
{
    return kit_web_runs(w, p) && kit_serves(w, "web", "prod", "last");
}

static const PlotStep STEPS[] = {
    {"push v1", kit_job_first},
    {"v1 runs in prod", kit_web_runs},
    {"the state repository is copied", copy_state},
    {"two coordinators take turns", turns},
    {"push the last one", push_last},
    {"it runs in prod", last_runs},
    {"everything is calm", kit_calm},
};

PLOT_STORY(twins, "twins", 2, kit_job_shape, STEPS, kit_one_run);
