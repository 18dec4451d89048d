/* report.c - the applied map and its reports. Entries are set as facts change; a report carries
 * what differs from the last one, newest units first, and the root of everything said so far. One
 * report is under way at a time. A change of health goes out at once, but at most twice a second;
 * progress once a second; without changes every 30 seconds. While the state can't be saved only flags
 * are said: what else changed may be forgotten by the next start. */
#include "agent/brain/state.h"

#define CHANGES_BYTES_MAX (12 * 1024) /* of 16 KiB: the rest is for the other lines */
#define ENTRY_MAX (SL_MAP_LINE_MAX - 64)

/* A record that is too long loses what people miss least. */
static char *fit(const char *key, json_t *value)
{
    static const char *const SPARE[] = {"workers",    "retries", "flags", "message",
                                        "checkpoint", "metrics", "final", "progress"};
    char *text = sl_json_canonical(value, NULL);
    for (size_t i = 0;
         text != NULL && strlen(text) + strlen(key) > ENTRY_MAX && i < G_N_ELEMENTS(SPARE); i++) {
        json_object_del(value, SPARE[i]);
        g_free(text);
        text = sl_json_canonical(value, NULL);
    }
    if (text == NULL || strlen(text) + strlen(key) > ENTRY_MAX) {
        g_free(text);
        return g_strdup("{\"message\":\"the entry is too long to report\"}");
    }
    return text;
}

void sl_agent_entry(SlAgent *a, const char *key, json_t *value, bool now)
{
    g_autoptr(json_t) owned = value;
    g_autofree char *text = value != NULL ? fit(key, value) : NULL;
    if (text != NULL && g_strcmp0(g_hash_table_lookup(a->entries, key), text) == 0) {
        return;
    }
    if (g_strcmp0(text, sl_map_get(a->reported, key)) == 0) {
        g_hash_table_remove(a->changed, key);
    } else {
        g_hash_table_add(a->changed, g_strdup(key));
        a->report_now = a->report_now || now;
    }
    if (text != NULL) {
        g_hash_table_insert(a->entries, g_strdup(key), g_steal_pointer(&text));
    } else {
        g_hash_table_remove(a->entries, key);
    }
}

void sl_agent_flag(SlAgent *a, const char *name, const char *message, int64_t since_us)
{
    sl_agent_flag_nonce(a, name, message, since_us, NULL);
}

void sl_agent_flag_nonce(SlAgent *a, const char *name, const char *message, int64_t since_us,
                         const char *nonce)
{
    g_autofree char *key = g_strdup_printf("flag/%s", name);
    const char *before = g_hash_table_lookup(a->entries, key);
    if (message == NULL) {
        if (before != NULL) {
            sl_agent_entry(a, key, NULL, true);
        }
        return;
    }
    g_autoptr(json_t) was = before != NULL ? json_loads(before, 0, NULL) : NULL;
    g_autofree char *time = sl_format_time(since_us);
    g_autofree char *text = sl_escape_for_people(message, 300);
    json_t *o = json_object();
    sl_json_set_str(o, "message", text);
    sl_json_set_str(o, "since", sl_json_str_or(was, "since", time));
    sl_json_set_str(o, "nonce", nonce);
    sl_agent_entry(a, key, o, was == NULL);
}

static void set_verdict(json_t *o, const SlVerdict *v)
{
    g_autofree char *since = sl_format_time(v->since_us);
    sl_json_set_str(o, "health", sl_health_name(v->health));
    sl_json_set_str(o, "reason", v->reason != NULL ? v->reason : "");
    sl_json_set_str(o, "message", v->message != NULL ? v->message : "");
    sl_json_set_str(o, "since", since);
}

void sl_agent_report_unit(SlAgent *a, SlUnit *u, bool now)
{
    g_autofree char *key = g_strdup_printf("unit/%s", u->key);
    json_t *o = json_object();
    set_verdict(o, &u->verdict);
    if (u->latch_reason != NULL) {
        g_autofree char *message =
            g_strdup_printf("went back by itself (%s)%s%s", u->latch_reason,
                            u->verdict.message[0] != '\0' ? "; " : "", u->verdict.message);
        g_autofree char *text = sl_escape_for_people(message, 400);
        sl_json_set_str(o, "message", text);
    }
    sl_json_set_str(o, "bundle", sl_agent_unit_bundle(u));
    sl_json_set_str(o, "promotion", u->promotion);
    sl_json_set_int(o, "seq", (int64_t)u->seq);
    sl_json_set_int(o, "withheld",
                    sl_gather_ready(u->goal) ? (int64_t)g_hash_table_size(u->goal->withheld) : 0);
    sl_json_set_bool(o, "latched", u->latch_reason != NULL);
    sl_agent_entry(a, key, o, now);
}

char *sl_agent_object_entry(const SlUnit *u, const char *kind, const char *namespace_,
                            const char *name)
{
    g_autofree char *flat = g_strdelimit(g_strdup(kind), "/", '~');
    return g_strdup_printf("object/%s/%s/%s/%s", u->key, flat,
                           namespace_ != NULL ? namespace_ : "-", name);
}

void sl_agent_report_object(SlAgent *a, SlUnit *u, SlAgentObject *obj, bool now)
{
    g_autofree char *key = sl_agent_object_entry(u, obj->kind, obj->namespace_, obj->name);
    json_t *o = json_object();
    set_verdict(o, &obj->verdict);
    sl_json_set_str(o, "digest", obj->digest);
    sl_agent_entry(a, key, o, now);
}

void sl_agent_report_run(SlAgent *a, const SlJournal *j, bool now)
{
    json_t *o = j->record != NULL ? json_deep_copy(j->record) : json_object();
    g_autofree char *unit = g_strdup_printf("%s/%s", j->app, a->env);
    sl_json_set_str(o, "id", j->id);
    sl_json_set_str(o, "key", j->run_key);
    sl_json_set_str(o, "unit", unit);
    sl_json_set_str(o, "job", j->job);
    sl_json_set_str(o, "cluster", a->cluster);
    sl_json_set_int(o, "generation", (int64_t)j->generation);
    if (json_object_get(o, "phase") == NULL) {
        sl_json_set_str(o, "phase", sl_run_phase_name(SL_RUN_ADMITTED));
    }
    g_autofree char *key = g_strdup_printf("run/%s/%s", unit, j->id);
    sl_agent_entry(a, key, o, now);
}

/* ---- reports ---- */

void sl_agent_report_ack(SlAgent *a, const char *boot, uint64_t counter, bool want_full)
{
    if (a->report == NULL || g_strcmp0(boot, a->boot) != 0 || counter != a->report_counter) {
        return;
    }
    g_clear_pointer(&a->report, sl_signed_free);
    if (want_full) {
        a->report_full = a->report_now = true;
    }
}

static gint newest_first(gconstpointer left, gconstpointer right)
{
    return strcmp(*(const char *const *)right,
                  *(const char *const *)left); /* unit, run, refused, object, flag */
}

/* Everything is said again, and of what is gone nothing. */
static void start_over(SlAgent *a)
{
    g_hash_table_remove_all(a->changed);
    sl_map_free(a->reported);
    a->reported = sl_map_new();
    GHashTableIter iter;
    gpointer key;
    g_hash_table_iter_init(&iter, a->entries);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        g_hash_table_add(a->changed, g_strdup(key));
    }
}

static bool may_say(const SlAgent *a, const char *key)
{
    return sl_agent_durable(a) || g_str_has_prefix(key, "flag/");
}

static bool has_news(const SlAgent *a)
{
    GHashTableIter iter;
    gpointer key;
    g_hash_table_iter_init(&iter, a->changed);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        if (may_say(a, key)) {
            return true;
        }
    }
    return false;
}

/* @key is said with this report. */
static void said(SlAgent *a, const char *key)
{
    const char *value = g_hash_table_lookup(a->entries, key);
    g_autoptr(GError) error = NULL;
    if (value == NULL) {
        sl_map_remove(a->reported, key);
    } else if (!sl_map_set(a->reported, key, value, &error)) {
        sl_agent_log(a, true, "report", "an entry can't be reported: %s", error->message);
    }
    g_hash_table_remove(a->changed, key);
}

/* Moves changes into @lines until it is full. */
static void take_changes(SlAgent *a, GPtrArray *lines)
{
    g_autoptr(GPtrArray) keys = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter iter;
    gpointer key;
    g_hash_table_iter_init(&iter, a->changed);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        if (may_say(a, key)) {
            g_ptr_array_add(keys, g_strdup(key));
        }
    }
    g_ptr_array_sort(keys, newest_first);
    size_t bytes = 0;
    for (guint i = 0; i < keys->len && lines->len < SL_REPORT_CHANGES_MAX; i++) {
        const char *value = g_hash_table_lookup(a->entries, keys->pdata[i]);
        g_autofree char *line = value != NULL
                                    ? g_strdup_printf("%s %s", (char *)keys->pdata[i], value)
                                    : g_strdup_printf("- %s", (char *)keys->pdata[i]);
        bytes += strlen(line) + strlen("change: \n");
        if (bytes > CHANGES_BYTES_MAX && lines->len > 0) {
            return;
        }
        g_ptr_array_add(lines, g_steal_pointer(&line));
        said(a, keys->pdata[i]);
    }
}

/* What is not durable yet may be of an older head after a restart: the order of the last report that
 * was durable is said again. */
static void say_order_of(SlReport *report, const SlReport *last)
{
    report->head = last->head;
    report->term = last->term;
    report->version = last->version;
    report->root = last->root;
    report->registry = last->registry;
    report->ledger_seq = last->ledger_seq;
    report->ledger_hash = last->ledger_hash;
}

static void make_report(SlAgent *a)
{
    static const char NO_HASH[] =
        "0000000000000000000000000000000000000000000000000000000000000000";
    bool full = a->report_full && sl_agent_durable(a);
    if (full) {
        start_over(a);
    }
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    take_changes(a, lines);
    g_autofree char *root = sl_map_root(a->reported);
    SlReport report = {
        .fleet = a->root->fleet,
        .env = a->env,
        .cluster = a->cluster,
        .boot = a->boot,
        .counter = a->report_counter + 1,
        .clock_us = a->now_us,
        .head = a->head.digest,
        .term = a->head.term,
        .version = a->head.version,
        .root = a->root->version,
        .registry = a->registry_version,
        .ledger_seq = a->head.ledger_seq,
        .ledger_hash =
            a->head.ledger_hash != NULL ? a->head.ledger_hash : (char *)(uintptr_t)NO_HASH,
        .applied = root,
        .applied_count = sl_map_count(a->reported),
        .full = full,
        .more = (full || a->report_rest) && g_hash_table_size(a->changed) > 0,
        .changes = lines,
    };
    g_autoptr(GError) error = NULL;
    g_autoptr(SlReport) last = sl_agent_durable(a) ? NULL : sl_report_parse(a->said->text, &error);
    if (last != NULL) {
        say_order_of(&report, last);
    }
    g_autoptr(GBytes) text = error == NULL ? sl_report_format(&report, &error) : NULL;
    a->report_us = a->elapsed_us;
    a->report_paid_us = MAX(a->report_paid_us, a->elapsed_us) + SL_AGENT_REPORT_GAP_US;
    a->report_full = a->report_full && !full;
    a->report_rest = report.more;
    a->report_now = g_hash_table_size(a->changed) > 0;
    if (text == NULL) {
        sl_agent_log(a, true, "report", "a report could not be written: %s", error->message);
        a->report_full = true;
        return;
    }
    a->report_counter++;
    a->report = sl_signed_new(text);
    sl_signed_sign(a->report, SL_STATEMENT_REPORT, a->secret);
    if (sl_agent_durable(a)) {
        sl_signed_free(a->said);
        a->said = sl_signed_copy(a->report);
    }
    a->report_sent_us = -1;
}

static int64_t report_due(const SlAgent *a)
{
    if (a->report_us < 0) {
        return a->elapsed_us;
    }
    bool news = has_news(a);
    if (a->report_now && (news || sl_agent_durable(a))) {
        /* News goes at once; only a stream of it is held to one report per gap. */
        return MAX(a->report_us, a->report_paid_us - SL_AGENT_REPORT_BURST_US);
    }
    return a->report_us + (news ? SL_AGENT_REPORT_SOFT_US : SL_AGENT_REPORT_PERIOD_US);
}

void sl_agent_report_settle(SlAgent *a)
{
    if (!a->connected || a->root == NULL || (!sl_agent_durable(a) && a->said == NULL)) {
        return;
    }
    if (a->report == NULL) {
        int64_t due = report_due(a);
        if (a->elapsed_us < due) {
            sl_agent_wake(a, due);
            return;
        }
        make_report(a);
    }
    if (a->report == NULL) {
        sl_agent_wake(a, a->elapsed_us + SL_AGENT_REPORT_REPEAT_US);
        return;
    }
    if (a->report_sent_us < 0 || a->elapsed_us - a->report_sent_us >= SL_AGENT_REPORT_REPEAT_US) {
        SlAgentEffect *e = sl_agent_emit(a, SL_AGENT_DO_REPORT);
        e->statement = sl_signed_copy(a->report);
        a->report_sent_us = a->elapsed_us;
    }
    sl_agent_wake(a, a->report_sent_us + SL_AGENT_REPORT_REPEAT_US);
}
