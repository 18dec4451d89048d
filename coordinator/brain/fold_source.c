/* fold_source.c - events about sources: what was read, documents in force, releases. */
#include "coordinator/brain/brain.h"
#include "coordinator/brain/fold.h"
#include <string.h>

bool sl_fold_source_read(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    const char *commit = sl_json_need_str(event, "commit", error);
    if (commit == NULL) {
        return false;
    }
    SlSourceState *s = sl_brain_source_make(c, sl_json_str_or(event, "repository", ""));
    g_free(s->branch);
    g_free(s->commit);
    g_free(s->subject);
    s->branch = g_strdup(sl_json_str(event, "branch"));
    s->commit = g_strdup(commit);
    s->subject = g_strdup(sl_json_str(event, "subject"));
    s->position = (uint64_t)sl_json_int(event, "position", 0);
    s->read_us = at_us;
    json_decref(s->problems);
    s->problems = json_deep_copy(sl_json_at(event, "problems"));
    g_clear_pointer(&s->accept, g_free);
    g_clear_pointer(&s->error, g_free);
    g_clear_pointer(&s->rewound, g_free);
    sl_fold_authors(s, event);
    return true;
}

bool sl_fold_rewind_accepted(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    (void)at_us;
    const char *commit = sl_json_need_str(event, "commit", error);
    if (commit == NULL) {
        return false;
    }
    SlSourceState *s = sl_brain_source_make(c, sl_json_str_or(event, "repository", ""));
    g_free(s->accept);
    s->accept = g_strdup(commit);
    return true;
}

/* Document of a digest: the one in force if it is the same, else its blob. */
static json_t *document(SlCoord *c, const char *digest, GError **error)
{
    GBytes *bytes = digest != NULL ? sl_brain_blob(c, digest) : NULL;
    if (bytes == NULL) {
        return sl_throw_null(error, SLU_LEDGER_BLOB, "document %.12s is not in the ledger's maps",
                             digest != NULL ? digest : "(none)");
    }
    gsize len = 0;
    const char *text = g_bytes_get_data(bytes, &len);
    SlJsonLimits limits = {.bytes_max = 8 * 1024 * 1024};
    return sl_json_parse(text, len, &limits, "document", error);
}

static bool put_array(SlCoord *c, const json_t *event, const char *key, json_t *all, GError **error)
{
    const json_t *digests = sl_json_at(event, key);
    if (digests == NULL) {
        return true; /* as before */
    }
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(digests); i++) {
        json_t *doc = document(c, json_string_value(json_array_get(digests, i)), error);
        if (doc == NULL) {
            json_decref(list);
            return false;
        }
        json_array_append_new(list, doc);
    }
    json_object_set_new(all, key, list);
    return true;
}

/* Applications change one by one: {"name": digest | null}. The result is in byte order of the
 * names. */
static bool put_applications(SlCoord *c, const json_t *event, json_t *all, GError **error)
{
    g_autoptr(GTree) tree = g_tree_new((GCompareFunc)(void (*)(void))strcmp);
    json_t *before = json_object_get(all, "applications");
    for (guint i = 0; c->docs != NULL && i < c->docs->applications->len; i++) {
        const SlApplicationDoc *app = g_ptr_array_index(c->docs->applications, i);
        g_tree_insert(tree, app->name, json_array_get(before, i));
    }
    g_autoptr(json_t) fresh = json_array(); /* owns what was read */
    const char *name;
    json_t *digest;
    json_object_foreach(sl_json_at(event, "applications"), name, digest)
    {
        g_tree_remove(tree, name);
        if (json_is_string(digest)) {
            json_t *doc = document(c, json_string_value(digest), error);
            if (doc == NULL) {
                return false;
            }
            json_array_append_new(fresh, doc);
            g_tree_insert(tree, (char *)(uintptr_t)name, doc);
        }
    }
    json_t *list = json_array();
    for (GTreeNode *node = g_tree_node_first(tree); node != NULL; node = g_tree_node_next(node)) {
        json_array_append(list, g_tree_node_value(node));
    }
    json_object_set_new(all, "applications", list);
    return true;
}

bool sl_fold_documents(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    (void)at_us;
    g_autoptr(json_t) all = c->docs_json != NULL ? json_copy(c->docs_json) : json_object();
    const char *fleet = sl_json_str(event, "fleet");
    if (fleet != NULL) {
        json_t *doc = document(c, fleet, error);
        if (doc == NULL) {
            return false;
        }
        json_object_set_new(all, "fleet", doc);
    }
    if (!put_array(c, event, "repositories", all, error) ||
        !put_array(c, event, "environments", all, error) ||
        !put_applications(c, event, all, error)) {
        return false;
    }
    SlFleetDocs *docs = sl_fleet_from_json(all, error);
    if (docs == NULL) {
        return false;
    }
    sl_fleet_docs_free(c->docs);
    json_decref(c->docs_json);
    c->docs = docs;
    c->docs_version++;
    c->docs_json = g_steal_pointer(&all);
    g_free(c->docs_commit);
    c->docs_commit = g_strdup(sl_json_str(event, "commit"));
    return true;
}

static GPtrArray *read_items(const json_t *items)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)sl_item_free);
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)items, name, value)
    {
        SlItem *item = g_new0(SlItem, 1);
        item->name = g_strdup(name);
        item->digest = g_strdup(sl_json_str(value, "digest"));
        item->run_key = g_strdup(sl_json_str(value, "runKey"));
        item->job = g_strdup(sl_json_str(value, "job"));
        item->output = g_strdup(sl_json_str(value, "output"));
        item->origin = g_strdup(sl_json_str(value, "origin"));
        g_ptr_array_add(list, item);
    }
    return list;
}

bool sl_fold_release_minted(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    const char *id = sl_json_need_str(event, "release", error);
    const char *app = id != NULL ? sl_json_need_str(event, "app", error) : NULL;
    if (app == NULL) {
        return false;
    }
    if (sl_brain_release(c, id) != NULL) {
        return sl_throw(error, SLU_LEDGER_EVENT, "release %.12s was minted before", id);
    }
    SlRelease *r = g_new0(SlRelease, 1);
    r->id = g_strdup(id);
    r->app = g_strdup(app);
    r->name = g_strdup(sl_json_str_or(event, "name", id));
    r->document = g_strdup(sl_json_str_or(event, "document", ""));
    r->parent = g_strdup(sl_json_str(event, "parent"));
    r->repository = g_strdup(sl_json_str_or(event, "repository", ""));
    r->commit = g_strdup(sl_json_str_or(event, "commit", ""));
    r->author = g_strdup(sl_json_str_or(event, "author", ""));
    r->subject = g_strdup(sl_json_str_or(event, "subject", ""));
    json_t *trees = sl_json_at(event, "trees");
    r->trees = trees != NULL ? json_deep_copy(trees) : json_object();
    r->needs = json_deep_copy(sl_json_at(event, "needs"));
    r->authors = sl_json_strv_at(event, "authors");
    r->items = read_items(sl_json_at(event, "items"));
    r->time_us = sl_json_time_at(event, "time", at_us);
    r->minted_us = at_us;
    r->position = (uint64_t)sl_json_int(event, "position", 0);
    r->order = ++c->release_count;
    g_hash_table_insert(c->releases, r->id, r);
    GPtrArray *list = g_hash_table_lookup(c->app_releases, app);
    if (list == NULL) {
        list = g_ptr_array_new();
        g_hash_table_insert(c->app_releases, g_strdup(app), list);
    }
    g_ptr_array_add(list, r);
    return true;
}

bool sl_fold_release_seen(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    const char *id = sl_json_need_str(event, "release", error);
    SlRelease *r = id != NULL ? sl_brain_release(c, id) : NULL;
    if (r == NULL) {
        return id != NULL && sl_throw(error, SLU_LEDGER_EVENT, "release %.12s is not known", id);
    }
    r->position = (uint64_t)sl_json_int(event, "position", (int64_t)r->position);
    r->order = ++c->release_count;
    r->time_us = sl_json_time_at(event, "time", at_us);
    g_free(r->commit);
    g_free(r->subject);
    g_free(r->author);
    r->commit = g_strdup(sl_json_str_or(event, "commit", ""));
    r->subject = g_strdup(sl_json_str_or(event, "subject", ""));
    r->author = g_strdup(sl_json_str_or(event, "author", ""));
    g_strfreev(r->authors);
    r->authors = sl_json_strv_at(event, "authors");
    return true;
}
