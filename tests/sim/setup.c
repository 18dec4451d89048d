/* setup.c - the fleet before the story: its shape from the seed, keys, root version 1, a
 * coordinator, and agents that join as real ones do. */
#include "evil/evil.h"

static const char FLEET_ID[] = "f1ee70000000000000000000000000000000000000000000000000000000000f";

/* ---- shape ---- */

void fleet_env(World *w, const char *name, unsigned clusters)
{
    Env *env = g_new0(Env, 1);
    env->name = g_strdup(name);
    env->clusters = clusters;
    g_ptr_array_add(w->envs, env);
}

#define CROWD_EVERY 1000 /* so many seeds: one costs as much as fifty others */

/* Three of four seeds: one cluster for each environment. Each thousandth: as many as there may be. */
static unsigned crowd(World *w)
{
    uint64_t how = rng_below(&w->people_rng, 1000);
    if (w->options.seed % CROWD_EVERY == 0) {
        return SIM_AGENTS_MAX - 3;
    }
    int64_t more =
        how < 10 ? rng_between(&w->people_rng, 6, 24) : rng_between(&w->people_rng, -8, 3);
    return more > 0 ? (unsigned)more : 0;
}

static Person *add_person(World *w, const char *name)
{
    Person *p = g_new0(Person, 1);
    p->name = g_strdup(name);
    p->email = g_strdup_printf("%s@x.test", name);
    g_ptr_array_add(w->people, p);
    return p;
}

void fleet_shape(World *w)
{
    static const char *const names[] = {"dev", "test", "prod"};
    static const char *const people[] = {"alice", "bob", "carol", "dave"};
    unsigned more[G_N_ELEMENTS(names)] = {0};
    w->profile = SL_PROFILE_SOLO;
    for (unsigned n = crowd(w); n > 0; n--) {
        more[rng_below(&w->people_rng, G_N_ELEMENTS(more))]++;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        fleet_env(w, names[i], 1 + more[i]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(people); i++) {
        (void)add_person(w, people[i]);
    }
    g_ptr_array_add(w->apps, g_strdup("digits"));
}

/* ---- keys and root ---- */

static void make_key(uint8_t secret[64], SlPublicKey **ret_key, const char *whose)
{
    uint8_t seed[crypto_hash_sha256_BYTES], pk[32];
    (void)crypto_hash_sha256(seed, (const uint8_t *)whose, strlen(whose));
    (void)crypto_sign_ed25519_seed_keypair(pk, secret, seed);
    *ret_key = sl_public_key_from_ed25519(pk);
}

static void make_keys(World *w)
{
    make_key(w->online, &w->online_key, "online");
    for (guint i = 0; i < w->people->len; i++) {
        Person *p = g_ptr_array_index(w->people, i);
        make_key(p->secret, &p->key, p->name);
    }
}

static char **names_of_people(const World *w)
{
    char **names = g_new0(char *, w->people->len + 1);
    for (guint i = 0; i < w->people->len; i++) {
        names[i] = g_strdup(((Person *)g_ptr_array_index(w->people, i))->name);
    }
    return names;
}

/* Not solo: everybody may sign wherever people sign; prod wants two for what is not done alone. */
static void share_root(World *w)
{
    for (guint i = 1; i < w->people->len; i++) {
        const Person *p = g_ptr_array_index(w->people, i);
        SlPerson *person = g_new0(SlPerson, 1);
        const char *emails[] = {p->email, NULL};
        person->name = g_strdup(p->name);
        person->emails = g_strdupv((char **)(uintptr_t)emails);
        person->keys = g_ptr_array_new_with_free_func((GDestroyNotify)sl_public_key_free);
        g_ptr_array_add(person->keys, sl_public_key_copy(p->key));
        g_ptr_array_add(w->root->people, person);
    }
    for (guint i = 0; i < w->root->roles->len; i++) {
        SlRole *role = g_ptr_array_index(w->root->roles, i);
        if (role->threshold == 0) {
            continue;
        }
        g_strfreev(role->people);
        role->people = names_of_people(w);
        if (role->exclude_requester && strcmp(role->env, "prod") == 0 &&
            role->act != SL_ACT_REGISTRY) {
            role->threshold = 2;
        }
    }
}

static void make_root(World *w)
{
    const Person *owner = g_ptr_array_index(w->people, 0);
    g_autoptr(GPtrArray) envs = g_ptr_array_new();
    for (guint i = 0; i < w->envs->len; i++) {
        g_ptr_array_add(envs, ((Env *)g_ptr_array_index(w->envs, i))->name);
    }
    g_ptr_array_add(envs, NULL);
    SlRootNew how = {.fleet = FLEET_ID,
                     .profile = w->profile,
                     .person = owner->name,
                     .email = owner->email,
                     .person_key = owner->key,
                     .online_key = w->online_key,
                     .envs = (const char *const *)envs->pdata,
                     .now_us = w->now};
    g_autoptr(GError) error = NULL;
    w->root = sl_root_new(&how, &error);
    g_assert_no_error(error);
    if (w->profile != SL_PROFILE_SOLO) {
        share_root(w);
    }
    forge_root(w, w->root);
    g_autoptr(GBytes) text = sl_root_format(w->root, &error);
    g_assert_no_error(error);
    w->root_text = sl_signed_new(text);
    sl_signed_sign(w->root_text, SL_STATEMENT_ROOT, owner->secret);
    w->root_digest = sl_signed_digest(w->root_text);
    json_t *genesis = sl_coord_genesis(w->root_text, "sim", w->now, &error);
    g_assert_no_error(error);
    g_ptr_array_add(w->ledger, genesis);
}

/* ---- joining ---- */

static json_t *ask(World *w, const char *verb, json_t *args)
{
    g_autofree char *id = coord_request(w, "alice", "operate", verb, args);
    json_t *reply = g_hash_table_lookup(w->replies, id);
    if (reply == NULL || sl_json_int(reply, "status", 0) >= 300) {
        g_autofree char *text =
            reply != NULL ? sl_json_canonical(reply, NULL) : g_strdup("no answer");
        fail(w, "set-up: %s: %s", verb, text);
        return NULL;
    }
    return sl_json_at(reply, "body");
}

static SlSigned *enrol_request(World *w, const Agent *a, const json_t *join)
{
    SlStatementWriter *writer = sl_statement_writer_new(SL_STATEMENT_ENROL);
    sl_statement_add(writer, "fleet", w->root->fleet);
    sl_statement_add(writer, "environment", a->env);
    sl_statement_add(writer, "cluster", a->cluster);
    sl_statement_add(writer, "sign", a->key->line);
    sl_statement_add(writer, "curve", a->curve);
    sl_statement_add(writer, "engine", "fake");
    sl_statement_add(writer, "labels", "-");
    sl_statement_add(writer, "token", sl_json_str(join, "id"));
    sl_statement_add(writer, "root", w->root_digest);
    sl_statement_add_time(writer, "time", w->now);
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) text = sl_statement_finish(writer, &error);
    g_assert_no_error(error);
    SlSigned *s = sl_signed_new(text);
    sl_signed_sign(s, SL_STATEMENT_ENROL, a->secret);
    return s;
}

static json_t *enrol(World *w, const Agent *a, const json_t *join)
{
    uint8_t secret[32], proof[32];
    g_autoptr(SlSigned) s = enrol_request(w, a, join);
    gsize len = 0;
    const uint8_t *text = g_bytes_get_data(s->text, &len);
    if (!sl_unhex(sl_json_str(join, "secret"), secret, sizeof(secret))) {
        fail(w, "set-up: no join secret");
        return NULL;
    }
    crypto_auth_hmacsha256(proof, text, len, secret);
    g_autofree char *id = g_strdup_printf("e%" G_GUINT64_FORMAT, ++w->requests);
    SlCoordInput in = {
        .type = SL_COORD_ENROL,
        .enrol = {
            .request_id = id, .statement = s, .token_id = sl_json_str(join, "id"), .proof = proof}};
    coord_step(w, &in);
    json_t *reply = g_hash_table_lookup(w->replies, id);
    return reply;
}

/* Where people sign registries, somebody who is not alice does. */
static void sign_registry(World *w, const char *env)
{
    json_t *draft = ask(w, "registry-draft", json_pack("{s:s}", "env", env));
    const char *text = draft != NULL ? sl_json_str(draft, "text") : NULL;
    if (text == NULL) {
        return;
    }
    g_autofree char *sig = people_sign(w, w->profile == SL_PROFILE_SOLO ? "alice" : "bob",
                                       SL_STATEMENT_REGISTRY, text);
    (void)ask(w, "registry", json_pack("{s:s,s:s}", "text", text, "signature", sig));
}

static GPtrArray *signed_list(const json_t *array)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)sl_signed_free);
    size_t i;
    json_t *item;
    json_array_foreach (array, i, item) {
        g_ptr_array_add(list, sl_signed_from_json(item, NULL));
    }
    return list;
}

void fleet_join(World *w, Agent *a)
{
    json_t *body = ask(w, "cluster-add", json_pack("{s:s,s:s}", "name", a->cluster, "env", a->env));
    g_autoptr(json_t) join = body != NULL ? json_deep_copy(sl_json_at(body, "join")) : NULL;
    json_t *reply = join != NULL ? enrol(w, a, join) : NULL;
    if (reply != NULL && strcmp(sl_json_str_or(reply, "body.state", ""), "pending") == 0) {
        sign_registry(w, a->env);
        reply = enrol(w, a, join);
    }
    if (reply == NULL || strcmp(sl_json_str_or(reply, "body.state", ""), "accepted") != 0) {
        g_autofree char *text =
            reply != NULL ? sl_json_canonical(reply, NULL) : g_strdup("no answer");
        fail(w, "set-up: %s does not join: %s", a->cluster, text);
        return;
    }
    g_autoptr(GPtrArray) roots = signed_list(sl_json_at(reply, "roots")),
                         registries = signed_list(sl_json_at(reply, "registries"));
    g_autoptr(GError) error = NULL;
    a->slots[0] = sl_agent_first_slot(a->cluster, a->env, roots,
                                      registries->len > 0 ? registries->pdata[0] : NULL,
                                      w->root_digest, &error);
    if (a->slots[0] == NULL) {
        fail(w, "set-up: %s: %s", a->cluster, error->message);
    }
}

static GHashTable *table_of(GDestroyNotify free_value)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_value);
}

static Agent *agent_make(World *w, const char *env)
{
    unsigned n = 1;
    while (agent_in(w, env, n - 1) != NULL) {
        n++;
    }
    Agent *a = g_new0(Agent, 1);
    a->index = (int)w->agents->len;
    for (guint i = 0; i < w->envs->len; i++) {
        const Env *e = g_ptr_array_index(w->envs, i);
        a->env = strcmp(e->name, env) == 0 ? e->name : a->env;
    }
    (void)g_snprintf(a->cluster, sizeof(a->cluster), "%s%u", env, n);
    make_key(a->secret, &a->key, a->cluster);
    g_autofree char *curve = sl_sha256_hex(a->cluster, strlen(a->cluster));
    (void)g_strlcpy(a->curve, curve, sizeof(a->curve));
    a->blobs = table_of((GDestroyNotify)g_bytes_unref);
    a->objects = table_of((GDestroyNotify)engine_object_free);
    a->runs = table_of((GDestroyNotify)engine_run_free);
    a->busy = table_of(g_free);
    a->max_seq = table_of(g_free);
    a->sealed = table_of(NULL);
    EngineObject *foreign = g_new0(EngineObject, 1);
    foreign->digest = g_strdup(w->root_digest);
    g_hash_table_insert(a->objects, g_strdup(SIM_FOREIGN), foreign);
    g_ptr_array_add(w->agents, a);
    return a;
}

void agent_free(Agent *a)
{
    sl_agent_free(a->brain);
    sl_public_key_free(a->key);
    g_clear_pointer(&a->slots[0], g_bytes_unref);
    g_clear_pointer(&a->slots[1], g_bytes_unref);
    GHashTable *tables[] = {a->blobs, a->objects, a->runs, a->busy, a->max_seq, a->sealed};
    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
        g_clear_pointer(&tables[i], g_hash_table_unref);
    }
    g_free(a->nonce);
    g_free(a);
}

Agent *fleet_agent_new(World *w, const char *env)
{
    Agent *a = agent_make(w, env);
    fleet_join(w, a);
    if (w->failure == NULL) {
        agent_start(w, a);
    }
    return a;
}

void fleet_make(World *w)
{
    make_keys(w);
    make_root(w);
    coord_start(w);
    for (guint i = 0; i < w->envs->len; i++) {
        const Env *env = g_ptr_array_index(w->envs, i);
        for (unsigned n = 0; n < env->clusters && w->failure == NULL; n++) {
            (void)fleet_agent_new(w, env->name);
        }
    }
}
