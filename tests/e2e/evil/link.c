/* link.c - the wire's side of the thief: HELLO, REPORT and SEAL are printed as they come, FETCH is answered from what was kept,
 * right or wrong, else from the stolen coordinator's own bytes. Every report is acknowledged, so that the next one comes. */
#include "base/digest.h"
#include "core/report.h"
#include "evil.h"
#include "link/convert.h"
#include "runtime/atomicfile.h"

#define BLOB_MAX (64 * 1024 * 1024)

static json_t *event_of(const char *name, const char *curve)
{
    json_t *event = json_object();
    sl_json_set_str(event, "ev", name);
    sl_json_set_str(event, "curve", curve);
    return event;
}

/* ---- out ---- */

bool evil_send_head(Evil *evil, const char *to, const SlSigned *head)
{
    Sluice__Wire__Signed text;
    Sluice__Wire__Head message = SLUICE__WIRE__HEAD__INIT;
    Sluice__Wire__Envelope envelope = SLUICE__WIRE__ENVELOPE__INIT;
    sl_wire_signed(head, &text);
    message.head = &text;
    envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_HEAD;
    envelope.head = &message;
    bool sent = sl_server_send(evil->server, to, &envelope);
    g_free(text.sigs);
    return sent;
}

static Sluice__Wire__Signed **wire_list(const GPtrArray *list)
{
    Sluice__Wire__Signed **all = g_new0(Sluice__Wire__Signed *, list->len + 1);
    for (guint i = 0; i < list->len; i++) {
        all[i] = g_new0(Sluice__Wire__Signed, 1);
        sl_wire_signed(list->pdata[i], all[i]);
    }
    return all;
}

static void wire_list_free(Sluice__Wire__Signed **all, guint count)
{
    for (guint i = 0; i < count; i++) {
        g_free(all[i]->sigs);
        g_free(all[i]);
    }
    g_free(all);
}

bool evil_send_steps(Evil *evil, const char *to, const GPtrArray *roots, const GPtrArray *registries)
{
    Sluice__Wire__Steps message = SLUICE__WIRE__STEPS__INIT;
    Sluice__Wire__Envelope envelope = SLUICE__WIRE__ENVELOPE__INIT;
    message.n_roots = roots->len;
    message.roots = wire_list(roots);
    message.n_registries = registries->len;
    message.registries = wire_list(registries);
    envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_STEPS;
    envelope.steps = &message;
    bool sent = sl_server_send(evil->server, to, &envelope);
    wire_list_free(message.roots, roots->len);
    wire_list_free(message.registries, registries->len);
    return sent;
}

bool evil_send_reset(Evil *evil, const char *to)
{
    Sluice__Wire__Reset message = SLUICE__WIRE__RESET__INIT;
    Sluice__Wire__Envelope envelope = SLUICE__WIRE__ENVELOPE__INIT;
    message.reason = (char *)"say hello again";
    envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_RESET;
    envelope.reset = &message;
    return sl_server_send(evil->server, to, &envelope);
}

/* ---- in ---- */

static void on_hello(Evil *evil, const char *curve, const Sluice__Wire__Hello *hello)
{
    g_autofree char *nonce = sl_hex(hello->nonce.data, hello->nonce.len);
    json_t *event = event_of("hello", curve);
    sl_json_set_str(event, "nonce", nonce);
    sl_json_set_int(event, "root", (json_int_t)hello->root_version);
    sl_json_set_int(event, "registry", (json_int_t)hello->registry_version);
    sl_json_set_int(event, "term", (json_int_t)hello->term);
    sl_json_set_int(event, "version", (json_int_t)hello->head_version);
    sl_json_set_bool(event, "stateLost", hello->state_lost);
    g_hash_table_add(evil->greeted, g_strdup(curve));
    evil_say(event);
}

static void acknowledge(Evil *evil, const char *curve, GBytes *text)
{
    g_autoptr(SlReport) report = sl_report_parse(text, NULL);
    if (report == NULL) {
        return;
    }
    Sluice__Wire__ReportAck ack = SLUICE__WIRE__REPORT_ACK__INIT;
    Sluice__Wire__Envelope envelope = SLUICE__WIRE__ENVELOPE__INIT;
    ack.boot = report->boot;
    ack.counter = report->counter;
    ack.want_full = g_hash_table_remove(evil->greeted, curve) && !report->full;
    envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_REPORT_ACK;
    envelope.report_ack = &ack;
    (void)sl_server_send(evil->server, curve, &envelope);
}

static void on_signed(Evil *evil, const char *name, const char *curve, const Sluice__Wire__Signed *message)
{
    g_autoptr(SlSigned) s = sl_wire_to_signed(message, NULL);
    if (s == NULL) {
        return;
    }
    if (strcmp(name, "report") == 0) {
        acknowledge(evil, curve, s->text);
    }
    size_t len;
    const char *text = g_bytes_get_data(s->text, &len);
    json_t *event = event_of(name, curve);
    json_object_set_new(event, "text", json_stringn(text, len));
    evil_say(event);
}

static GBytes *packed(const SlSigned *s)
{
    Sluice__Wire__Signed message;
    sl_wire_signed(s, &message);
    size_t len = sluice__wire__signed__get_packed_size(&message);
    uint8_t *bytes = g_malloc(len + 1);
    sluice__wire__signed__pack(&message, bytes);
    g_free(message.sigs);
    return g_bytes_new_take(bytes, len);
}

static GBytes *find(const Evil *evil, const char *digest, bool is_statement)
{
    if (g_hash_table_contains(evil->hidden, digest)) {
        return NULL;
    }
    if (is_statement) {
        const SlSigned *s = g_hash_table_lookup(evil->statements, digest);
        return s != NULL ? packed(s) : NULL;
    }
    GBytes *kept = g_hash_table_lookup(evil->blobs, digest);
    if (kept != NULL) {
        return g_bytes_ref(kept);
    }
    g_autofree char *path = g_strdup_printf("%s/%.2s/%s", evil->blob_dir, digest, digest);
    return sl_file_read(path, BLOB_MAX, NULL);
}

static void on_fetch(Evil *evil, const char *curve, const Sluice__Wire__Fetch *fetch)
{
    g_autofree char *digest = sl_hex(fetch->digest.data, fetch->digest.len);
    bool is_statement = fetch->kind == SLUICE__WIRE__FETCH__KIND__STATEMENT;
    g_autoptr(GBytes) bytes = find(evil, digest, is_statement);
    Sluice__Wire__Chunk chunk = SLUICE__WIRE__CHUNK__INIT;
    Sluice__Wire__Envelope envelope = SLUICE__WIRE__ENVELOPE__INIT;
    size_t total = 0;
    const uint8_t *data = bytes != NULL ? g_bytes_get_data(bytes, &total) : NULL;
    chunk.digest = fetch->digest;
    chunk.kind = fetch->kind;
    chunk.offset = fetch->offset;
    chunk.total = total;
    chunk.missing = bytes == NULL || fetch->offset > total;
    if (!chunk.missing && total > fetch->offset) {
        chunk.data.data = (uint8_t *)(uintptr_t)(data + fetch->offset);
        chunk.data.len = MIN((size_t)SL_FETCH_MAX, total - fetch->offset);
    }
    envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_CHUNK;
    envelope.chunk = &chunk;
    (void)sl_server_send(evil->server, curve, &envelope);
    json_t *event = event_of("fetch", curve);
    sl_json_set_str(event, "digest", digest);
    sl_json_set_bool(event, "statement", is_statement);
    sl_json_set_bool(event, "found", bytes != NULL);
    evil_say(event);
}

static void on_received(void *user, const char *curve, const Sluice__Wire__Envelope *envelope)
{
    Evil *evil = user;
    switch (envelope->body_case) {
    case SLUICE__WIRE__ENVELOPE__BODY_HELLO:
        on_hello(evil, curve, envelope->hello);
        break;
    case SLUICE__WIRE__ENVELOPE__BODY_REPORT:
        on_signed(evil, "report", curve, envelope->report->report);
        break;
    case SLUICE__WIRE__ENVELOPE__BODY_SEAL:
        on_signed(evil, "seal", curve, envelope->seal->seal); /* never acknowledged: it belongs to the true one */
        break;
    case SLUICE__WIRE__ENVELOPE__BODY_FETCH:
        on_fetch(evil, curve, envelope->fetch);
        break;
    default:
        break;
    }
}

static void on_dropped(void *user, const char *curve, const GError *error)
{
    (void)user;
    json_t *event = event_of("dropped", curve);
    sl_json_set_str(event, "message", error->message);
    evil_say(event);
}

static void on_enrol(void *user, const char *peer, const Sluice__Wire__Envelope *envelope)
{
    (void)user;
    (void)peer;
    (void)envelope;
}

static void on_gone(void *user, const char *curve)
{
    (void)user;
    evil_say(event_of("gone", curve));
}

bool evil_bind(Evil *evil, const char *endpoint, const GPtrArray *agents, GError **error)
{
    static SlServerEvents events;
    events = (SlServerEvents){.user = evil, .received = on_received, .dropped = on_dropped, .enrol = on_enrol, .gone = on_gone};
    SlServerConfig config = {.endpoint = endpoint, .keys = &evil->keys, .events = &events, .loop = evil->loop};
    evil->server = sl_server_new(&config, error);
    if (evil->server == NULL) {
        return false;
    }
    sl_server_allow(evil->server, agents);
    return true;
}
