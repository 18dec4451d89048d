/* agent.c - the brain's life: new, step, free; when state is saved and when effects may leave.
 *
 * A step takes one input, then settles everything once: trust, list, orders, units, saving, and -
 * only when all hard state is durable - operations, runs, seals and reports. Each part is
 * level-triggered: it compares what is wanted with what is known and asks for the difference, so a
 * repeated or lost input changes nothing. It must never emit an operation on the cluster before the
 * state that justifies it was saved. */
#include "agent/brain/state.h"
#include <sodium.h>

SlAgentOutput *sl_agent_output_new(void)
{
    SlAgentOutput *out = g_new0(SlAgentOutput, 1);
    out->effects = g_ptr_array_new_with_free_func((GDestroyNotify)sl_agent_effect_free);
    out->next_us = INT64_MAX;
    return out;
}

void sl_agent_output_free(SlAgentOutput *output)
{
    if (output != NULL) {
        g_ptr_array_unref(output->effects);
        g_free(output);
    }
}

void sl_agent_effect_free(SlAgentEffect *e)
{
    if (e == NULL) {
        return;
    }
    g_free(e->app);
    g_free(e->kind);
    g_free(e->namespace_);
    g_free(e->name);
    g_free(e->digest);
    g_clear_pointer(&e->bytes, g_bytes_unref);
    sl_signed_free(e->statement);
    g_free(e->run_id);
    g_free(e->job);
    g_free(e->run_key);
    g_free(e->promotion);
    g_free(e->bundle);
    g_free(e->release);
    g_free(e->event);
    g_free(e->message);
    g_clear_pointer(&e->digests, g_ptr_array_unref);
    g_free(e->nonce);
    g_free(e);
}

SlAgentEffect *sl_agent_emit(SlAgent *a, SlAgentEffectType type)
{
    SlAgentEffect *e = g_new0(SlAgentEffect, 1);
    e->type = type;
    g_ptr_array_add(a->out->effects, e);
    return e;
}

void sl_agent_log(SlAgent *a, bool is_error, const char *event, const char *format, ...)
{
    SlAgentEffect *e = sl_agent_emit(a, SL_AGENT_DO_LOG);
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    e->is_error = is_error;
    e->event = g_strdup(event);
    e->message = sl_escape_for_people(text, 512);
}

void sl_agent_wake(SlAgent *a, int64_t elapsed_us)
{
    a->due_us = MIN(a->due_us, elapsed_us);
}

void sl_agent_dirty(SlAgent *a)
{
    a->dirty = true;
}

void sl_agent_lazy(SlAgent *a)
{
    if (!a->lazy) {
        a->lazy = true;
        a->lazy_us = a->elapsed_us + SL_AGENT_LAZY_SAVE_US;
    }
}

bool sl_agent_durable(const SlAgent *a)
{
    return !a->dirty && a->saved >= a->hard_generation;
}

int64_t sl_agent_backoff(unsigned tries)
{
    int64_t us = SL_SECOND_US << MIN(tries, 6U);
    return MIN(us, SL_AGENT_BACKOFF_MAX_US);
}

void sl_agent_hello(SlAgent *a)
{
    if (!a->connected || a->nonce == NULL) {
        return;
    }
    SlAgentEffect *e = sl_agent_emit(a, SL_AGENT_DO_HELLO);
    e->nonce = g_strdup(a->nonce);
    e->root_version = a->root != NULL ? a->root->version : 0;
    e->registry_version = a->registry_version;
    e->term = a->head.term;
    e->head_version = a->head.version;
    e->format_max = SL_STATEMENT_FORMAT;
    e->state_lost = a->lost_nonce != NULL;
    a->hello_us = a->elapsed_us;
}

/* ---- saving ---- */

static void save_settle(SlAgent *a)
{
    bool due = a->dirty || (a->lazy && a->elapsed_us >= a->lazy_us);
    if (a->lazy && !a->dirty) {
        sl_agent_wake(a, a->lazy_us);
    }
    if (!due || a->saving || a->root == NULL) {
        return;
    }
    if (a->elapsed_us < a->save_retry_us) {
        sl_agent_wake(a, a->save_retry_us);
        return;
    }
    g_autoptr(json_t) content = sl_agent_state_to_json(a);
    a->generation = a->saved + 1;
    SlAgentEffect *e = sl_agent_emit(a, SL_AGENT_DO_SAVE);
    e->generation = a->generation;
    e->bytes = sl_slot_pack(content, a->generation);
    if (a->dirty) {
        a->hard_generation = a->generation;
    }
    a->saving = true;
    a->dirty = a->lazy = false;
}

/* A save that failed is tried again under the same number, so that it never goes to the slot with
 * the last good state. */
static void saved(SlAgent *a, uint64_t generation, const GError *error)
{
    if (!a->saving || generation != a->generation) {
        return;
    }
    a->saving = false;
    if (error == NULL) {
        a->saved = generation;
        a->save_retry_us = 0;
        sl_agent_flag(a, "storage", NULL, a->now_us);
        return;
    }
    a->dirty = true;
    if (a->save_retry_us == 0) { /* said once; the flag stays until it is saved */
        sl_agent_log(a, true, "state-save", "the state could not be saved, nothing new starts: %s",
                     error->message);
    }
    a->save_retry_us = a->elapsed_us + 5 * SL_SECOND_US;
    g_autofree char *text = sl_error_format(error);
    sl_agent_flag(a, "storage", text, a->now_us);
}

/* ---- inputs ---- */

static void in_start(SlAgent *a, const SlAgentInput *in)
{
    (void)in;
    if (a->started) {
        return;
    }
    a->started = true;
    sl_agent_adopt(a);
    sl_agent_runs_adopt(a);
    sl_agent_floors_say(a);
    if (a->lost_nonce != NULL) {
        sl_agent_log(a, true, "state-lost",
                     "both state slots are unusable; starting again from the pinned root");
    }
}

static void in_session(SlAgent *a, const SlAgentInput *in)
{
    sl_agent_fetch_reset(a);
    a->connected = true;
    a->session_heard = false;
    g_free(a->nonce);
    a->nonce = g_strdup(in->nonce);
    if (a->lost_nonce != NULL && a->lost_nonce[0] == '\0') {
        g_free(a->lost_nonce);
        a->lost_nonce = g_strdup(in->nonce);
        a->lost_us = a->now_us;
        sl_agent_dirty(a);
    }
    a->report_now = true;
    a->report_sent_us = -1;
    sl_agent_seals_again(a);
    sl_agent_hello(a);
}

static void in_disconnected(SlAgent *a, const SlAgentInput *in)
{
    (void)in;
    a->connected = false;
    sl_agent_fetch_reset(a);
}

static void in_steps(SlAgent *a, const SlAgentInput *in)
{
    sl_agent_take_steps(a, in->roots, in->registries);
}

static void in_head(SlAgent *a, const SlAgentInput *in)
{
    sl_agent_take_head(a, in->statement);
}

static void in_blob(SlAgent *a, const SlAgentInput *in)
{
    sl_agent_fetched(a, in->digest);
}

static void in_statement(SlAgent *a, const SlAgentInput *in)
{
    const SlFetch *f = g_hash_table_lookup(a->fetches, in->digest);
    if (f == NULL || !f->is_statement) {
        return;
    }
    g_autofree char *digest = sl_signed_digest(in->statement);
    if (strcmp(digest, in->digest) != 0) {
        g_autoptr(GError) error = NULL;
        (void)sl_throw(&error, SLU_AGENT_WRONG_BYTES, "statement %.12s: the bytes are of %.12s",
                       in->digest, digest);
        sl_agent_fetch_failed(a, in->digest, error);
        return;
    }
    g_hash_table_replace(a->statements, g_strdup(digest), sl_signed_copy(in->statement));
    sl_agent_fetched(a, digest);
}

static void in_missing(SlAgent *a, const SlAgentInput *in)
{
    sl_agent_fetch_failed(a, in->digest, in->error);
}

static void in_saved(SlAgent *a, const SlAgentInput *in)
{
    saved(a, in->generation, in->error);
}

static void in_run(SlAgent *a, const SlAgentInput *in)
{
    sl_agent_run(a, in->run_id, in->record);
}

static void in_run_ended(SlAgent *a, const SlAgentInput *in)
{
    sl_agent_run_ended(a, in->end);
}

static void in_report_ack(SlAgent *a, const SlAgentInput *in)
{
    sl_agent_report_ack(a, in->boot, in->counter, in->want_full);
}

static void in_seal_ack(SlAgent *a, const SlAgentInput *in)
{
    sl_agent_seal_ack(a, in->digest, in->message);
}

static void in_tick(SlAgent *a, const SlAgentInput *in)
{
    (void)a;
    (void)in;
}

static void (*const INPUTS[SL_AGENT_N_INPUTS])(SlAgent *, const SlAgentInput *) = {
    [SL_AGENT_START] = in_start,
    [SL_AGENT_CONNECTED] = in_session,
    [SL_AGENT_DISCONNECTED] = in_disconnected,
    [SL_AGENT_RESET] = in_session,
    [SL_AGENT_STEPS] = in_steps,
    [SL_AGENT_HEAD] = in_head,
    [SL_AGENT_BLOB] = in_blob,
    [SL_AGENT_STATEMENT] = in_statement,
    [SL_AGENT_MISSING] = in_missing,
    [SL_AGENT_SAVED] = in_saved,
    [SL_AGENT_APPLIED] = sl_agent_applied,
    [SL_AGENT_REMOVED] = sl_agent_removed,
    [SL_AGENT_OBSERVED] = sl_agent_observed,
    [SL_AGENT_RUN] = in_run,
    [SL_AGENT_RUN_ENDED] = in_run_ended,
    [SL_AGENT_REPORT_ACK] = in_report_ack,
    [SL_AGENT_SEAL_ACK] = in_seal_ack,
    [SL_AGENT_TICK] = in_tick,
};

static void settle(SlAgent *a)
{
    sl_agent_steps_settle(a);
    sl_agent_heads_settle(a);
    sl_agent_list_settle(a);
    sl_agent_orders_settle(a);
    sl_agent_units_settle(a);
    sl_agent_runs_settle(a);
    sl_agent_health_all(a);
    save_settle(a);
    if (sl_agent_durable(a)) {
        sl_agent_apply_all(a);
    }
    sl_agent_clock_flags(a);
    sl_agent_refuse_settle(a);
    sl_agent_fetch_settle(a);
    save_settle(a);
    if (sl_agent_durable(a)) {
        sl_agent_runs_issue(a);
        sl_agent_seals_settle(a);
        sl_agent_report_settle(a);
        sl_agent_keep_settle(a);
    } else if (a->save_retry_us != 0) {
        sl_agent_report_settle(a); /* that it can't be saved is said all the same */
    }
    sl_agent_units_wake(a);
}

void sl_agent_step(SlAgent *a, const SlAgentInput *input, int64_t now_us, SlAgentOutput *out)
{
    g_return_if_fail(input->type >= 0 && input->type < SL_AGENT_N_INPUTS);
    a->out = out;
    a->due_us = INT64_MAX;
    sl_agent_clock(a, now_us, input->monotonic_us);
    sl_agent_stir_input(a, input);
    INPUTS[input->type](a, input);
    if (a->started) {
        settle(a);
    }
    /* A save or a state change late in settle may allow more: TICK at once rather than looping
     * here. */
    if (a->due_us != INT64_MAX) {
        out->next_us = MIN(out->next_us, now_us + MAX(a->due_us - a->elapsed_us, INT64_C(1000)));
    }
    a->out = NULL;
}

/* ---- life ---- */

static SlAgent *agent_alloc(const SlAgentConfig *config)
{
    SlAgent *a = g_new0(SlAgent, 1);
    uint8_t public_key[32];
    a->secret = config->secret;
    (void)crypto_sign_ed25519_sk_to_pk(public_key, config->secret);
    a->key = sl_public_key_from_ed25519(public_key);
    a->cluster = g_strdup(config->cluster);
    a->env = g_strdup(config->env);
    a->program = g_strdup(config->version);
    a->boot = g_strdup(config->boot);
    a->root_pin = g_strdup(config->root_digest);
    a->blob = config->blob;
    a->user = config->user;
    a->units =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)sl_agent_unit_free);
    a->orders =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)sl_agent_order_free);
    a->floors = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    a->runs = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)sl_journal_free);
    a->finished = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    a->seals = g_ptr_array_new_with_free_func((GDestroyNotify)sl_kept_seal_free);
    a->run_lines = g_ptr_array_new_with_free_func((GDestroyNotify)sl_run_line_free);
    a->fetches = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    a->statements =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)sl_signed_free);
    a->refusals =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)sl_refusal_free);
    a->entries = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    a->reported = sl_map_new();
    a->changed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    a->report_full = a->keep_dirty = true;
    a->report_us = a->report_sent_us = -1;
    a->hello_us = INT64_MIN / 2;
    return a;
}

/* The larger generation that verifies; NULL without error if neither does. A slot of a newer format
 * stops the start: taking it for damaged would throw good state away. */
static json_t *choose_slot(GBytes *slot_a, GBytes *slot_b, uint64_t *ret_generation, GError **error)
{
    g_autoptr(json_t) best = NULL;
    GBytes *slots[] = {slot_a, slot_b};
    for (size_t i = 0; i < G_N_ELEMENTS(slots); i++) {
        uint64_t generation = 0;
        g_autoptr(GError) why = NULL;
        g_autoptr(json_t) content =
            slots[i] != NULL ? sl_slot_unpack(slots[i], &generation, &why) : NULL;
        if (g_error_matches(why, SL_ERROR, SLU_UNSUPPORTED)) {
            g_propagate_error(error, g_steal_pointer(&why));
            return NULL;
        }
        if (content != NULL && (best == NULL || generation > *ret_generation)) {
            json_decref(best);
            best = g_steal_pointer(&content);
            *ret_generation = generation;
        }
    }
    return g_steal_pointer(&best);
}

SlAgent *sl_agent_new(const SlAgentConfig *config, GBytes *slot_a, GBytes *slot_b, GError **error)
{
    if (!sl_is_name(config->env) || config->cluster == NULL || config->cluster[0] == '\0' ||
        config->secret == NULL || config->boot == NULL) {
        return sl_throw_null(error, SLU_INVALID,
                             "agent: cluster, environment, key and boot id are required");
    }
    g_autoptr(SlAgent) a = agent_alloc(config);
    uint64_t generation = 0;
    g_autoptr(GError) why = NULL;
    g_autoptr(json_t) content = choose_slot(slot_a, slot_b, &generation, &why);
    if (why != NULL) {
        g_propagate_error(error, g_steal_pointer(&why));
        return NULL;
    }
    if (content == NULL) {
        a->lost_nonce = g_strdup("");
        return g_steal_pointer(&a);
    }
    if (!sl_agent_state_from_json(a, content, error)) {
        return NULL;
    }
    a->generation = a->saved = a->hard_generation = generation;
    return g_steal_pointer(&a);
}

static void free_floors(SlAgent *a)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, a->floors);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        SlFloor *floor = value;
        g_free(floor->digest);
        g_free(floor);
    }
    g_hash_table_unref(a->floors);
}

void sl_agent_free(SlAgent *a)
{
    if (a == NULL) {
        return;
    }
    g_hash_table_unref(a->units);
    g_hash_table_unref(a->orders);
    free_floors(a);
    g_hash_table_unref(a->runs);
    g_hash_table_unref(a->finished);
    g_ptr_array_unref(a->seals);
    g_ptr_array_unref(a->run_lines);
    sl_agent_fetch_reset(a);
    g_hash_table_unref(a->fetches);
    g_hash_table_unref(a->statements);
    g_hash_table_unref(a->refusals);
    g_hash_table_unref(a->entries);
    sl_map_free(a->reported);
    g_hash_table_unref(a->changed);
    sl_public_key_free(a->key);
    sl_root_free(a->root);
    sl_signed_free(a->root_text);
    sl_signed_free(a->registry_text);
    sl_signed_free(a->pending_head);
    sl_head_free(a->pending);
    sl_signed_free(a->report);
    sl_signed_free(a->said);
    sl_head_state_clear(&a->head);
    g_free(a->cluster);
    g_free(a->env);
    g_free(a->program);
    g_free(a->boot);
    g_free(a->root_pin);
    g_free(a->registry_map);
    g_free(a->self);
    g_free(a->lost_nonce);
    g_free(a->nonce);
    g_free(a->list_root);
    g_free(a->keep_digest);
    g_free(a);
}
