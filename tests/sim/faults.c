/* faults.c - what goes wrong in the safety phase of a seed, and how it ends. */
#include "sim.h"

static void again(World *w, void (*fire)(World *, Event *), int64_t mean_us)
{
    if (w->faults) {
        (void)world_after(w, rng_between(&w->rng, mean_us / 4, 2 * mean_us), fire, -1);
    }
}

static Agent *any_agent(World *w)
{
    return &w->agents[rng_below(&w->rng, SIM_AGENTS)];
}

static void crash_agent(World *w, Event *e)
{
    (void)e;
    if (w->faults) {
        agent_crash(w, any_agent(w));
        again(w, crash_agent, 90 * SL_SECOND_US);
    }
}

static void crash_coordinator(World *w, Event *e)
{
    (void)e;
    if (w->faults) {
        coord_crash(w);
        again(w, crash_coordinator, 3 * SL_MINUTE_US);
    }
}

static void heal_cut(World *w, Event *e)
{
    net_connect(w, &w->agents[e->agent]);
}

static void cut(World *w, Event *e)
{
    (void)e;
    if (!w->faults) {
        return;
    }
    Agent *a = any_agent(w);
    int64_t span = rng_between(&w->rng, SL_SECOND_US, 3 * SL_MINUTE_US);
    a->cut_until = w->now + span;
    say(w, "%s is cut off for %" G_GINT64_FORMAT " s", a->cluster, span / SL_SECOND_US);
    if (rng_chance(&w->rng, 500)) {
        net_disconnect(w, a); /* else nobody notices: messages just vanish */
    }
    (void)world_after(w, span + 1, heal_cut, a->index);
    again(w, cut, 2 * SL_MINUTE_US);
}

static void drop_link(World *w, Event *e)
{
    (void)e;
    if (!w->faults) {
        return;
    }
    Agent *a = any_agent(w);
    net_disconnect(w, a);
    (void)world_after(w, rng_between(&w->rng, 1000, 5 * SL_SECOND_US), heal_cut, a->index);
    again(w, drop_link, SL_MINUTE_US);
}

static void step_clock(World *w, Event *e)
{
    (void)e;
    if (!w->faults) {
        return;
    }
    Agent *a = any_agent(w);
    int64_t most = rng_chance(&w->rng, 100) ? 20 * SL_DAY_US : 4 * SL_MINUTE_US;
    a->offset_us = rng_between(&w->rng, -most, most);
    /* Slewed as by NTP, not stepped: the ledger's times order commits and seals
     * (coordinator/brain/runs.c, onChange keep). */
    w->coord_offset_us = rng_between(&w->rng, -SL_SECOND_US / 2, SL_SECOND_US / 2);
    say(w, "clock of %s is %" G_GINT64_FORMAT " s off", a->cluster, a->offset_us / SL_SECOND_US);
    again(w, step_clock, 3 * SL_MINUTE_US);
}

static void drift(World *w, Event *e)
{
    (void)e;
    if (w->faults) {
        engine_drift(w, any_agent(w));
        again(w, drift, SL_MINUTE_US);
    }
}

/* ---- the thief: the online key, the store and the wire to prod, but no person's key ---- */

static char *forge_blob(World *w, const char *text)
{
    char *digest = sl_sha256_hex(text, strlen(text));
    g_hash_table_replace(w->forged_blobs, g_strdup(digest), g_bytes_new(text, strlen(text)));
    return digest;
}

static char *forge_map(World *w, const char *key, const char *value)
{
    g_autoptr(SlMap) map = sl_map_new();
    (void)!sl_map_add(map, key, value, NULL);
    g_autoptr(GHashTable) blobs = sl_map_blobs(map);
    GHashTableIter iter;
    gpointer k, v;
    g_hash_table_iter_init(&iter, blobs);
    while (g_hash_table_iter_next(&iter, &k, &v)) {
        g_hash_table_replace(w->forged_blobs, g_strdup(k), g_bytes_ref(v));
    }
    return sl_map_root(map);
}

static char *forge_promotion(World *w, const Agent *a)
{
    static const char evil[] =
        "{\"apiVersion\":\"gitops.sluice/"
        "v1alpha1\",\"kind\":\"ModelServer\",\"metadata\":{\"name\":\"evil\"},\"spec\":{}}";
    static const SlAct acts[] = {SL_ACT_PROMOTE, SL_ACT_ROLLBACK, SL_ACT_REDEPLOY, SL_ACT_REMOVE,
                                 SL_ACT_BREAK_GLASS};
    SlAct act = acts[rng_below(&w->rng, G_N_ELEMENTS(acts))];
    g_autofree char *object = forge_blob(w, evil);
    g_autoptr(SlBundle) bundle = sl_bundle_new();
    if (act != SL_ACT_REMOVE) {
        sl_bundle_add_object(bundle, "gitops.sluice/ModelServer", "-", "evil", strlen(evil),
                             object);
    }
    g_autoptr(GBytes) list = sl_bundle_format(bundle);
    g_autofree char *text = g_strndup(g_bytes_get_data(list, NULL), g_bytes_get_size(list));
    g_autofree char *digest = forge_blob(w, text), *targets = forge_map(w, a->cluster, digest);
    SlPromotion p = {.fleet = w->root->fleet,
                     .env = (char *)(uintptr_t)(rng_chance(&w->rng, 700) ? a->env : "dev"),
                     .app = (char *)(uintptr_t) "digits",
                     .epoch = 1,
                     .seq = rng_chance(&w->rng, 200) ? INT64_MAX : 1 + rng_below(&w->rng, 40),
                     .act = act,
                     .release = digest,
                     .targets = targets,
                     .target_count = 1,
                     .allow_prune = true,
                     .not_before_us = w->now - SL_HOUR_US,
                     .activate_until_us = w->now + SL_DAY_US,
                     .policy = digest,
                     .reason = (char *)(uintptr_t) "forged"};
    g_autoptr(GBytes) statement = sl_promotion_format(&p, NULL);
    SlSigned *s = sl_signed_new(statement);
    sl_signed_sign(s, SL_STATEMENT_PROMOTION, w->online);
    char *name = sl_signed_digest(s);
    g_hash_table_replace(w->forged_statements, g_strdup(name), s);
    return name;
}

/* A promotion that alice did sign, some time ago: to be played again. */
static char *old_promotion(World *w, const Agent *a)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new();
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, w->statements);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        g_autoptr(SlPromotion) p = sl_promotion_parse(((SlSigned *)value)->text, NULL);
        if (p != NULL && strcmp(p->env, a->env) == 0) {
            g_ptr_array_add(found, key);
        }
    }
    return found->len > 0 ? g_strdup(found->pdata[rng_below(&w->rng, found->len)]) : NULL;
}

static void thief(World *w, Event *e)
{
    (void)e;
    Agent *a = &w->agents[SIM_AGENTS - 1];
    if (!w->faults || !w->thief) {
        return;
    }
    again(w, thief, SL_MINUTE_US);
    if (a->brain == NULL || !a->connected) {
        return;
    }
    g_autoptr(json_t) view = sl_agent_view(a->brain, agent_now(w, a));
    g_autofree char *played = rng_chance(&w->rng, 400) ? old_promotion(w, a) : NULL;
    g_autofree char *promotion = played != NULL ? g_strdup(played) : forge_promotion(w, a);
    g_autofree char *empty =
        forge_blob(w, "k: 0\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n");
    g_autofree char *list =
        rng_chance(&w->rng, 700) ? forge_map(w, "unit/digits/prod", promotion) : g_strdup(empty);
    (void)forge_blob(w, "");
    uint64_t jump = rng_chance(&w->rng, 300) ? (UINT64_C(1) << 60) : rng_below(&w->rng, 5);
    SlHead h = {.fleet = w->root->fleet,
                .env = (char *)(uintptr_t)a->env,
                .cluster = a->cluster,
                .epoch = 1,
                .nonce = a->nonce,
                .term = (uint64_t)sl_json_int(view, "head.term", 0) +
                        (rng_chance(&w->rng, 300) ? jump : 0),
                .version = (uint64_t)sl_json_int(view, "head.version", 0) + 1 + jump,
                .root = (uint64_t)sl_json_int(view, "rootVersion", 1),
                .registry = (uint64_t)sl_json_int(view, "registryVersion", 1),
                .ledger_seq = w->ledger->len,
                .ledger_hash = promotion,
                .issued_us = w->now,
                .expires_us = w->now + SL_MINUTE_US * (int64_t)rng_below(&w->rng, 30),
                .desired = list};
    g_autoptr(GBytes) text = sl_head_format(&h, NULL);
    if (text == NULL) {
        return;
    }
    Message *m = message_new(MSG_HEAD);
    m->statement = sl_signed_new(text);
    sl_signed_sign(m->statement, SL_STATEMENT_HEAD, w->online);
    w->forgeries++;
    say(w,
        "the thief sends %s a head (%" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT
        ") with promotion %.12s",
        a->cluster, h.term, h.version, promotion);
    net_send(w, a, TO_AGENT, m);
}

/* ---- begin and end ---- */

void faults_begin(World *w)
{
    w->faults = true;
    w->lose = (unsigned)rng_below(&w->rng, 4) == 0 ? 0 : (unsigned)rng_below(&w->rng, 250);
    w->repeat = (unsigned)rng_below(&w->rng, 200);
    w->latency_us = rng_between(&w->rng, 1000, 2 * SL_SECOND_US);
    w->crash_coord = (unsigned)rng_below(&w->rng, 8);
    w->tear = (unsigned)rng_below(&w->rng, 8);
    w->thief = rng_chance(&w->rng, 500);
    again(w, crash_agent, 90 * SL_SECOND_US);
    again(w, crash_coordinator, 3 * SL_MINUTE_US);
    again(w, cut, 2 * SL_MINUTE_US);
    again(w, drop_link, SL_MINUTE_US);
    again(w, step_clock, 3 * SL_MINUTE_US);
    again(w, drift, SL_MINUTE_US);
    again(w, thief, SL_MINUTE_US);
}

/* Everything works from now on: what is down starts again by its own event, who is cut off comes
 * back. */
void faults_end(World *w)
{
    say(w, "faults end");
    w->faults = false;
    w->healed_at = w->now;
    w->coord_offset_us = 0;
    for (int i = 0; i < SIM_AGENTS; i++) {
        Agent *a = &w->agents[i];
        a->offset_us = 0;
        a->cut_until = 0;
        if (rng_chance(&w->rng, 500)) {
            net_disconnect(w, a);
        }
        (void)world_after(w, SL_SECOND_US, heal_cut, i);
    }
}
