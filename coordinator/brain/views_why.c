/* views_why.c - the chain from an object to the people: release, commit, run, gates, approvers.
 * Reads only. */
#include "coordinator/brain/brain.h"
#include <string.h>

static void link_(json_t *chain, const char *what, const char *format, ...) G_GNUC_PRINTF(3, 4);
static void link_(json_t *chain, const char *what, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    json_t *json = json_object();
    sl_json_set_str(json, "what", what);
    sl_json_set_str(json, "text", text);
    json_array_append_new(chain, json);
}

static void why_release(const SlCoord *c, json_t *chain, const char *id)
{
    const SlRelease *r = sl_brain_release(c, id);
    link_(chain, "release", "%s (%.12s) of commit %.12s by %s: %s", r->name, r->id, r->commit,
          r->author, r->subject);
    for (guint i = 0; i < r->items->len; i++) {
        const SlItem *item = g_ptr_array_index(r->items, i);
        const SlRun *win = item->run_key != NULL && item->origin != NULL
                               ? sl_brain_win(c, r->app, item->origin, item->run_key)
                               : NULL;
        if (item->digest == NULL) {
            link_(chain, "item", "%s is pending: job %s in %s has not succeeded yet", item->name,
                  item->job != NULL ? item->job : "?", item->origin != NULL ? item->origin : "?");
        } else if (win != NULL) {
            g_autoptr(GString) metrics = g_string_new(NULL);
            for (guint k = 0; k < win->seal->metrics->len; k++) {
                g_string_append_printf(metrics, "%s%s", k > 0 ? ", " : ": ",
                                       (const char *)g_ptr_array_index(win->seal->metrics, k));
            }
            link_(chain, "run", "%s sha256:%.12s was made by run %.12s of job %s on %s%s",
                  item->name, item->digest, win->id, win->job, win->cluster, metrics->str);
        } else {
            link_(chain, "item", "%s is sha256:%.12s", item->name, item->digest);
        }
    }
}

static void why_attempt(const SlCoord *c, json_t *chain, const SlAttempt *a)
{
    g_autofree char *since = sl_format_time(a->since_us);
    link_(chain, "attempt", "attempt %" G_GUINT64_FORMAT " (%s, asked by %s: %s) is %s since %s",
          a->n, sl_act_name(a->act), a->requester != NULL ? a->requester : "the coordinator",
          a->reason, sl_state_info(a->state)->name, since);
    if (a->error != NULL) {
        link_(chain, "error", "SLU%d: %s", a->error_code, a->error);
    }
    if (!sl_state_info(a->state)->final) {
        g_autofree char *until = sl_format_time(sl_attempt_until(c, a));
        link_(chain, "waits", "for %s, until %s",
              a->waiting != NULL ? a->waiting : sl_state_info(a->state)->waits, until);
    }
    for (guint i = 0; a->gates != NULL && i < a->gates->len; i++) {
        const SlGateLine *line = g_ptr_array_index(a->gates, i);
        link_(chain, "gate", "%s of %s: %s", line->type, line->where, line->reason);
    }
    for (guint i = 0; i < a->approvers->len; i++) {
        link_(chain, "approver", "%s signed promotion %.12s",
              (const char *)g_ptr_array_index(a->approvers, i), a->promotion);
    }
    if (a->signed_online && a->approvers->len == 0) {
        link_(chain, "approver",
              "the coordinator's online key signed promotion %.12s: the root's threshold is 0",
              a->promotion);
    }
    why_release(c, chain, a->release);
}

static void why_object(const SlCoord *c, json_t *chain, const SlUnit *u, const char *kind,
                       const char *name)
{
    GHashTableIter iter;
    gpointer cluster, bundle;
    g_hash_table_iter_init(&iter, u->live->target_of);
    while (g_hash_table_iter_next(&iter, &cluster, &bundle)) {
        g_autoptr(GHashTable) objects = sl_view_objects(c, bundle);
        GHashTableIter each;
        gpointer identity, digest;
        g_hash_table_iter_init(&each, objects);
        while (g_hash_table_iter_next(&each, &identity, &digest)) {
            g_auto(GStrv) parts = g_strsplit(identity, " ", 3);
            if (g_str_has_suffix(parts[0], kind) && strcmp(parts[2], name) == 0) {
                link_(chain, "object", "%s %s on %s is %.12s of bundle %.12s", parts[0], name,
                      (char *)cluster, (char *)digest, (char *)bundle);
            }
        }
    }
}

static bool why_unit(const SlCoord *c, json_t *chain, char **parts, GError **error)
{
    const SlUnit *u = sl_brain_unit(c, parts[0], parts[1]);
    g_autofree char *reason = NULL;
    if (u == NULL) {
        const SlRelease *newest = sl_brain_newest(c, parts[0], parts[1], &reason);
        if (newest == NULL && (c->docs == NULL || sl_fleet_app(c->docs, parts[0]) == NULL)) {
            return sl_throw(error, SLU_NO_SUCH_UNIT, "there is no unit %.63s/%.63s", parts[0],
                            parts[1]);
        }
        link_(chain, "unit", "nothing was asked for yet: %s",
              reason != NULL ? reason : newest->name);
        return true;
    }
    if (u->live != NULL && parts[2] != NULL && parts[3] != NULL) {
        why_object(c, chain, u, parts[2], parts[3]);
    }
    if (u->pinned != NULL) {
        link_(chain, "pin", "pinned by %s: %s", u->pinned->by, u->pinned->reason);
    }
    const SlAttempt *last =
        u->attempts->len > 0 ? g_ptr_array_index(u->attempts, u->attempts->len - 1) : NULL;
    if (u->current != NULL) {
        why_attempt(c, chain, u->current);
    }
    if (last != NULL && last != u->current) {
        why_attempt(c, chain, last);
    }
    return true;
}

static bool why_run(const SlCoord *c, json_t *chain, const char *id, GError **error)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, c->runs);
    while (strlen(id) >= 6 && g_hash_table_iter_next(&iter, NULL, &value)) {
        const SlRun *run = value;
        if (g_str_has_prefix(run->id, id)) {
            link_(chain, "run",
                  "run %.12s of job %s (run key %.12s, generation %" G_GUINT64_FORMAT ") on %s: %s",
                  run->id, run->job, run->key, run->generation, run->cluster,
                  run->seal != NULL ? run->seal->reason : "goes on");
            why_attempt(c, chain, sl_brain_attempt(c, run->attempt));
            return true;
        }
    }
    return sl_throw(error, SLU_NOT_FOUND,
                    "object: give app/env, app/env/Kind/name or a run id; there is no %.64s", id);
}

json_t *sl_view_why(const SlCoord *c, const json_t *args, int64_t now_us, GError **error)
{
    (void)now_us;
    const char *object = sl_json_need_str(args, "object", error);
    if (object == NULL) {
        return NULL;
    }
    g_autoptr(json_t) chain = json_array();
    g_auto(GStrv) parts = g_strsplit(object, "/", 5);
    bool ok = g_strv_length(parts) >= 2 ? why_unit(c, chain, parts, error)
                                        : why_run(c, chain, object, error);
    if (!ok) {
        return NULL;
    }
    json_t *json = json_object();
    sl_json_set_str(json, "subject", object);
    json_object_set(json, "chain", chain);
    return json;
}
