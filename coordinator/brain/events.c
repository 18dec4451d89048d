/* events.c - the ledger's side of the brain: number, chain, fold. sl_emit() is the only way in
 * which step changes what is durable; fold_*.c are the only writers of it. An unknown event type
 * stops the reader: never skipped. */
#include "coordinator/brain/brain.h"
#include "coordinator/brain/fold.h"
#include <string.h>

static const struct {
    const char *type;
    SlFold *fold;
} folds[] = {
#define SL_EVENT(Type, function) {#Type, function},
#include "coordinator/brain/events.def"
#undef SL_EVENT
};

bool sl_fold_one(SlCoord *c, const char *type, const json_t *event, int64_t at_us, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(folds); i++) {
        if (strcmp(folds[i].type, type) == 0) {
            return folds[i].fold(c, event, at_us, error);
        }
    }
    return sl_throw(error, SLU_UNSUPPORTED,
                    "ledger event %" G_GUINT64_FORMAT
                    " has the unknown type \"%s\"; a newer Sluice wrote it",
                    c->seq + 1, type);
}

/* @text: the event's own text, of which the next one names the hash; NULL = the canonical one. */
static bool fold_checked(SlCoord *c, const json_t *event, const char *text, size_t len,
                         GError **error)
{
    int64_t seq = 0, at_us = 0;
    const char *prev = sl_json_need_str(event, "prev", error);
    const char *type = prev != NULL ? sl_json_need_str(event, "type", error) : NULL;
    const char *at = type != NULL ? sl_json_need_str(event, "at", error) : NULL;
    if (at == NULL || !sl_json_need_int(event, "seq", &seq, error)) {
        return false;
    }
    if (seq < 0 || (uint64_t)seq != c->seq + 1) {
        return sl_throw(error, SLU_LEDGER_CHAIN,
                        "event %" G_GINT64_FORMAT " follows event %" G_GUINT64_FORMAT, seq, c->seq);
    }
    if (strcmp(prev, c->hash) != 0) {
        return sl_throw(error, SLU_LEDGER_CHAIN,
                        "event %" G_GINT64_FORMAT " names %.12s as the one before, which is %.12s",
                        seq, prev, c->hash);
    }
    if (!sl_parse_time(at, &at_us)) {
        return sl_throw(error, SLU_LEDGER_EVENT, "event %" G_GINT64_FORMAT ": at is no time", seq);
    }
    g_autofree char *own = text == NULL ? sl_json_canonical(event, error) : NULL;
    if (text == NULL && own == NULL) {
        return false;
    }
    if (!sl_fold_one(c, type, event, at_us, error)) {
        return sl_prefix(error, "event %" G_GINT64_FORMAT " (%s)", seq, type);
    }
    g_autofree char *hash =
        text != NULL ? sl_sha256_hex(text, len) : sl_sha256_hex(own, strlen(own));
    memcpy(c->hash, hash, sizeof c->hash);
    c->seq = (uint64_t)seq;
    if (c->history->len >= SL_EVENTS_KEPT) {
        g_ptr_array_remove_range(c->history, 0, SL_EVENTS_KEPT / 4);
    }
    g_ptr_array_add(c->history, json_incref((json_t *)event));
    return true;
}

bool sl_coord_fold(SlCoord *c, const json_t *event, GError **error)
{
    return sl_coord_fold_text(c, event, NULL, 0, error);
}

bool sl_coord_fold_text(SlCoord *c, const json_t *event, const char *text, size_t len,
                        GError **error)
{
    c->folding = true;
    bool ok = fold_checked(c, event, text, len, error);
    c->folding = false;
    return ok;
}

uint64_t sl_coord_ledger_seq(const SlCoord *c)
{
    return c->seq;
}

const char *sl_coord_ledger_hash(const SlCoord *c)
{
    return c->hash;
}

json_t *sl_event(const char *type)
{
    json_t *event = json_object();
    sl_json_set_str(event, "type", type);
    return event;
}

void sl_emit(SlCoord *c, json_t *event)
{
    g_autofree char *at = sl_format_time(c->now_us);
    g_autoptr(GError) error = NULL;
    sl_json_set_int(event, "seq", (int64_t)c->seq + 1);
    sl_json_set_str(event, "prev", c->hash);
    sl_json_set_str(event, "at", at);
    if (!fold_checked(c, event, NULL, 0, &error)) {
        /* Our own mistake: what we decide must fold. Going on would let the ledger and the state
         * part. */
        g_error("own event does not fold: %s", error->message);
    }
    sl_brain_touch_event(c, sl_json_str(event, "type"), event);
    g_ptr_array_add(c->out->events, event);
}

void sl_emit_end(SlCoord *c, SlAttempt *a, const char *type, int code, const char *format, ...)
{
    json_t *event = sl_event(type);
    sl_json_set_int(event, "attempt", (int64_t)a->n);
    if (format != NULL) {
        va_list args;
        va_start(args, format);
        g_autofree char *message = g_strdup_vprintf(format, args);
        va_end(args);
        g_autofree char *clean = sl_escape_for_people(message, 2000);
        json_t *what = json_object();
        g_autofree char *number = g_strdup_printf("SLU%d", code);
        sl_json_set_str(what, "code", number);
        sl_json_set_str(what, "message", clean);
        json_object_set_new(event, "error", what);
    }
    sl_emit(c, event);
}

GBytes *sl_brain_blob(SlCoord *c, const char *digest)
{
    GBytes *bytes = NULL;
    if (c->out != NULL) {
        bytes = g_hash_table_lookup(c->out->ledger_blobs, digest);
        if (bytes == NULL) {
            bytes = g_hash_table_lookup(c->out->cache_blobs, digest);
        }
    }
    if (bytes == NULL && c->config.blobs.get != NULL) {
        bytes = c->config.blobs.get(digest, c->config.blobs.user);
    }
    return bytes;
}

void sl_brain_keep_ledger(SlCoord *c, const char *digest, GBytes *bytes)
{
    g_hash_table_replace(c->out->ledger_blobs, g_strdup(digest), g_bytes_ref(bytes));
}

void sl_brain_keep_cache(SlCoord *c, const char *digest, GBytes *bytes)
{
    g_hash_table_replace(c->out->cache_blobs, g_strdup(digest), g_bytes_ref(bytes));
}

char *sl_brain_keep_json(SlCoord *c, const json_t *value)
{
    char *text = sl_json_canonical(value, NULL);
    g_assert(text != NULL);
    size_t len = strlen(text);
    char *digest = sl_sha256_hex(text, len);
    g_autoptr(GBytes) bytes = g_bytes_new_take(text, len);
    sl_brain_keep_ledger(c, digest, bytes);
    return digest;
}

void sl_brain_keep_map(SlCoord *c, const SlMap *map)
{
    g_autoptr(GHashTable) blobs = sl_map_blobs(map);
    GHashTableIter iter;
    gpointer digest, bytes;
    g_hash_table_iter_init(&iter, blobs);
    while (g_hash_table_iter_next(&iter, &digest, &bytes)) {
        sl_brain_keep_ledger(c, digest, bytes);
    }
}

void sl_attempt_move(SlCoord *c, SlAttempt *a, SlOn on)
{
    SlState to = a->state;
    if (sl_state_next(a->state, on, &to) && to != a->state) {
        sl_brain_touch(c, a->app);
        a->state = to;
        a->since_us = c->now_us;
        g_clear_pointer(&a->waiting, g_free);
        json_decref(a->who);
        a->who = NULL;
    }
}

void sl_wake(SlCoord *c, int64_t at_us)
{
    if (at_us < c->next_us) {
        c->next_us = at_us;
    }
}

json_t *sl_json_time(int64_t us)
{
    if (us == 0) {
        return json_null();
    }
    g_autofree char *text = sl_format_time(us);
    return json_string(text);
}

int64_t sl_json_time_at(const json_t *tree, const char *path, int64_t otherwise)
{
    int64_t us = 0;
    const char *text = sl_json_str(tree, path);
    return text != NULL && sl_parse_time(text, &us) ? us : otherwise;
}

char **sl_json_strv_at(const json_t *tree, const char *path)
{
    GPtrArray *all = g_ptr_array_new();
    const json_t *list = sl_json_at(tree, path);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (text != NULL) {
            g_ptr_array_add(all, g_strdup(text));
        }
    }
    g_ptr_array_add(all, NULL);
    return (char **)g_ptr_array_free(all, FALSE);
}
