/* forge.c - makes what a thief of the coordinator could make: statements signed by whom he likes
 * (people's keys only where people would have signed), maps, bundles, bytes under a wrong digest. */
#include "../checks/book.h"
#include "evil.h"

#define MINUTE SL_MINUTE_US

void put_text(char **member, const char *value)
{
    char *copy = g_strdup(value);
    g_free(*member);
    *member = copy;
}

/* ---- keys ---- */

const uint8_t *forge_key(World *w, const char *name)
{
    const Person *person = person_named(w, name);
    if (person != NULL || strcmp(name, "online") == 0) {
        return person != NULL ? person->secret : w->online;
    }
    GHashTable *keys = world_keep_table(w, "forged keys");
    uint8_t *secret = g_hash_table_lookup(keys, name);
    if (secret == NULL) {
        uint8_t seed[32], pk[32];
        g_autofree char *text = g_strdup_printf("forged %s", name);
        secret = g_malloc0(64);
        (void)crypto_hash_sha256(seed, (const uint8_t *)text, strlen(text));
        (void)crypto_sign_ed25519_seed_keypair(pk, secret, seed);
        g_hash_table_insert(keys, g_strdup(name), secret);
    }
    return secret;
}

SlPublicKey *forge_public(World *w, const char *name)
{
    uint8_t pk[32];
    (void)crypto_sign_ed25519_sk_to_pk(pk, forge_key(w, name));
    return sl_public_key_from_ed25519(pk);
}

static SlPerson *person_of(World *w, SlRoot *root, const char *name)
{
    for (guint i = 0; i < root->people->len; i++) {
        SlPerson *person = root->people->pdata[i];
        if (strcmp(person->name, name) == 0) {
            return person;
        }
    }
    const Person *p = person_named(w, name);
    SlPerson *person = g_new0(SlPerson, 1);
    const char *emails[] = {p->email, NULL};
    person->name = g_strdup(name);
    person->emails = g_strdupv((char **)(uintptr_t)emails);
    person->keys = g_ptr_array_new_with_free_func((GDestroyNotify)sl_public_key_free);
    g_ptr_array_add(person->keys, sl_public_key_copy(p->key));
    g_ptr_array_add(root->people, person);
    return person;
}

static void add_role(SlRoot *root, const char *app, unsigned threshold, bool exclude)
{
    const char *people[] = {"alice", "bob", NULL};
    SlRole *role = g_new0(SlRole, 1);
    role->env = g_strdup("prod");
    role->app = g_strdup(app);
    role->act = SL_ACT_REMOVE;
    role->threshold = threshold;
    role->exclude_author = role->exclude_requester = exclude;
    role->people = g_strdupv((char **)(uintptr_t)people);
    g_ptr_array_add(root->roles, role);
}

void forge_root(World *w, SlRoot *root)
{
    if (sl_root_env(root, "prod") == NULL || person_named(w, "bob") == NULL) {
        return;
    }
    SlPerson *alice = person_of(w, root, "alice"), *bob = person_of(w, root, "bob");
    g_ptr_array_add(alice->keys, forge_public(w, "alice-2"));
    g_ptr_array_add(bob->keys, forge_public(w, "bob-revoked"));
    g_ptr_array_add(root->revoked, forge_public(w, "bob-revoked"));
    add_role(root, "two-*", 2, false);
    add_role(root, "strict-*", 1, true);
    for (guint i = 0; i < root->roles->len; i++) {
        SlRole *role = root->roles->pdata[i];
        if (role->act == SL_ACT_BREAK_GLASS && strcmp(role->env, "prod") == 0) {
            put_text(&role->app, forge_app(w)); /* so there is an act without a role */
        }
    }
}

/* ---- bytes ---- */

char *forge_blob(World *w, const char *text)
{
    char *digest = sl_sha256_hex(text, strlen(text));
    forge_blob_as(w, digest, text);
    return digest;
}

void forge_blob_as(World *w, const char *digest, const char *text)
{
    g_hash_table_replace(w->forged_blobs, g_strdup(digest), g_bytes_new(text, strlen(text)));
}

char *forge_map(World *w, GHashTable *entries)
{
    g_autoptr(SlMap) map = sl_map_new();
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, entries);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        (void)!sl_map_add(map, key, value, NULL);
    }
    g_autoptr(GHashTable) blobs = sl_map_blobs(map);
    blobs_merge(w->forged_blobs, blobs);
    return sl_map_root(map);
}

char *forge_map_of(World *w, const char *key, const char *value)
{
    g_autoptr(GHashTable) entries = g_hash_table_new(g_str_hash, g_str_equal);
    g_hash_table_insert(entries, (gpointer)(uintptr_t)key, (gpointer)(uintptr_t)value);
    return forge_map(w, entries);
}

char *forge_buckets(World *w, const char *const *buckets, size_t count)
{
    unsigned k = 0;
    while ((size_t)1 << k < count) {
        k++;
    }
    g_autoptr(GString) index = g_string_new(NULL);
    g_string_append_printf(index, "k: %u\n", k);
    for (size_t i = 0; i < count; i++) {
        g_autofree char *digest = forge_blob(w, buckets[i]);
        g_string_append_printf(index, "%s\n", digest);
    }
    return forge_blob(w, index->str);
}

/* ---- what runs ---- */

const char *forge_app(const World *w)
{
    return g_ptr_array_index(w->apps, 0);
}

static char *of_unit(World *w, const Agent *a, const char *member)
{
    g_autoptr(json_t) view =
        a->brain != NULL ? sl_agent_view(a->brain, agent_now(w, a)) : json_null();
    g_autofree char *path = g_strdup_printf("units.%s.%s", forge_app(w), member);
    return g_strdup(sl_json_str(view, path));
}

char *forge_good(World *w, const Agent *a)
{
    return of_unit(w, a, "promotion");
}

bool forge_is_known(World *w, Agent *a, const char *path, const char *text)
{
    const json_t *slot = yard_slot(w, a), *unit = NULL;
    size_t i;
    if (w->story == &story_lost && !a->wiped) {
        return false; /* it will forget all that */
    }
    json_array_foreach (sl_json_at(slot, "units"), i, unit) {
        if (strcmp(path, "promotion") == 0 &&
            g_strcmp0(sl_json_str(unit, "app"), forge_app(w)) == 0) {
            return g_strcmp0(sl_json_str(unit, path), text) == 0;
        }
    }
    return text != NULL && g_strcmp0(sl_json_str(slot, path), text) == 0;
}

SlPromotion *forge_promotion_in_force(World *w, const Agent *a)
{
    g_autofree char *digest = forge_good(w, a);
    const SlSigned *s = digest != NULL ? g_hash_table_lookup(w->statements, digest) : NULL;
    return s != NULL ? sl_promotion_parse(s->text, NULL) : NULL;
}

GBytes *forge_find(World *w, const char *digest)
{
    GBytes *bytes = coord_blob(w, digest);
    return bytes != NULL ? bytes : g_hash_table_lookup(w->forged_blobs, digest);
}

static char *text_of(GBytes *bytes)
{
    return bytes != NULL ? g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes)) : NULL;
}

char *forge_list_text(World *w, const Agent *a)
{
    g_autofree char *bundle = of_unit(w, a, "bundle");
    return bundle != NULL ? text_of(forge_find(w, bundle)) : NULL;
}

char *forge_server(World *w, const Agent *a)
{
    g_autofree char *text = forge_list_text(w, a);
    g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        if (g_str_has_prefix(*line, "object gitops.sluice/ModelServer ")) {
            return g_strdup(strrchr(*line, ' ') + 1);
        }
    }
    return NULL;
}

char *forge_bundle(World *w, const Agent *a)
{
    g_autofree char *list = forge_list_text(w, a), *digest = forge_server(w, a);
    g_autofree char *old = digest != NULL ? text_of(forge_find(w, digest)) : NULL;
    g_autoptr(json_t) object = old != NULL ? json_loads(old, 0, NULL) : NULL;
    if (object == NULL) {
        return NULL;
    }
    json_object_set_new(json_object_get(object, "spec"), "args", json_pack("[s]", "evil"));
    g_autofree char *text = sl_json_canonical(object, NULL), *changed = forge_blob(w, text);
    g_autofree char *was = g_strdup_printf(" %zu %s", strlen(old), digest),
                    *is = g_strdup_printf(" %zu %s", strlen(text), changed);
    g_auto(GStrv) around = g_strsplit(list, was, 2);
    g_autofree char *evil = g_strjoinv(is, around);
    return forge_blob(w, evil);
}

/* ---- statements ---- */

void forge_never(World *w, const Agent *a, const Attack *attack, const char *text)
{
    if (attack->timed && w->options.attack[0] == '\0') {
        return;
    }
    g_autofree char *name = g_strdup_printf("never in %s", a->env);
    g_hash_table_replace(world_keep_table(w, name), g_strdup(text), g_strdup(attack->name));
}

static void sign_all(Forging *f, SlSigned *s, SlStatementKind kind)
{
    const char *who = f->signers != NULL ? f->signers : f->attack->signers;
    g_auto(GStrv) names = g_strsplit(who != NULL ? who : "", ",", -1);
    for (char **name = names; *name != NULL; name++) {
        if (person_named(f->w, *name) != NULL) {
            g_autofree char *text = text_of(s->text);
            g_autofree char *sig = people_sign(f->w, *name, kind, text);
            sl_signed_add(s, sig);
        } else if (**name != '\0') {
            sl_signed_sign(s, kind, forge_key(f->w, *name));
        }
    }
    for (guint i = 0; f->sigs != NULL && i < f->sigs->len; i++) {
        sl_signed_add(s, f->sigs->pdata[i]);
    }
}

char *forge_statement(Forging *f, SlStatementKind kind, GBytes *text)
{
    g_autoptr(GBytes) own =
        f->text != NULL ? g_bytes_new(f->text, strlen(f->text)) : g_bytes_ref(text);
    SlSigned *s = sl_signed_new(own);
    sign_all(f, s, kind);
    char *digest = f->as != NULL ? g_strdup(f->as) : sl_signed_digest(s);
    if (f->hidden) {
        sl_signed_free(s);
    } else {
        g_hash_table_replace(f->w->forged_statements, g_strdup(digest), s);
    }
    return digest;
}

static SlOrder *new_order(World *w, const Agent *a)
{
    SlOrder *o = g_new0(SlOrder, 1);
    const SlRootEnv *env = sl_root_env(w->root, a->env);
    o->fleet = g_strdup(w->root->fleet);
    o->env = g_strdup(a->env);
    o->epoch = env->epoch;
    o->act = SL_ACT_PAUSE;
    o->number = 1;
    o->expires_us = w->now + SL_HOUR_US;
    o->reason = g_strdup("stolen");
    return o;
}

/* The promotion in force as another unit's first one, with the evil bundle for the victim. */
static SlPromotion *new_promotion(World *w, const Agent *a, const char *unit)
{
    SlPromotion *p = forge_promotion_in_force(w, a);
    g_autofree char *bundle = p != NULL ? forge_bundle(w, a) : NULL;
    if (bundle == NULL) {
        sl_promotion_free(p);
        return NULL;
    }
    g_autofree char *targets = forge_map_of(w, a->cluster, bundle);
    p->act = SL_ACT_PROMOTE;
    put_text(&p->app, unit);
    put_text(&p->targets, targets);
    p->seq = p->target_count = 1;
    g_clear_pointer(&p->previous, g_free);
    g_clear_pointer(&p->auto_rollback_to, g_free);
    g_clear_pointer(&p->authors, g_strfreev);
    p->authors = g_new0(char *, 1);
    p->not_before_us = w->now - MINUTE;
    p->activate_until_us = w->now + SL_HOUR_US;
    put_text(&p->reason, "stolen");
    return p;
}

void forge_begin(Forging *f, World *w, const Attack *attack, Agent *a)
{
    *f = (Forging){.w = w, .a = a, .attack = attack};
    (void)g_strlcpy(f->unit, attack->name, sizeof(f->unit));
    f->p = new_promotion(w, a, attack->name);
    f->o = new_order(w, a);
    f->lines = hand_lines(w, a);
}

void forge_end(Forging *f)
{
    sl_promotion_free(f->p);
    sl_order_free(f->o);
    sl_head_free(f->h);
    sl_registry_free(f->r);
    sl_root_free(f->root);
    g_clear_pointer(&f->lines, g_hash_table_unref);
    g_clear_pointer(&f->sigs, g_ptr_array_unref);
    g_free(f->text);
    g_free(f->as);
}
