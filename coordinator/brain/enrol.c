/* enrol.c - join tokens and agents that use them. A token's secret is HMAC(key of the coordinator,
 * token id): so the ledger holds nothing that lets anyone join, and the proof can still be checked
 * after a restart. */
#include "coordinator/brain/enrol.h"
#include <sodium.h>
#include <string.h>

/* Key for join secrets: from the online key, so that it needs no storage of its own; it never
 * leaves this function. */
void sl_join_secret(const SlCoord *c, const char *id, uint8_t ret_secret[32])
{
    static const char label[] = "sluice join token 1";
    uint8_t key[32];
    SlSha256 *hash = sl_sha256_new();
    sl_sha256_update(hash, label, sizeof label);
    sl_sha256_update(hash, c->config.online_secret, 64);
    g_autofree char *hex = sl_sha256_final_hex(hash);
    sl_sha256_free(hash);
    bool ok = sl_unhex(hex, key, sizeof key);
    g_assert(ok);
    crypto_auth_hmacsha256(ret_secret, (const uint8_t *)id, strlen(id), key);
    sodium_memzero(key, sizeof key);
    sodium_memzero(hex, strlen(hex));
}

char *sl_join_token(const SlCoord *c, const char *id)
{
    uint8_t secret[32];
    sl_join_secret(c, id, secret);
    g_autofree char *hex = sl_hex(secret, sizeof secret);
    g_autofree char *root = sl_signed_digest(g_ptr_array_index(c->roots, 0));
    sodium_memzero(secret, sizeof secret);
    return g_strdup_printf("slj_%s_%s_%s", id, hex, root);
}

static void answer(SlCoord *c, const SlCoordEnrol *in, const char *state, const char *message,
                   const SlJoin *join)
{
    SlCoordEffect *effect = sl_effect(c, SL_COORD_DO_ENROL_REPLY);
    effect->id = g_strdup(in->request_id);
    effect->status = strcmp(state, "refused") == 0 ? 403 : 200;
    effect->body = json_object();
    sl_json_set_str(effect->body, "state", state);
    sl_json_set_str(effect->body, "message", message);
    sl_json_set_str(effect->body, "environment", join != NULL ? join->env : "");
    sl_json_set_str(effect->body, "cluster", join != NULL ? join->name : "");
    effect->roots = g_ptr_array_new_with_free_func((GDestroyNotify)sl_signed_free);
    effect->registries = g_ptr_array_new_with_free_func((GDestroyNotify)sl_signed_free);
    if (join == NULL) {
        return;
    }
    for (guint i = 0; i < c->roots->len; i++) {
        g_ptr_array_add(effect->roots, sl_signed_copy(g_ptr_array_index(c->roots, i)));
    }
    const SlEnv *env = sl_brain_env(c, join->env);
    if (env != NULL && env->registry != NULL) {
        g_ptr_array_add(effect->registries, sl_signed_copy(env->registry));
    }
}

static void refuse(SlCoord *c, const SlCoordEnrol *in, const GError *error)
{
    g_autofree char *message = g_strdup_printf("SLU%d: %s", error->code, error->message);
    answer(c, in, "refused", message, NULL);
}

static bool check_proof(const SlCoord *c, const SlCoordEnrol *in, const SlJoin *join,
                        GError **error)
{
    uint8_t secret[32];
    gsize len = 0;
    const uint8_t *text = g_bytes_get_data(in->statement->text, &len);
    sl_join_secret(c, join->id, secret);
    bool ok = in->proof != NULL && crypto_auth_hmacsha256_verify(in->proof, text, len, secret) == 0;
    sodium_memzero(secret, sizeof secret);
    return ok ||
           sl_throw(error, SLU_ENROL_PROOF, "the proof does not fit join token %.8s", join->id);
}

/* The request is signed by the key that it asks to register: whoever asks holds it. */
static bool check_statement(const SlCoord *c, const SlCoordEnrol *in, const SlJoin *join,
                            const SlStatement *ask, GError **error)
{
    g_autoptr(SlPublicKey) key = sl_public_key_parse(sl_statement_get(ask, "sign"), error);
    if (key == NULL) {
        return false;
    }
    g_autoptr(GPtrArray) signers = sl_signed_signers(in->statement, SL_STATEMENT_ENROL, NULL);
    bool own = false;
    for (guint i = 0; i < signers->len; i++) {
        const SlPublicKey *signer = g_ptr_array_index(signers, i);
        own = own || strcmp(signer->line, key->line) == 0;
    }
    if (!own) {
        return sl_throw(error, SLU_ENROL_PROOF,
                        "the request is not signed by the key that it asks to register");
    }
    g_autofree char *root = sl_signed_digest(g_ptr_array_index(c->roots, 0));
    if (strcmp(sl_statement_get(ask, "fleet"), c->root->fleet) != 0 ||
        strcmp(sl_statement_get(ask, "environment"), join->env) != 0 ||
        strcmp(sl_statement_get(ask, "cluster"), join->name) != 0 ||
        strcmp(sl_statement_get(ask, "token"), join->id) != 0 ||
        strcmp(sl_statement_get(ask, "root"), root) != 0) {
        return sl_throw(error, SLU_ENROL_PROOF,
                        "the request names another fleet, environment, cluster, token or root than "
                        "join token %.8s",
                        join->id);
    }
    return true;
}

/* "k=v,k=v": labels of the token win over what the agent says of itself. */
static void add_labels(GHashTable *labels, const char *text, const json_t *fixed)
{
    g_auto(GStrv) pairs = g_strsplit(text, ",", 64);
    for (char **pair = pairs; *pair != NULL; pair++) {
        char *equals = strchr(*pair, '=');
        if (equals != NULL && equals != *pair) {
            *equals = '\0';
            g_hash_table_replace(labels, g_strdup(*pair), g_strdup(equals + 1));
        }
    }
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)fixed, key, value)
    {
        if (json_is_string(value)) {
            g_hash_table_replace(labels, g_strdup(key), g_strdup(json_string_value(value)));
        }
    }
}

static char *entry_of(const SlJoin *join, const SlStatement *ask, GError **error)
{
    SlCluster cluster = {.id = join->name, .name = join->name};
    g_autoptr(SlPublicKey) key = sl_public_key_parse(sl_statement_get(ask, "sign"), error);
    g_autofree char *engine = g_strdup(sl_statement_get(ask, "engine"));
    g_autofree char *curve = g_strdup(sl_statement_get(ask, "curve"));
    g_autoptr(GHashTable) labels = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    if (key == NULL) {
        return NULL;
    }
    cluster.engine = engine;
    cluster.sign = key;
    cluster.curve = curve;
    cluster.labels = labels;
    add_labels(labels, sl_statement_get(ask, "labels"), join->labels);
    g_hash_table_replace(labels, g_strdup("engine"), g_strdup(engine));
    g_hash_table_replace(labels, g_strdup("cluster"), g_strdup(join->name));
    g_autofree char *entry = sl_cluster_format(&cluster);
    g_autoptr(SlCluster) again =
        sl_cluster_parse(join->name, entry, error); /* nothing enters that we would not read back */
    return again != NULL ? g_steal_pointer(&entry) : NULL;
}

static bool curve_is_taken(const SlCoord *c, const char *curve)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, c->pending);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        if (strcmp(((SlCluster *)value)->curve, curve) == 0) {
            return true;
        }
    }
    return sl_coord_cluster_of_key(c, curve, NULL) != NULL;
}

/* What an agent whose token is used is told: accepted once its registry is signed. */
static void answer_state(SlCoord *c, const SlCoordEnrol *in, const SlJoin *join)
{
    if (sl_brain_cluster(c, join->cluster, NULL) != NULL) {
        answer(c, in, "accepted", "welcome", join);
    } else if (g_hash_table_contains(c->pending, join->cluster)) {
        g_autofree char *message = g_strdup_printf(
            "cluster %s waits until a person signs the registry of %s: `sluice cluster sign %s`",
            join->cluster, join->env, join->env);
        answer(c, in, "pending", message, join);
    } else {
        answer(c, in, "refused", "the cluster was removed", NULL);
    }
}

static void accept(SlCoord *c, const SlCoordEnrol *in, const SlJoin *join, const SlStatement *ask)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *entry = entry_of(join, ask, &error);
    g_autofree char *request = sl_signed_digest(in->statement);
    if (entry == NULL) {
        refuse(c, in, error);
        return;
    }
    json_t *event = sl_event("ClusterEnrolled");
    sl_json_set_str(event, "token", join->id);
    sl_json_set_str(event, "cluster", join->name);
    sl_json_set_str(event, "environment", join->env);
    sl_json_set_str(event, "entry", entry);
    sl_json_set_str(event, "request", request);
    sl_emit(c, event);
    (void)sl_brain_registry_auto(c, join->env);
    answer_state(c, in, join);
}

void sl_brain_enrol(SlCoord *c, const SlCoordEnrol *in)
{
    g_autoptr(GError) error = NULL;
    const SlJoin *join = in->token_id != NULL ? g_hash_table_lookup(c->joins, in->token_id) : NULL;
    if (join == NULL) {
        (void)sl_throw(&error, SLU_JOIN_TOKEN_UNKNOWN, "this join token is not known");
        refuse(c, in, error);
        return;
    }
    gsize len = 0;
    g_autoptr(SlStatement) ask = NULL;
    if (check_proof(c, in, join, &error)) { /* verify, then parse */
        const char *text = g_bytes_get_data(in->statement->text, &len);
        ask = sl_statement_parse(SL_STATEMENT_ENROL, text, len, &error);
    }
    if (ask == NULL || !check_statement(c, in, join, ask, &error)) {
        refuse(c, in, error);
        return;
    }
    if (join->cluster != NULL) {
        const SlCluster *pending = g_hash_table_lookup(c->pending, join->cluster);
        const SlCluster *known =
            pending != NULL ? pending : sl_brain_cluster(c, join->cluster, NULL);
        bool same = known != NULL &&
                    strcmp(known->sign->line, sl_statement_get(ask, "sign")) == 0 &&
                    strcmp(known->curve, sl_statement_get(ask, "curve")) == 0;
        if (same) {
            answer_state(c, in, join); /* the same agent asks again */
            return;
        }
        (void)sl_throw(&error, SLU_JOIN_TOKEN_USED,
                       "join token %.8s was used by another agent already", join->id);
    } else if (join->expires_us <= c->now_us) {
        (void)sl_throw(&error, SLU_JOIN_TOKEN_EXPIRED, "join token %.8s has expired", join->id);
    } else if (curve_is_taken(c, sl_statement_get(ask, "curve"))) {
        (void)sl_throw(&error, SLU_CLUSTER_EXISTS, "another cluster is registered with this key");
    }
    if (error != NULL) {
        refuse(c, in, error);
        return;
    }
    accept(c, in, join, ask);
}
