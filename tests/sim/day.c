/* day.c - 24 hours of fleet life on the virtual clock, nothing goes wrong: pushes, runs, promotions
 * to prod, drift. Each hour says on stdout (one JSON object a line) what the process holds: what
 * grows with the ledger is the fleet's history; the rest must stay as it is. */
#include "stories/kit.h"
#include <malloc.h>
#include <unistd.h>

#define DAY_US (24 * SL_HOUR_US)
#define PUSH_US (20 * SL_MINUTE_US)
#define TRAIN_EVERY 9 /* pushes: every three hours the job changes too */
#define PROD_EVERY 3  /* every hour what runs in test goes to prod */
#define DRIFT_US (5 * SL_MINUTE_US)

static uint64_t live_bytes(void)
{
    struct mallinfo2 m = mallinfo2();
    return (uint64_t)m.uordblks + (uint64_t)m.hblkhd;
}

static uint64_t rss_kib(void)
{
    uint64_t resident = 0;
    g_autofree char *statm = NULL;
    if (g_file_get_contents("/proc/self/statm", &statm, NULL, NULL)) {
        g_auto(GStrv) fields = g_strsplit(statm, " ", 3);
        if (g_strv_length(fields) < 2 || !sl_parse_uint64(fields[1], &resident)) {
            return 0;
        }
    }
    return resident * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
}

static GPtrArray *ledger_copy(const World *w)
{
    GPtrArray *copy = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
    for (guint i = 0; i < w->ledger->len; i++) {
        g_ptr_array_add(copy, json_deep_copy(w->ledger->pdata[i]));
    }
    return copy;
}

/* What the coordinator's brain holds of this ledger (the last events themselves, for its API, with
 * it): another one is made from a copy and freed. */
static uint64_t folded_bytes(World *w)
{
    uint64_t before = live_bytes();
    GPtrArray *ledger = w->ledger;
    w->ledger = ledger_copy(w);
    SlCoord *coord = coord_folded(w);
    g_ptr_array_unref(w->ledger);
    w->ledger = ledger;
    uint64_t after = live_bytes();
    sl_coord_free(coord);
    return after > before ? after - before : 0;
}

static uint64_t size_of(GHashTable *blobs)
{
    GHashTableIter iter;
    gpointer value;
    uint64_t size = 0;
    g_hash_table_iter_init(&iter, blobs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        size += g_bytes_get_size(value);
    }
    return size;
}

/* What lies on disks in a real fleet: the ledger (as JSON trees here) and blobs. */
static uint64_t disk_bytes(World *w)
{
    uint64_t before = live_bytes();
    GPtrArray *copy = ledger_copy(w);
    uint64_t after = live_bytes();
    g_ptr_array_unref(copy);
    return (after > before ? after - before : 0) + size_of(w->ledger_blobs) + size_of(w->cache) +
           size_of(w->branch_blobs);
}

static void measure(World *w)
{
    guint blobs = 0;
    gsize slot = 0;
    for (guint i = 0; i < w->agents->len; i++) {
        const Agent *a = agent_at(w, (int)i);
        blobs = MAX(blobs, g_hash_table_size(a->blobs));
        for (size_t k = 0; k < G_N_ELEMENTS(a->slots); k++) {
            slot = MAX(slot, a->slots[k] != NULL ? g_bytes_get_size(a->slots[k]) : 0);
        }
    }
    g_autoptr(json_t) line = json_pack(
        "{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "hour",
        (json_int_t)((w->now - SIM_T0) / SL_HOUR_US), "rss_kib", (json_int_t)rss_kib(),
        "live_bytes", (json_int_t)live_bytes(), "disk_bytes", (json_int_t)disk_bytes(w),
        "coordinator_bytes", (json_int_t)folded_bytes(w), "ledger_events",
        (json_int_t)w->ledger->len, "events_waiting", (json_int_t)g_sequence_get_length(w->events),
        "agent_slot_bytes", (json_int_t)slot, "agent_blobs", (json_int_t)blobs, "messages",
        (json_int_t)w->messages);
    g_autofree char *text = sl_json_canonical(line, NULL);
    (void)printf("%s\n", text);
    (void)fflush(stdout);
}

static void hour(World *w, Event *e)
{
    (void)e;
    measure(w);
    (void)world_after(w, SL_HOUR_US, hour, -1);
}

static void drift(World *w, Event *e)
{
    (void)e;
    engine_drift(w, agent_at(w, (int)rng_below(&w->rng, w->agents->len)));
    (void)world_after(w, DRIFT_US, drift, -1);
}

static void push(World *w, int64_t n)
{
    g_autofree char *server = g_strdup_printf("v%" G_GINT64_FORMAT, n);
    g_autofree char *train =
        g_strdup_printf("accuracy=0.97 day=%" G_GINT64_FORMAT, n / TRAIN_EVERY);
    KitApp app = {.name = "web", .server = server, .maps = 1, .train = train, .model = true};
    kit_push(w, server, KIT_ENVS, &app, 1);
}

static void shape(World *w)
{
    static const char *const apps[] = {"web", NULL};
    static const char *const envs[] = {"dev", "test", "prod"};
    kit_shape_apps(w, apps);
    unsigned agents = w->options.agents != 0 ? w->options.agents : 6;
    g_ptr_array_set_size(w->envs, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(envs); i++) {
        fleet_env(w, envs[i], MAX((agents + i) / (unsigned)G_N_ELEMENTS(envs), 1));
    }
}

static const PlotStep STEPS[] = {{"a day", NULL}};

static void begin(World *w)
{
    Plot *p = plot_begin(w, STEPS, G_N_ELEMENTS(STEPS));
    p->n = -1;
    (void)world_after(w, SL_HOUR_US, hour, -1);
    (void)world_after(w, DRIFT_US, drift, -1);
}

static void step(World *w)
{
    Plot *p = w->story_data;
    int64_t n = (w->now - SIM_T0) / PUSH_US;
    if (n != p->n) {
        p->n = n;
        push(w, n);
    }
    if (kit_bring(w, p, "web", "dev") && kit_bring(w, p, "web", "test") && n % PROD_EVERY == 1) {
        (void)kit_bring(w, p, "web", "prod");
    }
}

static bool over(const World *w)
{
    return w->now >= SIM_T0 + DAY_US + SL_MINUTE_US;
}

/* What the processes that lived all day hold: each is freed and looked at; it is the last thing. */
static void end(World *w)
{
    uint64_t before = live_bytes(), folded = folded_bytes(w), most = 0;
    g_clear_pointer(&w->coord, sl_coord_free);
    uint64_t coordinator = before - live_bytes();
    for (guint i = 0; i < w->agents->len; i++) {
        Agent *a = agent_at(w, (int)i);
        before = live_bytes();
        g_clear_pointer(&a->brain, sl_agent_free);
        most = MAX(most, before - live_bytes());
    }
    (void)printf("{\"live_agent_bytes\":%" G_GUINT64_FORMAT
                 ",\"live_coordinator_bytes\":%" G_GUINT64_FORMAT
                 ",\"folded_bytes\":%" G_GUINT64_FORMAT "}\n",
                 most, coordinator, folded);
    (void)fflush(stdout);
}

const Story story_day = {.name = "day",
                         .shape = shape,
                         .begin = begin,
                         .step = step,
                         .over = over,
                         .end = end,
                         .quiet_us = DAY_US + SL_HOUR_US};
