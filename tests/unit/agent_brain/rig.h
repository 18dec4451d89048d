/* rig.h - the agent's brain on a test bench: a root, people and an online key, a store of blobs and
 * statements as the coordinator would serve them, an engine in memory, two slots. rig_send() steps
 * the brain and performs its effects until it is quiet; every effect is also written down. What is
 * said to it is made in rig_statements.h. */
#pragma once
#include "rig_statements.h"

/* ---- stepping ---- */

typedef struct {
    SlAgentInput in;
    char *digest, *kind, *name, *run_id, *boot;
    SlSigned *statement;
    json_t *record;
    GError *error;
} RigInput;

RIG RigInput *rig_later(Rig *r, SlAgentInputType type)
{
    RigInput *i = g_new0(RigInput, 1);
    i->in.type = type;
    g_queue_push_tail(r->inputs, i);
    return i;
}

RIG void rig_input_free(RigInput *i)
{
    g_free(i->digest);
    g_free(i->kind);
    g_free(i->name);
    g_free(i->run_id);
    g_free(i->boot);
    sl_signed_free(i->statement);
    json_decref(i->record);
    g_clear_error(&i->error);
    g_free(i);
}

RIG void rig_note(Rig *r, const char *format, ...) G_GNUC_PRINTF(2, 3);
RIG void rig_note(Rig *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_ptr_array_add(r->effects, g_strdup_vprintf(format, args));
    va_end(args);
}

RIG void rig_fetch(Rig *r, const SlAgentEffect *e)
{
    GBytes *blob = g_hash_table_lookup(r->origin, e->digest);
    const SlSigned *s = g_hash_table_lookup(r->statements, e->digest);
    RigInput *i = rig_later(r, SL_AGENT_MISSING);
    i->digest = g_strdup(e->digest);
    i->in.digest = i->digest;
    if (e->is_statement && s != NULL) {
        i->in.type = SL_AGENT_STATEMENT;
        i->statement = sl_signed_copy(s);
        i->in.statement = i->statement;
    } else if (!e->is_statement && blob != NULL) {
        g_hash_table_replace(r->store, g_strdup(e->digest), g_bytes_ref(blob));
        i->in.type = SL_AGENT_BLOB;
    }
}

RIG void rig_object_input(Rig *r, const SlAgentEffect *e, SlAgentInputType type, SlHealth health)
{
    RigInput *i = rig_later(r, type);
    i->digest = g_strdup(e->digest);
    i->kind = g_strdup(e->kind);
    i->name = g_strdup(e->name);
    i->boot = g_strdup(e->app);
    i->in.digest = i->digest;
    i->in.object = (SlObjectRef){i->boot, i->kind, "-", i->name};
    i->in.health = health;
    i->in.reason = health == SL_HEALTH_HEALTHY ? "Ready" : "CrashLoop";
    i->in.message = "";
    if (type == SL_AGENT_APPLIED && r->apply_error != NULL) {
        i->error = g_error_copy(r->apply_error);
        i->in.error = i->error;
    }
}

RIG SlHealth rig_health(Rig *r, const char *name)
{
    const char *word = g_hash_table_lookup(r->health, name);
    SlHealth health = SL_HEALTH_HEALTHY;
    g_assert_true(word == NULL || sl_health_parse(word, &health));
    return health;
}

RIG void rig_apply(Rig *r, const SlAgentEffect *e)
{
    rig_note(r, "APPLY %s %.8s", e->name, e->digest);
    if (r->no_engine) {
        return;
    }
    if (r->apply_error == NULL) {
        g_hash_table_replace(r->engine, g_strdup_printf("%s %s", e->kind, e->name),
                             g_strdup(e->digest));
    }
    rig_object_input(r, e, SL_AGENT_APPLIED, SL_HEALTH_HEALTHY);
    if (r->apply_error == NULL) {
        rig_object_input(r, e, SL_AGENT_OBSERVED, rig_health(r, e->name));
    }
}

RIG void rig_remove(Rig *r, const SlAgentEffect *e)
{
    rig_note(r, "REMOVE %s", e->name);
    g_autofree char *key = g_strdup_printf("%s %s", e->kind, e->name);
    g_hash_table_remove(r->engine, key);
    rig_object_input(r, e, SL_AGENT_REMOVED, SL_HEALTH_HEALTHY);
}

RIG void rig_adopt(Rig *r, const SlAgentEffect *e)
{
    rig_note(r, "ADOPT %s", e->run_id != NULL ? e->run_id : e->name);
    if (e->run_id == NULL) {
        g_autofree char *key = g_strdup_printf("%s %s", e->kind, e->name);
        bool there = g_strcmp0(g_hash_table_lookup(r->engine, key), e->digest) == 0;
        rig_object_input(r, e, SL_AGENT_OBSERVED,
                         there ? rig_health(r, e->name) : SL_HEALTH_MISSING);
    }
}

RIG void rig_run_start(Rig *r, const SlAgentEffect *e)
{
    rig_note(r, "RUN_START %s %.8s", e->job, e->run_id);
    int times = GPOINTER_TO_INT(g_hash_table_lookup(r->runs, e->run_id));
    g_hash_table_replace(r->runs, g_strdup(e->run_id), GINT_TO_POINTER(times + 1));
    RigInput *i = rig_later(r, SL_AGENT_RUN);
    i->run_id = g_strdup(e->run_id);
    i->record = json_pack("{s:s}", "phase", "Running");
    i->in.run_id = i->run_id;
    i->in.record = i->record;
}

RIG void rig_take_report(Rig *r, const SlSigned *s)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlReport) report = sl_report_parse(s->text, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(g_bytes_get_size(s->text), <=, SL_STATEMENT_MAX);
    sl_signed_free(r->last_report);
    r->last_report = sl_signed_copy(s);
    r->reports++;
    if (report->full) {
        g_hash_table_remove_all(r->applied);
    }
    for (guint i = 0; i < report->changes->len; i++) {
        const char *line = report->changes->pdata[i];
        const char *space = strchr(line, ' ');
        if (g_str_has_prefix(line, "- ")) {
            g_hash_table_remove(r->applied, line + 2);
        } else {
            g_hash_table_replace(r->applied, g_strndup(line, (size_t)(space - line)),
                                 g_strdup(space + 1));
        }
    }
    g_autoptr(SlMap) map = sl_map_new();
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, r->applied);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        g_assert_true(sl_map_add(map, key, value, NULL));
    }
    g_autofree char *root = sl_map_root(map);
    bool same = strcmp(root, report->applied) == 0;
    if (report->more) {
        r->mores++;
        r->said_with_more = g_hash_table_size(r->applied);
    }
    if (!r->no_acks) {
        RigInput *i = rig_later(r, SL_AGENT_REPORT_ACK);
        i->boot = g_strdup(report->boot);
        i->in.boot = i->boot;
        i->in.counter = report->counter;
        i->in.want_full = !same;
    }
}

RIG void rig_save(Rig *r, const SlAgentEffect *e)
{
    rig_note(r, "SAVE");
    if (r->hold_saves) {
        return;
    }
    RigInput *i = rig_later(r, SL_AGENT_SAVED);
    i->in.generation = e->generation;
    if (r->fail_saves) {
        (void)sl_throw(&i->error, SLU_IO, "no space left");
        i->in.error = i->error;
        return;
    }
    g_clear_pointer(&r->slots[e->generation % 2], g_bytes_unref);
    r->slots[e->generation % 2] = g_bytes_ref(e->bytes);
}

RIG void rig_perform(Rig *r, const SlAgentEffect *e)
{
    switch (e->type) {
    case SL_AGENT_DO_FETCH:
        rig_fetch(r, e);
        break;
    case SL_AGENT_DO_SAVE:
        rig_save(r, e);
        break;
    case SL_AGENT_DO_APPLY:
        rig_apply(r, e);
        break;
    case SL_AGENT_DO_REMOVE:
        rig_remove(r, e);
        break;
    case SL_AGENT_DO_ADOPT:
        rig_adopt(r, e);
        break;
    case SL_AGENT_DO_RUN_START:
        rig_run_start(r, e);
        break;
    case SL_AGENT_DO_RUN_STOP:
        rig_note(r, "RUN_STOP %.8s", e->run_id);
        break;
    case SL_AGENT_DO_RUN_FORGET:
        rig_note(r, "RUN_FORGET %.8s", e->run_id);
        break;
    case SL_AGENT_DO_REPORT:
        rig_note(r, "REPORT");
        rig_take_report(r, e->statement);
        break;
    case SL_AGENT_DO_SEAL:
        rig_note(r, "SEAL");
        sl_signed_free(r->last_seal);
        r->last_seal = sl_signed_copy(e->statement);
        break;
    case SL_AGENT_DO_KEEP:
        rig_note(r, "KEEP %u", e->digests->len);
        break;
    case SL_AGENT_DO_HELLO:
        rig_note(r, "HELLO");
        break;
    case SL_AGENT_DO_LOG:
        g_test_message("%s: %s", e->event, e->message);
        break;
    default:
        break;
    }
}

RIG void rig_step(Rig *r, const SlAgentInput *in)
{
    g_autoptr(SlAgentOutput) out = sl_agent_output_new();
    SlAgentInput timed = *in;
    timed.monotonic_us = r->monotonic;
    sl_agent_step(r->agent, &timed, r->now, out);
    r->next_us = out->next_us;
    for (guint i = 0; i < out->effects->len; i++) {
        rig_perform(r, out->effects->pdata[i]);
    }
}

RIG void rig_send(Rig *r, const SlAgentInput *in)
{
    rig_step(r, in);
    for (int n = 0; !g_queue_is_empty(r->inputs); n++) {
        g_assert_cmpint(n, <, 10000);
        RigInput *i = g_queue_pop_head(r->inputs);
        rig_step(r, &i->in);
        rig_input_free(i);
    }
}

RIG void rig_tick(Rig *r, int64_t us)
{
    r->now += us;
    rig_send(r, &(SlAgentInput){.type = SL_AGENT_TICK});
}

/* Time passes in small steps, so that reports and retries happen. */
RIG void rig_wait(Rig *r, int64_t us)
{
    int64_t step = MAX(us / 20, SL_SECOND_US / 2);
    for (int64_t left = us; left > 0; left -= step) {
        rig_tick(r, MIN(step, left));
    }
}

RIG GBytes *rig_blob(const char *digest, void *user)
{
    ((Rig *)user)->looks++;
    return g_hash_table_lookup(((Rig *)user)->store, digest);
}

RIG void rig_boot(Rig *r)
{
    g_autofree char *boot = g_strdup_printf("%032x", ++r->boots);
    SlAgentConfig config = {.secret = r->self.secret,
                            .cluster = r->cluster,
                            .env = r->env,
                            .version = "0.1.0",
                            .boot = boot,
                            .root_digest = r->root_digest,
                            .blob = rig_blob,
                            .user = r};
    g_autoptr(GError) error = NULL;
    r->agent = sl_agent_new(&config, r->slots[0], r->slots[1], &error);
    g_assert_no_error(error);
    rig_send(r, &(SlAgentInput){.type = SL_AGENT_START});
}

RIG void rig_connect(Rig *r)
{
    g_free(r->nonce);
    r->nonce = g_strdup_printf("%032x", 0xabc000 + ++r->sessions);
    rig_send(r, &(SlAgentInput){.type = SL_AGENT_CONNECTED, .nonce = r->nonce});
}

/* Loses what is in memory; what was not saved is gone. */
RIG void rig_crash(Rig *r)
{
    g_clear_pointer(&r->agent, sl_agent_free);
    RigInput *i;
    while ((i = g_queue_pop_head(r->inputs)) != NULL) {
        rig_input_free(i);
    }
    rig_boot(r);
    rig_connect(r);
}

/* ---- heads ---- */

typedef struct {
    const char *fleet, *env, *cluster, *nonce, *desired;
    uint64_t epoch, term, version, root, registry;
    int64_t issued, expires;
    const RigKey *key;
} RigHead;

RIG SlSigned *rig_make_head(Rig *r, const RigHead *how)
{
    g_autofree char *desired =
        how->desired != NULL ? g_strdup(how->desired) : rig_put_map(r, r->list);
    SlHead h = {
        .fleet = (char *)(how->fleet != NULL ? how->fleet : RIG_FLEET),
        .env = (char *)(how->env != NULL ? how->env : r->env),
        .cluster = (char *)(how->cluster != NULL ? how->cluster : r->cluster),
        .epoch = how->epoch != 0 ? how->epoch : 1,
        .nonce = (char *)(how->nonce != NULL ? how->nonce : r->nonce),
        .term = how->term != 0 ? how->term : r->term,
        .version = how->version != 0 ? how->version : ++r->version,
        .root = how->root != 0 ? how->root : r->root->version,
        .registry = how->registry != 0 ? how->registry : r->registry_version,
        .ledger_seq = 10,
        .ledger_hash = (char *)RIG_HASH,
        .issued_us = how->issued != 0 ? how->issued : r->now,
        .expires_us = how->expires != 0 ? how->expires : r->now + 15 * SL_MINUTE_US,
        .desired = desired,
    };
    g_autoptr(GError) error = NULL;
    GBytes *text = sl_head_format(&h, &error);
    g_assert_no_error(error);
    return rig_sign(text, SL_STATEMENT_HEAD, RIG_KEYS(how->key != NULL ? how->key : &r->online));
}

RIG void rig_send_head(Rig *r, const RigHead *how)
{
    g_autoptr(SlSigned) head = rig_make_head(r, how);
    rig_send(r, &(SlAgentInput){.type = SL_AGENT_HEAD, .statement = head});
}

/* A new list with what @lines says ("key values" each), sent in a good head. */
RIG void rig_list(Rig *r, const char *const *lines)
{
    sl_map_free(r->list);
    r->list = sl_map_new();
    for (size_t i = 0; lines[i] != NULL; i++) {
        g_auto(GStrv) pair = g_strsplit(lines[i], " ", 2);
        g_assert_true(sl_map_add(r->list, pair[0], pair[1] != NULL ? pair[1] : "", NULL));
    }
    rig_send_head(r, &(RigHead){0});
}
#define RIG_LINES(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Lists one promotion of a unit and lets time pass for reports. */
RIG char *rig_run_promotion(Rig *r, const RigPromotion *how, const RigKey *const *keys)
{
    char *digest = rig_publish(r, rig_promotion(r, how, keys));
    g_autofree char *line =
        g_strdup_printf("unit/%s/%s %s", how->app != NULL ? how->app : "digits", r->env, digest);
    rig_list(r, RIG_LINES(line));
    rig_wait(r, 2 * SL_SECOND_US);
    return digest;
}

RIG void rig_steps(Rig *r, SlSigned *root /* consumed, nullable */,
                   SlSigned *registry /* consumed, nullable */)
{
    g_autoptr(GPtrArray) roots = g_ptr_array_new_with_free_func((GDestroyNotify)sl_signed_free);
    g_autoptr(GPtrArray) registries =
        g_ptr_array_new_with_free_func((GDestroyNotify)sl_signed_free);
    if (root != NULL) {
        g_ptr_array_add(roots, root);
    }
    if (registry != NULL) {
        g_ptr_array_add(registries, registry);
    }
    rig_send(r, &(SlAgentInput){.type = SL_AGENT_STEPS, .roots = roots, .registries = registries});
}

/* ---- life ---- */

RIG Rig *rig_new(const char *env, bool two_people)
{
    g_assert_cmpint(sodium_init(), >=, 0);
    Rig *r = g_new0(Rig, 1);
    rig_key(&r->alice, 'a');
    rig_key(&r->alice2, 'A');
    rig_key(&r->bob, 'b');
    rig_key(&r->online, 'o');
    rig_key(&r->self, 'g');
    rig_key(&r->eve, 'e');
    static const char *const envs[] = {"dev", "test", "prod", NULL};
    SlRootNew how = {.fleet = RIG_FLEET,
                     .profile = SL_PROFILE_SOLO,
                     .person = "alice",
                     .email = "alice@x.test",
                     .person_key = r->alice.key,
                     .online_key = r->online.key,
                     .envs = envs,
                     .now_us = RIG_T0};
    g_autoptr(GError) error = NULL;
    r->root = sl_root_new(&how, &error);
    g_assert_no_error(error);
    if (two_people) {
        SlPerson *bob = g_new0(SlPerson, 1);
        bob->name = g_strdup("bob");
        bob->emails = g_strsplit("bob@x.test", " ", -1);
        bob->keys = g_ptr_array_new_with_free_func((GDestroyNotify)sl_public_key_free);
        g_ptr_array_add(bob->keys, sl_public_key_copy(r->bob.key));
        g_ptr_array_add(r->root->people, bob);
        SlPerson *alice = r->root->people->pdata[0];
        g_ptr_array_add(alice->keys, sl_public_key_copy(r->alice2.key));
        for (guint i = 0; i < r->root->roles->len; i++) {
            SlRole *role = r->root->roles->pdata[i];
            if (role->threshold > 0) {
                g_strfreev(role->people);
                role->people = g_strsplit("alice bob", " ", -1);
                role->threshold = role->act == SL_ACT_PAUSE ? 1 : 2;
            }
        }
    }
    r->root_text = rig_root_sign(r->root, RIG_KEYS(&r->alice));
    r->root_digest = sl_signed_digest(r->root_text);
    r->env = env;
    r->cluster = "prod1";
    r->now = RIG_T0;
    r->term = 2;
    r->registry_version = 1;
    r->origin =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    r->store =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    r->statements =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)sl_signed_free);
    r->engine = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    r->health = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    r->runs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    r->applied = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    r->effects = g_ptr_array_new_with_free_func(g_free);
    r->list = sl_map_new();
    r->inputs = g_queue_new();
    const RigKey *const *keys = two_people ? RIG_KEYS(&r->alice, &r->bob) : RIG_KEYS(&r->alice);
    g_autoptr(SlSigned) registry =
        rig_registry(r, env, 1, strcmp(env, "prod") == 0 ? keys : RIG_KEYS(&r->online));
    g_autoptr(GPtrArray) roots = g_ptr_array_new();
    g_ptr_array_add(roots, r->root_text);
    r->slots[0] = sl_agent_first_slot(r->cluster, env, roots, registry, r->root_digest, &error);
    g_assert_no_error(error);
    rig_boot(r);
    rig_connect(r);
    return r;
}

RIG void rig_free(Rig *r)
{
    sl_agent_free(r->agent);
    RigInput *i;
    while ((i = g_queue_pop_head(r->inputs)) != NULL) {
        rig_input_free(i);
    }
    g_queue_free(r->inputs);
    RigKey *keys[] = {&r->alice, &r->alice2, &r->bob, &r->online, &r->self, &r->eve};
    for (size_t n = 0; n < G_N_ELEMENTS(keys); n++) {
        sl_public_key_free(keys[n]->key);
    }
    sl_root_free(r->root);
    sl_signed_free(r->root_text);
    sl_signed_free(r->last_report);
    sl_signed_free(r->last_seal);
    g_free(r->root_digest);
    g_free(r->nonce);
    g_hash_table_unref(r->origin);
    g_hash_table_unref(r->store);
    g_hash_table_unref(r->statements);
    g_hash_table_unref(r->engine);
    g_hash_table_unref(r->health);
    g_hash_table_unref(r->runs);
    g_hash_table_unref(r->applied);
    g_ptr_array_unref(r->effects);
    sl_map_free(r->list);
    g_clear_error(&r->apply_error);
    for (int n = 0; n < 2; n++) {
        g_clear_pointer(&r->slots[n], g_bytes_unref);
    }
    g_free(r);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Rig, rig_free)

/* ---- looking ---- */

RIG json_t *rig_view(const Rig *r)
{
    return sl_agent_view(r->agent, r->now);
}

/* Kind of the refusal of @what, as reported; "" if there is none. */
RIG char *rig_refused(Rig *r, const char *what)
{
    g_autofree char *key = g_strdup_printf("refused/%s", what);
    const char *text = g_hash_table_lookup(r->applied, key);
    g_autoptr(json_t) o = text != NULL ? json_loads(text, 0, NULL) : NULL;
    return g_strdup(sl_json_str_or(o, "kind", ""));
}
#define rig_assert_refused(r, what, kind)                                                          \
    do {                                                                                           \
        g_autofree char *rig_kind = rig_refused(r, what);                                          \
        g_assert_cmpstr(rig_kind, ==, kind);                                                       \
    } while (0)

RIG char *rig_reported(Rig *r, const char *key, const char *member)
{
    const char *text = g_hash_table_lookup(r->applied, key);
    g_autoptr(json_t) o = text != NULL ? json_loads(text, 0, NULL) : NULL;
    json_t *m = json_object_get(o, member);
    if (json_is_integer(m)) {
        return g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(m));
    }
    return json_is_boolean(m) ? g_strdup(json_is_true(m) ? "true" : "false")
                              : g_strdup(json_is_string(m) ? json_string_value(m) : "");
}
#define rig_assert_reported(r, key, member, value)                                                 \
    do {                                                                                           \
        g_autofree char *rig_value = rig_reported(r, key, member);                                 \
        g_assert_cmpstr(rig_value, ==, value);                                                     \
    } while (0)

RIG char *rig_view_str(Rig *r, const char *path)
{
    g_autoptr(json_t) v = rig_view(r);
    return g_strdup(sl_json_str_or(v, path, ""));
}

/* How often an effect with this prefix happened since the last rig_clear. */
RIG unsigned rig_count(const Rig *r, const char *prefix)
{
    unsigned n = 0;
    for (guint i = 0; i < r->effects->len; i++) {
        n += g_str_has_prefix(r->effects->pdata[i], prefix) ? 1 : 0;
    }
    return n;
}
RIG int rig_index(const Rig *r, const char *prefix)
{
    for (guint i = 0; i < r->effects->len; i++) {
        if (g_str_has_prefix(r->effects->pdata[i], prefix)) {
            return (int)i;
        }
    }
    return -1;
}
RIG void rig_clear(Rig *r)
{
    g_ptr_array_set_size(r->effects, 0);
}
