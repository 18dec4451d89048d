/* mint.c - from what a source offers to documents in force and releases. Whatever is broken, gone
 * or rewound changes nothing: the last good state stays, and the problem is shown. */
#include "coordinator/brain/brain.h"
#include <string.h>

#define PROBLEMS_KEPT 200

static json_t *problem_json(const SlProblem *problem)
{
    json_t *json = json_object();
    g_autofree char *code = g_strdup_printf("SLU%d", problem->code);
    g_autofree char *message =
        sl_escape_for_people(problem->message != NULL ? problem->message : "", 1000);
    g_autofree char *file =
        problem->file != NULL ? sl_escape_for_people(problem->file, 1024) : NULL;
    sl_json_set_str(json, "file", file);
    sl_json_set_int(json, "line", problem->line);
    sl_json_set_int(json, "column", problem->column);
    sl_json_set_str(json, "code", code);
    sl_json_set_bool(json, "warning", problem->warning);
    sl_json_set_str(json, "message", message);
    sl_json_set_str(json, "hint", problem->hint);
    return json;
}

static void add_problems(json_t *list, const GPtrArray *problems)
{
    for (guint i = 0;
         problems != NULL && i < problems->len && json_array_size(list) < PROBLEMS_KEPT; i++) {
        json_array_append_new(list, problem_json(g_ptr_array_index(problems, i)));
    }
}

/* Member of @event for a list of documents whose order matters; only if it differs from what is in
 * force. */
static void put_list(SlCoord *c, json_t *event, const json_t *all, const char *key)
{
    json_t *list = json_object_get(all, key);
    if (c->docs_json != NULL && json_equal(list, json_object_get(c->docs_json, key))) {
        return;
    }
    json_t *digests = json_array();
    size_t i;
    json_t *doc;
    json_array_foreach (list, i, doc) {
        g_autofree char *digest = sl_brain_keep_json(c, doc);
        json_array_append_new(digests, json_string(digest));
    }
    json_object_set_new(event, key, digests);
}

static json_t *changed_applications(SlCoord *c, const SlFleetDocs *docs, const json_t *all)
{
    json_t *changed = json_object();
    for (guint i = 0; c->docs != NULL && i < c->docs->applications->len; i++) {
        const SlApplicationDoc *app = g_ptr_array_index(c->docs->applications, i);
        if (sl_fleet_app(docs, app->name) == NULL) {
            json_object_set_new(changed, app->name, json_null());
        }
    }
    for (guint i = 0; i < docs->applications->len; i++) {
        const SlApplicationDoc *app = g_ptr_array_index(docs->applications, i);
        json_t *doc = json_array_get(json_object_get(all, "applications"), i);
        bool same = false;
        for (guint k = 0; c->docs != NULL && k < c->docs->applications->len && !same; k++) {
            const SlApplicationDoc *old = g_ptr_array_index(c->docs->applications, k);
            same =
                strcmp(old->name, app->name) == 0 &&
                json_equal(doc, json_array_get(json_object_get(c->docs_json, "applications"), k));
        }
        if (!same) {
            g_autofree char *digest = sl_brain_keep_json(c, doc);
            json_object_set_new(changed, app->name, json_string(digest));
        }
    }
    return changed;
}

/* A broken document of an application leaves the last good one in force only for its commit; @docs
 * has it marked broken. */
static void adopt_documents(SlCoord *c, const SlCoordSource *in)
{
    g_autoptr(json_t) all = sl_fleet_to_json(in->docs);
    if (c->docs_json != NULL && json_equal(all, c->docs_json)) {
        return;
    }
    json_t *event = sl_event("Documents");
    sl_json_set_str(event, "commit", in->commit);
    json_t *fleet = json_object_get(all, "fleet");
    if (c->docs_json == NULL || !json_equal(fleet, json_object_get(c->docs_json, "fleet"))) {
        g_autofree char *digest = sl_brain_keep_json(c, fleet);
        sl_json_set_str(event, "fleet", digest);
    }
    put_list(c, event, all, "repositories");
    put_list(c, event, all, "environments");
    json_object_set_new(event, "applications", changed_applications(c, in->docs, all));
    sl_emit(c, event);
}

static const SlItemDoc *item_doc(const SlCoord *c, const char *app, const char *name)
{
    const SlApplicationDoc *doc = c->docs != NULL ? sl_fleet_app(c->docs, app) : NULL;
    for (guint i = 0; doc != NULL && i < doc->items->len; i++) {
        const SlItemDoc *item = g_ptr_array_index(doc->items, i);
        if (strcmp(item->name, name) == 0) {
            return item;
        }
    }
    return NULL;
}

/* Digest that a sealed run gives an item; NULL = pending. */
static char *filled_by(const SlCoord *c, const char *app, const char *origin, const char *key,
                       const char *output)
{
    const SlRun *win =
        origin != NULL && key != NULL && output != NULL ? sl_brain_win(c, app, origin, key) : NULL;
    return win != NULL ? sl_seal_output(win->seal, output) : NULL;
}

static void add_item(json_t *items, GPtrArray *values, const SlItem *item)
{
    json_t *json = json_object();
    SlItemValue *value = g_new0(SlItemValue, 1);
    value->name = g_strdup(item->name);
    value->digest = g_strdup(item->digest);
    value->run_key = g_strdup(item->run_key);
    g_ptr_array_add(values, value);
    sl_json_set_str(json, "digest", item->digest);
    if (item->run_key != NULL) {
        sl_json_set_str(json, "runKey", item->run_key);
        sl_json_set_str(json, "job", item->job);
        sl_json_set_str(json, "output", item->output);
        sl_json_set_str(json, "origin", item->origin);
    }
    json_object_set_new(items, item->name, json);
}

static char *release_name(const SlCoord *c)
{
    return g_strdup_printf("R%" G_GUINT64_FORMAT, c->release_count + 1);
}

/* The same inputs as another release, items aside: parent and child. */
static bool same_inputs(const SlRelease *a, const json_t *trees, const char *document)
{
    return strcmp(a->document, document) == 0 && json_equal(a->trees, trees);
}

static void put_commit(SlCoord *c, json_t *event, const SlCoordSource *in, const SlOffer *offer)
{
    json_object_set_new(event, "time", sl_json_time(in->time_us != 0 ? in->time_us : c->now_us));
    sl_json_set_str(event, "repository", in->repository != NULL ? in->repository : "");
    sl_json_set_str(event, "commit", in->commit);
    sl_json_set_int(event, "position", (int64_t)in->position);
    g_autofree char *author = sl_escape_for_people(in->author != NULL ? in->author : "", 200);
    g_autofree char *subject = sl_escape_for_people(in->subject != NULL ? in->subject : "", 200);
    sl_json_set_str(event, "author", author);
    sl_json_set_str(event, "subject", subject);
    json_object_set_new(event, "authors", sl_brain_offer_authors(c, in, offer));
}

static void mint(SlCoord *c, const SlCoordSource *in, const SlOffer *offer)
{
    g_autoptr(json_t) items = json_object();
    g_autoptr(GPtrArray) values =
        g_ptr_array_new_with_free_func((GDestroyNotify)sl_item_value_free);
    for (guint i = 0; i < offer->items->len; i++) {
        const SlItemValue *value = g_ptr_array_index(offer->items, i);
        const SlItemDoc *doc = item_doc(c, offer->app, value->name);
        const char *origin = doc != NULL ? doc->origin : NULL,
                   *output = doc != NULL ? doc->output : NULL;
        g_autofree char *digest = value->digest != NULL
                                      ? g_strdup(value->digest)
                                      : filled_by(c, offer->app, origin, value->run_key, output);
        SlItem item = {.name = value->name, .digest = digest, .run_key = value->run_key};
        item.job = doc != NULL ? doc->job : NULL;
        item.output = (char *)(uintptr_t)output;
        item.origin = (char *)(uintptr_t)origin;
        add_item(items, values, &item);
    }
    g_autofree char *id = sl_release_id(offer->app, offer->trees, offer->document, values);
    const SlRelease *known = sl_brain_release(c, id),
                    *latest = sl_brain_latest_release(c, offer->app);
    if (known != NULL && latest != NULL && same_inputs(latest, offer->trees, offer->document)) {
        return; /* nothing changed for this application */
    }
    json_t *event = sl_event(known != NULL ? "ReleaseSeen" : "ReleaseMinted");
    sl_json_set_str(event, "release", id);
    sl_json_set_str(event, "app", offer->app);
    put_commit(c, event, in, offer);
    if (known == NULL) {
        g_autofree char *name = release_name(c);
        sl_json_set_str(event, "name", name);
        sl_json_set_str(event, "document", offer->document);
        json_object_set(event, "trees", offer->trees);
        json_object_set(event, "items", items);
        if (json_object_size(offer->needs) > 0) {
            json_object_set(event, "needs", offer->needs);
        }
    }
    sl_emit(c, event);
}

static void mint_all(SlCoord *c, const SlCoordSource *in, json_t *problems)
{
    for (guint i = 0; in->offers != NULL && i < in->offers->len; i++) {
        const SlOffer *offer = g_ptr_array_index(in->offers, i);
        if (sl_problems_have_errors(offer->problems)) {
            add_problems(problems, offer->problems);
        } else if (c->docs != NULL && sl_fleet_app(c->docs, offer->app) != NULL) {
            add_problems(problems, offer->problems);
            mint(c, in, offer);
        }
    }
}

static void source_failed(SlCoord *c, const SlCoordSource *in)
{
    SlSourceState *s = sl_brain_source_make(c, in->repository != NULL ? in->repository : "");
    g_free(s->error);
    g_autofree char *message = sl_escape_for_people(in->error->message, 1000);
    s->error = g_strdup_printf("SLU%d: %s", in->error->code, message);
}

static bool is_refused_rewind(SlCoord *c, const SlCoordSource *in)
{
    SlSourceState *s = sl_brain_source_make(c, in->repository != NULL ? in->repository : "");
    if (!in->rewound || s->commit == NULL || g_strcmp0(s->accept, in->commit) == 0) {
        return false;
    }
    bool named = in->repository != NULL && *in->repository != '\0';
    g_free(s->error);
    g_free(s->rewound);
    s->rewound = g_strdup(in->commit);
    s->error =
        g_strdup_printf("SLU%d: branch %s was rewound: %.12s is not a descendant of %.12s, "
                        "which was read last and stays in force; `sluice refresh%s%s --accept "
                        "%.12s` takes it",
                        SLU_SOURCE_REWOUND, in->branch != NULL ? in->branch : "?", in->commit,
                        s->commit, named ? " " : "", named ? in->repository : "", in->commit);
    return true;
}

static void emit_source_read(SlCoord *c, const SlCoordSource *in, const json_t *authors,
                             json_t *problems)
{
    SlSourceState *s = sl_brain_source_make(c, in->repository != NULL ? in->repository : "");
    bool same_problems = json_array_size(problems) == json_array_size(s->problems) &&
                         (json_array_size(problems) == 0 || json_equal(problems, s->problems));
    g_clear_pointer(&s->error, g_free);
    g_clear_pointer(&s->rewound, g_free);
    if (g_strcmp0(s->commit, in->commit) == 0 && same_problems) {
        return;
    }
    json_t *event = sl_event("SourceRead");
    sl_json_set_str(event, "repository", in->repository != NULL ? in->repository : "");
    sl_json_set_str(event, "branch", in->branch);
    sl_json_set_str(event, "commit", in->commit);
    sl_json_set_int(event, "position", (int64_t)in->position);
    g_autofree char *subject = sl_escape_for_people(in->subject != NULL ? in->subject : "", 200);
    sl_json_set_str(event, "subject", subject);
    json_object_set_new(event, "authors", authors != NULL ? json_deep_copy(authors) : json_array());
    json_t *unsettled = sl_brain_unsettled(c, in);
    if (unsettled != NULL) {
        json_object_set_new(event, "unsettled", unsettled);
    }
    if (json_array_size(problems) > 0) {
        json_object_set(event, "problems", problems);
    }
    if (in->rewound) {
        sl_json_set_bool(event, "rewound", true);
    }
    sl_emit(c, event);
}

void sl_brain_source(SlCoord *c, const SlCoordSource *in)
{
    if (in->error != NULL) {
        source_failed(c, in);
        return;
    }
    g_autoptr(json_t) people = NULL;
    if (in->commit == NULL || is_refused_rewind(c, in) || !sl_brain_signers_hold(c, in, &people)) {
        return;
    }
    g_autoptr(json_t) problems = json_array();
    add_problems(problems, in->problems);
    for (guint i = 0; in->offers != NULL && i < in->offers->len; i++) {
        const SlOffer *offer = g_ptr_array_index(in->offers, i);
        if (sl_problems_have_errors(offer->problems)) {
            add_problems(problems, offer->problems);
        }
    }
    emit_source_read(c, in, people != NULL ? people : in->authors, problems);
    if (in->docs != NULL) {
        adopt_documents(c, in);
    }
    g_autoptr(json_t) ignored = json_array();
    mint_all(c, in, ignored);
}

/* Parent's event with the item that @run filled; NULL if it fills nothing. */
static json_t *child_event(const SlCoord *c, const SlRelease *parent, const SlRun *run)
{
    g_autoptr(json_t) items = json_object();
    g_autoptr(GPtrArray) values =
        g_ptr_array_new_with_free_func((GDestroyNotify)sl_item_value_free);
    bool filled = false;
    for (guint i = 0; i < parent->items->len; i++) {
        const SlItem *old = g_ptr_array_index(parent->items, i);
        SlItem item = *old;
        g_autofree char *digest = NULL;
        if (old->digest == NULL && g_strcmp0(old->run_key, run->key) == 0 &&
            g_strcmp0(old->origin, run->env) == 0) {
            digest = sl_seal_output(run->seal, old->output);
            item.digest = digest;
            filled = filled || digest != NULL;
        }
        add_item(items, values, &item);
    }
    g_autofree char *id =
        filled ? sl_release_id(parent->app, parent->trees, parent->document, values) : NULL;
    if (id == NULL || sl_brain_release(c, id) != NULL) {
        return NULL;
    }
    json_t *event = sl_event("ReleaseMinted");
    g_autofree char *name = release_name(c);
    sl_json_set_str(event, "release", id);
    sl_json_set_str(event, "app", parent->app);
    sl_json_set_str(event, "name", name);
    sl_json_set_str(event, "parent", parent->id);
    sl_json_set_str(event, "document", parent->document);
    json_object_set(event, "trees", parent->trees);
    json_object_set(event, "items", items);
    if (parent->needs != NULL) {
        json_object_set(event, "needs", parent->needs);
    }
    sl_json_set_str(event, "repository", parent->repository);
    sl_json_set_str(event, "commit", parent->commit);
    sl_json_set_int(event, "position", (int64_t)parent->position);
    sl_json_set_str(event, "author", parent->author);
    sl_json_set_str(event, "subject", parent->subject);
    json_object_set_new(event, "time", sl_json_time(parent->time_us));
    json_object_set_new(event, "authors", sl_json_strv((const char *const *)parent->authors));
    return event;
}

void sl_brain_children(SlCoord *c, const SlRun *run)
{
    GPtrArray *releases = g_hash_table_lookup(c->app_releases, run->app);
    if (releases == NULL || sl_brain_win(c, run->app, run->env, run->key) != run) {
        return;
    }
    g_autoptr(GPtrArray) parents = g_ptr_array_copy(releases, NULL, NULL);
    for (guint i = 0; i < parents->len; i++) {
        json_t *event = child_event(c, g_ptr_array_index(parents, i), run);
        if (event != NULL) {
            sl_emit(c, event);
        }
    }
}
