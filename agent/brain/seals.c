/* seals.c - the final record of a run: made once, signed, durable, and sent until it is
 * acknowledged. After that the run's id is kept for ever, so that it never runs again, and the seal
 * among the last ones: a list that still names the run says that the ledger does not have it. */
#include "agent/brain/state.h"

#define KEPT_TRIES_MAX 7 /* at last about once an hour */

void sl_kept_seal_free(SlKeptSeal *k)
{
    if (k != NULL) {
        g_free(k->app);
        g_free(k->run_id);
        sl_signed_free(k->seal);
        g_free(k);
    }
}

SlKeptSeal *sl_agent_kept_seal(const SlAgent *a, const char *run_id)
{
    if (!g_hash_table_contains(a->finished, run_id)) {
        return NULL; /* the usual case: looked up in a table, not searched for */
    }
    for (guint i = 0; i < a->seals->len; i++) {
        SlKeptSeal *k = a->seals->pdata[i];
        if (strcmp(k->run_id, run_id) == 0) {
            return k;
        }
    }
    return NULL;
}

static GPtrArray *copy_lines(const GPtrArray *lines)
{
    GPtrArray *copy = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; lines != NULL && i < lines->len; i++) {
        g_ptr_array_add(copy, g_strdup(lines->pdata[i]));
    }
    return copy;
}

static SlSeal *seal_of(const SlAgent *a, const SlJournal *j, const SlRunEnd *end)
{
    SlSeal *s = g_new0(SlSeal, 1);
    s->fleet = g_strdup(a->root->fleet);
    s->env = g_strdup(a->env);
    s->cluster = g_strdup(a->cluster);
    s->app = g_strdup(j->app);
    s->job = g_strdup(j->job);
    s->run_id = g_strdup(j->id);
    s->run_key = g_strdup(j->run_key);
    s->generation = j->generation;
    s->promotion = g_strdup(j->promotion);
    s->bundle = g_strdup(j->bundle);
    s->release = g_strdup(j->release);
    s->phase = end->phase == SL_RUN_SUCCEEDED ? SL_RUN_SUCCEEDED : SL_RUN_FAILED;
    s->reason = sl_escape_for_people(
        end->reason != NULL && end->reason[0] != '\0' ? end->reason : "Unknown", 64);
    s->exit = sl_escape_for_people(end->exit != NULL && end->exit[0] != '\0' ? end->exit : "-", 64);
    s->attempts = end->attempts;
    s->started_us = end->started_us;
    s->finished_us = end->finished_us;
    s->inputs = copy_lines(j->inputs);
    s->outputs = copy_lines(end->outputs);
    s->metrics = copy_lines(end->metrics);
    s->message = end->message != NULL && end->message[0] != '\0'
                     ? sl_escape_for_people(end->message, 512)
                     : NULL;
    return s;
}

/* What a program wrote may be more than a seal can carry: the run then failed, and its seal says
 * so. */
static GBytes *seal_text(SlAgent *a, const SlJournal *j, const SlRunEnd *end)
{
    g_autoptr(SlSeal) seal = seal_of(a, j, end);
    g_autoptr(GError) error = NULL;
    GBytes *text = sl_seal_format(seal, &error);
    if (text != NULL) {
        return text;
    }
    sl_agent_log(a, true, "seal", "run %.12s: its record can't be sealed: %s", j->id,
                 error->message);
    g_ptr_array_set_size(seal->outputs, 0);
    g_ptr_array_set_size(seal->metrics, 0);
    g_ptr_array_set_size(seal->inputs, 0);
    seal->phase = SL_RUN_FAILED;
    g_free(seal->reason);
    seal->reason = g_strdup("BadRecord");
    g_free(seal->message);
    seal->message = sl_escape_for_people(error->message, 512);
    seal->started_us = MAX(seal->started_us, 0);
    seal->finished_us = MAX(seal->finished_us, seal->started_us);
    g_clear_error(&error);
    text = sl_seal_format(seal, &error);
    if (text == NULL) {
        sl_agent_log(a, true, "seal", "run %.12s: %s", j->id, error->message);
    }
    return text;
}

static void end_record(SlAgent *a, SlJournal *j, const SlRunEnd *end)
{
    if (j->record == NULL) {
        j->record = json_object();
    }
    sl_json_set_str(
        j->record, "phase",
        sl_run_phase_name(end->phase == SL_RUN_SUCCEEDED ? SL_RUN_SUCCEEDED : SL_RUN_FAILED));
    sl_json_set_str(j->record, "reason", end->reason != NULL ? end->reason : "Unknown");
    sl_agent_report_run(a, j, true);
}

void sl_agent_run_ended(SlAgent *a, const SlRunEnd *end)
{
    if (end == NULL || end->run_id == NULL || a->root == NULL) {
        return;
    }
    if (g_hash_table_contains(a->finished, end->run_id)) {
        SlAgentEffect *e = sl_agent_emit(a, SL_AGENT_DO_RUN_FORGET);
        e->run_id = g_strdup(end->run_id);
        return;
    }
    SlJournal *j = g_hash_table_lookup(a->runs, end->run_id);
    if (j == NULL || j->state == SL_JOURNAL_SEALED) {
        return;
    }
    g_autoptr(GBytes) text = seal_text(a, j, end);
    if (text == NULL) {
        return;
    }
    j->seal = sl_signed_new(text);
    sl_signed_sign(j->seal, SL_STATEMENT_SEAL, a->secret);
    j->seal_digest = sl_signed_digest(j->seal);
    j->state = SL_JOURNAL_SEALED;
    j->sent_us = -1;
    end_record(a, j, end);
    sl_agent_dirty(a);
    sl_agent_log(a, false, "run-ended", "run %.12s of %s/%s: %s", j->id, j->app, j->job,
                 end->reason != NULL ? end->reason : "");
}

static void send_seal(SlAgent *a, const SlSigned *seal, const char *run_id)
{
    SlAgentEffect *e = sl_agent_emit(a, SL_AGENT_DO_SEAL);
    e->statement = sl_signed_copy(seal);
    e->digest = sl_signed_digest(seal);
    e->run_id = g_strdup(run_id);
}

/* The ledger names a run only until it holds the seal. Slower each time: a seal that is refused
 * stays refused. */
static void send_kept(SlAgent *a, SlKeptSeal *k)
{
    if (k->sent_us < 0 || a->elapsed_us - k->sent_us >= SL_AGENT_SEAL_REPEAT_US << k->tries) {
        send_seal(a, k->seal, k->run_id);
        k->sent_us = a->elapsed_us;
        k->tries = MIN(k->tries + 1, KEPT_TRIES_MAX);
    }
    sl_agent_wake(a, k->sent_us + (SL_AGENT_SEAL_REPEAT_US << k->tries));
}

void sl_agent_seals_settle(SlAgent *a)
{
    for (guint i = 0; a->connected && i < a->run_lines->len; i++) {
        const SlRunLine *line = a->run_lines->pdata[i];
        SlKeptSeal *k = sl_agent_kept_seal(a, line->id);
        if (k != NULL) {
            send_kept(a, k);
        }
    }
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, a->runs);
    while (a->connected && g_hash_table_iter_next(&iter, NULL, &value)) {
        SlJournal *j = value;
        if (j->state != SL_JOURNAL_SEALED) {
            continue;
        }
        if (j->sent_us < 0 || a->elapsed_us - j->sent_us >= SL_AGENT_SEAL_REPEAT_US) {
            send_seal(a, j->seal, j->id);
            j->sent_us = a->elapsed_us;
        }
        sl_agent_wake(a, j->sent_us + SL_AGENT_SEAL_REPEAT_US);
    }
}

void sl_agent_seals_again(SlAgent *a)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, a->runs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        ((SlJournal *)value)->sent_us = -1;
    }
    for (guint i = 0; i < a->seals->len; i++) {
        SlKeptSeal *k = a->seals->pdata[i];
        k->sent_us = -1;
        k->tries = 0;
    }
}

static SlJournal *journal_of_seal(SlAgent *a, const char *digest)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, a->runs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        SlJournal *j = value;
        if (j->seal_digest != NULL && strcmp(j->seal_digest, digest) == 0) {
            return j;
        }
    }
    return NULL;
}

/* Makes room among the unit's own seals first, so that a busy unit pushes no other's out. */
static void keep_seal(SlAgent *a, SlJournal *j)
{
    guint of_unit = 0, oldest = 0;
    for (guint i = 0; i < a->seals->len; i++) {
        const SlKeptSeal *k = a->seals->pdata[i];
        if (strcmp(k->app, j->app) == 0) {
            oldest = of_unit == 0 ? i : oldest;
            of_unit++;
        }
    }
    if (of_unit >= SL_AGENT_SEALS_OF_UNIT) {
        g_ptr_array_remove_index(a->seals, oldest);
    } else if (a->seals->len >= SL_AGENT_SEALS_KEPT) {
        g_ptr_array_remove_index(a->seals, 0);
    }
    SlKeptSeal *k = g_new0(SlKeptSeal, 1);
    k->app = g_strdup(j->app);
    k->run_id = g_strdup(j->id);
    k->seal = g_steal_pointer(&j->seal);
    k->sent_us = a->elapsed_us;
    g_ptr_array_add(a->seals, k);
}

void sl_agent_seal_ack(SlAgent *a, const char *digest, const char *refused)
{
    SlJournal *j = digest != NULL ? journal_of_seal(a, digest) : NULL;
    if (j == NULL) {
        return;
    }
    if (refused != NULL && refused[0] != '\0') {
        sl_agent_log(a, true, "seal-refused", "run %.12s of %s/%s: %s", j->id, j->app, j->job,
                     refused);
    }
    SlAgentEffect *e = sl_agent_emit(a, SL_AGENT_DO_RUN_FORGET);
    e->run_id = g_strdup(j->id);
    g_autofree char *entry = g_strdup_printf("run/%s/%s/%s", j->app, a->env, j->id);
    sl_agent_entry(a, entry, NULL, false);
    g_hash_table_add(a->finished, g_strdup(j->id));
    keep_seal(a, j);
    g_hash_table_remove(a->runs, j->id);
    sl_agent_lazy(a);
    a->keep_dirty = true;
}
