/* keep.c - which blobs and models are still needed, so that the shell may collect the others: what
 * is in force, what the units may go back to, what is in the inventory or running. Said only at
 * rest, when nothing is on its way in. */
#include "agent/brain/state.h"
#include "base/text.h"

#define KEPT_BUNDLES 2 /* last healthy bundles of a unit whose bytes and models stay on disk */

static void add(GHashTable *set, const char *digest)
{
    if (digest != NULL && digest[0] != '\0') {
        g_hash_table_add(set, g_strdup(digest));
    }
}

static void find_models(GHashTable *set, const json_t *value)
{
    static const char prefix[] = "sha256:";
    const char *at = json_is_string(value) ? strstr(json_string_value(value), prefix) : NULL;
    if (at != NULL && sl_is_hex_digest(at + strlen(prefix))) {
        add(set, at + strlen(prefix));
    }
    size_t i;
    json_t *item;
    const char *key;
    json_array_foreach(value, i, item)
    {
        find_models(set, item);
    }
    json_object_foreach((json_t *)(uintptr_t)value, key, item)
    {
        find_models(set, item);
    }
}

static void add_object(SlAgent *a, GHashTable *set, const char *digest)
{
    static const SlJsonLimits limits = {.bytes_max = SL_OBJECT_MAX};
    if (digest == NULL || digest[0] == '\0' || g_hash_table_contains(set, digest)) {
        return;
    }
    add(set, digest);
    GBytes *bytes = a->blob(digest, a->user);
    size_t len = 0;
    const char *text = bytes != NULL ? g_bytes_get_data(bytes, &len) : NULL;
    g_autoptr(json_t) object =
        text != NULL ? sl_json_parse(text, len, &limits, "object", NULL) : NULL;
    if (object != NULL) {
        find_models(set, object);
    }
}

static void add_bundle(SlAgent *a, GHashTable *set, const char *digest)
{
    if (digest == NULL || g_hash_table_contains(set, digest)) {
        return;
    }
    add(set, digest);
    GBytes *text = a->blob(digest, a->user);
    g_autoptr(SlBundle) bundle = text != NULL ? sl_bundle_parse(text, NULL) : NULL;
    for (guint i = 0; bundle != NULL && i < bundle->objects->len; i++) {
        add_object(a, set, ((const SlBundleObject *)bundle->objects->pdata[i])->digest);
    }
    for (guint i = 0; bundle != NULL && i < bundle->blobs->len; i++) {
        add(set, ((const SlBundleBlob *)bundle->blobs->pdata[i])->digest);
    }
}

static void add_map(SlAgent *a, GHashTable *set, const char *root)
{
    GBytes *text = root != NULL ? a->blob(root, a->user) : NULL;
    g_autoptr(SlMapIndex) index = text != NULL ? sl_map_index_parse(text, root, NULL) : NULL;
    add(set, root);
    for (size_t i = 0; index != NULL && i < sl_map_index_count(index); i++) {
        add(set, sl_map_index_nth(index, i));
    }
}

static void add_unit(SlAgent *a, GHashTable *set, SlUnit *u)
{
    add_bundle(a, set, sl_agent_unit_bundle(u));
    add_bundle(a, set, u->bundle);
    add_bundle(a, set, u->auto_bundle);
    for (guint i = 0; i < u->healthy->len && i < KEPT_BUNDLES; i++) {
        add_bundle(a, set, u->healthy->pdata[u->healthy->len - 1 - i]);
    }
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, u->objects);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        add_object(a, set, ((const SlAgentObject *)value)->digest);
    }
}

static bool at_rest(SlAgent *a)
{
    if (a->root == NULL || g_strcmp0(a->list_root, a->head.desired) != 0 ||
        g_hash_table_size(a->fetches) > 0) {
        return false;
    }
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, a->units);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const SlUnit *u = value;
        bool coming = u->candidate != NULL && !u->candidate->refused;
        if (coming || (u->promotion != NULL && !sl_gather_ready(u->goal))) {
            return false;
        }
    }
    return true;
}

void sl_agent_keep_settle(SlAgent *a)
{
    if (!a->keep_dirty || !at_rest(a)) {
        return;
    }
    if (a->elapsed_us < a->keep_us) {
        sl_agent_wake(a, a->keep_us);
        return;
    }
    a->keep_dirty = false;
    a->keep_us = a->elapsed_us + SL_AGENT_KEEP_US;
    g_autoptr(GHashTable) set = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, a->units);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        add_unit(a, set, value);
    }
    g_hash_table_iter_init(&iter, a->runs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        add_object(a, set, ((const SlJournal *)value)->object);
        add_bundle(a, set, ((const SlJournal *)value)->bundle);
    }
    add_map(a, set, a->head.desired);
    add_map(a, set, a->registry_map);
    g_autoptr(GPtrArray) digests = g_ptr_array_new_with_free_func(g_free);
    g_hash_table_iter_init(&iter, set);
    while (g_hash_table_iter_next(&iter, &value, NULL)) {
        g_ptr_array_add(digests, g_strdup(value));
    }
    g_ptr_array_sort(digests, sl_text_compare);
    g_autofree char *joined = NULL;
    g_ptr_array_add(digests, NULL);
    joined = g_strjoinv("\n", (char **)digests->pdata);
    g_ptr_array_set_size(digests, (gint)digests->len - 1);
    g_autofree char *digest = sl_sha256_hex(joined, strlen(joined));
    if (g_strcmp0(digest, a->keep_digest) == 0) {
        return;
    }
    g_free(a->keep_digest);
    a->keep_digest = g_steal_pointer(&digest);
    sl_agent_emit(a, SL_AGENT_DO_KEEP)->digests = g_steal_pointer(&digests);
}
