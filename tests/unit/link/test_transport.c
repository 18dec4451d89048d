/* test_transport.c - server and client over real sockets on loopback. Every wait turns the loop
 * until an event or a deadline. */
#include "rig.h"

/* ---- tests ---- */

static void test_registered_key(void)
{
    Server s;
    Agent a;
    SlClientEvents events;
    server_start(&s, false, 0);
    agent_init(&a, &s);
    allow(&s, &a, NULL);
    g_assert_false(send_head(&s, a.hex, "x"));
    agent_connect_to(&a, s.endpoint, SL_ROLE_AGENT, &events);
    g_assert_false(send_report(&a, "too early"));
    wait_for(s.loop, a.connected == 1);
    say_hello(&a, "dev1");
    wait_for(s.loop, s.received->len == 1);
    g_assert_cmpstr(s.last_key, ==, a.hex);
    g_assert_cmpstr(s.last_text, ==, "dev1");
    g_assert_true(send_head(&s, a.hex, "head 1"));
    wait_for(s.loop, a.heads == 1);
    g_assert_cmpstr(a.last_head, ==, "head 1");
    agent_stop(&a);
    server_stop(&s);
}

/* The unlisted agent tries as long as it takes the listed one to do everything; then it is listed
 * and gets in by itself. */
static void test_unlisted_key(void)
{
    Server s;
    Agent good, bad;
    SlClientEvents good_events, bad_events;
    server_start(&s, false, 0);
    agent_init(&good, &s);
    agent_init(&bad, &s);
    allow(&s, &good, NULL);
    agent_connect_to(&bad, s.endpoint, SL_ROLE_AGENT, &bad_events);
    agent_connect_to(&good, s.endpoint, SL_ROLE_AGENT, &good_events);
    wait_for(s.loop, good.connected == 1);
    say_hello(&good, "good");
    wait_for(s.loop, s.received->len == 1);
    g_assert_cmpuint(bad.connected, ==, 0);
    g_assert_false(send_report(&bad, "let me in"));
    wait_for(s.loop, bad.disconnected >= 1);
    g_assert_nonnull(strstr(bad.why->str, "not registered"));
    g_assert_cmpuint(bad.connected, ==, 0);
    g_assert_cmpuint(s.received->len, ==, 1);
    allow(&s, &good, &bad);
    wait_for(s.loop, bad.connected == 1);
    agent_stop(&good);
    agent_stop(&bad);
    server_stop(&s);
}

static void test_hostile_messages(void)
{
    Server s;
    Agent a;
    server_start(&s, false, 0);
    agent_init(&a, &s);
    allow(&s, &a, NULL);
    void *context = sl_context_new();
    void *dealer = raw_dealer(context, &s, &a);
    g_assert_cmpint(zmq_send(dealer, "garbage", 7, 0), ==, 7);
    wait_for(s.loop, dropped_code(&s, SLU_WIRE_FORMAT));
    guint before = s.dropped->len;
    g_assert_cmpint(zmq_send(dealer, "two", 3, ZMQ_SNDMORE), ==, 3);
    g_assert_cmpint(zmq_send(dealer, "frames", 6, 0), ==, 6);
    wait_for(s.loop, s.dropped->len == before + 1);
    g_assert_cmpstr(g_ptr_array_index(s.dropped, before), ==,
                    "message with the wrong number of frames");
    /* Larger than a report's row, smaller than the frame limit. */
    uint8_t big[30 * 1024] = {(SL_MESSAGE_REPORT + 1) << 3 | 2, 0};
    size_t body = sizeof big - 4;
    big[1] = (uint8_t)(body & 0x7f) | 0x80;
    big[2] = (uint8_t)(body >> 7 & 0x7f) | 0x80;
    big[3] = (uint8_t)(body >> 14);
    g_assert_cmpint(zmq_send(dealer, big, sizeof big, 0), ==, sizeof big);
    wait_for(s.loop, dropped_code(&s, SLU_LIMIT));
    g_assert_cmpuint(s.received->len, ==, 0);
    sl_socket_close(dealer);
    sl_context_free(context);
    g_string_free(a.why, TRUE);
    server_stop(&s);
}

/* A frame over the limit ends the connection in libzmq; nothing of it is seen, and the peer can
 * come back. */
static void test_oversize_frame(void)
{
    Server s;
    Agent a;
    server_start(&s, false, 0);
    agent_init(&a, &s);
    allow(&s, &a, NULL);
    void *context = sl_context_new();
    void *dealer = raw_dealer(context, &s, &a);
    g_autofree uint8_t *huge = g_malloc0(300 * 1024);
    g_assert_cmpint(zmq_send(dealer, huge, 300 * 1024, 0), ==, 300 * 1024);
    g_assert_cmpint(zmq_send(dealer, "after", 5, 0), ==, 5);
    sl_socket_close(dealer);
    dealer = raw_dealer(context, &s, &a);
    g_assert_cmpint(zmq_send(dealer, "again", 5, 0), ==, 5);
    wait_for(s.loop, s.dropped->len > 0);
    g_assert_cmpuint(s.received->len, ==, 0);
    for (guint i = 0; i < s.dropped->len; i++) {
        g_assert_null(strstr(g_ptr_array_index(s.dropped, i), "307200"));
    }
    sl_socket_close(dealer);
    sl_context_free(context);
    g_string_free(a.why, TRUE);
    server_stop(&s);
}

/* Envelope of a HELLO with a nonce of zeros. */
static const uint8_t raw_hello[] = {0x0a, 18, 0x0a, 16, 0, 0, 0, 0, 0, 0,
                                    0,    0,  0,    0,  0, 0, 0, 0, 0, 0};

/* Reads everything that waits; the text of the last head in @ret_last. */
static unsigned read_heads(void *dealer, char ret_last[16])
{
    unsigned count = 0;
    static uint8_t bytes[16384];
    for (int got = zmq_recv(dealer, bytes, sizeof bytes, ZMQ_DONTWAIT); got > 0;
         got = zmq_recv(dealer, bytes, sizeof bytes, ZMQ_DONTWAIT)) {
        g_autoptr(GError) error = NULL;
        Sluice__Wire__Envelope *e =
            sl_wire_unpack(bytes, (size_t)got, SL_DIRECTION_DOWN, SL_ROLE_AGENT, &error);
        g_assert_no_error(error);
        memcpy(ret_last, e->head->head->text.data, 8);
        ret_last[8] = '\0';
        sl_wire_free(e);
        count++;
    }
    return count;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1 /* they keep what is freed */
#else
#define SANITIZED 0
#endif

static long resident_kib(void)
{
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents("/proc/self/statm", &text, NULL, NULL));
    return strtol(strchr(text, ' '), NULL, 10) * (sysconf(_SC_PAGESIZE) / 1024);
}

/* A peer that does not read: sending never blocks, memory is bounded, and what it gets in the end
 * is the newest head. */
static void test_latest_head_wins(void)
{
    enum { HEADS = 100000, HEAD_BYTES = 1500, KEPT_KIB = 8 * 1024 };
    Server s;
    Agent a;
    server_start(&s, false, 0);
    agent_init(&a, &s);
    allow(&s, &a, NULL);
    void *context = sl_context_new();
    void *dealer = raw_dealer(context, &s, &a);
    g_assert_cmpint(zmq_send(dealer, raw_hello, sizeof raw_hello, 0), ==, sizeof raw_hello);
    wait_for(s.loop, s.received->len == 1);
    g_autofree char *text = g_strnfill(HEAD_BYTES, 'x');
    long before = resident_kib();
    for (int i = 1; i <= HEADS; i++) {
        g_snprintf(text, 9, "%08d", i);
        text[8] = 'x';
        g_assert_true(
            send_signed(SLUICE__WIRE__ENVELOPE__BODY_HEAD, NULL, &s, a.hex, text, HEAD_BYTES));
    }
    long kept = resident_kib() - before; /* of 150 MB; both ends are in this process */
    g_assert_true(SANITIZED || kept < KEPT_KIB);
    unsigned count = 0;
    char last[16] = "", newest[16];
    g_snprintf(newest, sizeof newest, "%08d", HEADS);
    wait_for(s.loop, (count += read_heads(dealer, last)) > 0 && strcmp(last, newest) == 0);
    g_assert_cmpuint(count, <, HEADS / 2); /* what the kernel and libzmq hold, and the newest */
    sl_socket_close(dealer);
    sl_context_free(context);
    g_string_free(a.why, TRUE);
    server_stop(&s);
}

static void test_flood(void)
{
    Server s;
    Agent a;
    SlClientEvents events;
    server_start(&s, false, 0);
    agent_init(&a, &s);
    allow(&s, &a, NULL);
    agent_connect_to(&a, s.endpoint, SL_ROLE_AGENT, &events);
    wait_for(s.loop, a.connected == 1);
    say_hello(&a, "a");
    char text[20 * 1024];
    memset(text, 'x', sizeof text);
    int64_t end_us = sl_clock_real.monotonic_us(NULL) + DEADLINE_US;
    while (!dropped_code(&s, SLU_FLOOD) && sl_clock_real.monotonic_us(NULL) < end_us) {
        while (
            send_signed(SLUICE__WIRE__ENVELOPE__BODY_REPORT, &a, NULL, NULL, text, sizeof text)) {
        }
        sl_loop_turn(s.loop, SL_SECOND_US / 100);
    }
    g_assert_true(dropped_code(&s, SLU_FLOOD));
    g_assert_cmpuint(s.received->len, >, 40); /* the burst of 1 MiB was let through */
    agent_stop(&a);
    server_stop(&s);
}

/* Two programs with one key: the one that said hello last is heard; the other is told to say hello.
 */
static void test_same_key_twice(void)
{
    Server s;
    Agent a, b;
    SlClientEvents a_events, b_events;
    server_start(&s, false, 0);
    agent_init(&a, &s);
    agent_init(&b, &s);
    b.keys = a.keys;
    memcpy(b.hex, a.hex, sizeof b.hex);
    allow(&s, &a, NULL);
    agent_connect_to(&a, s.endpoint, SL_ROLE_AGENT, &a_events);
    agent_connect_to(&b, s.endpoint, SL_ROLE_AGENT, &b_events);
    wait_for(s.loop, a.connected == 1 && b.connected == 1);
    say_hello(&a, "first");
    wait_for(s.loop, s.received->len == 1);
    g_assert_true(send_report(&b, "no hello yet"));
    wait_for(s.loop, dropped_code(&s, SLU_CONFLICT));
    wait_for(s.loop, b.last_reason[0] != '\0');
    say_hello(&b, "second");
    wait_for(s.loop, s.received->len == 2);
    g_assert_true(send_head(&s, a.hex, "for the second"));
    wait_for(s.loop, b.heads == 1);
    g_assert_cmpuint(a.heads, ==, 0);
    agent_stop(&a);
    agent_stop(&b);
    server_stop(&s);
}

static void test_reconnect_and_gone(void)
{
    Server s;
    Agent a;
    SlClientEvents events;
    server_start(&s, false, SL_SECOND_US / 5);
    agent_init(&a, &s);
    allow(&s, &a, NULL);
    agent_connect_to(&a, s.endpoint, SL_ROLE_AGENT, &events);
    wait_for(s.loop, a.connected == 1);
    say_hello(&a, "a");
    wait_for(s.loop, s.received->len == 1);
    wait_for(s.loop, s.gone == 1); /* says nothing */
    g_assert_false(send_head(&s, a.hex, "x"));
    say_hello(&a, "a");
    wait_for(s.loop, s.received->len == 2);
    g_assert_true(send_head(&s, a.hex, "x"));
    sl_client_free(a.client);
    wait_for(s.loop, s.gone == 2);
    a.connected = 0;
    agent_connect_to(&a, s.endpoint, SL_ROLE_AGENT, &events);
    wait_for(s.loop, a.connected == 1);
    agent_stop(&a);
    server_stop(&s);
}

/* The server goes and comes back on the same port: the client is told, and gets in again by itself.
 */
static void test_server_restart(void)
{
    Server s;
    Agent a;
    SlClientEvents events;
    server_start(&s, false, 0);
    agent_init(&a, &s);
    a.hello_at_once = true;
    allow(&s, &a, NULL);
    agent_connect_to(&a, s.endpoint, SL_ROLE_AGENT, &events);
    wait_for(s.loop, s.received->len == 1);
    sl_server_free(s.server);
    s.server = NULL;
    wait_for(s.loop, a.disconnected >= 1);
    g_assert_nonnull(strstr(a.why->str, "connection was lost"));
    g_assert_false(send_report(&a, "nobody there"));
    server_open(&s, false, 0);
    allow(&s, &a, NULL);
    wait_for(s.loop, a.connected == 2 && s.received->len == 2);
    agent_stop(&a);
    server_stop(&s);
}

/* Agents of a large fleet come back spread over the time that they were told: who was told half a
 * second is back while not all of three that were told a minute are (but once in two million). */
static void test_return_is_spread(void)
{
    enum { FAR = 3, N };
    Server s;
    Agent a[N];
    SlClientEvents events[N];
    g_autoptr(GPtrArray) keys = g_ptr_array_new();
    server_start(&s, false, 0);
    g_assert_cmpuint(sl_server_return_ms(s.server), ==, 0);
    for (int i = 0; i < N; i++) {
        agent_init(&a[i], &s);
        g_ptr_array_add(keys, a[i].hex);
    }
    sl_server_allow(s.server, keys);
    g_assert_cmpuint(sl_server_return_ms(s.server), ==, 2 * N);
    for (int i = 0; i < N; i++) {
        agent_connect_to(&a[i], s.endpoint, SL_ROLE_AGENT, &events[i]);
        wait_for(s.loop, a[i].connected == 1);
        sl_client_return(a[i].client, i < FAR ? 3600 * SL_SECOND_US : SL_SECOND_US / 2);
    }
    sl_server_free(s.server);
    s.server = NULL;
    for (int i = 0; i < N; i++) {
        wait_for(s.loop, a[i].disconnected == 1);
    }
    server_open(&s, false, 0);
    sl_server_allow(s.server, keys);
    wait_for(s.loop, a[FAR].connected == 2);
    g_assert_cmpuint(a[0].connected + a[1].connected + a[2].connected, <, 2 * FAR);
    for (int i = 0; i < N; i++) {
        agent_stop(&a[i]);
    }
    server_stop(&s);
}

static void test_port_in_use(void)
{
    Server s;
    server_start(&s, false, 0);
    SlServerEvents events = {
        .user = &s, .received = on_received, .dropped = on_dropped, .enrol = on_enrol};
    SlServerConfig config = {.endpoint = s.endpoint,
                             .keys = &s.server_keys,
                             .events = &events,
                             .loop = s.loop,
                             .peers_max = 8};
    g_autoptr(GError) error = NULL;
    g_assert_null(sl_server_new(&config, &error));
    g_assert_error(error, SL_ERROR, SLU_PORT_IN_USE);
    g_assert_nonnull(strstr(error->message, s.endpoint));
    g_clear_error(&error);
    config.endpoint = "tcp://nowhere:x";
    g_assert_null(sl_server_new(&config, &error));
    g_assert_error(error, SL_ERROR, SLU_ENDPOINT);
    g_clear_error(&error);
    config.peers_max = 100000000;
    g_assert_null(sl_server_new(&config, &error));
    g_assert_error(error, SL_ERROR, SLU_FD_LIMIT);
    server_stop(&s);
}

/* A ROUTER without a ZAP handler lets everybody in; the self-test must see it. */
static void test_selftest_sees_open_door(void)
{
    void *context = sl_context_new();
    void *router = zmq_socket(context, ZMQ_ROUTER);
    SlCurveKeys keys = new_keys();
    int one = 1, zero = 0;
    char endpoint[64];
    g_snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%u", free_port());
    zmq_setsockopt(router, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt(router, ZMQ_CURVE_SERVER, &one, sizeof one);
    zmq_setsockopt(router, ZMQ_CURVE_SECRETKEY, keys.secret, 32);
    zmq_setsockopt(router, ZMQ_ZAP_DOMAIN, "agent", 5);
    g_assert_cmpint(zmq_bind(router, endpoint), ==, 0);
    g_autoptr(GError) error = NULL;
    g_assert_false(sl_selftest(context, router, keys.public_, &error));
    g_assert_error(error, SL_ERROR, SLU_ZAP_OPEN);
    g_assert_nonnull(strstr(error->message, "was let in"));
    sl_socket_close(router);
    sl_context_free(context);
}

static void test_enrol_port(void)
{
    Server s;
    Agent a;
    SlClientEvents events;
    server_start(&s, true, 0);
    agent_init(&a, &s);
    agent_connect_to(&a, s.enrol_endpoint, SL_ROLE_ENROL, &events); /* on no list */
    wait_for(s.loop, a.connected == 1);
    uint8_t bytes[32] = {1};
    Sluice__Wire__Signed sig = SLUICE__WIRE__SIGNED__INIT;
    sig.text = (ProtobufCBinaryData){7, (uint8_t *)"request"};
    Sluice__Wire__Enrol enrol = SLUICE__WIRE__ENROL__INIT;
    enrol.request = &sig;
    enrol.token_id = (ProtobufCBinaryData){16, bytes};
    enrol.proof = (ProtobufCBinaryData){32, bytes};
    Sluice__Wire__Envelope e = SLUICE__WIRE__ENVELOPE__INIT;
    e.body_case = SLUICE__WIRE__ENVELOPE__BODY_ENROL;
    e.enrol = &enrol;
    g_assert_true(sl_client_send(a.client, &e));
    wait_for(s.loop, s.enrol_peer != NULL);
    say_hello(&a, "agents' message on the enrolment port");
    wait_for(s.loop, dropped_code(&s, SLU_WIRE_FORMAT));
    Sluice__Wire__EnrolReply reply = SLUICE__WIRE__ENROL_REPLY__INIT;
    reply.state = (char *)"accepted";
    Sluice__Wire__Envelope answer = SLUICE__WIRE__ENVELOPE__INIT;
    answer.body_case = SLUICE__WIRE__ENVELOPE__BODY_ENROL_REPLY;
    answer.enrol_reply = &reply;
    sl_server_enrol_reply(s.server, "zz", &answer);   /* not a peer's name */
    sl_server_enrol_reply(s.server, "00ff", &answer); /* a peer that is not there */
    sl_server_enrol_reply(s.server, s.enrol_peer, &answer);
    wait_for(s.loop, a.last_reason[0] != '\0');
    g_assert_cmpstr(a.last_reason, ==, "accepted");
    g_assert_cmpuint(s.received->len, ==, 0);
    agent_stop(&a);
    server_stop(&s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/link/registered-key", test_registered_key);
    g_test_add_func("/link/unlisted-key", test_unlisted_key);
    g_test_add_func("/link/hostile-messages", test_hostile_messages);
    g_test_add_func("/link/oversize-frame", test_oversize_frame);
    g_test_add_func("/link/latest-head-wins", test_latest_head_wins);
    g_test_add_func("/link/flood", test_flood);
    g_test_add_func("/link/same-key-twice", test_same_key_twice);
    g_test_add_func("/link/reconnect-and-gone", test_reconnect_and_gone);
    g_test_add_func("/link/return-is-spread", test_return_is_spread);
    g_test_add_func("/link/server-restart", test_server_restart);
    g_test_add_func("/link/port-in-use", test_port_in_use);
    g_test_add_func("/link/selftest-sees-open-door", test_selftest_sees_open_door);
    g_test_add_func("/link/enrol-port", test_enrol_port);
    return g_test_run();
}
