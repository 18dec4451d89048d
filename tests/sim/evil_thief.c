/* evil_thief.c - a thief of the coordinator: the online key, the store and the wire to prod, but no
 * person's key. Sends heads of its own with promotions that it forged or plays again. */
#include "sim.h"

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

static char *forge_promotion(World *w, Rng *rng, const Agent *a)
{
    static const char evil[] =
        "{\"apiVersion\":\"gitops.sluice/"
        "v1alpha1\",\"kind\":\"ModelServer\",\"metadata\":{\"name\":\"evil\"},\"spec\":{}}";
    static const SlAct acts[] = {SL_ACT_PROMOTE, SL_ACT_ROLLBACK, SL_ACT_REDEPLOY, SL_ACT_REMOVE,
                                 SL_ACT_BREAK_GLASS};
    SlAct act = acts[rng_below(rng, G_N_ELEMENTS(acts))];
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
                     .env = (char *)(uintptr_t)(rng_chance(rng, 700) ? a->env : "dev"),
                     .app = (char *)(uintptr_t) "digits",
                     .epoch = 1,
                     .seq = rng_chance(rng, 200) ? INT64_MAX : 1 + rng_below(rng, 40),
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
static char *old_promotion(World *w, Rng *rng, const Agent *a)
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
    return found->len > 0 ? g_strdup(found->pdata[rng_below(rng, found->len)]) : NULL;
}

static void act(World *w, Rng *rng)
{
    Agent *a = agent_in(w, "prod", 0);
    if (a == NULL || a->brain == NULL || !a->connected) {
        return;
    }
    g_autoptr(json_t) view = sl_agent_view(a->brain, agent_now(w, a));
    g_autofree char *played = rng_chance(rng, 400) ? old_promotion(w, rng, a) : NULL;
    g_autofree char *promotion = played != NULL ? g_strdup(played) : forge_promotion(w, rng, a);
    g_autofree char *empty =
        forge_blob(w, "k: 0\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n");
    g_autofree char *list =
        rng_chance(rng, 700) ? forge_map(w, "unit/digits/prod", promotion) : g_strdup(empty);
    (void)forge_blob(w, "");
    uint64_t jump = rng_chance(rng, 300) ? (UINT64_C(1) << 60) : rng_below(rng, 5);
    SlHead h = {.fleet = w->root->fleet,
                .env = (char *)(uintptr_t)a->env,
                .cluster = a->cluster,
                .epoch = 1,
                .nonce = a->nonce,
                .term =
                    (uint64_t)sl_json_int(view, "head.term", 0) + (rng_chance(rng, 300) ? jump : 0),
                .version = (uint64_t)sl_json_int(view, "head.version", 0) + 1 + jump,
                .root = (uint64_t)sl_json_int(view, "rootVersion", 1),
                .registry = (uint64_t)sl_json_int(view, "registryVersion", 1),
                .ledger_seq = w->ledger->len,
                .ledger_hash = list,
                .issued_us = w->now,
                .expires_us = w->now + SL_MINUTE_US * (int64_t)rng_below(rng, 30),
                .desired = list};
    g_autoptr(GBytes) text = sl_head_format(&h, NULL);
    if (text == NULL) {
        return;
    }
    Message *m = message_new(MSG_HEAD);
    m->statement = sl_signed_new(text);
    sl_signed_sign(m->statement, SL_STATEMENT_HEAD, w->online);
    say(w,
        "the thief sends %s a head (%" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT
        ") with promotion %.12s",
        a->cluster, h.term, h.version, promotion);
    net_send(w, a, TO_AGENT, m);
}

const Actor actor_thief = {.name = "thief", .per_mille = 500, .mean_us = SL_MINUTE_US, .act = act};
