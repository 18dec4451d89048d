/* rig_statements.h - the bench itself, and what the coordinator and people say on it: statements,
 * maps and bundles made by hand, so that a test can forge any of them. */
#pragma once
#include "agent/brain/agent.h"
#include "base/digest.h"
#include "base/text.h"
#include "core/policy.h"
#include "sluice/clock.h"
#include <sodium.h>

#define RIG_T0 (INT64_C(1790000000) * SL_SECOND_US)
#define RIG_FLEET "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define RIG_HASH "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

typedef struct {
    uint8_t secret[64];
    SlPublicKey *key;
} RigKey;

typedef struct {
    RigKey alice, alice2, bob, online, self, eve;
    SlRoot *root;
    SlSigned *root_text;
    char *root_digest;
    const char *env, *cluster;
    GHashTable *origin;     /* digest -> GBytes*: what the coordinator serves */
    GHashTable *statements; /* digest -> SlSigned* */
    GHashTable *store;      /* the agent's own blobs */
    GBytes *slots[2];
    SlAgent *agent;
    int64_t now;
    unsigned boots, sessions;
    unsigned looks; /* times that the agent looked for bytes */
    char *nonce;
    uint64_t term, version, registry_version;
    SlMap *list;         /* desired list being built */
    GHashTable *engine;  /* "kind ns name" -> digest: what exists in the cluster */
    GHashTable *health;  /* name -> health word; Healthy by default */
    GHashTable *runs;    /* run id -> how often it was started */
    GPtrArray *effects;  /* of char*: "APPLY name digest", in order */
    GHashTable *applied; /* the map as reported */
    guint mores, said_with_more; /* reports after which more follows; entries with the last */
    SlSigned *last_report, *last_seal;
    uint64_t reports;
    int64_t monotonic; /* 0 = `now` never steps */
    int64_t next_us;   /* when the last step wants to be woken */
    bool hold_saves, fail_saves, no_acks, no_engine;
    GError *apply_error; /* answered to APPLY if set */
    GQueue *inputs;
} Rig;

#define RIG G_GNUC_UNUSED static

RIG void rig_key(RigKey *k, char c)
{
    uint8_t seed[32], pk[32];
    memset(seed, c, sizeof(seed));
    g_assert_cmpint(crypto_sign_ed25519_seed_keypair(pk, k->secret, seed), ==, 0);
    k->key = sl_public_key_from_ed25519(pk);
}

RIG char *rig_put(Rig *r, const char *text)
{
    char *digest = sl_sha256_hex(text, strlen(text));
    g_hash_table_replace(r->origin, g_strdup(digest), g_bytes_new(text, strlen(text)));
    return digest;
}

RIG char *rig_put_map(Rig *r, const SlMap *map)
{
    g_autoptr(GHashTable) blobs = sl_map_blobs(map);
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, blobs);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        g_hash_table_replace(r->origin, g_strdup(key), g_bytes_ref(value));
    }
    return sl_map_root(map);
}

/* ---- statements ---- */

RIG SlSigned *rig_sign(GBytes *text /* consumed */, SlStatementKind kind, const RigKey *const *keys)
{
    SlSigned *s = sl_signed_new(text);
    g_bytes_unref(text);
    for (size_t i = 0; keys != NULL && keys[i] != NULL; i++) {
        sl_signed_sign(s, kind, keys[i]->secret);
    }
    return s;
}
#define RIG_KEYS(...) ((const RigKey *const[]){__VA_ARGS__, NULL})
#define RIG_NO_KEYS ((const RigKey *const[]){NULL})

RIG char *rig_publish(Rig *r, SlSigned *s /* consumed */)
{
    char *digest = sl_signed_digest(s);
    g_hash_table_replace(r->statements, g_strdup(digest), s);
    return digest;
}

RIG SlSigned *rig_registry(Rig *r, const char *env, uint64_t version, const RigKey *const *keys)
{
    g_autoptr(SlMap) map = sl_map_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(SlCluster) c = g_new0(SlCluster, 1);
    c->id = g_strdup(r->cluster);
    c->name = g_strdup(r->cluster);
    c->engine = g_strdup("fake");
    c->sign = sl_public_key_copy(r->self.key);
    c->curve = g_strdup(RIG_HASH);
    c->labels = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autofree char *values = sl_cluster_format(c);
    g_assert_true(sl_map_add(map, r->cluster, values, &error));
    g_autofree char *root = rig_put_map(r, map);
    SlRegistry reg = {.fleet = (char *)RIG_FLEET,
                      .env = (char *)env,
                      .version = version,
                      .count = 1,
                      .clusters = root};
    GBytes *text = sl_registry_format(&reg, &error);
    g_assert_no_error(error);
    return rig_sign(text, SL_STATEMENT_REGISTRY, keys);
}

RIG SlSigned *rig_root_sign(const SlRoot *root, const RigKey *const *keys)
{
    g_autoptr(GError) error = NULL;
    GBytes *text = sl_root_format(root, &error);
    g_assert_no_error(error);
    return rig_sign(text, SL_STATEMENT_ROOT, keys);
}

/* ---- bundles ---- */

RIG char *rig_object(Rig *r, SlBundle *b, const char *kind, const char *name, const char *more)
{
    const char *slash = strchr(kind, '/');
    bool core = g_str_has_prefix(kind, "core/");
    g_autofree char *group = g_strndup(kind, (size_t)(slash - kind));
    g_autofree char *api = core ? g_strdup("v1") : g_strdup_printf("%s/v1alpha1", group);
    g_autofree char *text =
        g_strdup_printf("{\"apiVersion\":\"%s\",\"kind\":\"%s\",\"metadata\":{\"name\":\"%s\"%s}",
                        api, slash + 1, name, more);
    g_autofree char *whole = g_strdup_printf("%s}", text);
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) json = sl_json_parse(whole, strlen(whole), NULL, "rig object", &error);
    g_assert_no_error(error);
    g_autofree char *canonical = sl_json_canonical(json, NULL);
    char *digest = rig_put(r, canonical);
    sl_bundle_add_object(b, kind, "-", name, strlen(canonical), digest);
    return digest;
}

/* A bundle of servers: names are "a b c"; @version goes into each object. */
RIG char *rig_servers(Rig *r, const char *names, int version)
{
    g_autoptr(SlBundle) b = sl_bundle_new();
    g_auto(GStrv) words = g_strsplit(names, " ", -1);
    for (size_t i = 0; words[i] != NULL && words[i][0] != '\0'; i++) {
        char *colon = strchr(words[i], ':');
        int wave = colon != NULL ? colon[1] - '0' : 0;
        if (colon != NULL) {
            *colon = '\0';
        }
        g_autofree char *more = g_strdup_printf(",\"annotations\":{\"" SL_ANNOTATION_WAVE
                                                "\":\"%d\"}},\"spec\":{\"v\":%d",
                                                wave, version);
        g_free(rig_object(r, b, "gitops.sluice/ModelServer", words[i], more));
    }
    g_autoptr(GBytes) text = sl_bundle_format(b);
    char *digest = sl_bundle_digest(b);
    g_hash_table_replace(r->origin, g_strdup(digest), g_bytes_ref(text));
    return digest;
}

RIG char *rig_bundle_put(Rig *r, const SlBundle *b)
{
    g_autoptr(GBytes) text = sl_bundle_format(b);
    char *digest = sl_bundle_digest(b);
    g_hash_table_replace(r->origin, g_strdup(digest), g_bytes_ref(text));
    return digest;
}

RIG char *rig_targets(Rig *r, const char *cluster, const char *bundle)
{
    g_autoptr(SlMap) map = sl_map_new();
    g_assert_true(sl_map_add(map, cluster, bundle, NULL));
    return rig_put_map(r, map);
}

/* ---- promotions and orders ---- */

typedef struct {
    const char *fleet, *env, *app, *bundle, *cluster, *targets, *auto_to, *requester, *author;
    uint64_t seq, epoch;
    SlAct act;
    bool allow_prune;
    int64_t not_before, until;
} RigPromotion;

RIG SlSigned *rig_promotion(Rig *r, const RigPromotion *how, const RigKey *const *keys)
{
    g_autofree char *targets =
        how->targets != NULL
            ? g_strdup(how->targets)
            : rig_targets(r, how->cluster != NULL ? how->cluster : r->cluster, how->bundle);
    char *authors[] = {(char *)how->author, NULL};
    const char *env = how->env != NULL ? how->env : r->env;
    SlPromotion p = {
        .fleet = (char *)(how->fleet != NULL ? how->fleet : RIG_FLEET),
        .env = (char *)env,
        .app = (char *)(how->app != NULL ? how->app : "digits"),
        .epoch = how->epoch != 0 ? how->epoch : 1,
        .seq = how->seq,
        .act = how->act,
        .release = (char *)RIG_HASH,
        .targets = targets,
        .target_count = 1,
        .auto_rollback_to = (char *)how->auto_to,
        .allow_prune = how->allow_prune,
        .authors = how->author != NULL ? authors : NULL,
        .not_before_us = how->not_before != 0 ? how->not_before : RIG_T0 - SL_HOUR_US,
        .activate_until_us = how->until != 0 ? how->until : RIG_T0 + 300 * SL_DAY_US,
        .policy = (char *)RIG_HASH,
        .requester = (char *)how->requester,
        .reason = (char *)"test",
    };
    g_autoptr(GError) error = NULL;
    GBytes *text = sl_promotion_format(&p, &error);
    g_assert_no_error(error);
    return rig_sign(text, SL_STATEMENT_PROMOTION, keys);
}

typedef struct {
    SlAct act;
    const char *scope, *env, *fleet, *cluster, *nonce;
    uint64_t number, epoch;
    int64_t expires;
    char **floors;
} RigOrder;

RIG SlSigned *rig_order(Rig *r, const RigOrder *how, const RigKey *const *keys)
{
    SlOrder o = {
        .fleet = (char *)(how->fleet != NULL ? how->fleet : RIG_FLEET),
        .env = (char *)(how->env != NULL ? how->env : r->env),
        .epoch = how->epoch != 0 ? how->epoch : 1,
        .act = how->act,
        .scope = (char *)how->scope,
        .number = how->number,
        .expires_us = how->expires != 0 ? how->expires : RIG_T0 + 30 * SL_DAY_US,
        .cluster = (char *)how->cluster,
        .nonce = (char *)how->nonce,
        .unit_floors = how->floors,
        .reason = (char *)"test",
    };
    g_autoptr(GError) error = NULL;
    GBytes *text = sl_order_format(&o, &error);
    g_assert_no_error(error);
    return rig_sign(text, SL_STATEMENT_ORDER, keys);
}
