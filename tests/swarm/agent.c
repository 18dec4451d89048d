/* agent.c - one thin agent: see run.c. */
#include "agent.h"

#include "core/digestmap.h"
#include "core/head.h"
#include "core/report.h"
#include "link/convert.h"
#include "runtime/loop.h"

#include <string.h>
#include <zmq.h>

#define RECONNECT_MIN_MS 250 /* as lib/link/client.c: 250 ms and as much jitter, up to 30 s */
#define RECONNECT_MAX_MS 30000
#define RETURN_MIN_US (SL_SECOND_US / 4)
#define HANDSHAKE_US (30 * SL_SECOND_US)
#define UNANSWERED_US (10 * SL_SECOND_US)
#define MESSAGE_MAX (768 * 1024)

int64_t swarm_now_us(void)
{
    return sl_clock_real.monotonic_us(sl_clock_real.user);
}

static void send_envelope(Swarm *s, SwarmAgent *a, const Sluice__Wire__Envelope *envelope)
{
    g_autoptr(GBytes) bytes = sl_wire_pack(envelope);
    size_t len;
    const void *data = g_bytes_get_data(bytes, &len);
    if (zmq_send(a->socket, data, len, ZMQ_DONTWAIT) < 0) {
        s->unsent++;
    }
}

static void say_hello(Swarm *s, SwarmAgent *a)
{
    uint8_t nonce[16];
    Sluice__Wire__Hello hello = SLUICE__WIRE__HELLO__INIT;
    Sluice__Wire__Envelope envelope = SLUICE__WIRE__ENVELOPE__INIT;
    sl_random_bytes(nonce, sizeof nonce);
    hello.nonce = (ProtobufCBinaryData){sizeof nonce, nonce};
    hello.root_version = a->root;
    hello.registry_version = a->registry;
    hello.format_max = SL_STATEMENT_FORMAT;
    hello.cluster = a->name;
    hello.version = (char *)"swarm";
    hello.term = a->term;
    hello.head_version = a->version;
    envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_HELLO;
    envelope.hello = &hello;
    a->headed = a->asked = false;
    a->fetching = 0;
    s->hellos++;
    send_envelope(s, a, &envelope);
}

static SlSigned *make_report(Swarm *s, SwarmAgent *a)
{
    static char *empty;
    if (empty == NULL) {
        g_autoptr(SlMap) map = sl_map_new();
        empty = sl_map_root(map);
    }
    SlReport report = {.fleet = a->fleet,
                       .env = (char *)s->env,
                       .cluster = a->name,
                       .boot = a->boot,
                       .counter = ++a->counter,
                       .clock_us = sl_clock_real.utc_us(sl_clock_real.user),
                       .head = a->head,
                       .term = a->term,
                       .version = a->version,
                       .root = a->root,
                       .registry = a->registry,
                       .ledger_seq = a->ledger_seq,
                       .ledger_hash = a->ledger_hash,
                       .applied = empty,
                       .full = a->counter == 1};
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) text = sl_report_format(&report, &error);
    if (text == NULL) {
        g_error("report: %s", error->message);
    }
    SlSigned *statement = sl_signed_new(text);
    sl_signed_sign(statement, SL_STATEMENT_REPORT, a->keys.secret);
    return statement;
}

void swarm_agent_report(Swarm *s, SwarmAgent *a)
{
    if (!a->connected || !a->headed) {
        return;
    }
    g_autoptr(SlSigned) statement = make_report(s, a);
    Sluice__Wire__Signed text = SLUICE__WIRE__SIGNED__INIT;
    Sluice__Wire__Report report = SLUICE__WIRE__REPORT__INIT;
    Sluice__Wire__Envelope envelope = SLUICE__WIRE__ENVELOPE__INIT;
    sl_wire_signed(statement, &text);
    report.report = &text;
    envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_REPORT;
    envelope.report = &report;
    a->asked = true;
    a->asked_us = swarm_now_us();
    s->reports++;
    send_envelope(s, a, &envelope);
    g_free(text.sigs);
}

static void fetch(Swarm *s, SwarmAgent *a, const char *hex)
{
    uint8_t digest[32];
    Sluice__Wire__Fetch ask = SLUICE__WIRE__FETCH__INIT;
    Sluice__Wire__Envelope envelope = SLUICE__WIRE__ENVELOPE__INIT;
    if (!sl_unhex(hex, digest, sizeof digest)) {
        return;
    }
    ask.digest = (ProtobufCBinaryData){sizeof digest, digest};
    ask.kind = SLUICE__WIRE__FETCH__KIND__BLOB;
    ask.max = SL_FETCH_MAX;
    envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_FETCH;
    envelope.fetch = &ask;
    a->fetching++;
    s->fetches++;
    send_envelope(s, a, &envelope);
}

static void on_head(Swarm *s, SwarmAgent *a, const Sluice__Wire__Head *message)
{
    g_autoptr(SlSigned) statement = sl_wire_to_signed(message->head, NULL);
    g_autoptr(SlHead) head = statement != NULL ? sl_head_parse(statement->text, NULL) : NULL;
    if (head == NULL || strcmp(head->cluster, a->name) != 0) {
        return;
    }
    g_autofree char *digest = sl_signed_digest(statement);
    bool changed = strcmp(a->desired, head->desired) != 0;
    g_strlcpy(a->head, digest, sizeof a->head);
    g_strlcpy(a->desired, head->desired, sizeof a->desired);
    g_strlcpy(a->fleet, head->fleet, sizeof a->fleet);
    g_strlcpy(a->ledger_hash, head->ledger_hash, sizeof a->ledger_hash);
    a->term = head->term;
    a->version = head->version;
    a->root = head->root;
    a->registry = head->registry;
    a->ledger_seq = head->ledger_seq;
    a->headed = true;
    a->return_us = (int64_t)message->return_ms * 1000;
    s->heads++;
    if (a->round == ROUND_WAITS) {
        a->round = ROUND_HEADED;
        s->round_heads_us = swarm_now_us();
        s->round_first_us = s->round_first_us == 0 ? s->round_heads_us : s->round_first_us;
    }
    if (changed) {
        fetch(s, a, a->desired);
    } else {
        swarm_agent_report(s, a);
    }
}

/* An index names its buckets; a bucket is the end. */
static void on_chunk(Swarm *s, SwarmAgent *a, const Sluice__Wire__Chunk *chunk)
{
    g_autofree char *digest = sl_hex(chunk->digest.data, chunk->digest.len);
    if (a->fetching == 0 || chunk->missing) {
        return;
    }
    a->fetching--;
    if (strcmp(digest, a->desired) == 0) {
        g_autoptr(GBytes) text = g_bytes_new(chunk->data.data, chunk->data.len);
        g_autoptr(SlMapIndex) index = sl_map_index_parse(text, digest, NULL);
        for (size_t i = 0; index != NULL && i < sl_map_index_count(index); i++) {
            fetch(s, a, sl_map_index_nth(index, i));
        }
    }
    if (a->fetching == 0) {
        swarm_agent_report(s, a);
    }
}

static void on_ack(Swarm *s, SwarmAgent *a, const Sluice__Wire__ReportAck *ack)
{
    s->acks++;
    if (ack->counter != a->counter) {
        return;
    }
    if (a->asked) {
        uint32_t rtt = (uint32_t)(swarm_now_us() - a->asked_us);
        g_array_append_val(s->rtts, rtt);
        a->asked = false;
    }
    if (a->round == ROUND_HEADED && a->fetching == 0) {
        a->round = ROUND_DONE;
        s->round_left--;
        s->round_acked_us = swarm_now_us();
    }
}

static void take(Swarm *s, SwarmAgent *a, zmq_msg_t *message)
{
    Sluice__Wire__Envelope *e = sl_wire_unpack(zmq_msg_data(message), zmq_msg_size(message),
                                               SL_DIRECTION_DOWN, SL_ROLE_AGENT, NULL);
    if (e == NULL) {
        return;
    }
    if (e->body_case == SLUICE__WIRE__ENVELOPE__BODY_HEAD) {
        on_head(s, a, e->head);
    } else if (e->body_case == SLUICE__WIRE__ENVELOPE__BODY_CHUNK) {
        on_chunk(s, a, e->chunk);
    } else if (e->body_case == SLUICE__WIRE__ENVELOPE__BODY_REPORT_ACK) {
        on_ack(s, a, e->report_ack);
    } else if (e->body_case == SLUICE__WIRE__ENVELOPE__BODY_RESET) {
        say_hello(s, a);
    }
    sl_wire_free(e);
}

/* With ZMQ_IMMEDIATE a DEALER can send exactly while it has a finished handshake. */
static void look(Swarm *s, SwarmAgent *a, int events)
{
    bool connected = (events & ZMQ_POLLOUT) != 0;
    if (connected && !a->connected) {
        a->connected = true;
        a->unanswered = 0;
        say_hello(s, a);
    }
    a->connected = connected;
}

/* A number from 0 to @max. */
static int64_t jitter(int64_t max)
{
    uint32_t random;
    sl_random_bytes(&random, sizeof random);
    return (int64_t)(random % (uint64_t)MAX(max, 1));
}

/* What any call of libzmq notices is not said by the descriptor any more, so the events are asked for
 * until there is nothing left. */
bool swarm_agent_turn(Swarm *s, SwarmAgent *a)
{
    for (;;) {
        int events = 0;
        size_t len = sizeof events;
        zmq_msg_t message;
        if (zmq_getsockopt(a->socket, ZMQ_EVENTS, &events, &len) != 0) {
            return true;
        }
        bool was = a->connected;
        look(s, a, events);
        if (was && !a->connected && a->return_us > RETURN_MIN_US) {
            a->back_us = swarm_now_us() + jitter(a->return_us);
            return false;
        }
        if ((events & ZMQ_POLLIN) == 0) {
            if (was == a->connected) {
                return true;
            }
            continue; /* HELLO was sent */
        }
        zmq_msg_init(&message);
        if (zmq_msg_recv(&message, a->socket, ZMQ_DONTWAIT) >= 0) {
            take(s, a, &message);
        }
        zmq_msg_close(&message);
    }
}

bool swarm_agent_unanswered(SwarmAgent *a, int64_t now_us)
{
    if (a->connected || now_us - a->came_us < HANDSHAKE_US) {
        return false;
    }
    int64_t within_us = MIN(UNANSWERED_US << a->unanswered, SL_MINUTE_US);
    a->unanswered = MIN(a->unanswered + 1, 3);
    a->back_us = now_us + jitter(MAX(a->return_us, within_us));
    return true;
}

void swarm_agent_init(SwarmAgent *a, const char *seed, unsigned index)
{
    uint8_t boot[16];
    sl_random_bytes(boot, sizeof boot);
    g_autofree char *text = sl_hex(boot, sizeof boot);
    g_strlcpy(a->boot, text, sizeof a->boot);
    a->name = swarm_name(index);
    swarm_keys(seed, index, &a->keys);
}

int swarm_agent_open(Swarm *s, SwarmAgent *a)
{
    int fd = -1;
    size_t len = sizeof fd;
    a->came_us = swarm_now_us();
    SlDealerConfig config = {.context = s->context,
                             .keys = &a->keys.curve,
                             .server_key = s->server_key,
                             .message_max = MESSAGE_MAX,
                             .reconnect_min_ms = RECONNECT_MIN_MS + (int)jitter(RECONNECT_MIN_MS),
                             .reconnect_max_ms = RECONNECT_MAX_MS};
    a->socket = sl_socket_dealer(&config, NULL);
    if (a->socket == NULL || zmq_connect(a->socket, s->endpoint) != 0 ||
        zmq_getsockopt(a->socket, ZMQ_FD, &fd, &len) != 0) {
        return -1;
    }
    return fd;
}

void swarm_agent_close(SwarmAgent *a)
{
    sl_socket_close(a->socket);
    g_free(a->name);
}
