/* client.h - the agent's side: one CURVE DEALER on the loop, reconnecting with jitter, client-side
 * heartbeats. */
#pragma once
#include "link/keys.h"
#include "proto/wire.h"
#include "runtime/loop.h"

typedef struct SlClient SlClient;
typedef struct {
    void *user;
    void (*connected)(void *user); /* handshake done (monitor event), each time */
    /* Lost, or still not there for another reason than said last; it goes on trying. Callbacks may
     * send, not free. */
    void (*disconnected)(void *user, const char *why);
    void (*received)(void *user,
                     const Sluice__Wire__Envelope *envelope); /* valid, direction DOWN */
    void (*dropped)(void *user, const GError *error); /* may be NULL: malformed or too large */
} SlClientEvents;
typedef struct {
    const char *endpoint;
    const uint8_t *server_key; /* 32 bytes */
    const SlCurveKeys *keys;
    SlMessageRole role; /* AGENT or ENROL */
    const SlClientEvents *events;
    SlLoop *loop;
    int64_t reconnect_min_us; /* 0 = 250 ms; doubled up to the maximum, each agent with its own
                                 jitter */
    int64_t reconnect_max_us; /* 0 = 30 s */
} SlClientConfig;
/* Connects in the background. Errors: ENDPOINT. */
SL_MUST_USE SlClient *sl_client_new(const SlClientConfig *config, GError **error);
void sl_client_free(SlClient *client);
/* Over how long a lost connection's return is spread, as the coordinator says; at most a minute, 0 or
 * little = at once. */
void sl_client_return(SlClient *client, int64_t spread_us);
bool sl_client_send(
    SlClient *client,
    const Sluice__Wire__Envelope *envelope); /* false: not connected or queue full */
