/* server.h - the coordinator's side: CURVE ROUTER on the loop, ZAP allow-list, start-up self-test;
 * and the enrolment port. Identity of a peer is its CURVE key (ZAP user id read from the body
 * frame), never a routing id. Socket options and traps: docs/adr; MAXMSGSIZE before bind, ZAP
 * handler before the ROUTER, option 93, HANDSHAKE_IVL 30 s, SNDHWM 16, BACKLOG 4096, TCP keepalive,
 * LINGER 0, ROUTER_MANDATORY 1, no heartbeats on the ROUTER. */
#pragma once
#include "link/doorman.h"
#include "link/keys.h"
#include "proto/wire.h"
#include "runtime/loop.h"

typedef struct SlServer SlServer;
typedef struct {
    void *user;
    /* @curve: 64 hex; @envelope valid and for this direction and role; borrowed. */
    void (*received)(void *user, const char *curve, const Sluice__Wire__Envelope *envelope);
    /* A message that was dropped: too large, malformed, flood. For the log and counters. */
    void (*dropped)(void *user, const char *curve, const GError *error);
    /* Enrolment port: answer with sl_server_enrol_reply using @peer. */
    void (*enrol)(void *user, const char *peer, const Sluice__Wire__Envelope *envelope);
    /* The peer's connection is gone, or it said nothing for silent_us. May be NULL. Callbacks may
     * send and allow, not free. */
    void (*gone)(void *user, const char *curve);
    /* Something that people should know of a peer: SUSPENDED (cut off for a minute), TWIN (two
     * machines use its key). May be NULL. */
    void (*trouble)(void *user, const char *curve, const GError *error);
} SlServerEvents;
typedef struct {
    const char *endpoint, *enrol_endpoint; /* "tcp://127.0.0.1:7400"; enrol may be NULL */
    const SlCurveKeys *keys;
    const SlServerEvents *events;
    SlLoop *loop;
    size_t peers_max;  /* needs as many open files; 0 = 1,000 or what the limit allows */
    int64_t silent_us; /* 0 = 100 s: three reports that did not come */
    /* Who may come in from the first moment on, as sl_server_allow; NULL = nobody yet. */
    const GPtrArray *allowed;
} SlServerConfig;
/* Proves with an unlisted key that ZAP refuses it, then binds; anything else is an error. Errors:
 * PORT_IN_USE, ENDPOINT, ZAP_OPEN, FD_LIMIT. */
SL_MUST_USE SlServer *sl_server_new(const SlServerConfig *config, GError **error);
void sl_server_free(SlServer *server);
/* Of the agents' port; of the enrolment port (all 0 if there is none). */
void sl_server_counts(SlServer *server, SlDoorCounts *ret_agents, SlDoorCounts *ret_enrol);
/* Replaces the allow-list; who is not on it any more is cut off at once. Also checked on every
 * message. Of char* 64 hex. */
void sl_server_allow(SlServer *server, const GPtrArray *curve_keys);
/* Over how long agents should spread their return, so that a fleet's handshakes don't wait for each
 * other: for HEAD. */
uint32_t sl_server_return_ms(const SlServer *server);
/* Latest-wins for HEAD: a newer one replaces one still queued for that peer. False: the peer is not
 * connected or its queue is full (it will say HELLO again). */
bool sl_server_send(SlServer *server, const char *curve, const Sluice__Wire__Envelope *envelope);
/* @peer as enrol() named it; a peer that went away asks again. */
void sl_server_enrol_reply(SlServer *server, const char *peer,
                           const Sluice__Wire__Envelope *envelope);
