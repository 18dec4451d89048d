/* views_detail.c - one attempt with everything that an approver wants to see, differences between
 * bundles, and why. */
#include "coordinator/brain/brain.h"
#include "coordinator/brain/verbs.h"
#include <string.h>

static GBytes *get_blob(const SlCoord *c, const char *digest)
{
    return c->config.blobs.get != NULL ? c->config.blobs.get(digest, c->config.blobs.user) : NULL;
}

typedef struct {
    char *kind, *namespace_, *name, *from, *to;
    GPtrArray *clusters;
} Change;

static void change_free(Change *change)
{
    g_free(change->kind);
    g_free(change->namespace_);
    g_free(change->name);
    g_free(change->from);
    g_free(change->to);
    g_ptr_array_unref(change->clusters);
    g_free(change);
}

/* Objects of a bundle by "kind namespace name" -> digest. */
GHashTable *sl_view_objects(const SlCoord *c, const char *bundle)
{
    GHashTable *objects = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    GBytes *text = bundle != NULL ? get_blob(c, bundle) : NULL;
    g_autoptr(SlBundle) parsed = text != NULL ? sl_bundle_parse(text, NULL) : NULL;
    for (guint i = 0; parsed != NULL && i < parsed->objects->len; i++) {
        const SlBundleObject *o = g_ptr_array_index(parsed->objects, i);
        g_hash_table_insert(objects, g_strdup_printf("%s %s %s", o->kind, o->namespace_, o->name),
                            g_strdup(o->digest));
    }
    return objects;
}

static void note(GHashTable *changes, const char *identity, const char *from, const char *to,
                 const char *cluster)
{
    g_autofree char *key =
        g_strdup_printf("%s %s %s", identity, from != NULL ? from : "-", to != NULL ? to : "-");
    Change *change = g_hash_table_lookup(changes, key);
    if (change == NULL) {
        g_auto(GStrv) parts = g_strsplit(identity, " ", 3);
        change = g_new0(Change, 1);
        change->kind = g_strdup(parts[0]);
        change->namespace_ = g_strdup(parts[1]);
        change->name = g_strdup(parts[2]);
        change->from = g_strdup(from);
        change->to = g_strdup(to);
        change->clusters = g_ptr_array_new_with_free_func(g_free);
        g_hash_table_insert(changes, g_steal_pointer(&key), change);
    }
    g_ptr_array_add(change->clusters, g_strdup(cluster));
}

static void compare(const SlCoord *c, GHashTable *changes, const char *cluster, const char *from,
                    const char *to)
{
    if (g_strcmp0(from, to) == 0) {
        return;
    }
    g_autoptr(GHashTable) old = sl_view_objects(c, from);
    g_autoptr(GHashTable) fresh = sl_view_objects(c, to);
    GHashTableIter iter;
    gpointer identity, digest;
    g_hash_table_iter_init(&iter, old);
    while (g_hash_table_iter_next(&iter, &identity, &digest)) {
        const char *now = g_hash_table_lookup(fresh, identity);
        if (g_strcmp0(now, digest) != 0) {
            note(changes, identity, digest, now, cluster);
        }
    }
    g_hash_table_iter_init(&iter, fresh);
    while (g_hash_table_iter_next(&iter, &identity, &digest)) {
        if (!g_hash_table_contains(old, identity)) {
            note(changes, identity, NULL, digest, cluster);
        }
    }
}

json_t *sl_view_changes(const SlCoord *c, GHashTable *from, GHashTable *to)
{
    g_autoptr(GHashTable) changes =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)change_free);
    GHashTableIter iter;
    gpointer cluster, value;
    json_t *list = json_array();
    if (from != NULL) {
        g_hash_table_iter_init(&iter, from);
        while (g_hash_table_iter_next(&iter, &cluster, &value)) {
            compare(c, changes, cluster, value,
                    to != NULL ? g_hash_table_lookup(to, cluster) : NULL);
        }
    }
    if (to != NULL) {
        g_hash_table_iter_init(&iter, to);
        while (g_hash_table_iter_next(&iter, &cluster, &value)) {
            if (from == NULL || !g_hash_table_contains(from, cluster)) {
                compare(c, changes, cluster, NULL, value);
            }
        }
    }
    g_autoptr(GPtrArray) keys = sl_sorted_keys(changes);
    for (guint i = 0; i < keys->len; i++) {
        const Change *change = g_hash_table_lookup(changes, g_ptr_array_index(keys, i));
        json_t *json = json_object();
        sl_json_set_str(json, "change",
                        change->from == NULL ? "added"
                        : change->to == NULL ? "removed"
                                             : "changed");
        sl_json_set_str(json, "kind", change->kind);
        sl_json_set_str(json, "namespace", change->namespace_);
        sl_json_set_str(json, "name", change->name);
        sl_json_set_str(json, "from", change->from);
        sl_json_set_str(json, "to", change->to);
        json_object_set_new(json, "clusters", sl_json_from_ptr_array(change->clusters));
        json_array_append_new(list, json);
    }
    return list;
}

static json_t *targets_json(GHashTable *target_of)
{
    json_t *json = json_object();
    GHashTableIter iter;
    gpointer cluster, bundle;
    if (target_of != NULL) {
        g_hash_table_iter_init(&iter, target_of);
        while (g_hash_table_iter_next(&iter, &cluster, &bundle)) {
            sl_json_set_str(json, cluster, bundle);
        }
    }
    return json;
}

/* What the unit had before @a: by its statement's previous, or what is live now. */
static const SlAttempt *before(const SlCoord *c, const SlAttempt *a)
{
    const SlUnit *u = sl_brain_unit(c, a->app, a->env);
    for (guint i = 0; a->previous != NULL && i < u->attempts->len; i++) {
        const SlAttempt *other = g_ptr_array_index(u->attempts, i);
        if (g_strcmp0(other->promotion, a->previous) == 0) {
            return other;
        }
    }
    return a->unchanged ? u->live : NULL;
}

static json_t *signers_json(const SlCoord *c, const SlAttempt *a)
{
    json_t *list = json_array();
    if (a->statement == NULL) {
        return list;
    }
    g_autoptr(GPtrArray) keys = sl_signed_signers(a->statement, SL_STATEMENT_PROMOTION, NULL);
    for (guint i = 0; i < keys->len; i++) {
        const SlPublicKey *key = g_ptr_array_index(keys, i);
        const SlPerson *person = sl_root_person_of_key(c->root, key);
        json_t *json = json_object();
        g_autofree char *print = sl_public_key_fingerprint(key);
        sl_json_set_str(json, "key", key->line);
        sl_json_set_str(json, "fingerprint", print);
        sl_json_set_str(json, "person",
                        person != NULL                        ? person->name
                        : sl_root_is_online_key(c->root, key) ? "coordinator"
                                                              : NULL);
        json_array_append_new(list, json);
    }
    return list;
}

json_t *sl_view_attempt_full(const SlCoord *c, const json_t *args, GError **error)
{
    const SlAttempt *a =
        sl_args_attempt(c, args, json_object_get(args, "n") != NULL ? "n" : "id", error);
    if (a == NULL) {
        return NULL;
    }
    json_t *json = sl_view_attempt(c, a);
    const SlAttempt *previous = before(c, a);
    g_auto(GStrv) authors = sl_brain_authors(c, a);
    json_object_set_new(json, "statement",
                        a->statement != NULL ? sl_signed_to_json(a->statement) : json_null());
    json_object_set_new(json, "targets", targets_json(a->target_of));
    json_object_set_new(json, "previousTargets",
                        targets_json(previous != NULL ? previous->target_of : NULL));
    json_object_set_new(json, "gateEvidence",
                        a->evidence != NULL ? json_deep_copy(a->evidence) : json_array());
    sl_view_evidence(c, a, json);
    json_object_set_new(json, "authors", sl_json_strv((const char *const *)authors));
    json_object_set_new(
        json, "changes",
        a->target_of != NULL
            ? sl_view_changes(c, previous != NULL ? previous->target_of : NULL, a->target_of)
            : json_array());
    json_object_set_new(json, "signers", signers_json(c, a));
    json_object_set_new(json, "releaseDetail", sl_view_release(c, sl_brain_release(c, a->release)));
    return json;
}

/* Targets that a word names in a unit: attempt number, release, environment, or (NULL) what is
 * live. */
static const SlAttempt *side(const SlCoord *c, const char *app, const char *env, const char *word,
                             GError **error)
{
    const SlUnit *u = sl_brain_unit(c, app, env);
    uint64_t n = 0;
    if (word == NULL) {
        return u != NULL ? u->live : NULL;
    }
    if (sl_parse_uint64(word, &n)) {
        const SlAttempt *a = sl_brain_attempt(c, n);
        bool fits = a != NULL && strcmp(a->app, app) == 0 && a->target_of != NULL;
        return fits ? a
                    : sl_throw_null(error, SLU_NO_SUCH_ATTEMPT,
                                    "attempt %s is none of %s that was rendered", word, app);
    }
    const SlUnit *other = sl_is_name(word) ? sl_brain_unit(c, app, word) : NULL;
    if (other != NULL) {
        return other->live != NULL ? other->live
                                   : sl_throw_null(error, SLU_NOTHING_THERE,
                                                   "nothing is deployed in %s/%s", app, word);
    }
    const SlRelease *r = sl_args_release(c, app, word, error);
    for (guint i = u != NULL && r != NULL ? u->attempts->len : 0; i > 0; i--) {
        const SlAttempt *a = g_ptr_array_index(u->attempts, i - 1);
        if (strcmp(a->release, r->id) == 0 && a->target_of != NULL) {
            return a;
        }
    }
    return r != NULL ? sl_throw_null(error, SLU_NO_SUCH_ATTEMPT, "%s was never rendered for %s/%s",
                                     r->name, app, env)
                     : NULL;
}

static json_t *side_json(const SlCoord *c, const SlAttempt *a)
{
    if (a == NULL) {
        return json_null();
    }
    const SlRelease *r = sl_brain_release(c, a->release);
    json_t *json = json_object();
    sl_json_set_int(json, "attempt", (int64_t)a->n);
    sl_json_set_str(json, "env", a->env);
    sl_json_set_str(json, "release", r->id);
    sl_json_set_str(json, "releaseName", r->name);
    json_object_set_new(json, "targets", targets_json(a->target_of));
    return json;
}

/* Environments have different clusters: then the first bundle of each side is compared. */
static GHashTable *as_one(GHashTable *targets)
{
    GHashTable *one = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GPtrArray) keys = sl_sorted_keys(targets);
    if (keys->len > 0) {
        g_hash_table_insert(one, "*", g_hash_table_lookup(targets, g_ptr_array_index(keys, 0)));
    }
    return one;
}

json_t *sl_view_diff(const SlCoord *c, const json_t *args, GError **error)
{
    const char *app = NULL, *env = NULL;
    g_autoptr(GError) failed = NULL;
    if (!sl_args_unit(c, args, &app, &env, error)) {
        return NULL;
    }
    const char *with = sl_json_str(args, "with");
    const char *to_word = sl_json_str(args, "to") != NULL ? sl_json_str(args, "to") : with;
    const SlAttempt *from = side(c, app, env, sl_json_str(args, "from"), &failed);
    const SlAttempt *to = NULL;
    const SlUnit *u = sl_brain_unit(c, app, env);
    if (failed == NULL && to_word == NULL) {
        for (guint i = 0; u != NULL && i < u->attempts->len; i++) { /* what waits to come in */
            const SlAttempt *a = g_ptr_array_index(u->attempts, i);
            to = sl_attempt_waits(a) && a->target_of != NULL ? a : to;
        }
        to = to != NULL ? to : from;
    } else if (failed == NULL) {
        to = side(c, app, env, to_word, &failed);
    }
    if (failed != NULL) {
        g_propagate_error(error, g_steal_pointer(&failed));
        return NULL;
    }
    json_t *json = json_object();
    bool across = from != NULL && to != NULL && strcmp(from->env, to->env) != 0;
    json_object_set_new(json, "from", side_json(c, from));
    json_object_set_new(json, "to", side_json(c, to));
    if (across) {
        g_autoptr(GHashTable) a = as_one(from->target_of);
        g_autoptr(GHashTable) b = as_one(to->target_of);
        json_object_set_new(json, "objects", sl_view_changes(c, a, b));
    } else {
        json_object_set_new(json, "objects",
                            sl_view_changes(c, from != NULL ? from->target_of : NULL,
                                            to != NULL ? to->target_of : NULL));
    }
    return json;
}
