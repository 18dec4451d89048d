/* external.c - somebody moves an environment's branch by hand: put back in dev, halted in prod until
 * a person takes it over. */
#include "kit.h"

/* A commit of a person on top of ours: f0... (checks/coord.c). */
static void meddle(World *w, const char *env)
{
    const char *tip = g_hash_table_lookup(w->tips, env);
    g_autofree char *hex = rng_hex(&w->people_rng, 19);
    char *id = g_strdup_printf("f0%s", hex);
    EnvCommit *c = g_new0(EnvCommit, 1);
    c->parent = g_strdup(tip);
    c->target_of = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    c->synced = true;
    g_hash_table_replace(w->env_commits, g_strdup(id), c);
    say(w, "somebody moves sluice/env/%s to %.8s", env, id);
    g_hash_table_replace(w->tips, g_strdup(env), id);
}

/* Looked at when the coordinator starts or moves the branch itself. */
static bool meddle_both(World *w, Plot *p)
{
    (void)p;
    meddle(w, "dev");
    meddle(w, "prod");
    if (rng_chance(&w->people_rng, 500)) {
        coord_crash(w);
    }
    kit_web_push(w, "v2");
    return true;
}

static bool adopted(World *w, Plot *p)
{
    const Book *b = book_of(w);
    if (g_hash_table_contains(b->halted, "prod")) {
        (void)kit_verb(w, p, "adopt",
                       json_pack("{s:s,s:s,s:s}", "env", "prod", "commit",
                                 (const char *)g_hash_table_lookup(w->tips, "prod"), "reason",
                                 "looked at it"),
                       NULL);
        return false;
    }
    return kit_web_second_runs(w, p);
}

static const PlotStep STEPS[] = {
    {"push v1", kit_web_first},
    {"v1 runs in prod", kit_web_runs},
    {"somebody moves the branches of dev and prod", meddle_both},
    {"v2 runs in test", kit_web_upstream},
    {"prod is taken over and runs v2", adopted},
    {"everything is calm", kit_calm},
};

PLOT_STORY(external, "external", 4, kit_web_shape, STEPS, NULL);
