/* table.c - the attacks by name, and the thief who fires them in ordinary seeds. */
#include "evil.h"

extern const AttackTable ATTACKS_PROMOTIONS, ATTACKS_OWN, ATTACKS_WAITING, ATTACKS_ORDERS,
    ATTACKS_LISTS, ATTACKS_HEADS, ATTACKS_ROOTS, ATTACKS_REGISTRIES, ATTACKS_SPECIALS;

const AttackTable *const ATTACKS[] = {
    &ATTACKS_PROMOTIONS, &ATTACKS_OWN,   &ATTACKS_WAITING,    &ATTACKS_ORDERS,   &ATTACKS_LISTS,
    &ATTACKS_HEADS,      &ATTACKS_ROOTS, &ATTACKS_REGISTRIES, &ATTACKS_SPECIALS,
};
const size_t ATTACKS_COUNT = G_N_ELEMENTS(ATTACKS);

GArray *attacks_named(const char *pattern)
{
    GArray *found = g_array_new(FALSE, FALSE, sizeof(Named));
    for (size_t i = 0; i < ATTACKS_COUNT; i++) {
        for (size_t k = 0; k < ATTACKS[i]->count; k++) {
            Named named = {ATTACKS[i], &ATTACKS[i]->rows[k]};
            g_autofree char *full = g_strdup_printf("%s/%s", ATTACKS[i]->group, named.attack->name);
            if (g_pattern_match_simple(pattern, full)) {
                g_array_append_val(found, named);
            }
        }
    }
    return found;
}

/* Nothing else goes wrong in these: what is refused must be refused for the reason that is named. */
bool attacks_choose(const char *pattern, SimOptions *options)
{
    g_autoptr(GArray) found = attacks_named(pattern);
    if (found->len == 0) {
        (void)fprintf(stderr, "sluice-sim: no attack is called \"%s\"; see --list\n", pattern);
        return false;
    }
    (void)g_strlcpy(options->attack, pattern, sizeof(options->attack));
    (void)g_strlcpy(options->story, "attack", sizeof(options->story));
    options->faults_off = UINT64_MAX;
    for (size_t i = 0; i < ACTORS_COUNT; i++) {
        options->actors_off |= (uint64_t)(ACTORS[i] != &actor_holder) << i;
    }
    options->safety_us = 3 * SL_HOUR_US; /* the held wire is of that phase */
    return true;
}

void attacks_list(void)
{
    (void)printf("attacks:\n");
    g_autoptr(GArray) all = attacks_named("*");
    for (guint i = 0; i < all->len; i++) {
        const Named *named = &g_array_index(all, Named, i);
        g_autofree char *full = g_strdup_printf("%s/%s", named->table->group, named->attack->name);
        (void)printf("  %-32s %s\n", full,
                     named->attack->kind != NULL   ? named->attack->kind
                     : named->attack->like != NULL ? named->attack->like
                                                   : "");
    }
}

int attacks_run(uint64_t seed)
{
    unsigned failed = 0, attacks = 0;
    for (size_t i = 0; i < ATTACKS_COUNT; i++) {
        SimOptions options = {.seed = MAX(seed, 1)};
        SimResult result;
        g_autofree char *pattern = g_strdup_printf("%s/*", ATTACKS[i]->group);
        (void)attacks_choose(pattern, &options);
        sim_run(&options, &result);
        attacks += (unsigned)ATTACKS[i]->count;
        failed += result.ok ? 0 : 1;
        (void)fprintf(stderr, "%-12s %3zu attacks: %s\n", ATTACKS[i]->group, ATTACKS[i]->count,
                      result.ok ? "as it must be" : result.failure);
    }
    (void)fprintf(stderr, "%u attacks, %u tables failed\n", attacks, failed);
    return failed == 0 ? 0 : 1;
}

void attack_fire(World *w, const AttackTable *table, const Attack *attack, Agent *a, Shot *shot)
{
    say(w, "attack %s/%s on %s", table->group, attack->name, a->cluster);
    (attack->act != NULL ? attack->act : table->act)(w, attack, a, shot);
}

/* ---- in ordinary seeds ---- */

static void act(World *w, Rng *rng)
{
    const AttackTable *table = ATTACKS[rng_below(rng, ATTACKS_COUNT)];
    const Attack *attack = &table->rows[rng_below(rng, table->count)];
    Agent *a = agent_in(w, attack->env != NULL ? attack->env : "prod", 0);
    if (attack->alone || a == NULL || a->brain == NULL || !a->connected) {
        return;
    }
    Shot shot = {0};
    attack_fire(w, table, attack, a, &shot);
    g_free(shot.entry);
}

/* While he holds an agent, the true coordinator's heads and steps don't reach it. */
static bool wire(World *w, Rng *rng, Agent *a, int direction, Message *m)
{
    (void)rng;
    bool trust = m->type == MSG_HEAD || m->type == MSG_STEPS;
    return hand_held(w) != a || direction != TO_AGENT || !trust || hand_is_mine(w);
}

const Actor actor_forger = {
    .name = "forger", .per_mille = 500, .mean_us = 20 * SL_SECOND_US, .act = act};
const Actor actor_holder = {.name = "holder", .per_mille = 1000, .wire = wire};
