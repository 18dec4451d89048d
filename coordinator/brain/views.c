/* views.c - the rows of docs/api.md: attempt, release, run, cluster; and the dispatch of
 * sl_coord_view(). Reads only. */
#include "coordinator/brain/brain.h"
#include "coordinator/brain/verbs.h"
#include <string.h>

static json_t *error_json(const SlAttempt *a)
{
    if (a->error == NULL) {
        return json_null();
    }
    json_t *json = json_object();
    g_autofree char *code = g_strdup_printf("SLU%d", a->error_code);
    sl_json_set_str(json, "code", code);
    sl_json_set_str(json, "message", a->error);
    return json;
}

static json_t *gates_json(const SlAttempt *a)
{
    static const char *const verdicts[] = {"wait", "open", "shut"};
    if (a->gates == NULL) { /* a replayed state: what was recorded */
        return a->evidence != NULL ? json_deep_copy(a->evidence) : json_array();
    }
    json_t *list = json_array();
    for (guint i = 0; i < a->gates->len; i++) {
        const SlGateLine *line = g_ptr_array_index(a->gates, i);
        json_t *json = json_object();
        sl_json_set_str(json, "type", line->type);
        sl_json_set_str(json, "where", line->where);
        sl_json_set_str(json, "verdict", verdicts[line->verdict]);
        sl_json_set_str(json, "reason", line->reason);
        json_array_append_new(list, json);
    }
    return list;
}

static json_t *approvals_json(const SlCoord *c, const SlAttempt *a)
{
    json_t *json = json_object();
    g_auto(GStrv) authors = sl_brain_authors(c, a);
    SlPolicyAsk ask = sl_brain_policy_ask(a, authors);
    SlPolicyNeed need = {0};
    sl_policy_need(c->root, &ask, &need);
    sl_json_set_int(json, "threshold", need.threshold);
    sl_policy_need_clear(&need);
    g_autoptr(GPtrArray) approvers = sl_brain_approvers(c, a);
    sl_json_set_int(json, "count", approvers->len);
    json_object_set_new(json, "people", sl_json_from_ptr_array(approvers));
    return json;
}

static void put_waiting(const SlCoord *c, json_t *json, const SlAttempt *a)
{
    const SlStateInfo *info = sl_state_info(a->state);
    if (info->final) {
        sl_json_set_str(json, "waitingFor", NULL);
        json_object_set_new(json, "who", json_array());
        json_object_set_new(json, "until", json_null());
        return;
    }
    sl_json_set_str(json, "waitingFor", a->waiting != NULL ? a->waiting : info->waits);
    json_t *who = json_array();
    if (json_array_size(a->who) > 0) {
        json_decref(who);
        who = json_deep_copy(a->who);
    } else {
        json_array_append_new(who, json_string(info->acts));
    }
    json_object_set_new(json, "who", who);
    json_object_set_new(json, "until", sl_json_time(sl_attempt_until(c, a)));
}

json_t *sl_view_attempt(const SlCoord *c, const SlAttempt *a)
{
    const SlRelease *r = sl_brain_release(c, a->release);
    json_t *json = json_object();
    sl_json_set_int(json, "n", (int64_t)a->n);
    sl_json_set_str(json, "app", a->app);
    sl_json_set_str(json, "env", a->env);
    sl_json_set_str(json, "act", sl_act_name(a->act));
    sl_json_set_str(json, "release", a->release);
    sl_json_set_str(json, "releaseName", r != NULL ? r->name : NULL);
    sl_json_set_str(json, "commit", r != NULL ? r->commit : NULL);
    sl_json_set_str(json, "subject", r != NULL ? r->subject : NULL);
    sl_json_set_str(json, "state", sl_state_info(a->state)->name);
    json_object_set_new(json, "since", sl_json_time(a->since_us));
    json_object_set_new(json, "requestedAt", sl_json_time(a->requested_us));
    sl_json_set_str(json, "requester", a->requester);
    sl_json_set_str(json, "reason", a->reason);
    sl_json_set_int(json, "seq", (int64_t)a->seq);
    sl_json_set_str(json, "promotion", a->promotion);
    put_waiting(c, json, a);
    json_object_set_new(json, "gates", gates_json(a));
    json_object_set_new(json, "approvals", approvals_json(c, a));
    sl_json_set_str(json, "outcome",
                    sl_state_info(a->state)->final ? sl_state_info(a->state)->name : NULL);
    json_object_set_new(json, "error", error_json(a));
    sl_json_set_int(json, "withheld", (int64_t)a->withheld);
    sl_json_set_int(json, "held", (int64_t)a->held);
    sl_json_set_bool(json, "unchanged", a->unchanged);
    json_object_set_new(json, "finishedAt", sl_json_time(a->finished_us));
    return json;
}

static json_t *items_json(const SlRelease *r)
{
    json_t *items = json_object();
    for (guint i = 0; i < r->items->len; i++) {
        const SlItem *item = g_ptr_array_index(r->items, i);
        json_t *json = json_object();
        if (item->digest != NULL) {
            sl_json_set_str(json, "digest", item->digest);
        } else {
            sl_json_set_bool(json, "pending", true);
        }
        sl_json_set_str(json, "runKey", item->run_key);
        sl_json_set_str(json, "job", item->job);
        sl_json_set_str(json, "origin", item->origin);
        json_object_set_new(items, item->name, json);
    }
    return items;
}

static json_t *current_json(const SlCoord *c, const SlRelease *r)
{
    json_t *list = json_array();
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, c->units);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const SlUnit *u = value;
        if (u->current != NULL && strcmp(u->current->release, r->id) == 0) {
            json_array_append_new(list, json_string(u->env));
        }
    }
    return list;
}

json_t *sl_view_release(const SlCoord *c, const SlRelease *r)
{
    json_t *json = json_object();
    sl_json_set_str(json, "id", r->id);
    sl_json_set_str(json, "name", r->name);
    sl_json_set_str(json, "app", r->app);
    sl_json_set_str(json, "commit", r->commit);
    sl_json_set_str(json, "repository", r->repository);
    sl_json_set_str(json, "subject", r->subject);
    sl_json_set_str(json, "author", r->author);
    json_object_set_new(json, "time", sl_json_time(r->time_us));
    sl_json_set_int(json, "position", (int64_t)r->position);
    sl_json_set_int(json, "order", (int64_t)r->order);
    json_object_set(json, "trees", r->trees);
    sl_json_set_str(json, "document", r->document);
    json_object_set_new(json, "items", items_json(r));
    sl_json_set_str(json, "parent", r->parent);
    json_object_set_new(json, "current", current_json(c, r));
    return json;
}

static bool matches(const json_t *args, const char *key, const char *value)
{
    const char *wanted = sl_json_str(args, key);
    return wanted == NULL || g_strcmp0(wanted, value) == 0;
}

static bool flag(const json_t *args, const char *key)
{
    const char *text = sl_json_str(args, key);
    return sl_json_bool(args, key, false) || sl_json_int(args, key, 0) != 0 ||
           (text != NULL && (strcmp(text, "1") == 0 || strcmp(text, "true") == 0));
}

static uint64_t limit_of(const json_t *args)
{
    uint64_t limit = sl_args_number(args, "limit");
    return limit == 0 ? 100 : MIN(limit, 1000);
}

static json_t *wrap(const char *key, json_t *list)
{
    json_t *json = json_object();
    json_object_set_new(json, key, list);
    return json;
}

static json_t *view_history(const SlCoord *c, const json_t *args)
{
    json_t *list = json_array();
    uint64_t limit = limit_of(args);
    for (guint i = c->attempts->len; i > 0 && json_array_size(list) < limit; i--) {
        const SlAttempt *a = g_ptr_array_index(c->attempts, i - 1);
        if (matches(args, "app", a->app) && matches(args, "env", a->env)) {
            json_array_append_new(list, sl_view_attempt(c, a));
        }
    }
    return wrap("attempts", list);
}

static int newest_first(gconstpointer a, gconstpointer b)
{
    return -sl_release_compare(*(SlRelease *const *)a, *(SlRelease *const *)b);
}

static json_t *view_releases(const SlCoord *c, const json_t *args)
{
    json_t *list = json_array();
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, c->releases);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        if (matches(args, "app", ((SlRelease *)value)->app)) {
            g_ptr_array_add(all, value);
        }
    }
    g_ptr_array_sort(all, newest_first);
    for (guint i = 0; i < all->len && i < limit_of(args); i++) {
        json_array_append_new(list, sl_view_release(c, g_ptr_array_index(all, i)));
    }
    return wrap("releases", list);
}

static json_t *view_release(const SlCoord *c, const json_t *args, GError **error)
{
    const char *id = sl_json_need_str(args, "id", error);
    const char *app;
    GHashTableIter iter;
    gpointer key;
    SlRelease *found = NULL;
    if (id == NULL) {
        return NULL;
    }
    g_hash_table_iter_init(&iter, c->app_releases);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        app = key;
        SlRelease *r = matches(args, "app", app) ? sl_args_release(c, app, id, NULL) : NULL;
        if (r != NULL && found != NULL) {
            return sl_throw_null(error, SLU_NO_SUCH_RELEASE,
                                 "%.64s fits several releases; give more digits", id);
        }
        found = r != NULL ? r : found;
    }
    return found != NULL
               ? sl_view_release(c, found)
               : sl_throw_null(error, SLU_NO_SUCH_RELEASE, "there is no release %.64s", id);
}

static int run_order(gconstpointer a, gconstpointer b)
{
    const SlRun *x = *(SlRun *const *)a, *y = *(SlRun *const *)b;
    return x->placed_us != y->placed_us ? (x->placed_us > y->placed_us ? -1 : 1)
                                        : strcmp(x->id, y->id);
}

static json_t *view_runs(const SlCoord *c, const json_t *args)
{
    json_t *list = json_array();
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, c->runs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const SlRun *run = value;
        if (matches(args, "app", run->app) && matches(args, "env", run->env) &&
            (!flag(args, "active") || run->sealed == NULL)) {
            g_ptr_array_add(all, value);
        }
    }
    g_ptr_array_sort(all, run_order);
    for (guint i = 0; i < all->len && i < 1000; i++) {
        json_array_append_new(list, sl_view_run(c, g_ptr_array_index(all, i)));
    }
    return wrap("runs", list);
}

static json_t *view_run(const SlCoord *c, const json_t *args, GError **error)
{
    const char *id = sl_json_need_str(args, "id", error);
    GHashTableIter iter;
    gpointer value;
    const SlRun *found = NULL;
    if (id == NULL) {
        return NULL;
    }
    g_hash_table_iter_init(&iter, c->runs);
    while (strlen(id) >= 6 && g_hash_table_iter_next(&iter, NULL, &value)) {
        if (g_str_has_prefix(((SlRun *)value)->id, id)) {
            if (found != NULL) {
                return sl_throw_null(error, SLU_NO_SUCH_RUN,
                                     "%.64s fits several runs; give more digits", id);
            }
            found = value;
        }
    }
    if (found == NULL) {
        return sl_throw_null(error, SLU_NO_SUCH_RUN, "there is no run %.64s", id);
    }
    json_t *json = sl_view_run(c, found);
    if (found->sealed != NULL) {
        json_object_set_new(json, "sealStatement", sl_signed_to_json(found->sealed));
        json_object_set_new(json, "sealParsed", sl_view_seal(found->seal));
    }
    return json;
}

static json_t *view_events(const SlCoord *c, const json_t *args)
{
    json_t *list = json_array();
    uint64_t since = sl_args_number(args, "since"), limit = limit_of(args);
    for (guint i = 0; i < c->history->len && json_array_size(list) < limit; i++) {
        json_t *event = g_ptr_array_index(c->history, i);
        if ((uint64_t)sl_json_int(event, "seq", 0) > since) {
            json_array_append(list, event);
        }
    }
    return wrap("events", list);
}

static json_t *view_roots(const SlCoord *c)
{
    json_t *list = json_array();
    for (guint i = 0; i < c->roots->len; i++) {
        json_array_append_new(list, sl_signed_to_json(g_ptr_array_index(c->roots, i)));
    }
    json_t *json = wrap("roots", list);
    sl_json_set_int(json, "version", c->root != NULL ? (int64_t)c->root->version : 0);
    return json;
}

static json_t *view_registry(const SlCoord *c, const json_t *args, int64_t now_us, GError **error)
{
    const char *name = sl_json_need_str(args, "env", error);
    const SlEnv *env = name != NULL ? sl_brain_env(c, name) : NULL;
    if (env == NULL || env->registry == NULL) {
        return name != NULL ? sl_throw_null(error, SLU_NOT_FOUND,
                                            "environment %.63s has no registry yet", name)
                            : NULL;
    }
    json_t *json = sl_signed_to_json(env->registry);
    g_autoptr(json_t) clusters = sl_view_clusters(c, args, now_us, NULL);
    json_object_set(json, "clusters", json_object_get(clusters, "clusters"));
    return json;
}

static json_t *view_tokens(const SlCoord *c)
{
    json_t *list = json_array();
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, c->tokens);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const SlToken *token = value;
        json_t *json = json_object();
        sl_json_set_str(json, "id", token->id);
        sl_json_set_str(json, "person", token->person);
        sl_json_set_str(json, "scope", token->scope);
        json_object_set_new(json, "made", sl_json_time(token->made_us));
        json_object_set_new(json, "expires", sl_json_time(token->expires_us));
        json_array_append_new(list, json);
    }
    return wrap("tokens", list);
}

json_t *sl_coord_view(const SlCoord *c, const char *what, const json_t *args, int64_t now_us,
                      GError **error)
{
    g_autoptr(json_t) none = json_object();
    const json_t *ask = json_is_object(args) ? args : none;
    if (c->root == NULL) {
        return sl_throw_null(error, SLU_NOT_FOUND, "there is no fleet yet");
    }
    if (strcmp(what, "status") == 0) {
        return sl_view_status(c, ask, now_us, error);
    }
    if (strcmp(what, "history") == 0) {
        return view_history(c, ask);
    }
    if (strcmp(what, "attempt") == 0) {
        return sl_view_attempt_full(c, ask, error);
    }
    if (strcmp(what, "releases") == 0) {
        return view_releases(c, ask);
    }
    if (strcmp(what, "release") == 0) {
        return view_release(c, ask, error);
    }
    if (strcmp(what, "diff") == 0) {
        return sl_view_diff(c, ask, error);
    }
    if (strcmp(what, "clusters") == 0) {
        return sl_view_clusters(c, ask, now_us, error);
    }
    if (strcmp(what, "runs") == 0) {
        return view_runs(c, ask);
    }
    if (strcmp(what, "run") == 0) {
        return view_run(c, ask, error);
    }
    if (strcmp(what, "why") == 0) {
        return sl_view_why(c, ask, now_us, error);
    }
    if (strcmp(what, "events") == 0) {
        return view_events(c, ask);
    }
    if (strcmp(what, "environments") == 0) {
        return sl_view_environments(c);
    }
    if (strcmp(what, "roots") == 0) {
        return view_roots(c);
    }
    if (strcmp(what, "registry") == 0 || strcmp(what, "registries") == 0) {
        return view_registry(c, ask, now_us, error);
    }
    if (strcmp(what, "tokens") == 0) {
        return view_tokens(c);
    }
    if (strcmp(what, "problems") == 0) {
        return sl_view_problems(c);
    }
    return sl_throw_null(error, SLU_NOT_FOUND, "there is no view %s", what);
}
