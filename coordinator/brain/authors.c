/* authors.c - who changed an application since its last release: the people whom a role with
 * exclude=author keeps from approving it.
 *
 * A source remembers for each author the read that named them last, and for an application whose
 * offer was broken the read up to which its releases are complete. So a release names who came after
 * that read: those of its own push where nothing was broken, all of them for an application that is
 * new here. It must never leave out somebody who may have changed it: what is forgotten for want of
 * room makes SL_AUTHOR_EVERYONE an author, and then nobody may approve where authors are excluded. */
#include "coordinator/brain/brain.h"
#include "coordinator/brain/fold.h"
#include <string.h>

#define AUTHORS_MAX 4096 /* of one source: as many as one change may name (SL_SOURCE_PEOPLE_MAX) */
#define ALL_APPS "*"     /* among the unsettled: the documents could not be read */

/* ---- fold ---- */

static void put_read(GHashTable *table, const char *name, uint64_t read)
{
    uint64_t *value = g_new(uint64_t, 1);
    *value = read;
    g_hash_table_replace(table, g_strdup(name), value);
}

static uint64_t read_of(GHashTable *table, const char *name, uint64_t otherwise)
{
    const uint64_t *read = g_hash_table_lookup(table, name);
    return read != NULL ? *read : otherwise;
}

/* What the read before left unsettled is complete up to the read before that one, or up to where it
 * was already. */
static void keep_floors(SlSourceState *s)
{
    GHashTable *floors = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    uint64_t before = s->reads > 0 ? s->reads - 1 : 0;
    uint64_t all = read_of(s->floors, ALL_APPS, before);
    for (char **app = s->unsettled; *app != NULL; app++) {
        put_read(floors, *app, read_of(s->floors, *app, all));
    }
    g_hash_table_unref(s->floors);
    s->floors = floors;
}

static int by_read(gconstpointer a, gconstpointer b, gpointer table)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    uint64_t xs = read_of(table, x, 0), ys = read_of(table, y, 0);
    return xs != ys ? (xs < ys ? -1 : 1) : strcmp(x, y);
}

static GPtrArray *sorted(GHashTable *authors)
{
    GPtrArray *names = g_ptr_array_new();
    GHashTableIter iter;
    gpointer name;
    g_hash_table_iter_init(&iter, authors);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        g_ptr_array_add(names, name);
    }
    g_ptr_array_sort_with_data(names, by_read, authors);
    return names;
}

static void forget_oldest(SlSourceState *s)
{
    if (g_hash_table_size(s->authors) <= AUTHORS_MAX) {
        return;
    }
    g_autoptr(GPtrArray) names = sorted(s->authors);
    for (guint i = 0; i < names->len - AUTHORS_MAX; i++) {
        s->forgotten = read_of(s->authors, names->pdata[i], 0);
        g_hash_table_remove(s->authors, names->pdata[i]);
    }
}

void sl_fold_authors(SlSourceState *s, const json_t *event)
{
    keep_floors(s);
    s->reads++;
    if (sl_json_at(event, "unsettled") != NULL) {
        g_strfreev(s->unsettled);
        s->unsettled = sl_json_strv_at(event, "unsettled");
    }
    g_auto(GStrv) authors = sl_json_strv_at(event, "authors");
    for (char **author = authors; *author != NULL; author++) {
        put_read(s->authors, *author, s->reads);
    }
    forget_oldest(s);
}

/* ---- what a read leaves unsettled ---- */

static bool is_from(const char *repository, const SlSourceState *s)
{
    return strcmp(repository != NULL ? repository : "", s->repository) == 0;
}

/* May what comes later than this read be about the application of @latest, although its next release
 * is minted later still? */
static bool is_unsettled(const SlCoordSource *in, const SlSourceState *s, const SlFleetDocs *docs,
                         const SlRelease *latest)
{
    const SlApplicationDoc *doc = sl_fleet_app(docs, latest->app);
    bool documents = s->repository[0] == '\0';
    if (doc == NULL || doc->broken) {
        return documents || is_from(latest->repository, s);
    }
    if (!is_from(doc->repository, s)) { /* its own source mints it, when that is read */
        return documents && strcmp(latest->document, doc->digest) != 0;
    }
    for (guint i = 0; in->offers != NULL && i < in->offers->len; i++) {
        const SlOffer *offer = g_ptr_array_index(in->offers, i);
        if (strcmp(offer->app, latest->app) == 0) {
            return sl_problems_have_errors(offer->problems);
        }
    }
    return g_strv_contains((const char *const *)s->unsettled, latest->app); /* as it was */
}

json_t *sl_brain_unsettled(SlCoord *c, const SlCoordSource *in)
{
    const SlSourceState *s = sl_brain_source_make(c, in->repository != NULL ? in->repository : "");
    const SlFleetDocs *docs = s->repository[0] == '\0' ? in->docs : c->docs;
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (char **app = s->unsettled; docs == NULL && *app != NULL; app++) {
        if (strcmp(*app, ALL_APPS) != 0) {
            g_ptr_array_add(names, *app);
        }
    }
    if (docs == NULL) {
        g_ptr_array_add(names, (char *)(uintptr_t)ALL_APPS);
    }
    GHashTableIter iter;
    gpointer app;
    g_hash_table_iter_init(&iter, c->app_releases);
    while (docs != NULL && g_hash_table_iter_next(&iter, &app, NULL)) {
        if (is_unsettled(in, s, docs, sl_brain_latest_release(c, app))) {
            g_ptr_array_add(names, app);
        }
    }
    g_ptr_array_sort(names, sl_text_compare);
    g_ptr_array_add(names, NULL);
    const char *const *list = (const char *const *)names->pdata;
    return g_strv_equal(list, (const char *const *)s->unsettled) ? NULL : sl_json_strv(list);
}

/* ---- of a release ---- */

static void add_since(const SlSourceState *s, uint64_t floor, GHashTable *all)
{
    if (floor < s->forgotten) {
        g_hash_table_add(all, (char *)(uintptr_t)SL_AUTHOR_EVERYONE);
    }
    GHashTableIter iter;
    gpointer name, read;
    g_hash_table_iter_init(&iter, s->authors);
    while (g_hash_table_iter_next(&iter, &name, &read)) {
        if (*(const uint64_t *)read > floor) {
            g_hash_table_add(all, name);
        }
    }
}

static uint64_t floor_of(const SlSourceState *s, const char *app)
{
    uint64_t all = read_of(s->floors, ALL_APPS, s->reads > 0 ? s->reads - 1 : 0);
    return read_of(s->floors, app, all);
}

/* Of another source, or with a folder that no release had: whoever filled it may have come at any
 * time. */
static bool is_new_here(const SlSourceState *s, const SlRelease *latest, const SlOffer *offer)
{
    const char *path;
    json_t *digest;
    json_object_foreach (offer->trees, path, digest) {
        if (latest != NULL && json_object_get(latest->trees, path) == NULL) {
            return true;
        }
    }
    return latest == NULL || !is_from(latest->repository, s);
}

json_t *sl_brain_offer_authors(SlCoord *c, const SlCoordSource *in, const SlOffer *offer)
{
    const SlSourceState *s = sl_brain_source_make(c, in->repository != NULL ? in->repository : "");
    const SlRelease *latest = sl_brain_latest_release(c, offer->app);
    bool new_here = is_new_here(s, latest, offer);
    g_autoptr(GHashTable) all = g_hash_table_new(g_str_hash, g_str_equal);
    add_since(s, new_here ? 0 : floor_of(s, offer->app), all);
    if (s->repository[0] != '\0' &&
        (latest == NULL || strcmp(latest->document, offer->document) != 0)) {
        const SlSourceState *fleet = sl_brain_source_make(c, "");
        add_since(fleet, latest == NULL ? 0 : floor_of(fleet, offer->app), all);
    }
    g_autoptr(GPtrArray) names = sl_sorted_keys(all);
    g_ptr_array_add(names, NULL);
    return sl_json_strv((const char *const *)names->pdata);
}
