/* watch.c - list and watch of one resource path.
 *
 *   LIST (pages) --whole--> WATCH from its resourceVersion --cut or silent--> WATCH from the last one
 *     ^  page: 410 -> from the start              |  410, ERROR, a line that is no event
 *     +-------------------------------------------+
 *
 * Each failure waits (retry.h) unless the stream had moved since it began. Must never report what it
 * only suspects: "gone" follows a DELETED event or a whole list without the object. */
#include "kube/watch.h"

#include "kube/answer.h"
#include "kube/retry.h"
#include "kube/watchline.h"

#include <string.h>

#define PAGE_DEFAULT 500
#define SILENCE_DEFAULT_US (150 * SL_SECOND_US)
#define SERVER_ENDS_AFTER_S 300 /* and up to as much again: not all watches at once */

struct SlKubeWatch {
    SlKube *kube;
    char *path, *selector;
    int64_t silence_us;
    unsigned page;
    const SlKubeWatchEvents *events;
    void *user;
    GHashTable *known;  /* "namespace/name" -> "uid\nresourceVersion" */
    GHashTable *listed; /* keys of the list under way, as a set; NULL = none */
    char *next_page;    /* continue of the list under way */
    char *version;      /* to watch from; NULL = list first */
    SlKubeLines *lines;
    SlKubeCall *call;
    SlTimer *timer; /* until the next try; while a stream is open: its silence */
    bool streaming, moved;
    unsigned failures, depth;
    bool freed; /* while a callback runs */
};

static void go_on(SlKubeWatch *watch);

/* ---- freeing from inside a callback ---- */

static void destroy(SlKubeWatch *watch)
{
    g_free(watch->path);
    g_free(watch->selector);
    g_hash_table_unref(watch->known);
    g_clear_pointer(&watch->listed, g_hash_table_unref);
    g_free(watch->next_page);
    g_free(watch->version);
    sl_kube_lines_free(watch->lines);
    g_free(watch);
}

static void enter(SlKubeWatch *watch)
{
    watch->depth++;
}

static void leave(SlKubeWatch *watch)
{
    if (--watch->depth == 0 && watch->freed) {
        destroy(watch);
    }
}

void sl_kube_watch_free(SlKubeWatch *watch)
{
    if (watch == NULL || watch->freed) {
        return;
    }
    sl_kube_cancel(watch->call);
    sl_timer_free(watch->timer);
    watch->freed = true;
    if (watch->depth == 0) {
        destroy(watch);
    }
}

/* ---- objects ---- */

static void say_gone(SlKubeWatch *watch, const char *key, const char *value)
{
    const char *slash = strchr(key, '/');
    g_autofree char *ns = g_strndup(key, (gsize)(slash - key));
    g_autofree char *uid = g_strndup(value, strcspn(value, "\n"));
    watch->events->gone(ns, slash + 1, uid, watch->user);
}

static char *key_of(const json_t *object)
{
    return g_strconcat(sl_json_str_or(object, "metadata.namespace", ""), "/",
                       sl_json_str_or(object, "metadata.name", ""), NULL);
}

static void forget(SlKubeWatch *watch, const char *key)
{
    gpointer old_key = NULL, value = NULL;
    if (g_hash_table_steal_extended(watch->known, key, &old_key, &value)) {
        g_autofree char *k = old_key;
        g_autofree char *v = value;
        say_gone(watch, k, v);
    }
}

static bool has_uid(const char *value, const char *uid)
{
    size_t len = strlen(uid);
    return strncmp(value, uid, len) == 0 && value[len] == '\n';
}

static void note(SlKubeWatch *watch, const json_t *object)
{
    g_autofree char *key = key_of(object);
    const char *uid = sl_json_str_or(object, "metadata.uid", "");
    g_autofree char *value =
        g_strconcat(uid, "\n", sl_json_str_or(object, "metadata.resourceVersion", ""), NULL);
    const char *before = g_hash_table_lookup(watch->known, key);
    if (watch->listed != NULL) {
        g_hash_table_add(watch->listed, g_strdup(key));
    }
    if (g_strcmp0(before, value) == 0) {
        return;
    }
    if (before != NULL && !has_uid(before, uid)) {
        forget(watch, key);
    }
    if (!watch->freed) {
        g_hash_table_insert(watch->known, g_steal_pointer(&key), g_steal_pointer(&value));
        watch->events->seen(object, watch->user);
    }
}

/* ---- what goes wrong ---- */

static void wait_then_go_on(SlKubeWatch *watch)
{
    uint32_t dice;
    sl_random_bytes(&dice, sizeof dice);
    watch->failures++;
    sl_timer_arm(watch->timer, sl_kube_backoff_us(watch->failures, dice));
}

static void start_over(SlKubeWatch *watch)
{
    g_clear_pointer(&watch->listed, g_hash_table_unref);
    g_clear_pointer(&watch->next_page, g_free);
    g_clear_pointer(&watch->version, g_free);
}

/* An answer or page that is too large is asked for again in smaller pages, down to one object. */
static bool halve_page(SlKubeWatch *watch, const GError *error)
{
    if (watch->listed == NULL || watch->page == 1 ||
        (error->code != SLU_LIMIT && error->code != SLU_KUBE_TOO_LARGE)) {
        return false;
    }
    watch->page = MAX(watch->page / 2, 1);
    return true;
}

/* The first 410 after something moved is what a cut of some minutes does: no problem, list at once. */
static void fail(SlKubeWatch *watch, const GError *error, bool relist)
{
    bool at_once = (error->code == SLU_KUBE_GONE && watch->failures == 0) ||
                   (!relist && halve_page(watch, error));
    if (relist || error->code == SLU_KUBE_GONE) {
        start_over(watch);
    }
    if (at_once) {
        watch->failures += error->code == SLU_KUBE_GONE ? 1 : 0;
        sl_timer_arm(watch->timer, 0);
        return;
    }
    wait_then_go_on(watch);
    watch->events->problem(error, watch->user);
}

/* ---- the list ---- */

static char *url_of(const SlKubeWatch *watch, const char *query)
{
    g_autofree char *selector =
        watch->selector != NULL ? g_uri_escape_string(watch->selector, NULL, false) : NULL;
    return g_strconcat(watch->path, "?", query, selector != NULL ? "&labelSelector=" : "",
                       selector != NULL ? selector : "", NULL);
}

static void end_list(SlKubeWatch *watch)
{
    g_autoptr(GPtrArray) vanished = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter iter;
    gpointer key;
    g_hash_table_iter_init(&iter, watch->known);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        if (!g_hash_table_contains(watch->listed, key)) {
            g_ptr_array_add(vanished, g_strdup(key));
        }
    }
    g_clear_pointer(&watch->listed, g_hash_table_unref);
    for (guint i = 0; i < vanished->len && !watch->freed; i++) {
        forget(watch, g_ptr_array_index(vanished, i));
    }
    if (!watch->freed) {
        watch->events->synced(watch->user);
    }
}

/* Objects of a list have no kind of their own. */
static void note_item(SlKubeWatch *watch, const json_t *list, json_t *item)
{
    const char *kind = sl_json_str_or(list, "kind", "");
    if (g_str_has_suffix(kind, "List") && json_object_get(item, "kind") == NULL) {
        json_object_set_new(item, "kind", json_stringn(kind, strlen(kind) - strlen("List")));
        json_object_set(item, "apiVersion", json_object_get(list, "apiVersion"));
    }
    note(watch, item);
}

static bool check_list(const SlKubeWatch *watch, const json_t *list, GError **error)
{
    const json_t *items = sl_json_at(list, "items");
    if (sl_json_str(list, "metadata.resourceVersion") == NULL ||
        (items != NULL && !json_is_array(items) && !json_is_null(items))) {
        return sl_throw(error, SLU_KUBE_ANSWER, "GET %s: is no list", watch->path);
    }
    size_t i = 0;
    const json_t *item = NULL;
    json_array_foreach (items, i, item) {
        if (sl_json_str(item, "metadata.name") == NULL ||
            sl_json_str(item, "metadata.uid") == NULL) {
            return sl_throw(error, SLU_KUBE_ANSWER, "GET %s: item %zu has no name or uid",
                            watch->path, i);
        }
    }
    return g_hash_table_size(watch->listed) + json_array_size(items) <= SL_KUBE_OBJECTS_MAX ||
           sl_throw(error, SLU_LIMIT, "GET %s: more than %d objects", watch->path,
                    SL_KUBE_OBJECTS_MAX);
}

static void take_page(SlKubeWatch *watch, const json_t *list)
{
    size_t i = 0;
    json_t *item = NULL;
    json_array_foreach (sl_json_at(list, "items"), i, item) {
        if (watch->freed) {
            return;
        }
        note_item(watch, list, item);
    }
    if (watch->freed) {
        return;
    }
    const char *more = sl_json_str_or(list, "metadata.continue", "");
    g_free(watch->next_page);
    watch->next_page = more[0] != '\0' ? g_strdup(more) : NULL;
    if (watch->next_page == NULL) {
        watch->version = g_strdup(sl_json_str(list, "metadata.resourceVersion"));
        watch->moved = false;
        end_list(watch);
    }
    if (!watch->freed) {
        go_on(watch);
    }
}

static void on_page(const SlKubeAnswer *answer, const GError *error, void *user)
{
    SlKubeWatch *watch = user;
    watch->call = NULL;
    enter(watch);
    g_autoptr(GError) wrong = NULL;
    if (error == NULL && !check_list(watch, answer->json, &wrong)) {
        error = wrong;
    }
    if (error != NULL) {
        fail(watch, error, error == wrong);
    } else {
        take_page(watch, answer->json);
    }
    leave(watch);
}

static void ask_page(SlKubeWatch *watch)
{
    if (watch->listed == NULL) {
        watch->listed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    }
    g_autofree char *token =
        watch->next_page != NULL ? g_uri_escape_string(watch->next_page, NULL, false) : NULL;
    g_autofree char *query = g_strdup_printf(
        "limit=%u%s%s", watch->page, token != NULL ? "&continue=" : "", token != NULL ? token : "");
    g_autofree char *path = url_of(watch, query);
    SlKubeRequest request = {.method = "GET", .path = path};
    watch->call = sl_kube_send(watch->kube, &request, on_page, watch);
}

/* ---- the watch ---- */

static void set_version(SlKubeWatch *watch, const json_t *object)
{
    g_free(watch->version);
    watch->version = g_strdup(sl_json_str(object, "metadata.resourceVersion"));
    watch->moved = true;
    watch->failures = 0;
}

static void drop_stream(SlKubeWatch *watch)
{
    sl_kube_cancel(watch->call);
    watch->call = NULL;
    watch->streaming = false;
}

static void take_event(SlKubeWatch *watch, const SlKubeEvent *event)
{
    if (event->type == SL_KUBE_EVENT_ERROR) {
        g_autoptr(GError) error = NULL;
        int code = (int)sl_json_int(event->object, "code", 500);
        sl_kube_throw_status(&error, code, event->object, watch->path);
        drop_stream(watch);
        fail(watch, error, true);
        return;
    }
    set_version(watch, event->object);
    if (event->type == SL_KUBE_EVENT_SEEN) {
        note(watch, event->object);
    } else if (event->type == SL_KUBE_EVENT_GONE) {
        g_autofree char *key = key_of(event->object);
        forget(watch, key);
    }
}

static void take_line(SlKubeWatch *watch, const char *line, size_t len)
{
    SlKubeEvent event = {0};
    g_autoptr(GError) error = NULL;
    if (!sl_kube_event_parse(line, len, &event, &error)) {
        drop_stream(watch);
        fail(watch, error, true);
        return;
    }
    g_autoptr(json_t) object = event.object;
    take_event(watch, &event);
}

static void on_stream(GBytes *bytes, void *user)
{
    SlKubeWatch *watch = user;
    gsize len = 0;
    const void *data = g_bytes_get_data(bytes, &len);
    enter(watch);
    sl_timer_arm(watch->timer, watch->silence_us);
    sl_kube_lines_feed(watch->lines, data, len);
    SlKubeLine got = SL_KUBE_LINE_READY;
    while (!watch->freed && watch->streaming && got == SL_KUBE_LINE_READY) {
        const char *line = NULL;
        size_t line_len = 0;
        got = sl_kube_lines_next(watch->lines, &line, &line_len);
        if (got == SL_KUBE_LINE_READY) {
            take_line(watch, line, line_len);
        }
    }
    if (!watch->freed && got == SL_KUBE_LINE_TOO_LONG) {
        g_autoptr(GError) error = NULL;
        sl_throw(&error, SLU_LIMIT, "%s: a line of the watch is longer than %zu bytes", watch->path,
                 SL_KUBE_LINE_MAX);
        drop_stream(watch);
        fail(watch, error, true);
    }
    leave(watch);
}

/* A server ends a watch after its time: that is no failure, unless it did so before anything came. */
static void on_stream_end(const SlKubeAnswer *answer, const GError *error, void *user)
{
    (void)answer;
    SlKubeWatch *watch = user;
    watch->call = NULL;
    watch->streaming = false;
    enter(watch);
    if (watch->moved) {
        sl_timer_arm(watch->timer, 0);
        watch->moved = false;
    } else if (error != NULL) {
        fail(watch, error, false);
    } else {
        wait_then_go_on(watch);
    }
    leave(watch);
}

static void open_stream(SlKubeWatch *watch)
{
    uint32_t dice;
    sl_random_bytes(&dice, sizeof dice);
    g_autofree char *version = g_uri_escape_string(watch->version, NULL, false);
    g_autofree char *query =
        g_strdup_printf("watch=1&allowWatchBookmarks=true&resourceVersion=%s&timeoutSeconds=%u",
                        version, SERVER_ENDS_AFTER_S + dice % SERVER_ENDS_AFTER_S);
    g_autofree char *path = url_of(watch, query);
    sl_kube_lines_free(watch->lines);
    watch->lines = sl_kube_lines_new(0);
    watch->streaming = true;
    watch->moved = false;
    watch->call = sl_kube_stream(watch->kube, path, on_stream, on_stream_end, watch);
    sl_timer_arm(watch->timer, watch->silence_us);
}

/* ---- life ---- */

static void go_on(SlKubeWatch *watch)
{
    if (watch->version == NULL) {
        ask_page(watch);
    } else {
        open_stream(watch);
    }
}

static void on_timer(void *user)
{
    SlKubeWatch *watch = user;
    if (!watch->streaming) {
        go_on(watch);
        return;
    }
    enter(watch);
    g_autoptr(GError) error = NULL;
    sl_throw(&error, SLU_KUBE_UNREACHABLE, "%s: the watch said nothing for %d s", watch->path,
             (int)(watch->silence_us / SL_SECOND_US));
    drop_stream(watch);
    fail(watch, error, false);
    leave(watch);
}

SlKubeWatch *sl_kube_watch_new(SlKube *kube, const SlKubeWatchHow *how,
                               const SlKubeWatchEvents *events, void *user)
{
    SlKubeWatch *watch = g_new0(SlKubeWatch, 1);
    watch->kube = kube;
    watch->path = g_strdup(how->path);
    watch->selector = g_strdup(how->selector);
    watch->silence_us = how->silence_us > 0 ? how->silence_us : SILENCE_DEFAULT_US;
    watch->page = how->page > 0 ? how->page : PAGE_DEFAULT;
    watch->events = events;
    watch->user = user;
    watch->known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    watch->timer = sl_timer_new(sl_kube_loop(kube), on_timer, watch);
    go_on(watch);
    return watch;
}
