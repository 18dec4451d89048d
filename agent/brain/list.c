/* list.c - the desired list of the head in force: fetched, read whole, and spread over units, runs
 * and orders. What is not in it is kept as it is and shown as `unlisted`: leaving out never
 * deletes. A list that can't be read changes nothing. */
#include "agent/brain/state.h"

#define REFUSED_KEY_MAX 256 /* two names, a job and numbers */

void sl_run_line_free(SlRunLine *line)
{
    if (line != NULL) {
        g_free(line->app);
        g_free(line->job);
        g_free(line->id);
        g_free(line);
    }
}

static GBytes *get_blob(const char *digest, void *user)
{
    const SlAgent *a = user;
    return a->blob(digest, a->user);
}

/* All parts of the map; asks for the missing ones. */
static SlCheck list_load(SlAgent *a, SlMap **ret_map, GError **error)
{
    GError *why = NULL;
    GBytes *text = sl_agent_checked_blob(a, a->head.desired, "list", &why);
    if (text == NULL && why == NULL) {
        return SL_CHECK_WAIT;
    }
    if (text == NULL) {
        g_propagate_error(error, why);
        return SL_CHECK_REFUSED;
    }
    g_autoptr(SlMapIndex) index = sl_map_index_parse(text, a->head.desired, error);
    if (index == NULL) {
        return SL_CHECK_REFUSED;
    }
    if (sl_map_index_count(index) > SL_AGENT_LIST_BUCKETS_MAX) {
        (void)sl_throw(error, SLU_LIMIT, "%zu buckets are more than %d", sl_map_index_count(index),
                       SL_AGENT_LIST_BUCKETS_MAX);
        return SL_CHECK_REFUSED;
    }
    unsigned missing = 0;
    for (size_t i = 0; i < sl_map_index_count(index) && missing < SL_AGENT_FETCHES_MAX; i++) {
        missing += sl_agent_blob(a, sl_map_index_nth(index, i), "list") == NULL ? 1 : 0;
    }
    if (missing > 0) {
        return SL_CHECK_WAIT;
    }
    *ret_map = sl_map_load(a->head.desired, get_blob, a, error);
    return *ret_map != NULL ? SL_CHECK_OK : SL_CHECK_REFUSED;
}

/* A key that its writer made long is reported by its digest: as the key of an entry it would be too
 * long for any report. */
static void refuse_line(SlAgent *a, const char *key, SlErrorCode code, const char *kind,
                        const char *why)
{
    g_autoptr(GError) error = NULL;
    (void)sl_throw(&error, code, "desired list: line `%.200s`: %s", key, why);
    bool named = strlen(key) <= REFUSED_KEY_MAX && strcmp(kind, "unknown-line") != 0;
    g_autofree char *digest = sl_sha256_hex(key, strlen(key));
    g_autofree char *what = g_strdup_printf("desired/%.16s", digest);
    sl_agent_refuse(a, named ? key : what, kind, error);
}

static void take_unit(SlAgent *a, const char *key, const char *const *words, const char *digest)
{
    if (words[1] == NULL || words[2] == NULL || words[3] != NULL || !sl_is_name(words[1]) ||
        !sl_is_hex_digest(digest)) {
        refuse_line(a, key, SLU_AGENT_WRONG_BYTES, "malformed",
                    "it is not `unit/<app>/<env> <digest>`");
        return;
    }
    if (strcmp(words[2], a->env) != 0) {
        refuse_line(a, key, SLU_AGENT_OTHER_ENV, "other-environment",
                    "the environment is not this agent's own");
        return;
    }
    SlUnit *u = sl_agent_unit(a, words[1]);
    if (u == NULL) {
        refuse_line(a, key, SLU_AGENT_FULL, "full", "there are too many units");
        return;
    }
    g_free(u->wanted);
    u->wanted = g_strdup(digest);
}

static void take_run(SlAgent *a, const char *key, const char *const *words, const char *id)
{
    uint64_t generation = 0;
    if (words[1] == NULL || words[2] == NULL || words[3] == NULL || words[4] == NULL ||
        words[5] != NULL || !sl_is_name(words[1]) || !sl_is_name(words[3]) ||
        !sl_parse_uint64(words[4], &generation) || !sl_is_hex_digest(id)) {
        refuse_line(a, key, SLU_AGENT_WRONG_BYTES, "malformed",
                    "it is not `run/<app>/<env>/<job>/<generation> <run id>`");
        return;
    }
    if (strcmp(words[2], a->env) != 0) {
        refuse_line(a, key, SLU_AGENT_OTHER_ENV, "other-environment",
                    "the environment is not this agent's own");
        return;
    }
    if (a->run_lines->len >= SL_AGENT_RUN_LINES_MAX) {
        refuse_line(a, key, SLU_AGENT_FULL, "full", "there are too many runs");
        return;
    }
    SlRunLine *line = g_new0(SlRunLine, 1);
    line->app = g_strdup(words[1]);
    line->job = g_strdup(words[3]);
    line->generation = generation;
    line->id = g_strdup(id);
    g_ptr_array_add(a->run_lines, line);
}

static void take_order(SlAgent *a, const char *key, const char *const *words)
{
    if (words[1] == NULL || words[2] != NULL || !sl_is_hex_digest(words[1])) {
        refuse_line(a, key, SLU_AGENT_WRONG_BYTES, "malformed", "it is not `order/<digest> <act>`");
        return;
    }
    SlAgentOrder *o = g_hash_table_lookup(a->orders, words[1]);
    if (o == NULL) {
        if (!sl_agent_orders_room(a)) {
            refuse_line(a, key, SLU_AGENT_FULL, "full", "there are too many orders");
            return;
        }
        o = g_new0(SlAgentOrder, 1);
        o->digest = g_strdup(words[1]);
        o->came = a->lists;
        g_hash_table_insert(a->orders, o->digest, o);
    }
    o->listed = true;
}

static bool take_line(const char *key, const char *values, void *user)
{
    SlAgent *a = user;
    g_auto(GStrv) words = g_strsplit(key, "/", 7);
    const char *const *w = (const char *const *)words;
    if (strcmp(words[0], "unit") == 0) {
        take_unit(a, key, w, values);
    } else if (strcmp(words[0], "run") == 0) {
        take_run(a, key, w, values);
    } else if (strcmp(words[0], "order") == 0) {
        take_order(a, key, w);
    } else {
        refuse_line(a, key, SLU_AGENT_WRONG_BYTES, "unknown-line", "it is of no known kind");
    }
    return true;
}

static void forget_lines(SlAgent *a)
{
    a->lists++;
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, a->units);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        g_clear_pointer(&((SlUnit *)value)->wanted, g_free);
    }
    g_hash_table_iter_init(&iter, a->orders);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        ((SlAgentOrder *)value)->listed = false;
    }
    g_ptr_array_set_size(a->run_lines, 0);
}

/* Fetched statements that no line names any more. */
static void forget_statements(SlAgent *a)
{
    g_autoptr(GHashTable) named = g_hash_table_new(g_str_hash, g_str_equal);
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, a->units);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const SlUnit *u = value;
        if (u->wanted != NULL) {
            g_hash_table_add(named, u->wanted);
        }
    }
    g_hash_table_iter_init(&iter, a->orders);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        g_hash_table_add(named, key);
    }
    g_hash_table_iter_init(&iter, a->statements);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        if (!g_hash_table_contains(named, key)) {
            g_hash_table_iter_remove(&iter);
        }
    }
}

static gboolean is_line_refusal(gpointer key, gpointer value, gpointer user)
{
    (void)value;
    SlAgent *a = user;
    const char *what = key;
    bool of_line = g_str_has_prefix(what, "run/") || g_str_has_prefix(what, "order/") ||
                   g_str_has_prefix(what, "desired") ||
                   (g_str_has_prefix(what, "unit/") && !g_str_has_suffix(what, a->env));
    if (of_line) {
        g_autofree char *entry = g_strdup_printf("refused/%s", what);
        sl_agent_entry(a, entry, NULL, true);
    }
    return of_line;
}

void sl_agent_list_settle(SlAgent *a)
{
    if (a->root == NULL || a->head.digest == NULL ||
        g_strcmp0(a->list_root, a->head.desired) == 0) {
        return;
    }
    SlMap *loaded = NULL;
    g_autoptr(GError) error = NULL;
    SlCheck check = list_load(a, &loaded, &error);
    g_autoptr(SlMap) map = loaded;
    if (check == SL_CHECK_REFUSED) {
        (void)sl_prefix(&error, "desired list %.12s", a->head.desired);
        sl_agent_refuse(a, "desired", "wrong-bytes", error);
    }
    if (check != SL_CHECK_OK) {
        return;
    }
    g_free(a->list_root);
    a->list_root = g_strdup(a->head.desired);
    forget_lines(a);
    (void)g_hash_table_foreach_remove(a->refusals, is_line_refusal, a);
    sl_map_foreach(map, take_line, a);
    forget_statements(a);
    sl_agent_fetch_drop(a, "list");
    sl_agent_units_recheck(a);
    a->keep_dirty = true;
}
