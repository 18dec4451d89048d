/* server.c - the coordinator's side: one CURVE ROUTER on the loop. Loop thread.
 *
 * Checks of a message, cheapest first: frames and user id -> key still on the allow-list (ZAP
 * looked only at the handshake) -> share of bytes -> envelope (proto/wire.c) -> connection.
 * Whatever fails is dropped and said to dropped(), never answered.
 *
 * Route: a key's messages go to the connection that said HELLO last. A message on another
 * connection of the same key (a restarted agent whose HELLO was lost, or a second agent with a
 * copied key) is dropped and answered by RESET, so that a living agent says HELLO there.
 *
 * A peer that sends MALFORMED_MAX messages within a minute that are none, or goes on above its
 * share, is cut off and not let in for SUSPEND_US.
 *
 * Must never block: a peer that does not read fills its own queue only. */
#include "link/server.h"

#include "link/enrolport.h"
#include "link/peer.h"
#include "link/routed.h"
#include "link/selftest.h"
#include "link/socket.h"
#include "link/zap.h"
#include "link/zmqsource.h"

#include <string.h>
#include <sys/resource.h>
#include <zmq.h>

#define DRAIN_MAX 64 /* messages per turn, so that timers and HTTP get their turn */
#define PEERS_MAX_DEFAULT 1000
#define HALF_OPEN_MAX 256   /* connections besides one per peer: handshakes, and who comes back */
#define OTHER_FILES 2560    /* descriptors besides: HTTP API on two ports, enrolment, Git, SQLite */
#define OTHER_FILES_MIN 512 /* if nobody asked for a number of peers */
/* Handshakes: a fifth of a core; a whole fleet at once is the burst. */
#define ACCEPTS_PER_SECOND 300
#define MUTE_US (60 * SL_SECOND_US) /* HELLO follows the handshake at once, which has 30 s */
#define MALFORMED_MAX 10            /* within a minute (said as "ten"): our own agents send none */
#define FLOODS_MAX 1000     /* dropped within a minute: a burst after a pause is far below */
#define HELLO_COST 4096     /* of the share: 64 a second */
#define BUFFER (256 * 1024) /* of the kernel, for each; libzmq still reads it after a cut */
#define TWINS_MAX 3         /* within a minute: a restart is one */
#define SUSPEND_US SL_MINUTE_US
#define RETURN_MS_EACH                                                                             \
    2 /* of an agent that comes back: twice what handshake, HELLO and HEAD cost */
#define RETURN_MS_MAX 60000
#define SILENT_DEFAULT_US (100 * SL_SECOND_US)
#define FLUSH_US (SL_SECOND_US / 20) /* a full peer is tried again after this */
#define SWEEP_US (5 * SL_SECOND_US)
#define RESET_GAP_US SL_SECOND_US

struct SlServer {
    SlServerConfig config;
    void *context, *socket;
    SlZap *zap;
    SlDoorman *doorman;
    SlZmqSource *source;
    SlEnrolPort *enrol;
    SlTimer *flush_timer, *sweep_timer;
    GHashTable *peers; /* 64 hex -> SlPeer* */
    guint allowed;     /* keys on the list */
};

static int64_t now_us(void)
{
    return sl_clock_real.monotonic_us(NULL);
}

static void say_dropped(SlServer *server, const char *curve, const GError *error)
{
    server->config.events->dropped(server->config.events->user, curve, error);
}

/* ---- sending ---- */

/* The loss is said by the sweep, never from inside a send: the caller is in the middle of
 * something. */
static void mark_lost(SlServer *server, SlPeer *peer)
{
    peer->lost = true;
    sl_peer_clear_queue(peer);
    sl_timer_arm(server->sweep_timer, 0);
}

/* True: sent or queued. */
static bool send_or_queue(SlServer *server, SlPeer *peer, SlMessageType type, GBytes *bytes)
{
    if (!sl_peer_has_queue(peer)) {
        switch (sl_routed_send(server->socket, peer->route, bytes)) {
        case SL_SENT:
            return true;
        case SL_SEND_GONE:
            mark_lost(server, peer);
            return false;
        default:
            break;
        }
    }
    if (!sl_peer_queue(peer, type, bytes)) {
        return false;
    }
    sl_timer_arm(server->flush_timer, FLUSH_US);
    return true;
}

/* True if something is still queued. */
static bool flush_peer(SlServer *server, SlPeer *peer)
{
    for (GBytes *first = sl_peer_first(peer); first != NULL; first = sl_peer_first(peer)) {
        SlSendResult result = sl_routed_send(server->socket, peer->route, first);
        if (result == SL_SEND_FULL) {
            return true;
        }
        if (result == SL_SEND_GONE) {
            mark_lost(server, peer);
            return false;
        }
        sl_peer_pop(peer);
    }
    return false;
}

static void on_flush(void *user)
{
    SlServer *server = user;
    GHashTableIter iter;
    gpointer value;
    bool more = false;
    g_hash_table_iter_init(&iter, server->peers);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        more = flush_peer(server, value) || more;
    }
    sl_timer_arm(server->flush_timer, more ? FLUSH_US : -1);
}

bool sl_server_send(SlServer *server, const char *curve, const Sluice__Wire__Envelope *envelope)
{
    SlPeer *peer = g_hash_table_lookup(server->peers, curve);
    SlMessageType type = sl_message_type(envelope);
    if (peer == NULL || peer->route == NULL || peer->lost || type == SL_N_MESSAGES) {
        return false;
    }
    g_autoptr(GBytes) bytes = sl_wire_pack(envelope);
    return g_bytes_get_size(bytes) <= sl_message_info(type)->bytes_max &&
           send_or_queue(server, peer, type, bytes);
}

static void send_reset(SlServer *server, SlPeer *peer, GBytes *route)
{
    if (now_us() - peer->reset_us < RESET_GAP_US) {
        return;
    }
    peer->reset_us = now_us();
    Sluice__Wire__Reset reset = SLUICE__WIRE__RESET__INIT;
    Sluice__Wire__Envelope envelope = SLUICE__WIRE__ENVELOPE__INIT;
    reset.reason = (char *)"say hello on this connection";
    envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_RESET;
    envelope.reset = &reset;
    g_autoptr(GBytes) bytes = sl_wire_pack(&envelope);
    sl_routed_send(server->socket, route, bytes);
}

/* ---- peers that are gone ---- */

static bool is_gone(const SlServer *server, const SlPeer *peer, int64_t now)
{
    return peer->route != NULL && (peer->lost || now - peer->seen_us > server->config.silent_us);
}

/* Keys first, then callbacks: a callback may send or change the allow-list. */
static void on_sweep(void *user)
{
    SlServer *server = user;
    g_autoptr(GPtrArray) gone = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter iter;
    gpointer value;
    int64_t now = now_us();
    g_hash_table_iter_init(&iter, server->peers);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        SlPeer *peer = value;
        if (peer->suspended_us != 0 && peer->suspended_us <= now) {
            peer->suspended_us = 0;
            sl_zap_suspend(server->zap, peer->curve, false);
        }
        if (is_gone(server, peer, now)) {
            g_clear_pointer(&peer->route, g_bytes_unref);
            sl_peer_clear_queue(peer);
            peer->lost = false;
            g_ptr_array_add(gone, g_strdup(peer->curve));
        }
    }
    sl_timer_arm(server->sweep_timer, MIN(SWEEP_US, MAX(server->config.silent_us / 2, 1000)));
    for (guint i = 0; i < gone->len && server->config.events->gone != NULL; i++) {
        server->config.events->gone(server->config.events->user, g_ptr_array_index(gone, i));
    }
}

/* ---- receiving ---- */

static SlPeer *find_peer(SlServer *server, const char *curve, GError **error)
{
    if (!sl_zap_allowed(server->zap, curve)) {
        return sl_throw_null(error, SLU_PEER_UNKNOWN, "key %.16s... is not registered (any more)",
                             curve);
    }
    SlPeer *peer = g_hash_table_lookup(server->peers, curve);
    if (peer == NULL && g_hash_table_size(server->peers) >= server->config.peers_max) {
        return sl_throw_null(error, SLU_PEERS_MAX,
                             "%zu clusters are connected already, which is the limit",
                             server->config.peers_max);
    }
    if (peer == NULL) {
        peer = sl_peer_new(curve);
        g_hash_table_insert(server->peers, peer->curve, peer);
    }
    return peer;
}

static void say_trouble(SlServer *server, const SlPeer *peer, const GError *error)
{
    if (server->config.events->trouble != NULL) {
        server->config.events->trouble(server->config.events->user, peer->curve, error);
    }
}

/* What it has sent already is dropped unread; SUSPENDED is said once. */
static void suspend(SlServer *server, SlPeer *peer, const char *why)
{
    g_autoptr(GError) error = NULL;
    sl_throw(&error, SLU_PEER_SUSPENDED, "%s; it is cut off for %d seconds", why,
             (int)(SUSPEND_US / SL_SECOND_US));
    peer->suspended_us = now_us() + SUSPEND_US;
    sl_zap_suspend(server->zap, peer->curve, true);
    sl_doorman_cut(server->doorman, peer->curve);
    mark_lost(server, peer);
    say_trouble(server, peer, error);
}

/* After a message that was dropped: does its sender go on like this? */
static void count_strike(SlServer *server, const char *curve, int code)
{
    SlPeer *peer = g_hash_table_lookup(server->peers, curve);
    if (peer == NULL || peer->suspended_us != 0 || code == SLU_CONFLICT) {
        return;
    }
    if (code == SLU_FLOOD) {
        if (sl_strikes_add(&peer->floods, FLOODS_MAX, now_us())) {
            suspend(server, peer, "it goes on sending more than its share");
        }
    } else if (sl_strikes_add(&peer->malformed, MALFORMED_MAX, now_us())) {
        suspend(server, peer, "it sent ten malformed messages within a minute");
    }
}

/* Both connections live: a restarted agent's old one is closed by then, or dies within seconds. Who
 * goes on talking on the old one counts double: nobody honest does. */
static void count_twin(SlServer *server, SlPeer *peer, unsigned weight)
{
    g_autoptr(GError) error = NULL;
    bool many = false;
    if (sl_doorman_count(server->doorman, peer->curve) < 2) {
        return;
    }
    for (unsigned i = 0; i < weight; i++) {
        many = sl_strikes_add(&peer->twins, TWINS_MAX, now_us()) || many;
    }
    if (many) {
        sl_throw(&error, SLU_PEER_TWIN,
                 "two machines use this cluster's key at the same time; one of them has a copy");
        say_trouble(server, peer, error);
    }
}

/* By the tag byte of the one field of the envelope (proto/wire.c checks it later). */
static bool looks_like(GBytes *body, SlMessageType type)
{
    size_t len;
    const uint8_t *bytes = g_bytes_get_data(body, &len);
    return len > 0 && bytes[0] == (((int)type + 1) << 3 | 2);
}

/* Bytes that a message counts for: a HELLO asks for a signed head. */
static size_t cost_of(GBytes *body)
{
    size_t len = g_bytes_get_size(body);
    return looks_like(body, SL_MESSAGE_HELLO) ? MAX(len, HELLO_COST) : len;
}

static bool take_route(SlServer *server, SlPeer *peer, const SlRouted *message, SlMessageType type,
                       GError **error)
{
    bool same = peer->route != NULL && g_bytes_equal(peer->route, message->route);
    if (!same && peer->route != NULL && !peer->lost) {
        count_twin(server, peer, type == SL_MESSAGE_HELLO ? 1 : 2);
    }
    if (!same && peer->route != NULL && type != SL_MESSAGE_HELLO) {
        send_reset(server, peer, message->route);
        return sl_throw(
            error, SLU_CONFLICT,
            "%s on a second connection of the same key; only the one that said hello last is heard",
            sl_message_info(type)->name);
    }
    if (!same) {
        g_clear_pointer(&peer->route, g_bytes_unref);
        peer->route = g_bytes_ref(message->route);
        sl_peer_clear_queue(peer); /* meant for a session that is over */
    }
    peer->lost = false;
    peer->seen_us = now_us();
    return true;
}

static Sluice__Wire__Envelope *accept_message(SlServer *server, const SlRouted *message,
                                              GError **error)
{
    SlPeer *peer = find_peer(server, message->user, error);
    if (peer == NULL) {
        return NULL;
    }
    if (peer->suspended_us != 0) {
        return sl_throw_null(error, SLU_PEER_SUSPENDED, "the peer is suspended");
    }
    size_t len;
    const void *bytes = g_bytes_get_data(message->body, &len);
    if (!sl_peer_charge(peer, looks_like(message->body, SL_MESSAGE_LOG_DATA),
                        cost_of(message->body), now_us())) {
        return sl_throw_null(
            error, SLU_FLOOD,
            "the peer sends more than its share; a message of %zu bytes was dropped", len);
    }
    Sluice__Wire__Envelope *envelope =
        sl_wire_unpack(bytes, len, SL_DIRECTION_UP, SL_ROLE_AGENT, error);
    if (envelope != NULL && !take_route(server, peer, message, sl_message_type(envelope), error)) {
        sl_wire_free(envelope);
        return NULL;
    }
    return envelope;
}

static void handle(SlServer *server, SlRoutedResult result, const SlRouted *message)
{
    g_autoptr(GError) error = NULL;
    const char *curve = message->user[0] != '\0' ? message->user : "-";
    if (result == SL_ROUTED_BAD) {
        sl_throw(&error, SLU_WIRE_FORMAT, "message with the wrong number of frames");
        say_dropped(server, curve, error);
        count_strike(server, curve, error->code);
        return;
    }
    Sluice__Wire__Envelope *envelope = accept_message(server, message, &error);
    if (envelope == NULL) {
        say_dropped(server, curve, error);
        count_strike(server, curve, error->code);
        return;
    }
    server->config.events->received(server->config.events->user, message->user, envelope);
    sl_wire_free(envelope);
}

static void on_ready(void *user)
{
    SlServer *server = user;
    for (int i = 0; i < DRAIN_MAX; i++) {
        SlRouted message;
        SlRoutedResult result = sl_routed_receive(server->socket, &message);
        if (result != SL_ROUTED_NONE) {
            sl_doorman_heard(server->doorman, message.fd, message.user);
            handle(server, result, &message);
        }
        sl_routed_clear(&message);
        if (result == SL_ROUTED_NONE) {
            return;
        }
    }
}

/* ---- life ---- */

/* libzmq spins at 100 % when accept() finds no descriptor, so there must always be one. A number
 * that nobody asked for is made smaller instead of refused. */
static bool ensure_files(SlServerConfig *config, GError **error)
{
    bool asked = config->peers_max > 0;
    config->peers_max = asked ? config->peers_max : PEERS_MAX_DEFAULT;
    struct rlimit limit;
    rlim_t need = (rlim_t)config->peers_max + HALF_OPEN_MAX + OTHER_FILES;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= need) {
        return true;
    }
    rlim_t have = limit.rlim_max;
    limit.rlim_cur = MIN(need, have);
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && have >= need) {
        return true;
    }
    if (!asked && have > HALF_OPEN_MAX + OTHER_FILES_MIN) {
        config->peers_max =
            MIN(config->peers_max, (size_t)(have - HALF_OPEN_MAX - OTHER_FILES_MIN));
        return true;
    }
    return sl_throw(error, SLU_FD_LIMIT,
                    "%zu clusters need %llu open files and only %llu are allowed",
                    config->peers_max, (unsigned long long)need, (unsigned long long)have);
}

/* Largest message that an agent may send. */
static size_t up_max(void)
{
    size_t max = 0;
    for (int i = 0; i < (int)SL_N_MESSAGES; i++) {
        const SlMessageInfo *info = sl_message_info((SlMessageType)i);
        if (info->direction == SL_DIRECTION_UP && info->role == SL_ROLE_AGENT) {
            max = MAX(max, info->bytes_max);
        }
    }
    return max;
}

static SlDoorman *open_doorman(SlServer *server, GError **error)
{
    size_t peers = server->config.peers_max;
    SlDoorLimits limits = {.connections_max = peers + HALF_OPEN_MAX,
                           .accepts_per_second = MAX(ACCEPTS_PER_SECOND, (double)peers / 10),
                           .accepts_burst = 2 * peers + HALF_OPEN_MAX, /* all of them, twice */
                           .mute_us = MUTE_US,
                           .open_max = (SL_RECEIVE_MAX + 8) * up_max()};
    return sl_doorman_new(server->context, server->socket, &limits, error);
}

#define PROOF_ENDPOINT "tcp://127.0.0.1:*"

/* On a door of its own, so that no agent meets the empty list which the proof needs: it would be
 * refused, and say so. */
static bool prove(SlServer *server, GError **error)
{
    char bound[64] = "";
    size_t len = sizeof bound;
    if (!sl_socket_bind(server->socket, PROOF_ENDPOINT, error) ||
        !sl_selftest(server->context, server->socket, server->config.keys->public_, error)) {
        return false;
    }
    return (zmq_getsockopt(server->socket, ZMQ_LAST_ENDPOINT, bound, &len) == 0 &&
            zmq_unbind(server->socket, bound) == 0) ||
           sl_throw(error, SLU_INTERNAL, "libzmq keeps the self-test's port open: %s",
                    zmq_strerror(zmq_errno()));
}

/* ZAP handler, then ROUTER, then proof, list and doorman; only then the door is opened. */
static bool open_server(SlServer *server, GError **error)
{
    server->context = sl_context_new();
    server->zap = sl_zap_new(server->context, error);
    if (server->zap == NULL) {
        return false;
    }
    SlRouterConfig options = {.context = server->context,
                              .keys = server->config.keys,
                              .domain = SL_ZAP_DOMAIN_AGENT,
                              .message_max = up_max(),
                              .receive_buffer = BUFFER};
    server->socket = sl_socket_router(&options, error);
    if (server->socket == NULL || !prove(server, error)) {
        return false;
    }
    if (server->config.allowed != NULL) {
        sl_zap_allow(server->zap, server->config.allowed);
        server->allowed = server->config.allowed->len;
    }
    server->config.allowed = NULL;
    server->doorman = open_doorman(server, error);
    if (server->doorman == NULL ||
        !sl_socket_bind(server->socket, server->config.endpoint, error)) {
        return false;
    }
    if (server->config.enrol_endpoint != NULL) {
        server->enrol = sl_enrol_port_new(server->context, &server->config, error);
        if (server->enrol == NULL) {
            return false;
        }
    }
    server->source = sl_zmq_source_new(server->config.loop, server->socket, on_ready, server);
    return true;
}

static void free_peer(gpointer peer)
{
    sl_peer_free(peer);
}

SlServer *sl_server_new(const SlServerConfig *config, GError **error)
{
    SlServer *server = g_new0(SlServer, 1);
    server->config = *config;
    server->config.silent_us = config->silent_us > 0 ? config->silent_us : SILENT_DEFAULT_US;
    server->peers = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_peer);
    server->flush_timer = sl_timer_new(config->loop, on_flush, server);
    server->sweep_timer = sl_timer_new(config->loop, on_sweep, server);
    if (!ensure_files(&server->config, error) || !open_server(server, error)) {
        sl_server_free(server);
        return NULL;
    }
    on_sweep(server);
    return server;
}

void sl_server_free(SlServer *server)
{
    if (server == NULL) {
        return;
    }
    sl_zmq_source_free(server->source);
    sl_enrol_port_free(server->enrol);
    sl_doorman_free(server->doorman);
    sl_socket_close(server->socket);
    sl_zap_free(server->zap); /* after the sockets that it guards */
    sl_context_free(server->context);
    sl_timer_free(server->flush_timer);
    sl_timer_free(server->sweep_timer);
    g_hash_table_unref(server->peers);
    g_free(server);
}

static gboolean no_longer_allowed(gpointer key, gpointer peer, gpointer user)
{
    SlServer *server = user;
    (void)peer;
    if (sl_zap_allowed(server->zap, key)) {
        return FALSE;
    }
    sl_doorman_cut(server->doorman, key);
    sl_zap_suspend(server->zap, key, false);
    return TRUE;
}

void sl_server_allow(SlServer *server, const GPtrArray *curve_keys)
{
    sl_zap_allow(server->zap, curve_keys);
    server->allowed = curve_keys->len;
    g_hash_table_foreach_remove(server->peers, no_longer_allowed, server);
}

uint32_t sl_server_return_ms(const SlServer *server)
{
    return MIN(server->allowed, RETURN_MS_MAX / RETURN_MS_EACH) * RETURN_MS_EACH;
}

void sl_server_counts(SlServer *server, SlDoorCounts *ret_agents, SlDoorCounts *ret_enrol)
{
    *ret_agents = sl_doorman_counts(server->doorman);
    *ret_enrol = server->enrol != NULL ? sl_enrol_port_counts(server->enrol) : (SlDoorCounts){0};
}

void sl_server_enrol_reply(SlServer *server, const char *peer,
                           const Sluice__Wire__Envelope *envelope)
{
    if (server->enrol != NULL) {
        sl_enrol_port_reply(server->enrol, peer, envelope);
    }
}
