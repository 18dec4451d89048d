/* swarm.h - many agents in one process, for benches and flood tests. Their keys come from a seed and
 * a number, so that a prepared registry and a later run agree on them without a file. Never
 * installed. */
#pragma once
#include "core/statement.h"
#include "link/keys.h"

typedef struct {
    uint8_t secret[64]; /* ed25519, signs reports */
    SlCurveKeys curve;
} SwarmKeys;
/* Keys of agent @index of swarm @seed. */
void swarm_keys(const char *seed, unsigned index, SwarmKeys *ret_keys);
char *swarm_name(unsigned index); /* "sw00042" (transfer full) */
/* 0 with an error on stderr. */
unsigned swarm_number(const char *text, const char *what);

/* prepare.c: appends one registry event with @count agents more to the ledger of DIR, signed by the
 * online key, as an enrolment would have (threshold 0). The coordinator must not run. */
int swarm_prepare(int argc, char **argv);
/* run.c: honest, thin agents. */
int swarm_run(int argc, char **argv);
/* raw.c: one hostile peer that speaks ZMTP and CURVE by hand. */
int swarm_raw(int argc, char **argv);
