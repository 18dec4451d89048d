/* test_doors.c - who is cut off, and who is not: copies of a key, malformed messages, removed keys,
 * crowds that say nothing. Over real sockets on loopback. */
#include "rig.h"

/* Both go on talking: a copy of an agent's folder runs somewhere. */
static void test_twins_are_said(void)
{
    Server s;
    Agent a, b;
    SlClientEvents a_events, b_events;
    server_start(&s, false, 0);
    agent_init(&a, &s);
    agent_init(&b, &s);
    b.keys = a.keys;
    allow(&s, &a, NULL);
    agent_connect_to(&a, s.endpoint, SL_ROLE_AGENT, &a_events);
    agent_connect_to(&b, s.endpoint, SL_ROLE_AGENT, &b_events);
    wait_for(s.loop, a.connected == 1 && b.connected == 1);
    for (guint i = 0; i < 3; i++) {
        g_assert_cmpint(s.trouble, ==, 0);
        say_hello(&a, "first");
        wait_for(s.loop, s.received->len == 2 * i + 1);
        say_hello(&b, "second");
        wait_for(s.loop, s.received->len == 2 * i + 2);
        if (s.trouble != 0) {
            break;
        }
    }
    g_assert_cmpint(s.trouble, ==, SLU_PEER_TWIN);
    agent_stop(&a);
    agent_stop(&b);
    server_stop(&s);
}

/* A restart is no twin, however often. */
static void test_restarts_are_no_twins(void)
{
    Server s;
    server_start(&s, false, 0);
    Agent a;
    agent_init(&a, &s);
    allow(&s, &a, NULL);
    for (guint i = 0; i < 5; i++) {
        SlClientEvents events;
        a.connected = 0;
        agent_connect_to(&a, s.endpoint, SL_ROLE_AGENT, &events);
        wait_for(s.loop, a.connected == 1);
        say_hello(&a, "again");
        wait_for(s.loop, s.received->len == i + 1);
        sl_client_free(a.client);
        a.client = NULL;
    }
    g_assert_cmpint(s.trouble, ==, 0);
    g_string_free(a.why, TRUE);
    server_stop(&s);
}

/* A raw DEALER of a registered key sends what is no message: the tenth cuts it off, it is not let in
 * again, and nobody else is. */
static void test_suspended(void)
{
    Server s;
    Agent a, other;
    SlClientEvents events;
    SlDoorCounts agents, enrol;
    server_start(&s, false, 0);
    agent_init(&a, &s);
    agent_init(&other, &s);
    allow(&s, &a, &other);
    void *context = sl_context_new();
    void *dealer = raw_dealer(context, &s, &a);
    for (guint i = 0; i < 10; i++) {
        bool sent = false; /* the condition is asked more than once */
        wait_for(s.loop, sent || (sent = zmq_send(dealer, "nonsense", 8, ZMQ_DONTWAIT) == 8));
        wait_for(s.loop, s.dropped->len == i + 1);
    }
    g_assert_cmpint(s.trouble, ==, SLU_PEER_SUSPENDED);
    wait_for(s.loop, zmq_send(dealer, "nonsense", 8, ZMQ_DONTWAIT) < 0); /* the connection ended */
    agent_connect_to(&a, s.endpoint, SL_ROLE_AGENT, &events);
    wait_for(s.loop, a.disconnected == 1);
    g_assert_nonnull(strstr(a.why->str, "suspended"));
    g_assert_cmpuint(s.dropped->len, ==, 10);
    sl_server_counts(s.server, &agents, &enrol);
    g_assert_cmpuint(agents.asked, ==, 1);
    g_assert_cmpuint(enrol.accepted, ==, 0);
    SlClientEvents other_events;
    agent_connect_to(&other, s.endpoint, SL_ROLE_AGENT, &other_events);
    wait_for(s.loop, other.connected == 1);
    agent_stop(&a);
    agent_stop(&other);
    sl_socket_close(dealer);
    sl_context_free(context);
    server_stop(&s);
}

/* Who is not on the list any more is told by the end of its connection, not at its next message. */
static void test_removed_is_cut_off(void)
{
    Server s;
    Agent a, b;
    SlClientEvents a_events, b_events;
    server_start(&s, false, 0);
    agent_init(&a, &s);
    agent_init(&b, &s);
    allow(&s, &a, &b);
    agent_connect_to(&a, s.endpoint, SL_ROLE_AGENT, &a_events);
    agent_connect_to(&b, s.endpoint, SL_ROLE_AGENT, &b_events);
    wait_for(s.loop, a.connected == 1 && b.connected == 1);
    say_hello(&a, "a");
    say_hello(&b, "b");
    wait_for(s.loop, s.received->len == 2);
    allow(&s, &b, NULL);
    wait_for(s.loop, strstr(a.why->str, "not registered") != NULL);
    g_assert_cmpuint(b.disconnected, ==, 0);
    agent_stop(&a);
    agent_stop(&b);
    server_stop(&s);
}

/* Connections that say nothing: more than the door holds, and the oldest go; an agent still comes in. */
static void test_crowd(void)
{
    enum { MANY = 400 }; /* 8 peers and 256 beside them */
    Server s;
    Agent a;
    SlClientEvents events;
    SlDoorCounts agents, enrol;
    int held[MANY];
    server_start(&s, false, 0);
    agent_init(&a, &s);
    allow(&s, &a, NULL);
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)g_ascii_strtoull(strrchr(s.endpoint, ':') + 1, NULL, 10));
    for (size_t i = 0; i < MANY; i++) {
        held[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        g_assert_cmpint(connect(held[i], (struct sockaddr *)&address, sizeof address), ==, 0);
    }
    wait_for(s.loop, (sl_server_counts(s.server, &agents, &enrol),
                      agents.accepted == MANY && agents.connections <= 8 + 256));
    g_assert_cmpuint(agents.crowd + agents.pace, >=, MANY - 8 - 256);
    agent_connect_to(&a, s.endpoint, SL_ROLE_AGENT, &events);
    wait_for(s.loop, a.connected == 1);
    agent_stop(&a);
    for (size_t i = 0; i < MANY; i++) {
        close(held[i]);
    }
    server_stop(&s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/doors/twins-are-said", test_twins_are_said);
    g_test_add_func("/doors/restarts-are-no-twins", test_restarts_are_no_twins);
    g_test_add_func("/doors/suspended", test_suspended);
    g_test_add_func("/doors/removed-is-cut-off", test_removed_is_cut_off);
    g_test_add_func("/doors/crowd", test_crowd);
    return g_test_run();
}
