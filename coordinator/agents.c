/* agents.c - what agents say becomes inputs of the brain; what the brain wants said goes out; bytes
 * by digest are answered here, for whoever is registered (digests are not guessable and nothing in
 * a bundle is secret from the fleet's own agents). */
#include "base/digest.h"
#include "coordinator/coordinator.h"
#include "link/convert.h"
#include <string.h>

typedef struct {
    SlCoordinator *c;
    char *id, *curve;
    SlTimer *timer;
    SlLogDone done;
    void *user;
} SlLogWait;

/* ---- in ---- */

static void hear(SlCoordinator *c, const char *curve)
{
    int64_t *at = g_hash_table_lookup(c->heard, curve);
    if (at == NULL) {
        at = g_new0(int64_t, 1);
        g_hash_table_insert(c->heard, g_strdup(curve), at);
    }
    *at = sl_clock_real.monotonic_us(sl_clock_real.user);
}

static void on_hello(SlCoordinator *c, const char *curve, const Sluice__Wire__Hello *hello)
{
    if (hello->nonce.len != 16)
        return;
    g_autofree char *nonce = sl_hex(hello->nonce.data, hello->nonce.len);
    SlCoordInput input = {.type = SL_COORD_HELLO};
    input.hello = (SlCoordHello){.curve = curve,
                                 .nonce = nonce,
                                 .root_version = hello->root_version,
                                 .registry_version = hello->registry_version,
                                 .term = hello->term,
                                 .head_version = hello->head_version,
                                 .format_max = hello->format_max,
                                 .version = hello->version,
                                 .state_lost = hello->state_lost};
    sl_turn_input(c, &input);
}

static void on_statement(SlCoordinator *c, const char *curve, SlCoordInputType type,
                         const Sluice__Wire__Signed *message)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlSigned) statement = sl_wire_to_signed(message, &error);
    if (statement == NULL) {
        sl_log_error(c->log, "statement-dropped", error);
        return;
    }
    SlCoordInput input = {.type = type};
    input.statement = (SlCoordStatement){.curve = curve, .statement = statement};
    sl_turn_input(c, &input);
    if (type == SL_COORD_REPORT)
        sl_history_note(c);
}

static void send_envelope(SlCoordinator *c, const char *curve, Sluice__Wire__Envelope *envelope)
{
    if (!sl_server_send(c->server, curve, envelope))
        sl_log(c->log, SL_LOG_DEBUG, "agent-not-reached", "curve", curve, NULL);
}

static GBytes *packed_statement(SlCoordinator *c, const char *digest)
{
    const SlSigned *statement = sl_coord_statement(c->brain, digest);
    if (statement == NULL)
        return NULL;
    Sluice__Wire__Signed message = SLUICE__WIRE__SIGNED__INIT;
    sl_wire_signed(statement, &message);
    size_t len = sluice__wire__signed__get_packed_size(&message);
    uint8_t *bytes = g_malloc(len + 1);
    sluice__wire__signed__pack(&message, bytes);
    g_free(message.sigs);
    return g_bytes_new_take(bytes, len);
}

static void answer_fetch(SlCoordinator *c, const char *curve, const Sluice__Wire__Fetch *fetch,
                         GBytes *bytes)
{
    Sluice__Wire__Chunk chunk = SLUICE__WIRE__CHUNK__INIT;
    Sluice__Wire__Envelope envelope = SLUICE__WIRE__ENVELOPE__INIT;
    envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_CHUNK;
    envelope.chunk = &chunk;
    chunk.digest = fetch->digest;
    chunk.kind = fetch->kind;
    chunk.offset = fetch->offset;
    gsize total = 0;
    const uint8_t *data = bytes != NULL ? g_bytes_get_data(bytes, &total) : NULL;
    chunk.missing = bytes == NULL || fetch->offset > total;
    chunk.total = total;
    if (!chunk.missing && total > fetch->offset) {
        uint64_t want = fetch->max == 0 || fetch->max > SL_FETCH_MAX ? SL_FETCH_MAX : fetch->max;
        chunk.data.data = (uint8_t *)(data + fetch->offset);
        chunk.data.len = (size_t)MIN(want, total - fetch->offset);
    }
    send_envelope(c, curve, &envelope);
}

typedef struct {
    char *curve;
    Sluice__Wire__Fetch fetch;
    uint8_t raw[32];
} FetchWait;

/* Nothing is said of a search that did not take place: the agent asks again. */
static void found(SlCoordinator *c, GBytes *bytes, bool searched, void *user)
{
    FetchWait *wait = user;
    if (searched && c->server != NULL && !c->failed)
        answer_fetch(c, wait->curve, &wait->fetch, bytes);
    g_free(wait->curve);
    g_free(wait);
}

/* The cache lost it: the branches still have it. */
static void find_in_branches(SlCoordinator *c, const char *curve, const char *digest,
                             const Sluice__Wire__Fetch *fetch)
{
    FetchWait *wait = g_new0(FetchWait, 1);
    wait->curve = g_strdup(curve);
    memcpy(wait->raw, fetch->digest.data, sizeof wait->raw);
    wait->fetch = *fetch;
    wait->fetch.digest = (ProtobufCBinaryData){.data = wait->raw, .len = sizeof wait->raw};
    SlFind find = {.who = curve, .digest = digest};
    if (!sl_find_bytes(c, &find, found, wait))
        found(c, NULL, false, wait);
}

static void on_fetch(SlCoordinator *c, const char *curve, const Sluice__Wire__Fetch *fetch)
{
    if (fetch->digest.len != 32)
        return;
    g_autofree char *digest = sl_hex(fetch->digest.data, fetch->digest.len);
    bool statement = fetch->kind == SLUICE__WIRE__FETCH__KIND__STATEMENT;
    g_autoptr(GBytes) bytes = statement ? packed_statement(c, digest) : sl_turn_blob(c, digest);
    if (bytes == NULL && !statement)
        find_in_branches(c, curve, digest, fetch);
    else
        answer_fetch(c, curve, fetch, bytes);
}

/* ---- logs ---- */

static void log_wait_free(void *user)
{
    SlLogWait *wait = user;
    sl_timer_free(wait->timer);
    g_free(wait->id);
    g_free(wait->curve);
    g_free(wait);
}

static void end_log(SlCoordinator *c, SlLogWait *wait, json_t *answer, const GError *error)
{
    SlLogDone done = wait->done;
    void *user = wait->user;
    g_hash_table_remove(c->logs, wait->id);
    done(answer, error, user);
}

static void log_timed_out(void *user)
{
    SlLogWait *wait = user;
    g_autoptr(GError) error = NULL;
    sl_throw(&error, SLU_API_TIMEOUT, "the agent did not send the log in time");
    end_log(wait->c, wait, NULL, error);
}

static void on_log(SlCoordinator *c, const char *curve, const Sluice__Wire__LogData *data)
{
    SlLogWait *wait = data->request != NULL ? g_hash_table_lookup(c->logs, data->request) : NULL;
    if (wait == NULL || strcmp(wait->curve, curve) != 0)
        return;
    g_autoptr(GError) error = NULL;
    json_t *answer = NULL;
    if (data->error != NULL && data->error[0] != '\0') {
        sl_throw(&error, SLU_NOT_FOUND, "%s", data->error);
    } else {
        g_autofree char *text =
            data->data.len > 0 /* no bytes are no pointer either */
                ? g_utf8_make_valid((const char *)data->data.data, (gssize)data->data.len)
                : g_strdup("");
        answer = json_object();
        sl_json_set_int(answer, "offset", (int64_t)data->offset);
        sl_json_set_int(answer, "size", (int64_t)data->size);
        sl_json_set_int(answer, "length", (int64_t)data->data.len);
        sl_json_set_str(answer, "data", text);
        sl_json_set_bool(answer, "finished", data->finished);
    }
    end_log(c, wait, answer, error);
}

/* CURVE key of the agent that runs what @args ask for. (transfer full) */
static char *agent_of(SlCoordinator *c, const char *cluster, const char *env)
{
    g_autoptr(GPtrArray) keys = sl_coord_curve_keys(c->brain);
    for (guint i = 0; i < keys->len; i++) {
        const char *key_env = NULL;
        const SlCluster *at = sl_coord_cluster_of_key(c->brain, keys->pdata[i], &key_env);
        if (at == NULL || !g_hash_table_contains(c->heard, keys->pdata[i]))
            continue;
        bool named =
            cluster == NULL || strcmp(at->name, cluster) == 0 || strcmp(at->id, cluster) == 0;
        if (named && (env == NULL || g_strcmp0(key_env, env) == 0))
            return g_strdup(keys->pdata[i]);
    }
    return NULL;
}

static void send_log_request(SlCoordinator *c, const SlLogWait *wait, const json_t *args,
                             const char *run)
{
    Sluice__Wire__LogRequest request = SLUICE__WIRE__LOG_REQUEST__INIT;
    Sluice__Wire__Envelope envelope = SLUICE__WIRE__ENVELOPE__INIT;
    envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_LOG_REQUEST;
    envelope.log_request = &request;
    request.request = wait->id;
    request.app = (char *)sl_json_str_or(args, "app", "");
    request.env = (char *)sl_json_str_or(args, "env", "");
    request.object = (char *)sl_json_str_or(args, "object", "");
    request.run_id = (char *)(run != NULL ? run : "");
    request.offset = (uint64_t)MAX(sl_json_int(args, "offset", 0), 0);
    request.max = (uint32_t)CLAMP(sl_json_int(args, "max", 65536), 1, 65536);
    request.stderr_stream = sl_json_bool(args, "stderr", false);
    request.tail = sl_json_bool(args, "tail", false);
    request.previous = sl_json_bool(args, "previous", false);
    request.rank = (uint32_t)CLAMP(sl_json_int(args, "rank", 0), 0, 4095);
    send_envelope(c, wait->curve, &envelope);
}

void sl_agents_log(SlCoordinator *c, const json_t *args, SlLogDone done, void *user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) run = NULL;
    const char *cluster = sl_json_str(args, "cluster"), *env = sl_json_str(args, "env");
    if (sl_json_str(args, "run") != NULL) {
        g_autoptr(json_t) ask = json_pack("{s:s}", "id", sl_json_str(args, "run"));
        run = sl_coord_view(c->brain, "run", ask, sl_now_us(c), &error);
        cluster = run != NULL ? sl_json_str(run, "cluster") : NULL;
        env = run != NULL ? sl_json_str(run, "env") : NULL;
    } else if (env == NULL || sl_json_str(args, "app") == NULL ||
               sl_json_str(args, "object") == NULL) {
        sl_throw(&error, SLU_API_QUERY, "give run=, or app=, env= and object=");
    }
    g_autofree char *curve = error == NULL ? agent_of(c, cluster, env) : NULL;
    if (error == NULL && curve == NULL)
        sl_throw(&error, SLU_API_AGENT_AWAY, "no agent of %s is connected",
                 cluster != NULL ? cluster : env);
    if (error == NULL && g_hash_table_size(c->logs) >= SL_LOG_REQUESTS_MAX)
        sl_throw(&error, SLU_LIMIT, "%d requests for logs wait already", SL_LOG_REQUESTS_MAX);
    if (error != NULL) {
        done(NULL, error, user);
        return;
    }
    SlLogWait *wait = g_new0(SlLogWait, 1);
    wait->c = c;
    wait->id = g_strdup_printf("log%" G_GUINT64_FORMAT, ++c->next_id);
    wait->curve = g_steal_pointer(&curve);
    wait->done = done;
    wait->user = user;
    wait->timer = sl_timer_new(c->loop, log_timed_out, wait);
    g_hash_table_insert(c->logs, wait->id, wait);
    sl_timer_arm(wait->timer, SL_LOG_REQUEST_US);
    send_log_request(c, wait, args, run != NULL ? sl_json_str(run, "id") : NULL);
}

/* ---- events of the link ---- */

static void received(void *user, const char *curve, const Sluice__Wire__Envelope *envelope)
{
    SlCoordinator *c = user;
    c->count_messages++;
    hear(c, curve);
    switch (envelope->body_case) {
    case SLUICE__WIRE__ENVELOPE__BODY_HELLO:
        on_hello(c, curve, envelope->hello);
        break;
    case SLUICE__WIRE__ENVELOPE__BODY_FETCH:
        on_fetch(c, curve, envelope->fetch);
        break;
    case SLUICE__WIRE__ENVELOPE__BODY_REPORT:
        on_statement(c, curve, SL_COORD_REPORT, envelope->report->report);
        break;
    case SLUICE__WIRE__ENVELOPE__BODY_SEAL:
        on_statement(c, curve, SL_COORD_SEAL, envelope->seal->seal);
        break;
    case SLUICE__WIRE__ENVELOPE__BODY_LOG_DATA:
        on_log(c, curve, envelope->log_data);
        break;
    default:
        break; /* the envelope's direction was checked; nothing else comes up */
    }
}

#define DROP_LINES_PER_SECOND 5
#define DROP_LINES_BURST 20

bool sl_agents_line(SlCoordinator *c)
{
    bool may = sl_bucket_take(&c->drop_lines, 1, sl_clock_real.monotonic_us(sl_clock_real.user));
    c->drops_unsaid += !may;
    return may;
}

/* A flood of bad messages is no flood of lines; every one of them is counted. */
static void dropped(void *user, const char *curve, const GError *error)
{
    SlCoordinator *c = user;
    c->count_dropped++;
    if (!sl_agents_line(c))
        return;
    g_autofree char *code = g_strdup_printf("SLU%d", error->code);
    g_autofree char *more = g_strdup_printf("%" G_GUINT64_FORMAT, c->drops_unsaid);
    c->drops_unsaid = 0;
    sl_log(c->log, SL_LOG_WARNING, "message-dropped", "curve", curve != NULL ? curve : "-", "code",
           code, "why", error->message, "unsaid", more, NULL);
}

static void trouble(void *user, const char *curve, const GError *error)
{
    SlCoordinator *c = user;
    g_autofree char *code = g_strdup_printf("SLU%d", error->code);
    SlCoordInput input = {.type = SL_COORD_TROUBLE};
    input.trouble = (SlCoordTrouble){
        .curve = curve,
        .what = error->code == SLU_PEER_TWIN ? "twin" : "suspended",
        .error = error,
    };
    sl_log(c->log, SL_LOG_WARNING, "agent-trouble", "curve", curve, "code", code, "why",
           error->message, NULL);
    sl_turn_input(c, &input);
}

static void enrol(void *user, const char *peer, const Sluice__Wire__Envelope *envelope)
{
    SlCoordinator *c = user;
    const Sluice__Wire__Enrol *message = envelope->enrol;
    g_autoptr(GError) error = NULL;
    g_autoptr(SlSigned) statement = NULL;
    if (message == NULL || message->token_id.len != 16 || message->proof.len != 32)
        sl_throw(&error, SLU_WIRE_FORMAT, "enrolment: no token id of 16 bytes, or no proof of 32");
    else if (g_hash_table_size(c->enrolling) >= SL_ENROLLING_MAX)
        sl_throw(&error, SLU_LIMIT, "enrolment: %d requests wait already", SL_ENROLLING_MAX);
    else
        statement = sl_wire_to_signed(message->request, &error);
    if (statement == NULL) {
        dropped(c, NULL, error);
        return;
    }
    g_autofree char *token = sl_hex(message->token_id.data, message->token_id.len);
    g_autofree char *id = g_strdup_printf("enrol%" G_GUINT64_FORMAT, ++c->next_id);
    g_hash_table_insert(c->enrolling, g_strdup(id), g_strdup(peer));
    SlCoordInput input = {.type = SL_COORD_ENROL};
    input.enrol = (SlCoordEnrol){
        .request_id = id, .statement = statement, .token_id = token, .proof = message->proof.data};
    sl_turn_input(c, &input);
}

/* ---- out ---- */

typedef struct {
    size_t n;
    Sluice__Wire__Signed *messages;
    Sluice__Wire__Signed **list;
} SignedList;

static SignedList signed_list(const GPtrArray *statements)
{
    SignedList made = {.n = statements != NULL ? statements->len : 0};
    made.messages = g_new0(Sluice__Wire__Signed, made.n + 1);
    made.list = g_new0(Sluice__Wire__Signed *, made.n + 1);
    for (size_t i = 0; i < made.n; i++) {
        sluice__wire__signed__init(&made.messages[i]);
        sl_wire_signed(statements->pdata[i], &made.messages[i]);
        made.list[i] = &made.messages[i];
    }
    return made;
}

static void signed_list_clear(SignedList *list)
{
    for (size_t i = 0; i < list->n; i++)
        g_free(list->messages[i].sigs);
    g_free(list->messages);
    g_free(list->list);
}

static void send_steps(SlCoordinator *c, const SlCoordEffect *e)
{
    Sluice__Wire__Steps steps = SLUICE__WIRE__STEPS__INIT;
    Sluice__Wire__Envelope envelope = SLUICE__WIRE__ENVELOPE__INIT;
    SignedList roots = signed_list(e->roots), registries = signed_list(e->registries);
    envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_STEPS;
    envelope.steps = &steps;
    steps.n_roots = roots.n;
    steps.roots = roots.list;
    steps.n_registries = registries.n;
    steps.registries = registries.list;
    send_envelope(c, e->curve, &envelope);
    signed_list_clear(&roots);
    signed_list_clear(&registries);
}

static void send_head(SlCoordinator *c, const SlCoordEffect *e)
{
    Sluice__Wire__Signed message = SLUICE__WIRE__SIGNED__INIT;
    Sluice__Wire__Head head = SLUICE__WIRE__HEAD__INIT;
    Sluice__Wire__Envelope envelope = SLUICE__WIRE__ENVELOPE__INIT;
    sl_wire_signed(e->statement, &message);
    head.head = &message;
    head.return_ms = sl_server_return_ms(c->server);
    envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_HEAD;
    envelope.head = &head;
    send_envelope(c, e->curve, &envelope);
    g_free(message.sigs);
}

static void send_small(SlCoordinator *c, const SlCoordEffect *e)
{
    Sluice__Wire__Reset reset = SLUICE__WIRE__RESET__INIT;
    Sluice__Wire__ReportAck report = SLUICE__WIRE__REPORT_ACK__INIT;
    Sluice__Wire__SealAck seal = SLUICE__WIRE__SEAL_ACK__INIT;
    Sluice__Wire__Envelope envelope = SLUICE__WIRE__ENVELOPE__INIT;
    uint8_t raw[32];
    if (e->send == SL_COORD_SEND_RESET) {
        reset.reason = e->reason != NULL ? e->reason : (char *)"";
        envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_RESET;
        envelope.reset = &reset;
    } else if (e->send == SL_COORD_SEND_REPORT_ACK) {
        report.boot = e->boot != NULL ? e->boot : (char *)"";
        report.counter = e->counter;
        report.want_full = e->want_full;
        envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_REPORT_ACK;
        envelope.report_ack = &report;
    } else {
        if (e->digest == NULL || !sl_unhex(e->digest, raw, sizeof raw))
            return;
        seal.digest = (ProtobufCBinaryData){.data = raw, .len = sizeof raw};
        seal.refused = e->refused != NULL ? e->refused : (char *)"";
        envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_SEAL_ACK;
        envelope.seal_ack = &seal;
    }
    send_envelope(c, e->curve, &envelope);
}

void sl_agents_send(SlCoordinator *c, const SlCoordEffect *e)
{
    if (c->server == NULL || e->curve == NULL)
        return;
    if (e->send == SL_COORD_SEND_STEPS)
        send_steps(c, e);
    else if (e->send == SL_COORD_SEND_HEAD)
        send_head(c, e);
    else
        send_small(c, e);
}

void sl_agents_enrol_reply(SlCoordinator *c, const SlCoordEffect *e)
{
    g_autofree char *key = NULL, *peer = NULL;
    if (!g_hash_table_steal_extended(c->enrolling, e->id, (gpointer *)&key, (gpointer *)&peer))
        return;
    Sluice__Wire__EnrolReply reply = SLUICE__WIRE__ENROL_REPLY__INIT;
    Sluice__Wire__Envelope envelope = SLUICE__WIRE__ENVELOPE__INIT;
    SignedList roots = signed_list(e->roots), registries = signed_list(e->registries);
    envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_ENROL_REPLY;
    envelope.enrol_reply = &reply;
    reply.state = (char *)sl_json_str_or(e->body, "state", "refused");
    c->count_refused += strcmp(reply.state, "refused") == 0;
    reply.message = (char *)sl_json_str_or(e->body, "message", "");
    reply.environment = (char *)sl_json_str_or(e->body, "environment", "");
    reply.cluster = (char *)sl_json_str_or(e->body, "cluster", "");
    reply.n_roots = roots.n;
    reply.roots = roots.list;
    reply.n_registries = registries.n;
    reply.registries = registries.list;
    reply.agent_endpoint = c->config->agents_advertise;
    reply.server_key = (ProtobufCBinaryData){.data = c->curve.public_, .len = 32};
    sl_server_enrol_reply(c->server, peer, &envelope);
    signed_list_clear(&roots);
    signed_list_clear(&registries);
}

/* ---- sessions ---- */

void sl_agents_allow(SlCoordinator *c)
{
    uint64_t version = sl_coord_keys_version(c->brain);
    if (c->server == NULL || c->keys_version == version)
        return;
    c->keys_version = version;
    g_autoptr(GPtrArray) keys = sl_coord_curve_keys(c->brain);
    sl_server_allow(c->server, keys);
}

static void gone(void *user, const char *curve)
{
    SlCoordinator *c = user;
    SlCoordInput input = {.type = SL_COORD_GONE, .curve = curve};
    g_hash_table_remove(c->heard, curve);
    sl_turn_input(c, &input);
}

bool sl_agents_start(SlCoordinator *c, GError **error)
{
    c->server_events = (SlServerEvents){.user = c,
                                        .received = received,
                                        .dropped = dropped,
                                        .enrol = enrol,
                                        .gone = gone,
                                        .trouble = trouble};
    c->drop_lines = (SlBucket){
        .rate = DROP_LINES_PER_SECOND, .burst = DROP_LINES_BURST, .tokens = DROP_LINES_BURST};
    c->heard = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    c->enrolling = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    c->logs = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, log_wait_free);
    g_autoptr(GPtrArray) keys = sl_coord_curve_keys(c->brain);
    SlServerConfig config = {.endpoint = c->config->agents_listen,
                             .enrol_endpoint = c->config->enrol_listen,
                             .keys = &c->curve,
                             .events = &c->server_events,
                             .loop = c->loop,
                             .peers_max = c->config->agents_max,
                             .allowed = keys};
    c->server = sl_server_new(&config, error);
    if (c->server == NULL)
        return false;
    c->keys_version = sl_coord_keys_version(c->brain);
    return true;
}

void sl_agents_free(SlCoordinator *c)
{
    g_autoptr(GList) waiting = c->logs != NULL ? g_hash_table_get_values(c->logs) : NULL;
    g_autoptr(GError) error = NULL;
    sl_throw(&error, SLU_UNAVAILABLE, "the coordinator is stopping");
    for (GList *at = waiting; at != NULL; at = at->next)
        end_log(c, at->data, NULL, error);
    sl_server_free(c->server);
    c->server = NULL;
    g_clear_pointer(&c->heard, g_hash_table_unref);
    g_clear_pointer(&c->enrolling, g_hash_table_unref);
    g_clear_pointer(&c->logs, g_hash_table_unref);
}
