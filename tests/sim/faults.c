/* faults.c - what goes wrong by itself in the safety phase of a seed, and how it ends. */
#include "sim.h"

const char *const FAULT_NAMES[N_FAULTS] = {
#define FAULT(id, name, most, what) name,
#include "faults.def"
#undef FAULT
};

const char *const FAULT_TEXTS[N_FAULTS] = {
#define FAULT(id, name, most, what) what,
#include "faults.def"
#undef FAULT
};

static const unsigned MOST[N_FAULTS] = {
#define FAULT(id, name, most, what) most,
#include "faults.def"
#undef FAULT
};

#define CLOSE_US SL_SECOND_US /* each fault that comes by itself has a chance this often */

static Agent *any_agent(World *w, FaultKind kind)
{
    return agent_at(w, (int)rng_below(&w->fault_rng[kind], w->agents->len));
}

static void heal_cut(World *w, Event *e)
{
    net_connect(w, agent_at(w, e->agent));
}

/* One way, the other, or both. Half of the time nobody notices: messages just vanish. */
static void cut(World *w)
{
    Rng *rng = &w->fault_rng[FAULT_CUT];
    Agent *a = any_agent(w, FAULT_CUT);
    int64_t most = rng_chance(rng, 10) ? 7 * SL_DAY_US : 3 * SL_MINUTE_US;
    int64_t span = rng_between(rng, SL_SECOND_US, most);
    uint64_t how = rng_below(rng, 3);
    if (how != 0) {
        a->cut_until[TO_COORD] = w->now + span;
    }
    if (how != 1) {
        a->cut_until[TO_AGENT] = w->now + span;
    }
    say(w, "%s is cut off for %" G_GINT64_FORMAT " s (%s)", a->cluster, span / SL_SECOND_US,
        how == 0   ? "hears nothing"
        : how == 1 ? "is not heard"
                   : "both ways");
    if (rng_chance(rng, 500)) {
        net_disconnect(w, a);
    }
    (void)world_after(w, span + 1, heal_cut, a->index);
}

static void drop(World *w)
{
    Rng *rng = &w->fault_rng[FAULT_DROP];
    Agent *a = any_agent(w, FAULT_DROP);
    net_disconnect(w, a);
    (void)world_after(w, rng_between(rng, 1000, 5 * SL_SECOND_US), heal_cut, a->index);
}

/* ---- clocks ---- */

/* Every node's, the coordinator's too. Far steps are either the coordinator's or the agents' in one
 * seed: where both say the same wrong year, nobody can know better (an epoch is raised then). */
static Clock *any_clock(World *w, FaultKind kind)
{
    Rng *rng = &w->fault_rng[kind];
    uint64_t who = rng_below(rng, w->agents->len + 1);
    bool coord = kind == FAULT_CLOCK ? who == 0 : w->far_coord;
    return coord ? &w->coord_clock : &agent_at(w, (int)rng_below(rng, w->agents->len))->clock;
}

static void set_clock(World *w, Clock *clock, int64_t offset_us, bool stands)
{
    clock->frozen = false;
    clock->offset_us = offset_us;
    if (stands) {
        clock->frozen_at_us = clock_now(w, clock);
        clock->frozen = true;
    }
    for (guint i = 0; i < w->agents->len; i++) {
        const Agent *a = agent_at(w, (int)i);
        if (&a->clock == clock) {
            say(w, "clock of %s is %" G_GINT64_FORMAT " s off%s", a->cluster,
                offset_us / SL_SECOND_US, stands ? ", stands still" : "");
        }
    }
    if (&w->coord_clock == clock) {
        say(w, "clock of the coordinator is %" G_GINT64_FORMAT " s off%s", offset_us / SL_SECOND_US,
            stands ? ", stands still" : "");
    }
}

static void clock_comes_back(World *w, Event *e)
{
    if (w->faults) {
        set_clock(w, e->data, 0, false);
    }
}

/* People notice a wrong year within minutes. */
static void step_clock(World *w, FaultKind kind)
{
    static const int64_t far[] = {SL_HOUR_US, SL_HOUR_US, SL_DAY_US, 3650 * SL_DAY_US};
    Rng *rng = &w->fault_rng[kind];
    Clock *clock = any_clock(w, kind);
    if (kind == FAULT_CLOCK) {
        set_clock(w, clock, rng_between(rng, -5 * SL_MINUTE_US, 5 * SL_MINUTE_US), false);
        return;
    }
    int64_t most = far[rng_below(rng, G_N_ELEMENTS(far))];
    bool stands = kind == FAULT_CLOCK_STOP;
    set_clock(w, clock, stands ? clock->offset_us : rng_between(rng, -most, most), stands);
    world_after(w, rng_between(rng, SL_SECOND_US, 10 * SL_MINUTE_US), clock_comes_back, -1)->data =
        clock;
}

/* ---- the coordinator's disk and remote ---- */

static void lose_for_a_while(World *w, FaultKind kind, int64_t *until)
{
    int64_t span = rng_between(&w->fault_rng[kind], SL_SECOND_US, 3 * SL_MINUTE_US);
    *until = w->now + span;
    say(w, "%s (%" G_GINT64_FORMAT " s)", FAULT_TEXTS[kind], span / SL_SECOND_US);
}

/* What comes by itself, in order of faults.def. */
static void come(World *w, Event *e)
{
    (void)e;
    if (!w->faults) {
        return;
    }
    if (strikes(w, FAULT_CUT)) {
        cut(w);
    }
    if (strikes(w, FAULT_DROP)) {
        drop(w);
    }
    if (strikes(w, FAULT_AGENT_CRASH)) {
        agent_crash(w, any_agent(w, FAULT_AGENT_CRASH));
    }
    if (strikes(w, FAULT_COORD_CRASH)) {
        coord_crash(w);
    }
    if (strikes(w, FAULT_DRIFT)) {
        engine_drift(w, any_agent(w, FAULT_DRIFT));
    }
    if (strikes(w, FAULT_STRAY)) {
        engine_stray(w, any_agent(w, FAULT_STRAY));
    }
    for (FaultKind kind = FAULT_CLOCK; kind <= FAULT_CLOCK_STOP; kind++) {
        if (strikes(w, kind)) {
            step_clock(w, kind);
        }
    }
    if (strikes(w, FAULT_FULL)) {
        lose_for_a_while(w, FAULT_FULL, &w->disk_full_until);
    }
    if (w->remote_required && strikes(w, FAULT_REMOTE)) {
        lose_for_a_while(w, FAULT_REMOTE, &w->remote_away_until);
    }
    (void)world_after(w, CLOSE_US, come, -1);
}

/* ---- actors ---- */

static void act(World *w, Event *e)
{
    const Actor *actor = ACTORS[e->n];
    Rng *rng = &w->actor_rng[e->n];
    if (!w->faults) {
        return;
    }
    w->acted[e->n]++;
    actor->act(w, rng);
    int64_t wait = rng_between(rng, actor->mean_us / 4, 2 * actor->mean_us);
    world_after(w, wait, act, -1)->n = e->n;
}

static void actors_begin(World *w)
{
    for (size_t i = 0; i < ACTORS_COUNT; i++) {
        bool on = rng_chance(&w->actor_rng[i], ACTORS[i]->per_mille);
        if (!on || ((w->options.actors_off >> i) & 1) != 0) {
            continue;
        }
        w->actors_on |= UINT64_C(1) << i;
        if (ACTORS[i]->begin != NULL) {
            ACTORS[i]->begin(w);
        }
        if (ACTORS[i]->act != NULL) {
            int64_t wait = rng_between(&w->actor_rng[i], 0, 2 * ACTORS[i]->mean_us);
            world_after(w, wait, act, -1)->n = i;
        }
    }
}

/* ---- begin and end ---- */

/* A third of the kinds is left out of each seed: what is found is easier to read, and a fault that
 * hides another one is away now and then. */
void faults_begin(World *w)
{
    w->faults = true;
    for (int i = 0; i < N_FAULTS; i++) {
        Rng *rng = &w->fault_rng[i];
        w->per_mille[i] = rng_chance(rng, 333) ? 0 : 1 + (unsigned)rng_below(rng, MOST[i]);
    }
    w->per_mille[FAULT_UNSYNCED] = MAX(w->per_mille[FAULT_UNSYNCED], 800);
    w->remote_required = rng_chance(&w->rng, 300);
    w->far_coord = rng_chance(&w->rng, 400);
    w->sync_us = rng_between(&w->rng, 2000, SL_SECOND_US);
    w->latency_us = rng_between(&w->rng, 1000, 2 * SL_SECOND_US);
    w->safety_us = rng_chance(&w->rng, 50) ? 20 * SL_MINUTE_US
                                           : rng_between(&w->rng, SL_MINUTE_US, 6 * SL_MINUTE_US);
    if (w->options.safety_us != 0) {
        w->safety_us = w->options.safety_us;
    }
    (void)world_after(w, CLOSE_US, come, -1);
    actors_begin(w);
}

/* Everything works from now on: what is down starts again by its own event, who is cut off comes
 * back. */
void faults_end(World *w)
{
    say(w, "faults end (%" G_GUINT64_FORMAT " steps, %" G_GUINT64_FORMAT " messages so far)",
        w->steps, w->messages);
    w->faults = false;
    w->actors_on = 0;
    w->healed_at = w->now;
    w->coord_clock = (Clock){0};
    w->disk_full_until = w->remote_away_until = 0;
    for (guint i = 0; i < w->agents->len; i++) {
        Agent *a = agent_at(w, (int)i);
        a->clock = (Clock){0};
        a->cut_until[TO_COORD] = a->cut_until[TO_AGENT] = 0;
        if (rng_chance(&w->rng, 500)) {
            net_disconnect(w, a);
        }
        (void)world_after(w, SL_SECOND_US, heal_cut, (int)i);
    }
}
