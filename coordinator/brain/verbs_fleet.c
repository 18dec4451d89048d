/* verbs_fleet.c - orders, clusters, registries, the root and API tokens. Secrets are made from the
 * request's random bytes, shown once and kept as hashes. */
#include "coordinator/brain/enrol.h"
#include "coordinator/brain/verbs.h"
#include <string.h>

#define JOIN_LIFETIME_MAX_US (30 * SL_DAY_US) /* a secret that lies about lets a cluster in */
#define API_TOKEN_LIFETIME_MAX_US (90 * SL_DAY_US)

static json_t *draft_body(GBytes *text, unsigned threshold, json_t *who /* consumed */)
{
    json_t *body = json_object();
    g_autofree char *copy = g_strndup(g_bytes_get_data(text, NULL), g_bytes_get_size(text));
    sl_json_set_str(body, "text", copy);
    sl_json_set_int(body, "threshold", threshold);
    json_object_set_new(body, "who", who);
    return body;
}

/* args.signature (one) or args.sigs (several). */
static json_t *sigs_of(const json_t *args)
{
    json_t *list = json_array();
    const char *one = sl_json_str(args, "signature");
    const json_t *many = json_object_get(args, "sigs");
    if (one != NULL) {
        json_array_append_new(list, json_string(one));
    }
    for (size_t i = 0; i < json_array_size(many) && i < SL_STATEMENT_SIGS_MAX; i++) {
        if (json_is_string(json_array_get(many, i))) {
            json_array_append(list, json_array_get(many, i));
        }
    }
    return list;
}

static SlSigned *signed_of(const json_t *args, size_t max, GError **error)
{
    const char *text = sl_json_need_str(args, "text", error);
    if (text == NULL) {
        return NULL;
    }
    if (strlen(text) > max) {
        return sl_throw_null(error, SLU_LIMIT, "text: at most %zu bytes", max);
    }
    g_autoptr(json_t) sigs = sigs_of(args);
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
    SlSigned *s = sl_signed_new(bytes);
    for (size_t i = 0; i < json_array_size(sigs); i++) {
        const char *sig = json_string_value(json_array_get(sigs, i));
        if (strlen(sig) <= SL_SSHSIG_ARMOUR_MAX) {
            sl_signed_add(s, sig);
        }
    }
    return s;
}

json_t *sl_verb_order_draft(SlCoord *c, const SlCoordRequest *in, int *ret_status, GError **error)
{
    const char *reason = NULL;
    unsigned threshold = 0;
    (void)ret_status;
    if (!sl_args_reason(in->args, true, NULL, &reason, error)) {
        return NULL;
    }
    json_t *who = json_array();
    g_autoptr(GBytes) text = sl_brain_order_draft(c, in->args, in->person, &threshold, who, error);
    if (text == NULL) {
        json_decref(who);
        return NULL;
    }
    return draft_body(text, threshold, who);
}

json_t *sl_verb_order(SlCoord *c, const SlCoordRequest *in, int *ret_status, GError **error)
{
    (void)ret_status;
    const char *text = sl_json_need_str(in->args, "text", error);
    if (text == NULL) {
        return NULL;
    }
    g_autoptr(json_t) sigs = sigs_of(in->args);
    g_autofree char *digest = NULL;
    if (!sl_brain_order_take(c, text, sigs, &digest, error)) {
        return NULL;
    }
    json_t *body = json_object();
    sl_json_set_str(body, "order", digest);
    return body;
}

/* A name is an id for ever: one that any cluster ever had is not given again. */
static bool name_is_free(const SlCoord *c, const char *name)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, c->joins);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const SlJoin *join = value;
        if (strcmp(join->name, name) == 0 &&
            (join->cluster != NULL || join->expires_us > c->now_us)) {
            return false;
        }
    }
    return sl_brain_cluster(c, name, NULL) == NULL;
}

static bool check_labels(const json_t *labels, GError **error)
{
    const char *key;
    json_t *value;
    if (labels != NULL && (!json_is_object(labels) || json_object_size(labels) > 32)) {
        return sl_throw(error, SLU_INVALID, "labels: an object of at most 32 labels");
    }
    json_object_foreach ((json_t *)(uintptr_t)labels, key, value) {
        if (!json_is_string(value)) {
            return sl_throw(error, SLU_JSON_TYPE, "labels: each value must be a text");
        }
        if (!sl_cluster_label_check(key, json_string_value(value), error)) {
            return false; /* the rule of the signed registry: a join would be refused */
        }
    }
    return true;
}

static bool lifetime_of(const SlCoord *c, const json_t *args, int64_t otherwise_us, int64_t max_us,
                        int64_t *ret_us, GError **error)
{
    const char *text = sl_json_str(args, "lifetime");
    int64_t span_us = otherwise_us;
    if (text != NULL && !sl_parse_duration(text, &span_us, error)) {
        return sl_prefix(error, "lifetime");
    }
    if (span_us > max_us) {
        return sl_throw(error, SLU_LIMIT, "lifetime: at most %" G_GINT64_FORMAT " days",
                        max_us / SL_DAY_US);
    }
    *ret_us = c->now_us + span_us;
    return true;
}

static json_t *join_body(const SlCoord *c, const char *id, const char *name, const char *env,
                         int64_t expires_us)
{
    uint8_t secret[32];
    json_t *body = json_object(), *join = json_object();
    g_autofree char *token = sl_join_token(c, id);
    g_autofree char *root = sl_signed_digest(g_ptr_array_index(c->roots, 0));
    sl_join_secret(c, id, secret);
    g_autofree char *hex = sl_hex(secret, sizeof secret);
    sl_json_set_str(join, "id", id);
    sl_json_set_str(join, "secret", hex);
    sl_json_set_str(join, "root", root);
    sl_json_set_str(join, "fleet", c->root->fleet);
    sl_json_set_str(join, "env", env);
    sl_json_set_str(join, "name", name);
    sl_json_set_str(body, "token",
                    token); /* the shell replaces it by one that says where to connect */
    json_object_set_new(body, "join", join);
    json_object_set_new(body, "expires", sl_json_time(expires_us));
    return body;
}

json_t *sl_verb_cluster_add(SlCoord *c, const SlCoordRequest *in, int *ret_status, GError **error)
{
    int64_t expires_us = 0;
    (void)ret_status;
    const char *name = sl_json_need_str(in->args, "name", error);
    const char *env = name != NULL ? sl_json_need_str(in->args, "env", error) : NULL;
    const json_t *labels = json_object_get(in->args, "labels");
    if (env == NULL || !check_labels(labels, error) ||
        !lifetime_of(c, in->args, SL_JOIN_LIFETIME_US, JOIN_LIFETIME_MAX_US, &expires_us, error)) {
        return NULL;
    }
    if (!sl_is_name(name)) {
        return sl_throw_null(error, SLU_INVALID,
                             "name: lower-case letters, digits and '-', at most %d", SL_NAME_MAX);
    }
    if (sl_root_env(c->root, env) == NULL) {
        return sl_throw_null(error, SLU_NOT_FOUND, "the root has no environment %s", env);
    }
    if (!name_is_free(c, name)) {
        return sl_throw_null(error, SLU_CLUSTER_EXISTS,
                             "a cluster %s exists, existed, or has a join token", name);
    }
    if (in->random == NULL || g_hash_table_size(c->joins) >= SL_TOKENS_MAX * 100) {
        return sl_throw_null(error, SLU_LIMIT, "too many join tokens");
    }
    g_autofree char *id = sl_hex(in->random, 16);
    g_autofree char *expires = sl_format_time(expires_us);
    json_t *event = sl_event("ClusterAsked");
    sl_json_set_str(event, "token", id);
    sl_json_set_str(event, "name", name);
    sl_json_set_str(event, "environment", env);
    sl_json_set_str(event, "by", in->person);
    sl_json_set_str(event, "expires", expires);
    if (labels != NULL) {
        json_object_set_new(event, "labels", json_deep_copy(labels));
    }
    sl_emit(c, event);
    return join_body(c, id, name, env, expires_us);
}

/* A join token for @name that nobody has used; NULL. */
static const SlJoin *unused_join(const SlCoord *c, const char *name)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, c->joins);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const SlJoin *join = value;
        if (join->cluster == NULL && strcmp(join->name, name) == 0) {
            return join;
        }
    }
    return NULL;
}

json_t *sl_verb_cluster_remove(SlCoord *c, const SlCoordRequest *in, int *ret_status,
                               GError **error)
{
    const char *env = NULL;
    (void)ret_status;
    const char *name = sl_json_need_str(in->args, "name", error);
    if (name == NULL) {
        return NULL;
    }
    const char *pending_env = g_hash_table_lookup(c->pending_env, name);
    const SlJoin *join = unused_join(c, name);
    if (sl_brain_cluster(c, name, &env) == NULL && pending_env == NULL && join == NULL) {
        return sl_throw_null(error, SLU_NO_SUCH_CLUSTER,
                             "there is no cluster and no join token %.63s", name);
    }
    g_autofree char *where = g_strdup(env != NULL           ? env
                                      : pending_env != NULL ? pending_env
                                                            : join->env);
    json_t *event = sl_event("ClusterRemoved");
    sl_json_set_str(event, "cluster", name);
    sl_json_set_str(event, "by", in->person);
    sl_emit(c, event);
    bool done = sl_brain_registry_auto(c, where);
    json_t *body = json_object();
    sl_json_set_bool(body, "ok", true);
    sl_json_set_str(body, "environment", where);
    sl_json_set_bool(body, "signed", done || env == NULL);
    return body;
}

/* People sign the root of a map: they must be able to build it again. */
static bool add_entry(const char *id, const char *values, void *user)
{
    sl_json_set_str(user, id, values);
    return true;
}

json_t *sl_verb_registry_draft(SlCoord *c, const SlCoordRequest *in, int *ret_status,
                               GError **error)
{
    (void)ret_status;
    const char *env = sl_json_need_str(in->args, "env", error);
    if (env == NULL) {
        return NULL;
    }
    json_t *adds = json_array(), *removes = json_array();
    g_autoptr(SlMap) map = NULL;
    g_autoptr(GBytes) text = sl_brain_registry_draft(c, env, adds, removes, &map, error);
    if (text == NULL) {
        json_decref(adds);
        json_decref(removes);
        return NULL;
    }
    SlPolicyAsk ask = {.env = env, .act = SL_ACT_REGISTRY};
    SlPolicyNeed need = {0};
    sl_policy_need(c->root, &ask, &need);
    g_autoptr(GPtrArray) who = sl_policy_who_can(c->root, &ask, NULL, SL_STATEMENT_REGISTRY);
    json_t *body = draft_body(text, need.threshold, sl_json_from_ptr_array(who));
    sl_policy_need_clear(&need);
    json_object_set_new(body, "adds", adds);
    json_object_set_new(body, "removes", removes);
    json_t *entries = json_object();
    sl_map_foreach(map, add_entry, entries);
    json_object_set_new(body, "entries", entries);
    return body;
}

json_t *sl_verb_registry(SlCoord *c, const SlCoordRequest *in, int *ret_status, GError **error)
{
    (void)ret_status;
    g_autoptr(SlSigned) s = signed_of(in->args, SL_STATEMENT_MAX, error);
    g_autoptr(SlRegistry) registry = s != NULL ? sl_registry_parse(s->text, error) : NULL;
    if (registry == NULL) {
        return NULL;
    }
    g_autoptr(json_t) adds = json_array(), removes = json_array();
    g_autoptr(SlMap) map = NULL;
    g_autoptr(GBytes) draft = sl_brain_registry_draft(c, registry->env, adds, removes, &map, error);
    if (draft == NULL) {
        return NULL;
    }
    if (!g_bytes_equal(draft, s->text)) {
        return sl_throw_null(error, SLU_REGISTRY_CHANGED,
                             "the registry of %s changed since the draft was made", registry->env);
    }
    if (s->sigs->len == 0) {
        sl_signed_sign(s, SL_STATEMENT_REGISTRY,
                       c->config.online_secret); /* suffices where the threshold is 0 */
    }
    if (!sl_brain_registry_emit(c, registry->env, s, map, error)) {
        return NULL;
    }
    json_t *body = json_object();
    sl_json_set_int(body, "version", (int64_t)registry->version);
    return body;
}

json_t *sl_verb_root(SlCoord *c, const SlCoordRequest *in, int *ret_status, GError **error)
{
    (void)ret_status;
    g_autoptr(SlSigned) s = signed_of(in->args, SL_ROOT_MAX, error);
    SlRoot *next = s != NULL ? sl_root_accept_next(c->root, s, error) : NULL;
    if (next == NULL) {
        return NULL;
    }
    g_autoptr(SlPublicKey) online = sl_public_key_from_ed25519(c->config.online_secret + 32);
    bool listed = sl_root_is_online_key(next, online);
    uint64_t version = next->version;
    sl_root_free(next);
    if (!listed) {
        return sl_throw_null(
            error, SLU_ROOT_REFUSED,
            "root version %" G_GUINT64_FORMAT
            " does not list this coordinator's online key; agents would refuse every head",
            version);
    }
    json_t *event = sl_event("Root");
    json_object_set_new(event, "root", sl_signed_to_json(s));
    sl_json_set_str(event, "by", in->person);
    sl_emit(c, event);
    sl_brain_signers_again(c);
    json_t *body = json_object();
    sl_json_set_int(body, "version", (int64_t)version);
    return body;
}

json_t *sl_verb_token_create(SlCoord *c, const SlCoordRequest *in, int *ret_status, GError **error)
{
    int64_t expires_us = 0;
    (void)ret_status;
    const char *person = sl_json_need_str(in->args, "person", error);
    const char *scope = person != NULL ? sl_json_need_str(in->args, "scope", error) : NULL;
    if (scope == NULL || !lifetime_of(c, in->args, API_TOKEN_LIFETIME_MAX_US,
                                      API_TOKEN_LIFETIME_MAX_US, &expires_us, error)) {
        return NULL;
    }
    if (strcmp(scope, "view") != 0 && strcmp(scope, "request") != 0 &&
        strcmp(scope, "operate") != 0) {
        return sl_throw_null(error, SLU_INVALID, "scope: one of view, request, operate");
    }
    if (sl_root_person(c->root, person) == NULL) {
        return sl_throw_null(error, SLU_NOT_FOUND, "the root names no person %.63s", person);
    }
    if (in->random == NULL || g_hash_table_size(c->tokens) >= SL_TOKENS_MAX) {
        return sl_throw_null(error, SLU_LIMIT, "%d API tokens exist; revoke some", SL_TOKENS_MAX);
    }
    g_autofree char *id = sl_hex(in->random, 8);
    g_autofree char *secret = sl_hex(in->random + 16, 32);
    g_autofree char *hash = sl_sha256_hex(secret, strlen(secret));
    g_autofree char *expires = sl_format_time(expires_us);
    json_t *event = sl_event("TokenMade");
    sl_json_set_str(event, "token", id);
    sl_json_set_str(event, "hash", hash);
    sl_json_set_str(event, "person", person);
    sl_json_set_str(event, "scope", scope);
    sl_json_set_str(event, "expires", expires);
    sl_json_set_str(event, "by", in->person);
    sl_emit(c, event);
    g_autofree char *token = g_strdup_printf("slc_%s_%s", id, secret);
    json_t *body = json_object();
    sl_json_set_str(body, "token", token);
    sl_json_set_str(body, "id", id);
    sl_json_set_str(body, "expires", expires);
    return body;
}

json_t *sl_verb_token_revoke(SlCoord *c, const SlCoordRequest *in, int *ret_status, GError **error)
{
    (void)ret_status;
    const char *id = sl_json_need_str(in->args, "id", error);
    if (id == NULL) {
        return NULL;
    }
    if (!g_hash_table_contains(c->tokens, id)) {
        return sl_throw_null(error, SLU_NOT_FOUND, "there is no API token %.40s", id);
    }
    json_t *event = sl_event("TokenRevoked");
    sl_json_set_str(event, "token", id);
    sl_json_set_str(event, "by", in->person);
    sl_emit(c, event);
    json_t *body = json_object();
    sl_json_set_bool(body, "ok", true);
    return body;
}
