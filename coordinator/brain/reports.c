/* reports.c - what agents say about themselves: signature first, then the changes, then the root of
 * the whole compared. A report is never an event; what a verdict rests on is (Health). */
#include "coordinator/brain/brain.h"
#include <string.h>

static SlSeen *seen_make(SlCoord *c, const char *cluster)
{
    SlSeen *seen = g_hash_table_lookup(c->seen, cluster);
    if (seen == NULL) {
        seen = g_new0(SlSeen, 1);
        seen->entries = sl_map_new();
        seen->servers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                              (GDestroyNotify)g_ptr_array_unref);
        seen->sources =
            g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)sl_signed_free);
        g_hash_table_insert(c->seen, g_strdup(cluster), seen);
    }
    return seen;
}

/* Keeps the unit's list of servers: views ask for it, and must not look through all entries. */
static void note_server(SlSeen *seen, const char *key, bool there)
{
    const char *kind = strstr(key, "/" SL_API_GROUP "~ModelServer/");
    if (kind == NULL || !g_str_has_prefix(key, "object/")) {
        return;
    }
    const char *from = key + strlen("object/");
    g_autofree char *unit = g_strndup(from, kind > from ? (gsize)(kind - from) : 0);
    GPtrArray *keys = g_hash_table_lookup(seen->servers, unit);
    guint at = 0;
    if (keys == NULL && there) {
        keys = g_ptr_array_new_with_free_func(g_free);
        g_hash_table_insert(seen->servers, g_steal_pointer(&unit), keys);
    }
    bool known = keys != NULL && g_ptr_array_find_with_equal_func(keys, key, g_str_equal, &at);
    if (there && !known) {
        g_ptr_array_add(keys, g_strdup(key));
        g_ptr_array_sort(keys, sl_text_compare);
    } else if (!there && known) {
        g_ptr_array_remove_index(keys, at);
        if (keys->len == 0) {
            g_hash_table_remove(seen->servers, unit);
        }
    }
}

static void apply_change(SlSeen *seen, const char *line, const SlSigned *statement)
{
    if (g_str_has_prefix(line, "- ")) {
        sl_map_remove(seen->entries, line + 2);
        g_hash_table_remove(seen->sources, line + 2);
        note_server(seen, line + 2, false);
        return;
    }
    const char *space = strchr(line, ' ');
    g_autofree char *key = space != NULL ? g_strndup(line, (gsize)(space - line)) : NULL;
    if (key == NULL || sl_map_count(seen->entries) >= SL_REPORT_ENTRIES_MAX ||
        !sl_map_set(seen->entries, key, space + 1, NULL)) {
        return; /* the root will not compare equal: said as an alarm */
    }
    note_server(seen, key, true);
    if (g_str_has_prefix(key, "unit/")) {
        g_hash_table_replace(seen->sources, g_steal_pointer(&key), sl_signed_copy(statement));
    }
}

static void clear_entries(SlSeen *seen)
{
    sl_map_free(seen->entries);
    seen->entries = sl_map_new();
    g_hash_table_remove_all(seen->servers);
    g_hash_table_remove_all(seen->sources);
}

/* Known only when the agent said all that it has: its root is of what it said so far, so it fits
 * after each part of a full report. @ret_want_full: what we have is not what the agent said; a full
 * report that does not fit would not the next time either, so that is asked for with the next change. */
static void apply(SlSeen *seen, const SlReport *report, const SlSigned *statement,
                  bool *ret_want_full)
{
    if (report->full) {
        clear_entries(seen);
    }
    for (guint i = 0; i < report->changes->len; i++) {
        apply_change(seen, g_ptr_array_index(report->changes, i), statement);
    }
    g_autofree char *root = sl_map_root(seen->entries);
    bool same = g_strcmp0(root, report->applied) == 0;
    seen->known = same && !report->more;
    *ret_want_full = !same && !report->full;
}

/* What is said of one application concerns only that one; all else whoever has a target here. */
static void touch_changes(SlCoord *c, const SlReport *report, const SlCluster *cluster)
{
    for (guint i = 0; i < report->changes->len; i++) {
        const char *key = g_ptr_array_index(report->changes, i);
        key += g_str_has_prefix(key, "- ") ? 2 : 0;
        key += g_str_has_prefix(key, "refused/") ? strlen("refused/") : 0;
        bool of_app = g_str_has_prefix(key, "unit/") || g_str_has_prefix(key, "run/") ||
                      g_str_has_prefix(key, "object/");
        const char *from = of_app ? strchr(key, '/') + 1 : NULL;
        const char *end = of_app ? strchr(from, '/') : NULL;
        if (end == NULL) {
            sl_brain_touch_targets(c, cluster->id);
            return;
        }
        g_autofree char *app = g_strndup(from, (gsize)(end - from));
        sl_brain_touch(c, app);
    }
}

static bool check_report(SlCoord *c, const SlReport *report, const SlCluster *cluster,
                         const char *env)
{
    if (strcmp(report->fleet, c->root->fleet) == 0 && strcmp(report->env, env) == 0 &&
        strcmp(report->cluster, cluster->id) == 0) {
        return true;
    }
    sl_brain_alarm(c, cluster->id, "report", SLU_REPORT_REFUSED,
                   "a report names another fleet, environment or cluster than its signer's");
    return false;
}

static void acknowledge(SlCoord *c, const char *curve, const SlReport *report, bool want_full)
{
    SlCoordEffect *effect = sl_effect(c, SL_COORD_DO_SEND);
    effect->curve = g_strdup(curve);
    effect->send = SL_COORD_SEND_REPORT_ACK;
    effect->boot = g_strdup(report->boot);
    effect->counter = report->counter;
    effect->want_full = want_full;
}

/* The agent echoes the ledger that its head named: another hash at a seq that we have is a fork. */
static void check_fork(SlCoord *c, const SlReport *report, const SlCluster *cluster)
{
    if (report->ledger_seq > c->seq) {
        sl_brain_alarm(c, cluster->id, "ledger", SLU_LEDGER_CHAIN,
                       "the agent saw a later event of the ledger than there is: it was restored");
        return;
    }
    const json_t *first = c->history->len > 0 ? g_ptr_array_index(c->history, 0) : NULL;
    uint64_t base = (uint64_t)sl_json_int(first, "seq", 0); /* seq has no gaps */
    if (first == NULL || report->ledger_seq + 1 < base || report->ledger_seq == c->seq) {
        return; /* too old to be in memory, or nothing follows it yet */
    }
    const json_t *event = g_ptr_array_index(c->history, (guint)(report->ledger_seq + 1 - base));
    if (g_strcmp0(sl_json_str(event, "prev"), report->ledger_hash) != 0) {
        sl_brain_alarm(
            c, cluster->id, "ledger", SLU_LEDGER_CHAIN,
            "the agent saw another ledger than this one: compare it with a clone of sluice/ledger");
    } else {
        sl_brain_clear_alarm(c, cluster->id, "ledger");
    }
}

/* Refusals and flags of the agent are alarms of the fleet. */
static void raise_alarms(SlCoord *c, const SlReport *report, const SlCluster *cluster)
{
    for (guint i = 0; i < report->changes->len; i++) {
        const char *line = g_ptr_array_index(report->changes, i);
        bool gone = g_str_has_prefix(line, "- ");
        const char *key = gone ? line + 2 : line;
        if (!g_str_has_prefix(key, "refused/") && !g_str_has_prefix(key, "flag/")) {
            continue;
        }
        const char *space = gone ? NULL : strchr(key, ' ');
        g_autofree char *what =
            space != NULL ? g_strndup(key, (gsize)(space - key)) : g_strdup(key);
        if (gone || space == NULL) {
            sl_brain_clear_alarm(c, cluster->id, what);
            continue;
        }
        g_autoptr(json_t) entry = sl_json_parse(space + 1, strlen(space + 1), NULL, "report", NULL);
        const char *code = sl_json_str(entry, "code");
        uint64_t number = SLU_DENIED;
        if (code != NULL && g_str_has_prefix(code, "SLU")) {
            (void)sl_parse_uint64(code + 3, &number);
        }
        sl_brain_alarm(c, cluster->id, what, (int)number, sl_json_str_or(entry, "message", ""));
    }
}

/* An agent that restarted says all it has, and of what is over nothing. */
static void clear_silent(SlCoord *c, const SlSeen *seen, const SlCluster *cluster)
{
    for (guint i = c->alarms->len; i-- > 0;) {
        const json_t *alarm = g_ptr_array_index(c->alarms, i);
        g_autofree char *what = g_strdup(sl_json_str_or(alarm, "what", ""));
        bool told = g_str_has_prefix(what, "refused/") || g_str_has_prefix(what, "flag/");
        if (told && g_strcmp0(sl_json_str(alarm, "cluster"), cluster->id) == 0 &&
            sl_map_get(seen->entries, what) == NULL) {
            sl_brain_clear_alarm(c, cluster->id, what);
        }
    }
}

void sl_brain_report(SlCoord *c, const SlCoordStatement *in)
{
    const char *env = NULL;
    const SlCluster *cluster = sl_coord_cluster_of_key(c, in->curve, &env);
    SlSession *session = g_hash_table_lookup(c->sessions, in->curve);
    if (cluster == NULL || session == NULL) {
        SlCoordEffect *effect = sl_effect(c, SL_COORD_DO_SEND);
        effect->curve = g_strdup(in->curve);
        effect->send = SL_COORD_SEND_RESET;
        effect->reason = g_strdup(cluster == NULL ? "this key is not registered"
                                                  : "no session: say hello again");
        return;
    }
    if (!sl_signed_by(in->statement, SL_STATEMENT_REPORT, cluster->sign)) {
        sl_brain_alarm(c, cluster->id, "report", SLU_REPORT_REFUSED,
                       "a report was not signed by the cluster's registered key");
        return;
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(SlReport) report = sl_report_parse(in->statement->text, &error);
    if (report == NULL) {
        sl_brain_alarm(c, cluster->id, "report", error->code, error->message);
        return;
    }
    if (!check_report(c, report, cluster, env)) {
        return;
    }
    SlSeen *seen = seen_make(c, cluster->id);
    bool want_full = false;
    session->seen_us = seen->seen_us = c->now_us;
    if (g_strcmp0(seen->boot, report->boot) == 0 && report->counter <= seen->counter) {
        acknowledge(c, in->curve, report, false); /* a repeat: our answer was lost */
        return;
    }
    g_free(seen->boot);
    g_free(seen->head);
    seen->boot = g_strdup(report->boot);
    seen->head = g_strdup(report->head);
    seen->counter = report->counter;
    seen->term = report->term;
    seen->head_version = report->version;
    seen->root = report->root;
    sl_brain_clock_heard(c, seen, report->clock_us);
    bool all = report->full || !seen->known;
    apply(seen, report, in->statement, &want_full);
    if (all || !seen->known) {
        sl_brain_touch_targets(c, cluster->id);
    } else {
        touch_changes(c, report, cluster);
    }
    sl_brain_head_seen(c, session);
    raise_alarms(c, report, cluster);
    if (all && seen->known) {
        clear_silent(c, seen, cluster);
    }
    check_fork(c, report, cluster);
    acknowledge(c, in->curve, report, want_full);
    const char *known = g_hash_table_lookup(c->head_versions, cluster->id);
    uint64_t version = 0;
    bool above = report->term > c->term && report->term - c->term <= SL_JUMP_MAX;
    if (known != NULL && sl_parse_uint64(known, &version)) {
        above = above || (report->term == c->term && report->version > version);
    }
    if (above) { /* an agent has seen heads that are not ours: this ledger was restored, or the
                    online key is stolen */
        sl_brain_lease(c, report->term);
    }
}

json_t *sl_brain_seen_entry(const SlCoord *c, const char *cluster, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *key = g_strdup_vprintf(format, args);
    va_end(args);
    const SlSeen *seen = g_hash_table_lookup(c->seen, cluster);
    const char *text = seen != NULL ? sl_map_get(seen->entries, key) : NULL;
    return text != NULL ? sl_json_parse(text, strlen(text), NULL, "report", NULL) : NULL;
}

/* More than a restored ledger can have lost, and no cluster that joins later (its floors are 0) sees a
 * leap, however often an agent lies. */
#define FOLLOW_MAX (SL_JUMP_MAX / 2)

uint64_t sl_brain_follow(uint64_t number, int64_t said)
{
    return said > 0 && (uint64_t)said > number && (uint64_t)said <= FOLLOW_MAX ? (uint64_t)said
                                                                               : number;
}

static json_t *find_alarm(const SlCoord *c, const char *cluster, const char *what, char **ret_key)
{
    *ret_key = g_strdup_printf("%s %s", cluster, what);
    return g_hash_table_lookup(c->alarm_of, *ret_key);
}

#define ALARMS_MAX                                                                                 \
    10000 /* one per cluster and kind: a hostile agent makes at most its report's entries */

void sl_brain_alarm(SlCoord *c, const char *cluster, const char *what, int code,
                    const char *message)
{
    g_autofree char *key = NULL;
    json_t *alarm = find_alarm(c, cluster, what, &key);
    g_autofree char *number = g_strdup_printf("SLU%d", code);
    g_autofree char *clean = sl_escape_for_people(message, 1000);
    if (alarm == NULL) {
        if (c->alarms->len >= ALARMS_MAX) {
            return;
        }
        alarm = json_object();
        g_autofree char *name = sl_escape_for_people(what, 200);
        sl_json_set_str(alarm, "cluster", cluster);
        sl_json_set_str(alarm, "what", name);
        json_object_set_new(alarm, "since", sl_json_time(c->now_us));
        g_ptr_array_add(c->alarms, alarm);
        g_hash_table_insert(c->alarm_of, g_steal_pointer(&key), alarm);
    }
    sl_json_set_str(alarm, "code", number);
    sl_json_set_str(alarm, "message", clean);
}

void sl_brain_clear_alarm(SlCoord *c, const char *cluster, const char *what)
{
    g_autofree char *key = NULL;
    json_t *alarm = find_alarm(c, cluster, what, &key);
    if (alarm != NULL) {
        g_hash_table_remove(c->alarm_of, key);
        g_ptr_array_remove(c->alarms, alarm);
    }
}
