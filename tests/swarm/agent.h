/* agent.h - one thin agent of run.c, and what all of them share. */
#pragma once
#include "base/digest.h"
#include "link/socket.h"
#include "swarm.h"

#define SWARM_TIMER 0xfffffffeu
#define SWARM_STDIN 0xffffffffu

typedef enum { ROUND_DONE, ROUND_WAITS, ROUND_HEADED } SwarmRound;

typedef struct {
    void *socket;
    SwarmKeys keys;
    char *name;
    char boot[33], nonce[33];
    bool connected, headed, asked; /* asked: a report waits for its acknowledgement */
    /* as lib/link/client.c: told with each head; when it came, when to come back */
    int64_t return_us, came_us, back_us;
    unsigned unanswered; /* handshakes in a row that had no end */
    SwarmRound round;
    uint64_t counter;
    int64_t asked_us;
    unsigned fetching; /* chunks that are still to come */
    /* of the head in force */
    char head[65], desired[65], fleet[65], ledger_hash[65];
    uint64_t term, version, root, registry, ledger_seq;
} SwarmAgent;

typedef struct {
    SwarmAgent *agents;
    unsigned count;
    int64_t period_us, ticked_us;
    const char *env, *endpoint;
    uint8_t server_key[32];
    void *context;
    int epoll, timer;
    GArray *rtts; /* of uint32_t */
    uint64_t hellos, heads, fetches, reports, acks, unsent;
    bool round_open;
    unsigned round_left;
    int64_t round_first_us, round_heads_us, round_acked_us;
} Swarm;

int64_t swarm_now_us(void); /* CLOCK_MONOTONIC: Python's time.monotonic() */
void swarm_agent_init(SwarmAgent *agent, const char *seed, unsigned index);
/* Connects; its descriptor, -1 on an error of libzmq. */
int swarm_agent_open(Swarm *swarm, SwarmAgent *agent);
void swarm_agent_close(SwarmAgent *agent);
/* No session in the time that a handshake has: it comes back at back_us. */
bool swarm_agent_unanswered(SwarmAgent *agent, int64_t now_us);
/* Everything that waits for it. False: it lost its session, and comes back at back_us. */
bool swarm_agent_turn(Swarm *swarm, SwarmAgent *agent);
/* A report, if it has a head. */
void swarm_agent_report(Swarm *swarm, SwarmAgent *agent);
