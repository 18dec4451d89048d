/* agent_start.c - what an agent knows again when it starts from its slots. */
#include "book.h"

static void judge_floor(World *w, const Agent *a, const json_t *view, const char *app,
                        const char *floor)
{
    g_auto(GStrv) f = g_strsplit(floor, " ", 3);
    g_autofree char *path = g_strdup_printf("units.%s", app);
    const json_t *u = sl_json_at(view, path);
    uint64_t epoch = 0, seq = 0, now_epoch = (uint64_t)sl_json_int(u, "epoch", 0),
             now = (uint64_t)sl_json_int(u, "seq", 0);
    if (!sl_parse_uint64(f[0], &epoch) || !sl_parse_uint64(f[1], &seq)) {
        return;
    }
    if (now_epoch < epoch || (now_epoch == epoch && now < seq)) {
        fail(w, "%s starts with seq %" G_GUINT64_FORMAT " of %s, it applied %" G_GUINT64_FORMAT,
             a->cluster, now, app, seq);
    }
}

static bool is_known(const json_t *view, const char *key, const EngineObject *o)
{
    g_autofree char *path = g_strdup_printf("units.%s.objects", o->app);
    return json_object_get(sl_json_at(view, path), key) != NULL;
}

/* I2, I7: the numbers that it followed, and everything that it put into its cluster. Whose slots a
 * story took says so, and is told by people where to go on. */
void check_start(World *w, const Moment *m)
{
    Agent *a = m->agent;
    g_autoptr(json_t) view = sl_agent_view(a->brain, clock_now(w, &a->clock));
    GHashTableIter iter;
    gpointer key, value;
    if (sl_json_bool(view, "stateLost", false)) {
        if (!a->wiped) {
            fail(w, "%s lost its state by a crash", a->cluster);
        }
        return;
    }
    g_hash_table_iter_init(&iter, yard_of(w, a)->floors);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        judge_floor(w, a, view, key, value);
    }
    g_hash_table_iter_init(&iter, a->objects);
    while (!a->wiped && g_hash_table_iter_next(&iter, &key, &value)) {
        const EngineObject *o = value;
        if (o->ours && !is_known(view, key, o)) {
            fail(w, "%s starts and does not know %s, which it put there", a->cluster, (char *)key);
        }
    }
}
