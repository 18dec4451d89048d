/* fuzz_ledger.c - events of a ledger as somebody left them: refused with a text, or folded into a state that lives on. The input is a
 * batch file (lines of JSON), or a program of mutations (first byte 0) that is applied to a valid ledger, whose chain is then made anew:
 * only so does a mutation get past the hashes. */
#include "fuzz_fleet_rig.h"

typedef struct {
    const uint8_t *at;
    size_t left;
} Bytes;

static unsigned take(Bytes *bytes, unsigned below)
{
    unsigned value = 0;
    for (int i = 0; i < 2 && bytes->left > 0; i++, bytes->at++, bytes->left--) {
        value = value * 256 + *bytes->at;
    }
    return below > 0 ? value % below : 0;
}

/* A value of another event: types that exist, where they do not belong. */
static json_t *borrowed(Bytes *bytes)
{
    const json_t *event = g_ptr_array_index(fuzz_rig->ledger, take(bytes, fuzz_base));
    unsigned n = take(bytes, (unsigned)json_object_size(event));
    void *iter = json_object_iter((json_t *)(uintptr_t)event);
    while (n-- > 0) {
        iter = json_object_iter_next((json_t *)(uintptr_t)event, iter);
    }
    return json_deep_copy(json_object_iter_value(iter));
}

static json_t *another_value(Bytes *bytes)
{
    switch (take(bytes, 10)) {
    case 0: return json_null();
    case 1: return json_string("");
    case 2: return json_integer(-1);
    case 3: return json_integer(INT64_MAX);
    case 4: return json_array();
    case 5: return json_object();
    case 6: return json_string("ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff");
    case 7: return json_true();
    case 8: return json_string("../../etc/passwd\n");
    default: return borrowed(bytes);
    }
}

/* Walks down to a member and takes it away or puts something else there. */
static void mutate(json_t *value, Bytes *bytes)
{
    while (json_is_object(value) && json_object_size(value) > 0) {
        void *iter = json_object_iter(value);
        for (unsigned n = take(bytes, (unsigned)json_object_size(value)); n > 0; n--) {
            iter = json_object_iter_next(value, iter);
        }
        json_t *member = json_object_iter_value(iter);
        bool deeper = json_is_object(member) || json_is_array(member);
        unsigned what = take(bytes, deeper ? 3 : 2);
        g_autofree char *key = g_strdup(json_object_iter_key(iter));
        if (what == 0) {
            json_object_del(value, key);
            return;
        }
        if (what == 1) {
            json_object_set_new(value, key, another_value(bytes));
            return;
        }
        value = json_is_array(member) && json_array_size(member) > 0 ? json_array_get(member, take(bytes, (unsigned)json_array_size(member))) : member;
    }
}

static GPtrArray *mutated(Bytes *bytes)
{
    GPtrArray *events = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
    for (guint i = 0; i < fuzz_base; i++) {
        g_ptr_array_add(events, json_deep_copy(g_ptr_array_index(fuzz_rig->ledger, i)));
    }
    for (int n = 0; n < 8 && bytes->left > 0 && events->len > 1; n++) {
        guint at = take(bytes, events->len);
        switch (take(bytes, 5)) {
        case 0: g_ptr_array_remove_index(events, at); break;
        case 1: g_ptr_array_insert(events, (gint)at, json_deep_copy(g_ptr_array_index(events, take(bytes, events->len)))); break;
        default: mutate(g_ptr_array_index(events, at), bytes);
        }
    }
    return events;
}

static bool fold(SlCoord *coord, const json_t *event)
{
    g_autoptr(GError) error = NULL;
    bool ok = sl_coord_fold(coord, event, &error);
    if (ok == (error != NULL) || (!ok && error->message[0] == '\0')) {
        fuzz_fail("an event is neither folded nor refused with a text");
    }
    return ok;
}

/* The state must bear a life: a start, a tick, every view. */
static void live(SlCoord *coord)
{
    static const SlCoordInputType inputs[] = {SL_COORD_START, SL_COORD_TICK};
    for (size_t i = 0; i < G_N_ELEMENTS(inputs); i++) {
        g_autoptr(SlCoordOutput) out = sl_coord_output_new();
        SlCoordInput in = {.type = inputs[i]};
        sl_coord_step(coord, &in, fuzz_rig->now_us + SL_HOUR_US, out);
    }
    g_autoptr(json_t) args = json_object(), dump = sl_coord_dump(coord);
    fuzz_views(coord, fuzz_rig->now_us, args);
}

static void from_mutations(Bytes bytes)
{
    g_autoptr(SlCoord) coord = rig_new_coord(fuzz_rig);
    g_autoptr(GPtrArray) events = mutated(&bytes);
    guint folded = 0;
    for (; folded < events->len; folded++) {
        json_t *event = g_ptr_array_index(events, folded);
        sl_json_set_int(event, "seq", (int64_t)sl_coord_ledger_seq(coord) + 1);
        sl_json_set_str(event, "prev", sl_coord_ledger_hash(coord));
        if (!fold(coord, event)) {
            return; /* the daemon does not start on it */
        }
    }
    live(coord);
}

static void from_batch(const uint8_t *data, size_t size)
{
    g_autoptr(SlCoord) coord = rig_new_coord(fuzz_rig);
    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t len = end != NULL ? (size_t)(end - data) : size;
        g_autoptr(json_t) event = sl_json_parse((const char *)data, len, NULL, "batch", NULL);
        if (event == NULL || !fold(coord, event)) {
            return;
        }
        len += end != NULL ? 1 : 0;
        data += len;
        size -= len;
    }
    if (sl_coord_ledger_seq(coord) > 0) {
        live(coord);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_rig_make();
    if (size > 0 && data[0] == 0) {
        from_mutations((Bytes){data + 1, size - 1});
    } else {
        from_batch(data, size);
    }
    return 0;
}
