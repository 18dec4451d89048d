/* claims.c - who writes which object of which cluster. Two applications with one object would undo
 * each other for ever: whoever comes second is refused before its commit, by name. Kept as an index
 * of what is live in an environment, brought up to date after commits, never folded. Portable
 * objects have their application in their identity and never conflict. */
#include "coordinator/brain/brain.h"
#include <string.h>

/* @key: "<cluster> <kind> <namespace> <name>". false stops the walk. */
typedef bool (*Visit)(const char *key, void *user);

static bool visit(const char *cluster, const char *kind, const char *ns, const char *name,
                  Visit see, void *user)
{
    if (g_str_has_prefix(kind, SL_API_GROUP "/")) {
        return true;
    }
    g_autofree char *key = g_strdup_printf("%s %s %s %s", cluster, kind, ns, name);
    return see(key, user);
}

static bool walk_bundle(const char *cluster, const SlBundle *bundle, Visit see, void *user)
{
    for (guint i = 0; i < bundle->objects->len; i++) {
        const SlBundleObject *o = g_ptr_array_index(bundle->objects, i);
        if (!visit(cluster, o->kind, o->namespace_, o->name, see, user)) {
            return false;
        }
    }
    for (guint i = 0; i < bundle->withheld->len; i++) {
        const SlBundleWithheld *w = g_ptr_array_index(bundle->withheld, i);
        if (!visit(cluster, w->kind, w->namespace_, w->name, see, user)) {
            return false;
        }
    }
    return true;
}

/* Every object that these targets write; bundles that several clusters share are read once. A list
 * that is lost (it can be rendered again) claims nothing. */
static void walk(SlCoord *c, GHashTable *target_of, Visit see, void *user)
{
    g_autoptr(GHashTable) parsed =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)sl_bundle_free);
    GHashTableIter iter;
    gpointer cluster, digest;
    g_hash_table_iter_init(&iter, target_of);
    while (g_hash_table_iter_next(&iter, &cluster, &digest)) {
        const SlBundle *bundle = g_hash_table_lookup(parsed, digest);
        if (bundle == NULL) {
            GBytes *text = sl_brain_blob(c, digest);
            SlBundle *fresh = text != NULL ? sl_bundle_parse(text, NULL) : NULL;
            if (fresh == NULL) {
                continue;
            }
            g_hash_table_insert(parsed, digest, fresh);
            bundle = fresh;
        }
        if (!walk_bundle(cluster, bundle, see, user)) {
            return;
        }
    }
}

typedef struct {
    SlEnv *env;
    SlUnit *unit;
} Claim;

static bool put_claim(const char *key, void *user)
{
    const Claim *claim = user;
    char *copy = g_strdup(key);
    g_hash_table_replace(claim->env->claims, copy, claim->unit);
    g_ptr_array_add(claim->unit->claim_keys, g_strdup(key));
    return true;
}

static void drop_claims(SlEnv *env, SlUnit *u)
{
    for (guint i = 0; i < u->claim_keys->len; i++) {
        const char *key = g_ptr_array_index(u->claim_keys, i);
        if (g_hash_table_lookup(env->claims, key) == u) {
            g_hash_table_remove(env->claims, key);
        }
    }
    g_ptr_array_set_size(u->claim_keys, 0);
}

static void bring_up_to_date(SlCoord *c, SlEnv *env)
{
    GHashTableIter iter;
    gpointer value;
    if (env->claims != NULL && !env->claims_stale) {
        return;
    }
    if (env->claims == NULL) {
        env->claims = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    }
    g_hash_table_iter_init(&iter, c->units);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        SlUnit *u = value;
        if (u->claimed == u->live || strcmp(u->env, env->name) != 0) {
            continue;
        }
        Claim claim = {env, u};
        drop_claims(env, u);
        u->claimed = u->live;
        if (u->live != NULL) {
            walk(c, u->live->target_of, put_claim, &claim);
        }
    }
    env->claims_stale = false;
    env->claims_version++;
}

typedef struct {
    const SlEnv *env;
    const SlUnit *unit;
    char *found;
} Search;

static bool find_other(const char *key, void *user)
{
    Search *search = user;
    const SlUnit *owner = g_hash_table_lookup(search->env->claims, key);
    if (owner == NULL || owner == search->unit) {
        return true;
    }
    g_auto(GStrv) parts = g_strsplit(key, " ", 4);
    search->found =
        g_strdup_printf("%s %s%s%s on %s is written by application %s already", parts[1],
                        strcmp(parts[2], "-") == 0 ? "" : parts[2],
                        strcmp(parts[2], "-") == 0 ? "" : "/", parts[3], parts[0], owner->app);
    return false;
}

char *sl_brain_conflict(SlCoord *c, SlAttempt *a)
{
    SlEnv *env = sl_brain_env(c, a->env);
    if (env == NULL || a->target_of == NULL || a->act == SL_ACT_REMOVE) {
        return NULL;
    }
    bring_up_to_date(c, env);
    if (a->claims_version == env->claims_version) {
        return NULL; /* looked at already */
    }
    Search search = {env, sl_brain_unit(c, a->app, a->env), NULL};
    walk(c, a->target_of, find_other, &search);
    a->claims_version = search.found == NULL ? env->claims_version : 0;
    return search.found;
}

typedef struct {
    GHashTable *taken;
    GPtrArray *own;
    bool clash;
} Group;

static bool note_key(const char *key, void *user)
{
    Group *group = user;
    group->clash = group->clash || g_hash_table_contains(group->taken, key);
    g_ptr_array_add(group->own, g_strdup(key));
    return !group->clash;
}

bool sl_brain_claim_together(SlCoord *c, const SlAttempt *a, GHashTable *taken)
{
    g_autoptr(GPtrArray) own = g_ptr_array_new_with_free_func(g_free);
    Group group = {taken, own, false};
    if (a->act != SL_ACT_REMOVE) {
        walk(c, a->target_of, note_key, &group);
    }
    for (guint i = 0; !group.clash && i < own->len; i++) {
        g_hash_table_add(taken, g_strdup(g_ptr_array_index(own, i)));
    }
    return !group.clash;
}

bool sl_brain_ended_by_conflict(SlCoord *c, SlAttempt *a)
{
    g_autofree char *conflict = sl_brain_conflict(c, a);
    if (conflict == NULL) {
        return false;
    }
    sl_emit_end(c, a, "Failed", SLU_RENDER_CONFLICT, "%s", conflict);
    return true;
}
