/* state.c - the durable state as JSON and back; the first slot of a new agent. What is read here
 * passed the slot's checksum, so it is ours: a member that is missing is a programming error and
 * reads as "corrupt". Never put here what can be rebuilt. */
#include "agent/brain/state.h"

static void set_uint(json_t *o, const char *key, uint64_t value)
{
    sl_json_set_int(o, key, (int64_t)value);
}

static uint64_t get_uint(const json_t *o, const char *key)
{
    int64_t value = sl_json_int(o, key, 0);
    return value > 0 ? (uint64_t)value : 0;
}

static char *dup_str(const json_t *o, const char *key)
{
    return g_strdup(sl_json_str(o, key));
}

static json_t *signed_or_null(const SlSigned *s)
{
    return s != NULL ? sl_signed_to_json(s) : json_null();
}

/* ---- to JSON ---- */

static json_t *head_to_json(const SlHeadState *h)
{
    json_t *o = json_object();
    set_uint(o, "epoch", h->epoch);
    set_uint(o, "term", h->term);
    set_uint(o, "version", h->version);
    set_uint(o, "root", h->root);
    set_uint(o, "registry", h->registry);
    set_uint(o, "ledgerSeq", h->ledger_seq);
    sl_json_set_str(o, "ledgerHash", h->ledger_hash);
    sl_json_set_str(o, "digest", h->digest);
    sl_json_set_str(o, "desired", h->desired);
    sl_json_set_int(o, "issued", h->issued_us);
    sl_json_set_int(o, "expires", h->expires_us);
    return o;
}

static json_t *object_to_json(const SlAgentObject *obj)
{
    json_t *o = json_object();
    sl_json_set_str(o, "kind", obj->kind);
    sl_json_set_str(o, "namespace", obj->namespace_);
    sl_json_set_str(o, "name", obj->name);
    sl_json_set_str(o, "digest", obj->digest);
    sl_json_set_int(o, "wave", obj->wave);
    sl_json_set_bool(o, "keep", obj->keep);
    sl_json_set_bool(o, "applied", obj->applied);
    return o;
}

static json_t *unit_to_json(const SlUnit *u)
{
    json_t *o = json_object();
    sl_json_set_str(o, "app", u->app);
    set_uint(o, "epoch", u->epoch);
    set_uint(o, "seq", u->seq);
    sl_json_set_str(o, "floor", u->floor);
    sl_json_set_str(o, "promotion", u->promotion);
    sl_json_set_str(o, "act", sl_act_name(u->act));
    sl_json_set_str(o, "bundle", u->bundle);
    sl_json_set_str(o, "release", u->release);
    sl_json_set_bool(o, "force", u->force);
    sl_json_set_bool(o, "confirmed", u->confirmed);
    sl_json_set_bool(o, "resumed", u->resumed);
    sl_json_set_str(o, "autoPromotion", u->auto_promotion);
    sl_json_set_str(o, "autoBundle", u->auto_bundle);
    if (u->auto_privileged != NULL && u->auto_privileged[0] != NULL) {
        json_object_set_new(o, "autoPrivileged",
                            sl_json_strv((const char *const *)u->auto_privileged));
    }
    sl_json_set_str(o, "latch", u->latch_reason);
    sl_json_set_int(o, "latchSince", u->latch_us);
    sl_json_set_int(o, "activated", u->activated_us);
    json_object_set_new(o, "healthy", sl_json_from_ptr_array(u->healthy));
    json_t *objects = json_array();
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, u->objects);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        json_array_append_new(objects, object_to_json(value));
    }
    json_object_set_new(o, "objects", objects);
    return o;
}

static json_t *journal_to_json(const SlJournal *j)
{
    json_t *o = json_object();
    sl_json_set_str(o, "id", j->id);
    sl_json_set_str(o, "app", j->app);
    sl_json_set_str(o, "job", j->job);
    sl_json_set_str(o, "runKey", j->run_key);
    sl_json_set_str(o, "promotion", j->promotion);
    sl_json_set_str(o, "bundle", j->bundle);
    sl_json_set_str(o, "release", j->release);
    sl_json_set_str(o, "object", j->object);
    sl_json_set_str(o, "namespace", j->namespace_);
    set_uint(o, "generation", j->generation);
    sl_json_set_int(o, "state", (int64_t)j->state);
    json_object_set_new(o, "inputs", sl_json_from_ptr_array(j->inputs));
    json_object_set_new(o, "seal", signed_or_null(j->seal));
    return o;
}

static json_t *kept_seal_to_json(const SlKeptSeal *k)
{
    json_t *o = json_object();
    sl_json_set_str(o, "app", k->app);
    sl_json_set_str(o, "run", k->run_id);
    json_object_set_new(o, "seal", sl_signed_to_json(k->seal));
    return o;
}

static json_t *tables_to_json(const SlAgent *a)
{
    json_t *o = json_object();
    json_t *units = json_array(), *orders = json_array(), *runs = json_array(),
           *finished = json_array(), *seals = json_array();
    json_t *floors = json_object();
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, a->units);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        json_array_append_new(units, unit_to_json(value));
    }
    g_hash_table_iter_init(&iter, a->orders);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const SlAgentOrder *order = value;
        if (order->in_force) {
            json_array_append_new(orders, sl_signed_to_json(order->statement));
        }
    }
    g_hash_table_iter_init(&iter, a->floors);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        const SlFloor *floor = value;
        json_t *f = json_object();
        set_uint(f, "number", floor->number);
        sl_json_set_str(f, "digest", floor->digest);
        json_object_set_new(floors, key, f);
    }
    g_hash_table_iter_init(&iter, a->runs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        json_array_append_new(runs, journal_to_json(value));
    }
    g_hash_table_iter_init(&iter, a->finished);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        json_array_append_new(finished, json_string(key));
    }
    for (guint i = 0; i < a->seals->len; i++) {
        json_array_append_new(seals, kept_seal_to_json(a->seals->pdata[i]));
    }
    json_object_set_new(o, "units", units);
    json_object_set_new(o, "orders", orders);
    json_object_set_new(o, "floors", floors);
    json_object_set_new(o, "runs", runs);
    json_object_set_new(o, "finished", finished);
    json_object_set_new(o, "seals", seals);
    return o;
}

json_t *sl_agent_state_to_json(const SlAgent *a)
{
    json_t *o = tables_to_json(a);
    sl_json_set_int(o, "format", 1);
    sl_json_set_str(o, "cluster", a->cluster);
    sl_json_set_str(o, "environment", a->env);
    json_object_set_new(o, "root", signed_or_null(a->root_text));
    json_object_set_new(o, "registry", signed_or_null(a->registry_text));
    sl_json_set_str(o, "self", a->self);
    sl_json_set_bool(o, "selfKnown", a->self_known);
    json_object_set_new(o, "head", a->head.digest != NULL ? head_to_json(&a->head) : json_null());
    sl_json_set_int(o, "trusted", a->trusted_us);
    sl_json_set_str(o, "lostNonce", a->lost_nonce);
    sl_json_set_int(o, "lostSince", a->lost_us);
    return o;
}

/* ---- from JSON ---- */

static void head_from_json(SlHeadState *h, const json_t *o)
{
    if (!json_is_object(o)) {
        return;
    }
    h->epoch = get_uint(o, "epoch");
    h->term = get_uint(o, "term");
    h->version = get_uint(o, "version");
    h->root = get_uint(o, "root");
    h->registry = get_uint(o, "registry");
    h->ledger_seq = get_uint(o, "ledgerSeq");
    h->ledger_hash = dup_str(o, "ledgerHash");
    h->digest = dup_str(o, "digest");
    h->desired = dup_str(o, "desired");
    h->issued_us = sl_json_int(o, "issued", 0);
    h->expires_us = sl_json_int(o, "expires", 0);
}

static GPtrArray *strings_from_json(const json_t *array)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(g_free);
    size_t i;
    json_t *item;
    json_array_foreach(array, i, item)
    {
        if (json_is_string(item)) {
            g_ptr_array_add(list, g_strdup(json_string_value(item)));
        }
    }
    return list;
}

static void object_from_json(SlUnit *u, const json_t *o)
{
    SlAgentObject *obj = g_new0(SlAgentObject, 1);
    obj->kind = g_strdup(sl_json_str_or(o, "kind", ""));
    obj->namespace_ = g_strdup(sl_json_str_or(o, "namespace", "-"));
    obj->name = g_strdup(sl_json_str_or(o, "name", ""));
    obj->digest = g_strdup(sl_json_str_or(o, "digest", ""));
    obj->wave = (int)sl_json_int(o, "wave", 0);
    obj->keep = sl_json_bool(o, "keep", false);
    obj->applied = sl_json_bool(o, "applied", false);
    (void)sl_verdict_set(&obj->verdict, SL_HEALTH_UNKNOWN, "NotObserved",
                         "not observed since the agent started", 0);
    g_hash_table_replace(u->objects, sl_object_key(obj->kind, obj->namespace_, obj->name), obj);
}

static bool unit_from_json(SlAgent *a, const json_t *o, GError **error)
{
    const char *app = sl_json_need_str(o, "app", error);
    if (app == NULL) {
        return false;
    }
    SlUnit *u = sl_agent_unit_new(app, a->env);
    u->epoch = get_uint(o, "epoch");
    u->seq = get_uint(o, "seq");
    u->floor = dup_str(o, "floor");
    u->promotion = dup_str(o, "promotion");
    (void)sl_act_parse(sl_json_str_or(o, "act", "promote"), &u->act);
    u->bundle = dup_str(o, "bundle");
    u->release = dup_str(o, "release");
    u->force = sl_json_bool(o, "force", false);
    u->confirmed = sl_json_bool(o, "confirmed", false);
    u->resumed = sl_json_bool(o, "resumed", false);
    u->auto_promotion = dup_str(o, "autoPromotion");
    u->auto_bundle = dup_str(o, "autoBundle");
    g_autoptr(GPtrArray) privileged = strings_from_json(sl_json_at(o, "autoPrivileged"));
    g_ptr_array_add(privileged, NULL);
    u->auto_privileged = g_strdupv((char **)privileged->pdata);
    u->latch_reason = dup_str(o, "latch");
    u->latch_us = sl_json_int(o, "latchSince", 0);
    u->activated_us = sl_json_int(o, "activated", 0);
    g_ptr_array_unref(u->healthy);
    u->healthy = strings_from_json(sl_json_at(o, "healthy"));
    size_t i;
    json_t *item;
    json_array_foreach(sl_json_at(o, "objects"), i, item)
    {
        object_from_json(u, item);
    }
    g_hash_table_replace(a->units, u->app, u);
    return true;
}

static bool journal_from_json(SlAgent *a, const json_t *o, GError **error)
{
    const char *id = sl_json_need_str(o, "id", error);
    if (id == NULL) {
        return false;
    }
    const json_t *seal = sl_json_at(o, "seal");
    int64_t state = sl_json_int(o, "state", SL_JOURNAL_STARTED);
    if (state < 0 || state >= SL_N_JOURNAL ||
        json_is_object(seal) != (state == SL_JOURNAL_SEALED)) {
        return sl_throw(error, SLU_AGENT_STATE, "run %.12s: state %" G_GINT64_FORMAT " with%s seal",
                        id, state, json_is_object(seal) ? " a" : "out a");
    }
    SlJournal *j = g_new0(SlJournal, 1);
    j->id = g_strdup(id);
    j->app = dup_str(o, "app");
    j->job = dup_str(o, "job");
    j->run_key = dup_str(o, "runKey");
    j->promotion = dup_str(o, "promotion");
    j->bundle = dup_str(o, "bundle");
    j->release = dup_str(o, "release");
    j->object = dup_str(o, "object");
    j->namespace_ = dup_str(o, "namespace");
    j->generation = get_uint(o, "generation");
    j->state = (SlJournalState)state;
    j->inputs = strings_from_json(sl_json_at(o, "inputs"));
    j->sent_us = -1;
    g_hash_table_replace(a->runs, j->id, j);
    if (json_is_object(seal)) {
        j->seal = sl_signed_from_json(seal, error);
        if (j->seal == NULL) {
            return false;
        }
        j->seal_digest = sl_signed_digest(j->seal);
    }
    return true;
}

static bool order_from_json(SlAgent *a, const json_t *o, GError **error)
{
    SlSigned *s = sl_signed_from_json(o, error);
    if (s == NULL) {
        return false;
    }
    SlAgentOrder *order = g_new0(SlAgentOrder, 1);
    order->statement = s;
    order->digest = sl_signed_digest(s);
    order->in_force = true;
    order->came = 1; /* with what the first list after the start names */
    g_hash_table_replace(a->orders, order->digest, order);
    order->order = sl_order_parse(s->text, error);
    return order->order != NULL;
}

static bool kept_seal_from_json(SlAgent *a, const json_t *o, GError **error)
{
    SlSigned *seal = sl_signed_from_json(sl_json_at(o, "seal"), error);
    if (seal == NULL) {
        return false;
    }
    SlKeptSeal *k = g_new0(SlKeptSeal, 1);
    k->app = g_strdup(sl_json_str_or(o, "app", ""));
    k->run_id = g_strdup(sl_json_str_or(o, "run", ""));
    k->seal = seal;
    k->sent_us = -1;
    g_ptr_array_add(a->seals, k);
    return true;
}

static bool tables_from_json(SlAgent *a, const json_t *o, GError **error)
{
    size_t i;
    json_t *item;
    const char *key;
    json_array_foreach(sl_json_at(o, "units"), i, item)
    {
        if (!unit_from_json(a, item, error)) {
            return false;
        }
    }
    json_array_foreach(sl_json_at(o, "orders"), i, item)
    {
        if (!order_from_json(a, item, error)) {
            return false;
        }
    }
    json_array_foreach(sl_json_at(o, "runs"), i, item)
    {
        if (!journal_from_json(a, item, error)) {
            return false;
        }
    }
    json_array_foreach(sl_json_at(o, "finished"), i, item)
    {
        g_hash_table_add(a->finished, g_strdup(json_string_value(item)));
    }
    json_array_foreach(sl_json_at(o, "seals"), i, item)
    {
        if (!kept_seal_from_json(a, item, error)) {
            return false;
        }
    }
    json_object_foreach(sl_json_at(o, "floors"), key, item)
    {
        SlFloor *floor = g_new0(SlFloor, 1);
        floor->number = get_uint(item, "number");
        floor->digest = dup_str(item, "digest");
        g_hash_table_insert(a->floors, g_strdup(key), floor);
    }
    return true;
}

static bool trust_from_json(SlAgent *a, const json_t *o, GError **error)
{
    a->root_text = sl_signed_from_json(sl_json_at(o, "root"), error);
    if (a->root_text == NULL) {
        return false;
    }
    a->root = sl_root_parse(a->root_text->text, error);
    if (a->root == NULL) {
        return false;
    }
    json_t *registry = sl_json_at(o, "registry");
    if (json_is_object(registry)) {
        a->registry_text = sl_signed_from_json(registry, error);
        if (a->registry_text == NULL) {
            return false;
        }
        g_autoptr(SlRegistry) r = sl_registry_parse(a->registry_text->text, error);
        if (r == NULL) {
            return false;
        }
        a->registry_version = r->version;
        a->registry_map = g_strdup(r->clusters);
    }
    a->self = dup_str(o, "self");
    a->self_known = sl_json_bool(o, "selfKnown", false);
    return true;
}

bool sl_agent_state_from_json(SlAgent *a, const json_t *o, GError **error)
{
    const char *cluster = sl_json_str_or(o, "cluster", "");
    const char *env = sl_json_str_or(o, "environment", "");
    if (strcmp(cluster, a->cluster) != 0 || strcmp(env, a->env) != 0) {
        return sl_throw(error, SLU_AGENT_STATE,
                        "agent state: it belongs to cluster `%s` of `%s`, this is `%s` of `%s`",
                        cluster, env, a->cluster, a->env);
    }
    if (sl_json_int(o, "format", 0) != 1) {
        return sl_throw(error, SLU_UNSUPPORTED, "agent state: written by a newer agent");
    }
    if (!trust_from_json(a, o, error) || !tables_from_json(a, o, error)) {
        return sl_prefix(error, "agent state");
    }
    head_from_json(&a->head, sl_json_at(o, "head"));
    a->trusted_us = sl_json_int(o, "trusted", 0);
    a->lost_nonce = dup_str(o, "lostNonce");
    a->lost_us = sl_json_int(o, "lostSince", 0);
    return true;
}

/* ---- enrolment ---- */

static SlRoot *walk_roots(const GPtrArray *roots, const char *pin, const SlSigned **ret_last,
                          GError **error)
{
    if (roots == NULL || roots->len == 0) {
        return sl_throw_null(error, SLU_AGENT_ROOT_STEP, "enrolment: the answer holds no root");
    }
    *ret_last = roots->pdata[0];
    g_autoptr(SlRoot) root = sl_root_accept_first(roots->pdata[0], pin, error);
    for (guint i = 1; root != NULL && i < roots->len; i++) {
        SlRoot *next = sl_root_accept_next(root, roots->pdata[i], error);
        if (next == NULL) {
            return NULL;
        }
        sl_root_free(root);
        root = next;
        *ret_last = roots->pdata[i];
    }
    return g_steal_pointer(&root);
}

GBytes *sl_agent_first_slot(const char *cluster, const char *env, const GPtrArray *roots,
                            const SlSigned *registry, const char *root_digest, GError **error)
{
    const SlSigned *last = NULL;
    g_autoptr(SlRoot) root = walk_roots(roots, root_digest, &last, error);
    if (root == NULL) {
        return NULL;
    }
    if (sl_root_env(root, env) == NULL) {
        return sl_throw_null(error, SLU_AGENT_OTHER_ENV,
                             "enrolment: the root has no environment `%s`", env);
    }
    if (registry != NULL && !sl_agent_check_registry(root, env, 0, registry, NULL, error)) {
        return NULL;
    }
    g_autoptr(json_t) o = json_object();
    sl_json_set_int(o, "format", 1);
    sl_json_set_str(o, "cluster", cluster);
    sl_json_set_str(o, "environment", env);
    json_object_set_new(o, "root", signed_or_null(last));
    json_object_set_new(o, "registry", signed_or_null(registry));
    return sl_slot_pack(o, 0);
}
